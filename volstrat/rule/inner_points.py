"""A point in each lesion and PET-only region, by which a row of a table finds it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.geometry.runs import VoxelRuns, covered_twice

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Float64s
    from volstrat.rule.measure import Measurements

_DECIMALS = 3


def inner_points(measured: Measurements) -> dict[str, tuple[float, float, float]]:
    """Return the centre of the voxel nearest to the centroid, LPS mm, by lesion and region id.

    Of lesions that overlap it is a voxel that no other holds, where there is one.
    """
    points = {}
    lesions = measured.lesions
    shared = covered_twice(lesions.starts, lesions.stops) if lesions.overlapping else VoxelRuns.empty()
    for n, (lesion_id, voxels) in enumerate(zip(lesions.ids, lesions.each(), strict=True)):
        alone = voxels.difference(shared) if shared else voxels
        centres = lesions.grid.to_mm(lesions.grid.unravel((alone or voxels).indices()))
        points[lesion_id] = _nearest(centres, measured.measures.centroid_mm[n])
    attribution = measured.attribution
    if attribution is not None and attribution.pet_only.count:
        for n, linear in enumerate(attribution.each_alone()):
            centres = attribution.grid.to_mm(attribution.grid.unravel(linear))
            points[f"P{n + 1}"] = _nearest(centres, attribution.pet_only.measures.centroid_mm[n])
    return points


def _nearest(centres: Float64s, to: Float64s) -> tuple[float, float, float]:
    x, y, z = centres[int(((centres - to) ** 2).sum(axis=1).argmin())].tolist()
    return round(x, _DECIMALS), round(y, _DECIMALS), round(z, _DECIMALS)
