"""One export: the case, the images that all of it refers to, what every object shares; UIDs from content.

An archive drops what comes under a UID that it knows; so the same content has the same UID, other content
another. A lesion's tracking UID goes with its identity, not with its exact voxels: a contour that was
corrected is still of the same tissue.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat import __version__
from volstrat.dicom.folder import OWN_MODEL, SeriesFiles
from volstrat.errors import ExportError, VolstratError
from volstrat.geometry.grid import TIE_MM, Placement, VoxelGrid
from volstrat.pictures.key_slices import words_by_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pydicom import Dataset

    from volstrat.case.assess import CaseResult
    from volstrat.case.entries import EntryReader
    from volstrat.case.record_types import LesionRecord
    from volstrat.dicom.series import SeriesGeometry
    from volstrat.rule.measure import Measurements

MAKER: Final = "volstrat"
"""Manufacturer of everything that goes out."""

KEPT: Final = tuple(
    """
    SpecificCharacterSet PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID StudyDate
    StudyTime AccessionNumber ReferringPhysicianName
    """.split()
)
"""What new objects take from the images, so that an archive files them with the patient's study."""
TYPE_2: Final = tuple(word for word in KEPT if word not in ("SpecificCharacterSet", "StudyInstanceUID"))
"""Those that must be there and may be empty."""
_LATTICE_MM: Final = 100 * TIE_MM
"""How far a corner voxel of the mask may lie off the images' lattice; writers round positions."""
_CELL_MM: Final = 20.0
"""Where segments have no name and no number of their own, tissue is told by the place of its centroid."""

# Patient and study attributes that images may carry and that do not go out (PS3.3 C.7.1, C.7.2).
_PATIENT_GROUP: Final = 0x0010
_STUDY_KEYWORDS: Final = frozenset(
    """
    StudyDescription ReasonForStudy StudyComments ProcedureCodeSequence PhysiciansOfRecord
    NameOfPhysiciansReadingStudy RequestingService AdmittingDiagnosesDescription ConsultingPhysicianName
    ReferringPhysicianIdentificationSequence IssuerOfAccessionNumberSequence ClinicalTrialSponsorName
    ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName
    ClinicalTrialSubjectID ClinicalTrialSubjectReadingID
    """.split()
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outgoing:
    """A case on its way out.

    ``tracking`` are the tracking UIDs of its lesions; ``at`` is when the content was made, local time, a part
    of the content; ``region_source`` the PET that the PET-only regions are drawn on, where it can be referred
    to.
    """

    result: CaseResult
    source: SourceImages
    tracking: tuple[str, ...]
    at: datetime
    region_source: SourceImages | None = None

    @property
    def time_text(self) -> str:
        """The time as ISO 8601, to the second."""
        return self.at.isoformat(timespec="seconds")

    @property
    def rows(self) -> dict[str, LesionRecord]:
        """What the record says of each lesion and PET-only region, by its id."""
        record = self.result.record
        return {row["lesion_id"]: row for row in (*record["lesions"], *record["pet_only_regions"])}

    @property
    def words(self) -> dict[str, str]:
        """The marking of each lesion, as pictures draw it."""
        return words_by_name(self.result.record)

    def finish(self, dataset: Dataset, *, uid: str, series_uid: str, number: int = 1) -> None:
        """Give an object its UIDs, its maker and its times, and the identity of the source images.

        Of patient and study it keeps what `KEPT` names, as the images have it, and nothing else; nothing
        depends on the clock.
        """
        from pydicom.uid import UID

        for element in list(dataset):
            about_patient = element.tag.group == _PATIENT_GROUP or element.keyword in _STUDY_KEYWORDS
            if about_patient and element.keyword not in KEPT:
                del dataset[element.tag]
        for keyword in KEPT:
            if keyword in self.source.first:
                dataset[keyword] = self.source.first[keyword]  # as it is, were it too long for its VR
        for keyword in TYPE_2:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series_uid, number
        dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, OWN_MODEL
        dataset.SoftwareVersions = dataset.DeviceSerialNumber = __version__
        day, clock = self.at.strftime("%Y%m%d"), self.at.strftime("%H%M%S")
        dataset.ContentDate = dataset.SeriesDate = dataset.InstanceCreationDate = day
        dataset.ContentTime = dataset.SeriesTime = dataset.InstanceCreationTime = clock
        # The source's zone and equipment are not this object's; highdicom adds them, with the clock's time.
        for keyword in ("TimezoneOffsetFromUTC", "ContributingEquipmentSequence"):
            if keyword in dataset:
                delattr(dataset, keyword)


def content_uid(*parts: bytes | str) -> str:
    """Return a UID (PS3.5 B.2: 2.25 and 128 bits) that stands for these parts in this order.

    >>> content_uid("SEG", b"voxels") == content_uid("SEG", b"voxels") != content_uid("SEG", b"other")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"


def tracking_uids(measured: Measurements, space: str) -> list[str]:
    """Return the tracking UID of each lesion.

    ``space`` is the UID of the frame of reference, else of the study: a lesion is one there.
    """
    named = _names_of_labels(measured)
    identities: list[str] = []
    taken: dict[str, int] = {}
    for n, lesion_id in enumerate(measured.lesions.ids):
        number = int(lesion_id[1:])
        if number in named:
            identity = f"label {number}" if not named[number] else f"segment {named[number]}"
        else:
            cell = np.floor(measured.measures.centroid_mm[n] / _CELL_MM).astype(int)
            identity = "place " + " ".join(map(str, cell.tolist()))
        rank = taken[identity] = taken.get(identity, -1) + 1
        identities.append(identity if rank == 0 else f"{identity} and {rank}")
    return [content_uid("lesion", space, identity) for identity in identities]


def _names_of_labels(measured: Measurements) -> dict[int, str]:
    """Return the name of each label that is a lesion by itself, as `find_lesions` tells lesions apart."""
    entries = measured.masks.tumour
    undecided = {label for e in entries if e.instances is None for label in e.mask.labels}
    return {
        label: entry.mask.names.get(label, "")
        for entry in entries
        if entry.instances == "labels" or (entry.instances is None and len(undecided) > 1)
        for label in entry.mask.labels
    }


def not_read_back(path: Path, what: str) -> ExportError:
    """Return what ends an export of which a written file is, read again, not what was to be written."""
    msg = f"{path.name}: read back, it {what}; nothing was written."
    return ExportError(msg, hint="Please report this, with the case if it can be shared.")


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
    if attribution is None or not attribution.pet_only.count:
        return None
    if entry is None or not reader.reads_from_dicom(entry):
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
