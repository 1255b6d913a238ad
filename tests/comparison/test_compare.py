"""Two or more readings: cases, folders, outputs, tables; agreement, attribution, adjudication."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from tests.comparison.comparisons import LARGER, compared, only_subject
from tests.comparison.readers import (
    AFFINE,
    L1,
    L2,
    L3,
    VOXEL_ML,
    filled,
    stratum_1,
    write_case,
    write_mask,
)
from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort
from volstrat.comparison import Settings, agreement_schema, compare_readings
from volstrat.comparison.pair import ReadCase, compare_pair
from volstrat.errors import UsageError

if TYPE_CHECKING:
    from tests.comparison.readers import Box


PROGRAM = Path(sys.executable).parent / "volstrat"


def test_the_schema_is_a_schema() -> None:
    """JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(agreement_schema())


@pytest.mark.parametrize(
    ("changes", "ingredient"),
    [
        pytest.param({"tumour": filled(L1, LARGER)}, "contour", id="contour"),
        pytest.param({"tumour": filled(L1, L2, L3)}, "detection", id="detection"),
        pytest.param({"resectable": filled(L2)}, "marking", id="marking"),
        pytest.param({}, None, id="none"),
    ],
)
def test_what_differs_is_named(tmp_path: Path, changes: dict[str, Any], ingredient: str | None) -> None:
    """A changed mask changes the stratum; the ingredient that carries it is named."""
    a = stratum_1(tmp_path / "a" / "S1")
    b = stratum_1(tmp_path / "b" / "S1", **changes)
    subject = only_subject(compared(tmp_path, a, b))
    assert subject["subject"] == "S1"
    assert subject["attributed_to"] == ingredient
    (pair,) = subject["pairs"]
    assert pair["discordance"]["level"] == (None if ingredient is None else "stratum")
    assert subject["stake"]["kind"] == ("none" if ingredient is None else "trial_entry")


def test_another_avid_mask_is_avidity(tmp_path: Path) -> None:
    """30 % can be resected. A: only that is avid, stratum 2. B: all of it, ineligible."""
    a = stratum_1(tmp_path / "a" / "S1", resectable=filled(L2), fdg_avid=filled(L2))
    b = stratum_1(tmp_path / "b" / "S1", resectable=filled(L2))
    subject = only_subject(compared(tmp_path, a, b))
    assert [r["stratum"] for r in subject["readings"]] == ["stratum_2", "ineligible"]
    assert subject["attributed_to"] == "avidity"


def test_voxel_figures_are_those_of_the_boxes(tmp_path: Path) -> None:
    """B adds 30 voxels to L2 and misses nothing: Dice 2 x 1000 / (1000 + 1030)."""
    a = stratum_1(tmp_path / "a" / "S1")
    b = stratum_1(tmp_path / "b" / "S1", tumour=filled(L1, LARGER))
    (pair,) = only_subject(compared(tmp_path, a, b))["pairs"]
    tumour = pair["tumour"]
    assert tumour["dice"] == pytest.approx(2000 / 2030, rel=1e-12)
    assert tumour["volume_difference_ml"] == pytest.approx(30 * VOXEL_ML, rel=1e-6)
    assert tumour["volume_similarity"] == pytest.approx(1 - 30 / 2030, rel=1e-12)
    assert tumour["tolerance_mm"] == 2.0
    assert tumour["surface_dice"] == 1.0  # one voxel, 0.8 mm, within 2 mm
    assert pair["resectable"]["dice"] == 1.0
    assert pair["not_alike_ml"] == pytest.approx(30 * VOXEL_ML, rel=1e-6)
    first, second = pair["lesions"]
    assert (first["a"]["lesion_id"], first["b"]["lesion_id"], first["dice"]) == ("L1", "L1", 1.0)
    assert second["dice"] == pytest.approx(600 / 630, rel=1e-12)
    assert second["hd95_mm"] == pytest.approx(0.8, rel=1e-6)
    assert second["volume_difference_ml"] == pytest.approx(30 * VOXEL_ML, rel=1e-6)


