"""The final cohort: whose reading stands for each subject, by whom and why; what is refused, by name."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import volstrat
from tests.cohort.cohorts import InlineRunner
from tests.comparison.test_agreement_trail import ANN, BO, disputes, marked_twice
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.cohort import merge_cohorts, run_cohort
from volstrat.comparison import adjudicate, compare_readings
from volstrat.errors import UsageError
from volstrat.store.audit import read_trail
from volstrat.verify import lock_output, verify_output

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = dict[str, str]

CY = ANN.replace("L2,unresectable", "L2,resectable").replace("ann", "cy")
"""A third reader takes everything."""

DECIDED = {"adjudicator": "cy", "reason": "margin is clear", "decided_at": "2026-11-30"}


@pytest.fixture(autouse=True)
def inline_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no workers."""
    monkeypatch.setattr("volstrat.comparison.final_cohort.LocalRunner", InlineRunner)


@pytest.fixture
def agreed(tmp_path: Path) -> Path:
    """Return the agreement of ann and bo on S1 to S3, in dispute, and S4, on which they agree."""
    cases = marked_twice(tmp_path / "cases", "S1", "S2", "S3", "S4")
    (cases / "S4" / "lesions.bo.csv").write_text(ANN)
    (cases / "S3" / "lesions.cy.csv").write_text(CY)
    compare_readings([cases, cases], tmp_path / "agreement", lesions=["ann", "bo"])
    return tmp_path / "agreement"


def filled_in(agreement: Path, change: Callable[[list[Row]], object] = lambda rows: None) -> Path:
    """Fill in the table: A stands for S1, B for S2, cy's table for S3; then spoil it."""
    rows = disputes(agreement)
    for row, stands in zip(rows, ("A", "B", "table"), strict=True):
        row.update(DECIDED, stands=stands)
    change(rows)
    path = agreement.parent / "decided.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def record(out: Path, subject: str) -> dict[str, Any]:
    """Return a subject's record."""
    found: dict[str, Any] = json.loads((out / subject / "case.json").read_bytes())
    return found


def test_every_record_says_whose_reading_stands_by_whom_and_why(agreed: Path, tmp_path: Path) -> None:
    """A's 700 of 1000: stratum 1; B's none: ineligible; cy's all: stratum 1 with 1000; S4 by --concordant."""
    out = tmp_path / "final"
    result = adjudicate(agreed, filled_in(agreed), out, concordant="B")
    assert result.counts["failed"] == 0
    sha256 = hashlib.sha256((agreed / "agreement.json").read_bytes()).hexdigest()
    strata = {s: record(out, s)["stratum"] for s in ("S1", "S2", "S3", "S4")}
    assert strata == {"S1": "stratum_1", "S2": "ineligible", "S3": "stratum_1", "S4": "stratum_1"}
    assert record(out, "S3")["predicates"]["stratum_1"]["part_voxels"] == 1000
    assert record(out, "S1")["adjudication"] == {**DECIDED, "stands": "A", "agreement_sha256": sha256}
    assert record(out, "S3")["adjudication"]["stands"] == "table"
    assert [lesion["marked_by"] for lesion in record(out, "S3")["lesions"]] == ["cy", "cy"]
    undisputed = record(out, "S4")["adjudication"]
    assert undisputed["stands"] == "B"
    assert undisputed["adjudicator"] is None
    assert "not in dispute" in undisputed["reason"]
    assert undisputed["agreement_sha256"] == sha256
    with (out / "cohort.csv").open(newline="") as stream:
        stands = {row["subject"]: row["adjudication.stands"] for row in csv.DictReader(stream)}
    assert stands == {"S1": "A", "S2": "B", "S3": "table", "S4": "B"}


def test_a_final_cohort_is_verified_sealed_and_its_trail_says_what_it_rests_on(
    agreed: Path, tmp_path: Path
) -> None:
    """It holds the agreement and the decisions, so that it comes out again without the agreement's folder."""
    out = tmp_path / "final"
    adjudicate(agreed, filled_in(agreed), out, concordant="A")
    started = next(iter(read_trail(out / "audit.jsonl")))
    assert started is not None
    assert (started["event"], started["detail"]["concordant"]) == ("adjudicate_started", "A")
    shutil.rmtree(agreed)
    for only_hashes in (True, False):
        found = verify_output(out, only_hashes=only_hashes)
        assert found.clean, found.as_json()
    assert lock_output(out, with_open=True) > 0
    assert verify_output(out).clean


@pytest.mark.parametrize("only_hashes", [True, False])
def test_a_reading_that_changed_since_is_named_by_verify(
    agreed: Path, tmp_path: Path, only_hashes: bool
) -> None:
    """Even where the other reading stands: bo's table of S1, of which A stands."""
    out = tmp_path / "final"
    adjudicate(agreed, filled_in(agreed), out, concordant="A")
    (tmp_path / "cases" / "S1" / "lesions.bo.csv").write_text(BO.replace("L2,un", "L2,"))
    found = verify_output(out, only_hashes=only_hashes)
    assert [(one.subject, one.first.what) for one in found.differing] == [("S1", "reading B (bo)")]


