"""Closed and full standard streams: one sentence, no traceback, no work lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "S02_stratum_2"
PROGRAM = Path(sys.executable).parent / "volstrat"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def shell(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program in a shell, which closes and redirects streams."""
    done = subprocess.run(
        ["sh", "-c", command, "sh", PROGRAM, *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONDEVMODE": ""},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("to", "why"),
    [(">/dev/full", "No space left on device"), (">&-", "it is closed")],
    ids=["full", "closed"],
)
@pytest.mark.parametrize("arguments", [["case"], ["case", "--json"], ["--version"]], ids=" ".join)
def test_what_cannot_be_shown_is_an_error(arguments: list[str], to: str, why: str) -> None:
    """Exit 1, though the case has a stratum: nobody saw it."""
    case = [SAMPLE] if "case" in arguments else []
    done = shell(f'"$@" {to}', *arguments, *case)
    assert done.returncode == 1
    said = f"volstrat: standard output cannot be written to ({why}); nothing was shown.\n"
    assert done.stderr == said


@pytest.mark.parametrize("to", ["2>/dev/full", "<&- 2>&-"])
def test_what_is_told_on_the_side_ends_no_work(tmp_path: Path, to: str) -> None:
    """A cohort is done and its exit code stands where its progress cannot be written."""
    shutil.copytree(SAMPLE, tmp_path / "in" / "S02")
    done = shell(f'"$@" {to}', "batch", tmp_path / "in", "-o", tmp_path / "out", "--workers", "1")
    assert done.returncode == 0
    assert "1 subject: 1 assigned" in done.stdout
    assert (tmp_path / "out" / "S02" / "case.json").exists()


def test_a_reader_that_is_gone_gets_no_traceback() -> None:
    """`volstrat --version | true`."""
    assert shell('"$@" --version | true').stdout == ""
