"""The DICOM images that a case's masks lie on: what every object that goes out refers to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from volstrat.errors import ExportError, VolstratError
from volstrat.export.outgoing import TYPE_2, content_uid
from volstrat.geometry.grid import TIE_MM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from volstrat.case.assess import CaseResult
    from volstrat.case.entries import EntryReader
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.series import SeriesGeometry
    from volstrat.geometry.grid import Placement, VoxelGrid

_LATTICE_MM: Final = 100 * TIE_MM
"""How far a corner voxel of the mask may lie off the images' lattice; writers round positions."""


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: a header is read once
class SourceImages:
    """A series of the case, and how a mask's grid lies on it."""

    series: SeriesFiles
    geometry: SeriesGeometry
    placement: Placement

    @property
    def space(self) -> str:
        """UID of the frame of reference, else of the study."""
        return self.series.frame_of_reference_uid or self.series.study_instance_uid

    @property
    def has_single_slices(self) -> bool:
        """Whether each file holds one slice."""
        return all(frame.file.number_of_frames == 1 for frame in self.geometry.frames)

    @cached_property
    def first(self) -> Dataset:
        """Header of the lowest slice, without pixels."""
        return self.header(0)

    def header(self, k: int) -> Dataset:
        """Return the header of a slice; what every image must have and de-identifiers take away is filled in.

        Empty where that is allowed; a frame of reference that comes from the study; the distance of slices.
        """
        from pydicom import dcmread

        file = self.geometry.frames[k].file
        dataset = dcmread(file.path, stop_before_pixels=True)
        for keyword in TYPE_2:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        if "SOPClassUID" not in dataset:
            dataset.SOPClassUID = file.sop_class_uid
        if "SliceThickness" not in dataset:
            dataset.SliceThickness = f"{self.geometry.grid.spacing_mm[2]:.10g}"
        if "FrameOfReferenceUID" not in dataset:
            dataset.FrameOfReferenceUID = content_uid("frame of reference", self.space)
        return dataset


def find_source_images(result: CaseResult, reader: EntryReader) -> SourceImages:
    """Return the series on whose lattice the tumour mask lies: the case's CT, its PET, or another.

    None, one that is not as single slices, or one that cannot be read again is an `ExportError`.
    """
    seen: list[str] = []
    for series in _candidates(reader):
        try:
            found = _on_series(result.measured.lesions.grid, series, reader)
        except VolstratError:
            continue
        if found is None:
            seen.append(series.name)
            continue
        if not found.has_single_slices:
            msg = f"{series.name} is Enhanced (several frames in one file), which is not referred to yet."
            raise ExportError(msg, hint="Give the same images as single slices.")
        if not series.study_instance_uid:
            msg = f"{series.name} has no StudyInstanceUID: an archive could not file what refers to it."
            raise ExportError(msg, hint="Export the images again from the PACS.")
        return found
    there = f"; there is {', '.join(seen)}" if seen else "; the case has no DICOM image"
    msg = f"{result.sources.subject}: no DICOM image lies on the voxels of the tumour mask{there}."
    hint = "Give the CT that the masks were drawn on as DICOM (ct): DICOM objects must refer to images."
    raise ExportError(msg, hint=hint)


def find_region_images(result: CaseResult, reader: EntryReader, study: str) -> SourceImages | None:
    """Return the PET series on whose lattice the PET-only regions lie.

    None where there is no region, or no such series of this study as single slices: the regions then go out
    in report and pictures alone.
    """
    attribution, entry = result.measured.attribution, reader.sources.only("pet")
    if attribution is None or not attribution.pet_only.count or entry is None:
        return None
    if not reader.reads_from_dicom(entry):
        return None
    try:
        series = reader.library.series(entry.path, role="pet", uid=entry.series)
        found = _on_series(attribution.grid, series, reader)
    except VolstratError:
        return None
    usable = found is not None and found.has_single_slices and series.study_instance_uid == study
    return found if usable else None


def _on_series(grid: VoxelGrid, series: SeriesFiles, reader: EntryReader) -> SourceImages | None:
    """Return a series as images of a mask's grid; None where the mask lies on another lattice."""
    geometry = reader.library.geometry(series)
    uids = (grid.frame_of_reference_uid, geometry.grid.frame_of_reference_uid)
    if None not in uids and uids[0] != uids[1]:
        return None
    placement = grid.placement_on(geometry.grid, tolerance_mm=_LATTICE_MM)
    return None if placement is None else SourceImages(series=series, geometry=geometry, placement=placement)


def _candidates(reader: EntryReader) -> Iterator[SeriesFiles]:
    """Yield the case's series, its CT first, then its PET, then what else was found."""
    seen: set[str] = set()
    for role in ("ct", "pet"):
        entry = reader.sources.only(role)
        if entry is not None and reader.reads_from_dicom(entry):
            try:
                series = reader.library.series(entry.path, role=role, uid=entry.series)
            except VolstratError:
                continue
            seen.add(series.series_instance_uid)
            yield series
    if not reader.has_dicom:
        return
    for folder in reader.library.scanned():
        for series in folder.series:
            if series.series_instance_uid not in seen and not series.is_localizer:
                seen.add(series.series_instance_uid)
                yield series
