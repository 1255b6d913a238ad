"""Avidity, the PET field, status, findings and volumes (docs/rule.md)."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.oracle_rule import OracleCase
from tests.rule_cases import agreed, avid_reviews, codes, counts, judge, judge_masks, masks_of, protocol_of
from tests.rule_lines import along, cells, line_case
from tests.rule_rows import COLD, judged

# --- avidity and the field of PET -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("avid", "field", "told", "avidity"),
    [
        pytest.param((0, 3), True, None, "avid", id="avid voxels on it"),
        pytest.param((0, 3), True, "not_avid", "not_avid", id="the table calls it off"),
        pytest.param(None, True, "avid", "avid", id="the table calls it avid"),
        pytest.param(None, True, None, "not_avid", id="covered and cold"),
        pytest.param(None, False, None, "not_assessed", id="not covered"),
        pytest.param(None, False, "not_avid", "not_avid", id="not covered, told"),
        pytest.param((0, 3), False, None, "avid", id="avid voxels, field unknown"),
    ],
)
def test_avidity_is_the_tables_then_the_voxels_then_the_fields(
    avid: tuple[int, int] | None, field: bool, told: str | None, avidity: str
) -> None:
    """The first of the three that says something decides; else it is unknown."""
    spans = [] if avid is None else [avid]
    case = line_case({"L1": cells(20, (0, 9))}, avid=cells(20, *spans), field=field)
    if told is not None:
        case.table = {"L1": (None, told)}
    _, record = agreed(case)
    assert record["lesions"][0]["fdg_avidity"] == avidity


def test_not_avid_removes_the_lesions_voxels_from_every_value() -> None:
    """L1's six voxels go; L2's four stay in counts, millilitres, fraction and disease."""
    case = line_case({"L1": cells(40, (0, 9)), "L2": cells(40, (30, 39))}, avid=cells(40, (0, 5), (30, 33)))
    case.table = {"L1": ("unresectable", "not_avid"), "L2": ("ablatable", None)}
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (True, 4, 4, 4)
    volumes = record["volumes"]
    assert volumes["fdg_avid_ml"] == pytest.approx(4 * 6.6 / 1000)
    assert volumes["fdg_avid_resectable_ml"] == pytest.approx(4 * 6.6 / 1000)
    assert volumes["fdg_avid_resectable_fraction"] == 1.0
    assert volumes["fdg_avid_fraction"] == 4 / 20
    assert [row["fdg_avid_ml"] for row in record["lesions"]] == [0.0, pytest.approx(4 * 6.6 / 1000)]


def test_avid_voxel_shared_with_a_lesion_that_is_not_avid_stays_with_the_other() -> None:
    """One PET voxel over L1 (called off, unresectable) and L2 (resectable) is L2's, and no review."""
    case = line_case(
        {"L1": cells(8, (0, 1)), "L2": cells(8, (2, 3))},
        avid=cells(2, (0, 0)),
        avid_affine=along(4.0, first_mm=1.5),
        table={"L1": ("unresectable", "not_avid"), "L2": ("resectable", None)},
    )
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (True, 1, 1, 1)
    assert record["volumes"]["fdg_avid_fraction"] == 2 / 4
    assert avid_reviews(record) == []


@pytest.mark.parametrize(
    ("shift_mm", "covered"),
    [
        pytest.param(0.0, True, id="well inside"),
        # The field's last face lies half a voxel, 0.5 mm, beyond its last centre; L1 ends at u = 9.
        pytest.param(-0.5, True, id="a centre on the outer face"),
        pytest.param(-0.5009, True, id="within the slack of 0.001 mm"),
        pytest.param(-0.5011, False, id="beyond it"),
    ],
)
def test_lesion_is_covered_where_every_centre_lies_within_the_outer_faces(
    shift_mm: float, covered: bool
) -> None:
    """One voxel centre beyond the PET field leaves the lesion's avidity open."""
    case = line_case({"L1": cells(10, (0, 9))}, avid=cells(20), avid_affine=along(first_mm=shift_mm - 10.0))
    _, record = agreed(case)
    assert record["lesions"][0]["fdg_avidity"] == ("not_avid" if covered else "not_assessed")
    assert ("pet_field_short" in codes(record)) == (not covered)


