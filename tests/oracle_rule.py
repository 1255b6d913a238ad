"""The rule of docs/rule.md, written a second time: dense arrays, voxel by voxel, nothing clever.

A second opinion for the tests. It was written from the contract's sentences, shares no code with
volstrat, and decides "every combination of the unknown markings and avidities" by trying them all.
Sentences of the contract stand above the lines that follow them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Affine = NDArray[np.float64]

SLACK_MM = 0.001
WORST_FIRST = ("unresectable", "unknown", "ablatable", "resectable")
Voxel = tuple[int, ...]
Source = tuple[str, Any]
"""Where an avid voxel's marking comes from: ("lesion", id), ("region", id) or ("nearest", voxels)."""


@dataclass(kw_only=True)
class OracleCase:
    """A case as dense arrays indexed [i, j, k] and affines (index to LPS mm)."""

    affine: Affine
    lesions: Mapping[str, Bools]
    resectable: Bools | None = None
    table: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    avid: Bools | None = None
    avid_affine: Affine | None = None
    field_shape: tuple[int, int, int] | None = None
    field_affine: Affine | None = None
    distance_mm: float = 10.0
    whole_lesion_percent: Fraction = Fraction(95)
    stratum_1_percent: Fraction = Fraction(70)
    ablation_counts: bool = True
    belongs_to: Mapping[str, str] = field(default_factory=dict)


def worst(words: Iterable[str]) -> str:
    """Order: unresectable, unknown, ablatable, resectable."""
    return min(words, key=WORST_FIRST.index)


def millimetres(affine: Affine, index: Voxel) -> NDArray[np.float64]:
    """Centre of one voxel."""
    centre: NDArray[np.float64] = affine[:3, :3] @ np.array(index, dtype=float) + affine[:3, 3]
    return centre


def voxel_holding(point: NDArray[np.float64], affine: Affine, shape: Voxel) -> Voxel | None:
    """Return the voxel a point lies in, or None beyond the outer faces.

    A centre within 0.001 mm of a face between two voxels belongs to the one on the higher side in
    patient axes: along an axis of the grid, the way in which its largest LPS component rises.
    """
    index = np.linalg.solve(affine[:3, :3], point - affine[:3, 3])
    found = []
    for axis in range(3):
        spacing = float(np.linalg.norm(affine[:3, axis]))
        away_mm = index[axis] * spacing
        if away_mm < -0.5 * spacing - SLACK_MM or away_mm > (shape[axis] - 0.5) * spacing + SLACK_MM:
            return None
        near = [n for n in range(shape[axis]) if abs(away_mm - n * spacing) <= 0.5 * spacing + SLACK_MM]
        found.append(max(near) if points_upward(affine[:3, axis] / spacing) else min(near))
    return tuple(found)


def points_upward(direction: NDArray[np.float64]) -> bool:
    """Tell whether a grid axis rises in the patient axis that it lies closest to."""
    return bool(direction[int(np.argmax(np.round(np.abs(direction), 4)))] > 0)


def regions_of(avid: Bools) -> list[list[Voxel]]:
    """26-connected regions by flood fill."""
    left = {tuple(int(x) for x in v) for v in np.argwhere(avid)}
    found = []
    while left:
        seed = left.pop()
        region, front = [seed], [seed]
        while front:
            i, j, k = front.pop()
            for a, b, c in product((-1, 0, 1), repeat=3):
                beside = (i + a, j + b, k + c)
                if beside in left:
                    left.remove(beside)
                    region.append(beside)
                    front.append(beside)
        found.append(region)
    return found


