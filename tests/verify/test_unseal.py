"""A sealed output stays sealed, whatever is taken away from it; opening it is said ever after."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort
from volstrat.errors import UsageError, VolstratError
from volstrat.verify import check_output_trail, lock_output, unlock_output, verify_output

if TYPE_CHECKING:
    from pathlib import Path

    from tests.verify.conftest import Cohort

EVIDENCE = ("SHA256SUMS", ".volstrat", "run.json", "audit.jsonl")
TAKEN = [taken for n in (1, 2, 3) for taken in combinations(EVIDENCE, n)]


def take_away(out: Path, names: tuple[str, ...]) -> None:
    """Remove what says that an output is sealed."""
    for name in names:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def change_a_mark(cohort: Cohort) -> None:
    """Mark the one resectable lesion otherwise, so that a run would give another stratum."""
    table = cohort.inputs / "S01_stratum_1" / "lesions.csv"
    table.write_text("lesion_id,resectability\nL1,unresectable\n")


def run_again(cohort: Cohort, *, fresh: bool = False) -> None:
    """Run the batch into the same output."""
    run_cohort(cohort.inputs, cohort.out, load_protocol(cohort.protocol), workers=1, fresh=fresh)


@pytest.mark.parametrize("taken", [(), *TAKEN], ids=lambda names: "+".join(names) or "nothing")
def test_nothing_is_written_into_it_whatever_was_taken_away(cohort: Cohort, taken: tuple[str, ...]) -> None:
    """Each of the four says so by itself; the record stays as it was sealed."""
    lock_output(cohort.out, with_open=True)
    before = (cohort.out / "S01_stratum_1" / "case.json").read_bytes()
    take_away(cohort.out, taken)
    change_a_mark(cohort)
    for fresh in (False, True):
        with pytest.raises(UsageError, match="sealed"):
            run_again(cohort, fresh=fresh)
    with pytest.raises(VolstratError):
        lock_output(cohort.out, with_open=True)
    assert (cohort.out / "S01_stratum_1" / "case.json").read_bytes() == before


@pytest.mark.parametrize("taken", TAKEN, ids="+".join)
def test_what_was_taken_away_is_named(cohort: Cohort, taken: tuple[str, ...]) -> None:
    """`verify` and `audit check` are not clean."""
    lock_output(cohort.out, with_open=True)
    take_away(cohort.out, taken)
    assert not verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean
    if not {"run.json", "audit.jsonl"} <= set(taken):
        assert check_output_trail(cohort.out).faults


def test_records_without_run_and_trail_are_no_place_to_write(cohort: Cohort) -> None:
    """All four taken away: the records are there, and whether they were sealed cannot be known."""
    lock_output(cohort.out, with_open=True)
    take_away(cohort.out, EVIDENCE)
    with pytest.raises(UsageError, match="it may have been sealed"):
        run_again(cohort)


def test_an_entry_written_under_the_seal_is_a_fault_for_ever(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that does not look at the seal leaves entries behind; opening later heals nothing."""
    lock_output(cohort.out, with_open=True)
    change_a_mark(cohort)
    with monkeypatch.context() as patch:
        patch.setattr("volstrat.cohort.cohort_run.refuse_sealed", lambda _: None)
        run_again(cohort)
    assert any(
        "was written while the output was sealed" in fault for fault in check_output_trail(cohort.out).faults
    )
    unlock_output(cohort.out, by="core lab", reason="to see what happened")
    run_again(cohort)
    assert any(
        "was written while the output was sealed" in fault for fault in check_output_trail(cohort.out).faults
    )
    assert not verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean


def test_opening_is_said_ever_after_and_is_no_fault(cohort: Cohort) -> None:
    """Who, when and why, before and after sealing again; the old manifest is kept."""
    lock_output(cohort.out, with_open=True)
    manifest = (cohort.out / "SHA256SUMS").read_bytes()
    unlock_output(cohort.out, by="A. Lindqvist", reason="S01 was read by the wrong protocol")
    assert not (cohort.out / "SHA256SUMS").exists()
    (kept,) = (cohort.out / ".volstrat" / "history").glob("SHA256SUMS.*")
    assert kept.read_bytes() == manifest
    run_again(cohort)
    for again in (False, True):
        if again:
            lock_output(cohort.out, with_open=True)
        state = check_output_trail(cohort.out)
        assert state.faults == ()
        (opening,) = state.openings
        assert "by A. Lindqvist: S01 was read by the wrong protocol" in opening
        assert verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("who", " ")])
def test_opening_needs_who_and_why(cohort: Cohort, by: str, reason: str) -> None:
    """And something to open."""
    with pytest.raises(UsageError, match="not sealed"):
        unlock_output(cohort.out, by="who", reason="why")
    lock_output(cohort.out, with_open=True)
    with pytest.raises(UsageError, match="needs who opens it and why"):
        unlock_output(cohort.out, by=by, reason=reason)
    assert (cohort.out / "SHA256SUMS").is_file()


def test_what_was_altered_under_the_seal_stays_a_fault_after_opening(cohort: Cohort) -> None:
    """Opening an altered output and sealing it again does not make it whole."""
    lock_output(cohort.out, with_open=True)
    path = cohort.out / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "subjects": 4}))
    unlock_output(cohort.out, by="x", reason="y")
    assert any("summary.json" in fault for fault in check_output_trail(cohort.out).faults)


def test_subjects_that_are_not_settled_are_sealed_in_on_purpose_only(cohort: Cohort) -> None:
    """A failed subject is named; with_open seals it in, and the trail says which."""
    with pytest.raises(UsageError, match=r"failed: S14_broken_file"):
        lock_output(cohort.out)
    lock_output(cohort.out, with_open=True)
    (entry,) = [json.loads(line) for line in cohort.entries() if b'"event": "locked"' in line]
    assert entry["detail"]["open"]["failed"] == ["S14_broken_file"]


def sign(out: Path, key: Path) -> None:
    """Make a key and sign the manifest with it, as the docs say."""
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        pytest.skip("no ssh-keygen on this machine")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    subprocess.run([keygen, "-q", "-Y", "sign", "-n", "volstrat", "-f", key, out / "SHA256SUMS"], check=True)


def test_a_signature_is_checked_and_says_whose_it_is(cohort: Cohort, tmp_path: Path) -> None:
    """Fits without signers, with the right ones, and not with others' or after a change."""
    lock_output(cohort.out, with_open=True)

    def verified(signers: Path | None = None) -> tuple[bool, str]:
        result = verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True, signers=signers)
        assert result.signature is not None
        return result.clean, result.signature.sentence

    assert verified() == (True, "No signature.")
    sign(cohort.out, tmp_path / "key")
    assert verified() == (True, "Signed; by whom is not checked (--signers FILE).")
    signers = tmp_path / "signers"
    public = (tmp_path / "key.pub").read_text()
    signers.write_text(f'core-lab namespaces="volstrat" {public}')
    assert verified(signers) == (True, "Signed by core-lab.")
    signers.write_text(f'core-lab namespaces="another" {public}')
    assert verified(signers)[0] is False
    manifest = cohort.out / "SHA256SUMS"
    manifest.write_bytes(manifest.read_bytes() + b"0" * 64 + b"  x\n")
    clean, sentence = verified()
    assert not clean
    assert "does not fit" in sentence
    with pytest.raises(UsageError, match="no such file of signers"):
        verified(tmp_path / "nobody")
