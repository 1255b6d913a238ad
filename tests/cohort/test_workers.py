"""Worker processes: what a subject does to its worker harms no other subject."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import resource_tracker, spawn
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pebble import ProcessPool

from make_cohort import make_cohort
from tests.cohort.cohorts import die_once, misbehave, results, rows, statuses
from volstrat.case.discovery import CasePlace
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import Limits, pool
from volstrat.cohort.pool import LocalRunner, _exit_words, default_workers
from volstrat.cohort.tasks import Task, WorkerContext
from volstrat.errors import WorkerLostError
from volstrat.store.system import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]

PROGRAM = Path(sys.executable).parent / "volstrat"


def test_subjects_that_crash_sleep_or_eat_memory(
    cohort: Path, tmp_path: Path, run: Run, run_apart: Run
) -> None:
    """Each is one failed row with its reason; every other subject is as it would be without them."""
    out = tmp_path / "out"
    limits = Limits(seconds=6, memory_bytes=2**30)  # generous: other tests run beside this one
    result = run_apart(cohort, out, workers=2, assess=misbehave, limits=limits)
    failed = {
        row["subject"]: (row["error.code"], row["error.message"]) for row in rows(out) if row["error.code"]
    }
    assert failed == {
        "S00002": ("worker_lost", "The process that read it ended twice without a word (SIGSEGV)."),
        "S00004": ("time_limit", "It took longer than the limit of 0.1 minutes, alone too."),
        "S00005": ("memory_limit", "It needs more memory than the limit of 1 GiB, alone too."),
        "S00007": (
            "worker_lost",
            "The process that read it ended twice without a word (SIGKILL, often for want of memory).",
        ),
    }
    assert result.counts["failed"] == 4
    run(cohort, tmp_path / "well")
    for subject in ("S00001", "S00003", "S00006", "S00008"):
        record = f"{subject}/case.json"
        assert results(out)[record] == results(tmp_path / "well")[record]


def test_a_subject_that_is_lost_once_is_done_on_the_second_try(
    cohort: Path, tmp_path: Path, run: Run, run_apart: Run
) -> None:
    """Alone, when all others are done; nothing of it shows in the results."""
    out = tmp_path / "out"
    case = cohort / "site0000" / "S00006"
    for n in range(1, 9):
        (cohort / "site0000" / f"S0000{n}" / "died-here").touch()
    (case / "died-here").unlink()
    assert run_apart(cohort, out, workers=2, assess=die_once).counts["failed"] == 0
    run(cohort, tmp_path / "well")
    assert results(out) == results(tmp_path / "well")


def test_one_and_several_workers_give_the_same_bytes(cohort: Path, tmp_path: Path, run_apart: Run) -> None:
    """Tables, page and records."""
    run_apart(cohort, tmp_path / "one", workers=1)
    run_apart(cohort, tmp_path / "three", workers=3)
    assert results(tmp_path / "one") == results(tmp_path / "three")


def worker_ids(parent: int) -> set[int]:
    """Return the ids of a process's children that do subjects."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text().rsplit(")", 1)[1].split()
            if int(stat[1]) == parent and b"spawn_main" in (path / "cmdline").read_bytes():
                found.add(int(path.name))
        except (OSError, IndexError):
            continue
    return found


