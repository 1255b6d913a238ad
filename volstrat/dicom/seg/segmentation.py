"""DICOM SEG to voxel runs, straight from the stored bits (PS3.3 A.51, C.8.20).

BINARY, FRACTIONAL and LABELMAP. Positions are LPS mm already; columns become ``i``, rows ``j``, and
slices rise along the normal (row direction x column direction). No dense volume is ever held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.dicom.derived import (
    FRAME_OF_REFERENCE_UID,
    SERIES_INSTANCE_UID,
    items_of,
    label_of,
    read_derived,
    unique,
)
from volstrat.dicom.seg.seg_frames import SegFrames, seg_frames
from volstrat.dicom.seg.seg_lattice import frame_lattice
from volstrat.dicom.seg.seg_pixels import pixel_pieces
from volstrat.errors import CorruptDataError, FormatError, MaskValueError, UsageError
from volstrat.geometry.bits import BitScanner
from volstrat.geometry.mask import Mask
from volstrat.geometry.run_scanner import RunScanner
from volstrat.geometry.runs import LabelRuns, _merged, split_rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.dicom.header import Header
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding

    Int64s = NDArray[np.int64]

SEG_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_REFERENCED_SERIES: Final = 0x00081115
_OTHER_STUDIES: Final = 0x00081200
_SAMPLES_PER_PIXEL: Final = 0x00280002
_NUMBER_OF_FRAMES: Final = 0x00280008
_ROWS: Final = 0x00280010
_COLUMNS: Final = 0x00280011
_BITS_ALLOCATED: Final = 0x00280100
_PIXEL_PADDING_VALUE: Final = 0x00280120
_SEGMENTATION_TYPE: Final = 0x00620001
_SEGMENTS: Final = 0x00620002
_SEGMENT_NUMBER: Final = 0x00620004
_SEGMENT_LABEL: Final = 0x00620005
_MAXIMUM_FRACTIONAL_VALUE: Final = 0x0062000E
_SHARED_GROUPS: Final = 0x52009229
_FRAME_GROUPS: Final = 0x52009230
_WANTED: Final = frozenset(
    {
        _REFERENCED_SERIES,
        _OTHER_STUDIES,
        FRAME_OF_REFERENCE_UID,
        _SAMPLES_PER_PIXEL,
        _NUMBER_OF_FRAMES,
        _ROWS,
        _COLUMNS,
        _BITS_ALLOCATED,
        _PIXEL_PADDING_VALUE,
        _SEGMENTATION_TYPE,
        _SEGMENTS,
        _MAXIMUM_FRACTIONAL_VALUE,
        _SHARED_GROUPS,
        _FRAME_GROUPS,
    }
)
_COPY_AGAIN: Final = "Copy the file again from its source."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seg:
    """What the header of a SEG says, checked."""

    kind: str
    rows: int
    columns: int
    bits_allocated: int
    maximum: int
    padding: int | None
    names: dict[int, str]
    frames: SegFrames
    frame_of_reference_uid: str | None
    referenced_series_uids: tuple[str, ...]
    header: Header = field(repr=False)

    @property
    def is_labelmap(self) -> bool:
        return self.kind == "LABELMAP"


def read_seg(
    path: Path, *, threshold: float | None = None, image_grid: VoxelGrid | None = None
) -> tuple[Mask, tuple[Finding, ...]]:
    """Read all segments of a DICOM SEG.

    Parameters
    ----------
    path : Path
    threshold : float, optional
        For FRACTIONAL: the share of MaximumFractionalValue, above 0 and up to 1, from which a voxel
        belongs to its segment. Not needed where only 0 and the maximum occur.
    image_grid : VoxelGrid, optional
        Grid of the segmented image. Only its distance between slices is used, where the SEG states
        no SpacingBetweenSlices that its positions agree with; without both, the positions say it.

    Returns
    -------
    mask : Mask
        Labels are segment numbers; overlapping segments stay overlapping; segments without a frame
        stay named. The grid is a window: the slab from the first to the last frame.
    findings : tuple of Finding

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
    seg = _read_header(path)
    if threshold is not None and seg.is_labelmap:
        msg = f"{path.name}: is a LABELMAP, whose values are segments; a threshold has no meaning there."
        raise UsageError(msg, hint="Leave threshold out.")
    lattice = frame_lattice(
        seg.frames.planes,
        rows=seg.rows,
        columns=seg.columns,
        frame_of_reference_uid=seg.frame_of_reference_uid,
        image_grid=image_grid,
        where=path.name,
    )
    _refuse_doubled_frames(seg, lattice.slices, path.name)
    runs = _runs(path, seg, lattice.slices, threshold)
    return Mask(grid=lattice.grid, runs=runs, names=seg.names), lattice.findings


