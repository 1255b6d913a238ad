"""The verdict: stratum, status, volumes, and what a person should know about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from volstrat.certainty.closing import closed_by, marks_of, with_evidence
from volstrat.certainty.contradictions import contradictions, drawing_doubts, lesions_at_edge
from volstrat.certainty.pet_shift import MovedUptake
from volstrat.certainty.region_findings import dismissed_findings, region_findings
from volstrat.certainty.robustness import Robustness, measure_robustness
from volstrat.frozen import frozen
from volstrat.geometry.boundary_shift import ShiftedVolumes
from volstrat.rule.lesion_uptake import UptakeMemo, measure_uptake
from volstrat.rule.stratify import Assessment, assess
from volstrat.rule.table_words import NOT_AVID
from volstrat.terms.findings import SEVERITIES, finding, sentence
from volstrat.terms.marks import Marking
from volstrat.terms.wording import shown_names, shown_percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from volstrat.rule.attribution import Attribution
    from volstrat.rule.lesion_uptake import Uptakes
    from volstrat.rule.lesions import Lesions
    from volstrat.rule.measure import Measurements
    from volstrat.terms.findings import Closing, Finding, Severity
    from volstrat.terms.outcomes import Status, Stratum
    from volstrat.terms.protocol import Protocol


@frozen
class Volumes:
    """Volumes in ml and fractions 0..1, unrounded; None where not assessed.

    ``resectable_*`` are lower bounds: an unknown marking counts as unresectable.
    """

    total_tumour_ml: float
    resectable_tumour_ml: float | None
    residual_tumour_ml: float | None
    resectable_fraction: float | None
    fdg_avid_ml: float | None = None
    fdg_avid_resectable_ml: float | None = None
    fdg_avid_resectable_fraction: float | None = None
    fdg_avid_fraction: float | None = None
    pet_only_ml: float | None = None


@frozen(eq=False)
class Verdict:
    """What the rule says of a case, with the evidence; ``uptake`` is that of lesions and PET-only regions."""

    status: Status
    stratum: Stratum | None
    assessment: Assessment
    volumes: Volumes
    robustness: Robustness
    uptake: tuple[Uptakes, Uptakes]
    findings: tuple[Finding, ...]


class CaseMemo:
    """Remembers moved boundaries, moved PET and uptake of one case, under the last marks that changed them.

    Uptake rests on images, on attribution and on which lesions and regions are called not avid.
    """

    def __init__(self) -> None:
        self.shifted = ShiftedVolumes()
        self.moved = MovedUptake()
        self._uptake: tuple[Attribution | None, tuple[bytes, bytes], tuple[Uptakes, Uptakes]] | None = None
        self._of_voxels = UptakeMemo()
        self._at_edge: tuple[Lesions, list[int]] | None = None

    def uptake(self, measured: Measurements, assessment: Assessment) -> tuple[Uptakes, Uptakes]:
        """Return what `measure_uptake` gives of the one case that this belongs to."""
        words = (measured.words.avidity.tobytes(), measured.region_words.dismissed.tobytes())
        if self._uptake is None or self._uptake[0] is not measured.attribution or self._uptake[1] != words:
            found = measure_uptake(measured, assessment, self._of_voxels)
            self._uptake = (measured.attribution, words, found)
        return self._uptake[2]

    def at_edge(self, measured: Measurements) -> list[int]:
        """Return what `lesions_at_edge` gives of the one case that this belongs to."""
        if self._at_edge is None or self._at_edge[0] is not measured.lesions:
            self._at_edge = (measured.lesions, lesions_at_edge(measured))
        return self._at_edge[1]


def reach_verdict(
    measured: Measurements,
    protocol: Protocol,
    *,
    findings: Iterable[Finding] = (),
    memo: CaseMemo | None = None,
    with_flips: bool = True,
) -> Verdict:
    """Apply the rule and say what a person should know.

    Parameters
    ----------
    findings : iterable of Finding
        What reading the inputs brought up; joined with the rule's own.
    memo : CaseMemo or None
        What was worked out of the same case under other marks.
    with_flips : bool
        False leaves out the flips, which take longest and decide nothing.
    """
    assessment = assess(measured, protocol)
    findings = [_eased(one, assessment) for one in findings]
    pet_doubts = _pet_findings(measured, assessment, protocol)
    if any(one.code == "pet_not_fdg" for one in findings):  # which says more than that there is no PET
        pet_doubts = [one for one in pet_doubts if one.code != "pet_missing"]
    memo = memo or CaseMemo()
    uptake = memo.uptake(measured, assessment)
    robustness, doubts = measure_robustness(measured, assessment, protocol, memo=memo, with_flips=with_flips)
    own = [
        *(_eased(_unsearched(one, assessment), assessment) for one in measured.lesion_findings),
        *measured.mark_findings,
        *pet_doubts,
        *region_findings(measured, assessment, protocol, severity=_grave(assessment)),
        *dismissed_findings(measured),
        *_stratum_findings(measured, assessment, protocol),
        *drawing_doubts(measured, assessment, protocol, at_edge=memo.at_edge(measured)),
        *contradictions(measured, assessment, protocol, uptake[0], severity=_grave(assessment)),
        *doubts,
    ]
    # What blocks a stratum blocks it whatever the counts give: another patient's images, another tracer.
    blocked = any(one.severity == "blocking" for one in (*findings, *own))
    stratum = None if blocked else assessment.stratum
    marks = f"{assessment.stratum}\n{marks_of(measured)}"
    every = sorted_findings((*with_evidence(findings, ""), *with_evidence(own, marks)))
    return Verdict(
        status=status_of(stratum, every),
        stratum=stratum,
        assessment=assessment,
        volumes=_volumes(measured, assessment, protocol),
        robustness=robustness,
        uptake=uptake,
        findings=every,
    )


_WHERE_STRATUM_1_HOLDS: Final[dict[str, Severity]] = {
    "pet_not_fdg": "warning",
    "pet_tracer_contradictory": "info",
    "pet_tracer_unknown": "info",
    "pet_tracer_described": "info",
    "part_denies_role": "info",
    "suv_implausible": "info",
    "body_size_implausible": "warning",
}
"""How grave findings of the inputs are that concern only avid disease, which then does not matter."""


def _eased(one: Finding, assessment: Assessment) -> Finding:
    of_avid = one.where in ("pet", "fdg_avid")
    if assessment.stratum == "stratum_1" and of_avid and one.code in _WHERE_STRATUM_1_HOLDS:
        return replace(one, severity=_WHERE_STRATUM_1_HOLDS[one.code])
    return one


def _unsearched(one: Finding, assessment: Assessment) -> Finding:
    """Raise that PET-only disease was not looked for, where all avid disease is said to be resectable."""
    if assessment.stratum == "stratum_2" and one.code == "pet_only_not_searched":
        return replace(one, severity="review")
    return one


def settle_reviews(verdict: Verdict, *, rests_on: str, closings: Sequence[Closing]) -> Verdict:
    """Return a verdict with the reviews closed that somebody closed.

    ``rests_on`` is the hash of the voxels that all findings rest on.
    """
    findings = closed_by(with_evidence(verdict.findings, rests_on), closings)
    return replace(verdict, findings=sorted_findings(findings), status=status_of(verdict.stratum, findings))


def status_of(stratum: Stratum | None, findings: Iterable[Finding]) -> Status:
    """Return the status that a stratum and its findings amount to."""
    if stratum is None:
        return "not_assessable"
    return "review" if any(f.open_review for f in findings) else "assigned"


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Drop repeats and sort, gravest first, in an order that depends on nothing else."""
    return tuple(
        sorted(set(findings), key=lambda f: (SEVERITIES.index(f.severity), f.code, f.where, f.message))
    )


