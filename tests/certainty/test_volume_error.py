"""The interval of the resectable fraction: worked values, coverage, agreement with Monte Carlo."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

from volstrat.certainty.volume_error import FractionInterval, resectable_fraction_interval, wcv_percent
from volstrat.errors import ProtocolError
from volstrat.terms.policies import VolumeErrorPolicy

POLICY = VolumeErrorPolicy()
SEVENTY = Decimal(70)


def interval(
    volume: list[float], part: list[float], diameter: list[float], policy: VolumeErrorPolicy = POLICY
) -> FractionInterval:
    """Return the interval at a threshold of 70 %."""
    found = resectable_fraction_interval(volume, part, diameter, policy=policy, threshold_percent=SEVENTY)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("volume", "part", "diameter", "half_width"),
    [
        # 1.96 f (1 - f) sqrt(cv_R^2 + cv_U^2), cv of a sum of n equal lesions is cv / sqrt(n):
        # 1.96 x 0.21 x sqrt(2) x 0.085 = 0.0495
        pytest.param([70.0, 30.0], [70.0, 0.0], [60.0] * 2, 4.9, id="2 lesions at 8.5 %"),
        # 1.96 x 0.21 x 0.103 x sqrt(1/7 + 1/3) = 0.0293
        pytest.param([1.0] * 10, [1.0] * 7 + [0.0] * 3, [40.0] * 10, 2.9, id="10 at 10.3 %"),
        # 1.96 x 0.21 x 0.141 x sqrt(1/21 + 1/9) = 0.0231
        pytest.param([1.0] * 30, [1.0] * 21 + [0.0] * 9, [20.0] * 30, 2.3, id="30 at 14.1 %"),
    ],
)
def test_half_widths_are_those_worked_by_hand(
    volume: list[float], part: list[float], diameter: list[float], half_width: float
) -> None:
    """The three examples that the field gives at a fraction of 0.70."""
    found = interval(volume, part, diameter)
    assert round(50 * (found.hi - found.lo), 1) == half_width


def test_the_worked_example_of_the_method_page_holds() -> None:
    """Three lesions of two classes, every step by hand.

    R = 60 + 10 ml, U = 30 ml; wCV 10.3 % at 45 and 38 mm, 14.1 % at 26 mm.
    Var R / R^2 = (60^2 x 0.103^2 + 10^2 x 0.141^2) / 70^2 = 0.0082001, s_R^2 = ln 1.0082001 = 0.0081667.
    s_U^2 = ln(1 + 0.103^2) = 0.0105531. s = sqrt(0.0187198) = 0.136820.
    Centre ln(70 / 30) + (0.0081667 - 0.0105531) / 2 = 0.846105.
    Ends at 0.846105 -+ 1.959964 x 0.136820 = 0.577942 and 1.114267: 0.640594 and 0.752924.
    P = Phi((0.846105 - ln(0.7 / 0.3)) / 0.136820) = Phi(-0.00872) = 0.49652.
    """
    found = interval([60, 10, 30], [60, 10, 0], [45, 26, 38])
    assert (found.lo, found.hi) == pytest.approx((0.640594, 0.752924), abs=2e-6)
    assert found.probability == pytest.approx(0.49652, abs=2e-5)


@pytest.mark.parametrize(
    ("diameter", "percent"),
    [
        (0.0, 28.2),
        (9.99, 28.2),
        (10.0, 14.1),
        (34.99, 14.1),
        (35.0, 10.3),
        (49.9, 10.3),
        (50.0, 8.5),
        (300.0, 8.5),
    ],
)
def test_the_class_of_a_lesion_begins_at_its_lower_bound(diameter: float, percent: float) -> None:
    """Classes: below 10 mm, 10 to 35, 35 to 50, 50 to 100 and beyond."""
    assert wcv_percent(diameter, POLICY) == percent


def measured(
    truth: np.ndarray, sigma: np.ndarray, rho: float, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """Volumes with unit-mean log-normal errors, (draws, volumes)."""
    shared = rng.standard_normal((draws, 1))
    own = rng.standard_normal((draws, truth.size))
    noise = math.sqrt(rho) * shared + math.sqrt(1 - rho) * own
    result: np.ndarray = truth * np.exp(sigma * noise - sigma**2 / 2)
    return result


def test_the_simple_formula_agrees_with_monte_carlo() -> None:
    """SD(f) = f (1 - f) sqrt(cv_R^2 + cv_U^2) within the error of 40,000 draws (0.35 %) and its order."""
    rng = np.random.default_rng(20260701)
    truth = np.array([30.0, 25.0, 15.0, 20.0, 10.0])
    cv = np.array([0.103, 0.103, 0.141, 0.141, 0.141])
    drawn = measured(truth, np.sqrt(np.log1p(cv**2)), 0.0, rng, 40_000)
    fraction = drawn[:, :3].sum(axis=1) / drawn.sum(axis=1)
    cv_r = math.sqrt(((truth * cv)[:3] ** 2).sum()) / 70
    cv_u = math.sqrt(((truth * cv)[3:] ** 2).sum()) / 30
    formula = 0.7 * 0.3 * math.hypot(cv_r, cv_u)
    assert fraction.std() == pytest.approx(formula, rel=0.02)


@pytest.mark.parametrize("rho", [0.0, 0.4])
@pytest.mark.parametrize(
    ("volume", "share", "diameter"),
    [
        pytest.param([40.0, 20.0], [1.0, 0.0], [44.0, 33.0], id="two lesions"),
        pytest.param([33.5], [0.7], [40.0], id="one partial lesion"),
        pytest.param([65.4] + [0.52] * 50, [1.0] + [0.0] * 50, [50.0] + [9.0] * 50, id="one and fifty"),
        pytest.param([50.0, 9.0, 4.2, 4.2, 0.3], [0.8, 1.0, 0.0, 0.5, 1.0], [46, 26, 20, 20, 8], id="mixed"),
    ],
)
def test_the_closed_form_agrees_with_monte_carlo(
    volume: list[float], share: list[float], diameter: list[float], rho: float
) -> None:
    """Interval ends within 0.4 points and the probability within 0.015 of 60,000 draws.

    The draws are errors of measurement round what was measured; the true logit lies as far below
    the measured one as an erring measurement lies above it (the basic bootstrap).
    """
    policy = VolumeErrorPolicy(correlation=rho)
    parts = np.array([v * s for v, s in zip(volume, share, strict=True)])
    rests = np.array(volume) - parts
    sigma = np.sqrt(np.log1p([(wcv_percent(d, policy) / 100) ** 2 for d in diameter]))
    rng = np.random.default_rng(7)
    drawn = measured(np.concatenate((parts, rests)), np.concatenate((sigma, sigma)), rho, rng, 60_000)
    logit = np.log(drawn[:, : parts.size].sum(axis=1) / drawn[:, parts.size :].sum(axis=1))
    centre = math.log(parts.sum() / rests.sum())
    true = 1 / (1 + np.exp(-(2 * centre - logit)))
    found = interval(volume, list(parts), diameter, policy)
    assert (found.lo, found.hi) == pytest.approx(tuple(np.quantile(true, [0.025, 0.975])), abs=0.004)
    assert found.probability == pytest.approx(float((true >= 0.7).mean()), abs=0.015)


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_the_interval_covers_the_truth_in_95_of_100_subjects(rho: float) -> None:
    """1,000 subjects with 2 to 40 lesions of 4 to 80 mm, partial ones too: 93 to 97 % are covered."""
    rng = np.random.default_rng(11)
    policy = VolumeErrorPolicy(correlation=rho)
    covered = 0
    for _ in range(1000):
        count = int(rng.integers(2, 41))
        diameter = np.clip(rng.lognormal(math.log(18), 0.7, count), 4, 80)
        truth = math.pi / 6 * diameter**3
        share = rng.choice([0.0, 1.0, 0.6], size=count, p=[0.3, 0.6, 0.1])
        share[:2] = [1.0, 0.0]
        sigma = np.sqrt(np.log1p([(wcv_percent(d, policy) / 100) ** 2 for d in diameter]))
        both = np.concatenate((truth * share, truth * (1 - share)))
        drawn = measured(both, np.concatenate((sigma, sigma)), rho, rng, 1)[0]
        part, rest = drawn[:count], drawn[count:]
        found = interval(list(part + rest), list(part), list(diameter), policy)
        covered += found.lo <= both[:count].sum() / both.sum() <= found.hi
    assert 930 <= covered <= 970


def test_a_fraction_of_zero_or_one_cannot_change() -> None:
    """Where nothing, or everything, is resectable, volume error has nothing to move."""
    nothing, everything = interval([3.0, 4.0], [0.0, 0.0], [12, 12]), interval([3.0], [3.0], [12])
    assert (nothing.lo, nothing.hi, nothing.probability) == (0.0, 0.0, 0.0)
    assert (everything.lo, everything.hi, everything.probability) == (1.0, 1.0, 1.0)


def test_no_tumour_has_no_interval() -> None:
    """Undefined is None, not a number."""
    for volume in ([], [0.0]):
        found = resectable_fraction_interval(volume, volume, volume, policy=POLICY, threshold_percent=SEVENTY)
        assert found is None


def test_errors_that_all_lesions_share_cancel() -> None:
    """With correlation 1 and one class the fraction is exact, and exactly 70 % passes."""
    found = interval([7.0, 3.0], [7.0, 0.0], [20, 20], VolumeErrorPolicy(correlation=1.0))
    assert (found.lo, found.hi) == pytest.approx((0.7, 0.7))
    assert found.probability == 1.0


def test_the_share_of_one_partial_lesion_is_not_exact() -> None:
    """Its two parts are two volumes: as wide as two lesions of the same class, 4.9 points at 8.5 %."""
    partial, apart = interval([100.0], [70.0], [60]), interval([70.0, 30.0], [70.0, 0.0], [60, 60])
    assert partial == apart


def test_unknown_markings_give_the_envelope() -> None:
    """From the lower end with unknown unresectable to the upper end with unknown resectable."""
    volume, diameter = [60.0, 20.0, 20.0], [50.0, 34.0, 34.0]
    both = resectable_fraction_interval(
        volume,
        [60.0, 0.0, 0.0],
        diameter,
        policy=POLICY,
        threshold_percent=SEVENTY,
        resectable_upper_ml=[60.0, 20.0, 0.0],
    )
    low, high = interval(volume, [60, 0, 0], diameter), interval(volume, [60, 20, 0], diameter)
    assert both is not None
    assert (both.lo, both.hi) == (low.lo, high.hi)
    assert (both.probability_lower, both.probability_upper) == (low.probability, high.probability)
    assert both.probability is None


def test_the_unit_and_the_order_of_lesions_do_not_matter() -> None:
    """Voxel counts instead of millilitres, and lesions the other way round: the same interval."""
    volume, part, diameter = [412.0, 97.0, 33.0], [412.0, 20.0, 0.0], [55.0, 21.0, 8.0]
    found = interval(volume, part, diameter)
    assert interval(volume[::-1], part[::-1], diameter[::-1]) == found
    scaled = interval([v * 0.64 for v in volume], [p * 0.64 for p in part], diameter)
    assert (scaled.lo, scaled.hi) == pytest.approx((found.lo, found.hi), abs=1e-8)


def test_a_lesion_counts_with_its_own_class() -> None:
    """Giving the large lesion the small one's diameter, and the other way round, widens the interval."""
    volume, part = [90.0, 10.0], [70.0, 0.0]
    right, swapped = interval(volume, part, [60, 8]), interval(volume, part, [8, 60])
    assert swapped.hi - swapped.lo > 1.5 * (right.hi - right.lo)


