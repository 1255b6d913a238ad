"""Where avid voxels lie among tumour voxels: which ones they hold, how far the nearest is and whose it is.

The geometry of `volstrat.rule.attribution`. Points are voxel centres in LPS mm; distances within 0.001 mm of
the smallest are ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.projection import project
from volstrat.geometry.runs import LabelRuns, sorted_unique
from volstrat.rule.tumour_voxels import NO_PIECE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.spatial import cKDTree

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.tumour_voxels import NearestTumour, TumourVoxels

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Rows = tuple["Int64s", "Int64s", "Int64s"]
"""Candidates: avid voxel (position), lesion, and a piece of the lesion's nearest voxels, or `NO_PIECE` where
the lesion has one marking and its nearest voxel does not matter."""

_NEIGHBOURS = 8
_QUERIES_AT_ONCE = 100_000
_INSIDE = 0.49
"""Share of the smallest spacing that surely lies within a voxel: axes may meet at a cosine of 1e-3."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldTumour:
    """Tumour voxels whose centres lie in avid voxels.

    Parameters
    ----------
    holder : array of int64, (n,)
        The avid voxel, by position.
    run : array of int64, (n,)
        The run of `TumourVoxels` that the tumour voxel is part of.
    voxel : array of int64, (n,)
        The tumour voxel's linear index.
    """

    holder: Int64s
    run: Int64s
    voxel: Int64s


def find_holders(tumour: TumourVoxels, voxels: Int64s, centres: Float64s, avid_grid: VoxelGrid) -> HeldTumour:
    """Find the tumour voxels whose centres lie in avid voxels (``voxels``: rising linear indices)."""
    none = np.empty(0, np.int64)
    if not voxels.size or not tumour.lesion.size:
        return HeldTumour(holder=none, run=none, voxel=none)
    margin = sum(avid_grid.spacing_mm)
    near = ((tumour.low <= centres.max(axis=0) + margin) & (tumour.high >= centres.min(axis=0) - margin)).all(
        1
    )
    runs = LabelRuns(tumour.runs.starts[near], tumour.runs.stops[near], tumour.runs.labels[near])
    projected = project(runs, from_grid=tumour.grid, to_grid=avid_grid)
    position = np.minimum(np.searchsorted(voxels, projected.holders), voxels.size - 1)
    hit = voxels[position] == projected.holders
    return HeldTumour(holder=position[hit], run=projected.labels[hit] - 1, voxel=projected.voxels[hit])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidVoxels:
    """Avid voxels: centres (mm), region, and the pairs (voxel, lesion) of those that hold tumour."""

    grid: VoxelGrid
    centres: Float64s
    region: Int64s
    regions: int
    held: Int64s

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


def touch_mm(tumour_grid: VoxelGrid, avid_grid: VoxelGrid) -> float:
    """Return how far apart the centres of two voxels that touch can be: half of both diagonals, mm."""
    return float(np.linalg.norm(tumour_grid.spacing_mm) + np.linalg.norm(avid_grid.spacing_mm)) / 2


def tumour_distances_mm(
    tumour: TumourVoxels, nearest: NearestTumour, pet: AvidVoxels, distance_mm: float
) -> Float64s:
    """Distance of each avid voxel to the nearest tumour voxel, mm, exact where a limit is near.

    A voxel that holds tumour is nearer than half its diagonal; one in reach of such a voxel is
    bounded by it. Only what these bounds leave open is measured: the limits are twice ``distance_mm``, and in
    regions that hold nothing ``distance_mm`` and `touch_mm`. Beyond all of them the distance is infinite.
    """
    half_diagonal = float(np.linalg.norm(pet.grid.spacing_mm)) / 2 * 1.001
    holds, region_holds = pet.holds, pet.region_holds[pet.region]
    bound = np.where(holds, half_diagonal, np.inf)
    spill = ~holds & region_holds
    if spill.any():
        from scipy.spatial import cKDTree

        bound[spill] = cKDTree(pet.centres[holds]).query(pet.centres[spill])[0] + half_diagonal
    unsure = (bound > 2 * distance_mm) | ~region_holds
    reach = max(2 * distance_mm, touch_mm(tumour.grid, pet.grid)) + 2 * TIE_MM
    for group in _groups(pet.region, unsure):
        low, high = pet.centres[group].min(axis=0), pet.centres[group].max(axis=0)
        points = nearest.in_box(low - reach, high + reach, None)[0]
        bound[group] = _nearest_distance(points, pet.centres[group], reach)
    return bound


