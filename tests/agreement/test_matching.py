"""Which lesion of one reading is which of another.

Drawings: a column is a voxel along i, a line a voxel along j; ``.`` is no tumour, a digit a lesion.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.dense import label_runs
from volstrat.agreement.matching import LesionGroup, LesionMatching, match_lesions
from volstrat.errors import UsageError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import LabelRuns, VoxelRuns

Triple = tuple[float, float, float]


def _labels(drawing: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    rows = [[0 if cell == "." else int(cell) for cell in line] for line in drawing.split()]
    return np.array(rows, dtype=np.int64).T[:, :, None]


def _match(a: str, b: str, *, within: float = 0.0, spacing: Triple = (2.0, 3.0, 5.0)) -> LesionMatching:
    dense_a, dense_b = _labels(a), _labels(b)
    ni, nj, nk = dense_a.shape
    grid = VoxelGrid(shape=(ni, nj, nk), affine=np.diag([*spacing, 1.0]))
    return match_lesions(label_runs(dense_a), label_runs(dense_b), grid, distance_mm=within)


def _partners(found: LesionMatching) -> list[tuple[int, int, str]]:
    return [(pair.a, pair.b, pair.matched_by) for pair in found.pairs]


def test_lesions_match_by_where_they_are_and_not_by_number() -> None:
    """Lesion 1 of A is 2 of B: 2 common voxels of 3 + 3, Dice 4/6; centroids one voxel (2 mm) apart."""
    found = _match("111..22.", ".222..11", within=0)
    assert _partners(found) == [(1, 2, "overlap"), (2, 1, "overlap")]
    assert found.pairs[0].dice == pytest.approx(2 / 3)
    assert found.pairs[0].centroid_distance_mm == pytest.approx(2.0)
    assert (found.groups, found.only_in_a, found.only_in_b) == ((), (), ())
    assert found.detection_f1 == 1.0


def test_a_lesion_that_one_reader_does_not_have_is_a_detection_difference() -> None:
    """A has 2 and B has 3 for itself; one pair of three findings: F1 = 2 / (2 + 1 + 1)."""
    found = _match("11..22......", "11.......333", within=3)
    assert _partners(found) == [(1, 1, "overlap")]
    assert (found.only_in_a, found.only_in_b) == ((2,), (3,))
    assert found.detection_f1 == pytest.approx(0.5)


def test_one_lesion_drawn_as_two_is_a_split() -> None:
    """B drew 1 and 2 in A's lesion; the larger one is its partner, neither is a detection difference."""
    found = _match("1111111111", "11..222222")
    assert _partners(found) == [(1, 2, "overlap")]
    assert found.groups == (LesionGroup(kind="split", whole=1, parts=(1, 2)),)
    assert (found.only_in_a, found.only_in_b) == ((), ())


def test_three_lesions_drawn_as_one_are_a_merger() -> None:
    """The same the other way round; parts are given by rising label."""
    found = _match("33.1111.22", "4444444444")
    assert _partners(found) == [(1, 4, "overlap")]
    assert found.groups == (LesionGroup(kind="merged", whole=4, parts=(1, 2, 3)),)
    assert (found.only_in_a, found.only_in_b) == ((), ())


def test_touching_a_neighbour_does_not_make_a_part() -> None:
    """B's lesion 2 lies in A's lesion 1 with one voxel of four, less than half: B alone has it."""
    found = _match("11111.....", "11112222..")
    assert _partners(found) == [(1, 1, "overlap")]
    assert (found.groups, found.only_in_a, found.only_in_b) == ((), (), (2,))


def test_exactly_half_makes_a_part() -> None:
    """Two of the four voxels of B's lesion 2 lie in A's lesion 1."""
    found = _match("111111....", "11112222..")
    assert found.groups == (LesionGroup(kind="split", whole=1, parts=(1, 2)),)


def test_a_part_does_not_become_the_partner_of_a_lesion_it_grazes() -> None:
    """B's lesion 2 is mostly in A's 1 (taken) and overlaps A's 2 by one voxel: 2 is A's alone."""
    found = _match("1111111122222", "111112222....")
    assert _partners(found) == [(1, 1, "overlap")]
    assert found.groups == (LesionGroup(kind="split", whole=1, parts=(1, 2)),)
    assert (found.only_in_a, found.only_in_b) == ((2,), ())


def test_a_moved_border_between_neighbours_is_no_split() -> None:
    """B's lesion 2 is 6 voxels, 3 in A's lesion 1 and 3 that are the whole of A's lesion 2: they match."""
    found = _match("111111111222...", "111111222222...")
    assert _partners(found) == [(1, 1, "overlap"), (2, 2, "overlap")]
    assert found.groups == ()


