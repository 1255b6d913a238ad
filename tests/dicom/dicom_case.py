"""One phantom case as DICOM, with its numbers worked out by hand, and DICOM files for cases built by hand.

CT: 26 x 22 x 12 voxels of 0.8 x 0.7 x 2.5 mm, tilted and off-centre. Three cuboids of tumour:
L1 8 x 6 x 4 = 192 voxels, L2 6 x 5 x 3 = 90, L3 3 x 3 x 3 = 27; 309 in all. Resectable: all of L2, and
9 voxels (one slice) of L3: 99 of 309, 32.0 %; 40 further voxels lie outside tumour.
PET: 14 x 13 x 16 voxels of 4.1 x 3.9 x 3.3 mm, turned by itself. Avid: the PET voxels that hold the centre
of a voxel of L2, and one voxel far from all tumour, P1, which the lesion table calls ablatable.

PET is BQML with a slope of its own for each slice. A frame's stored value v stands for v x slope Bq/ml; the
file says 70 kg and 300 MBq at 09:00, the series starts at 10:00, half-life 6600 s, values corrected to the
start: SUVbw = Bq/ml x 70 000 g / (3e8 Bq x 2^(-3600/6600)).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.dicom.image_files import image_dataset, save
from tests.lattices import oblique

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Affine = NDArray[np.float64]
    Polygon = Sequence[tuple[float, float]]

STUDY, FRAME = "2.25.7", "2.25.9"
CT_SERIES, PT_SERIES = "2.25.71", "2.25.72"
SHAPE = (26, 22, 12)
CT_AFFINE = oblique(21, tilt=0.3)
BOXES = {
    1: (slice(2, 10), slice(3, 9), slice(1, 5)),
    2: (slice(16, 22), slice(12, 17), slice(2, 5)),
    3: (slice(4, 7), slice(16, 19), slice(8, 11)),
}
L1, L2, L3 = 192, 90, 27
RESECTABLE_VOXELS, TOTAL_VOXELS = 99, 309
VOXEL_ML = 0.8 * 0.7 * 2.5 / 1000
SUV_OF_BQML = 70_000.0 / (3e8 * 2 ** (-3600 / 6600))
TABLE = "lesion_id,resectability\nP1,ablatable\n"
"""The avid voxel far from all tumour has been marked."""


def labels() -> NDArray[np.uint8]:
    """Return the lesions as a label map: 1, 2, 3 by falling volume, as their ids are."""
    dense = np.zeros(SHAPE, dtype=np.uint8)
    for number, box in BOXES.items():
        dense[box] = number
    return dense


def resectable() -> NDArray[np.uint8]:
    """Return all of L2, one slice of L3, and 40 voxels that are no tumour."""
    dense: NDArray[np.uint8] = (labels() == 2).astype(np.uint8)
    dense[4:7, 16:19, 8] = 1
    dense[2:12, 20:22, 6:8] = 1
    return dense


def pet() -> tuple[NDArray[np.uint8], Affine]:
    """Return the avid mask on the PET's lattice, which lies round the CT's middle."""
    shape = (14, 13, 16)
    affine = oblique(33, (4.1, 3.9, 3.3), tilt=0.2)
    middle = CT_AFFINE[:3, :3] @ (np.array(SHAPE) / 2) + CT_AFFINE[:3, 3]
    affine[:3, 3] = middle - affine[:3, :3] @ (np.array(shape) / 2)
    centres = np.argwhere(labels() == 2) @ CT_AFFINE[:3, :3].T + CT_AFFINE[:3, 3]
    index = np.rint((centres - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T).astype(int)
    dense = np.zeros(shape, dtype=np.uint8)
    dense[tuple(index.T)] = 1
    dense[1, 1, 14] = 1
    return dense, affine


@dataclass(frozen=True, kw_only=True)
class Series:
    """UIDs and names of a series to write."""

    uid: str
    frame: str = FRAME
    study: str = STUDY
    description: str = "Abdomen"
    date: str = "20240102"


CT, PT = Series(uid=CT_SERIES), Series(uid=PT_SERIES, description="WB AC")


def axes_of(affine: Affine) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Return the directions of a row and of a column, and PixelSpacing (rows first)."""
    steps = np.linalg.norm(affine[:3, :2], axis=0)
    return affine[:3, 0] / steps[0], affine[:3, 1] / steps[1], (float(steps[1]), float(steps[0]))


