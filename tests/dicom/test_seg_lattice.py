"""On which grid a segmentation lies: spacing, slices off the lattice, windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.dicom.seg_cases import (
    blobs,
    changed,
    dense_label,
    grid_of,
    reordered,
    saved,
    segment_item,
    segmentation,
)
from volstrat.dicom.seg.segmentation import read_seg
from volstrat.errors import (
    CorruptDataError,
    GeometryError,
)


def test_the_window_covers_the_slab_of_frames_and_gaps_in_it(tmp_path: Path) -> None:
    """Slices 2, 3 and 6 of 9 hold tumour: five slices from 2 on, 2.5 mm apart."""
    shape = (6, 5, 9)
    dense = np.zeros(shape, np.uint8)
    dense[1:4, 2:4, [2, 3, 6]] = 1
    mask, _ = read_seg(saved(segmentation(dense), tmp_path))
    assert mask.grid.shape == (6, 5, 5)
    assert mask.grid.to_mm([0, 0, 0]) == pytest.approx(grid_of(shape).to_mm([0, 0, 2]))
    assert mask.runs.union().count == 3 * 2 * 3
    assert (dense_label(mask, shape, 1) == (dense == 1)).all()


def _without_spacing(seg: Dataset, thickness: float | None) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices
    measures.SliceThickness = thickness


@pytest.mark.parametrize(
    ("slices", "thickness", "spacing", "codes_found"),
    [
        pytest.param([2, 3, 6], 3.0, 2.5, [], id="neighbours among them"),
        pytest.param([0, 2, 5], 3.0, 2.5, ["seg_slice_spacing_inferred"], id="only gaps of 2 and 3"),
        pytest.param([0, 2, 4], 2.5, 5.0, ["seg_slice_spacing_inferred"], id="every other slice"),
        pytest.param([4], 2.5, 2.5, ["single_slice"], id="one slice, thickness"),
    ],
)
def test_spacing_is_found_where_it_is_not_stated(
    tmp_path: Path, slices: list[int], thickness: float, spacing: float, codes_found: list[str]
) -> None:
    """From positions, or from the thickness of a single slice; doubt is a finding."""
    dense = np.zeros((6, 5, 7), np.uint8)
    dense[1:4, 2:4, slices] = 1
    seg = changed(tmp_path, dense)
    _without_spacing(seg, thickness)
    mask, findings = read_seg(saved(seg, tmp_path))
    assert mask.grid.spacing_mm[2] == pytest.approx(spacing)
    assert [f.code for f in findings] == codes_found
    assert mask.runs.union().count == 6 * len(slices)


def test_the_grid_of_the_image_settles_the_spacing(tmp_path: Path) -> None:
    """Every other slice drawn, nothing stated: the image's 2.5 mm count, without a finding."""
    dense = np.zeros((6, 5, 7), np.uint8)
    dense[1:4, 2:4, [0, 2, 4]] = 1
    seg = changed(tmp_path, dense)
    _without_spacing(seg, 2.5)
    mask, findings = read_seg(saved(seg, tmp_path), image_grid=grid_of((6, 5, 7)))
    assert mask.grid.spacing_mm[2] == pytest.approx(2.5)
    assert findings == ()
    assert (dense_label(mask, (6, 5, 7), 1) == (dense == 1)).all()


def test_a_wrong_stated_spacing_gives_way_to_the_positions(tmp_path: Path) -> None:
    """SpacingBetweenSlices of 4 mm between positions 2.5 mm apart: 2.5 mm, and a finding."""
    seg = changed(tmp_path, np.ones((6, 5, 4), np.uint8))
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 4.0
    mask, findings = read_seg(saved(seg, tmp_path))
    assert mask.grid.spacing_mm[2] == pytest.approx(2.5)
    assert [(f.code, f.severity) for f in findings] == [("seg_slice_spacing_inferred", "review")]


def test_one_slice_without_any_spacing_is_refused(tmp_path: Path) -> None:
    """A volume needs a thickness."""
    dense = np.zeros((6, 5, 7), np.uint8)
    dense[1:4, 2:4, 3] = 1
    seg = changed(tmp_path, dense)
    _without_spacing(seg, None)
    with pytest.raises(GeometryError, match="neither SpacingBetweenSlices nor SliceThickness"):
        read_seg(saved(seg, tmp_path))


