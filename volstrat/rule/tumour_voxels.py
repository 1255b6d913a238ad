"""Tumour voxels with their lesions and pieces, fetched box by box."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import LabelRuns, VoxelRuns, cut_at, expand, sorted_unique, split_rows
from volstrat.rule.markings import NO_WORD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.markings import TumourPieces

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Bools = NDArray[np.bool_]

NO_PIECE = -1
_BESIDE_MM = 0.02
"""So near a voxel's face a point may have the voxels on both sides as nearest, within a tie."""


class TumourVoxels:
    """Tumour voxels with their lesions and pieces."""

    def __init__(self, grid: VoxelGrid, pieces: TumourPieces) -> None:
        order = np.argsort(pieces.starts, kind="stable")
        self.grid = grid
        self.partial = pieces.drawn == NO_WORD
        self.piece_span = pieces.voxels.size + 1
        self.lesion = pieces.lesion[order]
        self.piece = np.where(self.partial[self.lesion], pieces.piece[order], NO_PIECE)
        self.runs = LabelRuns(pieces.starts[order], pieces.stops[order], np.arange(1, order.size + 1))
        self.low, self.high = _ends(grid, self.runs.starts, self.runs.stops)
        self._inner = VoxelRuns.empty() if pieces.overlapping else _inner_voxels(self)

    def around(self, points_mm: Float64s) -> NearestTumour:
        """Return what of the tumour can be nearest to points: its surface, and voxels that the points lie in.

        A voxel whose six neighbours are of the same lesion is farther from any point outside of it than one
        of these is.
        """
        starts, stops, origin = cut_at(
            self.runs.starts, self.runs.stops, np.concatenate((self._inner.starts, self._inner.stops))
        )
        kept = ~self._inner.contains(starts)
        held = self._inner_at(points_mm)
        run = np.searchsorted(self.runs.starts, held, side="right") - 1
        order = np.argsort(np.concatenate((starts[kept], held)), kind="stable")
        return NearestTumour(
            self.grid,
            np.concatenate((starts[kept], held))[order],
            np.concatenate((stops[kept], held + 1))[order],
            np.concatenate((origin[kept], run))[order],
            self,
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


class NearestTumour:
    """Tumour voxels that can be nearest to the points they were chosen for."""

    def __init__(
        self, grid: VoxelGrid, starts: Int64s, stops: Int64s, run: Int64s, whole: TumourVoxels
    ) -> None:
        order = np.argsort(whole.lesion[run], kind="stable")
        self._grid, self._starts, self._stops = grid, starts[order], stops[order]
        self._lesion, self._piece = whole.lesion[run[order]], whole.piece[run[order]]
        self._low, self._high = _ends(grid, self._starts, self._stops)
        self._there, self._edge = np.unique(self._lesion, return_index=True)
        self._edge = np.append(self._edge, run.size)
        self._lesion_low = self._lesion_high = np.empty((0, 3))
        if run.size:
            self._lesion_low = np.minimum.reduceat(self._low, self._edge[:-1])
            self._lesion_high = np.maximum.reduceat(self._high, self._edge[:-1])

    def in_box(
        self, low: Float64s, high: Float64s, lesions: Int64s | None
    ) -> tuple[Float64s, Int64s, Int64s]:
        """Centres (mm), lesions and pieces of voxels whose runs meet a box (of some lesions only)."""
        hit = _meet(self._lesion_low, self._lesion_high, low, high)
        if lesions is not None:
            hit &= np.isin(self._there, lesions)
        those = np.flatnonzero(hit)
        run = expand(self._edge[those], self._edge[those + 1])
        run = run[_meet(self._low[run], self._high[run], low, high)]
        starts, stops = self._starts[run], self._stops[run]
        centres = self._grid.to_mm(self._grid.unravel(expand(starts, stops)))
        lengths = stops - starts
        return centres, np.repeat(self._lesion[run], lengths), np.repeat(self._piece[run], lengths)


def _meet(low: Float64s, high: Float64s, box_low: Float64s, box_high: Float64s) -> Bools:
    """Tell which boxes (n, 3) meet another one; axis by axis, which is quicker than all at once."""
    found = np.ones(low.shape[0], dtype=bool)
    for axis in range(3):
        found &= (low[:, axis] <= box_high[axis]) & (high[:, axis] >= box_low[axis])
    return found


def _ends(grid: VoxelGrid, starts: Int64s, stops: Int64s) -> tuple[Float64s, Float64s]:
    """Lowest and highest coordinates of runs' voxel centres, mm."""
    ends = grid.to_mm(grid.unravel(starts)), grid.to_mm(grid.unravel(stops - 1))
    return np.minimum(*ends), np.maximum(*ends)


def _inner_voxels(tumour: TumourVoxels) -> VoxelRuns:
    """Voxels whose six neighbours are of the same lesion, of lesions that do not overlap."""
    ni, nj, nk = tumour.grid.shape
    lane = tumour.lesion * (ni * nj * (nk + 2))  # so far apart that lesions never meet
    voxels = VoxelRuns.from_intervals(tumour.runs.starts + lane, tumour.runs.stops + lane)
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
