"""Lesion tables in, `LesionRow` out."""

from __future__ import annotations

import csv
import io
import math
import stat
from typing import TYPE_CHECKING

from volstrat.case.table_file import check_header, read_table
from volstrat.errors import InputFileError, LesionTableError
from volstrat.store.tables import guarded
from volstrat.terms.marks import NOT_TUMOUR, SITES, LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

HISTORY = "lesions.history.csv"
"""What stood in the tables beside it before, by whom and when it was replaced."""

COLUMNS = (
    "lesion_id",
    "resectability",
    "fdg_avidity",
    "x_mm",
    "y_mm",
    "z_mm",
    "segment",
    "volume_ml",
    "site",
    "belongs_to",
    "reader",
    "reason",
    "recorded_at",
)
"""Columns of a lesion table; the first two are required."""

_LARGEST_BYTES = 1 << 23
_POINT = ("x_mm", "y_mm", "z_mm")


def read_lesion_table(data: bytes, *, name: str) -> tuple[LesionRow, ...]:
    """Parse a lesion table.

    Parameters
    ----------
    data : bytes
        CSV or an Excel workbook as people save them (`read_table`); see docs/record.md.
    name : str
        The file's name, for messages.

    Raises
    ------
    LesionTableError
        For a missing or unknown column, a word that is none of the contract's, half a point, a row
        of another length, or a second row of one lesion.
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

    Raises
    ------
    LesionTableError
        As `read_lesion_table`.
    """
    if not cells["lesion_id"]:
        msg = f"{where}: the lesion_id is empty."
        raise LesionTableError(msg, hint="Name the lesion (L1, P1, ...), or remove the row.")
    words: dict[str, Marking | None] = {marking.word: marking for marking in Marking}
    words[NOT_TUMOUR] = None
    resectability = cells["resectability"]
    if resectability and resectability not in words:
        msg = f"{where}: resectability is {resectability!r}; it must be {', '.join(sorted(words))} or empty."
        raise LesionTableError(msg, hint=_case_hint(resectability, words))
    avidity: Literal["avid", "not_avid"] | None = None
    avidity_word = cells.get("fdg_avidity", "")
    if avidity_word == "avid":
        avidity = "avid"
    elif avidity_word == "not_avid":
        avidity = "not_avid"
    elif avidity_word:
        msg = f"{where}: fdg_avidity is {avidity_word!r}; it must be avid, not_avid or empty."
        raise LesionTableError(msg, hint=_case_hint(avidity_word, ("avid", "not_avid")))
    return LesionRow(
        lesion_id=cells["lesion_id"],
        resectability=words[resectability] if resectability else None,
        not_tumour=resectability == NOT_TUMOUR,
        fdg_avidity=avidity,
        segment=cells.get("segment", ""),
        site=_site(cells, where),
        belongs_to=cells.get("belongs_to", ""),
        volume_ml=_volume(cells, where),
        point_mm=_point(cells, where),
        reader=cells.get("reader", ""),
        reason=cells.get("reason", ""),
        recorded_at=cells.get("recorded_at", ""),
        where=where,
    )


def _case_hint(word: str, words: Mapping[str, object] | Sequence[str]) -> str:
    if word.lower() in words:
        return "Words are in lower case."
    return "Write one of these words, or leave the cell empty."


def _site(cells: Mapping[str, str], where: str) -> str:
    site = cells.get("site", "")
    if site and site not in SITES:
        msg = f"{where}: site is {site!r}; it must be {', '.join(SITES)} or empty."
        raise LesionTableError(msg, hint=_case_hint(site, SITES))
    return site


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
    return {
        "lesion_id": row.lesion_id,
        "resectability": row.word,
        "fdg_avidity": row.fdg_avidity or "",
        "x_mm": point[0],
        "y_mm": point[1],
        "z_mm": point[2],
        "segment": row.segment,
        "volume_ml": "" if row.volume_ml is None else f"{row.volume_ml:.6g}",
        "site": row.site,
        "belongs_to": row.belongs_to,
        "reader": row.reader,
        "reason": row.reason,
        "recorded_at": row.recorded_at,
    }


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

    Raises
    ------
    InputFileError
        If it is absent, no regular file, larger than any table or settings file, or unreadable.
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
        msg = (
            f"{path.name}: has {status.st_size} bytes; a table or settings file has at most {_LARGEST_BYTES}."
        )
    elif stat.S_ISDIR(status.st_mode):
        msg = f"{path.name}: is a directory where a file is expected."
    else:
        msg = f"{path.name}: is not a regular file."
    raise InputFileError(msg, hint="Check that this is the file that is meant.")


def history_beside(table: Path) -> Path | None:
    """Return the history of a lesion table; None where there is none."""
    path = table.with_name(HISTORY)
    return path if path.is_file() else None
