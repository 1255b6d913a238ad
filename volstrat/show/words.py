"""What a record says, in sentences for a meeting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volstrat.terms.wording import shown_ml, shown_names, shown_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.terms.protocol import Protocol

STRATA = {"stratum_1": "Stratum 1", "stratum_2": "Stratum 2", "ineligible": "Ineligible", None: "No stratum"}
STATUS = {
    "assigned": "assigned",
    "review": "to review",
    "not_assessable": "not assessable",
    "failed": "failed",
}
STATUS_SENTENCE = {
    "assigned": "assigned; nothing to review",
    "review": "to review: a person must look before the stratum is used",
    "not_assessable": "not assessable",
    "failed": "failed: the inputs could not be read, or do not fit together",
}
MET = {True: "met", False: "not met", None: "open"}
"""Of a stratum's criterion; open where it rests on what nobody has marked."""
SEVERITIES = {"blocking": "No stratum because", "review": "Look at", "warning": "Note", "info": "Info"}
AVIDITY = {"avid": "avid", "not_avid": "not avid", "not_assessed": "not assessed"}
AVID_DISEASE = {
    "observed": "FDG-avid disease observed",
    "not_observed": "no FDG-avid disease observed",
    "not_assessed": "FDG-avid disease not assessed",
}


def percent_text(percent: float | None, *marks: float | None) -> str:
    """Write a percentage with its sign, by the promise of `volstrat.terms.wording`.

    >>> percent_text(69.96, 70), percent_text(70.0, 70), percent_text(None), percent_text(99.97)
    ('69.96 %', '70.0 %', 'not assessed', '99.97 %')
    """
    if percent is None:
        return "not assessed"
    return f"{shown_percent(percent, *(mark for mark in marks if mark is not None))} %"


def share_text(predicate: Mapping[str, Any]) -> str:
    """Write a predicate's share, or its bounds where markings are unknown."""
    threshold, whole = predicate["threshold_percent"], predicate["whole_voxels"]
    low = percent_text(predicate["percent"], threshold)
    if not whole or predicate["part_voxels"] == predicate["part_voxels_upper"]:
        return low
    high = percent_text(100 * predicate["part_voxels_upper"] / whole, threshold)
    return f"{low.removesuffix(' %')} to {high}"


def ml_text(ml: float | None) -> str:
    """Write a volume with its unit.

    >>> ml_text(365.318), ml_text(0.0421), ml_text(None)
    ('365.3 ml', '0.042 ml', 'not assessed')
    """
    return "not assessed" if ml is None else f"{shown_ml(ml)} ml"


def margin_text(record: Mapping[str, Any]) -> str:
    """Say how far the case is from the stratum 1 threshold; "" where there is no tumour."""
    robustness = record["robustness"]
    if robustness is None or robustness["margin_ml"] is None:
        return ""
    threshold = record["predicates"]["stratum_1"]["threshold_percent"]
    margin = robustness["margin_ml"]
    side = "above" if margin >= 0 else "short of"
    told = f"{ml_text(abs(margin))} {side} the {threshold:g} % of the tumour volume that stratum 1 needs."
    interval = robustness["resectable_fraction_95"]
    if interval is not None:
        low, high = (shown_percent(100 * x, threshold) for x in interval)
        known = robustness["probability_stratum_1_holds"] is not None
        cause = "Volume error alone" if known else "Volume error and open markings"
        told += f" {cause}: {low} to {high} % (95 % interval)."
    return told


def change_texts(record: Mapping[str, Any]) -> list[str]:
    """Say what would change the stratum, a sentence each."""
    robustness = record["robustness"]
    if robustness is None:
        return []
    told = []
    groups: dict[tuple[str, str], list[str]] = {}
    for flip in robustness["flips"]:
        groups.setdefault((flip["stratum"], flip["to"]), []).append(flip["lesion_id"])
    for (stratum, to), ids in groups.items():
        each = "each alone " if len(ids) > 1 else ""
        word = to.replace("_", " ")
        told.append(f"{shown_names(ids)} {each}{word} instead: {STRATA[stratum].lower()}.")
    if record["lesions"] and not groups:
        told.append("No change to a single lesion would give another stratum.")
    way = robustness["shortest_way"]
    if way:
        threshold = record["predicates"]["stratum_1"]["threshold_percent"]
        told.append(f"Shortest way to {threshold:g} %: {shown_names(way)} would have to become resectable.")
    obstacles = robustness["stratum_2_obstacles"]
    if obstacles and record["stratum"] != "stratum_1" and not record["predicates"]["stratum_2"]["holds"]:
        told.append(f"Between this case and stratum 2: {shown_names(obstacles)}.")
    return told


def shift_text(record: Mapping[str, Any]) -> str:
    """Say what moved tumour boundaries would give; "" where there is no tumour."""
    robustness = record["robustness"]
    shifts = [s for s in (robustness or {}).get("boundary_shift", ()) if s["resectable_fraction"] is not None]
    if not shifts:
        return ""
    threshold = record["predicates"]["stratum_1"]["threshold_percent"]
    told = "; ".join(
        f"{s['shift_mm']:+g} mm: {shown_percent(100 * s['resectable_fraction'], threshold)} %, "
        f"{STRATA[s['stratum']].lower()}"
        for s in shifts
    )
    return f"Every tumour boundary moved by {told}."


