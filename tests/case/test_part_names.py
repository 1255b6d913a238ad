"""Names that leave open, or deny, what a part is; and what shape and place of a mask give away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from tests.part_cases import LABELS, PROTOCOL, TABLE, codes, nifti, tumour
from tests.records import run_case
from volstrat.terms.naming import said_by
from volstrat.terms.protocol import NAMING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize(
    "name",
    [
        "resectable if downstaged",
        "resectable after PVE",
        "was resectable",
        "nao resectable",
        "resectable 0",
        "resectable - NOT",
    ],
)
def test_a_condition_or_a_negation_is_not_taken_for_resectable(tmp_path: Path, name: str) -> None:
    """Beside 90 voxels called resectable, 400 under a condition: 90 of 500 count, whatever the words."""
    labels = LABELS.copy()
    labels[20:22, 20:25, 12] = 0
    nifti(tumour(tmp_path) / "resectable.nii.gz", labels, {1: "resectable", 2: name})
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["part_voxels"] == 90
    assert ("part_unclear" in codes(record)) == (name != "nao resectable")  # a plain denial needs no look


@pytest.mark.parametrize(
    "name", ["FDG-avid bladder", "FDG avid? kidney", "FDG low", "old FDG avid", "FDG avid, benign"]
)
def test_normal_uptake_is_no_disease_by_its_name(name: str) -> None:
    """It plays no role by itself and is a review (`doubted`); "bowel metastasis" is disease."""
    assert said_by(name, (), NAMING).doubted == {"fdg_avid"}
    assert said_by(name, (), NAMING).role is None
    assert said_by("FDG-avid bowel metastasis", (), NAMING).role == "fdg_avid"
    assert said_by("FDG avid node, not resectable", (), NAMING).role == "fdg_avid"


@pytest.mark.parametrize(
    "name", ["Resectable NE met", "resectable lesions only", "Resectable no. 3", "resectable, lower pole"]
)
def test_ordinary_names_of_what_can_be_resected_are_not_doubted(name: str) -> None:
    """NE is neuroendocrine, "no." a number, and a lower pole is no low uptake."""
    assert (said_by(name, (), NAMING).role, said_by(name, (), NAMING).doubted) == ("resectable", frozenset())


def test_a_dash_of_any_kind_denies() -> None:
    """U+2212 and the en dash are what word processors write for "FDG -"."""
    assert {said_by(f"FDG{dash}", (), NAMING).role for dash in ("-", "\u2212", "\u2013")} == {None}


@pytest.mark.parametrize(
    "name", ["Old metastasis", "Lesion?", "ablated metastasis", "PTV tumour", "FNH lesion"]
)
def test_a_name_that_leaves_tumour_open_counts_and_is_a_review(tmp_path: Path, name: str) -> None:
    """All 500 voxels count; naming the segments in the entry settles it."""
    nifti(tmp_path / "t.nii.gz", LABELS, {1: "Metastasis 1", 2: name})
    (tmp_path / "case.toml").write_text('[inputs]\ntumour = "t.nii.gz"\n')
    record = run_case(tmp_path, PROTOCOL)
    assert record["predicates"]["stratum_1"]["whole_voxels"] == 500
    assert codes(record) == {"part_in_doubt"}
    (tmp_path / "case.toml").write_text('[inputs]\ntumour = { path = "t.nii.gz", segments = [1, 2] }\n')
    assert codes(run_case(tmp_path, PROTOCOL)) == set()


@pytest.mark.parametrize(
    "name", ["Liver with metastases", "Lever + tumör", "Leber und Metastasen", "liver incl. tumour"]
)
def test_an_organ_named_with_its_tumour_is_no_tumour(tmp_path: Path, name: str) -> None:
    """The liver's 410 voxels are no lesion."""
    nifti(tmp_path / "tumour.nii.gz", LABELS, {1: "Metastasis 1", 2: name})
    assert run_case(tmp_path, PROTOCOL)["predicates"]["stratum_1"]["whole_voxels"] == 90


