"""The liver, its segments and the lesions in it, as plans see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import PlanError
from volstrat.geometry.bit_box import voxels_within
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.row_placing import lesions_at
from volstrat.terms.couinaud import in_order, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from volstrat.rule.lesions import Lesions
    from volstrat.terms.plans import Zone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """What plans are applied to; all on the lesions' grid."""

    lesions: Lesions  # all by their ids; one that is no tumour has no run
    liver: VoxelRuns  # the liver mask as drawn
    # as the map gives them; what lies outside the liver mask is no part of `map`
    segments: Mapping[str, VoxelRuns]
    in_liver: tuple[bool, ...]
    map: Mapping[str, VoxelRuns] = field(init=False)
    beyond_voxels: int = field(init=False)
    unmapped_voxels: int = field(init=False)

    def __post_init__(self) -> None:
        inside = {s: self.segments[s].intersection(self.liver) for s in in_order(self.segments)}
        object.__setattr__(self, "map", inside)
        every = united(self.segments.values())
        mapped = united(inside.values())
        object.__setattr__(self, "beyond_voxels", every.count - mapped.count)
        object.__setattr__(self, "unmapped_voxels", self.liver.count - mapped.count)

    def chosen(self, segments: Iterable[str], *, where: str) -> tuple[str, ...]:
        """Return the map's names of the segments that a plan cuts out; 4 is 4a and 4b where it has those.

        Raises
        ------
        PlanError
            If the map does not hold one of them.
        """
        found: set[str] = set()
        for segment in segments:
            parts = parts_of(segment, self.segments)
            if not parts:
                there = ", ".join(in_order(self.segments)) or "none: there is no liver_segments"
                msg = f"{where}: segment {segment} is not in the liver's map; there are {there}."
                raise PlanError(msg, hint="Correct the plan, or give a map that holds it as liver_segments.")
            found.update(parts)
        return in_order(found)

    def lesion_of(self, zone: Zone, *, where: str) -> int:
        """Return the position of the lesion that a wedge or an ablation names, by id or by a point in it.

        Raises
        ------
        PlanError
            If there is no such lesion, or the point lies in none, or in two.
        """
        ids = self.lesions.ids
        if zone.lesion_id is not None:
            if zone.lesion_id in ids:
                return ids.index(zone.lesion_id)
            raise no_such_lesion(zone.lesion_id, ids, where=where)
        assert zone.point_mm is not None
        hit = lesions_at(self.lesions, zone.point_mm)
        if len(hit) == 1:
            return hit[0]
        x, y, z = zone.point_mm
        lies = f"lies in {' and '.join(ids[n] for n in hit)}" if hit else "lies in no lesion"
        msg = f"{where}: the point ({x:g}, {y:g}, {z:g}) mm {lies}."
        raise PlanError(msg, hint="Name the lesion by its id, or give a point inside it, in mm.")


def no_such_lesion(lesion_id: str, known: Iterable[str], *, where: str) -> PlanError:
    """Return the error of a plan that names a lesion which is not there."""
    there = ", ".join(known) or "none"
    msg = f"{where}: {lesion_id!r} does not exist in this case; there are {there}."
    return PlanError(msg, hint="Correct the id, or name the lesion by a point in it, point_mm.")


def united(sets: Iterable[VoxelRuns]) -> VoxelRuns:
    """Return the voxels of any of the sets."""
    several = list(sets)
    if not several:
        return VoxelRuns.empty()
    return VoxelRuns.from_intervals(
        np.concatenate([s.starts for s in several]), np.concatenate([s.stops for s in several])
    )


class Zones:
    """Lesions grown by a margin; each is worked out once, whichever plan asks."""

    def __init__(self, lesions: Lesions) -> None:
        self._lesions = lesions
        self._known: dict[tuple[int, float], VoxelRuns] = {}

    def of(self, lesion: int, margin_mm: float) -> VoxelRuns:
        """Return the voxels whose centre lies within a margin of a voxel centre of the lesion."""
        key = (lesion, margin_mm)
        if key not in self._known:
            self._known[key] = voxels_within(self._lesions.of(lesion), self._lesions.grid, margin_mm)
        return self._known[key]
