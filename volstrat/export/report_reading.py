"""Read what an SR of volstrat says: markings come back from where they went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.errors import FormatError, InputFileError
from volstrat.export import coded as c
from volstrat.terms.marks import NOT_TUMOUR, LesionRow, Marking

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

_GROUP: Final = ("125007", "DCM")
_IDENTIFIER: Final = ("112039", "DCM")
_UNIQUE_IDENTIFIER: Final = ("112040", "DCM")
_REFERENCED_SEGMENT: Final = ("121191", "DCM")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLesion:
    """A lesion, or uptake without one (``P1``), as an SR has it; ``segment`` is where it is drawn."""

    lesion_id: str
    segment: tuple[str, int] | None
    tracking_uid: str
    volume_ml: float
    resectability: str
    fdg_avidity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What an SR of volstrat says of a case."""

    lesions: dict[str, ReportedLesion]
    stratum: str
    status: str


def read_report(path: Path) -> ReadReport:
    """Read an SR that volstrat wrote.

    A file that is no DICOM is an `InputFileError`, one that is no SR of volstrat a `FormatError`.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(path)
    except (OSError, InvalidDicomError) as error:
        msg = f"{path.name}: cannot be read as DICOM."
        raise InputFileError(msg, hint="Name an SR that volstrat export wrote.") from error
    words = {code[0]: word for word, code in c.RESECTABILITY_WORDS.items()}
    avidities = {code[0]: word for word, code in c.AVIDITY_WORDS.items()}
    strata = {code[0]: word for word, code in c.STRATUM_WORDS.items()}
    statuses = {code[0]: word for word, code in c.STATUS_WORDS.items()}
    lesions, stratum, status = {}, "", ""
    for group in _groups(dataset):
        said = {key: item for item in group.get("ContentSequence", []) if (key := _name(item))}
        codes = {key: _value_code(item) for key, item in said.items() if item.ValueType == "CODE"}
        if c.STRATUM[:2] in codes:
            stratum = strata.get(codes[c.STRATUM[:2]], "")
            status = statuses.get(codes.get(c.CASE_STATUS[:2], ""), "")
        elif c.RESECTABILITY[:2] in codes:
            volume = said[c.VOLUME[:2]].MeasuredValueSequence[0].NumericValue
            name = str(said[_IDENTIFIER].TextValue)
            lesions[name] = ReportedLesion(
                lesion_id=name,
                segment=_segment(group),
                tracking_uid=str(said[_UNIQUE_IDENTIFIER].UID),
                volume_ml=float(volume),
                resectability=words[codes[c.RESECTABILITY[:2]]],
                fdg_avidity=avidities[codes[c.FDG_AVIDITY[:2]]],
            )
    if not stratum:
        msg = f"{path.name}: is no report of volstrat's."
        raise FormatError(msg, hint="Name an SR that volstrat export wrote.")
    return ReadReport(lesions=lesions, stratum=stratum, status=status)


def report_rows(path: Path) -> list[LesionRow]:
    """Return the markings of an SR as rows of a lesion table.

    Where the segmentation that it refers to lies beside it, each row has a point in its lesion, and finds it
    again whatever its number is later. Avidity that was measured stays to be measured; of uptake without a
    lesion on CT it says what was dismissed.
    """
    report = read_report(path)
    points = _points(path, report)
    return [_row(lesion, points.get(name)) for name, lesion in report.lesions.items()]


def _row(lesion: ReportedLesion, point: tuple[float, float, float] | None) -> LesionRow:
    markings: dict[str, Marking] = {m.word: m for m in Marking if m is not Marking.UNKNOWN}
    is_dismissed = lesion.lesion_id.startswith("P") and lesion.fdg_avidity == "not_avid"
    return LesionRow(
        lesion_id=lesion.lesion_id,
        resectability=markings.get(lesion.resectability),
        not_tumour=lesion.resectability == NOT_TUMOUR,
        fdg_avidity="not_avid" if is_dismissed else None,
        volume_ml=lesion.volume_ml,
        point_mm=point,
    )


def _points(path: Path, report: ReadReport) -> dict[str, tuple[float, float, float]]:
    """Return a voxel of each lesion, LPS mm, from segmentations that lie beside the report."""
    from volstrat.dicom.seg.segmentation import read_seg

    points = {}
    wanted = {lesion.segment[0] for lesion in report.lesions.values() if lesion.segment is not None}
    for uid, file in _beside(path).items():
        if uid not in wanted:
            continue
        mask, _ = read_seg(file, threshold=None, image_grid=None)
        for lesion in report.lesions.values():
            if lesion.segment is not None and lesion.segment[0] == uid:
                centres = mask.grid.to_mm(mask.grid.unravel(mask.runs.of(lesion.segment[1]).indices()))
                inner = int(np.argmin(((centres - centres.mean(axis=0)) ** 2).sum(axis=1)))
                x, y, z = (round(float(value), 3) for value in centres[inner])
                points[lesion.lesion_id] = (x, y, z)
    return points


def _beside(path: Path) -> dict[str, Path]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    found = {}
    for file in sorted(path.parent.glob("*.dcm")):
        try:
            header = dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "Modality"])
        except (OSError, InvalidDicomError):
            continue
        if header.get("Modality") == "SEG":
            found[str(header.SOPInstanceUID)] = file
    return found


def _segment(group: Dataset) -> tuple[str, int] | None:
    for item in group.get("ContentSequence", []):
        if _name(item) == _REFERENCED_SEGMENT:
            image = item.ReferencedSOPSequence[0]
            number = image.ReferencedSegmentNumber
            return str(image.ReferencedSOPInstanceUID), int(number if isinstance(number, int) else number[0])
    return None


def _groups(item: Dataset) -> list[Dataset]:
    found: list[Dataset] = []
    for one in item.get("ContentSequence", []):
        found += [one] if _name(one) == _GROUP else _groups(one)
    return found


def _name(item: Dataset) -> tuple[str, str] | None:
    names = item.get("ConceptNameCodeSequence")
    return (str(names[0].CodeValue), str(names[0].CodingSchemeDesignator)) if names else None


def _value_code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)
