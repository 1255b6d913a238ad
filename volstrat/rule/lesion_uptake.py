"""SUV statistics of a case's lesions and PET-only regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.rule.lesions import covered_by
from volstrat.rule.resolving import avid_voxels_of_lesions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.pet.uptake import LesionUptake
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment

    Int64s = NDArray[np.int64]
    Uptakes = tuple[LesionUptake | None, ...]


def measure_uptake(measured: Measurements, assessment: Assessment) -> tuple[Uptakes, Uptakes]:
    """Measure SUVmax, SUVmean, SUVpeak and TLG of every lesion and PET-only region.

    A lesion's voxels are the avid ones that belong to it, where the avid mask is drawn on the PET
    image's lattice, whatever part of it a file holds; else the PET voxels whose centres lie in the
    lesion; else, for a lesion smaller than a PET voxel, those that hold it.

    Returns
    -------
    lesions, regions : tuple of LesionUptake or None
        None without a SUV image, or where the lesion lies outside the PET field.
    """
    attribution, resolved = measured.attribution, assessment.resolved
    regions = 0 if attribution is None else attribution.pet_only.count
    suv = measured.masks.suv
    if suv is None:
        return (None,) * measured.lesions.count, (None,) * regions
    from volstrat.pet.uptake import suv_statistics  # most cases of masks have no image

    own: list[Int64s] = [np.empty(0, np.int64)] * measured.lesions.count
    alone: list[Int64s] = []
    at = None if attribution is None else _on_image(attribution, suv.grid)
    if attribution is not None and resolved is not None and at is not None:
        own = [
            _looked_up(attribution, at, voxels)
            for voxels in avid_voxels_of_lesions(attribution, resolved, measured.lesions.count)
        ]
        rank = attribution.rank
        alone = [at[(rank == n) & (at >= 0)] for n in range(regions)]
    inside = covered_by(measured.lesions, suv.grid)
    for n in range(measured.lesions.count):
        if not own[n].size and inside[n]:
            own[n] = _in_lesion(measured, n, suv.grid)
    uptake = suv_statistics(suv, [*own, *alone])
    found = uptake[measured.lesions.count :] if alone else (None,) * regions
    return uptake[: measured.lesions.count], found


def _on_image(attribution: Attribution, grid: VoxelGrid) -> Int64s | None:
    """Return the image's voxel of each avid voxel, -1 beyond the image; None on another lattice."""
    placement = attribution.grid.placement_on(grid, tolerance_mm=100 * TIE_MM)
    if placement is None:
        return None
    if placement.is_identity and attribution.grid.shape == grid.shape:
        return attribution.voxels
    own = attribution.grid.unravel(attribution.voxels)
    index = np.empty_like(own)
    for axis, (to, sign) in enumerate(zip(placement.axes, placement.signs, strict=True)):
        index[:, to] = sign * own[:, axis] + placement.offset[to]
    inside = ((index >= 0) & (index < np.array(grid.shape))).all(axis=1)
    return np.where(inside, grid.ravel(index), -1)


def _looked_up(attribution: Attribution, at: Int64s, voxels: Int64s) -> Int64s:
    found = at[np.searchsorted(attribution.voxels, voxels)]
    return found[found >= 0]


def _in_lesion(measured: Measurements, lesion: int, grid: VoxelGrid) -> Int64s:
    from volstrat.pet.regions import voxels_in_mask

    runs = measured.lesions.of(lesion)
    inside = voxels_in_mask(runs, mask_grid=measured.lesions.grid, pet_grid=grid)
    if inside.size:
        return inside
    centres = measured.lesions.grid.to_mm(measured.lesions.grid.unravel(runs.indices()))
    at = grid.voxel_at(grid.to_index(centres))
    holders: Int64s = np.unique(grid.ravel(at[at[:, 0] >= 0]))
    return holders
