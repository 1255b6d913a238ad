"""Lesion tables in, `LesionRow` out; and the history beside them."""

from __future__ import annotations

import csv
import io
import math
import stat
from typing import TYPE_CHECKING, cast

from volstrat.case.table_file import check_header, read_table
from volstrat.errors import InputFileError, LesionTableError
from volstrat.frozen import frozen
from volstrat.store.tables import guarded
from volstrat.terms.marks import NOT_TUMOUR, SITES, LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

HISTORY = "lesions.history.csv"
"""What stood in the tables beside it before, by whom and when it was replaced."""

COLUMNS = (
    *("lesion_id", "resectability", "fdg_avidity", "x_mm", "y_mm", "z_mm", "segment", "volume_ml"),
    *("site", "belongs_to", "reader", "reason", "recorded_at"),
)
"""Columns of a lesion table; the first two are required."""

_LARGEST_BYTES = 1 << 23
_POINT = ("x_mm", "y_mm", "z_mm")


def read_lesion_table(data: bytes, *, name: str) -> tuple[LesionRow, ...]:
    """Parse a lesion table: CSV or an Excel workbook as people save them (`read_table`); see docs/record.md.

    Raises LesionTableError for a missing or unknown column, a word that is none of the contract's, half a
    point, a row of another length, or a second row of one lesion.
    """
    table = read_table(data, name=name)
    hint = f"The columns are {', '.join(COLUMNS)}; the first two are required."
    check_header(table.header, name=name, required=COLUMNS[:2], known=COLUMNS, hint=hint)
    rows: dict[str, LesionRow] = {}
    for line, values in table.rows:
        where = f"{name}, line {line}"
        cells = dict(zip(table.header, values, strict=True))
        numbers = {c: table.decimal(cells.get(c, "")) for c in (*_POINT, "volume_ml")}
        row = row_of_cells({**cells, **numbers}, where)
        if row.lesion_id in rows:
            msg = f"{where}: {row.lesion_id} has a second row (the first: {rows[row.lesion_id].where})."
            raise LesionTableError(msg, hint="Keep one row a lesion.")
        rows[row.lesion_id] = row
    return tuple(rows.values())


def row_of_cells(cells: Mapping[str, str], where: str) -> LesionRow:
    """Return the row that texts by column say; the first two columns must be there.

    Raises LesionTableError as `read_lesion_table`.
    """
    if not cells["lesion_id"]:
        msg = f"{where}: the lesion_id is empty."
        raise LesionTableError(msg, hint="Name the lesion (L1, P1, ...), or remove the row.")
    markings: dict[str, Marking] = {marking.word: marking for marking in Marking}
    word = _word(cells, "resectability", sorted([*markings, NOT_TUMOUR]), where)
    avidity = _word(cells, "fdg_avidity", ("avid", "not_avid"), where)
    return LesionRow(
        lesion_id=cells["lesion_id"],
        resectability=markings.get(word),
        not_tumour=word == NOT_TUMOUR,
        fdg_avidity=cast("Literal['avid', 'not_avid'] | None", avidity or None),
        segment=cells.get("segment", ""),
        site=_word(cells, "site", SITES, where),
        belongs_to=cells.get("belongs_to", ""),
        volume_ml=_volume(cells, where),
        point_mm=_point(cells, where),
        reader=cells.get("reader", ""),
        reason=cells.get("reason", ""),
        recorded_at=cells.get("recorded_at", ""),
        where=where,
    )


def _word(cells: Mapping[str, str], column: str, words: Sequence[str], where: str) -> str:
    """Return a cell that holds one of some words, or nothing."""
    word = cells.get(column, "")
    if word and word not in words:
        msg = f"{where}: {column} is {word!r}; it must be {', '.join(words)} or empty."
        other = "Write one of these words, or leave the cell empty."
        raise LesionTableError(msg, hint="Words are in lower case." if word.lower() in words else other)
    return word


def _volume(cells: Mapping[str, str], where: str) -> float | None:
    text = cells.get("volume_ml", "")
    if not text:
        return None
    try:
        volume = float(text)
    except ValueError:
        volume = math.nan
    if not (math.isfinite(volume) and volume >= 0):
        msg = f"{where}: volume_ml is {text!r}; a number of millilitres was expected."
        raise LesionTableError(msg, hint="Correct it, or leave the cell empty: nothing depends on it.")
    return volume


