"""A plan as a surgeon states it: what is cut, what is ablated, and what is done outside the liver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volstrat.terms.marks import Marking


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A lesion with a margin round it: a wedge that is cut out, or a zone that is ablated."""

    lesion_id: str | None = None
    # LPS mm; names the lesion whose voxel it lies in, where ``lesion_id`` is None
    point_mm: tuple[float, float, float] | None = None
    margin_mm: float | None = None  # None: the protocol's


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan."""

    name: str
    # title, by: may be empty
    title: str = ""
    by: str = ""
    # Couinaud segments that are cut out whole, as in `volstrat.terms.couinaud.SEGMENTS`
    segments: tuple[str, ...] = ()
    wedges: tuple[Zone, ...] = ()
    ablations: tuple[Zone, ...] = ()
    # what is done with what does not lie in the liver: a surgeon's word, never derived
    outside_liver: tuple[tuple[str, Marking], ...] = ()