def referenced_series_uids(path: Path) -> tuple[str, ...]:
    """Return the series UIDs that a SEG says it was drawn on; empty where it does not say."""
    return _read_header(path).referenced_series_uids


def _read_header(path: Path) -> _Seg:
    where = path.name
    header = read_derived(path, _WANTED, classes=SEG_CLASSES, kind="a DICOM SEG")
    kind = header.text(_SEGMENTATION_TYPE).upper()
    rows, columns = header.unsigned(_ROWS) or 0, header.unsigned(_COLUMNS) or 0
    bits = header.unsigned(_BITS_ALLOCATED) or 0
    allowed = {"BINARY": (1, 8), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}
    if kind not in allowed:
        msg = f"{where}: SegmentationType is {kind!r}; BINARY, FRACTIONAL and LABELMAP are read."
        raise FormatError(msg)
    if bits not in allowed[kind] or header.unsigned(_SAMPLES_PER_PIXEL) not in (1, None):
        msg = f"{where}: a {kind} SEG with {bits} bits allocated is not in the standard."
        raise FormatError(msg)
    if not rows or not columns:
        msg = f"{where}: Rows and Columns are {rows} and {columns}."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    names = _segment_names(header, is_labelmap=kind == "LABELMAP", where=where)
    frames = seg_frames(
        items_of(header, _FRAME_GROUPS, where),
        items_of(header, _SHARED_GROUPS, where),
        only_segment=next(iter(names)) if len(names) == 1 else None,
        is_labelmap=kind == "LABELMAP",
        where=where,
    )
    stated = header.number(_NUMBER_OF_FRAMES)
    if stated is not None and stated != frames.count:
        msg = f"{where}: NumberOfFrames is {stated:g} but {frames.count} frames are described."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    unknown = sorted({int(n) for n in frames.segments} - set(names))
    if unknown and kind != "LABELMAP":
        msg = f"{where}: a frame belongs to segment {unknown[0]}, which SegmentSequence does not describe."
        raise CorruptDataError(msg, hint="Export the segmentation again.")
    return _Seg(
        kind=kind,
        rows=rows,
        columns=columns,
        bits_allocated=bits,
        maximum=header.unsigned(_MAXIMUM_FRACTIONAL_VALUE) or 255,
        padding=header.unsigned(_PIXEL_PADDING_VALUE),
        names=names,
        frames=frames,
        frame_of_reference_uid=header.text(FRAME_OF_REFERENCE_UID) or None,
        referenced_series_uids=_series_uids(header, where),
        header=header,
    )


def _segment_names(header: Header, *, is_labelmap: bool, where: str) -> dict[int, str]:
    """Return names by rising number, without the background and padding entries of a LABELMAP."""
    names: dict[int, str] = {}
    for item in items_of(header, _SEGMENTS, where):
        number = item.unsigned(_SEGMENT_NUMBER)
        if number is None or number in names:
            said = "without a number" if number is None else f"number {number} twice"
            msg = f"{where}: SegmentSequence describes a segment {said}."
            raise CorruptDataError(msg, hint="Export the segmentation again.")
        names[number] = label_of(header, item, _SEGMENT_LABEL)
    if is_labelmap:
        names = _without_background(header, names, where)
    if not names or min(names) < 1:
        msg = f"{where}: describes no segment with a number from 1; has {sorted(names) or 'none'}."
        raise FormatError(msg)
    return dict(sorted(names.items()))


def _without_background(header: Header, names: dict[int, str], where: str) -> dict[int, str]:
    padding = header.unsigned(_PIXEL_PADDING_VALUE)
    zero = names.get(0)
    if zero is not None and padding not in (0, None) and "background" not in zero.lower():
        msg = f"{where}: uses segment number 0 for {zero!r}, which cannot be a label (from 1)."
        raise FormatError(msg, hint="Renumber the segments from 1.")
    return {number: name for number, name in names.items() if number not in (0, padding)}