@pytest.mark.parametrize(("threshold", "inside"), [(70, True), (60, False), (80, False)])
def test_the_interval_says_whether_it_spans_a_threshold(threshold: int, inside: bool) -> None:
    """Two 60 mm lesions at 70 %: 64.8 to 74.7 %."""
    assert interval([70.0, 30.0], [70.0, 0.0], [60, 60]).spans(Decimal(threshold)) is inside


@pytest.mark.parametrize(
    ("threshold", "probability"), [(0, 1.0), (100, 0.0)], ids=["nothing asked", "all asked"]
)
def test_extreme_thresholds_are_certain(threshold: int, probability: float) -> None:
    """Any fraction reaches 0 %; one below 1 never reaches 100 %."""
    found = resectable_fraction_interval(
        [7.0, 3.0], [7.0, 0.0], [20, 20], policy=POLICY, threshold_percent=threshold
    )
    assert found is not None
    assert found.probability == probability


@pytest.mark.parametrize(
    ("volume", "part", "diameter"),
    [
        pytest.param([1.0], [1.0, 1.0], [5.0], id="lengths differ"),
        pytest.param([1.0], [1.1], [5.0], id="part exceeds lesion"),
        pytest.param([1.0], [-0.1], [5.0], id="negative part"),
    ],
)
def test_impossible_volumes_are_refused(
    volume: list[float], part: list[float], diameter: list[float]
) -> None:
    """A part lies within its lesion, and each lesion has all three numbers."""
    with pytest.raises(ValueError, match="lesion"):
        interval(volume, part, diameter)


@pytest.mark.parametrize(
    "change",
    [
        {"diameter_from_mm": (0.0, 10.0, 10.0, 50.0, 100.0)},
        {"diameter_from_mm": (5.0, 10.0, 35.0, 50.0, 100.0)},
        {"wcv_percent": (28.2, 14.1)},
        {"wcv_percent": (0.0, 14.1, 10.3, 8.5, 8.5)},
        {"wcv_percent": (61.0, 14.1, 10.3, 8.5, 8.5)},
        {"correlation": -0.1},
        {"correlation": 1.1},
        {"correlation": math.nan},
    ],
)
def test_impossible_policies_are_refused(change: dict[str, object]) -> None:
    """Classes rise from 0 and have one value each; numbers keep to their bounds."""
    with pytest.raises(ProtocolError, match="volume_error"):
        VolumeErrorPolicy(**change)  # type: ignore[arg-type]