def _shift(seg: Dataset, frame: int, by: tuple[float, float, float]) -> None:
    position = seg.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
    position.ImagePositionPatient = [a + b for a, b in zip(position.ImagePositionPatient, by, strict=True)]


@pytest.mark.parametrize("off_mm", [0.04, -0.04])
def test_a_slice_may_lie_a_little_off_the_lattice(tmp_path: Path, off_mm: float) -> None:
    """0.04 mm are 1.6 % of 2.5 mm: read, with a finding."""
    dense = np.ones((6, 5, 6), np.uint8)
    seg = changed(tmp_path, dense)
    _shift(seg, 2, (0, 0, off_mm))
    mask, findings = read_seg(saved(seg, tmp_path))
    assert mask.grid.shape == (6, 5, 6)
    assert [f.code for f in findings] == ["slices_off_lattice"]


@pytest.mark.parametrize(
    "by", [(0, 0, 0.2), (0, 0, 1.1), (0.2, 0, 0)], ids=["8 % off", "between slices", "shifted in plane"]
)
def test_a_slice_off_the_lattice_is_refused(tmp_path: Path, by: tuple[float, float, float]) -> None:
    """More than 2 % of the spacing is no regular lattice."""
    seg = changed(tmp_path, np.ones((6, 5, 6), np.uint8))
    _shift(seg, 2, by)
    with pytest.raises(GeometryError, match=r"seg\.dcm"):
        read_seg(saved(seg, tmp_path))


def test_sheared_slices_are_refused(tmp_path: Path) -> None:
    """Each slice starts 0.3 mm further along x: gantry tilt."""
    seg = changed(tmp_path, np.ones((6, 5, 6), np.uint8))
    for frame in range(6):
        _shift(seg, frame, (0.3 * frame, 0, 0))
    with pytest.raises(GeometryError, match="sheared"):
        read_seg(saved(seg, tmp_path))


def test_two_orientations_are_refused(tmp_path: Path) -> None:
    """A frame with an orientation of its own beside the shared one."""
    seg = changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    other = Dataset()
    other.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    seg.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [other]
    with pytest.raises(GeometryError, match="2 different orientations"):
        read_seg(saved(seg, tmp_path))


def test_two_pixel_spacings_are_refused(tmp_path: Path) -> None:
    """A frame with a pixel spacing of its own beside the shared one."""
    seg = changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    other = Dataset()
    other.PixelSpacing, other.SliceThickness, other.SpacingBetweenSlices = [0.75, 1.3], 3.0, 2.5
    seg.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [other]
    with pytest.raises(GeometryError, match="one positive PixelSpacing"):
        read_seg(saved(seg, tmp_path))


def test_groups_may_be_per_frame_or_shared(tmp_path: Path) -> None:
    """Segment number in the shared groups; orientation and measures in each frame's own."""
    shape = (6, 5, 3)
    dense = blobs(shape, 1)
    seg = changed(tmp_path, dense)
    seg.SegmentSequence.append(segment_item(2, "Empty"))
    shared, frames = seg.SharedFunctionalGroupsSequence[0], seg.PerFrameFunctionalGroupsSequence
    identified = shared if "SegmentIdentificationSequence" in shared else frames[0]
    shared.SegmentIdentificationSequence = identified.SegmentIdentificationSequence
    for frame in frames:
        frame.pop("SegmentIdentificationSequence", None)
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    mask, _ = read_seg(saved(seg, tmp_path))
    assert (dense_label(mask, shape, 1) == (dense == 1)).all()


def test_two_frames_of_one_position_and_segment_are_refused(tmp_path: Path) -> None:
    """Which one is meant cannot be known."""
    seg = changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    reordered(seg, np.array([0, 1, 2, 1]))
    with pytest.raises(CorruptDataError, match=r"2 frames of segment 1 'Lesion 1' at one position"):
        read_seg(saved(seg, tmp_path))