def test_lesions_are_matched_whatever_they_are_called(tmp_path: Path) -> None:
    """In B L3 (300) becomes the larger (400), so that ids change places; markings stand side by side."""
    larger: Box = (L3[0], L3[1], (10, 14))
    a = stratum_1(tmp_path / "a" / "S1", tumour=filled(L1, L2, L3))
    b = stratum_1(tmp_path / "b" / "S1", tumour=filled(L1, L2, larger), resectable=filled(L1, larger))
    (pair,) = only_subject(compared(tmp_path, a, b))["pairs"]
    by_a = {row["a"]["lesion_id"]: row for row in pair["lesions"]}
    ids = {name: row["b"]["lesion_id"] for name, row in by_a.items()}
    assert sorted(ids.values()) == ["L1", "L2", "L3"]
    (grown,) = [row for row in by_a.values() if row["b"]["lesion_id"] == "L2"]
    assert grown["dice"] == pytest.approx(600 / 700, rel=1e-12)
    assert (grown["a"]["resectability"], grown["b"]["resectability"]) == ("unresectable", "resectable")
    assert pair["detection"] == {"matched": 3, "only_a": 0, "only_b": 0, "split": 0, "merged": 0, "f1": 1.0}


def test_every_table_names_a_lesion_by_id_point_segment_and_volume(tmp_path: Path) -> None:
    """Marks differ on Met 2 alone. Its row's point finds it again in a table that calls it by another id.

    Of four voxels nearest to the middle of Met 2 (i 20-29, j 2-11, k 2-4) (24, 7, 3) has the lowest x and y.
    """
    for name, resected in (("a", filled(L1)), ("b", filled(L1, L2))):
        drawn = filled(L1) + 2 * filled(L2)
        write_case(tmp_path / name / "S1", tumour=drawn, fdg_avid=filled(L1, L2), resectable=resected)
        (tmp_path / name / "S1" / "dataset.json").write_text('{"labels": {"Met 1": 1, "Met 2": 2}}')
    compared(tmp_path, tmp_path / "a" / "S1", tmp_path / "b" / "S1")
    x, y, z = (AFFINE @ [24, 7, 3, 1])[:3] * [-1, -1, 1]
    with (tmp_path / "out" / "agreement_lesions.csv").open(newline="") as stream:
        row = list(csv.DictReader(stream))[1]
    with (tmp_path / "out" / "adjudication.csv").open(newline="") as stream:
        (asked,) = csv.DictReader(stream)
    for side, one in product("ab", (row, asked)):
        assert one[f"{side}.lesion_id"] == "L2"
        assert one[f"{side}.segment"] == "Met 2"
        assert float(one[f"{side}.volume_ml"]) == pytest.approx(300 * VOXEL_ML, rel=1e-6)
        point = [float(one[f"{side}.{axis}_mm"]) for axis in "xyz"]
        assert point == pytest.approx([x, y, z], abs=0.001)
    cells = ",".join(asked[f"a.{axis}_mm"] for axis in "xyz")
    table = f"lesion_id,resectability,fdg_avidity,x_mm,y_mm,z_mm\nL1,ablatable,,{cells}\n"
    (tmp_path / "a" / "S1" / "resectable.nii.gz").unlink()
    (tmp_path / "a" / "S1" / "lesions.csv").write_text(table)
    case = assess_case(open_case(tmp_path / "a" / "S1"), load_protocol())
    assert [lesion["resectability"] for lesion in case.record["lesions"]] == ["unknown", "ablatable"]


def test_a_split_lesion_is_named_as_part(tmp_path: Path) -> None:
    """B leaves rows 6 and 7 of L1 out: two pieces, of which one is the partner and the other a part."""
    low: Box = (L1[0], (2, 6), L1[2])
    high: Box = (L1[0], (8, 12), L1[2])
    a, b = stratum_1(tmp_path / "a" / "S1"), stratum_1(tmp_path / "b" / "S1", tumour=filled(low, high, L2))
    (pair,) = only_subject(compared(tmp_path, a, b))["pairs"]
    assert pair["detection"]["split"] == 1
    (part,) = [row for row in pair["lesions"] if row["kind"] == "part"]
    assert (part["a"], part["part_of"]) == (None, "L1")
    (pair,) = only_subject(compared(tmp_path, b, a))["pairs"]
    assert pair["detection"]["merged"] == 1
    (part,) = [row for row in pair["lesions"] if row["kind"] == "part"]
    assert (part["b"], part["part_of"]) == (None, "L1")


