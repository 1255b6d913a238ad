"""Why two readings of one image come to different strata: one ingredient swapped at a time.

The ingredients are *detection* (which lesions are there), *contour* (their voxels), *marking* (what can be
resected), *avidity* (PET, avid mask or rule, avidity words) and *protocol* (all of it but the avidity rule).
Where the readings rest on different surgical plans, these mark the lesions, and *plan* stands in the place of
*marking*. Where a row of both tables lies on different lesions, since numbers went by size, that is
*row_moved*: the words of these lesions are nobody's other marking.
`volstrat.agreement.hybrid` says what a reading with some ingredients of the other one is.

An ingredient, or a set of them, *carries* the difference where it does so both ways: put into A it makes
A's outcome B's, and put into B it makes B's outcome A's. The smallest such sets are reported; all ingredients
together always do. The outcome compared is the stratum where that differs; else what the two predicates say;
else the counts behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import numpy as np

from volstrat.agreement.hybrid import Choice, HybridMaker, region_words_differ
from volstrat.agreement.matching import LesionMatching, match_readings
from volstrat.geometry.grid import TIE_MM, VoxelGrid
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.stratify import Assessment, Predicate, assess

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from volstrat.geometry.image import Image
    from volstrat.rule.measure import Avid, Measurements
    from volstrat.terms.outcomes import Stratum
    from volstrat.terms.protocol import Protocol

_OnGrid = TypeVar("_OnGrid", "Avid", "Image")

Ingredient = Literal["detection", "contour", "row_moved", "marking", "plan", "avidity", "protocol"]
INGREDIENTS: tuple[Ingredient, ...] = get_args(Ingredient)
Level = Literal["stratum", "predicates", "counts"]
LEVELS: tuple[Level, ...] = get_args(Level)

_OUTSIDE_PROTOCOL = {
    "id", "version", "avidity", "review", "naming", "volume_error", "boundary_shift_mm", "remnant",
}  # fmt: skip
"""Fields that no stratum depends on, and the avidity rule, which is an ingredient of its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """One reading of an image, measured under its protocol.

    ``under_other`` is measured under the other reading's protocol, but with the avidity rule of this one;
    ``measured`` itself where nothing else differs.
    """

    protocol: Protocol
    measured: Measurements
    under_other: Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the rule says of a reading or a hybrid.

    ``counts`` are part, upper bound of part, and whole of both predicates, or their percentages where
    PET-only volume counts into the total.
    """

    stratum: Stratum | None
    stratum_1_holds: bool | None
    stratum_2_holds: bool | None
    stratum_1_percent: float | None
    stratum_2_percent: float | None
    counts: tuple[float | None, ...]

    @classmethod
    def of(cls, assessment: Assessment) -> Outcome:
        """Return what matters of an assessment."""
        first, second = assessment.stratum_1, assessment.stratum_2
        return cls(
            stratum=assessment.stratum,
            stratum_1_holds=first.holds,
            stratum_2_holds=second.holds,
            stratum_1_percent=first.percent,
            stratum_2_percent=second.percent,
            counts=(*_counts(first), *_counts(second)),
        )

    def at(self, level: Level) -> Hashable:
        """Return what is compared at a level."""
        if level == "stratum":
            return self.stratum
        if level == "predicates":
            return self.stratum, self.stratum_1_holds, self.stratum_2_holds
        return self


def _counts(predicate: Predicate) -> tuple[float | None, ...]:
    if predicate.whole_voxels is None:
        return predicate.percent_lower, predicate.percent_upper
    return predicate.part_voxels, predicate.part_voxels_upper, predicate.whole_voxels


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The outcome of each reading with one ingredient of the other."""

    ingredient: Ingredient
    a_with_that_of_b: Outcome
    b_with_that_of_a: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """How two readings differ, and what carries it.

    ``level`` is the gravest at which they differ, ``differing`` what is not the same in both, whether it
    matters or not, ``swaps`` the outcomes with each of these. ``carried_by`` are the smallest sets of
    ingredients that carry the difference both ways; usually one. At the level of counts, where no single
    ingredient does: all that change a count.
    """

    a: Outcome
    b: Outcome
    level: Level | None
    differing: tuple[Ingredient, ...]
    carried_by: tuple[tuple[Ingredient, ...], ...]
    swaps: tuple[Swap, ...]

    @property
    def attributed_to(self) -> str | None:
        """The ingredients that carry the difference, joined by ``+``; None where there is no difference."""
        return joined(self.carried_by)


def joined(groups: Iterable[Iterable[Ingredient]]) -> str | None:
    """Return the ingredients of sets, each once, joined by ``+``; None without any."""
    named = {ingredient for group in groups for ingredient in group}
    return "+".join(i for i in INGREDIENTS if i in named) or None


