"""``reviews.csv``: the reviews of a case that people have closed, and why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from volstrat.case.lesion_table import csv_bytes, read_bytes
from volstrat.case.table_file import check_header, read_table
from volstrat.errors import ReviewTableError
from volstrat.store.locking import locked_folder
from volstrat.store.output import write_atomically
from volstrat.terms.findings import Closing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.record_types import FindingRecord

REVIEWS = "reviews.csv"
_LONGEST = 1000
COLUMNS = ("code", "where", "evidence", "by", "reason", "recorded_at")


def read_reviews(data: bytes, *, name: str) -> tuple[Closing, ...]:
    """Parse a table of closed reviews.

    Raises ReviewTableError for a missing or unknown column, or a row without code, evidence, reader or
    reason, or with a time that is none.
    """
    table = read_table(data, name=name, error=ReviewTableError)
    hint = f"volstrat accept writes it; the columns are {', '.join(COLUMNS)}."
    check_header(
        table.header, name=name, required=COLUMNS[:5], known=COLUMNS, hint=hint, error=ReviewTableError
    )
    closings = []
    for line, values in table.rows:
        cells = dict(zip(table.header, values, strict=True))
        empty = [column for column in ("code", "evidence", "by", "reason") if not cells[column]]
        if empty:
            msg = f"{name}, line {line}: {' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty."
            raise ReviewTableError(msg, hint="Close the review with volstrat accept, or remove the row.")
        _check_time(cells.get("recorded_at", ""), f"{name}, line {line}")
        closings.append(Closing(**{c: cells.get(c, "") for c in COLUMNS}, line=f"{name}, line {line}"))
    return tuple(closings)


def _check_time(text: str, where: str) -> None:
    """Refuse a time that nobody can place; an empty cell says that nobody wrote one down."""
    try:
        if text:
            datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{where}: recorded_at is {text!r}, no date."
        raise ReviewTableError(msg, hint="Write it like 2030-05-31 or 2030-05-31T09:30:00Z.") from error


def reviews_path(sources: CaseSources) -> Path:
    """Return where a case's reviews are closed.

    Raises ReviewTableError if the case has no folder of its own and no table is named.
    """
    named = sources.only("reviews")
    if named is not None:
        return named.path
    if sources.told_by in ("manifest", "study"):
        msg = f"{sources.subject}: no table of reviews is named for it alone."
        raise ReviewTableError(msg, hint="Name one as the role reviews, with {subject} in its path.")
    return sources.folder / REVIEWS


def clean_cell(text: str, *, what: str) -> str:
    """Return a text that a cell can hold: one line that is not empty, without control characters."""
    cleaned = " ".join(text.split())
    if not cleaned or len(cleaned) > _LONGEST or not all(c.isprintable() for c in cleaned):
        msg = f"The {what} is empty, longer than {_LONGEST} characters, or holds some that cannot be printed."
        raise ReviewTableError(msg, hint="Say in a few words who looked, and why the stratum stands.")
    return cleaned


def close_reviews(
    path: Path, findings: Sequence[FindingRecord], *, by: str, reason: str, recorded_at: str
) -> None:
    """Write rows that close open reviews into ``reviews.csv``, in the place of those of the same evidence.

    The table need not exist yet.

    Raises VolstratError if the table cannot be read or written.
    """
    with locked_folder(path.parent):
        known = read_reviews(read_bytes(path), name=path.name) if path.exists() else ()
        said = {"by": by, "reason": reason, "recorded_at": recorded_at}
        fresh = [
            {"code": f["code"], "where": f["where"], "evidence": f["evidence"], **said} for f in findings
        ]
        rows = [{column: getattr(row, column) for column in COLUMNS} for row in known]
        places = [[row[key] for key in COLUMNS[:3]] for row in fresh]
        kept = [row for row in rows if [row[key] for key in COLUMNS[:3]] not in places]
        write_atomically(path, csv_bytes(COLUMNS, [*kept, *fresh]))


def open_reviews(findings: Sequence[FindingRecord], code: str, where: str | None) -> list[FindingRecord]:
    """Return the open reviews of a code, all of one place.

    Raises ReviewTableError if there is none, it is closed, it is no review, or several places have it and
    none is named.
    """
    of_code = [one for one in findings if one["code"] == code]
    found = [one for one in of_code if where is None or one["where"] == where]
    at = code if where is None else f"{code} of {where}"
    if not found:
        there = [one for one in findings if one["severity"] == "review" and not one["closed"]]
        names = {f"{one['code']} ({one['where']})" if one["where"] else one["code"] for one in there}
        msg = f"There is no finding {at} in this case."
        raise ReviewTableError(msg, hint=f"Open reviews: {', '.join(sorted(names)) or 'none'}.")
    if any(one["severity"] == "blocking" for one in found):
        msg = f"{at} says why there is no stratum; it cannot be closed."
        raise ReviewTableError(msg, hint=next(one["message"] for one in found))
    opened = [one for one in found if one["severity"] == "review" and not one["closed"]]
    if not opened:
        closed = next((one["closed"] for one in found if one["closed"]), None)
        state = (
            f"was closed by {closed['by']}" if closed else f"is a finding of severity {found[0]['severity']}"
        )
        msg = f"{at} {state}; there is no review to close."
        raise ReviewTableError(msg, hint="Nothing was written.")
    places = sorted({one["where"] for one in opened})
    if len(places) > 1:
        msg = f"{code} is an open review of {', '.join(places)}."
        raise ReviewTableError(msg, hint="Say which with --where.")
    return opened
