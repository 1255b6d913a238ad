"""What a folder of DICOM holds: series, segmentations and structure sets, from headers alone.

File names and folders mean nothing here. The patient's name is never read; PatientID and birth date become
marks that only this process can compare (see `identity`). Dates say how far apart two series are, and how to
sort them; of descriptions nothing stays but the tracer that those of a PET name, in words of our own.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import PRIVATE, TAGS, private_tags
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
from volstrat.dicom.header import PIXEL_DATA, Header, HeaderReader, NotDicomError
from volstrat.dicom.identity import IDENTITY_TAGS, PatientMarks, taken_marks
from volstrat.dicom.times import parse_date
from volstrat.errors import CorruptDataError, InputFileError
from volstrat.formats.walk import files_below
from volstrat.terms.tracers import tracer_described

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

CT_CLASSES: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
)
PT_CLASSES: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"}
)
ENHANCED_CLASSES: Final = (CT_CLASSES | PT_CLASSES) - {
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.128",
}
SEG_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
RTSTRUCT_CLASS: Final = "1.2.840.10008.5.1.4.1.1.481.3"
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

    Returns
    -------
    DicomFolder
        The same whatever the files are called and in whatever order the folder lists them.

    Raises
    ------
    InputFileError
        If the folder is absent or not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{folder}: is not a folder."
        raise InputFileError(msg, hint="Name the folder that holds the DICOM files.")
    paths = (f"{parent}{os.sep}{name}" for parent, names in files_below(folder) for name in names)
    return scan_files(paths, root=folder)


def scan_files(paths: Iterable[Path | str], *, root: Path) -> DicomFolder:
    """Sort given DICOM files; see `scan_dicom`."""
    sorter = _Sorter(root)
    for path in paths:
        sorter.take(str(path))
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
        self._reader = HeaderReader(_WANTED, stop_at=PIXEL_DATA)
        self._images: dict[tuple[str, str], list[ImageFile]] = {}
        self._segmentations: list[StructureFile] = []
        self._structure_sets: list[StructureFile] = []
        self._other: Counter[str] = Counter()
        self._skipped: list[Path] = []
        self._own: list[Path] = []
        self._broken: list[BrokenFile] = []

    def take(self, path: str) -> None:
        name = path.rpartition(os.sep)[2]
        if name.upper() == "DICOMDIR":
            self._skipped.append(Path(path))
            return
        try:
            header = self._reader.read(path)
        except NotDicomError:
            if _is_cut_preamble(Path(path)):
                reason = "ends before its header (empty or truncated)"
                self._broken.append(BrokenFile(path=Path(path), reason=reason, series_instance_uid=None))
            else:
                self._skipped.append(Path(path))
        except CorruptDataError as error:
            self._broken.append(_broken(path, error.message))
        except OSError as error:
            self._broken.append(_broken(path, f"cannot be read ({error.strerror})"))
        else:
            try:
                self._sort(Path(path), header)
            except CorruptDataError as error:
                uid = header.text(TAGS["SeriesInstanceUID"]) or None
                reason = error.message.rstrip(".")
                self._broken.append(BrokenFile(path=Path(path), reason=reason, series_instance_uid=uid))

    def _sort(self, path: Path, header: Header) -> None:
        patient, described = taken_marks(header.elements), _taken_descriptions(header)
        if header.text(TAGS["ManufacturerModelName"]) == OWN_MODEL:
            self._own.append(path)
            return
        sop_class = header.text(TAGS["SOPClassUID"]) or header.media_class_uid
        modality = header.text(TAGS["Modality"])
        if sop_class in SEG_CLASSES:
            _require(header, "SegmentSequence")
            self._segmentations.append(_segmentation(path, header, patient))
        elif sop_class == RTSTRUCT_CLASS:
            _require(header, "StructureSetROISequence")
            self._structure_sets.append(_structure_set(path, header, patient))
        elif sop_class == _DIRECTORY_CLASS:
            self._skipped.append(path)
        elif not (sop_class or modality):
            msg = "names no SOP class"
            raise CorruptDataError(msg)
        elif _is_image(header, sop_class, modality):
            role = "CT" if sop_class in CT_CLASSES else "PT" if sop_class in PT_CLASSES else modality
            key = (header.text(TAGS["SeriesInstanceUID"]), role)
            image = _image_file(path, header, sop_class, patient)  # before its series: it may be refused
            if role == "PT" and any(described):
                image = replace(image, described_tracer=tracer_described(described))
            self._images.setdefault(key, []).append(image)
        else:
            self._other[modality or sop_class or "unknown"] += 1

    def result(self) -> DicomFolder:
        series = [_series(uid, modality, files) for (uid, modality), files in self._images.items()]
        series.sort(key=lambda one: (one.series_date, one.series_instance_uid, one.modality))

        def by_date(one: StructureFile) -> tuple[str, str, str]:
            return (one.series_date, one.sop_instance_uid, one.path.as_posix())

        return DicomFolder(
            root=self._root,
            series=tuple(series),
            segmentations=tuple(sorted(self._segmentations, key=by_date)),
            structure_sets=tuple(sorted(self._structure_sets, key=by_date)),
            other=tuple(sorted(self._other.items())),
            skipped=tuple(sorted(self._skipped)),
            own=tuple(sorted(self._own)),
            broken=tuple(sorted(self._broken, key=lambda one: one.path)),
        )


def _taken_descriptions(header: Header) -> tuple[str, ...]:
    """Take the descriptions out of a header."""
    texts = tuple(header.label(tag) if tag in header.elements else "" for tag in _DESCRIPTIONS)
    for tag in _DESCRIPTIONS:
        header.elements.pop(tag, None)
    return texts


def _require(header: Header, keyword: str) -> None:
    """Refuse a file without the sequence that makes it what it is: copies break off between attributes."""
    if TAGS[keyword] not in header.elements:
        msg = f"ends before its {keyword} (truncated)"
        raise CorruptDataError(msg)


def _is_image(header: Header, sop_class: str, modality: str) -> bool:
    """Tell a CT or PT image from a screenshot or dose sheet filed under the same modality."""
    if sop_class in CT_CLASSES or sop_class in PT_CLASSES:
        if header.pixels is None and sop_class not in ENHANCED_CLASSES and not _reaches_image(header):
            msg = "ends before its pixel data (truncated)"
            raise CorruptDataError(msg)
        return True
    has_plane = header.elements.get(TAGS["ImageOrientationPatient"]) and header.elements.get(
        TAGS["ImagePositionPatient"]
    )
    return modality in ("CT", "PT") and bool(has_plane)


def _reaches_image(header: Header) -> bool:
    """Tell a header without pixels, of use for geometry and SUV, from a file cut off early."""
    return TAGS["Rows"] in header.elements or TAGS["Units"] in header.elements


def _image_file(path: Path, header: Header, sop_class: str, patient: PatientMarks) -> ImageFile:
    frames = header.number(TAGS["NumberOfFrames"])
    if sop_class in ENHANCED_CLASSES:
        plane = None
    else:
        plane = plane_of(header)
    return ImageFile(
        path=path,
        sop_instance_uid=header.text(TAGS["SOPInstanceUID"]),
        sop_class_uid=sop_class,
        rows=header.unsigned(TAGS["Rows"]) or 0,
        columns=header.unsigned(TAGS["Columns"]) or 0,
        number_of_frames=int(frames) if frames else 1,
        image_type=header.texts(TAGS["ImageType"]),
        frame_of_reference_uid=header.text(TAGS["FrameOfReferenceUID"]) or None,
        plane=plane,
        pixels=header.pixels,
        header=header,
        patient=patient,
    )


def plane_of(header: Header) -> Plane:
    """Return the plane that a classic header, or the flattened header of one frame, describes."""
    return Plane(
        orientation=header.numbers(TAGS["ImageOrientationPatient"]) or None,
        position_mm=header.numbers(TAGS["ImagePositionPatient"]) or None,
        pixel_spacing_mm=header.numbers(TAGS["PixelSpacing"]) or None,
        slope=header.number(TAGS["RescaleSlope"]),
        intercept=header.number(TAGS["RescaleIntercept"]),
        thickness_mm=header.number(TAGS["SliceThickness"]),
        slice_gap_mm=header.number(TAGS["SpacingBetweenSlices"]),
    )


def _series(uid: str, modality: str, files: list[ImageFile]) -> SeriesFiles:
    files.sort(key=lambda file: (file.sop_instance_uid, file.path.as_posix()))
    first = files[0].header
    frames_of_reference = {file.frame_of_reference_uid for file in files}
    corrected = first.texts(TAGS["CorrectedImage"]) if modality == "PT" else ()
    flag = first.text(TAGS["AttenuationCorrected"]) if modality == "PT" else ""
    attenuation = None
    if corrected:
        attenuation = "ATTN" in corrected
    elif flag:
        attenuation = flag == "YES"
    return SeriesFiles(
        series_instance_uid=uid,
        study_instance_uid=first.text(TAGS["StudyInstanceUID"]),
        modality=modality,
        number=_series_number(first),
        series_date=_date(first),
        acquired_on=_acquired_on(first),
        frame_of_reference_uid=frames_of_reference.pop() if len(frames_of_reference) == 1 else None,
        files=tuple(files),
        units=first.text(TAGS["Units"]) if modality == "PT" else "",
        attenuation_corrected=attenuation,
    )


def _date(header: Header) -> str:
    return header.text(TAGS["SeriesDate"]) or header.text(TAGS["StudyDate"])


def _acquired_on(header: Header) -> date | None:
    """Return the day of the acquisition, else of the series, else of the study."""
    stated = (
        header.text(TAGS["AcquisitionDate"]),
        header.text(TAGS["AcquisitionDateTime"])[:8],
        header.text(TAGS["SeriesDate"]),
        header.text(TAGS["StudyDate"]),
    )
    return next((day for day in map(parse_date, stated) if day is not None), None)


def _series_number(header: Header) -> int | None:
    text = header.text(TAGS["SeriesNumber"])
    return int(text) if text.isdecimal() else None


def _segmentation(path: Path, header: Header, patient: PatientMarks) -> StructureFile:
    referenced = [
        item.text(TAGS["SeriesInstanceUID"]) for item in header.items(TAGS["ReferencedSeriesSequence"])
    ]
    structures = [
        Structure(
            number=item.unsigned(TAGS["SegmentNumber"]) or 0,
            name=_label(item, header, TAGS["SegmentLabel"]),
            codes=_codes(item),
            algorithm=item.text(TAGS["SegmentAlgorithmType"]),
        )
        for item in header.items(TAGS["SegmentSequence"])
    ]
    return _structure_file(path, header, referenced, structures, patient, is_segmentation=True)


def _codes(segment: Header) -> tuple[tuple[str, str, str], ...]:
    """Return category and type of a segment: code value, scheme, meaning."""
    keywords = ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence")
    items = [segment.items(TAGS[keyword])[:1] for keyword in keywords]
    return tuple(
        (
            item.text(TAGS["CodeValue"]),
            item.text(TAGS["CodingSchemeDesignator"]),
            item.label(TAGS["CodeMeaning"]),
        )
        for found in items
        for item in found
    )


def _structure_set(path: Path, header: Header, patient: PatientMarks) -> StructureFile:
    referenced: list[str] = []
    frames_of_reference: list[str] = []
    for frame in header.items(TAGS["ReferencedFrameOfReferenceSequence"]):
        frames_of_reference.append(frame.text(TAGS["FrameOfReferenceUID"]))
        for study in frame.items(TAGS["RTReferencedStudySequence"]):
            referenced += [
                one.text(TAGS["SeriesInstanceUID"]) for one in study.items(TAGS["RTReferencedSeriesSequence"])
            ]
    structures = []
    for item in header.items(TAGS["StructureSetROISequence"]):
        number = item.number(TAGS["ROINumber"])
        frames_of_reference.append(item.text(TAGS["ReferencedFrameOfReferenceUID"]))
        name = _label(item, header, TAGS["ROIName"])
        structures.append(Structure(number=int(number) if number is not None else 0, name=name))
    known = list(dict.fromkeys(uid for uid in frames_of_reference if uid))
    frame_uid = known[0] if len(known) == 1 else None
    return _structure_file(path, header, referenced, structures, patient, frame_uid=frame_uid)


def _structure_file(
    path: Path,
    header: Header,
    referenced: list[str],
    structures: list[Structure],
    patient: PatientMarks,
    *,
    frame_uid: str | None = None,
    is_segmentation: bool = False,
) -> StructureFile:
    return StructureFile(
        path=path,
        sop_instance_uid=header.text(TAGS["SOPInstanceUID"]),
        series_instance_uid=header.text(TAGS["SeriesInstanceUID"]),
        series_date=_date(header),
        patient=patient,
        referenced_series_uids=tuple(dict.fromkeys(uid for uid in referenced if uid)),
        frame_of_reference_uid=frame_uid or header.text(TAGS["FrameOfReferenceUID"]) or None,
        structures=tuple(structures),
        is_segmentation=is_segmentation,
    )


def _label(item: Header, header: Header, tag: int) -> str:
    """Return an item's text in the character set of the item, else of the file."""
    charset = TAGS["SpecificCharacterSet"]
    if charset not in item.elements and charset in header.elements:
        item.elements[charset] = header.elements[charset]
    return item.label(tag)


def _broken(path: str, reason: str) -> BrokenFile:
    """Find out which series an unreadable file belongs to, as far as its header still says."""
    uid = None
    tag = TAGS["SeriesInstanceUID"]
    try:
        uid = HeaderReader(frozenset({tag}), stop_at=tag + 1).read(path).text(tag) or None
    except (CorruptDataError, OSError):
        uid = None
    return BrokenFile(path=Path(path), reason=reason, series_instance_uid=uid)
