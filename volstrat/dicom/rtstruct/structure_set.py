"""RTSTRUCT to voxel runs (DICOM PS3.3 A.19, C.8.8.5, C.8.8.6).

Contours are LPS mm already; nothing is converted. A voxel belongs to a ROI where its centre lies
inside (see `volstrat.geometry.contours`). What encloses no area or cannot be placed is told, never
dropped in silence; ROIs are matched to their contours by number, never by order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.dicom.derived import (
    FRAME_OF_REFERENCE_UID,
    REFERENCED_SOP_INSTANCE_UID,
    SERIES_INSTANCE_UID,
    items_of,
    label_of,
    number_of,
    read_derived,
    unique,
)
from volstrat.dicom.rtstruct.rtstruct_findings import (
    contour_findings,
    overlap_findings,
    refuse_off_slice,
    renumbered_finding,
    repeated_finding,
    unfilled_findings,
)
from volstrat.errors import CorruptDataError, FormatError, GridMismatchError, SegmentNotFoundError
from volstrat.geometry.contours import fill_contours, place_contours, same_outline
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.dicom.header import Header
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding

RTSTRUCT_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})
_REFERENCED_FRAMES: Final = 0x30060010
_REFERENCED_STUDIES: Final = 0x30060012
_REFERENCED_SERIES: Final = 0x30060014
_CONTOUR_IMAGES: Final = 0x30060016
_ROIS: Final = 0x30060020
_ROI_NUMBER: Final = 0x30060022
_ROI_FRAME: Final = 0x30060024
_ROI_NAME: Final = 0x30060026
_ROI_CONTOURS: Final = 0x30060039
_CONTOURS: Final = 0x30060040
_GEOMETRIC_TYPE: Final = 0x30060042
_OFFSET_VECTOR: Final = 0x30060045
_NUMBER_OF_POINTS: Final = 0x30060046
_CONTOUR_DATA: Final = 0x30060050
_REFERENCED_ROI_NUMBER: Final = 0x30060084
_WANTED: Final = frozenset({FRAME_OF_REFERENCE_UID, _REFERENCED_FRAMES, _ROIS, _ROI_CONTOURS})

# CLOSEDPLANAR_XOR is the standard's spelling; the other one is met as well.
_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"})
_UNFILLED: Final = frozenset({"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"})
_POLYGON_POINTS: Final = 3
_SAME_VERTEX_MM: Final = 0.01  # coordinates are often written with two decimals


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiInfo:
    """One region of interest of a structure set."""

    number: int  # ROINumber, as in the file
    name: str
    frame_of_reference_uid: str | None  # of the ROI; None where the file does not say
    # the series it was drawn on: those that its contours' images belong to, else all that the file names for
    # its frame of reference.
    referenced_series_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Roi:
    number: int
    name: str
    frame: str
    contours: list[Header] = field(repr=False)
    is_doubled: bool = False


def list_rois(path: Path) -> tuple[RoiInfo, ...]:
    """List the ROIs of an RTSTRUCT by rising number.

    Raises
    ------
    FormatError, CorruptDataError, InputFileError
        If the file is not an RTSTRUCT, is damaged, or cannot be opened.
    """
    header = _header(path)
    references = _references(header, path.name)
    listed = []
    for roi in _rois(header, path.name):
        images = {uid for contour in roi.contours for uid in _image_uids(contour, path.name)}
        same_frame = [r for r in references if not roi.frame or r.frame in ("", roi.frame)]
        drawn_on = [r.series for r in same_frame if images & r.instances]
        listed.append(
            RoiInfo(
                number=roi.number,
                name=roi.name,
                frame_of_reference_uid=roi.frame or None,
                referenced_series_uids=unique(drawn_on or [r.series for r in same_frame]),
            )
        )
    return tuple(listed)


def referenced_series_uids(path: Path) -> tuple[str, ...]:
    """Return the series UIDs that an RTSTRUCT says it was drawn on; empty where it does not say."""
    return unique([r.series for r in _references(_header(path), path.name)])


def referenced_image_uids(path: Path) -> frozenset[str]:
    """Return the SOP instance UIDs of the images that contours are said to lie on."""
    rois = _rois(_header(path), path.name)
    return frozenset(uid for r in rois for contour in r.contours for uid in _image_uids(contour, path.name))


def read_rtstruct(
    path: Path,
    *,
    grid: VoxelGrid,
    rois: Sequence[int] | None = None,
    image_instance_uids: Collection[str] | None = None,
) -> tuple[Mask, tuple[Finding, ...]]:
    """Read the ROIs of an RTSTRUCT as voxels of an image.

    Parameters
    ----------
    path : Path
    grid : VoxelGrid
        Of the image that the contours were drawn on.
    rois : sequence of int, optional
        ROI numbers; all that share the grid's frame of reference by default.
    image_instance_uids : collection of str, optional
        SOP instance UIDs of that image's slices, where they are known: contours that name another
        image are refused then.

    Returns
    -------
    mask : Mask
        Labels are the ROI numbers. A number below 1, which no label can be, takes the next free
        number above the highest one of the file (with a finding). ROIs without voxels stay named.
    findings : tuple of Finding

    Raises
    ------
    SegmentNotFoundError
        If a number in ``rois`` is not there.
    GridMismatchError
        If the frame of reference is another one, contours lie between slices, in tilted planes or
        on other images, or a ROI lies wholly outside the image.
    FormatError, CorruptDataError, InputFileError
        If the file is not an RTSTRUCT, is damaged, or cannot be opened.
    """
    where = path.name
    header = _header(path)
    everything = _rois(header, where)
    if not everything:
        msg = f"{where}: the structure set lists no ROI."
        raise FormatError(msg)
    labels, findings = _labels(everything, where)
    chosen, left_out = _in_frame(_chosen(everything, rois, where), grid, rois is not None, where)
    _refuse_unclear(chosen, header, where)
    findings += left_out
    if image_instance_uids is not None:
        _refuse_other_images(chosen, frozenset(image_instance_uids), where)
    drawn, unfilled = _closed_contours(chosen, where)
    findings += unfilled
    runs = LabelRuns.empty()
    if drawn.contours:
        runs, more = _filled(drawn, labels, grid, where)
        findings += more
    names = {labels[roi.number]: roi.name for roi in chosen}
    return Mask(grid=grid, runs=runs, names=names), tuple(findings)


def _header(path: Path) -> Header:
    return read_derived(path, _WANTED, classes=RTSTRUCT_CLASSES, kind="an RTSTRUCT", stop_at=1 << 32)


@dataclass(frozen=True, slots=True)
class _Reference:
    frame: str
    series: str
    instances: frozenset[str]


def _references(header: Header, where: str) -> list[_Reference]:
    return [
        _Reference(
            frame.text(FRAME_OF_REFERENCE_UID), series.text(SERIES_INSTANCE_UID), _image_uids(series, where)
        )
        for frame in items_of(header, _REFERENCED_FRAMES, where)
        for study in items_of(frame, _REFERENCED_STUDIES, where)
        for series in items_of(study, _REFERENCED_SERIES, where)
    ]


def _image_uids(item: Header, where: str) -> frozenset[str]:
    images = items_of(item, _CONTOUR_IMAGES, where)
    return frozenset(image.text(REFERENCED_SOP_INSTANCE_UID) for image in images) - {""}


def _rois(header: Header, where: str) -> list[_Roi]:
    """Return the ROIs by rising number, contours found by number."""
    if _ROI_CONTOURS not in header.elements:  # a file may break off between two attributes
        msg = f"{where}: holds no contours at all (ROIContourSequence is absent; truncated?)."
        raise CorruptDataError(msg, hint="Copy the file again from its source.")
    contours: dict[int, list[Header]] = {}
    for item in items_of(header, _ROI_CONTOURS, where):
        number = number_of(item, _REFERENCED_ROI_NUMBER, "ReferencedROINumber (3006,0084)", where)
        contours.setdefault(number, []).extend(items_of(item, _CONTOURS, where))
    frames = {f.text(FRAME_OF_REFERENCE_UID) for f in items_of(header, _REFERENCED_FRAMES, where)} - {""}
    only_frame = frames.pop() if len(frames) == 1 else header.text(FRAME_OF_REFERENCE_UID)
    rois: dict[int, _Roi] = {}
    for item in items_of(header, _ROIS, where):
        number = number_of(item, _ROI_NUMBER, "ROINumber (3006,0022)", where)
        rois[number] = _Roi(
            number=number,
            name=label_of(header, item, _ROI_NAME),
            frame=item.text(_ROI_FRAME) or only_frame,
            contours=contours.get(number, []),
            is_doubled=number in rois,
        )
    return [rois[number] for number in sorted(rois)]


def _refuse_unclear(chosen: list[_Roi], header: Header, where: str) -> None:
    """Refuse wanted ROIs whose contours cannot be told: their number is another's too, or they have none.

    ROIs that nobody wants may be as they are.
    """
    for roi in chosen:
        if roi.is_doubled:
            msg = f"{where}: ROI number {roi.number} is given twice; contours cannot be told apart."
            raise CorruptDataError(msg, hint="Export the structure set again.")
    if all(roi.contours for roi in chosen):
        return
    listed = {number_of(i, _ROI_NUMBER, "ROINumber", where) for i in items_of(header, _ROIS, where)}
    for item in items_of(header, _ROI_CONTOURS, where):
        number = number_of(item, _REFERENCED_ROI_NUMBER, "ReferencedROINumber (3006,0084)", where)
        if number not in listed and items_of(item, _CONTOURS, where):
            msg = f"{where}: has contours for ROI number {number}, which the structure set does not list."
            raise CorruptDataError(msg, hint="Export the structure set again.")


def _labels(rois: list[_Roi], where: str) -> tuple[dict[int, int], list[Finding]]:
    """Label of each ROI number: itself, or the next free one above the highest where it is below 1."""
    free = max(0, rois[-1].number) + 1
    labels, findings = {}, []
    for roi in rois:
        labels[roi.number] = roi.number
        if roi.number < 1:
            labels[roi.number], free = free, free + 1
            findings.append(renumbered_finding(roi.number, roi.name, labels[roi.number], where))
    return labels, findings


def _chosen(rois: list[_Roi], numbers: Sequence[int] | None, where: str) -> list[_Roi]:
    if numbers is None:
        return rois
    missing = sorted(set(numbers) - {roi.number for roi in rois})
    if missing:
        there = ", ".join(f"{roi.number} {roi.name!r}" for roi in rois)
        msg = f"{where}: has no ROI number {missing[0]}; it has {there}."
        raise SegmentNotFoundError(msg)
    return [roi for roi in rois if roi.number in set(numbers)]


def _in_frame(
    rois: list[_Roi], grid: VoxelGrid, asked_for: bool, where: str
) -> tuple[list[_Roi], list[Finding]]:
    """Return the ROIs of the grid's frame of reference; a finding for each that is left out."""
    own = grid.frame_of_reference_uid
    if own is None:
        return rois, []
    others = [roi for roi in rois if roi.frame and roi.frame != own]
    if others and (asked_for or len(others) == len(rois)):
        msg = (
            f"{where}: ROI {others[0].number} {others[0].name!r} is drawn in another frame of reference than "
            "the image's."
        )
        raise GridMismatchError(msg, hint="Name the image that the structure set was drawn on.")
    findings = [
        finding("rtstruct_other_frame", where=where, number=roi.number, name=roi.name) for roi in others
    ]
    return [roi for roi in rois if roi not in others], findings


