"""The library gives what the commands give, and nothing that it returns can be changed."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import volstrat as vs
from volstrat.case.assess import run_case
from volstrat.case.json_types import record_bytes
from volstrat.case.record_types import LesionRecord, VolumesRecord
from volstrat.case.typed_json import fields_of
from volstrat.cli.app import cli

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_data"
SURFACE = {"assess", "compare", "inspect", "load_protocol", "read_case", "read_cohort", "run_cohort", "suv"}


def record_of(folder: Path) -> dict[str, Any]:
    """Return the record that ``volstrat case`` writes."""
    found: dict[str, Any] = json.loads(record_bytes(run_case(folder, vs.load_protocol())))
    return found


@pytest.fixture(scope="module")
def case() -> vs.Case:
    """Return a case of two lesions, L1 unresectable and not avid, L2 resectable and avid."""
    return vs.read_case(SAMPLES / "S02_stratum_2")


def test_importing_costs_nothing_and_every_name_is_listed() -> None:
    """No module of volstrat but itself is loaded by its import, and ``dir`` names the whole surface."""
    code = "import sys, volstrat; print([m for m in sys.modules if m.startswith('volstrat.')], dir(volstrat))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"[] {sorted(vs.__all__)}\n"
    assert set(dir(vs)) >= {*SURFACE, "VolstratError", "Case", "__version__"}
    for name in vs.__all__:
        assert getattr(vs, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'run_case'"):
        _ = vs.run_case


def test_compare_stays_a_function_whatever_is_imported() -> None:
    """No package of volstrat has the name of a public function: its import would take the name."""
    packages = {path.parent.name for path in (ROOT / "volstrat").glob("*/__init__.py")}
    packages |= {path.stem for path in (ROOT / "volstrat").glob("*.py")}
    assert packages & set(vs.__all__) == set()


@pytest.mark.parametrize(
    "name", ["S02_stratum_2", "S07_no_pet_but_needed", "S11_lesion_table", "S15_dicom", "S16_three_plans"]
)
def test_a_case_is_what_the_command_writes(name: str, tmp_path: Path) -> None:
    """Its record equals the JSON, `to_json` writes the bytes, and attributes follow the record's names."""
    case = vs.read_case(str(SAMPLES / name))
    record = record_of(SAMPLES / name)
    assert case.record == record
    assert case.to_json(tmp_path / "case.json").read_bytes() == record_bytes(
        run_case(SAMPLES / name, vs.load_protocol())
    )
    assert (case.subject, case.stratum, case.status) == (
        record["subject"],
        record["stratum"],
        record["status"],
    )
    assert dataclasses.asdict(case.volumes) == record["volumes"]
    assert list(case.lesions) == [one["lesion_id"] for one in record["lesions"]]
    assert [(f.code, f.severity, f.message, f.where) for f in case.findings] == [
        (f["code"], f["severity"], f["message"], f["where"]) for f in record["findings"]
    ]
    for lesion, told in zip(case.lesions.values(), record["lesions"], strict=True):
        assert json.loads(json.dumps(dataclasses.asdict(lesion))) == told


def test_names_are_those_of_the_record() -> None:
    """Each key of the record's lesions and volumes is an attribute, and there is no other."""
    assert [one.name for one in dataclasses.fields(vs.Lesion)] == [one.key for one in fields_of(LesionRecord)]
    assert [one.name for one in dataclasses.fields(vs.Volumes)] == [
        one.key for one in fields_of(VolumesRecord)
    ]


def test_a_case_that_fails_raises_what_its_record_says() -> None:
    """Code, sentence and next step are those of the failed record."""
    with pytest.raises(vs.VolstratError) as caught:
        vs.read_case(SAMPLES / "S14_broken_file")
    error = record_of(SAMPLES / "S14_broken_file")["error"]
    assert {"code": caught.value.code, "message": caught.value.message, "hint": caught.value.hint} == error
    with pytest.raises(vs.VolstratError, match="is not a folder"):
        vs.read_case(SAMPLES / "nowhere")


