"""Ellipsoids and cuboids on oblique grids: the geometry behind `sample_data/`, in plain numpy.

Nothing here uses volstrat, so that what it counts is a second opinion. Coordinates are LPS mm,
arrays are indexed ``[i, j, k]``. Everything is computed element by element in double precision
from rational cosines, so that every machine draws the same voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Vector = tuple[float, float, float]

STRAIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
MIRRORED = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))
OBLIQUE = (
    (0.96, 0.28, 0.0),
    (-0.28 * 12 / 13, 0.96 * 12 / 13, 5 / 13),
    (0.28 * 5 / 13, -0.96 * 5 / 13, 12 / 13),
)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A lattice: voxel (i, j, k) lies at origin + i s0 a0 + j s1 a1 + k s2 a2, LPS mm.

    Parameters
    ----------
    shape : tuple of int
        Voxels along i, j, k.
    spacing_mm : tuple of float
        Along i, j, k.
    axes : three unit vectors
        Directions of i, j, k in LPS.
    origin_mm : tuple of float
        Centre of voxel (0, 0, 0).
    """

    shape: tuple[int, int, int]
    spacing_mm: Vector
    axes: tuple[Vector, Vector, Vector]
    origin_mm: Vector

    @property
    def affine(self) -> Array:
        """Indices to LPS mm, (4, 4); every number is a single-precision one, as NIfTI stores it."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.axes).T * np.array(self.spacing_mm)
        affine[:3, 3] = self.origin_mm
        return affine.astype(np.float32).astype(np.float64)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return abs(_inverse(self.affine)[1]) / 1000

    def indices(self) -> tuple[Array, Array, Array]:
        """Return the index along each axis, three arrays of the grid's shape."""
        i, j, k = np.meshgrid(*(np.arange(n) for n in self.shape), indexing="ij")
        return i, j, k

    def to_mm(self, i: Array, j: Array, k: Array) -> tuple[Array, Array, Array]:
        """Return the LPS mm of indices."""
        a = self.affine
        x, y, z = (a[r, 0] * i + a[r, 1] * j + a[r, 2] * k + a[r, 3] for r in range(3))
        return x, y, z

    def to_index(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        """Return the continuous indices of LPS mm."""
        dx, dy, dz = (p - o for p, o in zip((x, y, z), self.affine[:3, 3], strict=True))
        b, _ = _inverse(self.affine)
        i, j, k = (b[r, 0] * dx + b[r, 1] * dy + b[r, 2] * dz for r in range(3))
        return i, j, k


@dataclass(frozen=True)
class Box:
    """Voxels start <= index < stop; its voxel count is the product of the sides."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def radius(self, index: Sequence[Array], spacing_mm: Vector, grow_mm: float) -> NDArray[np.float64]:
        """At most 1 inside the shape grown by ``grow_mm``."""
        a, b, c = (
            np.abs(x - (low + high - 1) / 2) / ((high - low) / 2 + grow_mm / step)
            for x, low, high, step in zip(index, self.start, self.stop, spacing_mm, strict=True)
        )
        return np.asarray(np.maximum(np.maximum(a, b), c))


@dataclass(frozen=True)
class Ellipsoid:
    """Voxels whose centre lies within semi-axes (mm, along i, j, k) of a centre (indices)."""

    centre: Vector
    semi_axes_mm: Vector

    def radius(self, index: Sequence[Array], spacing_mm: Vector, grow_mm: float) -> NDArray[np.float64]:
        """At most 1 inside the shape grown by ``grow_mm``."""
        a, b, c = (
            (x - middle) * step / (axis + grow_mm)
            for x, middle, step, axis in zip(index, self.centre, spacing_mm, self.semi_axes_mm, strict=True)
        )
        return np.asarray(np.sqrt(a * a + b * b + c * c))


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One tumour, or one hot spot without a CT counterpart.

    Parameters
    ----------
    shape : Box or Ellipsoid
        In indices of the CT grid.
    marking : str
        What the case as a whole says of it: mask and table together.
    spill_mm : float or None
        How far its FDG-avid region reaches beyond it; None where it is cold.
    breathing_mm : tuple of float
        By how much PET shows it displaced, LPS mm.
    suv : float
        Uptake at its middle.
    """

    shape: Box | Ellipsoid
    marking: str = "unknown"
    spill_mm: float | None = None
    breathing_mm: Vector = (0.0, 0.0, 0.0)
    suv: float = 6.0


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """Lesions on a CT grid, and PET on its own grid where there is any.

    Parameters
    ----------
    ct : Grid
    lesions : tuple of Lesion
        L1, L2, ... in this order.
    pet : Grid or None
    pet_only : tuple of Lesion
        P1, P2, ... in this order; they are in no CT mask.
    """

    ct: Grid
    lesions: tuple[Lesion, ...]
    pet: Grid | None = None
    pet_only: tuple[Lesion, ...] = ()

    @property
    def hot(self) -> tuple[Lesion, ...]:
        """Everything that takes up FDG."""
        return tuple(lesion for lesion in (*self.lesions, *self.pet_only) if lesion.spill_mm is not None)

    def voxels(self, lesion: Lesion, *, grow_mm: float = 0.0) -> Array:
        """Return the CT voxels that a lesion holds, bool."""
        radius = lesion.shape.radius(self.ct.indices(), self.ct.spacing_mm, grow_mm)
        return np.asarray(radius <= 1)

    def labels(self) -> Array:
        """Return lesions numbered from 1 on the CT grid, uint8."""
        volume = np.zeros(self.ct.shape, dtype=np.uint8)
        for number, lesion in enumerate(self.lesions, 1):
            volume[self.voxels(lesion)] = number
        return volume

    def tumour(self) -> Array:
        """Return all lesions as one mask, uint8."""
        return (self.labels() > 0).astype(np.uint8)

    def union(self, *numbers: int, grow_mm: float = 0.0) -> Array:
        """Return some lesions, by number, as one mask drawn ``grow_mm`` too large, uint8."""
        volume = np.zeros(self.ct.shape, dtype=np.uint8)
        for number in numbers:
            volume[self.voxels(self.lesions[number - 1], grow_mm=grow_mm)] = 1
        return volume

    def pet_grid(self) -> Grid:
        """Return the PET grid; only for a phantom that has one."""
        if self.pet is None:
            message = "this phantom has no PET"
            raise ValueError(message)
        return self.pet

    def avid(self) -> Array:
        """Return everything hot with its spill, on the PET grid, uint8."""
        volume = np.zeros(self.pet_grid().shape, dtype=np.uint8)
        for lesion in self.hot:
            volume[self._pet_radius(lesion, lesion.spill_mm or 0.0) <= 1] = 1
        return volume

    def suv(self) -> Array:
        """Return SUV in sixteenths on the PET grid, uint8: background 13/16, hot lesions with soft edges."""
        volume = np.full(self.pet_grid().shape, 13.0)
        for lesion in self.hot:
            radius = self._pet_radius(lesion, 0.0)
            volume += (lesion.suv * 16 - 13) / (1 + radius * radius * radius * radius)
        return np.asarray(np.minimum(np.floor(volume), 255), dtype=np.uint8)

    def _pet_radius(self, lesion: Lesion, grow_mm: float) -> NDArray[np.float64]:
        pet = self.pet_grid()
        moved = [p - d for p, d in zip(pet.to_mm(*pet.indices()), lesion.breathing_mm, strict=True)]
        return lesion.shape.radius(self.ct.to_index(*moved), self.ct.spacing_mm, grow_mm)


def _inverse(affine: Array) -> tuple[Array, float]:
    """Return the inverse of the 3 x 3 part and its determinant, by cofactors: no library sums for us."""
    (a, b, c), (d, e, f), (g, h, i) = affine[:3, :3].tolist()
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return np.array(cofactors) / determinant, determinant