def _volumes(measured: Measurements, assessment: Assessment, protocol: Protocol) -> Volumes:
    tally = assessment.tally_1
    total = float(sum(tally.volume_mm3)) / 1000
    part = tally.resectable_mm3(protocol)
    resectable = None if part is None else float(part) / 1000
    volumes = Volumes(
        total_tumour_ml=total,
        resectable_tumour_ml=resectable,
        residual_tumour_ml=None if resectable is None else total - resectable,
        resectable_fraction=tally.resectable_fraction(protocol),
    )
    attribution, resolved = measured.attribution, assessment.resolved
    if attribution is None or resolved is None:
        return volumes
    ml, groups = attribution.grid.voxel_ml, attribution.groups
    whole, sure = resolved.count(*Marking), resolved.count(*protocol.counted)
    marked = whole == 0 or resolved.count(Marking.UNKNOWN) < whole
    alone = (groups.rank >= 0) & (resolved.marking >= 0)
    tumour = int(measured.marked.total_voxels.sum())
    return replace(
        volumes,
        fdg_avid_ml=whole * ml,
        fdg_avid_resectable_ml=sure * ml if marked else None,
        fdg_avid_resectable_fraction=sure / whole if whole and marked else None,
        fdg_avid_fraction=avid_tumour_voxels(measured, assessment) / tumour if tumour else None,
        pet_only_ml=int(groups.voxels[alone].sum()) * ml,
    )