def test_the_adjudicators_table_that_changed_is_named_by_verify(agreed: Path, tmp_path: Path) -> None:
    """Cy's table is no reading, but S3 rests on it."""
    out = tmp_path / "final"
    adjudicate(agreed, filled_in(agreed), out, concordant="A")
    (tmp_path / "cases" / "S3" / "lesions.cy.csv").write_text(BO.replace("bo", "cy"))
    found = verify_output(out, only_hashes=True)
    (one,) = found.differing
    assert (one.subject, one.first.path) == ("S3", "lesions.cy.csv")


def test_another_decision_is_kept_beside_the_first_in_the_trail(agreed: Path, tmp_path: Path) -> None:
    """The final cohort may be built again; the change of S1 is an entry."""
    out = tmp_path / "final"
    adjudicate(agreed, filled_in(agreed), out, concordant="A")
    adjudicate(agreed, filled_in(agreed, lambda rows: rows[0].update(stands="B")), out, concordant="A")
    assert record(out, "S1")["stratum"] == "ineligible"
    changed = [e for e in read_trail(out / "audit.jsonl") if e is not None and e["event"] == "record_changed"]
    assert [entry["detail"]["subject"] for entry in changed] == ["S1"]
    assert verify_output(out, only_hashes=True).clean


def undecided(rows: list[Row]) -> None:
    """Leave S2 open."""
    rows[1].update(stands="", adjudicator="", reason="", decided_at="")


def swapped(rows: list[Row]) -> None:
    """Take A for B."""
    for row in rows:
        row["a.reader"], row["b.reader"] = row["b.reader"], row["a.reader"]


def second_row(rows: list[Row]) -> None:
    """Decide twice on S1."""
    rows.append({**rows[0], "stands": "B"})


