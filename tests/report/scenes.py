"""A phantom patient to draw: where things lie is stated in patient coordinates (LPS, mm).

CT: 60 x 50 x 40 voxels of 1.5 x 2 x 3 mm (left, posterior, head), from (-44.25, -49, -58.5) on: 90 x 100 x
120 mm round the origin. -100 HU, and one bright block of 300 HU. Lesion L1 lies at the patient's right, in
front, towards the head: x -30 to -15, y -40 to -20, z 30 to 45 mm, outer faces. 10 x 10 x 5 = 500 voxels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.dense import voxel_runs
from tests.lattices import stored
from volstrat.geometry.grid import VoxelGrid
from volstrat.pictures.drawn_volumes import Volume
from volstrat.pictures.planes import Plane
from volstrat.pictures.scene import Scene, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.lattices import Order
    from volstrat.geometry.image import Image
    from volstrat.pictures.planes import PlaneName

    Affine = NDArray[np.float64]

SHAPE, SPACING = (60, 50, 40), (1.5, 2.0, 3.0)
ORIGIN = (-44.25, -49.0, -58.5)
LESION_LOW, LESION_HIGH = (-30.0, -40.0, 30.0), (-15.0, -20.0, 45.0)
LESION_VOXELS = 500
TISSUE_HU, BRIGHT_HU = -100, 300
PLAIN: Order = ((0, 1, 2), (1, 1, 1))


def affine() -> Affine:
    """Return the CT's affine, index to LPS mm."""
    matrix = np.diag([*SPACING, 1.0])
    matrix[:3, 3] = ORIGIN
    return matrix


def block() -> NDArray[np.bool_]:
    """Return the voxels of the block, indexed left, posterior, head."""
    inside = np.ones(SHAPE, dtype=bool)
    for axis in range(3):
        centre = ORIGIN[axis] + SPACING[axis] * np.arange(SHAPE[axis])
        within = (centre > LESION_LOW[axis]) & (centre < LESION_HIGH[axis])
        inside &= within.reshape([-1 if a == axis else 1 for a in range(3)])
    return inside


def grid_of(values: NDArray[Any], matrix: Affine) -> VoxelGrid:
    """Return the grid of an array."""
    a, b, c = values.shape
    return VoxelGrid(shape=(a, b, c), affine=matrix)


def phantom(order: Order = PLAIN, *, with_ct: bool = True, pet: Image | None = None) -> Scene:
    """Return the phantom, its CT and mask stored in some order of axes."""
    dense = block()
    values, matrix = stored(np.where(dense, BRIGHT_HU, TISSUE_HU).astype(np.float32), affine(), order)
    mask, _ = stored(dense, affine(), order)
    grid = grid_of(values, matrix)
    return Scene(
        ct=Volume.ct(grid, values) if with_ct else None,
        pet=None if pet is None else Volume.pet(pet, unit="SUV"),
        shapes=(Shape.of("L1", grid, voxel_runs(np.asfortranarray(mask))),),
        mask_grid=grid,
    )


def plane_through(scene: Scene, name: PlaneName, point: tuple[float, float, float]) -> Plane:
    """Return the plane of the scene that goes through a point."""
    plane = Plane(name=name, grid=scene.grid, index=0)
    return Plane(name=name, grid=scene.grid, index=plane.slice_at(np.array(point)))


def coloured(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where a picture has exactly a colour."""
    same: NDArray[np.bool_] = (pixels == np.array(colour, dtype=np.uint8)).all(axis=-1)
    return same
