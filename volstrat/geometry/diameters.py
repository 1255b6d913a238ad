"""Longest 3D and axial diameters of lesions, exact between voxel centres.

Only vertices of a convex hull can be the ends of a longest diameter. Row ends are thinned to
points that may be hull vertices by comparing each with its neighbours along the two slower axes,
for all slices of all lesions at once and in integer arithmetic; the few that stay are compared
pair by pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import begins_of, expand, order_by, split_index

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int32s, Int64s
    from volstrat.geometry.grid import VoxelGrid


_ROUNDS = 16
_PAIRS_AT_ONCE = 1 << 16  # fits the cache, and is too small for a BLAS to start threads
_DIRECTIONS = 8


def longest_diameters_mm(
    grid: VoxelGrid, starts: Int64s, stops: Int64s, lesion: Int64s, count: int
) -> tuple[Float64s, Float64s]:
    """Return the longest 3D and the longest axial diameter of each lesion, (count,) in mm.

    Runs ``starts``, ``stops`` (n,) are cut at row ends; ``lesion`` (n,) is that of each, 0 to ``count - 1``.
    Measured between voxel centres, which errs least of the simple choices (-0.1 to -0.4 mm for spheres at 1.5
    mm slices; 0 for a single voxel). Axial means within one plane of the lattice axis closest to the
    patient's head-foot axis.
    """
    if not starts.size:
        return np.zeros(count), np.zeros(count)
    metric = grid.affine[:3, :3].T @ grid.affine[:3, :3]
    rows = _row_extremes(grid, starts, stops, lesion)
    in_slices = _thin(rows, group_axis=2, along_axis=1)
    hull = _thin(in_slices, group_axis=1, along_axis=2)
    longest = _longest_pairs(hull[:, 0], hull[:, 1:4], metric, count)
    axis = grid.axial_axis
    if axis == 2:
        planar = in_slices
    elif axis == 1:
        planar = _thin(rows, group_axis=1, along_axis=2)
    else:
        planar = _thin(
            _column_extremes(grid, starts, stops, lesion), group_axis=0, along_axis=2, height_axis=1
        )
    return longest, _longest_in_planes(planar, axis, metric, count)


def _row_extremes(grid: VoxelGrid, starts: Int64s, stops: Int64s, lesion: Int64s) -> Int32s:
    """First and last voxel of each lesion in each row: columns lesion, i, j, k, side (-1, 1)."""
    ni, nj, _ = grid.shape
    order = np.argsort(starts, kind="stable")
    order = order[order_by(lesion[order])]
    starts, stops, lesion = starts[order], stops[order], lesion[order]
    first = np.flatnonzero(begins_of(starts // ni, lesion))
    last = np.concatenate((first[1:], [starts.size])) - 1
    low, j, k = split_index(starts[first], ni, nj)
    high = low + stops[last] - 1 - starts[first]
    return _two_sided(lesion[first], np.stack([low, j, k]), np.stack([high, j, k]))


def _column_extremes(grid: VoxelGrid, starts: Int64s, stops: Int64s, lesion: Int64s) -> Int32s:
    """First and last voxel along ``j`` for each lesion, i and k (for grids stored with i head-foot)."""
    ni, nj, nk = grid.shape
    owner = np.repeat(lesion, stops - starts)
    i, j, k = split_index(expand(starts, stops), ni, nj)
    column = (owner * nk + k) * ni + i
    order = np.lexsort((j, column))
    column, j = column[order], j[order]
    first = np.flatnonzero(begins_of(column))
    last = np.concatenate((first[1:], [column.size])) - 1
    i, k, owner = split_index(column[first], ni, nk)
    return _two_sided(owner, np.stack([i, j[first], k]), np.stack([i, j[last], k]))


def _two_sided(lesion: Int64s, low: Int64s, high: Int64s) -> Int32s:
    points = np.empty((2, lesion.size, 5), dtype=np.int32)
    points[:, :, 0] = lesion
    points[0, :, 1:4], points[1, :, 1:4] = low.T, high.T
    points[:, :, 4] = [[-1], [1]]
    return points.reshape(-1, 5)


def _thin(points: Int32s, *, group_axis: int, along_axis: int, height_axis: int = 0) -> Int32s:
    """Drop points that lie inside the outline of their plane.

    The plane is one index of ``group_axis``; in it a point is dropped if it lies on or inside the
    chord of its two neighbours along ``along_axis``. Every dropped point is no hull vertex, so
    dropping many at once leaves the hull as it was.
    """
    lesion, side = points[:, 0], points[:, 4]
    group, along = points[:, 1 + group_axis], points[:, 1 + along_axis]
    kept = np.lexsort((along, group, lesion, side))
    height = (points[:, 1 + height_axis] * side)[kept].astype(np.int64)
    along = along[kept].astype(np.int64)
    outline = np.cumsum(begins_of(side[kept], lesion[kept], group[kept]), dtype=np.int32)
    for _ in range(_ROUNDS):
        run = along[1:-1] - along[:-2]
        rise = (height[1:-1] - height[:-2]) * (along[2:] - along[:-2])
        inside = (outline[:-2] == outline[2:]) & (rise <= (height[2:] - height[:-2]) * run)
        if not inside.any():
            break
        stay = np.ones(kept.size, dtype=bool)
        stay[1:-1] = ~inside
        kept, height, along, outline = kept[stay], height[stay], along[stay], outline[stay]
    return points[kept]


def _longest_pairs(lesion: Int32s, index: Int32s, metric: Float64s, count: int) -> Float64s:
    """Longest distance between two points of each lesion, mm."""
    longest = np.zeros(count)
    order = order_by(lesion)
    lesion, index = lesion[order], index[order]
    edge = np.searchsorted(lesion, np.arange(count + 1))
    several = np.flatnonzero(_has_extent(index, edge))
    for n in several.tolist():
        longest[n] = _farthest(index[edge[n] : edge[n + 1]], metric)
    return longest


def _has_extent(index: Int32s, edge: Int64s) -> Bools:
    """Tell which lesions are more than one voxel."""
    filled = np.flatnonzero(np.diff(edge))
    wide = np.zeros(edge.size - 1, dtype=bool)
    if filled.size:
        low = np.minimum.reduceat(index, edge[filled], axis=0)
        high = np.maximum.reduceat(index, edge[filled], axis=0)
        wide[filled] = (low != high).any(axis=1)
    return wide


def _farthest(index: Int32s, metric: Float64s) -> float:
    """Longest distance within one set of points, mm."""
    # In these coordinates distance is Euclidean, and all pairs are one matrix product.
    points = (index - index[0]) @ np.linalg.cholesky(metric)
    points -= points.mean(axis=0)
    squared = (points**2).sum(axis=1)
    kept = _may_be_ends(points, squared)
    index, points, squared = index[kept], points[kept], squared[kept]
    ends, longest = (0, 0), -1.0
    step = max(1, _PAIRS_AT_ONCE // len(points))
    for begin in range(0, len(points), step):
        gap = points[begin : begin + step] @ (-2 * points.T)
        gap += squared
        gap += squared[begin : begin + step, None]
        at = int(gap.argmax())
        if gap.flat[at] > longest:
            longest = float(gap.flat[at])
            ends = (begin + at // len(points), at % len(points))
    apart = (index[ends[0]] - index[ends[1]]).astype(np.float64)
    return float(np.sqrt(apart @ metric @ apart))


def _may_be_ends(points: Float64s, squared: Float64s) -> Bools:
    """Leave out points too near the middle to be an end of a longest pair; ``squared``: distances from there.

    The way across by the farthest point is a lower bound of it.
    """
    from_middle = np.sqrt(squared)
    across = from_middle.max()
    farthest = points[from_middle.argmax()]
    for _ in range(2):
        apart = np.sqrt(((points - farthest) ** 2).sum(axis=1))
        farthest = points[apart.argmax()]
    kept: Bools = from_middle >= (apart.max() - across) * (1 - 1e-9)
    return kept


def _longest_in_planes(points: Int32s, axis: int, metric: Float64s, count: int) -> Float64s:
    """Longest distance between two points of one lesion in one plane, over its planes, mm.

    A plane's widths along eight directions bound its diameter within 2 %; only planes that may hold
    their lesion's longest one are compared pair by pair.
    """
    longest = np.zeros(count)
    plane = points[:, 1 + axis]
    order = np.lexsort((plane, points[:, 0]))
    points, plane = points[order], plane[order]
    lesion = points[:, 0]
    flat = points[:, [1 + a for a in range(3) if a != axis]] @ np.linalg.cholesky(
        np.delete(np.delete(metric, axis, axis=0), axis, axis=1)
    )
    first = np.flatnonzero(begins_of(plane, lesion))
    owner = lesion[first]
    size = np.diff(np.concatenate((first, [lesion.size])))
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    along = flat @ np.stack((np.cos(angles), np.sin(angles)))
    width = (np.maximum.reduceat(along, first) - np.minimum.reduceat(along, first)).max(axis=1)
    at_least = np.zeros(count)
    np.maximum.at(at_least, owner, width)
    at_most = width / np.cos(np.pi / (2 * _DIRECTIONS))
    worth = np.flatnonzero(at_most >= at_least[owner] * (1 - 1e-9))
    # Some at a time, of about equal, bounded cost.
    bound = np.cumsum(size[worth] ** 2) // _PAIRS_AT_ONCE
    for chosen in np.split(worth, np.flatnonzero(np.diff(bound)) + 1):
        per_point = np.repeat(size[chosen], size[chosen])
        left = np.repeat(expand(first[chosen], first[chosen] + size[chosen]), per_point)
        begins = np.repeat(first[chosen], size[chosen])
        gap = flat[left] - flat[expand(begins, begins + per_point)]
        np.maximum.at(longest, lesion[left], np.hypot(gap[:, 0], gap[:, 1]))
    return longest
