"""The verdict in sentences, as a surgeon reads it: what is still open, met or not met, what it hangs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.case.record_types import given
from volstrat.show.words import AVID_DISEASE, STATUS_SENTENCE, STRATA, ml_text, percent_text
from volstrat.terms.wording import shown_ml, shown_names, shown_percent

if TYPE_CHECKING:
    from volstrat.case.record_types import (
        CaseRecord,
        LiverBurdenRecord,
        PredicateName,
        PredicateRecord,
        RemnantRecord,
    )

_IF = {
    "resectable": "could be resected",
    "ablatable": "could be ablated",
    "unresectable": "could not be resected",
    "unknown": "were left open",
    "avid": "were FDG-avid",
    "not_avid": "were not FDG-avid",
}
NOTHING_MARKED = "nothing marked yet"


def still_to_mark(record: CaseRecord) -> str:
    """Say what nobody has marked yet; "" where all is.

    >>> region = {"resectability": "unknown", "fdg_avidity": "not_avid"}
    >>> lesions = [{"resectability": word} for word in ("unknown", "unknown", "resectable")]
    >>> still_to_mark({"lesions": lesions, "pet_only_regions": [region, region | {"fdg_avidity": "avid"}]})
    '2 lesions and 1 PET region still to mark'
    """
    if record.get("plans") and record["chosen_plan"] is None:
        return "choose a plan"
    lesions = sum(x["resectability"] == "unknown" for x in record["lesions"])
    regions = sum(
        x["resectability"] == "unknown" and x["fdg_avidity"] != "not_avid" for x in record["pet_only_regions"]
    )
    counted = [
        f"{count} {name}{'s' if count > 1 else ''}"
        for count, name in ((lesions, "lesion"), (regions, "PET region"))
        if count
    ]
    return f"{' and '.join(counted)} still to mark" if counted else ""


def headline(record: CaseRecord) -> str:
    """Return the stratum; where there is none because lesions are unmarked, how many are still to mark."""
    if record["error"] is not None:
        return "Failed"
    if record["plans"] and record["chosen_plan"] is None:
        return "No plan chosen yet"
    if record["stratum"] is None and any(f["code"] == "unknown_marking" for f in record["findings"]):
        return still_to_mark(record) or STRATA[None]
    return STRATA[record["stratum"]]


def status_line(record: CaseRecord) -> str:
    """Say below the headline how the case stands."""
    if record["stratum"] is None and headline(record) != STRATA[None] and record["error"] is None:
        return "no stratum before that"
    return STATUS_SENTENCE[record["status"]]


def bounds_percent(predicate: PredicateRecord) -> tuple[float, float] | None:
    """Return the least and the largest share that a criterion may come to; None where nothing is counted."""
    whole = predicate["whole_voxels"]
    part, upper = predicate["part_voxels"], predicate["part_voxels_upper"]
    if whole and part is not None and upper is not None:
        return 100 * part / whole, 100 * upper / whole
    low, high = predicate["percent_lower"], predicate["percent_upper"]
    return None if low is None or high is None or whole == 0 else (low, high)


def share_text(predicate: PredicateRecord) -> str:
    """Write a criterion's share; its bounds where some of it is not yet marked."""
    bounds = bounds_percent(predicate)
    if bounds is None:
        return "none seen" if predicate.get("avid_disease") == "not_observed" else "not assessed"
    if bounds == (0, 100):
        return NOTHING_MARKED
    low, high = (percent_text(x, predicate["threshold_percent"]) for x in bounds)
    return low if bounds[0] == bounds[1] else f"{low.removesuffix(' %')} to {high}"