def lesions_near(
    nearest: NearestTumour, centres: Float64s, owner: Int64s, *, distance_mm: float
) -> tuple[Int64s, Int64s, Float64s]:
    """Find the lesions within a distance of each set of avid voxels, and how near they come.

    Parameters
    ----------
    centres : array of float64, (n, 3)
        Of avid voxels, LPS mm.
    owner : array of int64, (n,)
        Which set each is part of, or -1.

    Returns
    -------
    owner, lesion : array of int64, (pairs,)
    apart_mm : array of float64, (pairs,)
        The smallest distance of voxel centres.
    """
    reach = distance_mm + TIE_MM
    found: list[tuple[int, int, float]] = []
    for group in _groups(owner, owner >= 0):
        queries = centres[group]
        box = (queries.min(axis=0) - reach, queries.max(axis=0) + reach)
        points, lesion, _ = nearest.in_box(*box, None)
        if points.size:
            from scipy.spatial import cKDTree

            apart = cKDTree(queries).query(points, distance_upper_bound=2 * reach + 1)[0]
            for one in sorted_unique(lesion[apart <= reach]).tolist():
                found.append((int(owner[group[0]]), one, float(apart[lesion == one].min())))
    sets, lesions, mm = zip(*found, strict=True) if found else ((), (), ())
    return np.array(sets, np.int64), np.array(lesions, np.int64), np.array(mm, np.float64)


def distinct_pairs(first: Int64s, second: Int64s) -> Int64s:
    """Each pair once, sorted, (n, 2)."""
    span = int(second.max(initial=0)) + 1
    return np.stack(np.divmod(sorted_unique(first * span + second), span), axis=-1)


def _groups(region: Int64s, chosen: Bools) -> list[Int64s]:
    """Positions of the chosen voxels, region by region."""
    where = np.flatnonzero(chosen)
    order = where[np.argsort(region[where], kind="stable")]
    cuts = np.flatnonzero(np.diff(region[order])) + 1
    return [group for group in np.split(order, cuts) if group.size]


def _nearest_distance(points: Float64s, queries: Float64s, reach: float) -> Float64s:
    if not points.size:
        return np.full(len(queries), np.inf)
    from scipy.spatial import cKDTree

    distance: Float64s = cKDTree(points).query(queries, distance_upper_bound=reach)[0]
    return distance


def held_rows(
    tumour: TumourVoxels, nearest: NearestTumour, pet: AvidVoxels, near: Bools, within: HeldTumour
) -> list[Rows]:
    """Rows of avid voxels that hold tumour; on partly marked lesions with the nearest voxel's piece.

    ``near`` flags the regions that belong to CT tumour.
    """
    chosen = near[pet.region[pet.held[:, 0]]]
    voxel, lesion = pet.held[chosen].T
    whole = ~tumour.partial[lesion]
    rows: list[Rows] = [(voxel[whole], lesion[whole], np.full(int(whole.sum()), NO_PIECE))]
    if whole.all():
        return rows
    pair, piece, sure = _nearest_held(tumour, pet, within)
    kept = chosen[pair] & sure[pair]
    rows.append((pet.held[pair[kept], 0], pet.held[pair[kept], 1], piece[kept]))
    left = chosen & tumour.partial[pet.held[:, 1]] & ~sure
    for part in np.unique(pet.held[left, 1]):
        mine = pet.held[left & (pet.held[:, 1] == part), 0]
        rows.append(nearest_rows(nearest, pet, mine, np.array([part]), reach=None))
    return rows


