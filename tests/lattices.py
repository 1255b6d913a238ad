"""One lattice stored in different orders and windows, for tests; worked apart from volstrat."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.volume_files import rotation
from volstrat.geometry.grid import VoxelGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Affine = NDArray[np.float64]
    Triple = tuple[int, int, int]

Order = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Which new axis each old axis becomes, and whether it keeps its direction (1) or turns (-1)."""

ORDERS: list[Order] = [
    ((a, b, c), (x, y, z)) for a, b, c in permutations(range(3)) for x, y, z in product((1, -1), repeat=3)
]


def oblique(
    seed: int, spacing_mm: tuple[float, float, float] = (0.8, 0.7, 2.5), *, tilt: float | None = None
) -> Affine:
    """Return an affine (index to LPS mm) that is anisotropic and off-centre.

    ``tilt`` (radians) bounds the rotation, so that k stays the axial axis; without it any rotation.
    """
    rng = np.random.default_rng(seed)
    turned = rotation(rng)
    if tilt is not None:
        x, y, z = rng.uniform(-tilt, tilt, 3)
        turned = (
            np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
            @ np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
            @ np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        )
    affine = np.eye(4)
    affine[:3, :3] = turned * np.array(spacing_mm)
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    return affine


def stored(dense: NDArray[Any], affine: Affine, order: Order) -> tuple[NDArray[Any], Affine]:
    """Return the same voxels in the same places of the patient, stored in another order."""
    axes, signs = order
    inverse = [axes.index(to) for to in range(3)]
    values = dense.transpose(inverse)
    turned = affine.copy()
    for to, axis in enumerate(inverse):
        turned[:3, to] = affine[:3, axis] * signs[axis]
        if signs[axis] < 0:
            values = np.flip(values, to)
            turned[:3, 3] += affine[:3, axis] * (dense.shape[axis] - 1)
    return np.ascontiguousarray(values), turned


def padded(dense: NDArray[Any], affine: Affine, before: Triple, after: Triple) -> tuple[NDArray[Any], Affine]:
    """Return the voxels with empty ones round them, the rest of the patient where it was."""
    grown = np.pad(dense, tuple(zip(before, after, strict=True)))
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3] @ np.array(before)
    return grown, moved


def turned_grid(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> VoxelGrid:
    """Return a grid turned by angles (radians) about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    turn = (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = origin
    return VoxelGrid(shape=shape, affine=affine)
