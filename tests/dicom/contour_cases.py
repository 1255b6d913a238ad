"""Structure sets of squares on a small image, whose voxels can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

from tests.dense import dense_of
from tests.dicom.dicom_case import item_of
from volstrat.dicom.rtstruct.structure_set import StructureSet
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.terms.findings import Finding

SHAPE = (24, 20, 12)
SPACING = (1.25, 0.75, 3.0)
ORIGIN = (-31.5, 12.25, -7.5)
SERIES, STUDY, FRAME = "1.2.3.4.1", "1.2.3.4", "1.2.3.4.9"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
# Corners between centres: columns 3 to 9 and rows 2 to 7, 7 * 6 voxels.
SQUARE = ((2.5, 1.5), (9.5, 1.5), (9.5, 7.5), (2.5, 7.5))
SQUARE_VOXELS = 7 * 6
HOLE = ((4.5, 3.5), (6.5, 3.5), (6.5, 5.5), (4.5, 5.5))
HOLE_VOXELS = 2 * 2
Points = tuple[tuple[float, float], ...]


def image_grid(frame: str | None = FRAME) -> VoxelGrid:
    """Return the grid of the image."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    return VoxelGrid(shape=SHAPE, affine=affine, frame_of_reference_uid=frame)


def contour_of(points: Points, k: float, *, kind: str = "CLOSED_PLANAR", image: str | None = None) -> Dataset:
    """Return a contour given in voxel indices, written with three decimals."""
    mm = [np.array(ORIGIN) + np.array([u, v, k]) * SPACING for u, v in points]
    contour = item_of(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points),
        ContourData=[f"{x:.3f}" for point in mm for x in point],
    )
    if image is not None:
        contour.ContourImageSequence = [image_reference(image)]
    return contour


def image_reference(uid: str) -> Dataset:
    """Return a reference to a slice of the image."""
    return item_of(ReferencedSOPClassUID=pydicom.uid.CTImageStorage, ReferencedSOPInstanceUID=uid)


def roi_item(number: int, name: str, frame: str = FRAME) -> Dataset:
    """Return the item that names a ROI."""
    return item_of(
        ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=frame, ROIGenerationAlgorithm=""
    )


def structure_set(rois: dict[tuple[int, str], list[Dataset]]) -> Dataset:
    """Return an RTSTRUCT; its contours are listed in the opposite order of its ROIs."""
    rt = Dataset()
    rt.file_meta = FileMetaDataset()
    rt.file_meta.TransferSyntaxUID = pydicom.uid.UID(IMPLICIT)
    rt.SpecificCharacterSet = "ISO_IR 192"
    rt.SOPClassUID = pydicom.uid.RTStructureSetStorage
    rt.SOPInstanceUID, rt.Modality = "1.2.3.4.3.1", "RTSTRUCT"
    rt.PatientName, rt.PatientID = "Doe^Jane", "19500101-1234"
    series = item_of(
        SeriesInstanceUID=SERIES,
        ContourImageSequence=[image_reference(f"{SERIES}.{k}") for k in range(SHAPE[2])],
    )
    study = item_of(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=STUDY,
        RTReferencedSeriesSequence=[series],
    )
    rt.ReferencedFrameOfReferenceSequence = [
        item_of(FrameOfReferenceUID=FRAME, RTReferencedStudySequence=[study])
    ]
    rt.StructureSetROISequence = [roi_item(number, name) for number, name in rois]
    rt.ROIContourSequence = [
        item_of(ReferencedROINumber=number, ContourSequence=contours)
        for (number, _), contours in reversed(rois.items())
    ]
    return rt


def saved(rt: Dataset, folder: Path) -> Path:
    """Write a structure set to a file."""
    path = folder / "rtss.dcm"
    rt.save_as(path, enforce_file_format=True)
    return path


def read(rois: dict[tuple[int, str], list[Dataset]], folder: Path) -> tuple[Mask, tuple[Finding, ...]]:
    """Read a structure set of these ROIs."""
    return StructureSet(saved(structure_set(rois), folder)).mask(grid=image_grid())


def voxels_by_slice(mask: Mask, label: int = 1) -> list[int]:
    """Voxels of a label on each slice."""
    dense = dense_of(mask.runs.of(label), SHAPE)
    return [int(n) for n in dense.sum(axis=(0, 1))]


def codes_of(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """Return code and severity of each finding."""
    return [(finding.code, finding.severity) for finding in findings]
