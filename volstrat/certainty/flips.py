"""What the stratum would be if one thing were otherwise: a lesion's marking or avidity, or a choice.

Geometry is done once (`measure_case`); an alternative changes counts only. Where a lesion overlaps
a partly marked one, avid voxels of that one may be marked otherwise too, and the whole case is done anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.geometry.runs import covered_twice, cut_at, expand, sorted_unique
from volstrat.rule.attribution import AvidCounts, resolve
from volstrat.rule.lesions import own_markings
from volstrat.rule.measure import remark_case
from volstrat.rule.stratify import (
    Stratum2Tally,
    assess,
    only_stratum,
    possible_strata,
    stratum_1_predicate,
    stratum_2_predicate,
    tally_stratum_1,
)
from volstrat.terms.findings import finding
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from volstrat.rule.attribution import Attribution, Resolved
    from volstrat.rule.lesions import Lesions
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment, Predicate, Stratum
    from volstrat.terms.findings import Finding
    from volstrat.terms.protocol import Protocol

_DECISIONS = (Marking.RESECTABLE, Marking.ABLATABLE, Marking.UNRESECTABLE)
_NO_WORD, _NOT_AVID, _AVID, _NOT_ASSESSED = range(4)
_AVIDITY_CODES = {"": _NO_WORD, "not_avid": _NOT_AVID, "avid": _AVID}
_AVIDITIES: tuple[Literal["avid", "not_avid"], ...] = ("avid", "not_avid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One change of one lesion or PET-only region that alone gives another stratum.

    ``to`` is a marking or avidity word.
    """

    lesion_id: str
    to: str
    stratum: Stratum


def find_flips(measured: Measurements, assessment: Assessment, protocol: Protocol) -> tuple[Flip, ...]:
    """Try every marking and avidity of every lesion and PET-only region, one at a time.

    A change that leaves the case without a stratum is none: it only says less.
    """
    found = []
    shared = _shared(measured.lesions)
    tallies = _Tallies(measured, assessment, protocol, shared=shared)
    alike = _Alike(measured, assessment, alone=shared)
    known: dict[tuple[object, ...], Stratum | None] = {}
    for row, to in _changes(measured, assessment):
        key = alike.key(row)
        if key not in known:
            if tallies.moves_others(row):
                rows = {**measured.rows, row.lesion_id: row}
                known[key] = assess(remark_case(measured, rows, protocol), protocol).stratum
            else:
                known[key] = tallies.stratum_with(row)
        stratum = known[key]
        if stratum is not None and stratum != assessment.stratum:
            found.append(Flip(lesion_id=row.lesion_id, to=to, stratum=stratum))
    return tuple(found)


def _shared(lesions: Lesions) -> set[str]:
    """Lesions that have voxels in common with others: there a row changes more than its own lesion."""
    twice = covered_twice(lesions.starts, lesions.stops)
    hit = twice.counts_in(lesions.starts, lesions.stops) > 0
    return {lesions.ids[n] for n in sorted_unique(lesions.lesion[hit]).tolist()}


class _Alike:
    """Tells which changes come to the same counts, so that thousands of specks are tried once.

    Lesions are alike if they have as many voxels of each marking, the same marking as a whole and
    the same PET field, and no avid voxel may belong to them; PET-only regions, if they have as many
    voxels and the same marking.
    """

    def __init__(self, measured: Measurements, assessment: Assessment, *, alone: Collection[str]) -> None:
        self._measured, self._assessment = measured, assessment
        self._position = {lesion_id: n for n, lesion_id in enumerate(measured.lesions.ids)}
        self._alone = np.array([i in alone for i in measured.lesions.ids], dtype=bool)
        if measured.attribution is not None:
            self._alone[measured.attribution.row_lesion] = True

    def key(self, row: LesionRow) -> tuple[object, ...]:
        """Return what the stratum with this row depends on; the lesion itself where in doubt."""
        words = (row.resectability, row.fdg_avidity)
        measured, n = self._measured, self._position.get(row.lesion_id)
        if n is None:
            assert measured.attribution is not None
            rank = int(row.lesion_id[1:]) - 1
            voxels = int(measured.attribution.pet_only_measures.voxels[rank])
            return ("region", voxels, self._assessment.region_marking[rank], *words)
        if self._alone[n]:
            return (row.lesion_id, *words)
        own = measured.marked.own_voxels[n].tobytes()
        return ("lesion", own, measured.marked.marking[n], bool(measured.covered[n]), *words)


