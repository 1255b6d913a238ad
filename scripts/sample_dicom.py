"""DICOM writers for `sample_data/`: CT and PT with pydicom, SEG with highdicom, RTSTRUCT with pydicom.

Arrays are indexed ``[i, j, k]``; affines are LPS mm. The bytes hold no time of now, no random UID and no
version of a library: UIDs are the study's number with a tail, dates are the phantom's.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Polygon = list[tuple[float, float]]

DATE = "20260302"
WEIGHT_KG, HEIGHT_M, SEX = 75, 1.70, "F"
DOSE_BQ, HALF_LIFE_S, UPTAKE_S = 300_000_000, 6586.2, 3600
BQ_PER_ML_AT_SUV_1 = DOSE_BQ * 2 ** (-UPTAKE_S / HALF_LIFE_S) / (1000 * WEIGHT_KG)
"""SUVbw = Bq/ml x weight in grams / dose decayed to the start of the scan, an hour after injection."""

# What a SEG needs; the rest that highdicom writes, its own version among it, is left out.
_SEG_KEYWORDS = (
    "SOPClassUID SOPInstanceUID Modality StudyDate StudyTime AccessionNumber StudyInstanceUID StudyID "
    "SeriesInstanceUID SeriesNumber InstanceNumber PatientName PatientID PatientBirthDate PatientSex "
    "Manufacturer ReferencedSeriesSequence FrameOfReferenceUID PositionReferenceIndicator ImageType "
    "SamplesPerPixel PhotometricInterpretation NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit "
    "PixelRepresentation LossyImageCompression SegmentationType SegmentSequence ContentLabel "
    "ContentDescription ContentCreatorName DimensionOrganizationType DimensionOrganizationSequence "
    "DimensionIndexSequence SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelData"
).split()


@dataclass(frozen=True, kw_only=True)
class Study:
    """What the files of one subject share.

    Parameters
    ----------
    number : int
        The study is 2.25.``number``; everything in it has that root.
    name : str
        Of the phantom.
    """

    number: int
    name: str

    def uid(self, *tail: int) -> str:
        """Return a UID of this study."""
        return ".".join(map(str, (2, 25, self.number, *tail)))


CT, PT, SEG, RTSTRUCT = 1, 2, 3, 4
"""Series numbers."""


def ct_series(study: Study, hounsfield: Array, affine: Array) -> list[bytes]:
    """Return CT slices by rising k; stored values are HU + 1024."""
    files = []
    for k in range(hounsfield.shape[2]):
        dataset = _slice(study, CT, k, hounsfield[:, :, k] + 1024, affine)
        dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
        dataset.SeriesDescription = "Abdomen, portal venous"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
        dataset.KVP = "120"
        files.append(_bytes(dataset))
    return files


def pt_series(study: Study, suv_sixteenths: Array, affine: Array) -> list[bytes]:
    """Return PT slices by rising k, in Bq/ml; every slice has a slope of its own, as real ones have."""
    files = []
    for k in range(suv_sixteenths.shape[2]):
        scale = 50 + k  # stored value = SUV x 16 x scale
        dataset = _slice(study, PT, k, suv_sixteenths[:, :, k].astype(np.int16) * scale, affine)
        dataset.SOPClassUID, dataset.Modality = PositronEmissionTomographyImageStorage, "PT"
        dataset.SeriesDescription = "WB FDG AC"
        dataset.RescaleIntercept, dataset.RescaleSlope = "0", f"{BQ_PER_ML_AT_SUV_1 / 16 / scale:.12g}"
        dataset.Units, dataset.DecayCorrection, dataset.CountsSource = "BQML", "START", "EMISSION"
        dataset.CorrectedImage = ["DECY", "ATTN", "SCAT", "RAN", "NORM"]
        dataset.SeriesType = ["WHOLE BODY", "IMAGE"]
        dataset.PatientWeight, dataset.PatientSize = str(WEIGHT_KG), str(HEIGHT_M)
        dataset.FrameReferenceTime, dataset.ActualFrameDuration = "0", "120000"
        injection = Dataset()
        injection.Radiopharmaceutical = "Fluorodeoxyglucose"
        injection.RadiopharmaceuticalStartTime = "090000"
        injection.RadionuclideTotalDose, injection.RadionuclideHalfLife = str(DOSE_BQ), str(HALF_LIFE_S)
        dataset.RadiopharmaceuticalInformationSequence = [injection]
        files.append(_bytes(dataset))
    return files


def segmentation(study: Study, masks: Mapping[str, Array], images: Sequence[bytes]) -> bytes:
    """Return a BINARY SEG of masks by name, drawn on CT slices given by rising k (highdicom)."""
    import highdicom as hd

    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="MANUAL",
        )
        for number, name in enumerate(masks, 1)
    ]
    full = hd.seg.Segmentation(
        source_images=[pydicom.dcmread(io.BytesIO(image)) for image in images],
        pixel_array=np.stack([mask.T for mask in masks.values()], axis=-1).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=study.uid(SEG),
        series_number=SEG,
        sop_instance_uid=study.uid(SEG, 1),
        instance_number=1,
        manufacturer="volstrat sample",
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="1",
        content_label="SEGMENTATION",
    )
    dataset = Dataset()
    for keyword in _SEG_KEYWORDS:
        if keyword in full:
            dataset[keyword] = full[keyword]
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = study.uid(SEG, 2)
    dataset.SeriesDescription = "Tumour segmentation"
    dataset.ContentDate, dataset.ContentTime = DATE, "120000"
    dataset.SeriesDate, dataset.SeriesTime = DATE, "120000"
    return _bytes(dataset)


def structure_set(study: Study, masks: Mapping[str, Array], affine: Array) -> bytes:
    """Return an RTSTRUCT of masks by ROI name, outlined on the PT slices."""
    dataset = _study(study, RTSTRUCT)
    dataset.SOPClassUID, dataset.Modality = pydicom.uid.RTStructureSetStorage, "RTSTRUCT"
    dataset.SOPInstanceUID = study.uid(RTSTRUCT, 1)
    dataset.SeriesDescription = "FDG-avid disease"
    dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime = "AVID", DATE, "120000"
    dataset.ReferencedFrameOfReferenceSequence = [_drawn_on(study, masks)]
    dataset.StructureSetROISequence = [
        _item(
            ROINumber=str(number),
            ReferencedFrameOfReferenceUID=study.uid(9),
            ROIName=name,
            ROIGenerationAlgorithm="MANUAL",
        )
        for number, name in enumerate(masks, 1)
    ]
    dataset.ROIContourSequence = [
        _item(
            ContourSequence=[
                _contour(study, k, polygon, affine)
                for k in np.flatnonzero(mask.any(axis=(0, 1))).tolist()
                for polygon in outlines(mask[:, :, k] != 0)
            ],
            ReferencedROINumber=str(number),
        )
        for number, mask in enumerate(masks.values(), 1)
    ]
    dataset.RTROIObservationsSequence = [
        _item(
            ObservationNumber=str(n), ReferencedROINumber=str(n), RTROIInterpretedType="", ROIInterpreter=""
        )
        for n in range(1, len(masks) + 1)
    ]
    return _bytes(dataset)


def outlines(mask: Array) -> list[Polygon]:
    """Return the outlines of a slice's voxels, edge by edge, in indices: no centre lies near a line."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    padded = np.pad(mask, 1)
    for i, j in np.argwhere(mask).tolist():
        # Corners by twice their index; each outer edge runs with the voxel on one and the same side.
        a, b, c, d = ((2 * i + x, 2 * j + y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
        for start, stop, (x, y) in ((a, b, (0, -1)), (b, c, (1, 0)), (c, d, (0, 1)), (d, a, (-1, 0))):
            if not padded[i + 1 + x, j + 1 + y]:
                following.setdefault(start, []).append(stop)
    polygons = []
    while following:
        start = at = min(following)
        polygon: Polygon = []
        while not polygon or at != start:
            polygon.append((at[0] / 2, at[1] / 2))
            stops = following[at]
            to = stops.pop()
            if not stops:
                del following[at]
            at = to
        polygons.append(_without_middles(polygon))
    return polygons


def _without_middles(polygon: Polygon) -> Polygon:
    """Leave out points on a straight line between their neighbours."""
    around = zip([polygon[-1], *polygon[:-1]], polygon, [*polygon[1:], polygon[0]], strict=True)
    return [b for a, b, c in around if (a[0] - b[0]) * (c[1] - b[1]) != (c[0] - b[0]) * (a[1] - b[1])]


def dicom_content(data: bytes) -> bytes:
    """Return what a file says, element by element, without how its writer stored it."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    return dataset.to_json(suppress_invalid_tags=False, bulk_data_threshold=1 << 30).encode()


def _study(study: Study, series: int) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "100000"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.Manufacturer = "volstrat sample"
    dataset.PatientName, dataset.PatientID = f"Phantom^{study.name}", study.name
    dataset.PatientBirthDate, dataset.PatientSex = "", SEX
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study.uid(), study.uid(series)
    dataset.SeriesNumber = str(series)
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = study.uid(9), ""
    return dataset


def _slice(study: Study, series: int, k: int, stored: Array, affine: Array) -> Dataset:
    """Return one slice without what its modality asks for."""
    steps = [float(np.sqrt((affine[:3, axis] ** 2).sum())) for axis in range(3)]
    dataset = _study(study, series)
    dataset.SOPInstanceUID, dataset.InstanceNumber = study.uid(series, k + 1), str(k + 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImageOrientationPatient = _decimals(*(affine[:3, 0] / steps[0]), *(affine[:3, 1] / steps[1]))
    dataset.ImagePositionPatient = _decimals(*(affine[:3, 3] + k * affine[:3, 2]))
    dataset.PixelSpacing, dataset.SliceThickness = _decimals(steps[1], steps[0]), _decimals(steps[2])[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Columns, dataset.Rows = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = stored.astype("<i2").T.tobytes()
    return dataset


def _drawn_on(study: Study, masks: Mapping[str, Array]) -> Dataset:
    slices = sorted({k for mask in masks.values() for k in np.flatnonzero(mask.any(axis=(0, 1))).tolist()})
    series = _item(ContourImageSequence=[_image(study, k) for k in slices], SeriesInstanceUID=study.uid(PT))
    parent = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=study.uid(),
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=study.uid(9), RTReferencedStudySequence=[parent])


def _image(study: Study, k: int) -> Dataset:
    return _item(
        ReferencedSOPClassUID=PositronEmissionTomographyImageStorage,
        ReferencedSOPInstanceUID=study.uid(PT, k + 1),
    )


def _contour(study: Study, k: int, polygon: Polygon, affine: Array) -> Dataset:
    mm = [affine[:3, 0] * u + affine[:3, 1] * v + affine[:3, 2] * k + affine[:3, 3] for u, v in polygon]
    return _item(
        ContourImageSequence=[_image(study, k)],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=str(len(polygon)),
        ContourData=[f"{x:.3f}" for point in mm for x in point],
    )


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _decimals(*values: float) -> list[str]:
    return [f"{value:.9g}" for value in values]


def _bytes(dataset: Dataset) -> bytes:
    """Return a DICOM file; the writer's name and version are fixed."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID("2.25.1"), "SAMPLE"
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def named(folder: str, files: Iterable[bytes]) -> dict[str, bytes]:
    """Return files by path: IM0001, IM0002, ... in a folder, as archives export them."""
    return {f"{folder}/IM{n:04d}": data for n, data in enumerate(files, 1)}