def test_what_nobody_foresaw_is_an_error_of_volstrat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of volstrat's own is told as that, with its cause."""

    def fail(*_: object) -> None:
        1 // 0  # noqa: B018 - what nobody foresaw

    monkeypatch.setattr("volstrat.api.case_sources.assess_case", fail)
    with pytest.raises(vs.VolstratError, match="volstrat itself failed: ZeroDivisionError") as caught:
        vs.read_case(SAMPLES / "S02_stratum_2")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda case: case.lesions["L9"], id="lesions"),
        pytest.param(lambda case: case.pet_only_regions["P1"], id="regions"),
        pytest.param(lambda case: case.mask("L9"), id="mask"),
        pytest.param(lambda case: case.mask("avid"), id="no-name-of-a-shape"),
        pytest.param(lambda case: case.with_marks({"L9": "resectable"}), id="marks"),
    ],
)
def test_a_lesion_that_is_not_there_is_a_key_error(case: vs.Case, ask: Callable[[vs.Case], object]) -> None:
    """And one of volstrat's own, whose sentence lists those that are there."""
    with pytest.raises(KeyError) as caught:
        ask(case)
    assert isinstance(caught.value, vs.VolstratError)
    assert caught.value.hint in {"There are L1, L2.", "There are none."}
    assert "L9" not in case.lesions


def test_a_mask_is_the_lesions_voxels_in_ras() -> None:
    """On the grid of the file and with nibabel's affine; together the lesions are what is drawn."""
    folder = SAMPLES / "S06_no_pet_not_needed"
    drawn: Any = nib.load(folder / "Tumor.nii.gz")
    case = vs.read_case(folder)
    masks = {name: case.mask(name) for name in case.lesions}
    for name, (inside, affine) in masks.items():
        assert inside.dtype == np.bool_
        assert int(inside.sum()) == case.lesions[name].voxels
        np.testing.assert_allclose(affine, drawn.affine, atol=1e-9)
    np.testing.assert_array_equal(sum(m[0] for m in masks.values()) > 0, np.asarray(drawn.dataobj) > 0)
    with pytest.raises(ValueError, match="read-only"):
        masks["L1"][0][0, 0, 0] = True


def test_a_pet_only_region_has_a_mask_on_the_pet_grid() -> None:
    """As many voxels as the record says, and another grid than the tumour's."""
    case = vs.read_case(SAMPLES / "S08_pet_only_region")
    inside, affine = case.mask("P1")
    assert int(inside.sum()) == case.pet_only_regions["P1"].voxels
    assert abs(np.linalg.det(affine[:3, :3])) * inside.sum() / 1000 == pytest.approx(
        case.pet_only_regions["P1"].volume_ml
    )


def test_marks_give_what_the_same_table_gives(tmp_path: Path) -> None:
    """No file is read again: it is gone by then. Marks that are not named stay."""
    folder = Path(shutil.copytree(SAMPLES / "S02_stratum_2", tmp_path / "S02_stratum_2"))
    case = vs.read_case(folder)
    (folder / "lesions.csv").write_text("lesion_id,resectability\nL1,ablatable\n")
    written = record_of(folder)
    shutil.rmtree(folder)
    marked = case.with_marks({"L1": "ablatable"})
    for key in ("stratum", "predicates", "volumes", "robustness"):
        assert marked.record[key] == written[key], key
    assert marked.stratum == "stratum_1"
    assert case.stratum == "stratum_2"
    again = marked.with_marks({"L1": "avid"})
    assert (again.lesions["L1"].resectability, again.lesions["L1"].fdg_avidity) == ("ablatable", "avid")
    noted = marked.with_marks({"L1": {"reason": "near the hepatic vein", "reader": "AB"}})
    assert (noted.lesions["L1"].reason, noted.lesions["L1"].resectability) == (
        "near the hepatic vein",
        "ablatable",
    )


@pytest.mark.parametrize(
    "mark", ["Resectable", "gone", {"resectability": "gone"}, {"colour": "red"}, None, True, ["resectable"]]
)
def test_a_word_that_is_none_is_refused(case: vs.Case, mark: Any) -> None:  # noqa: ANN401 - what people give
    """As in a lesion table."""
    with pytest.raises(vs.VolstratError, match="marks"):
        case.with_marks({"L1": mark})


def test_another_plan_gives_what_choosing_it_in_the_file_gives(tmp_path: Path) -> None:
    """The record is that of a case whose ``chosen`` names the plan; one that is not there is refused."""
    folder = Path(shutil.copytree(SAMPLES / "S16_three_plans", tmp_path / "S16_three_plans"))
    case = vs.read_case(folder)
    for plan in case.plans:
        lines = [
            line for line in (folder / "case.toml").read_text().splitlines() if not line.startswith("chosen")
        ]
        (folder / "case.toml").write_text("\n".join([f'chosen = "{plan}"', *lines]))
        chosen = case.with_plan(plan)
        assert chosen.record == record_of(folder)
        assert chosen.record["chosen_plan"] == plan
    with pytest.raises(vs.VolstratError, match="no plan"):
        case.with_plan("Z")


