"""What a plan comes to, and a case with plans: its verdict is that of the plan a person chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.certainty.verdict import CaseMemo, Verdict, reach_verdict, sorted_findings
from volstrat.errors import PlanError
from volstrat.geometry.runs import cut_at
from volstrat.plans.anatomy import Anatomy, PlanRegions, Zones, moved_borders, no_such_lesion, plan_regions
from volstrat.plans.plan_checks import plan_findings
from volstrat.rule.markings import draw_markings
from volstrat.rule.measure import Measurements, redraw_case
from volstrat.rule.remnant import measure_remnant
from volstrat.rule.stratify import assess
from volstrat.terms.couinaud import notation
from volstrat.terms.findings import finding
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.lesions import Lesions
    from volstrat.rule.markings import DrawnRuns
    from volstrat.rule.remnant import LiverRemnant
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import FdgAvidity
    from volstrat.terms.outcomes import Stratum
    from volstrat.terms.plans import Plan
    from volstrat.terms.policies import LiverState
    from volstrat.terms.protocol import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """What a remnant is set against; None where it is not known."""

    weight_kg: float | None = None
    height_cm: float | None = None
    liver_state: LiverState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A lesion of which tumour stays: the volume that does not count as taken, unmarked tumour included."""

    lesion_id: str
    volume_ml: float
    fdg_avidity: FdgAvidity


