"""Surfaces of voxel sets: where they run, how large they are, how far two of them lie apart.

A surface element ("surfel") sits on each voxel corner whose eight surrounding voxels are neither all
inside nor all outside. Its area is that of the marching-cubes surface through those eight voxels
(Lorensen and Cline 1987), with cut edges at their midpoints. It is the definition of Nikolov et al.
(arXiv 1809.04430), so areas and distances equal those of the `surface-distance` package; here they come
from runs, without a dense volume or a distance map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import expand, split_index, split_rows

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns


_ALL_INSIDE = 255
_Voxel = tuple[int, int, int]

_CORNERS: tuple[_Voxel, ...] = tuple((bit & 1, bit >> 1 & 1, bit >> 2 & 1) for bit in range(8))
_ROUNDING = 1e-9
"""Relative slack where cumulated areas meet a percentile: rounding never decides."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """The surface elements of one voxel set."""

    # (n,): linear indices of voxel corners, rising, on the corner lattice: one more than the grid has voxels
    # along each axis; corner ``c`` lies between voxels ``c - 1`` and ``c``.
    corners: Int64s
    areas_mm2: Float64s  # (n,)
    lattice: tuple[int, int, int]  # shape of the corner lattice
    spacing_mm: tuple[float, float, float]

    @property
    def area_mm2(self) -> float:
        """Area of the whole surface in mm2."""
        return float(np.sort(self.areas_mm2).sum())

    def indices(self) -> Int64s:
        """Corner indices (n, 3)."""
        return np.stack(split_index(self.corners, *self.lattice[:2]), axis=-1)


def surface_of(runs: VoxelRuns, grid: VoxelGrid) -> Surface:
    """Return the surface elements of a voxel set on a grid.

    Work is proportional to the surface. Outside the grid counts as outside the set, so a lesion that meets
    the border of the image has a surface there.
    """
    corners, codes = _corner_codes(runs, grid.shape)
    ni, nj, nk = grid.shape
    return Surface(
        corners=corners,
        areas_mm2=surfel_areas_mm2(grid.spacing_mm)[codes],
        lattice=(ni + 1, nj + 1, nk + 1),
        spacing_mm=grid.spacing_mm,
    )


def _corner_codes(runs: VoxelRuns, shape: tuple[int, int, int]) -> tuple[Int64s, Int64s]:
    """Corners on the surface and which of their eight voxels are inside, a bit each.

    Bit ``di + 2 dj + 4 dk`` is voxel ``corner - 1 + (di, dj, dk)``. A run of voxels switches that bit
    on at one corner and off at another, so all codes come from one sweep over sorted switches.
    """
    starts, stops, _ = split_rows(runs.starts, runs.stops, shape[0])
    first, j, k = split_index(starts, *shape[:2])
    last = first + stops - starts
    switches = []
    for bit, (di, dj, dk) in enumerate(_CORNERS):
        base = (shape[0] + 1) * ((j + 1 - dj) + (shape[1] + 1) * (k + 1 - dk)) + 1 - di
        # Position and change share one integer: sorting plain integers is several times faster.
        switches += [(base + first) * 512 + 256 + (1 << bit), (base + last) * 512 + 256 - (1 << bit)]
    packed = np.sort(np.concatenate(switches))
    position = packed >> 9
    code = np.cumsum((packed & 511) - 256)
    final = np.flatnonzero(position[1:] != position[:-1])  # the last switch at each corner but the last
    code, begin, end = code[final], position[final], position[final + 1]
    surface = (code != 0) & (code != _ALL_INSIDE)
    begin, end = begin[surface], end[surface]
    return expand(begin, end), np.repeat(code[surface], end - begin)


def surfel_areas_mm2(spacing_mm: tuple[float, float, float]) -> Float64s:
    """Area of the surface element for each of the 256 ways to fill eight voxels round a corner, (256,).

    The smaller of the two sets (inside or outside) is cut off, each of its face-connected pieces by
    itself. The facets' normals, in units of the spacing, follow from the cut edges' midpoints:

    - one voxel: a triangle (1/8, 1/8, 1/8)
    - two in a line: a rectangle, 1/2 on the two axes across
    - an L of three: a trapezoid (3/8, 3/8, 3/8) and a triangle, 1/2 on the axis across
    - a square of four: a rectangle, 1 on the axis across
    - a voxel and its three neighbours: a hexagon (3/4, 3/4, 3/4)
    - a chain along three axes: a trapezoid (1/2, 1/2, 1/2) and two triangles, 1/4 on the middle
      step's axis and on that of either end

    A facet with normal ``n`` has area ``|(n_i s_j s_k, n_j s_i s_k, n_k s_i s_j)|``.
    """
    s = np.array(spacing_mm)
    faces = np.prod(s) / s
    areas: Float64s = np.sqrt(((_facet_normals() * faces) ** 2).sum(axis=-1)).sum(axis=-1)
    return areas


@cache
def _facet_normals() -> Float64s:
    """Absolute facet normals for each code, zeros where it has fewer, (256, 4, 3)."""
    normals = np.zeros((256, 4, 3))
    for code in range(1, _ALL_INSIDE):
        inside = [c for bit, c in enumerate(_CORNERS) if code >> bit & 1]
        smaller = inside if len(inside) <= 4 else [c for c in _CORNERS if c not in inside]
        facets = [normal for piece in _pieces(smaller) for normal in _facets(piece)]
        normals[code, : len(facets)] = facets
    normals.flags.writeable = False
    return normals


def _pieces(voxels: list[_Voxel]) -> list[list[_Voxel]]:
    """Face-connected pieces of a few voxels."""
    left, pieces = list(voxels), []
    while left:
        piece = [left.pop(0)]
        for voxel in piece:  # grows while it is walked
            piece += (near := [other for other in left if _step(voxel, other) is not None])
            left = [other for other in left if other not in near]
        pieces.append(piece)
    return pieces


def _step(a: _Voxel, b: _Voxel) -> int | None:
    """Return the axis along which two voxels are neighbours, or None."""
    apart = [axis for axis in range(3) if a[axis] != b[axis]]
    return apart[0] if len(apart) == 1 else None


def _facets(piece: list[_Voxel]) -> list[tuple[float, float, float]]:
    """Absolute facet normals, in units of the spacing, that cut a face-connected piece off."""

    def on(value: float, *axes: int) -> tuple[float, float, float]:
        x, y, z = (value if axis in axes else 0.0 for axis in range(3))
        return x, y, z

    def equal(value: float) -> tuple[float, float, float]:
        return value, value, value

    steps = [
        (a, axis) for a, b in product(piece, piece) if (axis := _step(a, b)) is not None
    ]  # each neighbourhood seen from both ends
    spanned = {axis for _, axis in steps}
    across = [axis for axis in range(3) if axis not in spanned]
    neighbours = [sum(a == voxel for a, _ in steps) for voxel in piece]
    if len(piece) == 1:
        return [equal(1 / 8)]
    if len(piece) == 2:
        return [on(1 / 2, *across)]
    if len(piece) == 3:
        return [equal(3 / 8), on(1 / 2, *across)]
    if across:
        return [on(1.0, *across)]
    if max(neighbours) == 3:
        return [equal(3 / 4)]
    ends = [axis for a, axis in steps if neighbours[piece.index(a)] == 1]
    middle = 3 - sum(ends)
    return [equal(1 / 2), *(on(1 / 4, middle, end) for end in ends)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DirectedDistances:
    """Distances from every element of one surface to the nearest element of another."""

    # distances_mm, areas_mm2: (n,): sorted by distance, then area.
    distances_mm: Float64s
    areas_mm2: Float64s

    @property
    def area_mm2(self) -> float:
        """Area of the surface that the distances start from."""
        return float(self.areas_mm2.sum())

    @property
    def weighted_sum(self) -> float:
        """Sum of distance times area, mm3."""
        return float((self.distances_mm * self.areas_mm2).sum())

    def area_within_mm2(self, tolerance_mm: float) -> float:
        """Area that lies no farther than ``tolerance_mm`` (and 0.001 mm) from the other surface."""
        return float(self.areas_mm2[self.distances_mm <= tolerance_mm + TIE_MM].sum())

    def percentile_mm(self, percent: float) -> float:
        """Smallest distance within which ``percent`` of the surface's area lies."""
        cumulated = np.cumsum(self.areas_mm2)
        wanted = percent / 100 * cumulated[-1] * (1 - _ROUNDING)
        return float(self.distances_mm[np.searchsorted(cumulated, wanted)])


