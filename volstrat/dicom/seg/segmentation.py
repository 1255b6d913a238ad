"""DICOM SEG to voxel runs, straight from the stored bits (PS3.3 A.51, C.8.20).

BINARY, FRACTIONAL and LABELMAP. Positions are LPS mm already; columns become ``i``, rows ``j``, and
slices rise along the normal (row direction x column direction). No dense volume is ever held.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.dicom.derived import SEG_CLASSES, items_of, read_derived
from volstrat.dicom.seg.seg_frames import seg_frames
from volstrat.dicom.seg.seg_lattice import frame_lattice
from volstrat.dicom.seg.seg_pixels import pixel_pieces
from volstrat.errors import CorruptDataError, FormatError, MaskValueError, UsageError
from volstrat.geometry.bits import BitScanner
from volstrat.geometry.mask import Mask
from volstrat.geometry.run_scanner import RunScanner
from volstrat.geometry.runs import LabelRuns, _merged, split_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from volstrat.geometry.array_types import Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding


_BITS: Final = {"BINARY": (1, 8), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}
_COPY_AGAIN: Final = "Copy the file again from its source."
_EXPORT_AGAIN: Final = "Export the segmentation again."


class _Seg:
    """What the header of a SEG says, checked."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, path.name
        self.header = header = read_derived(path, classes=SEG_CLASSES, kind="a DICOM SEG")
        self.kind = header.text("SegmentationType").upper()
        self.is_labelmap = self.kind == "LABELMAP"
        self.rows, self.columns = header.unsigned("Rows") or 0, header.unsigned("Columns") or 0
        self.bits = header.unsigned("BitsAllocated") or 0
        self.padding = header.unsigned("PixelPaddingValue")
        if self.kind not in _BITS:
            is_read = "BINARY, FRACTIONAL and LABELMAP are read"
            msg = f"{self.where}: SegmentationType is {self.kind!r}; {is_read}."
            raise FormatError(msg)
        if self.bits not in _BITS[self.kind] or header.unsigned("SamplesPerPixel") not in (1, None):
            msg = f"{self.where}: a {self.kind} SEG with {self.bits} bits allocated is not in the standard."
            raise FormatError(msg)
        if not self.rows or not self.columns:
            msg = f"{self.where}: Rows and Columns are {self.rows} and {self.columns}."
            raise CorruptDataError(msg, hint=_COPY_AGAIN)
        self.names = names = self._segment_names()
        self.planes, self.segments = seg_frames(
            items_of(header, "PerFrameFunctionalGroupsSequence", self.where),
            items_of(header, "SharedFunctionalGroupsSequence", self.where),
            only_segment=next(iter(names)) if len(names) == 1 else None,
            is_labelmap=self.is_labelmap,
            where=self.where,
        )
        frames, stated = int(self.segments.size), header.number("NumberOfFrames")
        if stated is not None and stated != frames:
            msg = f"{self.where}: NumberOfFrames is {stated:g} but {frames} frames are described."
            raise CorruptDataError(msg, hint=_COPY_AGAIN)
        unknown = sorted(set(self.segments.tolist()) - set(names))
        if unknown and not self.is_labelmap:
            what = f"a frame belongs to segment {unknown[0]}, which SegmentSequence does not describe"
            msg = f"{self.where}: {what}."
            raise CorruptDataError(msg, hint=_EXPORT_AGAIN)
        self.pixels = frames * self.rows * self.columns

    def _segment_names(self) -> dict[int, str]:
        """Return names by rising number, without the background and padding entries of a LABELMAP."""
        names: dict[int, str] = {}
        for item in items_of(self.header, "SegmentSequence", self.where):
            number = item.unsigned("SegmentNumber")
            if number is None or number in names:
                said = "without a number" if number is None else f"number {number} twice"
                msg = f"{self.where}: SegmentSequence describes a segment {said}."
                raise CorruptDataError(msg, hint=_EXPORT_AGAIN)
            names[number] = item.label("SegmentLabel")
        if self.is_labelmap:
            zero = names.get(0, "background")
            if self.padding not in (0, None) and "background" not in zero.lower():
                msg = f"{self.where}: uses segment number 0 for {zero!r}, which cannot be a label (from 1)."
                raise FormatError(msg, hint="Renumber the segments from 1.")
            names = {number: name for number, name in names.items() if number not in (0, self.padding)}
        if not names or min(names) < 1:
            msg = f"{self.where}: describes no segment with a number from 1; has {sorted(names) or 'none'}."
            raise FormatError(msg)
        return dict(sorted(names.items()))

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the pixel data of all frames."""
        shape, frames = (self.rows, self.columns), int(self.segments.size)
        return pixel_pieces(self.path, self.header, frames=frames, shape=shape, bits=self.bits)


def read_seg(
    path: Path, *, threshold: float | None = None, image_grid: VoxelGrid | None = None
) -> tuple[Mask, tuple[Finding, ...]]:
    """Read all segments of a DICOM SEG; labels are segment numbers.

    ``threshold``, for FRACTIONAL, is the share of MaximumFractionalValue, above 0 and up to 1, from which a
    voxel belongs to its segment; it is not needed where only 0 and the maximum occur. Of ``image_grid``, that
    of the segmented image, only the distance between slices is used, where the SEG states no
    SpacingBetweenSlices that its positions agree with; without both, the positions say it.

    Overlapping segments stay overlapping; segments without a frame stay named. The grid is a window: the slab
    from the first to the last frame.

    Raises
    ------
    GeometryError
        If the frames are not all on one regular lattice.
    MaskValueError
        If values are fractions and no threshold is given.
    UsageError
        If the threshold is not above 0 and up to 1, or is given for a LABELMAP.
    FormatError, CorruptDataError, InputFileError
        If the file is no SEG, is damaged, contradicts itself, or cannot be opened.
    """
    if threshold is not None and not 0 < threshold <= 1:
        msg = f"{path.name}: the threshold is a share above 0 and up to 1; got {threshold:g}."
        raise UsageError(msg)
    seg = _Seg(path)
    if threshold is not None and seg.is_labelmap:
        msg = f"{path.name}: is a LABELMAP, whose values are segments; a threshold has no meaning there."
        raise UsageError(msg, hint="Leave threshold out.")
    grid, slices, findings = frame_lattice(
        seg.planes,
        rows=seg.rows,
        columns=seg.columns,
        frame_of_reference_uid=seg.header.text("FrameOfReferenceUID") or None,
        image_grid=image_grid,
        where=path.name,
    )
    _refuse_doubled_frames(seg, slices)
    return Mask(grid=grid, runs=_runs(seg, slices, threshold), names=seg.names), findings


def _refuse_doubled_frames(seg: _Seg, slices: Int64s) -> None:
    pairs = np.stack([slices, seg.segments], axis=-1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts > 1).any():
        at, number = found[counts > 1][0]
        of = "" if seg.is_labelmap else f" of segment {number} {seg.names[int(number)]!r}"
        msg = f"{seg.where}: has {counts.max()} frames{of} at one position (slice {at} of the slab)."
        raise CorruptDataError(msg, hint=_EXPORT_AGAIN)


def _runs(seg: _Seg, slices: Int64s, threshold: float | None) -> LabelRuns:
    """Return the runs of all segments on the slab's grid."""
    starts, stops, values = _binary_runs(seg) if seg.bits == 1 else _value_runs(seg, threshold)
    pixels = seg.rows * seg.columns
    starts, stops, values = split_rows(starts, stops, pixels, values)
    frame = starts // pixels
    labels = values if seg.is_labelmap else seg.segments[frame]
    shift = (slices - np.arange(slices.size))[frame] * pixels
    return _merged(starts + shift, stops + shift, labels)


