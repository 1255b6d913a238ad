"""What goes in (docs/record.md), sentence by sentence, from a case folder to its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.phantom_case import CT_AFFINE, PLAIN, Form, case_volumes, labels, resectable, write, write_case
from tests.records import protocol, run_case
from tests.volume_files import nrrd_header
from volstrat.case.protocol_files import parse_protocol

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Return the phantom case: L1 192, L2 90 (resectable), L3 27 (9 resectable), one PET-only region."""
    return write_case(tmp_path / "case")


def told(folder: Path, inputs: str = "", table: str = "") -> dict[str, Any]:
    """Return the record, after writing ``case.toml`` and the table where they are given."""
    if inputs:
        (folder / "case.toml").write_text(f"[inputs]\n{inputs}\n")
    if table:
        (folder / "lesions.csv").write_text(table)
    record = run_case(folder, protocol())
    assert record["status"] != "failed", record["error"]
    return record


def markings(record: dict[str, Any]) -> dict[str, str]:
    """Return each lesion's marking."""
    return {row["lesion_id"]: row["resectability"] for row in record["lesions"]}


def messages(record: dict[str, Any], code: str) -> list[str]:
    """Return the messages of one kind of finding."""
    return [finding["message"] for finding in record["findings"] if finding["code"] == code]


def test_inside_the_resectable_mask_is_resectable_and_outside_is_not(case: Path) -> None:
    """What it covers outside tumour (40 voxels of 1.4 mm3) is ignored and said."""
    record = told(case)
    assert markings(record) == {"L1": "unresectable", "L2": "resectable", "L3": "partial"}
    [message] = messages(record, "resectable_outside_tumour")
    assert "0.056 ml" in message


def test_the_table_stands_over_the_mask(case: Path) -> None:
    """A lesion without a row, or with an empty cell, takes the mask's marking; a finding says so."""
    record = told(case, table="lesion_id,resectability\nL1,ablatable\nL2,\n")
    assert markings(record) == {"L1": "ablatable", "L2": "resectable", "L3": "partial"}
    [message] = messages(record, "table_over_mask")
    assert "L1" in message
    assert "L2" not in message


def test_without_a_mask_the_table_alone_marks(case: Path) -> None:
    """A lesion without a row is unknown."""
    (case / "resectable.nrrd").unlink()
    record = told(case, table="lesion_id,resectability\nL1,resectable\nL3,\n")
    assert markings(record) == {"L1": "resectable", "L2": "unknown", "L3": "unknown"}


@pytest.mark.parametrize("table", ["", "lesion_id,resectability\n"])
def test_with_neither_every_lesion_is_unknown(case: Path, table: str) -> None:
    """No table, or one without rows."""
    (case / "resectable.nrrd").unlink()
    record = told(case, table=table)
    assert set(markings(record).values()) == {"unknown"}
    assert record["volumes"]["resectable_tumour_ml"] is None


def test_an_empty_resectable_mask_marks_everything_unresectable(case: Path) -> None:
    """It was read: nothing can be resected, which is not the same as nothing said."""
    write(case, "resectable", (np.zeros_like(labels()), CT_AFFINE), PLAIN)
    record = told(case)
    assert set(markings(record).values()) == {"unresectable"}
    assert record["volumes"]["resectable_tumour_ml"] == 0


@pytest.mark.parametrize(("inside", "fails"), [(True, False), (False, True)])
def test_the_point_of_a_row_must_lie_in_its_lesion(case: Path, inside: bool, fails: bool) -> None:
    """The first voxel of L2 in mm; one voxel before it is outside."""
    x, y, z = CT_AFFINE[:3, :3] @ (16 - (not inside), 12, 2) + CT_AFFINE[:3, 3]
    (case / "lesions.csv").write_text(
        f"lesion_id,resectability,x_mm,y_mm,z_mm\nL2,ablatable,{x:.6f},{y:.6f},{z:.6f}\n"
    )
    record = run_case(case, protocol())
    assert (record["status"] == "failed") == fails
    if fails:
        assert "lies in no lesion; the row names L2" in record["error"]["message"]


