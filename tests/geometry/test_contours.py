"""Contours to voxels, against a dense point-in-polygon in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, permutations, product

import numpy as np
import pytest

from tests.dense import dense_of
from volstrat.geometry.contours import FilledContours, PlacedContours, fill_contours, place_contours
from volstrat.geometry.grid import VoxelGrid

NI, NJ, NK = 11, 9, 3
AXIAL = np.eye(3)
# 3-4-5 rotation about z: oblique directions with exact decimals; u still lies closest to x.
OBLIQUE = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
SPACING = (0.75, 1.25, 2.5)
ORIGIN = (-31.375, 12.625, -7.5)

Polygon = list[tuple[Fraction, Fraction]]


def _grid(directions: np.ndarray = AXIAL) -> VoxelGrid:
    affine = np.eye(4)
    affine[:3, :3] = directions * SPACING
    affine[:3, 3] = ORIGIN
    return VoxelGrid(shape=(NI, NJ, NK), affine=affine)


def _restored(grid: VoxelGrid, axes: tuple[int, ...], flips: tuple[int, ...]) -> VoxelGrid:
    """Return the same voxels in another storage order: axes permuted, then some flipped."""
    shape = np.array(grid.shape)
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.to_mm(np.where(flips, shape - 1, 0))
    affine[:3, :3] = (grid.affine[:3, :3] * np.where(flips, -1, 1))[:, axes]
    i, j, k = (int(shape[axis]) for axis in axes)
    return VoxelGrid(shape=(i, j, k), affine=affine)


def _fill(
    grid: VoxelGrid, contours: list[np.ndarray], labels: list[int] | None = None
) -> tuple[PlacedContours, FilledContours]:
    offsets = np.concatenate(([0], np.cumsum([len(c) for c in contours])))
    placed = place_contours(np.concatenate(contours), offsets, grid)
    return placed, fill_contours(placed, np.array(labels or [1] * len(contours)))


def _dense(filled: FilledContours, grid: VoxelGrid, label: int = 1) -> np.ndarray:
    return dense_of(filled.runs.of(label), grid.shape)


def _in_mm(grid: VoxelGrid, polygon: Polygon, k: float) -> np.ndarray:
    """Vertices as written to a file: decimal strings, read back."""
    index = np.array([[float(u), float(v), k] for u, v in polygon])
    return np.array([[float(f"{x:.9f}") for x in point] for point in grid.to_mm(index)])


def _oracle(polygons: list[Polygon]) -> np.ndarray:
    """Even-odd over all polygons, centre by centre, edge by edge, in fractions.

    A centre on an edge counts as moved by a vanishing amount towards rising u, and by a far smaller
    one towards rising v.
    """
    inside = np.zeros((NI, NJ), bool)
    for i, j in product(range(NI), range(NJ)):
        for polygon in polygons:
            for (u1, v1), (u2, v2) in pairwise([*polygon, polygon[0]]):
                if (v1 <= j) != (v2 <= j) and u1 + (j - v1) * (u2 - u1) / (v2 - v1) <= i:
                    inside[i, j] ^= True
    return inside


def _random_polygon(rng: np.random.Generator, vertices: int, per_voxel: int) -> Polygon:
    """Vertices on a sub-lattice of the grid, a little beyond it too: many lie on centres and rows."""
    u = rng.integers(-2 * per_voxel, (NI + 1) * per_voxel, vertices)
    v = rng.integers(-2 * per_voxel, (NJ + 1) * per_voxel, vertices)
    return [(Fraction(int(a), per_voxel), Fraction(int(b), per_voxel)) for a, b in zip(u, v, strict=True)]


def _points(*points: tuple[float, float]) -> Polygon:
    return [(Fraction(u), Fraction(v)) for u, v in points]


@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("per_voxel", [1, 2, 4, 100])
def test_random_contours_hold_the_centres_inside_them(directions: np.ndarray, per_voxel: int) -> None:
    """One to three polygons that cross, nest and touch: every voxel is as in exact arithmetic."""
    rng = np.random.default_rng(per_voxel)
    grid = _grid(directions)
    for _ in range(25):
        polygons = [
            _random_polygon(rng, int(rng.integers(3, 12)), per_voxel) for _ in range(rng.integers(1, 4))
        ]
        k = int(rng.integers(NK))
        _, filled = _fill(grid, [_in_mm(grid, p, k) for p in polygons])
        dense = _dense(filled, grid)
        assert (dense[:, :, k] == _oracle(polygons)).all()
        assert dense.sum() == dense[:, :, k].sum()


SQUARE = _points((1, 1), (9, 1), (9, 7), (1, 7))
SHAPES = {
    "vertices and edges on centres": [SQUARE],
    "hole that shares no edge": [SQUARE, _points((3, 3), (6, 3), (6, 5), (3, 5))],
    "hole that shares an edge": [SQUARE, _points((1, 3), (6, 3), (6, 5), (1, 5))],
    "island in a hole": [
        _points((0, 0), (10, 0), (10, 8), (0, 8)),
        _points((2, 2), (8, 2), (8, 6), (2, 6)),
        _points((4, 3), (6, 3), (6, 5), (4, 5)),
    ],
    "keyhole": [
        _points(
            (1, 1), (9, 1), (9, 7), (1, 7), (1, 4), (3, 4), (3, 6), (7, 6), (7, 2), (3, 2), (3, 4), (1, 4)
        )
    ],
    "touches itself in a centre": [_points((1, 1), (5, 4), (9, 1), (9, 7), (5, 4), (1, 7))],
    "diagonals through centres": [_points((5, 0), (10, 4), (5, 8), (0, 4))],
    "horizontal edges on rows": [_points((1, 2), (4, 2), (4, 4), (7, 4), (7, 2), (9, 2), (9, 6), (1, 6))],
    "spike along a row": [_points((1, 1), (9, 4), (10.5, 4), (9, 4), (1, 7))],
    "around the whole image": [_points((-9, -9), (99, -9), (99, 99), (-9, 99))],
}


@pytest.mark.parametrize("polygons", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_storage_order_does_not_decide(polygons: list[Polygon], directions: np.ndarray) -> None:
    """In all 48 storage orders of the grid the same voxels are inside, and they are the oracle's."""
    grid = _grid(directions)
    contours = [_in_mm(grid, p, 1) for p in polygons]
    expected = np.zeros(grid.shape, bool)
    expected[:, :, 1] = _oracle(polygons)
    for axes in permutations(range(3)):
        for flips in product((0, 1), repeat=3):
            stored = _restored(grid, axes, flips)
            dense = _dense(_fill(stored, contours)[1], stored)
            turned = np.flip(expected, tuple(a for a in range(3) if flips[a])).transpose(axes)
            assert (dense == turned).all(), (axes, flips)


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1)], ids=["sagittal", "coronal"])
def test_contours_in_other_planes_than_axial(axes: tuple[int, ...]) -> None:
    """Rows 2 to 4 and columns 3 to 7 of a plane that is not the patient's axial one: 2 * 4 voxels."""
    grid = _grid(AXIAL[:, axes])
    polygon = _points((3, 2), (7, 2), (7, 4), (3, 4))
    dense = _dense(_fill(grid, [_in_mm(grid, polygon, 2)])[1], grid)
    assert np.argwhere(dense).tolist() == [[i, j, 2] for i in range(3, 7) for j in range(2, 4)]


