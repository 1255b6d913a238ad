"""Lesion tables in, `LesionRow` out."""

from __future__ import annotations

import math
import stat
from typing import TYPE_CHECKING

from volstrat.case.table_file import read_table
from volstrat.errors import InputFileError, LesionTableError
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Literal

COLUMNS = (
    "lesion_id",
    "resectability",
    "fdg_avidity",
    "x_mm",
    "y_mm",
    "z_mm",
    "reader",
    "reason",
    "recorded_at",
)
"""Columns of a lesion table; the first two are required."""

_LARGEST_BYTES = 1 << 26
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
    _check_header(list(table.header), name)
    rows: dict[str, LesionRow] = {}
    for line, values in table.rows:
        where = f"{name}, line {line}"
        cells = dict(zip(table.header, values, strict=True))
        row = _row({**cells, **{c: table.decimal(cells.get(c, "")) for c in _POINT}}, where)
        if row.lesion_id in rows:
            msg = f"{where}: {row.lesion_id} has a second row (the first: {rows[row.lesion_id].where})."
            raise LesionTableError(msg, hint="Keep one row a lesion.")
        rows[row.lesion_id] = row
    return tuple(rows.values())


def _check_header(header: list[str], name: str) -> None:
    missing = [column for column in COLUMNS[:2] if column not in header]
    if missing:
        hint = f"The columns are {', '.join(COLUMNS)}; the first two are required."
        msg = f"{name}: the header has no column {' and no '.join(missing)} (it has: {', '.join(header)})."
        raise LesionTableError(msg, hint=hint)
    unknown = [column for column in header if column not in COLUMNS]
    if unknown:
        msg = f"{name}: unknown column {', '.join(map(repr, unknown))}."
        raise LesionTableError(msg, hint=f"The columns are {', '.join(COLUMNS)}.")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        msg = f"{name}: the column {', '.join(twice)} comes twice."
        raise LesionTableError(msg, hint="Keep one of them.")


def _row(cells: Mapping[str, str], where: str) -> LesionRow:
    if not cells["lesion_id"]:
        msg = f"{where}: the lesion_id is empty."
        raise LesionTableError(msg, hint="Name the lesion (L1, P1, ...), or remove the row.")
    words: dict[str, Marking] = {marking.word: marking for marking in Marking}
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
        fdg_avidity=avidity,
        point_mm=_point(cells, where),
        reader=cells.get("reader", ""),
        reason=cells.get("reason", ""),
        recorded_at=cells.get("recorded_at", ""),
        where=where,
    )


def _case_hint(word: str, words: Mapping[str, object] | tuple[str, ...]) -> str:
    if word.lower() in words:
        return "Words are in lower case."
    return "Write one of these words, or leave the cell empty."


def _point(cells: Mapping[str, str], where: str) -> tuple[float, float, float] | None:
    texts = [cells.get(column, "") for column in _POINT]
    if not any(texts):
        return None
    try:
        x, y, z = (float(value) for value in texts)
    except ValueError as error:
        msg = f"{where}: x_mm, y_mm, z_mm are {', '.join(map(repr, texts))}; three numbers were expected."
        raise LesionTableError(msg, hint="Write all three in mm (LPS), or none.") from error
    if not all(map(math.isfinite, (x, y, z))):
        msg = f"{where}: x_mm, y_mm, z_mm must be finite numbers."
        raise LesionTableError(msg, hint="Write all three in mm (LPS), or none.")
    return x, y, z


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