def test_arrays_give_what_files_give() -> None:
    """Tumour, resectable, avid mask: same strata, counts, volumes and lesions, in RAS and in LPS."""
    folder = SAMPLES / "S02_stratum_2"
    images: dict[str, Any] = {
        name: nib.load(folder / f"{name}.nii.gz") for name in ("tumour", "resectable", "avid")
    }
    arrays = {name: np.asarray(image.dataobj) for name, image in images.items()}
    record = record_of(folder)
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    for convention, turn in (("RAS", np.eye(4)), ("LPS", flip)):
        case = vs.assess(
            tumour=arrays["tumour"],
            affine=turn @ images["tumour"].affine,
            resectable=arrays["resectable"] > 0,
            fdg_avid=arrays["avid"],
            pet_affine=turn @ images["avid"].affine,
            convention=convention,
        )
        for key in ("stratum", "status", "predicates", "volumes", "lesions", "robustness"):
            assert case.record[key] == record[key], key
        hashes = {one["role"]: one["voxels_sha256"] for one in case.record["inputs"]}
        assert hashes == {one["role"]: one["voxels_sha256"] for one in record["inputs"]}


def test_arrays_with_uptake_and_marks() -> None:
    """SUV on the tumour's own grid: 4 in the first lesion. 24 voxels of 2 x 2 x 5 mm are 0.48 ml, 480 mm3."""
    tumour = np.zeros((12, 12, 6), dtype=np.int16)
    tumour[2:5, 2:6, 1:3] = 1
    tumour[8:10, 8:10, 4] = 2
    uptake = np.where(tumour == 1, 4.0, 1.0)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    case = vs.assess(
        tumour, affine, fdg_avid=tumour == 1, suv=uptake, convention="LPS",
        marks={"L1": "resectable", "L2": "unresectable"},
    )  # fmt: skip
    assert case.lesions["L1"].volume_ml == pytest.approx(0.48)
    assert case.lesions["L1"].suv_max == 4.0
    assert (case.lesions["L1"].fdg_avidity, case.lesions["L2"].fdg_avidity) == ("avid", "not_avid")
    assert case.stratum == "stratum_1"  # 24 of 28 voxels
    assert [one["format"] for one in case.record["inputs"]] == ["array", "array", "array"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"convention": None}, "convention of the affine is not said", id="silent"),
        pytest.param({"convention": "LAS"}, "'LAS'", id="unknown"),
        pytest.param({"resectable": np.ones((4, 4, 5))}, "resectable has the shape", id="shape"),
        pytest.param({"fdg_avid": np.ones((4, 4, 5))}, "fdg_avid has the shape", id="pet-shape"),
        pytest.param({"tumour": np.full((4, 4, 4), 0.5)}, "tumour", id="fraction"),
        pytest.param({"tumour": np.ones((4, 4))}, "three axes", id="flat"),
        pytest.param({"tumour": np.full((4, 4, 4), "x")}, "numbers or truth values", id="text"),
        pytest.param({"affine": np.eye(3)}, "4 x 4", id="affine"),
        pytest.param({"affine": np.diag([1000.0, 1000.0, 1000.0, 1.0])}, "no patient", id="metres"),
    ],
)
def test_arrays_that_are_no_case_are_refused(change: dict[str, Any], match: str) -> None:
    """One sentence each, by the name of the parameter."""
    given: dict[str, Any] = {"tumour": np.ones((4, 4, 4)), "affine": np.eye(4), "convention": "RAS"}
    with pytest.raises(vs.VolstratError, match=match):
        vs.assess(**(given | change))


