"""The liver, its segments and the lesions in it; what of them a plan cuts out, ablates and leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import PlanError
from volstrat.geometry.bit_box import BitBox, box_of, voxels_within
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.row_placing import lesions_at
from volstrat.terms.couinaud import in_order, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from volstrat.rule.lesions import Lesions
    from volstrat.terms.plans import Plan, Zone
    from volstrat.terms.policies import PlanPolicy


MAP_SHIFTS_MM = (-10.0, -5.0, 5.0, 10.0)
"""How far the borders between segments are moved: two readers place them that far apart."""


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

        One that the map does not hold is a `PlanError`.
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

        No such lesion, or a point in none or in two, is a `PlanError`.
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedZone:
    """A wedge or an ablation: the lesion's position, and the margin that it is grown by."""

    lesion: int
    margin_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlanRegions:
    """The regions of one plan, on the lesions' grid."""

    segments: tuple[str, ...]  # what is cut out whole, by the map's names
    wedges: tuple[PlannedZone, ...]
    ablations: tuple[PlannedZone, ...]
    # by_segments, otherwise, cut: what is cut out with the segments, by wedges and masks, and in all
    by_segments: VoxelRuns
    otherwise: VoxelRuns
    ablated: VoxelRuns  # the ablation zones; not clipped to the liver
    cut: VoxelRuns = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cut", self.by_segments.union(self.otherwise))


def plan_regions(
    plan: Plan, anatomy: Anatomy, zones: Zones, policy: PlanPolicy, *, cut_mask: VoxelRuns | None = None
) -> PlanRegions:
    """Work out what a plan cuts and ablates.

    Cut: its segments and wedges within the liver mask, and its masks. A wedge or an ablation zone is every
    voxel whose centre lies within the margin (and 0.001 mm) of a voxel centre of its lesion. The policy's
    margins count where the plan states none; ``cut_mask`` is what it cuts out as drawn. A segment or a lesion
    that is not there is a `PlanError`.
    """
    where = f"plan {plan.name!r}"
    segments = anatomy.chosen(plan.segments, where=where)
    wedges = _planned(plan.wedges, anatomy, policy.wedge_margin_mm, where)
    ablations = _planned(plan.ablations, anatomy, policy.ablation_margin_mm, where)
    wedged = united(zones.of(w.lesion, w.margin_mm) for w in wedges).intersection(anatomy.liver)
    return PlanRegions(
        segments=segments,
        wedges=wedges,
        ablations=ablations,
        by_segments=united(anatomy.map[s] for s in segments),
        otherwise=wedged if cut_mask is None else wedged.union(cut_mask),
        ablated=united(zones.of(a.lesion, a.margin_mm) for a in ablations),
    )


def _planned(
    stated: Sequence[Zone], anatomy: Anatomy, margin_mm: float, where: str
) -> tuple[PlannedZone, ...]:
    return tuple(
        PlannedZone(
            lesion=anatomy.lesion_of(zone, where=where),
            margin_mm=margin_mm if zone.margin_mm is None else zone.margin_mm,
        )
        for zone in stated
    )


def moved_borders(regions: PlanRegions, anatomy: Anatomy) -> Iterator[tuple[float, VoxelRuns]]:
    """Yield each of `MAP_SHIFTS_MM`, and what is cut out with the segments where borders lie that far off.

    At +d the cut grows by the voxels of retained segments whose centre is within d (and 0.001 mm) of a
    voxel centre of a resected one; at -d the reverse. The liver's surface stays. Nothing for a plan that cuts
    out no segment.
    """
    resected = regions.by_segments
    if not resected:
        return
    retained = united(v for s, v in anatomy.map.items() if s not in regions.segments).difference(resected)
    grid = anatomy.lesions.grid
    low, high = box_of(anatomy.liver, grid)
    boxes = {name: BitBox.of(v, grid, low, high) for name, v in (("cut", resected), ("kept", retained))}
    for mm in MAP_SHIFTS_MM:
        grows, into = ("cut", "kept") if mm > 0 else ("kept", "cut")
        reached = boxes[grows].grown(abs(mm)).words & boxes[into].words
        band = BitBox(grid=grid, low=low, shape=boxes[into].shape, words=reached).runs()
        yield mm, resected.union(band) if mm > 0 else resected.difference(band)
