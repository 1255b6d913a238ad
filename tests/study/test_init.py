"""From anyone's tree to right counts: `volstrat init`, then `volstrat batch`, without editing anything."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.cohort.cohorts import InlineRunner
from tests.study.trees import SUBJECTS, TREES, TUMOUR_VOXELS, ct, liver, suv, tumour, write, write_json
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.cohort import run_cohort
from volstrat.errors import OutputError, UsageError
from volstrat.study.init import init_study
from volstrat.study.study_file import read_study
from volstrat.study.subjects import find_study_cases

if TYPE_CHECKING:
    from pathlib import Path


def batch(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Run a cohort in this process; return its records by subject."""
    monkeypatch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
    run_cohort(source, out, protocol=load_protocol(), workers=1)
    found = [json.loads(path.read_bytes()) for path in out.glob("*/case.json")]
    return {record["subject"]: record for record in found}


@pytest.mark.parametrize("name", [name for name in TREES if name != "autoPET"])
def test_a_tree_gives_right_counts_without_editing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each layout is known by name, and each of its subjects has the phantom's 84 tumour voxels."""
    TREES[name](tmp_path / "tree")
    done = init_study(tmp_path / "tree")
    assert name in done.text
    assert "2 cases" in done.text
    records = batch(done.path, tmp_path / "out", monkeypatch)
    assert sorted(records) == list(SUBJECTS)
    for record in records.values():
        assert record["error"] is None
        assert record["predicates"]["stratum_1"]["whole_voxels"] == TUMOUR_VOXELS


def test_all_is_clear_where_resectability_is_drawn(tmp_path: Path) -> None:
    """Exit code 0, and the next command."""
    TREES["case folders"](tmp_path / "tree")
    done = CliRunner().invoke(cli, ["init", str(tmp_path / "tree")])
    assert done.exit_code == 0
    assert "Next:    volstrat batch" in done.output
    assert "Unclear" not in done.output


def test_what_is_not_marked_is_said(tmp_path: Path) -> None:
    """Exit code 3: a data set of tumours says nothing of what can be resected."""
    TREES["nnU-Net"](tmp_path / "tree")
    done = CliRunner().invoke(cli, ["init", str(tmp_path / "tree")])
    assert done.exit_code == 3
    assert "Nothing says what can be resected" in done.output
    text = (tmp_path / "tree" / "study.toml").read_text()
    assert 'tumour = { path = "labelsTr/{subject}.nii.gz", segments = ["tumour"] }' in text
    assert "resectable =" not in text


def test_the_table_that_the_hint_names_can_be_written(tmp_path: Path) -> None:
    """With that line in the study file `lesions` failed: the table that it was to write was not there."""
    TREES["BIDS"](tmp_path)
    study = tmp_path / "study.toml"
    said = CliRunner().invoke(cli, ["init", str(tmp_path)]).output
    line = 'lesions = "reads/{subject}_{visit}.csv"'
    assert line in said
    study.write_text(study.read_text().replace("[layout.inputs]", f"[layout.inputs]\n{line}", 1))
    table = tmp_path / "reads" / "P01_01.csv"
    done = CliRunner().invoke(cli, ["lesions", str(study), "--subject", "P01", "-o", str(table)])
    assert done.exit_code == 0, done.output
    assert len(table.read_text().splitlines()) == 3