def criterion_text(record: CaseRecord, key: PredicateName) -> str:
    """Say what a criterion rests on, in ml."""
    predicates, volumes = given(record["predicates"]), given(record["volumes"])
    p, avid_disease = predicates[key], predicates["stratum_2"]["avid_disease"]
    if key == "stratum_2" and avid_disease != "observed":
        return AVID_DISEASE[avid_disease]
    said = f"{AVID_DISEASE['observed']}; " if key == "stratum_2" else ""
    bounds = bounds_percent(p)
    if bounds is None:
        none = "no tumour is left" if record["lesions"] else "no tumour is drawn"
        return none if key == "stratum_1" else said.removesuffix("; ")
    total = volumes["fdg_avid_ml" if p["unit"] == "pet" else "total_tumour_ml"]
    if not total or bounds == (0, 100):
        return said.removesuffix("; ") if said else NOTHING_MARKED
    low, high = (share * total / 100 for share in bounds)
    part = ml_text(low) if low == high else f"{shown_ml(low)} to {ml_text(high)}"
    return f"{said}{part} of {ml_text(total)} can be resected"


def counted_text(predicate: PredicateRecord) -> str:
    """Say in voxels what a criterion was decided by: the small print."""
    if not predicate["whole_voxels"]:
        return ""
    low, high = predicate["part_voxels"], predicate["part_voxels_upper"]
    part = f"{low}" if low == high else f"{low} to {high}"
    unit = "PET voxels" if predicate["unit"] == "pet" else "voxels"
    return f"{part} of {predicate['whole_voxels']} {unit}"


def margin_text(record: CaseRecord) -> str:
    """Say how far the case is from what stratum 1 needs; "" where nothing is marked."""
    robustness = record["robustness"]
    if robustness is None or robustness["margin_ml"] is None:
        return ""
    first = given(record["predicates"])["stratum_1"]
    if bounds_percent(first) == (0, 100):
        return ""
    threshold, margin = first["threshold_percent"], robustness["margin_ml"]
    open_ones = first["part_voxels"] != first["part_voxels_upper"]
    if not margin:
        said = f"Exactly the {threshold:g} % that stratum 1 needs."
    else:
        side = "above" if margin > 0 else "short of"
        rest = ", not counting what is still to mark" if open_ones else ""
        said = f"{ml_text(abs(margin))} {side} the {threshold:g} % that stratum 1 needs{rest}."
    return f"{said} {_error_text(record)}".strip()


def _error_text(record: CaseRecord) -> str:
    """Say within which bounds measurement error leaves the resectable share."""
    robustness = record["robustness"]
    if robustness is None or robustness["resectable_fraction_95"] is None:
        return ""
    threshold = given(record["predicates"])["stratum_1"]["threshold_percent"]
    low, high = (shown_percent(100 * x, threshold) for x in robustness["resectable_fraction_95"])
    if robustness["probability_stratum_1_holds"] is None:
        return f"With measurement error and what is not yet marked: {low} to {high} %."
    if low == high:
        return "Measurement error cannot move that."
    return f"Measurement error alone: {low} to {high} %."


def change_texts(record: CaseRecord) -> list[str]:
    """Say what the stratum hangs on, a sentence each."""
    robustness = record["robustness"]
    if robustness is None:
        return []
    said = _hanging_on(record)
    way = robustness["shortest_way"]
    threshold = given(record["predicates"])["stratum_1"]["threshold_percent"]
    if way:
        said.append(f"{threshold:g} % is reached if {shown_names(way, last=' and ')} can be resected.")
    elif way is None and given(record["volumes"])["total_tumour_ml"]:
        said.append(f"{threshold:g} % is out of reach, even with every lesion resected.")
    obstacles, second = robustness["stratum_2_obstacles"], given(record["predicates"])["stratum_2"]
    if obstacles and record["stratum"] != "stratum_1" and not second["holds"]:
        those = shown_names(obstacles, last=" and ")
        said.append(f"For stratum 2, {those} would have to be resectable, or prove not FDG-avid.")
    return said


