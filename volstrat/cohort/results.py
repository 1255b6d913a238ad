"""What a finished run leaves: tables, summary and page, built from the records on disk, one at a time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from volstrat.case.record import record_name
from volstrat.cohort.changes import changed_strata
from volstrat.cohort.cohort_page import IndexPage
from volstrat.cohort.columns import (
    Column,
    cohort_columns,
    cohort_row,
    csv_cell,
    lesion_columns,
    lesion_rows,
    table_columns,
)
from volstrat.cohort.run_file import BASIS, DERIVED_FILES, TABLES, TRAIL
from volstrat.cohort.tasks import STATUSES
from volstrat.cohort.worker import RECORD
from volstrat.errors import OutputError
from volstrat.formats.hashing import sha256_of
from volstrat.store.column_names import COLUMNS_FILE, columns_bytes
from volstrat.store.staged import StagedFiles
from volstrat.store.system import sync_disks
from volstrat.store.tables import TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from volstrat.case.record_types import CaseRecord
    from volstrat.cohort.ledger import Done, Ledger

_STRATA = ("stratum_1", "stratum_2", "ineligible")
_MOST_FAILURES = 20


class Summary:
    """Counts over a cohort, for ``summary.json``; and the first failures, for whoever ran it."""

    def __init__(self) -> None:
        self.subjects = 0
        self._status: Counter[str] = Counter()
        self._strata: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()
        self._lesions = self._regions = 0
        self._made_by: set[tuple[str, str, str, str]] = set()
        self.failures: tuple[tuple[str, str], ...] = ()

    def add(self, record: CaseRecord) -> None:
        """Count a subject."""
        self.subjects += 1
        self._status[record["status"]] += 1
        self._strata[record["stratum"] or "none"] += 1
        if record["error"] is not None:
            self._errors[record["error"]["code"]] += 1
            if len(self.failures) < _MOST_FAILURES:
                self.failures += ((record_name(record), record["error"]["message"]),)
        self._findings.update({(f["code"], f["severity"]) for f in record["findings"]})
        self._lesions += len(record["lesions"])
        self._regions += len(record["pet_only_regions"])
        protocol = record["protocol"]
        self._made_by.add(
            (protocol["id"], protocol["version"], protocol["sha256"], record["environment"]["volstrat"])
        )

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "schema": "volstrat.cohort-summary/1",
            "subjects": self.subjects,
            "status": {status: self._status[status] for status in STATUSES},
            "stratum": {stratum: self._strata[stratum] for stratum in (*_STRATA, "none")},
            "error": dict(sorted(self._errors.items())),
            "findings": [
                {"code": code, "severity": severity, "subjects": count}
                for (code, severity), count in sorted(self._findings.items())
            ],
            "lesions": self._lesions,
            "pet_only_regions": self._regions,
            "made_by": [
                {"protocol": {"id": name, "version": version, "sha256": sha256}, "volstrat": program}
                for name, version, sha256, program in sorted(self._made_by)
            ],
        }


def write_results(out: Path, ledger: Ledger, *, turn: Callable[[], None] = lambda: None) -> Summary:
    """Write tables, summary and page; they get their names together once all are written.

    Parameters
    ----------
    out : Path
    ledger : Ledger
    turn : callable
        Called after each subject.

    Raises
    ------
    OutputError
        If something cannot be written, or a record is no longer what its worker wrote.
    """
    sync_disks()  # the records, before anything is built on them
    summary = Summary()
    with StagedFiles(out) as files:
        streams = {name: files.open(name) for name in TABLES}
        page = IndexPage(files.open("index.html"))
        with (
            _writer(streams, "cohort", cohort_columns()) as cohort,
            _writer(streams, "lesions", lesion_columns()) as lesions,
        ):
            for done, record in _records(out, ledger.subjects()):
                cohort.write(cohort_row(record))
                for row in lesion_rows(record):
                    lesions.write(row)
                page.add(record, folder=done.folder)
                summary.add(record)
                turn()
        page.close(summary.as_json(), changed_strata(out / TRAIL))
        tables = {"cohort": cohort_columns(), "lesions": lesion_columns()}
        named = {name: table_columns(columns) for name, columns in tables.items()}
        files.open(COLUMNS_FILE).write(columns_bytes(named))
        files.open("summary.json").write(_json(summary.as_json()))
    return summary


def file_hashes(out: Path) -> dict[str, str]:
    """Return the sha256 of each of the cohort's own files that follows from the records alone."""
    names = (name for name in (*DERIVED_FILES, *BASIS) if (out / name).is_file())
    return {name: sha256_of(out / name) for name in names}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _writer(streams: dict[str, Any], name: str, columns: Iterable[Column]) -> TableWriter:
    return TableWriter(
        streams[f"{name}.csv"], streams[f"{name}.parquet"], table_columns(columns), cell=csv_cell
    )


def _records(out: Path, subjects: Iterator[Done]) -> Iterator[tuple[Done, CaseRecord]]:
    for done in subjects:
        path = out / done.folder / RECORD
        try:
            data = path.read_bytes()
        except OSError as error:
            msg = f"{path}: cannot be read back ({error.strerror})."
            raise OutputError(msg, hint="Run the same command again.") from error
        if hashlib.sha256(data).hexdigest() != done.record_sha256:
            msg = f"{path}: is no longer what was written there."
            raise OutputError(msg, hint="Run the same command again; the subject will be done anew.")
        yield done, json.loads(data)
