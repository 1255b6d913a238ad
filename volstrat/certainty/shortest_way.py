"""The shortest way to a threshold: the fewest lesions that would have to become resectable.

Everything is in whole voxels and exact. How many lesions are needed is plain: take the largest
first. Which ones add least is a subset-sum question, answered by dynamic programming over *changes*
to that first choice: some of its lesions are left out and as many others put in. Every change loses
volume, and less than the smallest chosen lesion may be lost in all, so the table is small: with n
lesions and T voxels of tumour the work is at most about n T / 64 machine words (``docs/method.md``
has the proof). Sets of reachable losses are held as the bits of Python integers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate, combinations
from operator import add
from typing import TYPE_CHECKING

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

_MOST_TIED = 10
"""So many overlapping lesions are tried in every combination."""
_Layer = dict[int, int]
"""For each balance (lesions left out minus lesions put in), the reachable losses as bits."""


def voxels_needed(part_voxels: int, whole_voxels: int, percent: Decimal) -> int:
    """Return how many voxels the part lacks for ``part / whole >= percent / 100``; 0 if it is reached.

    Examples
    --------
    >>> from decimal import Decimal
    >>> voxels_needed(699, 1000, Decimal(70)), voxels_needed(700, 1000, Decimal(70))
    (1, 0)
    """
    numerator, denominator = percent.as_integer_ratio()
    least = -(-whole_voxels * numerator // (100 * denominator))
    return max(least - part_voxels, 0)


def shortest_way(
    remainder_voxels: Sequence[int],
    *,
    part_voxels: int,
    whole_voxels: int,
    percent: Decimal,
    shared_voxels: Mapping[tuple[int, ...], int] | None = None,
) -> list[int] | None:
    """Find the fewest lesions whose remainders bring the part to the threshold.

    Parameters
    ----------
    remainder_voxels : sequence of int, (n,)
        What each lesion would add if all of it became resectable: all of an unresectable lesion, the
        rest of a partial one, 0 of a resectable one (never chosen). In lesion order.
    part_voxels, whole_voxels : int
        Resectable and total tumour voxels now.
    percent : Decimal
        The threshold.
    shared_voxels : mapping of positions to int, optional
        Where lesions overlap: what is added only if all of several lesions become resectable. Beyond
        ten such lesions the way found reaches the threshold but need not be the shortest.

    Returns
    -------
    list of int or None
        Positions in ``remainder_voxels``, rising; of the smallest sets the one that adds least, of
        those the first in lesion order. Empty if the threshold is reached, None if out of reach.

    Raises
    ------
    ValueError
        If a remainder is negative.
    """
    if any(voxels < 0 for voxels in remainder_voxels):
        msg = "A lesion's remainder cannot be negative."
        raise ValueError(msg)
    need = voxels_needed(part_voxels, whole_voxels, percent)
    if shared_voxels and need:
        return _where_some_overlap(remainder_voxels, shared_voxels, need)
    return _shortest(remainder_voxels, need)


def _where_some_overlap(
    alone: Sequence[int], shared: Mapping[tuple[int, ...], int], need: int
) -> list[int] | None:
    """Try every choice of the lesions that overlap, each with the shortest way among the others."""
    tied = sorted({n for those in shared for n in those})
    others = [0 if n in tied else voxels for n, voxels in enumerate(alone)]
    sizes = range(len(tied) + 1) if len(tied) <= _MOST_TIED else (0, len(tied))
    least = list(accumulate(sorted((v for v in others if v), reverse=True), initial=0))
    choices = []
    for chosen in (c for size in sizes for c in combinations(tied, size)):
        gain = sum(alone[n] for n in chosen)
        gain += sum(voxels for those, voxels in shared.items() if set(those) <= set(chosen))
        more = bisect_left(least, need - gain)
        if more < len(least):
            choices.append((len(chosen) + more, chosen, gain))
    fewest = min((count for count, _, _ in choices), default=0)
    ways = []
    for count, chosen, gain in choices:
        rest = _shortest(others, max(need - gain, 0)) if count == fewest else None
        if rest is not None:
            ways.append((gain + sum(others[n] for n in rest), sorted((*chosen, *rest))))
    if len(tied) > _MOST_TIED and (way := _shortest(alone, need)) is not None:
        ways = [(0, way)] if not ways or len(way) < fewest else ways
    return min(ways)[1] if ways else None


def _shortest(remainder_voxels: Sequence[int], need: int) -> list[int] | None:
    if need == 0:
        return []
    order = sorted(
        (n for n, voxels in enumerate(remainder_voxels) if voxels > 0),
        key=lambda n: (-remainder_voxels[n], n),
    )
    total = 0
    for count, position in enumerate(order, start=1):
        total += int(remainder_voxels[position])
        if total >= need:
            return _least_of(remainder_voxels, order, count=count, spare=total - need)
    return None


@frozen(kw_only=False)
class _Change:
    """Leaving out a chosen lesion (balance +1) or putting in another (-1), and the voxels it loses.

    A chosen lesion loses what it has beyond the smallest chosen one, another what it lacks to it, so
    that every loss is at least 0 and any balanced set of changes loses their sum.
    """

    position: int
    balance: int
    loss: int


def _least_of(remainder: Sequence[int], order: list[int], *, count: int, spare: int) -> list[int]:
    """Of all sets of ``count`` lesions that lose at most ``spare`` to the largest ones, the best."""
    pivot = int(remainder[order[count - 1]])
    changes = [_Change(n, 1, int(remainder[n]) - pivot) for n in order[:count]]
    changes += [_Change(n, -1, pivot - int(remainder[n])) for n in order[count:]]
    changes = [change for change in changes if change.loss <= spare]
    reach = _most_exchanges(changes, spare)
    chosen = set(order[:count])
    changes.sort(key=lambda change: -change.position)
    table = _Table(changes, spare=spare, reach=reach)
    loss = table.last.get(0, 1).bit_length() - 1
    balance = 0
    for index in range(len(changes) - 1, -1, -1):  # in lesion order: the first lesions decide ties
        change, before = changes[index], table.layer(index)
        made = (balance - change.balance, loss - change.loss)
        kept = (balance, loss)
        prefer_made = change.balance < 0  # to be in the set: not left out, or put in
        first, second = (made, kept) if prefer_made else (kept, made)
        balance, loss = first if _reachable(before, *first) else second
        if (balance, loss) == made and made != kept:
            chosen ^= {change.position}
    return sorted(chosen)


def _reachable(layer: _Layer, balance: int, loss: int) -> bool:
    return loss >= 0 and bool(layer.get(balance, 0) >> loss & 1)


def _most_exchanges(changes: list[_Change], spare: int) -> int:
    """How many lesions can be exchanged at most before the loss exceeds what is spare.

    None of the smallest chosen size is left out for another of it: the first of these are chosen already.
    """
    out = sorted(change.loss for change in changes if change.balance > 0)
    into = sorted(change.loss for change in changes if change.balance < 0)
    ways = ([loss for loss in out if loss], into), (out, [loss for loss in into if loss])
    return max(sum(1 for total in accumulate(map(add, *way)) if total <= spare) for way in ways)


class _Table:
    """Losses reachable after each change; every so many layers are kept, those between are redone."""

    def __init__(self, changes: list[_Change], *, spare: int, reach: int) -> None:
        self._changes, self._reach = changes, reach
        self._mask = (1 << (spare + 1)) - 1
        self._stride = max(1, math.isqrt(len(changes)))
        self._kept: dict[int, _Layer] = {}
        self._segment: tuple[int, list[_Layer]] = (-1, [])
        layer: _Layer = {0: 1}
        for index, change in enumerate(changes):
            if index % self._stride == 0:
                self._kept[index] = layer
            layer = self._after(layer, change)
        self.last = layer

    def layer(self, index: int) -> _Layer:
        """Return what is reachable with the changes before ``index``."""
        start = index - index % self._stride
        if self._segment[0] != start:
            layers = [self._kept[start]]
            for change in self._changes[start : start + self._stride - 1]:
                layers.append(self._after(layers[-1], change))
            self._segment = (start, layers)
        return self._segment[1][index - start]

    def _after(self, layer: _Layer, change: _Change) -> _Layer:
        after = dict(layer)
        for balance, losses in layer.items():
            to = balance + change.balance
            if abs(to) <= self._reach:
                moved = losses << change.loss & self._mask
                if moved:
                    after[to] = after.get(to, 0) | moved
        return after
