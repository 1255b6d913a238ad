"""Where planes cut lesions and regions: their outlines on a slice, along their own voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from volstrat.pictures.outlines import outlines_of
from volstrat.pictures.planes import PatientView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.geometry.array_types import Bools, Float64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.pictures.planes import Plane
    from volstrat.pictures.scene import Shape

    Section = tuple[tuple[float, float], tuple[float, float], Bools]

_PARALLEL_COSINE = 1 - 1e-6
_TIE = 1e-6
_LARGEST_BLOCK = 1 << 26


class Sections:
    """Cuts the shapes of a scene by planes.

    The voxels of each shape that was cut are kept as a block, of which the next slice is at hand.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = tuple(shapes)
        self._blocks: dict[int, _Block | None] = {}
        self.boxes: Float64s = np.array([shape.box_mm for shape in shapes]).reshape(-1, 2, 3)
        """The shapes' boxes, (shapes, 2, 3)."""

    def on(self, plane: Plane) -> list[tuple[Shape, list[Float64s]]]:
        """Return the shapes that a plane's slice shows, each with its outlines (mm on the plane)."""
        shown: list[tuple[Shape, Section]] = []
        slices: dict[int, list[int]] = {}
        for n in self._cut(plane):
            shape = self._shapes[n]
            block = self._block(n) if _parallel(_patient_grid(shape.grid), plane.grid) else None
            if block is None:
                section = _looked_up(shape, plane)
            else:
                if id(shape.grid) not in slices:
                    slices[id(shape.grid)] = _own_slices(shape.grid, plane)
                section = block.section(shape.grid, plane, slices[id(shape.grid)])
            if section is not None:
                shown.append((shape, section))
        traced = outlines_of([held for _, (_, _, held) in shown])
        return [
            (shape, [np.array(low) + (p - 0.5) * np.array(step) for p in polygons])
            for (shape, (low, step, _)), polygons in zip(shown, traced, strict=True)
        ]

    def _cut(self, plane: Plane) -> list[int]:
        """Return the shapes whose boxes the plane cuts."""
        along, start = plane.grid.inverse[plane.normal, :3], plane.grid.inverse[plane.normal, 3]
        ends = self.boxes * along
        low, high = ends.min(axis=1).sum(axis=1) + start, ends.max(axis=1).sum(axis=1) + start
        cut = (low - 0.5 <= plane.index) & (plane.index <= high + 0.5)
        found: list[int] = np.flatnonzero(cut).tolist()
        return found

    def _block(self, n: int) -> _Block | None:
        if n not in self._blocks:
            self._blocks[n] = _Block.of(self._shapes[n])
        return self._blocks[n]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A shape's voxels within its box, axes in patient order; ``low`` is the box's first voxel."""

    low: tuple[int, int, int]
    held: Bools

    @classmethod
    def of(cls, shape: Shape) -> _Block | None:
        """Return the block of a shape; None where it would be too large."""
        view = PatientView.of(shape.grid)
        index = shape.grid.unravel(shape.voxels.indices())[:, list(view.axes)]
        for axis, (count, sign) in enumerate(zip(view.grid.shape, view.signs, strict=True)):
            if sign < 0:
                index[:, axis] = count - 1 - index[:, axis]
        low, high = index.min(axis=0), index.max(axis=0)
        if np.prod(high - low + 1) > _LARGEST_BLOCK:
            return None
        held = np.zeros(tuple((high - low + 1).tolist()), dtype=bool)
        held[tuple((index - low).T)] = True
        a, b, c = low.tolist()
        return cls((a, b, c), held)

    def section(self, grid: VoxelGrid, plane: Plane, slices: Sequence[int]) -> Section | None:
        """Return what some slices of the block hold, together, as `_looked_up` does; None where nothing."""
        own = _patient_grid(grid)
        here = [at - self.low[plane.normal] for at in slices]
        here = [at for at in here if 0 <= at < self.held.shape[plane.normal]]
        held = np.asarray(self.held.take(here, axis=plane.normal).any(axis=plane.normal))
        if not held.any():
            return None
        shown = plane.flatten(held).astype(np.bool_)
        step = (own.spacing_mm[plane.columns], own.spacing_mm[plane.rows])
        anchor = plane.to_plane(own.affine[:3, 3]).tolist()
        top = self.low[plane.rows]
        if not plane.downward:
            top = -(top + shown.shape[0] - 1)
        return (anchor[0] + self.low[plane.columns] * step[0], anchor[1] + top * step[1]), step, shown


def _own_slices(grid: VoxelGrid, plane: Plane) -> list[int]:
    """Return the slices (in patient order) of a grid parallel to a plane that the plane's slice shows."""
    view = PatientView.of(grid)
    axis, sign = view.axes[plane.normal], view.signs[plane.normal]
    through = grid.inverse[:3, :3] @ plane.grid.affine[:3, plane.normal]
    point = np.zeros((1, 3))
    found = []
    for depth in depths(grid, plane):
        point[0, axis] = grid.to_index(plane.corner_mm)[axis] + depth * through[axis]
        at = int(grid.voxel_at(point)[0, axis])
        if at >= 0:
            found.append(at if sign > 0 else grid.shape[axis] - 1 - at)
    return found


