"""Colours, lines and marks of the markings: told apart by hue, by line and by sign.

The hues are those of Okabe and Ito (2008), lightened for a dark ground, which colour-blind people tell
apart; on top of that each marking has a line of its own and a sign of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]
Sign = Literal["disc", "diamond", "cross", "question", "half", "ring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a marking is drawn."""

    colour: Colour  # RGB, on dark ground (pictures)
    ink: str  # the same hue as CSS, dark enough for white ground (4.5 to 1)
    dash: tuple[float, ...] = ()  # drawn, left out, ... in pixels; empty for an unbroken line.
    double: bool = False  # a double line
    sign: Sign  # the sign beside the lesion's name


STYLES: dict[str, Style] = {
    "resectable": Style(colour=(40, 200, 150), ink="#00704f", sign="disc"),
    "ablatable": Style(colour=(110, 190, 255), ink="#0b62a4", dash=(9, 5), sign="diamond"),
    "unresectable": Style(colour=(255, 120, 50), ink="#b03f00", double=True, sign="cross"),
    "unknown": Style(colour=(255, 255, 255), ink="#766400", dash=(3, 5), sign="question"),
    "partial": Style(colour=(215, 165, 255), ink="#7a3fae", dash=(12, 4, 2, 4), sign="half"),
    "not_tumour": Style(colour=(190, 190, 190), ink="#5c5c5c", dash=(2, 7), sign="ring"),
    "dismissed": Style(colour=(190, 190, 190), ink="#5c5c5c", dash=(2, 7), sign="ring"),
}
"""By marking; ``partial`` is a lesion without one marking, ``not_tumour`` and ``dismissed`` what a
reader took out: a lesion that is none, a region called physiological."""

PLAN_STYLES: dict[str, tuple[Colour, tuple[float, ...]]] = {
    "plan:remnant": ((154, 208, 160), ()),
    "plan:cut": ((255, 123, 114), (10, 4)),
    "plan:ablated": ((255, 209, 102), (2, 4)),
}
"""Colour and dashes of what a surgical plan leaves, cuts and ablates."""

AVID_COLOUR: Colour = (255, 90, 200)
"""Outline of all that is FDG-avid: a thin line, no sign."""

DRAWN_FIRST = ("dismissed", "not_tumour", "resectable", "ablatable", "partial", "unknown", "unresectable")
"""Order of drawing: what stands in the way lies on top."""
