"""Voxel grids in DICOM patient coordinates (LPS, millimetres).

A grid maps voxel indices ``(i, j, k)``, ``i`` fastest in memory, to millimetres:
``x = affine @ (i, j, k, 1)``. Every reader converts to this once.
Dense arrays that belong to a grid are indexed ``[i, j, k]`` and stored in Fortran order.
"""

from __future__ import annotations

import math
from dataclasses import field
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import GeometryError, ImplausibleSizeError
from volstrat.frozen import frozen
from volstrat.geometry.runs import split_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from volstrat.geometry.array_types import Bools, Float64s, Int64s, Triple

TIE_MM = 0.001
"""Distances closer than this are equal (docs/rule.md, attribution): rounding never decides."""

LARGEST_EXTENT_MM = 3000.0
LARGEST_EDGE_MM = 20.0
SMALLEST_EDGE_MM = 0.05

_MAX_SHEAR_COSINE = 1e-3
_MOST_VOXELS = 1 << 62
_SAME_COSINE = 1e-5


@frozen
class Placement:
    """How the voxels of one grid lie on the lattice of another.

    ``index_other[axes[a]] = signs[a] * index_self[a] + offset[axes[a]]``: a signed permutation
    and a whole-voxel shift. ``displacement_mm`` is the largest distance that a corner voxel is
    off the other lattice.
    """

    axes: Triple
    signs: Triple
    offset: Triple
    displacement_mm: float

    @property
    def is_identity(self) -> bool:
        """True where indices carry over unchanged."""
        return self.axes == (0, 1, 2) and self.signs == (1, 1, 1) and self.offset == (0, 0, 0)


