"""What an entry of the catalogue holds, and how the modules beside this one write it.

code (severity, or others that it is raised with)
    says: One sentence for a radiologist, with its fields in braces (`str.format`); where there are several,
        each stands under the name of its form. A form may also be a part that another form takes in.
    means: what the code says, whatever the numbers: the line of ``docs/findings.md``
    do: The next step; left out where there is nothing to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Severity = Literal["info", "warning", "review", "blocking"]

_FIELD = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
"""A field, with the lines that it goes on in."""


@frozen
class Entry:
    """A finding that volstrat can raise: one entry, one code.

    Parameters
    ----------
    code : str
        Contract: other programs and closed reviews go by it.
    severity : {"info", "warning", "review", "blocking"}
        Unless the place that raises it says one of ``also``.
    forms : mapping of str to str
        The sentences; of an entry that has one sentence by "".
    means, do : str
    """

    code: str
    severity: Severity
    also: tuple[Severity, ...]
    forms: Mapping[str, str]
    means: str
    do: str


@frozen
class ErrorEntry:
    """An error that ends a case or a command: its code, what it means, what to do."""

    code: str
    means: str
    do: str


def entries(text: str) -> tuple[Entry, ...]:
    """Read findings."""
    found = []
    for head, fields in _blocks(text):
        code, severity, *also = re.findall(r"\b(?!or\b)\w+", head)
        severities = cast("tuple[Severity, ...]", (severity, *also))
        means, do = fields.pop("means"), fields.pop("do", "")
        forms = {"": fields["says"]} if list(fields) == ["says"] else fields
        found.append(
            Entry(code=code, severity=severities[0], also=severities[1:], forms=forms, means=means, do=do)
        )
    return tuple(found)


def errors(text: str) -> tuple[ErrorEntry, ...]:
    """Read errors: what they mean stands beside their code."""
    return tuple(
        ErrorEntry(code=code, means=means, do=fields["do"])
        for head, fields in _blocks(text)
        for code, means in [head.split(": ", 1)]
    )


def _blocks(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the head of each block, and its fields; white space of any length is one space."""
    for block in re.split(r"\n(?=\S)", text.strip()):
        fields = {name: " ".join(value.split()) for name, value in _FIELD.findall(block)}
        head = " ".join(re.split(r"\n {4}\w+: ", block)[0].split())
        if [*head.split(), *" ".join(f"{n}: {v}" for n, v in fields.items()).split()] != block.split():
            msg = f"the catalogue's entry {head!r} has a line that belongs to no field, or a field twice"
            raise ValueError(msg)
        yield head, fields
