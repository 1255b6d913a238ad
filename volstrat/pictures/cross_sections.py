"""Where planes cut lesions and regions: their outlines on a slice, along their own voxels."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from volstrat.pictures.outlines import outlines
from volstrat.pictures.planes import PatientView
from volstrat.pictures.sampling import in_voxels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.pictures.planes import Plane
    from volstrat.pictures.scene import Scene, Shape

    Float64s = NDArray[np.float64]

_PARALLEL_COSINE = 1 - 1e-6
_TIE = 1e-6


def outlines_on(scene: Scene, plane: Plane) -> Iterator[tuple[str, list[Float64s]]]:
    """Yield the name and the outlines (mm on the plane) of every shape that a plane's slice shows."""
    for shape in shapes_cut(scene.shapes, plane):
        loops = cross_section(shape, plane)
        if loops is not None:
            yield shape.name, loops


@lru_cache(maxsize=4)
def boxes_of(shapes: tuple[Shape, ...]) -> Float64s:
    """Return the boxes of a scene's shapes, (shapes, 2, 3)."""
    return np.array([shape.box_mm for shape in shapes])


def shapes_cut(shapes: tuple[Shape, ...], plane: Plane) -> list[Shape]:
    """Return the shapes whose boxes the plane cuts."""
    if not shapes:
        return []
    boxes = boxes_of(shapes)
    along, start = plane.grid.inverse[plane.normal, :3], plane.grid.inverse[plane.normal, 3]
    ends = boxes * along
    low, high = ends.min(axis=1).sum(axis=1) + start, ends.max(axis=1).sum(axis=1) + start
    cut = (low - 0.5 <= plane.index) & (plane.index <= high + 0.5)
    return [shape for shape, is_cut in zip(shapes, cut.tolist(), strict=True) if is_cut]


def cross_section(shape: Shape, plane: Plane) -> list[Float64s] | None:
    """Outlines (mm on the plane) of a shape within the plane's slice, or None."""
    corners = box_corners(shape.box_mm)
    low, step, counts = lattice(shape, plane, plane.to_plane(corners))
    u = low[0] + step[0] * np.arange(counts[0])
    v = low[1] + step[1] * np.arange(counts[1])
    origin, right, down = in_voxels(plane, shape.grid)
    index = (origin + u[None, :, None] * right + v[:, None, None] * down).reshape(-1, 3)
    through = shape.grid.inverse[:3, :3] @ plane.grid.affine[:3, plane.normal]
    inside = np.zeros(len(index), dtype=bool)
    for depth in depths(shape.grid, plane):
        at = shape.grid.voxel_at(index + depth * through)
        inside |= shape.voxels.contains(shape.grid.ravel(at)) & (at[:, 0] >= 0)
    if not inside.any():
        return None
    return [
        np.array(low) + (p - 0.5) * np.array(step) for p in outlines(inside.reshape(counts[1], counts[0]))
    ]


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
    shape: Shape, plane: Plane, around: Float64s, *, coarse: bool = False
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """Lay a net of points over a shape: its own voxel centres where both run parallel, else a fine one.

    Parameters
    ----------
    around : array, (n, 2)
        Positions on the plane that the net must hold.
    coarse : bool
        Where they do not run parallel, a net with at least one voxel centre in each mesh.

    Returns
    -------
    low, step, counts : tuple of two
        First point, distance (mm) and number of points, to the right and down.
    """
    own = _patient_grid(shape.grid)
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
