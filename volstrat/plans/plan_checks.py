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
    from volstrat.plans.anatomy import Anatomy, PlanRegions
    from volstrat.rule.lesions import LesionMeasures
    from volstrat.terms.findings import Finding
    from volstrat.terms.plans import Plan
    from volstrat.terms.policies import PlanPolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Taken:
    """A plan with the voxels of each lesion, and those of them that it cuts out."""

    plan: Plan
    regions: PlanRegions
    anatomy: Anatomy
    sizes: list[int]
    cut: list[int]

    @property
    def ids(self) -> tuple[str, ...]:
        return self.anatomy.lesions.ids

    @property
    def ml(self) -> float:
        return self.anatomy.lesions.grid.voxel_ml


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
    taken = _Taken(
        plan=plan,
        regions=regions,
        anatomy=anatomy,
        sizes=measures.voxels.tolist(),
        cut=anatomy.lesions.count_in(regions.cut).tolist(),
    )
    return (
        *_cuts(taken),
        *_out_of_reach(taken),
        *_limits(taken, measures, policy),
        *_sites(taken),
        *_numbers(taken),
        *_map(taken, remaining),
    )


def _cuts(taken: _Taken) -> Iterator[Finding]:
    for lesion, size, cut in zip(taken.ids, taken.sizes, taken.cut, strict=True):
        if 0 < cut < size:
            yield finding(
                "plan_cuts_lesion",
                where=lesion,
                plan=taken.plan.name,
                lesion=lesion,
                cut_ml=cut * taken.ml,
                volume_ml=size * taken.ml,
            )


def _out_of_reach(taken: _Taken) -> Iterator[Finding]:
    """Say which liver lesions the plan goes for and leaves a part of, because the liver mask lacks it."""
    anatomy, regions = taken.anatomy, taken.regions
    outside = anatomy.lesions.voxels().difference(anatomy.liver.union(regions.cut).union(regions.ablated))
    if not outside:
        return
    meant = anatomy.lesions.count_in(united(anatomy.segments[s] for s in regions.segments)) > 0
    meant[[w.lesion for w in regions.wedges]] = True
    if regions.segments:  # a lesion that the map leaves out too: no plan by segments can mean it
        unmapped = outside.difference(united(anatomy.segments.values()))
        meant |= 2 * anatomy.lesions.count_in(unmapped) > np.array(taken.sizes)
    beyond = anatomy.lesions.count_in(outside).tolist()
    for n, lesion in enumerate(taken.ids):
        if anatomy.in_liver[n] and beyond[n] and meant[n]:
            volume_ml = beyond[n] * taken.ml
            yield finding(
                "liver_leaves_tumour_out",
                where=lesion,
                plan=taken.plan.name,
                lesion=lesion,
                volume_ml=volume_ml,
            )


def _limits(taken: _Taken, measures: LesionMeasures, policy: PlanPolicy) -> Iterator[Finding]:
    plan, regions = taken.plan.name, taken.regions
    for zones, verb, limit_mm in (
        (regions.wedges, "cuts out", policy.wedge_margin_mm),
        (regions.ablations, "ablates", policy.ablation_margin_mm),
    ):
        for zone in zones:
            if zone.margin_mm < limit_mm:
                yield finding(
                    "margin_short",
                    where=taken.ids[zone.lesion],
                    plan=plan,
                    verb=verb,
                    lesion=taken.ids[zone.lesion],
                    margin_mm=zone.margin_mm,
                    limit_mm=limit_mm,
                )
    for zone in regions.ablations:
        lesion, diameter_mm = taken.ids[zone.lesion], float(measures.max_diameter_mm[zone.lesion])
        if diameter_mm > policy.ablation_largest_mm:
            yield finding(
                "ablation_too_large",
                where=lesion,
                plan=plan,
                lesion=lesion,
                diameter_mm=diameter_mm,
                limit_mm=policy.ablation_largest_mm,
            )
        if taken.cut[zone.lesion] == taken.sizes[zone.lesion]:
            yield finding("ablation_in_cut", where=lesion, plan=plan, lesion=lesion)


def _sites(taken: _Taken) -> Iterator[Finding]:
    """Say which lesions the plan takes for one on the other side of the liver's border."""
    plan, regions, in_liver = taken.plan, taken.regions, taken.anatomy.in_liver
    named = {lesion_id for lesion_id, _ in plan.outside_liver}
    for zones, verb in ((regions.wedges, "cuts out"), (regions.ablations, "ablates")):
        for zone in zones:
            lesion = taken.ids[zone.lesion]
            if not bool((taken.anatomy.lesions.lesion == zone.lesion).any()):
                yield finding(
                    "plan_site", "dismissed", where=lesion, plan=plan.name, verb=verb, lesion=lesion
                )
            elif not in_liver[zone.lesion] and lesion not in named:
                yield finding("plan_site", "outside", where=lesion, plan=plan.name, verb=verb, lesion=lesion)
    for lesion, inside in zip(taken.ids, in_liver, strict=True):
        if lesion in named and inside:
            yield finding("plan_site", "inside", where=lesion, plan=plan.name, lesion=lesion)


def _numbers(taken: _Taken) -> Iterator[Finding]:
    """Say which lesions the plan names by numbers of size, which other pieces have in another mask."""
    plan, lesions = taken.plan, taken.anatomy.lesions
    named = {zone.lesion_id for zone in (*plan.wedges, *plan.ablations)} | {
        outside for outside, _ in plan.outside_liver
    }
    loose = [
        lesion
        for lesion, by_size in zip(lesions.ids, lesions.by_size, strict=True)
        if by_size and lesions.numbers_are_loose and lesion in named
    ]
    if loose:
        yield finding("plan_by_number", where="plans", plan=plan.name, lesions=", ".join(loose))


def _map(taken: _Taken, remaining: VoxelRuns) -> Iterator[Finding]:
    anatomy, regions, plan = taken.anatomy, taken.regions, taken.plan.name
    if regions.segments:
        if anatomy.unmapped_voxels:
            volume_ml = anatomy.unmapped_voxels * taken.ml
            yield finding("segments_incomplete", where="liver_segments", volume_ml=volume_ml)
        if anatomy.beyond_voxels:
            volume_ml = anatomy.beyond_voxels * taken.ml
            yield finding("segments_beyond_liver", where="liver_segments", volume_ml=volume_ml)
        if set(regions.segments) == set(anatomy.segments):
            yield finding("plan_leaves_no_liver", "segments", where="remnant", plan=plan)
    if not (regions.cut or regions.ablated or taken.plan.outside_liver):
        yield finding("plan_does_nothing", where="plans", plan=plan)
    if not remaining:
        yield finding("plan_leaves_no_liver", "remnant", where="remnant", plan=plan)
