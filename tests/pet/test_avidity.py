"""The avidity rules on phantoms small enough to work out by hand.

PET voxels are 4 mm cubes, so the 1 cm3 sphere of SUVpeak takes a voxel, its 6 face neighbours (4 mm) and its
12 edge neighbours (5.66 mm), and not the corners (6.93 mm): 19 voxels. CT voxels are 2 mm cubes, eight in
each PET voxel. Both grids are turned and off-centre.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tests.pet.avidity_cases import (
    CT,
    LESION,
    PET,
    REFERENCE,
    SHAPE,
    Box,
    box_mask,
    evaluate,
    finding_codes,
    fixed,
    inputs_of,
    only_lesion,
    suv_values,
)
from volstrat.errors import ProtocolError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.pet.avidity import AvidityResult, evaluate_rules
from volstrat.terms.avidity_rules import Avidity, AvidityRule


def _avid_voxels(result: AvidityResult) -> np.ndarray:
    assert result.avid is not None
    dense = np.zeros(PET.size, bool)
    dense[result.avid.indices()] = True
    return dense.reshape(SHAPE, order="F")


def _boxes_filled(*boxes: Box) -> np.ndarray:
    dense = np.zeros(SHAPE, bool)
    for box in boxes:
        dense[box] = True
    return dense


def test_fixed_takes_every_voxel_that_reaches_the_threshold() -> None:
    """4.1 stored in 32 bits reaches 4.1 and not 4.2; all 125 voxels of the lesion are avid."""
    inputs = inputs_of(suv_values(4.1))
    reached = evaluate(fixed(4.1), inputs)
    assert only_lesion(reached).detected is True
    assert np.array_equal(_avid_voxels(reached), _boxes_filled(LESION))
    missed = evaluate(fixed(4.2), inputs)
    assert only_lesion(missed).detected is False
    assert not _avid_voxels(missed).any()
    assert only_lesion(missed).threshold == 4.2
    assert only_lesion(missed).suv_max == pytest.approx(4.1)


def test_the_search_ends_at_the_margin() -> None:
    """Tumour centres end 1 mm inside the last PET voxel's face: its next neighbour is 3 mm off, then 7 mm."""
    values = suv_values(1.0)
    values[8, 6, 5], values[9, 6, 5] = 6.0, 7.0  # centres (sqrt(3^2+1+1) = 3.32 and 7.14 mm from the nearest)
    inputs = inputs_of(values)
    for margin_mm, expected in ((0.0, 0), (3.3, 0), (3.4, 1), (7.1, 1), (7.2, 2)):
        assert _avid_voxels(evaluate(fixed(5.0, margin_mm=margin_mm), inputs)).sum() == expected


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        pytest.param(AvidityRule(rule="liver"), 5.0, id="liver 1.5 x 2 + 2 x 1"),
        pytest.param(AvidityRule(rule="blood_pool"), 6.0, id="blood pool 2 x 2 + 2 x 1"),
        pytest.param(AvidityRule(rule="liver", multiplier=1.0, sd_count=0.5), 2.5, id="own factors"),
    ],
)
def test_a_reference_rule_detects_at_its_limit_and_not_below(rule: AvidityRule, limit: float) -> None:
    """The reference box has mean 2 and SD 1; a uniform lesion's peak is its value."""
    for lesion, expected in ((limit, True), (limit - 0.001, False)):
        result = evaluate(rule, inputs_of(suv_values(lesion), reference=box_mask(REFERENCE)))
        found = only_lesion(result)
        assert found.detected is expected
        assert found.threshold == pytest.approx(limit)
        assert found.suv_peak == pytest.approx(lesion)
        assert np.array_equal(_avid_voxels(result), _boxes_filled(LESION) if expected else _boxes_filled())
        assert result.reference is not None
        assert (result.reference.suv_mean, result.reference.suv_sd) == (2.0, 1.0)
        assert result.reference.voxels == 96
        assert result.reference.volume_ml == pytest.approx(96 * 0.064)


@pytest.mark.parametrize(("scale", "said"), [(0.24, True), (0.25, False), (3.0, False), (3.01, True)])
def test_a_reference_region_that_is_no_liver_is_said(scale: float, said: bool) -> None:
    """Mean 2 times a scale: air or bone below 0.5, bladder or brain above 6."""
    values = suv_values(5.0) * scale
    result = evaluate(AvidityRule(rule="liver"), inputs_of(values, reference=box_mask(REFERENCE)))
    assert [one.severity for one in result.findings if one.code == "suv_implausible"] == ["review"] * said


