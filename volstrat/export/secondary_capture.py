"""Key images as Secondary Capture, a slice a lesion with its volume burned in: every PACS shows those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat import __version__
from volstrat.export.content_uids import content_uid
from volstrat.export.plain_objects import plain_object
from volstrat.pictures.annotations import caption_below
from volstrat.pictures.key_slices import first_look, slice_pixels
from volstrat.show.words import AVIDITY, STRATA, ml_text
from volstrat.terms.wording import shown_percent

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import FileDataset

    from volstrat.case.record_types import CaseRecord, LesionRecord
    from volstrat.export.outgoing import Outgoing
    from volstrat.pictures.scene import Scene

    Pixels = NDArray[np.uint8]

_SOP_CLASS: Final = "1.2.840.10008.5.1.4.1.1.7"
_SERIES_NUMBER: Final = 9704


def secondary_captures(out: Outgoing, scene: Scene) -> list[FileDataset]:
    """Return a picture of each lesion and PET-only region, with what was measured below it."""
    record = out.result.record
    rows = {row["lesion_id"]: row for row in (*record["lesions"], *record["pet_only_regions"])}
    pictures = [
        (name, caption_below(pixels, _lines(rows[name], record)))
        for name, pixels in slice_pixels(scene, first_look(scene, record))
    ]
    shown = [np.ascontiguousarray(pixels).tobytes() for _, pixels in pictures]
    series_uid = content_uid("SC series", __version__, out.time_text, out.source.space, *shown)
    return [
        _capture(out, name, pixels, series_uid=series_uid, number=number)
        for number, (name, pixels) in enumerate(pictures, start=1)
    ]


def _lines(row: LesionRecord, record: CaseRecord) -> tuple[str, str]:
    """Return what stands below a picture: the lesion, and the case."""
    parts = [row["lesion_id"], f"{ml_text(row['volume_ml'])} ml", row["resectability"]]
    if row["fdg_avidity"] != "not_assessed":
        parts.append(f"FDG {AVIDITY[row['fdg_avidity']]}")
    if row["suv_max"] is not None:
        parts.append(f"SUVmax {row['suv_max']:.1f}")
    return ", ".join(parts), ", ".join([*_of_case(record), f"volstrat {__version__}"])


def _of_case(record: CaseRecord) -> list[str]:
    stratum = STRATA[record["stratum"]] if record["stratum"] else "Not assessable"
    volumes, predicates = record["volumes"], record["predicates"]
    assert volumes is not None
    assert predicates is not None
    total = f"tumour {ml_text(volumes['total_tumour_ml'])} ml"
    if volumes["resectable_fraction"] is None:
        return [stratum, total]
    threshold = predicates["stratum_1"]["threshold_percent"]
    share = shown_percent(100 * volumes["resectable_fraction"], threshold)
    return [stratum, total, f"resectable {share} %"]


def _capture(out: Outgoing, name: str, pixels: Pixels, *, series_uid: str, number: int) -> FileDataset:
    dataset = plain_object(_SOP_CLASS, modality="OT", series_number=_SERIES_NUMBER)
    dataset.SeriesDescription, dataset.ImageComments = "Key images (volstrat)", f"Slice through {name}"
    dataset.ImageType, dataset.ConversionType = ["DERIVED", "SECONDARY", "OTHER"], "WSD"
    dataset.Laterality, dataset.PatientOrientation = "", ""
    dataset.BurnedInAnnotation = "NO"  # nothing burned in names the patient
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    data = np.ascontiguousarray(pixels).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB"
    uid = content_uid("SC", __version__, out.time_text, out.source.space, name, data)
    out.finish(dataset, uid=uid, series_uid=series_uid, number=number)
    return dataset
