"""The verdict: stratum, status, volumes, and what a person should know about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.certainty.robustness import Robustness, measure_robustness
from volstrat.geometry.runs import sorted_unique
from volstrat.rule.attribution import review_regions
from volstrat.rule.stratify import Assessment, Predicate, Stratum, assess
from volstrat.terms.findings import SEVERITIES, Finding, Severity, shown_percent
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from volstrat.geometry.boundary_shift import ShiftedVolumes
    from volstrat.rule.measure import Measurements
    from volstrat.terms.protocol import Protocol

Status = Literal["assigned", "review", "not_assessable"]

_REGION_REVIEWS = {
    "differently_marked": (
        "avid_region_differently_marked",
        "An FDG-avid region on {where} lies on differently marked tumour; check which part is avid.",
    ),
    "partly_marked": (
        "avid_region_partly_marked",
        "An FDG-avid region lies on {where}, which has no one marking; check which part is avid.",
    ),
    "reaches_far": (
        "avid_region_reaches_far",
        "An FDG-avid region on {where} reaches more than {far:g} mm from any tumour voxel; check that it "
        "is tumour and not physiological uptake.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """Volumes in ml and fractions 0..1, unrounded; None where not assessed.

    ``resectable_*`` are lower bounds: an unknown marking counts as unresectable.
    """

    total_tumour_ml: float
    resectable_tumour_ml: float | None
    residual_tumour_ml: float | None
    resectable_fraction: float | None
    fdg_avid_ml: float | None
    fdg_avid_resectable_ml: float | None
    fdg_avid_resectable_fraction: float | None
    fdg_avid_fraction: float | None
    pet_only_ml: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What the rule says of a case, with the evidence."""

    status: Status
    stratum: Stratum | None
    assessment: Assessment
    volumes: Volumes
    robustness: Robustness
    findings: tuple[Finding, ...]


def reach_verdict(
    measured: Measurements,
    protocol: Protocol,
    *,
    findings: Iterable[Finding] = (),
    shifted: ShiftedVolumes | None = None,
) -> Verdict:
    """Apply the rule and say what a person should know.

    Parameters
    ----------
    measured : Measurements
    protocol : Protocol
    findings : iterable of Finding
        What reading the inputs brought up; joined with the rule's own.
    shifted : ShiftedVolumes or None
        What moved boundaries gave of the same case, which is looked for there first.
    """
    assessment = assess(measured, protocol)
    robustness, doubts = measure_robustness(measured, assessment, protocol, shifted=shifted)
    own = [
        *measured.lesion_findings,
        *measured.mark_findings,
        *_pet_findings(measured, assessment, protocol),
        *_region_findings(measured, assessment, protocol),
        *_stratum_findings(measured, assessment, protocol),
        *doubts,
    ]
    return Verdict(
        status=status_of(assessment.stratum, (*findings, *own)),
        stratum=assessment.stratum,
        assessment=assessment,
        volumes=_volumes(measured, assessment, protocol),
        robustness=robustness,
        findings=sorted_findings((*findings, *own)),
    )