def test_a_centre_on_an_edge_goes_towards_rising_patient_coordinates() -> None:
    """A square with corners on the centres (1, 1) and (9, 7) holds 8 * 6 voxels, from (1, 1) on."""
    grid = _grid()
    dense = _dense(_fill(grid, [_in_mm(grid, SQUARE, 0)])[1], grid)
    assert dense.sum() == 8 * 6
    assert dense[1, 1, 0]
    assert not dense[9].any()
    assert not dense[:, 7].any()


def test_abutting_contours_share_no_voxel_and_lose_none() -> None:
    """A square cut in four through voxel centres, by a crooked line: the parts make the whole."""
    grid = _grid()
    whole = _points((0, 0), (10, 0), (10, 8), (0, 8))
    middle = (5, 4)
    parts = [
        _points((0, 0), (4, 0), middle, (0, 3)),
        _points((4, 0), (10, 0), (10, 5), middle),
        _points((10, 5), (10, 8), (6, 8), middle),
        _points((6, 8), (0, 8), (0, 3), middle),
    ]
    _, filled = _fill(grid, [_in_mm(grid, p, 1) for p in parts], [1, 2, 3, 4])
    dense = np.sum([_dense(filled, grid, label) for label in (1, 2, 3, 4)], axis=0)
    assert (dense[:, :, 1] == _oracle([whole])).all()
    assert dense.sum() == 10 * 8


@pytest.mark.parametrize("off_mm", [0.0, 9e-7, -9e-7])
def test_rounding_below_a_nanometre_does_not_move_a_vertex_off_a_centre(off_mm: float) -> None:
    """A square through centres, less than 1e-6 mm off: the half-open rule's 8 * 6 voxels."""
    grid = _grid()
    _, filled = _fill(grid, [_in_mm(grid, SQUARE, 1) + np.array([off_mm, off_mm, 0])])
    assert filled.runs.union().count == 8 * 6


def test_a_third_decimal_counts_as_written() -> None:
    """The square moved by 0.001 mm towards rising x and y: the 8 * 6 voxels one further."""
    grid = _grid()
    dense = _dense(_fill(grid, [_in_mm(grid, SQUARE, 1) + np.array([0.001, 0.001, 0])])[1], grid)
    assert np.argwhere(dense).min(axis=0).tolist() == [2, 2, 1]
    assert np.argwhere(dense).max(axis=0).tolist() == [9, 7, 1]
    assert dense.sum() == 8 * 6


