"""Tumour voxels by lesion and piece: which of them come near to points, and how near.

Many sets of points at once, run by run of tumour; or what can be nearest to some points, for a tree.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.nearest import nearest_distances
from volstrat.geometry.runs import VoxelRuns, cut_at, expand, ranked, sorted_unique, split_rows
from volstrat.rule.markings import NO_WORD

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.markings import TumourPieces

    Near = tuple[Int64s, Int64s, Float64s]


NO_PIECE = -1
_BESIDE_MM = 0.02
"""So near a voxel's face a point may have the voxels on both sides as nearest, within a tie."""
_AT_ONCE = 300_000
"""Pairs of a point and a tumour run."""
_MOST_PAIRS = 2_000_000
"""Of one set and one part; beyond, a tree is quicker."""
_ROUNDING_MM = 1e-6
_BEYOND_MM = 1e5
"""Farther than any two points of a patient."""


class TumourVoxels:
    """Tumour voxels by *part*: a lesion drawn with one marking, or each piece of another one.

    What only distances need is worked out once, when it is needed.
    """

    def __init__(self, grid: VoxelGrid, pieces: TumourPieces) -> None:
        order = np.argsort(pieces.starts, kind="stable")
        self.grid = grid
        self.pieces = pieces
        self.lesions = pieces.drawn.size
        self.starts, self.stops, run = split_rows(
            pieces.starts[order], pieces.stops[order], grid.shape[0], order
        )
        self.lesion, self.whole_piece = pieces.lesion[run], pieces.piece[run]
        partial = pieces.drawn[self.lesion] == NO_WORD
        span = pieces.voxels.size + 1
        keys, self.part = ranked(
            self.lesion * span + np.where(partial, self.whole_piece, NO_PIECE) - NO_PIECE
        )
        self.part_lesion, piece = np.divmod(keys, span)  # (parts,), rising
        self.part_piece = piece + NO_PIECE

    def parts_of(self, lesion: Int64s) -> tuple[Int64s, Int64s]:
        """Return pairs of a position in ``lesion``, and a part of that lesion."""
        first = np.searchsorted(self.part_lesion, lesion)
        past = np.searchsorted(self.part_lesion, lesion, side="right")
        return np.repeat(np.arange(lesion.size), past - first), expand(first, past)

    def lesion_at(self, points_mm: Float64s) -> Int64s:
        """Return a lesion whose voxel each point lies in; -1 where there is none."""
        at = self.grid.voxel_at(self.grid.to_index(points_mm))
        linear = np.where(at[:, 0] < 0, -1, self.grid.ravel(at))
        run = np.searchsorted(self.starts, linear, side="right") - 1
        return np.where((run >= 0) & (linear < self.stops[run]), self.lesion[run], -1)

    @cached_property
    def by_part(self) -> PartRuns:
        """All runs, part by part."""
        return self._part_runs(np.arange(self.starts.size), self.starts, self.stops)

    @cached_property
    def part_boxes(self) -> tuple[Float64s, Float64s]:
        """Lowest and highest coordinates of each part's voxel centres, mm; (parts, 3)."""
        runs = self.by_part
        if not runs.starts.size:
            return np.empty((0, 3)), np.empty((0, 3))
        return (np.minimum.reduceat(runs.low, runs.edge[:-1]), np.maximum.reduceat(runs.high, runs.edge[:-1]))

    def near(
        self, points_mm: Float64s, reach_mm: float, parts: Int64s | None = None
    ) -> tuple[Float64s, Int64s]:
        """Return centres (mm) and parts of what can be nearest to points, within reach of the box round them.

        A voxel whose six neighbours are of the same lesion is farther from any point outside of it than one
        of these is. So it is the surface, and the voxels that the points lie in; of these ``parts`` only.
        """
        low, high = points_mm.min(axis=0) - reach_mm, points_mm.max(axis=0) + reach_mm
        those = np.flatnonzero(_meet(*self.part_boxes, low, high))
        if parts is not None:
            those = those[np.isin(those, parts)]
        surface = self._surface
        run = expand(surface.edge[those], surface.edge[those + 1])
        run = run[_meet(surface.low[run], surface.high[run], low, high)]
        starts, stops = surface.starts[run], surface.stops[run]
        voxel, run = expand(starts, stops), np.repeat(surface.run[run], stops - starts)
        held = self._inner_at(points_mm)
        if held.size:
            holder = np.searchsorted(self.starts, held, side="right") - 1
            asked = np.isin(self.part[holder], those)
            voxel, run = np.append(voxel, held[asked]), np.append(run, holder[asked])
        return self.grid.to_mm(self.grid.unravel(voxel)), self.part[run]

    @cached_property
    def _inner(self) -> VoxelRuns:
        return VoxelRuns.empty() if self.pieces.overlapping else _inner_voxels(self)

    @cached_property
    def _surface(self) -> PartRuns:
        cuts = np.concatenate((self._inner.starts, self._inner.stops))
        starts, stops, run = cut_at(self.starts, self.stops, cuts)
        kept = ~self._inner.contains(starts)
        return self._part_runs(run[kept], starts[kept], stops[kept])

    def _part_runs(self, run: Int64s, starts: Int64s, stops: Int64s) -> PartRuns:
        part = self.part[run]
        order = np.argsort(part, kind="stable")
        starts, stops, run = starts[order], stops[order], run[order]
        first = self.grid.unravel(starts)
        last = first.copy()
        last[:, 0] += stops - starts - 1
        ends = self.grid.to_mm(first), self.grid.to_mm(last)
        ni, nj, nk = self.grid.shape
        return PartRuns(
            starts=starts,
            stops=stops,
            run=run,
            row=part[order] * (nj * nk) + starts // ni,
            first_mm=ends[0],
            low=np.minimum(*ends),
            high=np.maximum(*ends),
            edge=np.searchsorted(part[order], np.arange(self.part_lesion.size + 1)),
        )

    def _inner_at(self, points_mm: Float64s) -> Int64s:
        """Inner voxels that points lie in, or beside within a hair."""
        if not self._inner:
            return np.empty(0, np.int64)
        index = self.grid.to_index(points_mm) + 0.5
        hair = _BESIDE_MM / np.array(self.grid.spacing_mm)
        shape = np.array(self.grid.shape)
        found = []
        for side in product((-1, 1), repeat=3):
            at = np.floor(index + hair * side).astype(np.int64)
            at = at[((at >= 0) & (at < shape)).all(axis=1)]
            found.append(self.grid.ravel(at))
        held = sorted_unique(np.concatenate(found))
        inner: Int64s = held[self._inner.contains(held)]
        return inner


