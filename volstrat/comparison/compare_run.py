"""A comparison from its readings to its files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.discovery import is_case_folder
from volstrat.case.protocol_files import LoadedProtocol, load_protocol
from volstrat.case.record import environment, protocol_record
from volstrat.cohort.run_file import COMPARISON, RUN_FILE, RunFile, read_run_file, records_sha256
from volstrat.comparison.agreement_page import AgreementPage
from volstrat.comparison.agreement_tables import TABLES, Row, adjudication_rows, lesion_rows, pair_rows
from volstrat.comparison.agreement_types import SCHEMA_ID, AdjudicationItem, Subject
from volstrat.comparison.cohort_agreement import CohortAgreement, definitions
from volstrat.comparison.pair import Settings
from volstrat.comparison.readings import ReadingSet, open_readings
from volstrat.comparison.subject import (
    NEEDS_ADJUDICATION,
    adjudication_item,
    adjudication_order,
    compare_subject,
)
from volstrat.errors import UsageError
from volstrat.formats.hashing import sha256_of
from volstrat.store.locking import output_lock
from volstrat.store.output import StagedFiles
from volstrat.store.seal import refuse_sealed
from volstrat.store.tables import COLUMNS_FILE, TableWriter, columns_bytes
from volstrat.study.study_file import refuse_other_version
from volstrat.terms.findings import Finding, finding
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from volstrat.comparison.agreement_types import CohortAgreement as CohortRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """How a comparison ended.

    ``stakes`` counts subjects by what is at stake; ``cohort`` are the statistics over all, as in
    ``agreement.json``; ``adjudication`` says who must decide on what, gravest first.
    """

    subjects: int
    stakes: dict[str, int]
    cohort: CohortRecord
    adjudication: tuple[AdjudicationItem, ...]
    findings: tuple[Finding, ...]


def compare_readings(
    paths: Sequence[Path],
    out: Path,
    *,
    protocol: LoadedProtocol | None = None,
    lesions: Sequence[str | None] = (),
    settings: Settings | None = None,
    each: Callable[[str, str], None] = lambda subject, stake: None,
) -> ComparisonResult:
    """Compare readings subject by subject and over all, and write what that gives into a folder.

    ``paths`` (at least two), ``protocol`` and ``lesions`` are those of `open_readings`; ``each`` is called
    with each subject and what is at stake on it. Nothing to compare is a `UsageError`, a file that cannot be
    written an `OutputError`.
    """
    settings = settings or Settings()
    protocol = protocol or load_protocol(None)
    readings = open_readings(paths, protocol=protocol, lesions=lesions)
    subjects = sorted({subject for reading in readings for subject in reading.subjects})
    check_place(out, paths)
    findings = tuple(_findings(readings, subjects))
    compared = {"readings": [_place(reading) for reading in readings], "settings": asdict(settings)}
    with output_lock(out):
        run = RunFile(out, event=COMPARISON, detail=compared, protocol=protocol)
        with StagedFiles(out) as files:
            written = _Written(files, readings, settings, findings)
            for name in subjects:
                subject = compare_subject(name, readings, settings)
                written.add(name, subject)
                each(name, subject["stake"]["kind"])
            written.close()
        findings = written.findings
        tables = [f"{name}.{ending}" for name in TABLES for ending in ("csv", "parquet")]
        names = ("agreement.json", *tables, COLUMNS_FILE, "agreement.html")
        hashes = {name: sha256_of(out / name) for name in names}
        run.finish(
            counts=written.stakes,
            files=hashes,
            readings_sha256=written.readings_sha256(),
            agreement_sha256=hashes["agreement.json"],
        )
    return ComparisonResult(
        subjects=len(subjects),
        stakes=dict(written.stakes),
        cohort=written.cohort_json,
        adjudication=tuple(written.items),
        findings=findings,
    )


class _Written:
    """What a comparison writes, subject by subject."""

    def __init__(
        self,
        files: StagedFiles,
        readings: Sequence[ReadingSet],
        settings: Settings,
        findings: tuple[Finding, ...],
    ) -> None:
        self._files, self.findings = files, findings
        self._readers = {reading.name: reading.reader for reading in readings}
        self._definitions = definitions(settings)
        self._stream = files.open("agreement.json")
        head = _json(_head(readings, settings) | {"definitions": self._definitions})
        self._stream.write(head[: head.rindex("}")].rstrip().encode() + b',\n  "subjects": [')
        self._tables = {name: TableWriter(files, name, columns) for name, columns in TABLES.items()}
        self._page = AgreementPage(readings, settings.surface_tolerance_mm)
        self._cohort = CohortAgreement([r.name for r in readings], readings[0].protocol.protocol.volume_error)
        self._hashes: dict[str, list[tuple[str, str]]] = {reading.name: [] for reading in readings}
        self._asked: list[tuple[AdjudicationItem, list[Row]]] = []
        self.stakes: Counter[str] = Counter()
        self.items: list[AdjudicationItem] = []

    def add(self, name: str, subject: Subject) -> None:
        """Write a subject."""
        comma = "," if self.stakes else ""
        lines = _json(subject).replace("\n", "\n    ")
        self._stream.write(f"{comma}\n    {lines}".encode())
        for row in pair_rows(subject, self._readers):
            self._tables["agreement"].write_named(row)
        for row in lesion_rows(subject, self._readers):
            self._tables["agreement_lesions"].write_named(row)
        self._cohort.add(subject)
        self._page.add(subject)
        self.stakes[subject["stake"]["kind"]] += 1
        for reading in subject["readings"]:
            if reading["sha256"] is not None:
                self._hashes[reading["reading"]].append((name, reading["sha256"]))
        if subject["stake"]["kind"] in NEEDS_ADJUDICATION:
            item = adjudication_item(subject)
            self._asked.append((item, list(adjudication_rows(subject, item, self._readers))))

    def readings_sha256(self) -> dict[str, str]:
        """Return one hash over each reading's subjects."""
        return {name: records_sha256(sorted(hashes)) for name, hashes in self._hashes.items()}

    def close(self) -> None:
        """Write what comes after the subjects: statistics, the list of disputes, the page."""
        self.cohort_json = self._cohort.as_json()
        self._asked.sort(key=lambda asked: adjudication_order(asked[0]))
        for n, (item, _) in enumerate(self._asked, start=1):
            item["order"] = n
        self.items = [item for item, _ in self._asked]
        self.findings += tuple(self._alike())
        rest = _json(
            {
                "readings_sha256": self.readings_sha256(),
                "cohort": self.cohort_json,
                "adjudication": self.items,
                "findings": [asdict(finding) for finding in self.findings],
                "environment": environment(),
            }
        )
        self._stream.write(f"\n  ],\n{rest[2:]}\n".encode())
        self._stream.flush()
        self._stream.seek(0)
        agreement_sha256 = hashlib.file_digest(self._stream, "sha256").hexdigest()
        for item, (_, rows) in zip(self.items, self._asked, strict=True):
            for row in rows:
                self._tables["adjudication"].write_named(
                    row | {"order": item["order"], "agreement_sha256": agreement_sha256}
                )
        for table in self._tables.values():
            table.close()
        self._files.open(COLUMNS_FILE).write(columns_bytes(TABLES))
        page = self._page.render(self.cohort_json, self.items, self.findings, self._definitions)
        self._files.open("agreement.html").write(page)

    def _alike(self) -> Iterator[Finding]:
        """Say which readings are the same files."""
        hashes = self.readings_sha256()
        for one in sorted(set(hashes.values())):
            names = [name for name in hashes if hashes[name] == one and self._hashes[name]]
            if len(names) > 1:
                yield finding("readings_alike", readings=shown_names(names, last=" and "))


