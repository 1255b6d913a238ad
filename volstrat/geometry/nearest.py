"""The nearest of some points: pair by pair where there are few, else by scipy's tree.

The tree is quicker for many; importing it takes longer than all else that a small case with PET needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scipy.spatial import cKDTree

    from volstrat.geometry.array_types import Float64s, Int64s


_MOST_PAIRS = 1 << 21
_PAIRS_AT_ONCE = 1 << 16
_QUERIES_AT_ONCE = 100_000
_NEIGHBOURS = 8


def nearest_distances(points: Float64s, queries: Float64s, *, reach: float = np.inf) -> Float64s:
    """Return how far the nearest point (n, 3) is from each query (m, 3), infinite where none is in reach.

    Points no nearer than ``reach`` are not found.
    """
    if not len(points) or not len(queries):
        return np.full(len(queries), np.inf)
    if len(points) * len(queries) > _MOST_PAIRS:
        from scipy.spatial import cKDTree

        found: Float64s = cKDTree(points).query(queries, distance_upper_bound=reach)[0]
        return found
    nearest = np.concatenate([apart.min(axis=1) for _, apart in _every_pair(points, queries)])
    return np.where(nearest < reach, nearest, np.inf)


def nearest_points(points: Float64s, queries: Float64s, *, tie: float) -> tuple[Int64s, Int64s, float]:
    """Return the nearest points (n, 3) of each query (m, 3), ties included, as pairs of their numbers.

    There is one point at least; others may be ``tie`` farther than the nearest. The third value is the
    largest of the queries' distances to their nearest point.
    """
    pairs: list[tuple[Int64s, Int64s]] = []
    farthest = 0.0
    if len(points) * len(queries) <= _MOST_PAIRS:
        for first, apart in _every_pair(points, queries):
            nearest = apart.min(axis=1)
            query, point = np.nonzero(apart <= nearest[:, None] + tie)
            pairs.append((query + first, point))
            farthest = max(farthest, float(nearest.max()))
    else:
        from scipy.spatial import cKDTree

        tree = cKDTree(points)
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            query, point, apart_most = _by_tree(tree, queries[first : first + _QUERIES_AT_ONCE], tie)
            pairs.append((query + first, point))
            farthest = max(farthest, apart_most)
    query, point = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return query, point, farthest


def _every_pair(points: Float64s, queries: Float64s) -> Iterator[tuple[int, Float64s]]:
    """Yield the first of some queries, and the distances of these (rows) to all points."""
    rows = max(1, _PAIRS_AT_ONCE // len(points))
    for first in range(0, len(queries), rows):
        some = queries[first : first + rows]
        squared = np.zeros((len(some), len(points)))
        for axis in range(3):
            apart = some[:, axis, None] - points[:, axis]
            apart *= apart
            squared += apart
        yield first, np.sqrt(squared, out=squared)


def _by_tree(tree: cKDTree, queries: Float64s, tie: float) -> tuple[Int64s, Int64s, float]:
    count = min(_NEIGHBOURS, tree.n)
    distance, index = tree.query(queries, k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    ties = distance <= distance[:, :1] + tie
    crowded = ties[:, -1] & (count < tree.n)
    ties[crowded] = False
    query, column = np.nonzero(ties)
    found = index[query, column]
    for n in np.flatnonzero(crowded).tolist():  # more ties than neighbours asked for
        ball = np.array(tree.query_ball_point(queries[n], distance[n, 0] + tie), dtype=np.int64)
        query, found = np.append(query, np.full(ball.size, n)), np.append(found, ball)
    return query, found, float(distance[:, 0].max(initial=0.0))