def _looked_up(shape: Shape, plane: Plane) -> Section | None:
    """Ask for a shape at a net of points on a plane's slice; None where the slice shows nothing of it.

    Returns the first point, the distance of points (mm), to the right and down, and which lie in it.
    """
    low, step, counts = lattice(shape, plane)
    u = low[0] + step[0] * np.arange(counts[0])
    v = low[1] + step[1] * np.arange(counts[1])
    origin, right, down = plane.in_voxels(shape.grid)
    index = (origin + u[None, :, None] * right + v[:, None, None] * down).reshape(-1, 3)
    through = shape.grid.inverse[:3, :3] @ plane.grid.affine[:3, plane.normal]
    inside = np.zeros(len(index), dtype=bool)
    for depth in depths(shape.grid, plane):
        at = shape.grid.voxel_at(index + depth * through)
        inside |= shape.voxels.contains(shape.grid.ravel(at)) & (at[:, 0] >= 0)
    if not inside.any():
        return None
    return low, step, inside.reshape(counts[1], counts[0])


def depths(grid: VoxelGrid, plane: Plane) -> list[float]:
    """Say where in a slice a shape is looked for, in slices from its middle.

    In the middle; where the shape's voxels are thinner than the slice, at each of their centres within it,
    so that what lies between two slices' middles is on one of them.
    """
    own, axis = _patient_grid(grid), plane.normal
    normal = plane.grid.directions[:, axis]
    thickness = float(own.spacing_mm @ np.abs(normal @ own.directions)) / plane.grid.spacing_mm[axis]
    if thickness > _PARALLEL_COSINE:
        return [0.0]
    if not _parallel(own, plane.grid):
        count = int(np.ceil(1 / thickness))
        return [(n + 0.5) / count - 0.5 for n in range(count)]
    first = float(plane.grid.to_index(own.affine[:3, 3])[axis]) - plane.index
    centres = first + thickness * np.arange(own.shape[axis])
    within = centres[np.abs(centres) <= 0.5 + _TIE]  # on the border: in both slices
    return [float(depth) for depth in within] or [0.0]


def _parallel(own: VoxelGrid, other: VoxelGrid) -> bool:
    """Tell whether the axes of two grids in patient order run parallel."""
    return bool(((own.directions * other.directions).sum(axis=0) > _PARALLEL_COSINE).all())


def box_corners(box: Float64s) -> Float64s:
    """Return the eight corners of a box (2, 3)."""
    bits = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
    corners: Float64s = np.where(bits, box[1], box[0])
    return corners


@lru_cache(maxsize=16)
def _patient_grid(grid: VoxelGrid) -> VoxelGrid:
    return PatientView.of(grid).grid


def lattice(
    shape: Shape, plane: Plane, *, coarse: bool = False
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """Lay a net of points over a shape: its own voxel centres where both run parallel, else a fine one.

    A ``coarse`` one that does not run parallel has at least one
    voxel centre in each mesh. Returns first point, distance (mm) and number of points, to the right and down.
    """
    own, around = _patient_grid(shape.grid), plane.to_plane(box_corners(shape.box_mm))
    axes = (plane.columns, plane.rows)
    if _parallel(own, plane.grid):
        step = (own.spacing_mm[axes[0]], own.spacing_mm[axes[1]])
        anchor = plane.to_plane(own.affine[:3, 3])
    else:
        mesh = max(own.spacing_mm) if coarse else min(own.spacing_mm) / 2
        step = (mesh, mesh)
        anchor = around.min(axis=0)
    low, counts = [], []
    for a in range(2):
        first = np.floor((around[:, a].min() - anchor[a]) / step[a])
        last = np.ceil((around[:, a].max() - anchor[a]) / step[a])
        low.append(float(anchor[a] + first * step[a]))
        counts.append(int(last - first) + 1)
    return (low[0], low[1]), step, (counts[0], counts[1])