def test_two_lesion_tables_of_one_folder_are_two_readings(tmp_path: Path) -> None:
    """`--lesions` once a reading; the words differ on L1."""
    case = write_case(tmp_path / "S1", tumour=filled(L1, L2), fdg_avid=filled(L1, L2))
    (case / "lesions.ann.csv").write_text("lesion_id,resectability\nL1,resectable\nL2,unresectable\n")
    (case / "lesions.bo.csv").write_text("lesion_id,resectability\nL1,ablatable\nL2,resectable\n")
    found = compared(tmp_path, case, case, lesions=["ann", "bo"])
    subject = only_subject(found)
    assert subject["attributed_to"] == "marking"
    assert subject["pairs"][0]["discordance"]["level"] == "predicates"  # 70 % and 100 %: both stratum 1
    assert found["cohort"]["markings"]["resectability"] == [
        {"a": "resectable", "b": "ablatable", "lesions": 1},
        {"a": "unresectable", "b": "resectable", "lesions": 1},
    ]


def test_a_folder_with_the_same_masks_and_another_table_is_marking(tmp_path: Path) -> None:
    """Each reader has a copy of the case and a table of their own."""
    for name, word in (("a", "resectable"), ("b", "unresectable")):
        case = write_case(tmp_path / name / "S1", tumour=filled(L1, L2), fdg_avid=filled(L1, L2))
        (case / "lesions.csv").write_text(f"lesion_id,resectability\nL1,{word}\nL2,unresectable\n")
    subject = only_subject(compared(tmp_path, tmp_path / "a", tmp_path / "b"))
    assert [r["stratum"] for r in subject["readings"]] == ["stratum_1", "ineligible"]
    assert subject["attributed_to"] == "marking"
    assert subject["pairs"][0]["discordance"]["differing"] == ["marking"]


def test_cohort_outputs_of_two_protocols_are_compared_and_the_protocol_is_named(tmp_path: Path) -> None:
    """700 of 1000 reaches 70 % and not 80 %."""
    stratum_1(tmp_path / "in" / "S1")
    strict = tmp_path / "strict.toml"
    text = load_protocol(None).text
    assert "stratum_1_percent = 70" in text
    strict.write_text(text.replace("stratum_1_percent = 70", "stratum_1_percent = 80"))
    for name, protocol in (("a", None), ("b", strict)):
        run_cohort(tmp_path / "in", tmp_path / name, load_protocol(protocol), workers=1)
    found = compared(tmp_path, tmp_path / "a", tmp_path / "b")
    subject = only_subject(found)
    assert [r["stratum"] for r in subject["readings"]] == ["stratum_1", "ineligible"]
    assert subject["attributed_to"] == "protocol"
    assert [f["code"] for f in found["findings"]] == ["protocols_differ", "one_subject"]
    assert {r["kind"] for r in found["readings"]} == {"cohort_output"}


def test_an_output_whose_inputs_are_gone_is_compared_by_its_records(tmp_path: Path) -> None:
    """Strata and volumes stand side by side; voxels cannot be compared, and that is said."""
    stratum_1(tmp_path / "in" / "S1")
    run_cohort(tmp_path / "in", tmp_path / "a", load_protocol(None), workers=1)
    (tmp_path / "in").rename(tmp_path / "away")
    b = stratum_1(tmp_path / "b" / "S1", resectable=filled(L2))
    subject = only_subject(compared(tmp_path, tmp_path / "a", tmp_path / "b"))
    assert b.exists()
    assert (subject["outcome"], subject["attributed_to"]) == ("records_only", None)
    assert [r["source"] for r in subject["readings"]] == ["record", "measured"]
    assert subject["stake"]["kind"] == "trial_entry"
    assert subject["readings"][0]["volumes"]["total_tumour_ml"] == pytest.approx(1.28, rel=1e-6)


def test_an_output_whose_inputs_changed_is_told(tmp_path: Path) -> None:
    """What the files give now is compared, with a finding."""
    stratum_1(tmp_path / "in" / "S1")
    run_cohort(tmp_path / "in", tmp_path / "a", load_protocol(None), workers=1)
    stratum_1(tmp_path / "in" / "S1", tumour=filled(L1, L2, L3))
    b = stratum_1(tmp_path / "b" / "S1")
    subject = only_subject(compared(tmp_path, tmp_path / "a", tmp_path / "b"))
    assert b.exists()
    assert [f["code"] for f in subject["findings"]] == ["record_outdated"]
    assert subject["attributed_to"] == "detection"