def _series_uids(header: Header, where: str) -> tuple[str, ...]:
    holders = [header, *items_of(header, _OTHER_STUDIES, where)]
    series = [item for holder in holders for item in items_of(holder, _REFERENCED_SERIES, where)]
    return unique([item.text(SERIES_INSTANCE_UID) for item in series])


def _refuse_doubled_frames(seg: _Seg, slices: Int64s, where: str) -> None:
    pairs = np.stack([slices, seg.frames.segments], axis=-1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts > 1).any():
        at, number = found[counts > 1][0]
        of = "" if seg.is_labelmap else f" of segment {number} {seg.names[int(number)]!r}"
        msg = f"{where}: has {counts.max()} frames{of} at one position (slice {at} of the slab)."
        raise CorruptDataError(msg, hint="Export the segmentation again.")


def _runs(path: Path, seg: _Seg, slices: Int64s, threshold: float | None) -> LabelRuns:
    """Return the runs of all segments on the slab's grid."""
    if seg.bits_allocated == 1:
        starts, stops = _binary_runs(path, seg)
        values = np.ones(starts.size, np.int64)
    else:
        starts, stops, values = _value_runs(path, seg, threshold)
    pixels = seg.rows * seg.columns
    starts, stops, values = split_rows(starts, stops, pixels, values)
    frame = starts // pixels
    labels = values if seg.is_labelmap else seg.frames.segments[frame]
    shift = (slices - np.arange(slices.size))[frame] * pixels
    return _merged(starts + shift, stops + shift, labels)


def _binary_runs(path: Path, seg: _Seg) -> tuple[Int64s, Int64s]:
    """Return runs over the line of bits of all frames."""
    scanner = BitScanner()
    shape = (seg.rows, seg.columns)
    for piece in pixel_pieces(path, seg.header, frames=seg.frames.count, shape=shape, bits=1):
        scanner.feed(piece)
    starts, stops = scanner.finish()
    bits = seg.frames.count * seg.rows * seg.columns
    kept = starts < bits  # what follows pads the last byte
    return starts[kept], np.minimum(stops[kept], bits)


def _value_runs(path: Path, seg: _Seg, threshold: float | None) -> tuple[Int64s, Int64s, Int64s]:
    """Return runs of the values that stand for a segment, over the line of pixels of all frames."""
    scanner = RunScanner(np.dtype(f"<u{seg.bits_allocated // 8}"), where=path.name)
    shape = (seg.rows, seg.columns)
    for piece in pixel_pieces(
        path, seg.header, frames=seg.frames.count, shape=shape, bits=seg.bits_allocated
    ):
        scanner.feed(piece)
    found = scanner.finish()
    kept = _kept_values(found.values, seg, threshold, path.name)
    keep = np.isin(found.labels, kept) & (found.starts < seg.frames.count * seg.rows * seg.columns)
    return found.starts[keep], found.stops[keep], found.labels[keep]


def _kept_values(values: tuple[int, ...], seg: _Seg, threshold: float | None, where: str) -> list[int]:
    """Which of the stored values stand for a segment."""
    if seg.is_labelmap:
        unknown = [v for v in values if v not in seg.names and v != seg.padding]
        if unknown:
            msg = f"{where}: holds the value {unknown[0]}, which SegmentSequence does not describe."
            raise CorruptDataError(msg, hint="Export the segmentation again.")
        return [v for v in values if v in seg.names]
    if seg.kind == "BINARY" or set(values) <= {seg.maximum}:
        if len(values) > 1:
            msg = f"{where}: is BINARY but holds the values {list(values[:5])} beside 0."
            raise MaskValueError(msg)
        return list(values)
    if max(values) > seg.maximum:
        msg = f"{where}: holds the value {max(values)}, beyond MaximumFractionalValue {seg.maximum}."
        raise MaskValueError(msg)
    if threshold is None:
        shares = ", ".join(f"{v / seg.maximum:.3g}" for v in values[:5])
        msg = f"{where}: is a FRACTIONAL SEG whose voxels belong to a segment by shares ({shares}, ...)."
        raise MaskValueError(msg, hint="Say threshold = x (a share, e.g. 0.5) in its case.toml entry.")
    lowest = Fraction(repr(threshold)) * seg.maximum
    return [v for v in values if v >= lowest]
