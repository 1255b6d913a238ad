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

from volstrat.dicom.attributes import element_name
from volstrat.dicom.derived import RTSTRUCT_CLASSES, items_of, read_derived, unique
from volstrat.dicom.rtstruct.rtstruct_findings import (
    contour_findings,
    overlap_findings,
    refuse_off_slice,
    unfilled_findings,
)
from volstrat.errors import CorruptDataError, FormatError, GridMismatchError, SegmentNotFoundError
from volstrat.geometry.contours import fill_contours, place_contours, same_outline
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from volstrat.dicom.header import Header
    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding

# CLOSEDPLANAR_XOR is the standard's spelling; the other one is met as well.
_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"})
_UNFILLED: Final = frozenset({"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"})
_POLYGON_POINTS: Final = 3
_SAME_VERTEX_MM: Final = 0.01  # coordinates are often written with two decimals
_OTHER_IMAGE: Final = "Name the image that the structure set was drawn on."
_AGAIN: Final = "Export the structure set again."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roi:
    """One region of interest of a structure set, with its contours as stored."""

    number: int  # ROINumber, as in the file
    name: str
    frame_of_reference_uid: str | None  # None where the file does not say
    contours: list[Header] = field(repr=False)
    is_doubled: bool  # its number is another's too, so that contours cannot be told apart

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"ROI {self.number} {self.name!r}"