def test_autopet_masks_are_avid_disease_and_not_the_tumour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are proposed as FDG-avid; that a CT tumour mask is needed is said; each subject fails by name."""
    TREES["autoPET"](tmp_path / "tree")
    done = init_study(tmp_path / "tree")
    assert not done.is_clear
    assert "a mask of the tumour on CT is needed" in " ".join(done.text.split())
    inputs = read_study(done.path).inputs
    assert inputs["fdg_avid"] == "{subject}/{visit}/SEG.nii.gz"
    assert "tumour" not in inputs
    records = batch(done.path, tmp_path / "out", monkeypatch)
    assert {record["error"]["code"] for record in records.values()} == {"role_missing"}


def test_two_candidates_are_left_open(tmp_path: Path) -> None:
    """Both lines are shown, and neither is written."""
    TREES["TotalSegmentator"](tmp_path / "tree")
    for name in SUBJECTS:
        write(tmp_path / "tree" / name / "segmentations" / "liver_lesions.nii.gz", tumour())
    done = init_study(tmp_path / "tree")
    said = " ".join(done.text.split())
    assert "2 candidates for tumour" in said
    assert "liver_lesions.nii.gz" in said
    assert "liver_tumor.nii.gz" in said
    assert "tumour" not in read_study(done.path).inputs


def test_a_file_that_some_lack_is_named(tmp_path: Path) -> None:
    """Who lacks it, and what to do."""
    TREES["TotalSegmentator"](tmp_path / "tree")
    (tmp_path / "tree" / "P02" / "ct.nii.gz").unlink()
    assert "ct: not there for P02, which would fail" in " ".join(init_study(tmp_path / "tree").text.split())


def test_labels_without_names_are_asked_about(tmp_path: Path) -> None:
    """MONAI Label keeps no names in its files: nobody says that label 1 is tumour."""
    TREES["MONAI Label"](tmp_path / "tree")
    assert "its labels have no names" in " ".join(init_study(tmp_path / "tree").text.split())


def test_a_study_file_that_is_there_stays(tmp_path: Path) -> None:
    """Exit code 1, and not a byte is changed."""
    TREES["nnU-Net"](tmp_path / "tree")
    (tmp_path / "tree" / "study.toml").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        init_study(tmp_path / "tree")
    assert CliRunner().invoke(cli, ["init", str(tmp_path / "tree")]).exit_code == 1
    assert (tmp_path / "tree" / "study.toml").read_text() == "mine"


def test_where_nothing_is_found_nothing_is_written(tmp_path: Path) -> None:
    """Exit code 2, with the layouts that are known."""
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="no subject was found") as caught:
        init_study(tmp_path / "tree")
    assert "nnU-Net" in caught.value.hint
    assert CliRunner().invoke(cli, ["init", str(tmp_path / "tree")]).exit_code == 2
    assert not (tmp_path / "tree" / "study.toml").exists()


def test_a_layout_in_a_folder_below_is_named(tmp_path: Path) -> None:
    """Who names the folder above (nnUNet_raw) reads the command for the data set in it."""
    TREES["nnU-Net"](tmp_path / "raw" / "Dataset012_NET")
    with pytest.raises(UsageError, match="no subject was found") as caught:
        init_study(tmp_path / "raw")
    assert f"volstrat init {tmp_path / 'raw' / 'Dataset012_NET'}" in caught.value.hint


def test_a_folder_of_predictions_alone_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nnUNetv2_predict writes dataset.json beside its masks: label 1 of it is tumour, 84 voxels."""
    TREES["nnU-Net predictions"](tmp_path / "tree")
    done = init_study(tmp_path / "tree" / "predictions")
    records = batch(done.path, tmp_path / "out", monkeypatch)
    assert sorted(records) == list(SUBJECTS)
    for record in records.values():
        assert record["predicates"]["stratum_1"]["whole_voxels"] == TUMOUR_VOXELS


def test_a_study_file_elsewhere_finds_its_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its patterns lead from its own folder to the tree."""
    TREES["nnU-Net"](tmp_path / "tree")
    (tmp_path / "studies").mkdir()
    done = init_study(tmp_path / "tree", tmp_path / "studies" / "one.toml")
    assert sorted(batch(done.path, tmp_path / "out", monkeypatch)) == list(SUBJECTS)


def test_visits_are_rows_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject of two visits has two rows and two folders; the record carries both names."""
    for visit in ("baseline", "month3"):
        write(tmp_path / "tree" / "P01" / visit / "tumour.nii.gz", tumour())
    write(tmp_path / "tree" / "P02" / "baseline" / "tumour.nii.gz", tumour())
    done = init_study(tmp_path / "tree")
    batch(done.path, tmp_path / "out", monkeypatch)
    found = [json.loads(path.read_bytes()) for path in sorted((tmp_path / "out").glob("*/case.json"))]
    assert [(one["subject"], one["visit"]) for one in found] == [
        ("P01", "baseline"), ("P01", "month3"), ("P02", "baseline"),
    ]  # fmt: skip
    header, *rows = (tmp_path / "out" / "cohort.csv").read_text().splitlines()
    assert header.startswith("subject,visit,")
    assert [row.split(",")[:2] for row in rows] == [
        ["P01", "baseline"],
        ["P01", "month3"],
        ["P02", "baseline"],
    ]