def test_bare_masks_are_matched_by_name(tmp_path: Path) -> None:
    """Folders of masks, one file a subject; one subject in one folder only."""
    for name, boxes in (("a", (L1, L2)), ("b", (L1, LARGER))):
        write_mask(tmp_path / name / "S1.nii.gz", filled(*boxes))
    write_mask(tmp_path / "a" / "S2.nii.gz", filled(L1))
    found = compared(tmp_path, tmp_path / "a", tmp_path / "b")
    first, second = found["subjects"]
    assert first["pairs"][0]["tumour"]["dice"] == pytest.approx(2000 / 2030, rel=1e-12)
    assert (second["outcome"], second["reason"]) == ("only_in_one", "'S2' is not in reading B.")
    assert found["cohort"]["absent"] == {"A": 0, "B": 1}
    assert [f["code"] for f in found["findings"]] == ["subject_absent"]


def test_two_cases_of_other_names_are_one_subject_with_a_finding(tmp_path: Path) -> None:
    """`compare ann/ bo/` names two readings of one subject."""
    a, b = stratum_1(tmp_path / "ann"), stratum_1(tmp_path / "bo")
    subject = only_subject(compared(tmp_path, a, b))
    assert subject["subject"] == "ann"
    assert [f["code"] for f in subject["findings"]] == ["subject_names_differ"]


