"""Many cases: every case folder below a root, one record each, one table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from volstrat.case import run_case
from volstrat.errors import UsageError
from volstrat.io.discovery import iter_case_folders
from volstrat.io.output import folder_name, write_atomically
from volstrat.record import CaseRecord, failure_record, record_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.io.protocol_files import LoadedProtocol

COHORT_COLUMNS = (
    "subject",
    "status",
    "stratum",
    *(
        f"predicates.{stratum}.{key}"
        for stratum in ("stratum_1", "stratum_2")
        for key in ("holds", "part_voxels", "part_voxels_upper", "whole_voxels", "unit", "percent")
    ),
    "predicates.stratum_2.avid_disease",
    *(
        f"volumes.{key}"
        for key in (
            "total_tumour_ml",
            "resectable_tumour_ml",
            "residual_tumour_ml",
            "resectable_fraction",
            "fdg_avid_ml",
            "fdg_avid_resectable_ml",
            "fdg_avid_resectable_fraction",
            "fdg_avid_fraction",
            "pet_only_ml",
        )
    ),
    "error.code",
    "error.message",
    "error.hint",
    "protocol.id",
    "protocol.version",
    "protocol.sha256",
)
"""Columns of ``cohort.csv``: dotted record keys."""


def run_cohort(
    root: Path,
    out: Path,
    protocol: LoadedProtocol,
    *,
    lesions: str | None = None,
    each: Callable[[CaseRecord], None] = lambda _: None,
) -> list[str]:
    """Measure every case below ``root`` and write ``OUT/SUBJECT/case.json`` and ``OUT/cohort.csv``.

    Two folders of one subject: the first is kept, the others fail by name.

    Returns
    -------
    list of str
        The status of every case.
    """
    if out.resolve() == root.resolve():
        msg = f"{out}: the output folder is the input folder."
        raise UsageError(msg, hint="Name another folder with -o.")
    records: dict[str, CaseRecord] = {}
    statuses = []
    for folder in iter_case_folders(root, skip=out):
        record = run_case(folder, protocol, lesions=lesions)
        subject = record["subject"]
        if subject in records:
            error = UsageError(f"Two case folders are called {subject!r}.", hint="Rename one of them.")
            records[subject] = record = failure_record(subject=subject, error=error, protocol=protocol)
        else:
            records[subject] = record
        write_atomically(out / folder_name(subject) / "case.json", record_bytes(record))
        statuses.append(record["status"])
        each(record)
    if records:
        write_atomically(out / "cohort.csv", _cohort_csv([records[s] for s in sorted(records)]))
    return statuses


def _cohort_csv(records: list[CaseRecord]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COHORT_COLUMNS)
    writer.writerows([_cell(record, column) for column in COHORT_COLUMNS] for record in records)
    return text.getvalue().encode()


def _cell(record: CaseRecord, column: str) -> str:
    value: Any = record
    for key in column.split("."):
        value = None if value is None else value[key]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(str(value).split()) if isinstance(value, str) else repr(value)
