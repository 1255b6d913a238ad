"""What the record says of surgical plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.case.json_types import taken
from volstrat.case.record import finding_record
from volstrat.case.record_types import (
    AvidPredicateRecord,
    LeftRecord,
    MapShiftRecord,
    PlannedZoneRecord,
    PlanRecord,
    PredicateRecord,
    RemnantRecord,
    VolumesRecord,
)
from volstrat.terms.couinaud import notation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.record_types import SearchRecord
    from volstrat.plans.anatomy import PlannedZone
    from volstrat.plans.carry_out import PlanBook, PlanOutcome
    from volstrat.plans.union_search import Candidate


def plan_record(outcome: PlanOutcome) -> PlanRecord:
    """Return the record of one plan."""
    verdict = outcome.verdict
    return {
        "name": outcome.plan.name,
        "title": outcome.plan.title,
        "by": outcome.plan.by,
        "notation": outcome.notation,
        "segments": list(outcome.regions.segments),
        "wedges": _zones(outcome.regions.wedges, outcome),
        "ablations": _zones(outcome.regions.ablations, outcome),
        "stratum": verdict.stratum,
        "status": verdict.status,
        "predicates": {
            "stratum_1": taken(PredicateRecord, verdict.assessment.stratum_1),
            "stratum_2": taken(AvidPredicateRecord, verdict.assessment.stratum_2),
        },
        "volumes": taken(VolumesRecord, verdict.volumes),
        "remnant": taken(RemnantRecord, outcome.remnant),
        "cuts_through": list(outcome.cuts_through),
        "left": [taken(LeftRecord, left) for left in outcome.left],
        "map_shift": [taken(MapShiftRecord, shift) for shift in outcome.map_shift],
        "findings": [finding_record(finding) for finding in outcome.findings],
    }


def search_record(subject: str, book: PlanBook, found: Sequence[Candidate]) -> SearchRecord:
    """Return what a search found; segments are written as a plan in ``case.toml`` writes them."""
    return {
        "subject": subject,
        "tried": 2 ** len(book.anatomy.map),
        "threshold_percent": float(book.protocol.thresholds.stratum_1_percent),
        "search": [
            {
                "segments": [int(s) if s.isdigit() else s for s in union.segments],
                "ablate": list(union.ablate),
                "resectable_fraction": union.resectable_fraction,
                "flr_percent": union.flr_percent,
                "stratum": union.stratum,
                "notation": notation(union.segments),
            }
            for union in found
        ],
    }


def _zones(zones: Sequence[PlannedZone], outcome: PlanOutcome) -> list[PlannedZoneRecord]:
    ids = outcome.measured.lesions.ids
    return [{"lesion_id": ids[zone.lesion], "margin_mm": zone.margin_mm} for zone in zones]
