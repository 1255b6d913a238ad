"""RTSTRUCT to runs: what is filled, what is refused, what is told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from volstrat.dicom.rtstruct.structure_set import (
    list_rois,
    read_rtstruct,
    referenced_image_uids,
    referenced_series_uids,
)
from volstrat.errors import (
    CorruptDataError,
    FormatError,
    GridMismatchError,
    InputFileError,
    SegmentNotFoundError,
)
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import VoxelRuns
from volstrat.terms.findings import Finding

DATA = Path(os.environ.get("VOLSTRAT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="third-party images are not at hand (VOLSTRAT_TEST_DATA)"
)

SHAPE = (24, 20, 12)
SPACING = (1.25, 0.75, 3.0)
ORIGIN = (-31.5, 12.25, -7.5)
SERIES, STUDY, FRAME = "1.2.3.4.1", "1.2.3.4", "1.2.3.4.9"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
# Corners between centres: columns 3 to 9 and rows 2 to 7, 7 * 6 voxels.
SQUARE = ((2.5, 1.5), (9.5, 1.5), (9.5, 7.5), (2.5, 7.5))
SQUARE_VOXELS = 7 * 6
HOLE = ((4.5, 3.5), (6.5, 3.5), (6.5, 5.5), (4.5, 5.5))
HOLE_VOXELS = 2 * 2

Points = tuple[tuple[float, float], ...]


def _grid(frame: str | None = FRAME) -> VoxelGrid:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    return VoxelGrid(shape=SHAPE, affine=affine, frame_of_reference_uid=frame)


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _contour(points: Points, k: float, *, kind: str = "CLOSED_PLANAR", image: str | None = None) -> Dataset:
    """Return a contour given in voxel indices, written with three decimals."""
    mm = [np.array(ORIGIN) + np.array([u, v, k]) * SPACING for u, v in points]
    contour = _item(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points),
        ContourData=[f"{x:.3f}" for point in mm for x in point],
    )
    if image is not None:
        contour.ContourImageSequence = [_image(image)]
    return contour


def _image(uid: str) -> Dataset:
    return _item(ReferencedSOPClassUID=pydicom.uid.CTImageStorage, ReferencedSOPInstanceUID=uid)


def _roi(number: int, name: str, frame: str = FRAME) -> Dataset:
    return _item(
        ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=frame, ROIGenerationAlgorithm=""
    )


def _structure_set(rois: dict[tuple[int, str], list[Dataset]]) -> Dataset:
    """Return an RTSTRUCT; its contours are listed in the opposite order of its ROIs."""
    rt = Dataset()
    rt.file_meta = FileMetaDataset()
    rt.file_meta.TransferSyntaxUID = pydicom.uid.UID(IMPLICIT)
    rt.SpecificCharacterSet = "ISO_IR 192"
    rt.SOPClassUID = pydicom.uid.RTStructureSetStorage
    rt.SOPInstanceUID, rt.Modality = "1.2.3.4.3.1", "RTSTRUCT"
    rt.PatientName, rt.PatientID = "Doe^Jane", "19500101-1234"
    series = _item(
        SeriesInstanceUID=SERIES, ContourImageSequence=[_image(f"{SERIES}.{k}") for k in range(SHAPE[2])]
    )
    study = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=STUDY,
        RTReferencedSeriesSequence=[series],
    )
    rt.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=FRAME, RTReferencedStudySequence=[study])
    ]
    rt.StructureSetROISequence = [_roi(number, name) for number, name in rois]
    rt.ROIContourSequence = [
        _item(ReferencedROINumber=number, ContourSequence=contours)
        for (number, _), contours in reversed(rois.items())
    ]
    return rt


def _saved(rt: Dataset, folder: Path) -> Path:
    path = folder / "rtss.dcm"
    rt.save_as(path, enforce_file_format=True)
    return path


def _read(rois: dict[tuple[int, str], list[Dataset]], folder: Path) -> tuple[Mask, tuple[Finding, ...]]:
    return read_rtstruct(_saved(_structure_set(rois), folder), grid=_grid())


def _slices(mask: Mask, label: int = 1) -> list[int]:
    """Voxels of a label on each slice."""
    dense = mask.runs.of(label).to_crop(shape=SHAPE, low=(0, 0, 0), high=SHAPE)
    return [int(n) for n in dense.sum(axis=(0, 1))]


def _told(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in findings]


def test_rois_are_found_by_number_and_drawn_where_they_lie(tmp_path: Path) -> None:
    """Contours listed in another order than ROIs; columns are x, rows y, slices z."""
    rois = {
        (7, "Lever"): [_contour(SQUARE, k) for k in (3, 4)],
        (2, "Primärtumör"): [_contour(HOLE, 5)],
    }
    mask, findings = _read(rois, tmp_path)
    assert dict(mask.names) == {2: "Primärtumör", 7: "Lever"}
    assert findings == ()
    dense = mask.runs.of(7).to_crop(shape=SHAPE, low=(0, 0, 0), high=SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[3:10, 2:8, 3:5] = True
    assert (dense == expected).all()
    assert _slices(mask, 2) == [0] * 5 + [HOLE_VOXELS] + [0] * 6


# The last spelling is met in files though it is a letter too long for its value representation.
@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"])
def test_nested_contours_are_holes(tmp_path: Path, kind: str) -> None:
    """Even-odd over all contours of a slice, whatever they are called; no finding."""
    contours = [_contour(SQUARE, 4, kind=kind), _contour(HOLE, 4, kind=kind)]
    mask, findings = _read({(1, "GTV"): contours}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - HOLE_VOXELS
    assert findings == ()


def test_a_keyhole_is_a_hole(tmp_path: Path) -> None:
    """One contour that runs inward, round the hole in the other sense, and out the same way."""
    around = (*SQUARE, SQUARE[0], *HOLE[::-1], HOLE[3])
    mask, findings = _read({(1, "GTV"): [_contour(around, 4)]}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - HOLE_VOXELS
    assert findings == ()


def test_single_rois_are_read_on_request(tmp_path: Path) -> None:
    """Only the numbers asked for; one that is not there is refused with what is."""
    rois = {(1, "GTV"): [_contour(SQUARE, 4)], (2, "Liver"): [_contour(SQUARE, 5)]}
    path = _saved(_structure_set(rois), tmp_path)
    mask, _ = read_rtstruct(path, grid=_grid(), rois=[2])
    assert dict(mask.names) == {2: "Liver"}
    assert mask.runs.values == (2,)
    with pytest.raises(SegmentNotFoundError, match=r"no ROI number 3; it has 1 'GTV', 2 'Liver'"):
        read_rtstruct(path, grid=_grid(), rois=[2, 3])


def test_empty_rois_stay_named(tmp_path: Path) -> None:
    """No ContourSequence, an empty one, and no ROIContourSequence item at all."""
    rt = _structure_set(
        {(1, "GTV"): [_contour(SQUARE, 4)], (2, "Bones"): [], (3, "Lungs"): [], (4, "Gut"): []}
    )
    del rt.ROIContourSequence[0]
    del rt.ROIContourSequence[0].ContourSequence
    mask, findings = read_rtstruct(_saved(rt, tmp_path), grid=_grid())
    assert dict(mask.names) == {1: "GTV", 2: "Bones", 3: "Lungs", 4: "Gut"}
    assert mask.runs.values == (1,)
    assert _told(findings) == [("rtstruct_roi_empty", "info")] * 3


def test_a_roi_number_below_one_takes_a_free_label(tmp_path: Path) -> None:
    """0 and 5 are there: 0 becomes label 6, and is told."""
    rois = {(0, "GTV"): [_contour(SQUARE, 4)], (5, "Liver"): [_contour(HOLE, 4)]}
    mask, findings = _read(rois, tmp_path)
    assert dict(mask.names) == {6: "GTV", 5: "Liver"}
    assert mask.runs.of(6).count == SQUARE_VOXELS
    assert _told(findings) == [("rtstruct_roi_renumbered", "info")]
    assert [roi.number for roi in list_rois(tmp_path / "rtss.dcm")] == [0, 5]


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
    contours = [_contour(SQUARE, 4), *(_contour(points, 5, kind=kind) for points, kind in others)]
    mask, findings = _read({(1, "GTV"): contours}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS
    assert _told(findings) == [("rtstruct_contour_without_area", severity)]


def test_a_roi_of_points_alone_is_a_marker(tmp_path: Path) -> None:
    """An isocentre has no voxels and is told as such."""
    mask, findings = _read({(1, "ISO"): [_contour(SQUARE[:1], 4, kind="POINT")]}, tmp_path)
    assert mask.voxels().count == 0
    assert dict(mask.names) == {1: "ISO"}
    assert _told(findings) == [("rtstruct_contour_without_area", "info")]


def test_an_unknown_kind_of_contour_is_refused(tmp_path: Path) -> None:
    """What is not known may not be left out."""
    with pytest.raises(FormatError, match=r"rtss\.dcm.*'SPHERE'"):
        _read({(1, "GTV"): [_contour(SQUARE, 4, kind="SPHERE")]}, tmp_path)


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
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, 4 + off_slices)]}, tmp_path)
    assert _slices(mask) == [0] * 4 + [SQUARE_VOXELS] + [0] * 7
    assert _told(findings) == told


@pytest.mark.parametrize("off_slices", [0.3, 0.5, 0.7])
def test_contours_between_slices_are_refused(tmp_path: Path, off_slices: float) -> None:
    """They were drawn on another image; the message says how far off they are."""
    with pytest.raises(
        GridMismatchError, match=r"ROI 1 'GTV' has 1 of 2 contours between .*0\.90 mm|1\.50 mm"
    ):
        _read({(1, "GTV"): [_contour(SQUARE, 4), _contour(SQUARE, 5 + off_slices)]}, tmp_path)


def test_tilted_contours_are_refused(tmp_path: Path) -> None:
    """A contour that rises by a slice from end to end lies in no slice."""
    tilted = _contour(SQUARE, 4)
    data = list(tilted.ContourData)
    data[2], data[5] = f"{float(data[2]) + 1.5:.3f}", f"{float(data[5]) + 3.0:.3f}"
    tilted.ContourData = data
    with pytest.raises(GridMismatchError, match=r"ROI 1 'GTV' has 1 contour\(s\) in planes tilted"):
        _read({(1, "GTV"): [_contour(SQUARE, 3), tilted, _contour(SQUARE, 5)]}, tmp_path)


@pytest.mark.parametrize(
    ("rise_mm", "told"),
    [
        pytest.param(0.05, [], id="rounding"),
        pytest.param(0.6, [("rtstruct_contour_off_slice", "warning")], id="a little"),
    ],
)
def test_a_small_tilt_is_told(tmp_path: Path, rise_mm: float, told: list[tuple[str, str]]) -> None:
    """Every point is within a quarter of the slice spacing (0.75 mm) of the slice: half the rise."""
    mask, findings = _read({(1, "GTV"): [_tilted(0.0, rise_mm)]}, tmp_path)
    assert _slices(mask)[4] == SQUARE_VOXELS
    assert _told(findings) == told


def test_tilt_and_distance_add_up(tmp_path: Path) -> None:
    """0.6 mm off the slice and 0.6 mm of tilt: one end is 0.9 mm off, more than a quarter of 3 mm."""
    with pytest.raises(GridMismatchError, match=r"up to 0\.90 mm off"):
        _read({(1, "GTV"): [_tilted(0.3, 0.6)]}, tmp_path)


def _tilted(low_mm: float, rise_mm: float) -> Dataset:
    """Return the square from ``low_mm`` above slice 4 to ``rise_mm`` further up."""
    contour = _contour(SQUARE, 4)
    data = [float(x) for x in contour.ContourData]
    data[2::3] = [data[2] + low_mm, data[2] + low_mm, data[2] + low_mm + rise_mm, data[2] + low_mm + rise_mm]
    contour.ContourData = [f"{x:.3f}" for x in data]
    return contour


def test_contours_that_reach_outside_the_image_are_told(tmp_path: Path) -> None:
    """One beyond the last slice, one half beyond the first column."""
    beyond = tuple((u - 6.0, v) for u, v in SQUARE)  # columns -3 to 3: 4 of 7 are in the image
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, 12), _contour(beyond, 11)]}, tmp_path)
    assert mask.voxels().count == 4 * 6
    assert _told(findings) == [("rtstruct_contour_outside_image", "review")]
    assert "2 of 2 contours" in findings[0].message


def test_a_roi_wholly_outside_the_image_is_refused(tmp_path: Path) -> None:
    """It was drawn on another image."""
    with pytest.raises(GridMismatchError, match="ROI 2 'GTV' lies wholly outside"):
        _read({(1, "Liver"): [_contour(SQUARE, 4)], (2, "GTV"): [_contour(SQUARE, 40)]}, tmp_path)


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
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, k) for k in slices]}, tmp_path)
    assert [k for k, count in enumerate(_slices(mask)) if count] == slices
    assert _told(findings) == told


def test_a_gap_between_lesions_side_by_side_is_information(tmp_path: Path) -> None:
    """Contours either side of the gap that do not lie over one another are two lesions."""
    aside = tuple((u + 12, v) for u, v in SQUARE)
    _, findings = _read({(1, "GTV"): [_contour(SQUARE, 3), _contour(aside, 5)]}, tmp_path)
    assert _told(findings) == [("rtstruct_slice_gaps", "info")]


def test_crossing_contours_are_told(tmp_path: Path) -> None:
    """Two contours of one ROI that partly overlap: 42 + 42 - 2 * 3 * 2 voxels by even-odd, and a finding."""
    moved = tuple((u + 4, v + 4) for u, v in SQUARE)
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, 4), _contour(moved, 4)]}, tmp_path)
    assert mask.voxels().count == 42 + 42 - 2 * 3 * 2
    assert _told(findings) == [("rtstruct_contours_cross", "review")]


def test_rois_may_overlap_each_other(tmp_path: Path) -> None:
    """Even-odd is within one ROI: another ROI on the same slice is no hole."""
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, 4)], (2, "Core"): [_contour(HOLE, 4)]}, tmp_path)
    assert (mask.runs.of(1).count, mask.runs.of(2).count) == (SQUARE_VOXELS, HOLE_VOXELS)
    assert findings == ()


def test_a_contour_given_twice_does_not_cancel_out(tmp_path: Path) -> None:
    """The very same contour twice in one ROI is counted once, and told."""
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, 4), _contour(SQUARE, 4)]}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS
    assert _told(findings) == [("rtstruct_contour_repeated", "review")]


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
    contours = [_contour(points, 4) for points in (SQUARE, HOLE, again)]
    mask, findings = _read({(1, "GTV"): contours}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - HOLE_VOXELS
    assert _told(findings) == [("rtstruct_contour_repeated", "review")]
    thrice = [*contours, _contour(SQUARE, 4)]
    mask, _ = _read({(1, "GTV"): thrice, (2, "Core"): [_contour(SQUARE, 4)]}, tmp_path)
    assert (mask.runs.of(1).count, mask.runs.of(2).count) == (SQUARE_VOXELS - HOLE_VOXELS, SQUARE_VOXELS)


def test_two_contours_of_the_same_voxels_are_not_one(tmp_path: Path) -> None:
    """A ring thinner than a voxel: its two outlines hold the same centres, so nothing is inside, and told."""
    inner = ((2.6, 1.6), (9.4, 1.6), (9.4, 7.4), (2.6, 7.4))
    mask, findings = _read({(1, "GTV"): [_contour(SQUARE, 4), _contour(inner, 4)]}, tmp_path)
    assert mask.voxels().count == 0
    assert _told(findings) == [("rtstruct_contours_cross", "review")]


def test_a_contour_wound_twice_is_told(tmp_path: Path) -> None:
    """Round the square and again, in the same sense, round a corner of it: 4 voxels fall out."""
    twice = (*SQUARE, SQUARE[0], (4.5, 1.5), (4.5, 3.5), (2.5, 3.5))
    mask, findings = _read({(1, "GTV"): [_contour(twice, 4)]}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - 4
    assert _told(findings) == [("rtstruct_contour_self_overlap", "review")]
    assert "4 voxel(s)" in findings[0].message


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    """The structure set of another patient, or another session."""
    path = _saved(_structure_set({(1, "GTV"): [_contour(SQUARE, 4)]}), tmp_path)
    with pytest.raises(GridMismatchError, match=r"ROI 1 'GTV' is drawn in another frame of reference"):
        read_rtstruct(path, grid=_grid("9.9.9"))
    mask, _ = read_rtstruct(path, grid=_grid(None))  # not known is not different
    assert mask.voxels().count == SQUARE_VOXELS


def test_rois_of_another_frame_of_reference_are_left_out_and_told(tmp_path: Path) -> None:
    """One file may hold ROIs of two images; asked for by number, the other one is refused."""
    rt = _structure_set({(1, "GTV"): [_contour(SQUARE, 4)], (2, "GTV PET"): [_contour(SQUARE, 5)]})
    rt.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "9.9.9"
    path = _saved(rt, tmp_path)
    mask, findings = read_rtstruct(path, grid=_grid())
    assert mask.labels == (1,)
    assert _told(findings) == [("rtstruct_other_frame", "warning")]
    with pytest.raises(GridMismatchError, match="ROI 2 'GTV PET'"):
        read_rtstruct(path, grid=_grid(), rois=[2])


def test_a_roi_without_frame_of_reference_takes_the_files_only_one(tmp_path: Path) -> None:
    """Older files name it once, for all."""
    rt = _structure_set({(1, "GTV"): [_contour(SQUARE, 4)]})
    del rt.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    path = _saved(rt, tmp_path)
    assert list_rois(path)[0].frame_of_reference_uid == FRAME
    with pytest.raises(GridMismatchError):
        read_rtstruct(path, grid=_grid("9.9.9"))


def test_images_that_are_not_in_the_series_are_refused(tmp_path: Path) -> None:
    """A contour may name the image it lies on; if that is another one, the grid is wrong."""
    contours = [_contour(SQUARE, 4, image=f"{SERIES}.4"), _contour(SQUARE, 5, image="9.9.9")]
    path = _saved(_structure_set({(1, "GTV"): contours}), tmp_path)
    assert referenced_image_uids(path) == {f"{SERIES}.4", "9.9.9"}
    with pytest.raises(GridMismatchError, match="1 of 2 contours of ROI 1 'GTV' name images"):
        read_rtstruct(path, grid=_grid(), image_instance_uids=[f"{SERIES}.{k}" for k in range(12)])
    mask, _ = read_rtstruct(path, grid=_grid(), image_instance_uids=["9.9.9", f"{SERIES}.4"])
    assert mask.voxels().count == 2 * SQUARE_VOXELS


def test_rois_are_listed_with_what_they_were_drawn_on(tmp_path: Path) -> None:
    """Number, name, contours; the series by the images of the contours where several are named."""
    contours = [_contour(SQUARE, 4, image=f"{SERIES}.4"), _contour(SQUARE, 5, image=f"{SERIES}.5")]
    rt = _structure_set({(7, "GTV"): contours, (2, "Liver"): []})
    study = rt.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence.append(
        _item(SeriesInstanceUID="5.5.5", ContourImageSequence=[_image("5.5.5.1")])
    )
    path = _saved(rt, tmp_path)
    assert referenced_series_uids(path) == (SERIES, "5.5.5")
    listed = [(r.number, r.name, r.contour_count, r.referenced_series_uids) for r in list_rois(path)]
    assert listed == [(2, "Liver", 0, (SERIES, "5.5.5")), (7, "GTV", 2, (SERIES,))]


# pydicom says that it writes UN; that is what is wanted here.
@pytest.mark.filterwarnings("ignore:.*exceeds the size of 64 kByte")
@pytest.mark.parametrize("undefined", [True, False], ids=["undefined lengths", "stated lengths"])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.1.99"])
def test_encodings_give_the_same_voxels(tmp_path: Path, syntax: str, undefined: bool) -> None:
    """A contour of 4,000 points does not fit a 16-bit length: explicit files then say UN."""
    angle = np.linspace(0, 2 * np.pi, 4_000, endpoint=False)
    circle = tuple((10 + 6 * float(np.cos(a)), 9 + 6 * float(np.sin(a))) for a in angle)
    rt = _structure_set({(1, "GTV"): [_contour(circle, 4)], (2, "Core"): [_contour(HOLE, 4)]})
    rt.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)

    def mark(_: Dataset, element: pydicom.DataElement) -> None:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined

    rt.walk(mark)
    path = _saved(rt, tmp_path)
    mask, _ = read_rtstruct(path, grid=_grid())
    i, j = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = int(((i - 10) ** 2 + (j - 9) ** 2 < 36).sum())
    on_the_circle = 4  # (16, 9), (10, 15), ...: two of the four belong to it by the half-open rule at most
    assert inside <= mask.runs.of(1).count <= inside + on_the_circle
    assert mask.runs.of(2).count == HOLE_VOXELS


@pytest.mark.parametrize(
    ("data", "match"),
    [
        pytest.param(["1", "2"], "states 4 points but holds 2", id="too short"),
        pytest.param(["1", "2", "3"] * 5, "states 4 points but holds 15", id="too long"),
    ],
)
def test_points_that_do_not_add_up_are_refused(tmp_path: Path, data: list[str], match: str) -> None:
    """A contour that was cut off is not filled as another shape."""
    contour = _contour(SQUARE, 4)
    contour.ContourData = data
    with pytest.raises(CorruptDataError, match=match):
        _read({(1, "GTV"): [contour]}, tmp_path)


@pytest.mark.parametrize("wrong", [b"12,500", b"1.2.3.4", b"", b"nan", b"1e999"])
def test_coordinates_that_are_no_numbers_are_refused(tmp_path: Path, wrong: bytes) -> None:
    """Also decimal commas, and numbers that are none."""
    path = _saved(_structure_set({(1, "GTV"): [_contour(SQUARE, 4)]}), tmp_path)
    stored = path.read_bytes()
    old = b"-28.375"  # x of column 2.5
    assert stored.count(old) == 2
    path.write_bytes(stored.replace(old, wrong.ljust(len(old)), 1))
    with pytest.raises(CorruptDataError, match=r"ContourData \(3006,0050\)"):
        read_rtstruct(path, grid=_grid())


@pytest.mark.parametrize("part", [0.5, 0.98])
def test_a_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    """Never a part of the contours."""
    path = _saved(_structure_set({(1, "GTV"): [_contour(SQUARE, k) for k in range(2, 9)]}), tmp_path)
    stored = path.read_bytes()
    path.write_bytes(stored[: int(len(stored) * part)])
    with pytest.raises(CorruptDataError, match=r"rtss\.dcm.*truncated"):
        read_rtstruct(path, grid=_grid())


def test_structure_sets_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    """Contours of a ROI that is not listed, a number given twice, no ROI at all."""
    rt = _structure_set({(1, "GTV"): [_contour(SQUARE, 4)], (2, "Liver"): [_contour(SQUARE, 5)]})
    rt.StructureSetROISequence[1].ROINumber = 1
    with pytest.raises(CorruptDataError, match="number 1 is given twice"):
        read_rtstruct(_saved(rt, tmp_path), grid=_grid())
    rt.StructureSetROISequence[1].ROINumber = 3
    with pytest.raises(CorruptDataError, match="contours for ROI number 2"):
        read_rtstruct(_saved(rt, tmp_path), grid=_grid())
    rt.StructureSetROISequence, rt.ROIContourSequence = [], []
    with pytest.raises(FormatError, match="lists no ROI"):
        read_rtstruct(_saved(rt, tmp_path), grid=_grid())


def test_other_files_are_refused_by_name_and_without_identity(tmp_path: Path) -> None:
    """Another SOP class, a text, a missing file; no patient in a message."""
    rt = _structure_set({(1, "GTV"): []})
    rt.SOPClassUID = pydicom.uid.RTPlanStorage
    with pytest.raises(FormatError, match=r"rtss\.dcm.*not an RTSTRUCT") as caught:
        read_rtstruct(_saved(rt, tmp_path), grid=_grid())
    assert "Doe" not in str(caught.value)
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(FormatError, match=r"notes\.txt"):
        list_rois(tmp_path / "notes.txt")
    with pytest.raises(InputFileError, match=r"gone\.dcm"):
        list_rois(tmp_path / "gone.dcm")


def _image_grid(folder: Path) -> VoxelGrid:
    """Grid of an axial series, from its headers."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.rglob("*.dcm")]
    positions = np.array(
        sorted(([float(x) for x in h.ImagePositionPatient] for h in headers), key=lambda p: p[2])
    )
    first = headers[0]
    assert [float(x) for x in first.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    step, origin = np.polyfit(np.arange(len(positions)), positions[:, 2], 1)
    affine = np.diag([float(first.PixelSpacing[1]), float(first.PixelSpacing[0]), step, 1.0])
    affine[:3, 3] = [*positions[0, :2], origin]
    return VoxelGrid(
        shape=(first.Columns, first.Rows, len(headers)),
        affine=affine,
        frame_of_reference_uid=first.get("FrameOfReferenceUID"),
    )


@needs_data
@pytest.mark.parametrize(
    ("images", "rtstruct", "nifti", "voxels"),
    [
        pytest.param(
            "sts_001/CT_dicom",
            "sts_001/CT_rtstruct/mask/RS.dcm",
            "sts_001/nifti/CT_mask.nii.gz",
            117145,
            id="001 CT",
        ),
        pytest.param(
            "sts_001/PET_raw_dicom",
            "sts_001/PET_raw_rtstruct/mask/1-1.dcm",
            "sts_001/nifti/PET_mask.nii.gz",
            5095,
            id="001 PET",
        ),
        *(
            pytest.param(
                f"ibsi_small/STS_{patient}/{modality}/image",
                f"ibsi_small/STS_{patient}/{modality}/mask/RS.dcm",
                f"ibsi_small/STS_{patient}/{modality}_mask.nii.gz",
                voxels,
                id=f"{patient} {modality}",
            )
            for patient, modality, voxels in (
                ("019", "CT", 5564),
                ("019", "PET", 239),
                ("025", "CT", 9655),
                ("025", "PET", 606),
            )
        ),
    ],
)
def test_third_party_masks_are_reproduced_voxel_for_voxel(
    images: str, rtstruct: str, nifti: str, voxels: int
) -> None:
    """GTV_Mass on CT and PET, against NIfTI masks that others converted."""
    import SimpleITK as sitk

    grid = _image_grid(DATA / images)
    mask, _ = read_rtstruct(DATA / rtstruct, grid=grid)
    found = mask.runs.of(1)
    assert found.count == voxels

    image = sitk.ReadImage(DATA / nifti)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    theirs = VoxelGrid(shape=image.GetSize(), affine=affine)
    # The NIfTI of the raw PET says 3.27 mm where its slices are 3.2699 mm apart: 0.02 mm over its crop.
    placement = theirs.placement_on(grid, tolerance_mm=0.03)
    assert placement is not None
    dense = VoxelRuns.from_dense(sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    assert found.same_as(dense.reindexed(placement, shape=theirs.shape, onto=grid.shape))


@needs_data
def test_third_party_references_are_checked() -> None:
    """A series that is not named, and images and a frame of reference that are not the CT's."""
    folder = DATA / "rt-utils" / "tests" / "mock_data"
    assert referenced_series_uids(folder / "non_existent_reference_rt.dcm") == ()
    ct = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("ct_*.dcm"))]
    assert ct[0].SeriesInstanceUID in referenced_series_uids(folder / "invalid_reference_rt.dcm")
    affine = np.diag([0.488281, 0.488281, 5.0, 1.0])
    affine[:3, 3] = [-125, -125, 60]
    grid = VoxelGrid(shape=(512, 512, 2), affine=affine, frame_of_reference_uid=ct[0].FrameOfReferenceUID)
    with pytest.raises(GridMismatchError, match=r"invalid_reference_rt\.dcm: 1 of 3 contours .* name images"):
        read_rtstruct(
            folder / "invalid_reference_rt.dcm",
            grid=grid,
            image_instance_uids=[slice_.SOPInstanceUID for slice_ in ct],
        )
    with pytest.raises(
        GridMismatchError, match=r"rt\.dcm: ROI 1 'ROI-1' is drawn in another frame of reference"
    ):
        read_rtstruct(folder / "rt.dcm", grid=grid)
