"""How far the resectable fraction may be off because lesion volumes are measured with error.

The model and its worked example are in ``docs/method.md``, "Interval of the resectable fraction".
In short: every measured volume is its true volume times a log-normal error with mean 1 and the
coefficient of variation of the lesion's diameter class. The sums R (resectable) and U (the rest) are
then close to log-normal (Fenton 1960: match mean and variance), so that ln(R/U), the logit of the
fraction, is close to normal and everything follows in closed form. Nothing is drawn at random.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from volstrat.terms.policies import VolumeErrorPolicy

_NORMAL_975 = 1.959963984540054
_NO_SPREAD = 1e-9
"""Errors that cancel leave a spread of rounding only (one class, correlation 1)."""
_DECIMALS = 9
"""Results are rounded here, far below their meaning, so that every platform gives the same bytes."""


@frozen
class FractionInterval:
    """The 95 % interval of the resectable fraction, and how likely the threshold is reached."""

    # lo, hi: ends of the interval, 0 to 1. With unknown markings: the envelope of the intervals of the two
    # extremes.
    lo: float
    hi: float
    # probability_lower, probability_upper: probability that the true fraction reaches the threshold, with
    # unknown markings counted as unresectable and as resectable. Equal where nothing is unknown.
    probability_lower: float
    probability_upper: float
    # ``closed_form``: the only one there is; said in the record because a reader will ask
    method: str = "closed_form"

    @property
    def probability(self) -> float | None:
        """The probability, or None where it depends on unknown markings."""
        return self.probability_lower if self.probability_lower == self.probability_upper else None

    def spans(self, threshold_percent: Decimal | float) -> bool:
        """Tell whether the threshold lies inside the interval: the measurement cannot settle it."""
        return self.lo < float(threshold_percent) / 100 < self.hi


def wcv_percent(axial_diameter_mm: float, policy: VolumeErrorPolicy) -> float:
    """Return the coefficient of variation of one lesion's volume, in percent, by its diameter class.

    Examples
    --------
    >>> from volstrat.terms.policies import VolumeErrorPolicy
    >>> [wcv_percent(d, VolumeErrorPolicy()) for d in (9.9, 10.0, 34.9, 35.0, 50.0, 120.0)]
    [28.2, 14.1, 14.1, 10.3, 8.5, 8.5]
    """
    return policy.wcv_percent[bisect_right(policy.diameter_from_mm, axial_diameter_mm) - 1]


def resectable_fraction_interval(
    volume_ml: Sequence[float],
    resectable_ml: Sequence[float],
    axial_diameter_mm: Sequence[float],
    *,
    policy: VolumeErrorPolicy,
    threshold_percent: Decimal | float,
    resectable_upper_ml: Sequence[float] | None = None,
) -> FractionInterval | None:
    """Compute the 95 % interval of the resectable fraction from per-lesion volume error.

    The two parts of a partly resectable lesion are two measured volumes: the plane between them is
    drawn by hand as the outline is, so each part carries the error of its lesion's class and no more
    correlation with the other than any two volumes have. That is never narrower than one common
    error, which would call the share of a single partly resectable lesion exact.

    Parameters
    ----------
    volume_ml, resectable_ml : sequence of float, (n,)
        Of each lesion, its volume and the part of it that can be resected; any unit of volume, voxel
        counts too.
    axial_diameter_mm : sequence of float, (n,)
        Longest axial diameter of each lesion, which gives its error class.
    threshold_percent : Decimal or float
        Of stratum 1.
    resectable_upper_ml : sequence of float, (n,), optional
        The part of each lesion that is resectable if every unknown marking turns out resectable;
        ``resectable_ml`` is then the lower bound.

    Returns
    -------
    FractionInterval or None
        None where there is no tumour. A fraction of 0 or 1 has an interval without width: volume
        error cannot change it.

    Raises
    ------
    ValueError
        If the sequences differ in length, or a part is negative or exceeds its lesion.
    """
    upper = resectable_ml if resectable_upper_ml is None else resectable_upper_ml
    _check(volume_ml, resectable_ml, axial_diameter_mm)
    _check(volume_ml, upper, axial_diameter_mm)
    if not sum(volume_ml) > 0:
        return None
    sigmas = [math.sqrt(math.log1p((wcv_percent(d, policy) / 100) ** 2)) for d in axial_diameter_mm]
    threshold = float(threshold_percent) / 100
    ends = [
        _one_interval(volume_ml, part, sigmas, policy.correlation, threshold)
        for part in (resectable_ml, upper)
    ]
    return FractionInterval(
        lo=min(end[0] for end in ends),
        hi=max(end[1] for end in ends),
        probability_lower=ends[0][2],
        probability_upper=ends[1][2],
    )


def _check(volume: Sequence[float], part: Sequence[float], diameter: Sequence[float]) -> None:
    if not len(volume) == len(part) == len(diameter):
        counts = f"{len(volume)}, {len(part)} and {len(diameter)}"
        msg = f"Each lesion needs a volume, a part and a diameter; got {counts}."
        raise ValueError(msg)
    if not all(0 <= p <= v for v, p in zip(volume, part, strict=True)):
        msg = "The resectable part of a lesion must lie between 0 and the lesion's volume."
        raise ValueError(msg)


def _one_interval(
    volume: Sequence[float],
    part: Sequence[float],
    sigmas: Sequence[float],
    correlation: float,
    threshold: float,
) -> tuple[float, float, float]:
    rest = [v - p for v, p in zip(volume, part, strict=True)]
    resectable, unresectable = math.fsum(part), math.fsum(rest)
    if resectable == 0 or unresectable == 0:
        certain = float(resectable > 0)
        return certain, certain, float(certain >= threshold)
    centre, spread = _logit_moments(part, rest, sigmas, correlation=correlation)
    lo, hi = (_expit(centre + sign * _NORMAL_975 * spread) for sign in (-1, 1))
    return (
        round(lo, _DECIMALS),
        round(hi, _DECIMALS),
        round(_probability(centre, spread, threshold), _DECIMALS),
    )


def _logit_moments(
    part: Sequence[float], rest: Sequence[float], sigmas: Sequence[float], *, correlation: float
) -> tuple[float, float]:
    """Centre and standard deviation of the logit of the true fraction, given what was measured.

    With unit-mean log-normal errors, ``ln R_measured = ln R_true - s_R^2 / 2 + s_R Z``. So the true
    logit lies around ``ln(R/U) + (s_R^2 - s_U^2) / 2`` with variance ``s_R^2 + s_U^2 - 2 c``, where
    ``s_R^2 = ln(1 + Var R / R^2)``, ``s_U^2`` likewise, and ``c = ln(1 + Cov(R, U) / (R U))``.

    ``part`` and ``rest`` are the resectable and other volume of each lesion, in one unit, both sums above 0;
    ``sigmas`` the standard deviation of each lesion's log error.
    """
    resectable, unresectable = math.fsum(part), math.fsum(rest)
    var_r = math.log1p(_covariance(part, part, sigmas, correlation) / resectable**2)
    var_u = math.log1p(_covariance(rest, rest, sigmas, correlation) / unresectable**2)
    between = _shared(part, rest, sigmas, correlation)
    cov = math.log1p(between / (resectable * unresectable))
    centre = math.log(resectable / unresectable) + (var_r - var_u) / 2
    return centre, math.sqrt(max(var_r + var_u - 2 * cov, 0.0))


def _covariance(left: Sequence[float], right: Sequence[float], sigmas: Sequence[float], rho: float) -> float:
    """Variance of a sum of volumes: what they share, and what each has of its own."""
    own = math.fsum(
        a * b * (math.expm1(s * s) - math.expm1(rho * s * s))
        for a, b, s in zip(left, right, sigmas, strict=True)
    )
    return own + _shared(left, right, sigmas, rho)


def _shared(left: Sequence[float], right: Sequence[float], sigmas: Sequence[float], rho: float) -> float:
    """Covariance of two sums of volumes that comes from the correlation; summed over error classes."""
    if rho == 0:
        return 0.0
    kinds = sorted(set(sigmas))
    sums = [
        [math.fsum(v for v, s in zip(side, sigmas, strict=True) if s == kind) for kind in kinds]
        for side in (left, right)
    ]
    return math.fsum(
        a * b * math.expm1(rho * s * t)
        for a, s in zip(sums[0], kinds, strict=True)
        for b, t in zip(sums[1], kinds, strict=True)
    )


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _probability(centre: float, spread: float, threshold: float) -> float:
    """Probability that the true fraction is at least the threshold."""
    if threshold <= 0:
        return 1.0
    if threshold >= 1:
        return 0.0
    logit = math.log(threshold / (1 - threshold))
    if spread < _NO_SPREAD:
        return float(centre >= logit - _NO_SPREAD)
    return 0.5 * math.erfc((logit - centre) / spread / math.sqrt(2))
