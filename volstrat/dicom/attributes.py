"""The DICOM attributes that volstrat reads, by keyword (PS3.6).

Neither identity nor free text is among them, but for the names of segments and ROIs and of the tracer.
"""

from __future__ import annotations

from typing import Final

TAGS: Final[dict[str, int]] = {
    "SpecificCharacterSet": 0x00080005,
    "ImageType": 0x00080008,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyDate": 0x00080020,
    "SeriesDate": 0x00080021,
    "AcquisitionDate": 0x00080022,
    "AcquisitionDateTime": 0x0008002A,
    "SeriesTime": 0x00080031,
    "AcquisitionTime": 0x00080032,
    "Modality": 0x00080060,
    "Manufacturer": 0x00080070,
    "CodeValue": 0x00080100,
    "CodingSchemeDesignator": 0x00080102,
    "CodeMeaning": 0x00080104,
    "TimezoneOffsetFromUTC": 0x00080201,
    "ManufacturerModelName": 0x00081090,
    "ReferencedSeriesSequence": 0x00081115,
    "ReferencedSOPInstanceUID": 0x00081155,
    "StudiesContainingOtherReferencedInstancesSequence": 0x00081200,
    "FrameType": 0x00089007,
    "PatientSex": 0x00100040,
    "PatientSize": 0x00101020,
    "PatientWeight": 0x00101030,
    "Radiopharmaceutical": 0x00180031,
    "SliceThickness": 0x00180050,
    "SpacingBetweenSlices": 0x00180088,
    "RadiopharmaceuticalStartTime": 0x00181072,
    "RadionuclideTotalDose": 0x00181074,
    "RadionuclideHalfLife": 0x00181075,
    "RadiopharmaceuticalStartDateTime": 0x00181078,
    "ActualFrameDuration": 0x00181242,
    "FrameAcquisitionDateTime": 0x00189074,
    "FrameReferenceDateTime": 0x00189151,
    "FrameAcquisitionDuration": 0x00189220,
    "CTImageFrameTypeSequence": 0x00189329,
    "DecayCorrectionDateTime": 0x00189701,
    "PETFrameTypeSequence": 0x00189751,
    "DecayCorrected": 0x00189758,
    "AttenuationCorrected": 0x00189759,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "SeriesNumber": 0x00200011,
    "InstanceNumber": 0x00200013,
    "ImagePositionPatient": 0x00200032,
    "ImageOrientationPatient": 0x00200037,
    "FrameOfReferenceUID": 0x00200052,
    "FrameContentSequence": 0x00209111,
    "PlanePositionSequence": 0x00209113,
    "PlaneOrientationSequence": 0x00209116,
    "UnassignedSharedConvertedAttributesSequence": 0x00209170,
    "UnassignedPerFrameConvertedAttributesSequence": 0x00209171,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "PixelSpacing": 0x00280030,
    "CorrectedImage": 0x00280051,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "PixelMeasuresSequence": 0x00289110,
    "PixelValueTransformationSequence": 0x00289145,
    "MeasurementUnitsCodeSequence": 0x004008EA,
    "RealWorldValueMappingSequence": 0x00409096,
    "RealWorldValueIntercept": 0x00409224,
    "RealWorldValueSlope": 0x00409225,
    "RadiopharmaceuticalInformationSequence": 0x00540016,
    "RadionuclideCodeSequence": 0x00540300,
    "RadiopharmaceuticalCodeSequence": 0x00540304,
    "Units": 0x00541001,
    "SUVType": 0x00541006,
    "DecayCorrection": 0x00541102,
    "FrameReferenceTime": 0x00541300,
    "DecayFactor": 0x00541321,
    "SegmentationType": 0x00620001,
    "SegmentSequence": 0x00620002,
    "SegmentedPropertyCategoryCodeSequence": 0x00620003,
    "SegmentNumber": 0x00620004,
    "SegmentLabel": 0x00620005,
    "SegmentAlgorithmType": 0x00620008,
    "SegmentIdentificationSequence": 0x0062000A,
    "ReferencedSegmentNumber": 0x0062000B,
    "MaximumFractionalValue": 0x0062000E,
    "SegmentedPropertyTypeCodeSequence": 0x0062000F,
    "ReferencedFrameOfReferenceSequence": 0x30060010,
    "RTReferencedStudySequence": 0x30060012,
    "RTReferencedSeriesSequence": 0x30060014,
    "ContourImageSequence": 0x30060016,
    "StructureSetROISequence": 0x30060020,
    "ROINumber": 0x30060022,
    "ReferencedFrameOfReferenceUID": 0x30060024,
    "ROIName": 0x30060026,
    "ROIContourSequence": 0x30060039,
    "ContourSequence": 0x30060040,
    "ContourGeometricType": 0x30060042,
    "ContourOffsetVector": 0x30060045,
    "NumberOfContourPoints": 0x30060046,
    "ContourData": 0x30060050,
    "ReferencedROINumber": 0x30060084,
    "SharedFunctionalGroupsSequence": 0x52009229,
    "PerFrameFunctionalGroupsSequence": 0x52009230,
}


def element_name(keyword: str) -> str:
    """Return a keyword with its tag, as messages name it.

    >>> element_name("PatientWeight")
    'PatientWeight (0010,1030)'
    """
    return f"{keyword} {tag_text(TAGS[keyword])}"


def tag_text(tag: int) -> str:
    """Return ``(gggg,eeee)``.

    >>> tag_text(0x0009100D)
    '(0009,100D)'
    """
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def private_tags(group: int, elements: tuple[int, ...]) -> frozenset[int]:
    """Return every place a private attribute of a group can be in, block creators included.

    The block of a private attribute is reserved by its creator's name in ``(group,00bb)``; the
    attribute then is ``(group,bbee)`` (PS3.5 7.8.1).
    """
    blocks = range(0x10, 0x100)
    places = {group << 16 | block for block in blocks}
    places |= {group << 16 | block << 8 | element for block in blocks for element in elements}
    return frozenset(places)


PRIVATE: Final[dict[str, tuple[str, int, int]]] = {
    "Siemens decay correction DateTime": ("SIEMENS MEDCOM HEADER", 0x0071, 0x22),
    "GE scan DateTime": ("GEMS_PETD_01", 0x0009, 0x0D),
    "Philips SUV scale factor": ("Philips PET Private Group", 0x7053, 0x00),
    "Philips activity concentration scale factor": ("Philips PET Private Group", 0x7053, 0x09),
}
"""Private attributes: creator, group, element within its block."""


def private_tag(elements: dict[int, bytes], name: str) -> int | None:
    """Return where a private attribute lies in a data set, or None where its creator is not there."""
    creator, group, element = PRIVATE[name]
    for tag, stored in elements.items():
        block = tag & 0xFFFF
        if tag >> 16 == group and 0x10 <= block <= 0xFF and stored.strip(b" \0").decode("latin-1") == creator:
            place = group << 16 | block << 8 | element
            if place in elements:
                return place
    return None
