"""Tumour voxels by lesion and piece: what of them can be nearest to a point, fetched box by box."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns, cut_at, expand, ranked, sorted_unique, split_rows
from volstrat.rule.markings import NO_WORD

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.markings import TumourPieces


NO_PIECE = -1
_BESIDE_MM = 0.02
"""So near a voxel's face a point may have the voxels on both sides as nearest, within a tie."""


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
