"""Items that have the same set of keys: what the rule treats alike is counted once, with its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import ranked

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Int64s


def group_alike(item: Int64s, key: Int64s, count: int, *, start: Int64s | None = None) -> Int64s:
    """Give items one number exactly where they have the same set of keys.

    Parameters
    ----------
    item, key : array of int64, (n,)
        Which of the ``count`` items has which key; each pair once. Items may have none.
    start : array of int64, (count,), optional
        What items must have in common besides.

    Returns
    -------
    array of int64, (count,)
        From 0 without gaps.

    Examples
    --------
    >>> import numpy as np
    >>> group_alike(np.array([0, 0, 1, 2, 2]), np.array([5, 7, 5, 7, 5]), 4).tolist()
    [2, 1, 2, 0]
    """
    group = np.zeros(count, dtype=np.int64) if start is None else ranked(start)[1]
    order = np.lexsort((key, item))
    item, key = item[order], ranked(key[order])[1]
    span = int(key.max(initial=0)) + 1
    nth = np.arange(item.size) - np.searchsorted(item, item)
    fresh = int(group.max(initial=-1)) + 1
    for n in range(int(nth.max(initial=-1)) + 1):  # items that share their first n keys share a number
        here = nth == n
        numbers = ranked(group[item[here]] * span + key[here])[1]
        group[item[here]] = fresh + numbers
        fresh += int(numbers.max()) + 1
    return ranked(group)[1]
