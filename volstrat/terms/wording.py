"""How a number or a list of names is written, wherever volstrat writes one: terminal, page, report, tables.

One promise for percentages: one decimal, and **never on or over a mark that the value itself is not on** -
0, 100, or a threshold it is held against. Where one decimal would do that, as many follow as it takes (up
to four); where four do too, it is written as below or above the mark. A share that is exactly 70 reads
70.0, and nothing else does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

NAMED = 8
"""How many names a sentence lists before it says how many more there are."""


def shown_percent(value: float, *marks: float | Decimal) -> str:
    """Write a percentage as promised above, without its sign.

    Parameters
    ----------
    value : float
        0 to 100.
    *marks : float or Decimal
        Thresholds it is held against, beside 0 and 100.

    Examples
    --------
    >>> shown_percent(69.4, 70), shown_percent(69.996, 70), shown_percent(70, 70), shown_percent(1e-9)
    ('69.4', '69.996', '70.0', '>0')
    """
    every = (0.0, *(float(mark) for mark in marks), 100.0)
    for digits in (1, 2, 3, 4):
        shown = f"{value:.{digits}f}"
        if all((float(shown) > m, float(shown) < m) == (value > m, value < m) for m in every):
            return shown
    near = min(every, key=lambda m: abs(m - value))
    return f"{'<' if value < near else '>'}{near:g}"


def shown_ml(value_ml: float) -> str:
    """Write a volume in ml, without its unit: at least two digits, and no more than a person reads.

    >>> shown_ml(365.318), shown_ml(17.1), shown_ml(0.0421), shown_ml(0)
    ('365.3', '17.10', '0.042', '0.0')
    """
    if value_ml == 0 or abs(value_ml) >= 100:
        return f"{value_ml:.1f}"
    return f"{value_ml:.2f}" if abs(value_ml) >= 0.1 else f"{value_ml:.2g}"


def shown_names(names: Sequence[str], *, last: str = ", ", named: int = NAMED) -> str:
    """List names, the first eight of them where there are more; ``last`` joins the last one.

    >>> shown_names(["L1", "L2", "L3"], last=" and ")
    'L1, L2 and L3'
    >>> shown_names([f"L{n}" for n in range(1, 13)])
    'L1, L2, L3, L4, L5, L6, L7, L8 and 4 more'
    """
    if len(names) > named:
        return f"{', '.join(names[:named])} {more_than(len(names), named)}"
    return last.join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def more_than(count: int, shown: int) -> str:
    """Say how many are left out; "" where none is.

    >>> more_than(12, 8), more_than(3, 8)
    ('and 4 more', '')
    """
    return f"and {count - shown} more" if count > shown else ""