def _refuse_other_images(rois: list[_Roi], instances: frozenset[str], where: str) -> None:
    for roi in rois:
        strangers = [c for c in roi.contours if not (_image_uids(c, where) <= instances)]
        if strangers:
            msg = (
                f"{where}: {len(strangers)} of {len(roi.contours)} contours of ROI {roi.number} {roi.name!r} "
                f"name images that are not in the series."
            )
            raise GridMismatchError(msg, hint="Name the image that the structure set was drawn on.")


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Closed contours, in the order of their ROIs: the ROI and the vertices in mm of each."""

    contours: list[_Roi]
    offsets: NDArray[np.int64]
    points_mm: NDArray[np.float64]

    def vertices_mm(self, at: int) -> NDArray[np.float64]:
        """Return the vertices of one contour."""
        return self.points_mm[self.offsets[at] : self.offsets[at + 1]]

    def without(self, left_out: Collection[int]) -> _Drawn:
        """Return the contours but for some."""
        kept = [at for at in range(len(self.contours)) if at not in left_out]
        sizes = np.diff(self.offsets)[kept]
        return _Drawn(
            [self.contours[at] for at in kept],
            np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))),
            np.concatenate([self.vertices_mm(at) for at in kept]),
        )


def _closed_contours(rois: list[_Roi], where: str) -> tuple[_Drawn, list[Finding]]:
    owners: list[_Roi] = []
    stored: list[bytes] = []
    sizes: list[int] = []
    findings: list[Finding] = []
    for roi in rois:
        unfilled: dict[str, int] = {}
        seen: set[bytes] = set()
        repeated = 0
        for contour in roi.contours:
            kind, data, points = _contour(contour, roi, where)
            if kind in _UNFILLED or points < _POLYGON_POINTS:
                what = kind if kind in _UNFILLED else f"{points}-point"
                unfilled[what] = unfilled.get(what, 0) + 1
            elif data in seen:
                repeated += 1
            else:
                seen.add(data)
                owners.append(roi)
                stored.append(data)
                sizes.append(points)
        findings += unfilled_findings(roi.number, roi.name, unfilled, len(roi.contours), where)
        if repeated:
            findings.append(repeated_finding(roi.number, roi.name, repeated, where))
    points_mm = _coordinates(stored, where)
    if points_mm.size != 3 * sum(sizes):
        msg = f"{where}: ContourData holds {points_mm.size} numbers where {3 * sum(sizes)} were expected."
        raise CorruptDataError(msg)
    offsets = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    return _Drawn(owners, offsets, points_mm.reshape(-1, 3)), findings


def _contour(contour: Header, roi: _Roi, where: str) -> tuple[str, bytes, int]:
    """Return the kind, stored vertices and number of vertices of one contour."""
    named = f"{where}: a contour of ROI {roi.number} {roi.name!r}"
    kind = contour.text(_GEOMETRIC_TYPE).upper()
    if kind not in _CLOSED | _UNFILLED:
        msg = f"{named} has the geometric type {kind!r}, which is not known."
        raise FormatError(msg)
    if any(contour.numbers(_OFFSET_VECTOR)):
        msg = f"{named} is shifted by a ContourOffsetVector (3006,0045), which is retired and not supported."
        raise FormatError(msg)
    data = contour.elements.get(_CONTOUR_DATA, b"").strip(b" \0")
    count = data.count(b"\\") + 1 if data else 0
    stated = contour.text(_NUMBER_OF_POINTS)
    points = int(stated) if stated.isdecimal() else count // 3
    if count != 3 * points:
        msg = f"{named} states {points} points but holds {count} coordinates; expected {3 * points}."
        raise CorruptDataError(msg, hint="Copy or export the structure set again.")
    return kind, data, points


def _coordinates(stored: list[bytes], where: str) -> NDArray[np.float64]:
    """Decimal strings to numbers, all contours in one go (correctly rounded)."""
    if not stored:
        return np.empty(0)
    text = b"\\".join(stored).decode("latin-1")
    try:
        values: NDArray[np.float64] = np.loadtxt([text], delimiter="\\", comments=None, ndmin=1)
    except ValueError as error:
        msg = f"{where}: ContourData (3006,0050) holds something that is no number."
        raise CorruptDataError(msg) from error
    if not np.isfinite(values).all():
        msg = f"{where}: ContourData (3006,0050) holds NaN or infinite coordinates."
        raise CorruptDataError(msg)
    return values


def _drawn_again(drawn: _Drawn, pairs: NDArray[np.int64]) -> set[int]:
    """Return the contours that are an earlier one again, written in another way: they would cancel out."""
    return {
        later
        for earlier, later in pairs.tolist()
        if same_outline(drawn.vertices_mm(earlier), drawn.vertices_mm(later), tolerance_mm=_SAME_VERTEX_MM)
    }


def _filled(
    drawn: _Drawn, labels: dict[int, int], grid: VoxelGrid, where: str
) -> tuple[LabelRuns, list[Finding]]:
    placed = place_contours(drawn.points_mm, drawn.offsets, grid)
    numbers = np.array([roi.number for roi in drawn.contours])
    names = {roi.number: roi.name for roi in drawn.contours}
    refuse_off_slice(placed, numbers, names, where)
    label = np.array([labels[roi.number] for roi in drawn.contours], np.int64)
    filled = fill_contours(placed, label)
    again = _drawn_again(drawn, filled.crossing_pairs)
    if again:
        runs, findings = _filled(drawn.without(again), labels, grid, where)
        repeated = Counter(drawn.contours[at].number for at in again)
        return runs, [
            *(repeated_finding(n, names[n], count, where) for n, count in sorted(repeated.items())),
            *findings,
        ]
    findings = contour_findings(placed, numbers, names, where)
    findings += overlap_findings(filled, numbers, names, where)
    return filled.runs, findings
