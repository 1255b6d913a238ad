"""PET-only regions: FDG-avid disease that neither holds nor touches tumour on CT."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.rule.lesion_measures import falling_volume_rank, measure_runs
from volstrat.rule.tumour_voxels import lesions_near

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.lesion_measures import LesionMeasures
    from volstrat.rule.tumour_voxels import Near, TumourVoxels


class PetOnly:
    """PET-only regions, by rank. The rule needs their number alone; the rest is measured when asked for.

    Parameters
    ----------
    tumour : TumourVoxels
    grid : VoxelGrid
    voxels, rank : array of int64, (n,)
        Avid voxels (linear indices, rising), and the rank of each one's region, or -1.
    uptake_of : array of int64, (regions,)
        The lesion that is no tumour, and of which a region is the uptake; else -1.
    distance_mm : float
        The attribution distance.
    before : PetOnly, optional
        The first of these regions, by the same rank, where more lesions are tumour.
    """

    def __init__(
        self,
        tumour: TumourVoxels,
        grid: VoxelGrid,
        voxels: Int64s,
        rank: Int64s,
        *,
        uptake_of: Int64s,
        distance_mm: float,
        before: PetOnly | None = None,
    ) -> None:
        self.uptake_of = uptake_of
        self._tumour, self._grid, self._voxels, self._rank = tumour, grid, voxels, rank
        self._distance_mm = distance_mm
        self._before = before

    @property
    def count(self) -> int:
        """How many regions there are."""
        return int(self.uptake_of.size)

    @cached_property
    def sizes(self) -> Int64s:
        """How many voxels each region has."""
        return np.bincount(self._rank[self._rank >= 0], minlength=self.count)

    @cached_property
    def measures(self) -> LesionMeasures:
        """Size and place of each region."""
        mine = self._rank >= 0
        voxels, rank = self._voxels[mine], self._rank[mine]
        opens = np.ones(voxels.size, dtype=bool)
        opens[1:] = (voxels[1:] != voxels[:-1] + 1) | (rank[1:] != rank[:-1])
        opens[1:] |= voxels[1:] % self._grid.shape[0] == 0
        closes = np.ones(voxels.size, dtype=bool)
        closes[:-1] = opens[1:]
        return measure_runs(self._grid, voxels[opens], voxels[closes] + 1, rank[opens], self.count)

    @cached_property
    def near(self) -> Near:
        """Regions and lesions no farther apart than the attribution distance, and how far, mm."""
        rank, known = self._rank, None
        if self._before is not None:
            rank = np.where(rank >= self._before.count, rank, -1)
            there = np.isin(self._before.near[1], self._tumour.lesion)
            known = [column[there] for column in self._before.near]
        centres = self._grid.to_mm(self._grid.unravel(self._voxels))
        found = lesions_near(self._tumour, centres, rank, distance_mm=self._distance_mm)
        if known is None:
            return found
        region, lesion, mm = (np.concatenate(both) for both in zip(known, found, strict=True))
        return region, lesion, mm

    def nearest(self, rank: int) -> tuple[int, float] | None:
        """Return the lesion (position) nearest to a region and how near, mm; None where none is near.

        Lesions equally near within 0.001 mm: the lower one.
        """
        region, lesion, apart = self.near
        mine = region == rank
        if not mine.any():
            return None
        mm = apart[mine]
        least = float(mm.min())
        return int(lesion[mine][mm <= least + TIE_MM].min()), least

    def renumbered(self, number: Int64s) -> PetOnly:
        """Return the regions as those of a case in which lesions have other positions, all of them tumour."""
        other = PetOnly(
            self._tumour,
            self._grid,
            self._voxels,
            self._rank,
            uptake_of=np.full(self.count, -1, dtype=np.int64),
            distance_mm=self._distance_mm,
        )
        region, lesion, mm = self.near
        other.near = region, number[lesion], mm
        return other


def rank_regions(grid: VoxelGrid, voxels: Int64s, region: Int64s, alone: Bools) -> Int64s:
    """Rank of each region among those that are alone, by falling volume, ties by position; else -1."""
    position = np.full(alone.size, -1, dtype=np.int64)
    those = np.flatnonzero(alone)
    if those.size:
        mine = np.flatnonzero(alone[region])
        index, region = grid.unravel(voxels[mine]), region[mine]
        sums = [np.bincount(region, index[:, axis], minlength=alone.size) for axis in range(3)]
        size = np.bincount(region, minlength=alone.size)[those]
        centroid = grid.to_mm(np.stack(sums, axis=-1)[those] / size[:, None])
        position[those] = falling_volume_rank(size, centroid)
    return position
