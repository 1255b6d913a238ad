"""Settings in TOML, of a size and depth that a person writes, and their tables, key by key."""

from __future__ import annotations

import math
import re
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

from volstrat.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

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

    Raises ``error`` where it is no TOML (then with ``hint``), or larger or deeper than any that a person
    writes: parsing such a file could take hours, or end the program.
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


class TomlTable:
    """A table of a settings file; what it refuses is said with the file's name and the key's path.

    ``path`` stands before a key in messages ("inputs.tumour."); a key that is not ``known`` is refused.
    """

    def __init__(
        self,
        values: dict[str, Any],
        name: str,
        path: str = "",
        *,
        known: Collection[str],
        error: type[VolstratError] = CaseError,
    ) -> None:
        self.values, self.name, self.path, self.error = values, name, path, error
        for key in values:
            if key not in known:
                self.refuse(f"unknown key {path + key!r}.", f"Known here: {', '.join(known)}.")

    def refuse(self, said: str, hint: str) -> NoReturn:
        """Raise the error of something in this file."""
        msg = f"{self.name}: {said}"
        raise self.error(msg, hint=hint)

    def text(self, key: str) -> str:
        """Return a text; empty where the key is not there."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            self.refuse(f"{self.path}{key} must be a text.", "Put it in double quotes.")
        return value

    def flag(self, key: str) -> bool:
        """Return true or false; false where the key is not there."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            hint = f"Write {key} = true, or leave it out."
            self.refuse(f"{self.path}{key} must be true or false.", hint)
        return value

    def choice(self, key: str, *choices: str) -> Any:  # noqa: ANN401 - one of the choices
        """Return one of some words; None where the key is not there."""
        value = self.values.get(key)
        if value is not None and value not in choices:
            said = f"{self.path}{key} is {value!r}; it must be {' or '.join(choices)}."
            self.refuse(said, f'Write {key} = "{choices[0]}", or leave it out.')
        return value

    def number(self, key: str, low: float, high: float, hint: str) -> float | None:
        """Return a number between two others, both allowed; None where the key is not there."""
        value = self.values.get(key)
        if value is None:
            return None
        if not is_number(value) or not low <= value <= high:
            said = f"{self.path}{key} is {value!r}; it must lie between {low:g} and {high:g}."
            self.refuse(said, hint)
        return float(value)


def is_number(value: object) -> bool:
    """Tell whether a value of TOML is a number: finite, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
