"""What a person should know about a plan itself: limits passed, and what does not fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.plans.anatomy import united
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.runs import VoxelRuns
    from volstrat.plans.anatomy import Anatomy, PlannedZone, PlanRegions
    from volstrat.rule.lesion_measures import LesionMeasures
    from volstrat.terms.findings import Finding
    from volstrat.terms.plans import Plan
    from volstrat.terms.policies import PlanPolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Taken:
    """A plan with the voxels of each lesion, and those of them that it cuts out."""

    plan: Plan
    regions: PlanRegions
    anatomy: Anatomy
    measures: LesionMeasures
    policy: PlanPolicy
    cut: list[int]

    @property
    def ids(self) -> tuple[str, ...]:
        return self.anatomy.lesions.ids

    @property
    def sizes(self) -> list[int]:
        sizes: list[int] = self.measures.voxels.tolist()
        return sizes

    @property
    def ml(self) -> float:
        return self.anatomy.lesions.grid.voxel_ml

    @property
    def zones(self) -> list[tuple[PlannedZone, str, float]]:
        """Wedges and ablations: what is done there, and the least margin."""
        return [
            *((zone, "cuts out", self.policy.wedge_margin_mm) for zone in self.regions.wedges),
            *((zone, "ablates", self.policy.ablation_margin_mm) for zone in self.regions.ablations),
        ]


def plan_findings(
    plan: Plan,
    regions: PlanRegions,
    anatomy: Anatomy,
    *,
    measures: LesionMeasures,
    policy: PlanPolicy,
    remaining: VoxelRuns,
) -> tuple[Finding, ...]:
    """Say what a person should know about a plan; nothing here changes a marking.

    ``remaining`` is the liver that is neither cut out nor ablated.
    """
    cut = anatomy.lesions.count_in(regions.cut).tolist()
    taken = _Taken(plan=plan, regions=regions, anatomy=anatomy, measures=measures, policy=policy, cut=cut)
    return (
        *_cuts(taken),
        *_out_of_reach(taken),
        *_zones(taken),
        *_ablations(taken),
        *_names(taken),
        *_map(taken, remaining),
    )


def _cuts(taken: _Taken) -> Iterator[Finding]:
    plan, ml = taken.plan.name, taken.ml
    for on, size, cut in zip(taken.ids, taken.sizes, taken.cut, strict=True):
        if 0 < cut < size:
            yield finding(
                "plan_cuts_lesion", where=on, plan=plan, lesion=on, cut_ml=cut * ml, volume_ml=size * ml
            )


def _out_of_reach(taken: _Taken) -> Iterator[Finding]:
    """Say which liver lesions the plan goes for and leaves a part of, because the liver mask lacks it."""
    plan, anatomy, regions = taken.plan.name, taken.anatomy, taken.regions
    outside = anatomy.lesions.voxels().difference(anatomy.liver.union(regions.cut).union(regions.ablated))
    if not outside:
        return
    meant = anatomy.lesions.count_in(united(anatomy.segments[s] for s in regions.segments)) > 0
    meant[[w.lesion for w in regions.wedges]] = True
    if regions.segments:  # a lesion that the map leaves out too: no plan by segments can mean it
        unmapped = outside.difference(united(anatomy.segments.values()))
        meant |= 2 * anatomy.lesions.count_in(unmapped) > np.array(taken.sizes)
    beyond = anatomy.lesions.count_in(outside)
    left = np.array(anatomy.in_liver, dtype=bool) & (beyond > 0) & meant
    for n in np.flatnonzero(left).tolist():
        on, ml = taken.ids[n], int(beyond[n]) * taken.ml
        yield finding("liver_leaves_tumour_out", where=on, plan=plan, lesion=on, volume_ml=ml)


def _zones(taken: _Taken) -> Iterator[Finding]:
    """Say which margins are short, and what is taken for a lesion on the other side of the liver's border."""
    plan, in_liver = taken.plan.name, taken.anatomy.in_liver
    named = {lesion_id for lesion_id, _ in taken.plan.outside_liver}
    for zone, verb, limit in taken.zones:
        on, mm = taken.ids[zone.lesion], zone.margin_mm
        if mm < limit:
            yield finding(
                "margin_short", where=on, plan=plan, verb=verb, lesion=on, margin_mm=mm, limit_mm=limit
            )
        if not bool((taken.anatomy.lesions.lesion == zone.lesion).any()):
            yield finding("plan_site", "dismissed", where=on, plan=plan, verb=verb, lesion=on)
        elif not in_liver[zone.lesion] and on not in named:
            yield finding("plan_site", "outside", where=on, plan=plan, verb=verb, lesion=on)
    for on, inside in zip(taken.ids, in_liver, strict=True):
        if on in named and inside:
            yield finding("plan_site", "inside", where=on, plan=plan, lesion=on)


def _ablations(taken: _Taken) -> Iterator[Finding]:
    plan, most = taken.plan.name, taken.policy.ablation_largest_mm
    for zone in taken.regions.ablations:
        on, mm = taken.ids[zone.lesion], float(taken.measures.max_diameter_mm[zone.lesion])
        if mm > most:
            yield finding("ablation_too_large", where=on, plan=plan, lesion=on, diameter_mm=mm, limit_mm=most)
        if taken.cut[zone.lesion] == taken.sizes[zone.lesion]:
            yield finding("ablation_in_cut", where=on, plan=plan, lesion=on)


def _names(taken: _Taken) -> Iterator[Finding]:
    """Say which lesions the plan names by numbers of size, which other pieces have in another mask."""
    plan, lesions = taken.plan, taken.anatomy.lesions
    named = {zone.lesion_id for zone in (*plan.wedges, *plan.ablations)}
    named |= {outside for outside, _ in plan.outside_liver}
    by_size = [
        on for on, by_size in zip(lesions.ids, lesions.by_size, strict=True) if by_size and on in named
    ]
    if by_size and lesions.numbers_are_loose:
        yield finding("plan_by_number", where="plans", plan=plan.name, lesions=", ".join(by_size))


def _map(taken: _Taken, remaining: VoxelRuns) -> Iterator[Finding]:
    anatomy, regions, plan = taken.anatomy, taken.regions, taken.plan.name
    if regions.segments:
        on = "liver_segments"
        if anatomy.unmapped_voxels:
            yield finding("segments_incomplete", where=on, volume_ml=anatomy.unmapped_voxels * taken.ml)
        if anatomy.beyond_voxels:
            yield finding("segments_beyond_liver", where=on, volume_ml=anatomy.beyond_voxels * taken.ml)
        if set(regions.segments) == set(anatomy.segments):
            yield finding("plan_leaves_no_liver", "segments", where="remnant", plan=plan)
    if not (regions.cut or regions.ablated or taken.plan.outside_liver):
        yield finding("plan_does_nothing", where="plans", plan=plan)
    if not remaining:
        yield finding("plan_leaves_no_liver", "remnant", where="remnant", plan=plan)