@pytest.mark.parametrize(("axis", "end"), list(product(range(3), (-1, 1))))
def test_field_is_short_on_any_side(axis: int, end: int) -> None:
    """A field that ends one voxel early at any of its six faces does not cover the lesion."""
    shape, affine = [6, 6, 6], np.diag([2.5, 0.8, 0.7, 1.0])
    case = OracleCase(affine=affine, lesions={"L1": np.ones((6, 6, 6), dtype=bool)})
    case.avid, case.avid_affine = np.zeros((1, 1, 1), dtype=bool), affine
    case.field_shape, case.field_affine = (6, 6, 6), affine
    assert agreed(case)[1]["lesions"][0]["fdg_avidity"] == "not_avid"
    short = affine.copy()
    shape[axis] -= 1
    if end < 0:
        short[:3, 3] += short[:3, axis]
    case.field_shape, case.field_affine = (shape[0], shape[1], shape[2]), short
    assert agreed(case)[1]["lesions"][0]["fdg_avidity"] == "not_assessed"


@pytest.mark.parametrize(
    ("field", "holds", "disease", "stratum", "code"),
    [
        pytest.param("covers", False, "not_observed", "ineligible", None, id="covering field"),
        pytest.param("short", None, "not_assessed", None, "pet_field_short", id="short field"),
        pytest.param("unknown", None, "not_assessed", None, "pet_field_unknown", id="field unknown"),
    ],
)
def test_empty_avid_mask_is_not_observed_only_over_a_field_that_covers_the_tumour(
    field: str, holds: bool | None, disease: str, stratum: str | None, code: str | None
) -> None:
    """Read, empty and covering is "not observed"; anything less is "not assessed"."""
    case = line_case({"L1": cells(40, (0, 9)), "L2": cells(40, (20, 39))}, avid=cells(40))
    case.table = {"L1": ("resectable", None), "L2": ("unresectable", "not_avid")}
    if field == "short":
        case.field_shape = (5, 1, 1)
    if field == "unknown":
        case.field_shape = None
    _, record = agreed(case)
    found = record["predicates"]["stratum_2"]
    assert (found["holds"], found["avid_disease"], record["stratum"]) == (holds, disease, stratum)
    if code is not None:
        assert code in codes(record, "blocking")


# --- status ---------------------------------------------------------------------------------------


def test_reviews_of_avid_disease_are_info_where_stratum_1_holds() -> None:
    """Differently marked, partly marked and far-reaching regions do not matter in stratum 1."""
    # L1 0-19 half resectable, L2 200-1199 resectable: stratum 1. Avid 0-60 reaches 41 mm from L1.
    case = line_case(
        {"L1": cells(1200, (0, 19)), "L2": cells(1200, (200, 1199))},
        avid=cells(1200, (0, 60)),
        resectable=cells(1200, (0, 9), (200, 1199)),
    )
    _, record = agreed(case)
    assert record["stratum"] == "stratum_1"
    assert avid_reviews(record) == []
    told = {f["code"] for f in record["findings"] if f["severity"] == "info"}
    assert {"avid_region_differently_marked", "avid_region_partly_marked", "avid_region_reaches_far"} <= told
    assert record["status"] == "assigned"


def test_differently_marked_means_any_two_words() -> None:
    """Resectable beside ablatable is a review as well, though both count."""
    case = line_case({"L1": cells(40, (0, 4)), "L2": cells(40, (5, 9)), "L3": cells(40, (30, 39))})
    case.avid, case.avid_affine = cells(40, (0, 9)), along()
    words = ("unresectable", "unknown", "ablatable", "resectable")
    for first, second in product(words, words):
        case.table = {"L1": (first, None), "L2": (second, None), "L3": ("unresectable", "not_avid")}
        oracle, record = agreed(case)
        if oracle.stratum != "stratum_1":
            assert ("avid_region_differently_marked" in avid_reviews(record)) == (first != second)


