"""The liver remnant: its share by counts and by body surface, its limit, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from volstrat.errors import ProtocolError
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.remnant import (
    LiverRemnant,
    body_surface_m2,
    measure_liver_burden,
    measure_remnant,
    standard_liver_ml,
)
from volstrat.terms.policies import LiverState, RemnantPolicy

# A liver in one row of voxels of 2 ml: 0 to 999. The remnant is its end, 700 to 999.
# Tumour: 100 to 199 (outside the remnant), 800 to 819 and 900 to 929 (in it), 1500 to 1599 (elsewhere).
# Of it 100 to 199 and 900 to 929 can be resected or ablated.
LIVER = VoxelRuns.from_intervals([0], [1000])
REMNANT = VoxelRuns.from_intervals([700], [1000])
TUMOUR = VoxelRuns.from_intervals([100, 800, 900, 1500], [200, 820, 930, 1600])
RESECTABLE = VoxelRuns.from_intervals([100, 900], [200, 930])
VOXEL_MM3 = 2000.0
NONE = VoxelRuns.empty()


def remnant(**changes: Any) -> tuple[LiverRemnant, list[str]]:  # noqa: ANN401 - any argument of the call
    """Measure the example, with changes; returns the result and the codes of the findings."""
    call: dict[str, Any] = {
        "remnant": REMNANT,
        "liver": LIVER,
        "tumour": TUMOUR,
        "voxel_volume_mm3": VOXEL_MM3,
        "policy": RemnantPolicy(),
        "liver_state": "normal",
    }
    result, findings = measure_remnant(**{**call, **changes})
    return result, [finding.code for finding in findings]


def test_the_share_is_remnant_without_tumour_of_liver_without_tumour() -> None:
    """(300 - 20 - 30) / (1000 - 100 - 20 - 30) = 250 / 850; the tumour elsewhere does not count."""
    result, codes = remnant()
    assert result.flr_ml == 500.0
    assert result.flr_percent == pytest.approx(100 * 250 / 850)
    assert (result.sflr_percent, result.limit_percent, result.below_limit) == (None, 25.0, False)
    assert codes == []


def test_a_liver_mask_drawn_without_its_tumour_gives_the_same_share() -> None:
    """Parenchyma only: what is taken off is not there to begin with."""
    result, codes = remnant(liver=LIVER.difference(TUMOUR), remnant=REMNANT.difference(TUMOUR))
    assert result.flr_percent == remnant()[0].flr_percent
    assert codes == ["liver_without_tumour"]


def test_what_of_the_remnant_lies_outside_the_liver_is_not_counted() -> None:
    """Fifty voxels beyond the liver's end, 100 ml, are named."""
    result, codes = remnant(remnant=VoxelRuns.from_intervals([700], [1050]))
    assert result.flr_percent == remnant()[0].flr_percent
    assert codes == ["remnant_outside_liver"]


@pytest.mark.parametrize(
    ("policy", "standard_ml"),
    [
        # 80 kg, 180 cm. Mosteller sqrt(80 x 180 / 3600) = 2 m2.
        pytest.param(RemnantPolicy(), 1740.15, id="Mosteller, Vauthey: -794.41 + 1267.28 x 2"),
        pytest.param(RemnantPolicy(liver_volume="urata"), 1414.8, id="Mosteller, Urata: 706.2 x 2 + 2.4"),
        # DuBois 0.007184 x 80^0.425 x 180^0.725 = 0.007184 x 6.43892 x 43.1591 = 1.996421
        pytest.param(RemnantPolicy(body_surface="dubois"), 1735.614, id="DuBois, Vauthey"),
        pytest.param(
            RemnantPolicy(body_surface="dubois", liver_volume="urata"), 1412.273, id="DuBois, Urata"
        ),
    ],
)
def test_the_standardised_share_uses_the_formulas_of_the_policy(
    policy: RemnantPolicy, standard_ml: float
) -> None:
    """500 ml of a standard liver."""
    result, _ = remnant(policy=policy, weight_kg=80, height_cm=180)
    assert result.sflr_percent == pytest.approx(100 * 500 / standard_ml, rel=1e-5)


def test_without_a_liver_mask_only_the_standardised_share_is_known() -> None:
    """And without weight and height neither is, which is said."""
    result, codes = remnant(liver=None, weight_kg=80, height_cm=180)
    assert (result.flr_percent, result.below_limit, codes) == (None, False, [])
    result, codes = remnant(liver=None)
    assert (result.sflr_percent, result.below_limit, codes) == (None, None, ["remnant_not_compared"])


