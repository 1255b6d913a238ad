"""Do two or more readers assign the same category: raw agreement, kappa, AC1.

Categories are named in full beforehand, those that do not occur included: Gwet's chance agreement
depends on how many could have been chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from volstrat.agreement.estimate import ONE_READER, ONE_SUBJECT, Estimate, normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]

_ROUNDING = 1e-12
_NO_ERROR = "All subjects contribute alike: the standard error is zero and gives no interval."


@dataclass(frozen=True, slots=True, kw_only=True)
class PairConcordance:
    """Two readers' categories side by side.

    ``first`` and ``second`` are the readers' columns, ``subjects`` those that both gave a category, and
    ``table[r][c]`` counts those in category r for the first and c for the second. ``agreement`` has Wilson's
    score interval (Wilson 1927). ``kappa`` is Cohen's, ``(po - pe) / (1 - pe)``, with the asymptotic standard
    error of Fleiss, Cohen and Everitt (1969) and ``+- 1.96`` of it, cut off at 1; ``ac1`` is Gwet's of the
    two.
    """

    first: int
    second: int
    subjects: int
    table: tuple[tuple[int, ...], ...]
    agreement: Estimate
    kappa: Estimate
    ac1: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Concordance:
    """Agreement of two or more readers on a category; ``categories`` are in the order of the tables.

    ``subjects`` are those to which at least one reader gave a category. ``agreement`` is the share of them to
    which every reader gave the same one, of those read by every reader, with Wilson's score interval. ``ac1``
    is Gwet's AC1 over all readers (Gwet 2008; missing ratings as in Gwet 2014), with its linearised standard
    error and ``+- t(n - 1)`` of it, cut off at 1. ``pairs`` has every two readers.
    """

    categories: tuple[str, ...]
    subjects: int
    agreement: Estimate
    ac1: Estimate
    pairs: tuple[PairConcordance, ...]


def concordance(ratings: Sequence[Sequence[str | None]], categories: Sequence[str]) -> Concordance:
    """Compare the categories that two or more readers assigned.

    Parameters
    ----------
    ratings : sequence of sequence of str or None, (n, k)
        A row a subject, a column a reader; None where a reader assigned none.
    categories : sequence of str
        Every category that could be assigned.
    """
    codes = _codes(ratings, categories)
    everyone = codes[(codes >= 0).all(axis=1)]
    if codes.shape[1] < 2:
        agreement = Estimate.missing(ONE_READER.format(k=codes.shape[1]))
    else:
        agreement = wilson(int((everyone == everyone[:, :1]).all(axis=1).sum()), everyone.shape[0])
    return Concordance(
        categories=tuple(categories),
        subjects=int((codes >= 0).any(axis=1).sum()),
        agreement=agreement,
        ac1=_ac1(codes, len(categories)),
        pairs=tuple(
            _pair(codes, first, second, len(categories))
            for first, second in combinations(range(codes.shape[1]), 2)
        ),
    )


def _codes(ratings: Sequence[Sequence[str | None]], categories: Sequence[str]) -> Int64s:
    """Ratings as positions in ``categories``, -1 where missing."""
    number: dict[str | None, int] = {None: -1, **{name: at for at, name in enumerate(categories)}}
    return np.array([[number[name] for name in row] for row in ratings], dtype=np.int64, ndmin=2)


def wilson(hits: int, of: int) -> Estimate:
    """Return a proportion of ``of`` subjects with Wilson's score interval.

    ``(p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)`` (Wilson 1927).

    >>> round(wilson(9, 10).low, 4)
    0.5958
    """
    if of == 0:
        return Estimate.missing("There is no subject to count.")
    z = normal_quantile()
    share = hits / of
    middle = share + z**2 / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    scale = 1 + z**2 / of
    low = (middle - reach) / scale if hits else 0.0
    high = (middle + reach) / scale if hits < of else 1.0
    return Estimate(value=share, low=low, high=high)


def _pair(codes: Int64s, first: int, second: int, categories: int) -> PairConcordance:
    both = codes[(codes[:, first] >= 0) & (codes[:, second] >= 0)]
    table = np.zeros((categories, categories), dtype=np.int64)
    np.add.at(table, (both[:, first], both[:, second]), 1)
    return PairConcordance(
        first=first,
        second=second,
        subjects=both.shape[0],
        table=tuple(tuple(int(count) for count in row) for row in table),
        agreement=wilson(int(np.trace(table)), both.shape[0]),
        kappa=_kappa(table),
        ac1=_ac1(both[:, [first, second]], categories),
    )


def _kappa(table: Int64s) -> Estimate:
    n = int(table.sum())
    if n < 2:
        return Estimate.missing(ONE_SUBJECT.format(n=n))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if int(rows @ columns) == n * n:  # in integers: both readers used one category, the same
        return Estimate.missing("Both readers gave every subject one and the same category.")
    share = table / n
    row, column = rows / n, columns / n
    by_chance = float(row @ column)
    kappa = (float(np.trace(share)) - by_chance) / (1 - by_chance)
    diagonal = (np.diag(share) * (1 - (row + column) * (1 - kappa)) ** 2).sum()
    off = share * (column[:, None] + row[None, :]) ** 2
    off_diagonal = (1 - kappa) ** 2 * (off.sum() - np.trace(off))
    rest = (kappa - by_chance * (1 - kappa)) ** 2
    variance = float(diagonal + off_diagonal - rest) / (1 - by_chance) ** 2 / n
    return _up_to_one(kappa, variance, normal_quantile())


def _ac1(codes: Int64s, categories: int) -> Estimate:
    """Gwet's AC1; subjects with one rating still inform the chance agreement."""
    if codes.shape[1] < 2:
        return Estimate.missing(ONE_READER.format(k=codes.shape[1]))
    if categories < 2:
        return Estimate.missing("With fewer than two categories agreement is certain.")
    votes = np.stack([(codes == q).sum(axis=1) for q in range(categories)], axis=1)
    votes = votes[votes.sum(axis=1) > 0]
    raters = votes.sum(axis=1)
    n, rated_twice = raters.size, raters >= 2
    if rated_twice.sum() < 2:
        return Estimate.missing(ONE_SUBJECT.format(n=int(rated_twice.sum())))
    pairs = raters * (raters - 1)
    agreeing = (votes * (votes - 1)).sum(axis=1) / np.maximum(pairs, 1)
    prevalence = (votes / raters[:, None]).mean(axis=0)
    by_chance = float((prevalence * (1 - prevalence)).sum()) / (categories - 1)
    ac1 = (float(agreeing[rated_twice].mean()) - by_chance) / (1 - by_chance)
    own = np.where(rated_twice, agreeing - by_chance, 0) * (n / int(rated_twice.sum())) / (1 - by_chance)
    own_chance = (votes @ (1 - prevalence)) / raters / (categories - 1)
    linearised = own - 2 * (1 - ac1) * (own_chance - by_chance) / (1 - by_chance)
    variance = float(((linearised - ac1) ** 2).sum()) / (n * (n - 1))
    return _up_to_one(ac1, variance, t_quantile(n - 1))


def _up_to_one(value: float, variance: float, quantile: float) -> Estimate:
    """Return an agreement with its interval, which ends at 1: none is better."""
    error = math.sqrt(variance) if variance > _ROUNDING**2 else 0.0
    return Estimate.with_error(value, error, quantile, no_error=_NO_ERROR, most=1.0)
