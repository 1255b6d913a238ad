"""Dense arrays ``[i, j, k]`` to runs and back: the package itself never holds a whole dense mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import LabelRuns, VoxelRuns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def voxel_runs(dense: NDArray[np.generic]) -> VoxelRuns:
    """Return the non-zero voxels."""
    return VoxelRuns.from_indices(np.flatnonzero(dense.ravel(order="F")))


def label_runs(dense: NDArray[np.generic]) -> LabelRuns:
    """Return the positive labels."""
    flat = np.concatenate(([0], dense.ravel(order="F"), [0]))
    edges = np.flatnonzero(np.diff(flat))
    starts, stops, labels = edges[:-1], edges[1:], flat[edges[:-1] + 1]
    return LabelRuns(starts[labels > 0], stops[labels > 0], labels[labels > 0])


def dense_of(runs: VoxelRuns, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return the voxels of a whole grid as an array."""
    flat = np.zeros(int(np.prod(shape)), dtype=bool)
    flat[runs.indices()] = True
    return flat.reshape(shape, order="F")
