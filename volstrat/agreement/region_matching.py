"""Which PET-only regions of two readings show the same disease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.agreement.matching import LesionPair, match_lesions
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import LabelRuns, VoxelRuns

if TYPE_CHECKING:
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.measure import Measurements


def match_regions(a: Measurements, b: Measurements, *, distance_mm: float) -> list[LesionPair]:
    """Match the PET-only regions of two readings as lesions are matched; ``a`` 1 is P1.

    On PET grids that differ centroids alone decide, and ``dice`` is 0.
    """
    here, there = a.attribution, b.attribution
    if here is None or there is None or not here.pet_only.count or not there.pet_only.count:
        return []
    if _same_grid(here, there):
        return _matched(here, there, distance_mm)
    pairs, taken = [], set()
    for rank, other in _nearest_regions(here, there, distance_mm).items():
        if other not in taken:
            taken.add(other)
            centroids = (here.pet_only.measures.centroid_mm[rank], there.pet_only.measures.centroid_mm[other])
            apart = float(np.sqrt(((centroids[0] - centroids[1]) ** 2).sum()))
            pairs.append(
                LesionPair(
                    a=rank + 1, b=other + 1, matched_by="distance", dice=0.0, centroid_distance_mm=apart
                )
            )
    return pairs


def region_partners(here: Attribution, there: Attribution, *, distance_mm: float) -> dict[int, int]:
    """Return for each region of one reading the rank of the other's that shows the same, where one does."""
    if _same_grid(here, there):
        return {pair.a - 1: pair.b - 1 for pair in _matched(here, there, distance_mm)}
    return _nearest_regions(here, there, distance_mm)


def _matched(a: Attribution, b: Attribution, distance_mm: float) -> list[LesionPair]:
    return list(match_lesions(_region_labels(a), _region_labels(b), a.grid, distance_mm=distance_mm).pairs)


def _region_labels(attribution: Attribution) -> LabelRuns:
    """PET-only regions as labels: rank plus one."""
    rank = attribution.rank
    in_region = rank >= 0
    voxels, rank = attribution.voxels[in_region], rank[in_region]
    return LabelRuns.from_sets(
        (int(n) + 1, VoxelRuns.from_indices(voxels[rank == n])) for n in np.unique(rank)
    )


def _same_grid(a: Attribution, b: Attribution) -> bool:
    return a.grid.shape == b.grid.shape and np.array_equal(a.grid.affine, b.grid.affine)


def _nearest_regions(here: Attribution, there: Attribution, distance_mm: float) -> dict[int, int]:
    partner = {}
    for rank, centroid in enumerate(here.pet_only.measures.centroid_mm):
        apart = np.sqrt(((there.pet_only.measures.centroid_mm - centroid) ** 2).sum(axis=1))
        nearest = int(apart.argmin())
        if apart[nearest] <= distance_mm + TIE_MM:
            partner[rank] = nearest
    return partner