@frozen(eq=False)
class PartRuns:
    """Runs of tumour voxels, part by part, each by rising start."""

    # starts, stops, run, (n,): ``run`` is the run of `TumourVoxels` that each is part of
    starts: Int64s
    stops: Int64s
    run: Int64s
    row: Int64s  # (n,): row of the grid that each lies in, every part's rows after those of the one before
    # first_mm, low, high, (n, 3): centre of the first voxel, lowest and highest coordinates of voxel centres
    first_mm: Float64s
    low: Float64s
    high: Float64s
    edge: Int64s  # (parts + 1,): those of a part lie between two edges


def _meet(low: Float64s, high: Float64s, box_low: Float64s, box_high: Float64s) -> Bools:
    """Tell which boxes (n, 3) meet another one; axis by axis, which is quicker than all at once."""
    found = np.ones(low.shape[0], dtype=bool)
    for axis in range(3):
        found &= (low[:, axis] <= box_high[axis]) & (high[:, axis] >= box_low[axis])
    return found


def _inner_voxels(tumour: TumourVoxels) -> VoxelRuns:
    """Voxels whose six neighbours are of the same lesion, of lesions that do not overlap."""
    ni, nj, nk = tumour.grid.shape
    lane = tumour.lesion * (ni * nj * (nk + 2))  # so far apart that lesions never meet
    voxels = VoxelRuns.from_intervals(tumour.starts + lane, tumour.stops + lane)
    inner = voxels
    for step in (ni, ni * nj):
        for by in (-step, step):
            inner = inner.intersection(_moved(voxels, by))
    starts, stops, _ = split_rows(inner.starts, inner.stops, ni)
    index = starts % (ni * nj * (nk + 2))
    row = index // ni
    j, k = row % nj, row // nj
    kept = (j > 0) & (j < nj - 1) & (k > 0) & (k < nk - 1) & (stops - starts > 2)
    first = index[kept] + 1
    return VoxelRuns.from_intervals(first, first + (stops - starts)[kept] - 2)


def _moved(voxels: VoxelRuns, by: int) -> VoxelRuns:
    return VoxelRuns(voxels.starts + by, voxels.stops + by)


def lesions_near(
    tumour: TumourVoxels, points_mm: Float64s, owner: Int64s, *, distance_mm: float | Float64s
) -> Near:
    """Find the lesions within a distance of each set of points, and how near they come.

    Parameters and result are those of `parts_near`, with lesions in place of parts.
    """
    owner, part, mm = parts_near(tumour, points_mm, owner, distance_mm=distance_mm)
    pairs, pair = ranked(owner * tumour.lesions + tumour.part_lesion[part])
    least = np.full(pairs.size, np.inf)
    np.minimum.at(least, pair, mm)
    owner, lesion = np.divmod(pairs, max(tumour.lesions, 1))
    return owner, lesion, least


