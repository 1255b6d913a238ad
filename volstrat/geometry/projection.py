"""Which voxel of one grid holds each voxel centre of another.

This is how CT tumour meets PET: a tumour voxel is looked up in the PET grid, and neither image is
resampled. Ties on a face between two voxels follow `VoxelGrid.voxel_at`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import LabelRuns, VoxelRuns, expand, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projection:
    """Voxels of one grid and the voxels of another that hold their centres.

    Parameters
    ----------
    voxels : array of int64, (n,)
        Linear indices in the grid they come from, run by run; a voxel of two labels comes twice.
    labels : array of int64, (n,)
        The label of each; 1 where the runs had none.
    holders : array of int64, (n,)
        Linear index in the other grid of the voxel that holds the centre; -1 outside its field.
    """

    voxels: NDArray[np.int64]
    labels: NDArray[np.int64]
    holders: NDArray[np.int64]


def project(runs: LabelRuns | VoxelRuns, *, from_grid: VoxelGrid, to_grid: VoxelGrid) -> Projection:
    """Find the voxel of ``to_grid`` that holds each voxel centre of ``runs``.

    Parameters
    ----------
    runs : LabelRuns or VoxelRuns
        Voxels of ``from_grid``.
    from_grid, to_grid : VoxelGrid
        Any two grids in one frame of reference; they need not be parallel.
    """
    run_labels = runs.labels if isinstance(runs, LabelRuns) else np.ones(runs.starts.size, np.int64)
    continuous = continuous_indices(runs, from_grid=from_grid, to_grid=to_grid)
    at = to_grid.voxel_at(continuous)
    holders = np.where(at[:, 0] < 0, -1, to_grid.ravel(at))
    return Projection(
        voxels=expand(runs.starts, runs.stops),
        labels=np.repeat(run_labels, runs.stops - runs.starts),
        holders=holders,
    )


def continuous_indices(
    runs: LabelRuns | VoxelRuns, *, from_grid: VoxelGrid, to_grid: VoxelGrid
) -> NDArray[np.float64]:
    """Continuous indices in ``to_grid``, (n, 3), of the voxel centres of ``runs``, run by run.

    Along a run the index advances by a constant step, so a run costs one matrix product and not
    one for each of its voxels.
    """
    relative = to_grid.inverse @ from_grid.affine
    starts, stops, _ = split_rows(runs.starts, runs.stops, from_grid.shape[0])
    lengths = stops - starts
    first = from_grid.unravel(starts)
    base = first @ relative[:3, :3].T + relative[:3, 3]
    along = expand(np.zeros_like(lengths), lengths)
    continuous = np.empty((along.size, 3), dtype=np.float64, order="F")
    for axis, step in enumerate(relative[:3, 0].tolist()):
        continuous[:, axis] = np.repeat(base[:, axis], lengths)
        if step:
            continuous[:, axis] += along * step
    return continuous
