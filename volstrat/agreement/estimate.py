"""A statistic with its 95 % interval, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from volstrat.errors import UsageError

CONFIDENCE = 0.95
"""Of every interval."""

UPPER_TAIL = 1 - (1 - CONFIDENCE) / 2

ONE_SUBJECT = "At least two subjects are needed; there are {n}."
ONE_READER = "At least two readers are needed; there are {k}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic with its 95 % interval.

    The value is None where the statistic does not exist, ``low`` and ``high`` where there is no interval;
    then ``reason`` says why, which is empty otherwise. ``standard_error`` is there where the interval rests
    on one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high, self.standard_error)
        if any(x is not None and not math.isfinite(x) for x in numbers):
            msg = f"A statistic must be a finite number or None; got {numbers}."
            raise UsageError(msg)
        complete = None not in (self.value, self.low, self.high)
        if complete is bool(self.reason) or (self.low is None) is not (self.high is None):
            msg = "A statistic has a value and an interval, or a reason why not."
            raise UsageError(msg)

    @classmethod
    def missing(cls, reason: str) -> Estimate:
        """Return a statistic that does not exist."""
        return cls(value=None, reason=reason)

    @classmethod
    def with_error(
        cls, value: float, error: float, quantile: float, *, no_error: str, most: float = math.inf
    ) -> Estimate:
        """Return ``value +- quantile error``, at most ``most``; ``no_error``: why 0 gives no interval."""
        if error == 0:
            return cls(value=value, standard_error=0.0, reason=no_error)
        low, high = value - quantile * error, min(value + quantile * error, most)
        return cls(value=value, low=low, high=high, standard_error=error)

    def scaled(self, factor: float) -> Estimate:
        """Return the statistic in another unit."""
        value, low, high, error = (
            None if x is None else factor * x for x in (self.value, self.low, self.high, self.standard_error)
        )
        return Estimate(value=value, low=low, high=high, standard_error=error, reason=self.reason)


def normal_quantile() -> float:
    """Return how many standard errors of a normal statistic reach to the ends of its interval."""
    from scipy.special import ndtri

    return float(ndtri(UPPER_TAIL))


def t_quantile(freedom: int) -> float:
    """Return the same for Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, UPPER_TAIL))
