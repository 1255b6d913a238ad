"""Names from files on a person's terminal."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "S01_stratum_1"
NAME = "a\x1b[31mred\nline"


def on_a_terminal(*arguments: str | Path) -> str:
    """Run volstrat with its output on a terminal and return what arrives there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "volstrat", *map(str, arguments)], stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how a terminal ends
            break
        if not piece:
            break
        told += piece
    os.close(ours)
    process.wait(timeout=60)
    return told.decode()


@pytest.mark.parametrize(
    "command",
    [
        "case",
        "inspect",
        "report",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("batch", "compare")),
    ],
)
def test_a_subject_s_name_steers_no_terminal(command: str, tmp_path: Path) -> None:
    """A folder named with a colour code and a line break: neither arrives."""
    root, out = tmp_path / "root", tmp_path / "out"
    folder = Path(shutil.copytree(SAMPLE, root / NAME))
    arguments: dict[str, list[str | Path]] = {
        "case": [folder],
        "inspect": [folder],
        "batch": [root, "-o", out, "--workers", "1"],
        "compare": [folder, folder, "-o", out],
        "report": [folder, "-o", out],
    }
    told = on_a_terminal(command, *arguments[command])
    assert "red" in told or command == "batch"
    assert "\x1b[31m" not in told
    assert "red\r\nline" not in told