@dataclass(frozen=True, slots=True, kw_only=True)
class MapShift:
    """The plan with the borders between segments elsewhere; None as in the record."""

    mm: float
    resectable_fraction: float | None
    flr_percent: float | None
    stratum: Stratum | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlanOutcome:
    """A plan and what it comes to."""

    plan: Plan
    regions: PlanRegions
    remnant_voxels: VoxelRuns  # liver that is neither cut out nor ablated, tumour in it included
    measured: Measurements  # the case marked as the plan says
    verdict: Verdict
    of_case: tuple[Finding, ...]  # what is said of the case under every plan
    remnant: LiverRemnant
    cuts_through: tuple[str, ...]  # lesions of which some and not all voxels are cut
    left: tuple[Left, ...]
    map_shift: tuple[MapShift, ...]  # empty where no segment is cut out
    # lesions and regions that the plan marks: all in the liver, and those outside that it names
    marks: tuple[str, ...]

    @property
    def notation(self) -> str | None:
        """The whole segments that are cut out, in the "New World" terminology."""
        return notation(self.regions.segments)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The rule's findings under this plan, and the plan's own."""
        known = {(f.code, f.where, f.message) for f in self.of_case}
        return tuple(f for f in self.verdict.findings if (f.code, f.where, f.message) not in known)


_OF_MARKINGS = {"resectable_outside_tumour", "table_over_mask", "partly_resectable_lesion"}
"""Findings on a mask that a plan stands over."""


class PlanBook:
    """Carries out plans on one measured case; what they have in common is worked out once.

    ``measured`` is the case as read, with its own table and resectable mask; ``findings`` what reading it
    brought up, part of every verdict; ``memo`` what was worked out of the same case.
    """

    def __init__(
        self,
        measured: Measurements,
        anatomy: Anatomy,
        protocol: Protocol,
        *,
        patient: PatientFacts,
        findings: Iterable[Finding] = (),
        memo: CaseMemo | None = None,
    ) -> None:
        self.reading = tuple(findings)
        self.measured, self.anatomy, self.protocol = measured, anatomy, protocol
        self.zones = Zones(anatomy.lesions)
        self._patient, self._memo = patient, memo

    def carry_out(
        self, plan: Plan, *, cut_mask: VoxelRuns | None = None, with_flips: bool = False
    ) -> PlanOutcome:
        """Say what a plan comes to.

        ``cut_mask`` is what it cuts out as drawn. A segment or a lesion that is not there is a `PlanError`.
        """
        anatomy, protocol = self.anatomy, self.protocol
        regions = plan_regions(plan, anatomy, self.zones, protocol.plans, cut_mask=cut_mask)
        rows = self.rows_under(plan)
        cut = regions.cut
        measured = self.redrawn(self.draw(cut, regions.ablated), rows)
        remaining = anatomy.liver.difference(cut.union(regions.ablated))
        remnant, remnant_findings = measure_remnant(
            remnant=remaining,
            tumour=anatomy.lesions.voxels(),
            voxel_volume_mm3=anatomy.lesions.grid.voxel_volume_mm3,
            policy=protocol.remnant,
            liver=anatomy.liver,
            weight_kg=self._patient.weight_kg,
            height_cm=self._patient.height_cm,
            liver_state=self._patient.liver_state,
        )
        findings = plan_findings(
            plan,
            regions,
            anatomy,
            measures=self.measured.measures,
            policy=protocol.plans,
            remaining=remaining,
        )
        verdict = reach_verdict(
            measured,
            protocol,
            findings=(*self.reading, *findings, *remnant_findings),
            memo=self._memo,
            with_flips=with_flips,
        )
        return PlanOutcome(
            plan=plan,
            regions=regions,
            remnant_voxels=remaining,
            measured=measured,
            verdict=verdict,
            of_case=(*self.reading, *measured.lesion_findings, *self.measured.mark_findings),
            remnant=remnant,
            cuts_through=cuts_through(anatomy.lesions, cut),
            left=_left(measured, verdict, protocol),
            map_shift=tuple(self._map_shift(regions, rows)),
            marks=(*self._in_liver, *(i for i, _ in plan.outside_liver if i not in self._in_liver)),
        )

    def unplanned(self) -> Measurements:
        """Return the case with nothing in the liver marked: what is known while no plan is chosen."""
        drawn = self.draw(None, None)
        return self.redrawn(drawn, self.rows_under(None))

    def redrawn(self, drawn: DrawnRuns, rows: Mapping[str, LesionRow]) -> Measurements:
        """Return the case with these markings and rows; of the table it says what reading it found."""
        again = redraw_case(self.measured, drawn, rows, self.protocol)
        table = [f for f in self.measured.mark_findings if f.code not in _OF_MARKINGS]
        marks = [f for f in again.mark_findings if f.code == "partly_resectable_lesion"]
        return replace(again, mark_findings=(*table, *marks))

    def draw(self, cut: VoxelRuns | None, ablated: VoxelRuns | None) -> DrawnRuns:
        """Mark every voxel of every lesion.

        In the liver: cut resectable, else in a zone ablatable, else unresectable (unknown without regions).
        Outside: as the case's own mask draws it.
        """
        starts, stops, lesion, drawn = draw_markings(self.measured.lesions, self.measured.masks.resectable)
        inside = np.array(self.anatomy.in_liver, dtype=bool)
        if cut is None or ablated is None:
            return starts, stops, lesion, np.where(inside[lesion], int(Marking.UNKNOWN), drawn)
        edges = np.concatenate((cut.starts, cut.stops, ablated.starts, ablated.stops))
        starts, stops, origin = cut_at(starts, stops, edges)
        lesion, drawn = lesion[origin], drawn[origin]
        kept = np.where(ablated.contains(starts), Marking.ABLATABLE, Marking.UNRESECTABLE)
        planned = np.where(cut.contains(starts), Marking.RESECTABLE, kept)
        return starts, stops, lesion, np.where(inside[lesion], planned, drawn).astype(np.int64)

    def rows_under(self, plan: Plan | None) -> dict[str, LesionRow]:
        """Return the table under a plan: it marks no lesion in the liver, and the plan's words stand outside.

        A word on a lesion or region that is not there is a `PlanError`.
        """
        ids, in_liver = self.anatomy.lesions.ids, set(self._in_liver)
        rows = {
            i: replace(row, resectability=None) if i in in_liver else row
            for i, row in self.measured.rows.items()
        }
        if plan is None:
            return rows
        known = (*ids, *self.regions)
        for lesion_id, marking in plan.outside_liver:
            if lesion_id not in known:
                raise no_such_lesion(lesion_id, known, where=f"plan {plan.name!r}")
            if lesion_id not in in_liver:
                row = rows.get(lesion_id, LesionRow(lesion_id=lesion_id))
                rows[lesion_id] = replace(row, resectability=marking)
        return rows

    @property
    def _in_liver(self) -> tuple[str, ...]:
        anatomy = self.anatomy
        return tuple(i for i, within in zip(anatomy.lesions.ids, anatomy.in_liver, strict=True) if within)

    @property
    def regions(self) -> tuple[str, ...]:
        """Ids of the PET-only regions."""
        attribution = self.measured.attribution
        return () if attribution is None else tuple(f"P{n + 1}" for n in range(attribution.pet_only.count))

    def _map_shift(self, regions: PlanRegions, rows: Mapping[str, LesionRow]) -> list[MapShift]:
        anatomy, protocol = self.anatomy, self.protocol
        whole = anatomy.liver.difference(anatomy.lesions.voxels())
        spared = whole.difference(regions.otherwise.union(regions.ablated))
        found = []
        for mm, by_segments in moved_borders(regions, anatomy):
            drawn = self.draw(by_segments.union(regions.otherwise), regions.ablated)
            measured = redraw_case(self.measured, drawn, rows, protocol)
            assessment = assess(measured, protocol)
            left = spared.difference(by_segments).count
            found.append(
                MapShift(
                    mm=mm,
                    resectable_fraction=assessment.tally_1.resectable_fraction(protocol),
                    flr_percent=100 * left / whole.count if whole else None,
                    stratum=assessment.stratum,
                )
            )
        return found


def cuts_through(lesions: Lesions, cut: VoxelRuns) -> tuple[str, ...]:
    """Return the lesions of which some and not all voxels are cut."""
    taken = lesions.count_in(cut)
    return tuple(lesions.ids[n] for n in np.flatnonzero((taken > 0) & (taken < lesions.sizes)).tolist())


def _left(measured: Measurements, verdict: Verdict, protocol: Protocol) -> tuple[Left, ...]:
    counted = [int(m) for m in protocol.counted]
    staying = measured.marked.worst_voxels.sum(axis=1) - measured.marked.worst_voxels[:, counted].sum(axis=1)
    ml = measured.lesions.grid.voxel_ml
    avidity: Sequence[FdgAvidity] = verdict.assessment.avidity
    return tuple(
        Left(lesion_id=i, volume_ml=n * ml, fdg_avidity=a)
        for i, n, a in zip(measured.lesions.ids, staying.tolist(), avidity, strict=True)
        if n
    )


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

    ``chosen`` is the name of one of them, or None. The book's findings are what reading the case brought up,
    with `contradictions`. A plan that names what is not there, or a chosen one that is none, is a
    `PlanError`.
    """
    names = [plan.name for plan in plans]
    if chosen is not None and chosen not in names:
        msg = f"case.toml: chosen is {chosen!r}; the plans are {', '.join(map(repr, names)) or 'none'}."
        raise PlanError(msg, hint="Choose one of them, or leave chosen out.")
    outcomes = tuple(
        book.carry_out(plan, cut_mask=cut_masks.get(plan.name), with_flips=with_flips and plan.name == chosen)
        for plan in plans
    )
    of_chosen = next((outcome for outcome in outcomes if outcome.plan.name == chosen), None)
    if of_chosen is not None:
        measured, verdict = of_chosen.measured, of_chosen.verdict
    else:
        measured = book.unplanned()
        verdict = _undecided(book, measured, outcomes)
    return Decision(outcomes=outcomes, chosen=of_chosen, measured=measured, verdict=verdict)


def _undecided(book: PlanBook, measured: Measurements, outcomes: Sequence[PlanOutcome]) -> Verdict:
    """Return the verdict while no plan is chosen: no stratum, and every plan's listed."""
    verdict = reach_verdict(measured, book.protocol, findings=book.reading, with_flips=False)
    words = ((o.verdict.stratum or "not assessable").replace("_", " ") for o in outcomes)
    strata = "; ".join(f"{o.plan.name}: {word}" for o, word in zip(outcomes, words, strict=True))
    choose = finding("plan_not_chosen", where="plans", count=len(outcomes), strata=strata)
    kept = [f for f in verdict.findings if f.code != "unknown_marking"]  # the plan marks, not a person
    return replace(verdict, stratum=None, status="not_assessable", findings=sorted_findings((*kept, choose)))


def contradictions(measured: Measurements, anatomy: Anatomy, *, remnant_drawn: bool) -> list[Finding]:
    """Say where plans stand beside a resectable mask, markings in the table, or a drawn remnant.

    ``measured`` is the case as read.
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
