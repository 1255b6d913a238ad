"""The shortest way to a threshold: exact, least, first; against brute force and under load."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest

from volstrat.certainty.shortest_way import shortest_way, voxels_needed

SEVENTY = Decimal(70)


def brute_force(remainders: list[int], part: int, whole: int, percent: Decimal) -> list[int] | None:
    """Try every set: fewest lesions, then least volume, then first in order."""
    candidates = [n for n, voxels in enumerate(remainders) if voxels > 0]
    need = voxels_needed(part, whole, percent)
    for size in range(len(candidates) + 1):
        fits = [
            (sum(remainders[n] for n in chosen), chosen)
            for chosen in combinations(candidates, size)
            if sum(remainders[n] for n in chosen) >= need
        ]
        if fits:
            return list(min(fits)[1])
    return None


@pytest.mark.parametrize(
    ("part", "whole", "percent", "needed"),
    [
        (699, 1000, "70", 1),
        (700, 1000, "70", 0),
        (701, 1000, "70", 0),
        (0, 1001, "70", 701),  # 700.7 voxels are 701
        (999, 1000, "100", 1),
        (0, 8, "12.5", 1),
        (0, 9, "12.5", 2),  # 1.125
        (7 * 10**17, 10**18 + 1, "70", 1),  # no float decides
    ],
)
def test_what_is_needed_is_counted_in_whole_voxels(part: int, whole: int, percent: str, needed: int) -> None:
    """The least number of voxels after which part x 100 >= whole x percent."""
    assert voxels_needed(part, whole, Decimal(percent)) == needed


def test_of_equally_many_lesions_those_that_add_least_are_named() -> None:
    """Of 1000 voxels 600 are resectable; 100 more are needed: one lesion of 110 does, not that of 290."""
    assert shortest_way([290, 110, 0], part_voxels=600, whole_voxels=1000, percent=SEVENTY) == [1]


def test_of_equal_sets_the_first_lesions_are_named() -> None:
    """Any two of four equal lesions do; so would 50 + 150, which comes later."""
    assert shortest_way([50, 100, 100, 150, 100], part_voxels=500, whole_voxels=1000, percent=SEVENTY) == [
        0,
        3,
    ]
    assert shortest_way([100, 100, 100, 100, 100], part_voxels=500, whole_voxels=1000, percent=SEVENTY) == [
        0,
        1,
    ]


def test_a_reached_threshold_needs_no_lesion() -> None:
    """Exactly 70 % is reached, and so is 0 of 0."""
    assert shortest_way([300], part_voxels=700, whole_voxels=1000, percent=SEVENTY) == []
    assert shortest_way([], part_voxels=0, whole_voxels=0, percent=SEVENTY) == []


def test_out_of_reach_is_none() -> None:
    """Where all remainders together are one voxel short."""
    assert shortest_way([100, 99], part_voxels=500, whole_voxels=1000, percent=SEVENTY) is None
    assert shortest_way([100, 100], part_voxels=500, whole_voxels=1000, percent=SEVENTY) == [0, 1]


def test_lesions_that_add_nothing_are_never_named() -> None:
    """A resectable lesion has no remainder."""
    assert shortest_way([0, 0, 40], part_voxels=60, whole_voxels=100, percent=SEVENTY) == [2]


def test_a_negative_remainder_is_refused() -> None:
    """It would be a lesion that loses by becoming resectable."""
    with pytest.raises(ValueError, match="negative"):
        shortest_way([-1], part_voxels=0, whole_voxels=1, percent=SEVENTY)


def test_random_cases_agree_with_brute_force() -> None:
    """400 cases of up to 11 lesions, many ties among them; 12 cases of 15."""
    rng = np.random.default_rng(42)
    for case in range(412):
        count = 15 if case >= 400 else int(rng.integers(0, 12))
        largest = int(rng.choice([3, 12, 100, 100_000]))
        remainders = [int(n) for n in rng.integers(0, largest + 1, count)]
        part = int(rng.integers(0, 2 * largest + 1))
        whole = part + sum(remainders) + int(rng.integers(0, 2)) * int(rng.integers(0, largest + 1))
        percent = Decimal(str(rng.choice(["70", "50", "90", "99.9", "100"])))
        found = shortest_way(remainders, part_voxels=part, whole_voxels=whole, percent=percent)
        assert found == brute_force(remainders, part, whole, percent), (remainders, part, whole, percent)


@pytest.mark.parametrize("spread", ["skewed", "alike", "equal", "two sizes"])
def test_three_hundred_lesions_take_milliseconds(spread: str) -> None:
    """1 to 25 ms on two slow cores; ten times that is allowed, so that a busy machine does not fail it."""
    rng = np.random.default_rng(3)
    remainders = {
        "skewed": rng.lognormal(7, 1.3, 300).astype(int) + 1,
        "alike": rng.integers(9_000, 11_000, 300),
        "equal": np.full(300, 10_000),
        "two sizes": np.concatenate((rng.integers(100_000, 200_000, 40), rng.integers(50, 500, 260))),
    }[spread].tolist()
    started = time.process_time()
    way = shortest_way(remainders, part_voxels=0, whole_voxels=sum(remainders), percent=Decimal(50))
    assert time.process_time() - started < 0.25
    assert way is not None
    need = voxels_needed(0, sum(remainders), Decimal(50))
    largest_first = sorted(remainders, reverse=True)
    assert sum(largest_first[: len(way) - 1]) < need <= sum(remainders[n] for n in way)


def _with_overlaps(alone: list[int], shared: dict[tuple[int, ...], int], need: int) -> list[int] | None:
    """Try every set, as above, where some voxels need several lesions."""
    every = range(len(alone))
    for size in range(len(alone) + 1):
        fits = []
        for chosen in combinations(every, size):
            gain = sum(alone[n] for n in chosen)
            gain += sum(voxels for those, voxels in shared.items() if set(those) <= set(chosen))
            if gain >= need:
                fits.append((gain, list(chosen)))
        if fits:
            return min(fits)[1]
    return None


def test_overlapping_lesions_agree_with_brute_force() -> None:
    """Up to eight lesions, of which some pairs and threes keep voxels together."""
    rng = np.random.default_rng(12)
    outcomes = set()
    for _ in range(300):
        count = int(rng.integers(2, 9))
        alone = [int(v) for v in rng.integers(0, 30, count)]
        shared: dict[tuple[int, ...], int] = {}
        for _ in range(int(rng.integers(1, 4))):
            those = rng.choice(count, int(rng.integers(2, min(count, 3) + 1)), replace=False)
            shared[tuple(sorted(those.tolist()))] = int(rng.integers(1, 25))
        part, open_ = int(rng.integers(0, 60)), sum(alone) + sum(shared.values())
        whole = part + open_ + int(rng.integers(0, 40))
        found = shortest_way(
            alone, part_voxels=part, whole_voxels=whole, percent=SEVENTY, shared_voxels=shared
        )
        assert found == _with_overlaps(alone, shared, voxels_needed(part, whole, SEVENTY))
        outcomes.add(None if found is None else len(found))
    assert {None, 1, 2, 3} <= outcomes


def test_a_way_among_very_many_overlapping_lesions_reaches_the_threshold() -> None:
    """Fifteen lesions of 10 voxels, neighbours sharing 5 more: 220 in all, 154 needed."""
    shared: dict[tuple[int, ...], int] = {(n, n + 1): 5 for n in range(14)}
    found = shortest_way([10] * 15, part_voxels=0, whole_voxels=220, percent=SEVENTY, shared_voxels=shared)
    assert found is not None
    gain = 10 * len(found) + sum(v for those, v in shared.items() if set(those) <= set(found))
    assert gain >= 154


def test_of_many_lesions_of_one_size_the_first_are_taken() -> None:
    """Nine thousand specks of a voxel, 70 % of them: none can be exchanged for the better."""
    specks = [1] * 9000
    assert shortest_way(specks, part_voxels=0, whole_voxels=9000, percent=Decimal(70)) == list(range(6300))