def status_of(stratum: Stratum | None, findings: Iterable[Finding]) -> Status:
    """Return the status that a stratum and its findings amount to."""
    if stratum is None:
        return "not_assessable"
    return "review" if any(f.severity == "review" for f in findings) else "assigned"


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Drop repeats and sort, gravest first, in an order that depends on nothing else."""
    return tuple(
        sorted(set(findings), key=lambda f: (SEVERITIES.index(f.severity), f.code, f.where, f.message))
    )


def _volumes(measured: Measurements, assessment: Assessment, protocol: Protocol) -> Volumes:
    tally = assessment.tally_1
    total = float(sum(tally.volume_mm3)) / 1000
    sure = [m for m in Marking if m.counts(ablation_counts=protocol.ablation_counts)]
    marked = sum(tally.volume_mm3) > tally.volume_mm3[Marking.UNKNOWN]
    resectable = float(sum(tally.volume_mm3[m] for m in sure)) / 1000 if marked else None
    fraction = (
        None if resectable is None else float(sum(tally.volume_mm3[m] for m in sure) / sum(tally.volume_mm3))
    )
    avid = _AvidVolumes.of(measured, assessment, protocol)
    return Volumes(
        total_tumour_ml=total,
        resectable_tumour_ml=resectable,
        residual_tumour_ml=None if resectable is None else total - resectable,
        resectable_fraction=fraction,
        fdg_avid_ml=avid.total_ml,
        fdg_avid_resectable_ml=avid.resectable_ml,
        fdg_avid_resectable_fraction=avid.resectable_fraction,
        fdg_avid_fraction=avid.tumour_fraction,
        pet_only_ml=avid.pet_only_ml,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _AvidVolumes:
    total_ml: float | None = None
    resectable_ml: float | None = None
    resectable_fraction: float | None = None
    tumour_fraction: float | None = None
    pet_only_ml: float | None = None

    @classmethod
    def of(cls, measured: Measurements, assessment: Assessment, protocol: Protocol) -> _AvidVolumes:
        attribution, resolved = measured.attribution, assessment.resolved
        if attribution is None or resolved is None:
            return cls()
        ml = attribution.grid.voxel_volume_mm3 / 1000
        whole = resolved.counts.whole
        sure = resolved.counts.count(
            *(m for m in Marking if m.counts(ablation_counts=protocol.ablation_counts))
        )
        marked = whole == 0 or resolved.counts.count(Marking.UNKNOWN) < whole
        alone = (attribution.pet_only[attribution.region] >= 0) & (resolved.marking >= 0)
        tumour = int(measured.marked.total_voxels.sum())
        return cls(
            total_ml=whole * ml,
            resectable_ml=sure * ml if marked else None,
            resectable_fraction=sure / whole if whole and marked else None,
            tumour_fraction=avid_tumour_voxels(measured, assessment) / tumour if tumour else None,
            pet_only_ml=int(alone.sum()) * ml,
        )


def avid_tumour_voxels(measured: Measurements, assessment: Assessment) -> int:
    """Count tumour voxels whose centre lies in an avid PET voxel, without what ``not_avid`` removed."""
    attribution, resolved = measured.attribution, assessment.resolved
    if attribution is None or resolved is None:
        return 0
    called_off = np.array(
        [i in measured.rows and measured.rows[i].fdg_avidity == "not_avid" for i in measured.lesions.ids],
        dtype=bool,
    )
    kept = resolved.marking[attribution.tumour_holder] >= 0
    if called_off.size:
        kept &= ~called_off[attribution.tumour_lesion]
    return int(sorted_unique(attribution.tumour_voxels[kept]).size)


def _grave(assessment: Assessment, otherwise: Severity = "review") -> Severity:
    """Say how grave a finding is that concerns only avid disease: beside the point in stratum 1."""
    return "info" if assessment.stratum == "stratum_1" else otherwise


def _pet_findings(measured: Measurements, assessment: Assessment, protocol: Protocol) -> list[Finding]:
    ids = measured.lesions.ids
    unknown = [i for i, a in zip(ids, assessment.avidity, strict=True) if a == "not_assessed"]
    undecided = assessment.stratum is None and assessment.stratum_2.holds is None
    stands_in_way = undecided and assessment.stratum_1.holds is not None
    severity = _grave(assessment, "blocking" if stands_in_way else "warning")
    if measured.attribution is None:
        why = (
            f'The avidity rule "{protocol.avidity.title}" could not be carried out'
            if protocol.avidity.needs_suv
            else "No FDG-avid mask and no avidity rule"
        )
        message = f"{why}: avid disease is assessed from the lesion table alone"
        if assessment.only_pet_only_open:
            message += "; only disease that PET alone would show stands between this case and a stratum"
        elif unknown:
            message += f", which leaves {', '.join(_shortened(unknown))} open"
        message += ". This is not 'no avid disease'."
        return [Finding(code="pet_missing", severity=severity, message=message, where="fdg_avid")]
    findings = []
    if protocol.avidity.needs_suv and measured.masks.avid is not None:
        message = f'The avidity rule "{protocol.avidity.title}" is in force; the drawn avid mask is not used.'
        findings.append(
            Finding(code="avid_mask_not_used", severity="warning", message=message, where="fdg_avid")
        )
    if unknown and measured.masks.pet_field is None:
        message = (
            f"The avid mask does not say which field PET covered, so {', '.join(_shortened(unknown))} "
            "without avid voxels cannot be called not avid. Give the PET image as `pet`."
        )
        findings.append(
            Finding(code="pet_field_unknown", severity=severity, message=message, where="fdg_avid")
        )
    elif unknown:
        message = (
            f"The PET field does not cover {', '.join(_shortened(unknown))} wholly and shows no avid "
            "voxel there: avidity not assessed."
        )
        findings.append(Finding(code="pet_field_short", severity=severity, message=message, where="pet"))
    return findings


def _region_findings(measured: Measurements, assessment: Assessment, protocol: Protocol) -> list[Finding]:
    attribution, resolved = measured.attribution, assessment.resolved
    if attribution is None or resolved is None:
        return []
    findings = []
    for lesion, reason in review_regions(attribution, resolved, marking=measured.marked.marking):
        code, text = _REGION_REVIEWS[reason]
        where = measured.lesions.ids[lesion]
        message = text.format(where=where, far=2 * protocol.attribution_distance_mm)
        findings.append(Finding(code=code, severity=_grave(assessment), message=message, where=where))
    for n, marking in enumerate(assessment.region_marking):
        ml = attribution.pet_only_measures.volume_ml[n]
        x, y, z = attribution.pet_only_measures.centroid_mm[n]
        name = f"P{n + 1}"
        place = f"PET-only region {name} ({ml:.2f} ml at {round(x)}, {round(y)}, {round(z)} mm LPS)"
        severity: Severity = "info"
        if n in assessment.dismissed:
            message = f"{place} is dismissed as physiological."
        elif marking is Marking.UNKNOWN:
            severity = "review"
            message = f"{place} is not marked: mark it, or dismiss it with `not_avid`, in the lesion table."
        else:
            message = f"{place} is marked {marking.word}."
        findings.append(Finding(code="pet_only_region", severity=severity, message=message, where=name))
    return findings


def _stratum_findings(measured: Measurements, assessment: Assessment, protocol: Protocol) -> list[Finding]:
    findings = []
    first, second = assessment.stratum_1, assessment.stratum_2
    if measured.lesions.count == 0:
        message = "The tumour mask holds no voxel: neither predicate can be assessed."
        findings.append(Finding(code="tumour_empty", severity="blocking", message=message, where="tumour"))
    elif assessment.stratum is None:
        findings.extend(_unknown_markings(measured, assessment, protocol))
    if first.holds and second.holds:
        message = (
            f"Both predicates hold; the protocol puts such a case into {protocol.both_fit.replace('_', ' ')}."
        )
        findings.append(Finding(code="both_strata_hold", severity="info", message=message))
    ablatable = [
        *(
            i
            for i, m in zip(measured.lesions.ids, measured.marked.marking, strict=True)
            if m is Marking.ABLATABLE
        ),
        *(f"P{n + 1}" for n, m in enumerate(assessment.region_marking) if m is Marking.ABLATABLE),
    ]
    if ablatable:
        counted = "counts" if protocol.ablation_counts else "does not count"
        message = f"Ablation {counted} as resection under this protocol: {', '.join(_shortened(ablatable))}."
        findings.append(Finding(code="ablation", severity="info", message=message))
    return findings


def _unknown_markings(measured: Measurements, assessment: Assessment, protocol: Protocol) -> list[Finding]:
    """Say which unmarked lesions stand between the case and a stratum."""
    unmarked = [
        i for i, m in zip(measured.lesions.ids, measured.marked.marking, strict=True) if m is Marking.UNKNOWN
    ]
    regions = [
        f"P{n + 1}"
        for n, m in enumerate(assessment.region_marking)
        if m is Marking.UNKNOWN and n not in assessment.dismissed
    ]
    first, second = assessment.stratum_1, assessment.stratum_2
    if first.holds is None:
        low, high = _bounds_percent(first, assessment, protocol)
        open_ones = unmarked + (regions if protocol.pet_only_in_total else [])
        threshold = first.threshold_percent
        message = (
            f"{', '.join(_shortened(open_ones)) or 'Part of the tumour'} not marked: the resectable share "
            f"lies between {shown_percent(low, threshold)} % and {shown_percent(high, threshold)} %, on both "
            f"sides of {threshold} %. Mark {'them' if len(open_ones) > 1 else 'it'}."
        )
        return [Finding(code="unknown_marking", severity="blocking", message=message, where="lesions")]
    avid = [i for i in unmarked if assessment.avidity[measured.lesions.ids.index(i)] != "not_avid"]
    if second.holds is None and (avid or regions):
        message = (
            f"{', '.join(_shortened(avid + regions))} not marked: whether all FDG-avid disease is resectable "
            f"depends on it. Mark {'them' if len(avid + regions) > 1 else 'it'}."
        )
        return [Finding(code="unknown_marking", severity="blocking", message=message, where="lesions")]
    return []


def _bounds_percent(first: Predicate, assessment: Assessment, protocol: Protocol) -> tuple[float, float]:
    mm3 = assessment.tally_1.volume_mm3
    sure = sum(mm3[m] for m in Marking if m.counts(ablation_counts=protocol.ablation_counts))
    whole = sum(mm3)
    return float(100 * sure / whole), float(100 * (sure + mm3[Marking.UNKNOWN]) / whole)


def _shortened(ids: Sequence[str], most: int = 8) -> list[str]:
    return list(ids) if len(ids) <= most else [*ids[:most], f"{len(ids) - most} more"]
