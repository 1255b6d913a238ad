"""A plan as a surgeon states it: what is cut, what is ablated, and what is done outside the liver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volstrat.terms.marks import Marking


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A lesion with a margin round it: a wedge that is cut out, or a zone that is ablated.

    Parameters
    ----------
    lesion_id : str or None
    point_mm : tuple of float or None
        LPS mm; names the lesion whose voxel it lies in, where ``lesion_id`` is None.
    margin_mm : float or None
        None: the protocol's.
    """

    lesion_id: str | None = None
    point_mm: tuple[float, float, float] | None = None
    margin_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan.

    Parameters
    ----------
    name : str
    title, by : str
        May be empty.
    segments : tuple of str
        Couinaud segments that are cut out whole, as in `volstrat.terms.couinaud.SEGMENTS`.
    wedges, ablations : tuple of Zone
    outside_liver : tuple of (lesion or region id, Marking)
        What is done with what does not lie in the liver: a surgeon's word, never derived.
    """

    name: str
    title: str = ""
    by: str = ""
    segments: tuple[str, ...] = ()
    wedges: tuple[Zone, ...] = ()
    ablations: tuple[Zone, ...] = ()
    outside_liver: tuple[tuple[str, Marking], ...] = ()
