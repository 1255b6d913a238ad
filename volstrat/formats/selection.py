"""Choose segments, ROIs or labels of a mask by name or number."""

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
    """Return the numbers whose number or name fits a pattern.

    Parameters
    ----------
    names : mapping of int to str
        Every segment, ROI or label there is; the name is "" where the format has none.
    patterns : sequence of str or int
        Case-insensitive globs on names, or numbers (as whole numbers or as text).
    where : str
        The file, for the message.

    Raises
    ------
    SegmentNotFoundError
        If a pattern fits nothing; the message lists what is there.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        text = str(pattern)
        is_number = text.isdecimal() and len(text) <= _MOST_DIGITS and text not in names.values()
        if isinstance(pattern, int) or is_number:
            hits = {number for number in names if number == int(text)}
        else:
            hits = {n for n, name in names.items() if name and fnmatchcase(folded(name), folded(text))}
        if not hits:
            msg = f"{where}: no segment, ROI or label fits {text!r}; there is {_listed(names)}."
            raise SegmentNotFoundError(msg, hint="Name one of these, by name, glob or number.")
        chosen |= hits
    return tuple(sorted(chosen))


def folded(text: str) -> str:
    """Return a name as it is compared: in any case of letters, accents written in one way.

    >>> folded("TUMÖR") == folded("tumo\u0308r")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _listed(names: Mapping[int, str]) -> str:
    shown = [f"{number} {name!r}" if name else str(number) for number, name in sorted(names.items())]
    return ", ".join(shown[:20] + ([f"and {len(shown) - 20} more"] if len(shown) > 20 else [])) or "none"


def select_labels(mask: Mask, patterns: Sequence[str | int], *, where: str) -> Mask:
    """Return the mask with only the labels that fit; all of them where there are no patterns.

    Raises
    ------
    SegmentNotFoundError
        If a pattern fits nothing.
    """
    if not patterns:
        return mask
    names = {label: mask.names.get(label, "") for label in mask.labels}
    chosen = matching(names, patterns, where=where)
    kept = np.isin(mask.runs.labels, chosen)
    runs = LabelRuns(mask.runs.starts[kept], mask.runs.stops[kept], mask.runs.labels[kept])
    return Mask(grid=mask.grid, runs=runs, names={n: mask.names[n] for n in chosen if n in mask.names})
