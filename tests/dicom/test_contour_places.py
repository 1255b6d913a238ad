"""Where contours lie: between slices, tilted, outside, with gaps, crossing, given twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.dicom.contour_cases import (
    HOLE,
    HOLE_VOXELS,
    SQUARE,
    SQUARE_VOXELS,
    Points,
    codes_of,
    contour_of,
    read,
    voxels_by_slice,
)
from volstrat.errors import (
    FormatError,
    GridMismatchError,
)


@pytest.mark.parametrize(
    ("others", "severity"),
    [
        pytest.param([(SQUARE[:1], "CLOSED_PLANAR")], "info", id="one point"),
        pytest.param([(SQUARE[:2], "CLOSED_PLANAR")], "info", id="two points"),
        pytest.param([(SQUARE[:1], "POINT")], "info", id="POINT"),
        pytest.param([(SQUARE, "OPEN_PLANAR")], "review", id="OPEN_PLANAR"),
        pytest.param([(SQUARE, "OPEN_NONPLANAR")], "review", id="OPEN_NONPLANAR"),
    ],
)
def test_contours_without_area_are_told(
    tmp_path: Path, others: list[tuple[Points, str]], severity: str
) -> None:
    """They fill nothing; an open outline may be a lesion that was not closed."""
    contours = [contour_of(SQUARE, 4), *(contour_of(points, 5, kind=kind) for points, kind in others)]
    mask, findings = read({(1, "GTV"): contours}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS
    assert codes_of(findings) == [("rtstruct_contour_without_area", severity)]


def test_a_roi_of_points_alone_is_a_marker(tmp_path: Path) -> None:
    """An isocentre has no voxels and is told as such."""
    mask, findings = read({(1, "ISO"): [contour_of(SQUARE[:1], 4, kind="POINT")]}, tmp_path)
    assert mask.voxels().count == 0
    assert dict(mask.names) == {1: "ISO"}
    assert codes_of(findings) == [("rtstruct_contour_without_area", "info")]


def test_an_unknown_kind_of_contour_is_refused(tmp_path: Path) -> None:
    """What is not known may not be left out."""
    with pytest.raises(FormatError, match=r"rtss\.dcm.*'SPHERE'"):
        read({(1, "GTV"): [contour_of(SQUARE, 4, kind="SPHERE")]}, tmp_path)


@pytest.mark.parametrize(
    ("off_slices", "told"),
    [
        pytest.param(0.0, [], id="on its slice"),
        pytest.param(0.015, [], id="rounded"),
        pytest.param(0.2, [("rtstruct_contour_off_slice", "warning")], id="a fifth of a slice off"),
        pytest.param(-0.2, [("rtstruct_contour_off_slice", "warning")], id="a fifth below"),
    ],
)
def test_a_contour_belongs_to_its_nearest_slice(
    tmp_path: Path, off_slices: float, told: list[tuple[str, str]]
) -> None:
    """Up to a quarter of the slice spacing off; beyond rounding it is told."""
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, 4 + off_slices)]}, tmp_path)
    assert voxels_by_slice(mask) == [0] * 4 + [SQUARE_VOXELS] + [0] * 7
    assert codes_of(findings) == told


@pytest.mark.parametrize("off_slices", [0.3, 0.5, 0.7])
def test_contours_between_slices_are_refused(tmp_path: Path, off_slices: float) -> None:
    """They were drawn on another image; the message says how far off they are."""
    with pytest.raises(
        GridMismatchError, match=r"ROI 1 'GTV' has 1 of 2 contours between .*0\.90 mm|1\.50 mm"
    ):
        read({(1, "GTV"): [contour_of(SQUARE, 4), contour_of(SQUARE, 5 + off_slices)]}, tmp_path)


def test_tilted_contours_are_refused(tmp_path: Path) -> None:
    """A contour that rises by a slice from end to end lies in no slice."""
    tilted = contour_of(SQUARE, 4)
    data = list(tilted.ContourData)
    data[2], data[5] = f"{float(data[2]) + 1.5:.3f}", f"{float(data[5]) + 3.0:.3f}"
    tilted.ContourData = data
    with pytest.raises(GridMismatchError, match=r"ROI 1 'GTV' has 1 contour\(s\) in planes tilted"):
        read({(1, "GTV"): [contour_of(SQUARE, 3), tilted, contour_of(SQUARE, 5)]}, tmp_path)


@pytest.mark.parametrize(
    ("rise_mm", "told"),
    [
        pytest.param(0.05, [], id="rounding"),
        pytest.param(0.6, [("rtstruct_contour_off_slice", "warning")], id="a little"),
    ],
)
def test_a_small_tilt_is_told(tmp_path: Path, rise_mm: float, told: list[tuple[str, str]]) -> None:
    """Every point is within a quarter of the slice spacing (0.75 mm) of the slice: half the rise."""
    mask, findings = read({(1, "GTV"): [_tilted(0.0, rise_mm)]}, tmp_path)
    assert voxels_by_slice(mask)[4] == SQUARE_VOXELS
    assert codes_of(findings) == told


def test_tilt_and_distance_add_up(tmp_path: Path) -> None:
    """0.6 mm off the slice and 0.6 mm of tilt: one end is 0.9 mm off, more than a quarter of 3 mm."""
    with pytest.raises(GridMismatchError, match=r"up to 0\.90 mm off"):
        read({(1, "GTV"): [_tilted(0.3, 0.6)]}, tmp_path)


def _tilted(low_mm: float, rise_mm: float) -> Dataset:
    """Return the square from ``low_mm`` above slice 4 to ``rise_mm`` further up."""
    contour = contour_of(SQUARE, 4)
    data = [float(x) for x in contour.ContourData]
    data[2::3] = [data[2] + low_mm, data[2] + low_mm, data[2] + low_mm + rise_mm, data[2] + low_mm + rise_mm]
    contour.ContourData = [f"{x:.3f}" for x in data]
    return contour


def test_contours_that_reach_outside_the_image_are_told(tmp_path: Path) -> None:
    """One beyond the last slice, one half beyond the first column."""
    beyond = tuple((u - 6.0, v) for u, v in SQUARE)  # columns -3 to 3: 4 of 7 are in the image
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, 12), contour_of(beyond, 11)]}, tmp_path)
    assert mask.voxels().count == 4 * 6
    assert codes_of(findings) == [("rtstruct_contour_outside_image", "review")]
    assert "2 of 2 contours" in findings[0].message


def test_a_roi_wholly_outside_the_image_is_refused(tmp_path: Path) -> None:
    """It was drawn on another image."""
    with pytest.raises(GridMismatchError, match="ROI 2 'GTV' lies wholly outside"):
        read({(1, "Liver"): [contour_of(SQUARE, 4)], (2, "GTV"): [contour_of(SQUARE, 40)]}, tmp_path)


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        pytest.param([2, 3, 4], [], id="every slice"),
        pytest.param([2, 4, 6, 8], [("rtstruct_slice_gaps", "review")], id="6 mm on a 3 mm image"),
        pytest.param([2, 3, 5, 6], [("rtstruct_slice_gaps", "review")], id="one slice left out"),
        pytest.param([1, 2, 9, 10], [("rtstruct_slice_gaps", "info")], id="two lesions"),
    ],
)
def test_slices_left_out_are_told(tmp_path: Path, slices: list[int], told: list[tuple[str, str]]) -> None:
    """Nothing is filled in between; a short gap between overlapping contours needs a look."""
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, k) for k in slices]}, tmp_path)
    assert [k for k, count in enumerate(voxels_by_slice(mask)) if count] == slices
    assert codes_of(findings) == told


def test_a_gap_between_lesions_side_by_side_is_information(tmp_path: Path) -> None:
    """Contours either side of the gap that do not lie over one another are two lesions."""
    aside = tuple((u + 12, v) for u, v in SQUARE)
    _, findings = read({(1, "GTV"): [contour_of(SQUARE, 3), contour_of(aside, 5)]}, tmp_path)
    assert codes_of(findings) == [("rtstruct_slice_gaps", "info")]


def test_crossing_contours_are_told(tmp_path: Path) -> None:
    """Two contours of one ROI that partly overlap: 42 + 42 - 2 * 3 * 2 voxels by even-odd, and a finding."""
    moved = tuple((u + 4, v + 4) for u, v in SQUARE)
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, 4), contour_of(moved, 4)]}, tmp_path)
    assert mask.voxels().count == 42 + 42 - 2 * 3 * 2
    assert codes_of(findings) == [("rtstruct_contours_cross", "review")]


def test_rois_may_overlap_each_other(tmp_path: Path) -> None:
    """Even-odd is within one ROI: another ROI on the same slice is no hole."""
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, 4)], (2, "Core"): [contour_of(HOLE, 4)]}, tmp_path)
    assert (mask.runs.of(1).count, mask.runs.of(2).count) == (SQUARE_VOXELS, HOLE_VOXELS)
    assert findings == ()


def test_a_contour_given_twice_does_not_cancel_out(tmp_path: Path) -> None:
    """The very same contour twice in one ROI is counted once, and told."""
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, 4), contour_of(SQUARE, 4)]}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS
    assert codes_of(findings) == [("rtstruct_contour_repeated", "review")]


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(SQUARE[::-1], id="the other way round"),
        pytest.param(SQUARE[2:] + SQUARE[:2], id="from another vertex"),
        pytest.param((*SQUARE, SQUARE[0]), id="closed by its first vertex"),
        pytest.param(tuple((u + 0.002, v) for u, v in SQUARE), id="in other decimals"),
    ],
)
def test_a_contour_given_twice_does_not_cancel_out_however_it_is_written(
    tmp_path: Path, again: Points
) -> None:
    """The same polygon in one ROI counts once, with a hole inside it still a hole; so do three of it."""
    contours = [contour_of(points, 4) for points in (SQUARE, HOLE, again)]
    mask, findings = read({(1, "GTV"): contours}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - HOLE_VOXELS
    assert codes_of(findings) == [("rtstruct_contour_repeated", "review")]
    thrice = [*contours, contour_of(SQUARE, 4)]
    mask, _ = read({(1, "GTV"): thrice, (2, "Core"): [contour_of(SQUARE, 4)]}, tmp_path)
    assert (mask.runs.of(1).count, mask.runs.of(2).count) == (SQUARE_VOXELS - HOLE_VOXELS, SQUARE_VOXELS)


def test_two_contours_of_the_same_voxels_are_not_one(tmp_path: Path) -> None:
    """A ring thinner than a voxel: its two outlines hold the same centres, so nothing is inside, and told."""
    inner = ((2.6, 1.6), (9.4, 1.6), (9.4, 7.4), (2.6, 7.4))
    mask, findings = read({(1, "GTV"): [contour_of(SQUARE, 4), contour_of(inner, 4)]}, tmp_path)
    assert mask.voxels().count == 0
    assert codes_of(findings) == [("rtstruct_contours_cross", "review")]


def test_a_contour_wound_twice_is_told(tmp_path: Path) -> None:
    """Round the square and again, in the same sense, round a corner of it: 4 voxels fall out."""
    twice = (*SQUARE, SQUARE[0], (4.5, 1.5), (4.5, 3.5), (2.5, 3.5))
    mask, findings = read({(1, "GTV"): [contour_of(twice, 4)]}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - 4
    assert codes_of(findings) == [("rtstruct_contour_self_overlap", "review")]
    assert "4 voxel(s)" in findings[0].message
