"""What a notebook shows of a result: small tables that keep the notebook's own colours."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_ROWS = 50


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
    body = "".join(_row(row) for row in every[:_MOST_ROWS])
    more = f"<p>... and {len(every) - _MOST_ROWS} more</p>" if len(every) > _MOST_ROWS else ""
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>{more}"


def html_head(title: str, *lines: str) -> str:
    """Return a bold line and plain ones below it."""
    return (
        f"<p><strong>{escape(title)}</strong>{''.join(f'<br>{escape(line)}' for line in lines if line)}</p>"
    )


def _row(cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<td>{escape(shown(value))}</td>' for value in cells)}</tr>"


def shown(value: object) -> str:
    """Return a value as a table shows it.

    >>> shown(None), shown(12.34567), shown("L1"), shown(True)
    ('', '12.35', 'L1', 'True')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
