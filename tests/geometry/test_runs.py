"""Run algebra against dense numpy."""

from __future__ import annotations

import pickle
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dense import label_runs, voxel_runs
from volstrat.geometry.grid import Placement
from volstrat.geometry.runs import (
    LabelRuns,
    VoxelRuns,
    covered_twice,
    cut_at,
    divided,
    expand,
    first_of_each,
    order_by,
    ranked,
    sorted_unique,
    split_rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

SIDE = 60
"""Length of the line on which intervals are drawn."""

dense_lines = st.lists(st.booleans(), min_size=0, max_size=40).map(lambda bits: np.array(bits, dtype=bool))
interval_lists = st.lists(
    st.tuples(st.integers(0, SIDE), st.integers(-2, 20)).map(lambda pair: (pair[0], sum(pair))), max_size=12
)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))


def drawn(seed: int, shape: tuple[int, int, int], share: float = 0.5) -> Bools:
    """Return random voxels, indexed [i, j, k]."""
    return np.random.default_rng(seed).random(shape) < share


def line(runs: VoxelRuns, length: int) -> Bools:
    """Return the runs as dense booleans, one a linear index."""
    dense = np.zeros(length, dtype=bool)
    for start, stop in zip(runs.starts, runs.stops, strict=True):
        dense[start:stop] = True
    return dense


