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

from volstrat.errors import ProtocolError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.pet.avidity import AvidityInputs, AvidityResult, LesionDetection, evaluate_rules
from volstrat.terms.avidity_rules import Avidity, AvidityRule

SHAPE = (30, 14, 12)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
Box = tuple[slice, slice, slice]

LESION = np.s_[3:8, 4:9, 3:8]  # 5 x 5 x 5 PET voxels: the sphere round its centre lies inside
REFERENCE = np.s_[20:26, 3:7, 3:7]


def _grid(shape: tuple[int, int, int], spacing: float) -> VoxelGrid:
    affine = np.eye(4)
    affine[:3, :3] = TURN * spacing
    affine[:3, 3] = TURN @ np.full(3, spacing / 2) + (-31.0, 17.0, 240.0)
    return VoxelGrid(shape=shape, affine=affine)


PET = _grid(SHAPE, 4.0)
CT = _grid((60, 28, 24), 2.0)


def _fine(boxes: dict[int, Box]) -> LabelRuns:
    """Boxes in PET voxels, as labels on the CT grid."""
    dense = np.zeros(CT.shape, np.int64)
    for label, box in boxes.items():
        dense[tuple(slice(2 * s.start, 2 * s.stop) for s in box)] = label
    return LabelRuns.from_dense(dense)


def _inputs(values: np.ndarray, lesions: dict[int, Box] | None = None, **more: object) -> AvidityInputs:
    lesions = {1: LESION} if lesions is None else lesions
    return AvidityInputs(
        suv=Image(grid=PET, values=np.asfortranarray(values.astype(np.float32))),
        tumour=_fine(lesions),
        ct_grid=CT,
        lesion_ids={label: f"L{label}" for label in lesions},
        **more,  # type: ignore[arg-type]
    )


def _values(lesion: float, *, rest: float = 1.0) -> np.ndarray:
    """Return a uniform lesion and a reference box whose planes alternate 1 and 3: mean 2, SD 1."""
    values = np.full(SHAPE, rest)
    values[20:26:2, 3:7, 3:7], values[21:26:2, 3:7, 3:7] = 1.0, 3.0
    values[LESION] = lesion
    return values


def _mask(box: Box) -> Mask:
    return Mask(grid=CT, runs=_fine({1: box}))


def _run(rule: AvidityRule, inputs: AvidityInputs) -> AvidityResult:
    (result,) = evaluate_rules([rule], inputs)
    return result


def _only(result: AvidityResult) -> LesionDetection:
    (lesion,) = result.lesions
    return lesion


def _avid(result: AvidityResult) -> np.ndarray:
    assert result.avid is not None
    dense = np.zeros(PET.size, bool)
    dense[result.avid.indices()] = True
    return dense.reshape(SHAPE, order="F")


def _box(*boxes: Box) -> np.ndarray:
    dense = np.zeros(SHAPE, bool)
    for box in boxes:
        dense[box] = True
    return dense


def _codes(result: AvidityResult) -> list[str]:
    return [finding.code for finding in result.findings]


def fixed(suv: float, **more: object) -> AvidityRule:
    """Return a fixed rule."""
    return AvidityRule(rule="fixed", suv_threshold=suv, **more)  # type: ignore[arg-type]


def test_fixed_takes_every_voxel_that_reaches_the_threshold() -> None:
    """4.1 stored in 32 bits reaches 4.1 and not 4.2; all 125 voxels of the lesion are avid."""
    inputs = _inputs(_values(4.1))
    reached = _run(fixed(4.1), inputs)
    assert _only(reached).detected is True
    assert np.array_equal(_avid(reached), _box(LESION))
    missed = _run(fixed(4.2), inputs)
    assert _only(missed).detected is False
    assert not _avid(missed).any()
    assert _only(missed).threshold == 4.2
    assert _only(missed).suv_max == pytest.approx(4.1)


def test_the_search_ends_at_the_margin() -> None:
    """Tumour centres end 1 mm inside the last PET voxel's face: its next neighbour is 3 mm off, then 7 mm."""
    values = _values(1.0)
    values[8, 6, 5], values[9, 6, 5] = 6.0, 7.0  # centres (sqrt(3^2+1+1) = 3.32 and 7.14 mm from the nearest)
    inputs = _inputs(values)
    for margin_mm, expected in ((0.0, 0), (3.3, 0), (3.4, 1), (7.1, 1), (7.2, 2)):
        assert _avid(_run(fixed(5.0, margin_mm=margin_mm), inputs)).sum() == expected


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
        result = _run(rule, _inputs(_values(lesion), reference=_mask(REFERENCE)))
        found = _only(result)
        assert found.detected is expected
        assert found.threshold == pytest.approx(limit)
        assert found.suv_peak == pytest.approx(lesion)
        assert np.array_equal(_avid(result), _box(LESION) if expected else _box())
        assert result.reference is not None
        assert (result.reference.suv_mean, result.reference.suv_sd) == (2.0, 1.0)
        assert result.reference.voxels == 96
        assert result.reference.volume_ml == pytest.approx(96 * 0.064)