def test_nothing_returned_can_be_changed_and_all_of_it_travels(
    case: vs.Case, capsys: pytest.CaptureFixture[str]
) -> None:
    """Attributes and records refuse; pickles come back equal; reprs are short; nothing is printed."""
    found: list[Any] = [
        case,
        case.lesions,
        case.lesions["L1"],
        case.volumes,
        case.findings,
        vs.inspect(SAMPLES / "S02_stratum_2"),
        vs.suv(SAMPLES / "S15_dicom"),
        vs.load_protocol(),
    ]
    for one in found:
        assert pickle.loads(pickle.dumps(one)) == one
        assert len(repr(one)) < 400
        if not isinstance(one, tuple):
            with pytest.raises((AttributeError, TypeError)):
                one.subject = "another"
        if hasattr(one, "_repr_html_"):
            assert one._repr_html_().startswith(("<p>", "<table>"))
    with pytest.raises(TypeError, match="cannot be changed"):
        case.record["stratum"] = "stratum_1"  # type: ignore[index]
    with pytest.raises(TypeError, match="cannot be changed"):
        case.record["lesions"][0]["voxels"] = 1
    assert json.loads(json.dumps(case.record)) == case.record
    with pytest.raises(TypeError):
        case.lesions["L3"] = case.lesions["L1"]  # type: ignore[index]
    marked = pickle.loads(pickle.dumps(case)).with_marks({"L1": "resectable"})
    assert marked.stratum == "stratum_1"
    assert capsys.readouterr() == ("", "")


def test_html_names_nothing_that_a_file_could_smuggle_in(tmp_path: Path) -> None:
    """A subject's name is text in a notebook, not markup."""
    folder = Path(shutil.copytree(SAMPLES / "S02_stratum_2", tmp_path / "case"))
    (folder / "case.toml").write_text('subject = "<img src=x>"\n[inputs]\ntumour = "tumour.nii.gz"\n')
    html = vs.read_case(folder)._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html


def test_tables_are_those_of_a_cohort(case: vs.Case) -> None:
    """The columns of ``lesions.parquet``; null stays apart from false and zero."""
    table = case.lesions.to_arrow()
    frame = case.lesions.to_pandas()
    assert table.column_names[:4] == ["subject", "visit", "lesion_id", "voxels"]
    assert frame["lesion_id"].tolist() == list(case.lesions)
    assert frame["volume_ml"].tolist() == [one.volume_ml for one in case.lesions.values()]
    assert frame["visit"].isna().all()
    assert frame["dismissed"].dtype.name == "boolean"
    assert table.schema.field("volume_ml").metadata[b"unit"] == b"ml"


