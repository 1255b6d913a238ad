"""A cohort on a dask scheduler: the same files, whatever happens to its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from make_cohort import make_cohort
from tests.cohort.cohorts import results, segfault, slowly
from volstrat.cohort import Limits, cluster
from volstrat.errors import UsageError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volstrat.cohort import CohortResult, Progress

    Run = Callable[..., CohortResult]

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers on loopback; give its address and the workers."""
    with cluster_of(tmp_path, ROOT, ROOT) as both:
        yield both


@contextmanager
def cluster_of(tmp_path: Path, *sources: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler, and a worker for each place that volstrat is to be imported from."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, source: Path = ROOT) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"dask{len(started)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            cwd=source, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT / 'scripts'}"},
        )  # fmt: skip
        log.close()
        started.append(process)
        return process

    told = tmp_path / "scheduler.json"
    start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told))
    try:
        end = time.monotonic() + 60
        while not told.exists() or not told.read_text().strip().endswith("}"):
            assert time.monotonic() < end, (tmp_path / "dask0.log").read_text()
            time.sleep(0.1)
        from json import loads

        address = str(loads(told.read_text())["address"])
        both = [
            start("worker", address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1",
                  "--local-directory", str(tmp_path / f"local{n}"), source=source)
            for n, source in enumerate(sources)
        ]  # fmt: skip
        yield address, both
    finally:
        for process in started[::-1]:
            process.kill()
            process.wait()


def test_a_worker_killed_mid_run_changes_nothing(
    tmp_path: Path,
    run: Run,
    run_apart: Run,
    workers: tuple[str, list[subprocess.Popen[bytes]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it had is done by the other one; records, tables and page are those of one machine.

    Then a subject that crashes: one failed row, and the cluster's worker lives on.
    """
    address, both = workers
    make_cohort(tmp_path / "in", 16)
    out = tmp_path / "out"
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and len(list(out.glob("*/case.json"))) > 3 and not progress.writing:
            both[0].kill()
            killed.append(progress.done)

    monkeypatch.setattr(cluster, "ClusterRunner", partial(cluster.ClusterRunner, chunk=4))
    result = run_apart(tmp_path / "in", out, scheduler=address, assess=slowly, on_progress=kill_one)
    assert killed
    assert killed[0] < 16
    assert result.subjects == 16
    run(tmp_path / "in", tmp_path / "well")
    assert results(out) == results(tmp_path / "well")
    assert run_apart(tmp_path / "in", out, scheduler=address).skipped == 16

    make_cohort(tmp_path / "in3", 3)
    result = run_apart(tmp_path / "in3", tmp_path / "bad", scheduler=address, assess=segfault)
    assert [subject for subject, _ in result.failures] == ["S00003"]
    assert both[1].poll() is None


class _Lost:
    """A future as dask gives it for a chunk whose worker was lost for good."""

    status = "error"

    def exception(self) -> Exception:
        """Return why."""
        return RuntimeError("KilledWorker")


def test_a_chunk_that_is_lost_is_halved_and_at_last_fails_alone(tmp_path: Path, cohort: Path) -> None:
    """Poison does not take its neighbours with it: the chunk parts until one subject is alone, thrice."""
    from volstrat.case.protocol_files import load_protocol
    from volstrat.cohort.source import find_cases
    from volstrat.cohort.tasks import Task, WorkerContext

    tasks = tuple(
        Task(location=c.location, case=c.case, target=tmp_path / "out" / c.subject)
        for c in find_cases(cohort, tmp_path / "out", shard=None)
    )
    runner: Any = cluster.ClusterRunner(
        WorkerContext(protocol=load_protocol()), scheduler="tcp://nowhere", limits=Limits()
    )
    again = [(tasks, 0)]
    failed, sent = [], 0
    while again:
        chunk, tries = again.pop()
        sent += 1
        failed += list(runner._answered(cluster._Sent(tasks=chunk, tries=tries, future=_Lost()), again))
    assert sorted(receipt.subject for receipt in failed) == [task.subject for task in tasks]
    assert {receipt.status for receipt in failed} == {"failed"}
    assert sent == 7 + 8 * 3  # 8 -> 4+4 -> 2+2+2+2, then each of eight alone three times


def test_no_scheduler_is_said(
    cohort: Path, tmp_path: Path, run_apart: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address at which nobody answers."""
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with pytest.raises(UsageError, match="no dask scheduler answers there"):
        run_apart(cohort, tmp_path / "out", scheduler="tcp://127.0.0.1:9")


def test_a_worker_of_another_version_is_refused_before_it_writes(
    cohort: Path, tmp_path: Path, run_apart: Run
) -> None:
    """One sentence with both versions; no record is there that another version wrote."""
    (tmp_path / "old" / "volstrat").mkdir(parents=True)
    (tmp_path / "old" / "volstrat" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    with cluster_of(tmp_path, tmp_path / "old") as (address, _):
        wait_for_workers(address, 1)
        with pytest.raises(UsageError, match=r"has volstrat 0\.1\.0; this is ") as caught:
            run_apart(cohort, tmp_path / "out", scheduler=address)
    assert "same version everywhere" in caught.value.hint
    assert list((tmp_path / "out").glob("*/case.json")) == []


def wait_for_workers(address: str, count: int) -> None:
    """Wait until so many workers are known to the scheduler."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_scheduler_that_refuses_while_it_is_asked_is_gone(
    tmp_path: Path, run_apart: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What dask raises then is a plain OSError, of which a refused connection is the cause."""

    class Client:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            try:
                raise ConnectionRefusedError
            except ConnectionRefusedError as error:
                msg = "Timed out trying to connect to tcp://127.0.0.1:8786 after 20 s"
                raise OSError(msg) from error

        def close(self) -> None: ...

    monkeypatch.setattr(cluster.ClusterRunner, "_connect", lambda _: Client())
    make_cohort(tmp_path / "in", 1)
    with pytest.raises(WorkerLostError, match="8786: the scheduler is gone"):
        run_apart(tmp_path / "in", tmp_path / "out", scheduler="tcp://127.0.0.1:8786")


def test_a_scheduler_that_is_killed_ends_the_run_with_a_sentence(
    tmp_path: Path, run: Run, run_apart: Run, workers: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    """What was done is kept; the same command on this machine goes on from there."""
    address, both = workers
    scheduler = int(address.rpartition(":")[2])
    make_cohort(tmp_path / "in", 24)
    out = tmp_path / "out"

    def kill(progress: Progress) -> None:
        if len(list(out.glob("*/case.json"))) > 3 and not progress.writing:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    words = path.read_bytes().split(b"\0")
                    if str(tmp_path / "scheduler.json").encode() in words:
                        os.kill(int(path.parent.name), signal.SIGKILL)

    with pytest.raises(WorkerLostError, match=f"{scheduler}: the scheduler is gone"):
        run_apart(tmp_path / "in", out, scheduler=address, assess=slowly, on_progress=kill)
    for worker in both:  # which would go on with what they have
        worker.kill()
        worker.wait()
    assert run(tmp_path / "in", out).skipped > 3
