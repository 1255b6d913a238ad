"""Which lesions lie in the liver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import VoxelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.rule.lesions import Lesions

    Bools = NDArray[np.bool_]


def lie_in_liver(lesions: Lesions, liver: VoxelRuns) -> Bools:
    """Tell which lesions lie in the liver, by the masks alone.

    A lesion does where at least half its voxels lie in the liver mask united with the lesions that touch it:
    a liver may be drawn without its tumours. Touching is sharing a voxel, or a face, an edge or a corner.

    Parameters
    ----------
    lesions : Lesions
    liver : VoxelRuns
        On the lesions' grid.

    Returns
    -------
    array of bool, (lesions,)
    """
    touching = _touch(lesions, liver)
    those = touching[lesions.lesion]
    whole = VoxelRuns.from_intervals(
        np.concatenate((liver.starts, lesions.starts[those])),
        np.concatenate((liver.stops, lesions.stops[those])),
    )
    inside = np.bincount(
        lesions.lesion, whole.counts_in(lesions.starts, lesions.stops), minlength=lesions.count
    )
    voxels = np.bincount(lesions.lesion, lesions.stops - lesions.starts, minlength=lesions.count)
    result: Bools = 2 * inside >= voxels
    return result


def _touch(lesions: Lesions, liver: VoxelRuns) -> Bools:
    """Tell which lesions hold a liver voxel or a neighbour of one."""
    ni, nj, nk = lesions.grid.shape
    row, first = np.divmod(lesions.starts, ni)
    last = lesions.stops - row * ni
    k, j = np.divmod(row, nj)
    first, last = np.maximum(first - 1, 0), np.minimum(last + 1, ni)
    touching = np.zeros(lesions.count, dtype=bool)
    for dk in (-1, 0, 1):
        for dj in (-1, 0, 1):
            there = (j + dj >= 0) & (j + dj < nj) & (k + dk >= 0) & (k + dk < nk)
            base = ni * (j + dj + nj * (k + dk))
            hit = liver.counts_in((base + first)[there], (base + last)[there]) > 0
            touching[lesions.lesion[there][hit]] = True
    return touching
