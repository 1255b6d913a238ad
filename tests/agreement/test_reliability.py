"""Bland-Altman, ICC, within-subject variation."""

from __future__ import annotations

import math

import pytest

from volstrat.agreement.estimate import Estimate
from volstrat.agreement.reliability import bland_altman, intraclass_correlation, within_subject_variation
from volstrat.errors import UsageError

T_2 = 4.302652729749464
"""97.5 % quantile of Student's t with 2 degrees of freedom: 0.95 sqrt(2) / sqrt(1 - 0.95^2)."""

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Six subjects, four judges (Shrout and Fleiss 1979, table 2): ICC(2,1) = 0.29, ICC(3,1) = 0.71."""

VOLUMES_ML = [
    [12.4, 13.1],
    [55.0, 49.8],
    [8.2, 9.9],
    [130.5, 141.0],
    [3.3, 2.9],
    [77.1, 80.4],
    [21.0, 20.2],
]


def _interval(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def _triple(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.value is not None
    assert estimate.reason == ""
    return (estimate.value, *_interval(estimate))


@pytest.mark.parametrize(
    ("a", "b", "scale"),
    [
        pytest.param([10.0, 20.0, 30.0], [11.0, 22.0, 33.0], "difference", id="differences-1-2-3"),
        pytest.param(
            [5.0, 7.0, 9.0], [5 * math.e, 7 * math.e**2, 9 * math.e**3], "log_ratio", id="log-1-2-3"
        ),
    ],
)
def test_bland_altman_of_differences_one_two_three(a: list[float], b: list[float], scale: str) -> None:
    """Mean 2, SD 1, n 3: limits 2 -+ 1.96; SE of the bias 1/sqrt(3), of a limit sqrt(1/3 + 1.96^2/4)."""
    result = bland_altman(a, b, scale="log_ratio" if scale == "log_ratio" else "difference")
    assert (result.subjects, result.excluded) == (3, 0)
    assert result.sd == pytest.approx(1.0)
    reach = T_2 / math.sqrt(3)
    assert _triple(result.bias) == pytest.approx((2.0, 2 - reach, 2 + reach))
    reach = T_2 * math.sqrt(1 / 3 + 1.96**2 / 4)
    assert _triple(result.lower_limit) == pytest.approx((0.04, 0.04 - reach, 0.04 + reach))
    assert _triple(result.upper_limit) == pytest.approx((3.96, 3.96 - reach, 3.96 + reach))


def test_swapping_the_readers_turns_bland_altman_round() -> None:
    """Bias and limits change sign, the lower limit becomes the upper one."""
    a, b = zip(*VOLUMES_ML, strict=True)
    forth, back = bland_altman(a, b, scale="log_ratio"), bland_altman(b, a, scale="log_ratio")
    assert forth.sd == pytest.approx(back.sd)
    low, high = _interval(forth.bias)
    assert _triple(back.bias) == pytest.approx((-(forth.bias.value or 0), -high, -low))
    low, high = _interval(forth.lower_limit)
    assert _triple(back.upper_limit) == pytest.approx((-(forth.lower_limit.value or 0), -high, -low))


def test_a_volume_of_zero_has_no_logarithm_and_is_counted_out() -> None:
    """Zero or missing on either side leaves the subject out; a difference needs only numbers."""
    a, b = [1.0, 0.0, 2.0, None, 3.0, 4.0], [2.0, 5.0, 0.0, 4.0, 6.0, math.nan]
    logs = bland_altman(a, b, scale="log_ratio")
    assert (logs.subjects, logs.excluded) == (2, 4)
    assert logs.bias.value == pytest.approx(math.log(2))
    differences = bland_altman(a, b, scale="difference")
    assert (differences.subjects, differences.excluded) == (4, 2)
    assert differences.bias.value == pytest.approx((1 + 5 - 2 + 3) / 4)


def test_bland_altman_without_spread_has_a_bias_and_no_interval() -> None:
    """Everyone differs by 0.1 (not exact in binary): SD 0, no interval, and it says why."""
    result = bland_altman([0.3, 0.7, 12.9], [0.4, 0.8, 13.0], scale="difference")
    assert result.sd == 0.0
    assert result.bias.value == pytest.approx(0.1)
    for estimate in (result.bias, result.lower_limit, result.upper_limit):
        assert (estimate.low, estimate.high) == (None, None)
        assert "no spread" in estimate.reason


def test_bland_altman_of_one_subject_and_of_none() -> None:
    """One subject has a difference but no limits; none has nothing."""
    one = bland_altman([2.0], [5.0], scale="difference")
    assert (one.bias.value, one.bias.low, one.sd, one.upper_limit.value) == (3.0, None, None, None)
    assert "there are 1" in one.upper_limit.reason
    none = bland_altman([], [], scale="log_ratio")
    assert (none.subjects, none.bias.value, none.lower_limit.value) == (0, None, None)
    assert "there are 0" in none.bias.reason


# pingouin 0.6.1 (rounding off), ICC(A,1) and ICC(C,1) with their 95 % intervals.
@pytest.mark.parametrize(
    ("readings", "icc_2_1", "icc_3_1"),
    [
        pytest.param(
            SHROUT_FLEISS,
            (0.28976377952755916, 0.01878651337471204, 0.7610843696489529),
            (0.7148407148407154, 0.34246476503392614, 0.9458582599553597),
            id="shrout-fleiss",
        ),
        pytest.param(
            VOLUMES_ML,
            (0.9953829109116353, 0.9761640015196227, 0.9991903563237532),
            (0.9950998529673132, 0.9718151649634349, 0.9991563031928491),
            id="volumes",
        ),
    ],
)
def test_icc_equals_pingouin(
    readings: list[list[float]], icc_2_1: tuple[float, ...], icc_3_1: tuple[float, ...]
) -> None:
    """Values and F-based intervals, and whatever the order of subjects and readers."""
    for table in (readings, [row[::-1] for row in readings[::-1]]):
        result = intraclass_correlation(table)
        assert (result.subjects, result.readers) == (len(readings), len(readings[0]))
        assert _triple(result.icc_2_1) == pytest.approx(icc_2_1, rel=1e-12)
        assert _triple(result.icc_3_1) == pytest.approx(icc_3_1, rel=1e-12)


def test_icc_leaves_out_subjects_with_a_missing_reading() -> None:
    """The rest is as if they had not been there."""
    with_gaps: list[list[float | None]] = [*map(list[float | None], VOLUMES_ML), [4.0, None], [math.nan, 9.0]]
    result = intraclass_correlation(with_gaps)
    assert (result.subjects, result.excluded) == (7, 2)
    assert result.icc_2_1 == intraclass_correlation(VOLUMES_ML).icc_2_1


def test_a_constant_difference_is_consistent_but_not_agreement() -> None:
    """Readings (1, 2), (3, 4), (5, 6), tenths of them.

    Subject means 1.5, 3.5, 5.5: MSB = 2 (4 + 0 + 4) / 2 = 8. Reader means 3, 4: MSC = 3 (1/4 + 1/4) = 1.5.
    MSE = 0. ICC(3,1) = 1; ICC(2,1) = 8 / (8 + 2 x 1.5 / 3) = 8/9. F = MSB / MSE does not exist.
    """
    result = intraclass_correlation([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    assert result.icc_3_1.value == pytest.approx(1.0)
    assert result.icc_2_1.value == pytest.approx(8 / 9)
    for estimate in (result.icc_2_1, result.icc_3_1):
        assert estimate.low is None
        assert "F does not exist" in estimate.reason


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        pytest.param([[]], "two readers", id="nothing"),
        pytest.param([[1.0], [2.0]], "two readers", id="one-reader"),
        pytest.param([[1.0, 2.0]], "two subjects", id="one-subject"),
        pytest.param([[1.0, 2.0], [None, 3.0]], "two subjects", id="one-complete-subject"),
        pytest.param([[0.1, 0.1], [0.1, 0.1]], "variance is zero", id="no-variance"),
        pytest.param([[0.1, 0.3], [0.1, 0.3]], "variance is zero", id="subjects-all-alike"),
    ],
)
def test_an_icc_that_does_not_exist_says_why(readings: list[list[float | None]], reason: str) -> None:
    """None and a reason, never NaN."""
    result = intraclass_correlation(readings)
    for estimate in (result.icc_2_1, result.icc_3_1):
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
        assert reason in estimate.reason


@pytest.mark.parametrize(
    ("readings", "icc_2_1"),
    [
        # MSC = 0, SSE = 4 x 1/4 = 1 over 2: MSE = 1/2. ICC(2,1) = -MSE / (MSE - 2/3 MSE) = -3.
        pytest.param([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], -3.0, id="three-subjects"),
        # MSE = 1: ICC(2,1) would be -1 / (1 - 2/2).
        pytest.param([[0.0, 1.0], [1.0, 0.0]], None, id="two-subjects"),
    ],
)
def test_subjects_whose_means_are_equal_give_no_interval(
    readings: list[list[float]], icc_2_1: float | None
) -> None:
    """All variance is residual, MSB = 0: ICC(3,1) = -MSE / MSE = -1, the lowest there is."""
    result = intraclass_correlation(readings)
    assert result.icc_3_1.value == pytest.approx(-1.0)
    assert result.icc_2_1.value == (None if icc_2_1 is None else pytest.approx(icc_2_1))
    for estimate in (result.icc_2_1, result.icc_3_1):
        assert estimate.low is None
        assert "means are equal" in estimate.reason


def test_within_subject_variation_by_hand() -> None:
    """Readings (9, 11) and (18, 22): s^2 = 2 and 8, m = 10 and 20, so s^2/m^2 = 0.02 twice.

    wSD = sqrt(5), wCV = sqrt(0.02). With 2 degrees of freedom chi-square's quantile is -2 ln(1 - p).
    """
    result = within_subject_variation([[9.0, 11.0], [18.0, 22.0]])
    low, high = math.sqrt(2 / (-2 * math.log(0.025))), math.sqrt(2 / (-2 * math.log(0.975)))
    wsd, wcv = math.sqrt(5), math.sqrt(0.02)
    assert _triple(result.wsd) == pytest.approx((wsd, wsd * low, wsd * high))
    assert _triple(result.wcv) == pytest.approx((wcv, wcv * low, wcv * high))
    assert _triple(result.rc) == pytest.approx((2.77 * wsd, 2.77 * wsd * low, 2.77 * wsd * high))
    assert _triple(result.rc_percent) == pytest.approx((277 * wcv, 277 * wcv * low, 277 * wcv * high))


def test_three_readers_give_twice_the_degrees_of_freedom() -> None:
    """One subject read 9, 10, 11: s^2 = 1, v = 2; the same interval factors as for two subjects of two."""
    result = within_subject_variation([[9.0, 10.0, 11.0]])
    low = math.sqrt(2 / (-2 * math.log(0.025)))
    assert result.wsd.value == pytest.approx(1.0)
    assert result.wcv.value == pytest.approx(0.1)
    assert _interval(result.wsd)[0] == pytest.approx(low)


def test_a_subject_without_volume_has_no_coefficient_of_variation() -> None:
    """(0, 0) enters wSD and not wCV."""
    result = within_subject_variation([[9.0, 11.0], [0.0, 0.0]])
    assert (result.subjects, result.subjects_with_cv) == (2, 1)
    assert result.wsd.value == pytest.approx(1.0)  # (2 + 0) / 2
    assert result.wcv.value == pytest.approx(math.sqrt(0.02))


def test_within_subject_variation_that_does_not_exist_says_why() -> None:
    """One reader: nothing; identical readings: 0 without an interval; no subject: nothing."""
    one_reader = within_subject_variation([[1.0], [2.0]])
    assert (one_reader.wsd.value, one_reader.rc_percent.value) == (None, None)
    assert "two readers" in one_reader.rc.reason
    identical = within_subject_variation([[0.1, 0.1, 0.1], [0.7, 0.7, 0.7]])
    assert (identical.wsd.value, identical.wsd.low) == (0.0, None)
    assert "identical" in identical.wcv.reason
    assert within_subject_variation([[1.0, None]]).wsd.value is None
    assert "above zero" in within_subject_variation([[0.0, 0.0]]).wcv.reason


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"value": math.nan, "reason": "x"}, id="nan"),
        pytest.param({"value": 1.0}, id="no-interval-no-reason"),
        pytest.param({"value": 1.0, "low": 0.0, "high": 2.0, "reason": "x"}, id="reason-too-many"),
        pytest.param({"value": 1.0, "low": 0.0, "reason": "x"}, id="half-an-interval"),
    ],
)
def test_an_estimate_is_whole_or_says_why_not(values: dict[str, float]) -> None:
    """No estimate exists in a state that a reader could misread."""
    with pytest.raises(UsageError):
        Estimate(**values)  # type: ignore[arg-type]