def test_one_hot_voxel_is_no_peak() -> None:
    """A voxel of 40 in ones: peak (40 + 18) / 19 = 3.05 stays below 5; the fixed rule takes it."""
    values = _values(1.0)
    values[5, 6, 5] = 40.0
    inputs = _inputs(values, reference=_mask(REFERENCE))
    liver = _only(_run(AvidityRule(rule="liver"), inputs))
    assert liver.detected is False
    assert liver.suv_peak == pytest.approx(58 / 19)
    assert liver.suv_max == 40.0
    assert _avid(_run(fixed(5.0), inputs)).sum() == 1


def test_heat_beyond_the_region_does_not_make_a_lesion_avid() -> None:
    """A hot organ beside the lesion fills part of the sphere; no voxel of the lesion reaches the limit."""
    values = _values(1.0)
    values[8:12, 4:9, 3:8] = 100.0
    inputs = _inputs(values, reference=_mask(REFERENCE))
    found = _only(_run(AvidityRule(rule="liver", margin_mm=0.0), inputs))
    assert found.suv_peak is not None
    assert found.suv_peak > 20.0
    assert found.suv_max == 1.0
    assert found.detected is False


def test_a_cold_lesion_is_not_avid_for_its_hot_neighbour() -> None:
    """Two lesions side by side within each other's margin: each PET voxel belongs to one."""
    values = _values(9.0)
    cold = np.s_[8:13, 4:9, 3:8]
    result = _run(fixed(5.0, margin_mm=8.0), _inputs(values, {1: LESION, 2: cold}))
    assert [x.detected for x in result.lesions] == [True, False]
    assert np.array_equal(_avid(result), _box(LESION))


@pytest.mark.parametrize(("percent", "planes"), [(41.0, 3), (40.0, 4), (50.0, 3), (50.1, 2), (100.0, 1)])
def test_percent_of_max_delineates_what_the_detector_found(percent: float, planes: int) -> None:
    """Planes of 10, 8, 5, 4 and 1: 50 % of 10 is reached by 5, 40 % by 4."""
    values = np.full(SHAPE, 0.5)
    for n, value in enumerate((10.0, 8.0, 5.0, 4.0, 1.0)):
        values[3 + n, 4:9, 3:8] = value
    rule = fixed(9.5, delineation="percent_of_max", percent_of_max=percent)
    result = _run(rule, _inputs(values))
    assert np.array_equal(_avid(result), _box(np.s_[3 : 3 + planes, 4:9, 3:8]))
    undetected = _run(replace(rule, suv_threshold=10.5), _inputs(values))
    assert not _avid(undetected).any()


def test_background_asks_for_more_than_the_shell() -> None:
    """Shell of ones and threes in alternate planes: near mean 2, SD 1; a lesion of its level is not above."""
    values = np.ones(SHAPE)
    values[:, ::2, :] = 3.0
    values[LESION] = 9.0
    rule = AvidityRule(rule="background", margin_mm=4.0, shell_mm=8.0)
    hot = _only(_run(rule, _inputs(values)))
    assert hot.detected is True
    assert hot.threshold == pytest.approx(4.0, abs=0.15)  # planes are not exactly even in the shell
    values[LESION] = 3.5
    assert _only(_run(rule, _inputs(values))).detected is False
    level = np.full(SHAPE, 2.0)
    assert _only(_run(rule, _inputs(level))).detected is False
    level[LESION] = 2.01
    above = _run(rule, _inputs(level))
    assert np.array_equal(_avid(above), _box(LESION))
    assert _only(above).threshold == pytest.approx(2.0)


def test_the_shell_leaves_other_lesions_out() -> None:
    """A very hot neighbour in the shell would raise the background; its voxels are not used."""
    values = np.full(SHAPE, 2.0)
    values[LESION] = 3.0
    hot = np.s_[9:12, 4:9, 3:8]
    values[hot] = 50.0
    rule = AvidityRule(rule="background", margin_mm=0.0, shell_mm=8.0)
    result = _run(rule, _inputs(values, {1: LESION, 2: hot}))
    assert [x.detected for x in result.lesions] == [True, True]
    assert result.lesions[0].threshold == pytest.approx(2.0)


