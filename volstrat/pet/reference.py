"""Reference regions: the healthy tissue that a lesion's uptake is compared with.

Each function returns PET voxels or, where the region cannot be had, a sentence that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import VoxelRuns, sorted_unique
from volstrat.pet.regions import voxels_in_mask
from volstrat.pet.uptake import values_at

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.geometry.mask import Mask


LIVER_SPHERE_RADIUS_MM = 15.0
"""PERCIST 1.0 (Wahl 2009): a sphere of 3 cm diameter in the right lobe."""

_LEAST_VOXELS = 5
"""A mean and SD over fewer PET voxels say nothing about noise (an aorta of 1 x 2 cm has 20 or more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceUptake:
    """Uptake in a reference region."""

    # suv_mean, suv_sd: mean and population SD over the PET voxels, in the rule's metric.
    suv_mean: float
    suv_sd: float
    voxels: int
    volume_ml: float


def mask_reference(reference: Mask, *, pet_grid: VoxelGrid, tumour_voxels: Int64s) -> Int64s | str:
    """PET voxels whose centres lie in a reference region that was drawn on any grid of the PET's frame.

    The region must neither share nor neighbour one of ``tumour_voxels``, the PET voxels that hold tumour,
    rising.
    """
    voxels = voxels_in_mask(reference.voxels(), mask_grid=reference.grid, pet_grid=pet_grid)
    if voxels.size == 0:
        return "no PET voxel centre lies in the reference region"
    touching = np.isin(neighbourhood(tumour_voxels, pet_grid), voxels, assume_unique=True).sum()
    if touching:
        return (
            f"the reference region touches tumour ({touching} of its {voxels.size} PET voxels hold tumour "
            "or lie beside it)"
        )
    return voxels


def liver_sphere(liver: Mask, *, pet_grid: VoxelGrid, tumour_voxels: Int64s) -> Int64s | str:
    """PET voxels of a 3 cm sphere in the healthy right lobe.

    Healthy liver is the PET voxels whose centres lie in the liver mask, less ``tumour_voxels``, those that
    hold tumour, and their neighbours. The sphere goes where its centre is farthest from everything else,
    among voxels to the patient's right of the liver's centroid; of centres within 0.001 mm of the best the
    one at the lowest LPS x, then y, then z.
    """
    from scipy.ndimage import distance_transform_edt

    whole = voxels_in_mask(liver.voxels(), mask_grid=liver.grid, pet_grid=pet_grid)
    healthy = np.setdiff1d(whole, neighbourhood(tumour_voxels, pet_grid), assume_unique=True)
    if healthy.size == 0:
        return "no healthy liver lies in the PET field"
    indices = pet_grid.unravel(healthy)
    low = indices.min(axis=0) - 1
    crop = np.zeros(indices.max(axis=0) - low + 2, dtype=bool)
    crop[tuple((indices - low).T)] = True
    clearance = distance_transform_edt(crop, sampling=pet_grid.spacing_mm)[tuple((indices - low).T)]
    points = pet_grid.to_mm(indices)
    right = points[:, 0] < pet_grid.to_mm(pet_grid.unravel(whole))[:, 0].mean()
    room = right & (clearance > LIVER_SPHERE_RADIUS_MM + TIE_MM)
    if not room.any():
        most = float(clearance[right].max(initial=0.0))
        return (
            "no 3 cm sphere fits into the healthy right lobe of the liver "
            f"(at most {2 * most:.0f} mm across is free of tumour and of the liver's edge)"
        )
    best = np.flatnonzero(room & (clearance >= clearance[room].max() - TIE_MM))
    order = np.lexsort(np.rint(points[best] / TIE_MM).T[::-1])
    centre = points[best[order[0]]]
    inside = ((points - centre) ** 2).sum(axis=1) <= (LIVER_SPHERE_RADIUS_MM + TIE_MM) ** 2
    sphere: Int64s = healthy[inside]
    return sphere


def measure_reference(image: Image, voxels: Int64s, *, factor: float) -> ReferenceUptake | str:
    """Mean and SD of a reference region; too few finite voxels or no uptake at all is a reason not to."""
    values = values_at(image, voxels)
    finite = np.isfinite(values)
    if finite.sum() < _LEAST_VOXELS:
        return f"the reference region has {finite.sum()} usable PET voxels of at least {_LEAST_VOXELS} needed"
    kept = values[finite] * factor
    if kept.mean() <= 0:
        return f"the reference region has a mean SUV of {kept.mean():.3g}, which no tissue has"
    return ReferenceUptake(
        suv_mean=float(kept.mean()),
        suv_sd=float(kept.std()),
        voxels=int(finite.sum()),
        volume_ml=int(finite.sum()) * image.grid.voxel_volume_mm3 / 1000.0,
    )


def neighbourhood(voxels: Int64s, grid: VoxelGrid) -> Int64s:
    """Return the voxels, rising, and their 26 neighbours in the grid."""
    steps = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    indices = grid.unravel(sorted_unique(voxels))[:, None, :] + steps
    inside = ((indices >= 0) & (indices < grid.shape)).all(axis=-1)
    return VoxelRuns.from_indices(grid.ravel(indices[inside])).indices()
