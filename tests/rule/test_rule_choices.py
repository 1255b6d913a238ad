"""What the protocol's choices change, and PET-only regions in the counts (docs/rule.md)."""

from __future__ import annotations

import pytest

from tests.rule_cases import codes, counts, judge
from tests.rule_lines import along, cells, line_case
from tests.rule_random import restored
from tests.rule_rows import COLD, judged
from volstrat.terms.protocol import Review

# --- the protocol's alternatives ----------------------------------------------------------------


def test_ablation_counts_false_makes_ablatable_unresectable_in_both_predicates() -> None:
    """400 resectable and 300 ablatable of 1000: 70 % with ablation, 40 % without."""
    lesions = ((400, "resectable", None), (300, "ablatable", None), (300, "unresectable", None))
    avid = [(440, 449)]  # on the ablatable lesion
    on = judged(*lesions, avid=avid)
    off = judged(*lesions, avid=avid, ablation_counts=False)
    assert counts(on, "stratum_1") == (True, 700, 700, 1000)
    assert counts(on, "stratum_2") == (True, 10, 10, 10)
    assert counts(off, "stratum_1") == (False, 400, 400, 1000)
    assert counts(off, "stratum_2") == (False, 0, 0, 10)
    assert (on["stratum"], off["stratum"]) == ("stratum_1", "ineligible")
    assert off["lesions"][1]["resectability"] == "ablatable"
    assert off["lesions"][1]["resectable_fraction"] == 0.0
    assert off["volumes"]["resectable_fraction"] == 0.4
    assert "ablation" in codes(on, "info")


def test_both_fit_decides_where_both_predicates_hold() -> None:
    """Stratum 1 by default, stratum 2 where the protocol says so; a finding tells."""
    lesions = ((700, "resectable", None), (300, "unresectable", None))
    first, second = (
        judged(*lesions, avid=[(0, 9)], both_fit=choice) for choice in ("stratum_1", "stratum_2")
    )
    assert (first["stratum"], second["stratum"]) == ("stratum_1", "stratum_2")
    assert "both_strata_hold" in codes(first, "info")
    assert "both_strata_hold" in codes(second, "info")


def test_both_fit_stratum_2_makes_an_open_stratum_2_matter() -> None:
    """Stratum 1 holds, but where both would go to stratum 2 an unknown one leaves the case open."""
    lesions = ((700, "resectable", None), (300, "unknown", None))
    assert judged(*lesions, avid=[(740, 749)])["stratum"] == "stratum_1"
    open_case = judged(*lesions, avid=[(740, 749)], both_fit="stratum_2")
    assert (open_case["stratum"], open_case["status"]) == (None, "not_assessable")
    assert codes(open_case, "blocking")


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (("resectable", "unresectable"), True),
        (("unresectable", "unresectable"), False),
        (("unknown", "unresectable"), None),
        (("unknown", "resectable"), True),
        (("ablatable", "unknown"), True),
    ],
)
def test_exclusion_b_read_as_none_resectable(words: tuple[str, str], holds: bool | None) -> None:
    """Under the other reading a subject is out only where none of the avid disease is resectable."""
    record = judged(
        (50, words[0], None),
        (50, words[1], None),
        COLD,
        avid=[(0, 9), (90, 99)],
        exclusion_b="none_resectable",
    )
    assert record["predicates"]["stratum_2"]["holds"] is holds
    assert record["stratum"] == {True: "stratum_2", False: "ineligible", None: None}[holds]


def test_exclusion_b_read_as_none_resectable_still_needs_avid_disease() -> None:
    """Without avid disease stratum 2 is false under either reading."""
    record = judged((100, "resectable", None), COLD, avid=[], exclusion_b="none_resectable")
    assert record["predicates"]["stratum_2"]["holds"] is False


