"""The command line: a skin that parses, calls one public function and renders."""

from __future__ import annotations

import os
import sys

_LEAST_MEMORY_BYTES = 320 << 20
"""Of addresses; a small case takes 260 MB, most of it libraries."""


def main() -> None:
    """Run the ``volstrat`` command."""
    from volstrat.cli.streams import UnwritableError, guard_streams

    guard_streams()
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
