"""What somebody with the folder in their hands might try: each is named, by `verify` or by `audit check`."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.comparison.test_agreement_trail import marked_twice
from tests.verify.conftest import SAMPLES
from tests.verify.test_trail import entry_of, line_of, rechained
from tests.verify.test_unseal import run_again, sign
from volstrat.case.discovery import CasePlace
from volstrat.case.fingerprint import take_fingerprint
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.comparison import adjudicate, compare_readings
from volstrat.errors import InputFileError, UsageError
from volstrat.report.write import report_cohort
from volstrat.store.seal import write_manifest
from volstrat.verify import check_output_trail, lock_output, unlock_output, verify_output

if TYPE_CHECKING:
    from tests.verify.conftest import Cohort

FIRST, TABLE = "S01_stratum_1", "S11_lesion_table"


def mark(cohort: Cohort, word: str) -> None:
    """Mark the first lesion of a subject."""
    (cohort.inputs / FIRST / "lesions.csv").write_text(f"lesion_id,resectability\nL1,{word}\n")


def rewrite(cohort: Cohort, lines: list[bytes]) -> None:
    """Write a trail, and have `run.json` keep its head, as a program would."""
    (cohort.out / "audit.jsonl").write_bytes(b"".join(lines))
    edit(cohort.out / "run.json", audit={"length": len(lines), "last_sha256": entry_of(lines[-1])["sha256"]})


def edit(path: Path, **changes: Any) -> None:  # noqa: ANN401 - any JSON value
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


def named(cohort: Cohort, *, only_hashes: bool = True) -> str:
    """Return all that verifying brings up, as one text; nothing of it where it is clean."""
    result = verify_output(
        cohort.out, inputs=cohort.inputs, protocol=load_protocol(cohort.protocol), only_hashes=only_hashes
    )
    assert result.clean is not bool(
        result.files or result.differing or (result.trail and result.trail.faults) or result.protocol
    )
    return json.dumps(result.as_json())


def with_receipt_to_fit(cohort: Cohort, subject: str) -> None:
    """Write into a receipt what the subject's inputs hash to now."""
    case = CasePlace(folder=cohort.inputs / subject, subject=subject).open()
    edit(cohort.out / subject / ".receipt.json", inputs_sha256=take_fingerprint(case.sources).sha256)


