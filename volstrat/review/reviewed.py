"""One state of a review, and what of the case's folder stands in it, or has changed since."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from volstrat.case.discovery import CASE_FILE
from volstrat.case.fingerprint import files_of
from volstrat.case.lesion_table import read_bytes
from volstrat.case.reviews import read_reviews, reviews_path
from volstrat.errors import LesionTableError, ReviewTableError, UsageError, VolstratError
from volstrat.review.mark_table import MarkTable, TableState, check_reader, other_tables
from volstrat.rule.measure import remark_case
from volstrat.rule.row_placing import renamed_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from volstrat.case.assess import CaseResult
    from volstrat.case.case_file import CaseSources
    from volstrat.case.record_types import CaseRecord, FlipRecord
    from volstrat.terms.findings import Closing
    from volstrat.terms.marks import LesionRow


_MARKED_IN = ("lesions", "reviews")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions:
    """How a case is reviewed."""

    reader: str = ""  # whose table is marked (``lesions.READER.csv``); "" for the case's own
    read_only: bool = False
    blind: bool = False  # other readers' marks are neither read nor shown

    def __post_init__(self) -> None:
        if self.reader:
            check_reader(self.reader)
        elif self.blind:
            msg = "A blind review needs a reader."
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reviewed:
    """One state of a review; a new one is made on each mark, so that pictures and table fit together."""

    version: int  # rises with every change
    bare: CaseResult  # the case without any lesion table
    result: CaseResult | None  # with the reader's rows; None where the table does not fit the case
    table: TableState
    problem: str = ""  # why the table does not fit, or cannot be read
    misfits: Mapping[str, str] = field(default_factory=dict)  # rows that do not fit the case, with the reason
    others: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)  # other readers' marks
    # Single changes that give another stratum, as the record lists them; None while they are looked for.
    flips: Sequence[FlipRecord] | None = None
    # The table's, by the id that lesion or region has now; as they stand where they do not fit.
    rows: Mapping[str, LesionRow] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.table.rows if self.result is None else renamed_rows(self.result.as_read)
        object.__setattr__(self, "rows", rows)

    @property
    def record(self) -> CaseRecord:
        """The record as far as it is known."""
        record = (self.result or self.bare).record
        robustness = record["robustness"]
        if self.flips is None or robustness is None:
            return record
        return {**record, "robustness": {**robustness, "flips": list(self.flips)}}


def misfits(bare: CaseResult, table: TableState) -> dict[str, str]:
    """Find the rows that do not fit the case, one by one."""
    found = {}
    for lesion_id, row in table.rows.items():
        try:
            remark_case(bare.as_read, {lesion_id: row})
        except LesionTableError as error:
            found[lesion_id] = str(error)
    return found


def marks_of_others(table: Path) -> dict[str, tuple[tuple[str, str], ...]]:
    """Read what other readers marked in tables beside one's own: by lesion, reader and word."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for path in other_tables(table):
        try:
            rows = MarkTable(path).read().rows
        except VolstratError:
            continue
        named = path.name[len("lesions.") : -len(".csv")] if path.name.count(".") > 1 else path.name
        for lesion_id, row in rows.items():
            if row.word:
                found[lesion_id] = (*found.get(lesion_id, ()), (row.reader or named, row.word))
    return found


def reviews_beside(sources: CaseSources) -> tuple[Path, ...]:
    """Return where a case's reviews are closed; nowhere where no table is the case's own."""
    try:
        return (reviews_path(sources),)
    except ReviewTableError:
        return ()


def closings_in(tables: Sequence[Path]) -> tuple[Closing, ...]:
    """Read which reviews are closed; a table need not exist yet."""
    there = (path for path in tables if path.exists())
    return tuple(row for path in there for row in read_reviews(read_bytes(path), name=path.name))


def placing(reviewed: Reviewed) -> Callable[[Mapping[str, LesionRow]], Mapping[str, LesionRow]]:
    """Return what gives a table's rows the ids that their lesions have now."""

    def placed(rows: Mapping[str, LesionRow]) -> Mapping[str, LesionRow]:
        if rows is reviewed.table.rows:
            return reviewed.rows
        try:
            return renamed_rows(remark_case(reviewed.bare.as_read, rows))
        except LesionTableError:  # one of them has no place: all stand as they are
            return rows

    return placed


class InputWatch:
    """Remembers a case's input files as the file system sees them, but for tables that are marked in."""

    def __init__(self, sources: CaseSources) -> None:
        self._sources = sources
        self._before = self._seen()

    def changed(self) -> str:
        """Return the name of a file that was changed, added or removed; "" where there is none."""
        before, now = self._before, self._seen()
        others = (path.name for path in sorted({*before, *now}) if before.get(path) != now.get(path))
        return next(others, "")

    def _seen(self) -> dict[Path, tuple[int, int, int]]:
        """Return size, time of change and inode of each file."""
        inputs = [
            one for role, some in self._sources.entries.items() if role not in _MARKED_IN for one in some
        ]
        paths = [path for entry in inputs for path in files_of(entry)]
        if self._sources.told_by == "case.toml":
            paths.append(self._sources.folder / CASE_FILE)
        found = {}
        for path in paths:
            with suppress(OSError):
                seen = path.stat()
                found[path] = (seen.st_size, seen.st_mtime_ns, seen.st_ino)
        return found
