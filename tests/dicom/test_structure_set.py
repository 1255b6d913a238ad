"""RTSTRUCT to runs: what is filled, what is refused, what is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.dense import dense_of
from tests.dicom.contour_cases import (
    FRAME,
    HOLE,
    HOLE_VOXELS,
    SERIES,
    SHAPE,
    SQUARE,
    SQUARE_VOXELS,
    codes_of,
    contour_of,
    image_grid,
    image_reference,
    read,
    saved,
    structure_set,
    voxels_by_slice,
)
from tests.dicom.dicom_case import item_of
from volstrat.dicom.folder_scan import scan_files
from volstrat.dicom.rtstruct.structure_set import StructureSet
from volstrat.errors import (
    GridMismatchError,
    SegmentNotFoundError,
)


def test_rois_are_found_by_number_and_drawn_where_they_lie(tmp_path: Path) -> None:
    """Contours listed in another order than ROIs; columns are x, rows y, slices z."""
    rois = {
        (7, "Lever"): [contour_of(SQUARE, k) for k in (3, 4)],
        (2, "Primärtumör"): [contour_of(HOLE, 5)],
    }
    mask, findings = read(rois, tmp_path)
    assert dict(mask.names) == {2: "Primärtumör", 7: "Lever"}
    assert findings == ()
    dense = dense_of(mask.runs.of(7), SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[3:10, 2:8, 3:5] = True
    assert (dense == expected).all()
    assert voxels_by_slice(mask, 2) == [0] * 5 + [HOLE_VOXELS] + [0] * 6


# The last spelling is met in files though it is a letter too long for its value representation.
@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"])
def test_nested_contours_are_holes(tmp_path: Path, kind: str) -> None:
    """Even-odd over all contours of a slice, whatever they are called; no finding."""
    contours = [contour_of(SQUARE, 4, kind=kind), contour_of(HOLE, 4, kind=kind)]
    mask, findings = read({(1, "GTV"): contours}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - HOLE_VOXELS
    assert findings == ()


def test_a_keyhole_is_a_hole(tmp_path: Path) -> None:
    """One contour that runs inward, round the hole in the other sense, and out the same way."""
    around = (*SQUARE, SQUARE[0], *HOLE[::-1], HOLE[3])
    mask, findings = read({(1, "GTV"): [contour_of(around, 4)]}, tmp_path)
    assert mask.voxels().count == SQUARE_VOXELS - HOLE_VOXELS
    assert findings == ()


def test_single_rois_are_read_on_request(tmp_path: Path) -> None:
    """Only the numbers asked for; one that is not there is refused with what is."""
    rois = {(1, "GTV"): [contour_of(SQUARE, 4)], (2, "Liver"): [contour_of(SQUARE, 5)]}
    path = saved(structure_set(rois), tmp_path)
    mask, _ = StructureSet(path).mask(grid=image_grid(), rois=[2])
    assert dict(mask.names) == {2: "Liver"}
    assert mask.runs.values == (2,)
    with pytest.raises(SegmentNotFoundError, match=r"no ROI number 3; it has 1 'GTV', 2 'Liver'"):
        StructureSet(path).mask(grid=image_grid(), rois=[2, 3])


def test_empty_rois_stay_named(tmp_path: Path) -> None:
    """No ContourSequence, an empty one, and no ROIContourSequence item at all."""
    rt = structure_set(
        {(1, "GTV"): [contour_of(SQUARE, 4)], (2, "Bones"): [], (3, "Lungs"): [], (4, "Gut"): []}
    )
    del rt.ROIContourSequence[0]
    del rt.ROIContourSequence[0].ContourSequence
    mask, findings = StructureSet(saved(rt, tmp_path)).mask(grid=image_grid())
    assert dict(mask.names) == {1: "GTV", 2: "Bones", 3: "Lungs", 4: "Gut"}
    assert mask.runs.values == (1,)
    assert codes_of(findings) == [("rtstruct_roi_empty", "info")] * 3


def test_a_roi_number_below_one_takes_a_free_label(tmp_path: Path) -> None:
    """0 and 5 are there: 0 becomes label 6, and is told."""
    rois = {(0, "GTV"): [contour_of(SQUARE, 4)], (5, "Liver"): [contour_of(HOLE, 4)]}
    mask, findings = read(rois, tmp_path)
    assert dict(mask.names) == {6: "GTV", 5: "Liver"}
    assert mask.runs.of(6).count == SQUARE_VOXELS
    assert codes_of(findings) == [("rtstruct_roi_renumbered", "info")]
    assert [roi.number for roi in StructureSet(tmp_path / "rtss.dcm").rois] == [0, 5]


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    """The structure set of another patient, or another session."""
    path = saved(structure_set({(1, "GTV"): [contour_of(SQUARE, 4)]}), tmp_path)
    with pytest.raises(GridMismatchError, match=r"ROI 1 'GTV' is drawn in another frame of reference"):
        StructureSet(path).mask(grid=image_grid("9.9.9"))
    mask, _ = StructureSet(path).mask(grid=image_grid(None))  # not known is not different
    assert mask.voxels().count == SQUARE_VOXELS


def test_rois_of_another_frame_of_reference_are_left_out_and_told(tmp_path: Path) -> None:
    """One file may hold ROIs of two images; asked for by number, the other one is refused."""
    rt = structure_set({(1, "GTV"): [contour_of(SQUARE, 4)], (2, "GTV PET"): [contour_of(SQUARE, 5)]})
    rt.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "9.9.9"
    path = saved(rt, tmp_path)
    mask, findings = StructureSet(path).mask(grid=image_grid())
    assert mask.labels == (1,)
    assert codes_of(findings) == [("rtstruct_other_frame", "warning")]
    with pytest.raises(GridMismatchError, match="ROI 2 'GTV PET'"):
        StructureSet(path).mask(grid=image_grid(), rois=[2])


def test_a_roi_without_frame_of_reference_takes_the_files_only_one(tmp_path: Path) -> None:
    """Older files name it once, for all."""
    rt = structure_set({(1, "GTV"): [contour_of(SQUARE, 4)]})
    del rt.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    path = saved(rt, tmp_path)
    assert StructureSet(path).rois[0].frame_of_reference_uid == FRAME
    with pytest.raises(GridMismatchError):
        StructureSet(path).mask(grid=image_grid("9.9.9"))


def test_images_that_are_not_in_the_series_are_refused(tmp_path: Path) -> None:
    """A contour may name the image it lies on; if that is another one, the grid is wrong."""
    contours = [contour_of(SQUARE, 4, image=f"{SERIES}.4"), contour_of(SQUARE, 5, image="9.9.9")]
    path = saved(structure_set({(1, "GTV"): contours}), tmp_path)
    assert StructureSet(path).image_uids() == {f"{SERIES}.4", "9.9.9"}
    with pytest.raises(GridMismatchError, match="1 of 2 contours of ROI 1 'GTV' name images"):
        StructureSet(path).mask(grid=image_grid(), image_instance_uids=[f"{SERIES}.{k}" for k in range(12)])
    mask, _ = StructureSet(path).mask(grid=image_grid(), image_instance_uids=["9.9.9", f"{SERIES}.4"])
    assert mask.voxels().count == 2 * SQUARE_VOXELS


def test_rois_are_listed_with_what_they_were_drawn_on(tmp_path: Path) -> None:
    """Number, name; the series by the images of the contours where several are named."""
    contours = [contour_of(SQUARE, 4, image=f"{SERIES}.4"), contour_of(SQUARE, 5, image=f"{SERIES}.5")]
    rt = structure_set({(7, "GTV"): contours, (2, "Liver"): []})
    study = rt.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence.append(
        item_of(SeriesInstanceUID="5.5.5", ContourImageSequence=[image_reference("5.5.5.1")])
    )
    path = saved(rt, tmp_path)
    assert scan_files([path], root=tmp_path).structure_sets[0].referenced_series_uids == (SERIES, "5.5.5")
    drawn = StructureSet(path)
    listed = [(roi.number, roi.name, drawn.series_of(roi)) for roi in drawn.rois]
    assert listed == [(2, "Liver", (SERIES, "5.5.5")), (7, "GTV", (SERIES,))]
