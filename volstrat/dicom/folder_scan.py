"""What a folder of DICOM holds: series, segmentations and structure sets, from headers alone.

File names and folders mean nothing here. The patient's name is never read; PatientID and birth date become
marks that only this process can compare (see `identity`). Dates say how far apart two series are, and how to
sort them; of descriptions nothing stays but the tracer that those of a PET name, in words of our own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import PRIVATE, TAGS, private_tags
from volstrat.dicom.derived import RTSTRUCT_CLASSES, SEG_CLASSES, unique
from volstrat.dicom.folder import (
    OWN_MODEL,
    BrokenFile,
    DicomFolder,
    ImageFile,
    Plane,
    SeriesFiles,
    Structure,
    StructureFile,
)
from volstrat.dicom.header import Header, HeaderReader, NotDicomError
from volstrat.dicom.identity import IDENTITY_TAGS, PatientMarks, taken_marks
from volstrat.dicom.times import parse_date
from volstrat.errors import CorruptDataError, FormatError, InputFileError
from volstrat.formats.walk import files_below
from volstrat.terms.tracers import tracer_described

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

_CLASSIC_CLASSES: Final = {"1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.128": "PT"}
_ENHANCED_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",
}
_IMAGE_CLASSES: Final = _CLASSIC_CLASSES | _ENHANCED_CLASSES
_DIRECTORY_CLASS: Final = "1.2.840.10008.1.3.10"
_PREAMBLE_BYTES: Final = 128

_NOT_IN_SCAN: Final = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ROIContourSequence",
)
_DESCRIPTIONS: Final = (0x0008103E, 0x00081030, 0x00181030)
"""SeriesDescription, StudyDescription, ProtocolName: none is kept."""
_WANTED: Final = frozenset(tag for keyword, tag in TAGS.items() if keyword not in _NOT_IN_SCAN).union(
    IDENTITY_TAGS, _DESCRIPTIONS, *(private_tags(group, (element,)) for _, group, element in PRIVATE.values())
)


def scan_dicom(folder: Path) -> DicomFolder:
    """Sort the DICOM files of a folder, nested folders included, from their headers.

    What comes back is the same whatever the files are called and in whatever order the folder lists them. An
    absent folder, or none, is an InputFileError.
    """
    if not folder.is_dir():
        msg = f"{folder}: is not a folder."
        raise InputFileError(msg, hint="Name the folder that holds the DICOM files.")
    return scan_files((parent / name for parent, names in files_below(folder) for name in names), root=folder)


def scan_files(paths: Iterable[Path], *, root: Path) -> DicomFolder:
    """Sort given DICOM files; see `scan_dicom`."""
    sorter = _Sorter(root)
    for path in paths:
        sorter.take(path)
    return sorter.result()


def _is_cut_preamble(path: Path) -> bool:
    """Tell whether a file called DICOM holds no more than a part of the preamble's zeros."""
    if path.suffix.lower() not in (".dcm", ".ima") or path.name.startswith("."):
        return False
    with path.open("rb") as stream:
        start = stream.read(_PREAMBLE_BYTES + 1)
    return len(start) <= _PREAMBLE_BYTES and not any(start)