@pytest.mark.parametrize("diameter_mm", [8, 12, 20, 35, 50])
def test_sphere_volume_is_that_of_its_polygons(diameter_mm: float) -> None:
    """Voxel count x voxel volume is within 0.5 % of the polygons' own areas x slice spacing."""
    spacing = (0.35, 0.35, 1.5)
    across, along = (int(np.ceil((diameter_mm + 4) / s)) for s in (spacing[0], spacing[2]))
    shape = (across, across, along)
    centre = np.array(shape) * spacing / 2 + [0.11, 0.07, 0.23]
    grid = VoxelGrid(shape=shape, affine=np.diag([*spacing, 1.0]))
    contours, area_mm2 = [], 0.0
    for k in range(shape[2]):
        square = (diameter_mm / 2) ** 2 - (k * spacing[2] - centre[2]) ** 2
        if square <= 0:
            continue
        angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
        x, y = np.sqrt(square) * np.cos(angle), np.sqrt(square) * np.sin(angle)
        area_mm2 += 0.5 * abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        contours.append(np.stack([centre[0] + x, centre[1] + y, np.full(180, k * spacing[2])], axis=-1))
    count = _fill(grid, contours)[1].runs.union().count
    assert count * grid.voxel_volume_mm3 == pytest.approx(area_mm2 * spacing[2], rel=0.005)


def test_each_label_and_slice_is_filled_on_its_own() -> None:
    """Equal contours of two labels, and of two slices of one label, do not cancel out."""
    grid = _grid()
    at = [_in_mm(grid, SQUARE, k) for k in (0, 2, 2)]
    _, filled = _fill(grid, at, [1, 1, 2])
    assert (filled.runs.of(1).count, filled.runs.of(2).count) == (2 * 48, 48)
    assert filled.crossing_pairs.tolist() == []


def test_off_slice_distance_and_tilt_are_in_mm() -> None:
    """A contour 0.3 slices above slice 1, rising by 0.2 slices (2.5 mm each) from end to end."""
    grid = _grid()
    contour = _in_mm(grid, SQUARE, 1)
    contour[:, 2] += np.array([0.2, 0.2, 0.4, 0.4]) * 2.5
    placed, _ = _fill(grid, [contour])
    assert placed.slices.tolist() == [1]
    assert placed.off_slice_mm == pytest.approx([0.75])
    assert placed.tilt_mm == pytest.approx([0.5])


def test_contours_beyond_the_grid_are_told() -> None:
    """Beyond the last slice, beyond a row, and up to the outer face of the outer voxels."""
    grid = _grid()
    beyond_slice = _in_mm(grid, SQUARE, 3)
    beyond_row = _in_mm(grid, _points((1, 1), (NI - 0.4, 1), (3, 3)), 0)
    to_the_face = _in_mm(
        grid, _points((-0.5, -0.5), (NI - 0.5, -0.5), (NI - 0.5, NJ - 0.5), (-0.5, NJ - 0.5)), 1
    )
    placed, filled = _fill(grid, [beyond_slice, beyond_row, to_the_face], [1, 2, 3])
    assert placed.on_slices.tolist() == [False, True, True]
    assert placed.reaches_out.tolist() == [False, True, False]
    assert filled.runs.of(1).count == 0
    assert filled.runs.of(3).count == NI * NJ


def test_crossing_contours_are_told_and_nested_or_abutting_ones_are_not() -> None:
    """Of four contours on a slice only the two that partly overlap are a pair."""
    grid = _grid()
    outer, hole = _points((0, 0), (8, 0), (8, 6), (0, 6)), _points((1, 1), (3, 1), (3, 3), (1, 3))
    crosses, abuts = _points((6, 2), (10, 2), (10, 4), (6, 4)), _points((0, 6), (8, 6), (8, 8), (0, 8))
    _, filled = _fill(grid, [_in_mm(grid, p, 1) for p in (outer, hole, crosses, abuts)])
    assert filled.crossing_pairs.tolist() == [[0, 2]]


def test_contours_with_the_same_voxels_are_told() -> None:
    """Two contours that hold the same voxels cancel out: they are a pair, though neither crosses."""
    grid = _grid()
    again = _points((0.9, 0.9), (8.9, 0.9), (8.9, 6.9), (0.9, 6.9))
    _, filled = _fill(grid, [_in_mm(grid, p, 1) for p in (SQUARE, again)])
    assert filled.runs.union().count == 0
    assert filled.crossing_pairs.tolist() == [[0, 1]]


def test_winding_twice_is_told_with_its_voxels() -> None:
    """A contour that goes round 8 * 6 voxels and again, in the same sense, round 3 * 2 of them."""
    grid = _grid()
    twice = _points((1, 1), (9, 1), (9, 7), (1, 7), (1, 1), (4, 1), (4, 3), (1, 3))
    keyhole = SHAPES["keyhole"][0]
    _, filled = _fill(grid, [_in_mm(grid, twice, 1), _in_mm(grid, keyhole, 2)])
    assert filled.self_overlap_voxels.tolist() == [6, 0]
    assert filled.runs.union().count == (48 - 6) + (48 - 4 * 4)
