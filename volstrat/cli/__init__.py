"""The command line: a skin that parses, calls one public function and renders."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LEAST_MEMORY_BYTES = 320 << 20
"""Of addresses; a small case takes 260 MB, most of it libraries."""


def main() -> None:
    """Run the ``volstrat`` command."""
    _guard_streams()
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except UnwritableError as problem:
        sys.stderr.write(f"volstrat: standard output cannot be written to ({problem}); nothing was shown.\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
    except (ImportError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "can't start new thread" not in str(error):
            raise
        sys.stderr.write(
            f"volstrat: cannot go on ({str(error) or 'out of memory'}). Is there enough memory (ulimit -v), "
            "may this user have more processes (ulimit -u), and is the program installed whole?\n"
        )
        sys.exit(1)


def _require_memory() -> None:
    """Refuse a limit in which libraries do not load: OpenBLAS then tries for ever, and nothing stops it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY and allowed < _LEAST_MEMORY_BYTES:
        sys.stderr.write(
            f"volstrat: this shell allows {allowed / 2**20:.0f} MB of memory (ulimit -v); "
            f"at least {_LEAST_MEMORY_BYTES >> 20} MB are needed. Raise the limit.\n"
        )
        sys.exit(1)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # answered before anything heavy is imported
        from volstrat import __version__

        sys.stdout.write(f"volstrat {__version__}\n")
        return
    _require_memory()
    # No large matrix is multiplied here; threads that wait for one cost 0.1 s of processor time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from volstrat.cli.app import cli

    cli(prog_name="volstrat")


class UnwritableError(Exception):
    """What was to be shown cannot be written to standard output."""


class _Stream(io.RawIOBase):
    """What a standard stream writes to; ``problem`` says why it cannot be written from the start, else "".

    Where it ``must``, a failure is an error: told once, for Python flushes again at its end. Else what cannot
    be written is passed over: what is told on the side must not end the work.
    """

    def __init__(self, descriptor: int, problem: str, *, must: bool) -> None:
        self._descriptor, self._problem, self._must = descriptor, problem, must

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int | None:
        if not self._problem:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                return None
            except BrokenPipeError as error:  # the reader has seen enough
                self._problem, self._must = str(error), False
                raise
            except OSError as error:
                self._problem = error.strerror or type(error).__name__
        if self._must:
            self._must = False
            raise UnwritableError(self._problem)
        return memoryview(data).nbytes


def _guard_streams() -> None:
    """Put streams in place that stay whole: to be called once, when the program starts.

    A standard stream that is closed gets the null device, or the next file that is opened, a ledger say,
    would take its place and what a library prints.
    """
    closed = set()
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.add(os.open(os.devnull, os.O_RDWR))
    sys.stdout = _text(1, sys.stdout, "it is closed" if 1 in closed else "", must=True)
    sys.stderr = _text(2, sys.stderr, "it is closed" if 2 in closed else "", must=False)


def _text(descriptor: int, old: TextIO | None, problem: str, *, must: bool) -> TextIO:
    if sys.platform == "win32" and old is not None and old.isatty():
        return old  # a console there takes characters, not bytes
    stream = _Stream(descriptor, problem, must=must)
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        encoding="utf-8",  # whatever the system's own is: names of subjects are in any script
        errors="backslashreplace",
        line_buffering=descriptor == 2 or stream.isatty(),
    )
