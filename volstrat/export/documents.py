"""The page that the meeting sees as Encapsulated PDF, and key images as Secondary Capture.

A slice a lesion with its volume burned in: every PACS shows those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat import __version__
from volstrat.case.record_types import CaseRecord, LesionRecord, given
from volstrat.export.outgoing import Outgoing, content_uid, not_read_back
from volstrat.pictures.annotations import caption_below
from volstrat.pictures.key_slices import first_look, slice_pixels
from volstrat.report.report_page import report_pdf
from volstrat.show.words import AVIDITY, STRATA, ml_text
from volstrat.terms.wording import shown_percent

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import FileDataset

    from volstrat.pictures.scene import Scene

    Pixels = NDArray[np.uint8]

_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_PICTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_PDF_SERIES: Final = 9703
_PICTURE_SERIES: Final = 9704


def encapsulated_pdf(out: Outgoing, html: str) -> FileDataset:
    """Return a report as an object of the DICOM Encapsulated PDF class (PS3.3 A.45.1).

    A PDF that cannot be made here is a `UsageError`.
    """
    pdf = report_pdf(html)
    uid = content_uid("PDF", __version__, out.time_text, pdf)
    dataset = _plain_object(_PDF, modality="DOC", series_number=_PDF_SERIES)
    dataset.SeriesDescription = dataset.DocumentTitle = "Tumour volume and strata (volstrat)"
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.AcquisitionDateTime = ""
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
    out.finish(dataset, uid=uid, series_uid=content_uid("PDF series", uid))
    return dataset


def secondary_captures(out: Outgoing, scene: Scene) -> list[FileDataset]:
    """Return a picture of each lesion and PET-only region, with what was measured below it."""
    record, rows = out.result.record, out.rows
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
    volumes, predicates = given(record["volumes"]), given(record["predicates"])
    case = [STRATA[record["stratum"]] if record["stratum"] else "Not assessable"]
    case.append(f"tumour {ml_text(volumes['total_tumour_ml'])} ml")
    if volumes["resectable_fraction"] is not None:
        threshold = predicates["stratum_1"]["threshold_percent"]
        case.append(f"resectable {shown_percent(100 * volumes['resectable_fraction'], threshold)} %")
    return ", ".join(parts), ", ".join([*case, f"volstrat {__version__}"])


def _capture(out: Outgoing, name: str, pixels: Pixels, *, series_uid: str, number: int) -> FileDataset:
    dataset = _plain_object(_PICTURE, modality="OT", series_number=_PICTURE_SERIES)
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


def _plain_object(sop_class: str, *, modality: str, series_number: int) -> FileDataset:
    """Return a data set with file meta information, class, modality and series number."""
    from pydicom import FileDataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.Modality, dataset.SeriesNumber = UID(sop_class), modality, series_number
    return dataset


def check_bytes(path: Path, keyword: str, data: bytes) -> None:
    """Hold a written document or picture to its bytes."""
    from pydicom import dcmread

    if dcmread(path)[keyword].value != data:
        raise not_read_back(path, "holds other bytes than were written")
