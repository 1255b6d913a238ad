"""One case: from its folder to its record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.case.discovery import open_case, subject_of
from volstrat.case.entries import EntryReader
from volstrat.case.inputs import read_inputs
from volstrat.case.protocol_files import altered_findings
from volstrat.case.record import failure_record, plan_record, search_record, success_record
from volstrat.case.record_types import CaseRecord
from volstrat.case.reviews import clean_cell, close_reviews, open_reviews, reviews_path
from volstrat.certainty.verdict import CaseMemo, Verdict, reach_verdict, settle_reviews
from volstrat.errors import MissingRoleError
from volstrat.frozen import frozen
from volstrat.rule.measure import Measurements, measure_case, remark_case
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.wording import shown_percent

_MOSTLY_PERCENT = 50
_WHOLE_PERCENT = 95

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.inputs import CaseInputs
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import FindingRecord, PlanRecord, SearchRecord
    from volstrat.plans.carry_out import Decision, PlanBook
    from volstrat.rule.remnant import LiverBurden, LiverRemnant
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.protocol import Protocol


@frozen(eq=False)
class CaseResult:
    """A case that was measured: its record and the objects behind it."""

    sources: CaseSources
    inputs: CaseInputs
    as_read: Measurements  # marked by the case's own table and mask, whatever plan is chosen
    measured: Measurements  # what the verdict is of
    verdict: Verdict
    decision: Decision | None  # of a case with surgical plans
    record: CaseRecord


def run_case(folder: Path, protocol: LoadedProtocol, *, lesions: str | None = None) -> CaseRecord:
    """Measure and stratify one case folder; a case that fails gives a record that says why.

    ``lesions`` is the lesion table to use instead of the case's own (see `open_case`).
    """
    try:
        case = open_case(folder, lesions=lesions, naming=protocol.protocol.naming)
        return assess_case(case, protocol).record
    except Exception as error:
        return failure_record(subject=subject_of(folder), error=error, protocol=protocol)


def assess_case(
    case: CaseSources | EntryReader,
    protocol: LoadedProtocol,
    *,
    memo: CaseMemo | None = None,
    with_flips: bool = True,
) -> CaseResult:
    """Read, measure and stratify a case; what marks do not change is kept in ``memo`` for `reassess_case`.

    A reader keeps what finding the sources scanned; ``with_flips`` is as of `reach_verdict`. Raises
    VolstratError if the inputs cannot be read or do not fit together.
    """
    inputs = read_inputs(case, protocol.protocol)
    inputs = replace(inputs, findings=(*altered_findings(protocol.protocol), *inputs.findings))
    sources = case.sources if isinstance(case, EntryReader) else case
    measured = measure_case(inputs.masks, protocol.protocol)
    return _concluded(sources, inputs, measured, protocol, memo=memo, with_flips=with_flips)


def reassess_case(
    result: CaseResult,
    rows: Mapping[str, LesionRow],
    protocol: LoadedProtocol,
    *,
    memo: CaseMemo | None = None,
    with_flips: bool = True,
    marked: Measurements | None = None,
) -> CaseResult:
    """Stratify a case again with another lesion table; no file is read, and no geometry measured, again.

    ``rows`` are the whole table by lesion or region id, ``marked`` what `remark_case` gives of them, where
    that is known; memo and protocol are those that the result was made with, and the record's inputs stay
    those that were read. Raises LesionTableError if a row does not fit the case.
    """
    measured = marked or remark_case(result.as_read, rows)
    return _concluded(result.sources, result.inputs, measured, protocol, memo=memo, with_flips=with_flips)


def choose_plan(result: CaseResult, name: str, protocol: LoadedProtocol) -> CaseResult:
    """Stratify a case again under another of its plans; no file is read again.

    Raises PlanError if the case states no such plan.
    """
    from volstrat.case.plan_tables import plan_choice

    choice = plan_choice(name, result.sources.plans, result.sources.subject)
    sources = replace(result.sources, choice=choice)
    return _concluded(sources, result.inputs, result.as_read, protocol, memo=None, with_flips=True)


def accept_review(
    case: EntryReader,
    protocol: LoadedProtocol,
    code: str,
    *,
    where: str | None,
    by: str,
    reason: str,
    at: str,
) -> tuple[list[FindingRecord], Path]:
    """Close the open reviews of a code in a case's ``reviews.csv``; returns them and the table's path.

    ``where`` (lesion, region, role or file) is needed where several have the finding.

    Raises ReviewTableError if there is no such open review; VolstratError if the case cannot be assessed, or
    the table cannot be read or written.
    """
    result = assess_case(case, protocol)
    reviews = open_reviews(result.record["findings"], code, where)
    path = reviews_path(result.sources)
    by, reason = (clean_cell(text, what=what) for text, what in ((by, "reader's name"), (reason, "reason")))
    close_reviews(path, reviews, by=by, reason=reason, recorded_at=at)
    return reviews, path


def _concluded(
    sources: CaseSources,
    inputs: CaseInputs,
    as_read: Measurements,
    protocol: LoadedProtocol,
    *,
    memo: CaseMemo | None,
    with_flips: bool,
) -> CaseResult:
    """Apply the rule to what was measured."""
    rule, measured, drawn = protocol.protocol, as_read, inputs
    decision = chosen = None
    plans: list[PlanRecord] = []
    if sources.plans:
        from volstrat.plans.carry_out import decide

        decision = decide(
            plan_book(sources, inputs, as_read, rule, memo=memo),
            [stated.plan for stated in sources.plans],
            chosen=None if sources.choice is None else sources.choice.plan,
            cut_masks=inputs.plans.cut_masks,
            with_flips=with_flips,
        )
        measured, drawn = decision.measured, replace(inputs, remnant=None)  # a plan leaves its own remnant
    remnant, liver, findings = _liver(sources, drawn, measured, rule)
    if decision is None:
        verdict = reach_verdict(
            measured, rule, findings=(*inputs.findings, *findings), memo=memo, with_flips=with_flips
        )
    else:
        verdict, chosen = decision.verdict, decision.chosen
        remnant = None if chosen is None else chosen.remnant
        plans = [
            plan_record(replace(one, verdict=_settled(one.verdict, inputs))) for one in decision.outcomes
        ]
    verdict = _settled(verdict, inputs)
    record = success_record(
        subject=sources.subject,
        visit=sources.visit,
        measured=measured,
        verdict=verdict,
        protocol=protocol,
        inputs=inputs.inputs,
        remnant=remnant,
        liver=liver,
        liver_mask=inputs.liver,
        plans=plans,
        chosen_plan=None if chosen is None else chosen.plan.name,
        planned_by={} if chosen is None else dict.fromkeys(chosen.marks, chosen.plan.by),
    )
    return CaseResult(
        sources=sources,
        inputs=inputs,
        as_read=as_read,
        measured=measured,
        verdict=verdict,
        decision=decision,
        record=record,
    )


def _settled(verdict: Verdict, inputs: CaseInputs) -> Verdict:
    """Return a verdict with the reviews closed that somebody closed."""
    return settle_reviews(verdict, rests_on=inputs.rests_on, closings=inputs.closings)


def plan_book(
    sources: CaseSources,
    inputs: CaseInputs,
    as_read: Measurements,
    protocol: Protocol,
    *,
    memo: CaseMemo | None = None,
) -> PlanBook:
    """Return what carries out plans on a case.

    Raises MissingRoleError if there is no liver mask.
    """
    from volstrat.plans.anatomy import Anatomy  # most cases have no plans
    from volstrat.plans.carry_out import PatientFacts, PlanBook, contradictions
    from volstrat.rule.lesion_places import lesion_sites

    if inputs.liver is None:
        msg = "There is no liver mask, so that no plan can be measured."
        raise MissingRoleError(msg, hint="Give the liver mask as liver.")
    sites = lesion_sites(as_read, inputs.liver)
    tumour = ~as_read.words.not_tumour
    lesions, kept = as_read.lesions, tumour[as_read.lesions.lesion]
    runs = {name: getattr(lesions, name)[kept] for name in ("starts", "stops", "lesion")}
    anatomy = Anatomy(
        lesions=replace(lesions, **runs),
        liver=inputs.liver,
        segments=inputs.plans.segments,
        in_liver=tuple(s.word == "liver" and t for s, t in zip(sites, tumour.tolist(), strict=True)),
    )
    beside = contradictions(as_read, anatomy, remnant_drawn=inputs.remnant is not None)
    of_liver = _liver(sources, replace(inputs, remnant=None), as_read, protocol)[2]
    weight_kg, height_cm = inputs.body_size
    state = sources.patient.liver_state
    return PlanBook(
        as_read,
        anatomy,
        protocol,
        patient=PatientFacts(weight_kg=weight_kg, height_cm=height_cm, liver_state=state),
        findings=(*inputs.findings, *of_liver, *beside),
        memo=memo,
    )


def search_case(
    folder: Path,
    protocol: LoadedProtocol,
    *,
    lesions: str | None = None,
    ablations: int = 0,
    flr_percent: float = 0.0,
) -> SearchRecord:
    """Return every union of liver segments that would do, by falling remnant.

    Beside each union so many ``ablations`` of the largest remaining lesions are made; ``flr_percent`` is the
    least remnant. Raises VolstratError if the inputs cannot be read or do not fit together, or the liver or
    its segments are missing.
    """
    from volstrat.plans.union_search import search_plans

    case = open_case(folder, lesions=lesions, naming=protocol.protocol.naming)
    inputs = read_inputs(case, protocol.protocol)
    if not inputs.plans.segments:
        msg = f"{folder.name}: there is no map of liver segments to search."
        raise MissingRoleError(msg, hint='Write [inputs] liver_segments = "FILE".')
    as_read = measure_case(inputs.masks, protocol.protocol)
    book = plan_book(case.sources, inputs, as_read, protocol.protocol)
    found = search_plans(book, ablations=ablations, flr_percent=flr_percent)
    return search_record(case.sources.subject, book, found)


def _liver(
    sources: CaseSources, inputs: CaseInputs, measured: Measurements, protocol: Protocol
) -> tuple[LiverRemnant | None, LiverBurden | None, tuple[Finding, ...]]:
    """Measure the tumour in the liver, and the liver that would remain, where their masks are given."""
    if inputs.liver is None and inputs.remnant is None:
        return None, None, ()
    from volstrat.rule.remnant import measure_liver_burden, measure_remnant

    marked = measured.marked
    tumour = marked.voxels()
    size = measured.lesions.grid.voxel_volume_mm3
    burden = remnant = None
    findings: tuple[Finding, ...] = ()
    if inputs.liver is not None:
        burden = measure_liver_burden(
            liver=inputs.liver,
            tumour=tumour,
            resectable=marked.voxels_marked(*protocol.counted),
            unmarked=marked.voxels_marked(Marking.UNKNOWN),
            voxel_volume_mm3=size,
        )
        share = burden.burden_percent
        if share is not None and share > _MOSTLY_PERCENT:
            percent = shown_percent(share, _MOSTLY_PERCENT)
            findings = (finding("liver_mostly_tumour", where="liver", percent=percent),)
        drawn, healthy = inputs.masks.resectable, inputs.liver.difference(tumour)
        if drawn and healthy and not sources.plans:
            covered = 100 * drawn.intersection(healthy).count / healthy.count
            if covered >= _WHOLE_PERCENT:
                one = finding("resectable_whole_liver", where="resectable", percent=shown_percent(covered))
                findings = (*findings, one)
    if inputs.remnant is not None:
        weight_kg, height_cm = inputs.body_size
        remnant, of_remnant = measure_remnant(
            remnant=inputs.remnant,
            tumour=tumour,
            voxel_volume_mm3=size,
            policy=protocol.remnant,
            liver=inputs.liver,
            to_resect=marked.voxels_marked(Marking.RESECTABLE),
            weight_kg=weight_kg,
            height_cm=height_cm,
            liver_state=sources.patient.liver_state,
        )
        findings = (*findings, *of_remnant)
    return remnant, burden, findings