@pytest.mark.parametrize(
    ("name", "model"),
    [("TotalSegmentator", "TotalSegmentator"), ("nnU-Net predictions", "nnU-Net"), ("nnU-Net", None)],
)
def test_what_a_model_drew_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, model: str | None
) -> None:
    """An info in each record, by how the program lays out what it writes; people's masks have none."""
    TREES[name](tmp_path / "tree")
    if name == "nnU-Net predictions":
        (tmp_path / "tree" / "predictions" / "plans.json").write_text("{}")
    records = batch(init_study(tmp_path / "tree").path, tmp_path / "out", monkeypatch)
    for record in records.values():
        said = [one["message"] for one in record["findings"] if one["code"] == "drawn_by_model"]
        assert bool(said) == (model is not None)
        assert all(model is not None and model in message for message in said)


def test_subjects_and_visits_of_the_same_names_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BIDS numbers both: sub-01/ses-01, sub-01/ses-02, sub-02/ses-01, sub-02/ses-02."""
    write_json(tmp_path / "tree" / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.9.0"})
    for subject, session in itertools.product(("01", "02"), repeat=2):
        own = f"sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}"
        write(tmp_path / "tree" / f"{own}_ct.nii.gz", ct())
        write(tmp_path / "tree" / f"derivatives/seg/{own}_label-tumor_mask.nii.gz", tumour())
        write(tmp_path / "tree" / f"derivatives/seg/{own}_label-liver_mask.nii.gz", liver())
    done = init_study(tmp_path / "tree")
    masks = "derivatives/*/sub-{subject}/ses-{visit}/*/sub-{subject}_ses-{visit}"
    assert read_study(done.path).inputs == {
        "tumour": f"{masks}_label-tumor_mask.nii.gz",
        "ct": "sub-{subject}/ses-{visit}/*/sub-{subject}_ses-{visit}_ct.nii.gz",
        "liver": f"{masks}_label-liver_mask.nii.gz",
    }
    monkeypatch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
    run_cohort(done.path, tmp_path / "out", protocol=load_protocol(), workers=1)
    found = [json.loads(path.read_bytes()) for path in (tmp_path / "out").glob("*/case.json")]
    assert sorted((one["subject"], one["visit"]) for one in found) == sorted(
        itertools.product(("01", "02"), repeat=2)
    )
    assert {one["predicates"]["stratum_1"]["whole_voxels"] for one in found} == {TUMOUR_VOXELS}


def test_a_pet_channel_is_suv_where_the_data_set_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case's number may begin with a word that fits a role: the data set's labels say what is drawn."""
    tree = tmp_path / "Dataset501_NET"
    write_json(
        tree / "dataset.json",
        {"channel_names": {"0": "CT", "1": "SUV"}, "labels": {"background": 0, "tumor": 1}},
    )
    for name in ("fdg_0a1b", "liver_002"):
        write(tree / "imagesTr" / f"{name}_0000.nii.gz", ct())
        write(tree / "imagesTr" / f"{name}_0001.nii.gz", suv())
        write(tree / "labelsTr" / f"{name}.nii.gz", tumour())
    done = init_study(tree)
    assert read_study(done.path).inputs == {
        "tumour": {"path": "labelsTr/{subject}.nii.gz", "segments": ["tumor"]},
        "ct": "imagesTr/{subject}_0000.nii.gz",
        "pet": {"path": "imagesTr/{subject}_0001.nii.gz", "units": "SUVbw"},
    }
    records = batch(done.path, tmp_path / "out", monkeypatch)
    assert sorted(records) == ["fdg_0a1b", "liver_002"]
    for record in records.values():
        assert record["predicates"]["stratum_1"]["whole_voxels"] == TUMOUR_VOXELS
        assert {one["suv_max"] for one in record["lesions"]} == {6.0}