@pytest.mark.parametrize("with_mask", [True, False])
def test_a_lesion_that_can_go_in_part_is_not_a_lesion_of_which_none_can(with_mask: bool) -> None:
    """50 of L1's 100 voxels can go, and the table calls it avid: with and without an avid mask the same."""
    case = line_case(
        {"L1": cells(1200, (0, 99)), "L2": cells(1200, (200, 1199))},
        resectable=cells(1200, (0, 49)),
        table={"L1": (None, "avid"), "L2": (None, "not_avid")},
        avid=cells(1200) if with_mask else None,
    )
    record = judge(case, exclusion_b="none_resectable")
    assert record["lesions"][0]["resectability"] == "partial"
    assert record["predicates"]["stratum_2"]["holds"] is True
    assert record["stratum"] == "stratum_2"
    assert judge(case)["stratum"] == "ineligible"  # by the default reading all of it must go


def test_a_lesion_that_can_go_in_part_and_may_be_avid_leaves_none_resectable_open() -> None:
    """L2 is avid and cannot go; L1, half of which can, PET does not cover: avid, it would decide."""
    case = line_case(
        {"L1": cells(1200, (0, 99)), "L2": cells(1200, (200, 1199))},
        resectable=cells(1200, (0, 49)),
        avid=cells(1200, (300, 309)),
        field=False,
    )
    record = judge(case, exclusion_b="none_resectable")
    assert counts(record, "stratum_2") == (None, 0, 0, 10)
    assert (record["stratum"], record["status"]) == (None, "not_assessable")
    assert codes(record, "blocking") == ["pet_field_unknown"]


# --- PET-only regions in the counts ---------------------------------------------------------------


def test_pet_only_regions_count_in_stratum_2_and_not_in_the_total() -> None:
    """An unresectable PET-only region turns 100 % into 50 %; the total tumour volume stays."""
    # L1 = 0-99, COLD = 140-1039; 200 free voxels of 0.5 mm follow from 1080: P1 at 1180-1189 is 70 mm off.
    lesions = ((100, "resectable", None), COLD)
    record = judged(*lesions, avid=[(0, 9), (1180, 1189)], regions={"P1": ("unresectable", None)})
    assert counts(record, "stratum_2") == (False, 10, 10, 20)
    assert counts(record, "stratum_1") == (False, 100, 100, 1000)
    marked = judged(*lesions, avid=[(0, 9), (1180, 1189)], regions={"P1": ("ablatable", None)})
    assert counts(marked, "stratum_2") == (True, 20, 20, 20)
    assert (marked["status"], marked["stratum"]) == ("assigned", "stratum_2")


def test_unmarked_pet_only_region_is_unknown_and_reviewed_whatever_the_stratum() -> None:
    """Open in stratum 2; in stratum 1 it changes nothing, and still a person must look."""
    lesions = ((100, "resectable", None), COLD)
    record = judged(*lesions, avid=[(0, 9), (1180, 1189)])
    assert counts(record, "stratum_2") == (None, 10, 20, 20)
    assert record["status"] == "not_assessable"
    assert "pet_only_region" in codes(record, "review")
    first = judged((1000, "resectable", None), avid=[(0, 9), (1180, 1189)])
    assert (first["status"], first["stratum"]) == ("review", "stratum_1")
    assert "pet_only_region" in codes(first, "review")
    explicit = judged(*lesions, avid=[(0, 9), (1180, 1189)], regions={"P1": ("unknown", None)})
    assert "pet_only_region" in codes(explicit, "review")


def test_dismissed_region_leaves_every_count_and_stays_listed() -> None:
    """`not_avid` calls it physiological: no voxel, no millilitre, no review."""
    lesions = ((100, "resectable", None), COLD)
    record = judged(*lesions, avid=[(0, 9), (1180, 1189)], regions={"P1": (None, "not_avid")})
    assert counts(record, "stratum_2") == (True, 10, 10, 10)
    assert (record["status"], record["stratum"]) == ("assigned", "stratum_2")
    assert record["volumes"]["pet_only_ml"] == 0.0
    # Ten voxels of 0.5 x 3.0 x 2.2 mm = 33 mm3.
    assert record["volumes"]["fdg_avid_ml"] == pytest.approx(0.033)
    (region,) = record["pet_only_regions"]
    assert (region["lesion_id"], region["fdg_avidity"], region["fdg_avid_ml"]) == ("P1", "not_avid", 0.0)