def alive(process: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet fetched does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_and_resumed(tmp_path: Path, run: Run) -> None:
    """SIGKILL of the parent: no process stays, no finished subject is lost, and the tables come out the same.

    While a run goes on, a second one into the same folder is refused.
    """
    make_cohort(tmp_path / "in", 60)
    out = tmp_path / "out"
    command: list[str | Path] = [PROGRAM, "batch", tmp_path / "in", "-o", out, "--workers", "2"]
    done = 0
    for wanted in (1, 20, 40):
        batch = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_for(lambda: len(list(out.glob("*/.receipt.json"))) > wanted)  # noqa: B023
        if wanted == 1:
            batch.send_signal(signal.SIGSTOP)  # so that it does not come to its end meanwhile
            second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert second.returncode == 2
            assert f"another run is going on in this folder (process {batch.pid} on" in second.stderr
        workers = worker_ids(batch.pid)
        batch.kill()
        batch.wait()
        assert workers
        assert wait_for(lambda: not any(map(alive, workers)), 5)  # noqa: B023
        assert not (out / "cohort.csv").exists()
        done = len(list(out.glob("*/.receipt.json")))
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert resumed.returncode == 3, resumed.stderr
    assert f"60 subjects ({done} unchanged since an earlier run)" in resumed.stdout
    assert not list(out.rglob("*.part"))
    run(tmp_path / "in", tmp_path / "well")
    assert results(out) == results(tmp_path / "well")
    assert json.loads((out / "run.json").read_bytes())["audit"]["length"] == 5  # four starts, one end


@pytest.fixture
def no_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have worker processes started with a program that ends at once, before it takes a subject."""
    resource_tracker.ensure_running()  # it is started by the same program
    monkeypatch.setattr(pool, "_LONGEST_START_SECONDS", 2.0)
    own = spawn.get_executable()
    spawn.set_executable("/bin/false")
    yield
    spawn.set_executable(own)


@pytest.mark.usefixtures("no_python")
@pytest.mark.parametrize("subjects", [1, 8])
def test_workers_that_never_start_end_the_run_with_a_sentence(
    subjects: int, tmp_path: Path, run_apart: Run
) -> None:
    """No waiting for ever, and no subject that failed, however few there are.

    Whether the program's end is seen before or after its first task was sent to it decides which sentence
    it is: both say that no process would start.
    """
    make_cohort(tmp_path / "in", subjects)
    sentences = "No worker process would start in 2 seconds|Worker processes end before they do anything"
    with pytest.raises(WorkerLostError, match=sentences):
        run_apart(tmp_path / "in", tmp_path / "out", workers=2)
    assert not (tmp_path / "out" / "cohort.csv").exists()
    assert not list((tmp_path / "out").glob("*/case.json"))


@pytest.mark.usefixtures("no_python")
@pytest.mark.parametrize(
    "error", [OSError(12, "Cannot allocate memory"), RuntimeError("can't start new thread")]
)
def test_a_pool_that_cannot_be_made_is_no_subject_that_failed(
    error: Exception, cohort: Path, tmp_path: Path, run_apart: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process or thread can be had: tried five times, then one sentence, whatever number of subjects."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pebble.ProcessPool.schedule", refuse)
    with pytest.raises(
        WorkerLostError, match=r"do anything \(5 in a row; the system says: .*(memory|thread)"
    ):
        run_apart(cohort, tmp_path / "out", workers=2)
    assert not list((tmp_path / "out").glob("*/case.json"))


def test_starts_in_vain_are_no_losses_of_a_subject(
    tmp_path: Path, run: Run, run_apart: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four starts fail, the fifth works: every subject is done as if nothing had been."""
    make_cohort(tmp_path / "in", 2)
    schedule = ProcessPool.schedule
    refused = iter(range(4))

    def refuse(own: ProcessPool, *args: Any, **options: Any) -> object:  # noqa: ANN401
        if next(refused, None) is not None:
            raise OSError(11, "Resource temporarily unavailable")
        return schedule(own, *args, **options)

    monkeypatch.setattr(ProcessPool, "schedule", refuse)
    run_apart(tmp_path / "in", tmp_path / "out", workers=1)
    assert next(refused, None) is None
    run(tmp_path / "in", tmp_path / "well")
    assert results(tmp_path / "out") == results(tmp_path / "well")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_that_is_killed_between_two_subjects_costs_none(cohort: Path, tmp_path: Path) -> None:
    """The next subject gets a new process, at the latest on its second try."""
    context = WorkerContext(protocol=load_protocol(), lesions=None, fresh=True)
    folders = [cohort / "site0000" / f"S0000{n}" for n in (1, 2)]
    tasks = [
        Task(
            location=folder.name,
            case=CasePlace(folder=folder, subject=folder.name),
            target=tmp_path / folder.name,
        )
        for folder in folders
    ]

    def take(_: float) -> Task | None:
        for worker in worker_ids(os.getpid()):
            os.kill(worker, signal.SIGKILL)
        return tasks.pop() if tasks else None

    runner = LocalRunner(context, workers=1, limits=Limits())
    done = [receipt for receipt in runner.receipts(take, lambda: not tasks) if receipt is not None]
    assert sorted((receipt.subject, receipt.status) for receipt in done) == [
        ("S00001", "assigned"),
        ("S00002", "assigned"),
    ]


def test_what_a_process_says_by_ending() -> None:
    """Signals by name, codes as they are."""
    assert _exit_words(-11) == " (SIGSEGV)"
    assert _exit_words(-250) == " (signal 250)"
    assert _exit_words(3) == " (exit code 3)"
    assert _exit_words(None) == ""


def test_the_machine_is_counted() -> None:
    """At least one processor and some memory; no more than there are."""
    assert default_workers() >= 1
    assert 2**26 < (memory_bytes() or 0) < 2**46


def test_statuses_are_what_the_table_says(cohort: Path, tmp_path: Path, run: Run) -> None:
    """The counts that decide the exit code are those of the rows."""
    counts = run(cohort, tmp_path / "out").counts
    found = list(statuses(tmp_path / "out").values())
    assert counts == {status: found.count(status) for status in counts}
