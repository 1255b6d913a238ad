"""The slope of smoothed masks, many small boxes at a time.

Boxes are indexed [box, k, j, i]. Smoothing is a correlation along each axis, done as products with
small banded matrices: on boxes of some 30 voxels a side that is several times faster than a loop
over the kernel.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.array_types import Bools, Float64s

    Kernel = tuple[Float64s, Float64s]

_KERNEL_REACH = 3.0
_BLOCK = 16
_SMOOTH, _SLOPE = 0, 1
_COLUMNS = 512
"""Products this small stay below what a BLAS starts threads for, which cost twice what they gain here."""


def _gaussian_kernel(step_mm: float, sigma_mm: float) -> Kernel:
    """Gaussian weights over neighbouring voxels, and those that give its slope in 1/mm."""
    reach = math.ceil(_KERNEL_REACH * sigma_mm / step_mm)
    offset = np.arange(-reach, reach + 1) * step_mm
    weight = np.exp(-(offset**2) / (2 * sigma_mm**2))
    weight /= weight.sum()
    slope = offset * weight
    return weight, slope / (offset * slope).sum()


class Smoother:
    """Smooths the boxes of one grid, with a Gaussian of ``sigma_mm``.

    Keeps its matrices and its working memory from one lot of boxes to the next: getting new memory from the
    system takes longer than the products.
    """

    def __init__(self, spacing_mm: tuple[float, float, float], sigma_mm: float) -> None:
        self._kernels = [_gaussian_kernel(step, sigma_mm) for step in spacing_mm]
        self._bands: dict[tuple[int, int, int, int], list[_Band]] = {}
        self._matrices: dict[tuple[int, int, int, tuple[int, int]], Float64s] = {}
        self._memory: dict[str, Float64s] = {}

    @cached_property
    def reach(self) -> tuple[int, int, int]:
        """How many voxels smoothing looks ahead along i, j, k."""
        i, j, k = (weight.size // 2 for weight, _ in self._kernels)
        return i, j, k

    def gradient(self, filled: Bools, halo: tuple[int, int, int]) -> Iterator[Float64s]:
        """Yield the gradient of smoothed boxes (n, nk, nj, ni) along i, then j, then k.

        What lies outside a box counts as zero. ``halo``: how many voxels at either end, along i, j, k, are
        there for their neighbours' sake only; what comes is without them, and holds until the next one is
        asked for.
        """
        boxes = self._room("boxes", filled.shape)
        np.copyto(boxes, filled)
        sloped = self._filtered(boxes, 0, _SLOPE, halo[0], "part")
        half = self._filtered(sloped, 1, _SMOOTH, halo[1], "half")
        yield self._filtered(half, 2, _SMOOTH, halo[2], "part")
        smooth = self._filtered(boxes, 0, _SMOOTH, halo[0], "part")
        half = self._filtered(smooth, 1, _SLOPE, halo[1], "half")
        yield self._filtered(half, 2, _SMOOTH, halo[2], "boxes")
        half = self._filtered(smooth, 1, _SMOOTH, halo[1], "half")
        yield self._filtered(half, 2, _SLOPE, halo[2], "boxes")

    def _room(self, name: str, shape: tuple[int, ...]) -> Float64s:
        """Return uninitialised memory that was used under this name before, or more of it."""
        size = math.prod(shape)
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = np.empty(size)
        return self._memory[name][:size].reshape(shape)

    def _filtered(self, values: Float64s, along: int, which: int, halo: int, name: str) -> Float64s:
        """Correlate boxes with a kernel along i, j or k (0, 1, 2) and cut the halo off."""
        n, nk, nj, ni = values.shape
        size = values.shape[3 - along]
        inner = size - 2 * halo
        shape = [n, nk, nj, ni]
        shape[3 - along] = inner
        result = self._room(name, tuple(shape))
        bands = self._banded(along, which, size, halo)
        if along == 0:
            for band in bands:
                np.matmul(values[..., band.read], band.matrix.T, out=result[..., band.made])
        elif along == 1:
            for band in bands:
                np.matmul(band.matrix, values[..., band.read, :], out=result[..., band.made, :])
        else:
            # A slice is one row of a matrix, so that each box is a few products.
            rows, made = values.reshape(n, nk, nj * ni), result.reshape(n, inner, nj * ni)
            for first in range(0, nj * ni, _COLUMNS):
                some = slice(first, first + _COLUMNS)
                for band in bands:
                    np.matmul(band.matrix, rows[:, band.read, some], out=made[:, band.made, some])
        return result

    def _banded(self, along: int, which: int, size: int, halo: int) -> list[_Band]:
        """Return the blocks of the banded matrix that a kernel is on lines of this size."""
        key = (along, which, size, halo)
        if key not in self._bands:
            reach = self.reach[along]
            inner = size - 2 * halo
            self._bands[key] = blocks = []
            for first in range(0, inner, _BLOCK):
                last = min(first + _BLOCK, inner)
                begin, end = max(first + halo - reach, 0), min(last + halo + reach, size)
                matrix = self._matrix(along, which, first + halo - begin, (last - first, end - begin))
                blocks.append(_Band(matrix, slice(begin, end), slice(first, last)))
        return self._bands[key]

    def _matrix(self, along: int, which: int, ahead: int, shape: tuple[int, int]) -> Float64s:
        """Return the matrix whose first row has the middle of the kernel in column ``ahead``."""
        key = (along, which, ahead, shape)
        if key not in self._matrices:
            kernel = self._kernels[along][which]
            offset = np.arange(-ahead, shape[1] - ahead) - np.arange(shape[0])[:, None] + kernel.size // 2
            inside = (offset >= 0) & (offset < kernel.size)
            self._matrices[key] = np.where(inside, kernel[np.where(inside, offset, 0)], 0.0)
        return self._matrices[key]


class _Band(NamedTuple):
    """A block of a banded matrix, and the slices of a line that it reads and makes."""

    matrix: Float64s
    read: slice
    made: slice
