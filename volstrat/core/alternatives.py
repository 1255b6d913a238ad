"""What the stratum would be if one thing were otherwise: a lesion's marking or avidity, or a choice.

Geometry is done once (`measure_case`); an alternative changes counts only. Where lesions overlap,
one lesion's marking changes voxels of another, and the whole case is marked anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.core.attribution import AvidCounts, resolve
from volstrat.core.findings import Finding
from volstrat.core.marks import LesionRow, Marking
from volstrat.core.measure import remark_case
from volstrat.core.stratify import (
    assess,
    assess_counts,
    stratum_1_predicate,
    table_regions,
    tally_stratum_1,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from volstrat.core.lesions import MarkedLesions
    from volstrat.core.measure import Measurements
    from volstrat.core.protocol import Protocol
    from volstrat.core.stratify import Assessment, Stratum

_DECISIONS = (Marking.RESECTABLE, Marking.ABLATABLE, Marking.UNRESECTABLE)
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
    overlapping = measured.lesions.overlapping
    for row, to in _changes(measured, assessment):
        if overlapping:
            rows = {**measured.rows, row.lesion_id: row}
            stratum = assess(remark_case(measured, rows, protocol), protocol).stratum
        else:
            stratum = _stratum_with(measured, assessment, row, protocol)
        if stratum is not None and stratum != assessment.stratum:
            found.append(Flip(lesion_id=row.lesion_id, to=to, stratum=stratum))
    return tuple(found)


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


def _stratum_with(
    measured: Measurements, assessment: Assessment, row: LesionRow, protocol: Protocol
) -> Stratum | None:
    """Return the stratum with one row replaced, where lesions do not overlap."""
    changed = replace(measured, rows={**measured.rows, row.lesion_id: row})
    if row.lesion_id in measured.lesions.ids:
        lesion = measured.lesions.ids.index(row.lesion_id)
        if row.resectability is not None:
            changed = replace(changed, marked=_with_marking(measured.marked, lesion, row.resectability))
        if _is_stratum_1(changed, protocol):
            return "stratum_1"
        counts = _counts_around(changed, assessment, lesion)
    else:
        counts = _counts_of_region(changed, assessment, int(row.lesion_id[1:]) - 1)
    return assess_counts(changed, None, counts, protocol).stratum


def _is_stratum_1(measured: Measurements, protocol: Protocol) -> bool:
    """Tell whether stratum 1 holds for certain and is all that matters: avid disease need not be counted."""
    if protocol.both_fit != "stratum_1" or not measured.lesions.count:
        return False
    region_marking, dismissed = table_regions(measured)
    tally = tally_stratum_1(measured, region_marking, dismissed, protocol)
    return stratum_1_predicate(tally, protocol).holds is True


def _with_marking(marked: MarkedLesions, lesion: int, to: Marking) -> MarkedLesions:
    """Mark one lesion throughout, where lesions do not overlap."""
    own = marked.own_voxels.copy()
    whole = int(own[lesion].sum())
    total = marked.total_voxels - own[lesion]
    total[to] += whole
    own[lesion] = 0
    own[lesion, to] = whole
    return replace(
        marked,
        worst=np.where(marked.lesion == lesion, int(to), marked.worst),
        own_voxels=own,
        worst_voxels=own,
        total_voxels=total,
        marking=(*marked.marking[:lesion], to, *marked.marking[lesion + 1 :]),
    )


def _counts_around(changed: Measurements, assessment: Assessment, lesion: int) -> AvidCounts | None:
    """Count avid voxels again where one lesion has a share in them."""
    attribution, before = changed.attribution, assessment.resolved
    if attribution is None or before is None:
        return None
    part = attribution.around(lesion)
    if not part.voxels.size:
        return before.counts
    where = np.searchsorted(attribution.voxels, part.voxels)
    old = before.marking[where]
    inside = np.isin(before.pair_voxel, where)
    region_marking, dismissed = table_regions(changed)
    ids = changed.lesions.ids
    after = resolve(
        part,
        marking=changed.marked.marking,
        not_avid=[
            n for n, i in enumerate(ids) if i in changed.rows and changed.rows[i].fdg_avidity == "not_avid"
        ],
        region_marking=region_marking,
        dismissed=dismissed,
    ).counts
    gone = np.bincount(old[old >= 0], minlength=len(Marking))
    left = np.bincount(before.pair_lesion[inside], minlength=len(ids))
    return AvidCounts(
        by_marking=before.counts.by_marking - gone + after.by_marking,
        lesion_voxels=before.counts.lesion_voxels - left + after.lesion_voxels,
    )


def _counts_of_region(changed: Measurements, assessment: Assessment, rank: int) -> AvidCounts | None:
    """Count avid voxels again where one PET-only region is marked otherwise."""
    attribution, before = changed.attribution, assessment.resolved
    if attribution is None or before is None:
        return None
    voxels = int(attribution.pet_only_measures.voxels[rank])
    region_marking, dismissed = table_regions(changed)
    by_marking = before.counts.by_marking.copy()
    by_marking[assessment.region_marking[rank]] -= voxels
    if rank not in dismissed:
        by_marking[region_marking[rank]] += voxels
    return AvidCounts(by_marking=by_marking, lesion_voxels=before.counts.lesion_voxels)


def stratum_without(measured: Measurements, left_out: Sequence[int], protocol: Protocol) -> Stratum | None:
    """Return the stratum if some lesions (positions) did not exist; their avid voxels go with them."""
    marked = measured.marked
    if measured.lesions.overlapping or not left_out:
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
                message = (
                    f"With {setting} the case would be {stratum.replace('_', ' ')} instead of "
                    f"{assessment.stratum.replace('_', ' ')}; the protocol leaves this choice open."
                )
                findings.append(Finding(code="open_choice", severity="review", message=message, where=choice))
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
