"""A table as CSV and Parquet at once, row by row."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import BinaryIO, Self

    import pyarrow as pa

TABLE_LIBRARIES = ("pyarrow",)
"""What the bytes of a Parquet file depend on beside its rows."""

_ROWS_AT_ONCE = 2000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
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


@frozen
class TableColumn:
    """A column's name, Arrow type and metadata: its unit and what it says."""

    name: str
    kind: str
    unit: str
    description: str


def arrow_table(columns: Sequence[TableColumn], rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Return rows as an Arrow table, as the Parquet file of the same columns reads back."""
    return _table(_schema(columns), list(rows))


def _schema(columns: Sequence[TableColumn]) -> pa.Schema:
    import pyarrow as pa

    types = {"text": pa.string(), "boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64()}
    return pa.schema(
        [
            pa.field(
                column.name,
                types[column.kind],
                metadata={
                    key: text
                    for key, text in (("unit", column.unit), ("description", column.description))
                    if text
                },
            )
            for column in columns
        ]
    )


def _table(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


class TableWriter:
    """Writes rows as CSV (UTF-8, comma, line feed) and Parquet; the same rows give the same bytes.

    A context manager: the tables are whole when its block ends well.

    Parameters
    ----------
    csv_stream, parquet_stream : BinaryIO
        Opened by the caller, who also closes them.
    columns : sequence of TableColumn
    cell : callable
        Turns a value into the text of a CSV cell.
    """

    def __init__(
        self,
        csv_stream: BinaryIO,
        parquet_stream: BinaryIO,
        columns: Sequence[TableColumn],
        *,
        cell: Callable[[Any], str],
    ) -> None:
        from pyarrow import parquet

        self._cell = cell
        self._csv_stream = csv_stream
        self._schema = _schema(columns)
        self._parquet = parquet.ParquetWriter(parquet_stream, self._schema, compression="zstd")
        self._rows: list[Sequence[Any]] = []
        self._write_csv([[column.name for column in columns]])

    def write(self, row: Sequence[Any]) -> None:
        """Add a row; values are of the columns' types or None."""
        self._rows.append(row)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Write what is left; the streams stay open."""
        self._flush()
        self._parquet.close()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left; the streams stay open."""
        if error is None:
            self.close()
        else:
            with suppress(Exception):  # what went wrong first is what is told
                self._parquet.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        self._write_csv([[self._cell(value) for value in row] for row in self._rows])
        self._parquet.write_table(_table(self._schema, self._rows))
        self._rows = []

    def _write_csv(self, rows: list[list[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._csv_stream.write(text.getvalue().encode())
