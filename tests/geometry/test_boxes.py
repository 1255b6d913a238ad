"""Tiles against whole boxes: what a boundary shift gives does not depend on how tumour is cut up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shape_phantoms import regular_grid
from tests.dense import label_runs
from volstrat.geometry import boxes
from volstrat.geometry.boundary_shift import boundary_shift
from volstrat.geometry.boxes import PieceRows, boxes_of
from volstrat.geometry.faces import surface_faces
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Labels = NDArray[np.int64]

SHIFTS = (-3.0, -1.0, -0.5, 0.5, 1.0, 3.0)


def blots(rng: np.random.Generator, shape: tuple[int, int, int]) -> Labels:
    """Return half of the voxels, in blots; those of the higher half along i are another part."""
    smooth = rng.normal(size=shape)
    for axis in range(3):
        smooth = sum(np.roll(smooth, n, axis) for n in range(-2, 3))  # type: ignore[assignment]  # not 0
    labels = (smooth > 0).astype(np.int64)
    labels[shape[0] // 2 :] *= 2
    return labels


def speckle(rng: np.random.Generator, shape: tuple[int, int, int]) -> Labels:
    """Return single voxels, a third of all, of three parts."""
    return np.where(rng.random(shape) < 1 / 3, rng.integers(1, 4, shape), 0)


def block_on_a_thread(rng: np.random.Generator, shape: tuple[int, int, int]) -> Labels:
    """Return two blocks in opposite corners, with a thread of voxels between them and a tube in one."""
    labels = np.zeros(shape, dtype=np.int64)
    count = 3 * max(shape)
    at = np.linspace([2, 2, 2], np.array(shape) - 3, count).round().astype(int)
    labels[tuple(at.T)] = 2
    labels[: shape[0] // 2, : shape[1] // 2, : shape[2] // 2] = 1
    labels[-shape[0] // 3 :, -shape[1] // 3 :, -shape[2] // 3 :] = 3
    labels[:, shape[1] // 4, int(rng.integers(1, shape[2] // 2))] = 0
    return labels


@pytest.mark.parametrize("draw", [blots, speckle, block_on_a_thread])
@pytest.mark.parametrize(
    ("shape", "spacing", "tile"),
    [
        ((41, 30, 23), (0.8, 0.8, 1.5), 8),
        ((37, 37, 12), (0.9, 0.7, 5.0), 5),
        ((20, 33, 50), (1.0, 1.0, 1.0), 24),
        ((7, 60, 31), (2.0, 0.5, 1.0), 4),
    ],
)
def test_tiles_and_whole_boxes_give_the_same(
    draw: Callable[[np.random.Generator, tuple[int, int, int]], Labels],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    tile: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts that touch, cross tile borders and reach the grid's edge; to the rounding of 1e-6 ml."""
    runs = label_runs(draw(np.random.default_rng(sum(shape)), shape))
    grid = regular_grid(shape, spacing)
    monkeypatch.setattr(boxes, "_LARGEST_BOX", 10**9)
    whole = boundary_shift(grid, runs, SHIFTS)
    monkeypatch.setattr(boxes, "_TILE", tile)
    monkeypatch.setattr("volstrat.geometry.boundary_shift._FACES_AT_ONCE", 64)
    for largest in (0, 12_000, 30_000):  # cubes, then blocks of whole lines where those fit
        monkeypatch.setattr(boxes, "_LARGEST_BOX", largest)
        assert boundary_shift(grid, runs, SHIFTS) == pytest.approx(whole, abs=1.5e-6)
    assert np.ptp(whole, axis=0).min() > 0