def test_the_best_overlap_is_settled_first() -> None:
    """A1-B1 has Dice 10/20; A1-B2 and A2-B1 have 8/18 each, in sum more.

    ::

        A  ....1111111111.22222222      B2, of which half lies in A1, is a part of A1;
        B  22222222.1111111111....      A2, of which half lies in B1, is a part of B1.
    """
    found = _match("....1111111111.22222222", "22222222.1111111111....")
    assert _partners(found) == [(1, 1, "overlap")]
    assert found.pairs[0].dice == pytest.approx(0.5)
    assert found.groups == (
        LesionGroup(kind="split", whole=1, parts=(1, 2)),
        LesionGroup(kind="merged", whole=1, parts=(1, 2)),
    )


def test_dice_and_not_the_number_of_common_voxels_says_which_overlap_is_best() -> None:
    """A's lesion has 10 voxels: 5 in B's 2 of 20 (Dice 10/30), 4 in B's 1 of 4 (Dice 8/14)."""
    found = _match("...............1111111111", "22222222222222222222.1111")
    assert _partners(found) == [(1, 1, "overlap")]
    assert found.pairs[0].dice == pytest.approx(8 / 14)
    assert found.only_in_b == (2,)


def test_a_small_overlap_is_enough_where_nothing_better_is_free() -> None:
    """One common voxel of four and four: Dice 2/8."""
    found = _match("1111...", "...1111")
    assert _partners(found) == [(1, 1, "overlap")]
    assert found.pairs[0].dice == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("a", "b", "apart_mm"),
    [
        pytest.param("1...", "...1", 6.0, id="along-i-2mm"),
        pytest.param("1 . . .", ". . . 1", 9.0, id="along-j-3mm"),
        pytest.param("1... ....", ".... ..11", math.hypot(5.0, 3.0), id="diagonal"),
    ],
)
def test_without_overlap_centroids_within_the_distance_match(a: str, b: str, apart_mm: float) -> None:
    """The distance counts itself and 0.001 mm more; a hundredth of a millimetre does not."""
    found = _match(a, b, within=apart_mm)
    assert _partners(found) == [(1, 1, "distance")]
    assert found.pairs[0].dice == 0.0
    assert found.pairs[0].centroid_distance_mm == pytest.approx(apart_mm)
    assert _partners(_match(a, b, within=apart_mm - 0.0005)) == [(1, 1, "distance")]
    beyond = _match(a, b, within=apart_mm - 0.01)
    assert (beyond.pairs, beyond.only_in_a, beyond.only_in_b) == ((), (1,), (1,))


def test_the_nearest_centroid_wins_and_each_lesion_matches_once() -> None:
    """B's 2 is 4 mm from A's 1, B's 1 is 6 mm: 2 is the partner, 1 is left over."""
    found = _match("...1...", "1....2.", within=10)
    assert _partners(found) == [(1, 2, "distance")]
    assert found.only_in_b == (1,)


def test_overlap_comes_before_a_nearer_centroid() -> None:
    """B's 2 overlaps A's 1 at one end; the centroid of B's 1 would be nearer."""
    found = _match("11111. ......", "....22 ..1...", within=20)
    assert _partners(found) == [(1, 2, "overlap")]
    assert found.only_in_b == (1,)


def test_a_tie_goes_to_the_lower_position_in_patient_axes() -> None:
    """Two parts of equal size: x decides, whichever way the voxels are stored and numbered."""
    row_a, row_b = "..1111..", "..2211.."
    a, b = label_runs(_labels(row_a)), label_runs(_labels(row_b))
    rising = VoxelGrid(shape=(8, 1, 1), affine=np.diag([2.0, 3.0, 5.0, 1.0]))
    falling = VoxelGrid(shape=(8, 1, 1), affine=np.diag([-2.0, 3.0, 5.0, 1.0]))
    assert match_lesions(a, b, rising, distance_mm=0).pairs[0].b == 2
    assert match_lesions(a, b, falling, distance_mm=0).pairs[0].b == 1


def test_lesions_of_one_reading_may_overlap() -> None:
    """A voxel that two lesions share counts for both."""
    grid = VoxelGrid(shape=(8, 1, 1), affine=np.diag([2.0, 3.0, 5.0, 1.0]))
    one, two = VoxelRuns.from_indices(range(5)), VoxelRuns.from_indices(range(4, 8))
    both = LabelRuns.from_sets([(1, one), (2, two)])
    found = match_lesions(both, both, grid, distance_mm=0)
    assert [(pair.a, pair.b, pair.dice) for pair in found.pairs] == [(1, 1, 1.0), (2, 2, 1.0)]


