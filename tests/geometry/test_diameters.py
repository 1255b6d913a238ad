"""Longest diameters against all pairs of voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from tests.dense import voxel_runs
from tests.lattices import ORDERS, Order, oblique, stored
from volstrat.geometry import diameters
from volstrat.geometry.diameters import longest_diameters_mm
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Float64s = NDArray[np.float64]


def measured(grid: VoxelGrid, lesions: list[Bools]) -> tuple[list[float], list[float]]:
    """Return longest 3D and axial diameters of the lesions, measured together."""
    starts, stops, lesion = [], [], []
    for n, dense in enumerate(lesions):
        runs = voxel_runs(dense)
        first, past, _ = split_rows(runs.starts, runs.stops, grid.shape[0])
        starts.append(first)
        stops.append(past)
        lesion.append(np.full(first.size, n))
    begins, ends, owner = (np.concatenate(column) for column in (starts, stops, lesion))
    order = np.lexsort((owner, begins))
    longest, axial = longest_diameters_mm(grid, begins[order], ends[order], owner[order], len(lesions))
    return longest.tolist(), axial.tolist()


def all_pairs(affine: Float64s, dense: Bools, axial_axis: int) -> tuple[float, float]:
    """Return the same by comparing every voxel with every other."""

    def longest(index: NDArray[np.int64]) -> float:
        return float(pdist(index @ affine[:3, :3].T).max()) if len(index) > 1 else 0.0

    index = np.argwhere(dense)
    planes = [index[index[:, axial_axis] == at] for at in np.unique(index[:, axial_axis])]
    return longest(index), max(longest(plane) for plane in planes)


def assert_as_all_pairs(affine: Float64s, lesions: list[Bools], axial_axis: int) -> None:
    """Compare; the axis that lies along the patient is given by the test."""
    grid = VoxelGrid(shape=lesions[0].shape, affine=affine)
    longest, axial = measured(grid, lesions)
    wanted = [all_pairs(affine, dense, axial_axis) for dense in lesions]
    assert longest == pytest.approx([pair[0] for pair in wanted], abs=1e-9)
    assert axial == pytest.approx([pair[1] for pair in wanted], abs=1e-9)


def ball(shape: tuple[int, int, int], seed: int) -> Bools:
    """Return a random ellipsoid, cut by the volume's faces here and there."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, shape)
    radii = rng.uniform(1, np.maximum(1.5, np.array(shape) / 1.5))
    offset = (np.moveaxis(np.indices(shape), 0, -1) - centre) / radii
    dense: Bools = (offset**2).sum(axis=-1) <= 1
    dense[tuple(np.minimum(centre.astype(int), np.array(shape) - 1))] = True
    return dense


def dust(shape: tuple[int, int, int], seed: int, share: float) -> Bools:
    """Return lone voxels all over, at least one."""
    rng = np.random.default_rng(seed)
    dense: Bools = rng.random(shape) < share
    dense[tuple(rng.integers(0, shape))] = True
    return dense


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_every_storage_order_gives_what_all_pairs_give(order: Order) -> None:
    """Three lesions that overlap, on a tilted grid whose axial axis is i, j or k, either way round."""
    shape = (12, 10, 7)
    affine = oblique(11, tilt=0.4)
    lesions = [ball(shape, 1), ball(shape, 2), dust(shape, 3, 0.03)]
    turned = [stored(dense, affine, order)[0] for dense in lesions]
    there = stored(lesions[0], affine, order)[1]
    assert_as_all_pairs(there, turned, axial_axis=order[0][2])
    plain = [all_pairs(affine, dense, 2) for dense in lesions]
    grid = VoxelGrid(shape=turned[0].shape, affine=there)
    longest, axial = measured(grid, turned)
    assert longest == pytest.approx([pair[0] for pair in plain])
    assert axial == pytest.approx([pair[1] for pair in plain])


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 9), st.integers(1, 7)),
    st.integers(0, 10_000),
    st.sampled_from([0.02, 0.2, 0.7]),
    st.sampled_from([(0.8, 0.7, 2.5), (3.0, 0.5, 0.5), (1.0, 1.0, 1.0), (0.4, 6.0, 1.0)]),
)
def test_random_shapes(
    shape: tuple[int, int, int], seed: int, share: float, spacing_mm: tuple[float, float, float]
) -> None:
    """Balls and dust on any oblique grid."""
    affine = oblique(seed, spacing_mm)
    axis = int(np.abs(affine[2, :3] / spacing_mm).argmax())
    assert_as_all_pairs(affine, [ball(shape, seed), dust(shape, seed + 1, share)], axis)