@pytest.mark.parametrize(
    ("state", "limit", "below"),
    [
        ("normal", 25.0, False),
        ("chemotherapy", 30.0, True),
        ("fibrosis", 40.0, True),
        ("cirrhosis", 40.0, True),
    ],
)
def test_the_limit_is_that_of_the_livers_state(state: LiverState, limit: float, below: bool) -> None:
    """29.4 % is enough for a normal liver and for no other."""
    result, codes = remnant(liver_state=state)
    assert (result.limit_percent, result.below_limit) == (limit, below)
    assert codes == (["remnant_below_limit"] if below else [])


def test_the_lower_of_the_two_shares_is_compared() -> None:
    """29.4 % of the liver but 500 of 2209 ml, 22.6 %, of the standard liver: below 25 %.

    100 kg, 202.5 cm: sqrt(100 x 202.5 / 3600) = 2.3717 m2; -794.41 + 1267.28 x 2.3717 = 2211 ml.
    """
    result, codes = remnant(weight_kg=100, height_cm=202.5)
    assert result.flr_percent == pytest.approx(29.41, abs=0.01)
    assert result.sflr_percent == pytest.approx(22.61, abs=0.01)
    assert result.below_limit is True
    assert codes == ["remnant_below_limit"]


def test_a_share_exactly_at_the_limit_is_not_below_it() -> None:
    """A quarter: 250 of 1000 voxels, no tumour."""
    result, codes = remnant(tumour=VoxelRuns.empty(), remnant=VoxelRuns.from_intervals([750], [1000]))
    assert (result.flr_percent, result.below_limit, codes) == (25.0, False, [])


@pytest.mark.parametrize(
    ("voxels", "below", "codes"),
    [(200, True, ["remnant_below_limit"]), (300, None, ["liver_state_missing"]), (400, False, [])],
)
def test_an_unknown_state_matters_only_between_the_limits(
    voxels: int, below: bool | None, codes: list[str]
) -> None:
    """20 % is below every limit, 40 % below none; 30 % depends."""
    result, found = remnant(
        liver_state=None, tumour=VoxelRuns.empty(), remnant=VoxelRuns.from_intervals([0], [voxels])
    )
    assert (result.limit_percent, result.below_limit, found) == (None, below, codes)


def test_with_an_unknown_state_the_lower_share_is_compared_too() -> None:
    """45 % of the liver, above every limit, but 900 of 2211 ml, 40.7 %, or less of a larger standard."""
    example: dict[str, Any] = {"tumour": VoxelRuns.empty(), "remnant": VoxelRuns.from_intervals([0], [450])}
    enough, _ = remnant(liver_state=None, weight_kg=100, height_cm=202.5, **example)
    assert (enough.flr_percent, enough.below_limit) == (45.0, False)
    # sqrt(150 x 210 / 3600) = 2.958 m2, 2954 ml: 30.5 %, between the limits
    open_, codes = remnant(liver_state=None, weight_kg=150, height_cm=210, **example)
    assert (open_.below_limit, codes) == (None, ["liver_state_missing"])


@pytest.mark.parametrize(
    ("weight", "height"), [(80.0, 1.8), (80000.0, 180.0), (0.0, 180.0), (7.1, 175.0), (float("nan"), 175.0)]
)
def test_a_body_that_cannot_be_an_adults_gives_no_standardised_share(weight: float, height: float) -> None:
    """Metres, grams, zero, a slipped point: named, and the rest is measured all the same."""
    result, codes = remnant(weight_kg=weight, height_cm=height)
    assert result.sflr_percent is None
    assert result.flr_percent == pytest.approx(29.41, abs=0.01)
    assert codes == ["body_size_implausible"]


def test_an_empty_liver_mask_gives_no_share() -> None:
    """Nothing to divide by; all of the remnant lies outside."""
    result, codes = remnant(liver=VoxelRuns.empty())
    assert (result.flr_ml, result.flr_percent, result.below_limit) == (0.0, None, True)
    assert codes == ["remnant_outside_liver", "liver_without_tumour", "remnant_below_limit"]


def test_the_burden_counts_tumour_within_the_liver_only() -> None:
    """150 of 1000 voxels are tumour, 130 of them resectable; the 100 voxels elsewhere are left out."""
    burden = measure_liver_burden(
        liver=LIVER, tumour=TUMOUR, resectable=RESECTABLE, unmarked=NONE, voxel_volume_mm3=VOXEL_MM3
    )
    assert (burden.liver_ml, burden.tumour_ml, burden.resectable_tumour_ml) == (2000.0, 300.0, 260.0)
    assert burden.burden_percent == pytest.approx(15.0)
    assert burden.resectable_fraction == pytest.approx(130 / 150)


