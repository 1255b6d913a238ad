"""A cohort's run: what is done, what is skipped, and what the tables say."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cohort.cohorts import results, rows, statuses, write_case
from tests.cohort.refusals import refused
from volstrat.cohort import Shard
from volstrat.cohort.worker import REPORTS
from volstrat.errors import OutputError
from volstrat.store.audit import TrailHead, check_trail

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]


SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


def test_a_run_leaves_what_the_design_says(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Tables, summary, page, run and trail, and a folder a subject; nothing half-written."""
    out = tmp_path / "out"
    result = run(cohort, out)
    subjects = [f"S0000{n}" for n in range(1, 9)]
    files = [
        "audit.jsonl", "cohort.csv", "cohort.parquet", "columns.csv", "index.html", "lesions.csv",
        "lesions.parquet", "run.json", "summary.json",
    ]  # fmt: skip
    assert sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) == sorted([*files, *subjects])
    assert list(statuses(out)) == subjects
    assert sum(result.counts.values()) == result.subjects == 8
    assert not list(out.rglob("*.part"))
    summary = json.loads((out / "summary.json").read_bytes())
    assert summary["subjects"] == 8
    assert summary["status"] == result.counts
    assert sum(summary["stratum"].values()) == 8
    assert summary["lesions"] == len([r for r in rows(out, "lesions") if r["lesion_id"].startswith("L")])


def test_the_run_file_and_the_trail_fit_each_other(cohort: Path, tmp_path: Path, run: Run) -> None:
    """``run.json`` holds times, host, command, versions, input root, and the trail's length and last hash."""
    out = tmp_path / "out"
    run(cohort, out)
    run(cohort, out)
    told = json.loads((out / "run.json").read_bytes())
    assert {"started_at", "finished_at", "host", "command", "environment"} <= set(told)
    assert told["input_root"] == str(cohort)
    assert told["skipped"] == 8
    head, faults = check_trail(out / "audit.jsonl", expected=TrailHead(**told["audit"]))
    assert (head.length, faults) == (4, ())