def test_region_on_a_lesion_that_was_called_off_is_no_review() -> None:
    """Only voxels that are left count: L1's are removed, and L2 alone is of one marking."""
    case = line_case({"L1": cells(40, (0, 4)), "L2": cells(40, (5, 9)), "L3": cells(40, (30, 39))})
    case.avid, case.avid_affine = cells(40, (0, 9)), along()
    case.table = {
        "L1": ("unresectable", "not_avid"),
        "L2": ("resectable", None),
        "L3": ("unresectable", "not_avid"),
    }
    _, record = agreed(case)
    assert avid_reviews(record) == []
    assert (record["status"], record["stratum"]) == ("review", "stratum_2")  # `avidity_overruled`


def test_not_assessable_always_says_why() -> None:
    """Whatever leaves a case without a stratum is a blocking finding; a stratum has none."""
    words = (None, "unknown", "unresectable", "ablatable", "resectable")
    for first, call, avid, field in product(
        words, (None, "avid", "not_avid"), (None, [], [(0, 9)]), (True, False)
    ):
        for both_fit, pet_only in product(("stratum_1", "stratum_2"), (False, True)):
            spans = avid if avid is None or not pet_only else [*avid, (1180, 1189)]
            record = judged(
                (100, first, call), COLD, avid=spans, pet_field=field, both_fit=both_fit, schema=False
            )
            assert (record["status"] == "not_assessable") == (record["stratum"] is None)
            assert bool(codes(record, "blocking")) == (record["stratum"] is None)


def test_unknown_marking_names_the_lesions_and_the_bounds() -> None:
    """The message is one a radiologist can act on: which lesion, and between which shares."""
    record = judged((600, "resectable", None), (200, None, None), (200, "unresectable", None), avid=[])
    told = [f["message"] for f in record["findings"] if f["code"] == "unknown_marking"]
    assert len(told) == 1
    for part in ("L2", "60.0 to 80.0 %", "70 %"):
        assert part in told[0]
    assert "L1" not in told[0]


def test_findings_come_gravest_first_without_repeats() -> None:
    """Blocking, review, warning, info; the same finding once."""
    record = judged(
        (600, "ablatable", None), (200, None, None), (200, None, None), avid=[(0, 9), (1300, 1310)]
    )
    order = ["blocking", "review", "warning", "info"]
    ranks = [order.index(f["severity"]) for f in record["findings"]]
    assert ranks == sorted(ranks)
    assert len({tuple(f.values()) for f in record["findings"]}) == len(record["findings"])


def test_pet_only_findings_name_region_volume_and_next_step() -> None:
    """An unmarked region says what to write; a marked or dismissed one is info."""
    spans = [(0, 9), (1180, 1189)]
    (told,) = [
        f for f in judged((100, "resectable", None), COLD, avid=spans)["findings"] if f["where"] == "P1"
    ]
    assert (told["code"], told["severity"]) == ("pet_only_region", "review")
    assert "P1, 0.033 ml. Mark it, or dismiss it" in told["message"]
    for row in (("resectable", None), ("ablatable", None), ("unresectable", None), (None, "not_avid")):
        record = judged((100, "resectable", None), COLD, avid=spans, regions={"P1": row})
        (told,) = [f for f in record["findings"] if f["where"] == "P1"]
        assert (told["code"], told["severity"]) == ("pet_only_region", "info")


# --- volumes --------------------------------------------------------------------------------------


def test_fdg_avid_fraction_counts_tumour_voxels_in_avid_voxels() -> None:
    """Not the ratio of two volumes: 6 of 20 tumour centres lie in the two avid PET voxels of 4 mm."""
    # L1 = 10-29. PET voxels 2 (CT 8-11) and 3 (CT 12-15) are avid and hold CT 10-15.
    case = line_case(
        {"L1": cells(40, (10, 29))}, avid=cells(10, (2, 3)), avid_affine=along(4.0, first_mm=1.5)
    )
    _, record = agreed(case)
    assert record["volumes"]["fdg_avid_fraction"] == 6 / 20
    # Two PET voxels of 4.0 x 3.0 x 2.2 mm = 26.4 mm3.
    assert record["volumes"]["fdg_avid_ml"] == pytest.approx(2 * 26.4 / 1000)


