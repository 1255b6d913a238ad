"""Which PET voxels are the reference of an avidity rule, and when there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.dense import label_runs
from tests.pet.avidity_cases import (
    REFERENCE,
    Box,
    box_mask,
    evaluate,
    finding_codes,
    fixed,
    inputs_of,
    only_lesion,
    suv_values,
)
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.geometry.mask import Mask
from volstrat.pet.avidity import AvidityInputs, evaluate_rules
from volstrat.pet.reference import liver_sphere
from volstrat.terms.avidity_rules import AvidityRule


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
    result = evaluate(AvidityRule(rule="liver"), inputs_of(suv_values(9.0), reference=box_mask(reference)))
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
    values = suv_values(9.0)
    values[27:30] = 0.0
    drawn = None if reference is None else box_mask(reference)
    result = evaluate(AvidityRule(rule=rule), inputs_of(values, reference=drawn))  # type: ignore[arg-type]
    assert result.avid is None
    assert says in result.findings[0].message


def test_a_drawn_reference_serves_one_organ() -> None:
    """The first rule that needs it takes it; the liver rule does not borrow the aorta."""
    inputs = inputs_of(suv_values(9.0), reference=box_mask(REFERENCE))
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
        tumour=label_runs(dense),
        ct_grid=grid,
        lesion_ids={label: f"L{label}" for label in lesions},
        liver=Mask(grid=grid, runs=label_runs(inside)),
    )


def _sphere_centre(inputs: AvidityInputs) -> np.ndarray:
    """Where the liver's reference sphere lies, LPS mm; CT and PET have one grid."""
    assert inputs.liver is not None
    grid = inputs.suv.grid
    voxels = liver_sphere(inputs.liver, pet_grid=grid, tumour_voxels=inputs.tumour.union().indices())
    assert not isinstance(voxels, str)
    centre: np.ndarray = grid.to_mm(grid.unravel(voxels)).mean(axis=0)
    return centre


def test_the_liver_sphere_lies_deepest_in_the_right_half() -> None:
    """Liver of 20 x 20 x 20 voxels from index 2: centroid 11.5; deepest with x below it is (11, 11, 11)."""
    # (11, j, k) is 10 steps from the edge for j, k in 11, 12: the lowest y, then z, decides.
    shape = (24, 24, 40)
    centre = np.array([11, 11, 11]) * 4.0
    steps = np.moveaxis(np.indices(shape), 0, -1) * 4.0 - centre
    sphere = (steps**2).sum(axis=-1) <= 15.0**2
    values = np.where(sphere, 2.0, 7.0)
    lesion = np.s_[8:13, 8:13, 30:35]
    inputs = _big(values, np.s_[2:22, 2:22, 2:22], {1: lesion})
    result = evaluate(AvidityRule(rule="liver"), inputs)
    assert result.reference is not None
    assert result.reference.voxels == sphere.sum()
    assert _sphere_centre(inputs) == pytest.approx(centre)
    assert (result.reference.suv_mean, result.reference.suv_sd) == (2.0, 0.0)
    assert only_lesion(result).threshold == pytest.approx(3.0)
    assert "avidity_reference" in finding_codes(result)


def test_of_two_equal_places_the_liver_sphere_takes_the_lower_x() -> None:
    """Two cubes of 9 voxels, one at low x and high z, one at high x and low z, and a thin left lobe."""
    # The thin lobe has no room for the sphere, but moves the centroid to x = 20 voxels, left of both.
    values = np.full((44, 24, 34), 2.0)
    inputs = _big(values, np.s_[2:11, 2:11, 20:29], {1: np.s_[36:40, 16:20, 28:32]})
    assert inputs.liver is not None
    inside = np.zeros(values.shape, np.int64)
    for box in (np.s_[2:11, 2:11, 20:29], np.s_[13:22, 2:11, 2:11], np.s_[30:40, 2:5, 2:32]):
        inside[box] = 1
    liver = Mask(grid=inputs.liver.grid, runs=label_runs(inside))
    assert _sphere_centre(replace(inputs, liver=liver)) == pytest.approx((6 * 4.0, 6 * 4.0, 24 * 4.0))


def test_the_liver_sphere_keeps_off_tumour_or_is_not_placed() -> None:
    """Metastases of 20 in the right lobe stay out of the mean; a liver without 3 cm of health is refused."""
    values = np.full((24, 24, 40), 2.0)
    spot, far = np.s_[9:13, 9:13, 9:13], np.s_[8:13, 8:13, 30:35]
    values[8:14, 8:14, 8:14] = 20.0  # the metastasis and its spill
    values[far] = 20.0
    liver = np.s_[2:22, 2:22, 2:22]
    inputs = _big(values, liver, {1: spot, 2: far})
    result = evaluate(AvidityRule(rule="liver"), inputs)
    assert result.reference is not None
    assert (result.reference.suv_mean, result.reference.suv_sd) == (2.0, 0.0)
    assert _sphere_centre(inputs)[0] < 11.5 * 4.0
    small = evaluate(AvidityRule(rule="liver"), _big(values, np.s_[2:9, 2:9, 2:9], {2: far}))
    assert small.avid is None
    assert "no 3 cm sphere" in small.findings[0].message
