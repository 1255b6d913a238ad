"""Raw agreement, Cohen's kappa, Gwet's AC1."""

from __future__ import annotations

import pytest

from volstrat.agreement.concordance import Concordance, concordance, wilson
from volstrat.agreement.estimate import Estimate

STRATA = ("stratum_1", "stratum_2", "ineligible")
FULL = ((20, 3, 1), (4, 9, 2), (0, 2, 5))
SKEWED = ((40, 3, 0), (2, 1, 0), (0, 0, 0))
"""``ineligible`` does not occur."""

Table = tuple[tuple[int, ...], ...]


def _ratings(table: Table) -> list[list[str | None]]:
    rows = range(len(table))
    return [[STRATA[r], STRATA[c]] for r in rows for c in rows for _ in range(table[r][c])]


def _of(table: Table) -> Concordance:
    return concordance(_ratings(table), STRATA)


def _numbers(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.standard_error, estimate.low, estimate.high


# statsmodels 0.15.0, cohens_kappa: kappa, std_kappa, kappa_low, kappa_upp.
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(
            FULL,
            (0.5667189952904238, 0.1050686581564811, 0.3607882093997702, 0.7726497811810774),
            id="full",
        ),
        pytest.param(
            SKEWED,
            (0.22818791946308645, 0.23391745078191026, -0.23028185942487847, 0.6866576983510514),
            id="skewed",
        ),
    ],
)
def test_kappa_equals_statsmodels(table: Table, expected: tuple[float, ...]) -> None:
    """Value, asymptotic standard error and interval; the table comes back as it was."""
    (pair,) = _of(table).pairs
    assert pair.table == table
    assert _numbers(pair.kappa) == pytest.approx(expected, rel=1e-12)


# irrCAC 0.4.4, CAC(..., categories=the three, digits=15).gwet(): AC1, SE, interval.
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(
            FULL, (0.626837924623965, 0.096314228481868, 0.432851111031028, 0.820824738216902), id="full"
        ),
        pytest.param(
            SKEWED, (0.88308552547973, 0.052311946220246, 0.777723857530316, 0.988447193429145), id="skewed"
        ),
    ],
)
def test_ac1_equals_irrcac(table: Table, expected: tuple[float, ...]) -> None:
    """Categories that do not occur count: AC1's chance agreement is spread over all three."""
    numbers = _numbers(_of(table).ac1)
    assert numbers[:2] == pytest.approx(expected[:2], abs=1e-14)
    assert numbers[2:] == pytest.approx(expected[2:], abs=1e-9)  # the oracle's scipy 1.12 has t to 1e-10


def test_ac1_of_four_readers_with_missing_ratings_equals_irrcac() -> None:
    """Gwet's example of 12 units and 4 raters, five categories (irrCAC 0.4.4: 0.775444, SE 0.142950)."""
    drawing = "11.1 2232 3333 3333 2222 1234 4444 1121 2222 .555 ..11 ..3."
    ratings = [[None if cell == "." else cell for cell in row] for row in drawing.split()]
    result = concordance(ratings, "12345")
    assert result.subjects == 12
    expected = (0.775444068126995, 0.142949950640765, 0.46081334813208, 1.0)
    assert _numbers(result.ac1) == pytest.approx(expected, abs=1e-11)
    assert len(result.pairs) == 6
    # Eight rows are complete; 3333, 3333, 2222, 4444 and 2222 agree.
    assert result.agreement.value == pytest.approx(5 / 8)


def test_raw_agreement_is_the_diagonal_with_wilsons_interval() -> None:
    """34 of 46 on the diagonal: the interval's middle is (34/46 + z^2/92) / (1 + z^2/46)."""
    result = _of(FULL)
    assert result.agreement == result.pairs[0].agreement
    assert result.agreement.value == pytest.approx(34 / 46)
    assert result.agreement.low is not None
    assert result.agreement.high is not None
    z2 = 1.959963984540054**2
    assert (result.agreement.low + result.agreement.high) / 2 == pytest.approx(
        (34 / 46 + z2 / 92) / (1 + z2 / 46)
    )


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # Newcombe 1998, table I, method 3 (score).
        pytest.param(81, 263, 0.2553, 0.3662, id="81-of-263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15-of-148"),
        pytest.param(0, 20, 0.0, 0.1611, id="none-of-20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1-of-29"),
        pytest.param(20, 20, 0.8389, 1.0, id="all-of-20"),  # the mirror of none of 20
    ],
)
def test_wilson_gives_newcombes_intervals(hits: int, of: int, low: float, high: float) -> None:
    """To the four digits that the paper prints; 0 and 1 are met exactly."""
    estimate = wilson(hits, of)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)
    assert (estimate.low == 0.0) is (hits == 0)
    assert (estimate.high == 1.0) is (hits == of)


def test_swapping_the_readers_transposes_the_table() -> None:
    """Kappa and AC1 have no direction."""
    forth = _of(FULL)
    back = concordance([row[::-1] for row in _ratings(FULL)], STRATA)
    assert back.pairs[0].table == tuple(zip(*FULL, strict=True))
    assert _numbers(back.pairs[0].kappa) == pytest.approx(_numbers(forth.pairs[0].kappa))
    assert _numbers(back.ac1) == pytest.approx(_numbers(forth.ac1))


