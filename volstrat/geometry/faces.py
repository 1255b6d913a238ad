"""Voxel faces between tumour and background, and the normal of the surface at each.

The normal is the gradient of the mask smoothed with a Gaussian that is the same in all directions in
millimetres and as wide as the voxel is long, so that neither staircases nor thick slices turn it.
Each connected piece is smoothed by itself (`geometry.boxes` cuts it into boxes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.boxes import Boxes, PieceRows, boxes_of
from volstrat.geometry.runs import split_index
from volstrat.geometry.smoothing import Smoother

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.array_types import Bools, Float64s, Int32s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import LabelRuns

    _Found = tuple[Int64s, Int32s, Float64s]


_SMOOTHING = 0.9
"""Standard deviation of the Gaussian in units of the largest voxel edge (docs/method.md compares)."""
_NO_SLOPE = 1e-9
"""Of the smoothed mask, 1/mm: below this it is what rounding leaves of slopes that cancel."""
_ORDERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""For faces across each axis: the axes by which they are sorted, fastest first."""


@frozen(eq=False, kw_only=False)
class Faces:
    """Faces across one axis, line of voxels by line of voxels: low end, high end, low end, ...

    A voxel at the edge of the grid has background beyond. Kept small: a noisy mask has millions.
    """

    axis: int
    shape: tuple[int, int, int]  # of the grid, in the order of ``_ORDERS``
    place: Int64s  # (n,): linear index of the tumour voxel behind each face, in that order
    group: Int32s  # (n,): which of the surface's groups the voxel belongs to
    # (3, n): outward unit normal along i, j, k; (0, 0, 0) where the smoothed mask has no slope.
    normal: Float64s

    def stretch(self, first: int, past: int) -> Faces:
        """Return the faces from one number up to another."""
        chosen = slice(max(first, 0), past)
        return Faces(self.axis, self.shape, self.place[chosen], self.group[chosen], self.normal[:, chosen])

    def centres(self) -> Float64s:
        """Voxel indices of the faces' centres, (3, n); the faces start with a low end."""
        index = np.empty((3, self.place.size))
        for axis, along in zip(_ORDERS[self.axis], split_index(self.place, *self.shape[:2]), strict=True):
            index[axis] = along
        index[self.axis, ::2] -= 0.5
        index[self.axis, 1::2] += 0.5
        return index


@frozen(eq=False, kw_only=False)
class SurfaceFaces:
    """All faces between tumour of any part and background."""

    across: tuple[Faces, Faces, Faces]  # across i, j and k
    # piece, part: (groups,): of each group: the 26-connected piece of all tumour, and the position of its
    # label among the labels.
    piece: Int64s
    part: Int64s


def surface_faces(grid: VoxelGrid, parts: LabelRuns, piece_of_part: Int64s | None = None) -> SurfaceFaces:
    """Find all faces between tumour of any part and background, with their normals.

    ``parts`` neither overlap nor are empty; ``piece_of_part`` is as in `boundary_shift`.
    """
    rows = PieceRows.of(grid, parts, piece_of_part)
    found = _found_faces(grid, rows)
    i, j, k = (_sorted_faces(axis, grid.shape, faces) for axis, faces in enumerate(found))
    return SurfaceFaces((i, j, k), rows.group_piece, rows.group_part)


def _found_faces(grid: VoxelGrid, rows: PieceRows) -> tuple[list[_Found], ...]:
    """Faces of all boxes across i, j and k; the memory for smoothing is free again afterwards."""
    smoother = Smoother(grid.spacing_mm, _SMOOTHING * max(grid.spacing_mm))
    found: tuple[list[_Found], ...] = ([], [], [])
    for boxes in boxes_of(rows, smoother.reach):
        for axis, faces in enumerate(_faces_in(boxes, smoother, grid.shape)):
            found[axis].append(faces)
    return found


def _sorted_faces(axis: int, shape: tuple[int, int, int], found: list[_Found]) -> Faces:
    """Join what was found, emptying the list on the way: a column in two copies at most."""
    a, b, c = _ORDERS[axis]
    key = np.concatenate([key for key, _, _ in found])
    order = np.argsort(key, kind="stable")
    group = np.concatenate([group for _, group, _ in found])[order]
    columns = [slope for _, _, slope in found]
    found.clear()
    normal = np.empty((3, key.size))
    for n in range(3):
        normal[n] = np.concatenate([column[n] for column in columns])[order]
    length = np.sqrt((normal**2).sum(axis=0))
    normal *= np.where(length > _NO_SLOPE, 1 / np.maximum(length, _NO_SLOPE), 0.0)
    return Faces(axis, (shape[a], shape[b], shape[c]), key[order] >> 1, group, normal)


def _faces_in(boxes: Boxes, smoother: Smoother, shape: tuple[int, int, int]) -> Iterator[_Found]:
    """Yield the faces of the voxels inside some boxes, unsorted, across i, then j, then k.

    Twice the place, plus 1 for a high end; the group; and the slope of the smoothed mask, from inside to
    outside, of any length.

    What they share is worked out for all three together: a lesion has few faces, and numpy takes as long to
    begin as it takes for a thousand.
    """
    owner = np.ascontiguousarray(boxes.without_halo())
    filled = owner > 0
    _, nk, nj, ni = owner.shape
    steps = (1, ni, ni * nj)
    core, filled = boxes.core_of(filled).reshape(-1), filled.reshape(-1)
    ends = [end for step in steps for end in _exposed(core, filled, step)]
    place = np.concatenate(ends)
    group = owner.reshape(-1)[place] - 1
    outward = [sign * step for step in steps for sign in (-1, 1)]
    beyond = place + np.repeat(outward, [end.size for end in ends])
    slope = np.empty((3, place.size))
    for n, along in enumerate(smoother.gradient(boxes.owner > 0, boxes.halo)):
        values = along.reshape(-1)
        np.add(values[place], values[beyond], out=slope[n])
    np.negative(slope, out=slope)
    i, j, k, box = split_index(place, ni, nj, nk)
    index = (i + boxes.low[0, box], j + boxes.low[1, box], k + boxes.low[2, box])
    past = 0
    for axis in range(3):
        low, high = ends[2 * axis].size, ends[2 * axis + 1].size
        ours = slice(past, past + low + high)
        past = ours.stop
        a, b, c = _ORDERS[axis]
        key = 2 * (index[a][ours] + shape[a] * (index[b][ours] + shape[b] * index[c][ours]))
        key[low:] += 1
        yield (key, group[ours].copy(), slope[:, ours].copy())


def _exposed(core: Bools, filled: Bools, step: int) -> tuple[Int64s, Int64s]:
    """Places of the voxels with background before and behind them; boxes have a margin."""
    low = np.flatnonzero(core[step:] > filled[:-step]) + step
    return low, np.flatnonzero(core[:-step] > filled[step:])