def test_pieces_that_are_known_are_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts 2 and 9 touch and are one piece, part 5 lies apart: the same volumes, and no search."""
    labels = np.zeros((20, 9, 8), dtype=np.int64)
    labels[2:6, 2:7, 2:6], labels[6:9, 2:7, 2:6], labels[13:17, 3:6, 2:5] = 2, 9, 5
    grid, runs = regular_grid(labels.shape, (0.8, 0.8, 1.5)), label_runs(labels)
    found = boundary_shift(grid, runs, SHIFTS)
    monkeypatch.delattr(boxes, "connected_components")
    known = boundary_shift(grid, runs, SHIFTS, piece_of_part=np.array([40, 17, 40]))
    assert known.tolist() == found.tolist()


def tiles_of(labels: Labels, monkeypatch: pytest.MonkeyPatch, *, tile: int = 8, reach: int = 2) -> int:
    """Count the tiles that are made."""
    monkeypatch.setattr(boxes, "_LARGEST_BOX", 0)
    monkeypatch.setattr(boxes, "_TILE", tile)
    rows = PieceRows.of(regular_grid(labels.shape, (1.0, 1.0, 1.0)), label_runs(labels))
    return sum(b.owner.shape[0] for b in boxes_of(rows, (reach, reach, reach)))


def test_faces_lie_half_a_voxel_off_the_voxels_behind_them() -> None:
    """A box of voxels 3-5, 2-2 and 4-7 along i, j, k has 2 faces for each line across it."""
    labels = np.zeros((9, 6, 10), dtype=np.int64)
    labels[3:6, 2:3, 4:8] = 1
    across = surface_faces(regular_grid((9, 6, 10), (0.8, 0.5, 2.0)), label_runs(labels)).across
    assert [faces.place.size for faces in across] == [2 * 1 * 4, 2 * 3 * 4, 2 * 3 * 1]
    low, high = np.array([3, 2, 4]), np.array([5, 2, 7])
    for axis, faces in enumerate(across):
        aside = 0.5 * (np.arange(3) == axis)
        assert faces.centres().min(axis=1) == pytest.approx(low - aside)
        assert faces.centres().max(axis=1) == pytest.approx(high + aside)
        assert np.sign(faces.normal[axis]).tolist() == [-1, 1] * (faces.place.size // 2)


def test_tiles_inside_a_solid_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cube of 48 voxels is 6 x 6 x 6 tiles of 8; the 4 x 4 x 4 inner ones have no surface: 152 are left."""
    labels = np.zeros((60, 60, 60), dtype=np.int64)
    labels[5:53, 5:53, 5:53] = 1
    assert tiles_of(labels, monkeypatch) == 6**3 - 4**3


def test_a_large_lesion_is_cut_into_blocks_that_waste_little() -> None:
    """A ball 101 voxels across has a box of 1.03 million; blocks of whole lines need less than twice that."""
    i, j, k = np.ogrid[-52:53, -52:53, -52:53]
    labels = (i * i + j * j + k * k <= 50.5**2).astype(np.int64)
    rows = PieceRows.of(regular_grid(labels.shape, (1.0, 1.0, 1.0)), label_runs(labels))
    made = [b.owner.shape for b in boxes_of(rows, (3, 3, 3))]
    assert all(np.prod(shape) <= boxes._LARGEST_BOX for shape in made)
    assert sum(np.prod(shape) for shape in made) < 2 * 101**3


def test_empty_tiles_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A diagonal of 64 voxels runs through 8 of the 8 x 8 x 8 tiles of 8 in its box."""
    labels = np.zeros((64, 64, 64), dtype=np.int64)
    labels[np.arange(64), np.arange(64), np.arange(64)] = 1
    assert tiles_of(labels, monkeypatch) == 8


def test_a_piece_that_spans_a_whole_body_needs_little_memory() -> None:
    """Two blocks joined by a thread, 512 x 512 x 700 voxels apart: 183 million voxels in its box.

    As one array of floats the box alone would take 1,468 MB.
    """
    import tracemalloc

    shape = (512, 512, 700)
    grid = regular_grid(shape, (0.8, 0.8, 1.0))
    line = np.linspace(20, [490, 490, 680], 2000).round().astype(np.int64)
    corner = np.stack(np.meshgrid(*[np.arange(12)] * 3), axis=-1).reshape(-1, 3)
    index = np.unique(grid.ravel(np.concatenate((line, corner + 14, corner + np.array([485, 485, 675])))))
    runs = LabelRuns(index, index + 1, np.ones(index.size, dtype=np.int64))
    tracemalloc.start()
    try:
        volumes = boundary_shift(grid, runs, (0.0, 1.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert volumes[1, 0] > volumes[0, 0]
    assert peak < 60e6