class StructureSet:
    """An RTSTRUCT file: its ROIs by rising number, what they were drawn on, and their voxels.

    Making one of a file that is no RTSTRUCT, is damaged, or cannot be opened, is a FormatError,
    CorruptDataError or InputFileError.
    """

    def __init__(self, path: Path) -> None:
        self._where = where = path.name
        header = read_derived(path, classes=RTSTRUCT_CLASSES, kind="an RTSTRUCT", stop_at=1 << 32)
        if "ROIContourSequence" not in header:  # a file may break off between two attributes
            msg = f"{where}: holds no contours at all (ROIContourSequence is absent; truncated?)."
            raise CorruptDataError(msg, hint="Copy the file again from its source.")
        self._contours: dict[int, list[Header]] = {}
        for item in items_of(header, "ROIContourSequence", where):
            number = self._number(item, "ReferencedROINumber")
            self._contours.setdefault(number, []).extend(items_of(item, "ContourSequence", where))
        self._frames = items_of(header, "ReferencedFrameOfReferenceSequence", where)
        frames = unique([frame.text("FrameOfReferenceUID") for frame in self._frames])
        only_frame = frames[0] if len(frames) == 1 else header.text("FrameOfReferenceUID")
        rois: dict[int, Roi] = {}
        for item in items_of(header, "StructureSetROISequence", where):
            number = self._number(item, "ROINumber")
            rois[number] = Roi(
                number=number,
                name=item.label("ROIName"),
                frame_of_reference_uid=item.text("ReferencedFrameOfReferenceUID") or only_frame or None,
                contours=self._contours.get(number, []),
                is_doubled=number in rois,
            )
        self.rois = tuple(rois[number] for number in sorted(rois))

    def _number(self, item: Header, keyword: str) -> int:
        stored = item.text(keyword)
        try:
            return int(stored)
        except ValueError as error:
            msg = f"{self._where}: {element_name(keyword)} is {stored!r}; expected a whole number."
            raise CorruptDataError(msg) from error

    def _image_uids(self, item: Header) -> frozenset[str]:
        images = items_of(item, "ContourImageSequence", self._where)
        return frozenset(image.text("ReferencedSOPInstanceUID") for image in images) - {""}

    def image_uids(self) -> frozenset[str]:
        """Return the SOP instance UIDs of the images that contours are said to lie on."""
        return frozenset(uid for roi in self.rois for one in roi.contours for uid in self._image_uids(one))

    def series_of(self, roi: Roi) -> tuple[str, ...]:
        """Return the series that a ROI was drawn on.

        They are those that its contours' images belong to, else all that the file names for its frame of
        reference.
        """
        images = {uid for contour in roi.contours for uid in self._image_uids(contour)}
        named = [
            (series.text("SeriesInstanceUID"), self._image_uids(series))
            for frame in self._frames
            if roi.frame_of_reference_uid in (None, frame.text("FrameOfReferenceUID"))
            or not frame.text("FrameOfReferenceUID")
            for study in items_of(frame, "RTReferencedStudySequence", self._where)
            for series in items_of(study, "RTReferencedSeriesSequence", self._where)
        ]
        return unique([uid for uid, held in named if images & held] or [uid for uid, _ in named])

    def mask(
        self,
        *,
        grid: VoxelGrid,
        rois: Sequence[int] | None = None,
        image_instance_uids: Collection[str] | None = None,
    ) -> tuple[Mask, tuple[Finding, ...]]:
        """Return ROIs as voxels of the image that they were drawn on, and what is to be said of them.

        ``rois`` are numbers; by default all that share the grid's frame of reference. ``image_instance_uids``
        are those of that image's slices, where they are known: contours that name another image are refused
        then.

        Labels are the ROI numbers. A number below 1, which no label can be, takes the next free number above
        the highest one of the file (with a finding). ROIs without voxels stay named.

        Raises
        ------
        SegmentNotFoundError
            If a number in ``rois`` is not there.
        GridMismatchError
            If the frame of reference is another one, contours lie between slices, in tilted planes or
            on other images, or a ROI lies wholly outside the image.
        FormatError, CorruptDataError
            If the structure set lists no ROI, or contours of one are damaged.
        """
        if not self.rois:
            msg = f"{self._where}: the structure set lists no ROI."
            raise FormatError(msg)
        labels, findings = self._labels()
        chosen, left_out = self._in_frame(self._chosen(rois), grid, asked_for=rois is not None)
        self._refuse_unclear(chosen)
        if image_instance_uids is not None:
            self._refuse_other_images(chosen, frozenset(image_instance_uids))
        drawn, unfilled = _closed_contours(chosen, self._where)
        findings += left_out + unfilled
        runs = LabelRuns.empty()
        if drawn.owners:
            runs, more = _filled(drawn, labels, grid, self._where)
            findings += more
        return Mask(grid=grid, runs=runs, names={labels[r.number]: r.name for r in chosen}), tuple(findings)

    def _labels(self) -> tuple[dict[int, int], list[Finding]]:
        """Label of each ROI number: itself, or the next free one above the highest where it is below 1."""
        labels = {roi.number: roi.number for roi in self.rois}
        findings = []
        free = max(0, self.rois[-1].number) + 1
        for label, roi in enumerate((roi for roi in self.rois if roi.number < 1), start=free):
            labels[roi.number] = label
            renumbered = finding(
                "rtstruct_roi_renumbered", where=self._where, number=roi.number, name=roi.name, label=label
            )
            findings.append(renumbered)
        return labels, findings

    def _chosen(self, numbers: Sequence[int] | None) -> list[Roi]:
        if numbers is None:
            return list(self.rois)
        missing = sorted(set(numbers) - {roi.number for roi in self.rois})
        if missing:
            there = ", ".join(f"{roi.number} {roi.name!r}" for roi in self.rois)
            msg = f"{self._where}: has no ROI number {missing[0]}; it has {there}."
            raise SegmentNotFoundError(msg)
        return [roi for roi in self.rois if roi.number in numbers]

    def _in_frame(
        self, rois: list[Roi], grid: VoxelGrid, *, asked_for: bool
    ) -> tuple[list[Roi], list[Finding]]:
        """Return the ROIs of the grid's frame of reference; a finding for each that is left out."""
        own = grid.frame_of_reference_uid
        others = [r for r in rois if own is not None and r.frame_of_reference_uid not in (None, own)]
        if others and (asked_for or len(others) == len(rois)):
            msg = f"{self._where}: {others[0].title} is drawn in another frame of reference than the image's."
            raise GridMismatchError(msg, hint=_OTHER_IMAGE)
        findings = [
            finding("rtstruct_other_frame", where=self._where, number=roi.number, name=roi.name)
            for roi in others
        ]
        return [roi for roi in rois if roi not in others], findings

    def _refuse_unclear(self, chosen: list[Roi]) -> None:
        """Refuse wanted ROIs whose contours cannot be told: their number is another's too, or they have none.

        ROIs that nobody wants may be as they are.
        """
        for roi in chosen:
            if roi.is_doubled:
                msg = f"{self._where}: ROI number {roi.number} is given twice; contours cannot be told apart."
                raise CorruptDataError(msg, hint=_AGAIN)
        if all(roi.contours for roi in chosen):
            return
        listed = {roi.number for roi in self.rois}
        for number, contours in self._contours.items():
            if contours and number not in listed:
                what = f"has contours for ROI number {number}, which the structure set does not list"
                msg = f"{self._where}: {what}."
                raise CorruptDataError(msg, hint=_AGAIN)

    def _refuse_other_images(self, rois: list[Roi], instances: frozenset[str]) -> None:
        for roi in rois:
            strangers = [one for one in roi.contours if not self._image_uids(one) <= instances]
            if strangers:
                which = f"{len(strangers)} of {len(roi.contours)} contours of {roi.title}"
                msg = f"{self._where}: {which} name images that are not in the series."
                raise GridMismatchError(msg, hint=_OTHER_IMAGE)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Closed contours, in the order of their ROIs: the ROI and the vertices in mm of each."""

    owners: list[Roi]
    offsets: Int64s
    points_mm: Float64s

    def by_roi(self) -> Iterator[tuple[Roi, Int64s]]:
        """Yield each ROI and the indices of its contours."""
        numbers = np.array([roi.number for roi in self.owners])
        for number, roi in {roi.number: roi for roi in self.owners}.items():
            yield roi, np.flatnonzero(numbers == number)

    def vertices_mm(self, at: int) -> Float64s:
        """Return the vertices of one contour."""
        return self.points_mm[self.offsets[at] : self.offsets[at + 1]]

    def without(self, left_out: Collection[int]) -> _Drawn:
        """Return the contours but for some."""
        kept = [at for at in range(len(self.owners)) if at not in left_out]
        return _Drawn(
            [self.owners[at] for at in kept],
            _offsets(np.diff(self.offsets)[kept]),
            np.concatenate([self.vertices_mm(at) for at in kept]),
        )


def _offsets(sizes: Int64s | list[int]) -> Int64s:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


def _closed_contours(rois: list[Roi], where: str) -> tuple[_Drawn, list[Finding]]:
    owners: list[Roi] = []
    stored: list[bytes] = []
    sizes: list[int] = []
    findings: list[Finding] = []
    for roi in rois:
        unfilled: Counter[str] = Counter()
        seen: set[bytes] = set()
        repeated = 0
        for contour in roi.contours:
            kind, data, points = _contour(contour, roi, where)
            if kind in _UNFILLED or points < _POLYGON_POINTS:
                unfilled[kind if kind in _UNFILLED else f"{points}-point"] += 1
            elif data in seen:
                repeated += 1
            else:
                seen.add(data)
                owners.append(roi)
                stored.append(data)
                sizes.append(points)
        findings += unfilled_findings(unfilled, len(roi.contours), roi.title, where)
        findings += _repeated(roi, repeated, where)
    points_mm = _coordinates(stored, where)
    if points_mm.size != 3 * sum(sizes):
        msg = f"{where}: ContourData holds {points_mm.size} numbers where {3 * sum(sizes)} were expected."
        raise CorruptDataError(msg)
    return _Drawn(owners, _offsets(sizes), points_mm.reshape(-1, 3)), findings


def _repeated(roi: Roi, count: int, where: str) -> Iterator[Finding]:
    """Say that a ROI has the very same contour more than once."""
    if count:
        yield finding("rtstruct_contour_repeated", where=where, roi=roi.title, count=count)


def _contour(contour: Header, roi: Roi, where: str) -> tuple[str, bytes, int]:
    """Return the kind, stored vertices and number of vertices of one contour."""
    named = f"{where}: a contour of {roi.title}"
    kind = contour.text("ContourGeometricType").upper()
    if kind not in _CLOSED | _UNFILLED:
        msg = f"{named} has the geometric type {kind!r}, which is not known."
        raise FormatError(msg)
    if any(contour.numbers("ContourOffsetVector")):
        msg = f"{named} is shifted by a ContourOffsetVector (3006,0045), which is retired and not supported."
        raise FormatError(msg)
    data = contour.stored("ContourData").strip(b" \0")
    count = data.count(b"\\") + 1 if data else 0
    stated = contour.text("NumberOfContourPoints")
    points = int(stated) if stated.isdecimal() else count // 3
    if count != 3 * points:
        msg = f"{named} states {points} points but holds {count} coordinates; expected {3 * points}."
        raise CorruptDataError(msg, hint="Copy or export the structure set again.")
    return kind, data, points


def _coordinates(stored: list[bytes], where: str) -> Float64s:
    """Decimal strings to numbers, all contours in one go (correctly rounded)."""
    if not stored:
        return np.empty(0)
    text = b"\\".join(stored).decode("latin-1")
    try:
        values: Float64s = np.loadtxt([text], delimiter="\\", comments=None, ndmin=1)
    except ValueError as error:
        msg = f"{where}: ContourData (3006,0050) holds something that is no number."
        raise CorruptDataError(msg) from error
    if not np.isfinite(values).all():
        msg = f"{where}: ContourData (3006,0050) holds NaN or infinite coordinates."
        raise CorruptDataError(msg)
    return values


def _filled(
    drawn: _Drawn, labels: dict[int, int], grid: VoxelGrid, where: str
) -> tuple[LabelRuns, list[Finding]]:
    placed = place_contours(drawn.points_mm, drawn.offsets, grid)
    for roi, contours in drawn.by_roi():
        refuse_off_slice(placed, contours, f"{where}: {roi.title}")
    filled = fill_contours(placed, np.array([labels[roi.number] for roi in drawn.owners], np.int64))
    again = {  # an earlier contour written in another way: the two would cancel out
        later
        for earlier, later in filled.crossing_pairs.tolist()
        if same_outline(drawn.vertices_mm(earlier), drawn.vertices_mm(later), tolerance_mm=_SAME_VERTEX_MM)
    }
    findings: list[Finding] = []
    if again:
        runs, more = _filled(drawn.without(again), labels, grid, where)
        for roi, contours in drawn.by_roi():
            findings += _repeated(roi, len(again.intersection(contours.tolist())), where)
        return runs, findings + more
    for roi, contours in drawn.by_roi():
        findings += contour_findings(placed, contours, roi.title, where)
    for roi, contours in drawn.by_roi():
        findings += overlap_findings(filled, contours, roi.title, where)
    return filled.runs, findings