def _binary_runs(seg: _Seg) -> tuple[Int64s, Int64s, Int64s]:
    """Return runs over the line of bits of all frames, each of value 1."""
    scanner = BitScanner()
    for piece in seg.pieces():
        scanner.feed(piece)
    starts, stops = scanner.finish()
    kept = starts < seg.pixels  # what follows pads the last byte
    return starts[kept], np.minimum(stops[kept], seg.pixels), np.ones(int(kept.sum()), np.int64)


def _value_runs(seg: _Seg, threshold: float | None) -> tuple[Int64s, Int64s, Int64s]:
    """Return runs of the values that stand for a segment, over the line of pixels of all frames."""
    scanner = RunScanner(np.dtype(f"<u{seg.bits // 8}"), where=seg.where)
    for piece in seg.pieces():
        scanner.feed(piece)
    found = scanner.finish()
    kept = np.isin(found.labels, _kept_values(found.values, seg, threshold)) & (found.starts < seg.pixels)
    return found.starts[kept], found.stops[kept], found.labels[kept]


def _kept_values(values: tuple[int, ...], seg: _Seg, threshold: float | None) -> list[int]:
    """Which of the stored values stand for a segment."""
    where, maximum = seg.where, seg.header.unsigned("MaximumFractionalValue") or 255
    if seg.is_labelmap:
        unknown = [v for v in values if v not in seg.names and v != seg.padding]
        if unknown:
            msg = f"{where}: holds the value {unknown[0]}, which SegmentSequence does not describe."
            raise CorruptDataError(msg, hint=_EXPORT_AGAIN)
        return [v for v in values if v in seg.names]
    if seg.kind == "BINARY" or set(values) <= {maximum}:
        if len(values) > 1:
            msg = f"{where}: is BINARY but holds the values {list(values[:5])} beside 0."
            raise MaskValueError(msg)
        return list(values)
    if max(values) > maximum:
        msg = f"{where}: holds the value {max(values)}, beyond MaximumFractionalValue {maximum}."
        raise MaskValueError(msg)
    if threshold is None:
        shares = ", ".join(f"{v / maximum:.3g}" for v in values[:5])
        msg = f"{where}: is a FRACTIONAL SEG whose voxels belong to a segment by shares ({shares}, ...)."
        raise MaskValueError(msg, hint="Say threshold = x (a share, e.g. 0.5) in its case.toml entry.")
    lowest = Fraction(repr(threshold)) * maximum
    return [v for v in values if v >= lowest]