def test_only_dismissed_regions_leave_no_avid_disease() -> None:
    """Everything avid was physiological and PET covered the tumour: not observed."""
    record = judged((100, "resectable", None), COLD, avid=[(1180, 1189)], regions={"P1": (None, "not_avid")})
    assert record["predicates"]["stratum_2"]["avid_disease"] == "not_observed"
    assert record["stratum"] == "ineligible"


@pytest.mark.parametrize(
    ("word", "holds", "percents"),
    [
        ("resectable", True, 100 * 80 / 110),
        ("unresectable", False, 100 * 70 / 110),
        ("unknown", None, 100 * 70 / 110),
    ],
)
def test_pet_only_in_total_is_worked_in_ml(word: str, holds: bool | None, percents: float) -> None:
    """70 of 100 tumour voxels and a PET-only region of a tenth of their volume, by its marking."""
    # L1 70 resectable, L2 30 unresectable: 70 %. P1 = 10 voxels: 80 of 110 (72.7 %) or 70 of 110 (63.6 %).
    record = judged(
        (70, "resectable", None),
        (30, "unresectable", "not_avid"),
        avid=[(300, 309)],
        regions={"P1": (word, None)},
        pet_only_in_total=True,
    )
    found = record["predicates"]["stratum_1"]
    assert found["holds"] is holds
    assert found["percent_lower"] == pytest.approx(percents)
    upper = 100 * 80 / 110 if word == "unknown" else percents
    assert found["percent_upper"] == pytest.approx(upper)
    assert found["percent"] == (None if word == "unknown" else found["percent_lower"])
    # (100 + 10) voxels x 0.5 x 3.0 x 2.2 mm3 = 363 mm3.
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(0.363)


@pytest.mark.parametrize(("resectable", "holds"), [(60, False), (61, True)], ids=["one voxel short", "exact"])
@pytest.mark.parametrize("step_mm", [3.0, 0.3, 0.7, 1.1])
def test_pet_only_in_total_is_exact_at_the_threshold(step_mm: float, resectable: int, holds: bool) -> None:
    """61 of 100 and ten PET-only voxels of three times the volume: 91 of 130 is 70 % exactly, and passes."""
    # Voxels of step x 3.0 x 2.2 mm on an oblique grid, whose determinants are not exact in binary.
    case = line_case(
        {"L1": cells(100, (0, resectable - 1)), "L2": cells(100, (resectable, 99))},
        avid=cells(10, (0, 9)),
        avid_affine=along(3 * step_mm, first_mm=200 * step_mm),
        table={"L1": ("resectable", None), "L2": ("unresectable", None), "P1": ("resectable", None)},
        distance_mm=1.0,
    )
    case.affine = along(step_mm)
    for turn in range(0, 48, 7):
        again = restored(case, ct=turn, pet=47 - turn)
        assert judge(again, pet_only_in_total=True)["predicates"]["stratum_1"]["holds"] is holds


# --- choices that the protocol leaves open ------------------------------------------------------


def test_open_choice_that_would_assign_another_stratum_is_a_review() -> None:
    """70 of 100 is stratum 1; with an unresectable PET-only region in the total, 70 of 110 is not."""
    lesions = ((70, "resectable", None), (30, "unresectable", "not_avid"))
    # 11 PET-only voxels: 70 of 111 is 63.1 %. Avid and unresectable: stratum 2 fails, so ineligible.
    record = judged(*lesions, avid=[(300, 310)], regions={"P1": ("unresectable", None)})
    assert (record["status"], record["stratum"]) == ("review", "stratum_1")
    (told,) = [f for f in record["findings"] if f["code"] == "open_choice"]
    assert (told["severity"], told["where"]) == ("review", "pet_only_in_total")
    assert "ineligible" in told["message"]


