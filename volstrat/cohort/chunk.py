"""Some subjects in a program of its own: what a cluster's worker starts for each task it is given.

The cluster's worker stays whole whatever the subjects do: this program does them with `LocalRunner`, in a
process that it can lose, within the limits of time and memory, and prints a receipt for each.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from volstrat.cohort.pool import LocalRunner, die_with_parent
from volstrat.cohort.tasks import Limits, Task, WorkerContext
from volstrat.errors import OutputError, UsageError, VolstratError, WorkerLostError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Subjects to do in one program; all paths absolute."""

    tasks: tuple[Task, ...]
    context: WorkerContext
    limits: Limits
    out: Path


def run_chunk(pickled: bytes) -> list[dict[str, Any]]:
    """Do a chunk of subjects and return their receipts as JSON values; called on a cluster's worker.

    Raises
    ------
    OutputError
        If the output cannot be written from there.
    UsageError
        If volstrat does not run there.
    WorkerLostError
        If the program is killed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "volstrat.cohort.chunk", str(os.getpid())],
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


def _do(chunk: Chunk) -> list[dict[str, Any]]:
    if not chunk.out.is_dir():
        msg = f"{chunk.out}: cannot be seen from the cluster's worker {platform.node()}."
        raise OutputError(msg, hint="Put inputs and output where all workers see them under one path.")
    tasks = list(reversed(chunk.tasks))
    runner = LocalRunner(chunk.context, workers=1, limits=chunk.limits)
    done = runner.receipts(lambda _: tasks.pop() if tasks else None, lambda: not tasks)
    return [asdict(receipt) for receipt in done if receipt is not None]


def main() -> None:
    """Read a pickled `Chunk` from standard input and print receipts, or what stopped it, as JSON."""
    die_with_parent(int(sys.argv[1]))
    answer = _private_stdout()
    chunk: Chunk = pickle.load(sys.stdin.buffer)
    try:
        reply: dict[str, Any] = {"receipts": _do(chunk)}
    except VolstratError as error:
        reply = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    answer.write(json.dumps(reply).encode())
    answer.flush()


def _private_stdout() -> BinaryIO:
    """Keep standard output for the answer alone: what a library prints goes to standard error."""
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


if __name__ == "__main__":
    main()
