"""SUV statistics: maximum, mean, peak, metabolic tumour volume and total lesion glycolysis.

SUVpeak is the highest mean over a sphere of 1 cm3 (radius 6.2035 mm; PERCIST 1.0, Wahl 2009; the
"global intensity peak" of the IBSI reference manual, 0F91). The sphere is centred on each of the lesion's
PET voxels in turn. Every voxel whose centre lies within the radius counts once, inside the lesion or
outside it; at the edge of the field, and where the image has no number, the mean is over those there are.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import sorted_unique
from volstrat.pet.regions import offsets_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.geometry.image import Image


PEAK_RADIUS_MM = (3000.0 / (4.0 * math.pi)) ** (1.0 / 3.0)
"""Radius of a sphere of 1 cm3, in mm."""


@frozen
class LesionUptake:
    """Uptake in one set of PET voxels; those without a finite value are left out."""

    # suv_max, suv_mean, suv_peak: SUV (g/ml), in the metric of the image times the caller's factor.
    suv_max: float
    suv_mean: float
    suv_peak: float
    tlg_g: float  # ``suv_mean`` times the volume of the voxels in ml, in g
    voxels: int  # PET voxels with a finite value


def suv_statistics(
    image: Image, voxels: Sequence[Int64s], *, factor: float = 1.0
) -> tuple[LesionUptake | None, ...]:
    """Measure the uptake of each lesion over the PET voxels that belong to it, in the order given.

    ``voxels`` are the linear PET indices of each lesion, without repeats. Every value is multiplied by
    ``factor``: SUL over SUVbw, where SUL is wanted. None: a lesion without a PET voxel that has a finite
    value.
    """
    joined = np.concatenate([np.empty(0, np.int64), *voxels])
    bounds = np.concatenate(([0], np.cumsum([part.size for part in voxels], dtype=np.int64)))
    values = values_at(image, joined)
    peaks = peak_values(image, joined)
    found: list[LesionUptake | None] = []
    for a, b in pairwise(bounds.tolist()):
        finite = np.isfinite(values[a:b])
        kept, count = values[a:b][finite], int(finite.sum())
        if not count:
            found.append(None)
            continue
        mean = float(kept.mean()) * factor
        uptake = LesionUptake(
            suv_max=float(kept.max()) * factor,
            suv_mean=mean,
            suv_peak=float(peaks[a:b][finite].max()) * factor,
            tlg_g=mean * count * image.grid.voxel_ml,
            voxels=count,
        )
        found.append(uptake)
    return tuple(found)


def values_at(image: Image, voxels: Int64s) -> Float64s:
    """Return the image's values at linear indices, as float64."""
    found: Float64s = image.values.reshape(-1, order="F")[voxels].astype(np.float64)
    return found


def peak_values(image: Image, voxels: Int64s) -> Float64s:
    """Mean over the 1 cm3 sphere round each voxel (n,); NaN where no voxel of it has a finite value."""
    grid = image.grid
    flat = image.values.reshape(-1, order="F")
    steps = offsets_within(grid, PEAK_RADIUS_MM)
    centres = sorted_unique(voxels)
    indices = grid.unravel(centres)
    reach = steps.max(axis=0, initial=0)
    inner = ((indices >= reach) & (indices < np.array(grid.shape) - reach)).all(axis=1)
    total = np.zeros(centres.size)
    inner_centres = centres[inner]
    inner_total = np.zeros(inner_centres.size)
    with np.errstate(invalid="ignore"):  # what is not finite is done again below
        for step in grid.ravel(steps).tolist():
            inner_total += flat[inner_centres + step]
    total[inner] = inner_total / len(steps)
    careful = np.flatnonzero(~inner | ~np.isfinite(total))
    total[careful] = _careful_means(flat, indices[careful], steps, image)
    peaks: Float64s = total[np.searchsorted(centres, voxels)]
    return peaks


def _careful_means(flat: NDArray[np.generic], indices: Int64s, steps: Int64s, image: Image) -> Float64s:
    """Sphere means where the sphere meets the edge of the field or values that are not finite."""
    shape = np.array(image.grid.shape)
    total, count = np.zeros(len(indices)), np.zeros(len(indices), np.int64)
    for step in steps:
        moved = indices + step
        usable = ((moved >= 0) & (moved < shape)).all(axis=1)
        value = flat[image.grid.ravel(np.where(usable[:, None], moved, 0))].astype(np.float64)
        usable &= np.isfinite(value)
        total[usable] += value[usable]
        count += usable
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