def avid_tumour_voxels(measured: Measurements, assessment: Assessment) -> int:
    """Count tumour voxels whose centre lies in an avid PET voxel, without what ``not_avid`` removed."""
    attribution, resolved = measured.attribution, assessment.resolved
    if attribution is None or resolved is None:
        return 0
    counts = ~measured.words.not_tumour & (measured.words.avidity != NOT_AVID)
    return attribution.seen.held_voxels(counts, resolved.marking >= 0)


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
        if assessment.stratum == "stratum_2":  # by the table alone: nobody looked for what PET alone shows
            severity = "review"
        still_open = ""
        if assessment.only_pet_only_open:
            still_open = " " + sentence("pet_missing", "pet_only_open")
        elif unknown:
            still_open = " " + sentence("pet_missing", "lesions_open", lesions=shown_names(unknown))
        return [
            finding(
                "pet_missing",
                "no_rule" if protocol.avidity.needs_suv else "no_mask",
                severity=severity,
                where="fdg_avid",
                rule=protocol.avidity.title,
                still_open=still_open,
            )
        ]
    findings = []
    if protocol.avidity.needs_suv and measured.masks.avid is not None:
        findings.append(finding("avid_mask_not_used", where="fdg_avid", rule=protocol.avidity.title))
    lesions = shown_names(unknown, last=" and ")
    if unknown and measured.masks.pet_field is None:
        findings.append(finding("pet_field_unknown", severity=severity, where="fdg_avid", lesions=lesions))
    elif unknown:
        findings.append(finding("pet_field_short", severity=severity, where="pet", lesions=lesions))
    return findings


def _stratum_findings(measured: Measurements, assessment: Assessment, protocol: Protocol) -> list[Finding]:
    findings = []
    first, second = assessment.stratum_1, assessment.stratum_2
    if measured.marked.not_tumour.all():  # also where there is no lesion
        findings.append(
            finding("tumour_empty", "all_dismissed" if measured.lesions.count else "no_voxel", where="tumour")
        )
    elif assessment.stratum is None:
        findings.extend(_unknown_markings(measured, assessment, protocol))
    if first.holds and second.holds:
        findings.append(finding("both_strata_hold", stratum=protocol.both_fit.replace("_", " ")))
    lesions, regions = _marked_as(Marking.ABLATABLE, measured, assessment)
    if lesions or regions:
        names = shown_names(lesions + regions)
        findings.append(
            finding("ablation", "counts" if protocol.ablation_counts else "does_not_count", lesions=names)
        )
    return findings


def _unknown_markings(measured: Measurements, assessment: Assessment, protocol: Protocol) -> list[Finding]:
    """Say which unmarked lesions stand between the case and a stratum."""
    unmarked, regions = _marked_as(Marking.UNKNOWN, measured, assessment)
    regions = [p for p in regions if int(p[1:]) - 1 not in assessment.dismissed]
    first, second = assessment.stratum_1, assessment.stratum_2
    if first.holds is None:
        assert first.percent_lower is not None  # there is tumour
        assert first.percent_upper is not None
        open_ones = unmarked + (regions if protocol.pet_only_in_total else [])
        threshold = first.threshold_percent
        return [
            finding(
                "unknown_marking",
                "stratum_1",
                where="lesions",
                lesions=shown_names(open_ones) or "part of the tumour",
                lower_percent=shown_percent(first.percent_lower, threshold),
                upper_percent=shown_percent(first.percent_upper, threshold),
                threshold_percent=threshold,
                they_are="they are" if len(open_ones) > 1 else "it is",
            )
        ]
    calls = dict(zip(measured.lesions.ids, assessment.avidity, strict=True))
    avid = [i for i in unmarked if calls[i] != "not_avid"]
    if second.holds is None and (avid or regions):
        lesions = shown_names(avid + regions)
        them = "them" if len(avid + regions) > 1 else "it"
        return [finding("unknown_marking", "stratum_2", where="lesions", lesions=lesions, them=them)]
    return []


def _marked_as(
    marking: Marking, measured: Measurements, assessment: Assessment
) -> tuple[list[str], list[str]]:
    """Return the lesions, and the PET-only regions, that have a marking."""
    lesions = zip(measured.lesions.ids, measured.marked.marking, strict=True)
    regions = enumerate(assessment.region_marking)
    return [i for i, own in lesions if own is marking], [f"P{n + 1}" for n, own in regions if own is marking]
