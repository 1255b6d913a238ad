"""A number of a third party's: how it is printed, and when ours is the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a third party's and ours.

    Parameters
    ----------
    folder : str
        Of the data.
    what : str
    theirs : float
    digits : int
        Decimals (or, for numbers far below 1, significant digits) that the third party gives.
    tolerance : float or None
        Allowed difference; by default half a unit of the last digit given.
    ours : callable
        Works ours out.
    """

    folder: str
    what: str
    theirs: float
    digits: int
    ours: Callable[[], float]
    tolerance: float | None = None
    at_most: bool = False

    @property
    def allowed(self) -> float:
        """The difference that is still the same number."""
        if self.tolerance is not None:
            return self.tolerance
        if abs(self.theirs) < 1e-2 and self.theirs:
            return 0.5 * 10.0 ** (math.floor(math.log10(abs(self.theirs))) - self.digits + 1) * 1.0001
        return (0.5 * 10.0**-self.digits) * 1.0001 if self.digits else 0.0

    def holds(self, ours: float) -> bool:
        """Tell whether ours is the same number."""
        return ours <= self.theirs if self.at_most else abs(ours - self.theirs) <= self.allowed

    def printed(self) -> str:
        """Return the third party's number as it is printed, with a stated tolerance."""
        shown = self.shown(self.theirs)
        if self.at_most:
            return f"<= {shown}"
        return shown if self.tolerance is None else f"{shown} +- {self.tolerance:.1e}"

    def shown(self, value: float) -> str:
        """Return a value with the digits that the third party gives."""
        if abs(self.theirs) < 1e-2 and self.theirs:
            return f"{value:.{self.digits - 1}e}"
        return f"{value:.{self.digits}f}"
