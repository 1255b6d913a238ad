"""PET-only regions: FDG-avid disease that neither holds nor touches tumour on CT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.rule.attribution_geometry import lesions_near
from volstrat.rule.lesions import falling_volume_rank, measure_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.lesions import LesionMeasures
    from volstrat.rule.tumour_voxels import NearestTumour

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PetOnly:
    """PET-only regions, by rank.

    Parameters
    ----------
    measures : LesionMeasures
    uptake_of : array of int64, (regions,)
        The lesion that is no tumour, and of which a region is the uptake; else -1.
    near_rank, near_lesion : array of int64, (pairs,)
        Regions and lesions no farther apart than the attribution distance.
    near_mm : array of float64, (pairs,)
        The smallest distance of their voxel centres.
    """

    measures: LesionMeasures
    uptake_of: Int64s
    near_rank: Int64s
    near_lesion: Int64s
    near_mm: Float64s

    @property
    def count(self) -> int:
        """How many regions there are."""
        return int(self.uptake_of.size)

    def nearest(self, rank: int) -> tuple[int, float] | None:
        """Return the lesion (position) nearest to a region and how near, mm; None where none is near.

        Lesions equally near within 0.001 mm: the lower one.
        """
        of_region = self.near_rank == rank
        if not of_region.any():
            return None
        mm = self.near_mm[of_region]
        least = float(mm.min())
        return int(self.near_lesion[of_region][mm <= least + TIE_MM].min()), least


def rank_regions(grid: VoxelGrid, voxels: Int64s, region: Int64s, alone: Bools) -> Int64s:
    """Rank of each region among those that are alone, by falling volume, ties by position; else -1."""
    position = np.full(alone.size, -1, dtype=np.int64)
    those = np.flatnonzero(alone)
    if those.size:
        index = grid.unravel(voxels)
        sums = [np.bincount(region, index[:, axis], minlength=alone.size) for axis in range(3)]
        size = np.bincount(region, minlength=alone.size)[those]
        centroid = grid.to_mm(np.stack(sums, axis=-1)[those] / size[:, None])
        position[those] = falling_volume_rank(size, centroid)
    return position


def measure_pet_only(
    nearest: NearestTumour,
    grid: VoxelGrid,
    voxels: Int64s,
    rank: Int64s,
    *,
    near: Int64s,
    centres: Float64s,
    uptake_of: Int64s,
    distance_mm: float,
) -> PetOnly:
    """Measure the voxels of each rank, and find the lesions near those that ``near`` names."""
    near_rank, near_lesion, near_mm = lesions_near(nearest, centres, near, distance_mm=distance_mm)
    return PetOnly(
        measures=measure_ranks(grid, voxels, rank, uptake_of.size),
        uptake_of=uptake_of,
        near_rank=near_rank,
        near_lesion=near_lesion,
        near_mm=near_mm,
    )


def measure_ranks(grid: VoxelGrid, voxels: Int64s, rank: Int64s, count: int) -> LesionMeasures:
    """Measure sets of voxels (linear indices, rising) by rank; those of rank -1 are left out."""
    ranked = rank >= 0
    voxels, rank = voxels[ranked], rank[ranked]
    opens = np.ones(voxels.size, dtype=bool)
    opens[1:] = (voxels[1:] != voxels[:-1] + 1) | (rank[1:] != rank[:-1]) | (voxels[1:] % grid.shape[0] == 0)
    closes = np.ones(voxels.size, dtype=bool)
    closes[:-1] = opens[1:]
    return measure_runs(grid, voxels[opens], voxels[closes] + 1, rank[opens], count)
