"""Lines to a person's terminal, in which names from files steer nothing."""

from __future__ import annotations

import click


def printable(text: str) -> str:
    r"""Replace what could steer a terminal: names come from files.

    >>> printable("a\nb\x1b[31m")
    'a b?[31m'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(text), err=err)