def _changes(measured: Measurements, assessment: Assessment) -> Iterator[tuple[LesionRow, str]]:
    """Every row that differs from the case in one word, and that word."""
    for n, lesion_id in enumerate(measured.lesions.ids):
        row = measured.rows.get(lesion_id, LesionRow(lesion_id=lesion_id))
        for marking in _DECISIONS:
            if measured.marked.marking[n] is not marking:
                yield replace(row, resectability=marking), marking.word
        for avidity in _AVIDITIES:
            if assessment.avidity[n] != avidity:
                yield replace(row, fdg_avidity=avidity), avidity
    for n, current in enumerate(assessment.region_marking):
        if n in assessment.dismissed:
            continue
        row = measured.rows.get(f"P{n + 1}", LesionRow(lesion_id=f"P{n + 1}"))
        for marking in _DECISIONS:
            if current is not marking:
                yield replace(row, resectability=marking), marking.word
        yield replace(row, fdg_avidity="not_avid"), "not_avid"


class _Tallies:
    """What the predicates rest on, as arrays, so that a changed row costs little.

    ``shared`` are the lesions that have voxels in common with others.
    """

    def __init__(
        self, measured: Measurements, assessment: Assessment, protocol: Protocol, *, shared: Collection[str]
    ) -> None:
        self._shared = shared
        self._atoms = _Atoms(measured) if shared else None
        self._measured, self._assessment, self._protocol = measured, assessment, protocol
        ids = measured.lesions.ids
        self._position = {lesion_id: n for n, lesion_id in enumerate(ids)}
        self._marking = np.array([-1 if m is None else m for m in measured.marked.marking], dtype=np.int64)
        rows = (measured.rows.get(i) for i in ids)
        words = ("" if row is None else row.fdg_avidity or "" for row in rows)
        self._table = np.array([_AVIDITY_CODES[word] for word in words], dtype=np.int64)
        self._firsts: dict[tuple[object, ...], Predicate] = {}
        self._near = None
        if measured.attribution is not None and assessment.resolved is not None:
            self._near = _AvidNear(measured.attribution, assessment.resolved)

    def moves_others(self, row: LesionRow) -> bool:
        """Tell whether a row may change what avid voxels take from another lesion, partly marked."""
        if self._near is None or self._atoms is None or row.lesion_id not in self._shared:
            return False
        n = self._position[row.lesion_id]
        if row.resectability is self._measured.marked.marking[n]:
            return False
        near = self._atoms.neighbours(n)
        return bool((self._marking[near[near != n]] < 0).any())

    def stratum_with(self, row: LesionRow) -> Stratum | None:
        """Return the stratum with one row replaced, if that does not move others."""
        n = self._position.get(row.lesion_id)
        if n is None:
            return self._with_region(row, int(row.lesion_id[1:]) - 1)
        marking, table = self._marking.copy(), self._table.copy()
        table[n] = _AVIDITY_CODES[row.fdg_avidity or ""]
        if row.resectability is not None:
            marking[n] = row.resectability
        total, avid = self._changes(n, row.resectability, marking, table)
        first = self._first(
            self._measured.marked.total_voxels + total,
            self._assessment.region_marking,
            self._assessment.dismissed,
        )
        if first.holds and self._protocol.both_fit == "stratum_1":
            return "stratum_1"  # and avid disease need not be counted
        counts = None if self._near is None else self._near.counts(n, marking, table == _NOT_AVID)
        return self._concluded(first, marking, table, counts, avid_change=avid)

    def _changes(
        self, n: int, to: Marking | None, marking: NDArray[np.int64], table: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Change, by marking, of all tumour voxels and of those of lesions that the table calls avid."""
        if self._atoms is not None and self._measured.lesions.ids[n] in self._shared:
            before = self._atoms.counts(n, None, self._marking, self._table == _AVID)
            after = self._atoms.counts(n, to, marking, table == _AVID)
            return after[0] - before[0], after[1] - before[1]
        own = self._measured.marked.own_voxels[n]
        changed = own if to is None else _all_at(to, own)
        avid = np.zeros_like(own)
        if table[n] == _AVID:
            avid += changed if marking[n] < 0 else _all_at(int(marking[n]), own)
        if self._table[n] == _AVID:
            avid -= own if self._marking[n] < 0 else _all_at(int(self._marking[n]), own)
        return changed - own, avid

    def _with_region(self, row: LesionRow, rank: int) -> Stratum | None:
        measured, before = self._measured, self._assessment
        assert measured.attribution is not None
        assert before.resolved is not None
        to = Marking.UNKNOWN if row.resectability is None else row.resectability
        markings = (*before.region_marking[:rank], to, *before.region_marking[rank + 1 :])
        dismissed = before.dismissed | {rank} if row.fdg_avidity == "not_avid" else before.dismissed
        first = self._first(measured.marked.total_voxels, markings, dismissed)
        voxels = int(measured.attribution.pet_only_measures.voxels[rank])
        by_marking = before.resolved.counts.by_marking.copy()
        by_marking[before.region_marking[rank]] -= voxels
        if rank not in dismissed:
            by_marking[to] += voxels
        counts = replace(before.resolved.counts, by_marking=by_marking)
        return self._concluded(first, self._marking, self._table, counts, avid_change=np.zeros(4, np.int64))

    def _first(
        self, total: NDArray[np.int64], markings: Sequence[Marking], dismissed: frozenset[int]
    ) -> Predicate:
        key = (total.tobytes(), tuple(markings), dismissed)
        if key not in self._firsts:
            marked = replace(self._measured.marked, total_voxels=total)
            tally = tally_stratum_1(
                replace(self._measured, marked=marked), markings, dismissed, self._protocol
            )
            self._firsts[key] = stratum_1_predicate(tally, self._protocol)
        return self._firsts[key]

    def _concluded(
        self,
        first: Predicate,
        marking: NDArray[np.int64],
        table: NDArray[np.int64],
        counts: AvidCounts | None,
        *,
        avid_change: NDArray[np.int64],
    ) -> Stratum | None:
        measured = self._measured
        without: tuple[Marking | None, ...] = ()
        if counts is None:
            avidity = np.where(table == _NO_WORD, _NOT_ASSESSED, table)
            voxels = self._assessment.tally_2.voxels + avid_change
        else:
            held = counts.lesion_voxels > 0
            told = np.where(measured.covered, _NOT_AVID, _NOT_ASSESSED)
            avidity = np.where(table == _NO_WORD, np.where(held, _AVID, told), table)
            voxels = counts.by_marking
            without = _markings_of(marking[(avidity == _AVID) & ~held])
        tally = Stratum2Tally(
            unit="tumour" if counts is None else "pet",
            voxels=(int(voxels[0]), int(voxels[1]), int(voxels[2]), int(voxels[3])),
            avid_without_voxels=without,
            unassessed=_markings_of(marking[avidity == _NOT_ASSESSED]),
            empty_tumour=measured.lesions.count == 0,
            pet_read=counts is not None,
        )
        second = stratum_2_predicate(tally, self._protocol)
        return only_stratum(possible_strata(first, second, tally, self._protocol))


def _all_at(marking: int, voxels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts with all voxels at one marking."""
    moved = np.zeros_like(voxels)
    moved[marking] = voxels.sum()
    return moved


def _markings_of(codes: NDArray[np.int64]) -> tuple[Marking | None, ...]:
    """Each marking that occurs, once: the predicates ask only whether there is one."""
    present = np.bincount(codes + 1, minlength=len(Marking) + 1)
    return tuple(None if n == 0 else Marking(n - 1) for n in np.flatnonzero(present).tolist())


class _Atoms:
    """Tumour cut so finely that all voxels of a run lie in the same lesions, each with one marking."""

    def __init__(self, measured: Measurements) -> None:
        table = {i: row.resectability for i, row in measured.rows.items() if row.resectability is not None}
        pieces = own_markings(measured.lesions, resectable=measured.masks.resectable, table=table)
        starts, stops, origin = cut_at(pieces[0], pieces[1], np.concatenate(pieces[:2]))
        order = np.argsort(starts, kind="stable")
        starts, stops, origin = starts[order], stops[order], origin[order]
        opens = np.ones(starts.size, dtype=bool)
        opens[1:] = starts[1:] != starts[:-1]
        self._atom = np.cumsum(opens) - 1
        self._voxels = (stops - starts)[opens]
        self._lesion, self._own = pieces[2][origin], pieces[3][origin]
        self._of_lesion = _Buckets(self._lesion, measured.lesions.count)
        self._of_atom = _Buckets(self._atom, self._voxels.size)

    def neighbours(self, lesion: int) -> NDArray[np.int64]:
        """Lesions that have voxels in common with one, itself included."""
        return sorted_unique(self._lesion[self._around(lesion)[1]])

    def _around(self, lesion: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Atoms of a lesion, and the shares that any lesion has in them."""
        atoms = self._atom[self._of_lesion.of(np.array([lesion]))]
        return atoms, self._of_atom.of(atoms)

    def counts(
        self, lesion: int, to: Marking | None, marking: NDArray[np.int64], avid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the voxels of one lesion by their worst marking: all of them, and those of avid lesions.

        ``to`` stands for the lesion's own marking; of avid lesions the marking as a whole counts
        where there is one, as in the rule.
        """
        atoms, shares = self._around(lesion)
        owner, own, at = self._lesion[shares], self._own[shares], np.searchsorted(atoms, self._atom[shares])
        if to is not None:
            own = np.where(owner == lesion, int(to), own)
        worst = np.full(atoms.size, len(Marking))
        np.minimum.at(worst, at, own)
        word = np.where(marking[owner] >= 0, marking[owner], worst[at])
        worst_avid = np.full(atoms.size, len(Marking))
        np.minimum.at(worst_avid, at[avid[owner]], word[avid[owner]])
        voxels = self._voxels[atoms]
        both = [np.bincount(w, voxels, minlength=len(Marking) + 1)[:-1] for w in (worst, worst_avid)]
        return both[0].astype(np.int64), both[1].astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Surroundings:
    """The avid voxels that may belong to a lesion, with all lesions they may belong to.

    ``by_marking`` and ``lesion_voxels`` are the counts of the case less what these voxels count for.
    """

    lesion: int
    local: NDArray[np.int64]
    part: Attribution
    by_marking: NDArray[np.int64]
    lesion_voxels: NDArray[np.int64]


class _AvidNear:
    """The avid voxels round each lesion, to count them again where its row changes."""

    def __init__(self, attribution: Attribution, before: Resolved) -> None:
        self._attribution, self._before = attribution, before
        size = attribution.voxels.size
        lesions = before.counts.lesion_voxels.size
        self._rows_of_lesion = _Buckets(attribution.row_lesion, lesions)
        self._rows_of_voxel = _Buckets(attribution.row_voxel, size)
        self._pairs_of_voxel = _Buckets(before.pair_voxel, size)
        self._last: _Surroundings | None = None

    def counts(self, lesion: int, marking: NDArray[np.int64], not_avid: NDArray[np.bool_]) -> AvidCounts:
        """Return the counts with a lesion marked otherwise; -1 is a lesion without one marking."""
        mine = sorted_unique(self._attribution.row_voxel[self._rows_of_lesion.of(np.array([lesion]))])
        if not mine.size:
            return self._before.counts
        if self._last is None or self._last.lesion != lesion:  # changes come lesion by lesion
            self._last = self._around(lesion, mine)
        near = self._last
        words = [None if m < 0 else Marking(m) for m in marking[near.local].tolist()]
        removed = np.flatnonzero(not_avid[near.local]).tolist()
        after = resolve(near.part, marking=words, not_avid=removed, region_marking=(), dismissed=()).counts
        lesion_voxels = near.lesion_voxels.copy()
        lesion_voxels[near.local] += after.lesion_voxels
        return AvidCounts(by_marking=near.by_marking + after.by_marking, lesion_voxels=lesion_voxels)

    def _around(self, lesion: int, mine: NDArray[np.int64]) -> _Surroundings:
        a, before = self._attribution, self._before
        rows = self._rows_of_voxel.of(mine)
        local = sorted_unique(a.row_lesion[rows])
        part = replace(
            a,
            voxels=a.voxels[mine],
            region=a.region[mine],
            far=a.far[mine],
            row_voxel=np.searchsorted(mine, a.row_voxel[rows]),
            row_lesion=np.searchsorted(local, a.row_lesion[rows]),
            row_marking=a.row_marking[rows],
            row_held=a.row_held[rows],
        )
        old = before.marking[mine]
        lesion_voxels = before.counts.lesion_voxels.copy()
        left = np.searchsorted(local, before.pair_lesion[self._pairs_of_voxel.of(mine)])
        lesion_voxels[local] -= np.bincount(left, minlength=local.size)
        return _Surroundings(
            lesion=lesion,
            local=local,
            part=part,
            by_marking=before.counts.by_marking - np.bincount(old[old >= 0], minlength=len(Marking)),
            lesion_voxels=lesion_voxels,
        )


class _Buckets:
    """Where each number occurs in an array."""

    def __init__(self, numbers: NDArray[np.int64], count: int) -> None:
        self._order = np.argsort(numbers, kind="stable")
        self._edge = np.searchsorted(numbers[self._order], np.arange(count + 1))

    def of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return all places of some numbers."""
        return self._order[expand(self._edge[numbers], self._edge[numbers + 1])]


def stratum_without(measured: Measurements, left_out: Sequence[int], protocol: Protocol) -> Stratum | None:
    """Return the stratum if some lesions (positions) did not exist; their avid voxels go with them.

    Of lesions that do not overlap: voxels that others hold as well would stay.
    """
    marked = measured.marked
    if not left_out:
        return assess(measured, protocol).stratum
    gone = np.zeros(measured.lesions.count, dtype=bool)
    gone[list(left_out)] = True
    kept = marked.own_voxels.copy()
    kept[gone] = 0
    rows = dict(measured.rows)
    for n in left_out:
        lesion_id = measured.lesions.ids[n]
        row = rows.get(lesion_id, LesionRow(lesion_id=lesion_id))
        rows[lesion_id] = replace(row, fdg_avidity="not_avid")
    fewer = replace(
        marked,
        own_voxels=kept,
        worst_voxels=kept,
        total_voxels=marked.total_voxels - marked.own_voxels[gone].sum(axis=0),
    )
    return assess(replace(measured, marked=fewer, rows=rows), protocol).stratum


def open_choice_findings(
    measured: Measurements, assessment: Assessment, protocol: Protocol
) -> tuple[Finding, ...]:
    """Say which open choices, set the other way, would assign another stratum.

    An alternative that is not assessable is no difference.
    """
    if assessment.stratum is None:
        return ()
    findings = []
    for choice in protocol.review.open_choices:
        for setting, stratum in _other_settings(choice, measured, protocol):
            if stratum is not None and stratum != assessment.stratum:
                findings.append(
                    finding(
                        "open_choice",
                        where=choice,
                        setting=setting,
                        other_stratum=stratum.replace("_", " "),
                        stratum=assessment.stratum.replace("_", " "),
                    )
                )
    return tuple(findings)


def _other_settings(
    choice: str, measured: Measurements, protocol: Protocol
) -> Iterator[tuple[str, Stratum | None]]:
    """Each other setting of an open choice in words, and the stratum it gives."""
    if choice == "avidity.also_check":
        for rule, attribution, covered in measured.alternatives:
            other = replace(measured, attribution=attribution, covered=covered)
            yield f'the avidity rule "{rule.title}"', assess(other, protocol).stratum
        return
    flipped: dict[str, Protocol] = {
        "pet_only_in_total": replace(protocol, pet_only_in_total=not protocol.pet_only_in_total),
        "ablation_counts": replace(protocol, ablation_counts=not protocol.ablation_counts),
        "both_fit": replace(
            protocol, both_fit="stratum_2" if protocol.both_fit == "stratum_1" else "stratum_1"
        ),
        "exclusion_b": replace(
            protocol,
            exclusion_b="none_resectable"
            if protocol.exclusion_b == "not_all_resectable"
            else "not_all_resectable",
        ),
    }
    other_protocol = flipped[choice]
    value = getattr(other_protocol, choice)
    shown = str(value).lower() if isinstance(value, bool) else f'"{value}"'
    yield f"{choice} = {shown}", assess(measured, other_protocol).stratum
