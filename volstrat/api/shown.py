"""How results are shown: as small HTML tables in the notebook's own colours, and as pandas has tables."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from volstrat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    import pyarrow as pa

_MOST_ROWS = 50


class HasRows:
    """What can be had as an Arrow table, and so as a DataFrame."""

    __slots__ = ()

    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table."""
        raise NotImplementedError

    def to_pandas(self) -> pd.DataFrame:
        """Return the same table as a DataFrame in which null stays apart from false, zero and empty.

        Raises
        ------
        UsageError
            If pandas is not installed; it is an extra.
        """
        try:
            import pandas as pd
        except ImportError as error:
            msg, hint = (
                "pandas is not installed.",
                "In the checkout, install the extra: pip install '.[pandas]'.",
            )
            raise UsageError(msg, hint=hint) from error
        import pyarrow as pa

        kinds = {pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype()}
        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=kinds.get)
        return frame

    def _rows_html(self, columns: Sequence[str]) -> str:
        """Return those of some columns that it has as an HTML table."""
        table = self.to_arrow()
        there = [name for name in columns if name in table.column_names]
        return html_table(there, zip(*(table.column(name).to_pylist() for name in there), strict=True))


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as an HTML table; of many the first, and how many more there are.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequences
        None is an empty cell, a float has at most four digits.
    """
    every = list(rows)
    cells = "".join(f"<th>{escape(name)}</th>" for name in header)
    texts = [[f"<td>{escape(shown(value))}</td>" for value in row] for row in every[:_MOST_ROWS]]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in texts)
    more = f"<p>... and {len(every) - _MOST_ROWS} more</p>" if len(every) > _MOST_ROWS else ""
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>{more}"


def html_head(title: str, *lines: str) -> str:
    """Return a bold line and plain ones below it."""
    return (
        f"<p><strong>{escape(title)}</strong>{''.join(f'<br>{escape(line)}' for line in lines if line)}</p>"
    )


def shown(value: object) -> str:
    """Return a value as a table shows it.

    >>> shown(None), shown(12.34567), shown("L1"), shown(True)
    ('', '12.35', 'L1', 'True')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
