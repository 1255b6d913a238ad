"""Evidence that contradicts itself: the verdict stands, and a person must look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.rule.markings import NO_WORD
from volstrat.rule.measure import with_words
from volstrat.rule.stratify import assess
from volstrat.rule.table_words import NOT_AVID
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.pet.uptake import LesionUptake
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.findings import Finding, Severity
    from volstrat.terms.protocol import Protocol

_COLD_SUV: Final = 1.5  # about the blood pool: nothing below it is read as avid
_SUV_OF_TUMOUR: Final = (0.3, 200.0)
"""No patient's highest SUV in tumour lies outside: such values are Bq/ml, or were scaled."""
_NAMED: Final = 8


def contradictions(
    measured: Measurements,
    assessment: Assessment,
    protocol: Protocol,
    uptake: Sequence[LesionUptake | None],
    *,
    severity: Severity,
) -> list[Finding]:
    """Say where SUV speaks against a reader's word or cannot be SUV, and where a word overrules a drawing.

    Parameters
    ----------
    uptake : sequence of LesionUptake or None
        Of each lesion.
    severity : {"info", "review"}
        ``info`` where stratum 1 holds: then avid disease does not matter.
    """
    hot, cold = _against_suv(measured, assessment, protocol, uptake)
    look_again = protocol.avidity.look_again_suv
    findings = [
        finding("hot_but_not_avid", severity=severity, where=where, lesion=where, suv=suv, limit=look_again)
        for where, suv in hot
    ]
    findings += [
        finding("avid_but_cold", severity=severity, where=where, lesion=where, suv=suv, limit=_COLD_SUV)
        for where, suv in cold
    ]
    highest = max(
        (one.suv_max for one in uptake if one is not None and one.suv_max is not None), default=None
    )
    if highest is not None and not _SUV_OF_TUMOUR[0] <= highest <= _SUV_OF_TUMOUR[1]:
        by_suv = protocol.avidity.rule == "fixed"  # other rules compare within one image
        grave: Severity = severity if by_suv else "warning"
        findings.append(finding("suv_implausible", severity=grave, where="pet", suv=highest))
    return findings + _overruled(measured, assessment, protocol, severity)


def _against_suv(
    measured: Measurements, assessment: Assessment, protocol: Protocol, uptake: Sequence[LesionUptake | None]
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return lesions not avid though hot, and avid though cold, with SUVmax; not what a SUV rule says."""
    hot, cold = [], []
    for n, (lesion, word) in enumerate(zip(measured.lesions.ids, assessment.avidity, strict=True)):
        if measured.marked.not_tumour[n]:
            continue
        by_a_reader = not protocol.avidity.needs_suv or measured.words.avidity[n] != NO_WORD
        one = uptake[n]
        if one is None or one.suv_max is None or not by_a_reader:
            continue
        if word == "not_avid" and one.suv_max >= protocol.avidity.look_again_suv:
            hot.append((lesion, one.suv_max))
        elif word == "avid" and one.suv_max < _COLD_SUV:
            cold.append((lesion, one.suv_max))
    return hot, cold


def _overruled(
    measured: Measurements, assessment: Assessment, protocol: Protocol, severity: Severity
) -> list[Finding]:
    """Say where ``not_avid`` takes drawn avid voxels away, and the stratum would be another with them."""
    words, regions = measured.words, measured.region_words
    if measured.attribution is None or assessment.stratum is None:
        return []
    if not (regions.dismissed.any() or (words.avidity == NOT_AVID).any()):
        return []
    kept = replace(words, avidity=np.where(words.avidity == NOT_AVID, NO_WORD, words.avidity))
    counted = replace(regions, dismissed=np.zeros_like(regions.dismissed))
    drawn = assess(with_words(measured, kept, counted), protocol)
    if drawn.stratum is None or drawn.stratum == assessment.stratum or drawn.resolved is None:
        return []
    avid = drawn.resolved.counts.lesion_voxels > 0
    names = [
        lesion
        for lesion, word, has_voxels in zip(measured.lesions.ids, words.avidity, avid, strict=True)
        if word == NOT_AVID and has_voxels
    ]
    names += [f"P{n + 1}" for n, dismissed in enumerate(regions.dismissed) if dismissed]
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [
        finding(
            "avidity_overruled",
            severity=severity,
            where=names[0] if len(names) == 1 else "lesions",
            lesions=", ".join(names[:_NAMED]) + more,
            stratum=drawn.stratum.replace("_", " "),
        )
    ]
