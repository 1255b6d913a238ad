"""Outlines of voxel sets in a plane, along the voxels' own edges, and how they are drawn.

Lesions are drawn in the style of their marking, a surgical plan in its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from volstrat.show.styles import PLAN_STYLES, Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.ImageDraw import ImageDraw

    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.show.styles import Style

_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])


def outlines(inside: NDArray[np.bool_]) -> list[Float64s]:
    """Trace the borders of a mask: closed polygons (first corner repeated) of pixel corners ``(x, y)``.

    The centre of pixel ``[0, 0]`` is (0.5, 0.5). Pixels that touch at a corner only are outlined apart.
    """
    return outlines_of([inside])[0]


def outlines_of(masks: Sequence[NDArray[np.bool_]]) -> list[list[Float64s]]:
    """Trace the borders of many masks at once, as `outlines` does of each."""
    # One below the other on a sheet, with an empty row between: their borders do not meet.
    tops = np.concatenate(([0], np.cumsum([mask.shape[0] + 1 for mask in masks], dtype=np.int64)))
    sheet = np.zeros((int(tops[-1]) + 1, max((m.shape[1] for m in masks), default=0) + 2), dtype=np.int8)
    for top, mask in zip(tops.tolist(), masks, strict=False):
        sheet[top + 1 : top + 1 + mask.shape[0], 1 : 1 + mask.shape[1]] = mask
    traced: list[list[Float64s]] = [[] for _ in masks]
    for corners in _polygons(*_edges(sheet)):
        n = int(np.searchsorted(tops, corners[0, 1], side="right")) - 1
        corners[:, 1] -= tops[n]
        traced[n].append(corners)
    return traced


def _edges(padded: NDArray[np.int8]) -> tuple[Int64s, Int64s, Int64s]:
    """Return the pixel edges of a mask with an empty pixel all round, top ones first, row by row.

    Where each begins (x, y) and its heading (0 right, 1 down, 2 left, 3 up), the inside on its right hand.
    """
    across, upright = np.diff(padded, axis=0), np.diff(padded, axis=1)
    xs, ys, headings = [], [], []
    for edge, (right, down), heading in (
        (across == 1, (-1, 0), 0),
        (across == -1, (0, 0), 2),
        (upright == 1, (0, 0), 3),
        (upright == -1, (0, -1), 1),
    ):
        rows, columns = np.nonzero(edge)
        xs.append(columns + right)
        ys.append(rows + down)
        headings.append(np.full(rows.size, heading))
    return np.concatenate(xs), np.concatenate(ys), np.concatenate(headings)


def _followers(x: Int64s, y: Int64s, heading: Int64s) -> Int64s:
    """Return the edge that follows each; where two borders meet at a corner, round the same pixel."""
    wide = int(x.max()) + 1
    number = np.full(4 * wide * (int(y.max()) + 1), -1, dtype=np.int64)
    number[4 * (y * wide + x) + heading] = np.arange(x.size)
    place = 4 * ((y + _STEPS[heading, 1]) * wide + x + _STEPS[heading, 0])
    follows = np.full(x.size, -1, dtype=np.int64)
    for turn in (3, 0, 1):  # left, ahead, and before both right
        there = number[place + (heading + turn) % 4]
        follows = np.where(there >= 0, there, follows)
    return follows


def _polygons(x: Int64s, y: Int64s, heading: Int64s) -> list[Float64s]:
    """Chain edges into closed polygons, a corner only where the heading changes."""
    if not x.size:
        return []
    follows = _followers(x, y, heading)
    turns = np.zeros(x.size, dtype=bool)
    turns[follows] = heading[follows] != heading
    while not turns[follows].all():  # over edges that go straight on
        follows = np.where(turns[follows], follows, follows[follows])
    after = follows.tolist()
    seen = bytearray(x.size)
    order, ends = [], [0]
    for first in np.flatnonzero(turns & (heading == 0)).tolist():  # each has a top edge
        here = first
        if seen[here]:
            continue
        while not seen[here]:
            seen[here] = 1
            order.append(here)
            here = after[here]
        order.append(first)
        ends.append(len(order))
    corners = np.stack((x[order], y[order]), axis=1).astype(np.float64)
    return [corners[a:b] for a, b in pairwise(ends)]


def dashes(polygon: Float64s, pattern: Sequence[float]) -> list[Float64s]:
    """Cut a polygon into the drawn stretches of a pattern: lengths drawn, left out, ... in its own unit."""
    step = np.sqrt((np.diff(polygon, axis=0) ** 2).sum(axis=1))
    along = np.concatenate(([0.0], np.cumsum(step)))
    turns = np.arange(int(along[-1] // sum(pattern)) + 1) * float(sum(pattern))
    edges = np.concatenate(([0.0], np.cumsum(pattern)))[: len(pattern)]
    ends = np.minimum((turns[:, None] + edges).ravel(), along[-1])
    at = np.unique(np.concatenate((along, ends)))
    points = np.stack([np.interp(at, along, polygon[:, 0]), np.interp(at, along, polygon[:, 1])], axis=1)
    first = np.searchsorted(at, ends[::2], side="left")
    last = np.searchsorted(at, np.append(ends, along[-1])[1::2], side="right")
    return [points[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True) if at[a] < at[b - 1]]


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
