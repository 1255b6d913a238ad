"""Which lesion, PET-only region and row of one reading is which of another.

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
from volstrat.geometry.grid import TIE_MM, VoxelGrid
from volstrat.geometry.runs import LabelRuns, VoxelRuns, split_rows
from volstrat.terms.findings import Finding, finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from volstrat.rule.attribution import Attribution
    from volstrat.rule.measure import Measurements
    from volstrat.terms.marks import LesionRow

_HALF = 2
"""At least half, in integers: ``_HALF * common >= size``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPair:
    """One lesion, as A and B show it, by its labels; ``dice`` is 0 where the two are matched by distance."""

    a: int
    b: int
    matched_by: Literal["overlap", "distance"]
    dice: float
    centroid_distance_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionGroup:
    """One lesion in one reading that the other reading shows as several.

    ``split``: one lesion in A (``whole``, its label), several in B (``parts``, rising). ``merged``: several
    in A, one in B. The partner of ``whole`` is one of the parts.
    """

    kind: Literal["split", "merged"]
    whole: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionMatching:
    """How the lesions of two readings correspond, by label.

    Each lesion is in a pair, or is a part in a group (split ones first) without a pair of its own, or was
    seen once: the other reading does not have it.
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

    def links(self) -> list[tuple[int, int]]:
        """Return every two lesions that show the same disease, pairs first: positions, a label less one."""
        wholes = [(group.kind, group.whole - 1, part - 1) for group in self.groups for part in group.parts]
        grouped = [(whole, part) if kind == "split" else (part, whole) for kind, whole, part in wholes]
        return [(pair.a - 1, pair.b - 1) for pair in self.pairs] + grouped


@dataclass(frozen=True, slots=True)
class _Lesion:
    label: int
    runs: VoxelRuns
    voxels: int
    centroid_mm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A lesion of A and one of B that may be one."""

    lesions: tuple[_Lesion, _Lesion]
    common: int

    @property
    def dice(self) -> float:
        return 2 * self.common / (self.lesions[0].voxels + self.lesions[1].voxels)

    @property
    def distance_mm(self) -> float:
        return math.dist(self.lesions[0].centroid_mm, self.lesions[1].centroid_mm)

    @property
    def half_of_smaller(self) -> bool:
        return _HALF * self.common >= min(one.voxels for one in self.lesions)

    @property
    def tie_break(self) -> tuple[object, ...]:
        """Position, to 0.001 mm, and labels; the same with A and B swapped."""
        middle = (sum(xyz) / 2 for xyz in zip(*(one.centroid_mm for one in self.lesions), strict=True))
        return tuple(round(x / TIE_MM) for x in middle), sorted(one.label for one in self.lesions)

    def as_pair(self) -> LesionPair:
        return LesionPair(
            a=self.lesions[0].label,
            b=self.lesions[1].label,
            matched_by="overlap" if self.common else "distance",
            dice=self.dice,
            centroid_distance_mm=self.distance_mm,
        )