def test_the_shell_goes_round_the_lesion_on_every_side() -> None:
    """A thin second lesion does not hide what lies behind it from the first one's shell."""
    thin, behind = np.s_[8:9, 4:9, 3:8], np.s_[9:12, 4:9, 3:8]
    values = np.full(SHAPE, 1.0)
    values[behind] = 5.0
    inputs = _inputs(values, {1: LESION, 2: thin})
    rule = AvidityRule(rule="background", margin_mm=0.0, shell_mm=9.5, sd_count=0.0)
    result = _run(rule, inputs)
    centres = CT.to_mm(CT.unravel(inputs.tumour.of(1).indices()))
    distance = cdist(PET.to_mm(PET.unravel(np.arange(PET.size))), centres).min(axis=1)
    shell = (distance.reshape(SHAPE, order="F") <= 9.5) & ~_box(LESION, thin)
    assert (shell & _box(behind)).any()
    assert result.lesions[0].threshold == pytest.approx(values[shell].mean())


def test_a_lesion_without_a_background_is_not_assessed() -> None:
    """No PET voxel of the shell has a value: nothing to compare with."""
    values = np.full(SHAPE, np.nan)
    values[LESION] = 3.0
    result = _run(AvidityRule(rule="background", margin_mm=0.0), _inputs(values))
    assert _only(result).detected is None
    assert _only(result).threshold is None
    assert "background_not_measurable" in _codes(result)


def test_sul_scales_the_fixed_rule_and_leaves_the_relative_ones_alone() -> None:
    """SUVbw 5 at factor 0.7 is SUL 3.5; PERCIST compares within one image, so the verdict stays."""
    inputs = _inputs(_values(5.0), reference=_mask(REFERENCE), sul_factor=0.7)
    assert _only(_run(fixed(3.5, metric="SUL"), inputs)).detected is True
    assert _only(_run(fixed(3.6, metric="SUL"), inputs)).detected is False
    sul = _run(AvidityRule(rule="liver", metric="SUL"), inputs)
    assert _only(sul).detected is True
    assert _only(sul).threshold == pytest.approx(3.5)
    assert _only(sul).suv_peak == pytest.approx(3.5)
    assert sul.reference is not None
    assert sul.reference.suv_mean == pytest.approx(1.4)


def test_sul_without_its_factor_is_not_evaluated() -> None:
    """Unknown height: no avid voxels are claimed, nor is their absence."""
    result = _run(fixed(3.5, metric="SUL"), _inputs(_values(5.0)))
    assert result.avid is None
    assert result.lesions == ()
    assert _codes(result) == ["avidity_rule_not_evaluated"]
    assert "height" in result.findings[0].message


@pytest.mark.parametrize(
    ("gap", "refused"),
    [
        pytest.param(-1, True, id="shares a plane"),
        pytest.param(0, True, id="lies beside it"),
        pytest.param(1, False, id="one voxel apart"),
    ],
)
def test_a_reference_that_touches_tumour_is_refused(gap: int, refused: bool) -> None:
    """The lesion ends at i = 8: a reference from 7 shares voxels, from 8 touches, from 9 is free."""
    reference = np.s_[8 + gap : 12 + gap, 4:9, 3:8]
    result = _run(AvidityRule(rule="liver"), _inputs(_values(9.0), reference=_mask(reference)))
    assert (result.avid is None) is refused
    if refused:
        assert "touches tumour" in result.findings[0].message


@pytest.mark.parametrize(
    ("rule", "reference", "says"),
    [
        pytest.param("liver", None, "needs a liver mask", id="no liver"),
        pytest.param("blood_pool", None, "aorta", id="no blood pool"),
        pytest.param("liver", np.s_[20:22, 3:4, 3:4], "2 usable PET voxels", id="too small"),
        pytest.param("liver", np.s_[27:30, 9:12, 3:6], "no tissue", id="in air"),
    ],
)
def test_a_rule_without_a_usable_reference_is_not_evaluated(
    rule: str, reference: Box | None, says: str
) -> None:
    """No verdict without what the verdict is measured against."""
    values = _values(9.0)
    values[27:30] = 0.0
    drawn = None if reference is None else _mask(reference)
    result = _run(AvidityRule(rule=rule), _inputs(values, reference=drawn))  # type: ignore[arg-type]
    assert result.avid is None
    assert says in result.findings[0].message