def parts_near(
    tumour: TumourVoxels,
    points_mm: Float64s,
    owner: Int64s,
    *,
    distance_mm: float | Float64s,
    among: tuple[Int64s, Int64s] | None = None,
) -> Near:
    """Find the parts of tumour within a distance of each set of points, and how near they come.

    Parameters
    ----------
    points_mm : array of float64, (n, 3)
        LPS mm.
    owner : array of int64, (n,)
        Which set each point is part of, or -1.
    distance_mm : float or array of float64
        For all sets, or by rising set; 0.001 mm is allowed on it.
    among : tuple of array of int64, optional
        Sets and parts to look at, in place of all that come near.

    Returns
    -------
    owner, part : array of int64, (pairs,)
        By rising owner.
    apart_mm : array of float64, (pairs,)
        The smallest distance of a point and a tumour voxel centre.
    """
    order = np.flatnonzero(owner >= 0)
    order = order[np.argsort(owner[order], kind="stable")]
    if not order.size or not tumour.starts.size:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    points, owners = points_mm[order], owner[order]
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    edge = np.append(first, owners.size)
    reach = np.minimum(np.broadcast_to(distance_mm, first.shape), _BEYOND_MM) + TIE_MM
    low, high = np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)
    if among is None:
        which, part = meeting_boxes(low - reach[:, None], high + reach[:, None], *tumour.part_boxes)
    else:
        which, part = np.searchsorted(owners[first], among[0]), among[1]
    mm = np.full(which.size, np.inf)
    half = ((high - low) / 2 + reach[:, None]) @ np.abs(tumour.grid.inverse[:3, :3]).T
    rows = (2 * half[:, 1:] + 2).prod(axis=1)  # of the grid that meet a set's box
    size = np.cumsum(np.minimum(np.diff(tumour.by_part.edge)[part], rows[which])) // _AT_ONCE
    for n in range(int(size.max(initial=-1)) + 1):
        here = slice(*np.searchsorted(size, (n, n + 1)).tolist())
        span = edge[which[here]], edge[which[here] + 1]
        mm[here] = _apart(tumour, points, span, part[here], reach[which[here]])
    near = mm <= reach[which]
    return owners[first][which[near]], part[near], mm[near]


def meeting_boxes(
    low: Float64s, high: Float64s, other_low: Float64s, other_high: Float64s
) -> tuple[Int64s, Int64s]:
    """Pairs of boxes (n, 3) and other boxes (m, 3) that meet, by rising number of the first."""
    order = np.argsort(other_low[:, 2], kind="stable")
    begins = other_low[order, 2]
    tallest = float((other_high - other_low)[:, 2].max(initial=0.0))
    first = np.searchsorted(begins, low[:, 2] - tallest, side="left")
    past = np.maximum(np.searchsorted(begins, high[:, 2], side="right"), first)
    one, other = np.repeat(np.arange(low.shape[0]), past - first), order[expand(first, past)]
    for axis in (2, 1, 0):
        met = (low[one, axis] <= other_high[other, axis]) & (high[one, axis] >= other_low[other, axis])
        one, other = one[met], other[met]
    return one, other


def box_distance_mm(points: Float64s, low: Float64s, high: Float64s) -> Float64s:
    """Distance of each point (n, 3) to a box; nothing in the box is nearer."""
    away = np.maximum(np.maximum(low - points, points - high), 0)
    distance: Float64s = np.sqrt((away**2).sum(axis=1))
    return distance


