"""DICOM for the benchmarks: a CT of 300 slices with a SEG and an RTSTRUCT of 60 lesions, a PET of 350.

Written with pydicom and highdicom; UIDs are counted, not drawn, so that the files are the same every time.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset, FileMetaDataset, Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
)

from bench_phantoms import CT_SPACING_MM, PET_SPACING_MM, Body, draw, lesions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Shape = tuple[int, int, int]

CT_SHAPE = (512, 512, 300)
PET_SHAPE = (200, 200, 350)
_VOXELS = 215_000
_ROOT = "1.2.826.0.1.3680043.8.498.1"
_FRAME, _STUDY = f"{_ROOT}.1", f"{_ROOT}.2"


def make_dicom(folder: Path) -> None:
    """Write ``ct/``, ``pet/``, ``seg.dcm`` and ``rtstruct.dcm``."""
    bodies = lesions(seed=5, shape=CT_SHAPE, voxels=_VOXELS)
    ct = _series(CT_SHAPE, CT_SPACING_MM, "CT")
    _write_series(folder / "ct", ct, seed=6)
    _write_series(folder / "pet", _series(PET_SHAPE, PET_SPACING_MM, "PT"), seed=7)
    _write_seg(folder / "seg.dcm", ct, bodies)
    _save(_structure_set(ct, bodies), folder / "rtstruct.dcm")


def _origin(shape: Shape, spacing_mm: tuple[float, float, float]) -> list[float]:
    return [-(n - 1) / 2 * step for n, step in zip(shape, spacing_mm, strict=True)]


def _series(shape: Shape, spacing_mm: tuple[float, float, float], modality: str) -> list[Dataset]:
    """Return the slices of an axial series, feet first, without pixels."""
    x, y, z = _origin(shape, spacing_mm)
    series = f"{_ROOT}.{3 if modality == 'CT' else 4}"
    slices = []
    for k in range(shape[2]):
        slice_ = _common(CTImageStorage if modality == "CT" else PositronEmissionTomographyImageStorage)
        slice_.SOPInstanceUID = uid = UID(f"{series}.{k + 1}")
        slice_.file_meta.MediaStorageSOPInstanceUID = uid
        slice_.Modality = modality
        slice_.SeriesInstanceUID = series
        slice_.SeriesNumber = 1
        slice_.InstanceNumber = k + 1
        slice_.FrameOfReferenceUID = _FRAME
        slice_.PositionReferenceIndicator = ""
        slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        slice_.Rows, slice_.Columns = shape[1], shape[0]
        slice_.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        slice_.SliceThickness = spacing_mm[2]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.ImagePositionPatient = [x, y, z + k * spacing_mm[2]]
        slice_.SamplesPerPixel = 1
        slice_.PhotometricInterpretation = "MONOCHROME2"
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit = 15
        slice_.PixelRepresentation = 1
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024 if modality == "CT" else 0
        if modality == "PT":
            _add_pet(slice_, k)
        slices.append(slice_)
    return slices


def _common(sop_class: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.StudyInstanceUID = _STUDY
    dataset.PatientName, dataset.PatientID = "Phantom", "phantom"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "100000"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.Manufacturer = ""
    return dataset


def _add_pet(slice_: Dataset, k: int) -> None:
    slice_.RescaleSlope = round(1.5 + 0.001 * k, 3)
    slice_.Units = "BQML"
    slice_.CorrectedImage = ["ATTN", "DECY"]
    slice_.DecayCorrection = "START"
    slice_.ActualFrameDuration = 120000
    slice_.PatientWeight, slice_.PatientSize = 75, 1.78
    dose = Dataset()
    dose.RadionuclideTotalDose = 3.0e8
    dose.RadionuclideHalfLife = 6586.2
    dose.RadiopharmaceuticalStartTime = "090000"
    slice_.RadiopharmaceuticalInformationSequence = Sequence([dose])


def _write_series(folder: Path, slices: list[Dataset], seed: int) -> None:
    """Write the slices with noise for pixels, under names that are not in their order."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = rng.permutation(len(slices))
    noise = rng.integers(0, 2000, (slices[0].Rows, slices[0].Columns), dtype=np.int16)
    for k, slice_ in enumerate(slices):
        slice_.PixelData = np.roll(noise, k).tobytes()
        _save(slice_, folder / f"{names[k]:06d}.dcm")
        del slice_.PixelData