def test_one_hot_voxel_is_no_peak() -> None:
    """A voxel of 40 in ones: peak (40 + 18) / 19 = 3.05 stays below 5; the fixed rule takes it."""
    values = suv_values(1.0)
    values[5, 6, 5] = 40.0
    inputs = inputs_of(values, reference=box_mask(REFERENCE))
    liver = only_lesion(evaluate(AvidityRule(rule="liver"), inputs))
    assert liver.detected is False
    assert liver.suv_peak == pytest.approx(58 / 19)
    assert liver.suv_max == 40.0
    assert _avid_voxels(evaluate(fixed(5.0), inputs)).sum() == 1


def test_heat_beyond_the_region_does_not_make_a_lesion_avid() -> None:
    """A hot organ beside the lesion fills part of the sphere; no voxel of the lesion reaches the limit."""
    values = suv_values(1.0)
    values[8:12, 4:9, 3:8] = 100.0
    inputs = inputs_of(values, reference=box_mask(REFERENCE))
    found = only_lesion(evaluate(AvidityRule(rule="liver", margin_mm=0.0), inputs))
    assert found.suv_peak is not None
    assert found.suv_peak > 20.0
    assert found.suv_max == 1.0
    assert found.detected is False


def test_a_cold_lesion_is_not_avid_for_its_hot_neighbour() -> None:
    """Two lesions side by side within each other's margin: each PET voxel belongs to one."""
    values = suv_values(9.0)
    cold = np.s_[8:13, 4:9, 3:8]
    result = evaluate(fixed(5.0, margin_mm=8.0), inputs_of(values, {1: LESION, 2: cold}))
    assert [x.detected for x in result.lesions] == [True, False]
    assert np.array_equal(_avid_voxels(result), _boxes_filled(LESION))


@pytest.mark.parametrize(("percent", "planes"), [(41.0, 3), (40.0, 4), (50.0, 3), (50.1, 2), (100.0, 1)])
def test_percent_of_max_delineates_what_the_detector_found(percent: float, planes: int) -> None:
    """Planes of 10, 8, 5, 4 and 1: 50 % of 10 is reached by 5, 40 % by 4."""
    values = np.full(SHAPE, 0.5)
    for n, value in enumerate((10.0, 8.0, 5.0, 4.0, 1.0)):
        values[3 + n, 4:9, 3:8] = value
    rule = fixed(9.5, delineation="percent_of_max", percent_of_max=percent)
    result = evaluate(rule, inputs_of(values))
    assert np.array_equal(_avid_voxels(result), _boxes_filled(np.s_[3 : 3 + planes, 4:9, 3:8]))
    undetected = evaluate(replace(rule, suv_threshold=10.5), inputs_of(values))
    assert not _avid_voxels(undetected).any()


def test_background_asks_for_more_than_the_shell() -> None:
    """Shell of ones and threes in alternate planes: near mean 2, SD 1; a lesion of its level is not above."""
    values = np.ones(SHAPE)
    values[:, ::2, :] = 3.0
    values[LESION] = 9.0
    rule = AvidityRule(rule="background", margin_mm=4.0, shell_mm=8.0)
    hot = only_lesion(evaluate(rule, inputs_of(values)))
    assert hot.detected is True
    assert hot.threshold == pytest.approx(4.0, abs=0.15)  # planes are not exactly even in the shell
    values[LESION] = 3.5
    assert only_lesion(evaluate(rule, inputs_of(values))).detected is False
    level = np.full(SHAPE, 2.0)
    assert only_lesion(evaluate(rule, inputs_of(level))).detected is False
    level[LESION] = 2.01
    above = evaluate(rule, inputs_of(level))
    assert np.array_equal(_avid_voxels(above), _boxes_filled(LESION))
    assert only_lesion(above).threshold == pytest.approx(2.0)


def test_the_shell_leaves_other_lesions_out() -> None:
    """A very hot neighbour in the shell would raise the background; its voxels are not used."""
    values = np.full(SHAPE, 2.0)
    values[LESION] = 3.0
    hot = np.s_[9:12, 4:9, 3:8]
    values[hot] = 50.0
    rule = AvidityRule(rule="background", margin_mm=0.0, shell_mm=8.0)
    result = evaluate(rule, inputs_of(values, {1: LESION, 2: hot}))
    assert [x.detected for x in result.lesions] == [True, True]
    assert result.lesions[0].threshold == pytest.approx(2.0)


def test_the_shell_goes_round_the_lesion_on_every_side() -> None:
    """A thin second lesion does not hide what lies behind it from the first one's shell."""
    thin, behind = np.s_[8:9, 4:9, 3:8], np.s_[9:12, 4:9, 3:8]
    values = np.full(SHAPE, 1.0)
    values[behind] = 5.0
    inputs = inputs_of(values, {1: LESION, 2: thin})
    rule = AvidityRule(rule="background", margin_mm=0.0, shell_mm=9.5, sd_count=0.0)
    result = evaluate(rule, inputs)
    centres = CT.to_mm(CT.unravel(inputs.tumour.of(1).indices()))
    distance = cdist(PET.to_mm(PET.unravel(np.arange(PET.size))), centres).min(axis=1)
    shell = (distance.reshape(SHAPE, order="F") <= 9.5) & ~_boxes_filled(LESION, thin)
    assert (shell & _boxes_filled(behind)).any()
    assert result.lesions[0].threshold == pytest.approx(values[shell].mean())


