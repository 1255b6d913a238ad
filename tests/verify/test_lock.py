"""Sealing an output: a manifest that common tools read, and nothing written afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort
from volstrat.errors import CaseError, UsageError
from volstrat.store.seal import check_manifest, write_manifest
from volstrat.verify import check_output_trail, lock_output, verify_output

if TYPE_CHECKING:
    from tests.verify.conftest import Cohort

PROGRAM = Path(sys.executable).parent / "volstrat"
needs_sha256sum = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def checked(out: Path) -> subprocess.CompletedProcess[str]:
    """Check a manifest with coreutils."""
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=out, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@needs_sha256sum
def test_a_sealed_output_is_checked_by_sha256sum(cohort: Cohort) -> None:
    """Every file but the manifest, hidden receipts included; one changed byte is told by both."""
    files = lock_output(cohort.out, with_open=True)
    assert files == len((cohort.out / "SHA256SUMS").read_text().splitlines())
    assert checked(cohort.out).returncode == 0
    assert verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean
    page = cohort.out / "index.html"
    page.write_bytes(page.read_bytes() + b" ")
    assert "index.html: FAILED" in checked(cohort.out).stdout
    assert check_manifest(cohort.out)[0][:2] == ("index.html", "altered")
    assert not verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean


@needs_sha256sum
def test_names_with_line_breaks_and_backslashes_are_escaped_as_sha256sum_does(tmp_path: Path) -> None:
    """A name can hold anything but a slash."""
    for name in ("plain", "with space", "back\\slash", "line\nbreak", "åäö", "\\n"):
        (tmp_path / name).write_text(name)
    assert write_manifest(tmp_path) == 6
    assert checked(tmp_path).returncode == 0
    assert check_manifest(tmp_path) == []
    (tmp_path / "line\nbreak").unlink()
    (tmp_path / "more").write_text("x")
    assert [fault[:2] for fault in check_manifest(tmp_path)] == [
        ("line\nbreak", "missing"),
        ("more", "extra"),
    ]


@needs_ssh
def test_a_manifest_can_be_signed_and_the_signature_lies_outside_it(cohort: Cohort, tmp_path: Path) -> None:
    """`ssh-keygen -Y sign` writes beside it; a verifier needs the public key alone."""
    lock_output(cohort.out, with_open=True)
    manifest, key = cohort.out / "SHA256SUMS", tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=60)
    sign: list[str | Path] = ["ssh-keygen", "-q", "-Y", "sign", "-n", "volstrat", "-f", key, manifest]
    subprocess.run(sign, check=True, timeout=60, capture_output=True)
    signers = tmp_path / "signers"
    signers.write_text(f"core-lab {key.with_suffix('.pub').read_text()}")
    prove: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        signers,
        "-I",
        "core-lab",
        "-n",
        "volstrat",
        "-s",
        f"{manifest}.sig",
    ]
    with manifest.open("rb") as stream:
        assert (
            subprocess.run(prove, stdin=stream, check=False, timeout=60, capture_output=True).returncode == 0
        )
    assert check_manifest(cohort.out) == []
    assert verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean


def test_nothing_is_written_into_a_sealed_output(cohort: Cohort) -> None:
    """No batch, no entry by verifying, no second seal."""
    lock_output(cohort.out, with_open=True)
    before = {p: p.read_bytes() for p in cohort.out.rglob("*") if p.is_file() and ".volstrat" not in p.parts}
    with pytest.raises(UsageError, match="has been sealed"):
        run_cohort(cohort.inputs, cohort.out, load_protocol(None), workers=1)
    result = verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True)
    assert (result.sealed, result.noted, result.clean) == (True, False, True)
    with pytest.raises(UsageError, match="sealed already, and is unchanged"):
        lock_output(cohort.out, with_open=True)
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize(
    "command",
    ["batch IN -o OUT", "case IN/CASE -o OUT", "report IN/CASE -o OUT", "compare OUT IN -o OUT/more"],
)
def test_no_command_writes_into_a_sealed_output(cohort: Cohort, command: str) -> None:
    """Not into a folder in it either; each says so and exits with 2."""
    lock_output(cohort.out, with_open=True)
    words = {"IN": str(cohort.inputs), "OUT": str(cohort.out), "CASE": "S01_stratum_1"}
    for word, path in words.items():
        command = command.replace(word, path)
    program = Path(sys.executable).parent / "volstrat"
    done = subprocess.run([program, *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has been sealed with volstrat lock" in done.stderr
    assert check_manifest(cohort.out) == []


def test_a_seal_that_was_removed_is_missed(cohort: Cohort) -> None:
    """The trail, run.json and the state folder each say that there was one; it is not sealed again unseen."""
    lock_output(cohort.out, with_open=True)
    (cohort.out / "SHA256SUMS").unlink()
    result = verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True)
    assert [(fault.path, fault.kind) for fault in result.files] == [("SHA256SUMS", "missing")]
    with pytest.raises(CaseError, match="sealed already"):
        lock_output(cohort.out, with_open=True)
    assert not verify_output(cohort.out, inputs=cohort.inputs, only_hashes=True).clean


def test_sealing_is_the_trails_last_entry(cohort: Cohort) -> None:
    """The manifest covers the entry that tells of it."""
    lock_output(cohort.out, with_open=True)
    assert b'"event": "locked"' in cohort.entries()[-1]
    assert check_output_trail(cohort.out).faults == ()


def test_a_sealed_output_that_was_changed_is_not_sealed_again(cohort: Cohort) -> None:
    """A second manifest would cover up what happened."""
    lock_output(cohort.out, with_open=True)
    (cohort.out / "more.txt").write_text("x")
    with pytest.raises(CaseError, match=r"more\.txt is extra"):
        lock_output(cohort.out, with_open=True)


@pytest.mark.parametrize("name", ["cohort.csv", "S01_stratum_1/case.json", "audit.jsonl"])
def test_faults_are_not_sealed_in(cohort: Cohort, name: str) -> None:
    """What is not as the run left it is named instead."""
    path = cohort.out / name
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CaseError, match="cannot be sealed"):
        lock_output(cohort.out, with_open=True)
    assert not (cohort.out / "SHA256SUMS").exists()


def test_an_unfinished_or_missing_run_is_not_sealed(cohort: Cohort, tmp_path: Path) -> None:
    """There must be something to seal."""
    with pytest.raises(UsageError, match="holds no run"):
        lock_output(tmp_path, with_open=True)
    run = cohort.out / "run.json"
    run.write_text(run.read_text().replace('"finished_at": "', '"finished_at": null, "then": "'))
    with pytest.raises(UsageError, match="has not come to its end"):
        lock_output(cohort.out, with_open=True)


def test_the_command_says_how_to_sign(cohort: Cohort) -> None:
    """Exit 0 with the command; 2 the second time."""
    for code, told in ((0, "ssh-keygen -Y sign"), (2, "sealed already")):
        done = subprocess.run(
            [PROGRAM, "lock", "--with-open", cohort.out],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code
        assert told in done.stdout + done.stderr
