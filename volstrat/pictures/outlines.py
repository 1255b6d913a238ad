"""Outlines of voxel sets in a plane, along the voxels' own edges, and dashes along them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Float64s = NDArray[np.float64]

_TURNS = {(1, 0): 0, (0, 1): 1, (-1, 0): 2, (0, -1): 3}


def outlines(inside: NDArray[np.bool_]) -> list[Float64s]:
    """Trace the borders of a mask.

    Parameters
    ----------
    inside : array of bool, (rows, columns)

    Returns
    -------
    list of array, (n, 2)
        Closed polygons (first corner repeated) of pixel corners ``(x, y)``; the centre of pixel
        ``[0, 0]`` is (0.5, 0.5). Pixels that touch at a corner only are outlined apart.
    """
    padded = np.pad(inside, 1).astype(np.int8)
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # The inside is on the right hand of every edge: top edges run right, right edges down, and so on.
    across, upright = np.diff(padded, axis=0), np.diff(padded, axis=1)
    for edge, start, step in (
        (across == 1, (0, 0), (1, 0)),
        (across == -1, (1, 0), (-1, 0)),
        (upright == 1, (0, 1), (0, -1)),
        (upright == -1, (0, 0), (0, 1)),
    ):
        rows, columns = np.nonzero(edge)
        shift = (-1, 0) if step[0] else (0, -1)
        x, y = columns + shift[0] + start[0], rows + shift[1] + start[1]
        for corner in zip(x.tolist(), y.tolist(), strict=True):
            ahead.setdefault(corner, []).append(step)
    return _chained(ahead)


def _chained(ahead: dict[tuple[int, int], list[tuple[int, int]]]) -> list[Float64s]:
    polygons = []
    while ahead:
        start = next(iter(ahead))
        here, heading = start, ahead[start][0]
        corners: list[tuple[int, int]] = []
        while here in ahead:
            steps = ahead[here]
            # Where two borders meet at a corner, turn right: round the same pixel.
            step = min(steps, key=lambda s: (_TURNS[heading] + 1 - _TURNS[s]) % 4)
            steps.remove(step)
            if not steps:
                del ahead[here]
            if not corners or step != heading:
                corners.append(here)
            heading = step
            here = (here[0] + step[0], here[1] + step[1])
        polygons.append(np.array([*corners, corners[0]], dtype=np.float64))
    return polygons


def dashes(polygon: Float64s, pattern: Sequence[float]) -> list[Float64s]:
    """Cut a polygon into the drawn stretches of a dash pattern.

    Parameters
    ----------
    polygon : array, (n, 2)
    pattern : sequence of float
        Lengths drawn, left out, drawn, ... in the polygon's unit.
    """
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
