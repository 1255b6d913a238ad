"""Path patterns of a study: ``imagesTr/{subject}_0000.nii.gz`` finds subjects, and files of one of them.

``{subject}`` and ``{visit}`` stand for one part of a path or a piece of one; ``*`` and ``?`` for what nobody
names. Names are compared in Unicode's composed form (NFC), since disks differ in how they write an accent.
"""

from __future__ import annotations

import os
import re
import unicodedata
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.case_file import case_name
from volstrat.errors import UsageError
from volstrat.formats.walk import is_system_name
from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLACES = ("subject", "visit")

_PLACE = re.compile(r"\{([^{}]*)\}")
_OPEN = re.compile(r"\{[^{}]*\}|(?<!\[)[*?](?!\])")
"""What makes a part fit more than one name."""


@frozen
class Match:
    """A path that fits a pattern, and what stands in the pattern's places."""

    path: Path
    subject: str
    visit: str | None  # None where the pattern has no ``{visit}``

    @property
    def name(self) -> str:
        """What a cohort calls it: the subject, and the visit where there is one."""
        return case_name(self.subject, self.visit)


@frozen
class PathPattern:
    """A pattern of paths, relative to the folder of its study file."""

    text: str  # parts between slashes, ``..`` allowed
    where: str = "layout"  # what the pattern is, for messages: "study.toml: layout.subject"

    def __post_init__(self) -> None:
        for name in _PLACE.findall(self.text):
            if name not in PLACES:
                msg = f"{self.where} is {self.text!r}: {{{name}}} is no place that can be filled."
                raise UsageError(msg, hint="The places are {subject} and {visit}.")
        if not self.text or self.text.startswith("/"):
            msg = f"{self.where} is {self.text!r}; it must be a path relative to the study file."
            raise UsageError(msg, hint='Write it like "imagesTr/{subject}_0000.nii.gz".')

    def has(self, place: str) -> bool:
        """Tell whether the pattern names a place."""
        return f"{{{place}}}" in self.text

    def matches(self, folder: Path, *, most: int | None = None) -> Iterator[Match]:
        """Yield what fits below a folder, in the order of names; a folder that cannot be read has nothing.

        Of a folder with very many names the first ``most`` are looked at.
        """
        yield from _descend(folder, self.text.split("/"), {}, most)

    def filled(self, *, subject: str, visit: str | None) -> str:
        """Return the pattern for one subject; ``*`` and ``?`` stay, in a name they are escaped."""
        named = {"subject": subject, "visit": visit or ""}
        return _PLACE.sub(lambda place: escape(named[place[1]]), self.text)

    def files(self, folder: Path, *, subject: str, visit: str | None) -> list[Path]:
        """Return the paths of one subject that fit, in the order of names."""
        text = self.filled(subject=subject, visit=visit)
        return [match.path for match in _descend(folder, text.split("/"), {})]

    def files_of(self, match: Match, folder: Path) -> list[Path]:
        """Return the paths that fit, of the subject that another pattern found."""
        return self.files(folder, subject=match.subject, visit=match.visit)


def unescaped(text: str) -> str:
    """Return a filled pattern as the path that it names."""
    return re.sub(r"\[([*?[])\]", r"\1", text)


def _descend(
    folder: Path, parts: list[str], found: Mapping[str, str], most: int | None = None
) -> Iterator[Match]:
    if not parts:
        yield Match(path=folder, subject=found.get("subject", ""), visit=found.get("visit"))
        return
    part, rest = parts[0], parts[1:]
    if part in {"", ".", ".."}:
        yield from _descend(folder / part, rest, found, most)
        return
    plain = unescaped(part)
    if not _OPEN.search(part) and (folder / plain).exists():  # no look through thousands of names
        yield from _descend(folder / plain, rest, found, most)
        return
    expression = _expression(part, found)
    for name in _names(folder)[:most]:
        fit = expression.fullmatch(unicodedata.normalize("NFC", name))
        if fit is not None:
            yield from _descend(folder / name, rest, {**found, **fit.groupdict()}, most)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not is_system_name(name))  # noqa: PTH208
    except OSError:
        return []


def _expression(part: str, found: Mapping[str, str]) -> re.Pattern[str]:
    """Turn one part of a pattern into a regular expression; a place that is filled must recur as it is."""
    pieces, seen = [], set(found)
    for token in re.split(r"(\{[^{}]*\}|\[[*?[]\]|[*?])", unicodedata.normalize("NFC", part)):
        if token == "*":
            pieces.append("[^/]*")
        elif token == "?":
            pieces.append("[^/]")
        elif token.startswith("{") and token.endswith("}"):
            name = token[1:-1]
            if name in found:
                pieces.append(re.escape(found[name]))
            else:
                pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)")
            seen.add(name)
        else:
            pieces.append(re.escape(unescaped(token)))
    return re.compile("".join(pieces))
