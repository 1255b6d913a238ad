"""Numbers and sentences as a meeting reads them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from volstrat.report.report_figures import predicate_bar, sign_path, waterfall
from volstrat.show.styles import STYLES
from volstrat.show.verdict_words import change_texts, remnant_text, share_text
from volstrat.show.words import percent_text, protocol_choices
from volstrat.terms.protocol import Protocol, Thresholds

if TYPE_CHECKING:
    from volstrat.case.record_types import AvidPredicateRecord, CaseRecord, PredicateRecord, RemnantRecord


@pytest.mark.parametrize(
    ("percent", "wanted"),
    [
        (70.0, "70.0 %"),
        (69.96, "69.96 %"),
        (69.9999, "69.9999 %"),
        (70.04, "70.04 %"),
        (71.04, "71.0 %"),
        (99.96, "99.96 %"),
        (0.003, "0.003 %"),
    ],
)
def test_a_share_is_never_rounded_onto_its_threshold(percent: float, wanted: str) -> None:
    """What misses 70, 0 or 100 % by a hair does not read so."""
    assert percent_text(percent, 70) == wanted


def test_a_share_never_reads_as_beyond_a_threshold_it_misses() -> None:
    """13331 of 20000 is 66.655 %, below 66.66; 9997 of 10000 is not all."""
    assert percent_text(100 * 13331 / 20000, 66.66) == "66.655 %"
    assert percent_text(100 * 9997 / 10000, 70) == "99.97 %"


def predicate(part: int, upper: int, whole: int) -> PredicateRecord:
    """Return a predicate of a record."""
    lower_percent, upper_percent = (100 * n / whole if whole else None for n in (part, upper))
    return {
        "holds": None, "part_voxels": part, "part_voxels_upper": upper, "whole_voxels": whole,
        "unit": "tumour", "percent": lower_percent if part == upper else None, "threshold_percent": 70,
        "percent_lower": lower_percent, "percent_upper": upper_percent,
    }  # fmt: skip


def test_open_markings_give_bounds() -> None:
    """600 to 750 of 1000 voxels."""
    assert share_text(predicate(600, 750, 1000)) == "60.0 to 75.0 %"
    assert share_text(predicate(600, 600, 1000)) == "60.0 %"
    assert share_text(predicate(0, 0, 0)) == "not assessed"
    for avid_disease, text in (("not_assessed", "not assessed"), ("not_observed", "none seen")):
        found = cast("AvidPredicateRecord", {**predicate(0, 0, 0), "avid_disease": avid_disease})
        assert share_text(found) == text
    assert share_text(predicate(0, 1000, 1000)) == "nothing marked yet"


def record(part: int, upper: int, whole: int) -> Any:  # noqa: ANN401 - a record, in part
    """Return as much of a record as the figures need."""
    return {
        "predicates": {"stratum_1": predicate(part, upper, whole)},
        "robustness": {"resectable_fraction_95": [0.5, 0.9]},
    }


def test_the_bar_is_drawn_to_scale() -> None:
    """Width 200 from x = 12: 60 % is 120 wide, 15 % open 30; threshold at 12 + 140; interval 112 to 192."""
    svg = predicate_bar(record(600, 750, 1000), "stratum_1", width=200.0)
    assert '<rect class="certain"' in svg
    assert 'x="12.00" y="30.0" width="120.00"' in svg
    assert 'x="132.00" y="30.0" width="30.00"' in svg
    assert "M152.00 " in svg
    assert "M112.00 " in svg
    assert "H192.00" in svg


def test_the_waterfall_falls_and_names_what_it_leaves_out() -> None:
    """60 lesions of 1 to 60 ml: 48 bars, the 12 smallest (1 + ... + 12 = 78 ml) in words; ids are escaped."""
    lesions: Any = [
        {"lesion_id": f"<L{n}>", "volume_ml": float(n), "resectability": "resectable"} for n in range(1, 61)
    ]
    svg = waterfall(lesions)
    assert svg.count("<rect") == 48
    assert "and 12 smaller ones, together 78.00 ml" in svg
    few = waterfall(lesions[:3])
    assert "&lt;L3&gt;" in few
    assert "<L3>" not in few
    assert waterfall([]) == ""


def test_every_marking_has_a_sign_of_its_own() -> None:
    """Shapes differ, not only colours; what a reader took out has one, lesion or region."""
    drawn = {word: sign_path(word, 0, 0, 4) for word in STYLES}
    assert drawn.pop("not_tumour") == drawn["dismissed"]
    assert len({svg.replace(word, "") for word, svg in drawn.items()}) == len(drawn)
    assert STYLES["not_tumour"] == STYLES["dismissed"]


def test_choices_are_said_as_they_are() -> None:
    """Another protocol reads otherwise, sentence by sentence."""
    told = dict(protocol_choices(Protocol()))
    assert told["Stratum 1"] == "At least 70 % of the total tumour volume can be resected or ablated."
    assert told["Stratum 2"] == "FDG-avid disease is observed, and all of it can be resected or ablated."
    assert "counts as" in told["Ablation"]
    other = replace(
        Protocol(),
        thresholds=Thresholds(stratum_1_percent=Decimal("87.5")),
        both_fit="stratum_2",
        ablation_counts=False,
        exclusion_b="none_resectable",
        pet_only_in_total=True,
    )
    changed = dict(protocol_choices(other))
    assert "87.5 %" in changed["Stratum 1"]
    assert changed["Where both are met"] == "The patient goes into stratum 2."
    assert changed["Ablation"] == "What can be ablated does not count as resectable."
    assert "any of it" in changed["Stratum 2"]
    assert "is part of" in changed["Total"]


def test_changes_are_grouped_by_what_they_lead_to() -> None:
    """Two lesions that each would make the case ineligible stand in one sentence."""
    record = {
        "stratum": "ineligible",
        "lesions": [
            {"lesion_id": f"L{n}", "resectability": "unresectable", "volume_ml": 1.0} for n in (1, 2, 3)
        ],
        "pet_only_regions": [],
        "predicates": {"stratum_1": predicate(600, 600, 1000), "stratum_2": predicate(600, 600, 1000)},
        "robustness": {
            "flips": [
                {"lesion_id": "L1", "to": "resectable", "stratum": "stratum_1"},
                {"lesion_id": "L2", "to": "resectable", "stratum": "stratum_1"},
                {"lesion_id": "L3", "to": "not_avid", "stratum": "stratum_2"},
            ],
            "shortest_way": ["L1"],
            "stratum_2_obstacles": ["L3"],
        },
    }
    told = change_texts(cast("CaseRecord", record))
    assert told == [
        "If any one of L1 or L2 could be resected: stratum 1.",
        "If L3 were not FDG-avid: stratum 2.",
        "70 % is reached if L1 can be resected.",
        "For stratum 2, L3 would have to be resectable, or prove not FDG-avid.",
    ]


@pytest.mark.parametrize(
    ("limit", "below", "said"),
    [
        (25.0, True, "below the limit of 25 %."),
        (None, None, "not compared with a limit; the state of the liver is not stated."),
        (None, True, "below every limit; the state of the liver is not stated."),
    ],
)
def test_a_remnant_without_a_known_state_has_no_one_limit(
    limit: float | None, below: bool | None, said: str
) -> None:
    """Nobody said that the liver is normal."""
    remnant: RemnantRecord = {
        "flr_ml": 500.0, "flr_percent": 22.0, "sflr_percent": None, "limit_percent": limit,
        "below_limit": below,
    }  # fmt: skip
    assert remnant_text(remnant).endswith(said)