def test_instances_override_what_tells_lesions_apart(case: Path) -> None:
    """One value as labels is one lesion in three pieces; three values as components fall apart by volume."""
    record = told(
        case, 'tumour = { path = "tumour.nrrd", instances = "labels" }\nresectable = "resectable.nrrd"'
    )
    assert [(row["lesion_id"], row["voxels"]) for row in record["lesions"]] == [("L1", 309)]
    assert messages(record, "label_in_pieces")
    turned = np.select([labels() == n for n in (1, 2, 3)], [3, 1, 2], 0).astype(np.uint8)
    write(case, "tumour", (turned, CT_AFFINE), PLAIN)
    by_label = told(case, 'tumour = "tumour.nrrd"')
    assert {row["lesion_id"]: row["voxels"] for row in by_label["lesions"]} == {"L1": 90, "L2": 27, "L3": 192}
    apart = told(case, 'tumour = { path = "tumour.nrrd", instances = "components" }')
    assert {row["lesion_id"]: row["voxels"] for row in apart["lesions"]} == {"L1": 192, "L2": 90, "L3": 27}


def test_a_single_value_other_than_1_keeps_its_number_only_as_labels(case: Path) -> None:
    """Value 5 alone: components L1, L2, L3; with ``instances = "labels"`` one lesion, L5."""
    write(case, "tumour", ((labels() > 0) * np.uint8(5), CT_AFFINE), PLAIN)
    assert list(markings(told(case, 'tumour = "tumour.nrrd"'))) == ["L1", "L2", "L3"]
    as_label = told(case, 'tumour = { path = "tumour.nrrd", instances = "labels" }')
    assert list(markings(as_label)) == ["L5"]


@pytest.mark.parametrize(
    ("chosen", "ids"), [("[2]", ["L1"]), ("[1, 3]", ["L1", "L3"]), ('["3", 1]', ["L1", "L3"])]
)
def test_segments_of_a_label_map_are_label_numbers(case: Path, chosen: str, ids: list[str]) -> None:
    """One label left falls into components, and so starts again at L1; several keep their numbers."""
    write(case, "tumour", (labels(), CT_AFFINE), PLAIN)
    record = told(case, f'tumour = {{ path = "tumour.nrrd", segments = {chosen} }}')
    assert [row["lesion_id"] for row in record["lesions"]] == ids


def test_a_role_of_several_files_is_united(case: Path) -> None:
    """Resectable: L2 from one file, L1 from another, and a third that repeats L1."""
    for number in (1, 2):
        write(case, f"r{number}", ((labels() == number).astype(np.uint8), CT_AFFINE), Form(ending=".mha"))
    record = told(case, 'tumour = "tumour.nrrd"\nresectable = ["r2.mha", "r1.mha", "r1.mha"]')
    assert markings(record) == {"L1": "resectable", "L2": "resectable", "L3": "unresectable"}
    assert record["predicates"]["stratum_1"]["part_voxels"] == 282


def test_resampling_is_asked_for_and_recorded(case: Path) -> None:
    """A resectable mask 0.3 mm off is refused; with ``resample = true`` it is taken and said, with the mm."""
    moved = CT_AFFINE.copy()
    moved[:3, 3] += CT_AFFINE[:3, 0] / 0.8 * 0.3  # along i: less than half a voxel, so nothing changes
    write(case, "resectable", (resectable(), moved), PLAIN)
    assert run_case(case, protocol())["error"]["code"] == "grid_mismatch"
    record = told(case, 'tumour = "tumour.nrrd"\nresectable = { path = "resectable.nrrd", resample = true }')
    assert record["predicates"]["stratum_1"]["part_voxels"] == 99
    [message] = messages(record, "resampled")
    assert "resectable.nrrd" in message
    assert "0.30 mm" in message


def test_a_shift_of_less_than_the_tolerance_is_the_same_grid(case: Path) -> None:
    """0.09 mm, without a word."""
    moved = CT_AFFINE.copy()
    moved[2, 3] += 0.09
    write(case, "resectable", (resectable(), moved), PLAIN)
    record = told(case)
    assert record["predicates"]["stratum_1"]["part_voxels"] == 99
    assert messages(record, "resampled") == []


