"""How far counting voxel centres is off, for a lesion of this size on a grid of this spacing.

A sphere is put down at a random place on the lattice. The variance of its counted volume is exact:

    Var = v * sum over lattice vectors x of overlap(|x|) - V^2 = sum over k != 0 of |F(k)|^2

where v is the voxel's volume, V the sphere's, overlap(h) the volume that two such spheres share at
distance h, and F the Fourier transform of the ball on the reciprocal lattice (Poisson summation:
the two sums are equal; Kendall 1948 for the plane). The first is finite and serves small spheres;
the second serves large ones, cut off where what is left is nearly an integral.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.terms.findings import finding, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.geometry.array_types import Float64s
    from volstrat.terms.findings import Finding

_FEW_VOXELS = 3000
_CUT_OFF = 4.0
_EXAMPLE_MM = 10.0
SMALL_LESION_VOXELS = 10
"""Below this many voxels a lesion's volume is little more than its being there."""
THICK_SLICE_MM = 3.0
"""Slices beyond this are said to be thick (Rao 2013; docs/method.md, "Counting error")."""


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Diameter of the sphere with this volume.

    Examples
    --------
    >>> round(equivalent_diameter_mm(523.598776), 6)
    10.0
    """
    return float((6 * volume_mm3 / math.pi) ** (1 / 3))


@lru_cache(maxsize=8192)
def counting_error_percent(diameter_mm: float, spacing_mm: tuple[float, float, float]) -> float:
    """Return the standard deviation of the counted volume of a sphere, in percent of its volume.

    Over a random position on the lattice; counting is unbiased. A lesion that is no sphere errs by
    about as much; this is the error of counting alone, not of drawing.

    Parameters
    ----------
    diameter_mm : float
        Above 0; of a lesion, `equivalent_diameter_mm` of its volume.
    spacing_mm : tuple of float
        Voxel spacing along the three axes; their order does not matter.

    Raises
    ------
    ValueError
        If a length is not positive.
    """
    if diameter_mm <= 0 or min(spacing_mm) <= 0:
        msg = f"Diameter and spacing must be above 0 mm; got {diameter_mm} and {spacing_mm}."
        raise ValueError(msg)
    radius = diameter_mm / 2
    volume = 4 / 3 * math.pi * radius**3
    few = volume / math.prod(spacing_mm) <= _FEW_VOXELS
    variance = _by_overlap(radius, spacing_mm) if few else _by_series(radius, spacing_mm)
    return 100 * math.sqrt(max(variance, 0.0)) / volume


def small_lesions(voxels: Sequence[int]) -> list[int]:
    """Return the positions of lesions below 10 voxels, rising."""
    return [n for n, count in enumerate(voxels) if count < SMALL_LESION_VOXELS]


def counting_findings(
    lesion_ids: Sequence[str],
    voxels: Sequence[int],
    spacing_mm: tuple[float, float, float],
    *,
    changes_stratum: bool | None = None,
) -> tuple[Finding, ...]:
    """Say which lesions are too small to measure well, and that slices are thick.

    ``changes_stratum`` says whether leaving the small ones out would change the stratum; None where that was
    not tried.
    """
    findings = []
    small = small_lesions(voxels)
    if small:
        named = ", ".join(lesion_ids[n] for n in small[:8]) + (", ..." if len(small) > 8 else "")
        share = 100 * sum(voxels[n] for n in small) / sum(voxels)
        one = len(small) == 1
        effect, them = "", "it" if one else "them"
        if changes_stratum is not None:
            said = sentence("small_lesions", "changes" if changes_stratum else "does_not_change", them=them)
            effect = f" {said}"
        found = finding(
            "small_lesions",
            "one" if one else "several",
            severity="warning" if changes_stratum else "info",
            count=len(small),
            limit_voxels=SMALL_LESION_VOXELS,
            lesions=named,
            share_percent=_two_digits(share),
            effect=effect,
        )
        findings.append(found)
    if max(spacing_mm) > THICK_SLICE_MM + TIE_MM:
        on, error = "tumour", _two_digits(counting_error_percent(_EXAMPLE_MM, spacing_mm))
        most, example = max(spacing_mm), _EXAMPLE_MM
        found = finding(
            "thick_slices", "counting", where=on, spacing_mm=most, example_mm=example, error_percent=error
        )
        findings.append(found)
    return tuple(findings)


def _two_digits(percent: float) -> str:
    """Two digits, without an exponent from 100 on."""
    return f"{percent:.2g}" if percent < 99 else f"{percent:.0f}"


def _by_overlap(radius: float, spacing: tuple[float, float, float]) -> float:
    """Count variance in mm6 from the overlaps of the sphere with its copies on the lattice."""
    distance, weight = _octant(spacing, 2 * radius)
    overlap = math.pi / 12 * (4 * radius + distance) * (2 * radius - distance) ** 2
    volume = 4 / 3 * math.pi * radius**3
    return math.prod(spacing) * math.fsum(weight * overlap) - volume**2


def _by_series(radius: float, spacing: tuple[float, float, float]) -> float:
    """Count variance in mm6 from the sphere's Fourier transform on the reciprocal lattice."""
    reciprocal = (1 / spacing[0], 1 / spacing[1], 1 / spacing[2])
    cut = _CUT_OFF * max(reciprocal)
    k, weight = _octant(reciprocal, cut)
    k, weight = k[1:], weight[1:]  # the first term is the volume itself
    phase = 2 * math.pi * radius * k
    transform = (np.sin(phase) - phase * np.cos(phase)) / (2 * math.pi**2 * k**3)
    # Beyond the cut-off |F|^2 is on average r^2 / (2 pi^2 k^4), and there is one k in each 1/v.
    tail = 2 * radius**2 * math.prod(spacing) / (math.pi * cut)
    return math.fsum(weight * transform**2) + tail


def _octant(steps: tuple[float, float, float], reach: float) -> tuple[Float64s, Float64s]:
    """Lengths of the lattice vectors up to ``reach``, zero first, each octant's copies as a weight."""
    axes = [np.arange(math.floor(reach / step) + 1) * step for step in steps]
    copies = [np.where(axis > 0, 2.0, 1.0) for axis in axes]
    squared = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    weight = copies[0][:, None, None] * copies[1][:, None] * copies[2]
    near = squared <= reach**2
    return np.sqrt(squared[near]), weight[near]