def test_a_part_belongs_to_the_lesion_that_holds_most_of_it() -> None:
    """B's 3 (voxels 8-11) lies wholly in A's 1 (8-21) and by half in A's 2 (0-9), the first along x."""
    grid = VoxelGrid(shape=(24, 1, 1), affine=np.diag([2.0, 3.0, 5.0, 1.0]))
    spans_a, spans_b = {1: (8, 22), 2: (0, 10)}, {1: (12, 22), 2: (0, 8), 3: (8, 12)}
    a, b = (
        LabelRuns.from_sets([(label, VoxelRuns.from_indices(range(*span))) for label, span in spans.items()])
        for spans in (spans_a, spans_b)
    )
    found = match_lesions(a, b, grid, distance_mm=0)
    assert _partners(found) == [(1, 1, "overlap"), (2, 2, "overlap")]
    assert found.groups == (LesionGroup(kind="split", whole=1, parts=(1, 3)),)


def test_no_lesions_match_nothing() -> None:
    """Neither reading has a lesion: detection agreement does not exist; one reading: it is 0."""
    neither = _match("....", "....", within=5)
    assert (neither.pairs, neither.only_in_a, neither.detection_f1) == ((), (), None)
    one = _match("....", "1.2.", within=5)
    assert (one.only_in_b, one.detection_f1) == ((1, 2), 0.0)


def _random_readings(seed: int) -> tuple[LabelRuns, LabelRuns, VoxelGrid]:
    """Two readings of up to 30 boxes, some moved, some missing, some cut in two."""
    rng = np.random.default_rng(seed)
    shape = (40, 30, 20)
    dense = [np.zeros(shape, np.int64), np.zeros(shape, np.int64)]
    for label in range(1, 31):
        low, size = rng.integers(0, (34, 24, 14)), rng.integers(1, 6, 3)
        for reading in dense:
            if rng.random() < 0.2:
                continue
            i, j, k = low + rng.integers(-1, 2, 3).clip(-low)
            number = label if rng.random() < 0.8 else label + 40
            reading[i : i + size[0], j : j + size[1], k : k + size[2]] = number
            if rng.random() < 0.3:
                reading[i : i + size[0] // 2, j : j + size[1], k : k + size[2]] = label + 80
    affine = np.diag([0.7, 0.8, 2.5, 1.0])
    affine[:3, 3] = [-131.2, 40.3, 17.7]
    grid = VoxelGrid(shape=shape, affine=affine)
    return label_runs(dense[0]), label_runs(dense[1]), grid


@pytest.mark.parametrize("seed", range(6))
def test_swapping_the_readings_swaps_the_result(seed: int) -> None:
    """Pairs turn round, split lesions become merged ones."""
    a, b, grid = _random_readings(seed)
    forth, back = (match_lesions(*pair, grid, distance_mm=4) for pair in ((a, b), (b, a)))
    assert {(pair.a, pair.b) for pair in forth.pairs} == {(pair.b, pair.a) for pair in back.pairs}
    turned = {"split": "merged", "merged": "split"}
    assert {(group.kind, group.whole, group.parts) for group in forth.groups} == {
        (turned[group.kind], group.whole, group.parts) for group in back.groups
    }
    assert (forth.only_in_a, forth.only_in_b) == (back.only_in_b, back.only_in_a)


@pytest.mark.parametrize("seed", range(6))
def test_every_lesion_has_exactly_one_place(seed: int) -> None:
    """In a pair, or a part without one, or seen once."""
    a, b, grid = _random_readings(seed)
    found = match_lesions(a, b, grid, distance_mm=4)
    paired_a, paired_b = [pair.a for pair in found.pairs], [pair.b for pair in found.pairs]
    parts_a = {p for g in found.groups if g.kind == "merged" for p in g.parts} - set(paired_a)
    parts_b = {p for g in found.groups if g.kind == "split" for p in g.parts} - set(paired_b)
    assert found.groups
    assert sorted([*paired_a, *parts_a, *found.only_in_a]) == list(a.values)
    assert sorted([*paired_b, *parts_b, *found.only_in_b]) == list(b.values)


@pytest.mark.parametrize("within", [-1.0, math.nan, math.inf])
def test_a_distance_that_is_none_is_refused(within: float) -> None:
    """The message says what was given."""
    with pytest.raises(UsageError, match=f"got {within}"):
        _match("1", "1", within=within)