def test_a_drawn_reference_serves_one_organ() -> None:
    """The first rule that needs it takes it; the liver rule does not borrow the aorta."""
    inputs = _inputs(_values(9.0), reference=_mask(REFERENCE))
    rules = [fixed(5.0), AvidityRule(rule="blood_pool"), AvidityRule(rule="liver")]
    assert [r.avid is not None for r in evaluate_rules(rules, inputs)] == [True, True, False]


def _big(values: np.ndarray, liver: Box, lesions: dict[int, Box]) -> AvidityInputs:
    grid = VoxelGrid(shape=values.shape, affine=np.diag([4.0, 4.0, 4.0, 1.0]))
    dense = np.zeros(values.shape, np.int64)
    for label, box in lesions.items():
        dense[box] = label
    inside = np.zeros(values.shape, np.int64)
    inside[liver] = 1
    return AvidityInputs(
        suv=Image(grid=grid, values=np.asfortranarray(values.astype(np.float32))),
        tumour=LabelRuns.from_dense(dense),
        ct_grid=grid,
        lesion_ids={label: f"L{label}" for label in lesions},
        liver=Mask(grid=grid, runs=LabelRuns.from_dense(inside)),
    )


def test_the_liver_sphere_lies_deepest_in_the_right_half() -> None:
    """Liver of 20 x 20 x 20 voxels from index 2: centroid 11.5; deepest with x below it is (11, 11, 11)."""
    # (11, j, k) is 10 steps from the edge for j, k in 11, 12: the lowest y, then z, decides.
    shape = (24, 24, 40)
    centre = np.array([11, 11, 11]) * 4.0
    steps = np.moveaxis(np.indices(shape), 0, -1) * 4.0 - centre
    sphere = (steps**2).sum(axis=-1) <= 15.0**2
    values = np.where(sphere, 2.0, 7.0)
    lesion = np.s_[8:13, 8:13, 30:35]
    result = _run(AvidityRule(rule="liver"), _big(values, np.s_[2:22, 2:22, 2:22], {1: lesion}))
    assert result.reference is not None
    assert result.reference.voxels == sphere.sum()
    assert result.reference.centre_mm == pytest.approx(tuple(centre))
    assert (result.reference.suv_mean, result.reference.suv_sd) == (2.0, 0.0)
    assert _only(result).threshold == pytest.approx(3.0)
    assert "avidity_reference" in _codes(result)


def test_of_two_equal_places_the_liver_sphere_takes_the_lower_x() -> None:
    """Two cubes of 9 voxels, one at low x and high z, one at high x and low z, and a thin left lobe."""
    # The thin lobe has no room for the sphere, but moves the centroid to x = 20 voxels, left of both.
    values = np.full((44, 24, 34), 2.0)
    inputs = _big(values, np.s_[2:11, 2:11, 20:29], {1: np.s_[36:40, 16:20, 28:32]})
    assert inputs.liver is not None
    inside = np.zeros(values.shape, np.int64)
    for box in (np.s_[2:11, 2:11, 20:29], np.s_[13:22, 2:11, 2:11], np.s_[30:40, 2:5, 2:32]):
        inside[box] = 1
    liver = Mask(grid=inputs.liver.grid, runs=LabelRuns.from_dense(inside))
    result = _run(AvidityRule(rule="liver"), replace(inputs, liver=liver))
    assert result.reference is not None
    assert result.reference.centre_mm == pytest.approx((6 * 4.0, 6 * 4.0, 24 * 4.0))


def test_the_liver_sphere_keeps_off_tumour_or_is_not_placed() -> None:
    """Metastases of 20 in the right lobe stay out of the mean; a liver without 3 cm of health is refused."""
    values = np.full((24, 24, 40), 2.0)
    spot, far = np.s_[9:13, 9:13, 9:13], np.s_[8:13, 8:13, 30:35]
    values[8:14, 8:14, 8:14] = 20.0  # the metastasis and its spill
    values[far] = 20.0
    liver = np.s_[2:22, 2:22, 2:22]
    result = _run(AvidityRule(rule="liver"), _big(values, liver, {1: spot, 2: far}))
    assert result.reference is not None
    assert (result.reference.suv_mean, result.reference.suv_sd) == (2.0, 0.0)
    assert result.reference.centre_mm[0] < 11.5 * 4.0
    small = _run(AvidityRule(rule="liver"), _big(values, np.s_[2:9, 2:9, 2:9], {2: far}))
    assert small.avid is None
    assert "no 3 cm sphere" in small.findings[0].message


