"""Do two or more readers measure the same: Bland-Altman, ICC, within-subject variation.

All formulas take complete rows, one a subject and one column a reader; how many subjects were left out
is part of every result. Nothing is rounded. What does not exist (one subject, one reader, no variance)
is None with a reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.agreement.estimate import ONE_READER, ONE_SUBJECT, UPPER_TAIL, Estimate, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Readings = Sequence[Sequence[float | None]] | Floats

LIMITS_Z = 1.96
"""Limits of agreement lie this many SD either side of the bias (Bland and Altman 1986)."""

REPEATABILITY_FACTOR = 2.77
"""``RC = 2.77 wSD``, 1.96 times the root of 2 (Raunig et al. 2015)."""

_ROUNDING = 1e-13
"""Sums of squares below this share (squared) of the data's size are rounding, so zero."""

_ONLY_A_CONSTANT = "The readers differ by no more than a constant: F does not exist, so neither do intervals."
_SUBJECTS_ALIKE = "The subjects' means are equal: the variance between subjects is zero."
_NO_SPREAD = "All subjects differ by the same amount: there is no spread to build an interval from."


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Agreement of two readers on one quantity (Bland and Altman 1986, 1999).

    The scale is ``difference``, B - A in the quantity's unit, or ``log_ratio``, the natural logarithm of B /
    A. ``excluded`` subjects miss a reading or, for ``log_ratio``, have one not above zero. ``sd`` is the
    standard deviation of the differences (``n - 1``), ``bias`` their mean, with ``mean +- t(n - 1) sd /
    sqrt(n)``. The limits are ``mean +- 1.96 sd``, each with ``+- t(n - 1) sd sqrt(1/n + 1.96^2 / (2 (n -
    1)))`` (1999, section 2.1).
    """

    scale: Literal["difference", "log_ratio"]
    subjects: int
    excluded: int
    sd: float | None
    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class IntraclassCorrelation:
    """Two-way intraclass correlations of single readings (Shrout and Fleiss 1979; McGraw and Wong 1996).

    ``icc_2_1`` is absolute agreement, readers random, ICC(A,1): ``(MSB - MSE) / (MSB + (k - 1) MSE + k (MSC -
    MSE) / n)``; ``icc_3_1`` is consistency, readers fixed, ICC(C,1): ``(MSB - MSE) / (MSB + (k - 1) MSE)``.
    Both have F-based intervals (McGraw and Wong 1996, table 7), not cut off at -1 or 1. ``excluded`` subjects
    have a missing reading.
    """

    subjects: int
    readers: int
    excluded: int
    icc_2_1: Estimate
    icc_3_1: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinSubjectVariation:
    """How far readings of one subject scatter (QIBA; Raunig et al. 2015; Obuchowski and Bullen 2018).

    Readers are the repeats, so their systematic differences are part of it: between readers this is
    reproducibility rather than repeatability. ``wsd`` is ``sqrt(mean(s^2))`` in the quantity's unit, s^2 the
    variance of one subject's readings; ``wcv`` is ``sqrt(mean(s^2 / m^2))``, a fraction, m their mean; ``rc``
    is ``2.77 wSD``, ``rc_percent`` ``100 x 2.77 wCV``. All have ``sqrt(v / chi2(v))`` intervals, ``v = n (k -
    1)``: exact for wSD of normal errors, close for wCV where it is small. Only subjects whose mean is above
    zero (``subjects_with_cv``) enter the relative ones; ``excluded`` subjects have a missing reading.
    """

    subjects: int
    readers: int
    excluded: int
    subjects_with_cv: int
    wsd: Estimate
    wcv: Estimate
    rc: Estimate
    rc_percent: Estimate


def bland_altman(
    a: Sequence[float | None],
    b: Sequence[float | None],
    *,
    scale: Literal["difference", "log_ratio"],
) -> BlandAltman:
    """Compare two readers' values of one quantity, subject by subject, (n,) each.

    None or NaN where a reading is missing.
    """
    values = _complete(np.array([a, b], dtype=np.float64).T)
    if scale == "log_ratio":
        values = values[(values > 0).all(axis=1)]
        differences = np.log(values[:, 1]) - np.log(values[:, 0])
        size = float(np.abs(np.log(values)).max(initial=1.0))
    else:
        differences = values[:, 1] - values[:, 0]
        size = float(np.abs(values).max(initial=0.0))
    n = differences.size
    sd: float | None = None
    if n < 2:
        reason = ONE_SUBJECT.format(n=n)
        lower = upper = Estimate.missing(reason)
        bias = Estimate(value=float(differences[0]), reason=reason) if n else lower
    else:
        mean, sd = float(differences.mean()), float(differences.std(ddof=1))
        if sd <= _ROUNDING * size:
            sd = 0.0
        error = sd * math.sqrt(1 / n + LIMITS_Z**2 / (2 * (n - 1)))
        bias, lower, upper = (
            Estimate.with_error(value, standard_error, t_quantile(n - 1), no_error=_NO_SPREAD)
            for value, standard_error in (
                (mean, sd / math.sqrt(n)),
                (mean - LIMITS_Z * sd, error),
                (mean + LIMITS_Z * sd, error),
            )
        )
    return BlandAltman(
        scale=scale,
        subjects=n,
        excluded=len(a) - n,
        sd=sd,
        bias=bias,
        lower_limit=lower,
        upper_limit=upper,
    )


def intraclass_correlation(readings: Readings) -> IntraclassCorrelation:
    """ICC(2,1) and ICC(3,1) of two or more readers.

    ``readings`` are (n, k), a row a subject and a column a reader; None or NaN where one is missing.
    """
    given = np.array(readings, dtype=np.float64)
    values = _complete(given)
    n, k = values.shape
    icc_2_1, icc_3_1 = _iccs(values)
    return IntraclassCorrelation(
        subjects=n, readers=k, excluded=given.shape[0] - n, icc_2_1=icc_2_1, icc_3_1=icc_3_1
    )


def _iccs(values: Floats) -> tuple[Estimate, Estimate]:
    n, k = values.shape
    if k < 2 or n < 2:
        none = Estimate.missing(ONE_READER.format(k=k) if k < 2 else ONE_SUBJECT.format(n=n))
        return none, none
    msb, msc, mse = _mean_squares(values)
    between = msb + (k - 1) * mse
    if between == 0:
        none = Estimate.missing("The subjects do not differ within any reader: the variance is zero.")
        return none, none
    consistency = (msb - mse) / between
    total = between + k * (msc - mse) / n
    if mse == 0 or msb == 0:
        reason = _ONLY_A_CONSTANT if mse == 0 else _SUBJECTS_ALIKE
        agreement = (msb - mse) / total if total > 0 else None
        return Estimate(value=agreement, reason=reason), Estimate(value=consistency, reason=reason)
    agreement = (msb - mse) / total
    low_2, high_2 = _agreement_interval(agreement, (msb, msc, mse), n, k)
    low_3, high_3 = _consistency_interval(msb / mse, n, k)
    return (
        Estimate(value=agreement, low=low_2, high=high_2),
        Estimate(value=consistency, low=low_3, high=high_3),
    )


def _mean_squares(values: Floats) -> tuple[float, float, float]:
    """Mean squares between subjects, between readers and of the residual (two-way layout)."""
    n, k = values.shape
    centred = values - values.mean()
    subject = centred.mean(axis=1, keepdims=True)
    reader = centred.mean(axis=0, keepdims=True)
    floor = (_ROUNDING * np.abs(values).max()) ** 2 * values.size

    def mean_square(sum_of_squares: float, freedom: int) -> float:
        return sum_of_squares / freedom if sum_of_squares > floor else 0.0

    return (
        mean_square(k * float((subject**2).sum()), n - 1),
        mean_square(n * float((reader**2).sum()), k - 1),
        mean_square(float(((centred - subject - reader) ** 2).sum()), (n - 1) * (k - 1)),
    )


def _consistency_interval(f: float, n: int, k: int) -> tuple[float, float]:
    from scipy.special import fdtri

    within = (n - 1) * (k - 1)
    low = f / float(fdtri(n - 1, within, UPPER_TAIL))
    high = f * float(fdtri(within, n - 1, UPPER_TAIL))
    return (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)


def _agreement_interval(
    icc: float, mean_squares: tuple[float, float, float], n: int, k: int
) -> tuple[float, float]:
    """Interval of ICC(A,1); its degrees of freedom are Satterthwaite's."""
    from scipy.special import fdtri

    msb, msc, mse = mean_squares
    f = msc / mse
    rest = n * (1 + (k - 1) * icc) - k * icc
    freedom = (n - 1) * (k - 1) * (k * icc * f + rest) ** 2
    freedom /= (n - 1) * k**2 * icc**2 * f**2 + rest**2
    upper = float(fdtri(n - 1, freedom, UPPER_TAIL))
    lower = float(fdtri(freedom, n - 1, UPPER_TAIL))
    both = k * msc + (k * n - k - n) * mse
    low = n * (msb - upper * mse) / (upper * both + n * msb)
    high = n * (lower * msb - mse) / (both + n * lower * msb)
    return low, high


