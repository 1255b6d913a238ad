"""Which voxel of one grid holds each voxel centre of another.

This is how CT tumour meets PET: a tumour voxel is looked up in the PET grid, and neither image is
resampled. Ties on a face between two voxels follow `VoxelGrid.voxel_at`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import begins_of, expand, split_rows

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import LabelRuns, VoxelRuns


_PARALLEL = 1e-12
"""Steps in the other grid, voxels a voxel, below which rows are parallel but for a header's last digits."""


def project(runs: LabelRuns | VoxelRuns, *, from_grid: VoxelGrid, to_grid: VoxelGrid) -> Int64s:
    """Return the voxel of ``to_grid`` that holds each voxel centre of runs of ``from_grid``, run by run.

    -1 outside its field. The two grids are in one frame of reference; they need not be parallel.
    """
    starts, stops, _ = split_rows(runs.starts, runs.stops, from_grid.shape[0])
    base, steps = _begins(starts, from_grid=from_grid, to_grid=to_grid)
    lengths = stops - starts
    along = expand(np.zeros_like(lengths), lengths)
    i, j, k = (np.repeat(base[:, axis], lengths) + along * step for axis, step in enumerate(steps))
    return _held(to_grid, i, _rows_at(to_grid, j, k))


@frozen(eq=False)
class HeldStretches:
    """Stretches of runs of one grid whose voxel centres all lie in one voxel of another."""

    # (n,): the run that each stretch is part of; stretches of a run follow one another.
    run: Int64s
    # starts, stops: (n,): linear indices in the grid of the runs.
    starts: Int64s
    stops: Int64s
    holder: Int64s  # (n,): which of the chosen voxels holds the centres, by position


def project_into(
    chosen: Int64s, starts: Int64s, stops: Int64s, *, from_grid: VoxelGrid, to_grid: VoxelGrid
) -> HeldStretches:
    """Find the stretches of runs of ``from_grid``, cut at row ends, that lie in chosen voxels of ``to_grid``.

    As `project`, for these voxels alone (linear indices, rising): where rows of the two grids are parallel, a
    run lies in one row of the other, and is passed over as a whole if no voxel of that row was chosen.
    """
    row_length, rows = to_grid.shape[0], to_grid.shape[1] * to_grid.shape[2]
    base, steps = _begins(starts, from_grid=from_grid, to_grid=to_grid)
    run = np.arange(starts.size, dtype=np.int64)
    row = run
    parallel = not any(steps[1:])
    if parallel:
        row = _rows_at(to_grid, base[:, 1], base[:, 2])
        with_chosen = np.zeros(rows + 1, dtype=bool)  # the last stands for -1, no row
        with_chosen[chosen // row_length] = True
        run = np.flatnonzero(with_chosen[row])
    lengths = stops[run] - starts[run]
    along = expand(np.zeros_like(lengths), lengths)
    i, j, k = (
        np.repeat(base[run, axis], lengths) + along * step if not parallel or axis == 0 else base[:0, axis]
        for axis, step in enumerate(steps)
    )
    linear = _held(to_grid, i, np.repeat(row[run], lengths) if parallel else _rows_at(to_grid, j, k))
    opens = begins_of(linear)
    opens[np.cumsum(lengths) - lengths] = True
    first = np.flatnonzero(opens)
    size = np.diff(first, append=linear.size)
    position = np.minimum(np.searchsorted(chosen, linear[first]), max(chosen.size - 1, 0))
    hit = np.flatnonzero(chosen[position] == linear[first]) if chosen.size else position[:0]
    owner = np.repeat(run, lengths)[first[hit]]
    begins = starts[owner] + along[first[hit]]
    return HeldStretches(run=owner, starts=begins, stops=begins + size[hit], holder=position[hit])


def holders_of_runs(
    starts: Int64s, stops: Int64s, *, from_grid: VoxelGrid, to_grid: VoxelGrid
) -> tuple[Int64s, Int64s, Bools]:
    """Return the voxels of another grid that hold the centres of runs, where they are a stretch of a row.

    Runs (n,) of ``from_grid`` are cut at row ends. Each voxel of ``to_grid`` from the first value (n,) to
    before the second holds a centre, and no other does; they are equal where none does. The third value (n,)
    is False where rows are not parallel, or ``to_grid`` is finer along them, or the run crosses its faces:
    these are to be looked at voxel by voxel (`project_into`).
    """
    base, steps = _begins(starts, from_grid=from_grid, to_grid=to_grid)
    none = np.zeros(starts.size, dtype=np.int64)
    if any(steps[1:]) or abs(steps[0]) > 1:
        return none, none, np.zeros(starts.size, dtype=bool)
    row = _rows_at(to_grid, base[:, 1], base[:, 2])
    one = to_grid.voxel_along(0, base[:, 0])
    other = to_grid.voxel_along(0, base[:, 0] + (stops - starts - 1) * steps[0])
    there = (row >= 0) & (one >= 0) & (other >= 0)
    first = np.where(there, row * to_grid.shape[0] + np.minimum(one, other), 0)
    past = np.where(there, row * to_grid.shape[0] + np.maximum(one, other) + 1, 0)
    return first, past, there | (row < 0)


def _begins(
    starts: Int64s, *, from_grid: VoxelGrid, to_grid: VoxelGrid
) -> tuple[Float64s, tuple[float, ...]]:
    """Return the continuous index in ``to_grid`` of each run's first voxel, and its step along the run.

    The step is constant, so that a run costs one matrix product and not one for each of its voxels.
    """
    relative = to_grid.inverse @ from_grid.affine
    base = from_grid.unravel(starts) @ relative[:3, :3].T + relative[:3, 3]
    steps = np.where(np.abs(relative[:3, 0]) < _PARALLEL, 0.0, relative[:3, 0])
    return base, tuple(steps.tolist())


def _rows_at(grid: VoxelGrid, j: Float64s, k: Float64s) -> Int64s:
    """Return the row, ``j`` fastest, that holds continuous indices; -1 beyond the faces."""
    at_j, at_k = grid.voxel_along(1, j), grid.voxel_along(2, k)
    return np.where((at_j < 0) | (at_k < 0), -1, at_j + grid.shape[1] * at_k)


def _held(grid: VoxelGrid, i: Float64s, row: Int64s) -> Int64s:
    """Return the voxel that holds a continuous index along a row, -1 where the row or the field does not."""
    within = grid.voxel_along(0, i)
    return np.where((within < 0) | (row < 0), -1, within + grid.shape[0] * row)
