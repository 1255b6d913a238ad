"""The lesion table that a reader marks in: read, replaced row by row, never behind another's back.

A row is replaced only where the file still holds what the page showed; else it is a conflict, and the
reader decides. What is replaced goes to ``lesions.history.csv`` first, then the table is replaced whole,
so that a crash loses at most the last mark.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from volstrat.case.discovery import CASE_FILE
from volstrat.case.lesion_table import (
    COLUMNS,
    HISTORY,
    Event,
    csv_bytes,
    read_bytes,
    read_events,
    read_lesion_table,
    table_bytes,
    table_cells,
)
from volstrat.errors import CaseError, LesionTableError, MarkConflictError, OutputError, UsageError
from volstrat.store.locking import locked_folder
from volstrat.store.output import write_atomically
from volstrat.terms.marks import NOT_TUMOUR, SITES, Marking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.discovery import CasePlace
    from volstrat.review.reviewed import ReviewOptions
    from volstrat.terms.marks import LesionRow

    FdgWord = Literal["avid", "not_avid"]

_HISTORY_COLUMNS = (*COLUMNS, "table", "replaced_at", "replaced_by")
_LONGEST_NAME, _LONGEST_REASON = 64, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A lesion table as read."""

    rows: Mapping[str, LesionRow]
    sha256: str  # of the file; "" where there is none


def table_path(sources: CaseSources, place: CasePlace, options: ReviewOptions) -> Path:
    """Return the table that is marked in; refuse a workbook, and a study that names none."""
    own = sources.only("lesions")
    if place.names_table and own is not None:
        return _writable(own.path, options)
    if sources.told_by in ("study", "manifest"):
        msg = f"{sources.subject}: no lesion table is named in which to mark."
        table = "reads/{subject}_{visit}.csv" if place.visit else "reads/{subject}.csv"
        hint = f'Write lesions = "{table}" below [layout.inputs], or name a reader of the study.'
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


def table_notice(sources: CaseSources, place: CasePlace, options: ReviewOptions, name: str) -> str:
    """Say what other commands must be told to find the marks; "" where they find them."""
    if options.reader and not place.names_table:
        return f"Marks go to {name}; volstrat case and batch read them with --lesions {options.reader}."
    if not place.names_table and sources.only("lesions") is None and sources.told_by == "case.toml":
        return (
            f"{CASE_FILE} names no lesion table: volstrat case reads these marks with --lesions {name}, "
            f'or once {CASE_FILE} says lesions = "{name}".'
        )
    return ""


def token_of(row: LesionRow | None) -> str:
    """Return what tells one state of a row from another; "" for no row."""
    if row is None:
        return ""
    return hashlib.sha256("\0".join(table_cells(row).values()).encode()).hexdigest()[:24]


def check_reader(name: str) -> str:
    """Return a reader's name that can be part of a file's name."""
    plain = all(c.isalnum() or c in "._-" for c in name)
    if not name or not plain or name[0] == "." or len(name) > _LONGEST_NAME or name.lower() == "history":
        msg = f"The reader {name!r} cannot be part of a file name."
        raise UsageError(msg, hint="Use letters, digits, - and _; 'history' is taken.")
    return name


def utc_now() -> str:
    """Return the time as a table's cell holds it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def clean_text(text: str, *, what: str) -> str:
    """Return a text that a table's cell can hold: one line, no control characters, not too long."""
    cleaned = " ".join(text.split())
    if len(cleaned) > _LONGEST_REASON or not all(c.isprintable() for c in cleaned):
        msg = f"The {what} is longer than {_LONGEST_REASON} characters, or holds some that cannot be printed."
        raise LesionTableError(msg, hint="Shorten it.")
    return cleaned


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """A row to replace, add or (``new`` None) remove."""

    lesion_id: str
    new: LesionRow | None
    seen: str  # `token_of` the row that the reader saw
    force: bool = False  # replace even a row that the reader had not seen