@frozen(eq=False)
class VoxelGrid:
    """A regular lattice of voxels.

    Parameters
    ----------
    shape : tuple of int
        Voxels along i, j, k; ``i`` is the fastest axis in memory.
    affine : array, (4, 4)
        Maps indices to LPS millimetres (DICOM PS3.3 C.7.6.2.1.1).
    frame_of_reference_uid : str or None
        None where the format does not know one.
    is_window : bool
        True for sparse containers (SEG, RTSTRUCT, ``.seg.nrrd``) that store only part of the
        lattice their image covers: outside the window a mask is zero, not unknown.

    Raises
    ------
    GeometryError
        If the affine is not finite, singular, or sheared by more than 1e-3 (cosine), or voxels
        cannot be numbered in 64 bits.
    """

    shape: Triple
    affine: Float64s
    frame_of_reference_uid: str | None = None
    is_window: bool = False
    _inverse: Float64s = field(init=False, repr=False)
    _volume_mm3: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            msg = f"The affine must be 4 x 4 finite numbers; got {affine.tolist()}."
            raise GeometryError(msg)
        if len(self.shape) != 3 or min(self.shape) < 1:
            msg = f"A grid needs three axes of at least one voxel; got shape {tuple(self.shape)}."
            raise GeometryError(msg)
        if math.prod(int(n) for n in self.shape) > _MOST_VOXELS:
            shape = " x ".join(map(str, self.shape))
            msg = f"A grid of {shape} voxels has more of them than can be numbered."
            raise GeometryError(msg, hint="Check the origins: masks of one case lie beside each other.")
        affine.flags.writeable = False
        columns = affine[:3, :3]
        lengths = np.sqrt((columns**2).sum(axis=0))
        if lengths.min() <= 0:
            msg = f"The voxel spacing is zero along an axis: {lengths.tolist()} mm."
            raise GeometryError(msg)
        cosines = (columns / lengths).T @ (columns / lengths)
        shear = float(np.abs(cosines - np.eye(3)).max())
        if shear > _MAX_SHEAR_COSINE:
            msg = (
                f"The grid is sheared: two axes meet at cosine {shear:.4f} "
                f"(at most {_MAX_SHEAR_COSINE} is taken as square)."
            )
            raise GeometryError(msg, hint="Resample the image onto a rectangular grid first.")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", affine)
        inverse = np.linalg.inv(affine)
        inverse.flags.writeable = False
        object.__setattr__(self, "_inverse", inverse)
        a, b, c = columns.T.tolist()
        cross = (b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0])
        volume = abs(a[0] * cross[0] + a[1] * cross[1] + a[2] * cross[2])
        # Its last binary digits differ with the order in which axes are stored; twelve decimals do not.
        object.__setattr__(self, "_volume_mm3", float(f"{volume:.12g}"))

    @property
    def inverse(self) -> Float64s:
        """The map from LPS millimetres to (continuous) indices, (4, 4)."""
        return self._inverse

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along i, j, k, in mm."""
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    @property
    def directions(self) -> Float64s:
        """Unit vectors of the axes in LPS, one a column, (3, 3)."""
        columns = self.affine[:3, :3]
        unit: Float64s = columns / np.sqrt((columns**2).sum(axis=0))
        return unit

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, in ml."""
        return self.voxel_volume_mm3 / 1000

    @property
    def voxel_volume_mm3(self) -> float:
        """``|det(affine)|`` in mm3."""
        return self._volume_mm3

    @property
    def size(self) -> int:
        """How many voxels the grid has."""
        ni, nj, nk = self.shape
        return ni * nj * nk

    @property
    def axial_axis(self) -> int:
        """The axis (0, 1, 2) whose planes lie closest to the patient's axial planes."""
        return int(np.argmax(np.abs(self.directions[2]) + 1e-9 * np.arange(3)))

    def unravel(self, linear: Int64s) -> Int64s:
        """Voxel indices (n, 3) of linear indices (n,), ``i`` fastest."""
        ni, nj, _ = self.shape
        return np.stack(split_index(linear, ni, nj), axis=-1)

    def ravel(self, indices: Int64s) -> Int64s:
        """Linear indices (n,) of voxel indices (n, 3)."""
        ni, nj, _ = self.shape
        linear: Int64s = indices[..., 0] + ni * (indices[..., 1] + nj * indices[..., 2])
        return linear

    def to_mm(self, indices: ArrayLike) -> Float64s:
        """LPS millimetres (n, 3) of (continuous) voxel indices (n, 3)."""
        return _transformed(self.affine, np.asarray(indices, dtype=np.float64))

    def to_index(self, points_mm: ArrayLike) -> Float64s:
        """Continuous voxel indices (n, 3) of LPS millimetres (n, 3)."""
        return _transformed(self._inverse, np.asarray(points_mm, dtype=np.float64))

    def corners_mm(self) -> Float64s:
        """Centres of the eight corner voxels, (8, 3) in LPS mm."""
        return self.to_mm(self._corner_indices())

    def _corner_indices(self) -> Int64s:
        ends = np.array(self.shape) - 1
        bits = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
        corners: Int64s = bits * ends
        return corners

    def voxel_at(self, continuous: Float64s) -> Int64s:
        """Return the voxel (n, 3) that holds each continuous index (n, 3); -1 three times where none does.

        A point within 0.001 mm of a face between two voxels belongs to the one on the higher side in patient
        axes, so that mirrored storage gives the same answer; the outer faces include that slack. A window has
        no outer faces: beyond it the lattice goes on, so that how much of the lattice a file stores gives the
        same answer too.
        """
        voxel = np.empty(continuous.shape, dtype=np.int64, order="F")
        for axis in range(3):
            voxel[..., axis] = self.voxel_along(axis, continuous[..., axis])
        voxel[(voxel < 0).any(axis=-1)] = -1
        return voxel

    def voxel_along(self, axis: int, continuous: Float64s) -> Int64s:
        """Return one index of the voxel that holds each continuous index along an axis; -1 beyond the faces.

        As in `voxel_at`.
        """
        edge = float(TIE_MM * np.sqrt((self._inverse[axis, :3] ** 2).sum()))
        last = self.shape[axis] - 1
        # A face at m + 0.5: the voxel above it wins where the axis points upward, else the one below.
        if _points_upward(self.directions)[axis]:
            lower = np.floor(continuous + 0.5 + edge)
        else:
            lower = np.ceil(continuous + 0.5 - edge) - 1
        if self.is_window:
            inside = (lower >= 0) & (lower <= last)
        else:
            inside = (continuous >= -0.5 - edge) & (continuous <= last + 0.5 + edge)
        np.clip(lower, 0, last, out=lower)
        lower[~inside] = -1
        voxel: Int64s = lower.astype(np.int64)
        return voxel

    def placement_on(self, other: VoxelGrid, *, tolerance_mm: float) -> Placement | None:
        """Say how this grid's voxels lie on the other's lattice, or None where they do not.

        The comparison is the largest displacement of a corner voxel of either grid, in mm.
        """
        if np.array_equal(self.affine, other.affine):  # the common case
            return Placement(axes=(0, 1, 2), signs=(1, 1, 1), offset=(0, 0, 0), displacement_mm=0.0)
        relative = other.inverse[:3, :3] @ self.affine[:3, :3]
        rounded = np.rint(relative)
        if not (np.abs(rounded).sum(axis=0) == 1).all() or not (np.abs(rounded).sum(axis=1) == 1).all():
            return None
        offset = np.rint(other.to_index(self.affine[:3, 3]))
        mapped = self._corner_indices() @ rounded.T + offset
        own = np.abs(self.to_mm(self._corner_indices()) - other.to_mm(mapped))
        back = (other._corner_indices() - offset) @ rounded
        theirs = np.abs(self.to_mm(back) - other.corners_mm())
        displacement = float(max(np.sqrt((own**2).sum(axis=1)).max(), np.sqrt((theirs**2).sum(axis=1)).max()))
        if displacement > tolerance_mm:
            return None
        axes = np.abs(rounded).argmax(axis=0)
        signs = rounded[axes, range(3)]
        return Placement(
            axes=triple(axes), signs=triple(signs), offset=triple(offset), displacement_mm=displacement
        )

    def corner_displacement_mm(self, other: VoxelGrid) -> float:
        """Largest distance between corresponding corner voxels, whichever way axes are stored.

        Of all ways to pair the two sets of eight corners axis by axis, the kindest one counts, so
        that the figure is the physical misfit and not a difference in storage order.
        """
        corners = self.corners_mm().reshape(2, 2, 2, 3)
        theirs = other.corners_mm().reshape(2, 2, 2, 3)
        best = np.inf
        for axes in permutations(range(3)):
            turned = theirs.transpose(*axes, 3)
            for flips in np.ndindex(2, 2, 2):
                flipped = turned[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1], :: 1 - 2 * flips[2]]
                best = min(best, float(np.sqrt(((corners - flipped) ** 2).sum(axis=-1)).max()))
        return best

    def window(self, *, origin_index: Triple, shape: Triple) -> VoxelGrid:
        """Return the part of the lattice that starts at ``origin_index`` (may be negative)."""
        affine = np.array(self.affine)
        affine[:3, 3] = self.to_mm(np.array(origin_index))
        return VoxelGrid(
            shape=shape,
            affine=affine,
            frame_of_reference_uid=self.frame_of_reference_uid,
            is_window=self.is_window,
        )


