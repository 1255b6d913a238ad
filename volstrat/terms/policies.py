"""Settings of the measurements that a protocol may change: plain data, checked where they are made.

They are fields of the protocol; each function that measures takes the one it needs.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from volstrat.errors import ProtocolError
from volstrat.frozen import frozen

if TYPE_CHECKING:
    from decimal import Decimal

LiverState = Literal["normal", "chemotherapy", "fibrosis", "cirrhosis"]

FRACTION_PERCENT = 1
"""No percentage of a protocol is so small: 0.7 is a fraction by mistake, which nearly all would reach."""

LARGEST_MARGIN_MM = 50.0
"""More round a lesion is no margin but a mistake of units."""

LARGEST_WCV_PERCENT = 60.0
"""Beyond this the closed form of `volume_error` is no longer within its stated error."""


def require(is_right: bool, message: str) -> None:
    """Refuse a value of a protocol: a ProtocolError."""
    if not is_right:
        raise ProtocolError(message)


def require_number(
    name: str,
    value: float | Decimal,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    what: str = "",
) -> None:
    """Refuse a number that is not finite or out of bounds: a ProtocolError that says ``what`` it must be."""
    low = f"above {above:g}" if above > -math.inf else f"at least {at_least:g}"
    high = f" and at most {at_most:g}" if at_most < math.inf else ""
    fits = math.isfinite(value) and above < value and at_least <= value <= at_most
    require(fits, f"{name} is {value}; it must be {what.format(low + high) if what else low + high}.")


@frozen
class VolumeErrorPolicy:
    """How far a lesion's measured volume may be off, as a within-subject coefficient of variation.

    The classes from 10 to 100 mm are those of the QIBA profile for CT tumour volume
    (10.1148/QIBA/20220721), which come from lung lesions. It says nothing outside them. Below 10 mm
    the error of 14.1 % at 10 mm is taken as one of the boundary in millimetres, which stays the same
    while the lesion shrinks; a 5 mm lesion then has 14.1 x 10 / 5 = 28.2 %. Above 100 mm the last
    class goes on.

    Raises ProtocolError if the classes do not rise from 0, or a number is outside its bounds.
    """

    # axial diameter at which each class begins, rising from 0; a class ends where the next begins
    diameter_from_mm: tuple[float, ...] = (0.0, 10.0, 35.0, 50.0, 100.0)
    wcv_percent: tuple[float, ...] = (28.2, 14.1, 10.3, 8.5, 8.5)  # wCV of each class, above 1 and at most 60
    correlation: float = 0.0  # correlation of the log errors of any two volumes of one subject, from 0 to 1

    def __post_init__(self) -> None:
        edges = self.diameter_from_mm
        rising = all(a < b for a, b in pairwise(edges))
        require(
            bool(edges) and edges[0] == 0 and rising and len(edges) == len(self.wcv_percent),
            f"volume_error.diameter_from_mm is {list(edges)} with {len(self.wcv_percent)} values of "
            "wcv_percent; it must rise from 0 and have one value for each class.",
        )
        require(
            all(FRACTION_PERCENT < wcv <= LARGEST_WCV_PERCENT for wcv in self.wcv_percent),
            f"volume_error.wcv_percent is {list(self.wcv_percent)}; each must be a percentage above "
            f"{FRACTION_PERCENT} and at most {LARGEST_WCV_PERCENT:g}.",
        )
        require(
            0 <= self.correlation <= 1,
            f"volume_error.correlation is {self.correlation}; it must lie between 0 and 1.",
        )


@frozen
class RemnantPolicy:
    """How a liver remnant is standardised, and the least that should remain.

    The limits are those of PMC6422720, Table 1: normal liver 25 % (Vauthey, Shoup; others 20 to
    26.6), more than three months of chemotherapy 30 % (Shindoh), fibrosis or cirrhosis 40 % (Kubota,
    Azoulay).

    Raises ProtocolError if a limit is not above 1 and below 100.
    """

    body_surface: Literal["mosteller", "dubois"] = "mosteller"
    # standard liver volume from body surface: Western (Vauthey 2002) or Japanese (Urata 1995) adults
    liver_volume: Literal["vauthey", "urata"] = "vauthey"
    limit_normal_percent: float = 25.0
    limit_chemotherapy_percent: float = 30.0
    limit_fibrosis_percent: float = 40.0
    limit_cirrhosis_percent: float = 40.0

    def __post_init__(self) -> None:
        for state, limit in self.limits_percent.items():
            require(
                FRACTION_PERCENT < limit < 100,
                f"remnant.limit_{state}_percent is {limit}; it must be a percentage above "
                f"{FRACTION_PERCENT} and below 100.",
            )

    @property
    def limits_percent(self) -> dict[LiverState, float]:
        """The limit of each state of the liver."""
        return {
            "normal": self.limit_normal_percent,
            "chemotherapy": self.limit_chemotherapy_percent,
            "fibrosis": self.limit_fibrosis_percent,
            "cirrhosis": self.limit_cirrhosis_percent,
        }


@frozen
class ReportPolicy:
    """What a report says; it decides nothing."""

    dates: bool = False  # the days on which CT and PET were taken; else only how many days lie between them


@frozen
class PlanPolicy:
    """Limits that a surgical plan is held to; passing one is a finding and changes no marking.

    Raises ProtocolError if a number is outside its bounds.
    """

    # longest diameter of a lesion that thermal ablation was tried on: 3 cm in COLLISION (PMC6094448)
    ablation_largest_mm: float = 30.0
    # ablation_margin_mm, wedge_margin_mm: least margin round a lesion, and the one where a plan states none
    ablation_margin_mm: float = 5.0
    wedge_margin_mm: float = 0.0

    def __post_init__(self) -> None:
        largest = self.ablation_largest_mm
        require(0 < largest < math.inf, f"plans.ablation_largest_mm is {largest}; it must be above 0.")
        for name in ("ablation_margin_mm", "wedge_margin_mm"):
            margin = getattr(self, name)
            require(
                0 <= margin <= LARGEST_MARGIN_MM,
                f"plans.{name} is {margin}; it must lie between 0 and {LARGEST_MARGIN_MM:g}.",
            )
