"""Surgical plans a second time: dense arrays, from the contract's sentences, sharing nothing with volstrat.

The sentences stand above the lines that follow them. The rule itself is `tests.oracle_rule`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from tests.oracle_rule import SLACK_MM, Oracle, OracleCase, worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Affine = NDArray[np.float64]

SHIFTS_MM = (-10.0, -5.0, 5.0, 10.0)


@dataclass(kw_only=True)
class OraclePlan:
    """A plan; margins are stated, lesions named by id."""

    segments: Sequence[str] = ()
    wedge: Sequence[tuple[str, float]] = ()
    ablate: Sequence[tuple[str, float]] = ()
    mask: Bools | None = None
    outside_liver: Mapping[str, str] = field(default_factory=dict)


def within(voxels: Bools, affine: Affine, distance_mm: float) -> Bools:
    """Voxels whose centre lies within a distance (and 0.001 mm) of a voxel centre of the set."""
    index = np.argwhere(np.ones(voxels.shape, dtype=bool)) @ affine[:3, :3].T
    nearest = np.full(len(index), np.inf)
    for centre in np.argwhere(voxels) @ affine[:3, :3].T:
        nearest = np.minimum(nearest, np.sqrt(((index - centre) ** 2).sum(axis=1)))
    found: Bools = (nearest <= distance_mm + SLACK_MM).reshape(voxels.shape)
    return found


def beside(voxels: Bools) -> Bools:
    """Return the set and its 26-neighbours."""
    grown = np.zeros(tuple(n + 2 for n in voxels.shape), dtype=bool)
    for step in product((0, 1, 2), repeat=3):
        grown[tuple(slice(s, s + n) for s, n in zip(step, voxels.shape, strict=True))] |= voxels
    return grown[1:-1, 1:-1, 1:-1]


def in_the_liver(lesions: Mapping[str, Bools], liver: Bools) -> set[str]:
    """Half the voxels lie in the liver mask united with the lesions that touch it."""
    whole = liver.copy()
    for lesion in lesions.values():
        if (beside(lesion) & liver).any():
            whole |= lesion
    return {i for i, lesion in lesions.items() if 2 * int((lesion & whole).sum()) >= int(lesion.sum())}


class PlanOracle(Oracle):
    """A case under a plan."""

    def __init__(
        self,
        case: OracleCase,
        plan: OraclePlan,
        *,
        liver: Bools,
        segments: Mapping[str, Bools],
        resected: Bools | None = None,
    ) -> None:
        self.plan, self.liver, self.segments = plan, liver, segments
        self.inside = in_the_liver(case.lesions, liver)
        # Segment voxels outside the liver mask are no part of a cut.
        nothing = np.zeros_like(liver)
        self.resected = resected if resected is not None else self._segments(plan.segments) & liver
        wedges = nothing.copy()
        for lesion, margin_mm in plan.wedge:  # wedges are clipped to the liver mask
            wedges |= within(case.lesions[lesion], case.affine, margin_mm) & liver
        self.cut = self.resected | wedges | (nothing if plan.mask is None else plan.mask)
        self.zones = nothing.copy()
        for lesion, margin_mm in plan.ablate:  # ablation zones are not
            self.zones |= within(case.lesions[lesion], case.affine, margin_mm)
        table = {
            i: (None if i in self.inside else word, avidity) for i, (word, avidity) in case.table.items()
        }
        for i, word in plan.outside_liver.items():
            if i not in self.inside:
                table[i] = (word, table.get(i, (None, None))[1])
        super().__init__(replace(case, table=table))

    def _segments(self, names: Sequence[str]) -> Bools:
        """Unite the named ones; a map with 4a and 4b answers to 4."""
        found = np.zeros_like(self.liver)
        for name, voxels in self.segments.items():
            if name in names or name.rstrip("ab") in names:
                found |= voxels
        return found

    def _own(self, lesion: str, voxel: tuple[int, ...]) -> str:
        """In the liver: in the cut resectable, else in a zone ablatable, else unresectable."""
        if lesion not in self.inside:
            return super()._own(lesion, voxel)
        if self.cut[voxel]:
            return "resectable"
        return "ablatable" if self.zones[voxel] else "unresectable"

    @property
    def cuts_through(self) -> list[str]:
        """Lesions of which some and not all voxels are cut."""
        lesions = self.case.lesions
        return [i for i in self.ids if (lesions[i] & self.cut).any() and not self.cut[lesions[i]].all()]

    @property
    def left_voxels(self) -> dict[str, int]:
        """What stays of each lesion, the unknown at its upper bound."""
        counts = {
            i: sum(n for word, n in self.lesion_counts[i].items() if not self.can_go(word)) for i in self.ids
        }
        return {i: n for i, n in counts.items() if n}

    @property
    def avid_words(self) -> list[str]:
        """Marking of everything that is avid."""
        avid = {i for i in self.ids if self.avidity[i] == "avid"}
        words = [worst(self._word(s) for s in sources) for sources in self._avid_groups(avid)]
        return words + [self.lesion_word[i] for i in self._must_be_whole(avid)]

    @property
    def flr(self) -> tuple[int, int]:
        """Remnant = liver - cut - ablation zones; both less the tumour."""
        tumour = np.logical_or.reduce(list(self.case.lesions.values()))
        remnant = self.liver & ~self.cut & ~self.zones
        return int((remnant & ~tumour).sum()), int((self.liver & ~tumour).sum())

    def shifted(self, mm: float) -> PlanOracle:
        """At +d the cut grows by retained voxels within d of a resected one; at -d the reverse."""
        every = self._segments(list(self.segments)) & self.liver
        retained = every & ~self.resected
        if mm > 0:
            resected = self.resected | (retained & within(self.resected, self.case.affine, mm))
        else:
            resected = self.resected & ~within(retained, self.case.affine, -mm)
        return PlanOracle(self.case, self.plan, liver=self.liver, segments=self.segments, resected=resected)


def search(
    case: OracleCase,
    *,
    liver: Bools,
    segments: Mapping[str, Bools],
    ablations: int,
    margin_mm: float,
    flr_percent: float,
) -> list[tuple[tuple[str, ...], tuple[str, ...], float, float]]:
    """Return every union, the largest remaining ones ablated, that reaches 70 % and takes all avid."""
    inside = in_the_liver(case.lesions, liver)
    # Lesions outside the liver keep their own marking; what nobody marked stays.
    plain = Oracle(case)
    stays = {i: "unresectable" for i in case.lesions if plain._own(i, plain.voxels[i][0]) == "unknown"}
    stays |= {p: "unresectable" for p in plain.pet_only if plain._word(("region", p)) == "unknown"}
    found = []
    for count in range(len(segments) + 1):
        for union in combinations(segments, count):
            resected = liver & np.logical_or.reduce([np.zeros_like(liver), *(segments[s] for s in union)])
            plan = OraclePlan(outside_liver=stays)
            bare = PlanOracle(case, plan, liver=liver, segments=segments, resected=resected)
            if bare.cuts_through:  # never one that cuts through tumour
                continue
            remaining = [i for i in bare.ids if i in inside and not bare.cut[case.lesions[i]].all()]
            largest = sorted(remaining, key=lambda i: -int(case.lesions[i].sum()))[:ablations]
            plan = replace(plan, ablate=[(i, margin_mm) for i in largest])
            done = PlanOracle(case, plan, liver=liver, segments=segments, resected=resected)
            part, whole = done.flr
            if not whole or not done.stratum_1 or 100 * part / whole < flr_percent:
                continue
            if all(done.can_go(word) for word in done.avid_words):
                found.append((union, tuple(largest), done.lower / done.total, 100 * part / whole))
    return found
