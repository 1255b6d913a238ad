"""The report as Encapsulated PDF: the page that the meeting sees, in the patient's study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from volstrat import __version__
from volstrat.export.content_uids import content_uid
from volstrat.report.report_page import report_pdf

if TYPE_CHECKING:
    from pydicom import FileDataset

    from volstrat.export.outgoing import Outgoing

_SOP_CLASS: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_SERIES_NUMBER: Final = 9703


def encapsulated_pdf(out: Outgoing, html: str) -> FileDataset:
    """Return a report as an object of the DICOM Encapsulated PDF class (PS3.3 A.45.1).

    Raises
    ------
    UsageError
        If a PDF cannot be made here.
    """
    from volstrat.export.plain_objects import plain_object

    pdf = report_pdf(html)
    uid = content_uid("PDF", __version__, out.time_text, pdf)
    dataset = plain_object(_SOP_CLASS, modality="DOC", series_number=_SERIES_NUMBER)
    dataset.SeriesDescription = dataset.DocumentTitle = "Tumour volume and strata (volstrat)"
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.AcquisitionDateTime = ""
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
    out.finish(dataset, uid=uid, series_uid=content_uid("PDF series", uid))
    return dataset
