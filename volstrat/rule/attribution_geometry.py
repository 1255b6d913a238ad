"""Where avid voxels lie among tumour voxels: which ones they hold, how far the nearest is and whose it is.

The geometry of `volstrat.rule.attribution`. Points are voxel centres in LPS mm; distances within 0.001 mm of
the smallest are ties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.nearest import nearest_distances, nearest_points
from volstrat.geometry.projection import holders_of_runs, project_into
from volstrat.geometry.runs import VoxelRuns, expand, sorted_unique
from volstrat.rule.tumour_voxels import box_distance_mm, meeting_boxes, parts_near

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.tumour_voxels import TumourVoxels


Rows = tuple["Int64s", "Int64s"]
"""Candidates: avid voxel (position), and the part of tumour that its nearest voxels are of."""
_MOST_PAIRS = 2_000_000
"""Of a voxel and a tumour run, in one region; beyond, a tree is quicker."""
_MOST_HOLDERS, _MOST_BOUNDS = 64, 200_000
"""Of a region's voxels that hold a lesion: so many bound how far the others are, in so many pairs."""


@frozen(eq=False)
class AvidVoxels:
    """Avid voxels where they lie."""

    grid: VoxelGrid
    voxels: Int64s  # (n,): linear indices, rising
    centres: Float64s  # (n, 3): LPS mm
    region: Int64s  # (n,)
    regions: int
    held: Int64s  # (pairs, 2): avid voxel (position) and lesion, of those that hold tumour; sorted

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

    def by_region(self, chosen: Bools) -> list[Int64s]:
        """Return the positions of the chosen voxels, region by region."""
        where = np.flatnonzero(chosen)
        order = where[np.argsort(self.region[where], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.region[order])) + 1
        return [group for group in np.split(order, cuts) if group.size]


def held_pairs(tumour: TumourVoxels, voxels: Int64s, grid: VoxelGrid) -> Int64s:
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
    for group in pet.by_region((bound > limit) & touching[pet.region]):
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


def spill_rows(
    tumour: TumourVoxels, pet: AvidVoxels, chosen: Bools, touched: tuple[Int64s, Int64s]
) -> list[Rows]:
    """Rows of avid voxels that hold no tumour: the nearest of the lesions that the region holds, or of all.

    Parameters
    ----------
    chosen : array of bool, (regions,)
        Those that are asked for.
    touched : tuple of array of int64, (pairs,)
        Regions that hold no tumour, by rising number, and lesions that they touch.
    """
    voxel = np.flatnonzero(chosen[pet.region] & ~pet.holds)
    points, region = pet.centres[voxel], pet.region[voxel]
    hard = np.zeros(pet.regions, dtype=bool)
    which, part, reach = _held_by_region(tumour, pet, points, region)
    _mark_hard(hard, tumour, region[which], part)
    lost = np.flatnonzero(~pet.region_holds[region])
    other, beside, reach[lost] = _beside_lost(tumour, points[lost], region[lost], hard, touched)
    which, part = np.append(which, lost[other]), np.append(part, beside)
    _mark_hard(hard, tumour, region[which], part)
    rows = [
        _by_tree(tumour, pet, group, float(reach[np.searchsorted(voxel, group)].max()))
        for group in pet.by_region(hard[pet.region] & chosen[pet.region] & ~pet.holds)
    ]
    easy = ~hard[region[which]]
    which, part = nearest_of(tumour, points, which[easy], part[easy], reach)
    return [*rows, (voxel[which], part)]


def _mark_hard(hard: Bools, tumour: TumourVoxels, region: Int64s, part: Int64s) -> None:
    """Flag regions with too much to compare."""
    runs = np.diff(tumour.by_part.edge)
    hard |= np.bincount(region, runs[part], minlength=hard.size) > _MOST_PAIRS


def _held_by_region(
    tumour: TumourVoxels, pet: AvidVoxels, points: Float64s, region: Int64s
) -> tuple[Int64s, Int64s, Float64s]:
    """Pairs of point and part of a lesion that its region holds, and how far (mm) the nearest is at most.

    No farther than a voxel that holds it, and half that voxel's diagonal.
    """
    key = pet.region[pet.held[:, 0]] * tumour.lesions + pet.held[:, 1]
    order = np.argsort(key, kind="stable")
    key = key[order]
    owner, lesion = np.divmod(key, max(tumour.lesions, 1))
    begins = np.searchsorted(key, key)
    nth, each = np.arange(key.size) - begins, np.searchsorted(key, key, side="right") - begins
    asked = np.maximum(np.bincount(region, minlength=pet.regions), 1)
    some = nth % -(-each // np.clip(_MOST_BOUNDS // asked, 1, _MOST_HOLDERS)[owner]) == 0
    holder = pet.centres[pet.held[order[some], 0]]
    which, at = _of_sets(owner[some], region, pet.regions)
    reach = np.full(region.size, np.inf)
    apart = np.linalg.norm(points[which] - holder[at], axis=1)
    np.minimum.at(reach, which, apart + half_diagonal_mm(pet.grid))
    which, at = _of_sets(owner[nth == 0], region, pet.regions)
    position, part = tumour.parts_of(lesion[nth == 0][at])
    return which[position], part, reach


def _beside_lost(
    tumour: TumourVoxels, points: Float64s, region: Int64s, hard: Bools, touched: tuple[Int64s, Int64s]
) -> tuple[Int64s, Int64s, Float64s]:
    """Pairs of point and part of regions that hold none, and how far (mm) the nearest part is at most.

    The lesion that a region touches bounds it. Regions that are ``hard``, or found to be, have neither.
    """
    reach = np.full(region.size, np.inf)
    which, at = _of_sets(touched[0], region, hard.size)
    position, part = tumour.parts_of(touched[1][at])
    which = which[position]
    _mark_hard(hard, tumour, region[which], part)
    easy = ~hard[region[which]]
    which, part = which[easy], part[easy]
    asked = sorted_unique(which)
    owner, _, mm = parts_near(
        tumour,
        points[asked],
        np.arange(asked.size),
        distance_mm=np.inf,
        among=(np.searchsorted(asked, which), part),
    )
    np.minimum.at(reach, asked[owner], mm)
    box = reach[asked, None] + 2 * TIE_MM
    pair, part = meeting_boxes(points[asked] - box, points[asked] + box, *tumour.part_boxes)
    return asked[pair], part, reach


def _of_sets(owner: Int64s, asked: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """Pairs of a position in ``asked``, and one in ``owner`` (rising) of the same set."""
    edge = np.searchsorted(owner, np.arange(count + 1))
    each = edge[asked + 1] - edge[asked]
    return np.repeat(np.arange(asked.size), each), expand(edge[asked], edge[asked + 1])


def _by_tree(tumour: TumourVoxels, pet: AvidVoxels, group: Int64s, reach: float) -> Rows:
    """Rows of one region's voxels by a tree of the tumour voxels round them."""
    held = sorted_unique(pet.held[pet.region[pet.held[:, 0]] == pet.region[group[0]], 1])
    if held.size:
        return nearest_rows(tumour, pet, group, tumour.parts_of(held)[1], reach=reach)
    points = pet.centres[group]
    across = float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))
    return nearest_rows(tumour, pet, group, None, reach=touch_mm(tumour.grid, pet.grid) + across)
