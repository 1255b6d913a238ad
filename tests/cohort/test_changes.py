"""What a rerun replaces: the old record is kept, the trail says whose stratum changed, and why."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cohort.cohorts import rows
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort.run_file import entries_of_changes
from volstrat.errors import UsageError
from volstrat.verify import verify_output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]


def stratum_of(out: Path, subject: str) -> str:
    """Return a subject's stratum in the table."""
    return next(row["stratum"] for row in rows(out) if row["subject"] == subject)


def mark_all(out: Path, case: Path, word: str) -> None:
    """Mark every lesion of a case by a table."""
    lesions = json.loads((out / case.name / "case.json").read_bytes())["lesions"]
    rows = "".join(f"{lesion['lesion_id']},{word}\n" for lesion in lesions)
    (case / "lesions.csv").write_text("lesion_id,resectability\n" + rows)


@pytest.fixture
def changed(cohort: Path, tmp_path: Path, run: Run) -> tuple[Path, str, str, CohortResult, bytes]:
    """Run a cohort, mark a subject otherwise, and run it again."""
    out = tmp_path / "out"
    run(cohort, out)
    case = cohort / "site0000" / "S00001"
    before, record = stratum_of(out, case.name), (out / case.name / "case.json").read_bytes()
    mark_all(out, case, "unresectable" if before == "stratum_1" else "resectable")
    return out, case.name, before, run(cohort, out), record


def test_a_changed_stratum_is_an_entry_and_the_old_record_is_kept(
    changed: tuple[Path, str, str, CohortResult, bytes],
) -> None:
    """Subject, what moved, old and new; the kept bytes are those that stood there."""
    out, subject, before, result, record = changed
    (entry,) = entries_of_changes(out / "audit.jsonl")
    assert (entry["subject"], entry["moved"]) == (subject, ["marks"])
    assert (entry["old_stratum"], entry["new_stratum"]) == (before, stratum_of(out, subject))
    assert (out / ".volstrat" / "history" / f"{entry['old_sha256']}.json").read_bytes() == record
    (said,) = result.changed
    assert said.startswith(f"{subject}: ")
    assert said in (out / "index.html").read_text()


def test_a_rerun_that_changes_nothing_enters_nothing(
    changed: tuple[Path, str, str, CohortResult, bytes], cohort: Path, run: Run
) -> None:
    """The entry stands once, however often the batch is run; fresh as well."""
    out = changed[0]
    for fresh in (False, True):
        run(cohort, out, fresh=fresh)
    assert len(list(entries_of_changes(out / "audit.jsonl"))) == 1