def match_lesions(a: LabelRuns, b: LabelRuns, grid: VoxelGrid, *, distance_mm: float) -> LesionMatching:
    """Match the lesions of two readings one to one; each label of ``a`` and ``b``, on ``grid``, is a lesion.

    Lesions of one reading may overlap. Those without overlap match where their centroids are no farther apart
    than ``distance_mm`` (0.001 mm slack), which is a `UsageError` where it is negative or not finite.
    """
    if not math.isfinite(distance_mm) or distance_mm < 0:
        msg = f"The distance within which lesions match must be 0 mm or above; got {distance_mm}."
        raise UsageError(msg)
    lesions = (_lesions(a, grid), _lesions(b, grid))
    # Of each reading: the pair that a lesion is in, and the other reading's lesion that it is a part of.
    paired: tuple[dict[int, _Candidate], dict[int, _Candidate]] = ({}, {})
    part_of: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def is_free(side: int, lesion: _Lesion) -> bool:
        return lesion.label not in paired[side] and lesion.label not in part_of[side]

    def settle(candidates: Iterable[_Candidate]) -> None:
        for pair in candidates:
            if is_free(0, pair.lesions[0]) and is_free(1, pair.lesions[1]):
                paired[0][pair.lesions[0].label] = paired[1][pair.lesions[1].label] = pair

    overlapping = sorted(_overlaps(*lesions), key=lambda pair: (-pair.dice, -pair.common, pair.tie_break))
    settle(pair for pair in overlapping if pair.half_of_smaller)
    for pair in sorted(overlapping, key=lambda pair: (-pair.common, pair.tie_break)):
        for side, (part, whole) in enumerate((pair.lesions, pair.lesions[::-1])):
            if part.label not in paired[side] and _HALF * pair.common >= part.voxels:
                part_of[side].setdefault(part.label, whole.label)
    settle(overlapping)
    free = [[one for one in lesions[side] if is_free(side, one)] for side in (0, 1)]
    near = [_Candidate((one, other), 0) for one in free[0] for other in free[1]]
    near = [pair for pair in near if pair.distance_mm <= distance_mm + TIE_MM]
    settle(sorted(near, key=lambda pair: (round(pair.distance_mm / TIE_MM), pair.tie_break)))

    only_in_a, only_in_b = (
        tuple(one.label for one in free[side] if one.label not in paired[side]) for side in (0, 1)
    )
    return LesionMatching(
        pairs=tuple(paired[0][label].as_pair() for label in sorted(paired[0])),
        groups=(
            *_groups(
                "split", part_of[1], {label: pair.lesions[1].label for label, pair in paired[0].items()}
            ),
            *_groups(
                "merged", part_of[0], {label: pair.lesions[0].label for label, pair in paired[1].items()}
            ),
        ),
        only_in_a=only_in_a,
        only_in_b=only_in_b,
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
    lesions = []
    for label, runs in labels.by_label().items():
        starts, stops, _ = split_rows(runs.starts, runs.stops, grid.shape[0])
        low, high = grid.unravel(starts), grid.unravel(stops - 1)
        twice = ((low + high) * (stops - starts)[:, None]).sum(axis=0)
        centroid = grid.to_mm(twice / (2 * runs.count))
        lesions.append(_Lesion(label, runs, runs.count, tuple(centroid.tolist())))
    return lesions


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
                found.append(_Candidate((x, y), common))
    return found


def match_readings(a: Measurements, b: Measurements, *, distance_mm: float) -> LesionMatching:
    """Match the lesions of two measured readings on one grid; labels are positions in ``ids``, plus one."""
    one, other = (LabelRuns(x.lesions.starts, x.lesions.stops, x.lesions.lesion + 1) for x in (a, b))
    return match_lesions(one, other, a.lesions.grid, distance_mm=distance_mm)


def match_regions(a: Measurements, b: Measurements, *, distance_mm: float) -> list[LesionPair]:
    """Match the PET-only regions of two readings as lesions are matched; ``a`` 1 is P1.

    On PET grids that differ centroids alone decide, and ``dice`` is 0.
    """
    here, there = a.attribution, b.attribution
    if here is None or there is None or not here.pet_only.count or not there.pet_only.count:
        return []
    found: dict[int, LesionPair] = {}
    for pair in _region_pairs(here, there, distance_mm):
        found.setdefault(pair.b, pair)
    return list(found.values())


def region_partners(here: Attribution, there: Attribution, *, distance_mm: float) -> dict[int, int]:
    """Return for each region of one reading the rank of the other's that shows the same, where one does."""
    return {pair.a - 1: pair.b - 1 for pair in _region_pairs(here, there, distance_mm)}


def _region_pairs(a: Attribution, b: Attribution, distance_mm: float) -> list[LesionPair]:
    """Pair the PET-only regions; on grids that differ several may have the same nearest one."""
    if a.grid.shape == b.grid.shape and np.array_equal(a.grid.affine, b.grid.affine):
        one, other = (
            LabelRuns.from_sets((n, VoxelRuns.from_indices(v)) for n, v in enumerate(x.each_alone(), start=1))
            for x in (a, b)
        )
        return list(match_lesions(one, other, a.grid, distance_mm=distance_mm).pairs)
    pairs = []
    for rank, centroid in enumerate(a.pet_only.measures.centroid_mm, start=1):
        apart = np.sqrt(((b.pet_only.measures.centroid_mm - centroid) ** 2).sum(axis=1))
        nearest = int(apart.argmin())
        if apart[nearest] <= distance_mm + TIE_MM:
            pair = LesionPair(
                a=rank,
                b=nearest + 1,
                matched_by="distance",
                dice=0.0,
                centroid_distance_mm=float(apart[nearest]),
            )
            pairs.append(pair)
    return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRow:
    """A row of both tables, alike in number and words, on lesions that do not match.

    ``number`` is the id that both tables give it, ``row`` what A says, ``in_a`` and ``in_b`` the positions of
    the lesions that it lies on, ``matched`` those of B that match the one in A: none where B does not have
    it.
    """

    number: str
    row: LesionRow
    in_a: int
    in_b: int
    matched: tuple[int, ...]


def moved_rows(a: Measurements, b: Measurements, matching: LesionMatching) -> tuple[MovedRow, ...]:
    """Return the rows of both tables, alike in number and words, that lie on lesions that do not match.

    Their numbers go by size, so that drawing one lesion otherwise moved the row: nobody marked differently.
    A row that both tables place by point or segment is where its reader put it. One whose lesions
    are each in one reading alone tells nothing.
    """
    partners: defaultdict[int, set[int]] = defaultdict(set)
    for one, other in matching.links():
        partners[one].add(other)
    matched_in_b = set().union(*partners.values())
    here, there = _by_number(a), _by_number(b)
    moved = []
    for number in sorted(here.keys() & there.keys()):
        (at, row), (to, same) = here[number], there[number]
        alike = (row.word, row.fdg_avidity) == (same.word, same.fdg_avidity)
        loose = _goes_by_number(row, a, at) or _goes_by_number(same, b, to)
        theirs = partners.get(at, set())
        if alike and loose and row.says_something and to not in theirs and (theirs or to in matched_in_b):
            moved.append(MovedRow(number=number, row=row, in_a=at, in_b=to, matched=tuple(sorted(theirs))))
    return tuple(moved)


def moved_row_findings(moved: tuple[MovedRow, ...], a: Measurements, b: Measurements) -> tuple[Finding, ...]:
    """Say which rows moved, from which lesion to which."""
    return tuple(
        finding(
            "row_moved",
            where=one.number,
            row=one.number,
            word=one.row.word or one.row.fdg_avidity,
            lesion_a=a.lesions.ids[one.in_a],
            lesion_b=b.lesions.ids[one.in_b],
            matched=(
                f"which is {' and '.join(b.lesions.ids[n] for n in one.matched)} in B"
                if one.matched
                else "which B does not have"
            ),
        )
        for one in moved
    )


def _by_number(measured: Measurements) -> Mapping[str, tuple[int, LesionRow]]:
    """Return where each row of the table lies, by the number that the table itself gives it."""
    places = {lesion_id: n for n, lesion_id in enumerate(measured.lesions.ids)}
    return {row.lesion_id: (places[i], row) for i, row in measured.rows.items() if i in places}


def _goes_by_number(row: LesionRow, measured: Measurements, lesion: int) -> bool:
    return row.point_mm is None and (not row.segment or measured.lesions.by_size[lesion])
