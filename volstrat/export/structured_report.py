"""Measurements and markings as a Comprehensive 3D SR: TID 1500, 1411 for each lesion, 1501 for the case.

And back: markings come back from where they went.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from volstrat import __version__
from volstrat.case.record_types import CaseRecord, LesionRecord, given
from volstrat.errors import FormatError, InputFileError
from volstrat.export import coded as c
from volstrat.export.coded import coded
from volstrat.export.outgoing import MAKER, Outgoing, SourceImages, content_uid, not_read_back
from volstrat.export.segmentation_out import Drawn, SegmentFile, region_tracking_uid
from volstrat.formats.walk import open_regular
from volstrat.terms.marks import NOT_TUMOUR, LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from highdicom.sr import Measurement, QualitativeEvaluation
    from pydicom import Dataset


_SERIES_NUMBER: Final = 9702
_RELATIVE = 1e-6  # of a decimal string of 16 characters
_GROUP: Final = ("125007", "DCM")
_IDENTIFIER: Final = ("112039", "DCM")
_UNIQUE_IDENTIFIER: Final = ("112040", "DCM")
_REFERENCED_SEGMENT: Final = ("121191", "DCM")
CASE: Final = "case"
"""What the group of measurements of the whole case is tracked as."""


def structured_report(out: Outgoing, files: Sequence[SegmentFile]) -> Dataset:
    """Return the measurements of every lesion, its resectability and avidity, and the case's stratum.

    ``files`` are the segmentations that it refers to.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes

    record, source, rows = out.result.record, out.source, out.rows
    uid = content_uid("SR", *_content(out, files))
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=content_uid("observer", MAKER, __version__),
            name=MAKER,
            manufacturer_name=MAKER,
            model_name=MAKER,
            serial_number=__version__,
        ),
    )
    groups = [
        _drawn_group(rows[one.name], one, file, label)
        for file in files
        for label, one in enumerate(file.segments, start=1)
    ]
    drawn = {one.name for file in files for one in file.segments}
    modality = c.CT_OF_BODY if source.series.modality == "CT" else c.PET_OF_BODY
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=coded(modality),
        imaging_measurements=[
            *groups,
            *(
                _region_group(region, region_tracking_uid(region, out))
                for region in record["pet_only_regions"]
                if region["lesion_id"] not in drawn
            ),
            _case_group(record, source),
        ],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            language=sr.CodedConcept("en", "RFC5646", "English")
        ),
    )
    dataset = sr.Comprehensive3DSR(
        evidence=[*(file.dataset for file in files), source.first],
        content=report[0],
        series_instance_uid=content_uid("SR series", uid),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="Lesion measurements (volstrat)",
    )
    out.finish(dataset, uid=uid, series_uid=content_uid("SR series", uid))
    return dataset


def _content(out: Outgoing, files: Sequence[SegmentFile]) -> list[str]:
    """Return all that the report's UID stands for: what it refers to, and the record."""
    record = {key: value for key, value in out.result.record.items() if key != "environment"}
    uids = [str(file.dataset.SOPInstanceUID) for file in files]
    return [__version__, out.time_text, *uids, json.dumps(record, sort_keys=True)]


def _drawn_group(lesion: LesionRecord, one: Drawn, file: SegmentFile, label: int) -> Any:  # noqa: ANN401 - highdicom's template
    from highdicom import sr

    segment = sr.ReferencedSegment(
        sop_class_uid=file.dataset.SOPClassUID,
        sop_instance_uid=file.dataset.SOPInstanceUID,
        segment_number=label,
        source_series=sr.SourceSeriesForSegmentation(file.source.series.series_instance_uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=one.tracking_uid, identifier=one.name),
        referenced_segment=segment,
        finding_type=coded(one.kind),
        **_said_of(lesion),
    )


def _region_group(region: LesionRecord, tracking_uid: str) -> Any:  # noqa: ANN401 - as above
    """Return what is said of uptake without a lesion on CT that no segment draws."""
    from highdicom import sr

    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracking_uid, identifier=region["lesion_id"]),
        **_said_of(region),
    )


def _said_of(lesion: LesionRecord) -> dict[str, Any]:
    """Return the measurements of a lesion or region, and how it is marked."""
    rows: list[tuple[c.Code, float | None, c.Code, c.Code | None]] = [
        (c.VOLUME, lesion["volume_ml"], c.MILLILITRE, None),
        (c.DIAMETER, lesion["max_diameter_mm"], c.MILLIMETRE, c.MAXIMUM),
        (c.LONG_AXIS, lesion["max_axial_diameter_mm"], c.MILLIMETRE, None),
        (c.SUV_BODY_WEIGHT, lesion["suv_max"], c.SUV_UNIT, c.MAXIMUM),
        (c.SUV_BODY_WEIGHT, lesion["suv_mean"], c.SUV_UNIT, c.MEAN),
        (c.SUV_BODY_WEIGHT, lesion["suv_peak"], c.SUV_UNIT, c.PEAK),
        (c.LESION_GLYCOLYSIS, lesion["tlg_g"], c.GRAM, None),
    ]
    return {
        "measurements": [
            _measurement(name, value, unit, how) for name, value, unit, how in rows if value is not None
        ],
        "qualitative_evaluations": [
            _evaluation(c.RESECTABILITY, c.RESECTABILITY_WORDS[lesion["resectability"]]),
            _evaluation(c.FDG_AVIDITY, c.AVIDITY_WORDS[lesion["fdg_avidity"]]),
        ],
    }