def test_folders_of_dicom_have_their_series_in_folders_of_their_own(tmp_path: Path) -> None:
    """A disc with DICOMDIR, two patients below DICOM, a viewer: two cases, each with its series."""
    from tests.dicom.dicom_case import Series, write_ct

    for n, name in enumerate(("PA0001", "PA0002"), start=1):
        for k in (1, 2):
            series = Series(uid=f"2.25.{n}{k}", frame=f"2.25.{n}9", study=f"2.25.{n}8")
            write_ct(tmp_path / "disc" / "DICOM" / name / "ST0001" / f"SE000{k}", series=series)
    (tmp_path / "disc" / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(60))
    (tmp_path / "disc" / "VIEWER").mkdir()
    (tmp_path / "disc" / "VIEWER" / "start.exe").write_bytes(b"MZ")
    done = init_study(tmp_path / "disc")
    assert "folders of DICOM" in done.text
    study = read_study(done.path)
    assert study.subject.text == "DICOM/{subject}"
    assert [case.name for case in find_study_cases(study)] == ["PA0001", "PA0002"]


def test_a_layout_below_is_named_and_a_subject_of_one_says_what_it_is(tmp_path: Path) -> None:
    """An extracted archive has a folder more than the data set; a scene's own folder has one less."""
    TREES["autoPET"](tmp_path / "download" / "FDG-PET-CT-Lesions")
    with pytest.raises(UsageError) as caught:
        init_study(tmp_path / "download")
    assert f"volstrat init {tmp_path / 'download' / 'FDG-PET-CT-Lesions'}" in caught.value.hint
    TREES["3D Slicer scenes"](tmp_path / "scenes")
    with pytest.raises(UsageError) as caught:
        init_study(tmp_path / "scenes" / "P01")
    assert f"It is one subject; name the folder that holds it: volstrat init {tmp_path / 'scenes'}" in (
        caught.value.hint
    )


def test_scenes_of_visits_are_found_a_level_deeper(tmp_path: Path) -> None:
    """SUBJECT/VISIT/scene.mrml."""
    TREES["3D Slicer scenes"](tmp_path / "made")
    for name in SUBJECTS:
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "made" / name).rename(tmp_path / "tree" / name / "baseline")
    inputs = read_study(init_study(tmp_path / "tree").path).inputs
    assert inputs["tumour"] == {"path": "{subject}/{visit}/Segmentation.seg.nrrd", "segments": ["Met 1"]}


def test_what_a_study_names_is_not_asked_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AutoPET's folders hold PET and SUV; the study says which is meant, and the tumour lies beside them."""
    TREES["autoPET"](tmp_path / "tree")
    for study in (tmp_path / "tree").glob("*/*"):
        write(study / "PET.nii.gz", suv())
        write(study / "tumour.nii.gz", tumour())
    records = batch(init_study(tmp_path / "tree").path, tmp_path / "out", monkeypatch)
    assert {one["predicates"]["stratum_1"]["whole_voxels"] for one in records.values()} == {TUMOUR_VOXELS}


def test_a_file_of_one_name_in_every_case_is_settled_by_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says which line; with it the counts are right."""
    for name in SUBJECTS:
        write(tmp_path / "tree" / name / "ct.nii.gz", ct())
        write(tmp_path / "tree" / name / "drawn.nii.gz", tumour())
    done = init_study(tmp_path / "tree")
    assert 'write tumour = "{subject}/FILE" below [layout.inputs]' in " ".join(done.text.split())
    with done.path.open("a") as stream:
        stream.write('tumour = "{subject}/drawn.nii.gz"\n')
    records = batch(done.path, tmp_path / "out", monkeypatch)
    assert {one["predicates"]["stratum_1"]["whole_voxels"] for one in records.values()} == {TUMOUR_VOXELS}