def _save(dataset: Dataset, path: Path) -> None:
    dataset.save_as(path, enforce_file_format=True)


def _write_seg(path: Path, ct: list[Dataset], bodies: list[Body]) -> None:
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name="phantom", version="1", family=codes.DCM.ArtificialIntelligence
    )
    descriptions = [
        SegmentDescription(
            segment_number=n,
            segment_label=f"Lesion {n}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for n in range(1, len(bodies) + 1)
    ]
    numbered = draw(bodies, CT_SHAPE, CT_SPACING_MM, numbered=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that only a real scanner would write
        seg = Segmentation(
            source_images=ct,
            pixel_array=numbered.transpose(2, 1, 0),
            segmentation_type="BINARY",
            segment_descriptions=descriptions,
            series_instance_uid=f"{_ROOT}.5",
            series_number=2,
            sop_instance_uid=f"{_ROOT}.5.1",
            instance_number=1,
            manufacturer="phantom",
            manufacturer_model_name="phantom",
            software_versions="1",
            device_serial_number="1",
        )
        seg.save_as(path)


def _structure_set(ct: list[Dataset], bodies: list[Body]) -> Dataset:
    """Return the contours of the bodies' cuts with the slices, to a hundredth of a millimetre."""
    rs = _common(RTStructureSetStorage)
    rs.SOPInstanceUID = rs.file_meta.MediaStorageSOPInstanceUID = UID(f"{_ROOT}.6.1")
    rs.SeriesInstanceUID, rs.Modality, rs.SeriesNumber, rs.InstanceNumber = f"{_ROOT}.6", "RTSTRUCT", 3, 1
    rs.StructureSetLabel = "phantom"
    rs.StructureSetDate, rs.StructureSetTime = "20260102", "100000"
    images = [_reference(slice_) for slice_ in ct]
    series = Dataset()
    series.SeriesInstanceUID = ct[0].SeriesInstanceUID
    series.ContourImageSequence = Sequence(images)
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = _STUDY
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = _FRAME
    frame.RTReferencedStudySequence = Sequence([study])
    rs.ReferencedFrameOfReferenceSequence = Sequence([frame])
    rois, contours, observations = [], [], []
    for number, body in enumerate(bodies, start=1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName = number, f"Lesion {number}"
        roi.ReferencedFrameOfReferenceUID = _FRAME
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        rois.append(roi)
        drawn = Dataset()
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, [255, 0, 0]
        drawn.ContourSequence = Sequence(_contours(body, ct, images))
        contours.append(drawn)
        seen = Dataset()
        seen.ObservationNumber = seen.ReferencedROINumber = number
        seen.RTROIInterpretedType, seen.ROIInterpreter = "", ""
        observations.append(seen)
    rs.StructureSetROISequence = Sequence(rois)
    rs.ROIContourSequence = Sequence(contours)
    rs.RTROIObservationsSequence = Sequence(observations)
    return rs


def _reference(slice_: Dataset) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = slice_.SOPClassUID
    image.ReferencedSOPInstanceUID = slice_.SOPInstanceUID
    return image


def _contours(body: Body, ct: list[Dataset], images: list[Dataset]) -> list[Dataset]:
    found = []
    cx, cy, cz = body.centre_mm
    hx, hy, hz = body.half_mm
    for slice_, image in zip(ct, images, strict=True):
        z = float(slice_.ImagePositionPatient[2])
        if abs(z - cz) >= hz:
            continue
        inside = np.sqrt(1 - ((z - cz) / hz) ** 2)
        points = max(12, int(2 * np.pi * max(hx, hy) * inside / 1.2))
        angle = np.arange(points) / points * 2 * np.pi
        x, y = cx + hx * inside * np.cos(angle), cy + hy * inside * np.sin(angle)
        contour = Dataset()
        contour.ContourImageSequence = Sequence([image])
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = points
        contour.ContourData = _numbers(x, y, np.full(points, z))
        found.append(contour)
    return found


def _numbers(*columns: NDArray[np.float64]) -> list[str]:
    return [f"{value:.2f}" for value in np.stack(columns, axis=-1).ravel()]