def test_a_lesion_without_a_background_is_not_assessed() -> None:
    """No PET voxel of the shell has a value: nothing to compare with."""
    values = np.full(SHAPE, np.nan)
    values[LESION] = 3.0
    result = evaluate(AvidityRule(rule="background", margin_mm=0.0), inputs_of(values))
    assert only_lesion(result).detected is None
    assert only_lesion(result).threshold is None
    assert "background_not_measurable" in finding_codes(result)


def test_sul_scales_the_fixed_rule_and_leaves_the_relative_ones_alone() -> None:
    """SUVbw 5 at factor 0.7 is SUL 3.5; PERCIST compares within one image, so the verdict stays."""
    inputs = inputs_of(suv_values(5.0), reference=box_mask(REFERENCE), sul_factor=0.7)
    assert only_lesion(evaluate(fixed(3.5, metric="SUL"), inputs)).detected is True
    assert only_lesion(evaluate(fixed(3.6, metric="SUL"), inputs)).detected is False
    sul = evaluate(AvidityRule(rule="liver", metric="SUL"), inputs)
    assert only_lesion(sul).detected is True
    assert only_lesion(sul).threshold == pytest.approx(3.5)
    assert only_lesion(sul).suv_peak == pytest.approx(3.5)
    assert sul.reference is not None
    assert sul.reference.suv_mean == pytest.approx(1.4)


def test_sul_without_its_factor_is_not_evaluated() -> None:
    """Unknown height: no avid voxels are claimed, nor is their absence."""
    result = evaluate(fixed(3.5, metric="SUL"), inputs_of(suv_values(5.0)))
    assert result.avid is None
    assert result.lesions == ()
    assert finding_codes(result) == ["avidity_rule_not_evaluated"]
    assert "height" in result.findings[0].message


def test_a_small_lesion_that_is_not_avid_is_named() -> None:
    """One PET voxel of tumour: 64 mm3, equivalent diameter 4.96 mm; the avid one of the same size is not."""
    values = suv_values(1.0)
    cold, hot = np.s_[14:15, 4:5, 3:4], np.s_[20:21, 10:11, 9:10]
    values[hot] = 9.0
    result = evaluate(fixed(5.0), inputs_of(values, {1: LESION, 2: cold, 3: hot}))
    assert [x.detected for x in result.lesions] == [False, False, True]
    assert [x.below_resolution for x in result.lesions] == [False, True, False]
    (finding,) = [f for f in result.findings if f.code == "small_lesion_not_assessable"]
    assert finding.where == "L2"
    for limit_mm, expected in ((4.9, False), (5.0, True)):
        found = evaluate(fixed(5.0, small_lesion_mm=limit_mm), inputs_of(values, {2: cold}))
        assert only_lesion(found).below_resolution is expected


def test_every_rule_says_that_it_looked_only_round_ct_tumour() -> None:
    """PET-only disease was not searched for."""
    inputs = inputs_of(suv_values(9.0), reference=box_mask(REFERENCE))
    rules = [fixed(5.0), AvidityRule(rule="liver"), AvidityRule(rule="background")]
    assert all("pet_only_not_searched" in finding_codes(r) for r in evaluate_rules(rules, inputs))


def test_voxels_without_a_value_are_not_negative() -> None:
    """NaN in a cold lesion: not assessed, and said; in a hot one the others suffice."""
    values = suv_values(1.0)
    values[5, 6, 5], values[6, 6, 5] = np.nan, np.inf
    cold = evaluate(fixed(5.0), inputs_of(values))
    assert only_lesion(cold).detected is None
    (finding,) = [f for f in cold.findings if f.code == "suv_not_finite"]
    assert finding.message.startswith("2 PET voxels")
    values[LESION] = 9.0
    values[5, 6, 5] = np.nan
    hot = evaluate(fixed(5.0), inputs_of(values))
    assert only_lesion(hot).detected is True
    assert _avid_voxels(hot).sum() == 124


