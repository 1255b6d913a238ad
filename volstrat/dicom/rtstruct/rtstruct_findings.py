"""What is said about contours that do not simply enclose voxels: refusals and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.errors import GridMismatchError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.geometry.contours import FilledContours, PlacedContours
    from volstrat.terms.findings import Finding


# Share of the slice spacing that a contour may lie off its slice: without a word (a slice itself may
# lie 2 % off its lattice, and coordinates are rounded), and at all.
_SILENT_SHARE: Final = 0.02
_SILENT_MM: Final = 0.05
_LARGEST_SHARE: Final = 0.25
# A gap this short, between contours that lie over one another, is more likely a slice that was not
# drawn on than the space between two lesions.
_SHORT_GAP_SLICES: Final = 3
_OTHER_IMAGE: Final = "Name the image that the structure set was drawn on."


def unfilled_findings(unfilled: Mapping[str, int], contours: int, roi: str, where: str) -> Iterator[Finding]:
    """Yield findings on contours without area, and on a ROI that has no contours at all."""
    if not contours:
        yield finding("rtstruct_roi_empty", where=where, roi=roi)
    only_points = unfilled.get("POINT", 0) == contours
    for kind, count in unfilled.items():
        harmless = only_points or kind.endswith("-point") or kind == "POINT"
        yield finding(
            "rtstruct_contour_without_area",
            "harmless" if harmless else "open",
            severity="info" if harmless else "review",
            where=where,
            roi=roi,
            count=count,
            kind=kind,
        )


def refuse_off_slice(placed: PlacedContours, of_roi: Int64s, roi: str) -> None:
    """Refuse contours between slices or in tilted planes, and a ROI wholly outside the image.

    ``of_roi`` are the indices of the ROI's contours, here and in the functions below.
    """
    spacing, tilt, on_slices = placed.slice_spacing_mm, placed.tilt_mm[of_roi], placed.on_slices[of_roi]
    tilted = int((tilt > 2 * _LARGEST_SHARE * spacing).sum())
    away = placed.off_slice_mm[of_roi] + tilt / 2
    between = away > _LARGEST_SHARE * spacing
    if tilted:
        msg = (
            f"{roi} has {tilted} contour(s) in planes tilted against the image's slices "
            f"(up to {tilt.max():.2f} mm from end to end, slices every {spacing:g} mm)."
        )
    elif (between & on_slices).any():
        msg = (
            f"{roi} has {int(between.sum())} of {of_roi.size} contours between the image's slices, "
            f"up to {away.max():.2f} mm off (slices every {spacing:g} mm)."
        )
    elif not on_slices.any():
        msg = f"{roi} lies wholly outside the image: it has no slice for any of {of_roi.size} contours."
    else:
        return
    raise GridMismatchError(msg, hint=_OTHER_IMAGE)


def contour_findings(placed: PlacedContours, of_roi: Int64s, roi: str, where: str) -> Iterator[Finding]:
    """Yield findings on contours off their slices, outside the image, and on slices left out."""
    spacing = placed.slice_spacing_mm
    inside = of_roi[placed.on_slices[of_roi]]
    away = placed.off_slice_mm[inside] + placed.tilt_mm[inside] / 2
    off = away[away > max(_SILENT_SHARE * spacing, _SILENT_MM)]
    if off.size:
        count, off_mm = off.size, off.max()
        yield finding(
            "rtstruct_contour_off_slice", where=where, roi=roi, count=count, off_mm=off_mm, spacing_mm=spacing
        )
    out = int((placed.reaches_out | ~placed.on_slices)[of_roi].sum())
    if out:
        yield finding("rtstruct_contour_outside_image", where=where, roi=roi, count=out, contours=of_roi.size)
    yield from _gap_finding(placed.slices[inside], placed.boxes[inside], spacing, roi, where)


def overlap_findings(filled: FilledContours, of_roi: Int64s, roi: str, where: str) -> Iterator[Finding]:
    """Yield findings on contours that cross each other or wind round themselves."""
    pairs = int(np.isin(filled.crossing_pairs[:, 0], of_roi).sum())
    if pairs:
        yield finding("rtstruct_contours_cross", where=where, roi=roi, count=pairs)
    lost = int(filled.self_overlap_voxels[of_roi].sum())
    if lost:
        yield finding("rtstruct_contour_self_overlap", where=where, roi=roi, voxels=lost)


def _gap_finding(slices: Int64s, boxes: Float64s, spacing: float, roi: str, where: str) -> Iterator[Finding]:
    """Yield a finding where a ROI leaves out slices between its first and last one."""
    occupied = np.unique(slices)
    steps = np.diff(occupied)
    missing = int((steps - 1).sum())
    skipped = 0
    for low in np.flatnonzero((steps > 1) & (steps <= _SHORT_GAP_SLICES + 1)):
        below, above = boxes[slices == occupied[low]], boxes[slices == occupied[low + 1]]
        skipped += int(steps[low] - 1) if _any_overlap(below, above) else 0
    if skipped:
        yield finding(
            "rtstruct_slice_gaps",
            "within_a_lesion",
            severity="review",
            where=where,
            roi=roi,
            count=skipped,
            spacing_mm=spacing,
            apart_mm=int(steps.max()) * spacing,
        )
    elif missing:
        yield finding("rtstruct_slice_gaps", "between_lesions", where=where, roi=roi, count=missing)


def _any_overlap(one: Float64s, two: Float64s) -> bool:
    a, b = one[:, None, :], two[None, :, :]
    beside = (a[..., 1] < b[..., 0]) | (b[..., 1] < a[..., 0])
    above = (a[..., 3] < b[..., 2]) | (b[..., 3] < a[..., 2])
    return bool((~(beside | above)).any())