def refuse_implausible(grid: VoxelGrid, *, name: str) -> None:
    """Refuse a grid that is of no patient's size, naming the file (ImplausibleSizeError).

    That is one more than 3 m long, or with a voxel's edge over 20 mm or under 0.05 mm.
    """
    edges = grid.spacing_mm
    extent = max(edge * n for edge, n in zip(edges, grid.shape, strict=True))
    if extent <= LARGEST_EXTENT_MM and SMALLEST_EDGE_MM <= min(edges) and max(edges) <= LARGEST_EDGE_MM:
        return
    size = " x ".join(f"{edge:.4g}" for edge in edges)
    long = f"{extent / 1000:.3g} m" if extent >= 1000 else f"{extent:.3g} mm"
    msg = (
        f"{name}: has voxels of {size} mm and is {long} long; no patient is (at most "
        f"{LARGEST_EXTENT_MM / 1000:g} m, voxel edges from {SMALLEST_EDGE_MM:g} to {LARGEST_EDGE_MM:g} mm)."
    )
    hint = "Its unit of length is probably wrong (metres for millimetres): correct it and save again."
    raise ImplausibleSizeError(msg, hint=hint)


def affine_of(*columns: ArrayLike) -> Float64s:
    """Return the map (4, 4) of four columns (3,): the step along i, j and k, and the first voxel's centre."""
    affine = np.eye(4)
    affine[:3] = np.array(columns, dtype=np.float64).T
    return affine


def triple(numbers: Iterable[float]) -> Triple:
    """Return three whole numbers as the tuple that shapes and indices are."""
    i, j, k = (int(number) for number in numbers)
    return i, j, k


def _transformed(matrix: Float64s, points: Float64s) -> Float64s:
    """Apply an affine to points (..., 3).

    Written out instead of a matrix product: the same sum in the same order on every machine, where
    a BLAS chooses by processor and number of threads.
    """
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    result = np.empty_like(points)
    for axis in range(3):
        a, b, c, d = matrix[axis].tolist()
        result[..., axis] = a * x + b * y + c * z + d
    return result


def _points_upward(directions: Float64s) -> Bools:
    """Tell for each axis whether its index rises with the patient axis that it lies closest to.

    Of two equally close ones the first: at 45 degrees the last digits of a header must not decide.
    """
    size = np.abs(directions)
    leading = (size >= size.max(axis=0) - _SAME_COSINE).argmax(axis=0)
    upward: Bools = directions[leading, range(3)] > 0
    return upward