class Oracle:
    """The rule applied to a case; results are plain attributes."""

    def __init__(self, case: OracleCase) -> None:
        self.case = case
        self.ids = sorted(case.lesions, key=lambda name: int(name[1:]))
        self.tumour = [i for i in self.ids if case.table.get(i, (None, None))[0] != "not_tumour"]
        self._mark()
        self._stratum_1_counts()
        self.regions = regions_of(case.avid) if case.avid is not None else []
        self.pet_only: dict[str, list[Voxel]] = {}
        self.near: dict[str, tuple[str, float]] = {}
        self.sources: dict[Voxel, list[Source]] = {}
        self.belongs: dict[Voxel, list[str]] = {}
        self.reviews: set[tuple[str, int]] = set()
        self.avid_tumour_voxels = 0
        if case.avid is not None:
            self._attribute()
        self._avidity()
        self._stratum_2()
        self._stratum()

    # --- markings -----------------------------------------------------------------------------

    def _own(self, lesion: str, voxel: Voxel) -> str:
        """Say a voxel's marking: the table stands; else the mask (inside or outside it); else unknown."""
        told = self.case.table.get(lesion, (None, None))[0]
        if told is not None:
            return told
        if self.case.resectable is None:
            return "unknown"
        return "resectable" if self.case.resectable[voxel] else "unresectable"

    def _mark(self) -> None:
        self.voxels = {i: [tuple(map(int, v)) for v in np.argwhere(self.case.lesions[i])] for i in self.ids}
        self.held_by: dict[Voxel, list[str]] = {}
        for i in self.tumour:  # `not_tumour`: the lesion leaves the total.
            for v in self.voxels[i]:
                self.held_by.setdefault(v, []).append(i)
        # A voxel in several lesions counts once and takes the worst marking.
        self.voxel_word = {v: worst(self._own(i, v) for i in held) for v, held in self.held_by.items()}
        self.lesion_word: dict[str, str] = {}
        self.lesion_counts: dict[str, dict[str, int]] = {}
        for i in self.ids:
            if i not in self.tumour:
                self.lesion_word[i] = "not_tumour"
                self.lesion_counts[i] = dict.fromkeys(WORST_FIRST, 0)
                continue
            own = [self._own(i, v) for v in self.voxels[i]]
            self.lesion_word[i] = "partial"
            for word in WORST_FIRST:
                # Whole: one marking on at least whole_lesion_percent of its voxels (its own marking).
                if own.count(word) * 100 >= len(own) * self.case.whole_lesion_percent:
                    self.lesion_word[i] = word
                    break
            by_worst = [self.voxel_word[v] for v in self.voxels[i]]
            self.lesion_counts[i] = {word: by_worst.count(word) for word in WORST_FIRST}

    def can_go(self, word: str) -> bool:
        """Ablatable counts as resectable unless the protocol says otherwise."""
        return word == "resectable" or (word == "ablatable" and self.case.ablation_counts)

    def _stratum_1_counts(self) -> None:
        words = list(self.voxel_word.values())
        self.total = len(words)
        self.lower = sum(self.can_go(w) for w in words)
        self.upper = self.lower + words.count("unknown")
        self.stratum_1: bool | None = None
        if words:
            low = self.lower * 100 >= self.total * self.case.stratum_1_percent
            high = self.upper * 100 >= self.total * self.case.stratum_1_percent
            self.stratum_1 = True if low else None if high else False

    # --- attribution --------------------------------------------------------------------------

    def _attribute(self) -> None:
        case = self.case
        assert case.avid is not None
        assert case.avid_affine is not None
        everything = [(i, v) for i in self.ids for v in self.voxels[i]]
        points = np.array([millimetres(case.affine, v) for _, v in everything]).reshape(-1, 3)
        holds: dict[Voxel, set[str]] = {}
        lying_in: dict[Voxel, Voxel] = {}
        for (i, v), point in zip(everything, points, strict=True):
            at = voxel_holding(point, case.avid_affine, case.avid.shape)
            if at is not None and case.avid[at]:
                holds.setdefault(at, set()).add(i)
                lying_in[v] = at
        alone = []
        self._reach: dict[Voxel, float] = {}
        # Half a PET-voxel diagonal plus half a tumour-voxel diagonal.
        touch = sum(float(np.linalg.norm(np.linalg.norm(a[:3, :3], axis=0))) / 2 for a in self._affines())
        self._uptake: dict[str, list[Voxel]] = {}
        for region in self.regions:
            far = {v: self._distances(v, points) for v in region}
            self._reach.update({v: float(d.min()) if d.size else np.inf for v, d in far.items()})
            # A region that holds tumour, or touches it, is attributed.
            if any(v in holds for v in region) or min(self._reach[v] for v in region) <= touch + SLACK_MM:
                self._attribute_region(region, far, holds, everything)
            else:
                alone.append(region)
        self._name_pet_only(alone, everything, points)
        kept = self._kept_holders(holds)
        self.avid_tumour_voxels = sum(
            1 for v, at in lying_in.items() if any(i in kept.get(at, ()) for i in self.held_by.get(v, ()))
        )

    def _affines(self) -> tuple[Affine, Affine]:
        assert self.case.avid_affine is not None
        return self.case.affine, self.case.avid_affine

    def _distances(self, voxel: Voxel, points: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self.case.avid_affine is not None
        centre = millimetres(self.case.avid_affine, voxel)
        distance: NDArray[np.float64] = np.sqrt(((points - centre) ** 2).sum(axis=1))
        return distance

    def _attribute_region(
        self,
        region: list[Voxel],
        far: Mapping[Voxel, NDArray[np.float64]],
        holds: Mapping[Voxel, set[str]],
        everything: list[tuple[str, Voxel]],
    ) -> None:
        held = {i for v in region for i in holds.get(v, ())}
        for v in region:
            if v in holds:  # Its voxels that hold tumour belong to the lesions they hold.
                owners = sorted(holds[v], key=self.ids.index)
                chosen = [(i, self._source(i, far[v], everything)) for i in owners]
            else:
                # Spill goes to the nearest of the lesions that the region holds; a region that holds
                # none goes voxel by voxel to the nearest tumour voxel.
                among = held or set(self.ids)
                least = min(d for d, (i, _) in zip(far[v], everything, strict=True) if i in among)
                near = {
                    i
                    for d, (i, _) in zip(far[v], everything, strict=True)
                    if i in among and d <= least + SLACK_MM
                }
                candidates = [(i, self._source(i, far[v], everything)) for i in near]
                # Ties: tumour before what is none, worst marking, then lower lesion id.
                chosen = [min(candidates, key=self._tie_rank)]
            # Not tumour: what belongs to such a lesion alone becomes a PET-only region of its own.
            if not any(i in self.tumour for i, _ in chosen):
                owner = min((i for i, _ in chosen), key=self.ids.index)
                if self.case.table[owner][1] != "not_avid":
                    self._uptake.setdefault(owner, []).append(v)
            # `not_avid` in the table removes its voxels.
            chosen = [
                c
                for c in chosen
                if c[0] in self.tumour and self.case.table.get(c[0], (None, None))[1] != "not_avid"
            ]
            self.belongs[v] = [i for i, _ in chosen]
            self.sources[v] = [source for _, source in chosen]
        self._review(region)

    def _tie_rank(self, candidate: tuple[str, Source]) -> tuple[bool, int, int]:
        lesion, source = candidate
        if lesion not in self.tumour:
            return (True, 0, self.ids.index(lesion))
        return (False, WORST_FIRST.index(self._word(source)), self.ids.index(lesion))

    def _source(
        self, lesion: str, distance: NDArray[np.float64], everything: list[tuple[str, Voxel]]
    ) -> Source:
        """Whole lesion: the lesion's marking; else that of the nearest voxel of the lesion."""
        if self.lesion_word[lesion] != "partial":
            return ("lesion", lesion)
        mine = [(d, v) for d, (i, v) in zip(distance, everything, strict=True) if i == lesion]
        least = min(d for d, _ in mine)
        return ("nearest", tuple(v for d, v in mine if d <= least + SLACK_MM))

    def _review(self, region: list[Voxel]) -> None:
        left = [v for v in region if self.belongs[v]]
        if not left:
            return
        where = min(self.ids.index(i) for v in left for i in self.belongs[v])
        words = {self._word(s) for v in left for s in self.sources[v]}
        if len(words) > 1:
            self.reviews.add(("differently", where))
        if any(self.lesion_word[i] == "partial" for v in left for i in self.belongs[v]):
            self.reviews.add(("partly", where))
        if any(self._reach[v] > 2 * self.case.distance_mm + SLACK_MM for v in left):
            self.reviews.add(("far", where))

    def word_of(self, region: str) -> str:
        """Return the marking of a PET-only region."""
        return self._word(("region", region))

    def _word(self, source: Source, guess: Mapping[Source, str] | None = None) -> str:
        """Say the marking of a source, with a guess in place of what is unknown."""
        guess = guess or {}
        kind, what = source
        if kind == "nearest":  # voxels take the worst marking where lesions overlap
            return worst(guess.get(("lesion", i), self._own(i, v)) for v in what for i in self.held_by[v])
        if kind == "region" and what in self.case.belongs_to:  # It takes the lesion's marking.
            lesion = self.case.belongs_to[what]
            if lesion in self.tumour and self.lesion_word[lesion] == "partial":
                return worst(self._word(("nearest", (v,)), guess) for v in self.voxels[lesion])
            if lesion in self.tumour:
                return self._word(("lesion", lesion), guess)
        if source in guess:
            return guess[source]
        if kind == "lesion":
            return self.lesion_word[what]
        return self.case.table.get(what, (None, None))[0] or "unknown"

    def _name_pet_only(
        self,
        alone: list[list[Voxel]],
        everything: list[tuple[str, Voxel]],
        points: NDArray[np.float64],
    ) -> None:
        """P1, P2, ... by falling volume, ties by position: centroid LPS x, then y, then z.

        The uptake of lesions that are no tumour comes after them, in the order of those lesions.
        """
        affine = self.case.avid_affine
        assert affine is not None

        def rank(region: list[Voxel]) -> tuple[float, ...]:
            centroid = np.mean([millimetres(affine, v) for v in region], axis=0)
            return (-len(region), *(round(float(x), 4) for x in centroid))

        uptake = [self._uptake[i] for i in self.ids if i in self._uptake]
        for n, region in enumerate([*sorted(alone, key=rank), *uptake]):
            name = f"P{n + 1}"
            self.pet_only[name] = region
            self._say_near(name, region, everything, points)
            dismissed = self.case.table.get(name, (None, None))[1] == "not_avid"
            for v in region:
                self.belongs[v] = []
                self.sources[v] = [] if dismissed else [("region", name)]

    def _say_near(
        self,
        name: str,
        region: list[Voxel],
        everything: list[tuple[str, Voxel]],
        points: NDArray[np.float64],
    ) -> None:
        """One that comes within attribution_distance_mm is near; the smallest distance of voxel centres."""
        apart: dict[str, float] = {}
        for v in region:
            for d, (i, _) in zip(self._distances(v, points), everything, strict=True):
                if i in self.tumour:
                    apart[i] = min(apart.get(i, np.inf), float(d))
        least = min(apart.values(), default=np.inf)
        if least <= self.case.distance_mm + SLACK_MM:
            nearest = min((i for i, d in apart.items() if d <= least + SLACK_MM), key=self.ids.index)
            self.near[name] = (nearest, least)

    def _kept_holders(self, holds: Mapping[Voxel, set[str]]) -> dict[Voxel, set[str]]:
        """Lesions whose hold on an avid voxel stands: not_avid and dismissed voxels leave every value."""
        kept = {}
        for v, owners in holds.items():
            if self.sources[v]:
                kept[v] = {
                    i
                    for i in owners
                    if i in self.tumour and self.case.table.get(i, (None, None))[1] != "not_avid"
                }
        return kept

    # --- avidity and stratum 2 ----------------------------------------------------------------

    def _avidity(self) -> None:
        case = self.case
        self.avid_voxels = {i: sum(i in owners for owners in self.belongs.values()) for i in self.ids}
        self.avidity = {}
        for i in self.ids:
            told = case.table.get(i, (None, None))[1]
            if told is not None:
                self.avidity[i] = told
            elif case.avid is not None and (self.avid_voxels[i] or i in self._uptake):
                self.avidity[i] = "avid"
            elif case.avid is not None and self._covered(i):
                self.avidity[i] = "not_avid"
            else:
                self.avidity[i] = "not_assessed"

    def _covered(self, lesion: str) -> bool:
        case = self.case
        if case.field_shape is None or case.field_affine is None:
            return False
        return all(
            voxel_holding(millimetres(case.affine, v), case.field_affine, case.field_shape) is not None
            for v in self.voxels[lesion]
        )

    def _avid_groups(self, avid_lesions: set[str]) -> dict[tuple[Source, ...], int]:
        """Avid voxels by where their marking comes from; an avid voxel takes the worst of these."""
        groups: dict[tuple[Source, ...], int] = {}
        if self.case.avid is not None:
            for sources in self.sources.values():
                if sources:
                    key = tuple(sorted(set(sources)))
                    groups[key] = groups.get(key, 0) + 1
            return groups
        # Without an avid mask the table alone decides, counted in tumour voxels.
        for v, held in self.held_by.items():
            sources = [
                ("lesion", i) if self.lesion_word[i] != "partial" else ("nearest", (v,))
                for i in held
                if i in avid_lesions
            ]
            if sources:
                key = tuple(sorted(set(sources)))
                groups[key] = groups.get(key, 0) + 1
        return groups

    def _must_be_whole(self, avid_lesions: set[str]) -> list[str]:
        """Lesions called avid without avid voxels: these must be wholly resectable."""
        if self.case.avid is None:
            return []
        return [i for i in self.tumour if i in avid_lesions and not self.avid_voxels[i]]

    def _stratum_2(self) -> None:
        avid = {i for i in self.tumour if self.avidity[i] == "avid"}
        unknown = [i for i in self.tumour if self.avidity[i] == "not_assessed"]
        groups = self._avid_groups(avid)
        words = {key: worst(self._word(s) for s in key) for key in groups}
        self.avid_whole = sum(groups.values())
        self.avid_lower = sum(n for key, n in groups.items() if self.can_go(words[key]))
        self.avid_upper = self.avid_lower + sum(n for key, n in groups.items() if words[key] == "unknown")
        whole = self._must_be_whole(avid)
        observed = bool(self.avid_whole or whole)
        # True where avid disease is observed and everything avid or of unknown avidity is resectable.
        everything = [self.can_go(w) for w in words.values()]
        everything += [self.can_go(self.lesion_word[i]) for i in (*whole, *unknown)]
        # False where something avid is unresectable, or none is observed and nothing is of unknown avidity.
        lost = any(not self.can_go(w) and w != "unknown" for w in words.values())
        lost |= any(not self.can_go(self.lesion_word[i]) and self.lesion_word[i] != "unknown" for i in whole)
        self.stratum_2: bool | None = None
        if lost or (not observed and not unknown):
            self.stratum_2 = False
        elif observed and all(everything):
            self.stratum_2 = True
        self.disease = "observed" if observed else "not_assessed" if unknown else "not_observed"
        if not self.held_by:  # An empty tumour mask: both unknown; the disease is as counted.
            self.stratum_2 = None
            if not observed:
                self.disease = "not_observed" if self.case.avid is not None else "not_assessed"

    # --- the stratum --------------------------------------------------------------------------

    def _stratum(self) -> None:
        """Order: stratum 1, else stratum 2, else ineligible; every combination must agree."""
        self.possible = set(self._combinations()) if self.held_by else {"stratum_1", "ineligible"}
        self.stratum = next(iter(self.possible)) if len(self.possible) == 1 else None

    def _combinations(self) -> Iterable[str]:
        lesions = [("lesion", i) for i in self.tumour if self.lesion_word[i] == "unknown"]
        regions = [
            ("region", p)
            for p in self.pet_only
            if self._word(("region", p)) == "unknown"
            and self.case.belongs_to.get(p) not in self.tumour
            and self.case.table.get(p, (None, None))[1] != "not_avid"
        ]
        open_sources: list[Source] = [*lesions, *regions]
        unknown = [i for i in self.tumour if self.avidity[i] == "not_assessed"]
        # Missing PET leaves PET-only disease open - where the table alone has not decided already.
        hidden: tuple[str | None, ...] = (None,)
        if self.case.avid is None and self.stratum_2 is None:
            hidden = (None, "resectable", "unresectable")
        for words in product(("resectable", "unresectable"), repeat=len(open_sources)):
            guess = dict(zip(open_sources, words, strict=True))
            first = self._first_under(guess)
            for calls in product((True, False), repeat=len(unknown)):
                avid = {i for i in self.tumour if self.avidity[i] == "avid"}
                avid |= {i for i, call in zip(unknown, calls, strict=True) if call}
                for extra in hidden:
                    second = self._second_under(guess, avid, extra)
                    if self.stratum_2 is not None:
                        assert second == self.stratum_2
                    yield "stratum_1" if first else "stratum_2" if second else "ineligible"

    def _first_under(self, guess: Mapping[Source, str]) -> bool:
        part = 0
        for v, held in self.held_by.items():
            part += self.can_go(worst(guess.get(("lesion", i), self._own(i, v)) for i in held))
        result = part * 100 >= self.total * self.case.stratum_1_percent
        assert self.stratum_1 is None or result == self.stratum_1
        return result

    def _second_under(self, guess: Mapping[Source, str], avid: set[str], extra: str | None) -> bool:
        groups = self._avid_groups(avid)
        whole = self._must_be_whole(avid)
        good = [self.can_go(worst(self._word(s, guess) for s in key)) for key in groups]
        good += [self.can_go(self._word(("lesion", i), guess)) for i in whole]
        if extra is not None:
            good.append(self.can_go(extra))
        return bool(good) and all(good)
