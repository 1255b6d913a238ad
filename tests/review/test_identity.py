"""Marks of the page go to the lesion that was shown, whatever its number; reviews can be closed."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from tests.review.test_session import loaded, state_of
from volstrat.case.assess import run_case
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import LesionTableError, ReviewTableError
from volstrat.review.mark_table import Mark, token_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.review.session import ReviewSession

    Sample = Callable[[str], Path]


def marked(session: ReviewSession, lesion_id: str, word: str = "", **more: str) -> None:
    """Mark as the page would: having seen the row that stands."""
    assert session.reviewed is not None
    seen = token_of(session.reviewed.rows.get(lesion_id))
    session.mark(
        Mark(lesion_id=lesion_id, reading=session.reading, resectability=word, seen=seen, **more)  # type: ignore[arg-type]
    )


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    """Return the table on disk by lesion id."""
    with (folder / "lesions.csv").open(newline="") as stream:
        return {row["lesion_id"]: row for row in csv.DictReader(stream)}


def test_a_mark_replaces_the_row_that_lies_in_the_lesion(sample: Sample) -> None:
    """The table calls L1 what is L2 now, and the other way round: both rows take their numbers of today."""
    folder = sample("S01_stratum_1")
    first = loaded(folder)
    x, y, z = (first.points[i] for i in ("L1", "L2", "L3"))
    lines = ["lesion_id,resectability,x_mm,y_mm,z_mm"]
    lines += [f"L2,ablatable,{x[0]},{x[1]},{x[2]}", f"L1,unresectable,{y[0]},{y[1]},{y[2]}"]
    (folder / "lesions.csv").write_text("\n".join(lines) + "\n")
    session = loaded(folder)
    shown = {row["id"]: row["marked"] for row in state_of(session)["lesions"]}
    assert (shown["L1"], shown["L2"], shown["L3"]) == ("ablatable", "unresectable", "")
    marked(session, "L1", "resectable")
    found = rows_of(folder)
    assert {i: row["resectability"] for i, row in found.items()} == {"L1": "resectable", "L2": "unresectable"}
    assert float(found["L2"]["x_mm"]) == pytest.approx(y[0])
    assert z not in (x, y)


def test_a_row_holds_point_volume_and_site_and_keeps_what_the_page_does_not_ask(sample: Sample) -> None:
    """A site is set once; a later marking leaves it."""
    folder = sample("S01_stratum_1")
    session = loaded(folder)
    marked(session, "L1", "resectable", site="liver")
    marked(session, "L1", "ablatable")
    row = rows_of(folder)["L1"]
    assert (row["resectability"], row["site"]) == ("ablatable", "liver")
    assert float(row["volume_ml"]) > 0
    with pytest.raises(LesionTableError, match="'knee' is no site"):
        marked(session, "L1", "ablatable", site="knee")


def test_a_region_given_to_a_lesion_writes_that_lesions_point_too(sample: Sample) -> None:
    """So that L1 stays the one that was meant, whatever number it has later; and as the command has it."""
    folder = sample("S08_pet_only_region")
    session = loaded(folder)
    marked(session, "P1", belongs_to="L1")
    found = rows_of(folder)
    assert found["P1"]["belongs_to"] == "L1"
    assert found["L1"]["x_mm"] != ""
    (region,) = run_case(folder, load_protocol())["pet_only_regions"]
    assert (region["belongs_to"], region["resectability"]) == ("L1", "resectable")


def test_uptake_of_a_lesion_that_is_none_can_be_marked(sample: Sample) -> None:
    """L1, avid, is called no tumour: its uptake is P2, with a point by which it is marked."""
    folder = sample("S08_pet_only_region")
    session = loaded(folder)
    marked(session, "L1", "not_tumour")
    assert session.reviewed is not None
    assert [row["id"] for row in state_of(session)["lesions"]] == ["L1", "L2", "P1", "P2"]
    marked(session, "P2", fdg_avidity="not_avid")
    record = run_case(folder, load_protocol())
    assert [lesion["dismissed"] for lesion in (*record["lesions"], *record["pet_only_regions"])] == [
        True,
        False,
        False,
        True,
    ]


def test_a_review_is_closed_on_the_page_as_by_the_command(sample: Sample) -> None:
    """The state says what can be closed, and who closed it; the file gives the command the same."""
    folder = sample("S08_pet_only_region")
    session = loaded(folder)
    (review,) = [f for f in state_of(session)["verdict"]["findings"] if f["severity"] == "review"]
    session.accept(review["code"], review["where"], by="AB", reason="bowel on MRI")
    (closed,) = [f for f in state_of(session)["verdict"]["findings"] if f["severity"] == "review"]
    assert closed["closed"]["by"] == "AB"
    assert run_case(folder, load_protocol())["status"] == "assigned"
    with pytest.raises(ReviewTableError, match="was closed by AB"):
        session.accept(review["code"], review["where"], by="AB", reason="again")
