"""Surgical plans on the page: compared, tried, saved and chosen; and what they cut, drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from volstrat.case.assess import plan_book
from volstrat.case.discovery import CASE_FILE
from volstrat.case.lesion_table import read_bytes
from volstrat.case.plan_tables import PlanChoice, StatedPlan, with_choice, with_plan
from volstrat.case.record import plan_record
from volstrat.errors import PlanError, UsageError
from volstrat.pictures.projections import Projections
from volstrat.pictures.scene import planned_shapes
from volstrat.report.report_figures import remnant_bar
from volstrat.review.mark_table import clean_text, utc_now
from volstrat.show.plan_words import ARITHMETIC, plan_brief, plan_rows
from volstrat.store.output import write_atomically
from volstrat.terms.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from volstrat.case.assess import CaseResult
    from volstrat.case.record_types import CaseRecord
    from volstrat.pictures.planes import Plane, PlaneName
    from volstrat.pictures.scene import Scene
    from volstrat.plans.carry_out import PlanOutcome
    from volstrat.review.reviewed import Reviewed
    from volstrat.review.session import ReviewSession

_TRIED = "tried"


class PlanDesk:
    """What the page asks about plans; trying one changes nothing until it is saved."""

    def __init__(self, session: ReviewSession) -> None:
        self._session = session
        self._trying: tuple[Plan, str] | None = None  # and the plan whose cut mask it shares
        self._carried: tuple[CaseResult, PlanOutcome] | None = None
        self._shown: str | None = None
        self._drawn: tuple[PlanOutcome, Scene, Scene, Projections] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as the page shows it; without columns where there is nothing to compare."""
        reviewed = self._session.reviewed
        if reviewed is None:
            return {"columns": [], "segments": []}
        result = reviewed.result or reviewed.bare
        tried = self._tried(result)
        plans = [*result.record["plans"], *([] if tried is None else [plan_record(tried)])]
        record: CaseRecord = {**result.record, "plans": plans}
        choice = result.sources.choice
        rows = plan_rows(record) if plans else ()
        return {
            "columns": [
                {
                    "name": plan["name"],
                    "title": plan["title"],
                    "tried": tried is not None and n == len(plans) - 1,
                    "chosen": plan["name"] == record["chosen_plan"],
                    "stratum": plan["stratum"] or "none",
                    "cells": plan_brief(plan),
                    "whole": "\n".join(f"{row.name.strip()}: {row.cells[n]}" for row in rows if row.cells[n]),
                    "bar": remnant_bar(plan),
                    "reviews": [
                        f["message"] for f in plan["findings"] if f["severity"] in ("review", "blocking")
                    ],
                }
                for n, plan in enumerate(plans)
            ],
            "choice": None
            if choice is None
            else {"by": choice.by, "reason": choice.reason, "at": choice.recorded_at},
            "segments": list(result.inputs.plans.segments) if result.inputs.liver is not None else [],
            "tried": [] if tried is None else list(tried.regions.segments),
            "shown": "" if (shown := self._outcome()) is None else shown.plan.name,
            "can_write": result.sources.told_by == "case.toml" and not self._session.options.read_only,
            "note": ARITHMETIC,
        }

    def show(self, name: str) -> None:
        """Draw another plan; "" draws none."""
        self._shown = name

    def try_segments(self, segments: Sequence[str], like: str) -> None:
        """Carry out segments switched on, with what else a plan does; without any, stop trying."""
        reviewed = self._reviewed()
        result = reviewed.result or reviewed.bare
        if not segments:
            self._trying, self._shown = None, None
            return
        others = {stated.plan.name: stated.plan for stated in result.sources.plans}
        plan = replace(others.get(like, Plan(name=_TRIED)), name=_TRIED, title="", segments=tuple(segments))
        self._carried = (result, self._carried_out(result, plan, like))
        self._trying, self._shown = (plan, like), _TRIED

    def _carried_out(self, result: CaseResult, plan: Plan, like: str) -> PlanOutcome:
        book = plan_book(result.sources, result.inputs, result.as_read, self._session.protocol.protocol)
        return book.carry_out(plan, cut_mask=result.inputs.plans.cut_masks.get(like))

    def _tried(self, result: CaseResult) -> PlanOutcome | None:
        """Return what is tried, carried out on marks and masks as they are now; None where nothing can be."""
        if self._trying is None:
            return None
        if self._carried is None or self._carried[0] is not result:
            try:
                self._carried = (result, self._carried_out(result, *self._trying))
            except PlanError:  # the case was read again, and what it names is there no longer
                self._trying = None
                return None
        return self._carried[1]

    def save(self, name: str, title: str, by: str) -> None:
        """Save what is tried as a plan of ``case.toml``; where that is refused, nothing is changed."""
        if self._trying is None:
            msg = "There is nothing to save: switch segments on first."
            raise PlanError(msg)
        if not name.strip():
            msg = "A plan needs a name."
            raise PlanError(msg)
        plan = replace(
            self._trying[0],
            name=clean_text(name, what="plan's name"),
            title=clean_text(title, what="plan's title"),
            by=clean_text(by, what="reader's name"),
        )
        sources = self._reviewed().bare.sources
        self._write(lambda text: with_plan(text, plan))
        self._session.take_plans((*sources.plans, StatedPlan(plan=plan)), sources.choice)
        self._trying, self._shown = None, plan.name

    def choose(self, name: str, by: str, reason: str) -> None:
        """Choose a plan: a mark, with a name and a reason; where that is refused, nothing is changed."""
        if not by.strip() or not reason.strip():
            msg = "A plan is chosen with a name and a reason."
            raise PlanError(msg)
        sources = self._reviewed().bare.sources
        if name not in [stated.plan.name for stated in sources.plans]:
            msg = f"There is no plan called {name!r}."
            raise PlanError(msg, hint="Save it as a plan first.")
        choice = PlanChoice(
            plan=name,
            by=clean_text(by, what="reader's name"),
            reason=clean_text(reason, what="reason"),
            recorded_at=utc_now(),
        )
        self._write(lambda text: with_choice(text, choice))
        self._session.take_plans(sources.plans, choice)
        self._shown = None

    def outlines(self, scene: Scene, plane: Plane) -> Iterable[tuple[str, list[Any]]]:
        """Return what a slice shows of the plan that is drawn: cut, ablated, remnant."""
        drawn = self._planned(scene)
        return () if drawn is None else [(s.name, loops) for s, loops in drawn[0].sections.on(plane)]

    def shadows(self, scene: Scene, name: PlaneName) -> Iterable[tuple[str, list[Any]]]:
        """Return the same seen along an axis."""
        drawn = self._planned(scene)
        return () if drawn is None else drawn[1].shadows(name)

    def _outcome(self) -> PlanOutcome | None:
        reviewed = self._session.reviewed
        result = None if reviewed is None else reviewed.result or reviewed.bare
        if result is not None and self._shown == _TRIED:
            return self._tried(result)
        if result is None or result.decision is None or self._shown == "":
            return None
        named = {outcome.plan.name: outcome for outcome in result.decision.outcomes}
        return named.get(self._shown or "", result.decision.chosen)

    def _planned(self, scene: Scene) -> tuple[Scene, Projections] | None:
        """Return a scene with what the plan that is drawn does in place of lesions; None without one."""
        outcome = self._outcome()
        if outcome is None:
            return None
        if self._drawn is None or self._drawn[0] is not outcome or self._drawn[1] is not scene:
            planned = replace(scene, shapes=planned_shapes(outcome))
            self._drawn = (outcome, scene, planned, Projections(planned))
        return self._drawn[2], self._drawn[3]

    def _reviewed(self) -> Reviewed:
        reviewed = self._session.reviewed
        if reviewed is None:
            msg = "The case is not loaded."
            raise UsageError(msg)
        return reviewed

    def _write(self, change: Callable[[str], str]) -> None:
        """Change ``case.toml``, which must be as it was read."""
        self._session.check_may_plan()
        path = self._reviewed().bare.sources.folder / CASE_FILE
        write_atomically(path, change(read_bytes(path).decode("utf-8")).encode("utf-8"))