def test_without_pandas_a_frame_says_what_to_install(case: vs.Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is there all the same, as Arrow."""
    assert case.lesions.to_arrow().num_rows == 2  # first: Arrow asks once whether pandas is there
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(vs.VolstratError, match=r"\.\[pandas\]"):
        case.lesions.to_pandas()


def test_a_report_is_the_commands(case: vs.Case, tmp_path: Path) -> None:
    """The same bytes at the same place."""
    from volstrat.report.write import report_case

    written = case.report(tmp_path / "mine")
    theirs = report_case(SAMPLES / "S02_stratum_2", tmp_path / "theirs", vs.load_protocol())
    assert written.files[0].relative_to(tmp_path / "mine") == theirs.files[0].relative_to(tmp_path / "theirs")
    assert written.files[0].read_bytes() == theirs.files[0].read_bytes()


def test_inspect_and_suv_are_what_the_commands_print() -> None:
    """Their records equal the JSON; a PET that cannot become SUV raises."""
    from volstrat.case.discovery import CasePlace
    from volstrat.case.inspect import inspect_case
    from volstrat.case.pet_inputs import suv_report

    folder = SAMPLES / "S15_dicom"
    place = CasePlace(folder=folder, subject=folder.name)
    assert vs.inspect(folder).record == inspect_case(place, vs.load_protocol())
    found = vs.suv(folder)
    assert found.record == suv_report(folder)
    assert found.suvbw_factor == found.record["suvbw_factor"]
    with pytest.raises(vs.VolstratError):
        vs.suv(SAMPLES / "S02_stratum_2")


def test_a_subject_of_a_study_is_read_by_name(tmp_path: Path) -> None:
    """`read_case` and `inspect` take a study file; several subjects need a choice."""
    for name in ("S02_stratum_2", "S05_exactly_70_percent"):
        shutil.copytree(SAMPLES / name, tmp_path / "cases" / name)
    study = tmp_path / "study.toml"
    study.write_text('[study]\nid = "T"\n[layout]\nsubject = "cases/{subject}"\n')
    case = vs.read_case(study, subject="S02_stratum_2")
    assert case.stratum == "stratum_2"
    assert vs.inspect(study, subject="S02_stratum_2").roles == ("tumour", "resectable", "fdg_avid")
    with pytest.raises(vs.VolstratError, match="S05_exactly_70_percent"):
        vs.read_case(study)


def test_an_array_reads_back_from_bytes_alone() -> None:
    """Where a case was unpickled, nothing of it points at the process that made it."""
    case = vs.assess(np.ones((3, 3, 3), np.uint8), np.eye(4), convention="RAS", marks={"L1": "resectable"})
    stream = io.BytesIO()
    pickle.dump(case, stream)
    code = (
        "import pickle, sys; print(pickle.load(sys.stdin.buffer).with_marks({'L1': 'unresectable'}).stratum)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=stream.getvalue(), capture_output=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == b"None"


def test_a_case_goes_out_as_dicom_where_its_images_are(case: vs.Case, tmp_path: Path) -> None:
    """The kinds that ``volstrat export`` writes; without images it is refused and nothing is written."""
    pytest.importorskip("highdicom")
    pytest.importorskip("weasyprint")
    written = vs.read_case(SAMPLES / "S15_dicom").to_dicom(tmp_path / "out")
    assert {path.name.split("-")[0] for path in written.files} == {"seg", "sr", "pdf", "sc"}
    assert all(path.is_file() for path in written.files)
    with pytest.raises(vs.VolstratError, match="no DICOM image"):
        case.to_dicom(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_tables_of_a_run_that_was_cut_off_are_not_read(tmp_path: Path) -> None:
    """They are those of the run before: `record` gave another stratum than the table."""
    shutil.copytree(SAMPLES / "S01_stratum_1", tmp_path / "in" / "S01")
    vs.run_cohort(tmp_path / "in", out=tmp_path / "out", workers=1)
    run = tmp_path / "out" / "run.json"
    run.write_text(json.dumps({**json.loads(run.read_text()), "finished_at": None}))
    with pytest.raises(vs.VolstratError, match="has not come to its end"):
        vs.read_cohort(tmp_path / "out")


def test_a_subject_that_looks_like_a_number_keeps_its_name(tmp_path: Path) -> None:
    """The table was read back from CSV: subject 001 was the number 1, and an empty column had no type."""
    for reader in ("ann", "bo"):
        shutil.copytree(SAMPLES / "S01_stratum_1", tmp_path / reader / "001")
        shutil.copytree(SAMPLES / "S01_stratum_1", tmp_path / reader / "002")
    found = vs.compare(tmp_path / "ann", tmp_path / "bo").to_arrow()
    assert found.column("subject").to_pylist() == ["001", "002"]
    assert str(found.schema.field("visit").type) == "string"


def test_the_library_has_what_the_commands_have(tmp_path: Path) -> None:
    """What an option of a command settles, a keyword does: tolerance and matching, shard and limits."""
    one, other = SAMPLES / "S01_stratum_1", SAMPLES / "S02_stratum_2"
    loose = vs.compare(one, one, tolerance_mm=3.0, match_mm=5.0, resample=True)
    settings = loose.record["settings"]
    assert (settings["surface_tolerance_mm"], settings["match_distance_mm"], settings["resample"]) == (
        3.0,
        5.0,
        True,
    )
    for folder in (one, other):
        shutil.copytree(folder, tmp_path / "in" / folder.name)
    parts = [
        vs.run_cohort(tmp_path / "in", tmp_path / f"out{k}", shard=f"{k}/2", workers=1, time_limit_minutes=5)
        for k in (1, 2)
    ]
    assert sum(len(part) for part in parts) == 2
    with pytest.raises(vs.VolstratError, match="limits of time and memory"):
        vs.run_cohort(tmp_path / "in", tmp_path / "none", memory_limit_gib=0)


def test_dicom_of_one_moment_has_the_same_bytes_as_the_command_writes(tmp_path: Path) -> None:
    """``at`` and ``kinds`` are the command's --at and --seg."""
    pytest.importorskip("highdicom")
    written = vs.read_case(SAMPLES / "S15_dicom").to_dicom(
        tmp_path / "mine", kinds=("seg",), at=datetime.fromisoformat("2026-03-01T14:30")
    )
    folder = str(SAMPLES / "S15_dicom")
    arguments = ["export", folder, "-o", str(tmp_path / "theirs"), "--seg", "--at", "2026-03-01T14:30:00"]
    assert CliRunner().invoke(cli, arguments).exit_code in (0, 3)
    assert len(written.files) == 2  # of the CT, and of the PET
    for mine in written.files:
        assert mine.read_bytes() == (tmp_path / "theirs" / mine.name).read_bytes()