def test_brackets_do_not_hide_a_metastasis() -> None:
    """What is called "Liver (mets)" is what "Liver mets" is."""
    assert said_by("Liver (mets)", (), NAMING).role == "tumour"


def test_readers_tables_that_nobody_asked_for_are_said(tmp_path: Path) -> None:
    """Two readers marked; without --lesions neither counts. The table that stands settles it."""
    tumour(tmp_path)
    nifti(tmp_path / "resectable.nii.gz", (LABELS > 0).astype(np.uint8))
    for reader in ("R1", "R2"):
        (tmp_path / f"lesions.{reader}.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    (tmp_path / "lesions.history.csv").write_text("")
    record = run_case(tmp_path, PROTOCOL)
    assert record["status"] == "review"
    (said,) = [one["message"] for one in record["findings"] if one["code"] == "files_unread"]
    assert "lesions.R1.csv, lesions.R2.csv" in said
    assert "--lesions R1" in said
    (tmp_path / "lesions.csv").write_text("lesion_id,resectability\n")
    assert "files_unread" not in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize("role", ["tumour", "resectable", "fdg_avid", "liver"])
def test_a_mask_the_wrong_way_round_is_said(tmp_path: Path, role: str) -> None:
    """1 for all that is not meant: 16300 of 16800 voxels, every corner too; a full box is none."""
    tumour(tmp_path)
    nifti(tmp_path / f"{role}.nii.gz", (LABELS == 0).astype(np.uint8))
    assert "mask_may_be_inverted" in codes(run_case(tmp_path, PROTOCOL))
    nifti(tmp_path / f"{role}.nii.gz", np.ones_like(LABELS))
    assert "mask_may_be_inverted" not in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        pytest.param(lambda a: a[::-1], "first axis", id="i"),
        pytest.param(lambda a: a[:, ::-1], "second axis", id="j"),
        pytest.param(lambda a: a[:, :, ::-1], "third axis", id="k"),
        pytest.param(lambda a: a[::-1, ::-1], "first two axes", id="i and j"),
    ],
)
def test_a_resectable_mask_saved_with_its_axes_turned_is_said(
    tmp_path: Path, turn: Callable[[NDArray[Any]], NDArray[Any]], said: str
) -> None:
    """Turned back, all 410 of its voxels lie in tumour."""
    drawn = (LABELS == 2).astype(np.uint8)
    nifti(tumour(tmp_path) / "resectable.nii.gz", turn(drawn))
    findings = run_case(tmp_path, PROTOCOL)["findings"]
    (found,) = [one for one in findings if one["code"] == "resectable_misplaced"]
    assert said in found["message"]
    nifti(tmp_path / "resectable.nii.gz", drawn)
    assert "resectable_misplaced" not in codes(run_case(tmp_path, PROTOCOL))


def test_a_resection_area_round_tumour_is_in_place_and_one_off_all_tumour_is_not(tmp_path: Path) -> None:
    """The first is how surgeons draw; of the second nobody can say what it marks."""
    area = np.zeros_like(LABELS)
    area[14:28, 1:18, 2:14] = 1  # round the 90 voxels of label 1, and mostly liver
    nifti(tumour(tmp_path) / "resectable.nii.gz", area)
    assert "resectable_misplaced" not in codes(run_case(tmp_path, PROTOCOL))
    nifti(tmp_path / "resectable.nii.gz", np.where(LABELS > 0, 0, area).astype(np.uint8))
    assert "resectable_misplaced" in codes(run_case(tmp_path, PROTOCOL))


