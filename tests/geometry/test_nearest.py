"""Nearest points, pair by pair and by scipy's tree."""

from __future__ import annotations

import numpy as np
import pytest

from volstrat.geometry import nearest
from volstrat.geometry.nearest import nearest_distances, nearest_points

POINTS = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 12.0]])


@pytest.fixture(params=["pairs", "tree"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either way to search, whatever the number of points."""
    monkeypatch.setattr(nearest, "_MOST_PAIRS", 1 << 40 if request.param == "pairs" else 0)
    monkeypatch.setattr(nearest, "_PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(nearest, "_QUERIES_AT_ONCE", 7)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_distances_are_those_of_the_nearest_point_in_reach() -> None:
    """From (3, 4, 0): 4 to the second point, 3 to the third; from (0, 0, 17) 5, which is not below 5."""
    queries = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 17.0]])
    assert nearest_distances(POINTS, queries).tolist() == [3.0, 5.0]
    assert nearest_distances(POINTS, queries, reach=5.0).tolist() == [3.0, np.inf]


@pytest.mark.usefixtures("way")
def test_ties_are_all_found() -> None:
    """(1.5, 0, 0) lies between two points; all twelve of a circle are as near to its middle (0, 0, 100)."""
    turn = np.arange(12) * np.pi / 6
    circle = np.stack((np.cos(turn), np.sin(turn), np.full(12, 100.0)), axis=1)
    query, point, farthest = nearest_points(
        np.concatenate((POINTS, circle)), np.array([[1.5, 0.0, 0.0], [0.0, 0.0, 100.0]]), tie=0.001
    )
    found = sorted(zip(query.tolist(), point.tolist(), strict=True))
    assert found == [(0, 0), (0, 1), *((1, n) for n in range(4, 16))]
    assert farthest == pytest.approx(1.5)


def test_no_points_and_no_queries() -> None:
    """Nothing is infinitely far; nobody asks for nothing."""
    none = np.empty((0, 3))
    assert nearest_distances(none, POINTS).tolist() == [np.inf] * 4
    assert nearest_distances(POINTS, none).size == 0


def test_both_ways_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a lattice, where ties abound."""
    rng = np.random.default_rng(4)
    points = rng.integers(0, 9, (300, 3)) * [0.8, 0.8, 1.5]
    queries = rng.integers(0, 12, (90, 3)) * [0.8, 0.8, 1.5]
    found = []
    for most in (1 << 40, 0):
        monkeypatch.setattr(nearest, "_MOST_PAIRS", most)
        query, point, _ = nearest_points(points, queries, tie=0.001)
        found.append(sorted(zip(query.tolist(), point.tolist(), strict=True)))
        assert nearest_distances(points, queries) == pytest.approx(
            np.linalg.norm(points[:, None] - queries, axis=2).min(axis=0), abs=1e-12
        )
    assert found[0] == found[1]
