"""Where the frames of a DICOM SEG lie: positions to one regular lattice (PS3.3 C.7.6.16).

Frames come in any order, empty ones are left out, and the distance between slices is often not
stated. Positions are LPS mm already. All frames must lie on one lattice: one orientation, one pixel
spacing, whole multiples of one step along the normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.errors import GeometryError
from volstrat.formats.layout import grid_of
from volstrat.geometry.grid import affine_of
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding


# docs/record.md: a slice may lie 2 % of the spacing off the best regular lattice.
_OFF_LATTICE_SHARE: Final = 0.02
_WORTH_SAYING_MM: Final = 0.01
_GAP_SHARE: Final = 0.1
_SAME_SLICE_MM: Final = 0.001
_SAME_COSINE: Final = 1e-4
_SAME_SPACING_SHARE: Final = 1e-5
_UNIT_LENGTH: Final = 1e-2
_LARGEST_DIVISOR: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramePlanes:
    """The planes of the frames, one row each."""

    positions_mm: Float64s  # (f, 3): ImagePositionPatient
    orientations: Float64s  # (o, 6): every ImageOrientationPatient that occurs
    pixel_spacings_mm: Float64s  # (p, 2): every PixelSpacing that occurs: between rows, between columns
    # spacing_between_slices_mm, slice_thickness_mm: None where absent or not positive.
    spacing_between_slices_mm: float | None
    slice_thickness_mm: float | None


def frame_lattice(
    planes: FramePlanes,
    *,
    rows: int,
    columns: int,
    frame_of_reference_uid: str | None,
    image_grid: VoxelGrid | None,
    where: str,
) -> tuple[VoxelGrid, Int64s, tuple[Finding, ...]]:
    """Put all frames onto one regular lattice: the slab from first to last, the slice (k) of each, findings.

    The distance between slices of ``image_grid``, the grid of the segmented image where that is known, is
    believed where the segmentation states none that its frames agree with. Orientations or pixel spacings
    that differ, positions on no regular lattice, sheared slices (gantry tilt), or a single slice of unknown
    thickness are a GeometryError.
    """
    along_row, down_column = _orientation(planes.orientations, where)
    between_rows, between_columns = _pixel_spacing(planes.pixel_spacings_mm, where)
    normal = np.cross(along_row, down_column)
    distance = planes.positions_mm @ normal
    known = None
    if image_grid is not None:
        known = image_grid.spacing_mm[int(np.abs(normal @ image_grid.directions).argmax())]
    slices, spacing, findings = _slices(distance, planes, known, where)
    origin, step = _fit(planes.positions_mm, slices, normal * spacing, where)
    off = _length(planes.positions_mm - origin - slices[:, None] * step).max()
    if off > _OFF_LATTICE_SHARE * spacing:
        msg = (
            f"{where}: frames lie up to {off:.3f} mm off an even distance of {spacing:g} mm between slices "
            f"(at most {_OFF_LATTICE_SHARE * spacing:.3f} mm is taken)."
        )
        raise GeometryError(msg, hint="Resample the segmentation onto a regular grid.")
    if off > _WORTH_SAYING_MM:
        findings.append(finding("slices_off_lattice", where=where, off_mm=off, spacing_mm=spacing))
    shape = (columns, rows, int(slices.max()) + 1)
    affine = affine_of(along_row * between_columns, down_column * between_rows, step, origin)
    grid = grid_of(where, shape, affine, is_window=True, frame_uid=frame_of_reference_uid)
    return grid, slices, tuple(findings)


def _orientation(orientations: Float64s, where: str) -> tuple[Float64s, Float64s]:
    if np.abs(orientations - orientations[0]).max() > _SAME_COSINE:
        msg = f"{where}: frames have {len(orientations)} different orientations; expected one."
        raise GeometryError(msg, hint="Export one segmentation per image series.")
    along_row, down_column = orientations[0, :3], orientations[0, 3:]
    lengths = np.array([_length(along_row), _length(down_column)])
    if np.abs(lengths - 1).max() > _UNIT_LENGTH:
        msg = f"{where}: ImageOrientationPatient {orientations[0].tolist()} is not made of unit vectors."
        raise GeometryError(msg)
    return along_row / lengths[0], down_column / lengths[1]


def _pixel_spacing(spacings: Float64s, where: str) -> tuple[float, float]:
    if (spacings <= 0).any() or np.abs(spacings / spacings[0] - 1).max() > _SAME_SPACING_SHARE:
        msg = f"{where}: expected one positive PixelSpacing for all frames; got {spacings.tolist()}."
        raise GeometryError(msg)
    return float(spacings[0, 0]), float(spacings[0, 1])


def _slices(
    distance: Float64s, planes: FramePlanes, known: float | None, where: str
) -> tuple[Int64s, float, list[Finding]]:
    """Slice number of each frame (the lowest is 0), their spacing, and what had to be inferred."""
    order = np.argsort(distance, kind="stable")
    gaps = np.diff(distance[order])
    gaps[gaps <= _SAME_SLICE_MM] = 0
    apart = gaps[gaps > 0]
    # Its own first: a segmentation need not have the slices of its image (PS3.3 A.51).
    stated = [x for x in (planes.spacing_between_slices_mm, known) if x is not None]
    if len(stated) == 2 and abs(stated[0] / stated[1] - 1) <= _SAME_SPACING_SHARE:
        stated.reverse()  # the same, and the image's comes from many positions
    if not apart.size:
        spacing = next((x for x in (*stated, planes.slice_thickness_mm) if x is not None), None)
        if spacing is None:
            msg = f"{where}: has one slice and states neither SpacingBetweenSlices nor SliceThickness."
            raise GeometryError(msg, hint="Give the segmentation together with its image.")
        if stated:
            return np.zeros(distance.size, np.int64), spacing, []
        guess = finding("single_slice", "segmentation", severity="review", where=where, thickness_mm=spacing)
        return np.zeros(distance.size, np.int64), spacing, [guess]
    # Where none is stated: the smallest distance, then whole parts of it.
    smallest = float(np.median(apart[apart <= apart.min() * (1 + _GAP_SHARE)]))
    guesses = [smallest / n for n in range(1, _LARGEST_DIVISOR + 1)]
    if planes.slice_thickness_mm is not None:
        guesses.append(planes.slice_thickness_mm)
    for candidate in (*stated, *guesses):
        numbers = _multiples(gaps, candidate)
        if numbers is not None:
            slices = np.empty(distance.size, np.int64)
            slices[order] = np.concatenate(([0], np.cumsum(numbers)))
            spacing = float(gaps.sum() / numbers.sum())
            if abs(spacing - candidate) * numbers.sum() <= _SAME_SLICE_MM:
                spacing = candidate  # as written, without the rounding of positions
            findings = [] if candidate in stated else [*_inferred(spacing, numbers, planes, where)]
            return slices, spacing, findings
    msg = (
        f"{where}: slice positions are no whole multiples of one spacing "
        f"(distances from {apart.min():.3f} to {apart.max():.3f} mm)."
    )
    raise GeometryError(msg, hint="Resample the segmentation onto a regular grid.")


def _multiples(gaps: Float64s, spacing: float) -> Int64s | None:
    """Each gap as a whole number of spacings, or None where one is not."""
    numbers = np.zeros(gaps.size, np.int64)
    # From small to large gaps, the spacing bettered on the way: a stated spacing is rounded.
    fitted, covered, counted = spacing, 0.0, 0
    order = np.argsort(gaps, kind="stable")
    for at in order[np.count_nonzero(gaps == 0) :]:
        number = int(np.rint(gaps[at] / fitted))
        if abs(gaps[at] - number * fitted) > 2 * _OFF_LATTICE_SHARE * spacing:
            return None
        numbers[at] = number
        covered, counted = covered + float(gaps[at]), counted + number
        if counted:
            fitted = covered / counted
    if not counted or abs(fitted / spacing - 1) > _OFF_LATTICE_SHARE:
        return None
    return numbers


def _inferred(spacing: float, numbers: Int64s, planes: FramePlanes, where: str) -> Iterator[Finding]:
    """Say what there is to say where the spacing comes from the positions alone."""
    stated, thickness = planes.spacing_between_slices_mm, planes.slice_thickness_mm
    parts = 1.0 if thickness is None else spacing / thickness
    skips = round(parts) > 1 and abs(parts - round(parts)) < _OFF_LATTICE_SHARE * parts
    name, size = ("SliceThickness", thickness) if stated is None else ("SpacingBetweenSlices", stated)
    if stated is not None or skips:
        yield finding(
            "seg_slice_spacing_inferred",
            "stated",
            where=where,
            spacing_mm=spacing,
            attribute=name,
            stated_mm=size,
        )
    elif int(numbers[numbers > 0].min()) > 1:  # every slice lies apart
        yield finding("seg_slice_spacing_inferred", "not_stated", where=where, spacing_mm=spacing)


def _fit(
    positions: Float64s, slices: Int64s, along_normal: Float64s, where: str
) -> tuple[Float64s, Float64s]:
    """Origin and step of the lattice that lies best; along the normal where that is near enough."""
    first = positions[slices.argmin()]
    if _length(positions - first - slices[:, None] * along_normal).max() <= _SAME_SLICE_MM:
        return first, along_normal
    spread = slices - slices.mean()
    centre = positions.mean(axis=0)
    if not spread.any():
        msg = f"{where}: frames of one slice start at different places in its plane."
        raise GeometryError(msg)
    step = spread @ (positions - centre) / float(spread @ spread)
    spacing = _length(along_normal)
    normal = along_normal / spacing
    across = positions - centre - ((positions - centre) @ normal)[:, None] * normal
    if _length(across).max() <= _OFF_LATTICE_SHARE * spacing:
        step = normal * float(step @ normal)
    return centre - slices.mean() * step, step


def _length(vectors: Float64s) -> Float64s:
    length: Float64s = np.sqrt((vectors**2).sum(axis=-1))
    return length