def test_open_choice_that_changes_nothing_or_leaves_the_case_open_is_none() -> None:
    """95 of 106 is stratum 1 as well, and not assessable is not another stratum."""
    easy = ((95, "resectable", None), (5, "unresectable", "not_avid"))
    record = judged(*easy, avid=[(300, 310)], regions={"P1": ("unresectable", None)})
    assert "open_choice" not in codes(record)
    lesions = ((70, "resectable", None), (30, "unresectable", "not_avid"))
    assert "open_choice" not in codes(judged(*lesions, avid=[(300, 310)]))  # P1 unmarked: 70 to 81 of 111


def test_choices_are_tried_only_where_the_protocol_lists_them() -> None:
    """Ablation is not in question by default; listed, 40 % without it is another stratum."""
    lesions = ((400, "resectable", None), (400, "ablatable", None), (200, "unresectable", "avid"))
    assert "open_choice" not in codes(judged(*lesions, avid=[]))
    record = judged(*lesions, avid=[], review=Review(open_choices=("ablation_counts",)))
    (told,) = [f for f in record["findings"] if f["code"] == "open_choice"]
    assert told["where"] == "ablation_counts"
    record = judged(
        (700, "resectable", None),
        (300, "unresectable", None),
        avid=[(0, 9)],
        review=Review(open_choices=("both_fit",)),
    )
    assert "open_choice" in codes(record, "review")


def test_pet_only_in_total_left_out_again_is_tried_as_well() -> None:
    """The choice is open whichever way the protocol sets it."""
    lesions = ((70, "resectable", None), (30, "unresectable", "not_avid"))
    record = judged(
        *lesions, avid=[(300, 310)], regions={"P1": ("unresectable", None)}, pet_only_in_total=True
    )
    assert record["stratum"] == "ineligible"
    assert "open_choice" in codes(record, "review")


def test_dismissed_region_is_no_part_of_the_total() -> None:
    """Physiological uptake adds nothing, even where PET-only disease counts."""
    lesions = ((70, "resectable", None), (30, "unresectable", "not_avid"))
    record = judged(*lesions, avid=[(300, 310)], regions={"P1": (None, "not_avid")}, pet_only_in_total=True)
    assert counts(record, "stratum_1") == (True, 70, 70, 100)
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(0.33)


def test_borderline_interval_is_a_review_and_never_another_stratum() -> None:
    """Exactly 70 % is stratum 1, and a person looks; 95 % is assigned without."""
    close = judged((700, "resectable", None), (300, "unresectable", None))
    assert (close["status"], close["stratum"]) == ("review", "stratum_1")
    assert "borderline" in codes(close, "review")
    clear = judged((950, "resectable", None), (50, "unresectable", None))
    assert (clear["status"], clear["stratum"]) == ("assigned", "stratum_1")
    assert "borderline" not in codes(clear)


@pytest.mark.parametrize(("resectable", "ml"), [(700, 0.0), (699, -0.0033), (701, 0.0033), (0, -2.31)])
def test_margin_is_resectable_ml_less_the_thresholds(resectable: int, ml: float) -> None:
    """1000 voxels of 3.3 mm3: the threshold is at 2.31 ml."""
    record = judged((resectable, "resectable", None), (1000 - resectable, "unresectable", None))
    assert record["robustness"]["margin_ml"] == pytest.approx(ml, abs=1e-9)


def test_shortest_way_is_empty_at_the_threshold_and_null_out_of_reach() -> None:
    """At 70 % there is nothing to do; where L1 and L2 share all voxels with L3 nothing helps."""
    assert judged((700, "resectable", None), (300, "unresectable", None))["robustness"]["shortest_way"] == []
    record = judged((400, "resectable", None), (350, "unresectable", None), (250, "unresectable", None))
    # 400 + 350 = 750 of 1000: L2 alone does; 400 + 250 = 650 does not.
    assert record["robustness"]["shortest_way"] == ["L2"]
