"""Tables as CSV and Parquet at once, row by row, and ``columns.csv``, which says what every column is.

SAS takes names of at most 32 letters, digits and underscores that begin with a letter or underscore, whatever
their case, and labels of at most 256 characters; REDCap takes the same in lower case, without a double
underscore or one at the end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

    from volstrat.store.output import StagedFiles

TABLE_LIBRARIES = ("pyarrow",)
"""What the bytes of a Parquet file depend on beside its rows."""

_ROWS_AT_ONCE = 2000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS_FILE = "columns.csv"
LONGEST_NAME, LONGEST_LABEL = 32, 256

_HEADER = ("table", "column", "name", "label", "type", "unit")
_SHORT = {
    "predicates": "pred", "probability": "prob", "robustness": "rob", "resectable": "resec",
    "threshold": "thresh", "boundary": "bound", "stratum": "strat", "disease": "dis", "fraction": "frac",
    "adjudication": "adj",
}  # fmt: skip
"""What is shortened in a name that would be too long."""
_ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_ESCAPED_DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks that turn the order in which text is shown: behind one, another name is read than is written."""
_PLAIN_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"


def guarded(text: str) -> str:
    """Return the text of a cell such that no spreadsheet takes it for a formula.

    A text that begins with ``= + - @``, a tab or a carriage return and is no plain number gets a leading
    apostrophe (OWASP, "CSV injection").

    >>> guarded("=1+1"), guarded("-3.5"), guarded("S1")
    ("'=1+1", '-3.5', 'S1')
    """
    return f"'{text}" if text.startswith(_FORMULA) and not re.fullmatch(_PLAIN_NUMBER, text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` wrote into a cell.

    >>> unguarded("'=1+1"), unguarded("'s-Hertogenbosch")
    ('=1+1', "'s-Hertogenbosch")
    """
    return cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell


def one_line(text: str) -> str:
    r"""Return text for one table cell: line breaks, control characters and marks of direction become escapes.

    >>> one_line("a\nb")
    'a\\nb'
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c) in _ESCAPED_CATEGORIES or c in _ESCAPED_DIRECTIONS
        else c
        for c in text
    )


def csv_cell(value: str | bool | float | None) -> str:
    """Return a cell as text: empty for null, true and false, floats so that they read back the same.

    A text that a spreadsheet would take for a formula is guarded.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(one_line(value)) if isinstance(value, str) else repr(value)


@frozen
class TableColumn:
    """A column's name, Arrow type and metadata: its unit and what it says."""

    name: str
    kind: str
    unit: str
    description: str


def short_name(column: str) -> str:
    """Return a name that SAS and REDCap take; it follows from the column's own name alone.

    A name that stays too long is cut and ends in a hash of the whole.

    >>> short_name("volumes.total_tumour_ml"), short_name("predicates.stratum_1.part_voxels_upper")
    ('volumes_total_tumour_ml', 'pred_strat_1_part_voxels_upper')
    """
    words = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_").split("_")
    if not words[0][:1].isalpha():
        words.insert(0, "c")
    name = "_".join(words)
    if len(name) > LONGEST_NAME:
        name = "_".join(_SHORT.get(word, word) for word in words)
    if len(name) > LONGEST_NAME:
        mark = hashlib.sha256(column.encode()).hexdigest()[:6]
        name = f"{name[: LONGEST_NAME - 7].rstrip('_')}_{mark}"
    return name


def columns_bytes(tables: Mapping[str, Sequence[TableColumn]]) -> bytes:
    """Return ``columns.csv`` of tables: a row a column."""
    rows = (
        (table, c.name, short_name(c.name), c.description[:LONGEST_LABEL], c.kind, c.unit)
        for table, columns in tables.items()
        for c in columns
    )
    return csv_text([_HEADER, *([guarded(cell) for cell in row] for row in rows)])


def csv_text(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV: UTF-8, comma, line feed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def arrow_table(columns: Sequence[TableColumn], rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Return rows as an Arrow table, as the Parquet file of the same columns reads back."""
    return _table(_schema(columns), list(rows))


def _schema(columns: Sequence[TableColumn]) -> pa.Schema:
    import pyarrow as pa

    types = {"text": pa.string(), "boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64()}
    said = [{"unit": column.unit, "description": column.description} for column in columns]
    return pa.schema(
        [
            pa.field(c.name, types[c.kind], metadata={key: text for key, text in about.items() if text})
            for c, about in zip(columns, said, strict=True)
        ]
    )


def _table(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


class TableWriter:
    """Writes rows as CSV (UTF-8, comma, line feed) and Parquet; the same rows give the same bytes.

    A context manager: the tables are whole when its block ends well, or when they are closed. ``name`` is
    that of the two files, without ending.
    """

    def __init__(self, files: StagedFiles, name: str, columns: Sequence[TableColumn]) -> None:
        from pyarrow import parquet

        self._csv_stream = files.open(f"{name}.csv")
        self._schema = _schema(columns)
        stream = files.open(f"{name}.parquet")
        self._parquet = parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[Sequence[Any]] = []
        self._csv_stream.write(csv_text([self._schema.names]))

    def write(self, row: Sequence[Any]) -> None:
        """Add a row; values are of the columns' types or None."""
        self._rows.append(row)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._flush()

    def write_named(self, row: Mapping[str, Any]) -> None:
        """Add a row by the columns' names; those that it does not name stay empty."""
        self.write([row.get(name) for name in self._schema.names])

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._parquet.close()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left."""
        if error is None:
            self.close()
        else:
            with suppress(Exception):  # what went wrong first is what is told
                self._parquet.close()

    def _flush(self) -> None:
        if self._rows:
            self._csv_stream.write(csv_text([[csv_cell(value) for value in row] for row in self._rows]))
            self._parquet.write_table(_table(self._schema, self._rows))
            self._rows = []