def test_a_second_run_skips_what_stands(cohort: Path, tmp_path: Path, run: Run) -> None:
    """And leaves the same bytes."""
    out = tmp_path / "out"
    assert run(cohort, out).skipped == 0
    before = results(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/case.json")}
    assert run(cohort, out).skipped == 8
    assert results(out) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_fresh_does_every_subject(cohort: Path, tmp_path: Path, run: Run) -> None:
    """And the results are the same."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    assert run(cohort, out, fresh=True).skipped == 0
    assert results(out) == before


def changed_bytes(case: Path) -> None:
    """Put another subject's mask in place, with the old file's times."""
    old = (case / "tumour.nii.gz").stat()
    write_case(case, 50)
    os.utime(case / "tumour.nii.gz", ns=(old.st_atime_ns, old.st_mtime_ns))


def new_file(case: Path) -> None:
    """Add a role."""
    (case / "lesions.csv").write_text("lesion_id,resectability\n")


def case_file(case: Path) -> None:
    """Name the roles outright."""
    (case / "case.toml").write_text('[inputs]\ntumour = "tumour.nii.gz"\n')


@pytest.mark.parametrize("change", [changed_bytes, new_file, case_file])
def test_changed_inputs_are_done_again(
    cohort: Path, tmp_path: Path, run: Run, change: Callable[[Path], None]
) -> None:
    """That subject, no other; and the result is what a first run would give."""
    out = tmp_path / "out"
    run(cohort, out)
    change(cohort / "site0000" / "S00003")
    assert run(cohort, out).skipped == 7
    run(cohort, tmp_path / "anew")
    assert results(out) == results(tmp_path / "anew")


def test_another_protocol_is_done_again(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Even where only its wording differs: the hash is of the file."""
    from volstrat.case.protocol_files import load_protocol

    out, other = tmp_path / "out", tmp_path / "other.toml"
    run(cohort, out)
    other.write_text(load_protocol().text + "\n# a remark\n")
    assert run(cohort, out, protocol=load_protocol(other), fresh=True).skipped == 0
    assert {row["protocol.sha256"] for row in rows(out)} == {load_protocol(other).sha256}


def test_another_version_is_done_again(
    cohort: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's version counts too: the record names it."""
    out = tmp_path / "out"
    run(cohort, out)
    monkeypatch.setattr("volstrat.cohort.worker.version_sha256", lambda: "0" * 64)
    assert run(cohort, out).skipped == 0
    assert run(cohort, out).skipped == 8


@pytest.mark.parametrize("file", ["case.json", ".receipt.json"])
@pytest.mark.parametrize("how", ["edited", "emptied", "removed"])
def test_a_record_that_is_not_what_was_written_is_done_again(
    cohort: Path, tmp_path: Path, run: Run, file: str, how: str
) -> None:
    """A power cut, an editor, a clean-up."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    path = out / "S00002" / file
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"S00002", b"S00003") if how == "edited" else b"")
    assert run(cohort, out).skipped == 7
    assert results(out) == before


def test_fail_fix_resume(cohort: Path, tmp_path: Path, run: Run) -> None:
    """A failed subject is tried again on every run, and done where it was fixed."""
    out, case = tmp_path / "out", cohort / "site0000" / "S00004"
    whole = (case / "tumour.nii.gz").read_bytes()
    (case / "tumour.nii.gz").write_bytes(whole[:50])
    result = run(cohort, out)
    assert result.counts["failed"] == 1
    assert [subject for subject, _ in result.failures] == ["S00004"]
    assert run(cohort, out).skipped == 7
    (case / "tumour.nii.gz").write_bytes(whole)
    assert run(cohort, out).counts["failed"] == 0
    run(cohort, tmp_path / "anew")
    assert results(out) == results(tmp_path / "anew")


def test_a_removed_subject_is_reported_and_leaves_the_tables(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Once; its folder is left alone; where it comes back, it is as if it had never gone."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    shutil.move(cohort / "site0000" / "S00005", tmp_path / "aside")
    assert run(cohort, out).removed == ("S00005",)
    assert json.loads((out / "run.json").read_bytes())["removed"] == ["S00005"]
    assert "S00005" not in statuses(out)
    assert (out / "S00005" / "case.json").exists()
    assert run(cohort, out).removed == ()
    shutil.move(tmp_path / "aside", cohort / "site0000" / "S00005")
    assert run(cohort, out).skipped == 8
    assert results(out) == before


def test_a_fresh_run_reports_who_is_gone_too(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Giving up the ledger does not give up what it knew of removed subjects."""
    out = tmp_path / "out"
    run(cohort, out)
    shutil.rmtree(cohort / "site0000" / "S00005")
    result = run(cohort, out, fresh=True)
    assert (result.removed, result.skipped, result.subjects) == (("S00005",), 0, 7)
    assert run(cohort, out, fresh=True).removed == ()


def test_no_report_of_another_result_stays_beside_a_record(cohort: Path, tmp_path: Path, run: Run) -> None:
    """It would show a verdict that no longer stands; where the record is the same, the report stays."""
    out = tmp_path / "out"
    run(cohort, out)
    reports = [out / subject / name for subject in ("S00001", "S00002") for name in REPORTS]
    for path in reports:
        path.write_text("a report")
    run(cohort, out, fresh=True)
    assert all(path.exists() for path in reports)
    write_case(cohort / "site0000" / "S00001", 70)
    run(cohort, out)
    assert [path.exists() for path in reports] == [False, False, True, True]


def test_runs_that_are_refused(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Before anything is written."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert "is the input folder" in refused(run, cohort, cohort)
    assert "is the input folder" in refused(run, cohort, cohort / "site0000" / "..")
    assert "there is no case in it" in refused(run, tmp_path / "empty", tmp_path / "out")
    assert "no such folder" in refused(run, tmp_path / "nowhere", tmp_path / "out")
    assert "is a file" in refused(run, cohort, tmp_path / "file")
    write_case(tmp_path / "other")
    shutil.copytree(SAMPLES / "S15_dicom", cohort / "dicom")
    assert "holds a case" in refused(run, cohort, cohort / "dicom" / "DICOM")
    case = cohort / "site0000" / "S00001"
    before = sorted(cohort.rglob("*"))
    assert "holds a case" in refused(run, cohort, case)
    assert "holds a case" in refused(run, cohort, cohort / "site0000")
    assert "holds a case" in refused(run, cohort / "site0000", tmp_path / "other")
    assert sorted(cohort.rglob("*")) == before
    assert "0 workers" in refused(run, cohort, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_one_folder_holds_one_shard(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Another one would drop the first one's subjects; the same one goes on."""
    out = tmp_path / "out"
    run(cohort, out, shard=Shard(number=1, of=2))
    run(cohort, out, shard=Shard(number=1, of=2))
    assert "holds shard 1/2" in refused(run, cohort, out, shard=Shard(number=2, of=2))
    run(cohort, tmp_path / "whole")
    assert "a whole cohort" in refused(run, cohort, tmp_path / "whole", shard=Shard(number=2, of=2))


def test_shards_part_the_cohort(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Each subject is in exactly one; a shard may be empty."""
    found: list[str] = []
    for n in range(1, 31):
        run(cohort, tmp_path / str(n), shard=Shard(number=n, of=30))
        found += statuses(tmp_path / str(n))
    assert sorted(found) == [f"S0000{n}" for n in range(1, 9)]


def test_a_damaged_ledger_is_said_and_fresh_cures_it(cohort: Path, tmp_path: Path, run: Run) -> None:
    """One sentence with the way out."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    (out / ".volstrat" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(OutputError, match=r"ledger cannot be used .*--fresh"):
        run(cohort, out)
    run(cohort, out, fresh=True)
    assert results(out) == before


def test_a_ledger_of_another_form_is_called_so(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Not a file that cannot be written."""
    out = tmp_path / "out"
    run(cohort, out, shard=Shard(number=1, of=30))
    with closing(sqlite3.connect(out / ".volstrat" / "ledger.sqlite")) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(OutputError, match=r"written by another version of volstrat \(form 9\)"):
        run(cohort, out, shard=Shard(number=1, of=30))


def test_subjects_that_cannot_be_read_are_not_alike(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Of a case that fails no inputs are known; two such are no copy of each other."""
    for name in ("S00002", "S00003"):
        shutil.rmtree(cohort / "site0000" / name)
        (cohort / "site0000" / name).mkdir()
        (cohort / "site0000" / name / "case.toml").write_text(f'subject = "{name}"\n', encoding="utf-8")
    result = run(cohort, tmp_path / "out")
    assert (result.counts["failed"], result.alike) == (2, ())


def test_without_its_ledger_a_run_still_skips_what_stands(cohort: Path, tmp_path: Path, run: Run) -> None:
    """The receipts beside the records are the truth."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    shutil.rmtree(out / ".volstrat")
    assert run(cohort, out).skipped == 8
    assert results(out) == before


def test_tables_hold_no_place(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Neither the input's path nor the output's, wherever an error came from."""
    shutil.rmtree(cohort / "site0000" / "S00002")
    (cohort / "site0000" / "S00002").mkdir()
    run(cohort, tmp_path / "out")
    for name, data in results(tmp_path / "out").items():
        assert str(tmp_path).encode() not in data, name


def test_an_output_that_cannot_be_written(cohort: Path, tmp_path: Path, run: Run) -> None:
    """A file stands where a subject's folder should: one sentence, no tables, the finished subjects kept."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "S00006").write_text("")
    with pytest.raises(OutputError, match="S00006"):
        run(cohort, out)
    assert not (out / "cohort.csv").exists()
    (out / "S00006").unlink()
    assert run(cohort, out).skipped == 5


def test_a_full_disk_while_tables_are_written(
    cohort: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old tables stand whole."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    write_case(cohort / "S00009", 9)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("volstrat.cohort.results.lesion_rows", full)
        with pytest.raises(OutputError, match="No space left"):
            run(cohort, out)
    tables = {name: data for name, data in before.items() if "/" not in name}
    assert {name: (out / name).read_bytes() for name in tables} == tables
    assert not list(out.glob(".*.part"))
    assert run(cohort, out).skipped == 9


def test_what_a_killed_worker_left_goes_when_its_subject_is_done(
    cohort: Path, tmp_path: Path, run: Run
) -> None:
    """Half a record under a temporary name; a file of the reader's own stays."""
    out = tmp_path / "out"
    (out / "S00003").mkdir(parents=True)
    left = [out / "S00003" / name for name in (".case.json.k2x9.part", "notes.part")]
    for path in left:
        path.write_bytes(b'{"schema"')
    run(cohort, out)
    assert [path.exists() for path in left] == [False, True]


def test_a_status_that_is_not_final_is_done_again(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Whatever else a receipt says."""
    out = tmp_path / "out"
    run(cohort, out)
    receipt = out / "S00007" / ".receipt.json"
    receipt.write_text(json.dumps({**json.loads(receipt.read_bytes()), "status": "failed"}))
    assert run(cohort, out).skipped == 7