def slice_dataset(
    pixels: NDArray[np.integer], affine: Affine, k: int, series: Series, *, modality: str
) -> Dataset:
    """Return one slice; ``pixels`` is indexed [i, j]."""
    row, column, spacing = axes_of(affine)
    dataset = image_dataset(
        pixels=np.ascontiguousarray(pixels.T),
        position_mm=affine[:3, :3] @ (0, 0, k) + affine[:3, 3],
        row=row,
        column=column,
        pixel_spacing_mm=spacing,
        modality=modality,
        series_uid=series.uid,
        uid=f"{series.uid}.{k + 1}",
    )
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = series.study, series.frame
    dataset.SeriesDescription, dataset.SeriesDate = series.description, series.date
    dataset.InstanceNumber = k + 1
    for keyword in ("PatientSex", "StudyID", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(dataset, keyword, "")
    dataset.ReferringPhysicianName = ""
    return dataset


def write_ct(
    folder: Path, affine: Affine = CT_AFFINE, shape: tuple[int, ...] = SHAPE, series: Series = CT
) -> list[Path]:
    """Write a CT whose file names say nothing about the order of its slices."""
    paths = []
    for k in range(shape[2]):
        pixels = np.full(shape[:2], 40 + k, np.int16)
        dataset = slice_dataset(pixels, affine, k, series, modality="CT")
        dataset.RescaleIntercept = "-1024"
        paths.append(save(dataset, folder / f"I{(k * 7 + 3) % 101:03d}"))
    return paths


def write_pt(
    folder: Path, suv: NDArray[np.float64], affine: Affine, series: Series = PT, **attributes: object
) -> list[Path]:
    """Write a PET in BQML, slope by slice; ``attributes`` are set on every file, None deletes."""
    paths = []
    for k in range(suv.shape[2]):
        bqml = suv[:, :, k] / SUV_OF_BQML
        slope = float(f"{(bqml.max() or 1) / 30_000:.8g}")
        dataset = slice_dataset(np.rint(bqml / slope).astype(np.int16), affine, k, series, modality="PT")
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.8g}", "0"
        dataset.Units, dataset.DecayCorrection = "BQML", "START"
        dataset.CorrectedImage = ["DECY", "ATTN", "SCAT"]
        dataset.PatientWeight, dataset.PatientSize, dataset.PatientSex = "70", "1.75", "F"
        dataset.SeriesTime = dataset.AcquisitionTime = "100000"
        dataset.AcquisitionDate = series.date
        injected = Dataset()
        injected.Radiopharmaceutical = "Fluorodeoxyglucose"
        injected.RadiopharmaceuticalStartTime = "090000"
        injected.RadionuclideTotalDose, injected.RadionuclideHalfLife = "300000000", "6600"
        dataset.RadiopharmaceuticalInformationSequence = [injected]
        for keyword, value in attributes.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        paths.append(save(dataset, folder / f"{(k * 5 + 2) % 97:02d}.ima"))
    return paths


def write_seg(
    path: Path,
    segments: Mapping[str, NDArray[Any]],
    images: Sequence[Path],
    *,
    uid: str = "2.25.81",
) -> Path:
    """Write masks [i, j, k] as named segments of a BINARY SEG on slices given by rising k (highdicom)."""
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="MANUAL",
        )
        for number, name in enumerate(segments, 1)
    ]
    dense = np.stack([mask != 0 for mask in segments.values()], axis=-1)
    seg = hd.seg.Segmentation(
        source_images=[pydicom.dcmread(image, stop_before_pixels=True) for image in images],
        pixel_array=np.swapaxes(dense, 0, 2).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=f"{uid}.1",
        series_number=9,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)
    return path


def runs_as_contours(mask: NDArray[Any]) -> list[tuple[int, Polygon]]:
    """Return a rectangle, edge to edge, round every run of voxels along i: a mask as contours."""
    contours: list[tuple[int, Polygon]] = []
    for k, j in np.argwhere(mask.any(axis=0).T).tolist():
        inside = np.flatnonzero(mask[:, j, k]).tolist()
        for _, group in groupby(enumerate(inside), key=lambda pair: pair[1] - pair[0]):
            run = [i for _, i in group]
            low, high = run[0] - 0.5, run[-1] + 0.5
            contours.append((k, [(low, j - 0.5), (high, j - 0.5), (high, j + 0.5), (low, j + 0.5)]))
    return contours


