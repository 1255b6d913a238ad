"""One export: the case, its images, and what every object of it shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volstrat import __version__
from volstrat.dicom.folder import OWN_MODEL
from volstrat.export.source_images import KEPT, TYPE_2
from volstrat.pictures.key_slices import words_by_name

if TYPE_CHECKING:
    from datetime import datetime

    from pydicom import Dataset

    from volstrat.case.assess import CaseResult
    from volstrat.case.record_types import LesionRecord
    from volstrat.export.source_images import SourceImages

MAKER: Final = "volstrat"
"""Manufacturer of everything that goes out."""

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

    Parameters
    ----------
    result : CaseResult
    source : SourceImages
    tracking : tuple of str
        Tracking UID of each lesion.
    region_source : SourceImages or None
        The PET that the PET-only regions are drawn on, where it can be referred to.
    at : datetime
        When the content was made, local time: a part of the content.
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