def _place(reading: ReadingSet) -> dict[str, Any]:
    """Say where a reading lies, so that it can be opened again."""
    return {
        "reading": reading.name,
        "reader": reading.reader,
        "kind": reading.kind,
        "path": str(reading.path.resolve()),
        "lesions": reading.lesions,
    }


def _head(readings: Sequence[ReadingSet], settings: Settings) -> dict[str, Any]:
    return {
        "schema": SCHEMA_ID,
        "readings": [
            {
                "reading": r.name,
                "label": r.label,
                "reader": r.reader,
                "kind": r.kind,
                "subjects": len(r.subjects),
                "protocol": protocol_record(r.protocol),
            }
            for r in readings
        ],
        "settings": asdict(settings),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def _findings(readings: Sequence[ReadingSet], subjects: Sequence[str]) -> list[Finding]:
    """Say what is to be known about the readings as a whole."""
    found = []
    by_sha = {r.protocol.sha256 for r in readings}
    if len(by_sha) > 1:
        protocols = ", ".join(
            f"{r.name} {r.protocol.protocol.id} {r.protocol.protocol.version} ({r.protocol.sha256[:12]})"
            for r in readings
        )
        found.append(finding("protocols_differ", readings=protocols))
    for reading in readings:
        if not reading.protocol_known:
            found.append(finding("protocol_unknown", reading=reading.name))
        missing = [subject for subject in subjects if subject not in reading.subjects]
        if missing:
            found.append(finding("subject_absent", reading=reading.name, subjects=shown_names(missing)))
    if len(subjects) == 1:
        found.append(finding("one_subject"))
    return found


def check_place(out: Path, paths: Sequence[Path], *, of: str = COMPARISON) -> None:
    """Refuse a folder that holds what is read, or what nobody may change, and studies of other versions.

    ``of`` is the event of the runs whose results may be written over.
    """
    refuse_sealed(out)
    for path in paths:
        refuse_other_version(path)
    run = read_run_file(out)
    of_another_kind = (out / RUN_FILE).exists() and (run is None or run.get("event") != of)
    if out.resolve() in {path.resolve() for path in paths} or of_another_kind:
        msg = f"{out}: holds a reading; what is made of readings needs a folder of its own."
        raise UsageError(msg, hint="Name another folder with -o.")
    if run is None and out.is_dir() and is_case_folder(out):
        msg = f"{out}: is a case folder; as an output it would never be read as a case again."
        raise UsageError(msg, hint="Name another folder with -o.")