@pytest.fixture
def changed(cohort: Cohort) -> Cohort:
    """Return a cohort of which two subjects were marked otherwise and run again."""
    mark(cohort, "unresectable")
    (cohort.inputs / TABLE / "lesions.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    run_again(cohort)
    assert len(list((cohort.out / ".volstrat" / "history").glob("*.json"))) == 2
    assert '"clean": true' in named(cohort)
    return cohort


def test_old_records_swapped_between_subjects(changed: Cohort) -> None:
    """Each is kept under its hash."""
    one, other = sorted((changed.out / ".volstrat" / "history").glob("*.json"))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    text = named(changed)
    assert one.name in text
    assert other.name in text


def test_the_trail_cut_to_a_prefix_and_run_json_made_to_fit(changed: Cohort) -> None:
    """The second run's entries are gone; what it kept and what its receipts say is not."""
    rewrite(changed, changed.entries()[:2])
    text = named(changed)
    assert "named by no entry of the trail" in text
    assert f"{FIRST}/case.json replaced another record" in text


def test_entries_of_changes_cut_out_and_the_rest_chained_anew(changed: Cohort) -> None:
    """Numbered and hashed as a program would, old records removed too: the receipts still tell of them."""
    kept = [line for line in changed.entries() if entry_of(line)["event"] != "record_changed"]
    numbered = [line_of({**entry_of(line), "entry": n}) for n, line in enumerate(kept, start=1)]
    rewrite(changed, rechained(numbered, 0))
    shutil.rmtree(changed.out / ".volstrat" / "history")
    assert check_output_trail(changed.out).faults == ()
    assert f"{FIRST}/case.json replaced another record" in named(changed)


def test_the_entry_of_an_opening_taken_out(cohort: Cohort) -> None:
    """Locked and opened, then both entries cut off: the state folder remembers that there was a seal."""
    lock_output(cohort.out, with_open=True)
    unlock_output(cohort.out, by="x", reason="y")
    rewrite(cohort, cohort.entries()[:2])
    run = json.loads((cohort.out / "run.json").read_bytes())
    del run["locked"]
    (cohort.out / "run.json").write_text(json.dumps(run))
    faults = " ".join(check_output_trail(cohort.out).faults)
    assert "sealed once; no entry of the trail does" in faults
    assert "named by no entry of the trail" in faults


def test_a_manifest_written_anew_over_an_edited_summary(cohort: Cohort) -> None:
    """The seal fits; what the run hashed does not. Opening it later says so for ever."""
    lock_output(cohort.out, with_open=True)
    edit(cohort.out / "summary.json", subjects=4)
    write_manifest(cohort.out)
    assert "summary.json is not what the run wrote" in named(cohort)
    unlock_output(cohort.out, by="x", reason="y")
    run_again(cohort)
    lock_output(cohort.out, with_open=True) if not check_output_trail(cohort.out).faults else None
    assert any("summary.json" in fault for fault in check_output_trail(cohort.out).faults)


def test_a_record_its_receipt_and_the_manifest_edited_in_step(cohort: Cohort, tmp_path: Path) -> None:
    """The trail's hash over all records names it; signed by another key, the signature does too."""
    lock_output(cohort.out, with_open=True)
    sign(cohort.out, tmp_path / "key")
    (tmp_path / "signers").write_text(f'core-lab namespaces="volstrat" {(tmp_path / "key.pub").read_text()}')
    record = cohort.record(FIRST)
    record["stratum"] = "ineligible"
    data = (json.dumps(record, indent=2) + "\n").encode()
    (cohort.out / FIRST / "case.json").write_bytes(data)
    edit(
        cohort.out / FIRST / ".receipt.json",
        stratum="ineligible",
        record_sha256=hashlib.sha256(data).hexdigest(),
    )
    write_manifest(cohort.out)
    (cohort.out / "SHA256SUMS.sig").unlink()
    sign(cohort.out, tmp_path / "another")
    result = verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True, signers=tmp_path / "signers")
    assert result.signature is not None
    assert result.signature.fits is False
    assert "The records are not those that the run wrote" in named(cohort)
    assert FIRST in {found.subject for found in verify_output(cohort.out, inputs=cohort.inputs).differing}


@pytest.mark.parametrize("name", ["reviews.csv", "lesions.history.csv"])
def test_what_docs_cite_put_beside_a_case_after_the_seal(cohort: Cohort, name: str) -> None:
    """A closed review or an earlier mark that was not there; with the receipt made to fit as well."""
    lock_output(cohort.out, with_open=True)
    text = "code,where,evidence,by,reason,recorded_at\n" if name == "reviews.csv" else "lesion_id\nL1\n"
    (cohort.inputs / TABLE / name).write_text(text)
    assert TABLE in named(cohort)
    with_receipt_to_fit(cohort, TABLE)
    assert "The receipts are not those that the run wrote" in named(cohort)


