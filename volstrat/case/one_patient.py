"""Do the DICOM files of a case belong to one patient, and to one time? Compared in memory and never kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.errors import VolstratError
from volstrat.terms.findings import Finding, finding

if TYPE_CHECKING:
    from volstrat.case.case_file import CaseSources
    from volstrat.case.entries import EntryReader
    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.identity import PatientMarks

_NAMED = 4
_WORDS = {"PatientID": "PatientID", "PatientBirthDate": "the birth date", "PatientSex": "the sex"}


def patient_findings(sources: CaseSources, reader: EntryReader) -> list[Finding]:
    """Say where PatientID, birth date or sex differ among the DICOM files that the case has read or found.

    What a header leaves blank is equal to anything.
    """
    if not reader.has_dicom:
        return []
    from volstrat.dicom.identity import differing

    seen = _named_marks(sources, reader)
    keywords = differing(seen)
    if not keywords:
        return []
    names = list(seen.values())
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [
        finding(
            "patients_differ",
            "assumed" if sources.assume_same_patient else "refused",
            severity="warning" if sources.assume_same_patient else None,
            keywords=_joined([_WORDS[keyword] for keyword in keywords]),
            files=_joined(names[:_NAMED]) + more,
        )
    ]


def _named_marks(sources: CaseSources, reader: EntryReader) -> dict[PatientMarks, str]:
    """Return the different marks, each with one of the files that carry it."""
    seen: dict[PatientMarks, str] = {}
    for folder in reader.library.scanned():
        for series in folder.series:
            for patient in {file.patient: None for file in series.files}:
                seen.setdefault(patient, f"{series.name} ({sources.relative(series.paths[0].parent)})")
        for structures in (*folder.segmentations, *folder.structure_sets):
            seen.setdefault(structures.patient, sources.relative(structures.path))
    return seen


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def days_between_images(sources: CaseSources, reader: EntryReader) -> int | None:
    """Return how many days lie between CT and PET; None where either says no date."""
    days = [_acquired_on(sources, reader, role) for role in ("ct", "pet")]
    if days[0] is None or days[1] is None:
        return None
    return abs(days[0] - days[1])


def _acquired_on(sources: CaseSources, reader: EntryReader, role: str) -> int | None:
    entry = sources.only(role)
    if entry is None or not reader.reads_from_dicom(entry):
        return None
    try:
        series: SeriesFiles = reader.library.series(entry.path, role=role, uid=entry.series)
    except VolstratError:
        return None  # what is wrong with it is said where it is read
    return None if series.acquired_on is None else series.acquired_on.toordinal()


def time_findings(days: int | None, most_days: int) -> list[Finding]:
    """Say where CT and PET lie further apart than the protocol allows; in days, without a date."""
    if days is None or days <= most_days:
        return []
    return [finding("studies_far_apart", days=days, limit=most_days)]