def _apart(
    tumour: TumourVoxels, points: Float64s, span: tuple[Int64s, Int64s], part: Int64s, reach: Float64s
) -> Float64s:
    """Smallest distance (mm) between points ``span[0][n]`` to ``span[1][n]`` and ``part[n]``.

    Infinite, or too large, beyond reach.
    """
    least = np.full(part.size, np.inf)
    pair, point = _close_points(tumour, points, span, part, reach)
    run, run_edge = _close_runs(tumour, points[point], pair, part, reach)
    each = np.diff(run_edge)
    large = each * np.bincount(pair, minlength=part.size) > _MOST_PAIRS
    for n in np.flatnonzero(large).tolist():
        least[n] = _by_tree(tumour, points[point[pair == n]], int(part[n]), float(reach[n]))
    kept = ~large[pair] & (each[pair] > 0)
    pair, point = pair[kept], point[kept]
    chunk = np.cumsum(each[pair]) // _AT_ONCE
    for n in range(int(chunk.max(initial=-1)) + 1):
        here = slice(*np.searchsorted(chunk, (n, n + 1)).tolist())
        runs = run[expand(run_edge[pair[here]], run_edge[pair[here] + 1])]
        many = each[pair[here]]
        of_pair, of_point = np.repeat(pair[here], many), np.repeat(point[here], many)
        rough, along = _to_runs(tumour, points[of_point], runs)
        best = np.full(part.size, np.inf)
        np.minimum.at(best, of_pair, rough)
        last = np.flatnonzero(rough <= best[of_pair] + _ROUNDING_MM)
        voxel = tumour.by_part.starts[runs[last]] + along[last]
        to = tumour.grid.to_mm(tumour.grid.unravel(voxel)) - points[of_point[last]]
        np.minimum.at(least, of_pair[last], np.sqrt((to**2).sum(axis=1)))
    return least


def _close_points(
    tumour: TumourVoxels, points: Float64s, span: tuple[Int64s, Int64s], part: Int64s, reach: Float64s
) -> tuple[Int64s, Int64s]:
    """Pairs of set and part, by number, with the points of the set in reach of the part's box."""
    low, high = tumour.part_boxes
    pair, point = np.repeat(np.arange(part.size), span[1] - span[0]), expand(*span)
    for axis in (2, 1, 0):
        at, of = points[point, axis], part[pair]
        kept = (at >= low[of, axis] - reach[pair]) & (at <= high[of, axis] + reach[pair])
        pair, point = pair[kept], point[kept]
    return pair, point


def _close_runs(
    tumour: TumourVoxels, points: Float64s, pair: Int64s, part: Int64s, reach: Float64s
) -> tuple[Int64s, Int64s]:
    """Find the runs of each pair's part in reach of the box round its points; returns edges too.

    They are looked up by their rows, slice by slice: a large part has many, and a point is near to few.
    """
    low, high = np.full((part.size, 3), np.inf), np.full((part.size, 3), -np.inf)
    np.minimum.at(low, pair, points)
    np.maximum.at(high, pair, points)
    asked = np.flatnonzero(low[:, 0] <= high[:, 0])
    low, high = low[asked], high[asked]
    middle = tumour.grid.to_index((low + high) / 2)
    half = ((high - low) / 2 + reach[asked, None]) @ np.abs(tumour.grid.inverse[:3, :3]).T
    last = np.array(tumour.grid.shape) - 1
    first = np.clip(np.ceil(middle - half - _ROUNDING_MM), 0, last + 1).astype(np.int64)
    past = np.clip(np.floor(middle + half + _ROUNDING_MM), -1, last).astype(np.int64) + 1
    _, nj, nk = tumour.grid.shape
    row_of_run, edge = tumour.by_part.row, tumour.by_part.edge
    begins, ends = row_of_run[edge[part[asked]]], row_of_run[edge[part[asked] + 1] - 1]
    k = np.maximum(first[:, 2], begins // nj % nk)
    slices = np.maximum(np.minimum(past[:, 2], ends // nj % nk + 1) - k, 0)
    own, k = np.repeat(np.arange(asked.size), slices), expand(k, k + slices)
    rows = (part[asked[own]] * nk + k) * nj
    low_run = np.searchsorted(row_of_run, rows + first[own, 1])
    past_run = np.maximum(np.searchsorted(row_of_run, rows + past[own, 1]), low_run)
    own, run = np.repeat(asked[own], past_run - low_run), expand(low_run, past_run)
    return run, np.searchsorted(own, np.arange(part.size + 1))


def _to_runs(tumour: TumourVoxels, points: Float64s, runs: Int64s) -> tuple[Float64s, Int64s]:
    """Distance (mm) of points to runs, and how many voxels along the run its nearest voxel lies."""
    those, step = tumour.by_part, tumour.grid.affine[:3, 0]
    away = points - those.first_mm[runs]
    along = np.rint(away @ (step / float(step @ step)))
    along = np.clip(along, 0, (those.stops - those.starts)[runs] - 1)
    total = np.zeros(runs.size)
    for axis, edge in enumerate(step.tolist()):
        total += (away[:, axis] - along * edge) ** 2
    return np.sqrt(total), along.astype(np.int64)


def _by_tree(tumour: TumourVoxels, points: Float64s, part: int, reach: float) -> float:
    voxels = tumour.near(points, reach, np.array([part]))[0]
    if not voxels.size:
        return np.inf
    return float(nearest_distances(points, voxels, reach=2 * reach + 1).min())
