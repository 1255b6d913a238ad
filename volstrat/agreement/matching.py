"""Which lesion of one reading is which lesion of another.

Matching is one to one and greedy by falling Dice: the pair that overlaps best is settled first. Since both
lesions rank a pair by the same number, that is the one stable matching - no two lesions would rather
have each other than what they got - and a lesion in the lung cannot change how two in the liver pair up,
as it could where the sum over all pairs is maximised.

1. Pairs where at least half of the smaller lesion lies in the other, by falling Dice.
2. A lesion that is left, and of which at least half lies in a lesion that has its partner already, is a
   part of that lesion: one reader drew one lesion where the other drew several (`LesionGroup`).
3. Any other overlapping pair of what is left, by falling Dice.
4. Pairs of what is left whose centroids lie within the stated distance, nearest first.

What is left then was seen by one reader only: a difference in detection. Ties go to the pair with more
common voxels, then to its position in patient axes, then to the lower labels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.errors import UsageError
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import VoxelRuns, split_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import LabelRuns

    Point = tuple[float, float, float]

_HALF = 2
"""At least half, in integers: ``_HALF * common >= size``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPair:
    """One lesion, as reading A and reading B show it.

    Parameters
    ----------
    a, b : int
        Labels of the lesion in A and in B.
    matched_by : {"overlap", "distance"}
    dice : float
        0 where the two are matched by distance.
    centroid_distance_mm : float
    """

    a: int
    b: int
    matched_by: Literal["overlap", "distance"]
    dice: float
    centroid_distance_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionGroup:
    """One lesion in one reading that the other reading shows as several.

    Parameters
    ----------
    kind : {"split", "merged"}
        ``split``: one lesion in A, several in B. ``merged``: several in A, one in B.
    whole : int
        Label of the one lesion: in A if split, in B if merged.
    parts : tuple of int
        Labels of the several, rising: in B if split, in A if merged. The partner of ``whole`` is one of them.
    """

    kind: Literal["split", "merged"]
    whole: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionMatching:
    """How the lesions of two readings correspond.

    Each lesion is in a pair, or is a part in a group without a pair of its own, or was seen once.

    Parameters
    ----------
    pairs : tuple of LesionPair
        By label in A.
    groups : tuple of LesionGroup
        Split lesions, then merged ones, by label.
    only_in_a, only_in_b : tuple of int
        Lesions that the other reading does not have, rising.
    """

    pairs: tuple[LesionPair, ...]
    groups: tuple[LesionGroup, ...]
    only_in_a: tuple[int, ...]
    only_in_b: tuple[int, ...]

    @property
    def detection_f1(self) -> float | None:
        """``2 pairs / (2 pairs + lesions seen once)``; None where neither reading has a lesion.

        Parts of split and merged lesions do not count: the disease was seen by both.
        """
        seen = 2 * len(self.pairs) + len(self.only_in_a) + len(self.only_in_b)
        return 2 * len(self.pairs) / seen if seen else None


