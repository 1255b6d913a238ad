"""Workers of a dask cluster: subjects in chunks, each chunk in a program of its own.

The cluster only carries chunks and receipts. What a task's future says of itself decides nothing: a chunk
counts as done when its receipts are here, and the records they vouch for are read back for the tables.
A chunk that was lost is sent again, in smaller pieces; a subject that is lost alone too has failed.

The cluster's worker stays whole whatever the subjects do: for each chunk it starts a program (`main`), which
does them with `LocalRunner`, in a process that it can lose, within the limits, and prints a receipt for each.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from volstrat import __version__
from volstrat.cohort.pool import LocalRunner, die_with_parent
from volstrat.cohort.tasks import Limits, Receipt, Task, WorkerContext
from volstrat.cohort.worker import fail_task
from volstrat.errors import OutputError, UsageError, VolstratError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from volstrat.cohort.pool import TakeTask


CHUNK = 32
"""Subjects in one task of the cluster: starting its program costs as much as a few small subjects."""

_AHEAD = 2
_TRIES_ALONE = 3
_TURN_SECONDS = 0.2
_CONNECT_SECONDS = 20
_VERSION_THERE = "__import__('volstrat').__version__"
"""Evaluated by each worker: no function of ours, which another version may not have."""


@dataclass(slots=True)
class _Sent:
    """A chunk that is with the cluster."""

    tasks: tuple[Task, ...]
    tries: int
    future: Any


class ClusterRunner:
    """Does tasks on the workers of a dask scheduler; see `LocalRunner`, which each chunk is done by.

    ``scheduler`` is its address, e.g. ``tcp://host:8786``; ``chunk`` the number of subjects in one task.
    """

    def __init__(self, context: WorkerContext, *, scheduler: str, limits: Limits, chunk: int = CHUNK) -> None:
        self._context = context
        self._scheduler = scheduler
        self._limits = limits
        self._chunk = chunk

    def receipts(self, take: TakeTask, ended: Callable[[], bool]) -> Iterator[Receipt | None]:
        """Yield the receipt of each task as its chunk is done; None now and then.

        No such scheduler, no dask, and workers that cannot run volstrat are a `UsageError`, one that cannot
        write the output an `OutputError`, a scheduler that is lost a `WorkerLostError`: what is done is kept,
        the same command goes on.
        """
        client = self._connect()
        sent: list[_Sent] = []
        again: list[tuple[tuple[Task, ...], int]] = []
        try:
            while sent or again or not ended():
                if client.status not in {"running", "connecting"}:
                    raise self._gone()
                room = max(1, _AHEAD * sum(client.nthreads().values()))
                while len(sent) < room:
                    tasks, tries = again.pop() if again else (self._take(take, wait=not sent), 0)
                    if not tasks:
                        break
                    chunk = pickle.dumps((tasks, self._context, self._limits))
                    future = client.submit(run_chunk, chunk, pure=False)
                    sent.append(_Sent(tasks=tasks, tries=tries, future=future))
                for one in [s for s in sent if s.future.done()]:
                    sent.remove(one)
                    yield from self._answered(one, again)
                yield None
                if sent:
                    time.sleep(_TURN_SECONDS)
        except OSError as error:
            if isinstance(error, VolstratError) or not _is_of_dask(error):
                raise
            raise self._gone() from error
        finally:
            with suppress(Exception):  # of a scheduler that is gone there is nothing to take leave of
                client.close()

    def _connect(self) -> Any:  # noqa: ANN401 - dask.distributed is an extra
        try:
            import distributed
        except ImportError as error:
            msg = "--scheduler needs dask.distributed, which is not installed."
            raise UsageError(msg, hint="In the checkout: pip install '.[cluster]'.") from error
        _knock(self._scheduler)
        try:
            connect: Any = distributed.Client
            client = connect(self._scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _unanswered(self._scheduler) from error
        try:
            _require_this_version(client.run(eval, _VERSION_THERE, on_error="return"))
        except UsageError:
            client.close()
            raise
        return client

    def _gone(self) -> WorkerLostError:
        msg = f"{self._scheduler}: the scheduler is gone."
        return WorkerLostError(msg, hint="What is done is kept; run the same command again to go on.")

    def _take(self, take: TakeTask, *, wait: bool) -> tuple[Task, ...]:
        """Take a chunk of new tasks: fewer where no more have been found yet."""
        tasks: list[Task] = []
        while len(tasks) < self._chunk:
            task = take(_TURN_SECONDS if wait and not tasks else 0.0)
            if task is None:
                break
            tasks.append(task)
        return tuple(tasks)

    def _answered(self, one: _Sent, again: list[tuple[tuple[Task, ...], int]]) -> Iterator[Receipt]:
        """Yield the receipts of a chunk that came back; send again what did not."""
        error = one.future.exception() if one.future.status != "cancelled" else None
        if isinstance(error, OutputError | UsageError):
            raise error
        answers = one.future.result() if one.future.status == "finished" else []
        receipts = {answer["location"]: Receipt(**answer) for answer in answers}
        missing = tuple(task for task in one.tasks if task.location not in receipts)
        for receipt in receipts.values():
            _require_this_version({"A worker of the cluster": receipt.version})  # one that came later
            yield receipt
        if len(missing) > 1:
            half = len(missing) // 2
            again += [(missing[:half], 0), (missing[half:], 0)]
        elif missing and one.tries + 1 < _TRIES_ALONE:
            again.append((missing, one.tries + 1))
        elif missing:
            msg = f"The cluster lost it {_TRIES_ALONE} times, alone too ({error or 'cancelled'})."
            lost = WorkerLostError(msg, hint="Run the same command again; see the cluster's own log.")
            yield fail_task(missing[0], lost, self._context.protocol)


def _require_this_version(versions: Mapping[str, object]) -> None:
    """Refuse workers of another version before they write anything; what one has is text, or an error."""
    for worker, version in versions.items():
        if version == __version__:
            continue
        has = f"has volstrat {version}" if isinstance(version, str) else f"cannot import volstrat ({version})"
        msg = f"{worker}: {has}; this is {__version__}."
        raise UsageError(msg, hint="Install the same version everywhere.")


def _is_of_dask(error: BaseException) -> bool:
    """Tell whether an error is of the connection to the scheduler; dask gives some a plain OSError's type."""
    if type(error).__module__.startswith("distributed.") or isinstance(error, ConnectionError | TimeoutError):
        return True
    return error.__cause__ is not None and _is_of_dask(error.__cause__)


