"""Surgical plans of a case folder: what they come to, and what is said of plans that do not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.plans.plan_cases import AFFINE, INPUTS, SHAPE, labels, segments, write_case
from tests.volume_files import nifti
from volstrat.case.assess import run_case
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PLAN_A = """
[[plans]]
name = "A"
title = "Segment 5, ablation in 4"
by = "surgeon 2"
resect = { segments = [5] }
ablate = [{ lesion = "L2", margin_mm = 5 }]
outside_liver = { L4 = "resectable" }
"""
PLAN_B = """
[[plans]]
name = "B"
resect = { segments = ["III", "4"] }
"""


def record_of(folder: Path) -> dict[str, Any]:
    """Return the case's record."""
    return dict(run_case(folder, load_protocol(None)))


def codes(findings: Sequence[Mapping[str, Any]], severity: str | None = None) -> set[str]:
    """Return the codes of findings."""
    return {f["code"] for f in findings if severity in (None, f["severity"])}


def test_the_chosen_plan_gives_the_verdict(tmp_path: Path) -> None:
    """L1 16 of 16 cut, L2 8 ablated, L4 2 by word: 26 of 30 voxels; L3, 4 voxels of 0.01 ml, stays."""
    record = record_of(write_case(tmp_path / "S1", PLAN_A + PLAN_B, top='chosen = "A"\n'))
    assert (record["stratum"], record["chosen_plan"]) == ("stratum_1", "A")
    assert record["predicates"]["stratum_1"]["part_voxels"] == 26
    assert {x["lesion_id"]: x["resectability"] for x in record["lesions"]} == {
        "L1": "resectable",
        "L2": "ablatable",
        "L3": "unresectable",
        "L4": "resectable",
    }
    plan = record["plans"][0]
    assert plan["predicates"] == record["predicates"]
    assert plan["volumes"] == record["volumes"]
    assert plan["remnant"] == record["remnant"]
    assert (plan["notation"], plan["by"], plan["cuts_through"]) == ("H5", "surgeon 2", [])
    assert plan["left"] == [
        {"lesion_id": "L3", "volume_ml": pytest.approx(0.04), "fdg_avidity": "not_assessed"}
    ]


