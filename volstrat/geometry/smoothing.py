"""The slope of smoothed masks, many small boxes at a time.

Boxes are indexed [box, k, j, i]. Smoothing is a correlation along each axis, done as products with
small banded matrices: on boxes of some 30 voxels a side that is several times faster than a loop
over the kernel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64s = NDArray[np.float64]
    Kernel = tuple[Float64s, Float64s]

_KERNEL_REACH = 3.0
_BLOCK = 16
"""Products this small stay below what a BLAS starts threads for, which cost twice what they gain here."""


def gaussian_kernel(step_mm: float, sigma_mm: float) -> Kernel:
    """Gaussian weights over neighbouring voxels, and those that give its slope in 1/mm."""
    reach = math.ceil(_KERNEL_REACH * sigma_mm / step_mm)
    offset = np.arange(-reach, reach + 1) * step_mm
    weight = np.exp(-(offset**2) / (2 * sigma_mm**2))
    weight /= weight.sum()
    slope = offset * weight
    return weight, slope / (offset * slope).sum()


def smoothed_gradient(
    boxes: Float64s, kernels: tuple[Kernel, Kernel, Kernel], halo: tuple[int, int, int]
) -> tuple[Float64s, Float64s, Float64s]:
    """Gradient of smoothed boxes; what lies outside a box counts as zero.

    Parameters
    ----------
    boxes : array of float64, (n, nk, nj, ni)
    kernels : tuple of Kernel
        Along i, j, k.
    halo : tuple of int
        Along i, j, k: how many voxels at either end are there for their neighbours' sake only.

    Returns
    -------
    along_i, along_j, along_k : array of float64
        Of the boxes without their halo.
    """
    (flat_i, slope_i), (flat_j, slope_j), (flat_k, slope_k) = kernels
    hi, hj, hk = halo
    smooth = _filtered(boxes, flat_i, 3, hi)
    sloped = _filtered(boxes, slope_i, 3, hi)
    return (
        _filtered(_filtered(sloped, flat_j, 2, hj), flat_k, 1, hk),
        _filtered(_filtered(smooth, slope_j, 2, hj), flat_k, 1, hk),
        _filtered(_filtered(smooth, flat_j, 2, hj), slope_k, 1, hk),
    )


def _filtered(values: Float64s, kernel: Float64s, axis: int, halo: int) -> Float64s:
    """Correlate boxes along one axis and cut the halo off."""
    n, nk, nj, ni = values.shape
    size, reach = values.shape[axis], kernel.size // 2
    inner = size - 2 * halo
    shape = [n, nk, nj, ni]
    shape[axis] = inner
    result = np.empty(shape)
    # Along k a slice is one row of a matrix, so that each box is a single product.
    lanes = values.reshape(n, nk, nj * ni) if axis == 1 else values
    filtered = result.reshape(n, inner, nj * ni) if axis == 1 else result
    for first in range(0, inner, _BLOCK):
        last = min(first + _BLOCK, inner)
        begin, end = max(first + halo - reach, 0), min(last + halo + reach, size)
        offset = np.arange(begin, end) - np.arange(first + halo, last + halo)[:, None] + reach
        inside = (offset >= 0) & (offset < kernel.size)
        band = np.where(inside, kernel[offset.clip(0, kernel.size - 1)], 0.0)
        if axis == 3:
            filtered[..., first:last] = lanes[..., begin:end] @ band.T
        else:
            filtered[..., first:last, :] = band @ lanes[..., begin:end, :]
    return result
