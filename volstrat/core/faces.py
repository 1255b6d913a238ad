"""Voxel faces between tumour and background, and the normal of the surface at each.

The normal is the gradient of the mask smoothed with a Gaussian that is the same in all directions in
millimetres and as wide as the voxel is long, so that neither staircases nor thick slices turn it.
Each connected piece is smoothed by itself in the smallest box round it; pieces of about one size
share an array, so that a thousand specks cost little more than one lesion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.core.components import connected_components
from volstrat.core.runs import expand, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.core.grid import VoxelGrid
    from volstrat.core.runs import LabelRuns

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Kernel = tuple[Float64s, Float64s]

_SMOOTHING = 0.9
"""Standard deviation of the Gaussian in units of the largest voxel edge (docs/method.md compares)."""
_KERNEL_REACH = 3.0
_BLOCK = 24
_VOXELS_AT_ONCE = 150_000


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces between tumour and background; a voxel at the edge of the grid has background beyond.

    Parameters
    ----------
    voxel : array of int64, (3, n)
        Index of the tumour voxel behind each face.
    axis, outward : array of int64, (n,)
        The axis that the face is square to, and -1 or +1 along it.
    line : array of int64, (n,)
        Number of the line of voxels along that axis; lines of different axes may share numbers.
    part, piece : array of int64, (n,)
        Position of the voxel's label among the labels; 26-connected piece of all tumour it is in.
    normal : array of float64, (3, n)
        Outward unit normal along i, j, k; (0, 0, 0) where the smoothed mask has no slope.
    """

    voxel: Int64s
    axis: Int64s
    outward: Int64s
    line: Int64s
    part: Int64s
    piece: Int64s
    normal: Float64s


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Runs of one row and one part each: first voxel (3, r), length, part, and connected piece."""

    first: Int64s
    length: Int64s
    part: Int64s
    piece: Int64s

    @classmethod
    def of(cls, grid: VoxelGrid, parts: LabelRuns) -> _Rows:
        pieces = connected_components(parts.union(), grid, connectivity=26)
        starts, stops, labels = split_rows(parts.starts, parts.stops, grid.shape[0], parts.labels)
        piece = pieces.component[np.searchsorted(pieces.starts, starts, side="right") - 1]
        part = np.searchsorted(np.array(parts.values), labels)
        return cls(grid.unravel(starts).T, stops - starts, part, piece)

    def boxes(self) -> tuple[Int64s, Int64s]:
        """First index and size of each piece's box, (3, p): a voxel of margin, sizes in steps."""
        count = int(self.piece.max()) + 1
        low = np.full((3, count), np.iinfo(np.int64).max)
        high = np.full((3, count), -1)
        for axis in range(3):
            np.minimum.at(low[axis], self.piece, self.first[axis])
            last = self.first[axis] + (self.length - 1 if axis == 0 else 0)
            np.maximum.at(high[axis], self.piece, last)
        size = high - low + 3
        step = 2 ** np.maximum(np.ceil(np.log2(size)).astype(np.int64) - 4, 0)
        return low - 1, -(-size // step) * step  # at most an eighth larger


def surface_faces(grid: VoxelGrid, parts: LabelRuns) -> Faces:
    """Find all faces between tumour of any part and background, with their normals.

    Parameters
    ----------
    grid : VoxelGrid
    parts : LabelRuns
        Not overlapping and not empty.
    """
    rows = _Rows.of(grid, parts)
    low, size = rows.boxes()
    kernels = [_kernel(step, _SMOOTHING * max(grid.spacing_mm)) for step in grid.spacing_mm]
    kinds, kind = np.unique(size, axis=1, return_inverse=True)
    found = []
    for number, box in enumerate(kinds.T):
        members = np.flatnonzero(kind.reshape(-1) == number)
        at_once = max(1, _VOXELS_AT_ONCE // int(box.prod()))
        for first in range(0, members.size, at_once):
            found.append(_faces_in_boxes(rows, members[first : first + at_once], low, box, kernels))
    joined = [np.concatenate(column, axis=-1) for column in zip(*found, strict=True)]
    voxel, axis, outward, part, piece, normal = joined
    ni, nj, _ = grid.shape
    i, j, k = voxel
    line = np.choose(axis, (j + nj * k, i + ni * k, i + ni * j))
    return Faces(voxel, axis, outward, line, part, piece, normal)


def _faces_in_boxes(
    rows: _Rows, members: Int64s, low: Int64s, size: Int64s, kernels: list[Kernel]
) -> tuple[Int64s, ...]:
    """Voxel, axis, outward, part, piece and normal of the faces of some pieces with boxes of one size."""
    steps = np.array([1, size[0], size[0] * size[1]])
    volume = int(size.prod())
    slot = np.full(low.shape[1], -1)
    slot[members] = np.arange(members.size)
    ours = np.flatnonzero(slot[rows.piece] >= 0)
    piece = rows.piece[ours]
    start = slot[piece] * volume + steps @ (rows.first[:, ours] - low[:, piece])
    owner = np.zeros(members.size * volume, dtype=np.int64)
    owner[expand(start, start + rows.length[ours])] = np.repeat(rows.part[ours] + 1, rows.length[ours])
    filled = owner > 0
    gradient = _smoothed_gradient(filled.astype(np.float64).reshape(members.size, *size[::-1]), kernels)
    place, axis, outward = _exposed(filled, steps)
    beyond = place + outward * steps[axis]
    normal = np.stack([-(g.reshape(-1)[place] + g.reshape(-1)[beyond]) for g in gradient])
    length = np.sqrt((normal**2).sum(axis=0))
    normal /= np.where(length > 0, length, 1.0)
    box, inside = np.divmod(place, volume)
    index = np.stack([inside % size[0], inside // size[0] % size[1], inside // steps[2]])
    piece = members[box]
    return index + low[:, piece], axis, outward, owner[place] - 1, piece, normal


def _exposed(filled: NDArray[np.bool_], steps: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Place of the voxel behind each face, the face's axis and its direction; boxes have a margin."""
    places, outward = [], []
    for step in steps:
        edge = filled[step:] != filled[:-step]
        before = np.flatnonzero(edge)
        rises = filled[before + step]
        places.append(np.where(rises, before + step, before))
        outward.append(np.where(rises, -1, 1))
    axis = np.repeat(np.arange(3), [place.size for place in places])
    return np.concatenate(places), axis, np.concatenate(outward)


def _kernel(step_mm: float, sigma_mm: float) -> Kernel:
    """Gaussian weights over neighbouring voxels, and those that give its slope in 1/mm."""
    reach = math.ceil(_KERNEL_REACH * sigma_mm / step_mm)
    offset = np.arange(-reach, reach + 1) * step_mm
    weight = np.exp(-(offset**2) / (2 * sigma_mm**2))
    weight /= weight.sum()
    slope = offset * weight
    return weight, slope / (offset * slope).sum()


def _smoothed_gradient(filled: Float64s, kernels: list[Kernel]) -> tuple[Float64s, Float64s, Float64s]:
    """Gradient along i, j, k of smoothed boxes indexed [box, k, j, i]."""
    (flat_i, slope_i), (flat_j, slope_j), (flat_k, slope_k) = kernels
    smooth = _filtered(filled, flat_i, 3)
    sloped = _filtered(filled, slope_i, 3)
    return (
        _filtered(_filtered(sloped, flat_j, 2), flat_k, 1),
        _filtered(_filtered(smooth, slope_j, 2), flat_k, 1),
        _filtered(_filtered(smooth, flat_j, 2), slope_k, 1),
    )


def _filtered(values: Float64s, kernel: Float64s, axis: int) -> Float64s:
    """Correlate boxes along one axis, zero outside: products with small banded matrices."""
    size, reach = values.shape[axis], kernel.size // 2
    result = np.empty_like(values)
    lanes, filtered = (a.swapaxes(1, 2) if axis == 1 else a for a in (values, result))
    for first in range(0, size, _BLOCK):
        last = min(first + _BLOCK, size)
        begin, end = max(first - reach, 0), min(last + reach, size)
        offset = np.arange(begin, end) - np.arange(first, last)[:, None] + reach
        inside = (offset >= 0) & (offset < kernel.size)
        band = np.where(inside, kernel[offset.clip(0, kernel.size - 1)], 0.0)
        if axis == 3:
            filtered[..., first:last] = lanes[..., begin:end] @ band.T
        else:
            filtered[..., first:last, :] = band @ lanes[..., begin:end, :]
    return result