def columns(intervals: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return starts and stops of intervals."""
    table = np.array(intervals, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@given(dense_lines, dense_lines)
def test_set_algebra_is_that_of_dense_arrays(left: Bools, right: Bools) -> None:
    """Union, intersection and difference; the results are canonical."""
    length = max(left.size, right.size)
    a = np.zeros(length, dtype=bool)
    b = np.zeros(length, dtype=bool)
    a[: left.size], b[: right.size] = left, right
    mine, other = voxel_runs(a), voxel_runs(b)
    for found, wanted in (
        (mine.union(other), a | b),
        (mine.intersection(other), a & b),
        (mine.difference(other), a & ~b),
        (other.difference(mine), b & ~a),
    ):
        assert np.array_equal(line(found, length), wanted)
        assert found.count == wanted.sum()
        assert found.same_as(voxel_runs(wanted))
        assert bool(found) == wanted.any()


@given(dense_lines)
def test_voxels_come_back_from_every_form(dense: Bools) -> None:
    """From dense, from indices in any order with repeats, from one-voxel intervals."""
    runs = voxel_runs(dense)
    index = np.flatnonzero(dense)
    assert np.array_equal(runs.indices(), index)
    shuffled = np.random.default_rng(0).permutation(np.concatenate((index, index)))
    assert VoxelRuns.from_indices(shuffled).same_as(runs)
    assert VoxelRuns.from_intervals(index[::-1], index[::-1] + 1).same_as(runs)
    assert pickle.loads(pickle.dumps(runs)).same_as(runs)


@given(interval_lists)
def test_any_intervals_unite(intervals: list[tuple[int, int]]) -> None:
    """Unsorted, nested, touching, overlapping and empty ones."""
    dense = np.zeros(SIDE + 21, dtype=bool)
    for start, stop in intervals:
        dense[start : max(start, stop)] = True
    assert VoxelRuns.from_intervals(*columns(intervals)).same_as(voxel_runs(dense))


@given(dense_lines, interval_lists)
def test_counts_and_membership_are_those_of_the_dense_array(
    dense: Bools, intervals: list[tuple[int, int]]
) -> None:
    """`counts_in` counts inside each interval; `contains` asks for each index, also beyond the set."""
    runs = voxel_runs(dense)
    starts, stops = columns([(a, b) for a, b in intervals if a <= b])
    counted = runs.counts_in(starts, stops)
    assert counted.tolist() == [int(dense[a:b].sum()) for a, b in zip(starts, stops, strict=True)]
    asked = np.arange(-3, dense.size + 3)
    inside = runs.contains(asked)
    assert np.array_equal(asked[inside], np.flatnonzero(dense))


@pytest.mark.parametrize(
    ("starts", "stops"),
    [
        pytest.param([3], [3], id="empty run"),
        pytest.param([3], [2], id="backward"),
        pytest.param([0, 2], [2, 4], id="touching"),
        pytest.param([0, 1], [2, 4], id="overlapping"),
        pytest.param([5, 0], [6, 1], id="unsorted"),
        pytest.param([0, 2], [1], id="one stop missing"),
    ],
)
def test_no_set_exists_in_a_wrong_form(starts: list[int], stops: list[int]) -> None:
    """The canonical form is what equality and searches rest on."""
    with pytest.raises(ValueError, match="sorted and apart"):
        VoxelRuns(np.array(starts), np.array(stops))


def test_runs_cannot_be_changed_from_outside() -> None:
    """Arrays are copied and locked."""
    starts, stops = np.array([1]), np.array([4])
    runs = VoxelRuns(starts, stops)
    starts[0] = 3
    assert runs.count == 3
    with pytest.raises(ValueError, match="read-only"):
        runs.starts[0] = 2


@pytest.mark.parametrize(
    ("starts", "stops", "labels", "said"),
    [
        pytest.param([0], [1], [0], "labels from 1", id="background"),
        pytest.param([0], [1], [-2], "labels from 1", id="negative"),
        pytest.param([1], [1], [1], "none empty", id="empty"),
        pytest.param([0, 3], [1, 4], [1], "as many", id="one label missing"),
        pytest.param([3, 0], [4, 1], [1, 1], "sorted", id="unsorted"),
    ],
)
def test_no_label_runs_exist_in_a_wrong_form(
    starts: list[int], stops: list[int], labels: list[int], said: str
) -> None:
    """Labels are positive, runs sorted and not empty."""
    with pytest.raises(ValueError, match=said):
        LabelRuns(np.array(starts), np.array(stops), np.array(labels))


@given(shapes, st.integers(0, 10_000), st.integers(1, 4))
def test_labels_of_a_dense_array(shape: tuple[int, int, int], seed: int, most: int) -> None:
    """Each label's voxels, their union, and a form without overlap."""
    dense = np.random.default_rng(seed).integers(0, most + 1, shape)
    runs = label_runs(dense)
    assert runs.values == tuple(sorted(set(dense[dense > 0].tolist())))
    for label in range(1, most + 2):
        assert runs.of(label).same_as(voxel_runs(dense == label))
    assert runs.union().same_as(voxel_runs(dense))
    assert not runs.overlapping


@given(st.lists(dense_lines, max_size=4))
def test_labels_may_overlap_and_stay_whole(lines: list[Bools]) -> None:
    """Sets in, sets out; the union counts a voxel once; overlap is seen."""
    sets = [(n + 1, voxel_runs(dense)) for n, dense in enumerate(lines)]
    runs = LabelRuns.from_sets(sets)
    assert (np.diff(runs.starts) >= 0).all()
    for label, voxels in sets:
        assert runs.of(label).same_as(voxels)
    depth = np.zeros(41, dtype=int)
    for dense in lines:
        depth[: dense.size] += dense
    assert runs.union().same_as(voxel_runs(depth > 0))
    assert runs.overlapping == bool((depth > 1).any())
    assert covered_twice(runs.starts, runs.stops).same_as(voxel_runs(depth > 1))


def test_overlap_with_a_long_earlier_run_is_seen() -> None:
    """The run that is overlapped need not be the one before: [0, 9) holds [5, 6), [2, 3) lies between."""
    runs = LabelRuns(np.array([0, 2, 5]), np.array([9, 3, 6]), np.array([1, 2, 3]))
    assert runs.overlapping
    assert covered_twice(runs.starts, runs.stops).indices().tolist() == [2, 5]


@given(interval_lists, st.integers(1, 7))
def test_runs_are_cut_at_row_ends(intervals: list[tuple[int, int]], row_length: int) -> None:
    """The same voxels, in pieces that stay in one row and carry their label."""
    runs = VoxelRuns.from_intervals(*columns(intervals))
    labels = np.arange(runs.starts.size) + 10
    starts, stops, carried = split_rows(runs.starts, runs.stops, row_length, labels)
    assert (starts // row_length == (stops - 1) // row_length).all()
    assert (starts < stops).all()
    assert np.array_equal(expand(starts, stops), runs.indices())
    assert np.array_equal(np.repeat(carried, stops - starts), np.repeat(labels, runs.stops - runs.starts))
    origin = split_rows(runs.starts, runs.stops, row_length)[2]
    assert np.array_equal(labels[origin], carried)


@given(interval_lists, st.lists(st.integers(-2, SIDE + 22), max_size=15))
def test_intervals_are_cut_at_points(intervals: list[tuple[int, int]], points: list[int]) -> None:
    """No piece has a point inside, and joined by origin the pieces are the intervals (which may overlap)."""
    given_starts, given_stops = columns([(a, b) for a, b in intervals if a < b])
    starts, stops, origin = cut_at(given_starts, given_stops, np.array(points, dtype=np.int64))
    assert not any(a < p < b for a, b in zip(starts, stops, strict=True) for p in points)
    assert (starts < stops).all()
    for n in range(given_starts.size):
        mine = origin == n
        assert np.array_equal(expand(starts[mine], stops[mine]), np.arange(given_starts[n], given_stops[n]))
        assert mine.sum() == 1 + len({p for p in points if given_starts[n] < p < given_stops[n]})


@given(interval_lists)
def test_voxels_covered_twice(intervals: list[tuple[int, int]]) -> None:
    """As counted on a line, whatever touches or nests."""
    starts, stops = columns([(a, b) for a, b in intervals if a < b])
    depth = np.zeros(SIDE + 21, dtype=int)
    for a, b in zip(starts, stops, strict=True):
        depth[a:b] += 1
    assert covered_twice(starts, stops).same_as(voxel_runs(depth > 1))


@given(st.lists(st.integers(-5, 5)))
def test_sorted_unique_is_numpys_unique(values: list[int]) -> None:
    """Once each, rising, also of nothing."""
    array = np.array(values, dtype=np.int64)
    assert np.array_equal(sorted_unique(array), np.unique(array))


Order = tuple[tuple[int, int, int], tuple[int, int, int]]
ORDERS: list[Order] = [
    ((a, b, c), (x, y, z)) for a, b, c in permutations(range(3)) for x, y, z in product((1, -1), repeat=3)
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_voxels_move_to_every_storage_order_and_window(order: Order) -> None:
    """All 48 signed permutations, onto windows that cut, pad or both: each voxel lands where it must."""
    axes, signs = order
    rng = np.random.default_rng(48)
    shape = (4, 3, 5)
    labels = rng.integers(0, 4, shape)
    runs, voxels = label_runs(labels), voxel_runs(labels)
    turned = [0, 0, 0]
    for axis in range(3):
        turned[axes[axis]] = shape[axis]
    whole = [turned[to] - 1 if signs[axes.index(to)] < 0 else 0 for to in range(3)]
    for low, trim in product(((0, 0, 0), (1, -1, 2), (-2, 1, -1)), ((0, 0, 0), (1, 0, 2), (-1, 1, -2))):
        onto = tuple(max(1, n - first - last) for n, first, last in zip(turned, low, trim, strict=True))
        offset = tuple(at - first for at, first in zip(whole, low, strict=True))
        placement = Placement(axes=axes, signs=signs, offset=offset, displacement_mm=0.0)  # type: ignore[arg-type]
        wanted = np.zeros(onto, dtype=int)
        for index in np.argwhere(labels):
            target = [0, 0, 0]
            for axis in range(3):
                target[axes[axis]] = signs[axis] * index[axis] + offset[axes[axis]]
            if all(0 <= x < n for x, n in zip(target, onto, strict=True)):
                wanted[tuple(target)] = labels[tuple(index)]
        moved = runs.reindexed(placement, shape=shape, onto=onto)  # type: ignore[arg-type]
        for label in (1, 2, 3):
            assert moved.of(label).same_as(voxel_runs(wanted == label))
        there = voxels.reindexed(placement, shape=shape, onto=onto)  # type: ignore[arg-type]
        assert there.same_as(voxel_runs(wanted))
        assert (np.diff(moved.starts) >= 0).all()


@settings(max_examples=40)
@given(shapes, st.integers(0, 10_000), st.sampled_from(ORDERS))
def test_overlapping_labels_move_apart(shape: tuple[int, int, int], seed: int, order: Order) -> None:
    """Labels that overlap stay what they are; each moves as it would alone."""
    axes, signs = order
    sets = [(n, voxel_runs(drawn(seed + n, shape))) for n in (1, 7)]
    onto = [0, 0, 0]
    for axis in range(3):
        onto[axes[axis]] = shape[axis]
    i, j, k = (onto[to] - 1 if signs[axes.index(to)] < 0 else 0 for to in range(3))
    placement = Placement(axes=axes, signs=signs, offset=(i, j, k), displacement_mm=0.0)
    target = (onto[0], onto[1], onto[2])
    moved = LabelRuns.from_sets(sets).reindexed(placement, shape=shape, onto=target)
    for label, voxels in sets:
        assert moved.of(label).same_as(voxels.reindexed(placement, shape=shape, onto=target))
        assert moved.of(label).count == voxels.count


def test_indices_beyond_32_bits() -> None:
    """A lattice of 3000 x 3000 x 3000 voxels has more of them than 32 bits can number."""
    runs = VoxelRuns(np.array([2**34]), np.array([2**34 + 10]))
    assert runs.intersection(VoxelRuns(np.array([2**34 + 5]), np.array([2**35]))).indices().tolist() == [
        2**34 + n for n in range(5, 10)
    ]


def test_labels_are_sorted_and_counted_in_one_go() -> None:
    """As asked for one by one; runs of several labels may overlap, and without runs there is nothing."""
    rng = np.random.default_rng(4)
    sets = [(int(label), VoxelRuns.from_indices(rng.integers(0, 90, 40))) for label in (7, 2, 30)]
    runs = LabelRuns.from_sets(sets)
    found = runs.by_label()
    assert list(found) == [2, 7, 30]
    assert all(found[label].same_as(runs.of(label)) for label in found)
    assert runs.counts() == {label: runs.of(label).count for label in found}
    assert (LabelRuns.empty().by_label(), LabelRuns.empty().counts()) == ({}, {})


@pytest.mark.parametrize("size", [0, 1, 200])
def test_ranks_and_first_places_are_those_of_numpy(size: int) -> None:
    """`numpy.unique` with `return_inverse` and `return_index`."""
    values = np.random.default_rng(size).integers(-9, 9, size)
    distinct, rank = np.unique(values, return_inverse=True)
    assert [found.tolist() for found in ranked(values)] == [distinct.tolist(), rank.tolist()]
    assert first_of_each(values).tolist() == np.unique(values, return_index=True)[1].tolist()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([7, 0, 7, 3], id="small"),
        pytest.param([10**12, 5, 10**12], id="large"),
        pytest.param([-4, 2, -4, 0], id="below zero"),
    ],
)
def test_ranks_are_numpys_whatever_the_range(values: list[int]) -> None:
    """Small numbers are counted, others sorted; `numpy.unique` gives the same."""
    numbers = np.array(values, dtype=np.int64)
    distinct, rank = ranked(numbers)
    expected = np.unique(numbers, return_inverse=True)
    assert distinct.tolist() == expected[0].tolist()
    assert rank.tolist() == expected[1].tolist()
    assert distinct.dtype == rank.dtype == np.int64


@pytest.mark.parametrize("highest", [40, 1 << 16, 1 << 40])
def test_ties_keep_their_order(highest: int) -> None:
    """Whether numbers fit 16 bits or not."""
    numbers = np.array([highest, 3, 3, 0, highest, 3], dtype=np.int64)
    assert order_by(numbers).tolist() == [3, 1, 2, 5, 0, 4]


def test_quotient_and_rest_are_divmods() -> None:
    """Also below zero, where the rest is not negative."""
    numbers = np.array([0, 1, 511, 512, 513, -1, 10**15], dtype=np.int64)
    assert [part.tolist() for part in divided(numbers, 512)] == [
        part.tolist() for part in np.divmod(numbers, 512)
    ]
