"""DICOM SEG to runs, against highdicom's writer and files changed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.dicom.seg_cases import (
    FRAME,
    SERIES,
    blobs,
    changed,
    dense_label,
    reordered,
    saved,
    segment_item,
    segmentation,
    set_frames,
)
from volstrat.dicom.folder_scan import scan_files
from volstrat.dicom.seg.segmentation import read_seg
from volstrat.errors import (
    CorruptDataError,
    MaskValueError,
    UsageError,
)


@pytest.mark.parametrize("shape", [(8, 8, 3), (7, 5, 4), (13, 11, 5), (3, 3, 9), (64, 3, 2)])
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_labels_are_read_back_voxel_by_voxel(tmp_path: Path, shape: tuple[int, ...], kind: str) -> None:
    """Whatever the matrix (rows x columns is often no multiple of 8) and the type of the SEG."""
    dense = blobs(shape, 3)
    mask, findings = read_seg(saved(segmentation(dense, kind), tmp_path))
    for label in (1, 2, 3):
        assert (dense_label(mask, shape, label) == (dense == label)).all()
    assert dict(mask.names) == {1: "Lesion 1", 2: "Lesion 2", 3: "Lesion 3"}
    assert mask.grid.frame_of_reference_uid == FRAME
    assert mask.grid.is_window
    assert mask.grid.voxel_volume_mm3 == pytest.approx(0.75 * 1.25 * 2.5, rel=1e-12)
    assert findings == ()


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_overlapping_segments_stay_overlapping(tmp_path: Path, kind: str) -> None:
    """Three segments drawn without regard to each other are read back whole."""
    shape = (9, 7, 4)
    dense = (np.random.default_rng(3).random((*shape, 3)) < 0.4).astype(np.uint8)
    mask, _ = read_seg(saved(segmentation(dense, kind), tmp_path))
    assert mask.runs.overlapping
    for label in (1, 2, 3):
        assert (dense_label(mask, shape, label) == dense[..., label - 1]).all()


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_frames_may_come_in_any_order(tmp_path: Path, kind: str) -> None:
    """Positions and segment numbers say what a frame is, not its place in the file."""
    shape = (13, 11, 6)
    dense = blobs(shape, 4)
    seg = changed(tmp_path, dense, kind=kind)
    reordered(seg, np.random.default_rng(5).permutation(int(seg.NumberOfFrames)))
    mask, _ = read_seg(saved(seg, tmp_path))
    for label in (1, 2, 3, 4):
        assert (dense_label(mask, shape, label) == (dense == label)).all()


def test_bits_that_pad_the_last_byte_are_no_voxels(tmp_path: Path) -> None:
    """3 frames of 7 x 5 pixels are 105 bits; the other 7 of the last byte and the odd byte are set."""
    seg = changed(tmp_path, np.ones((7, 5, 3), np.uint8))
    seg.PixelData = bytes([255] * 14)
    mask, _ = read_seg(saved(seg, tmp_path))
    assert mask.runs.union().count == 7 * 5 * 3
    seg.PixelData = bytes(13) + b"\xfe"
    mask, _ = read_seg(saved(seg, tmp_path))
    assert mask.runs.union().count == 0


def test_an_empty_segment_stays_named(tmp_path: Path) -> None:
    """A segment that is described but has no frame: empty, not missing."""
    seg = changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    seg.SpecificCharacterSet = "ISO_IR 192"
    seg.SegmentSequence.append(segment_item(7, "Primärtumör"))
    path = saved(seg, tmp_path)
    mask, _ = read_seg(path)
    assert dict(mask.names) == {1: "Lesion 1", 7: "Primärtumör"}
    assert mask.labels == (1, 7)
    assert mask.runs.of(7).count == 0


def test_references_are_told(tmp_path: Path) -> None:
    """The series that the segmentation was drawn on, and its frame of reference."""
    path = saved(segmentation(blobs((8, 8, 3), 2)), tmp_path)
    assert scan_files([path], root=tmp_path).segmentations[0].referenced_series_uids == (SERIES,)
    assert read_seg(path)[0].grid.frame_of_reference_uid == FRAME


def test_references_to_another_study_are_told_too(tmp_path: Path) -> None:
    """A series of another study is listed under that study."""
    seg = changed(tmp_path, blobs((8, 8, 3), 1))
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID = "9.9.9"
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "9.9", [series]
    seg.StudiesContainingOtherReferencedInstancesSequence = [study]
    file = scan_files([saved(seg, tmp_path)], root=tmp_path).segmentations[0]
    assert file.referenced_series_uids == (SERIES, "9.9.9")


def test_a_missing_frame_of_reference_is_none(tmp_path: Path) -> None:
    """Not an empty string, which would differ from every other one."""
    seg = changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    del seg.FrameOfReferenceUID
    assert read_seg(saved(seg, tmp_path))[0].grid.frame_of_reference_uid is None


def test_a_fractional_seg_needs_a_threshold(tmp_path: Path) -> None:
    """Shares 0.2, 0.5 and 0.8 of 255 (51, 127.5 -> 127 or 128, 204): refused without, cut with one."""
    dense = np.zeros((8, 5, 3, 1), np.float32)
    dense[1, 1, :, 0], dense[2, 1, :, 0], dense[3, 1, :, 0] = 0.2, 0.5, 0.8
    path = saved(segmentation(dense, "FRACTIONAL"), tmp_path)
    with pytest.raises(MaskValueError, match="FRACTIONAL") as caught:
        read_seg(path)
    assert "threshold" in caught.value.hint
    # 51 / 255 is 0.2 to the last bit: the limit belongs to the segment.
    assert read_seg(path, threshold=0.2)[0].runs.union().count == 3 * 3
    assert read_seg(path, threshold=0.201)[0].runs.union().count == 2 * 3
    assert read_seg(path, threshold=0.6)[0].runs.union().count == 3
    assert read_seg(path, threshold=1.0)[0].runs.union().count == 0


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5, 128.0, float("nan")])
def test_a_threshold_is_a_share(tmp_path: Path, threshold: float) -> None:
    """Stored values (0..255) are not shares."""
    with pytest.raises(UsageError, match="share"):
        read_seg(saved(segmentation(np.ones((6, 5, 3), np.uint8)), tmp_path), threshold=threshold)


def test_the_padding_value_of_a_labelmap_is_no_segment(tmp_path: Path) -> None:
    """Value 5 pads, and is even described; 2 is a segment."""
    shape = (7, 5, 3)
    dense = blobs(shape, 2)
    seg = changed(tmp_path, dense, kind="LABELMAP")
    frames = seg.pixel_array.copy()
    frames[:, 0, :2] = 5
    set_frames(seg, frames)
    seg.PixelPaddingValue = 5
    seg.SegmentSequence.append(segment_item(5, "Padding"))
    mask, _ = read_seg(saved(seg, tmp_path))
    dense[:2, 0, :] = 0
    assert mask.labels == (1, 2)
    assert (dense_label(mask, shape, 2) == (dense == 2)).all()


def test_an_undescribed_value_of_a_labelmap_is_refused(tmp_path: Path) -> None:
    """Value 9 stands for nothing."""
    seg = changed(tmp_path, blobs((7, 5, 3), 2), kind="LABELMAP")
    frames = seg.pixel_array.copy()
    frames[0, 0, 0] = 9
    set_frames(seg, frames)
    with pytest.raises(CorruptDataError, match="holds the value 9"):
        read_seg(saved(seg, tmp_path))


def test_sixteen_bit_labels_are_read(tmp_path: Path) -> None:
    """Segment 300 does not fit eight bits."""
    shape = (7, 5, 3)
    dense = blobs(shape, 2).astype(np.uint16)
    seg = changed(tmp_path, dense.astype(np.uint8), kind="LABELMAP")
    frames = seg.pixel_array.astype("<u2")
    frames[frames == 2] = 300
    seg.BitsAllocated = seg.BitsStored = 16
    seg.HighBit = 15
    set_frames(seg, frames)
    seg["PixelData"].VR = "OW"
    seg.SegmentSequence[-1].SegmentNumber = 300
    mask, _ = read_seg(saved(seg, tmp_path))
    assert (dense_label(mask, shape, 300) == (dense == 2)).all()
