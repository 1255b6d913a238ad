"""What commands share: arguments, options, lines on the terminal, statuses and errors as exit codes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volstrat.errors import VolstratError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from volstrat.case.record_types import ErrorRecord

EXIT_FAILED, EXIT_USAGE, EXIT_PERSON = 1, 2, 3
"""A case failed or a check found a difference; the command was wrong; a case needs a person."""

USAGE = frozenset({"usage", "protocol_invalid"})
"""Codes of errors that say that the command was wrong."""

ANY = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

case_or_study = click.argument("source", metavar="CASE|STUDY.toml", type=EXISTING)
subject = click.option("--subject", metavar="NAME", help="Which subject of the study.")
visit = click.option("--visit", metavar="NAME", help="Which visit, where the study has visits.")
protocol = click.option(
    "--protocol",
    "protocol_file",
    type=ANY,
    help="Protocol file (TOML); without it the packaged pantodon.toml.",
)
lesions = click.option(
    "--lesions",
    metavar="NAME",
    help="Lesion table to use: a file in the case folder, or R for lesions.R.csv.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
workers = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes [default: processors]."
)


def printable(text: str) -> str:
    r"""Replace what could steer a terminal: names come from files.

    >>> printable("a\nb\x1b[31m")
    'a b?[31m'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(text), err=err)


@contextmanager
def errors_said(*, usage: Collection[str] = USAGE) -> Iterator[None]:
    """Say an error in one sentence and stop with the code of a failure, or of wrong usage."""
    try:
        yield
    except VolstratError as error:
        say(f"volstrat: {error}", err=True)
        sys.exit(EXIT_USAGE if error.code in usage else EXIT_FAILED)


def exit_code(statuses: Iterable[str]) -> int:
    """Return the exit code that the cases' statuses amount to."""
    every = set(statuses)
    if "failed" in every:
        return EXIT_FAILED
    return EXIT_PERSON if every & {"review", "not_assessable"} else 0


def print_json(found: Mapping[str, object]) -> None:
    """Print JSON as the record has it."""
    from volstrat.case.json_types import record_bytes

    sys.stdout.buffer.write(record_bytes(found))
    sys.stdout.buffer.flush()


def say_error(error: ErrorRecord) -> None:
    """Say the error that a record holds."""
    say(f"volstrat: {error['message']} {error['hint']}".rstrip(), err=True)
