"""An empty object of a class that highdicom does not write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import FileDataset


def plain_object(sop_class: str, *, modality: str, series_number: int) -> FileDataset:
    """Return a data set with file meta information, class, modality and series number."""
    from pydicom import FileDataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.Modality, dataset.SeriesNumber = UID(sop_class), modality, series_number
    return dataset
