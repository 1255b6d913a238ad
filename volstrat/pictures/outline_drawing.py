"""How outlines are drawn: lesions in the style of their marking, a surgical plan in its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.pictures.outlines import dashes
from volstrat.show.styles import PLAN_STYLES, Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.ImageDraw import ImageDraw

    from volstrat.show.styles import Style

    Float64s = NDArray[np.float64]

_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


def draw_outline(draw: ImageDraw, polygons: Sequence[Float64s], style: Style, *, selected: bool) -> None:
    """Draw a shape's outline in its style on a dark rim, and white brackets round a selected one."""
    width = 4 if style.double else 2
    draw_lines(draw, polygons, colour=_BLACK, width=width + 2)
    for polygon in polygons:
        pieces = dashes(polygon, style.dash) if style.dash else [polygon]
        draw_lines(draw, pieces, colour=style.colour, width=width)
    if style.double:
        draw_lines(draw, polygons, colour=_BLACK, width=1)
    if selected:
        _draw_brackets(draw, np.concatenate(polygons))


def draw_planned(draw: ImageDraw, polygons: Sequence[Float64s], name: str) -> None:
    """Draw the outline of what a surgical plan leaves, cuts or ablates on a dark rim."""
    colour, dash = PLAN_STYLES[name]
    draw_lines(draw, polygons, colour=_BLACK, width=4)
    for polygon in polygons:
        draw_lines(draw, dashes(polygon, dash) if dash else [polygon], colour=colour, width=2)


def _draw_brackets(draw: ImageDraw, corners: Float64s) -> None:
    (x0, y0), (x1, y1) = corners.min(axis=0) - 8, corners.max(axis=0) + 8
    arm = min(max((x1 - x0) / 5, 6.0), 18.0)
    lines = [
        np.array([(x, y + dy * arm), (x, y), (x + dx * arm, y)])
        for x, dx in ((x0, 1), (x1, -1))
        for y, dy in ((y0, 1), (y1, -1))
    ]
    for colour, width in ((_BLACK, 5), (_WHITE, 2)):
        draw_lines(draw, lines, colour=colour, width=width)


def draw_lines(draw: ImageDraw, lines: Sequence[Float64s], *, colour: Colour, width: int) -> None:
    """Draw lines that run along rows and columns, as outlines do, each stretch as the pixels it covers.

    A library's wide lines lie a pixel off on one side or the other, by their direction.
    """
    for line in lines:
        low, high = np.minimum(line[:-1], line[1:]), np.maximum(line[:-1], line[1:])
        first = np.floor(low - width / 2 + 0.5).astype(int)
        last = np.maximum(np.floor(high + width / 2 + 0.5).astype(int) - 1, first)
        for (x0, y0), (x1, y1) in zip(first.tolist(), last.tolist(), strict=True):
            draw.rectangle((x0, y0, x1, y1), fill=colour)
