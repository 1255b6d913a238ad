"""Benchmark rows for comparing two whole-body readings of 60 lesions each."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench_phantoms import CT_SPACING_MM, lesions, second_reading, write_case
from bench_timing import Row, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.comparison.pair import ReadCase

    Crops = tuple[NDArray[np.bool_], NDArray[np.bool_]]

_TOLERANCE_MM = 2.0


def make(folder: Path) -> None:
    """Write the two readings, ``first`` and ``second``."""
    bodies = lesions(seed=1)
    write_case(folder / "first", bodies, pet=bodies)
    write_case(folder / "second", second_reading(bodies, seed=2), pet=bodies)


def _read(folder: Path) -> tuple[ReadCase, ReadCase]:
    """Read and measure both, as ``volstrat compare`` does."""
    from volstrat.case.assess import assess_case
    from volstrat.case.discovery import open_case
    from volstrat.case.protocol_files import load_protocol
    from volstrat.comparison.pair import ReadCase

    protocol = load_protocol(None)
    a, b = (
        ReadCase(name=name, result=assess_case(open_case(folder / place), protocol), protocol=protocol)
        for name, place in (("A", "first"), ("B", "second"))
    )
    return a, b


_ready = cache(_read)


def _pair(folder: Path) -> list[float]:
    from volstrat.comparison.pair import Settings, compare_pair

    found = compare_pair(*_ready(folder), Settings(surface_tolerance_mm=_TOLERANCE_MM))
    return _told(found["tumour"])


def _told(agreement: Mapping[str, Any] | None) -> list[float]:
    assert agreement is not None
    names = ("dice", "surface_dice", "hd95_mm", "mean_distance_a_to_b_mm", "mean_distance_b_to_a_mm")
    return [round(float(agreement[name]), 4) for name in names]


def _surfaces(folder: Path) -> list[float]:
    from dataclasses import asdict

    from volstrat.agreement.overlap import compare_masks

    a, b = (case.result.measured.lesions for case in _ready(folder))
    return _told(asdict(compare_masks(a.voxels(), b.voxels(), a.grid, tolerance_mm=_TOLERANCE_MM)))


@cache
def _crops(folder: Path) -> Crops:
    """Return both masks as dense crops to the box round their tumour."""
    from nibabel import Nifti1Image

    images = [Nifti1Image.from_filename(folder / place / "tumour.nii.gz") for place in ("first", "second")]
    dense = [np.asanyarray(image.dataobj) > 0 for image in images]
    held = np.argwhere(dense[0] | dense[1])
    box = tuple(slice(max(a - 1, 0), b + 2) for a, b in zip(held.min(axis=0), held.max(axis=0), strict=True))
    return dense[0][box].copy(), dense[1][box].copy()


def _surface_distance(folder: Path) -> list[float]:
    import surface_distance as sd

    a, b = _crops(folder)
    found = sd.compute_surface_distances(a, b, CT_SPACING_MM)
    return [
        round(float(value), 4)
        for value in (
            sd.compute_dice_coefficient(a, b),
            sd.compute_surface_dice_at_tolerance(found, _TOLERANCE_MM),
            sd.compute_robust_hausdorff(found, 95),
            *sd.compute_average_surface_distance(found),
        )
    ]


def _simpleitk(folder: Path) -> None:
    """Dice and Hausdorff's distance: the largest one, and not surfaces weighted by area."""
    import SimpleITK as sitk

    a, b = _crops(folder)
    images = [sitk.GetImageFromArray(mask.T.astype(np.uint8)) for mask in (a, b)]
    for image in images:
        image.SetSpacing(CT_SPACING_MM)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*images)


def rows(folder: Path) -> list[Row]:
    """Return the rows of the table."""
    return [
        Row(name="volstrat, the two measurements", work=partial(_read, folder)),
        Row(name="volstrat, all that compare does", work=partial(_pair, folder), answer="agreement"),
        Row(name="volstrat, overlap and surfaces", work=partial(_surfaces, folder), answer="agreement"),
        Row(
            name="surface-distance, on the crop",
            work=partial(_surface_distance, folder),
            needs=("surface_distance", "nibabel"),
            answer="agreement",
        ),
        Row(
            name="SimpleITK Hausdorff, on the crop",
            work=partial(_simpleitk, folder),
            needs=("SimpleITK", "nibabel"),
        ),
    ]


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]]) -> None:
    """Print the table and say whether the goal is met."""
    make(folder)
    _ready(folder)
    seen = run_rows(rows(folder), runs=runs, peak=peak)
    table(
        "Two readings of 60 lesions: once measured, how far do they agree?",
        seen,
        base="volstrat, the two measurements",
    )
    ratio = seen["volstrat, all that compare does"].median / seen["volstrat, the two measurements"].median
    goal("compare over the two measurements", ratio, 3)
