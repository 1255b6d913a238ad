"""Choose segments, ROIs or labels of a mask: by exact name, else by number, else by glob."""

from __future__ import annotations

import unicodedata
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import SegmentNotFoundError
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_DIGITS = 10  # of a label, segment or ROI number; Python refuses to convert endless ones


def matching(names: Mapping[int, str], patterns: Sequence[str | int], *, where: str) -> tuple[int, ...]:
    """Return the numbers of the segments, ROIs or labels whose number or name fits a pattern.

    ``names`` are all there are, "" where the format has no name; ``where`` is the file, for messages. Of a
    pattern a name (in any case of letters and any form of Unicode) goes first, then a number, then a glob on
    names: "Met [1]" is that name where there is one, and else what the glob fits. One that fits nothing is a
    SegmentNotFoundError, which lists what is there.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        hits = _hits(names, pattern)
        if not hits:
            # All of them: a hint never proposes a part.
            shown = [f"{number} {name!r}" if name else str(number) for number, name in sorted(names.items())]
            there = ", ".join(shown) or "none"
            msg = f"{where}: no segment, ROI or label fits {str(pattern)!r}; there is {there}."
            raise SegmentNotFoundError(msg, hint="Name one of these, by name, glob or number.")
        chosen |= hits
    return tuple(sorted(chosen))


def _hits(names: Mapping[int, str], pattern: str | int) -> set[int]:
    """Return the numbers that a pattern means: by exact name, else by number, else by glob."""
    if isinstance(pattern, int):
        return {number for number in names if number == pattern}
    wanted = folded(pattern)
    exact = {number for number, name in names.items() if name and folded(name) == wanted}
    if exact:
        return exact
    if pattern.isdecimal() and len(pattern) <= _MOST_DIGITS:
        return {number for number in names if number == int(pattern)}
    return {number for number, name in names.items() if name and fnmatchcase(folded(name), wanted)}


def folded(text: str) -> str:
    """Return a name as it is compared: in any case of letters, accents written in one way.

    >>> folded("TUMÖR") == folded("tumo\u0308r")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def only_labels(mask: Mask, chosen: Sequence[int]) -> Mask:
    """Return the mask with only these labels."""
    if set(mask.labels) <= set(chosen):
        return mask
    kept = np.isin(mask.runs.labels, np.array(chosen, dtype=np.int64))
    runs = LabelRuns(mask.runs.starts[kept], mask.runs.stops[kept], mask.runs.labels[kept])
    return Mask(grid=mask.grid, runs=runs, names={n: mask.names[n] for n in chosen if n in mask.names})
