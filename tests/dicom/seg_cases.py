"""Segmentations that highdicom writes on an oblique, anisotropic image, and their voxels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes

from tests.dense import dense_of
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


# 3-4-5 rotation about z, slices downward: oblique, anisotropic, off-centre, in exact decimals.
ROW, COLUMN = (0.8, 0.6, 0.0), (-0.6, 0.8, 0.0)
BETWEEN_ROWS, BETWEEN_COLUMNS, BETWEEN_SLICES = 0.75, 1.25, 2.5
ORIGIN = (-31.5, 12.25, 7.5)
SERIES, STUDY, FRAME = "1.2.3.4.1", "1.2.3.4", "1.2.3.4.9"
EXPLICIT = "1.2.840.10008.1.2.1"


def grid_of(shape: tuple[int, ...]) -> VoxelGrid:
    """Return the grid of an image of this shape."""
    affine = np.eye(4)
    affine[:3, 0] = np.array(ROW) * BETWEEN_COLUMNS
    affine[:3, 1] = np.array(COLUMN) * BETWEEN_ROWS
    affine[:3, 2] = np.array([0, 0, 1]) * BETWEEN_SLICES
    affine[:3, 3] = ORIGIN
    return VoxelGrid(shape=(shape[0], shape[1], shape[2]), affine=affine, frame_of_reference_uid=FRAME)


def sources(shape: tuple[int, ...], *, frame: str = FRAME) -> list[Dataset]:
    """Headers of the CT slices that a segmentation is drawn on, by rising k."""
    slices = []
    for k in range(shape[2]):
        ct = Dataset()
        ct.file_meta = FileMetaDataset()
        ct.file_meta.TransferSyntaxUID = pydicom.uid.UID(EXPLICIT)
        ct.SOPClassUID, ct.SOPInstanceUID = pydicom.uid.CTImageStorage, f"{SERIES}.{k + 1}"
        ct.StudyInstanceUID, ct.SeriesInstanceUID, ct.FrameOfReferenceUID = STUDY, SERIES, frame
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"):
            setattr(ct, keyword, "")
        ct.StudyTime = ct.AccessionNumber = ct.ReferringPhysicianName = ""
        ct.Modality, ct.InstanceNumber = "CT", k + 1
        ct.Rows, ct.Columns = shape[1], shape[0]
        ct.PixelSpacing, ct.SliceThickness = [BETWEEN_ROWS, BETWEEN_COLUMNS], 3.0
        ct.ImageOrientationPatient = [*ROW, *COLUMN]
        ct.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + k * BETWEEN_SLICES]
        ct.BitsAllocated, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 16, 12, 11, 0
        ct.SamplesPerPixel, ct.PhotometricInterpretation = 1, "MONOCHROME2"
        slices.append(ct)
    return slices


def segmentation(dense: NDArray[Any], kind: str = "BINARY", *, syntax: str = EXPLICIT) -> Dataset:
    """Write ``dense`` [i, j, k] of labels, or [i, j, k, segment] of overlapping ones, with highdicom."""
    count = dense.shape[3] if dense.ndim == 4 else int(dense.max())
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"Lesion {number}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="MANUAL",
        )
        for number in range(1, count + 1)
    ]
    return hd.seg.Segmentation(
        source_images=sources(dense.shape),
        pixel_array=np.swapaxes(dense, 0, 2).copy(),
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid="1.2.3.4.2",
        series_number=2,
        sop_instance_uid="1.2.3.4.2.1",
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
    )


def saved(seg: Dataset, folder: Path) -> Path:
    """Write a segmentation to a file."""
    path = folder / "seg.dcm"
    seg.save_as(path)
    return path


def changed(folder: Path, dense: NDArray[Any], kind: str = "BINARY", *, syntax: str = EXPLICIT) -> Dataset:
    """Return a SEG of ``dense``, as a plain data set that a test may spoil."""
    return pydicom.dcmread(saved(segmentation(dense, kind, syntax=syntax), folder))


def reordered(seg: Dataset, order: NDArray[np.int64]) -> None:
    """Put frames into another order, or leave some out."""
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)[order]
    seg.PerFrameFunctionalGroupsSequence = [seg.PerFrameFunctionalGroupsSequence[int(n)] for n in order]
    seg.NumberOfFrames = len(order)
    set_frames(seg, frames)


def set_frames(seg: Dataset, frames: NDArray[Any]) -> None:
    """Store frames as the pixel data, packed where the segmentation is binary."""
    packed = np.packbits(frames.ravel(), bitorder="little") if seg.BitsAllocated == 1 else frames
    stored = packed.tobytes()
    seg.PixelData = stored + bytes(len(stored) % 2)


def segment_item(number: int, label: str) -> Dataset:
    """Return a segment described by number and label alone."""
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = number, label
    return segment


def dense_label(mask: Mask, shape: tuple[int, ...], label: int) -> NDArray[np.bool_]:
    """Voxels of a label on the whole image's grid."""
    runs = mask.on_grid(grid_of(shape), tolerance_mm=0.001).runs.of(label)
    return dense_of(runs, shape)


def blobs(shape: tuple[int, ...], labels: int, seed: int = 1) -> NDArray[np.uint8]:
    """Random labels with structure: most of the volume empty, some rows full to their ends."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, labels + 1, shape) * (rng.random(shape) < 0.3)
    dense[:, : shape[1] // 2, 1] = labels
    dense[0, 0, 0], dense[-1, -1, -1] = 1, labels
    return dense.astype(np.uint8)
