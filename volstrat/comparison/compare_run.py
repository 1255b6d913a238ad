"""A comparison from its readings to its files."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from volstrat.case.record import environment
from volstrat.comparison.agreement_files import (
    ADJUDICATION_COLUMNS,
    LESION_COLUMNS,
    NEEDS_ADJUDICATION,
    PAIR_COLUMNS,
    AgreementFile,
    Table,
    adjudication_item,
    adjudication_order,
    lesion_rows,
    pair_rows,
)
from volstrat.comparison.agreement_page import AgreementPage
from volstrat.comparison.agreement_types import SCHEMA_ID
from volstrat.comparison.cohort_agreement import CohortAgreement, definitions
from volstrat.comparison.pair import Settings
from volstrat.comparison.readings import check_place, open_readings
from volstrat.comparison.subject import compare_subject
from volstrat.store.locking import output_lock
from volstrat.store.output import STATE_FOLDER
from volstrat.store.staged import StagedFiles
from volstrat.terms.findings import finding
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.comparison.readings import ReadingSet
    from volstrat.terms.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """How a comparison ended.

    Parameters
    ----------
    subjects : int
    stakes : dict of str to int
        Subjects by what is at stake.
    cohort : dict
        The statistics over all subjects, as in ``agreement.json``.
    adjudication : tuple of dict
        Who must decide on what, gravest first.
    findings : tuple of Finding
    """

    subjects: int
    stakes: dict[str, int]
    cohort: dict[str, Any]
    adjudication: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]


def compare_readings(
    paths: Sequence[Path],
    out: Path,
    *,
    protocol: LoadedProtocol | None = None,
    lesions: Sequence[str] = (),
    settings: Settings | None = None,
    each: Callable[[str, str], None] = lambda subject, stake: None,
) -> ComparisonResult:
    """Compare readings subject by subject and over all, and write what that gives.

    Parameters
    ----------
    paths : sequence of Path
        At least two; see `volstrat.comparison.readings.open_readings`.
    out : Path
        Folder for ``agreement.json``, tables and page; made where it is not there.
    protocol, lesions
        See `open_readings`.
    settings : Settings or None
    each : callable
        Called with each subject and what is at stake on it.

    Raises
    ------
    UsageError
        If there is nothing to compare.
    OutputError
        If a file cannot be written.
    """
    settings = settings or Settings()
    readings = open_readings(paths, protocol=protocol, lesions=lesions)
    subjects = sorted({subject for reading in readings for subject in reading.subjects})
    check_place(out, paths)
    findings = tuple(_findings(readings, subjects))
    cohort = CohortAgreement([r.name for r in readings])
    items: list[dict[str, Any]] = []
    stakes: Counter[str] = Counter()
    with output_lock(out), StagedFiles(out) as files:
        (out / STATE_FOLDER).mkdir(exist_ok=True)
        record = AgreementFile(files.open("agreement.json"), _head(readings, settings))
        pairs = Table(files.open("agreement.csv"), PAIR_COLUMNS)
        lesion_table = Table(files.open("agreement_lesions.csv"), LESION_COLUMNS)
        page = AgreementPage(readings, settings)
        for name in subjects:
            subject = compare_subject(name, readings, settings)
            record.add(subject)
            for row in pair_rows(subject):
                pairs.add(row)
            for row in lesion_rows(subject):
                lesion_table.add(row)
            cohort.add(subject)
            page.add(subject)
            stakes[subject["stake"]["kind"]] += 1
            if subject["stake"]["kind"] in NEEDS_ADJUDICATION:
                items.append(adjudication_item(subject))
            each(name, subject["stake"]["kind"])
        items.sort(key=adjudication_order)
        items = [{"order": n, **item} for n, item in enumerate(items, start=1)]
        cohort_json = cohort.as_json()
        record.close(
            {
                "cohort": cohort_json,
                "adjudication": items,
                "findings": [asdict(finding) for finding in findings],
                "environment": environment(),
            }
        )
        _write_adjudication(Table(files.open("adjudication.csv"), ADJUDICATION_COLUMNS), items)
        files.open("agreement.html").write(page.render(cohort_json, items, findings))
    return ComparisonResult(
        subjects=len(subjects),
        stakes=dict(stakes),
        cohort=cohort_json,
        adjudication=tuple(items),
        findings=findings,
    )


def _head(readings: Sequence[ReadingSet], settings: Settings) -> dict[str, Any]:
    return {
        "schema": SCHEMA_ID,
        "readings": [
            {
                "reading": r.name,
                "label": r.label,
                "kind": r.kind,
                "subjects": len(r.subjects),
                "protocol": {
                    "id": r.protocol.protocol.id,
                    "version": r.protocol.protocol.version,
                    "sha256": r.protocol.sha256,
                },
            }
            for r in readings
        ],
        "settings": asdict(settings),
        "definitions": definitions(
            surface_tolerance_mm=settings.surface_tolerance_mm,
            match_distance_mm=settings.match_distance_mm,
        ),
    }


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


def _write_adjudication(table: Table, items: Sequence[dict[str, Any]]) -> None:
    for item in items:
        strata = "; ".join(f"{name}: {stratum or 'none'}" for name, stratum in item["strata"].items())
        table.add({**item, "strata": strata, "look_at": "; ".join(item["look_at"])})