def test_a_small_lesion_that_is_not_avid_is_named() -> None:
    """One PET voxel of tumour: 64 mm3, equivalent diameter 4.96 mm; the avid one of the same size is not."""
    values = _values(1.0)
    cold, hot = np.s_[14:15, 4:5, 3:4], np.s_[20:21, 10:11, 9:10]
    values[hot] = 9.0
    result = _run(fixed(5.0), _inputs(values, {1: LESION, 2: cold, 3: hot}))
    assert [x.detected for x in result.lesions] == [False, False, True]
    assert [x.below_resolution for x in result.lesions] == [False, True, False]
    (finding,) = [f for f in result.findings if f.code == "small_lesion_not_assessable"]
    assert finding.where == "L2"
    for limit_mm, expected in ((4.9, False), (5.0, True)):
        found = _run(fixed(5.0, small_lesion_mm=limit_mm), _inputs(values, {2: cold}))
        assert _only(found).below_resolution is expected


def test_every_rule_says_that_it_looked_only_round_ct_tumour() -> None:
    """PET-only disease was not searched for."""
    inputs = _inputs(_values(9.0), reference=_mask(REFERENCE))
    rules = [fixed(5.0), AvidityRule(rule="liver"), AvidityRule(rule="background")]
    assert all("pet_only_not_searched" in _codes(r) for r in evaluate_rules(rules, inputs))


def test_voxels_without_a_value_are_not_negative() -> None:
    """NaN in a cold lesion: not assessed, and said; in a hot one the others suffice."""
    values = _values(1.0)
    values[5, 6, 5], values[6, 6, 5] = np.nan, np.inf
    cold = _run(fixed(5.0), _inputs(values))
    assert _only(cold).detected is None
    (finding,) = [f for f in cold.findings if f.code == "suv_not_finite"]
    assert finding.message.startswith("2 PET voxels")
    values[LESION] = 9.0
    values[5, 6, 5] = np.nan
    hot = _run(fixed(5.0), _inputs(values))
    assert _only(hot).detected is True
    assert _avid(hot).sum() == 124


def test_a_lesion_beyond_the_pet_field_is_not_assessed() -> None:
    """PET of which only the first 10 planes are left: one lesion inside, one half, one outside."""
    values = _values(1.0)
    inputs = _inputs(values, {1: LESION, 2: np.s_[9:12, 4:9, 3:8], 3: np.s_[20:24, 4:9, 3:8]})
    grid = VoxelGrid(shape=(10, *SHAPE[1:]), affine=PET.affine)
    cut = replace(inputs, suv=Image(grid=grid, values=np.asfortranarray(values[:10].astype(np.float32))))
    result = _run(fixed(5.0), cut)
    assert [x.detected for x in result.lesions] == [False, None, None]
    assert result.lesions[2].suv_max is None
    hot = replace(cut, suv=Image(grid=grid, values=np.full(grid.shape, 9.0, np.float32, order="F")))
    assert [x.detected for x in _run(fixed(5.0), hot).lesions] == [True, True, None]


def test_no_tumour_gives_no_avid_voxels() -> None:
    """An empty tumour is evaluated and empty, which differs from not evaluated."""
    result = _run(fixed(5.0), _inputs(_values(9.0), {}))
    assert result.avid is not None
    assert not result.avid
    assert result.lesions == ()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_pet_storage_gives_the_same_avid_voxels(axis: int) -> None:
    """Random uptake, the PET stored from the other side: the same voxels in the patient, by every rule."""
    rng = np.random.default_rng(4)
    values = rng.gamma(4.0, 0.5, SHAPE)
    values[LESION] += 3.0
    inputs = _inputs(values, {1: LESION, 2: np.s_[9:13, 2:6, 4:9]}, reference=_mask(REFERENCE))
    affine = np.array(PET.affine)
    affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
    affine[:3, axis] *= -1
    turned = np.asfortranarray(np.flip(inputs.suv.values, axis))
    mirrored = replace(inputs, suv=Image(grid=VoxelGrid(shape=SHAPE, affine=affine), values=turned))
    rules = [fixed(3.5), AvidityRule(rule="liver"), AvidityRule(rule="background")]
    pairs = zip(evaluate_rules(rules, inputs), evaluate_rules(rules, mirrored), strict=True)
    for here, there in pairs:
        assert _avid(here).any()
        assert np.array_equal(_avid(here), np.flip(_avid(there), axis))
        assert [x.detected for x in here.lesions] == [x.detected for x in there.lesions]


def test_the_drawn_rule_is_not_evaluated_on_a_suv_image() -> None:
    """``mask`` is a reader's; asking for it here is a mistake in the call."""
    with pytest.raises(ValueError, match="drawn by a reader"):
        evaluate_rules([AvidityRule()], _inputs(_values(1.0)))


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
