"""Values of an image on a plane of another grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Float64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.planes import Frame, Plane

    Float32s = NDArray[np.float32]

_POINTS_A_VOXEL = 1.5
_ALIGNED = 1e-6


def sample(volume: Volume, plane: Plane, frame: Frame, *, outside: float = 0.0) -> Float32s:
    """Interpolate an image on a plane of another grid (trilinear), a value a pixel.

    It is asked at points closer than its voxels, and what lies between them is interpolated again.

    Parameters
    ----------
    outside : float
        The value off the image's field.

    Returns
    -------
    array of float32, (height, width)
    """
    from PIL import Image as Pil

    grid = volume.view.grid
    pitch = min(grid.spacing_mm) / _POINTS_A_VOXEL
    size_mm = (frame.width * frame.mm_per_pixel, frame.height * frame.mm_per_pixel)
    columns = min(frame.width, int(np.ceil(size_mm[0] / pitch)))
    rows = min(frame.height, int(np.ceil(size_mm[1] / pitch)))
    u = frame.left_mm + (np.arange(columns) + 0.5) * size_mm[0] / columns
    v = frame.top_mm + (np.arange(rows) + 0.5) * size_mm[1] / rows
    origin, right, down = in_voxels(plane, grid)
    follows = np.abs(np.stack((right, down))) > _ALIGNED
    if (follows.sum(axis=0) <= 1).all() and (follows.sum(axis=1) == 1).all():
        across, along = (int(np.argmax(row)) for row in follows)
        lines = [origin[a : a + 1] for a in range(3)]
        lines[across] = origin[across] + right[across] * u
        lines[along] = origin[along] + down[along] * v
        coarse = _separable(volume.values, lines, across=across, along=along)
        kept = [_inside(line, count) for line, count in zip(lines, volume.values.shape, strict=True)]
        inside = kept[along][:, None] & kept[across][None, :] & kept[3 - across - along][0]
    else:
        index = [origin[a] + right[a] * u[None, :] + down[a] * v[:, None] for a in range(3)]
        coarse = _trilinear(volume.values, index)
        inside = np.ones(coarse.shape, dtype=bool)
        for a in range(3):
            inside &= _inside(index[a], volume.values.shape[a])
    if outside:
        coarse[~inside] = outside
    fine = Pil.fromarray(coarse).resize((frame.width, frame.height), Pil.Resampling.BILINEAR)
    return np.asarray(fine)


def in_voxels(plane: Plane, grid: VoxelGrid) -> tuple[Float64s, Float64s, Float64s]:
    """Return a plane's corner and its steps to the right and down (1 mm each) as indices of a grid."""
    turn = grid.inverse[:3, :3]
    return grid.to_index(plane.corner_mm), turn @ plane.right, turn @ plane.down


def _neighbours(index: Float64s, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32s]:
    """Return the voxels below and above an index, and the share of the one above."""
    at = np.clip(index, 0, count - 1)
    low = np.minimum(at.astype(np.intp), max(count - 2, 0))
    return low, np.minimum(low + 1, count - 1), (at - low).astype(np.float32)


def _inside(index: Float64s, count: int) -> NDArray[np.bool_]:
    return (index >= -0.5) & (index <= count - 0.5)


def _separable(
    values: NDArray[np.generic], lines: Sequence[Float64s], *, across: int, along: int
) -> Float32s:
    """Interpolate where axes of the image follow the picture's width and height.

    Parameters
    ----------
    lines : sequence of array
        Index along each axis; one element for the axis that looks out of the plane.
    across, along : int
        The axes that follow the width and the height.
    """
    through = 3 - across - along
    low, high, share = _neighbours(lines[through], values.shape[through])
    weight = share[0] * _inside(lines[through], values.shape[through])[0]
    rest = (1 - share[0]) * _inside(lines[through], values.shape[through])[0]
    at: list[slice | int] = [slice(None)] * 3
    at[through] = int(low[0])
    flat = values[tuple(at)] * rest
    at[through] = int(high[0])
    flat = flat + values[tuple(at)] * weight
    if across < along:
        flat = flat.T
    for axis, line in enumerate((lines[along], lines[across])):
        low, high, share = _neighbours(line, flat.shape[axis])
        kept = _inside(line, flat.shape[axis])
        before, after = (1 - share) * kept, share * kept
        if axis == 0:
            before, after = before[:, None], after[:, None]
        flat = np.take(flat, low, axis) * before + np.take(flat, high, axis) * after
    return np.ascontiguousarray(flat, dtype=np.float32)


def _trilinear(values: NDArray[np.generic], index: Sequence[Float64s]) -> Float32s:
    """Interpolate at any points, index arrays (rows, columns) one an axis."""
    inside = np.ones(index[0].shape, dtype=bool)
    for a in range(3):
        inside &= _inside(index[a], values.shape[a])
    result = np.zeros(inside.shape, dtype=np.float32)
    ends = [_neighbours(index[a][inside], values.shape[a]) for a in range(3)]
    total = np.zeros(int(inside.sum()), dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        weight = np.ones(total.size, dtype=np.float32)
        for a, bit in enumerate(corner):
            weight *= ends[a][2] if bit else 1 - ends[a][2]
        total += weight * values[tuple(ends[a][bit] for a, bit in enumerate(corner))]
    result[inside] = total
    return result