@pytest.mark.parametrize(("value", "kept"), [(0.5, True), (0.4999, False)])
def test_a_threshold_keeps_values_at_or_above_it(case: Path, value: float, kept: bool) -> None:
    """On the avid mask: with 0.5 everything is there, just below nothing is."""
    dense, affine = case_volumes()["fdg_avid"]
    write(case, "fdg_avid", (dense * value, affine), Form(ending=".nrrd", dtype="f8"))
    record = told(
        case,
        'tumour = "tumour.nrrd"\nresectable = "resectable.nrrd"\n'
        'fdg_avid = { path = "fdg_avid.nrrd", threshold = 0.5 }',
    )
    assert record["predicates"]["stratum_2"]["whole_voxels"] == (int(dense.sum()) if kept else 0)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_stored_type_does_not_decide_at_a_threshold(case: Path, dtype: str) -> None:
    """0.7 in 32 bits is 0.69999999: it reaches 0.7 as the same map in 64 bits does; 0.6999 never."""
    dense, affine = case_volumes()["fdg_avid"]
    values = dense * 0.7
    values[12, 11, 14] = 0.6999
    write(case, "fdg_avid", (values, affine), Form(ending=".nrrd", dtype=dtype))
    record = told(case, 'tumour = "tumour.nrrd"\nfdg_avid = { path = "fdg_avid.nrrd", threshold = 0.7 }')
    assert record["predicates"]["stratum_2"]["whole_voxels"] == int(dense.sum()) - 1


def test_integral_means_within_a_millionth(case: Path) -> None:
    """1.0000005 is 1; 1.000002 is refused."""
    for value, code in ((1.0000005, None), (1.000002, "mask_value_invalid")):
        write(case, "tumour", ((labels() > 0) * value, CT_AFFINE), Form(ending=".nrrd", dtype="f8"))
        error = run_case(case, protocol())["error"]
        assert (None if error is None else error["code"]) == code


def test_lesions_that_overlap_count_once_and_take_the_worst_marking(case: Path) -> None:
    """L2 again as part of another label: its 90 voxels are resectable for one lesion, not for the other."""
    both = ((labels() == 1) | (labels() == 2)).astype(np.uint8) * 7
    write(case, "other", (both, CT_AFFINE), PLAIN)
    record = told(
        case,
        'tumour = [{ path = "tumour.nrrd", instances = "components" }, '
        '{ path = "other.nrrd", instances = "labels" }]\nlesions = "lesions.csv"',
        "lesion_id,resectability\nL7,unresectable\nL8,resectable\nL9,resectable\nL10,resectable\n",
    )
    assert {row["lesion_id"]: row["voxels"] for row in record["lesions"]} == {
        "L7": 282,
        "L8": 192,
        "L9": 90,
        "L10": 27,
    }
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 309
    assert record["predicates"]["stratum_1"]["part_voxels"] == 27
    [message] = messages(record, "overlapping_lesions")
    assert message.startswith("0.395 ml lie in more than one lesion")


def test_components_of_one_volume_are_numbered_by_position(case: Path) -> None:
    """Three equal cubes, whichever way they are stored: by LPS x, then y, then z."""
    dense = np.zeros((20, 20, 20), dtype=np.uint8)
    for i, j, k in ((12, 2, 3), (2, 12, 3), (2, 12, 9)):
        dense[i : i + 2, j : j + 2, k : k + 2] = 1
    for name in ("resectable", "fdg_avid"):
        (case / f"{name}.nrrd").unlink()
    for sign in (1.0, -1.0):  # i toward the left, or toward the right
        affine = np.diag([sign * 2, 2, 2, 1.0])
        affine[0, 3] = 0 if sign > 0 else 19 * 2
        (case / "tumour.nrrd").write_bytes(
            nrrd_header(dense.shape, affine) + b"\n" + dense[:: int(sign)].tobytes(order="F")
        )
        centroids = [row["centroid_mm"] for row in told(case)["lesions"]]
        # Cubes of two voxels: centres half a voxel on, at 2 mm a voxel.
        assert centroids == [[5, 25, 7], [5, 25, 19], [25, 5, 7]]