class MarkTable:
    """A reader's lesion table on disk; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: tuple[bytes, TableState] | None = None  # parsed anew where the bytes are others

    def read(self) -> TableState:
        """Read the table as it is now; refuse what cannot be read, or is no lesion table."""
        if not self.path.exists():
            return TableState(rows={}, sha256="")
        data = read_bytes(self.path)
        if self._last is None or self._last[0] != data:
            rows = {row.lesion_id: row for row in read_lesion_table(data, name=self.path.name)}
            self._last = (data, TableState(rows=rows, sha256=hashlib.sha256(data).hexdigest()))
        return self._last[1]

    def replace(
        self,
        changes: Sequence[RowChange],
        *,
        by: str,
        at: str,
        place: Callable[[Mapping[str, LesionRow]], Mapping[str, LesionRow]] = dict,
    ) -> TableState:
        """Replace, add or remove rows, all or none, and keep every other as it is on disk.

        ``by`` and ``at`` (UTC) stand in the history. ``place`` gives rows the ids of ``changes``, where the
        table was written when lesions had others. A row that is not the one that was seen is a
        `MarkConflictError`.
        """
        with locked_folder(self.path.parent):
            rows = dict(place(self.read().rows))
            replaced = []
            for change in changes:
                old = rows.pop(change.lesion_id, None) if change.new is None else rows.get(change.lesion_id)
                if token_of(old) != change.seen and not change.force and not _same_words(old, change.new):
                    raise _conflict(change.lesion_id, old)
                if old is not None:
                    replaced.append(old)
                if change.new is not None:
                    rows[change.lesion_id] = change.new
            replaced_now = {"table": self.path.name, "replaced_at": at, "replaced_by": by}
            self._remember([{**table_cells(old), **replaced_now} for old in replaced])
            data = table_bytes(rows.values())
            write_atomically(self.path, data)
            state = TableState(rows=rows, sha256=hashlib.sha256(data).hexdigest())
            # A row that is gone moves those below it to other lines: they are read anew to say them right.
            self._last = None if any(change.new is None for change in changes) else (data, state)
            return state

    def note(self, event: Event) -> None:
        """Append what happened to the reading as a whole to the history."""
        cells = dict.fromkeys(_HISTORY_COLUMNS, "")
        cells |= {
            "resectability": event.kind,
            "reason": event.text,
            "reader": event.by,
            "recorded_at": event.at,
            "table": self.path.name,
        }
        with locked_folder(self.path.parent):
            self._remember([cells])

    def events(self) -> tuple[Event, ...]:
        """Return what happened to the reading as a whole, the oldest first."""
        return read_events(self.path)

    def stamp(self, *beside: Path) -> tuple[tuple[int, int, int], ...]:
        """Return what tells that a lesion table of the folder, the history or another was written to."""
        found = []
        for path in (self.path, self.path.with_name(HISTORY), *other_tables(self.path), *beside):
            try:
                seen = path.stat()
            except OSError:
                continue
            found.append((seen.st_mtime_ns, seen.st_size, seen.st_ino))
        return tuple(found)

    def _remember(self, cells: Sequence[dict[str, str]]) -> None:
        """Append rows to the history before what they tell of is done."""
        if not cells:
            return
        path = self.path.with_name(HISTORY)
        try:
            with path.open("a+b") as stream:
                size = stream.tell()
                stream.seek(max(size - 1, 0))
                if stream.read(1) not in (b"", b"\n"):  # cut off, or edited: this row has its own line
                    stream.write(b"\n")
                stream.write(csv_bytes(_HISTORY_COLUMNS, cells, header=size == 0))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            msg = f"{path.name}: cannot be written ({error.strerror})."
            raise OutputError(
                msg, hint="Check the case folder's permissions; nothing was changed."
            ) from error


def _same_words(old: LesionRow | None, new: LesionRow | None) -> bool:
    """Tell whether both say the same, so that nobody's mark would be lost."""
    if old is None or new is None:
        return old is new
    said = [(r.word, r.fdg_avidity, r.reason, r.site, r.belongs_to) for r in (old, new)]
    return said[0] == said[1]


def _conflict(lesion_id: str, theirs: LesionRow | None) -> MarkConflictError:
    if theirs is None:
        msg = f"{lesion_id}: its row was removed after this page read it."
    else:
        who = theirs.reader or "Somebody"
        word = theirs.word or "no marking"
        when = f" at {theirs.recorded_at}" if theirs.recorded_at else ""
        msg = f"{who} changed {lesion_id} to {word}{when}, after this page read it."
    return MarkConflictError(msg, hint="Keep that, or save yours over it.")


def other_tables(own: Path) -> tuple[Path, ...]:
    """Return the lesion tables beside one's own: ``lesions.csv`` and ``lesions.READER.csv``."""
    found = []
    for path in sorted(own.parent.glob("*.csv")):
        name = path.name.lower()
        if (
            path != own
            and name != HISTORY
            and (name == "lesions.csv" or (name.startswith("lesions.") and name.count(".") >= 2))
        ):
            found.append(path)
    return tuple(found)


_WORDS: dict[str, Marking | None] = {**{marking.word: marking for marking in Marking}, NOT_TUMOUR: None}
_AVIDITY: dict[str, FdgWord] = {"avid": "avid", "not_avid": "not_avid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark as the page sends it."""

    lesion_id: str
    # `ReviewSession.reading` that the page showed: another one may have other lesions by the same names.
    reading: int
    # resectability, fdg_avidity: words of a lesion table; both and ``reason`` empty: the row is removed
    resectability: str = ""
    fdg_avidity: str = ""
    reason: str = ""
    reader: str = ""
    # site, belongs_to: as the table's columns; None keeps what the row says
    site: str | None = None
    belongs_to: str | None = None
    seen: str = ""  # `token_of` the row that the page showed
    force: bool = False  # replace a row that the page had not shown


def row_of(
    mark: Mark, *, listed: Mapping[str, LesionRow], reader: str, at: str, table: str
) -> LesionRow | None:
    """Make the row of a mark, made ``at`` a time (UTC); None where it is to be removed.

    ``listed`` is what `lesion_list` says: point, segment and volume, and what the table holds now; ``table``
    is its file's name, for messages. What a table cannot hold is a LesionTableError.
    """
    for word, known_words, what in (
        (mark.resectability, _WORDS, "marking"),
        (mark.fdg_avidity, _AVIDITY, "avidity"),
        (mark.site, SITES, "site"),
    ):
        if word and word not in known_words:
            msg = f"{word!r} is no {what}."
            raise LesionTableError(msg)
    reason = clean_text(mark.reason, what="reason")
    known = listed.get(mark.lesion_id)
    site = (known.site if known else "") if mark.site is None else mark.site
    owner = (known.belongs_to if known else "") if mark.belongs_to is None else mark.belongs_to
    if not (mark.resectability or mark.fdg_avidity or reason or site or owner):
        return None
    if known is None:
        msg = f"There is no lesion {mark.lesion_id!r} in this case."
        raise LesionTableError(msg)
    return replace(
        known,
        resectability=_WORDS.get(mark.resectability),
        not_tumour=mark.resectability == NOT_TUMOUR,
        fdg_avidity=_AVIDITY.get(mark.fdg_avidity),
        site=site,
        belongs_to=owner,
        reader=reader,
        reason=reason,
        recorded_at=at,
        where=f"{table}, {mark.lesion_id}",
    )
