"""Where a reader's marks go, and what other commands must be told to find them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.case.discovery import CASE_FILE
from volstrat.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.place import CasePlace
    from volstrat.review.reviewed import ReviewOptions


def table_path(sources: CaseSources, place: CasePlace, options: ReviewOptions) -> Path:
    """Return the table that is marked in.

    Raises
    ------
    CaseError
        If none is named where one must be, or it is a workbook.
    """
    own = sources.only("lesions")
    if place.names_table and own is not None:
        return _writable(own.path, options)
    if sources.told_by in ("study", "manifest"):
        msg = f"{sources.subject}: no lesion table is named in which to mark."
        hint = 'Write lesions = "reads/{subject}.csv" below [layout.inputs], or name a reader of the study.'
        raise CaseError(msg, hint=hint)
    if options.reader:
        return sources.folder / f"lesions.{options.reader}.csv"
    return sources.folder / "lesions.csv" if own is None else _writable(own.path, options)


def _writable(table: Path, options: ReviewOptions) -> Path:
    """Refuse a workbook: marks are appended to text, and a workbook may hold what is not to be lost."""
    if table.suffix.lower() != ".csv" and not options.read_only:
        msg = f"{table.name}: is an Excel workbook; marks are not written into it."
        raise CaseError(msg, hint="Save it as lesions.csv and take the workbook away, or mark with --reader.")
    return table


def table_notices(sources: CaseSources, place: CasePlace, options: ReviewOptions, name: str) -> list[str]:
    """Say what other commands must be told to find the marks."""
    own = sources.only("lesions")
    if place.names_table:
        return []
    if options.reader:
        return [f"Marks go to {name}; volstrat case and batch read them with --lesions {options.reader}."]
    if own is None and sources.told_by == "case.toml":
        return [
            f"{CASE_FILE} names no lesion table: volstrat case reads these marks with --lesions {name}, "
            f'or once {CASE_FILE} says lesions = "{name}".'
        ]
    return []
