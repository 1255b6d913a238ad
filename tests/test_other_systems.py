"""volstrat where Windows is: no POSIX modules, streams of code page 1252, device names, other slashes.

What Windows itself does cannot be seen from here; docs/systems.md says what is tested and what is not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from volstrat.cli.app import cli
from volstrat.store.output import folder_name
from volstrat.store.system import limits_memory, memory_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_data"
HIDDEN = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline", "curses")
HIDE = f"""
import os, signal, sys
for name in {HIDDEN!r}:
    sys.modules[name] = None
for where, names in {{
    os: ("sync", "sysconf", "sched_getaffinity", "pread", "pwrite", "geteuid", "getuid", "fork", "mkfifo"),
    signal: ("pthread_sigmask",),
}}.items():
    for name in names:
        if hasattr(where, name):
            delattr(where, name)
"""
SUBJECT = "Åsa łódź"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a system without POSIX modules: every process hides them as it starts."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONIOENCODING": "cp1252",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two readings, a case of plans and one of DICOM."""
    place = tmp_path_factory.mktemp("place")
    for reading in ("A", "B", "C"):
        shutil.copytree(SAMPLES / "S02_stratum_2", place / reading / SUBJECT)
        second = Path(shutil.copytree(SAMPLES / "S05_exactly_70_percent", place / reading / "NUL"))
        said = (second / "case.toml").read_text(encoding="utf-8")
        named = re.sub("^subject = .*$", 'subject = "NUL"', said, flags=re.MULTILINE)
        (second / "case.toml").write_text(named, encoding="utf-8")
    for name in ("S15_dicom", "S16_three_plans"):
        shutil.copytree(SAMPLES / name, place / name)
    return place


STEPS: tuple[tuple[str, Sequence[int], str], ...] = (
    ("--version", (0,), "volstrat "),
    ("--help", (0,), "Commands:"),
    (f"case|A/{SUBJECT}", (0,), SUBJECT),
    (f"case|A/{SUBJECT}|--json|-o|one", (0,), f'"subject": "{SUBJECT}"'),
    (f"inspect|A/{SUBJECT}", (0,), "tumour"),
    ("suv|S15_dicom", (0,), "SUV"),
    ("protocol|show", (0,), "[thresholds]"),
    ("protocol|schema", (0,), "$schema"),
    (f"lesions|A/{SUBJECT}|-o|table.csv", (0,), ""),
    ("accept|A/NUL|borderline|--by|Åsa|--reason|looked again", (0,), ""),
    ("plan|S16_three_plans", (0, 3), "Plan"),
    ("init|A|-o|study.toml", (0, 3), ""),
    ("batch|A|-o|out|--workers|1", (0, 3), "2 subjects"),
    ("batch|B|-o|k1|--workers|1|--shard|1/2", (0, 3), ""),
    ("batch|B|-o|k2|--workers|1|--shard|2/2", (0, 3), ""),
    ("merge|k1|k2|-o|merged", (0, 3), "2 subjects"),
    ("report|out|-o|reports", (0, 3), ""),
    ("compare|A|B|-o|agreement", (0, 1, 3), "2 subjects"),
    ("adjudicate|agreement|agreement/adjudication.csv|-o|final|--concordant|A", (0, 3), ""),
    ("consensus|A|B|C|-o|consensus", (0,), "2 subjects"),
    ("verify|out", (0,), ""),
    ("audit|show|out", (0,), "batch"),
    ("audit|check|out", (0,), ""),
    ("lock|out|--with-open", (0,), ""),
    ("unlock|out|--by|Åsa|--reason|a test", (0,), ""),
    ("selftest|--json", (0,), ""),
    ("export|S15_dicom|-o|dicom|--seg", (0, 3), ""),
)  # fmt: skip
"""Words of the command, separated by bars; exit codes that fit; what it says."""


def run(words: Sequence[str], place: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run the program as such a system would."""
    command = [sys.executable, "-m", "volstrat", *words]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=120, check=False)


@pytest.mark.slow
def test_every_command_runs_without_posix_and_in_code_page_1252(
    place: Path, elsewhere: dict[str, str]
) -> None:
    """One after another on one tree: the exit code fits, all that is said is UTF-8, no traceback."""
    for words, codes, said in STEPS:
        done = run(words.split("|"), place, elsewhere)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode in codes, (words, done.returncode, out, err)
        assert "Traceback" not in err, words
        assert said in out, (words, out, err)
    assert (place / "one" / SUBJECT / "case.json").is_file()
    assert (place / "out" / "%4EUL" / "case.json").is_file()
    csv = (place / "out" / "cohort.csv").read_text(encoding="utf-8")
    assert SUBJECT in csv


def test_a_review_is_served_without_posix(place: Path, elsewhere: dict[str, str]) -> None:
    """It says its address, and ends when it is told to."""
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "volstrat", "review", f"A/{SUBJECT}", "--no-browser"]
    process = subprocess.Popen(command, cwd=place, env=elsewhere, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        told = process.stderr.readline().decode()
        assert re.search(r"http://127\.0\.0\.1:\d+/", told), told + process.stderr.read().decode()
    finally:
        process.terminate()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


def test_no_command_is_left_out() -> None:
    """A new command takes its place in the run without POSIX."""
    tried = {words.split("|")[0] for words, _, _ in STEPS} | {"review"}
    assert set(cli.list_commands(click.Context(cli))) - tried == set()


def test_where_no_limit_of_memory_is_kept_it_is_said(place: Path, elsewhere: dict[str, str]) -> None:
    """Before the first subject; on Linux, where it is kept, nothing is said."""
    done = run(["batch", "C", "-o", "limits", "--workers", "1"], place, elsewhere)
    assert b"no limit of memory is kept" in done.stderr
    if sys.platform == "linux":
        assert limits_memory()
        assert memory_bytes() is not None


@pytest.mark.parametrize(
    ("subject", "folder"),
    [
        ("CON", "%43ON"),
        ("nul", "%6Eul"),
        ("COM1", "%43OM1"),
        ("lpt9.1", "%6Cpt9.1"),
        ("aux .x", "%61ux .x"),
        ("S1.", "S1%2E"),
        ("S1 ", "S1%20"),
        ("a:b", "a%3Ab"),
        ("a\\b", "a%5Cb"),
        ("COM", "COM"),
        ("CONSTANCE", "CONSTANCE"),
        (SUBJECT, SUBJECT),
    ],
)
def test_no_folder_has_a_name_that_windows_forbids(subject: str, folder: str) -> None:
    """Devices, with an ending or in small letters too; a last dot or space; the letters of paths."""
    assert folder_name(subject) == folder