def test_the_clock_set_back(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on another day is dated before the one before it: said ever after, though clocks are set."""
    monkeypatch.setattr(
        "volstrat.cohort.run_file.now", lambda: datetime.now().astimezone() - timedelta(days=30)
    )
    run_again(cohort)
    (said,) = check_output_trail(cohort.out).clock
    assert said.startswith("Entry 3 (batch_started) is dated")
    assert "clock was set back" in named(cohort)


def test_an_entry_without_a_time_zone(cohort: Cohort) -> None:
    """Written by hand into the first of two entries: its hash does not fit, and checking goes on."""
    trail = cohort.out / "audit.jsonl"
    first, *rest = trail.read_bytes().splitlines(keepends=True)
    at = json.loads(first)["recorded_at"]
    trail.write_bytes(first.replace(at.encode(), at[:19].encode()) + b"".join(rest))
    state = check_output_trail(cohort.out)
    assert "entry 1" in state.faults[0].lower()
    assert state.clock == ()


def test_another_output_with_links_into_a_sealed_one(cohort: Cohort, tmp_path: Path) -> None:
    """Its folder of a subject, its trail: nothing is written through them."""
    lock_output(cohort.out, with_open=True)
    before = {path: path.read_bytes() for path in cohort.out.rglob("*") if path.is_file()}
    mark(cohort, "unresectable")
    for n, name in enumerate((FIRST, "audit.jsonl", ".volstrat")):
        other = tmp_path / f"other{n}"
        other.mkdir()
        (other / name).symlink_to(cohort.out / name)
        with pytest.raises(UsageError, match="has been sealed"):
            run_again(type(cohort)(inputs=cohort.inputs, protocol=cohort.protocol, out=other))
    (tmp_path / "alias").symlink_to(cohort.out)
    with pytest.raises(UsageError, match="has been sealed"):
        run_again(type(cohort)(inputs=cohort.inputs, protocol=cohort.protocol, out=tmp_path / "alias"))
    assert {path: path.read_bytes() for path in before} == before


def test_a_record_that_is_a_link(cohort: Cohort, tmp_path: Path) -> None:
    """Its bytes can be changed from outside."""
    path = cohort.out / FIRST / "case.json"
    shutil.move(path, tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert f"{FIRST}/case.json is a link" in named(cohort)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_the_place_of_a_record(cohort: Cohort) -> None:
    """Nobody waits for what it may say."""
    path = cohort.out / FIRST / "case.json"
    path.unlink()
    os.mkfifo(path)
    assert f"{FIRST}/case.json is no case record any more" in named(cohort)
    with pytest.raises(InputFileError, match=f"of {FIRST}: is not a regular file"):
        report_cohort(cohort.out, cohort.out.parent / "reports", load_protocol(cohort.protocol))


def test_the_map_of_columns_edited(cohort: Cohort) -> None:
    """A statistician reads units there."""
    path = cohort.out / "columns.csv"
    path.write_text(path.read_text().replace(",ml", ",l", 1))
    assert "columns.csv is not what the run wrote" in named(cohort)


def test_a_setting_of_a_case_changed_and_the_receipt_made_to_fit(cohort: Cohort) -> None:
    """No record names case.toml; the trail's hash over what all inputs hashed to does."""
    (cohort.inputs / FIRST / "case.toml").write_text('[inputs]\ntumour = "tumour.nii.gz"\n')
    with_receipt_to_fit(cohort, FIRST)
    assert "The receipts are not those that the run wrote" in named(cohort)


def test_an_agreement_edited_before_it_is_decided_on(tmp_path: Path) -> None:
    """A reading's hash or a dispute taken out of it, and `run.json` made to fit: nothing is decided on it."""
    cases = marked_twice(tmp_path / "cases", "S1", "S2")
    out = tmp_path / "agreement"
    compare_readings([cases, cases], out, lesions=["ann", "bo"])
    with (out / "adjudication.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    agreement = json.loads((out / "agreement.json").read_bytes())
    agreement["adjudication"] = agreement["adjudication"][:1]
    data = json.dumps(agreement).encode()
    (out / "agreement.json").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    edit(out / "run.json", agreement_sha256=sha256)
    decided = tmp_path / "decided.csv"
    with decided.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        kept = [row for row in rows if row["subject"] == agreement["adjudication"][0]["subject"]]
        told = {"stands": "A", "adjudicator": "cy", "reason": "r", "decided_at": "2026-11-30"}
        writer.writerows({**row, **told, "agreement_sha256": sha256} for row in kept)
    with pytest.raises(UsageError, match="is not what the comparison wrote"):
        adjudicate(out, decided, tmp_path / "final", concordant="A")


def test_a_trail_and_run_file_of_another_output_put_in_its_place(cohort: Cohort, tmp_path: Path) -> None:
    """Whole in themselves, and of other records."""
    mark(cohort, "unresectable")
    other = type(cohort)(inputs=cohort.inputs, protocol=cohort.protocol, out=tmp_path / "other")
    run_again(other)
    for name in ("audit.jsonl", "run.json"):
        shutil.copy(other.out / name, cohort.out / name)
    text = named(cohort)
    assert "The records are not those that the run wrote" in text or "is not what the run wrote" in text


def test_two_subjects_folders_swapped(cohort: Cohort) -> None:
    """Each record says whose it is."""
    (cohort.out / FIRST).rename(cohort.out / "x")
    (cohort.out / TABLE).rename(cohort.out / FIRST)
    (cohort.out / "x").rename(cohort.out / TABLE)
    text = named(cohort)
    assert f"is the record of '{FIRST}', whose folder has another name" in text


def test_records_and_receipts_edited_under_the_seal_then_opened(cohort: Cohort) -> None:
    """The manifest was written anew, so that it fits: opening holds the records against the trail as well."""
    lock_output(cohort.out, with_open=True)
    record = cohort.record(FIRST)
    record["status"] = "assigned"
    data = (json.dumps(record, indent=1) + "\n").encode()
    (cohort.out / FIRST / "case.json").write_bytes(data)
    edit(cohort.out / FIRST / ".receipt.json", record_sha256=hashlib.sha256(data).hexdigest())
    write_manifest(cohort.out)
    unlock_output(cohort.out, by="x", reason="y")
    run_again(cohort)
    assert any(
        "not as it was sealed: */case.json" in fault for fault in check_output_trail(cohort.out).faults
    )


def test_a_manifest_that_is_none_any_more(cohort: Cohort) -> None:
    """It says that the output is sealed all the same; opening it remembers."""
    lock_output(cohort.out, with_open=True)
    (cohort.out / "SHA256SUMS").write_bytes(b"\xff\x00nothing\n")
    (cohort.out / "nowhere").symlink_to(cohort.out / "never was")
    text = named(cohort)
    assert "SHA256SUMS is not as it was sealed" in text
    assert "nowhere is a link" in text
    with pytest.raises(UsageError, match="has been sealed"):
        run_again(cohort)
    unlock_output(cohort.out, by="x", reason="y")
    assert any("not as it was sealed: SHA256SUMS" in fault for fault in check_output_trail(cohort.out).faults)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["lesions", "{case}", "-o", "{out}/lesions_of_S01.csv"], id="lesions"),
        pytest.param(["init", "{inputs}", "-o", "{out}/study.toml"], id="init"),
        pytest.param(["case", "{case}", "-o", "{out}/more"], id="case"),
        pytest.param(["report", "{case}", "-o", "{out}/reports"], id="report"),
        pytest.param(["report", "{out}", "-o", "{out}"], id="report-beside"),
        pytest.param(["export", "{dicom}", "-o", "{out}/dicom"], id="export"),
        pytest.param(["export", "{out}", "--redcap", "{out}/redcap"], id="redcap"),
        pytest.param(["merge", "{out}", "-o", "{out}/merged"], id="merge"),
        pytest.param(["batch", "{inputs}", "-o", "{out}/inside"], id="batch"),
        pytest.param(["compare", "{out}", "{out}", "-o", "{out}/agreement"], id="compare"),
    ],
)
def test_no_command_writes_into_a_sealed_output(
    cohort: Cohort, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither beside its files nor into a folder of it."""
    monkeypatch.chdir(cohort.inputs)
    lock_output(cohort.out, with_open=True)
    before = sorted(cohort.out.rglob("*"))
    dicom = SAMPLES / "S15_dicom"
    places = {"out": cohort.out, "inputs": cohort.inputs, "case": cohort.inputs / FIRST, "dicom": dicom}
    result = CliRunner().invoke(cli, [part.format(**places) for part in command])
    assert result.exit_code != 0
    assert "sealed" in result.output
    assert sorted(cohort.out.rglob("*")) == before


def test_a_single_record_is_not_written_among_those_of_a_run(cohort: Cohort) -> None:
    """The trail would know nothing of it, sealed or not."""
    before = (cohort.out / FIRST / "case.json").read_bytes()
    mark(cohort, "unresectable")
    result = CliRunner().invoke(cli, ["case", str(cohort.inputs / FIRST), "-o", str(cohort.out)])
    assert result.exit_code == 2
    assert "holds the results of a run" in result.output
    assert (cohort.out / FIRST / "case.json").read_bytes() == before


@pytest.mark.parametrize("command", [["case"], ["inspect"], ["lesions"], ["batch", "-o", "elsewhere"]])
def test_results_given_for_a_case_are_named_as_results(
    cohort: Cohort, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with a list of what lies in them."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [command[0], str(cohort.out), *command[1:]])
    assert result.exit_code in {1, 2}
    assert "holds results that volstrat wrote" in " ".join(result.output.split())
