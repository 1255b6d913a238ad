"""Words for what a record holds, one table each, and the protocol's choices in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.terms.wording import shown_ml, shown_percent

if TYPE_CHECKING:
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
    "observed": "FDG-avid disease seen",
    "not_observed": "no FDG-avid disease seen",
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


def ml_text(ml: float | None) -> str:
    """Write a volume with its unit.

    >>> ml_text(365.318), ml_text(0.0421), ml_text(None)
    ('365.3 ml', '0.042 ml', 'not assessed')
    """
    return "not assessed" if ml is None else f"{shown_ml(ml)} ml"


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
    total = "is part of" if protocol.pet_only_in_total else "is not part of"
    errors = ", ".join(
        f"from {mm:g} mm {wcv:g} %"
        for mm, wcv in zip(
            protocol.volume_error.diameter_from_mm, protocol.volume_error.wcv_percent, strict=True
        )
    )
    return [
        ("Stratum 1", f"At least {first} % of the total tumour volume can be resected or ablated."),
        ("Stratum 2", f"FDG-avid disease is observed, and {exclusion[protocol.exclusion_b]}."),
        ("Where both are met", f"The patient goes into {STRATA[protocol.both_fit].lower()}."),
        ("Ablation", f"What can be ablated {counts} as resectable."),
        (
            "Total",
            f"Counted is {scope[protocol.tumour_scope]}. Disease that only PET shows {total} the total.",
        ),
        ("FDG-avid", f"{_sentence(avid)}{also}"),
        (
            "Attribution",
            f"An avid region within {protocol.attribution_distance_mm:g} mm of tumour belongs to it; a "
            f"lesion is wholly resectable if {protocol.whole_lesion_percent} % of it is.",
        ),
        (
            "Lesions",
            f"Voxels that touch ({protocol.connectivity} neighbours) are one lesion; the smallest counted "
            f"has {protocol.minimum_voxels} voxel{'s' if protocol.minimum_voxels != 1 else ''}.",
        ),
        (
            "Measurement error",
            f"Coefficient of variation of one lesion's volume, by axial diameter: {errors}.",
        ),
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
