"""Predicates and strata, counted in integers (docs/rule.md, from "Stratum 1" on)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.rule_cases import codes, counts
from tests.rule_rows import COLD, Lesion, judged
from volstrat.terms.protocol import Thresholds

E10 = 10**10


def percent(first: str = "70", second: str = "100") -> Thresholds:
    """Return thresholds."""
    return Thresholds(stratum_1_percent=Decimal(first), stratum_2_percent=Decimal(second))


# --- counts decide ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resectable", "total", "threshold", "holds"),
    [
        (699, 1000, "70", False),
        (700, 1000, "70", True),
        (701, 1000, "70", True),
        (6999999999, E10, "70", False),  # displayed as 70.00 %, and yet below
        (7000000000, E10, "70", True),
        (999, 1000, "100", False),
        (1000, 1000, "100", True),
        (0, 1000, "70", False),
        (666, 1000, "66.7", False),
        (667, 1000, "66.7", True),
        # 70 % of 2 x 10^9 + 1 is 1400000000.7: one voxel either side.
        (1400000000, 2 * 10**9 + 1, "70", False),
        (1400000001, 2 * 10**9 + 1, "70", True),
    ],
)
def test_stratum_1_holds_from_exactly_its_threshold(
    resectable: int, total: int, threshold: str, holds: bool
) -> None:
    """Resectable voxels x 100 >= tumour voxels x percent, one voxel either side, at any size."""
    record = judged(
        (resectable, "resectable", None),
        (total - resectable, "unresectable", None),
        thresholds=percent(threshold),
    )
    assert counts(record, "stratum_1") == (holds, resectable, resectable, total)
    assert record["predicates"]["stratum_1"]["percent"] == pytest.approx(100 * resectable / total)
    assert record["predicates"]["stratum_1"]["threshold_percent"] == float(threshold)
    assert record["predicates"]["stratum_1"]["unit"] == "tumour"


@pytest.mark.parametrize(
    ("resectable", "whole", "threshold", "holds"),
    [
        (1000, 1000, "100", True),
        (999, 1000, "100", False),
        (999, 1000, "99.9", True),
        (998, 1000, "99.9", False),
    ],
)
def test_stratum_2_counts_avid_voxels(resectable: int, whole: int, threshold: str, holds: bool) -> None:
    """All avid voxels must be resectable: 999 of 1000 is not 100 %."""
    # L1 = voxels 0-1999, L2 = 2040-4039; the avid spans lie inside them.
    spans = [(0, resectable - 1)] + ([(2040, 2040 + whole - resectable - 1)] if whole > resectable else [])
    record = judged(
        (2000, "resectable", None),
        (2000, "unresectable", None),
        avid=spans,
        thresholds=percent("70", threshold),
    )
    assert counts(record, "stratum_2") == (holds, resectable, resectable, whole)
    assert record["predicates"]["stratum_2"]["unit"] == "pet"
    assert record["stratum"] == ("stratum_2" if holds else "ineligible")


@pytest.mark.parametrize(
    ("resectable", "holds"), [(E10 - 1, False), (E10, True)], ids=["one voxel short", "all"]
)
def test_stratum_2_by_the_table_alone_counts_tumour_voxels(resectable: int, holds: bool) -> None:
    """Without an avid mask the unit is the tumour voxel, and one in ten thousand million decides."""
    record = judged(
        (resectable, "resectable", "avid"),
        (E10 - resectable, "unresectable", "avid"),
        (E10, "unresectable", "not_avid"),
    )
    assert counts(record, "stratum_2") == (holds, resectable, resectable, E10)
    assert record["predicates"]["stratum_2"]["unit"] == "tumour"
    assert record["stratum"] == ("stratum_2" if holds else "ineligible")


def test_empty_tumour_leaves_both_predicates_unknown() -> None:
    """0 of 0 is no share: neither 70 % nor "not 70 %"."""
    for avid in (None, [], [(3, 5)]):
        record = judged(avid=avid)
        assert record["predicates"]["stratum_1"]["holds"] is None
        assert record["predicates"]["stratum_2"]["holds"] is None
        assert record["predicates"]["stratum_1"]["percent"] is None
        assert (record["status"], record["stratum"]) == ("not_assessable", None)
        assert "tumour_empty" in codes(record, "blocking")
        assert record["volumes"]["total_tumour_ml"] == 0.0
        assert record["volumes"]["resectable_fraction"] is None
        # The disease is as counted.
        disease = "not_assessed" if avid is None else "observed" if avid else "not_observed"
        assert record["predicates"]["stratum_2"]["avid_disease"] == disease


def test_no_avid_disease_is_zero_of_zero_and_false() -> None:
    """An empty avid mask over a field that covers the tumour: not observed, so stratum 2 is false."""
    record = judged((100, "resectable", None), (900, "unresectable", None), avid=[])
    assert counts(record, "stratum_2") == (False, 0, 0, 0)
    assert record["predicates"]["stratum_2"]["percent"] is None
    assert record["predicates"]["stratum_2"]["avid_disease"] == "not_observed"
    assert (record["status"], record["stratum"]) == ("assigned", "ineligible")


# --- three values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resectable", "unknown", "holds"),
    [
        (700, 300, True),  # what is unknown no longer matters
        (699, 1, None),  # 699 to 700 of 1000
        (699, 0, False),
        (400, 300, None),  # 400 to 700
        (400, 299, False),  # 400 to 699
        (0, 1000, None),
    ],
)
def test_unknown_markings_bound_stratum_1(resectable: int, unknown: int, holds: bool | None) -> None:
    """Unknown is unresectable in the lower bound and resectable in the upper; both must agree."""
    record = judged(
        (resectable, "resectable", "not_avid"),
        (unknown, "unknown", "not_avid"),
        (1000 - resectable - unknown, "unresectable", "not_avid"),
        avid=[],
    )
    assert counts(record, "stratum_1") == (holds, resectable, resectable + unknown, 1000)
    expected = {True: "stratum_1", False: "ineligible", None: None}[holds]
    assert record["stratum"] == expected
    assert (record["status"] == "not_assessable") == (holds is None)
    assert ("unknown_marking" in codes(record, "blocking")) == (holds is None)


def test_lesion_without_any_marking_is_unknown() -> None:
    """No mask and no row: unknown, not resectable and not unresectable."""
    record = judged((10, None, None), avid=[])
    assert record["lesions"][0]["resectability"] == "unknown"
    assert counts(record, "stratum_1") == (None, 0, 10, 10)
    # resectable_* is null where nothing is marked.
    assert record["volumes"]["resectable_tumour_ml"] is None
    assert record["volumes"]["residual_tumour_ml"] is None
    assert record["volumes"]["resectable_fraction"] is None
    assert record["lesions"][0]["resectable_fraction"] is None


@pytest.mark.parametrize(
    ("lesions", "avid", "holds", "disease", "stratum"),
    [
        pytest.param(
            ((100, "resectable", None), COLD),
            [(0, 9)],
            True,
            "observed",
            "stratum_2",
            id="all avid resectable",
        ),
        pytest.param(
            ((100, "ablatable", None), COLD), [(0, 9)], True, "observed", "stratum_2", id="ablatable counts"
        ),
        pytest.param(
            ((100, "unresectable", None), COLD),
            [(0, 9)],
            False,
            "observed",
            "ineligible",
            id="avid unresectable",
        ),
        pytest.param(((100, "unknown", None), COLD), [(0, 9)], None, "observed", None, id="avid unknown"),
        pytest.param(
            ((100, "resectable", "avid"), COLD),
            [],
            True,
            "observed",
            "stratum_2",
            id="avid by the table, no voxels",
        ),
        pytest.param(
            ((100, "unresectable", "avid"), COLD),
            [],
            False,
            "observed",
            "ineligible",
            id="table avid, unresectable",
        ),
        pytest.param(((100, "unknown", "avid"), COLD), [], None, "observed", None, id="table avid, unknown"),
        pytest.param(
            ((100, "resectable", "not_avid"), COLD),
            [(0, 9)],
            False,
            "not_observed",
            "ineligible",
            id="removed by the table",
        ),
        pytest.param(
            ((100, "unknown", None), COLD), [], False, "not_observed", "ineligible", id="unmarked but cold"
        ),
        pytest.param(
            ((50, "resectable", None), (50, "unresectable", None), COLD),
            [(0, 9), (90, 99)],
            False,
            "observed",
            "ineligible",
            id="one of two avid lesions",
        ),
        pytest.param(
            ((50, "unknown", None), (50, "unresectable", None), COLD),
            [(0, 9), (90, 99)],
            False,
            "observed",
            "ineligible",
            id="the unknown one no longer matters",
        ),
    ],
)
def test_stratum_2_with_pet_over_all_tumour(
    lesions: tuple[Lesion, ...],
    avid: list[tuple[int, int]],
    holds: bool | None,
    disease: str,
    stratum: str | None,
) -> None:
    """True: avid and all of it resectable. False: some of it is not, or none is there. Else unknown."""
    record = judged(*lesions, avid=avid)
    assert record["predicates"]["stratum_1"]["holds"] is False
    found = record["predicates"]["stratum_2"]
    assert (found["holds"], found["avid_disease"], record["stratum"]) == (holds, disease, stratum)


def test_avid_by_the_table_without_voxels_is_zero_of_zero_and_follows_the_marking() -> None:
    """Part = whole = 0, and `holds` is the lesion's marking."""
    for word, holds in (
        ("resectable", True),
        ("ablatable", True),
        ("unknown", None),
        ("unresectable", False),
    ):
        assert counts(judged((100, word, "avid"), COLD, avid=[]), "stratum_2") == (holds, 0, 0, 0)