def _knock(address: str) -> None:
    """Find out whether anybody answers, before a client begins to try again and again."""
    found = re.fullmatch(r"(?:tcp|tls)://\[?([^\]]+?)\]?:([0-9]{1,5})", address)
    if found is None:
        msg = f"{address}: is no address of a dask scheduler."
        raise UsageError(msg, hint="Write it as the scheduler does, e.g. tcp://host:8786.")
    try:
        socket.create_connection((found[1], int(found[2])), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unanswered(address) from error


def _unanswered(address: str) -> UsageError:
    msg = f"{address}: no dask scheduler answers there."
    return UsageError(msg, hint="Start one with dask scheduler, and name it as it says.")


def run_chunk(pickled: bytes) -> list[dict[str, Any]]:
    """Do tasks by a context within limits, a chunk, and return their receipts as JSON values.

    Called on a cluster's worker. An output that cannot be written from there is an `OutputError`, a volstrat
    that does not run there a `UsageError`, a program that is killed a `WorkerLostError`.
    """
    done = subprocess.run(
        [sys.executable, "-m", "volstrat.cohort.cluster", str(os.getpid())],
        input=pickled,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        reply = json.loads(done.stdout)
    except ValueError:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        if done.returncode > 0:  # no subject's doing: each has a process of its own
            msg = f"The cluster's worker {platform.node()} cannot run volstrat: {' '.join(tail)}"
            raise UsageError(msg, hint="Install the same packages everywhere.") from None
        msg = f"The program for a chunk of subjects was ended by signal {-done.returncode}."
        raise WorkerLostError(msg) from None
    if "error" in reply:
        kind = OutputError if reply["error"]["code"] == OutputError.code else WorkerLostError
        raise kind(reply["error"]["message"], hint=reply["error"]["hint"])
    receipts: list[dict[str, Any]] = reply["receipts"]
    return receipts


def _do(chunk: tuple[tuple[Task, ...], WorkerContext, Limits]) -> list[dict[str, Any]]:
    tasks, context, limits = chunk
    out = tasks[0].target.parent
    if not out.is_dir():
        msg = f"{out}: cannot be seen from the cluster's worker {platform.node()}."
        raise OutputError(msg, hint="Put inputs and output where all workers see them under one path.")
    left = list(reversed(tasks))
    runner = LocalRunner(context, workers=1, limits=limits)
    done = runner.receipts(lambda _: left.pop() if left else None, lambda: not left)
    return [asdict(receipt) for receipt in done if receipt is not None]


def main() -> None:
    """Read a pickled chunk from standard input and print receipts, or what stopped it, as JSON."""
    die_with_parent(int(sys.argv[1]))
    answer = os.fdopen(os.dup(1), "wb")  # for it alone: what a library prints goes to standard error
    os.dup2(2, 1)
    chunk = pickle.load(sys.stdin.buffer)
    try:
        reply: dict[str, Any] = {"receipts": _do(chunk)}
    except VolstratError as error:
        reply = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    answer.write(json.dumps(reply).encode())
    answer.flush()


if __name__ == "__main__":
    main()
