"""One export: the case, its images, and what every object of it shares; UIDs come from content.

An archive drops what comes under a UID that it knows; so the same content has the same UID, other content
another. A lesion's tracking UID goes with its identity, not with its exact voxels: a contour that was
corrected is still of the same tissue.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat import __version__
from volstrat.dicom.folder import OWN_MODEL
from volstrat.errors import ExportError
from volstrat.pictures.key_slices import words_by_name

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pydicom import Dataset

    from volstrat.case.assess import CaseResult
    from volstrat.case.record_types import LesionRecord
    from volstrat.export.source_images import SourceImages
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