@pytest.mark.parametrize(
    ("lesions", "avid", "holds", "disease", "stratum"),
    [
        # L1 has no avid voxel and PET does not say that it is cold.
        pytest.param(
            ((100, "resectable", None), COLD),
            [],
            None,
            "not_assessed",
            None,
            id="avid or not: stratum 2 or ineligible",
        ),
        pytest.param(
            ((100, "unresectable", None), COLD),
            [],
            None,
            "not_assessed",
            "ineligible",
            id="either way ineligible",
        ),
        pytest.param(
            ((50, "resectable", None), (50, "resectable", None), COLD),
            [(0, 9)],
            True,
            "observed",
            "stratum_2",
            id="avid elsewhere, all resectable",
        ),
        pytest.param(
            ((50, "resectable", None), (50, "unresectable", None), COLD),
            [(0, 9)],
            None,
            "observed",
            None,
            id="avid elsewhere, this one unresectable",
        ),
        pytest.param(
            ((50, "resectable", None), (50, "unknown", None), COLD),
            [(0, 9)],
            None,
            "observed",
            None,
            id="avid elsewhere, this one not marked",
        ),
        pytest.param(
            ((50, "unresectable", None), (50, "resectable", None), COLD),
            [(0, 9)],
            False,
            "observed",
            "ineligible",
            id="avid and unresectable decides",
        ),
    ],
)
def test_stratum_2_with_unknown_avidity(
    lesions: tuple[Lesion, ...],
    avid: list[tuple[int, int]],
    holds: bool | None,
    disease: str,
    stratum: str | None,
) -> None:
    """An avid mask that does not say which field PET covered leaves lesions without voxels open."""
    record = judged(*lesions, avid=avid, pet_field=False)
    found = record["predicates"]["stratum_2"]
    assert (found["holds"], found["avid_disease"], record["stratum"]) == (holds, disease, stratum)
    assert ("pet_field_unknown" in codes(record, "blocking")) == (stratum is None)


