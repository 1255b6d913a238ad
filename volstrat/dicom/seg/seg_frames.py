"""What each frame of a DICOM SEG is: its plane and its segment (functional groups, PS3.3 C.7.6.16).

There may be tens of thousands of frames with a few hundred different positions and segments, so the
bytes of each group are decoded once, however often they occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from volstrat.dicom.derived import items_of
from volstrat.dicom.seg.seg_lattice import FramePlanes
from volstrat.errors import CorruptDataError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from volstrat.dicom.header import Header

T = TypeVar("T")

_PLANE_POSITION: Final = 0x00209113
_PLANE_ORIENTATION: Final = 0x00209116
_PIXEL_MEASURES: Final = 0x00289110
_SEGMENT_IDENTIFICATION: Final = 0x0062000A
_IMAGE_POSITION: Final = 0x00200032
_IMAGE_ORIENTATION: Final = 0x00200037
_SLICE_THICKNESS: Final = 0x00180050
_SPACING_BETWEEN_SLICES: Final = 0x00180088
_PIXEL_SPACING: Final = 0x00280030
_REFERENCED_SEGMENT_NUMBER: Final = 0x0062000B


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegFrames:
    """The frames of a SEG, in stored order."""

    planes: FramePlanes
    # (f,): segment number of each frame; 0 throughout in a LABELMAP, whose frames hold all segments.
    segments: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many frames there are."""
        return int(self.segments.size)


def seg_frames(
    frames: Sequence[Header],
    shared: Sequence[Header],
    *,
    only_segment: int | None,
    is_labelmap: bool,
    where: str,
) -> SegFrames:
    """Decode the functional groups of all frames.

    Parameters
    ----------
    frames : sequence of Header
        Items of PerFrameFunctionalGroupsSequence.
    shared : sequence of Header
        Items of SharedFunctionalGroupsSequence: what holds for every frame that does not say else.
    only_segment : int or None
        The segment of frames that name none, where there is but one.
    is_labelmap : bool
    where : str
        The file, for messages.

    Raises
    ------
    GeometryError
        If a frame has no position, orientation or pixel spacing in the patient.
    CorruptDataError
        If there are no frames, or a frame names no segment.
    """
    if not frames:
        msg = f"{where}: describes no frames."
        raise CorruptDataError(msg, hint="Export the segmentation again.")
    groups = _Groups(frames, shared, where)
    positions = groups.decoded(_PLANE_POSITION, lambda item: _numbers(item, _IMAGE_POSITION, 3))
    orientations = groups.decoded(_PLANE_ORIENTATION, lambda item: _numbers(item, _IMAGE_ORIENTATION, 6))
    spacings = groups.decoded(_PIXEL_MEASURES, lambda item: _numbers(item, _PIXEL_SPACING, 2))
    for keyword, found in (
        ("ImagePositionPatient (0020,0032)", positions),
        ("ImageOrientationPatient (0020,0037)", orientations),
        ("PixelSpacing (0028,0030)", spacings),
    ):
        if None in found:
            msg = f"{where}: frame {found.index(None) + 1} has no {keyword}: it has no place in the patient."
            raise GeometryError(msg, hint="A segmentation of CT or PET slices is needed.")
    segments: list[int | None] = [0] * len(frames)
    if not is_labelmap:
        numbers = groups.decoded(
            _SEGMENT_IDENTIFICATION, lambda item: item.unsigned(_REFERENCED_SEGMENT_NUMBER)
        )
        segments = [only_segment if number is None else number for number in numbers]
    if None in segments:
        msg = f"{where}: frame {segments.index(None) + 1} names no segment."
        raise CorruptDataError(msg, hint="Export the segmentation again.")
    return SegFrames(
        planes=FramePlanes(
            positions_mm=np.array(positions, np.float64),
            orientations=_unique_rows(orientations),
            pixel_spacings_mm=_unique_rows(spacings),
            spacing_between_slices_mm=groups.only(_PIXEL_MEASURES, _SPACING_BETWEEN_SLICES),
            slice_thickness_mm=groups.only(_PIXEL_MEASURES, _SLICE_THICKNESS),
        ),
        segments=np.array(segments, np.int64),
    )


class _Groups:
    """Functional groups of all frames; equal bytes are decoded once."""

    def __init__(self, frames: Sequence[Header], shared: Sequence[Header], where: str) -> None:
        self._frames = frames
        self._shared = shared[0].elements if shared else {}
        self._where = where

    def decoded(self, group: int, decode: Callable[[Header], T | None]) -> list[T | None]:
        """Return a value of one group for each frame, None where neither frame nor shared part has it."""
        default = self._shared.get(group, b"")
        known: dict[bytes, T | None] = {b"": None}
        values = []
        for frame in self._frames:
            stored = frame.elements.get(group, default)
            if stored not in known:
                holder = type(frame)(transfer_syntax=frame.transfer_syntax, elements={group: stored})
                items = items_of(holder, group, self._where)
                known[stored] = decode(items[0]) if items else None
            values.append(known[stored])
        return values

    def only(self, group: int, tag: int) -> float | None:
        """Return a positive number that all frames agree on, else None."""
        found = set(self.decoded(group, lambda item: item.number(tag)))
        number = found.pop() if len(found) == 1 else None
        return number if number is not None and number > 0 else None


def _numbers(item: Header, tag: int, count: int) -> tuple[float, ...] | None:
    values = item.numbers(tag)
    return values if len(values) == count and np.isfinite(values).all() else None


def _unique_rows(rows: Sequence[tuple[float, ...] | None]) -> NDArray[np.float64]:
    return np.array(list(dict.fromkeys(rows)), dtype=np.float64)
