"""What `volstrat case` says in sentences: true, rounded onto nothing that it is not, in whole words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.oracle_rule import OracleCase
from tests.rule_cases import judge, judge_masks, masks_of, protocol_of
from tests.rule_lines import cells, line_case
from volstrat.cli.terminal_tables import case_table
from volstrat.show.verdict_words import change_texts

if TYPE_CHECKING:
    from volstrat.case.record_types import CaseRecord


def table_of(record: Any) -> str:  # noqa: ANN401 - a record as a plain dict
    """Return the table of a record."""
    return case_table(record)


def text_of(case: OracleCase, **changes: Any) -> str:  # noqa: ANN401 - protocol fields
    """Return the sentences on one line."""
    return " ".join(table_of(judge(case, **changes)).split())


def two(resectable: int, unresectable: int, *, avid: bool = True) -> OracleCase:
    """Return two lesions, the first resectable; PET that shows nothing avid, or no PET."""
    size = resectable + unresectable + 12
    return line_case(
        {"L1": cells(size, (0, resectable - 1)), "L2": cells(size, (resectable + 5, size - 8))},
        table={"L1": ("resectable", None), "L2": ("unresectable", None)},
        avid=cells(size) if avid else None,
    )


def test_nothing_below_the_threshold_reads_as_the_threshold() -> None:
    """6,999 of 10,000 voxels of 6.6 mm3: 1 voxel short, 0.0066 ml."""
    text = text_of(two(6999, 3001))
    assert "69.99 %" in text
    assert "70.0 %" not in text
    assert "0.0066 ml short of the 70 % that stratum 1 needs." in text
    assert "Exactly the 70 % that stratum 1 needs." in text_of(two(7000, 3000))


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ([0.69998, 0.8], "69.998 to 80.0 %"),
        ([0.60, 0.70002], "60.0 to 70.002 %"),
        ([0.70, 0.80], "70.0 to 80.0 %"),
        ([0.98, 0.999999], "98.0 to 99.9999 %."),
        ([0.98, 0.9999999], "98.0 to <100 %."),
    ],
)
def test_ends_of_the_interval_stay_on_their_side_of_the_threshold(interval: list[float], shown: str) -> None:
    """One that begins at 69.998 % spans 70 %, which a reader must see."""
    record = judge(two(80, 20))
    record["robustness"]["resectable_fraction_95"] = interval
    assert f"Measurement error alone: {shown}" in " ".join(table_of(record).split())


def test_no_probability_of_a_stratum_is_shown() -> None:
    """It is that of measurement error alone; a surgeon would read a chance of cure."""
    assert "robab" not in table_of(judge(two(80, 20)))


def test_an_unmarked_case_shows_what_is_to_be_marked_and_no_result() -> None:
    """Neither share nor margin where nobody has marked anything."""
    text = text_of(line_case({"L1": cells(40, (0, 9)), "L2": cells(40, (20, 29))}, avid=cells(40)))
    assert "2 lesions still to mark." in text
    assert text.count("nothing marked yet") == 2
    assert "%" not in text.split("Tumour, total")[0].replace("70 %", "").replace("100 %", "")
    assert "short of" not in text


def test_volume_error_cannot_move_a_share_of_nothing_or_all() -> None:
    """All of it is resectable."""
    case = line_case({"L1": cells(40, (0, 30))}, table={"L1": ("resectable", None)})
    assert "Measurement error cannot move that." in text_of(case)


def test_shifted_boundaries_name_the_stratum_where_it_is_another() -> None:
    """Stratum 1 by its voxels, ineligible with every boundary further out."""
    record = judge(two(80, 20))
    record["robustness"]["boundary_shift"] = [
        {"shift_mm": -1.0, "resectable_fraction": None, "stratum": None},
        {"shift_mm": -0.5, "resectable_fraction": 0.83, "stratum": "stratum_1"},
        {"shift_mm": 1.0, "resectable_fraction": 0.69999, "stratum": "ineligible"},
    ]
    text = " ".join(table_of(record).split())
    assert (
        "elsewhere: 1 mm further in no tumour left, 0.5 mm further in 83.0 %, 1 mm further out 69.999 % "
        "(ineligible)."
    ) in text


def test_open_markings_are_said_beside_margin_and_interval() -> None:
    """L1 (10 voxels) is resectable, L2 (10) unmarked: margin a lower bound, interval an envelope."""
    case = line_case({"L1": cells(40, (0, 9)), "L2": cells(40, (20, 29))}, table={"L1": ("resectable", None)})
    text = text_of(case)
    assert "short of the 70 % that stratum 1 needs, not counting what is still to mark." in text
    assert "With measurement error and what is not yet marked: " in text
    assert "Not yet marked: L2. Until it is, 50.0 to 100.0 % could be resectable; 70 % is needed." in text
    assert "1 lesion still to mark." in text
    assert "Everything hangs on L2 (" in text


def test_nothing_stands_between_a_case_and_the_stratum_it_is_in() -> None:
    """L1, partly resectable, is avid where it is resectable, 0-4 of 0-9: stratum 2 holds, in PET voxels.

    The record still lists it as not wholly resectable. No report says that it stands in the way either.
    """
    case = line_case({"L1": cells(20, (0, 9))}, resectable=cells(20, (0, 4)), avid=cells(20, (0, 4)))
    record = judge(case)
    assert (record["stratum"], record["robustness"]["stratum_2_obstacles"]) == ("stratum_2", ["L1"])
    assert "Between this case and stratum 2" not in table_of(record)
    assert not any("Between" in text for text in change_texts(cast("CaseRecord", record)))


def test_an_avid_share_says_what_pet_did_not_see() -> None:
    """PET covers L1 and shows nothing; L2 lies beyond it."""
    case = line_case(
        {"L1": cells(40, (0, 9)), "L2": cells(40, (20, 29))},
        resectable=cells(40, (0, 9)),
        avid=cells(15),
    )
    assert "Avid share of the tumour volume: at least 0.0 % (L2 not assessed)" in text_of(case)


def test_a_case_without_lesions_says_nothing_of_them() -> None:
    """An empty tumour mask."""
    case = replace(two(80, 20), lesions={"L1": cells(112)}, table={})
    text = " ".join(table_of(judge_masks(masks_of(case), protocol_of(case))).split())
    assert "single lesion" not in text
    assert "that stratum 1 needs" not in text


def test_numbers_stay_with_their_units_at_the_end_of_a_line() -> None:
    """No line begins with a unit, and "stratum 1" is not torn apart."""
    for size in range(60, 100):
        for line in table_of(judge(two(size, 30), schema=False)).splitlines():
            assert not line.strip().startswith(("% ", "%,", "%.", "%;", "ml ", "mm "))
            assert not line.endswith(("stratum", "Stratum"))


@pytest.mark.parametrize(
    ("lesions", "said"),
    [(1, "1 lesion has fewer than 10 voxels (L1) and holds 100 % of"), (2, "(L1, L2) and hold 100 % of")],
)
def test_small_lesions_are_counted_in_words_that_fit(lesions: int, said: str) -> None:
    """All of the tumour is 100 %, not 1e+02 %."""
    case = line_case({f"L{n + 1}": cells(40, (6 * n, 6 * n + 2)) for n in range(lesions)})
    assert said in text_of(case)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (0.69996, "69.996 % of it resectable."),
        (None, "none of it marked."),
        (0.5, "50.0 % of it resectable."),
    ],
)
def test_the_livers_tumour_stands_beside_the_total(part: float | None, said: str) -> None:
    """30 of 1,500 ml, and what of it can go; a liver mask without tumour says that."""
    record = judge(two(80, 20))
    record["liver_burden"] = {
        "liver_ml": 1500.0, "tumour_ml": 30.0, "resectable_tumour_ml": part and 30 * part,
        "resectable_fraction": part, "burden_percent": 2.0,
    }  # fmt: skip
    assert f"Tumour in the liver: 30.00 ml (2.0 % of the liver), {said}" in table_of(record)
    record["liver_burden"]["tumour_ml"] = 0.0
    assert "No tumour in the liver." in table_of(record)


def test_a_place_has_no_negative_zero() -> None:
    """Millimetres are rounded: -0.4 is 0."""
    record = judge(two(80, 20))
    record["lesions"][0]["point_mm"] = [-0.4, 0.4, -12.6]
    assert "  0, 0, -13" in table_of(record)


def test_an_envelope_over_open_markings_is_not_volume_error_alone() -> None:
    """50 of 100 voxels are resectable, 19 more perhaps: 69 % at most, so ineligible whatever is marked.

    The interval spans 70 % only with those 19.
    """
    case = line_case(
        {"L1": cells(140, (0, 49)), "L2": cells(140, (60, 78)), "L3": cells(140, (90, 120))},
        table={"L1": ("resectable", None), "L3": ("unresectable", None)},
        avid=cells(140),
    )
    record = judge(case)
    assert (record["stratum"], record["status"]) == ("ineligible", "review")
    (finding,) = [f for f in record["findings"] if f["code"] == "borderline"]
    assert finding["message"].startswith(
        "Too close to call: with measurement error and what is not yet marked"
    )


def test_lesions_of_the_shortest_way_are_a_list() -> None:
    """40 of 100 voxels are resectable; of 20, 20 and 20 two are needed: the first."""
    case = line_case(
        {
            "L1": cells(160, (0, 39)),
            **{f"L{n}": cells(160, (20 * n + n, 20 * n + n + 19)) for n in (2, 3, 4)},
        },
        resectable=cells(160, (0, 39)),
    )
    assert "70 % is reached if L2 and L3 can be resected." in text_of(case)


def test_a_threshold_out_of_reach_is_said() -> None:
    """10 voxels on CT and 30 on PET only, which count in the total: 25 % at best."""
    case = line_case(
        {"L1": cells(80, (0, 9))},
        avid=cells(80, (45, 74)),
        table={"L1": ("unresectable", None), "P1": ("unresectable", None)},
    )
    assert "70 % is out of reach, even with every lesion resected." in text_of(case, pet_only_in_total=True)