def test_what_is_marked_outside_tumour_is_no_resectable_tumour() -> None:
    """A resectable mask may reach beyond the tumour."""
    burden = measure_liver_burden(
        liver=LIVER, tumour=TUMOUR, resectable=LIVER, unmarked=NONE, voxel_volume_mm3=VOXEL_MM3
    )
    assert burden.resectable_tumour_ml == burden.tumour_ml


def test_a_liver_without_tumour_has_no_resectable_share() -> None:
    """Undefined is None; an empty liver has no burden."""
    rest: dict[str, Any] = {"resectable": NONE, "unmarked": NONE, "voxel_volume_mm3": VOXEL_MM3}
    burden = measure_liver_burden(liver=LIVER, tumour=NONE, **rest)
    assert (burden.burden_percent, burden.resectable_fraction) == (0.0, None)
    nothing = measure_liver_burden(liver=NONE, tumour=TUMOUR, **rest)
    assert nothing.burden_percent is None


def test_tumour_of_the_liver_that_nobody_marked_has_no_resectable_share() -> None:
    """Not 0 %: 100 to 199, 800 to 819 and 900 to 929 lie in the liver. With one voxel marked it is known."""
    rest: dict[str, Any] = {"liver": LIVER, "tumour": TUMOUR, "voxel_volume_mm3": VOXEL_MM3}
    burden = measure_liver_burden(**rest, resectable=NONE, unmarked=TUMOUR)
    assert (burden.tumour_ml, burden.resectable_tumour_ml, burden.resectable_fraction) == (300.0, None, None)
    one = VoxelRuns.from_intervals([100], [101])
    burden = measure_liver_burden(**rest, resectable=one, unmarked=TUMOUR.difference(one))
    assert burden.resectable_fraction == pytest.approx(1 / 150)


@pytest.mark.parametrize(
    "call", [lambda: body_surface_m2(80, 180, formula="x"), lambda: standard_liver_ml(2, formula="x")]
)
def test_unknown_formulas_are_refused(call: Any) -> None:  # noqa: ANN401 - a call
    """By name."""
    with pytest.raises(ValueError, match="formula"):
        call()


@pytest.mark.parametrize("limit", [0.0, 100.0, -1.0, float("nan")])
def test_impossible_limits_are_refused(limit: float) -> None:
    """A limit lies between 0 and 100 %."""
    with pytest.raises(ProtocolError, match="limit_normal_percent"):
        RemnantPolicy(limit_normal_percent=limit)


def test_a_share_just_below_its_limit_does_not_read_as_the_limit() -> None:
    """2,249 of 9,000 voxels are 24.99 %, not 25.0 %."""
    result, findings = measure_remnant(
        remnant=VoxelRuns.from_intervals([0], [2249]),
        liver=VoxelRuns.from_intervals([0], [9000]),
        tumour=VoxelRuns.empty(),
        voxel_volume_mm3=VOXEL_MM3,
        policy=RemnantPolicy(),
        liver_state="normal",
    )
    assert result.below_limit is True
    assert "24.99 % of the liver without tumour: below the limit of 25 % (normal)" in findings[0].message


def test_a_remnant_that_holds_most_of_what_is_resected_is_a_review() -> None:
    """Of 130 resectable voxels in the liver 30 lie in the remnant; in its other end, 0 to 299, 100 do."""
    assert "remnant_holds_resectable" not in remnant(to_resect=RESECTABLE)[1]
    other_end = VoxelRuns.from_intervals([0], [300])
    assert "remnant_holds_resectable" in remnant(to_resect=RESECTABLE, remnant=other_end)[1]
    assert "remnant_holds_resectable" not in remnant(to_resect=NONE, remnant=other_end)[1]


@pytest.mark.parametrize(("last", "severity"), [(1033, "warning"), (1034, "review")])
def test_a_tenth_of_the_remnant_outside_the_liver_is_a_review(last: int, severity: str) -> None:
    """33 of 333 voxels are less than a tenth, 34 of 334 more."""
    _, findings = measure_remnant(
        remnant=VoxelRuns.from_intervals([700], [last]),
        liver=LIVER,
        tumour=TUMOUR,
        voxel_volume_mm3=VOXEL_MM3,
        policy=RemnantPolicy(),
        liver_state="normal",
    )
    assert [f.severity for f in findings if f.code == "remnant_outside_liver"] == [severity]
