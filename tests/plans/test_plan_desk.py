"""Plans on the page: what a person tries, saves and chooses."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.plans.plan_cases import AFFINE, segments, write_case
from tests.volume_files import nifti
from volstrat.case.discovery import CasePlace
from volstrat.case.plan_tables import PlanChoice, with_choice, with_plan
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import InputChangedError, PlanError, UsageError
from volstrat.pictures.planes import Plane
from volstrat.review.mark_table import Mark
from volstrat.review.plan_desk import PlanDesk
from volstrat.review.reviewed import ReviewOptions
from volstrat.review.session import ReviewSession
from volstrat.terms.marks import Marking
from volstrat.terms.plans import Plan, Zone

if TYPE_CHECKING:
    from pathlib import Path

PLANS = """
# what surgeon 2 said
[[plans]]
name = "A"
resect = { segments = [5] }
ablate = [{ lesion = "L2" }]
outside_liver = { L4 = "resectable" }
"""


def desk_of(folder: Path, *, read_only: bool = False) -> tuple[ReviewSession, PlanDesk]:
    """Open a case as the page does."""
    session = ReviewSession(
        CasePlace(folder=folder, subject=folder.name), load_protocol(None), ReviewOptions(read_only=read_only)
    )
    session.load()
    assert session.error is None
    return session, PlanDesk(session)


def test_trying_segments_changes_nothing_until_saved(tmp_path: Path) -> None:
    """Segment 4 with what else A does: 8 of L2 cut, 2 of L4: 10 of 30; case.toml stays byte for byte."""
    folder = write_case(tmp_path / "S1", PLANS)
    before = (folder / "case.toml").read_bytes()
    session, desk = desk_of(folder)
    desk.try_segments(["4"], "A")
    told = desk.as_json()
    assert [(c["name"], c["tried"]) for c in told["columns"]] == [("A", False), ("tried", True)]
    assert told["columns"][1]["cells"]["Debulked"] == "33.3 %"
    assert told["columns"][1]["cells"]["Taken"] == "H4 + 1 abl."
    assert told["segments"] == ["3", "4", "5", "6"]
    assert (folder / "case.toml").read_bytes() == before
    assert session.reviewed is not None
    assert [p["name"] for p in session.reviewed.record["plans"]] == ["A"]


def test_what_is_tried_follows_the_marks(tmp_path: Path) -> None:
    """Segment 5 takes 16 of 30; without L3, which is no tumour, 16 of 26. A segment that is gone ends it."""
    folder = write_case(tmp_path / "S1", "")
    session, desk = desk_of(folder)
    desk.try_segments(["5"], "")
    assert desk.as_json()["columns"][0]["cells"]["Debulked"] == "53.3 %"
    session.mark(Mark(lesion_id="L3", reading=session.reading, resectability="not_tumour"))
    assert desk.as_json()["columns"][0]["cells"]["Debulked"] == "61.5 %"
    nifti(folder / "liver_segments.nii", np.where(segments() == 5, 6, segments()), AFFINE)
    session.load()
    assert desk.as_json()["columns"] == []


def test_a_saved_plan_is_one_more_and_the_chosen_one_gives_the_verdict(tmp_path: Path) -> None:
    """Comments and other lines of case.toml stay; who, why and when stand beside the choice."""
    folder = write_case(tmp_path / "S1", PLANS)
    session, desk = desk_of(folder)
    desk.try_segments(["3", "5"], "")
    desk.save("B", "", "surgeon 3")
    desk.choose("A", "surgeon 2", "most is taken")
    text = (folder / "case.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    assert "# what surgeon 2 said" in text
    assert document["plans"][1] == {"name": "B", "by": "surgeon 3", "resect": {"segments": [3, 5]}}
    assert {k: document["chosen"][k] for k in ("plan", "by", "reason")} == {
        "plan": "A",
        "by": "surgeon 2",
        "reason": "most is taken",
    }
    assert session.reviewed is not None
    record = session.reviewed.record
    assert (record["stratum"], record["chosen_plan"], len(record["plans"])) == ("stratum_1", "A", 2)
    assert desk_of(folder)[0].reviewed.record["chosen_plan"] == "A"  # type: ignore[union-attr]


def test_a_choice_needs_a_name_and_a_reason_and_a_file_as_it_was_read(tmp_path: Path) -> None:
    """Each is refused in a sentence, and nothing is written."""
    folder = write_case(tmp_path / "S1", PLANS)
    _, desk = desk_of(folder)
    with pytest.raises(PlanError, match="name and a reason"):
        desk.choose("A", "", "")
    with pytest.raises(PlanError, match="no plan called 'C'"):
        desk.choose("C", "x", "y")
    with (folder / "case.toml").open("a", encoding="utf-8") as file:
        file.write("# somebody else was here\n")
    with pytest.raises(InputChangedError):
        desk.choose("A", "x", "y")
    _, locked = desk_of(folder, read_only=True)
    with pytest.raises(UsageError, match="read only"):
        locked.choose("A", "x", "y")


def test_cut_zones_and_remnant_are_drawn(tmp_path: Path) -> None:
    """In the middle axial slice all three of the chosen plan show; none where none is shown."""
    folder = write_case(tmp_path / "S1", PLANS, top='chosen = "A"\n')
    session, desk = desk_of(folder)
    assert session.showing.scene is not None
    plane = Plane(name="axial", grid=session.showing.scene.grid, index=1)
    assert {name for name, _ in desk.outlines(session.showing.scene, plane)} == {
        "plan:cut",
        "plan:ablated",
        "plan:remnant",
    }
    assert {name for name, _ in desk.shadows(session.showing.scene, "coronal")} >= {
        "plan:cut",
        "plan:remnant",
    }
    desk.show("")
    assert list(desk.outlines(session.showing.scene, plane)) == []


def test_what_is_written_reads_back() -> None:
    """A choice replaces the one before, whatever its quotes; every part of a plan stands in its table."""
    text = '# top\nchosen = "A"\nsubject = "S"\n[inputs]\ntumour = "t.nii"\n'
    choice = PlanChoice(plan="B", by='O"Neill', reason="says\\so", recorded_at="2026-11-30T08:00:00Z")
    changed = with_choice(text, choice)
    document = tomllib.loads(changed)
    assert (document["chosen"]["by"], document["chosen"]["reason"]) == ('O"Neill', "says\\so")
    assert "# top" in changed
    assert tomllib.loads(with_choice(changed, choice)) == document
    plan = Plan(
        name="B",
        segments=("4a", "5"),
        wedges=(Zone(lesion_id="L1", margin_mm=10.0),),
        ablations=(Zone(point_mm=(1.5, -2.0, 3.0)),),
        outside_liver=(("L4", Marking.UNRESECTABLE),),
    )
    assert tomllib.loads(with_plan(text, plan))["plans"] == [
        {
            "name": "B",
            "resect": {"segments": ["4a", 5]},
            "wedge": [{"lesion": "L1", "margin_mm": 10.0}],
            "ablate": [{"point_mm": [1.5, -2.0, 3.0]}],
            "outside_liver": {"L4": "unresectable"},
        }
    ]
    with pytest.raises(PlanError, match="there already"):
        with_plan(with_plan(text, plan), plan)