def _hanging_on(record: CaseRecord) -> list[str]:
    """Say which single decision would give another stratum; the unmarked lesions together."""
    flips = given(record["robustness"])["flips"]
    rows = {x["lesion_id"]: x for x in (*record["lesions"], *record["pet_only_regions"])}
    unmarked = [f for f in flips if rows[f["lesion_id"]]["resectability"] == "unknown"]
    said = []
    if record["stratum"] is None and unmarked:
        ids = list(dict.fromkeys(f["lesion_id"] for f in unmarked))
        named = shown_names([f"{i} ({ml_text(rows[i]['volume_ml'])})" for i in ids], last=" or ")
        return [f"Everything hangs on {named}{'' if len(ids) == 1 else ', each alone'}."]
    ids_by_change: dict[tuple[str, str], list[str]] = {}
    for flip in flips:
        ids_by_change.setdefault((flip["stratum"], flip["to"]), []).append(flip["lesion_id"])
    changes: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (stratum, to), found in ids_by_change.items():
        changes.setdefault((stratum, tuple(found)), []).append(_IF[to])
    for (stratum, those), ways in changes.items():
        who = those[0] if len(those) == 1 else f"any one of {shown_names(those, last=' or ')}"
        said.append(f"If {who} {' or '.join(ways)}: {STRATA[stratum].lower()}.")
    if rows and not said:
        other = "give a stratum" if record["stratum"] is None else "change the stratum"
        said.append(f"No decision on a single lesion would {other}.")
    return said


def shift_text(record: CaseRecord) -> str:
    """Say what moved tumour boundaries would give; "" where there is no tumour or nothing is marked."""
    robustness = record["robustness"]
    shifts = [] if robustness is None else robustness["boundary_shift"]
    if not shifts or given(record["volumes"])["resectable_fraction"] is None:
        return ""
    threshold = given(record["predicates"])["stratum_1"]["threshold_percent"]
    said = []
    for shift in shifts:
        way = "further out" if shift["shift_mm"] > 0 else "further in"
        share, stratum = shift["resectable_fraction"], shift["stratum"]
        shown = "no tumour left" if share is None else percent_text(100 * share, threshold)
        if share is not None and stratum != record["stratum"]:
            shown += f" ({STRATA[stratum].lower()})"
        said.append(f"{abs(shift['shift_mm']):g} mm {way} {shown}")
    return f"If every tumour boundary lay elsewhere: {', '.join(said)}."


def liver_text(burden: LiverBurdenRecord | None, threshold: float) -> str:
    """Say how much of the tumour lies in the liver; "" without a liver mask."""
    if burden is None:
        return ""
    if not burden["tumour_ml"]:
        return "No tumour in the liver."
    share = burden["resectable_fraction"]
    part = (
        "none of it marked" if share is None else f"{percent_text(100 * share, threshold)} of it resectable"
    )
    return (
        f"Tumour in the liver: {ml_text(burden['tumour_ml'])} "
        f"({percent_text(burden['burden_percent'])} of the liver), {part}."
    )


def remnant_text(remnant: RemnantRecord | None) -> str:
    """Say how much liver would remain; "" where that was not measured."""
    if remnant is None:
        return ""
    shares = [
        f"{percent_text(share, remnant['limit_percent'])} of {name}"
        for share, name in (
            (remnant["flr_percent"], "the liver without tumour"),
            (remnant["sflr_percent"], "the standard liver"),
        )
        if share is not None
    ]
    said = f"Future liver remnant {ml_text(remnant['flr_ml'])} ({', '.join(shares) or 'no share known'})"
    limit = remnant["limit_percent"]
    if limit is None:
        verdict = {True: "below every limit", False: "not below any limit", None: "not compared with a limit"}
        return f"{said}, {verdict[remnant['below_limit']]}; the state of the liver is not stated."
    verdict = {True: "below the limit", False: "not below the limit", None: "not compared with the limit"}
    return f"{said}, {verdict[remnant['below_limit']]} of {limit:g} %."