REFUSED = [
    pytest.param(
        lambda rows: rows[1].update(stands="C"), "S2: stands is 'C'; it must be A, B, table", id="answer"
    ),
    pytest.param(undecided, "undecided: S2", id="undecided"),
    pytest.param(lambda rows: rows.pop(2), "undecided: S3", id="row-gone"),
    pytest.param(lambda rows: rows[0].update(reason=""), "undecided: S1", id="no-reason"),
    pytest.param(lambda rows: rows[0].update(subject="S4"), "not in dispute: S4", id="undisputed"),
    pytest.param(second_row, r"rows of one subject disagree: S1 \(stands\)", id="two-answers"),
    pytest.param(swapped, "readings are swapped", id="swapped"),
    pytest.param(
        lambda rows: rows[0].update(agreement_sha256="0" * 64), "of another agreement", id="agreement"
    ),
    pytest.param(
        lambda rows: rows[0].update(decided_at="30.11.2026"), "decided_at is '30.11.2026'", id="date"
    ),
    pytest.param(
        lambda rows: rows[0].update(stands="table"),
        "lesions.cy.csv is not in reading A's case folder",
        id="table",
    ),
    pytest.param(
        lambda rows: rows[2].update(adjudicator="../cy"), "cannot be part of a file name", id="name"
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_a_table_that_does_not_decide_is_refused_by_name(
    agreed: Path, tmp_path: Path, change: Callable[[list[Row]], object], message: str
) -> None:
    """One sentence; nothing is written."""
    with pytest.raises(UsageError, match=message):
        adjudicate(agreed, filled_in(agreed, change), tmp_path / "final", concordant="A")
    assert not (tmp_path / "final").exists()


def test_the_table_of_swapped_readings_is_refused(agreed: Path, tmp_path: Path) -> None:
    """The same two readings, the other way round, are another agreement."""
    cases = tmp_path / "cases"
    compare_readings([cases, cases], tmp_path / "turned", lesions=["bo", "ann"])
    with pytest.raises(UsageError, match="readings are swapped"):
        adjudicate(tmp_path / "turned", filled_in(agreed), tmp_path / "final", concordant="A")


def test_a_reading_that_changed_since_is_refused_by_name(agreed: Path, tmp_path: Path) -> None:
    """Reading, reader and subject."""
    table = filled_in(agreed)
    (tmp_path / "cases" / "S4" / "lesions.bo.csv").write_text(BO)
    with pytest.raises(UsageError, match=r"Changed since the comparison: reading B \(bo\): S4"):
        adjudicate(agreed, table, tmp_path / "final", concordant="A")


def test_an_agreement_that_was_edited_is_refused(agreed: Path, tmp_path: Path) -> None:
    """Its hash stands in its own trail."""
    table = filled_in(agreed)
    path = agreed / "agreement.json"
    path.write_bytes(path.read_bytes().replace(b"stratum_1", b"stratum_2", 1))
    with pytest.raises(UsageError, match="is not what the comparison wrote"):
        adjudicate(agreed, table, tmp_path / "final", concordant="A")


@pytest.mark.parametrize("where", ["agreement", "cases"])
def test_a_final_cohort_needs_a_folder_of_its_own(agreed: Path, tmp_path: Path, where: str) -> None:
    """Neither the agreement nor a reading is written into."""
    with pytest.raises(UsageError, match="needs a folder of its own"):
        adjudicate(agreed, filled_in(agreed), tmp_path / where, concordant="A")


def test_the_command_needs_to_know_what_stands_where_readings_agree(agreed: Path, tmp_path: Path) -> None:
    """--concordant is required, and a letter of the agreement."""
    table, out = str(filled_in(agreed)), str(tmp_path / "final")
    missing = CliRunner().invoke(cli, ["adjudicate", str(agreed), table, "-o", out])
    assert missing.exit_code == 2
    assert "--concordant" in missing.output
    wrong = CliRunner().invoke(cli, ["adjudicate", str(agreed), table, "-o", out, "--concordant", "C"])
    assert wrong.exit_code == 2
    assert "the agreement's readings are A, B" in wrong.output
    done = CliRunner().invoke(cli, ["adjudicate", str(agreed), table, "-o", out, "--concordant", "A"])
    assert done.exit_code in {0, 3}, done.output
    assert "4 subjects" in done.output


@pytest.fixture
def final(agreed: Path, tmp_path: Path) -> Path:
    """Return a final cohort: of S1 A stands, of S2 B, of S3 cy's table, of S4 A."""
    adjudicate(agreed, filled_in(agreed), tmp_path / "final", concordant="A")
    return tmp_path / "final"


def test_a_final_cohort_is_compared_by_the_files_of_the_readings_that_stand(
    final: Path, tmp_path: Path
) -> None:
    """With ann's reading: alike where ann stands (S1, S4); S2 and S3 differ by the marks of bo and cy."""
    compare_readings([final, tmp_path / "cases"], tmp_path / "again", lesions=[None, "ann"])
    found = json.loads((tmp_path / "again" / "agreement.json").read_bytes())
    told = {s["subject"]: (s["pairs"][0]["outcome"], s["stake"]["kind"]) for s in found["subjects"]}
    assert told == {
        "S1": ("compared", "none"),
        "S2": ("compared", "trial_entry"),
        "S3": ("compared", "voxels"),
        "S4": ("compared", "none"),
    }
    assert found["subjects"][1]["attributed_to"] == "marking"


def test_a_final_cohort_gets_reports_with_pictures_of_the_readings_that_stand(
    final: Path, tmp_path: Path
) -> None:
    """Though the run names no input folder; where the cases are gone, the report says so."""
    result = CliRunner().invoke(cli, ["report", str(final), "-o", str(tmp_path / "reports")])
    assert result.exit_code in {0, 3}, result.output
    for subject in ("S1", "S2", "S3", "S4"):
        assert "with pictures" in (tmp_path / "reports" / subject / "report.html").read_text()[:4096]
    said = (tmp_path / "reports" / "S3" / "report.html").read_text()
    assert "The adjudicator&#39;s own marks stand, decided by cy on 2026-11-30: margin is clear" in said
    assert "The readings are not in dispute" in (tmp_path / "reports" / "S4" / "report.html").read_text()
    shutil.move(tmp_path / "cases", tmp_path / "elsewhere")
    result = CliRunner().invoke(cli, ["report", str(final), "-o", str(tmp_path / "without")])
    assert "No pictures" in (tmp_path / "without" / "S1" / "report.html").read_text()


def test_a_final_cohort_is_read_and_exported_like_any_other(final: Path, tmp_path: Path) -> None:
    """Its table says whose reading stands; REDCap gets it too."""
    cohort = volstrat.read_cohort(final)
    assert cohort.subjects == ("S1", "S2", "S3", "S4")
    assert cohort.to_arrow().column("adjudication.stands").to_pylist() == ["A", "B", "table", "A"]
    assert cohort.record("S3")["adjudication"]["adjudicator"] == "cy"
    result = CliRunner().invoke(cli, ["export", str(final), "--redcap", str(tmp_path / "redcap")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "redcap").is_dir()


@pytest.mark.parametrize("where", ["agreement", "final"])
def test_no_cohort_is_written_over_an_agreement_or_a_final_cohort(
    final: Path, tmp_path: Path, where: str
) -> None:
    """Fresh or not: what readings were made into is no place for a run."""
    before = (tmp_path / where / "run.json").read_bytes()
    for fresh in (False, True):
        with pytest.raises(UsageError, match="would be written over it"):
            run_cohort(tmp_path / "cases", tmp_path / where, load_protocol(None), fresh=fresh)
    with pytest.raises(UsageError, match="would be written over it"):
        merge_cohorts([final], tmp_path / where)
    assert (tmp_path / where / "run.json").read_bytes() == before
