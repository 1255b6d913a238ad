"""A review is closed with who and why, as long as what it rests on stays (docs/record.md, "Reviews")."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from volstrat.case.assess import run_case
from volstrat.case.protocol_files import load_protocol
from volstrat.case.reviews import read_reviews
from volstrat.cli.app import cli
from volstrat.errors import ReviewTableError

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Return a case whose one open review is a PET-only region that nobody marked."""
    return Path(shutil.copytree(SAMPLES / "S08_pet_only_region", tmp_path / "S08"))


def judged(folder: Path) -> Mapping[str, Any]:
    """Return the case's record under the packaged protocol."""
    return run_case(folder, load_protocol(None))


def accept(folder: Path, code: str, *more: str) -> tuple[int, str]:
    """Run ``volstrat accept``; returns its exit code and what it said."""
    done = CliRunner().invoke(cli, ["accept", str(folder), code, "--by", "AB", "--reason", "bowel", *more])
    return done.exit_code, done.output


def turn_a_voxel(folder: Path) -> None:
    """Add a voxel to the tumour, or take it away again."""
    (path,) = [p for p in folder.iterdir() if p.name.startswith("tumour")]
    image: Any = nib.load(path)
    voxels = np.asarray(image.dataobj).copy()
    voxels[2, 2, 2] = 0 if voxels[2, 2, 2] else voxels.max()
    nib.save(nib.Nifti1Image(voxels, image.affine, image.header), path)


def found(record: Mapping[str, Any], code: str) -> list[Mapping[str, Any]]:
    """Return the findings of a code."""
    return [one for one in record["findings"] if one["code"] == code]


def test_a_row_that_closes_what_is_no_finding_says_so(case: Path) -> None:
    """A code that volstrat does not have is a slip of the pen, and no review that has gone."""
    header = "code,where,evidence,by,reason,recorded_at"
    (case / "reviews.csv").write_text(f"{header}\npet_only_reigon,P1,123456789abc,AB,bowel,\n")
    (one,) = found(judged(case), "review_lapsed")
    assert one["severity"] == "warning"
    assert "there is no finding called pet_only_reigon of P1" in one["message"]


@pytest.mark.parametrize(
    ("at", "is_time"),
    [
        ("yesterday", False),
        ("31/05/2030", False),
        ("2030-05-32", False),
        ("2030-05-31", True),
        ("2030-05-31T09:30:00Z", True),
        ("", True),
    ],
)
def test_a_closing_is_dated_or_has_no_date(case: Path, at: str, is_time: bool) -> None:
    """A word that is no date would stand in the record as when the review was closed."""
    accept(case, "pet_only_region")
    table = case / "reviews.csv"
    header, row = table.read_text().splitlines()
    table.write_text(f"{header}\n{row.rpartition(',')[0]},{at}\n")
    record = judged(case)
    assert record["status"] == ("assigned" if is_time else "failed")
    if not is_time:
        assert record["error"]["message"] == f"reviews.csv, line 2: recorded_at is {at!r}, no date."


def test_a_closed_review_leaves_the_case_assigned_until_a_voxel_changes(case: Path) -> None:
    """From review to assigned; back by one voxel; assigned again when that voxel is what it was."""
    before = judged(case)
    assert before["status"] == "review"
    assert accept(case, "pet_only_region")[0] == 0
    closed = judged(case)
    assert (closed["status"], closed["stratum"]) == ("assigned", before["stratum"])
    (one,) = found(closed, "pet_only_region")
    assert (one["severity"], one["closed"]["by"], one["closed"]["reason"]) == ("review", "AB", "bowel")
    turn_a_voxel(case)
    changed = judged(case)
    assert changed["status"] == "review"
    assert found(changed, "pet_only_region")[0]["closed"] is None
    (lapsed,) = found(changed, "review_lapsed")
    assert (lapsed["severity"], lapsed["where"]) == ("review", "P1")
    turn_a_voxel(case)
    again = judged(case)
    assert again["status"] == "assigned"
    assert not found(again, "review_lapsed")


def test_marking_what_a_review_rests_on_lapses_its_closing(case: Path) -> None:
    """Once the region is marked there is nothing to close: the row is an info, and no review."""
    accept(case, "pet_only_region")
    (case / "lesions.csv").write_text("lesion_id,resectability\nP1,resectable\n")
    record = judged(case)
    assert found(record, "pet_only_region")[0]["severity"] == "info"
    assert found(record, "review_lapsed")[0]["severity"] == "info"


def test_an_absent_or_closed_or_blocking_finding_cannot_be_closed(case: Path) -> None:
    """Exit 1 and a sentence each; nothing is written."""
    code, said = accept(case, "borderline")
    assert (code, "There is no finding borderline" in said, "pet_only_region (P1)" in said) == (1, True, True)
    code, said = accept(case, "pet_only_region", "--where", "P9")
    assert (code, "pet_only_region of P9" in said) == (1, True)
    assert not (case / "reviews.csv").exists()
    accept(case, "pet_only_region")
    code, said = accept(case, "pet_only_region")
    assert (code, "was closed by AB" in said) == (1, True)


def test_what_blocks_the_stratum_cannot_be_closed(tmp_path: Path) -> None:
    """S10 has no stratum while L3 is not marked."""
    folder = Path(shutil.copytree(SAMPLES / "S10_unknown_matters", tmp_path / "S10"))
    code, said = accept(folder, "unknown_marking")
    assert (code, "cannot be closed" in said) == (1, True)
    blocking = next(one for one in judged(folder)["findings"] if one["severity"] == "blocking")
    (folder / "reviews.csv").write_text(
        "code,where,evidence,by,reason,recorded_at\n"
        f"unknown_marking,{blocking['where']},{blocking['evidence']},AB,no matter,\n"
    )
    record = judged(folder)
    assert record["status"] == "not_assessable"
    assert [one["severity"] for one in found(record, "review_lapsed")] == ["warning"]


def test_two_readers_who_close_differently_leave_the_review_open(case: Path) -> None:
    """Both reasons cannot stand: it stays open until one row is left."""
    accept(case, "pet_only_region")
    table = case / "reviews.csv"
    line = table.read_text().splitlines()[1]
    table.write_text(table.read_text() + line.replace("AB,bowel", "CD,a node after all") + "\n")
    record = judged(case)
    assert record["status"] == "review"
    assert found(record, "closed_differently")[0]["message"].startswith("AB and CD closed pet_only_region")


def test_every_finding_carries_evidence_that_depends_on_nothing_but_content(case: Path) -> None:
    """Twelve hexadecimal digits, the same wherever the folder lies."""
    moved = case.with_name("elsewhere")
    shutil.copytree(case, moved)
    here, there = judged(case), judged(moved)
    assert [one["evidence"] for one in here["findings"]] == [one["evidence"] for one in there["findings"]]
    assert all(len(one["evidence"]) == 12 for one in here["findings"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("code,where\nx,y\n", "no column evidence", id="a column missing"),
        pytest.param(
            "code,where,evidence,by,reason,note\nx,,abc,AB,bowel,z\n",
            "unknown column 'note'",
            id="one too many",
        ),
        pytest.param("code,where,evidence,by,reason\nx,,abc,,bowel\n", "line 2: by is empty", id="nobody"),
        pytest.param(
            "code,where,evidence,by,reason\nx,,,AB,\n", "evidence and reason are empty", id="no reason"
        ),
    ],
)
def test_a_table_that_is_not_complete_is_refused_with_its_line(text: str, words: str) -> None:
    """A failure never looks like a closing."""
    with pytest.raises(ReviewTableError, match=words):
        read_reviews(text.encode(), name="reviews.csv")
