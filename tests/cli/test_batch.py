"""``volstrat batch`` and ``merge`` as installed programs: exit codes, what goes where, one clear sentence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from make_cohort import make_cohort
from volstrat.cli.cohort_commands import counts, line, time_left
from volstrat.cohort import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow  # cohorts

PROGRAM = Path(sys.executable).parent / "volstrat"


def volstrat(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Make a cohort of subjects that all have a stratum and nothing to review: numbers 1 to 3."""
    make_cohort(tmp_path / "in", 3)
    return tmp_path / "in"


def test_a_copied_case_is_named(cohort: Path, tmp_path: Path) -> None:
    """A patient who is there twice would be counted twice; it is no failure."""
    shutil.copytree(cohort / "site0000" / "S00002", cohort / "site0000" / "S00002 - Copy")
    for _ in range(2):  # what stands is looked at as well
        done = volstrat("batch", cohort, "-o", tmp_path / "out", "--workers", "1")
        assert (done.returncode, done.stderr.splitlines()) == (
            0,
            [
                "'S00002' and 'S00002 - Copy' hold the same files, byte for byte: one patient, copied? Take "
                "out what is there twice."
            ],
        )


def test_exit_codes(cohort: Path, tmp_path: Path) -> None:
    """0 all well, 3 a person is needed, 1 a case failed (which wins), 2 nothing found or wrong words."""
    out = tmp_path / "out"
    done = volstrat("batch", cohort, "-o", out, "--workers", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "3 subjects: 3 assigned",
        f"{out / 'cohort.csv'}, {out / 'index.html'}",
    ]
    for path in (cohort / "site0000" / "S00002").glob("resectable*"):
        path.unlink()
    assert volstrat("batch", cohort, "-o", out, "--workers", "1").returncode == 3
    (cohort / "bad").mkdir()
    done = volstrat("batch", cohort, "-o", out, "--workers", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("'bad' failed: ")
    assert "(3 unchanged since an earlier run)" in done.stdout
    (tmp_path / "empty").mkdir()
    done = volstrat("batch", tmp_path / "empty", "-o", tmp_path / "out2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no case in it" in done.stderr
    assert not (tmp_path / "out2").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--shard", "3/2"], "There is no shard 3 of 2."),
        (["--shard", "half"], "A shard is k/n"),
        (["--workers", "0"], "--workers"),
        (["--time-limit", "0"], "--time-limit"),
        (["--protocol", "nowhere.toml"], "nowhere.toml: no such file"),
        (["--scheduler", "nonsense"], "is no address of a dask scheduler"),
    ],
)
def test_wrong_words_are_usage(cohort: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """Exit code 2, the reason on stderr, nothing on stdout."""
    done = volstrat("batch", cohort, "-o", tmp_path / "out", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_shards_and_merge(cohort: Path, tmp_path: Path) -> None:
    """As the SLURM example does it."""
    for n in ("1", "2"):
        assert volstrat("batch", cohort, "-o", tmp_path / n, "--shard", f"{n}/2").returncode == 0
    done = volstrat("merge", tmp_path / "1", tmp_path / "2", "-o", tmp_path / "all")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "3 subjects: 3 assigned")
    done = volstrat("merge", tmp_path / "1", "-o", tmp_path / "some")
    assert done.returncode == 2
    assert "shard 2 of 2 is missing" in done.stderr


def test_removed_subjects_are_said(cohort: Path, tmp_path: Path) -> None:
    """On stderr, by name; they are no failure."""
    volstrat("batch", cohort, "-o", tmp_path / "out")
    (cohort / "site0000" / "S00003").rename(tmp_path / "S00003")
    done = volstrat("batch", cohort, "-o", tmp_path / "out")
    assert done.returncode == 0
    assert done.stderr == "1 subject of earlier runs left the tables, being gone: 'S00003'\n"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Make a folder that nobody writes to, not even root."""
    folder = tmp_path / "sealed"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # root: a file system mounted read-only does the same
        folder = Path("/proc/self")
    yield folder
    (tmp_path / "sealed").chmod(0o700)


def test_a_read_only_output_is_one_sentence(cohort: Path, read_only: Path) -> None:
    """Exit code 1 and no traceback."""
    done = volstrat("batch", cohort, "-o", read_only / "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 256 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount program")
    if done.returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_one_sentence(cohort: Path, small_disk: Path) -> None:
    """Wherever it becomes full, nothing half-written has a final name, and with space again it goes on."""
    out, ballast = small_disk / "out", small_disk / "ballast"
    sentences = set()
    for free in (0, 40, 84, 120):
        ballast.unlink(missing_ok=True)
        used = os.statvfs(small_disk)
        ballast.write_bytes(bytes(max(0, used.f_bavail * used.f_frsize - free * 1024)))
        done = volstrat("batch", cohort, "-o", out, "--workers", "1")
        assert done.returncode == 1, (free, done.stdout, done.stderr)
        assert len(done.stderr.splitlines()) == 1
        sentences.add(done.stderr.split("disk", 1)[-1])
        for path in out.rglob("*.json"):
            json.loads(path.read_bytes())
        assert not [path for path in out.rglob("*.part") if path.parent == out]
    ballast.unlink()
    assert volstrat("batch", cohort, "-o", out, "--workers", "1").returncode == 0
    assert len(sentences) > 1


def test_progress_on_a_terminal_is_a_bar(cohort: Path, tmp_path: Path) -> None:
    """Drawn on stderr where that is a terminal; stdout stays as it is."""
    import pty

    parent, child = pty.openpty()
    command: list[str | Path] = [PROGRAM, "batch", cohort, "-o", tmp_path / "out", "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=child, text=True)
    os.close(child)
    drawn = b""
    while True:
        try:
            piece = os.read(parent, 4096)
        except OSError:
            break
        if not piece:
            break
        drawn += piece
    told, _ = process.communicate(timeout=60)
    os.close(parent)
    assert process.returncode == 0
    assert told.startswith("3 subjects: 3 assigned\n")
    assert "3/3" in drawn.decode()
    assert "/s" in drawn.decode()


def test_a_line_of_progress() -> None:
    """How many of how many, rate, time left and counts."""
    progress = Progress(found=400, done=100, counts={"assigned": 90, "failed": 10}, skipped=5)
    assert line(progress, 50.0) == ("100 of 400 found so far; 2 a second; 90 assigned, 10 failed, 5 skipped")
    progress.all_found = True
    assert line(progress, 50.0) == "100 of 400; 2 a second; 2 min left; 90 assigned, 10 failed, 5 skipped"
    assert line(Progress(found=1), 0.0) == "0 of 1 found so far; 0 a second"
    assert counts(Progress()) == ""
    assert time_left(3 * 86400) == "3 d 0 h"


def test_run_json_tells_the_command(cohort: Path, tmp_path: Path) -> None:
    """As it was typed."""
    volstrat("batch", cohort, "-o", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "run.json").read_bytes())
    assert told["command"][1:] == ["batch", str(cohort), "-o", str(tmp_path / "out")]


def test_an_interrupt_while_workers_start_is_one_sentence(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to the workers too, which are importing then: none of them says a word."""
    make_cohort(tmp_path / "in", 60)
    for n, wait in enumerate((0.1, 0.25, 0.4)):
        out = tmp_path / f"out{n}"
        command: list[str | Path] = [PROGRAM, "batch", tmp_path / "in", "-o", out, "--workers", "2"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        end = time.monotonic() + 60
        while not (out / "run.json").exists() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(wait)  # from the run's start to the first receipt is about a second
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert said == "volstrat: stopped. What is done is kept; run the same command again to go on.\n"


def test_an_interrupt_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    """Ctrl-C: no traceback, no worker left; the same command goes on."""
    make_cohort(tmp_path / "in", 60)
    out = tmp_path / "out"
    command: list[str | Path] = [PROGRAM, "batch", tmp_path / "in", "-o", out, "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while len(list(out.glob("*/.receipt.json"))) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told, said = process.communicate(timeout=30)
    assert (process.returncode, told) == (1, "")
    assert said == "volstrat: stopped. What is done is kept; run the same command again to go on.\n"
    done = len(list(out.glob("*/.receipt.json")))
    assert f"({done} unchanged since an earlier run)" in volstrat(*command[1:]).stdout
