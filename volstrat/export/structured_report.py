"""Measurements and markings as a Comprehensive 3D SR: TID 1500, 1411 for each lesion, 1501 for the case."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from volstrat import __version__
from volstrat.case.record_types import given
from volstrat.export import coded as c
from volstrat.export.coded import coded
from volstrat.export.outgoing import MAKER, content_uid, not_read_back
from volstrat.export.report_reading import read_report
from volstrat.export.segmentation_out import region_tracking_uid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from highdicom.sr import Measurement, QualitativeEvaluation
    from pydicom import Dataset

    from volstrat.case.record_types import CaseRecord, LesionRecord
    from volstrat.export.outgoing import Outgoing
    from volstrat.export.segmentation_out import Drawn, SegmentFile
    from volstrat.export.source_images import SourceImages

_SERIES_NUMBER: Final = 9702
_RELATIVE = 1e-6  # of a decimal string of 16 characters
CASE: Final = "case"
"""What the group of measurements of the whole case is tracked as."""


def structured_report(out: Outgoing, files: Sequence[SegmentFile]) -> Dataset:
    """Return the measurements of every lesion, its resectability and avidity, and the case's stratum.

    ``files`` are the segmentations that it refers to.
    """
    from highdicom.sr import (
        CodedConcept,
        Comprehensive3DSR,
        DeviceObserverIdentifyingAttributes,
        LanguageOfContentItemAndDescendants,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    record, source, rows = out.result.record, out.source, out.rows
    uid = content_uid("SR", *_content(out, files))
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
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
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
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
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            language=CodedConcept("en", "RFC5646", "English")
        ),
    )
    dataset = Comprehensive3DSR(
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
    from highdicom.sr import (
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    segment = ReferencedSegment(
        sop_class_uid=file.dataset.SOPClassUID,
        sop_instance_uid=file.dataset.SOPInstanceUID,
        segment_number=label,
        source_series=SourceSeriesForSegmentation(file.source.series.series_instance_uid),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=one.tracking_uid, identifier=one.name),
        referenced_segment=segment,
        finding_type=coded(one.kind),
        **_said_of(lesion),
    )


def _region_group(region: LesionRecord, tracking_uid: str) -> Any:  # noqa: ANN401 - as above
    """Return what is said of uptake without a lesion on CT that no segment draws."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations, TrackingIdentifier

    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=region["lesion_id"]),
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
    from highdicom.sr import Measurement

    return Measurement(
        name=coded(name), value=value, unit=coded(unit), derivation=None if how is None else coded(how)
    )


def _evaluation(name: c.Code, value: c.Code) -> QualitativeEvaluation:
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(name=coded(name), value=coded(value))


def _case_group(record: CaseRecord, source: SourceImages) -> Any:  # noqa: ANN401 - highdicom's template
    """Return what is said of the whole case: volumes and stratum, never more than the record says."""
    from highdicom.sr import (
        MeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )

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
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=CASE),
        source_images=[
            SourceImageForMeasurementGroup(
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
