"""Surgical plans side by side, in words: the same rows on the terminal, in the report and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.show.words import STATUS, STRATA, ml_text, percent_text
from volstrat.terms.wording import shown_names, shown_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.record_types import (
        CaseRecord,
        LeftRecord,
        PlannedZoneRecord,
        PlanRecord,
        RemnantRecord,
    )

ARITHMETIC = "Arithmetic on the map of segments, not advice: vessels and bile ducts are not seen."


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One line of the comparison: what it says, and a cell for each plan."""

    name: str
    cells: tuple[str, ...]


def plan_rows(record: CaseRecord) -> tuple[PlanRow, ...]:
    """Return the comparison of a record's plans, a cell a plan, in the order stated."""
    plans = record["plans"]
    chosen = record["chosen_plan"]
    rows = [
        ("Plan", [p["name"] + (" (chosen)" if p["name"] == chosen else "") for p in plans]),
        ("", [p["title"] for p in plans]),
        ("By", [p["by"] for p in plans]),
        ("Cut out", [_cut(p) for p in plans]),
        ("Ablated", [_zones(p["ablations"]) for p in plans]),
        ("Stratum", [STRATA[p["stratum"]] for p in plans]),
        ("Status", [STATUS[p["status"]] for p in plans]),
        ("Debulked", [_debulked(p) for p in plans]),
        ("Avid left", [_avid_left(p) for p in plans]),
        ("Remnant (FLR)", [_remnant(p["remnant"]) for p in plans]),
        ("  standardised", [_standardised(p["remnant"]) for p in plans]),
        ("  map 10 mm off", [_map(p) for p in plans]),
        ("What stays", [_left(p["left"]) for p in plans]),
        ("Cuts through", [shown_names(p["cuts_through"]) or "nothing" for p in plans]),
    ]
    return tuple(PlanRow(name=name, cells=tuple(cells)) for name, cells in rows if any(cells))


def plan_brief(plan: PlanRecord) -> dict[str, str]:
    """Return what a narrow column says of a plan, a few letters a row, in the order of the rows."""
    wedges, ablations = len(plan["wedges"]), len(plan["ablations"])
    parts = [
        plan["notation"] or "",
        "wedge" if wedges == 1 else f"{wedges} wedges" if wedges else "",
        f"{ablations} abl." if ablations else "",
    ]
    fraction = plan["volumes"]["resectable_fraction"]
    needed = plan["predicates"]["stratum_1"]["threshold_percent"]
    remnant, left = plan["remnant"], plan["left"]
    share = percent_text(remnant["flr_percent"], remnant["limit_percent"])
    limit = remnant["limit_percent"]
    against = f" BELOW {limit:g}" if limit is not None and remnant["below_limit"] else ""
    stays = f"{ml_text(sum(x['volume_ml'] for x in left))} in {len(left)}"
    return {
        "Stratum": STRATA[plan["stratum"]],
        "Debulked": "not marked" if fraction is None else percent_text(100 * fraction, needed),
        "Avid left": _avid_left(plan),
        "Remnant": ml_text(remnant["flr_ml"]) if remnant["flr_percent"] is None else share + against,
        "Stays": stays if left else "nothing",
        "Taken": " + ".join(part for part in parts if part) or "nothing",
    }


def remnant_of(plan: PlanRecord) -> str:
    """Say a plan's remnant in one line, with what the map's borders 10 mm off would make of it."""
    moved = _map(plan)
    return f"remnant {_remnant(plan['remnant'])}" + (f"; map 10 mm off {moved}" if moved else "")


def _cut(plan: PlanRecord) -> str:
    wedges = _zones(plan["wedges"])
    parts = [plan["notation"] or "", f"wedge {wedges}" if wedges else ""]
    return ", ".join(part for part in parts if part) or ("" if plan["notation"] is None else "nothing")


def _zones(zones: Sequence[PlannedZoneRecord]) -> str:
    return ", ".join(f"{zone['lesion_id']} + {zone['margin_mm']:g} mm" for zone in zones)


def _debulked(plan: PlanRecord) -> str:
    fraction = plan["volumes"]["resectable_fraction"]
    needed = plan["predicates"]["stratum_1"]["threshold_percent"]
    return "not marked" if fraction is None else f"{percent_text(100 * fraction, needed)}, needs {needed:g} %"


def _avid_left(plan: PlanRecord) -> str:
    """Say which avid disease stays; of lesions by name, of voxels by volume."""
    volumes = plan["volumes"]
    lesions = [left["lesion_id"] for left in plan["left"] if left["fdg_avidity"] == "avid"]
    if plan["predicates"]["stratum_2"]["avid_disease"] == "not_assessed":
        return "not assessed"
    ml = None
    if volumes["fdg_avid_ml"] is not None:
        ml = volumes["fdg_avid_ml"] - (volumes["fdg_avid_resectable_ml"] or 0.0)
    if not lesions and not ml:
        return "none"
    return f"{ml_text(ml) if ml else ''} {shown_names(lesions)}".strip()


def _remnant(remnant: RemnantRecord) -> str:
    if remnant["flr_percent"] is None:
        return ml_text(remnant["flr_ml"])
    limit = remnant["limit_percent"]
    share = percent_text(remnant["flr_percent"], limit)
    if limit is None:
        return share + (", below every limit" if remnant["below_limit"] else "")
    return f"{share}, {'BELOW' if remnant['below_limit'] else 'limit'} {limit:g} %"


def _standardised(remnant: RemnantRecord) -> str:
    share = remnant["sflr_percent"]
    return "" if share is None else percent_text(share, remnant["limit_percent"])


def _map(plan: PlanRecord) -> str:
    """Say within which bounds the remnant lies where the map's borders are 10 mm off, and other strata."""
    shares = [shift["flr_percent"] for shift in plan["map_shift"] if shift["flr_percent"] is not None]
    if not shares:
        return ""
    marks = [m for m in (plan["remnant"]["limit_percent"],) if m is not None]
    low, high = (shown_percent(share, *marks) for share in (min(shares), max(shares)))
    others = {shift["stratum"] for shift in plan["map_shift"]} - {plan["stratum"]}
    words = f"{low}-{high} %"
    return words + "".join(f", {STRATA[stratum].lower()}" for stratum in sorted(others, key=str))


def _left(left: Sequence[LeftRecord]) -> str:
    """Say what stays, the largest first."""
    by_size = sorted(left, key=lambda lesion: -lesion["volume_ml"])
    shown = [f"{lesion['lesion_id']} {ml_text(lesion['volume_ml'])}" for lesion in by_size]
    return shown_names(shown, named=4) or "nothing"