class TwoReadings:
    """Two readings of one image, on one grid.

    Lesions without overlap match where their centroids lie within ``distance_mm``. ``plans_differ``: they
    rest on different surgical plans, or one on none.
    """

    def __init__(self, a: Reading, b: Reading, *, distance_mm: float, plans_differ: bool = False) -> None:
        self._a, self._b = a, b
        self._plans_differ = plans_differ
        self._distance_mm = distance_mm
        self._one_protocol = same_rule(a.protocol, b.protocol)
        self._makers: dict[int, HybridMaker] = {}
        self._outcomes: dict[Choice, Outcome] = {}

    @cached_property
    def matching(self) -> LesionMatching:
        """How the lesions correspond, each reading under its own protocol."""
        if self._one_protocol:
            return self._maker(0).matching
        return match_readings(self._a.measured, self._b.measured, distance_mm=self._distance_mm)

    def _maker(self, protocol: int) -> HybridMaker:
        if protocol not in self._makers:
            a, b = self._a, self._b
            readings = (a.under_other, b.measured) if protocol else (a.measured, b.under_other)
            self._makers[protocol] = HybridMaker(
                readings,
                (a.protocol, b.protocol),
                protocol=(a, b)[protocol].protocol,
                distance_mm=self._distance_mm,
                plans_differ=self._plans_differ,
            )
        return self._makers[protocol]

    def outcome(self, choice: Choice) -> Outcome:
        """Return what the rule says with each ingredient from the reading that ``choice`` names."""
        if self._one_protocol:
            choice = choice._replace(protocol=0)
        if choice not in self._outcomes:
            rule = (self._a, self._b)[choice.protocol].protocol
            self._outcomes[choice] = Outcome.of(assess(self._maker(choice.protocol).make(choice), rule))
        return self._outcomes[choice]

    def discordance(self) -> Discordance:
        """Say how the readings differ, and which ingredients carry it."""
        a, b = self.outcome(Choice.of(0)), self.outcome(Choice.of(1))
        level = next((level for level in LEVELS if a.at(level) != b.at(level)), None)
        differing = self.differing()
        swaps = tuple(
            Swap(
                ingredient=ingredient,
                a_with_that_of_b=self.outcome(Choice.of(0, but=[ingredient])),
                b_with_that_of_a=self.outcome(Choice.of(1, but=[ingredient])),
            )
            for ingredient in differing
        )
        return Discordance(
            a=a,
            b=b,
            level=level,
            differing=differing,
            carried_by=() if level is None else self._carriers(a, b, level, differing, swaps),
            swaps=swaps,
        )

    def _carriers(
        self, a: Outcome, b: Outcome, level: Level, differing: tuple[Ingredient, ...], swaps: tuple[Swap, ...]
    ) -> tuple[tuple[Ingredient, ...], ...]:
        most = 1 if level == "counts" else len(differing)
        for size in range(1, most + 1):
            found = tuple(
                group
                for group in combinations(differing, size)
                if self.outcome(Choice.of(0, but=group)).at(level) == b.at(level)
                and self.outcome(Choice.of(1, but=group)).at(level) == a.at(level)
            )
            if found:
                return found
        return (tuple(s.ingredient for s in swaps if s.a_with_that_of_b != a or s.b_with_that_of_a != b),)

    def differing(self) -> tuple[Ingredient, ...]:
        """Return the ingredients that are not the same in both readings."""
        maker = self._maker(0)
        matching, clusters = maker.matching, maker.clusters
        differs: dict[Ingredient, bool] = {
            "detection": bool(matching.only_in_a or matching.only_in_b),
            "contour": not all(c.same_contour for c in clusters),
            "row_moved": maker.moved_words_differ(),
            "marking": not self._plans_differ
            and (
                not all(c.same_marking or c.row_moved for c in clusters)
                or region_words_differ((self._a.measured, self._b.measured), "resectability")
            ),
            "plan": self._plans_differ,
            "avidity": self._avidity_differs(maker),
            "protocol": not self._one_protocol,
        }
        return tuple(i for i in INGREDIENTS if differs[i])

    def _avidity_differs(self, maker: HybridMaker) -> bool:
        a, b = self._a, self._b
        if replace(a.protocol.avidity, also_check=()) != replace(b.protocol.avidity, also_check=()):
            return True
        if maker.avidity_words_differ():
            return True
        one, other = a.measured.masks, b.measured.masks
        return not (
            _alike(one.avid, other.avid, lambda x, y: x.voxels.same_as(y.voxels))
            and _same_field(one.pet_field, other.pet_field)
            and _same_field(one.avid_field, other.avid_field)
            and (
                not a.protocol.avidity.needs_suv
                or _alike(one.suv, other.suv, lambda x, y: np.array_equal(x.values, y.values))
            )
        )


def same_rule(a: Protocol, b: Protocol) -> bool:
    """Tell whether two protocols are the same but for the avidity rule and what no stratum depends on."""
    names = [f.name for f in fields(a) if f.name not in _OUTSIDE_PROTOCOL]
    return all(getattr(a, name) == getattr(b, name) for name in names)


def _same_grid(a: VoxelGrid, b: VoxelGrid) -> bool:
    return a.shape == b.shape and a.corner_displacement_mm(b) <= TIE_MM


def _same_field(a: VoxelGrid | None, b: VoxelGrid | None) -> bool:
    return a is b if a is None or b is None else _same_grid(a, b)


def _alike(a: _OnGrid | None, b: _OnGrid | None, same: Callable[[_OnGrid, _OnGrid], bool]) -> bool:
    """Tell whether two things on grids are the same, or neither is there."""
    return a is b if a is None or b is None else _same_grid(a.grid, b.grid) and same(a, b)


def voxels_not_alike(a: Measurements, b: Measurements, *, protocols: tuple[Protocol, Protocol]) -> VoxelRuns:
    """Return the voxels that two readings do not count alike: what is at stake between them.

    A voxel is counted alike where both call it resectable tumour, other tumour, or no tumour.
    Overlapping lesions and unknown markings count as in the stratum 1 predicate.
    """
    sets = []
    for measured, protocol in zip((a, b), protocols, strict=True):
        resectable = measured.marked.voxels_marked(*protocol.counted)
        whole = measured.lesions.voxels()
        sets.append((whole, resectable, whole.difference(resectable)))
    (whole_a, in_a, out_a), (whole_b, in_b, out_b) = sets
    alike = in_a.intersection(in_b).union(out_a.intersection(out_b))
    return whole_a.union(whole_b).difference(alike)
