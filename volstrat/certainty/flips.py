"""What the stratum would be if one thing were otherwise: a lesion's marking or avidity, or a choice.

Each is the rule applied again. Geometry was done once, and avid voxels and tumour are counted in groups
(`AvidGroups`, `TumourPieces`), so that one application costs well under a millisecond; changes that come to
the same counts are tried once. So the time is at most five applications for each lesion unlike all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.rule.measure import with_attribution, with_words
from volstrat.rule.stratify import assess
from volstrat.rule.table_words import AVID, AVIDITIES, NO_LESION, NOT_AVID
from volstrat.terms.findings import finding, sentence
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment, Stratum
    from volstrat.rule.table_words import LesionWords, RegionWords
    from volstrat.terms.findings import Finding
    from volstrat.terms.protocol import Protocol


_DECISIONS = (Marking.RESECTABLE, Marking.ABLATABLE, Marking.UNRESECTABLE)


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
    return tuple(flip for flip in each_flip(measured, assessment, protocol) if flip is not None)


def each_flip(measured: Measurements, assessment: Assessment, protocol: Protocol) -> Iterator[Flip | None]:
    """Try change by change, as `find_flips`; None for one that gives no other stratum."""
    known: dict[tuple[object, ...], Stratum | None] = {}
    for lesion_id, key, to, words, regions in _changes(measured, assessment):
        if key not in known:
            known[key] = assess(with_words(measured, words, regions), protocol).stratum
        stratum = known[key]
        if stratum is None or stratum == assessment.stratum:
            yield None
        else:
            yield Flip(lesion_id=lesion_id, to=to, stratum=stratum)


def _changes(
    measured: Measurements, assessment: Assessment
) -> Iterator[tuple[str, tuple[object, ...], str, LesionWords, RegionWords]]:
    """Every single change: whose, what it comes to, its word, and the table's words with it."""
    words, regions, codes = measured.words, measured.region_words, measured.marked.codes.tolist()
    calls = assessment.avidity_codes.tolist()
    for n, (lesion_id, like) in enumerate(zip(measured.lesions.ids, _likes(measured), strict=True)):
        if words.not_tumour[n]:
            continue
        for marking in _DECISIONS:
            if codes[n] != marking:
                changed = replace(words, marking=_with(words.marking, n, marking))
                yield lesion_id, (*like, marking.word), marking.word, changed, regions
        for call in (AVID, NOT_AVID):
            if calls[n] != call:
                changed = replace(words, avidity=_with(words.avidity, n, call))
                yield lesion_id, (*like, AVIDITIES[call]), AVIDITIES[call], changed, regions
    if measured.attribution is None:
        return
    sizes = measured.attribution.pet_only.measures.voxels.tolist()
    for n, current in enumerate(assessment.region_codes.tolist()):
        if regions.dismissed[n]:
            continue
        like, lesion_id = ("region", sizes[n], current), f"P{n + 1}"
        own = replace(regions, belongs_to=_with(regions.belongs_to, n, NO_LESION))
        for marking in _DECISIONS:
            if current != marking:
                other = replace(own, marking=_with(own.marking, n, marking))
                yield lesion_id, (*like, marking.word), marking.word, words, other
        other = replace(own, dismissed=_with(own.dismissed, n, True))
        yield lesion_id, (*like, "not_avid"), "not_avid", words, other


def _likes(measured: Measurements) -> list[tuple[object, ...]]:
    """Of each lesion what its changes come to, so that thousands of specks are tried once.

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
    told = np.concatenate((pieces.drawn_voxels, words), axis=1)
    both = zip(alone.tolist(), map(tuple, told.tolist()), strict=True)
    return [(n,) if own else ("lesion", row) for n, (own, row) in enumerate(both)]


def _with(values: NDArray[Any], n: int, value: int) -> NDArray[Any]:
    """Return the values with one of them replaced."""
    changed = values.copy()
    changed[n] = value
    return changed


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
    findings = []
    for choice in protocol.review.open_choices:
        for setting, stratum in _other_settings(choice, measured, protocol):
            if stratum is not None and stratum != assessment.stratum:
                findings.append(
                    finding(
                        "open_choice",
                        "chosen",
                        where=choice,
                        setting=setting,
                        other_stratum=_in_words(stratum),
                    )
                )
    return tuple(findings)


def _other_settings(
    choice: str, measured: Measurements, protocol: Protocol
) -> Iterator[tuple[str, Stratum | None]]:
    """Each other setting of an open choice in words, and the stratum it gives."""
    if choice == "avidity.also_check":
        for rule, attribution, covered in measured.alternatives:
            other = with_attribution(measured, attribution, covered)
            said = sentence("open_choice", "avidity_rule", rule=rule.title)
            yield said, assess(other, protocol).stratum
        return
    if choice == "pet_only_in_total":
        changed = replace(protocol, pet_only_in_total=not protocol.pet_only_in_total)
        said = (
            sentence("open_choice", "pet_only_left_out")
            if protocol.pet_only_in_total
            else sentence("open_choice", "pet_only_in_total")
        )
    elif choice == "ablation_counts":
        changed = replace(protocol, ablation_counts=not protocol.ablation_counts)
        said = (
            sentence("open_choice", "without_ablation")
            if protocol.ablation_counts
            else sentence("open_choice", "with_ablation")
        )
    elif choice == "both_fit":
        changed = replace(protocol, both_fit="stratum_2" if protocol.both_fit == "stratum_1" else "stratum_1")
        said = sentence("open_choice", "both_fit", other=changed.both_fit.replace("_", " "))
    elif protocol.exclusion_b == "not_all_resectable":
        changed = replace(protocol, exclusion_b="none_resectable")
        said = sentence("open_choice", "any_avid")
    else:
        changed = replace(protocol, exclusion_b="not_all_resectable")
        said = sentence("open_choice", "all_avid")
    yield said, assess(measured, changed).stratum


def _in_words(stratum: Stratum) -> str:
    return "ineligible" if stratum == "ineligible" else f"in {stratum.replace('_', ' ')}"
