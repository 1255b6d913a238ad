"""The frames of a CT or PT file: one for a classic file, one per functional group item for Enhanced."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from volstrat.dicom.attributes import TAGS
from volstrat.dicom.folder import Plane
from volstrat.dicom.folder_scan import plane_of
from volstrat.dicom.header import Header, HeaderReader, PixelLayout
from volstrat.errors import CorruptDataError, FormatError

if TYPE_CHECKING:
    from volstrat.dicom.folder import ImageFile

_WANTED: Final = frozenset(TAGS.values())
# Groups that place, scale and time a frame; those that point to other images hold UIDs of theirs.
_GROUPS: Final = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "RealWorldValueMappingSequence",
    "FrameContentSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One slice of a series."""

    file: ImageFile
    index: int  # of the frame in its file, from 0
    plane: Plane
    image_type: tuple[str, ...]
    pixels: PixelLayout | None  # of the whole file
    # the file's attributes; for Enhanced files overlaid with those of the frame's functional groups.
    header: Header = field(repr=False)

    @property
    def name(self) -> str:
        """File name, with the frame's number (from 1) where the file has several."""
        name = self.file.path.name
        return f"{name} frame {self.index + 1}" if self.file.number_of_frames > 1 else name


def frames_of(file: ImageFile) -> list[Frame]:
    """Return the frames of one file, in stored order.

    A file of a classic SOP class with several frames, which then have no positions, is a FormatError;
    functional groups of an Enhanced one that do not parse or do not fit its number of frames are a
    CorruptDataError.
    """
    if file.plane is None:
        return _enhanced_frames(file)
    if file.number_of_frames != 1:
        msg = f"{file.path.name}: holds {file.number_of_frames} frames without a position for each."
        raise FormatError(msg, hint="Export the series as single slices or as Enhanced multi-frame.")
    plane, kind, pixels, header = file.plane, file.image_type, file.pixels, file.header
    return [Frame(file=file, index=0, plane=plane, image_type=kind, pixels=pixels, header=header)]


def _enhanced_frames(file: ImageFile) -> list[Frame]:
    try:
        header = HeaderReader(_WANTED).read(file.path)
        shared = header.items("SharedFunctionalGroupsSequence")
        per_frame = header.items("PerFrameFunctionalGroupsSequence")
        if len(per_frame) != file.number_of_frames:
            described = f"{len(per_frame)} frames in PerFrameFunctionalGroupsSequence"
            msg = f"describes {described}, NumberOfFrames is {file.number_of_frames}"
            raise CorruptDataError(msg)
        common = dict(file.header.elements)
        for item in shared[:1]:
            common |= _flattened(item)
        return [
            _enhanced_frame(file, header, at, common | _flattened(one)) for at, one in enumerate(per_frame)
        ]
    except CorruptDataError as error:
        msg = f"{file.path.name}: {error.message.rstrip('.')}."
        raise CorruptDataError(msg, hint="Copy the file again from its source.") from error


def _enhanced_frame(file: ImageFile, header: Header, index: int, elements: dict[int, bytes]) -> Frame:
    flat = Header(transfer_syntax=header.transfer_syntax, elements=elements, size=header.size)
    plane = plane_of(flat)
    slope, intercept = flat.doubles("RealWorldValueSlope"), flat.doubles("RealWorldValueIntercept")
    if flat.text("Modality") == "PT" and slope and intercept and "Units" not in flat:
        # The mapping that states an Enhanced PET frame's unit also has its scale.
        plane = replace(plane, slope=slope[0], intercept=intercept[0])
    return Frame(
        file=file,
        index=index,
        plane=plane,
        image_type=file.image_type + flat.texts("FrameType"),
        pixels=header.pixels,
        header=flat,
    )


def _flattened(item: Header) -> dict[int, bytes]:
    """Return the attributes of all functional groups of an item in one data set.

    Each group is a sequence of one item (PS3.3 C.7.6.16), and no two groups that are read here
    share an attribute.
    """
    elements: dict[int, bytes] = {}
    for group in (group for keyword in _GROUPS for group in item.items(keyword)[:1]):
        elements |= {tag: value for tag, value in group.elements.items() if tag in _WANTED}
    return elements
