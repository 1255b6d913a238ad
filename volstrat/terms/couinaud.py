"""Couinaud's liver segments: their names in files, their codes, and how a resection of them is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SEGMENTS = ("1", "2", "3", "4", "4a", "4b", "5", "6", "7", "8")
"""In the order in which they are written."""

SEGMENT_CODES = {
    "71133005": "1",
    "277956007": "2",
    "277957003": "3",
    "277958008": "4",
    "277959000": "5",
    "277960005": "6",
    "277961009": "7",
    "277962002": "8",
}
"""SNOMED CT codes of DICOM PS3.16 CID 7170, Couinaud Liver Segment."""

_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8"}
_NAME = re.compile(
    r"(?:(?:couinaud|liver|hepatic|lever) *)*(?:segment|segm|seg|sg|s)?[ .]*"
    r"(?P<number>viii|vii|vi|iv|v|iii|ii|i|[1-8]) *(?P<half>[ab])?(?: *\(.*\))?"
)
_CAUDATE = {"caudate", "caudate lobe", "caudate lobe of liver", "lobus caudatus", "caudatusloben"}


def segment_named(name: str) -> str | None:
    """Return the segment that a name stands for ("1" to "8", "4a", "4b"), or None.

    Arabic and Roman numbers, bare or after "segment", "liver_segment", "S", "leversegment" and the like.

    >>> [segment_named(n) for n in ("liver_segment_5", "Segment IVa", "S8", "Leversegment II", "spleen")]
    ['5', '4a', '8', '2', None]
    """
    text = " ".join(re.sub(r"[_\-]", " ", name.casefold()).split())
    if text in _CAUDATE:
        return "1"
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    number = _ROMAN.get(match["number"], match["number"])
    half = match["half"] or ""
    return None if half and number != "4" else number + half


def segment_said(name: str, codes: Iterable[str]) -> str | None:
    """Return the segment that a part's name says, else its SNOMED CT codes; None where neither does."""
    return segment_named(name) or next((SEGMENT_CODES[c] for c in codes if c in SEGMENT_CODES), None)


def parts_of(segment: str, present: Collection[str]) -> tuple[str, ...]:
    """Return what a map holds of a segment: 4 is 4, 4a and 4b; () where it holds nothing of it.

    >>> parts_of("4", ["3", "4a", "4b"]), parts_of("4a", ["4"])
    (('4a', '4b'), ())
    """
    return tuple(s for s in SEGMENTS if s in present and (s == segment or s[:-1] == segment))


def in_order(segments: Iterable[str]) -> tuple[str, ...]:
    """Return segments once each, as they are written."""
    return tuple(sorted(set(segments), key=SEGMENTS.index))


def notation(segments: Iterable[str]) -> str | None:
    """Write the resection of whole segments as in the "New World" terminology; None without any.

    Wedges and ablations are no part of it. Source: 10.1097/SLA.0000000000004808.

    >>> notation(["5", "6", "7", "8"]), notation(["4b", "5"]), notation(["3", "4b", "4a", "2"])
    ('H5678', 'H4b5', 'H234')
    """
    chosen = set(segments)
    if {"4a", "4b"} <= chosen or "4" in chosen:
        chosen = chosen - {"4a", "4b"} | {"4"}
    return "H" + "".join(in_order(chosen)) if chosen else None
