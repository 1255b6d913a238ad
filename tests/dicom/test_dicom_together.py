"""Which masks, images and frames of reference belong together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from tests.dicom.dicom_case import (
    CT_AFFINE,
    PT,
    RESECTABLE_VOXELS,
    Series,
    lesion_masks,
    pet,
    write_ct,
    write_rtstruct,
    write_seg,
)
from tests.dicom.edited_cases import assert_fails, edit, finding
from tests.records import protocol, run_case

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def test_a_seg_whose_series_is_absent_fails(case: Path) -> None:
    """Another CT is there, even in the same frame of reference: not the one it was drawn on."""
    shutil.rmtree(case / "series 1")
    write_ct(case / "other", series=Series(uid="2.25.76", description="Late"))
    assert_fails(run_case(case, protocol()), "a: references a series that is not there", "in other")


def test_a_seg_without_any_image_fails_in_a_folder_and_can_be_named(tmp_path: Path) -> None:
    """Nothing shows what it was drawn on; case.toml can name it as it stands, without an image."""
    images = write_ct(tmp_path / "store")
    write_seg(tmp_path / "S1" / "seg.dcm", lesion_masks(), images)
    assert_fails(
        run_case(tmp_path / "S1", protocol()), "seg.dcm: references a series that is not there", "case.toml"
    )
    (tmp_path / "S1" / "case.toml").write_text(
        '[inputs]\ntumour = { path = "seg.dcm", segments = ["Liver*"] }\n'
        'resectable = { path = "seg.dcm", segments = ["Resectable*"] }\n'
    )
    assert (
        run_case(tmp_path / "S1", protocol())["predicates"]["stratum_1"]["part_voxels"] == RESECTABLE_VOXELS
    )


def test_a_seg_on_a_ct_of_another_frame_of_reference_fails_though_named(tmp_path: Path) -> None:
    """Where case.toml names another CT than the SEG references, its frame of reference must be the SEG's."""
    images = write_ct(tmp_path / "store")
    folder = tmp_path / "S1"
    write_seg(folder / "seg.dcm", {"Tumour": lesion_masks()["Liver metastasis 1"]}, images)
    write_ct(folder / "ct", series=Series(uid="2.25.76", frame="2.25.99"))
    (folder / "case.toml").write_text('[inputs]\nct = "ct"\ntumour = "seg.dcm"\n')
    assert_fails(run_case(folder, protocol()), "seg.dcm", "references is not there", "frame of reference")
    shutil.rmtree(folder / "ct")
    write_ct(folder / "ct", series=Series(uid="2.25.76"))
    assert len(finding(run_case(folder, protocol()), "referenced_series_absent")) == 1


def test_an_rtstruct_of_another_frame_of_reference_fails(case: Path) -> None:
    """The series it names is there, in another patient's coordinates."""
    (case / "objects" / "b").unlink()
    elsewhere = Series(uid=PT.uid, frame="2.25.99")
    hot = [(4, [(2.0, 2.0), (5.0, 2.0), (5.0, 5.0)])]
    write_rtstruct(case / "objects" / "avid", {"FDG avid": hot}, pet()[1], series=elsewhere)
    assert_fails(run_case(case, protocol()), "avid: ROI 1 'FDG avid'", "another frame of reference")


def test_an_rtstruct_of_an_absent_series_is_drawn_on_the_one_ct_of_its_frame(tmp_path: Path) -> None:
    """Contours are in patient coordinates: the CT of their frame of reference will do, and is told."""
    square = [(k, [(1.5, 2.5), (9.5, 2.5), (9.5, 8.5), (1.5, 8.5)]) for k in (3, 4)]
    lost = Series(uid="2.25.78", description="Lost")
    write_rtstruct(tmp_path / "S1" / "rtss", {"Tumour": square}, CT_AFFINE, series=lost)
    write_ct(tmp_path / "S1" / "ct series")
    record = run_case(tmp_path / "S1", protocol())
    assert record["lesions"][0]["voxels"] == 8 * 6 * 2
    assert len(finding(record, "referenced_series_absent")) == 1
    write_ct(tmp_path / "S1" / "late series", series=Series(uid="2.25.76", description="Late"))
    assert_fails(run_case(tmp_path / "S1", protocol()), "rtss", "several series could be", "in late series")


def test_contours_that_name_no_image_are_placed_by_position_without_a_word(tmp_path: Path) -> None:
    """Contour data without ContourImageSequence is whole; nothing says that images were renamed."""
    square = [(k, [(1.5, 2.5), (9.5, 2.5), (9.5, 8.5), (1.5, 8.5)]) for k in (3, 4)]
    write_rtstruct(tmp_path / "S1" / "rtss", {"Tumour": square}, CT_AFFINE)
    write_ct(tmp_path / "S1" / "ct series")

    def unname(structure_set: Dataset) -> None:
        for contour in structure_set.ROIContourSequence[0].ContourSequence:
            del contour.ContourImageSequence

    edit(tmp_path / "S1" / "rtss", unname)
    record = run_case(tmp_path / "S1", protocol())
    assert record["lesions"][0]["voxels"] == 8 * 6 * 2
    assert finding(record, "referenced_images_renamed") == []

    def rename(structure_set: Dataset) -> None:
        for contour in structure_set.ROIContourSequence[0].ContourSequence:
            image = pydicom.Dataset()
            image.ReferencedSOPInstanceUID = "2.25.1234"
            contour.ContourImageSequence = [image]

    edit(tmp_path / "S1" / "rtss", rename)
    assert len(finding(run_case(tmp_path / "S1", protocol()), "referenced_images_renamed")) == 1


def test_an_rtstruct_with_no_image_in_its_frame_fails(tmp_path: Path) -> None:
    """Neither its series nor its frame of reference is there."""
    square = [(3, [(1.5, 2.5), (9.5, 2.5), (9.5, 8.5)])]
    write_rtstruct(tmp_path / "S1" / "rtss", {"Tumour": square}, CT_AFFINE)
    write_ct(tmp_path / "S1" / "series", series=Series(uid="2.25.76", frame="2.25.99"))
    assert_fails(
        run_case(tmp_path / "S1", protocol()), "rtss: references a series that is not there", "not there"
    )
