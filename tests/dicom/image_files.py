"""Synthetic CT and PT files for the DICOM tests, written with pydicom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.uid import UID

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PT_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"

# A turned, tilted patient: no axis of the images is an axis of the patient.
OBLIQUE_ROW = np.array([0.96, 0.28, 0.0])
OBLIQUE_COLUMN = np.array([-0.168, 0.576, 0.8])
AXIAL_ROW = np.array([1.0, 0.0, 0.0])
AXIAL_COLUMN = np.array([0.0, 1.0, 0.0])


def numbers(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Return decimal strings of at most 16 characters."""
    return [f"{value:.10g}" for value in values]


def image_dataset(
    *,
    pixels: NDArray[np.integer],
    position_mm: Sequence[float] | NDArray[np.float64],
    row: NDArray[np.float64] = AXIAL_ROW,
    column: NDArray[np.float64] = AXIAL_COLUMN,
    pixel_spacing_mm: tuple[float, float] = (0.8, 0.7),
    modality: str = "CT",
    series_uid: str = "1.2.3.4",
    uid: str | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> Dataset:
    """Return one classic slice; the caller adds or removes attributes."""
    dataset = Dataset()
    dataset.SOPClassUID = CT_IMAGE if modality == "CT" else PT_IMAGE
    dataset.SOPInstanceUID = uid or generate_uid()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality = modality
    dataset.SeriesDescription = "Abdomen"
    dataset.SeriesDate = "20240102"
    dataset.PatientName = "Secret^Person"
    dataset.PatientID = "SECRET-ID"
    dataset.PatientBirthDate = "19500101"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = series_uid
    dataset.FrameOfReferenceUID = "1.2.3.9"
    dataset.ImageOrientationPatient = numbers([*row, *column])
    dataset.ImagePositionPatient = numbers(position_mm)
    dataset.PixelSpacing = numbers(pixel_spacing_mm)
    dataset.SliceThickness = "9"  # never the spacing
    dataset.RescaleSlope = f"{slope:.10g}"
    dataset.RescaleIntercept = f"{intercept:.10g}"
    add_pixels(dataset, pixels)
    return dataset


def add_pixels(dataset: Dataset, pixels: NDArray[np.integer]) -> None:
    """Add an Image Pixel module with (rows, columns) or (frames, rows, columns) stored values."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def save(dataset: Dataset, path: Path, *, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write a data set as a DICOM file in a native transfer syntax."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_stack(
    folder: Path,
    *,
    count: int = 5,
    step_mm: Sequence[float] | NDArray[np.float64] = (0.0, 0.0, 2.5),
    origin_mm: Sequence[float] | NDArray[np.float64] = (-31.0, 17.5, -412.25),
    row: NDArray[np.float64] = AXIAL_ROW,
    column: NDArray[np.float64] = AXIAL_COLUMN,
    slope: float = 1.0,
    intercept: float = 0.0,
    modality: str = "CT",
    series_uid: str = "1.2.3.4",
    seed: int = 3,
) -> list[Path]:
    """Write a regular series whose file names say nothing about the order of slices."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(count)
    paths = []
    for k in range(count):
        dataset = image_dataset(
            pixels=rng.integers(-1000, 1000, size=(6, 4), dtype=np.int16),
            position_mm=np.asarray(origin_mm) + k * np.asarray(step_mm),
            row=row,
            column=column,
            slope=slope,
            intercept=intercept,
            modality=modality,
            series_uid=series_uid,
        )
        dataset.InstanceNumber = int(names[k])
        paths.append(save(dataset, folder / f"file{names[k]}"))
    return paths


NATIVE_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