class _Sorter:
    """Takes files one by one and sorts them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._reader = HeaderReader(_WANTED)
        self._images: dict[tuple[str, str], list[ImageFile]] = {}
        self._segmentations: list[StructureFile] = []
        self._structure_sets: list[StructureFile] = []
        self._other: Counter[str] = Counter()
        self._skipped: list[Path] = []
        self._own: list[Path] = []
        self._broken: list[BrokenFile] = []

    def take(self, path: Path) -> None:
        if path.name.upper() == "DICOMDIR":
            self._skipped.append(path)
            return
        try:
            self._sort(path, self._reader.read(path))
        except NotDicomError:
            if _is_cut_preamble(path):
                self._break(path, "ends before its header (empty or truncated)")
            else:
                self._skipped.append(path)
        except CorruptDataError as error:
            self._break(path, error.message.rstrip("."))
        except OSError as error:
            self._break(path, f"cannot be read ({error.strerror})")

    def _break(self, path: Path, reason: str) -> None:
        """Note an unreadable file, with the series it belongs to as far as its header still says."""
        tag = TAGS["SeriesInstanceUID"]
        try:
            uid = HeaderReader(frozenset({tag}), stop_at=tag + 1).read(path).text("SeriesInstanceUID") or None
        except (CorruptDataError, FormatError, OSError):
            uid = None
        self._broken.append(BrokenFile(path=path, reason=reason, series_instance_uid=uid))

    def _sort(self, path: Path, header: Header) -> None:
        patient = taken_marks(header.elements)
        described = tuple(header.decoded(header.elements.pop(tag, b"")) for tag in _DESCRIPTIONS)
        if header.text("ManufacturerModelName") == OWN_MODEL:
            self._own.append(path)
            return
        sop_class = header.text("SOPClassUID") or header.media_class_uid
        modality = header.text("Modality")
        if sop_class in SEG_CLASSES:
            self._segmentations.append(_segmentation(path, header, patient))
        elif sop_class in RTSTRUCT_CLASSES:
            self._structure_sets.append(_structure_set(path, header, patient))
        elif sop_class == _DIRECTORY_CLASS:
            self._skipped.append(path)
        elif not (sop_class or modality):
            msg = "names no SOP class"
            raise CorruptDataError(msg)
        elif _is_image(header, sop_class, modality):
            role = _IMAGE_CLASSES.get(sop_class, modality)
            image = _image_file(path, header, sop_class, patient)  # before its series: it may be refused
            if role == "PT" and any(described):
                image = replace(image, described_tracer=tracer_described(described))
            self._images.setdefault((header.text("SeriesInstanceUID"), role), []).append(image)
        else:
            self._other[modality or sop_class or "unknown"] += 1

    def result(self) -> DicomFolder:
        series = [_series(uid, modality, files) for (uid, modality), files in self._images.items()]

        def by_date(files: list[StructureFile]) -> tuple[StructureFile, ...]:
            return tuple(
                sorted(files, key=lambda one: (one.series_date, one.sop_instance_uid, one.path.as_posix()))
            )

        return DicomFolder(
            root=self._root,
            series=tuple(sorted(series, key=lambda s: (s.series_date, s.series_instance_uid, s.modality))),
            segmentations=by_date(self._segmentations),
            structure_sets=by_date(self._structure_sets),
            other=tuple(sorted(self._other.items())),
            skipped=tuple(sorted(self._skipped)),
            own=tuple(sorted(self._own)),
            broken=tuple(sorted(self._broken, key=lambda one: one.path)),
        )


def _is_image(header: Header, sop_class: str, modality: str) -> bool:
    """Tell a CT or PT image from a screenshot or dose sheet filed under the same modality."""
    if sop_class in _IMAGE_CLASSES:
        # A header without pixels is of use for geometry and SUV, one that was cut off early is not.
        of_use = header.pixels is not None or "Rows" in header or "Units" in header
        if sop_class in _CLASSIC_CLASSES and not of_use:
            msg = "ends before its pixel data (truncated)"
            raise CorruptDataError(msg)
        return True
    has_plane = header.stored("ImageOrientationPatient") and header.stored("ImagePositionPatient")
    return modality in ("CT", "PT") and bool(has_plane)


def _image_file(path: Path, header: Header, sop_class: str, patient: PatientMarks) -> ImageFile:
    return ImageFile(
        path=path,
        sop_instance_uid=header.text("SOPInstanceUID"),
        sop_class_uid=sop_class,
        rows=header.unsigned("Rows") or 0,
        columns=header.unsigned("Columns") or 0,
        number_of_frames=int(header.number("NumberOfFrames") or 1),
        image_type=header.texts("ImageType"),
        frame_of_reference_uid=header.text("FrameOfReferenceUID") or None,
        plane=None if sop_class in _ENHANCED_CLASSES else plane_of(header),
        pixels=header.pixels,
        header=header,
        patient=patient,
    )


def plane_of(header: Header) -> Plane:
    """Return the plane that a classic header, or the flattened header of one frame, describes."""
    return Plane(
        orientation=header.numbers("ImageOrientationPatient") or None,
        position_mm=header.numbers("ImagePositionPatient") or None,
        pixel_spacing_mm=header.numbers("PixelSpacing") or None,
        slope=header.number("RescaleSlope"),
        intercept=header.number("RescaleIntercept"),
        thickness_mm=header.number("SliceThickness"),
        slice_gap_mm=header.number("SpacingBetweenSlices"),
    )


def _series(uid: str, modality: str, files: list[ImageFile]) -> SeriesFiles:
    files.sort(key=lambda file: (file.sop_instance_uid, file.path.as_posix()))
    first = files[0].header
    frames_of_reference = {file.frame_of_reference_uid for file in files}
    number = first.text("SeriesNumber")
    attenuation = None
    if modality == "PT":
        corrected, flag = first.texts("CorrectedImage"), first.text("AttenuationCorrected")
        attenuation = "ATTN" in corrected if corrected else flag == "YES" if flag else None
    return SeriesFiles(
        series_instance_uid=uid,
        study_instance_uid=first.text("StudyInstanceUID"),
        modality=modality,
        number=int(number) if number.isdecimal() else None,
        series_date=_date(first),
        acquired_on=_acquired_on(first),
        frame_of_reference_uid=frames_of_reference.pop() if len(frames_of_reference) == 1 else None,
        files=tuple(files),
        units=first.text("Units") if modality == "PT" else "",
        attenuation_corrected=attenuation,
    )


def _date(header: Header) -> str:
    return header.text("SeriesDate") or header.text("StudyDate")


def _acquired_on(header: Header) -> date | None:
    """Return the day of the acquisition, else of the series, else of the study."""
    stated = (
        header.text("AcquisitionDate"),
        header.text("AcquisitionDateTime")[:8],
        header.text("SeriesDate"),
        header.text("StudyDate"),
    )
    return next((day for day in map(parse_date, stated) if day is not None), None)


def _segmentation(path: Path, header: Header, patient: PatientMarks) -> StructureFile:
    structures = [
        Structure(
            number=item.unsigned("SegmentNumber") or 0,
            name=item.label("SegmentLabel"),
            codes=_codes(item),
            algorithm=item.text("SegmentAlgorithmType"),
        )
        for item in _parts(header, "SegmentSequence")
    ]
    studies = [header, *header.items("StudiesContainingOtherReferencedInstancesSequence")]
    series = [one for study in studies for one in study.items("ReferencedSeriesSequence")]
    file = _structure_file(path, header, patient, series, structures)
    return replace(file, is_segmentation=True)


def _codes(segment: Header) -> tuple[tuple[str, str, str], ...]:
    """Return category and type of a segment: code value, scheme, meaning."""
    keywords = ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence")
    items = [item for keyword in keywords for item in segment.items(keyword)[:1]]
    return tuple(
        (item.text("CodeValue"), item.text("CodingSchemeDesignator"), item.label("CodeMeaning"))
        for item in items
    )


def _structure_set(path: Path, header: Header, patient: PatientMarks) -> StructureFile:
    rois = _parts(header, "StructureSetROISequence")
    structures = [
        Structure(number=int(roi.number("ROINumber") or 0), name=roi.label("ROIName")) for roi in rois
    ]
    frames = header.items("ReferencedFrameOfReferenceSequence")
    studies = [study for frame in frames for study in frame.items("RTReferencedStudySequence")]
    series = [one for study in studies for one in study.items("RTReferencedSeriesSequence")]
    file = _structure_file(path, header, patient, series, structures)
    named = [frame.text("FrameOfReferenceUID") for frame in frames]
    known = unique([*named, *(roi.text("ReferencedFrameOfReferenceUID") for roi in rois)])
    return replace(file, frame_of_reference_uid=known[0]) if len(known) == 1 else file


def _parts(header: Header, keyword: str) -> list[Header]:
    """Return the items of the sequence that makes a file what it is: copies break off between attributes."""
    if keyword not in header:
        msg = f"ends before its {keyword} (truncated)"
        raise CorruptDataError(msg)
    return header.items(keyword)


def _structure_file(
    path: Path, header: Header, patient: PatientMarks, series: list[Header], structures: list[Structure]
) -> StructureFile:
    return StructureFile(
        path=path,
        sop_instance_uid=header.text("SOPInstanceUID"),
        series_instance_uid=header.text("SeriesInstanceUID"),
        series_date=_date(header),
        patient=patient,
        referenced_series_uids=unique([one.text("SeriesInstanceUID") for one in series]),
        frame_of_reference_uid=header.text("FrameOfReferenceUID") or None,
        structures=tuple(structures),
    )