def _point(cells: Mapping[str, str], where: str) -> tuple[float, float, float] | None:
    texts = [cells.get(column, "") for column in _POINT]
    if not any(texts):
        return None
    try:
        x, y, z = (float(value) for value in texts)
    except ValueError as error:
        msg = f"{where}: x_mm, y_mm, z_mm are {', '.join(map(repr, texts))}; three numbers were expected."
        raise LesionTableError(msg, hint="Write all three (mm to the left, back, head), or none.") from error
    if not all(map(math.isfinite, (x, y, z))):
        msg = f"{where}: x_mm, y_mm, z_mm must be finite numbers."
        raise LesionTableError(msg, hint="Write all three (mm to the left, back, head), or none.")
    return x, y, z


def table_cells(row: LesionRow) -> dict[str, str]:
    """Return a row as texts, by column."""
    point = ("", "", "") if row.point_mm is None else tuple(f"{x:.12g}" for x in row.point_mm)
    cells = {column: str(getattr(row, column, None) or "") for column in COLUMNS}
    cells |= dict(zip(_POINT, point, strict=True)) | {"resectability": row.word}
    return cells | {"volume_ml": "" if row.volume_ml is None else f"{row.volume_ml:.6g}"}


def table_bytes(rows: Iterable[LesionRow]) -> bytes:
    """Return rows as the bytes of a lesion table."""
    return csv_bytes(COLUMNS, [table_cells(row) for row in rows])


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, str]], *, header: bool = True) -> bytes:
    """Return rows of texts as CSV in UTF-8, formulas guarded."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows({column: guarded(cell) for column, cell in row.items()} for row in rows)
    return text.getvalue().encode()


def read_bytes(path: Path) -> bytes:
    """Read a small file whole.

    Raises InputFileError if it is absent, no regular file, larger than any table or settings file, or
    unreadable.
    """
    try:
        status = path.stat()  # first, because opening a pipe waits for somebody to write into it
        regular = stat.S_ISREG(status.st_mode)
        data = path.read_bytes() if regular and status.st_size <= _LARGEST_BYTES else None
    except FileNotFoundError as error:
        msg = f"{path.name}: no such file."
        raise InputFileError(msg, hint="Check the name and the folder.") from error
    except OSError as error:
        msg = f"{path.name}: cannot be read ({error.strerror})."
        raise InputFileError(msg, hint="Check the file's permissions and the disk.") from error
    if data is not None:
        return data
    if regular:
        what = f"has {status.st_size} bytes; a table or settings file has at most {_LARGEST_BYTES}."
    elif stat.S_ISDIR(status.st_mode):
        what = "is a directory where a file is expected."
    else:
        what = "is not a regular file."
    msg = f"{path.name}: {what}"
    raise InputFileError(msg, hint="Check that this is the file that is meant.")


def history_beside(table: Path) -> Path | None:
    """Return the history of a lesion table; None where there is none."""
    path = table.with_name(HISTORY)
    return path if path.is_file() else None


@frozen
class Event:
    """Something that was done to a reading as a whole: a row without a lesion in ``lesions.history.csv``.

    The page writes them: a reading is called complete or opened again, a note on the case, a view kept for
    the report. They decide nothing.
    """

    kind: str  # "complete", "reopened", "note" or "key_image"
    text: str  # the marks' hash, the reason, the note, or the view as JSON
    by: str
    at: str  # UTC


def read_events(table: Path) -> tuple[Event, ...]:
    """Return what happened to the reading of a lesion table, the oldest first; none where none is kept."""
    path = history_beside(table)
    try:  # what is no UTF-8, a name perhaps, takes no other entry along
        text = "" if path is None else path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(
        Event(kind=row["resectability"], text=row["reason"], by=row["reader"], at=row["recorded_at"])
        for row in csv.DictReader(io.StringIO(text, newline=""))
        if row.get("table") == table.name and not row.get("lesion_id")
    )