def liver_text(burden: Mapping[str, Any] | None, threshold: float) -> str:
    """Say how much of the tumour lies in the liver; "" without a liver mask."""
    if burden is None:
        return ""
    if not burden["tumour_ml"]:
        return "No tumour in the liver mask."
    share = burden["resectable_fraction"]
    part = (
        "none of it marked" if share is None else f"{percent_text(100 * share, threshold)} of it resectable"
    )
    return (
        f"Tumour in the liver: {ml_text(burden['tumour_ml'])} "
        f"({percent_text(burden['burden_percent'])} of the liver), {part}."
    )


def remnant_text(remnant: Mapping[str, Any] | None) -> str:
    """Say how much liver would remain; "" where that was not measured."""
    if remnant is None:
        return ""
    shares = [
        f"{name} {percent_text(remnant[key], remnant['limit_percent'])}"
        for key, name in (("flr_percent", "of the liver"), ("sflr_percent", "of the standard liver"))
        if remnant[key] is not None
    ]
    told = f"Future liver remnant {ml_text(remnant['flr_ml'])} ({', '.join(shares) or 'no share known'})"
    limit = remnant["limit_percent"]
    if limit is None:
        verdict = {True: "below every limit", False: "not below any limit", None: "not compared with a limit"}
        return f"{told}, {verdict[remnant['below_limit']]}; the liver's state is not said."
    verdict = {True: "below the limit", False: "not below the limit", None: "not compared with the limit"}
    return f"{told}, {verdict[remnant['below_limit']]} of {limit:g} %."


def predicate_text(record: Mapping[str, Any], key: str) -> str:
    """Say what a predicate rests on: counts, share, threshold."""
    p = record["predicates"][key]
    told = ""
    if key == "stratum_2":
        told = f"{AVID_DISEASE[p['avid_disease']]}; "
    if p["whole_voxels"] is None:
        return f"{told}{percent_text(p['percent'], p['threshold_percent'])} for certain"
    low, high = p["part_voxels"], p["part_voxels_upper"]
    part = f"{low}" if low == high else f"{low} to {high}"
    unit = "PET voxels" if p["unit"] == "pet" else "tumour voxels"
    if not p["whole_voxels"]:
        return f"{told}no {'avid voxel' if key == 'stratum_2' else 'tumour voxel'} to count"
    return f"{told}{part} of {p['whole_voxels']} {unit}"


def protocol_choices(protocol: Protocol) -> list[tuple[str, str]]:
    """Say the protocol's choices: a subject and a sentence each."""
    first, second = protocol.thresholds.stratum_1_percent, protocol.thresholds.stratum_2_percent
    share = "all of it" if second == 100 else f"at least {second} % of it"
    exclusion = {
        "not_all_resectable": f"{share} can be resected or ablated",
        "none_resectable": "any of it can be resected or ablated",
    }
    scope = {"all": "all tumour, primary and nodes included", "liver": "tumour in the liver only"}
    avid = "What a reader drew as avid" if protocol.avidity.rule == "mask" else protocol.avidity.title
    rules = [r.title for r in protocol.avidity.also_check]
    also = f" Also tried: {'; '.join(rules)}." if rules else ""
    counts = "counts" if protocol.ablation_counts else "does not count"
    total = "are part of" if protocol.pet_only_in_total else "are not part of"
    errors = ", ".join(
        f"from {mm:g} mm {wcv:g} %"
        for mm, wcv in zip(
            protocol.volume_error.diameter_from_mm, protocol.volume_error.wcv_percent, strict=True
        )
    )
    return [
        ("Stratum 1", f"At least {first} % of the total tumour volume can be resected or ablated."),
        ("Stratum 2", f"FDG-avid disease is observed, and {exclusion[protocol.exclusion_b]}."),
        ("Where both hold", f"The subject goes into {STRATA[protocol.both_fit].lower()}."),
        ("Ablation", f"What can be ablated {counts} as resectable."),
        ("Total", f"Counted is {scope[protocol.tumour_scope]}. PET-only regions {total} the total."),
        ("FDG-avid", f"{_sentence(avid)}{also}"),
        (
            "Attribution",
            f"An avid region within {protocol.attribution_distance_mm:g} mm of tumour belongs to it; a "
            f"lesion has one marking if {protocol.whole_lesion_percent} % of its voxels carry it.",
        ),
        (
            "Lesions",
            f"Voxels that touch ({protocol.connectivity} neighbours) are one lesion; the smallest counted "
            f"has {protocol.minimum_voxels} voxel{'s' if protocol.minimum_voxels != 1 else ''}.",
        ),
        ("Volume error", f"Coefficient of variation of one lesion's volume, by axial diameter: {errors}."),
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