def within_subject_variation(readings: Readings) -> WithinSubjectVariation:
    """WSD, wCV and RC of two or more readings of each subject, given as for `intraclass_correlation`."""
    given = np.array(readings, dtype=np.float64)
    values = _complete(given)
    n, k = values.shape
    means = values.mean(axis=1) if k else np.zeros(n)
    if k < 2:
        wsd = wcv = Estimate.missing(ONE_READER.format(k=k))
    else:
        variances = values.var(axis=1, ddof=1)
        variances[variances <= (_ROUNDING * np.abs(values).max(axis=1, initial=0)) ** 2] = 0.0
        wsd = _root_mean(variances, k, "No subject was read by all readers.")
        above = means > 0
        wcv = _root_mean(variances[above] / means[above] ** 2, k, "No subject has a mean above zero.")
    return WithinSubjectVariation(
        subjects=n,
        readers=k,
        excluded=given.shape[0] - n,
        subjects_with_cv=int((means > 0).sum()),
        wsd=wsd,
        wcv=wcv,
        rc=wsd.scaled(REPEATABILITY_FACTOR),
        rc_percent=wcv.scaled(100 * REPEATABILITY_FACTOR),
    )


def _root_mean(squares: Floats, readers: int, if_none: str) -> Estimate:
    """Root of the mean of per-subject variances, with its chi-square interval."""
    if squares.size == 0:
        return Estimate.missing(if_none)
    value = math.sqrt(float(squares.mean()))
    if value == 0:
        return Estimate(value=0.0, reason="The readings are identical: there is no spread to build on.")
    from scipy.special import chdtri

    freedom = squares.size * (readers - 1)
    low = value * math.sqrt(freedom / float(chdtri(freedom, 1 - UPPER_TAIL)))
    high = value * math.sqrt(freedom / float(chdtri(freedom, UPPER_TAIL)))
    return Estimate(value=value, low=low, high=high)


def _complete(table: Floats) -> Floats:
    """Rows without a missing value, which is NaN or was None."""
    return table[~np.isnan(table).any(axis=1)]
