"""The command line: a skin that parses, calls one public function and renders."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``volstrat`` command."""
    if sys.argv[1:] == ["--version"]:  # answered before anything heavy is imported
        from volstrat import __version__

        sys.stdout.write(f"volstrat {__version__}\n")
        return
    from volstrat.cli.app import cli

    cli(prog_name="volstrat")