@dataclass(frozen=True, slots=True)
class _Lesion:
    """A lesion of one reading."""

    label: int
    runs: VoxelRuns
    voxels: int
    centroid_mm: Point


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Two lesions that may be one."""

    a: _Lesion
    b: _Lesion
    common: int

    @property
    def dice(self) -> float:
        return 2 * self.common / (self.a.voxels + self.b.voxels)

    @property
    def distance_mm(self) -> float:
        return math.dist(self.a.centroid_mm, self.b.centroid_mm)

    @property
    def half_of_smaller(self) -> bool:
        return _HALF * self.common >= min(self.a.voxels, self.b.voxels)

    @property
    def tie_break(self) -> tuple[object, ...]:
        """Position, to 0.001 mm, and labels; the same with A and B swapped."""
        middle = (sum(xyz) / 2 for xyz in zip(self.a.centroid_mm, self.b.centroid_mm, strict=True))
        position = tuple(round(x / TIE_MM) for x in middle)
        return (position, sorted((self.a.label, self.b.label)))

    @property
    def by_overlap(self) -> tuple[object, ...]:
        return (-self.dice, -self.common, self.tie_break)

    @property
    def by_distance(self) -> tuple[object, ...]:
        return (round(self.distance_mm / TIE_MM), self.tie_break)


def match_lesions(a: LabelRuns, b: LabelRuns, grid: VoxelGrid, *, distance_mm: float) -> LesionMatching:
    """Match the lesions of two readings one to one.

    Parameters
    ----------
    a, b : LabelRuns
        Each label is a lesion; both on ``grid``. Lesions of one reading may overlap.
    grid : VoxelGrid
    distance_mm : float
        Lesions without overlap match where their centroids are no farther apart (0.001 mm slack).

    Raises
    ------
    UsageError
        If the distance is negative or not finite.
    """
    if not math.isfinite(distance_mm) or distance_mm < 0:
        msg = f"The distance within which lesions match must be 0 mm or above; got {distance_mm}."
        raise UsageError(msg)
    in_a, in_b = _lesions(a, grid), _lesions(b, grid)
    overlapping = sorted(_overlaps(in_a, in_b), key=lambda pair: pair.by_overlap)
    partner_of_a: dict[int, _Candidate] = {}
    partner_of_b: dict[int, _Candidate] = {}
    part_of_a: dict[int, int] = {}  # label in B -> the lesion of A that it is a part of
    part_of_b: dict[int, int] = {}

    def settle(candidates: Iterable[_Candidate], accepts: Callable[[_Candidate], bool]) -> None:
        for pair in candidates:
            free_a = pair.a.label not in partner_of_a and pair.a.label not in part_of_b
            free_b = pair.b.label not in partner_of_b and pair.b.label not in part_of_a
            if free_a and free_b and accepts(pair):
                partner_of_a[pair.a.label] = partner_of_b[pair.b.label] = pair

    settle(overlapping, lambda pair: pair.half_of_smaller)
    for pair in sorted(overlapping, key=lambda pair: (-pair.common, pair.tie_break)):
        a_label, b_label = pair.a.label, pair.b.label
        if b_label not in partner_of_b and _HALF * pair.common >= pair.b.voxels:
            part_of_a.setdefault(b_label, a_label)
        if a_label not in partner_of_a and _HALF * pair.common >= pair.a.voxels:
            part_of_b.setdefault(a_label, b_label)
    settle(overlapping, lambda _: True)
    free_a = [x for x in in_a if x.label not in partner_of_a and x.label not in part_of_b]
    free_b = [x for x in in_b if x.label not in partner_of_b and x.label not in part_of_a]
    near = [_Candidate(x, y, 0) for x in free_a for y in free_b]
    near = [pair for pair in near if pair.distance_mm <= distance_mm + TIE_MM]
    settle(sorted(near, key=lambda pair: pair.by_distance), lambda _: True)

    return LesionMatching(
        pairs=tuple(_pair(partner_of_a[label]) for label in sorted(partner_of_a)),
        groups=(
            *_groups("split", part_of_a, {label: pair.b.label for label, pair in partner_of_a.items()}),
            *_groups("merged", part_of_b, {label: pair.a.label for label, pair in partner_of_b.items()}),
        ),
        only_in_a=tuple(x.label for x in free_a if x.label not in partner_of_a),
        only_in_b=tuple(x.label for x in free_b if x.label not in partner_of_b),
    )


def _pair(found: _Candidate) -> LesionPair:
    return LesionPair(
        a=found.a.label,
        b=found.b.label,
        matched_by="overlap" if found.common else "distance",
        dice=found.dice,
        centroid_distance_mm=found.distance_mm,
    )


def _groups(
    kind: Literal["split", "merged"], part_of: dict[int, int], partner: dict[int, int]
) -> list[LesionGroup]:
    parts = defaultdict(list)
    for part, whole in part_of.items():
        parts[whole].append(part)
    return [
        LesionGroup(kind=kind, whole=whole, parts=tuple(sorted([partner[whole], *parts[whole]])))
        for whole in sorted(parts)
    ]


def _lesions(labels: LabelRuns, grid: VoxelGrid) -> list[_Lesion]:
    """Lesions by rising label, with their voxels and centroids."""
    order = np.argsort(labels.labels, kind="stable")
    sorted_labels = labels.labels[order]
    cuts = np.flatnonzero(np.diff(sorted_labels)) + 1
    lesions = []
    for chosen in np.split(order, cuts) if order.size else []:
        runs = VoxelRuns.from_intervals(labels.starts[chosen], labels.stops[chosen])
        label = int(labels.labels[chosen[0]])
        lesions.append(_Lesion(label, runs, runs.count, _centroid_mm(runs, grid)))
    return lesions


def _centroid_mm(runs: VoxelRuns, grid: VoxelGrid) -> Point:
    starts, stops, _ = split_rows(runs.starts, runs.stops, grid.shape[0])
    low, high = grid.unravel(starts), grid.unravel(stops - 1)
    twice = ((low + high) * (stops - starts)[:, None]).sum(axis=0)
    x, y, z = grid.to_mm(twice / (2 * runs.count))
    return float(x), float(y), float(z)


def _overlaps(in_a: list[_Lesion], in_b: list[_Lesion]) -> list[_Candidate]:
    """Every pair of lesions with a common voxel."""
    found = []
    first = np.array([y.runs.starts[0] for y in in_b], dtype=np.int64)
    last = np.array([y.runs.stops[-1] for y in in_b], dtype=np.int64)
    for x in in_a:
        reach = (first < x.runs.stops[-1]) & (last > x.runs.starts[0])
        for at in np.flatnonzero(reach):
            y = in_b[int(at)]
            common = int(y.runs.counts_in(x.runs.starts, x.runs.stops).sum())
            if common:
                found.append(_Candidate(x, y, common))
    return found
