"""What headers written as text share, those of NRRD and MetaImage: their lines, values and data files."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from volstrat.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.formats.stream import SourceFile

OTHER_FORMAT = "Check that the file's name fits its format."
"""The next step where a file is not what its name says."""

_BLOCK_BYTES = 1 << 14
_MOST_FILES = 100_000
_MOST_DIGITS = 20


def read_head(source: SourceFile, end: re.Pattern[bytes], *, most_bytes: int) -> bytearray:
    """Read a file up to where its header ends, that end included, or all of it where there is no such end.

    A header that is longer than ``most_bytes`` is a FormatError.
    """
    head = bytearray()
    while block := source.read(_BLOCK_BYTES):
        line = max(head.rfind(b"\n"), 0)  # the last one that may have been cut
        head += block
        found = end.search(head, line)
        if found:
            source.unread(bytes(head[found.end() :]))
            del head[found.end() :]
            break
        if len(head) > most_bytes:
            msg = f"{source.name}: its header does not end within {most_bytes >> 20} MB."
            raise FormatError(msg, hint=OTHER_FORMAT)
    return head


class TextHeader:
    """The fields of a header, by name in lower case; subclasses read them from its lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: dict[str, str] = {}
        self.listed: list[str] = []  # data files that follow the header's last line

    def required(self, field: str) -> str:
        """Return a field that the header must have."""
        if field.lower() not in self.fields:
            msg = f"{self.name}: its header lacks the field '{field}'."
            raise FormatError(msg)
        return self.fields[field.lower()]

    def whole(self, field: str, default: int | None = None) -> int:
        """Return a whole number; one without a default is required."""
        text = self.required(field) if default is None else self.fields.get(field.lower(), str(default))
        if not re.fullmatch(r"-?\d{1,18}", text):
            msg = f"{self.name}: the field '{field}' is {text!r}; a whole number was expected."
            raise FormatError(msg)
        return int(text)

    def sizes(self, field: str, dimension_field: str) -> tuple[int, ...]:
        """Return the sizes of all axes, as many as the header says there are."""
        words = self.required(field).split()
        dimension = self.whole(dimension_field, len(words))
        if len(words) != dimension or not all(re.fullmatch(r"\d{1,18}", word) for word in words):
            said = " ".join(words)[:80]
            msg = f"{self.name}: the field '{field}' is '{said}' for {dimension} dimensions."
            raise FormatError(msg)
        return tuple(int(word) for word in words)


def pattern_numbers(named: str) -> list[int]:
    """Return the whole numbers behind a name that is a pattern of several; none where it is no pattern."""
    pattern, *words = named.split()
    if "%" not in pattern or not all(re.fullmatch(r"-?\d{1,9}", word) for word in words):
        return []
    return [int(word) for word in words]


def files_beside(header: Path, names: list[str]) -> tuple[Path, ...]:
    """Return the paths of data files relative to the header's folder: what a case reads lies in the case."""
    if not names:
        msg = f"{header.name}: announces a list of data files and names none."
        raise FormatError(msg)
    for name in names:
        relative = PurePosixPath(name)
        depths = accumulate(-1 if part == ".." else 1 for part in relative.parts)
        if relative.is_absolute() or min(depths, default=0) < 0:
            msg = f"{header.name}: names the data file {name}, which is outside the header's folder."
            raise FormatError(msg, hint="Put the data file beside its header and name it without a path.")
    return tuple(header.parent / PurePosixPath(name) for name in names)


def numbered_names(header: str, pattern: str, first: int, last: int, step: int, *, most: int) -> list[str]:
    """Return the names of a printf pattern such as ``slice%03d.raw`` from first to last."""
    count = (last - first) // step + 1 if step else 0
    before, percent, after = pattern.partition("%")
    width, d, rest = after.partition("d")
    if not percent or not d or "%" in rest or (width and not width.isdecimal()):
        msg = f"{header}: the data file pattern {pattern} is not of the form name%03d.raw."
        raise FormatError(msg)
    if not 1 <= count <= min(most, _MOST_FILES):
        msg = f"{header}: its data file pattern gives {max(count, 0)} files; the volume has {most} slices."
        raise FormatError(msg)
    columns = int(width or 0)
    if columns > _MOST_DIGITS:
        msg = f"{header}: the data file pattern {pattern} asks for {columns} digits."
        raise FormatError(msg)
    fill = "0" if width.startswith("0") else " "
    return [f"{before}{str(first + n * step).rjust(columns, fill)}{rest}" for n in range(count)]