def test_two_cases_that_name_different_subjects_are_two(tmp_path: Path) -> None:
    """`case.toml` knows better than the command line."""
    for name in ("ann", "bo"):
        stratum_1(tmp_path / name)
        (tmp_path / name / "case.toml").write_text(
            f'subject = "{name}"\n[inputs]\ntumour = "tumour.nii.gz"\n', encoding="utf-8"
        )
    found = compared(tmp_path, tmp_path / "ann", tmp_path / "bo")
    assert [s["outcome"] for s in found["subjects"]] == ["only_in_one", "only_in_one"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_another_grid_is_refused_with_the_displacement(tmp_path: Path, axis: int) -> None:
    """2 mm along one axis; the hint says how to go on all the same."""
    moved = AFFINE.copy()
    moved[axis, 3] += 2.0
    a = stratum_1(tmp_path / "a" / "S1")
    masks = {"tumour": filled(L1, L2), "resectable": filled(L1), "fdg_avid": filled(L1, L2)}
    b = write_case(tmp_path / "b" / "S1", affine=moved, **masks)
    subject = only_subject(compared(tmp_path, a, b))
    assert subject["outcome"] == "different_grids"
    assert "2.00 mm" in subject["reason"]
    assert "--resample" in subject["reason"]
    assert subject["stake"]["kind"] == "not_comparable"


def test_a_table_that_no_reading_takes_is_refused(tmp_path: Path) -> None:
    """A manifest has its tables: with --lesions R1 and R2 it agreed with itself perfectly, as R1 and R2."""
    case = stratum_1(tmp_path / "cases" / "S1")
    for reader, word in (("R1", "resectable"), ("R2", "unresectable")):
        (case / f"lesions.{reader}.csv").write_text(f"lesion_id,resectability\nL1,{word}\n")
    manifest = tmp_path / "m.csv"
    manifest.write_text("subject,tumour\nS1,cases/S1/tumour.nii.gz\n")
    with pytest.raises(UsageError, match=r"--lesions says nothing of .*m\.csv"):
        compared(tmp_path, manifest, manifest, lesions=["R1", "R2"])
    cases = tmp_path / "cases"
    found = compared(tmp_path, cases, cases, lesions=["R1", "R2"])
    assert only_subject(found)["stake"]["kind"] != "none"
    assert [reading["reader"] for reading in found["readings"]] == ["R1", "R2"]


def test_another_grid_is_resampled_where_asked(tmp_path: Path) -> None:
    """Moved by three whole voxels along i (2.4 mm): 7 of 10 rows of each lesion overlap; Dice 0.7."""
    moved = AFFINE.copy()
    moved[0, 3] -= 2.4
    moved[0, 3] += 1e-6
    a = stratum_1(tmp_path / "a" / "S1")
    masks = {"tumour": filled(L1, L2), "resectable": filled(L1), "fdg_avid": filled(L1, L2)}
    b = write_case(tmp_path / "b" / "S1", affine=moved, **masks)
    found = compared(tmp_path, a, b, settings=Settings(resample=True))
    (pair,) = only_subject(found)["pairs"]
    assert [f["code"] for f in pair["findings"]] == ["resampled"]
    assert pair["tumour"]["dice"] == pytest.approx(0.7, rel=1e-12)
    assert pair["tumour"]["b_voxels"] == 1000


def test_a_region_of_a_lesion_that_resampling_loses_is_shown_as_measured(tmp_path: Path) -> None:
    """B's L2, one voxel of 0.5 mm, is lost on A's grid and with it a region's owner: a KeyError."""
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    regions = [((2, 12), (2, 12), (2, 9)), ((30, 34), (20, 24), (12, 16)), ((30, 33), (2, 5), (14, 16))]
    a, b = tmp_path / "a" / "S1", tmp_path / "b" / "S1"
    for case, affine, tumour in ((a, AFFINE, filled(L1)), (b, fine, np.zeros((80, 60, 40), dtype=np.uint8))):
        if case is b:
            tumour[4:24, 4:24, 4:18] = 1
            tumour[65, 45, 29] = 2
        write_mask(case / "tumour.nii.gz", tumour, affine)
        write_mask(case / "fdg_avid.nii.gz", filled(*regions))
    found = compared(tmp_path, a, b, settings=Settings(resample=True))
    (pair,) = only_subject(found)["pairs"]
    rows = [[row[side] and (row[side]["lesion_id"], row[side]["volume_ml"]) for side in "ab"]
            for row in pair["pet_only_regions"]]  # fmt: skip
    large, small = 64 * VOXEL_ML, 18 * VOXEL_ML
    assert rows == [
        [("P2", pytest.approx(small)), ("P1", pytest.approx(small))],
        [("P1", pytest.approx(large)), None],
    ]


def test_the_same_grid_stored_the_other_way_is_the_same(tmp_path: Path) -> None:
    """B's file runs the other way along i and j: nothing differs, and nothing is resampled."""
    turned = AFFINE @ np.array([[-1, 0, 0, 39], [0, -1, 0, 29], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    a = stratum_1(tmp_path / "a" / "S1")
    masks = {"tumour": filled(L1, L2), "resectable": filled(L1), "fdg_avid": filled(L1, L2)}
    flipped = {role: np.ascontiguousarray(dense[::-1, ::-1]) for role, dense in masks.items()}
    b = write_case(tmp_path / "b" / "S1", affine=turned, **flipped)
    subject = only_subject(compared(tmp_path, a, b))
    assert (subject["pairs"][0]["tumour"]["dice"], subject["stake"]["kind"]) == (1.0, "none")
    assert subject["pairs"][0]["discordance"]["level"] is None


@pytest.mark.parametrize("change", ["values", "grid", "nothing", "compression"])
def test_readings_of_two_images_are_refused(tmp_path: Path, change: str) -> None:
    """The CT beside the masks: other values or another grid; the same pixels in other bytes are one image."""
    rng = np.random.default_rng(4)
    ct = rng.integers(0, 200, (40, 30, 20)).astype(np.uint8)
    for name in "ab":
        stratum_1(tmp_path / name / "S1")
    write_mask(tmp_path / "a" / "S1" / "ct.nii.gz", ct)
    other = ct.copy()
    moved = AFFINE.copy()
    if change == "values":
        other[0, 0, 0] += 1
    if change == "grid":
        moved[2, 3] += 2
    ending = ".nii" if change == "compression" else ".nii.gz"
    write_mask(tmp_path / "b" / "S1" / f"ct{ending}", other, moved)
    subject = only_subject(compared(tmp_path, tmp_path / "a", tmp_path / "b"))
    different = change in {"values", "grid"}
    assert subject["outcome"] == ("different_images" if different else "compared")
    if different:
        assert "two different CT images" in subject["reason"]


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        pytest.param((), (L1,), "only_a_empty", id="a-empty"),
        pytest.param((L1,), (), "only_b_empty", id="b-empty"),
        pytest.param((), (), "both_empty", id="both-empty"),
        pytest.param((((3, 4), (3, 4), (3, 4)),), (((3, 4), (3, 4), (3, 4)),), "compared", id="one-voxel"),
    ],
)
def test_empty_and_tiny_masks_have_named_outcomes(
    tmp_path: Path, one: tuple[Box, ...], other: tuple[Box, ...], outcome: str
) -> None:
    """No figure is NaN; what does not exist is null."""
    write_mask(tmp_path / "a" / "S1.nii.gz", filled(*one))
    write_mask(tmp_path / "b" / "S1.nii.gz", filled(*other))
    found = compared(tmp_path, tmp_path / "a", tmp_path / "b")
    tumour = only_subject(found)["pairs"][0]["tumour"]
    assert tumour["outcome"] == outcome
    dice = {"compared": 1.0, "both_empty": None}.get(outcome, 0.0)
    assert tumour["dice"] == dice
    assert (tumour["hd95_mm"] is None) == (outcome != "compared")


def test_a_case_that_fails_is_named_and_stops_nothing(tmp_path: Path) -> None:
    """The other subject is compared."""
    for name in "ab":
        stratum_1(tmp_path / name / "S1")
        stratum_1(tmp_path / name / "S2")
    (tmp_path / "b" / "S1" / "tumour.nii.gz").write_bytes(b"nothing")
    first, second = compared(tmp_path, tmp_path / "a", tmp_path / "b")["subjects"]
    assert (first["outcome"], first["stake"]["kind"]) == ("failed", "not_comparable")
    assert first["reason"].startswith("Reading B failed: tumour.nii.gz")
    assert second["outcome"] == "compared"


def test_one_reading_is_not_compared(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    with pytest.raises(UsageError, match="at least 2 readings; there is 1"):
        compare_readings([stratum_1(tmp_path / "a")], tmp_path / "out")


def test_an_unfinished_run_is_no_reading(tmp_path: Path) -> None:
    """Subjects that it had yet to do would be missing without a word."""
    stratum_1(tmp_path / "a" / "S1")
    run_cohort(tmp_path / "a", tmp_path / "a_out", load_protocol(), workers=1)
    run = json.loads((tmp_path / "a_out" / "run.json").read_bytes())
    (tmp_path / "a_out" / "run.json").write_text(json.dumps({**run, "finished_at": None}))
    with pytest.raises(UsageError, match="has not come to its end"):
        compare_readings([tmp_path / "a_out", tmp_path / "a"], tmp_path / "out")


def test_the_output_may_not_be_a_case(tmp_path: Path) -> None:
    """An output is never walked: the case would be missing from the next batch over its folder."""
    cases = [stratum_1(tmp_path / name / "S1") for name in ("a", "b")]
    with pytest.raises(UsageError, match="is a case folder"):
        compare_readings([tmp_path / "a", tmp_path / "b"], cases[0])
    assert not (cases[0] / ".volstrat").exists()


def test_the_output_may_not_be_a_reading(tmp_path: Path) -> None:
    """Nothing that is compared is written into."""
    a, b = stratum_1(tmp_path / "a"), stratum_1(tmp_path / "b")
    with pytest.raises(UsageError, match="holds a reading"):
        compare_readings([a, b], a)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({}, 0, id="agree"),
        pytest.param({"tumour": filled(L1, L2, L3)}, 1, id="strata-differ"),
        pytest.param({"fdg_avid": filled(L1)}, 3, id="predicate-differs"),
    ],
)
def test_the_command_exits_as_documented(tmp_path: Path, changes: dict[str, Any], code: int) -> None:
    """0 agree, 1 strata differ, 3 a person should look; no traceback."""
    a, b = stratum_1(tmp_path / "a" / "S1"), stratum_1(tmp_path / "b" / "S1", **changes)
    done = subprocess.run(
        [PROGRAM, "compare", a, b, "-o", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out" / "agreement.json").read_bytes())["schema"] == "volstrat.agreement/1"


def test_two_readings_have_no_consensus_and_the_command_says_why(tmp_path: Path) -> None:
    """Usage: exit 2."""
    a, b = stratum_1(tmp_path / "a" / "S1"), stratum_1(tmp_path / "b" / "S1")
    done = subprocess.run(
        [PROGRAM, "consensus", a, b, "-o", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "neither outvotes the other" in done.stderr


@pytest.mark.parametrize(
    ("uids", "refused"),
    [
        pytest.param(("1.2.3", "1.2.4"), True, id="other"),
        pytest.param(("1.2.3", "1.2.3"), False, id="same"),
        pytest.param(("1.2.3", None), False, id="one-unknown"),
    ],
)
def test_another_frame_of_reference_is_another_image(
    tmp_path: Path, uids: tuple[str | None, str | None], refused: bool
) -> None:
    """Where both readings know one, as DICOM does; the same place in mm says nothing then."""
    protocol = load_protocol(None)
    cases = []
    for name, uid in zip("AB", uids, strict=True):
        result = assess_case(open_case(stratum_1(tmp_path / name)), protocol)
        masks = result.inputs.masks
        grid = replace(masks.grid, frame_of_reference_uid=uid)
        inputs = replace(result.inputs, masks=replace(masks, grid=grid))
        cases.append(ReadCase(name=name, result=replace(result, inputs=inputs), protocol=protocol))
    pair = compare_pair(cases[0], cases[1], Settings())
    assert pair["outcome"] == ("different_images" if refused else "compared")
    assert ("two frames of reference" in (pair["reason"] or "")) is refused
