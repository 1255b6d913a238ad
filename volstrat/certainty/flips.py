"""What the stratum would be if one thing were otherwise: a lesion's marking or avidity, or a choice.

Each is the rule applied again. Geometry was done once, and avid voxels and tumour are counted in groups
(`AvidGroups`, `TumourPieces`), so that one application costs well under a millisecond. Changes that come to
the same counts are tried once, and changes that move the rule the same way are tried together: better
markings only ever help a predicate, worse ones only ever harm it, so where a hundred of them together change
nothing, none of them does; where they do, each half is tried.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from volstrat.frozen import frozen
from volstrat.rule.markings import NO_WORD
from volstrat.rule.measure import with_attribution, with_words
from volstrat.rule.stratify import assess, only_stratum, possible_strata
from volstrat.rule.table_words import AVID, AVIDITIES, NO_LESION, NOT_AVID
from volstrat.terms.findings import finding, sentence
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.geometry.array_types import Bools
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment, Predicate
    from volstrat.terms.findings import Finding
    from volstrat.terms.outcomes import Stratum
    from volstrat.terms.protocol import Protocol


_DECISIONS = {m.word: m for m in (Marking.RESECTABLE, Marking.ABLATABLE, Marking.UNRESECTABLE)}


@frozen
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
    return tuple(flip for flip in each_flip(measured, assessment, protocol) if flip is not None)


def each_flip(measured: Measurements, assessment: Assessment, protocol: Protocol) -> Iterator[Flip | None]:
    """Try every change, as `find_flips`: None for each application of the rule, then the flips in order."""
    changes = list(_changes(measured, assessment, protocol))
    strata: dict[object, Stratum | None] = {}
    for family in _families(changes):
        left = [family]
        while left:
            some = left.pop()
            after = assess(_changed(measured, some), protocol)
            yield None
            if len(some) == 1:
                strata[some[0].alike] = after.stratum
            elif _stays_between(assessment, after, protocol):
                strata.update(dict.fromkeys([one.alike for one in some], assessment.stratum))
            else:
                left += [some[: len(some) // 2], some[len(some) // 2 :]]
    for change in changes:
        stratum = strata[change.alike]
        if stratum is not None and stratum != assessment.stratum:
            yield Flip(lesion_id=change.lesion_id, to=change.to, stratum=stratum)


@frozen
class _Change:
    """A single change of a word."""

    lesion_id: str
    kind: Literal["marking", "avidity", "region_marking", "dismissed"]  # what of a lesion or region changes
    place: int  # the lesion's position, or the region's rank
    to: str  # a marking or avidity word
    code: int  # the `Marking`, or the avidity's code
    alike: object  # changes with the same one come to the same counts
    # Any number of changes with the same one, made together, move each predicate the same way, the more the
    # further: where all of them change nothing, no one does. None: said of no other.
    family: object | None
    size: int  # in voxels; only orders the search


def _stays_between(before: Assessment, after: Assessment, protocol: Protocol) -> bool:
    """Tell whether the stratum is the same all the way from one assessment to another.

    On the way each predicate moves to one side: of what it can be, each part changes once or not at all.
    """
    firsts = _between(before.stratum_1, after.stratum_1)
    seconds = _between(before.stratum_2, after.stratum_2)
    return all(
        only_stratum(possible_strata(first, second, before.tally_2, protocol)) == before.stratum
        for first, second in product(firsts, seconds)
    )


def _between(one: Predicate, other: Predicate) -> list[Predicate]:
    """Return what a predicate can be on the way from one to another."""
    holds = {one.holds} if one.holds == other.holds else {one.holds, None, other.holds}
    can_hold, can_fail = {one.can_hold, other.can_hold}, {one.can_fail, other.can_fail}
    return [
        replace(one, holds=held, can_hold=hold, can_fail=fail)
        for held, hold, fail in product(holds, can_hold, can_fail)
        if hold or fail
    ]


def _families(changes: Sequence[_Change]) -> list[list[_Change]]:
    """Put changes of one family together, one of each that are alike, the largest last."""
    found: dict[object, dict[object, _Change]] = {}
    for n, change in enumerate(changes):
        family = ("alone", n) if change.family is None else change.family
        found.setdefault(family, {}).setdefault(change.alike, change)
    known: set[object] = set()
    families = []
    for members in found.values():
        fresh = [one for alike, one in members.items() if alike not in known]
        known.update(members)
        if fresh:
            families.append(sorted(fresh, key=lambda one: one.size))
    return families


def _changed(measured: Measurements, changes: Sequence[_Change]) -> Measurements:
    """Return the case with changes made together."""
    words, regions = measured.words, measured.region_words
    marking, avidity, belongs_to = words.marking.copy(), words.avidity.copy(), regions.belongs_to.copy()
    region_marking, dismissed = regions.marking.copy(), regions.dismissed.copy()
    for change in changes:
        if change.kind == "marking":
            marking[change.place] = change.code
        elif change.kind == "avidity":
            avidity[change.place] = change.code
        else:
            belongs_to[change.place] = NO_LESION
            if change.kind == "dismissed":
                dismissed[change.place] = True
            else:
                region_marking[change.place] = change.code
    return with_words(
        measured,
        replace(words, marking=marking, avidity=avidity),
        replace(regions, marking=region_marking, dismissed=dismissed, belongs_to=belongs_to),
    )


def _changes(measured: Measurements, assessment: Assessment, protocol: Protocol) -> Iterator[_Change]:
    """Every single change, lesion by lesion, then region by region."""
    ways: dict[str, object | None] = {word: ("marking", word) for word in _DECISIONS}
    if not protocol.ablation_counts:  # better than unresectable, worse than resectable, and like neither
        ways[Marking.ABLATABLE.word] = None
    yield from _lesion_changes(measured, assessment, ways)
    if measured.attribution is None:
        return
    voxels = measured.attribution.pet_only.sizes.tolist()
    for n, current in enumerate(assessment.region_codes.tolist()):
        if measured.region_words.dismissed[n]:
            continue
        one = partial(_Change, lesion_id=f"P{n + 1}", place=n, size=voxels[n])
        like = ("region", voxels[n], current)
        for word, marking in _DECISIONS.items():
            if current != marking:
                alike = (*like, word)
                yield one(kind="region_marking", to=word, code=marking, alike=alike, family=ways[word])
        yield one(kind="dismissed", to="not_avid", code=NOT_AVID, alike=(*like, "not_avid"), family=None)


def _lesion_changes(
    measured: Measurements, assessment: Assessment, ways: Mapping[str, object | None]
) -> Iterator[_Change]:
    """Yield those of lesions; ``ways`` are the families of markings."""
    words, codes = measured.words, measured.marked.codes.tolist()
    calls, sizes = assessment.avidity_codes.tolist(), measured.measures.voxels.tolist()
    avidity, covered = words.avidity.tolist(), measured.covered.tolist()
    candidate, owner, cold = (flags.tolist() for flags in _shared(measured))
    for n, (lesion_id, like) in enumerate(zip(measured.lesions.ids, _likes(measured), strict=True)):
        if words.not_tumour[n]:
            continue
        one = partial(_Change, lesion_id=lesion_id, place=n, size=sizes[n])
        for word, marking in _DECISIONS.items():
            if codes[n] != marking:
                way = None if candidate[n] else ways[word]
                yield one(kind="marking", to=word, code=marking, alike=(like, word), family=way)
        told = (codes[n], avidity[n], covered[n])
        for call in (AVID, NOT_AVID):
            if calls[n] != call:
                alike: tuple[object, ...] = (like, AVIDITIES[call])
                way = None
                if cold[n]:  # only the sets of markings in question change
                    alike = ("cold", *told, call)
                elif owner[n] and codes[n] != NO_WORD:  # voxels of one marking come, or go
                    way = ("avidity", *told, call)
                yield one(kind="avidity", to=AVIDITIES[call], code=call, alike=alike, family=way)


def _shared(measured: Measurements) -> tuple[Bools, Bools, Bools]:
    """Return what of avid disease lesions share: candidates, owners and cold ones; without PET none is any.

    Avid voxels beside a candidate go to it or to another lesion, by their markings: a better one may bring
    worse. All avid voxels that may be an owner's are its own alone; none may be a cold one's.
    """
    candidate, other, held = np.zeros((3, measured.lesions.count), dtype=bool)
    if measured.attribution is None:
        return candidate, other, held
    groups = measured.attribution.groups
    several = np.bincount(groups.pair_group, minlength=groups.voxels.size)[groups.pair_group] > 1
    candidate[groups.pair_lesion[several & ~groups.held[groups.pair_group]]] = True
    other[groups.pair_lesion[several]] = True
    held[groups.pair_lesion] = True
    return candidate, held & ~other, ~held


def _likes(measured: Measurements) -> list[int]:
    """Return a number for each lesion, the same where changes come to the same: many specks are tried once.

    Lesions are alike if they have as many voxels of each marking, the same words and the same PET field, and
    neither another lesion nor an avid voxel shares anything with them. Others are like themselves alone.
    """
    pieces = measured.pieces
    alone = np.zeros(measured.lesions.count, dtype=bool)
    holders = np.bincount(pieces.pair_piece, minlength=pieces.voxels.size)
    alone[pieces.pair_lesion[holders[pieces.pair_piece] > 1]] = True
    if measured.attribution is not None:
        alone[measured.attribution.groups.pair_lesion] = True
        alone[measured.region_words.belongs_to[measured.region_words.belongs_to != NO_LESION]] = True
    words = np.stack((measured.words.marking, measured.words.avidity, measured.covered), axis=-1)
    counts_and_words = np.concatenate((pieces.drawn_voxels, words), axis=1)
    numbers: dict[object, int] = {}
    both = zip(alone.tolist(), map(tuple, counts_and_words.tolist()), strict=True)
    return [numbers.setdefault(n if own else row, n) for n, (own, row) in enumerate(both)]


def stratum_without(measured: Measurements, left_out: Sequence[int], protocol: Protocol) -> Stratum | None:
    """Return the stratum if some lesions (positions) did not exist; their avid voxels go with them."""
    gone = np.zeros(measured.lesions.count, dtype=bool)
    gone[list(left_out)] = True
    words = replace(
        measured.words,
        not_tumour=measured.words.not_tumour | gone,
        avidity=np.where(gone, NOT_AVID, measured.words.avidity),
    )
    return assess(with_words(measured, words, measured.region_words), protocol).stratum


def open_choice_findings(
    measured: Measurements, assessment: Assessment, protocol: Protocol
) -> tuple[Finding, ...]:
    """Say which open choices, set the other way, would assign another stratum.

    An alternative that is not assessable is no difference.
    """
    if assessment.stratum is None:
        return ()
    return tuple(
        finding("open_choice", "chosen", where=choice, setting=setting, other_stratum=_in_words(stratum))
        for choice in protocol.review.open_choices
        for setting, stratum in _other_settings(choice, measured, protocol)
        if stratum is not None and stratum != assessment.stratum
    )


def _other_settings(
    choice: str, measured: Measurements, protocol: Protocol
) -> Iterator[tuple[str, Stratum | None]]:
    """Each other setting of an open choice in words, and the stratum it gives."""
    other: object
    if choice == "avidity.also_check":
        for rule, attribution, covered in measured.alternatives:
            by_rule = with_attribution(measured, attribution, covered)
            yield sentence("open_choice", "avidity_rule", rule=rule.title), assess(by_rule, protocol).stratum
        return
    if choice == "pet_only_in_total":
        other = not protocol.pet_only_in_total
        said = sentence("open_choice", "pet_only_in_total" if other else "pet_only_left_out")
    elif choice == "ablation_counts":
        other = not protocol.ablation_counts
        said = sentence("open_choice", "with_ablation" if other else "without_ablation")
    elif choice == "both_fit":
        other = "stratum_2" if protocol.both_fit == "stratum_1" else "stratum_1"
        said = sentence("open_choice", "both_fit", other=other.replace("_", " "))
    else:
        any_avid = protocol.exclusion_b == "not_all_resectable"
        other = "none_resectable" if any_avid else "not_all_resectable"
        said = sentence("open_choice", "any_avid" if any_avid else "all_avid")
    changed: dict[str, Any] = {choice: other}
    yield said, assess(measured, replace(protocol, **changed)).stratum


def _in_words(stratum: Stratum) -> str:
    return "ineligible" if stratum == "ineligible" else f"in {stratum.replace('_', ' ')}"
