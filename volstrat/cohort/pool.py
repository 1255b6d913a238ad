"""Workers on this machine: processes that a subject may kill without harm to any other.

Each worker is a pebble pool of one process, with one subject at a time: workers share nothing that a dying
one could leave locked, and whose death it was is never in doubt.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import wait as wait_for
from typing import TYPE_CHECKING, Any

from volstrat.cohort.worker import do_task, fail_task
from volstrat.errors import MemoryLimitError, OutputError, TimeLimitError, WorkerLostError
from volstrat.store.system import limit_own_memory, memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from volstrat.cohort.tasks import Limits, Receipt, Task, WorkerContext

    TakeTask = Callable[[float], Task | None]
    """Gives the next task, waiting so many seconds at most; None: none yet, or none any more."""

_TURN_SECONDS = 0.2
_MEMORY_SHARE = 0.9
_MEMORY_UNKNOWN = 8 << 30
"""Taken for the machine's where it does not say."""
_MOST_STARTS_IN_VAIN = 5
_LONGEST_START_SECONDS = 120.0
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)

_context: WorkerContext | None = None
"""Set once in each worker process, by `_start_worker`."""


def default_workers() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def die_with_parent(parent: int) -> None:
    """Have this process end when its parent ends, however that happens.

    ``parent`` is the parent's id, as it knows itself: it may have ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    elif (starter := parent_process()) is not None:
        threading.Thread(target=_end_after, args=(starter.sentinel,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _end_after(sentinel: int) -> None:
    """Wait for the parent's end, where no kernel tells of it."""
    wait_for([sentinel])
    os._exit(1)


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Let no process that is started meanwhile ever see Ctrl-C: that is the parent's, which ends them all.

    Where signals cannot be held back, a worker turns a deaf ear to it once it has started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which lets the signal through again when it starts its own process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(context: WorkerContext, memory_bytes: int, parent: int, started: Connection) -> None:
    global _context  # noqa: PLW0603 - a worker process serves one run
    die_with_parent(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once and silently: every write is atomic
    if not hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_own_memory(memory_bytes)
    _context = context
    started.send_bytes(b"started")


def _do_task(task: Task) -> Receipt:
    assert _context is not None, "the worker was started by _start_worker"
    return do_task(task, _context)


class _NeverStartedError(Exception):
    """A process ended before it could take a subject: no subject's doing."""


class _NoProcessError(_NeverStartedError):
    """The system gave no process, no thread or no lock: what it said."""


class _Worker:
    """One worker process and the subject it has."""

    def __init__(self, context: WorkerContext, limits: Limits, memory_bytes: int) -> None:
        self._start = (context, memory_bytes, os.getpid())
        self._seconds = limits.seconds
        self._pool: Any = None
        self._signs: tuple[Connection, Connection] | None = None
        self._task: Task | None = None
        self.future: Future[Receipt] | None = None
        self._given_at = 0.0

    def give(self, task: Task) -> None:
        """Start a subject."""
        self._task = task
        self._given_at = time.monotonic()
        try:
            with _interrupt_held():  # the first subject starts the process
                self._start_pool()
                self.future = self._pool.schedule(_do_task, args=(task,), timeout=self._seconds)
        except (OSError, RuntimeError) as error:  # no process, no thread, no pipe; or it ended while starting
            self.future = Future()
            self.future.set_exception(_NoProcessError(error.__cause__ or error))

    def _start_pool(self) -> None:
        from multiprocessing import get_context

        from pebble import ProcessPool

        if self._pool is not None and not self._pool.active:
            self.stop()  # its process was ended between two subjects
        if self._pool is None:
            spawn = get_context("spawn")
            self._signs = spawn.Pipe(duplex=False)
            start = (*self._start, self._signs[1])
            self._pool = ProcessPool(max_workers=1, initializer=_start_worker, initargs=start, context=spawn)

    @property
    def done(self) -> bool:
        """Whether its subject came to an end, or its pool can do nothing any more."""
        return self.future is not None and (self.future.done() or not self._pool.active)

    @property
    def starts_in_vain(self) -> bool:
        """Whether no process took the subject in all this time: the pool tries for ever."""
        late = time.monotonic() - self._given_at > _LONGEST_START_SECONDS
        return late and self.future is not None and not (self.future.running() or self.future.done())

    def take(self) -> tuple[Task, Receipt | BaseException]:
        """Return the subject that is done, and its receipt or what ended it."""
        task, future = self._task, self.future
        assert task is not None
        assert future is not None
        self._task = self.future = None
        error = future.exception() if future.done() else RuntimeError("its pool broke")
        if error is None:
            return task, future.result()
        started = self._signs is not None and self._signs[0].poll()
        if not started and isinstance(error, OSError | RuntimeError):
            error = _NeverStartedError(str(error))
        self.stop()  # whatever it was, the next subject gets a new process
        return task, error

    def stop(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None
        for end in self._signs or ():
            end.close()
        self._signs = None


class LocalRunner:
    """Does tasks on this machine."""

    def __init__(self, context: WorkerContext, *, workers: int, limits: Limits) -> None:
        self._context = context
        self._limits = limits
        self._workers = workers
        self._vain = 0  # how often in a row a worker process ended before it could take a subject
        self._memory = limits.memory_bytes or int((memory_bytes() or _MEMORY_UNKNOWN) * _MEMORY_SHARE)

    def receipts(self, take: TakeTask, ended: Callable[[], bool]) -> Iterator[Receipt | None]:
        """Yield the receipt of each task as it is done; None now and then, so that the caller has a turn.

        A subject that ends its worker, or goes beyond a limit, is tried once more when all others are done,
        alone and with all of the memory; then it has failed. A record that cannot be written is an
        `OutputError`, workers that end before they do anything at all are a `WorkerLostError`.
        """
        suspects: list[Task] = []
        share = self._limits.memory_bytes or self._memory // self._workers
        for done in self._run(take, ended, workers=self._workers, memory_bytes=share):
            if done is None:
                yield None
            elif isinstance(done[1], BaseException):
                suspects.append(done[0])
            else:
                yield done[1]
        suspects.reverse()

        def again(_: float) -> Task | None:
            return suspects.pop() if suspects else None

        for done in self._run(again, lambda: not suspects, workers=1, memory_bytes=self._memory):
            if done is None:
                yield None
            elif isinstance(done[1], BaseException):
                yield fail_task(done[0], self._reason(done[1]), self._context.protocol)
            else:
                yield done[1]

    def _run(
        self, take: TakeTask, ended: Callable[[], bool], *, workers: int, memory_bytes: int
    ) -> Iterator[tuple[Task, Receipt | BaseException] | None]:
        every = [_Worker(self._context, self._limits, memory_bytes) for _ in range(workers)]
        idle = [*every]
        busy: list[_Worker] = []
        self._vain = 0
        back: list[Task] = []  # of workers that never started: no subject's doing
        try:
            while busy or back or not ended():
                while idle and (back or not ended()):
                    task = back.pop() if back else take(0.0 if busy else _TURN_SECONDS)
                    if task is None:
                        break
                    worker = idle.pop()
                    worker.give(task)
                    busy.append(worker)
                if busy:
                    futures = [w.future for w in busy if w.future is not None]
                    wait(futures, timeout=_TURN_SECONDS, return_when=FIRST_COMPLETED)
                for worker in [w for w in busy if w.done]:
                    busy.remove(worker)
                    idle.append(worker)
                    task, end = worker.take()
                    self._check(end)
                    if isinstance(end, _NeverStartedError):
                        back.append(task)
                    else:
                        yield task, end
                if any(worker.starts_in_vain for worker in busy):
                    msg = f"No worker process would start in {_LONGEST_START_SECONDS:g} seconds."
                    hint = f"Can {sys.executable} be started here by this user? Is there enough memory?"
                    raise WorkerLostError(msg, hint=hint)
                yield None
        finally:
            for worker in every:  # one that Ctrl-C met while it was given a subject is in neither list
                worker.stop()

    def _check(self, end: Receipt | BaseException) -> None:
        """Let what no other subject could escape end the run."""
        if isinstance(end, OutputError):
            raise end
        self._vain = self._vain + 1 if isinstance(end, _NeverStartedError) else 0
        if self._vain >= _MOST_STARTS_IN_VAIN:
            why = f"; the system says: {end}" if isinstance(end, _NoProcessError) else ""
            msg = f"Worker processes end before they do anything ({self._vain} in a row{why})."
            hint = (
                "Is there enough memory (ulimit -v)? May this user have more processes (ulimit -u) and open "
                "files (ulimit -n)? Can /dev/shm be written to? "
                "Does the calling script have `if __name__ == '__main__':`?"
            )
            raise WorkerLostError(msg, hint=hint)

    def _reason(self, error: BaseException) -> Exception:
        """Say in one sentence what ended a subject twice."""
        if isinstance(error, TimeoutError):
            minutes = self._limits.seconds / 60
            msg = f"It took longer than the limit of {minutes:g} minutes, alone too."
            return TimeLimitError(msg, hint="Look at its files; --time-limit MINUTES allows longer.")
        if isinstance(error, MemoryError):
            msg = f"It needs more memory than the limit of {self._memory / 2**30:.3g} GiB, alone too."
            return MemoryLimitError(msg, hint="Look at its files; --memory-limit GIB allows more.")
        code = getattr(error, "exitcode", None)
        if code is None and not isinstance(error, RuntimeError):
            return error if isinstance(error, Exception) else RuntimeError(str(error))
        msg = f"The process that read it ended twice without a word{_exit_words(code)}."
        return WorkerLostError(msg, hint="Look at its files; please report this if they are sound.")


def _exit_words(code: int | None) -> str:
    if code is None:
        return ""
    if code >= 0:
        return f" (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f" ({name}{', often for want of memory' if name == 'SIGKILL' else ''})"
