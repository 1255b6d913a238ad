"""A case with plans: its verdict is that of the plan a person chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from volstrat.certainty.verdict import Verdict, reach_verdict, sorted_findings
from volstrat.errors import PlanError
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.geometry.runs import VoxelRuns
    from volstrat.plans.anatomy import Anatomy
    from volstrat.plans.carry_out import PlanBook, PlanOutcome
    from volstrat.rule.measure import Measurements
    from volstrat.terms.findings import Finding
    from volstrat.terms.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """All plans of a case, and the verdict of the chosen one."""

    outcomes: tuple[PlanOutcome, ...]  # in the order stated; each one's status counts the case's own findings
    chosen: PlanOutcome | None
    measured: Measurements  # marked by the chosen plan; without one nothing in the liver is marked
    verdict: Verdict  # without a chosen plan there is no stratum


def decide(
    book: PlanBook,
    plans: Sequence[Plan],
    *,
    chosen: str | None,
    cut_masks: Mapping[str, VoxelRuns],
    with_flips: bool = True,
) -> Decision:
    """Carry out every plan and take the chosen one's verdict.

    Parameters
    ----------
    book : PlanBook
        Its findings are what reading the case brought up, with `contradictions`.
    plans : sequence of Plan
        Of different names.
    chosen : str or None
        Name of a plan.
    with_flips : bool
        As `reach_verdict`; of the chosen plan.

    Raises
    ------
    PlanError
        If a plan names what is not there, or the chosen one is none of them.
    """
    names = [plan.name for plan in plans]
    if chosen is not None and chosen not in names:
        msg = f"case.toml: chosen is {chosen!r}; the plans are {', '.join(map(repr, names)) or 'none'}."
        raise PlanError(msg, hint="Choose one of them, or leave chosen out.")
    outcomes = tuple(
        book.carry_out(plan, cut_mask=cut_masks.get(plan.name), with_flips=with_flips and plan.name == chosen)
        for plan in plans
    )
    for outcome in outcomes:
        if outcome.plan.name == chosen:
            return Decision(
                outcomes=outcomes, chosen=outcome, measured=outcome.measured, verdict=outcome.verdict
            )
    measured = book.unplanned()
    return Decision(
        outcomes=outcomes, chosen=None, measured=measured, verdict=_undecided(book, measured, outcomes)
    )


def _undecided(book: PlanBook, measured: Measurements, outcomes: Sequence[PlanOutcome]) -> Verdict:
    """Return the verdict while no plan is chosen: no stratum, and every plan's listed."""
    verdict = reach_verdict(measured, book.protocol, findings=book.reading, with_flips=False)
    strata = "; ".join(f"{o.plan.name}: {_WORDS[o.verdict.stratum]}" for o in outcomes)
    choose = finding("plan_not_chosen", where="plans", count=len(outcomes), strata=strata)
    kept = [f for f in verdict.findings if f.code != "unknown_marking"]  # the plan marks, not a person
    return replace(verdict, stratum=None, status="not_assessable", findings=sorted_findings((*kept, choose)))


_WORDS = {
    "stratum_1": "stratum 1",
    "stratum_2": "stratum 2",
    "ineligible": "ineligible",
    None: "not assessable",
}


def contradictions(measured: Measurements, anatomy: Anatomy, *, remnant_drawn: bool) -> list[Finding]:
    """Say where plans stand beside a resectable mask, markings in the table, or a drawn remnant.

    Parameters
    ----------
    measured : Measurements
        The case as read.
    remnant_drawn : bool
        A remnant mask was given as well.
    """
    found = []
    if measured.masks.resectable is not None:
        found.append(finding("plan_over_marking", "mask", where="resectable"))
    rows = measured.rows
    inside = zip(anatomy.lesions.ids, anatomy.in_liver, strict=True)
    marked = [i for i, within in inside if within and i in rows and rows[i].resectability is not None]
    if marked:
        found.append(finding("plan_over_marking", "table", where="lesions", lesions=", ".join(marked)))
    if remnant_drawn:
        found.append(finding("remnant_mask_not_used", where="remnant"))
    return found