# --- missing PET --------------------------------------------------------------------------------


def test_missing_pet_does_not_matter_where_stratum_1_is_true() -> None:
    """Assigned to stratum 1; the finding is info."""
    record = judged((950, "resectable", None), (50, "unresectable", None))  # far above 70 %
    assert (record["status"], record["stratum"]) == ("assigned", "stratum_1")
    assert "pet_missing" in codes(record, "info")
    assert record["predicates"]["stratum_2"]["holds"] is None


def test_missing_pet_is_never_no_avid_disease() -> None:
    """Without PET and without words in the table nobody has looked: not assessed, not ineligible."""
    record = judged((699, "resectable", None), (301, "unresectable", None))
    found = record["predicates"]["stratum_2"]
    assert (found["holds"], found["avid_disease"]) == (None, "not_assessed")
    assert (record["status"], record["stratum"]) == ("not_assessable", None)
    assert "pet_missing" in codes(record, "blocking")
    volumes = record["volumes"]
    keys = (
        "fdg_avid_ml",
        "fdg_avid_resectable_ml",
        "fdg_avid_resectable_fraction",
        "fdg_avid_fraction",
        "pet_only_ml",
    )
    assert [volumes[key] for key in keys] == [None] * 5
    assert [row["fdg_avid_ml"] for row in record["lesions"]] == [None, None]
    assert [row["fdg_avidity"] for row in record["lesions"]] == ["not_assessed"] * 2


def test_message_says_where_pet_only_disease_alone_stands_in_the_way() -> None:
    """Nothing on CT can be resected, so avid or not it is ineligible - but for disease only PET shows."""
    alone = judged((1000, "unresectable", None))
    assert (alone["stratum"], alone["status"]) == (None, "not_assessable")
    told = [f["message"] for f in alone["findings"] if f["code"] == "pet_missing"]
    assert "Only disease that PET alone would show" in told[0]
    # Here L1's avidity is open as well, and the message names it instead.
    other = judged((100, "resectable", None), (900, "unresectable", None))
    told = [f["message"] for f in other["findings"] if f["code"] == "pet_missing"]
    assert "Only disease that PET alone would show" not in told[0]
    assert "L1" in told[0]


def test_unresectable_avid_disease_in_the_table_needs_no_pet() -> None:
    """What the table calls avid and unresectable excludes from stratum 2, whatever PET would add."""
    record = judged((100, "unresectable", "avid"), (900, "unresectable", None))
    assert record["predicates"]["stratum_2"]["holds"] is False
    assert record["stratum"] == "ineligible"
