"""Tables as people save them, into rows of text: CSV with commas, semicolons or tabs, UTF-16, workbooks.

Spreadsheets write "CSV" in many ways: a European one separates by semicolons because its decimals have
commas, puts ``sep=;`` on a first line, a byte order mark in front, and empty cells behind the last column.
What a table means does not hang on that. openpyxl reads workbooks.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Literal

from volstrat.errors import LesionTableError
from volstrat.frozen import frozen
from volstrat.store.tables import unguarded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from volstrat.errors import VolstratError

TABLE_ENDINGS = (".csv", ".xlsx")

_SEPARATORS = (",", ";", "\t")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LARGEST_SHEET_BYTES = 1 << 24
_MOST_COLUMNS = 200


@frozen
class TableRows:
    """A table's header and rows as text."""

    header: tuple[str, ...]  # column names, outer blanks and empty columns at the end left out
    # the line (of a sheet: the row) that each stands on, counted from 1, and its cells, one a column; blank
    # rows are left out
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    separator: str  # "" for a workbook

    def decimal(self, text: str) -> str:
        """Return a number's text with a decimal point: where semicolons separate, a comma may be one."""
        return text.replace(",", ".") if self.separator == ";" and text.count(",") == 1 else text


def table_format(name: str) -> Literal["csv", "xlsx"]:
    """Return what a table's name says it is."""
    return "xlsx" if name.lower().endswith(".xlsx") else "csv"


def read_table(data: bytes, *, name: str, error: type[VolstratError] = LesionTableError) -> TableRows:
    """Read the bytes of a table, whatever program saved it; the ending of ``name`` tells a workbook.

    Raises ``error`` if the bytes are no text and no workbook, or a row is longer or shorter than the header.
    """
    if table_format(name) == "xlsx":
        return _aligned(_sheet_rows(data, name, error), name, separator="", error=error)
    form = table_form(data, name=name, error=error)
    text = _text(data, form.encoding, name, error)
    for _ in range(form.skipped):
        text = text.partition("\n")[2]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.separator, strict=True)
    try:
        rows = [(reader.line_num + form.skipped, cells) for cells in reader]
    except csv.Error as problem:
        msg = f"{name}: is not a readable CSV ({problem})."
        raise error(msg, hint="Save it as CSV UTF-8, cells with quotes in them quoted.") from problem
    return _aligned(rows, name, separator=form.separator, error=error)


@frozen
class TableForm:
    """How a program wrote a table: its text encoding, what separates cells, and lines before the header."""

    encoding: str
    separator: str
    skipped: int


def table_form(data: bytes, *, name: str, error: type[VolstratError] = LesionTableError) -> TableForm:
    """Tell how a table is written by its first bytes, which hold at least the header line."""
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    text = data.decode(encoding, errors="replace")
    first = text.partition("\n")[0]
    stated = first.strip().strip('"')
    if stated.lower().startswith("sep="):
        separator = first.rstrip("\r\n").strip('"')[4:] or "\t"
        if separator not in _SEPARATORS:
            msg = f"{name}: its first line says sep={separator!r}; comma, semicolon or tab were expected."
            raise error(msg, hint="Save the table as CSV UTF-8.")
        return TableForm(encoding=encoding, separator=separator, skipped=1)
    header = next((line for line in text.splitlines() if line.strip()), "")
    unquoted = "".join(header.split('"')[::2])
    found = [one for one in _SEPARATORS if one in unquoted]
    if len(found) > 1:
        shown = " and ".join({",": "commas", ";": "semicolons", "\t": "tabs"}[one] for one in found)
        msg = f"{name}: its header has {shown}; which of them separates the columns cannot be told."
        raise error(msg, hint="Save the table as CSV UTF-8, separated by commas.")
    return TableForm(encoding=encoding, separator=found[0] if found else ",", skipped=0)


def _text(data: bytes, encoding: str, name: str, error: type[VolstratError]) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as problem:
        called = "UTF-16" if encoding == "utf-16" else "UTF-8"
        msg = f"{name}: byte {problem.start} is not {called} text."
        raise error(msg, hint="Save the table as CSV UTF-8.") from problem
    if "\0" in text:
        msg = f"{name}: holds NUL characters; it is no table."
        raise error(msg, hint="Save the table as CSV UTF-8.")
    return text