def test_one_file_in_two_roles_is_said_unless_the_entry_names_its_labels(tmp_path: Path) -> None:
    """All tumour would be resectable: a line copied, or what was meant."""
    nifti(tmp_path / "t.nii.gz", (LABELS > 0).astype(np.uint8))
    text = '[inputs]\ntumour = "t.nii.gz"\nresectable = {}\n'
    (tmp_path / "case.toml").write_text(text.format('"t.nii.gz"'))
    record = run_case(tmp_path, PROTOCOL)
    assert (record["stratum"], "file_in_two_roles" in codes(record)) == ("stratum_1", True)
    (tmp_path / "case.toml").write_text(text.format('{ path = "t.nii.gz", segments = [1] }'))
    assert "file_in_two_roles" not in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize(
    ("stem", "said"),
    [
        ("bone_mets", "may be tumour"),
        ("primary_tumour", "may be tumour"),
        ("resektabel", "can (or cannot) be resected"),
        ("pet_avid", "FDG-avid disease"),
        ("ablatable", "lesion table says"),
        ("spleen", ""),
        ("labels", ""),
    ],
)
def test_a_mask_that_no_role_names_is_a_review_where_its_name_says_one(
    tmp_path: Path, stem: str, said: str
) -> None:
    """Else it is listed; and where case.toml chooses the files, a person left it out."""
    nifti(tumour(tmp_path) / f"{stem}.nii.gz", (LABELS == 1).astype(np.uint8))
    found = [one for one in run_case(tmp_path, PROTOCOL)["findings"] if one["code"] == "files_unread"]
    assert [(one["severity"], said in one["message"]) for one in found] == [
        ("review" if said else "info", True)
    ]
    (tmp_path / "case.toml").write_text('[inputs]\ntumour = "tumour.nii.gz"\n')
    assert "files_unread" not in codes(run_case(tmp_path, PROTOCOL))


def test_a_threshold_that_every_voxel_reaches_is_refused(tmp_path: Path) -> None:
    """0 would make the whole image tumour."""
    tumour(tmp_path)
    (tmp_path / "case.toml").write_text('[inputs]\ntumour = { path = "tumour.nii.gz", threshold = 0 }\n')
    error = run_case(tmp_path, PROTOCOL)["error"]
    assert error["code"] == "case_invalid"
    assert "above 0" in error["message"]


def test_what_can_be_resected_is_not_the_whole_liver(tmp_path: Path) -> None:
    """The liver mask under another name leaves none of it; 27 of its 28 columns leave 4 %, 26 leave 7 %."""
    liver = np.zeros_like(LABELS)
    liver[1:29, 1:27, 2:18] = 1
    nifti(tumour(tmp_path) / "liver.nii.gz", liver)
    nifti(tmp_path / "resectable.nii.gz", liver)
    record = run_case(tmp_path, PROTOCOL)
    assert (record["stratum"], codes(record)) == ("stratum_1", {"resectable_whole_liver"})
    for first_left, said in ((28, True), (27, False)):
        liver[first_left:] = 0
        nifti(tmp_path / "resectable.nii.gz", liver)
        assert ("resectable_whole_liver" in codes(run_case(tmp_path, PROTOCOL))) == said


def test_what_can_be_resected_is_smaller_than_a_liver_whatever_its_name(tmp_path: Path) -> None:
    """A segment "Resectable" of all 16,800 voxels of 0.56 ml each, 9.4 l; half a litre of them is none."""
    affine = np.diag([-8.0, -7.0, 10.0, 1.0])
    nib.save(nib.Nifti1Image((LABELS > 0).astype(np.uint8), affine), tmp_path / "tumour.nii.gz")
    area = np.ones_like(LABELS)
    for filled, said in ((slice(None), True), (slice(0, 1), False)):
        area[:] = 0
        area[filled] = 1
        image = nib.Nifti1Image(area, affine)
        label = TABLE.format('<Label Key="1">Resectable</Label>').encode()
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, label))
        nib.save(image, tmp_path / "resectable.nii.gz")
        assert ("part_may_be_organ" in codes(run_case(tmp_path, PROTOCOL))) == said


