"""What each frame of a DICOM SEG is: its plane and its segment (functional groups, PS3.3 C.7.6.16).

There may be tens of thousands of frames with a few hundred different positions and segments, so the
bytes of each group are decoded once, however often they occur.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from volstrat.dicom.attributes import TAGS, element_name
from volstrat.dicom.derived import items_of
from volstrat.dicom.seg.seg_lattice import FramePlanes
from volstrat.errors import CorruptDataError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from volstrat.dicom.header import Header
    from volstrat.geometry.array_types import Int64s

T = TypeVar("T")

_PLACE = (
    ("ImagePositionPatient", "PlanePositionSequence", 3),
    ("ImageOrientationPatient", "PlaneOrientationSequence", 6),
    ("PixelSpacing", "PixelMeasuresSequence", 2),
)
"""What places a frame in the patient: keyword, functional group, how many numbers."""


def seg_frames(
    frames: Sequence[Header],
    shared: Sequence[Header],
    *,
    only_segment: int | None,
    is_labelmap: bool,
    where: str,
) -> tuple[FramePlanes, Int64s]:
    """Decode the functional groups of all frames, in stored order, to their planes and segment numbers (f,).

    ``frames`` and ``shared`` are the items of the PerFrame- and SharedFunctionalGroupsSequence. Frames that
    name no segment have ``only_segment``, where there is but one; those of a LABELMAP, which hold all
    segments, have 0. A frame without position, orientation or pixel spacing in the patient is a
    GeometryError; no frames, or one that names no segment, are a CorruptDataError.
    """
    if not frames:
        msg = f"{where}: describes no frames."
        raise CorruptDataError(msg, hint="Export the segmentation again.")
    groups = _Groups(frames, shared, where)
    positions, orientations, spacings = places = [
        groups.decoded(group, partial(_numbers, keyword=keyword, count=count))
        for keyword, group, count in _PLACE
    ]
    for (keyword, _, _), found in zip(_PLACE, places, strict=True):
        if None in found:
            lacking = f"frame {found.index(None) + 1} has no {element_name(keyword)}"
            msg = f"{where}: {lacking}: it has no place in the patient."
            raise GeometryError(msg, hint="A segmentation of CT or PET slices is needed.")
    segments: list[int | None] = [0] * len(frames)
    if not is_labelmap:
        numbers = groups.decoded(
            "SegmentIdentificationSequence", lambda item: item.unsigned("ReferencedSegmentNumber")
        )
        segments = [only_segment if number is None else number for number in numbers]
    if None in segments:
        msg = f"{where}: frame {segments.index(None) + 1} names no segment."
        raise CorruptDataError(msg, hint="Export the segmentation again.")
    planes = FramePlanes(
        positions_mm=np.array(positions, np.float64),
        orientations=np.array(list(dict.fromkeys(orientations)), np.float64),
        pixel_spacings_mm=np.array(list(dict.fromkeys(spacings)), np.float64),
        spacing_between_slices_mm=groups.measure("SpacingBetweenSlices"),
        slice_thickness_mm=groups.measure("SliceThickness"),
    )
    return planes, np.array(segments, np.int64)


class _Groups:
    """Functional groups of all frames; equal bytes are decoded once."""

    def __init__(self, frames: Sequence[Header], shared: Sequence[Header], where: str) -> None:
        self._frames = frames
        self._shared = shared[0].elements if shared else {}
        self._where = where

    def decoded(self, group: str, decode: Callable[[Header], T | None]) -> list[T | None]:
        """Return a value of one group for each frame, None where neither frame nor shared part has it."""
        tag = TAGS[group]
        default = self._shared.get(tag, b"")
        known: dict[bytes, T | None] = {b"": None}
        values = []
        for frame in self._frames:
            stored = frame.elements.get(tag, default)
            if stored not in known:
                holder = type(frame)(transfer_syntax=frame.transfer_syntax, elements={tag: stored})
                items = items_of(holder, group, self._where)
                known[stored] = decode(items[0]) if items else None
            values.append(known[stored])
        return values

    def measure(self, keyword: str) -> float | None:
        """Return a positive number of the pixel measures that all frames agree on, else None."""
        found = set(self.decoded("PixelMeasuresSequence", lambda item: item.number(keyword)))
        number = found.pop() if len(found) == 1 else None
        return number if number is not None and number > 0 else None


def _numbers(item: Header, keyword: str, count: int) -> tuple[float, ...] | None:
    values = item.numbers(keyword)
    return values if len(values) == count and np.isfinite(values).all() else None
