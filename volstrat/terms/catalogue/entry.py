"""What an entry of the catalogue holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from volstrat.frozen import frozen

Severity = Literal["info", "warning", "review", "blocking"]


@frozen(kw_only=False)
class Entry:
    """A finding that volstrat can raise: one entry, one code.

    Parameters
    ----------
    code : str
        Contract: other programs and closed reviews go by it.
    severity : {"info", "warning", "review", "blocking"}
        Unless the place that raises it says another.
    sentence : str or mapping of str to str
        One sentence for a radiologist, with its fields in braces (`str.format`); where there are several,
        by the name of their form. A form may also be a part that another form takes in as a field.
    means : str
        What the code says, whatever the numbers: the line of ``docs/findings.md``.
    do : str
        The next step; empty where there is nothing to do.
    also : tuple of severities
        Others that the code is raised with.
    """

    code: str
    severity: Severity
    sentence: str | Mapping[str, str]
    means: str
    do: str = ""
    also: tuple[Severity, ...] = ()

    @property
    def forms(self) -> Mapping[str, str]:
        """The sentences by form; "" is the form of an entry that has one sentence."""
        return {"": self.sentence} if isinstance(self.sentence, str) else self.sentence


@frozen(kw_only=False)
class ErrorEntry:
    """An error that ends a case or a command: its code, what it means, what to do."""

    code: str
    means: str
    do: str
