"""Evidence that contradicts itself, and doubts about drawings: the verdict stands, and a person must look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.rule.markings import NO_WORD
from volstrat.rule.measure import with_words
from volstrat.rule.stratify import assess
from volstrat.rule.table_words import NOT_AVID
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.protocol import reaches_percent
from volstrat.terms.wording import shown_names

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


def contradictions(
    measured: Measurements,
    assessment: Assessment,
    protocol: Protocol,
    uptake: Sequence[LesionUptake | None],
    *,
    severity: Severity,
) -> list[Finding]:
    """Say where SUV speaks against a reader's word or cannot be SUV, and where a word overrules a drawing.

    ``uptake`` is that of each lesion; ``severity`` is info where stratum 1 holds: then avid disease does not
    matter.
    """
    findings = []
    look_again = protocol.avidity.look_again_suv
    for n, (lesion, word) in enumerate(zip(measured.lesions.ids, assessment.avidity, strict=True)):
        by_a_reader = not protocol.avidity.needs_suv or measured.words.avidity[n] != NO_WORD
        one = uptake[n]
        by_image = word == "not_avid" and measured.words.avidity[n] == NO_WORD
        if by_image and measured.masks.suv is not None and (one is None or one.suv_max == 0):
            # 0 is what pads an image, and may be what a scaled one holds
            grave: Severity = severity if one is None else "warning"
            value = "no value" if one is None else "0"
            findings.append(
                finding("suv_not_finite", "lesion", severity=grave, where=lesion, lesion=lesion, value=value)
            )
        if measured.marked.not_tumour[n] or one is None or one.suv_max is None or not by_a_reader:
            continue  # what a SUV rule says, SUV does not contradict
        if word == "not_avid" and one.suv_max >= look_again:
            code, limit = "hot_but_not_avid", look_again
        elif word == "avid" and one.suv_max < _COLD_SUV:
            code, limit = "avid_but_cold", _COLD_SUV
        else:
            continue
        found = finding(code, severity=severity, where=lesion, lesion=lesion, suv=one.suv_max, limit=limit)
        findings.append(found)
    every = [one.suv_max for one in uptake if one is not None and one.suv_max is not None]
    if every and not _SUV_OF_TUMOUR[0] <= max(every) <= _SUV_OF_TUMOUR[1]:
        # Only a fixed threshold rests on the values: other rules compare within one image.
        grave = severity if protocol.avidity.rule == "fixed" else "warning"
        findings.append(finding("suv_implausible", "values", severity=grave, where="pet", suv=max(every)))
    return findings + _overruled(measured, assessment, protocol, severity)


def _overruled(
    measured: Measurements, assessment: Assessment, protocol: Protocol, severity: Severity
) -> list[Finding]:
    """Say where ``not_avid`` takes drawn avid voxels away, and the stratum would be another with them."""
    words, regions = measured.words, measured.region_words
    not_avid = words.avidity == NOT_AVID
    if measured.attribution is None or assessment.stratum is None:
        return []
    if not (regions.dismissed.any() or not_avid.any()):
        return []
    kept = replace(words, avidity=np.where(not_avid, NO_WORD, words.avidity))
    counted = replace(regions, dismissed=np.zeros_like(regions.dismissed))
    drawn = assess(with_words(measured, kept, counted), protocol)
    if drawn.stratum in (None, assessment.stratum) or drawn.resolved is None:
        return []
    has_voxels = drawn.resolved.lesion_voxels > 0
    names = [measured.lesions.ids[n] for n in np.flatnonzero(not_avid & has_voxels).tolist()]
    names += [f"P{n + 1}" for n in np.flatnonzero(regions.dismissed).tolist()]
    if not names:
        return []
    where = names[0] if len(names) == 1 else "lesions"
    stratum = str(drawn.stratum).replace("_", " ")
    lesions = shown_names(names)
    return [finding("avidity_overruled", severity=severity, where=where, lesions=lesions, stratum=stratum)]


def drawing_doubts(
    measured: Measurements, assessment: Assessment, protocol: Protocol, *, at_edge: Sequence[int]
) -> list[Finding]:
    """Say which lesions touch the edge of their image, and whether ablation alone reaches stratum 1.

    ``at_edge`` is what `lesions_at_edge` gives.
    """
    findings = []
    harmless = []
    for lesion in at_edge:
        where = measured.lesions.ids[lesion]
        if _decides(lesion, measured, assessment, protocol):
            found = finding("lesion_at_edge", "decides", severity="review", where=where, lesion=where)
            findings.append(found)
        else:
            harmless.append(where)
    if harmless:
        where = harmless[0] if len(harmless) == 1 else "tumour"
        findings.append(finding("lesion_at_edge", "harmless", where=where, lesions=shown_names(harmless)))
    voxels = assessment.tally_1.voxels
    if assessment.stratum_1.holds and not voxels[Marking.RESECTABLE] and voxels[Marking.ABLATABLE]:
        findings.append(finding("ablation_alone"))
    return findings


def lesions_at_edge(measured: Measurements) -> list[int]:
    """Return the lesions of which a voxel lies in an outermost voxel of a field, by position."""
    lesions = measured.lesions
    touching: set[int] = set()
    for field in measured.masks.tumour_fields:
        last = np.array(field.shape) - 1
        for ends in (lesions.starts, lesions.stops - 1):
            if not ends.size:
                continue
            index = np.rint(field.to_index(lesions.grid.to_mm(lesions.grid.unravel(ends))))
            at_edge = (((index <= 0) | (index >= last)) & (last > 0)).any(axis=1)
            touching |= set(lesions.lesion[at_edge].tolist())
    return sorted(touching)


def _decides(lesion: int, measured: Measurements, assessment: Assessment, protocol: Protocol) -> bool:
    """Tell whether as much again of a lesion, marked alike, would change what can be said of stratum 1."""
    percent = protocol.thresholds.stratum_1_percent
    own = measured.marked.worst_voxels[lesion]
    now, more = np.array(assessment.tally_1.voxels), np.array(assessment.tally_1.voxels) + own
    sure, most = list(protocol.counted), [*protocol.counted, Marking.UNKNOWN]
    return any(
        reaches_percent(int(now[marks].sum()), int(now.sum()), percent)
        != reaches_percent(int(more[marks].sum()), int(more.sum()), percent)
        for marks in (sure, most)
    )