def _measurement(name: c.Code, value: float, unit: c.Code, how: c.Code | None = None) -> Measurement:
    from highdicom import sr

    return sr.Measurement(
        name=coded(name), value=value, unit=coded(unit), derivation=None if how is None else coded(how)
    )


def _evaluation(name: c.Code, value: c.Code) -> QualitativeEvaluation:
    from highdicom import sr

    return sr.QualitativeEvaluation(name=coded(name), value=coded(value))


def _case_group(record: CaseRecord, source: SourceImages) -> Any:  # noqa: ANN401 - highdicom's template
    """Return what is said of the whole case: volumes and stratum, never more than the record says."""
    from highdicom import sr

    volumes = given(record["volumes"])
    share = volumes["resectable_fraction"]
    rows = [
        (c.TOTAL_TUMOUR, volumes["total_tumour_ml"], c.MILLILITRE),
        (c.RESECTABLE_TUMOUR, volumes["resectable_tumour_ml"], c.MILLILITRE),
        (c.RESECTABLE_SHARE, None if share is None else 100 * share, c.PERCENT),
        (c.AVID_VOLUME, volumes["fdg_avid_ml"], c.MILLILITRE),
    ]
    stratum = record["stratum"] or "not_assessable"
    uid = content_uid(CASE, source.space, record["subject"])
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=CASE),
        source_images=[
            sr.SourceImageForMeasurementGroup(
                referenced_sop_class_uid=source.first.SOPClassUID,
                referenced_sop_instance_uid=source.first.SOPInstanceUID,
            )
        ],
        measurements=[_measurement(name, value, unit) for name, value, unit in rows if value is not None],
        qualitative_evaluations=[
            _evaluation(c.STRATUM, c.STRATUM_WORDS[stratum]),
            _evaluation(c.CASE_STATUS, c.STATUS_WORDS[record["status"]]),
        ],
    )


def check_report(path: Path, files: Sequence[SegmentFile], out: Outgoing) -> None:
    """Hold a written SR to the record: each lesion's volume, marking and avidity, and the stratum."""
    record, said, rows = out.result.record, read_report(path), out.rows
    for one in (one for file in files for one in file.segments):
        lesion = rows[one.name]
        found = said.lesions.get(lesion["lesion_id"])
        same = (
            found is not None
            and abs(found.volume_ml - lesion["volume_ml"]) <= _RELATIVE * lesion["volume_ml"]
            and (found.resectability, found.fdg_avidity) == (lesion["resectability"], lesion["fdg_avidity"])
            and found.tracking_uid == one.tracking_uid
        )
        if not same:
            raise not_read_back(path, f"says something else of {lesion['lesion_id']}")
    if said.stratum != (record["stratum"] or "not_assessable"):
        raise not_read_back(path, "says another stratum")


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

    A file that is no DICOM is an `InputFileError`, one that is no SR of volstrat, or is cut off, a
    `FormatError`.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    hint = "Name an SR that volstrat export wrote."
    try:
        with open_regular(path) as stream:
            return _reported(dcmread(stream))
    except InvalidDicomError as error:
        msg = f"{path.name}: cannot be read as DICOM."
        raise InputFileError(msg, hint=hint) from error
    except InputFileError:
        raise
    except (OSError, EOFError, LookupError, AttributeError, ValueError, TypeError, struct.error) as error:
        msg = f"{path.name}: is no report of volstrat's, or not the whole of one."
        raise FormatError(msg, hint=hint) from error


def _reported(dataset: Dataset) -> ReadReport:
    """Return what a report says; one that does not say all is a KeyError or what its bytes end in."""
    words, avidities, strata, statuses = (
        {code[0]: word for word, code in table.items()}
        for table in (c.RESECTABILITY_WORDS, c.AVIDITY_WORDS, c.STRATUM_WORDS, c.STATUS_WORDS)
    )
    lesions, case = {}, dict[str, str]()
    for group in _groups(dataset):
        said = {key: item for item in group.get("ContentSequence", []) if (key := _name(item))}
        codes = {key: _value_code(item) for key, item in said.items() if item.ValueType == "CODE"}
        if c.STRATUM[:2] in codes:
            case = {"stratum": strata[codes[c.STRATUM[:2]]], "status": statuses[codes[c.CASE_STATUS[:2]]]}
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
    return ReadReport(lesions=lesions, stratum=case["stratum"], status=case["status"])


def report_rows(path: Path) -> list[LesionRow]:
    """Return the markings of an SR as rows of a lesion table.

    Where the segmentation that it refers to lies beside it, each row has a point in its lesion, and finds it
    again whatever its number is later. Avidity that was measured stays to be measured; of uptake without a
    lesion on CT it says what was dismissed.
    """
    report = read_report(path)
    points = _points(path, report)
    return [_table_row(lesion, points.get(name)) for name, lesion in report.lesions.items()]


def _table_row(lesion: ReportedLesion, point: tuple[float, float, float] | None) -> LesionRow:
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

    found, tags = {}, ["SOPInstanceUID", "Modality"]
    for file in sorted(path.parent.glob("*.dcm")):
        try:
            with open_regular(file) as stream:
                header = dcmread(stream, stop_before_pixels=True, specific_tags=tags)
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