def write_rtstruct(
    path: Path,
    rois: Mapping[str, Sequence[tuple[int, Polygon]]],
    affine: Affine,
    *,
    series: Series = CT,
    uid: str = "2.25.82",
) -> Path:
    """Write ROIs, numbered from 1, whose contours are (slice, polygon in voxel indices)."""
    rt = Dataset()
    rt.SpecificCharacterSet = "ISO_IR 192"
    rt.SOPClassUID, rt.SOPInstanceUID = pydicom.uid.RTStructureSetStorage, uid
    rt.SeriesInstanceUID, rt.StudyInstanceUID, rt.Modality = f"{uid}.1", series.study, "RTSTRUCT"
    rt.PatientName, rt.PatientID = "Secret^Person", "SECRET-ID"
    slices = sorted({k for contours in rois.values() for k, _ in contours})
    referenced = item_of(
        SeriesInstanceUID=series.uid, ContourImageSequence=[_image(series, k) for k in slices]
    )
    study = item_of(ReferencedSOPInstanceUID=series.study, RTReferencedSeriesSequence=[referenced])
    rt.ReferencedFrameOfReferenceSequence = [
        item_of(FrameOfReferenceUID=series.frame, RTReferencedStudySequence=[study])
    ]
    numbered = list(enumerate(rois.items(), 1))
    rt.StructureSetROISequence = [
        item_of(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=series.frame)
        for number, (name, _) in numbered
    ]
    rt.ROIContourSequence = [
        item_of(
            ReferencedROINumber=number,
            ContourSequence=[_contour(k, points, affine, series) for k, points in contours],
        )
        for number, (_, contours) in numbered
    ]
    return save(rt, path)


def item_of(**elements: object) -> Dataset:
    """Return a sequence item of these elements."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _image(series: Series, k: int) -> Dataset:
    return item_of(
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=f"{series.uid}.{k + 1}"
    )


def _contour(k: int, points: Polygon, affine: Affine, series: Series) -> Dataset:
    mm = np.array([[u, v, k] for u, v in points]) @ affine[:3, :3].T + affine[:3, 3]
    return item_of(
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourData=[f"{x:.6f}" for x in mm.ravel()],
        ContourImageSequence=[_image(series, k)],
    )


def lesion_masks() -> dict[str, NDArray[Any]]:
    """Return the phantom's masks by name, lesions first: as the protocol's naming knows them."""
    numbered = {f"Liver metastasis {n}": labels() == n for n in (1, 2, 3)}
    return numbered | {"Resectable by MDT": resectable() != 0}


def pet_suv() -> tuple[NDArray[np.float64], Affine]:
    """Return SUV: 6 where the phantom's avid mask is, 1 elsewhere."""
    avid, affine = pet()
    return np.where(avid != 0, 6.0, 1.0), affine


def write_dicom_case(folder: Path, *, tumour: str = "seg", avid: str = "rtstruct") -> Path:
    """Write the phantom case as CT, PT, and SEG or RTSTRUCT files, each in a folder of its own."""
    images = {"ct": write_ct(folder / "series 1"), "pt": write_pt(folder / "series 2", *pet_suv())}
    hot = {"FDG-avid disease": pet()[0]}
    _write_masks(folder / "objects", "a", tumour, lesion_masks(), CT_AFFINE, CT, images["ct"])
    _write_masks(folder / "objects", "b", avid, hot, pet()[1], PT, images["pt"])
    (folder / "lesions.csv").write_text(TABLE)
    return folder


def _write_masks(
    folder: Path,
    name: str,
    kind: str,
    masks: Mapping[str, NDArray[Any]],
    affine: Affine,
    series: Series,
    images: Sequence[Path],
) -> None:
    uid = f"2.25.{83 if series is CT else 84}"
    if kind == "seg":
        write_seg(folder / name, masks, images, uid=uid)
    else:
        contours = {roi: runs_as_contours(mask) for roi, mask in masks.items()}
        write_rtstruct(folder / name, contours, affine, series=series, uid=uid)