def test_an_entry_that_a_lost_parent_never_wrote_is_made_up_for(
    cohort: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt beside the record still says what it replaced."""
    out = tmp_path / "out"
    run(cohort, out)
    mark_all(out, cohort / "site0000" / "S00001", "unresectable")
    with monkeypatch.context() as patch:
        patch.setattr("volstrat.cohort.run_file.RunFile.replaced", lambda *_: None)
        run(cohort, out)
    assert not list(entries_of_changes(out / "audit.jsonl"))
    run(cohort, out)
    assert [one["subject"] for one in entries_of_changes(out / "audit.jsonl")] == ["S00001"]


@pytest.mark.parametrize("spoil", ["remove", "alter"])
def test_verify_names_a_kept_record_that_is_gone_or_altered(
    changed: tuple[Path, str, str, CohortResult, bytes], cohort: Path, spoil: str
) -> None:
    """The history is evidence: it is checked as everything else is."""
    out = changed[0]
    assert verify_output(out, inputs=cohort, only_hashes=True).clean
    (kept,) = (out / ".volstrat" / "history").glob("*.json")
    if spoil == "remove":
        kept.unlink()
    else:
        kept.write_bytes(kept.read_bytes().replace(b"stratum", b"Stratum", 1))
    result = verify_output(out, inputs=cohort, only_hashes=True)
    assert [fault.path for fault in result.files] == [f".volstrat/history/{kept.name}"]


def test_an_edited_receipt_is_not_believed(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Its status changes no summary and no table; verify names the subject; the next run does it anew."""
    out = tmp_path / "out"
    run(cohort, out)
    path = out / "S00001" / ".receipt.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "status": "not_assessable", "stratum": "stratum_2"}))
    faults = verify_output(out, inputs=cohort, only_hashes=True).files
    assert any("'S00001'" in fault.message and "status, stratum" in fault.message for fault in faults)
    before = (out / "summary.json").read_bytes()
    assert run(cohort, out).counts["not_assessable"] == 0
    assert (out / "summary.json").read_bytes() == before


def test_another_protocol_or_study_starts_over_only_when_asked(
    cohort: Path, tmp_path: Path, run: Run
) -> None:
    """Results of two protocols never share an output unseen; --fresh says so in the trail."""
    out = tmp_path / "out"
    run(cohort, out)
    other = tmp_path / "other.toml"
    other.write_text(load_protocol().text.replace('version = "', 'version = "9.'))
    with pytest.raises(UsageError, match="holds results by protocol"):
        run(cohort, out, protocol=load_protocol(other))
    (out / "run.json").write_text("{")
    with pytest.raises(UsageError, match=r"run\.json cannot be read"):
        run(cohort, out, protocol=load_protocol(other))
    (out / "run.json").unlink()
    with pytest.raises(UsageError, match=r"run\.json is missing"):
        run(cohort, out, protocol=load_protocol(other))
    begun = tmp_path / "begun"  # cut off between its first entry and its run file: nothing is there yet
    begun.mkdir()
    (begun / "audit.jsonl").write_bytes((out / "audit.jsonl").read_bytes().splitlines(keepends=True)[0])
    assert run(cohort, begun).subjects == 8
    run(cohort, out, protocol=load_protocol(other), fresh=True)
    started = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]
    assert [e["detail"]["fresh"] for e in started if e["event"] == "batch_started"] == [False, True]
    assert {tuple(one["moved"]) for one in entries_of_changes(out / "audit.jsonl")} == {("protocol",)}
    study = cohort / "study.toml"
    study.write_text('[study]\nid = "X"\n[layout]\nsubject = "site0000/{subject}"\n')
    with pytest.raises(UsageError, match="no study; this run is of study 'X'"):
        run(study, out, protocol=load_protocol(other))
    shutil.rmtree(out)


@pytest.mark.parametrize("only_hashes", [False, True])
def test_the_history_of_marks_is_evidence(cohort: Path, tmp_path: Path, run: Run, only_hashes: bool) -> None:
    """It is hashed into the record; verify names it where it was changed or taken away."""
    history = cohort / "site0000" / "S00001" / "lesions.history.csv"
    (history.with_name("lesions.csv")).write_text("lesion_id,resectability\nL1,resectable\n")
    history.write_text(
        "lesion_id,resectability,table,replaced_at,replaced_by\nL1,unknown,lesions.csv,now,AB\n"
    )
    out = tmp_path / "out"
    run(cohort, out)
    assert verify_output(out, inputs=cohort, only_hashes=only_hashes).clean
    history.write_text("lesion_id,resectability,table,replaced_at,replaced_by\n")
    (found,) = verify_output(out, inputs=cohort, only_hashes=only_hashes).differing
    assert found.subject == "S00001"
    assert "lesions.history.csv" in found.first.what


def test_a_change_that_is_made_a_second_time_is_entered_a_second_time(
    cohort: Path, tmp_path: Path, run: Run
) -> None:
    """Marked, taken back, marked again: the trail ended with the second, and said so of the first stratum."""
    out, case = tmp_path / "out", cohort / "site0000" / "S00001"
    run(cohort, out)
    for _ in range(2):
        mark_all(out, case, "unresectable")
        run(cohort, out)
        (case / "lesions.csv").unlink()
        run(cohort, out)
    mark_all(out, case, "unresectable")
    run(cohort, out)
    entries = list(entries_of_changes(out / "audit.jsonl"))
    assert len(entries) == 5
    assert entries[-1]["new_stratum"] == stratum_of(out, "S00001")