def test_volumes_are_counts_times_the_determinant() -> None:
    """600 resectable, 200 unknown and 200 unresectable voxels of 3.3 mm3; resectable is the lower bound."""
    record = judged((600, "resectable", None), (200, None, None), (200, "unresectable", None), avid=[])
    volumes = record["volumes"]
    assert volumes["total_tumour_ml"] == pytest.approx(3.3)
    assert volumes["resectable_tumour_ml"] == pytest.approx(1.98)
    assert volumes["residual_tumour_ml"] == pytest.approx(1.32)
    assert volumes["resectable_fraction"] == 0.6
    first = record["predicates"]["stratum_1"]
    assert (first["percent"], first["percent_lower"], first["percent_upper"]) == (None, 60.0, 80.0)


def test_resectable_avid_volumes_are_null_where_no_avid_voxel_is_marked() -> None:
    """Nothing marked is not zero."""
    unmarked = judged((100, None, None), COLD, avid=[(0, 9)])["volumes"]
    assert unmarked["fdg_avid_ml"] == pytest.approx(10 * 3.3 / 1000)
    assert (unmarked["fdg_avid_resectable_ml"], unmarked["fdg_avid_resectable_fraction"]) == (None, None)
    marked = judged((100, "unresectable", None), COLD, avid=[(0, 9)])["volumes"]
    assert (marked["fdg_avid_resectable_ml"], marked["fdg_avid_resectable_fraction"]) == (0.0, 0.0)


def test_pet_only_volume_is_part_of_the_avid_volume() -> None:
    """Ten avid voxels on L1 and five far off, 3.3 mm3 each."""
    record = judged((100, "resectable", None), COLD, avid=[(0, 9), (1180, 1184)])
    assert record["volumes"]["fdg_avid_ml"] == pytest.approx(15 * 3.3 / 1000)
    assert record["volumes"]["pet_only_ml"] == pytest.approx(5 * 3.3 / 1000)
    assert record["volumes"]["fdg_avid_resectable_fraction"] == pytest.approx(10 / 15)
    (region,) = record["pet_only_regions"]
    assert (region["voxels"], region["fdg_avid_ml"]) == (5, pytest.approx(5 * 3.3 / 1000))
    assert (region["resectability"], region["resectable_fraction"], region["fdg_avidity"]) == (
        "unknown",
        None,
        "avid",
    )


def test_table_alone_counts_tumour_voxels_of_avid_lesions() -> None:
    """Unit "tumour": avid lesions' voxels, once each, by the lesion's marking where it is whole."""
    # L1 = 0-9 (9 of 10 = 90 %: partial), L2 = 8-27 (whole): 28 voxels together; the mask covers 1-30.
    case = line_case({"L1": cells(60, (0, 9)), "L2": cells(60, (8, 27)), "L3": cells(60, (40, 59))})
    case.resectable = cells(60, (1, 30))
    case.table = {"L1": (None, "avid"), "L2": (None, "avid"), "L3": (None, "not_avid")}
    _, record = agreed(case)
    assert record["predicates"]["stratum_2"]["unit"] == "tumour"
    assert counts(record, "stratum_2") == (False, 27, 27, 28)
    # Whole at 95 %: 19 of 20 voxels count as 20.
    case.lesions = {"L1": cells(60, (0, 19)), "L3": cells(60, (40, 59))}
    case.table = {"L1": (None, "avid"), "L3": (None, "not_avid")}
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (True, 20, 20, 20)
    assert record["stratum"] == "stratum_2"


def test_window_of_an_avid_mask_judges_like_the_dense_mask_with_its_field_given() -> None:
    """Where PET was is the `pet` grid; how much of it the avid file stores does not matter."""
    case = line_case({"L1": cells(40, (0, 9)), "L2": cells(40, (20, 39))}, avid=cells(40, (2, 5)))
    whole = judge(case)
    again = judge_masks(masks_of(case, window=True), protocol_of(case))
    assert again == whole