def test_ac1_depends_on_how_many_categories_there_are() -> None:
    """The same ratings, a third category that nobody used: less agreement by chance, a higher AC1.

    43 + 3 and 42 + 4 of 92 ratings: prevalences 85/92 and 7/92, sum of p (1 - p) = 2 x 85 x 7 / 92^2,
    over 1 or over 2. Raw agreement 41/46.
    """
    two = concordance(_ratings(SKEWED), STRATA[:2]).ac1.value
    by_chance = 2 * 85 * 7 / 92**2
    assert two == pytest.approx((41 / 46 - by_chance) / (1 - by_chance))
    three = _of(SKEWED).ac1.value
    assert three == pytest.approx((41 / 46 - by_chance / 2) / (1 - by_chance / 2))


def test_perfect_agreement_has_a_value_and_no_asymptotic_interval() -> None:
    """Kappa and AC1 are 1 with a standard error of 0; Wilson's interval says how sure five subjects are."""
    result = _of(((3, 0, 0), (0, 2, 0), (0, 0, 0)))
    for estimate in (result.pairs[0].kappa, result.ac1):
        assert (estimate.value, estimate.standard_error, estimate.low) == (1.0, 0.0, None)
        assert "standard error is zero" in estimate.reason
    assert result.agreement.value == 1.0
    assert result.agreement.low == pytest.approx(0.5655, abs=1e-4)  # 5 / (5 + z^2)


def test_kappa_does_not_exist_where_all_is_one_category_and_ac1_does() -> None:
    """Chance agreement is certain for kappa: (1 - 1) / (1 - 1)."""
    result = _of(((0, 0, 0), (0, 6, 0), (0, 0, 0)))
    assert result.pairs[0].kappa.value is None
    assert "one and the same category" in result.pairs[0].kappa.reason
    assert result.ac1.value == 1.0


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        pytest.param([], "two readers", id="nothing"),
        pytest.param([["stratum_1"], ["stratum_2"]], "two readers", id="one-reader"),
        pytest.param([["stratum_1", "stratum_2"]], "two subjects", id="one-subject"),
        pytest.param([["stratum_1", "stratum_1"], ["stratum_1", None]], "two subjects", id="one-read-twice"),
    ],
)
def test_an_ac1_that_does_not_exist_says_why(ratings: list[list[str | None]], reason: str) -> None:
    """None and a reason; kappa of the one pair, where there is one, likewise."""
    result = concordance(ratings, STRATA)
    assert result.ac1.value is None
    assert reason in result.ac1.reason
    assert [pair.kappa.value for pair in result.pairs] == [None] * len(result.pairs)


def test_one_category_is_no_choice() -> None:
    """With nothing to choose from there is nothing to agree on."""
    result = concordance([["x", "x"], ["x", "x"]], ["x"])
    assert result.ac1.value is None
    assert "fewer than two categories" in result.ac1.reason


def test_subjects_that_one_reader_left_out_do_not_enter_the_pair() -> None:
    """They are counted as subjects, not in the table; one that nobody rated is no subject."""
    ratings: list[list[str | None]] = [
        *_ratings(FULL),
        ["stratum_1", None],
        [None, "ineligible"],
        [None, None],
    ]
    result = concordance(ratings, STRATA)
    assert (result.subjects, result.pairs[0].subjects) == (48, 46)
    assert result.pairs[0].table == FULL
    assert result.agreement.value == pytest.approx(34 / 46)


ANSWERED = ((10, 1, 0, 2), (1, 6, 0, 0), (0, 1, 7, 1), (1, 0, 0, 0))
"""23 of 30 agree; of the 26 with a stratum in both, 23 do. The last row and column: no stratum."""


def _answered(*, missing: bool) -> list[list[str | None]]:
    names = (*STRATA, None if missing else "none")
    return [[names[r], names[c]] for r in range(4) for c in range(4) for _ in range(ANSWERED[r][c])]


Numbers = tuple[float, float, float, float]
"""A value, its standard error, and the ends of its interval."""


def _is(found: Concordance, agree: tuple[int, int], *, kappa: Numbers, ac1: Numbers, of_all: Numbers) -> None:
    """Hold a pair, and AC1 over all, to what others give."""
    (pair,) = found.pairs
    assert pair.subjects == agree[1]
    assert pair.agreement.value == pytest.approx(agree[0] / agree[1], rel=1e-12)
    for estimate, numbers in ((pair.kappa, kappa), (pair.ac1, ac1), (found.ac1, of_all)):
        assert _numbers(estimate) == pytest.approx(numbers, rel=1e-12)


def test_no_stratum_as_an_answer_equals_statsmodels_and_irrcac() -> None:
    """Statsmodels 0.15.0 and irrCAC 0.4.4 on four categories: 23 of 30, not 23 of 26."""
    found = concordance(_answered(missing=False), (*STRATA, "none"))
    kappa = (0.6623794212218651, 0.10656459682787019, 0.4535166494122082, 0.871242193031522)
    ac1 = (0.69718817591925, 0.103388132036302, 0.485735703633877, 0.908640648204624)
    _is(found, (23, 30), kappa=kappa, ac1=ac1, of_all=ac1)


def test_missing_strata_equal_statsmodels_and_irrcac_and_intervals_end_at_1() -> None:
    """Three categories, four subjects with one rating: statsmodels' upper end is 1.0105, ours 1.

    irrCAC over all 30 (one rating informs chance alone), and over the 26 with both.
    """
    found = concordance(_answered(missing=True), STRATA)
    kappa = (0.8239277652370203, 0.09517705414151509, 0.6373841669650319, 1.0)
    whole = (0.830386028834375, 0.111308481152924, 0.602734623759646, 1.0)
    both = (0.82847718526663, 0.095262899243287, 0.632279571628028, 1.0)
    _is(found, (23, 26), kappa=kappa, ac1=both, of_all=whole)
