"""What is said about contours that do not simply enclose voxels: refusals and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.errors import GridMismatchError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from volstrat.geometry.contours import FilledContours, PlacedContours
    from volstrat.terms.findings import Finding

    Int64s = NDArray[np.int64]

# Share of the slice spacing that a contour may lie off its slice: without a word (a slice itself may
# lie 2 % off its lattice, and coordinates are rounded), and at all.
_SILENT_SHARE: Final = 0.02
_SILENT_MM: Final = 0.05
_LARGEST_SHARE: Final = 0.25
# A gap this short, between contours that lie over one another, is more likely a slice that was not
# drawn on than the space between two lesions.
_SHORT_GAP_SLICES: Final = 3


def unfilled_findings(
    number: int, name: str, unfilled: Mapping[str, int], contours: int, where: str
) -> list[Finding]:
    """Return findings on contours without area, and on a ROI that has no contours at all."""
    roi = f"ROI {number} {name!r}"
    if not contours:
        return [finding("rtstruct_roi_empty", where=where, roi=roi)]
    only_points = unfilled.get("POINT", 0) == contours
    findings = []
    for kind, count in unfilled.items():
        harmless = only_points or kind.endswith("-point") or kind == "POINT"
        findings.append(
            finding(
                "rtstruct_contour_without_area",
                "harmless" if harmless else "open",
                severity="info" if harmless else "review",
                where=where,
                roi=roi,
                count=count,
                kind=kind,
            )
        )
    return findings


def renumbered_finding(number: int, name: str, label: int, where: str) -> Finding:
    """Return the finding that a ROI number below 1 was given another label."""
    return finding("rtstruct_roi_renumbered", where=where, number=number, name=name, label=label)


def repeated_finding(number: int, name: str, repeated: int, where: str) -> Finding:
    """Return the finding that a ROI has the very same contour more than once."""
    return finding("rtstruct_contour_repeated", where=where, roi=f"ROI {number} {name!r}", count=repeated)


def refuse_off_slice(placed: PlacedContours, numbers: Int64s, names: Mapping[int, str], where: str) -> None:
    """Refuse contours between slices or in tilted planes, and ROIs wholly outside the image.

    Raises
    ------
    GridMismatchError
    """
    spacing = placed.slice_spacing_mm
    for number, of_roi in _by_roi(numbers):
        roi = f"{where}: ROI {number} {names[number]!r}"
        tilted = placed.tilt_mm[of_roi] > 2 * _LARGEST_SHARE * spacing
        if tilted.any():
            msg = (
                f"{roi} has {int(tilted.sum())} contour(s) in planes tilted against the image's slices "
                f"(up to {placed.tilt_mm[of_roi].max():.2f} mm from end to end, slices every {spacing:g} mm)."
            )
            raise GridMismatchError(msg, hint="Name the image that the structure set was drawn on.")
        away = placed.off_slice_mm[of_roi] + placed.tilt_mm[of_roi] / 2
        between = away > _LARGEST_SHARE * spacing
        if (between & placed.on_slices[of_roi]).any():
            msg = (
                f"{roi} has {int(between.sum())} of {of_roi.size} contours between the image's slices, "
                f"up to {away.max():.2f} mm off (slices every {spacing:g} mm)."
            )
            raise GridMismatchError(msg, hint="Name the image that the structure set was drawn on.")
        if not placed.on_slices[of_roi].any():
            msg = f"{roi} lies wholly outside the image: it has no slice for any of {of_roi.size} contours."
            raise GridMismatchError(msg, hint="Name the image that the structure set was drawn on.")


def contour_findings(
    placed: PlacedContours, numbers: Int64s, names: Mapping[int, str], where: str
) -> list[Finding]:
    """Return findings on contours off their slices, outside the image, and on slices left out."""
    findings = []
    spacing = placed.slice_spacing_mm
    silent = max(_SILENT_SHARE * spacing, _SILENT_MM)
    boxes, out = placed.boxes, placed.reaches_out | ~placed.on_slices
    away = placed.off_slice_mm + placed.tilt_mm / 2
    for number, of_roi in _by_roi(numbers):
        roi = f"ROI {number} {names[number]!r}"
        inside = of_roi[placed.on_slices[of_roi]]
        off = away[inside][away[inside] > silent]
        if off.size:
            findings.append(
                finding(
                    "rtstruct_contour_off_slice",
                    where=where,
                    roi=roi,
                    count=off.size,
                    off_mm=off.max(),
                    spacing_mm=spacing,
                )
            )
        if out[of_roi].any():
            count = int(out[of_roi].sum())
            findings.append(
                finding(
                    "rtstruct_contour_outside_image", where=where, roi=roi, count=count, contours=of_roi.size
                )
            )
        findings += _gap_finding(placed.slices[inside], boxes[inside], spacing, roi, where)
    return findings


def overlap_findings(
    filled: FilledContours, numbers: Int64s, names: Mapping[int, str], where: str
) -> list[Finding]:
    """Return findings on contours that cross each other or wind round themselves."""
    findings = []
    crossing = numbers[filled.crossing_pairs[:, 0]]
    for number, of_roi in _by_roi(numbers):
        roi = f"ROI {number} {names[number]!r}"
        pairs = int((crossing == number).sum())
        if pairs:
            findings.append(finding("rtstruct_contours_cross", where=where, roi=roi, count=pairs))
        lost = int(filled.self_overlap_voxels[of_roi].sum())
        if lost:
            findings.append(finding("rtstruct_contour_self_overlap", where=where, roi=roi, voxels=lost))
    return findings


def _gap_finding(
    slices: Int64s, boxes: NDArray[np.float64], spacing: float, roi: str, where: str
) -> list[Finding]:
    """Return a finding where a ROI leaves out slices between its first and last one."""
    occupied = np.unique(slices)
    steps = np.diff(occupied)
    missing = int((steps - 1).sum())
    if not missing:
        return []
    skipped = 0
    for low in np.flatnonzero((steps > 1) & (steps <= _SHORT_GAP_SLICES + 1)):
        below, above = boxes[slices == occupied[low]], boxes[slices == occupied[low + 1]]
        skipped += int(steps[low] - 1) if _any_overlap(below, above) else 0
    if skipped:
        return [
            finding(
                "rtstruct_slice_gaps",
                "within_a_lesion",
                severity="review",
                where=where,
                roi=roi,
                count=skipped,
                spacing_mm=spacing,
                apart_mm=int(steps.max()) * spacing,
            )
        ]
    return [finding("rtstruct_slice_gaps", "between_lesions", where=where, roi=roi, count=missing)]


def _any_overlap(one: NDArray[np.float64], two: NDArray[np.float64]) -> bool:
    a, b = one[:, None, :], two[None, :, :]
    beside = (a[..., 1] < b[..., 0]) | (b[..., 1] < a[..., 0])
    above = (a[..., 3] < b[..., 2]) | (b[..., 3] < a[..., 2])
    return bool((~(beside | above)).any())


def _by_roi(numbers: Int64s) -> Iterator[tuple[int, Int64s]]:
    """Each ROI number and the indices of its contours."""
    for number in np.unique(numbers):
        yield int(number), np.flatnonzero(numbers == number)