def _aligned(
    rows: Iterable[tuple[int, list[str]]], name: str, *, separator: str, error: type[VolstratError]
) -> TableRows:
    """Take the first row that is not blank as header and hold every other one to its length."""
    stripped = [(line, [unguarded(cell.strip()) for cell in cells]) for line, cells in rows]
    filled = [(line, cells) for line, cells in stripped if any(cells)]
    if not filled:
        msg = f"{name}: is empty; a table has at least a header line."
        raise error(msg, hint="Write the column names on the first line.")
    header = without_empty_end(filled[0][1])
    if "" in header:
        msg = f"{name}: column {header.index('') + 1} has no name, and a named one follows it."
        raise error(msg, hint="Name the column, or remove it.")
    aligned = []
    for line, cells in filled[1:]:
        kept = without_empty_end(cells, at_least=len(header))
        if len(header) == 1 < len(kept):
            msg = (
                f"{name}: its first line says {header[0][:40]!r} alone, where the column names were expected."
            )
            raise error(msg, hint="Take out what stands above the column names.")
        if len(kept) != len(header):
            msg = f"{name}, line {line}: has {len(kept)} cells, the header {len(header)}."
            raise error(msg, hint="Put cells that contain the separator in double quotes.")
        aligned.append((line, tuple(kept)))
    return TableRows(header=tuple(header), rows=tuple(aligned), separator=separator)


def check_header(
    header: Sequence[str],
    *,
    name: str,
    required: Collection[str],
    known: Collection[str],
    hint: str,
    error: type[VolstratError] = LesionTableError,
) -> None:
    """Refuse a header that lacks a column, has an unknown one (both with ``hint``), or has one twice."""
    missing = [column for column in required if column not in header]
    if missing:
        shown = ", ".join(header) or "nothing"
        msg = f"{name}: the header has no column {' and no '.join(missing)} (it has: {shown})."
        raise error(msg, hint=hint)
    unknown = [column for column in header if column not in known]
    if unknown:
        msg = f"{name}: unknown column {', '.join(map(repr, unknown))}."
        raise error(msg, hint=hint)
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        msg = f"{name}: the column {', '.join(twice)} comes twice."
        raise error(msg, hint="Keep one of them.")


def without_empty_end(cells: list[str], *, at_least: int = 0) -> list[str]:
    """Return cells without the empty ones at the end, as spreadsheets leave them behind the last column."""
    end = len(cells)
    while end > at_least and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _sheet_rows(data: bytes, name: str, error: type[VolstratError]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a workbook's one sheet that holds anything; one that unpacks to too much is none."""
    import zipfile

    import openpyxl

    sheets: list[dict[str, list[list[str]]]] = []  # results of formulas, and what was typed
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(item.file_size for item in packed.infolist())
        for is_result in (True, False) if size <= _LARGEST_SHEET_BYTES else ():
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=is_result)
            rows_of = {sheet.title: sheet.iter_rows(max_col=_MOST_COLUMNS) for sheet in book.worksheets}
            sheets.append({title: [_cells(row) for row in rows] for title, rows in rows_of.items()})
    except Exception as problem:  # openpyxl, zipfile and zlib raise whatever a damaged file leads them to
        msg = f"{name}: is no readable Excel workbook."
        raise error(msg, hint="Save it again as .xlsx, or as CSV UTF-8.") from problem
    if not sheets:
        msg = f"{name}: unpacks to {size} bytes; a table has at most {_LARGEST_SHEET_BYTES}."
        raise error(msg, hint="Keep the table alone in the workbook.")
    results, as_typed = sheets
    filled = {title: rows for title, rows in results.items() if any(any(row) for row in rows)}
    if len(filled) > 1:
        msg = f"{name}: {len(filled)} sheets hold something: {', '.join(filled)}."
        raise error(msg, hint="Keep the sheet that holds the table, in a workbook of its own.")
    for title, rows in as_typed.items():
        _refuse_unworked(results[title], rows, name, error)
    for rows in filled.values():
        yield from enumerate(rows, 1)


def _refuse_unworked(
    results: list[list[str]], as_typed: list[list[str]], name: str, error: type[VolstratError]
) -> None:
    """Refuse a formula whose result no program has stored: read as an empty cell, it would say nothing."""
    for line, (shown, typed) in enumerate(zip(results, as_typed, strict=True), 1):
        for result, formula in zip(shown, typed, strict=True):
            if formula and not result:
                msg = f"{name}, line {line}: the formula {formula[:40]!r} has no stored result."
                raise error(msg, hint="Open and save it in a spreadsheet program, or write the word itself.")


def _cells(row: Iterable[object]) -> list[str]:
    """Return a sheet row's cells as text: what its program shows, a whole number without a decimal point."""
    values = [getattr(cell, "value", cell) for cell in row]
    return ["" if value is None else str(value).removesuffix(".0") for value in values]
