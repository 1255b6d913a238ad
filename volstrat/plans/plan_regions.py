"""What a plan cuts out, ablates and leaves, voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from volstrat.geometry.bit_box import BitBox, box_of
from volstrat.geometry.runs import VoxelRuns
from volstrat.plans.anatomy import united

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from volstrat.plans.anatomy import Anatomy, Zones
    from volstrat.terms.plans import Plan, Zone
    from volstrat.terms.policies import PlanPolicy

MAP_SHIFTS_MM = (-10.0, -5.0, 5.0, 10.0)
"""How far the borders between segments are moved: two readers place them that far apart."""


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
    voxel whose centre lies within the margin (and 0.001 mm) of a voxel centre of its lesion.

    Parameters
    ----------
    zones : Zones
        Of the anatomy's lesions.
    policy : PlanPolicy
        Its margins count where the plan states none.
    cut_mask : VoxelRuns or None
        What the plan cuts out as drawn.

    Raises
    ------
    PlanError
        If the plan names a segment or a lesion that is not there.
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
    """Yield what is cut out with the segments where the borders between segments lie elsewhere.

    At +d the cut grows by the voxels of retained segments whose centre is within d (and 0.001 mm) of a
    voxel centre of a resected one; at -d the reverse. The liver's surface stays.

    Yields
    ------
    mm, by_segments : float, VoxelRuns
        For each of `MAP_SHIFTS_MM`; nothing for a plan that cuts out no segment.
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