def distances_between(a: Surface, b: Surface) -> tuple[DirectedDistances, DirectedDistances]:
    """Distances from ``a`` to ``b`` and from ``b`` to ``a``, between elements; neither is empty."""
    return _directed(a, b), _directed(b, a)


def _directed(start: Surface, end: Surface) -> DirectedDistances:
    distances = np.zeros(start.corners.size)
    at = np.minimum(np.searchsorted(end.corners, start.corners), end.corners.size - 1)
    apart = end.corners[at] != start.corners  # where the surfaces coincide there is nothing to search
    if apart.any():
        from scipy.spatial import cKDTree

        spacing = np.array(start.spacing_mm)
        target, query = end.indices(), start.indices()[apart]
        # Splitting cells in half, without fitting boxes, is 3 to 15 times faster for points far away.
        tree = cKDTree(target * spacing, leafsize=32, balanced_tree=False, compact_nodes=False)
        nearest = tree.query(query * spacing)[1]
        # Again from whole steps of the lattice, so that the place in the image does not round it.
        distances[apart] = np.sqrt((((target[nearest] - query) * spacing) ** 2).sum(axis=1))
    order = np.lexsort((start.areas_mm2, distances))
    return DirectedDistances(distances_mm=distances[order], areas_mm2=start.areas_mm2[order])