def test_the_avid_mask_as_what_can_be_resected_is_said(tmp_path: Path) -> None:
    """No two drawings agree outside tumour voxel by voxel; lesions that were picked from the tumour do."""
    area = np.zeros_like(LABELS)
    area[17:25, 4:9, 4:11] = 1  # round label 1
    for role in ("resectable", "fdg_avid"):
        nifti(tumour(tmp_path) / f"{role}.nii.gz", area)
    assert "file_in_two_roles" in codes(run_case(tmp_path, PROTOCOL))
    area[24] = 0
    nifti(tmp_path / "fdg_avid.nii.gz", area)
    assert "file_in_two_roles" not in codes(run_case(tmp_path, PROTOCOL))
    for role in ("resectable", "fdg_avid"):
        nifti(tmp_path / f"{role}.nii.gz", (LABELS == 1).astype(np.uint8))
    assert "file_in_two_roles" not in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize(("drawn", "said"), [(1, True), (2, False)])
def test_tumour_and_what_can_be_resected_may_be_swapped(tmp_path: Path, drawn: int, said: bool) -> None:
    """90 of 500 voxels as tumour: swapped back, 18 % can go. Of 410 of 500 it would stay stratum 1."""
    nifti(tmp_path / "tumour.nii.gz", (LABELS == drawn).astype(np.uint8))
    nifti(tmp_path / "resectable.nii.gz", (LABELS > 0).astype(np.uint8))
    record = run_case(tmp_path, PROTOCOL)
    assert (record["stratum"], "resectable_misplaced" in codes(record)) == ("stratum_1", said)
    area = (LABELS > 0).astype(np.uint8)
    area[18:25, 5:8, 5:10] = 1  # one column wider than the lesion: drawn by hand
    nifti(tmp_path / "resectable.nii.gz", area)
    assert "resectable_misplaced" not in codes(run_case(tmp_path, PROTOCOL))


def test_a_lesion_that_is_an_outline_is_said(tmp_path: Path) -> None:
    """Of 10 x 10 x 4 voxels the outer 36 of each slice, round 64; a rim of two, 64 round 36, is none."""
    for rim, said in ((1, True), (2, False)):
        drawn = np.zeros_like(LABELS)
        drawn[3:13, 3:13, 4:8] = 1
        drawn[3 + rim : 13 - rim, 3 + rim : 13 - rim, 4:8] = 0
        nifti(tmp_path / "tumour.nii.gz", drawn)
        assert ("lesion_hollow" in codes(run_case(tmp_path, PROTOCOL))) == said
    drawn[8:13] = 0  # open to one side
    nifti(tmp_path / "tumour.nii.gz", drawn)
    assert "lesion_hollow" not in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize(("stop", "slices", "said"), [(26, 1, True), (24, 1, False), (26, 2, False)])
def test_a_wide_lesion_on_one_slice_is_said(tmp_path: Path, stop: int, slices: int, said: bool) -> None:
    """As for a diameter: 16.1 mm (23 x 0.7) is wide for 2.5 mm, 14.7 mm not wide enough."""
    drawn = np.zeros_like(LABELS)
    drawn[3:25, 3:stop, 4 : 4 + slices] = 1
    nifti(tmp_path / "tumour.nii.gz", drawn)
    assert ("lesion_skips_slices" in codes(run_case(tmp_path, PROTOCOL))) == said
    nifti(tmp_path / "tumour.nii.gz", drawn[:, :, 4:5])  # an image of one slice has none to be missed
    assert "lesion_skips_slices" not in codes(run_case(tmp_path, PROTOCOL))


def test_a_resectable_mask_that_holds_nothing_is_said(tmp_path: Path) -> None:
    """It says that all 500 voxels stay, or was exported empty: a warning, and the verdict stands."""
    nifti(tumour(tmp_path) / "resectable.nii.gz", np.zeros_like(LABELS))
    record = run_case(tmp_path, PROTOCOL)
    assert "resectable_misplaced" in codes(record, "warning")
    assert record["predicates"]["stratum_1"]["part_voxels"] == 0