def test_a_lesion_beyond_the_pet_field_is_not_assessed() -> None:
    """PET of which only the first 10 planes are left: one lesion inside, one half, one outside."""
    values = suv_values(1.0)
    inputs = inputs_of(values, {1: LESION, 2: np.s_[9:12, 4:9, 3:8], 3: np.s_[20:24, 4:9, 3:8]})
    grid = VoxelGrid(shape=(10, *SHAPE[1:]), affine=PET.affine)
    cut = replace(inputs, suv=Image(grid=grid, values=np.asfortranarray(values[:10].astype(np.float32))))
    result = evaluate(fixed(5.0), cut)
    assert [x.detected for x in result.lesions] == [False, None, None]
    assert result.lesions[2].suv_max is None
    hot = replace(cut, suv=Image(grid=grid, values=np.full(grid.shape, 9.0, np.float32, order="F")))
    assert [x.detected for x in evaluate(fixed(5.0), hot).lesions] == [True, True, None]


def test_no_tumour_gives_no_avid_voxels() -> None:
    """An empty tumour is evaluated and empty, which differs from not evaluated."""
    result = evaluate(fixed(5.0), inputs_of(suv_values(9.0), {}))
    assert result.avid is not None
    assert not result.avid
    assert result.lesions == ()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_pet_storage_gives_the_same_avid_voxels(axis: int) -> None:
    """Random uptake, the PET stored from the other side: the same voxels in the patient, by every rule."""
    rng = np.random.default_rng(4)
    values = rng.gamma(4.0, 0.5, SHAPE)
    values[LESION] += 3.0
    inputs = inputs_of(values, {1: LESION, 2: np.s_[9:13, 2:6, 4:9]}, reference=box_mask(REFERENCE))
    affine = np.array(PET.affine)
    affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
    affine[:3, axis] *= -1
    turned = np.asfortranarray(np.flip(inputs.suv.values, axis))
    mirrored = replace(inputs, suv=Image(grid=VoxelGrid(shape=SHAPE, affine=affine), values=turned))
    rules = [fixed(3.5), AvidityRule(rule="liver"), AvidityRule(rule="background")]
    pairs = zip(evaluate_rules(rules, inputs), evaluate_rules(rules, mirrored), strict=True)
    for here, there in pairs:
        assert _avid_voxels(here).any()
        assert np.array_equal(_avid_voxels(here), np.flip(_avid_voxels(there), axis))
        assert [x.detected for x in here.lesions] == [x.detected for x in there.lesions]


def test_the_drawn_rule_is_not_evaluated_on_a_suv_image() -> None:
    """``mask`` is a reader's; asking for it here is a mistake in the call."""
    with pytest.raises(ValueError, match="drawn by a reader"):
        evaluate_rules([AvidityRule()], inputs_of(suv_values(1.0)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"rule": "percist"}, "rule is 'percist'", id="unknown rule"),
        pytest.param({"rule": "fixed"}, "suv_threshold is missing", id="fixed without a threshold"),
        pytest.param({"rule": "fixed", "suv_threshold": 0.0}, "above 0", id="threshold zero"),
        pytest.param({"rule": "fixed", "suv_threshold": float("nan")}, "above 0", id="threshold NaN"),
        pytest.param({"rule": "fixed", "suv_threshold": float("inf")}, "above 0", id="threshold infinite"),
        pytest.param({"rule": "liver", "suv_threshold": 2.5}, "belongs to", id="threshold for liver"),
        pytest.param({"rule": "fixed", "suv_threshold": 2.5, "multiplier": 2.0}, "belongs to", id="factor"),
        pytest.param({"rule": "liver", "percent_of_max": 41.0}, "belongs to", id="percent unused"),
        pytest.param({"rule": "liver", "delineation": "percent_of_max"}, "is missing", id="no percent"),
        pytest.param(
            {"rule": "mask", "delineation": "percent_of_max", "percent_of_max": 41.0},
            "only delineates",
            id="percent without a detector",
        ),
        pytest.param(
            {"rule": "liver", "delineation": "percent_of_max", "percent_of_max": 101.0},
            "at most 100",
            id="percent above 100",
        ),
        pytest.param({"rule": "liver", "margin_mm": -1.0}, "at least 0", id="negative margin"),
        pytest.param({"rule": "background", "shell_mm": 0.0}, "above 0", id="no shell"),
        pytest.param({"metric": "SUVlbm"}, "metric is", id="unknown metric"),
        pytest.param({"delineation": "gradient"}, "delineation is", id="unknown delineation"),
    ],
)
def test_an_impossible_rule_is_refused_by_its_field(given: dict[str, object], says: str) -> None:
    """The message begins with the field, so that the protocol can put its path before it."""
    with pytest.raises(ProtocolError, match=says):
        AvidityRule(**given)  # type: ignore[arg-type]


def test_the_protocol_table_holds_further_rules() -> None:
    """The table is a rule itself, and carries others as data."""
    table = Avidity(rule="liver", also_check=(fixed(2.5), AvidityRule(rule="blood_pool")))
    assert table.reference_factors == (1.5, 2.0)
    assert [r.title for r in table.also_check] == ["fixed SUVbw 2.5", "blood_pool 2 x mean + 2 SD"]
    assert Avidity().needs_suv is False
