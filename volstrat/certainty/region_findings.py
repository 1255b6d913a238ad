"""What a person should know of avid regions, and of lesions that a table calls none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.rule.resolving import review_regions
from volstrat.rule.table_words import NO_LESION
from volstrat.terms.findings import finding, sentence
from volstrat.terms.marks import PARTIAL, Marking
from volstrat.terms.wording import shown_ml, shown_names

if TYPE_CHECKING:
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.findings import Finding, Severity
    from volstrat.terms.protocol import Protocol


def region_findings(
    measured: Measurements, assessment: Assessment, protocol: Protocol, *, severity: Severity
) -> list[Finding]:
    """Say which avid regions a person must look at, and what became of the PET-only ones.

    ``severity`` is that of what concerns avid disease on tumour alone.
    """
    attribution, resolved = measured.attribution, assessment.resolved
    if attribution is None or resolved is None:
        return []
    findings = []
    for lesion, reason, those in review_regions(attribution, resolved, measured.marked):
        on = measured.lesions.ids[lesion]
        if reason == "differently_marked":
            lesions = shown_names([_marked_name(measured, n) for n in those], last=" and ")
            found = finding("avid_region_differently_marked", severity=severity, where=on, lesions=lesions)
        elif reason == "partly_marked":
            found = finding("avid_region_partly_marked", severity=severity, where=on, lesion=on)
        else:
            far_mm = 2 * protocol.attribution_distance_mm
            found = finding("avid_region_reaches_far", severity=severity, where=on, lesion=on, far_mm=far_mm)
        findings.append(found)
    for rank in range(attribution.pet_only.count):
        near = attribution.pet_only.nearest(rank)
        if near is None:
            findings.append(_alone(rank, measured, assessment))
        else:
            lesion_id, apart = measured.lesions.ids[near[0]], f"{near[1]:.1f}"
            findings.append(_near(rank, lesion_id, apart, measured, assessment))
    return findings


def _marked_name(measured: Measurements, lesion: int) -> str:
    """Name a lesion with its marking."""
    word = measured.marked.word(lesion)
    return f"{measured.lesions.ids[lesion]} ({'partly resectable' if word == PARTIAL else word})"


def _alone(rank: int, measured: Measurements, assessment: Assessment) -> Finding:
    """Say what a table made of a PET-only region that is near no lesion."""
    name, volume, place, marking, owner = _state(rank, measured, assessment)
    if rank in assessment.dismissed:
        return finding("pet_only_region", "dismissed", where=name, place=place)
    if marking is Marking.UNKNOWN and owner:
        state = _open_state(rank, measured)
        return finding(
            "pet_only_region",
            "given_open",
            severity="review",
            where=name,
            place=place,
            owner=owner,
            state=state,
        )
    if marking is Marking.UNKNOWN:
        return finding(
            "pet_only_region", "unmarked", severity="review", where=name, region=name, volume=volume
        )
    if owner:
        return finding("pet_only_region", "given", where=name, place=place, owner=owner, marking=marking.word)
    return finding("pet_only_region", "marked", where=name, place=place, marking=marking.word)


def _near(rank: int, near: str, apart: str, measured: Measurements, assessment: Assessment) -> Finding:
    """Say what a table made of a PET-only region that is near a lesion."""
    name, volume, place, marking, owner = _state(rank, measured, assessment)
    if rank in assessment.dismissed:
        return finding(
            "avid_region_near", "dismissed", severity="info", where=name, place=place, near=near, apart=apart
        )
    if marking is Marking.UNKNOWN and owner:
        return finding(
            "avid_region_near",
            "given_open",
            where=name,
            place=place,
            near=near,
            apart=apart,
            owner=owner,
            state=_open_state(rank, measured),
        )
    if marking is Marking.UNKNOWN:
        return finding(
            "avid_region_near", "unmarked", where=name, near=near, apart=apart, region=name, volume=volume
        )
    if owner:
        return finding(
            "avid_region_near",
            "given",
            severity="info",
            where=name,
            place=place,
            near=near,
            apart=apart,
            owner=owner,
            marking=marking.word,
        )
    return finding(
        "avid_region_near",
        "marked",
        severity="info",
        where=name,
        place=place,
        near=near,
        apart=apart,
        marking=marking.word,
    )


def _state(rank: int, measured: Measurements, assessment: Assessment) -> tuple[str, str, str, Marking, str]:
    """Return a PET-only region's name, volume, place in words, marking, and the lesion it belongs to."""
    assert measured.attribution is not None
    name = f"P{rank + 1}"
    volume = shown_ml(float(measured.attribution.pet_only.measures.volume_ml[rank]))
    place = sentence("pet_only_region", "place", region=name, volume=volume)
    owner = int(measured.region_words.belongs_to[rank])
    lesion_id = "" if owner == NO_LESION else measured.lesions.ids[owner]
    return name, volume, place, assessment.region_marking[rank], lesion_id


def _open_state(rank: int, measured: Measurements) -> str:
    """Say why the lesion that a region belongs to gives it no marking."""
    not_tumour = measured.marked.not_tumour[measured.region_words.belongs_to[rank]]
    return "marked as not tumour" if not_tumour else "not marked yet"


def dismissed_findings(measured: Measurements) -> list[Finding]:
    """Say which lesions the table takes out of the total, and where their uptake is counted now."""
    findings = []
    regions = [] if measured.attribution is None else measured.attribution.pet_only.uptake_of.tolist()
    for n in np.flatnonzero(measured.marked.not_tumour).tolist():
        on, volume = measured.lesions.ids[n], shown_ml(float(measured.measures.volume_ml[n]))
        if n in regions:
            region = f"P{regions.index(n) + 1}"
            findings.append(finding("dismissed", "uptake", where=on, lesion=on, volume=volume, region=region))
        else:
            findings.append(finding("dismissed", "plain", where=on, lesion=on, volume=volume))
    return findings
