"""SUV statistics of a case's lesions and PET-only regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.rule.lesions import covered_by
from volstrat.rule.resolving import avid_voxels_of_lesions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.geometry.array_types import Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.pet.uptake import LesionUptake
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment

    Uptakes = tuple[LesionUptake | None, ...]


class UptakeMemo:
    """Remembers the uptake of sets of PET voxels of one case: a mark changes that of few lesions."""

    def __init__(self) -> None:
        self._found: dict[bytes, LesionUptake | None] = {}
        self._within: dict[int, Int64s] = {}

    def within(self, lesion: int, measured: Measurements, grid: VoxelGrid) -> Int64s:
        """Return the PET voxels of a lesion's own drawing, whatever is avid."""
        if lesion not in self._within:
            self._within[lesion] = _in_lesion(measured, lesion, grid)
        return self._within[lesion]

    def of(self, suv: Image, sets: Sequence[Int64s]) -> Uptakes:
        """Return what `suv_statistics` gives of each set of voxels."""
        from volstrat.pet.uptake import suv_statistics  # most cases of masks have no image

        keys = [voxels.tobytes() for voxels in sets]
        fresh = {key: voxels for key, voxels in zip(keys, sets, strict=True) if key not in self._found}
        self._found |= zip(fresh, suv_statistics(suv, list(fresh.values())), strict=True)
        return tuple(self._found[key] for key in keys)


def measure_uptake(
    measured: Measurements, assessment: Assessment, known: UptakeMemo
) -> tuple[Uptakes, Uptakes]:
    """Measure SUVmax, SUVmean, SUVpeak and TLG of every lesion and PET-only region.

    A lesion's voxels are the avid ones that belong to it, where the avid mask is drawn on the PET
    image's lattice, whatever part of it a file holds; else the PET voxels whose centres lie in the
    lesion; else, for a lesion smaller than a PET voxel, those that hold it.

    Of lesions, then of regions: None without a SUV image, or where the lesion lies outside the PET field.
    ``known`` is of the same case under other marks.
    """
    attribution, resolved = measured.attribution, assessment.resolved
    regions = 0 if attribution is None else attribution.pet_only.count
    suv = measured.masks.suv
    if suv is None:
        return (None,) * measured.lesions.count, (None,) * regions

    own: list[Int64s] = [np.empty(0, np.int64)] * measured.lesions.count
    alone: list[Int64s] = []
    at = None if attribution is None else _on_image(attribution, suv.grid)
    if attribution is not None and resolved is not None and at is not None:
        own = [
            _looked_up(attribution, at, voxels)
            for voxels in avid_voxels_of_lesions(attribution, resolved, measured.lesions.count)
        ]
        alone = [found[found >= 0] for found in attribution.each_alone(at)]
    inside = covered_by(measured.lesions, suv.grid)
    for n in range(measured.lesions.count):
        if not own[n].size and inside[n]:
            own[n] = known.within(n, measured, suv.grid)
    uptake = known.of(suv, [*own, *alone])
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