def test_the_remnant_is_liver_less_cut_and_zones(tmp_path: Path) -> None:
    """640 - 28 tumour = 612; segment 5 takes 160 - 16, the zone round L2 112 - 8: 364 stay.

    The zone: 2 x 2 x 2 voxels grown by 5 mm are 2 x 32 voxels in their own slices and 2 x 24 in the next.
    """
    record = record_of(write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n'))
    assert record["remnant"]["flr_percent"] == pytest.approx(100 * 364 / 612)


def test_borders_of_the_map_move_by_planes(tmp_path: Path) -> None:
    """The border is a plane between i 3 and 4 (2 mm voxels): 5 mm are two planes, 10 mm five or all four.

    +5: 80 voxels more; +10: 200, of which the zone holds 32 already. -5: i 0-1 stay in the cut, half of L1
    with them (72 functional voxels come back); -10: nothing is cut.
    """
    record = record_of(write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n'))
    shift = record["plans"][0]["map_shift"]
    assert [s["mm"] for s in shift] == [-10, -5, 5, 10]
    assert [s["flr_percent"] for s in shift] == pytest.approx([100 * n / 612 for n in (508, 436, 284, 196)])
    assert [s["resectable_fraction"] for s in shift] == pytest.approx([10 / 30, 18 / 30, 26 / 30, 26 / 30])
    assert [s["stratum"] for s in shift] == [None, None, "stratum_1", "stratum_1"]


def test_without_a_choice_there_is_no_stratum(tmp_path: Path) -> None:
    """Every plan's stratum is listed; nothing in the liver is marked meanwhile."""
    record = record_of(write_case(tmp_path / "S1", PLAN_A + PLAN_B))
    assert (record["status"], record["stratum"], record["chosen_plan"]) == ("not_assessable", None, None)
    blocking = [f for f in record["findings"] if f["severity"] == "blocking"]
    assert [f["code"] for f in blocking] == ["plan_not_chosen"]
    assert "A: stratum 1" in blocking[0]["message"]
    assert "B: " in blocking[0]["message"]
    assert [p["name"] for p in record["plans"]] == ["A", "B"]
    assert {x["resectability"] for x in record["lesions"]} == {"unknown"}
    assert record["remnant"] is None


def test_a_lesion_outside_the_liver_is_unknown_where_the_plan_says_nothing(tmp_path: Path) -> None:
    """L4 stays at its upper bound; the table's own word for it stands."""
    folder = write_case(tmp_path / "S1", PLAN_B, top='chosen = "B"\n')
    plan = record_of(folder)["plans"][0]
    assert {x["lesion_id"]: round(x["volume_ml"], 6) for x in plan["left"]} == {"L1": 0.16, "L4": 0.02}
    (folder / "lesions.csv").write_text("lesion_id,resectability\nL4,resectable\n")
    (folder / "case.toml").write_text('chosen = "B"\n' + INPUTS + 'lesions = "lesions.csv"\n' + PLAN_B)
    plan = record_of(folder)["plans"][0]
    assert [x["lesion_id"] for x in plan["left"]] == ["L1"]


def test_the_plan_stands_over_table_and_mask_in_the_liver(tmp_path: Path) -> None:
    """The table calls L1 unresectable, a mask everything resectable: the plan cuts L1, as findings say."""
    folder = write_case(tmp_path / "S1", PLAN_A)
    nifti(folder / "resectable.nii", (labels() > 0).astype(np.uint8), AFFINE)
    (folder / "lesions.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    more = 'resectable = "resectable.nii"\nlesions = "lesions.csv"\n'
    (folder / "case.toml").write_text('chosen = "A"\n' + INPUTS + more + PLAN_A)
    record = record_of(folder)
    assert record["predicates"]["stratum_1"]["part_voxels"] == 26
    said = [(f["where"], f["message"]) for f in record["findings"] if f["code"] == "plan_over_marking"]
    assert [where for where, _ in said] == ["lesions", "resectable"]
    assert "L1" in said[0][1]


def test_a_cut_through_tumour_counts_what_is_cut(tmp_path: Path) -> None:
    """A mask over i 0-1 cuts 8 of L1's 16 voxels: partial, a review, and 8 of 30 count."""
    plan = '[[plans]]\nname = "M"\nresect = { mask = "cut.nii" }\n'
    folder = write_case(tmp_path / "S1", plan, top='chosen = "M"\n')
    cut = np.zeros(SHAPE, dtype=np.uint8)
    cut[0:2] = 1
    nifti(folder / "cut.nii", cut, AFFINE)
    record = record_of(folder)
    assert record["plans"][0]["cuts_through"] == ["L1"]
    assert record["lesions"][0]["resectability"] == "partial"
    assert record["predicates"]["stratum_1"]["part_voxels"] == 8
    assert "plan_cuts_lesion" in codes(record["findings"], "review")
    assert record["plans"][0]["notation"] is None
    assert "cut" in [entry["role"] for entry in record["inputs"]]


def test_passed_limits_are_findings_and_change_no_marking(tmp_path: Path) -> None:
    """A margin of 3 mm is below 5; of a limit of 4 mm L2 (3.8 mm between centres) keeps clear, L1 not."""
    plan = '[[plans]]\nname = "A"\nablate = [{ lesion = "L1", margin_mm = 3 }, { lesion = "L2" }]\n'
    folder = write_case(tmp_path / "S1", plan, top='chosen = "A"\n')
    protocol = tmp_path / "p.toml"
    text = load_protocol(None).text.replace("ablation_largest_mm = 30", "ablation_largest_mm = 4")
    protocol.write_text(text, encoding="utf-8")
    record = run_case(folder, load_protocol(protocol))
    found = {(f["code"], f["where"]) for f in record["findings"] if f["severity"] == "review"}
    assert {("margin_short", "L1"), ("ablation_too_large", "L1")} <= found
    assert ("ablation_too_large", "L2") not in found
    whole = record["lesions"][0]["max_diameter_mm"]  # a lesion of exactly the limit does not pass it
    protocol.write_text(text.replace("ablation_largest_mm = 4", f"ablation_largest_mm = {whole!r}"))
    assert "ablation_too_large" not in codes(run_case(folder, load_protocol(protocol))["findings"], "review")
    assert record["lesions"][0]["resectability"] == "ablatable"


def test_what_a_wedge_takes_is_not_ablated_as_well(tmp_path: Path) -> None:
    """Cut counts before ablation, and a finding says that one of the two is too much."""
    plan = '[[plans]]\nname = "A"\nwedge = [{ lesion = "L2", margin_mm = 5 }]\nablate = [{ lesion = "L2" }]\n'
    record = record_of(write_case(tmp_path / "S1", plan, top='chosen = "A"\n'))
    assert record["lesions"][1]["resectability"] == "resectable"
    assert "ablation_in_cut" in codes(record["findings"], "warning")


def test_resecting_every_segment_leaves_no_liver(tmp_path: Path) -> None:
    """Both are said; the remnant of 0 ml is below every limit."""
    plan = '[[plans]]\nname = "A"\nresect = { segments = [3, 4, 5, 6] }\n'
    record = record_of(write_case(tmp_path / "S1", plan, top='chosen = "A"\n'))
    messages = [f["message"] for f in record["findings"] if f["code"] == "plan_leaves_no_liver"]
    assert len(messages) == 2
    assert record["remnant"]["flr_ml"] == 0
    assert record["remnant"]["below_limit"] is True


def test_liver_and_map_that_do_not_fit_are_measured_and_said(tmp_path: Path) -> None:
    """A map that lacks i 15 (40 voxels, 0.4 ml) and reaches to i 16 (0.4 ml beyond the liver)."""
    folder = write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n')
    drawn = segments()
    drawn[15], drawn[16] = 0, 3
    nifti(folder / "liver_segments.nii", drawn, AFFINE)
    found = {f["code"]: f for f in record_of(folder)["findings"]}
    assert "0.4 ml" in found["segments_incomplete"]["message"]
    assert found["segments_incomplete"]["severity"] == "review"
    assert "0.4 ml" in found["segments_beyond_liver"]["message"]


def test_a_liver_drawn_without_its_tumours_is_said(tmp_path: Path) -> None:
    """L1 lies in a hole of the liver mask: no segment reaches it, it stays, and a review says why."""
    folder = write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n')
    nifti(folder / "liver.nii", ((segments() > 0) & (labels() != 1)).astype(np.uint8), AFFINE)
    record = record_of(folder)
    assert record["lesions"][0]["resectability"] == "unresectable"
    assert [f["where"] for f in record["findings"] if f["code"] == "liver_leaves_tumour_out"] == ["L1"]


def test_a_map_without_tumours_as_well_is_said(tmp_path: Path) -> None:
    """Neither liver nor map holds L1: no segment can be said to hold it, and it would stay silently."""
    folder = write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n')
    hole = labels() == 1
    nifti(folder / "liver.nii", ((segments() > 0) & ~hole).astype(np.uint8), AFFINE)
    nifti(folder / "liver_segments.nii", np.where(hole, 0, segments()).astype(np.uint8), AFFINE)
    record = record_of(folder)
    assert record["lesions"][0]["resectability"] == "unresectable"
    assert "L1" in {f["where"] for f in record["findings"] if f["code"] == "liver_leaves_tumour_out"}


def test_a_plan_that_does_nothing_is_said(tmp_path: Path) -> None:
    """A name alone, perhaps a plan half written: every liver lesion stays, and a review says why."""
    record = record_of(write_case(tmp_path / "S1", '[[plans]]\nname = "A"\n', top='chosen = "A"\n'))
    assert [f["severity"] for f in record["findings"] if f["code"] == "plan_does_nothing"] == ["review"]


@pytest.mark.parametrize(
    ("plans", "top", "said"),
    [
        pytest.param(PLAN_A.replace("[5]", "[8]"), "", "segment 8 is not in the liver's map", id="segment"),
        pytest.param(PLAN_A.replace("[5]", "[9]"), "", "9 is no liver segment", id="no-segment"),
        pytest.param(PLAN_A.replace('"L2"', '"L9"'), "", "'L9' does not exist", id="lesion"),
        pytest.param(PLAN_A.replace("L4 =", "L9 ="), "", "'L9' does not exist", id="outside"),
        pytest.param(
            PLAN_A.replace('lesion = "L2"', "point_mm = [0, 0, 0]"), "", "lies in no lesion", id="point"
        ),
        pytest.param(PLAN_A + PLAN_A, "", "2 plans are called 'A'", id="one-name"),
        pytest.param(PLAN_A, 'chosen = "C"\n', "chosen is 'C'", id="chosen"),
        pytest.param("", 'chosen = "A"\n', "chosen is 'A'", id="chosen-without-plans"),
        pytest.param(PLAN_A.replace('name = "A"', ""), "", "has no name", id="no-name"),
        pytest.param(PLAN_A.replace("= 5 }", "= -1 }"), "", "margin_mm is -1", id="margin"),
        pytest.param(PLAN_A.replace('"resectable"', '"gone"'), "", "is 'gone'", id="word"),
        pytest.param(PLAN_A.replace("ablate", "burn"), "", "unknown key 'plans[1].burn'", id="key"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_in_a_sentence(
    tmp_path: Path, plans: str, top: str, said: str
) -> None:
    """Each with what is there, or what to write."""
    record = record_of(write_case(tmp_path / "S1", plans, top=top))
    assert record["status"] == "failed"
    assert said in record["error"]["message"]
    assert record["error"]["hint"]


def test_plans_need_the_liver(tmp_path: Path) -> None:
    """Without the mask neither cut nor remnant means anything."""
    without = INPUTS.replace('liver = "liver.nii"\n', "")
    record = record_of(write_case(tmp_path / "S1", PLAN_A, inputs=without))
    assert (record["error"]["code"], "liver mask" in record["error"]["message"]) == ("role_missing", True)


def test_the_command_compares_and_searches(tmp_path: Path) -> None:
    """Exit 3 while no plan is chosen; the search needs no plan and prints every union that would do.

    Segments 5 and 4 take 16 + 8 of 30; L4, outside and unmarked, stays: 24 of 30 is 80 %.
    """
    folder = write_case(tmp_path / "S1", PLAN_A + PLAN_B)
    done = CliRunner().invoke(cli, ["plan", str(folder)])
    assert done.exit_code == 3
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [
        p["name"]
        for p in json.loads(CliRunner().invoke(cli, ["plan", str(folder), "--json"]).stdout)["plans"]
    ] == ["A", "B"]
    bare = write_case(tmp_path / "S2", "")
    assert CliRunner().invoke(cli, ["plan", str(bare)]).exit_code == 2
    done = CliRunner().invoke(cli, ["plan", str(bare), "--search", "--json", "--flr", "0.4"])
    assert (done.exit_code, "is a percentage (30, not 0.3)" in done.output) == (2, True)
    done = CliRunner().invoke(cli, ["plan", str(bare), "--search", "--json", "--flr", "40"])
    found = json.loads(done.stdout)["search"]
    assert {tuple(u["segments"]): u["resectable_fraction"] for u in found} == {(4, 5): 24 / 30}
    assert found[0]["flr_percent"] == pytest.approx(100 * (612 - 144 - 152) / 612)
    text = CliRunner().invoke(cli, ["plan", str(bare), "--search"]).stdout
    assert "not advice" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_plans_status_counts_what_reading_the_case_brought_up(tmp_path: Path) -> None:
    """A file whose name is nearly that of a role is a review of the case: no plan is merely assigned."""
    folder = write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n')
    assert record_of(folder)["plans"][0]["status"] == "assigned"
    (folder / "resectable_v2.nii").write_bytes(b"")
    record = record_of(folder)
    assert (record["status"], record["plans"][0]["status"]) == ("review", "review")
    assert "files_unread" in codes(record["findings"], "review")
    assert "files_unread" not in codes(record["plans"][0]["findings"])


def test_a_plan_that_names_lesions_by_numbers_of_size_says_so(tmp_path: Path) -> None:
    """Pieces are numbered by size and keep no number when the mask is edited; labels keep theirs."""
    by_size = INPUTS.replace('"labels"', '"components"')
    first = record_of(write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n', inputs=by_size))
    assert "plan_by_number" in codes(first["findings"], "warning")
    second = record_of(write_case(tmp_path / "S2", PLAN_A, top='chosen = "A"\n'))
    assert "plan_by_number" not in codes(second["findings"])
    assert (first["stratum"], first["status"]) == (second["stratum"], second["status"])


def test_what_is_no_tumour_is_neither_cut_through_nor_ablated(tmp_path: Path) -> None:
    """L2 dismissed: 22 voxels of tumour, 16 + 2 of which go; its 8 voxels are liver; a review names it."""
    more = 'lesions = "lesions.csv"\n'
    folder = write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n', inputs=INPUTS + more)
    (folder / "lesions.csv").write_text("lesion_id,resectability\nL2,not_tumour\n")
    record = record_of(folder)
    first = record["predicates"]["stratum_1"]
    assert (first["part_voxels"], first["whole_voxels"]) == (18, 22)
    assert record["remnant"]["flr_percent"] == pytest.approx(100 * (620 - 144) / 620)
    assert [f["where"] for f in record["findings"] if f["code"] == "plan_site"] == ["L2"]


def test_who_made_the_plan_is_who_marked_what_it_marks(tmp_path: Path) -> None:
    """L1 to L3 lie in the liver, L4 is named outside it: all are the plan's, none the table's reader's."""
    with_table = INPUTS + 'lesions = "lesions.csv"\n'
    folder = write_case(tmp_path / "S1", PLAN_A, top='chosen = "A"\n', inputs=with_table)
    (folder / "lesions.csv").write_text(
        "lesion_id,resectability,reader,reason,recorded_at\nL1,unresectable,ann,artery,2026-11-30T08:00:00Z\n"
    )
    lesions = record_of(folder)["lesions"]
    assert [lesion["marked_by"] for lesion in lesions] == ["surgeon 2"] * 4
    assert {(lesion["reason"], lesion["recorded_at"]) for lesion in lesions} == {(None, None)}
    plan = PLAN_A.replace("outside_liver", "# outside_liver").replace('by = "surgeon 2"\n', "")
    without = write_case(tmp_path / "S2", plan, top='chosen = "A"\n', inputs=with_table)
    (without / "lesions.csv").write_text("lesion_id,resectability,reader\nL4,unresectable,ann\n")
    assert [lesion["marked_by"] for lesion in record_of(without)["lesions"]] == [None, None, None, "ann"]


def test_a_point_on_a_voxels_face_names_the_lesion_beside_it_as_in_a_table(tmp_path: Path) -> None:
    """L2 ends with i 10, at x = -30 + 2 i = -10 mm; its face, where the next voxel begins, is at -9."""
    point = "[-9.0, 20.0, 102.5]"
    plan = PLAN_A.replace('lesion = "L2"', f"point_mm = {point}")
    assert plan != PLAN_A
    record = record_of(write_case(tmp_path / "S1", plan, top='chosen = "A"\n'))
    assert record["plans"][0]["ablations"][0]["lesion_id"] == "L2"
    (tmp_path / "S1" / "case.toml").write_text(INPUTS + 'lesions = "lesions.csv"\n')
    table = "lesion_id,x_mm,y_mm,z_mm,resectability\nL9,-9.0,20.0,102.5,ablatable\n"
    (tmp_path / "S1" / "lesions.csv").write_text(table)
    assert record_of(tmp_path / "S1")["lesions"][1]["resectability"] == "ablatable"