def _nearest_held(tumour: TumourVoxels, pet: AvidVoxels, within: HeldTumour) -> tuple[Int64s, Int64s, Bools]:
    """Pieces of the nearest tumour voxels that are held, of partly marked lesions.

    What lies outside an avid voxel is at least half its smallest spacing from its centre: a held tumour
    voxel closer than that is the lesion's nearest.

    Returns
    -------
    pair, piece : array of int64, (n,)
        Position in ``pet.held``, and the piece.
    sure : array of bool, (pairs,)
        Of which pairs the nearest voxel is known so.
    """
    asked = tumour.partial[tumour.lesion[within.run]]
    holder, run, voxel = within.holder[asked], within.run[asked], within.voxel[asked]
    span = int(tumour.lesion.max()) + 1
    pair = np.searchsorted(pet.held[:, 0] * span + pet.held[:, 1], holder * span + tumour.lesion[run])
    apart = np.empty(holder.size)
    for part in (slice(n, n + _QUERIES_AT_ONCE) for n in range(0, holder.size, _QUERIES_AT_ONCE)):
        at = tumour.grid.to_mm(tumour.grid.unravel(voxel[part]))
        apart[part] = np.linalg.norm(at - pet.centres[holder[part]], axis=1)
    closest = np.full(len(pet.held), np.inf)
    np.minimum.at(closest, pair, apart)
    tie = apart <= closest[pair] + TIE_MM
    sure = closest + 2 * TIE_MM < _INSIDE * min(pet.grid.spacing_mm)
    rows = distinct_pairs(pair[tie], tumour.piece[run[tie]])
    return rows[:, 0], rows[:, 1], sure


def spill_rows(
    tumour: TumourVoxels, nearest: NearestTumour, pet: AvidVoxels, near: Bools, distance: Float64s
) -> list[Rows]:
    """Rows of avid voxels that hold no tumour in regions that do: the nearest lesions held.

    ``distance`` is what `tumour_distances_mm` knows of each avid voxel.
    """
    rows: list[Rows] = []
    held_region = pet.region[pet.held[:, 0]]
    owned = distinct_pairs(held_region, pet.held[:, 1])
    for group in _groups(pet.region, ~pet.holds & (near & pet.region_holds)[pet.region]):
        candidates = owned[owned[:, 0] == pet.region[group[0]], 1]
        if candidates.size == 1 and not tumour.partial[candidates[0]]:
            rows.append((group, np.full(group.size, candidates[0]), np.full(group.size, NO_PIECE)))
        else:
            reach = float(distance[group].max())
            rows.append(nearest_rows(nearest, pet, group, candidates, reach=reach))
    return rows


def nearest_rows(
    nearest: NearestTumour, pet: AvidVoxels, voxel: Int64s, lesions: Int64s | None, *, reach: float | None
) -> Rows:
    """Rows of the lesions nearest to each avid voxel, ties included.

    ``reach`` is how far the nearest voxels are thought to be; it only saves work.
    """
    if not voxel.size:
        none = np.empty(0, np.int64)
        return none, none, none
    from scipy.spatial import cKDTree

    queries = pet.centres[voxel]
    low, high = queries.min(axis=0), queries.max(axis=0)
    for margin in (np.inf if reach is None else reach + 2 * TIE_MM, np.inf):
        points, owner, piece = nearest.in_box(low - margin, high + margin, lesions)
        if not points.size:
            continue
        tree = cKDTree(points)
        pairs = []
        farthest = 0.0
        for begin in range(0, len(queries), _QUERIES_AT_ONCE):
            query, found, apart = _nearest_points(tree, queries[begin : begin + _QUERIES_AT_ONCE])
            pairs.append((begin + query, found))
            farthest = max(farthest, apart)
        if farthest + TIE_MM <= margin:  # nothing outside the box is nearer
            break
    query, found = (np.concatenate(column) for column in zip(*pairs, strict=True))
    lesion_count, piece_count = int(owner.max()) + 1, int(piece.max()) + 2
    key = sorted_unique((query * lesion_count + owner[found]) * piece_count + piece[found] - NO_PIECE)
    key, piece_key = np.divmod(key, piece_count)
    position, lesion = np.divmod(key, lesion_count)
    return voxel[position], lesion, piece_key + NO_PIECE


def _nearest_points(tree: cKDTree, queries: Float64s) -> tuple[Int64s, Int64s, float]:
    """Pairs of query and point where no other point is nearer, ties included; the largest such distance."""
    count = min(_NEIGHBOURS, tree.n)
    distance, index = tree.query(queries, k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    tie = distance <= distance[:, :1] + TIE_MM
    crowded = tie[:, -1] & (count < tree.n)
    tie[crowded] = False
    query, column = np.nonzero(tie)
    found = index[query, column]
    for n in np.flatnonzero(crowded).tolist():  # more ties than neighbours asked for
        ball = np.array(tree.query_ball_point(queries[n], distance[n, 0] + TIE_MM), dtype=np.int64)
        query, found = np.append(query, np.full(ball.size, n)), np.append(found, ball)
    return query, found, float(distance[:, 0].max(initial=0.0))
