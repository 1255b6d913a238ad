"""Where avid voxels lie among tumour voxels: which ones they hold, how far the nearest is and whose it is.

The geometry of `volstrat.rule.attribution`. Points are voxel centres in LPS mm; distances within 0.001 mm of
the smallest are ties.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.nearest import nearest_distances, nearest_points
from volstrat.geometry.projection import holders_of_runs, project_into
from volstrat.geometry.runs import VoxelRuns, sorted_unique
from volstrat.rule.lesions_near import box_distance_mm, parts_near

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.projection import HeldStretches
    from volstrat.rule.tumour_voxels import TumourVoxels


Rows = tuple["Int64s", "Int64s"]
"""Candidates: avid voxel (position), and the part of tumour that its nearest voxels are of."""


@frozen(eq=False)
class AvidVoxels:
    """Avid voxels where they lie."""

    grid: VoxelGrid
    voxels: Int64s  # (n,): linear indices, rising
    centres: Float64s  # (n, 3): LPS mm
    region: Int64s  # (n,)
    regions: int
    held: Int64s  # (pairs, 2): avid voxel (position) and lesion, of those that hold tumour; sorted

    @classmethod
    def among(
        cls, tumour: TumourVoxels, voxels: Int64s, region: Int64s, regions: int, grid: VoxelGrid
    ) -> AvidVoxels:
        """Return avid voxels with the tumour whose voxel centres lie in them."""
        return cls(
            grid=grid,
            voxels=voxels,
            centres=grid.to_mm(grid.unravel(voxels)),
            region=region,
            regions=regions,
            held=_held(tumour, voxels, grid),
        )

    def stretches(self, tumour: TumourVoxels, runs: Int64s) -> HeldStretches:
        """Return the stretches of tumour runs (by number) that lie in avid voxels."""
        found = project_into(
            self.voxels, tumour.starts[runs], tumour.stops[runs], from_grid=tumour.grid, to_grid=self.grid
        )
        return replace(found, run=runs[found.run])

    @property
    def holds(self) -> Bools:
        """Flag the voxels that hold tumour."""
        flags = np.zeros(self.region.size, dtype=bool)
        flags[self.held[:, 0]] = True
        return flags

    @property
    def region_holds(self) -> Bools:
        """Flag the regions with a voxel that holds tumour."""
        flags = np.zeros(self.regions, dtype=bool)
        flags[self.region[self.held[:, 0]]] = True
        return flags

    def groups(self, chosen: Bools) -> Iterator[tuple[int, Int64s]]:
        """Yield each region of the chosen voxels with their positions."""
        where = np.flatnonzero(chosen)
        order = where[np.argsort(self.region[where], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.region[order])) + 1
        for group in np.split(order, cuts):
            if group.size:
                yield int(self.region[group[0]]), group


def _held(tumour: TumourVoxels, voxels: Int64s, grid: VoxelGrid) -> Int64s:
    """Pairs of avid voxel (position) and lesion whose voxel centres lie in it, sorted."""
    first, past, known = holders_of_runs(tumour.starts, tumour.stops, from_grid=tumour.grid, to_grid=grid)
    first, past = np.searchsorted(voxels, first), np.searchsorted(voxels, past)
    lesion, rest = tumour.lesion, np.flatnonzero(~known)
    if rest.size:
        within = project_into(
            voxels, tumour.starts[rest], tumour.stops[rest], from_grid=tumour.grid, to_grid=grid
        )
        first, past = np.append(first[known], within.holder), np.append(past[known], within.holder + 1)
        lesion = np.append(lesion[known], lesion[rest[within.run]])
    lane = voxels.size + 1  # a position past the last one keeps the lesions' stretches apart
    merged = VoxelRuns.from_intervals(first + lane * lesion, past + lane * lesion)
    lesion, voxel = np.divmod(merged.indices(), lane)
    return distinct_pairs(voxel, lesion)


def touch_mm(tumour_grid: VoxelGrid, avid_grid: VoxelGrid) -> float:
    """Return how far apart the centres of two voxels that touch can be: half of both diagonals, mm."""
    return float(np.linalg.norm(tumour_grid.spacing_mm) + np.linalg.norm(avid_grid.spacing_mm)) / 2


def half_diagonal_mm(grid: VoxelGrid) -> float:
    """Return how far a point in a voxel is from its centre at most; axes may meet at a cosine of 1e-3."""
    return float(np.linalg.norm(grid.spacing_mm)) / 2 * 1.001


def far_voxels(tumour: TumourVoxels, pet: AvidVoxels, touching: Bools, distance_mm: float) -> Bools:
    """Flag the avid voxels of touching regions whose nearest tumour voxel is beyond twice a distance.

    A voxel that holds tumour is nearer than half its diagonal; one in reach of such a voxel is bounded by it.
    Only what these bounds leave open is measured.
    """
    half_diagonal = half_diagonal_mm(pet.grid)
    limit = 2 * distance_mm
    holds, region_holds = pet.holds, pet.region_holds
    bound = np.where(holds, half_diagonal, np.inf)
    some = np.zeros(pet.regions, dtype=np.int64)
    some[pet.region[holds]] = np.flatnonzero(holds)  # of each region any voxel that holds tumour
    spill = np.flatnonzero(~holds & region_holds[pet.region])
    bound[spill] = half_diagonal + np.linalg.norm(
        pet.centres[spill] - pet.centres[some[pet.region[spill]]], axis=1
    )
    spill = spill[bound[spill] > limit]
    if spill.size:
        bound[spill] = nearest_distances(pet.centres[holds], pet.centres[spill]) + half_diagonal
    for _, group in pet.groups((bound > limit) & touching[pet.region]):
        reach = limit + 2 * TIE_MM
        points = tumour.near(pet.centres[group], reach)[0]
        bound[group] = nearest_distances(points, pet.centres[group], reach=reach)
    far: Bools = (bound > limit + TIE_MM) & touching[pet.region]
    return far


def distinct_pairs(first: Int64s, second: Int64s) -> Int64s:
    """Each pair once, sorted, (n, 2)."""
    span = int(second.max(initial=0)) + 1
    return np.stack(np.divmod(sorted_unique(first * span + second), span), axis=-1)


def held_rows(tumour: TumourVoxels, pet: AvidVoxels, chosen: Bools) -> Rows:
    """Rows of avid voxels that hold tumour.

    The nearest voxel of a lesion is no farther than half the diagonal of the lesion's voxel that the centre
    lies in, where it lies in one, else of the avid voxel. ``chosen`` flags the regions that are asked for.
    """
    voxel, lesion = pet.held[chosen[pet.region[pet.held[:, 0]]]].T
    points = pet.centres[voxel]
    inside = tumour.lesion_at(points) == lesion
    reach = np.where(inside, half_diagonal_mm(tumour.grid), half_diagonal_mm(pet.grid))
    which, part = nearest_of(tumour, points, *tumour.parts_of(lesion), reach)
    return voxel[which], part


def nearest_of(
    tumour: TumourVoxels, points: Float64s, which: Int64s, part: Int64s, reach: Float64s
) -> tuple[Int64s, Int64s]:
    """Of pairs of a point and a part of tumour keep those with the point's nearest part, ties included.

    ``reach`` is how far (mm) the nearest part of each point is at most.
    """
    low, high = tumour.part_boxes
    close = box_distance_mm(points[which], low[part], high[part]) <= reach[which] + 2 * TIE_MM
    which, part = which[close], part[close]
    several = np.bincount(which, minlength=len(points))[which] > 1
    asked = sorted_unique(which[several])
    owner, near, mm = parts_near(
        tumour,
        points[asked],
        np.arange(asked.size),
        distance_mm=reach[asked] + TIE_MM,
        among=(np.searchsorted(asked, which[several]), part[several]),
    )
    least = np.full(asked.size, np.inf)
    np.minimum.at(least, owner, mm)
    tie = mm <= least[owner] + TIE_MM
    return np.append(which[~several], asked[owner[tie]]), np.append(part[~several], near[tie])


def nearest_rows(
    tumour: TumourVoxels, pet: AvidVoxels, voxel: Int64s, parts: Int64s | None, *, reach: float
) -> Rows:
    """Rows of the parts nearest to each avid voxel by a tree of tumour voxels, ties included.

    ``reach`` is how far the nearest voxels are thought to be; it only saves work.
    """
    queries = pet.centres[voxel]
    for margin in (reach + 2 * TIE_MM, np.inf):
        points, part = tumour.near(queries, margin, parts)
        if not points.size:
            continue
        query, found, farthest = nearest_points(points, queries, tie=TIE_MM)
        if farthest + TIE_MM <= margin:  # nothing outside the box is nearer
            break
    position, part = distinct_pairs(query, part[found]).T
    return voxel[position], part