def test_frames_of_reference_of_pet_and_ct_may_be_declared_the_same(case: Path, tmp_path: Path) -> None:
    """An avid SEG of another frame is refused, or taken with ``assume_registered`` and a finding."""
    from tests.dicom.dicom_case import Series, write_ct, write_seg

    ct = write_ct(tmp_path / "a")
    pet = write_ct(tmp_path / "b", series=Series(uid="2.25.76", frame="2.25.99"))
    write_seg(case / "t.dcm", {"Tumour": labels()}, ct, uid="2.25.91")
    write_seg(case / "p.dcm", {"Avid": labels() == 1}, pet, uid="2.25.92")
    (case / "case.toml").write_text('[inputs]\ntumour = "t.dcm"\nfdg_avid = "p.dcm"\n')
    error = run_case(case, protocol())["error"]
    assert error["code"] == "grid_mismatch"
    assert "assume_registered = true" in error["hint"]
    record = told(case, 'tumour = "t.dcm"\nfdg_avid = { path = "p.dcm", assume_registered = true }')
    assert len(messages(record, "assumed_registered")) == 1
    assert record["predicates"]["stratum_2"]["whole_voxels"] == 192


def test_how_much_of_the_pet_lattice_a_sparse_avid_mask_stores_decides_nothing(tmp_path: Path) -> None:
    """Six tumour voxels 1.5 mm apart, PET voxels of 3 mm whose faces lie on every other tumour centre.

    The second PET voxel is avid. It holds the centre on its lower face in x and the one in its middle; the
    centre on its upper face belongs to the next voxel, which is not avid: 2 of 6, cropped or not.
    """
    ct = np.diag([1.5, 2.0, 3.0, 1.0])
    ct[:3, 3] = (-120.0, 85.0, -640.0)
    tumour = np.zeros((8, 3, 3), dtype=np.uint8)
    tumour[0:6, 1, 1] = 1
    write(tmp_path, "tumour", (tumour, ct), PLAIN)
    for first, past in ((0, 4), (0, 2), (1, 2), (1, 4)):
        stored = np.zeros((past - first, 1, 1), dtype=np.uint8)
        stored[1 - first] = 1
        pet = np.diag([3.0, 2.0, 3.0, 1.0])
        pet[:3, 3] = (-120.0 + 1.5 + 3 * first, 87.0, -637.0)
        segment = b"Segment0_ID:=a\nSegment0_Name:=FDG\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n\n"
        header = nrrd_header(stored.shape, pet) + segment
        (tmp_path / "avid.seg.nrrd").write_bytes(header + stored.tobytes(order="F"))
        record = told(tmp_path)
        assert record["volumes"]["fdg_avid_fraction"] == pytest.approx(2 / 6), (first, past)


def test_the_order_of_avid_masks_in_a_list_decides_nothing(case: Path) -> None:
    """A dense and a sparse one: the dense one says which field PET covered, wherever it stands.

    It covers all lesions; L1 and L3 without avid voxels are not avid.
    """
    _, affine = case_volumes()["fdg_avid"]
    corner = affine.copy()
    corner[:3, 3] += affine[:3, :3] @ (12, 11, 14)
    segment = b"Segment0_ID:=a\nSegment0_Name:=FDG\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n\n"
    (case / "more.seg.nrrd").write_bytes(nrrd_header((2, 2, 3), corner) + segment + bytes([1] * 12))
    records = [
        told(case, f'tumour = "tumour.nrrd"\nresectable = "resectable.nrrd"\nfdg_avid = ["{a}", "{b}"]')
        for a, b in (("fdg_avid.nrrd", "more.seg.nrrd"), ("more.seg.nrrd", "fdg_avid.nrrd"))
    ]
    for record in records:
        avidity = {row["lesion_id"]: row["fdg_avidity"] for row in record["lesions"]}
        assert avidity == {"L1": "not_avid", "L2": "avid", "L3": "not_avid"}
    assert records[0]["predicates"] == records[1]["predicates"]


