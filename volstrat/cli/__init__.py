"""The command line: a skin that parses, calls one public function and renders."""

from __future__ import annotations

import os
import sys


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
    except (ImportError, MemoryError) as error:
        sys.stderr.write(
            f"volstrat: cannot go on ({error or 'out of memory'}). "
            "Is there enough memory for this program (ulimit -v), and is it installed whole?\n"
        )
        sys.exit(1)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # answered before anything heavy is imported
        from volstrat import __version__

        sys.stdout.write(f"volstrat {__version__}\n")
        return
    # No large matrix is multiplied here; threads that wait for one cost 0.1 s of processor time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from volstrat.cli.app import cli

    cli(prog_name="volstrat")
