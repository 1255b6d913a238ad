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
    return findings + [_pet_only(n, measured, assessment) for n in range(attribution.pet_only.count)]


def _marked_name(measured: Measurements, lesion: int) -> str:
    """Name a lesion with its marking."""
    word = measured.marked.word(lesion)
    return f"{measured.lesions.ids[lesion]} ({'partly resectable' if word == PARTIAL else word})"


def _pet_only(rank: int, measured: Measurements, assessment: Assessment) -> Finding:
    """Say what a table made of a PET-only region, and how near a lesion it lies."""
    assert measured.attribution is not None
    pet_only, ids = measured.attribution.pet_only, measured.lesions.ids
    marking, owner = assessment.region_marking[rank], int(measured.region_words.belongs_to[rank])
    is_open = marking is Marking.UNKNOWN and rank not in assessment.dismissed
    if rank in assessment.dismissed:
        form = "dismissed"
    elif owner == NO_LESION:
        form = "unmarked" if is_open else "marked"
    else:
        form = "given_open" if is_open else "given"
    not_tumour = owner != NO_LESION and measured.marked.not_tumour[owner]
    name, near = f"P{rank + 1}", pet_only.nearest(rank)
    volume = shown_ml(float(pet_only.measures.volume_ml[rank]))
    return finding(
        "pet_only_region" if near is None else "avid_region_near",
        form,
        severity="review" if is_open else "info",
        where=name,
        region=name,
        volume=volume,
        place=sentence("pet_only_region", "place", region=name, volume=volume),
        marking=marking.word,
        owner="" if owner == NO_LESION else ids[owner],
        state="marked as not tumour" if not_tumour else "not marked yet",
        near="" if near is None else ids[near[0]],
        apart="" if near is None else f"{near[1]:.1f}",
    )


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