def test_a_label_keeps_its_id_where_no_other_label_lies_in_the_liver(case: Path) -> None:
    """With ``tumour_scope = "liver"`` and L2 alone in it: still L2, in one piece or two, and its row its own.

    The liver holds the outer two of L2's three slices: 60 of its 90 voxels.
    """
    write(case, "tumour", (labels(), CT_AFFINE), PLAIN)
    liver = (labels() == 2).astype(np.uint8)
    liver[:, :, 3] = 0
    write(case, "liver", (liver, CT_AFFINE), PLAIN)
    (case / "lesions.csv").write_text("lesion_id,resectability\nL2,ablatable\n")
    record = run_case(case, parse_protocol(b'tumour_scope = "liver"', name="own.toml"))
    assert record["error"] is None
    assert [(row["lesion_id"], row["voxels"], row["resectability"]) for row in record["lesions"]] == [
        ("L2", 60, "ablatable")
    ]
    assert len(messages(record, "tumour_outside_liver")) == 1
    assert messages(record, "empty_segment") == []


def test_a_slice_that_one_mask_lacks_is_refused_unless_its_entry_allows_it(case: Path) -> None:
    """Beside a sparse tumour too; `resample = true`, as the message says, takes it as it lies."""
    segment = b"Segment0_ID:=a\nSegment0_Name:=met\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n\n"
    corner = CT_AFFINE.copy()
    corner[:3, 3] += CT_AFFINE[:3, :3] @ (16, 12, 2)  # L2: 6 x 5 x 3 voxels
    (case / "l2.seg.nrrd").write_bytes(nrrd_header((6, 5, 3), corner) + segment + bytes([1] * 90))
    write(case, "resectable", (resectable()[:, :, :-1], CT_AFFINE), PLAIN)
    write(case, "liver", (np.ones_like(labels()), CT_AFFINE), PLAIN)
    inputs = 'tumour = "l2.seg.nrrd"\nliver = "liver.nrrd"\nresectable = '
    (case / "case.toml").write_text(f'[inputs]\n{inputs}"resectable.nrrd"\n')
    error = run_case(case, protocol())["error"]
    assert error["code"] == "grid_mismatch"
    assert "resample = true" in error["hint"]
    record = told(case, inputs + '{ path = "resectable.nrrd", resample = true }')
    assert record["predicates"]["stratum_1"]["part_voxels"] == 90
    assert record["liver_burden"]["liver_ml"] == pytest.approx(26 * 22 * 12 * 0.0014)


def test_a_byte_order_mark_before_case_toml_is_passed_over(case: Path) -> None:
    """As Windows editors write it; in lesion tables and manifests it is, too."""
    (case / "case.toml").write_bytes(b'\xef\xbb\xbfsubject = "S7"\r\n[inputs]\r\ntumour = "tumour.nrrd"\r\n')
    assert told(case)["subject"] == "S7"


def test_a_table_that_is_not_there_is_looked_for_where_it_was_named(case: Path) -> None:
    """By ``--lesions``: the next step is not only in case.toml."""
    error = run_case(case, protocol(), lesions="B")["error"]
    assert error["message"].startswith("lesions.B.csv: no such file")
    assert "--lesions" in error["hint"]


def test_a_value_just_off_a_label_is_shown_with_the_digits_that_matter(case: Path) -> None:
    """1.000002 is not said to be 1."""
    dense = (labels() > 0) * 1.000002
    write(case, "tumour", (dense, CT_AFFINE), Form(ending=".nrrd", dtype="f8"))
    assert "holds 1.000002, which is no label" in run_case(case, protocol())["error"]["message"]


@pytest.mark.parametrize(
    ("weight_kg", "height_cm", "said"),
    [(70, 175, False), (154, 175, True), (153, 175, False), (7.1, 175, True), (36.75, 175, False)],
)
def test_weight_and_height_that_are_hardly_one_persons_are_said(
    case: Path, weight_kg: float, height_cm: float, said: bool
) -> None:
    """70 kg at 1.75 m are 22.9 kg/m2, and 154 as pounds 50.3; 36.75 are 12.0. A review where SUV decides."""
    inputs = 'tumour = "tumour.nrrd"\n[patient]\n'
    told(case, f"{inputs}weight_kg = {weight_kg}\nheight_cm = {height_cm}")
    for rule, severity in ((b"", "warning"), (b'[avidity]\nrule = "fixed"\nsuv_threshold = 2.5', "review")):
        record = run_case(case, parse_protocol(rule, name="own.toml"))
        found = [one["severity"] for one in record["findings"] if one["code"] == "body_size_implausible"]
        assert found == ([severity] if said else [])
