"""Outlines run along voxel edges; dashes along outlines."""

from __future__ import annotations

import numpy as np
import pytest

from volstrat.pictures.outlines import dashes, outlines


def area(polygon: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Return the signed area of a closed polygon (shoelace)."""
    x, y = polygon.T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def test_one_pixel_has_its_four_corners() -> None:
    """Row 1, column 2: corners (2, 1), (3, 1), (3, 2), (2, 2)."""
    inside = np.zeros((3, 4), dtype=bool)
    inside[1, 2] = True
    (found,) = outlines(inside)
    assert found.tolist() == [[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]


def test_straight_edges_have_no_corners_between() -> None:
    """A 2 x 3 block: four corners, not ten."""
    (found,) = outlines(np.ones((2, 3), dtype=bool))
    assert len(found) == 5
    assert abs(area(found)) == 6


def test_a_hole_is_an_outline_of_its_own() -> None:
    """A ring of 8 pixels: areas 9 and 1, of opposite sense."""
    ring = np.ones((3, 3), dtype=bool)
    ring[1, 1] = False
    assert sorted(area(p) for p in outlines(ring)) == [-1, 9]


def test_pixels_that_touch_at_a_corner_are_outlined_apart() -> None:
    """Two pixels, two squares."""
    assert [abs(area(p)) for p in outlines(np.eye(2, dtype=bool))] == [1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_areas_add_up_to_the_pixels(seed: int) -> None:
    """Outer outlines less holes: as many unit squares as pixels, and closed."""
    inside = np.random.default_rng(seed).random((17, 23)) < 0.6
    found = outlines(inside)
    assert sum(area(p) for p in found) == inside.sum()
    assert all((p[0] == p[-1]).all() for p in found)


def test_no_pixel_no_outline() -> None:
    """Nothing to draw."""
    assert outlines(np.zeros((4, 4), dtype=bool)) == []


def test_dashes_have_the_pattern_s_lengths_round_corners() -> None:
    """A square of side 10, pattern 6 on, 4 off: four dashes of 6, the gaps before each corner."""
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], dtype=np.float64)
    pieces = dashes(square, (6, 4))
    assert [np.abs(np.diff(p, axis=0)).sum() for p in pieces] == [6, 6, 6, 6]
    assert [p[0].tolist() for p in pieces] == [[0, 0], [10, 0], [10, 10], [0, 10]]
    round_corner = dashes(square, (12, 28))
    assert round_corner[0].tolist() == [[0, 0], [10, 0], [10, 2]]
