"""Settings in TOML, of a size and depth that a person writes."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.errors import VolstratError

_LARGEST_BYTES = 1 << 20
_DEEPEST = 32
"""Arrays and tables in one another, and keys after one another with dots between."""

_TOKEN = re.compile(r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}.,=\n]')
"""Texts, comments, and the marks that structure is made of."""
_ENDS = {'"""': re.compile(r'(?:\\.|[^\\])*?"""', re.DOTALL), "'''": re.compile(r".*?'''", re.DOTALL)}


def read_toml(
    data: bytes,
    *,
    name: str,
    error: type[VolstratError],
    hint: str = "Correct that line; texts stand in double quotes.",
    parse_float: Callable[[str], Any] = float,
) -> dict[str, Any]:
    """Parse a TOML file's bytes; a byte order mark in front is passed over.

    Parameters
    ----------
    data : bytes
    name : str
        The file's name, for messages.
    error : type
        What to raise.
    hint : str
        What to do about a file that is no TOML.
    parse_float : callable
        Makes a number of a text with a decimal point.

    Raises
    ------
    VolstratError
        If it is no TOML, or larger or deeper than any that a person writes: parsing such a file could
        take hours, or end the program.
    """
    if len(data) > _LARGEST_BYTES:
        msg = f"{name}: has {len(data)} bytes; a settings file has at most {_LARGEST_BYTES}."
        raise error(msg, hint="Check that this is the file that is meant.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        if _is_deep(text):
            msg = f"{name}: nests deeper than {_DEEPEST} levels; no setting does."
            raise error(msg, hint="Check that this is the file that is meant.")
        return tomllib.loads(text, parse_float=parse_float)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as problem:
        msg = f"{name}: is not valid TOML ({problem})."
        raise error(msg, hint=hint) from problem


def _is_deep(text: str) -> bool:
    """Tell whether brackets or dotted keys nest deeper than is read, without parsing them."""
    at = depth = dots = 0
    while depth <= _DEEPEST and dots < _DEEPEST and (found := _TOKEN.search(text, at)):
        token, at = found[0], found.end()
        if token in _ENDS:
            end = _ENDS[token].match(text, at)
            if end is None:
                return False  # the parser says where
            at = end.end()
        elif token == ".":
            dots += 1
        elif token in "[]{}=,\n":
            dots = 0
            depth += (token in "[{") - (token in "]}")
    return depth > _DEEPEST or dots >= _DEEPEST