@pytest.mark.parametrize("order", ORDERS[::8], ids=str)
def test_lines_plates_and_hollow_shapes(order: Order) -> None:
    """Shapes with no inside, whose ends all lie on few lines; a hollow ball; two far voxels."""
    shape = (9, 8, 7)
    lesions = [np.zeros(shape, dtype=bool) for _ in range(7)]
    lesions[0][:, 3, 2] = True
    lesions[1][4, :, 2] = True
    lesions[2][4, 3, :] = True
    lesions[3][:, :, 5] = True
    lesions[4][np.arange(7), np.arange(7), np.arange(7)] = True
    lesions[5] = ball(shape, 4) & ~np.roll(ball(shape, 4), 1, axis=0)
    lesions[6][0, 0, 0] = lesions[6][8, 7, 6] = True
    lesions[5][0, 0, 0] = True
    affine = oblique(2, tilt=0.2)
    there = stored(lesions[0], affine, order)[1]
    assert_as_all_pairs(there, [stored(dense, affine, order)[0] for dense in lesions], order[0][2])


def test_a_cuboid_by_hand() -> None:
    """4 x 3 x 2 voxels of 2 x 3 x 5 mm: centres span 6 x 6 x 5 mm, so sqrt(97) and, in a slice, sqrt(72)."""
    dense = np.zeros((6, 6, 6), dtype=bool)
    dense[1:5, 2:5, 3:5] = True
    single = np.zeros_like(dense)
    single[5, 5, 5] = True
    grid = VoxelGrid(shape=(6, 6, 6), affine=np.diag([2.0, 3.0, 5.0, 1.0]))
    longest, axial = measured(grid, [dense, single])
    assert longest == pytest.approx([np.sqrt(97), 0])
    assert axial == pytest.approx([np.sqrt(72), 0])


def test_a_plane_that_only_looks_narrower_is_compared() -> None:
    """Slices are first judged by their widths along a few directions, which may mislead by 2 %.

    101 along j in one slice; (100, 20) in the next is sqrt(10400) = 101.98, seen as about 100.
    """
    dense = np.zeros((101, 102, 2), dtype=bool)
    dense[0, 0, 0] = dense[0, 101, 0] = True
    dense[0, 0, 1] = dense[100, 20, 1] = True
    grid = VoxelGrid(shape=(101, 102, 2), affine=np.eye(4))
    assert measured(grid, [dense])[1] == pytest.approx([np.sqrt(10400)])


def test_no_lesions_and_lesions_without_runs() -> None:
    """Nothing to measure is no error; a lesion without voxels has no extent."""
    grid = VoxelGrid(shape=(6, 6, 6), affine=np.eye(4))
    none = np.empty(0, np.int64)
    for count in (0, 2):
        longest, axial = longest_diameters_mm(grid, none, none, none, count)
        assert longest.tolist() == axial.tolist() == [0.0] * count
    longest, axial = longest_diameters_mm(grid, np.array([0]), np.array([4]), np.array([1]), 3)
    assert longest.tolist() == axial.tolist() == [0, 3, 0]


def test_work_in_portions_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lesions too large for one table of pairs are compared piece by piece."""
    monkeypatch.setattr(diameters, "_PAIRS_AT_ONCE", 40)
    shape = (14, 12, 9)
    for seed in range(4):
        affine = oblique(seed, tilt=0.3)
        assert_as_all_pairs(affine, [ball(shape, seed), dust(shape, seed, 0.1), ball(shape, seed + 9)], 2)


def test_many_rows_of_one_lesion_are_thinned_without_loss() -> None:
    """A ball of 40 voxels across: thousands of row ends, few of which may be ends of a diameter."""
    shape = (44, 40, 24)
    affine = oblique(6, (1.0, 1.1, 1.9), tilt=0.3)
    offset = (np.moveaxis(np.indices(shape), 0, -1) - (21.3, 19.6, 11.8)) * (1.0, 1.1, 1.9) / 20
    dense: Bools = (offset**2).sum(axis=-1) <= 1
    outline = dense & ~np.roll(dense, 1, 0) | dense & ~np.roll(dense, -1, 0)  # pairs of these suffice
    grid = VoxelGrid(shape=shape, affine=affine)
    longest, axial = measured(grid, [dense])
    wanted = all_pairs(affine, outline, 2)
    assert (longest[0], axial[0]) == pytest.approx(wanted, abs=1e-9)
