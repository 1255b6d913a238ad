"""Lesions of a few PET voxels on a turned grid, and what a rule makes of them."""

from __future__ import annotations

import numpy as np

from tests.dense import label_runs
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.pet.avidity import AvidityInputs, AvidityResult, LesionDetection, evaluate_rules
from volstrat.terms.avidity_rules import AvidityRule

SHAPE = (30, 14, 12)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
Box = tuple[slice, slice, slice]
LESION = np.s_[3:8, 4:9, 3:8]  # 5 x 5 x 5 PET voxels: the sphere round its centre lies inside
REFERENCE = np.s_[20:26, 3:7, 3:7]


def turned_grid(shape: tuple[int, int, int], spacing: float) -> VoxelGrid:
    """Return a turned, off-centre grid."""
    affine = np.eye(4)
    affine[:3, :3] = TURN * spacing
    affine[:3, 3] = TURN @ np.full(3, spacing / 2) + (-31.0, 17.0, 240.0)
    return VoxelGrid(shape=shape, affine=affine)


PET = turned_grid(SHAPE, 4.0)
CT = turned_grid((60, 28, 24), 2.0)


def fine_labels(boxes: dict[int, Box]) -> LabelRuns:
    """Boxes in PET voxels, as labels on the CT grid."""
    dense = np.zeros(CT.shape, np.int64)
    for label, box in boxes.items():
        dense[tuple(slice(2 * s.start, 2 * s.stop) for s in box)] = label
    return label_runs(dense)


def inputs_of(values: np.ndarray, lesions: dict[int, Box] | None = None, **more: object) -> AvidityInputs:
    """Return what the rules are given: a PET, and lesions as boxes of its voxels."""
    lesions = {1: LESION} if lesions is None else lesions
    return AvidityInputs(
        suv=Image(grid=PET, values=np.asfortranarray(values.astype(np.float32))),
        tumour=fine_labels(lesions),
        ct_grid=CT,
        lesion_ids={label: f"L{label}" for label in lesions},
        **more,  # type: ignore[arg-type]
    )


def suv_values(lesion: float, *, rest: float = 1.0) -> np.ndarray:
    """Return a uniform lesion and a reference box whose planes alternate 1 and 3: mean 2, SD 1."""
    values = np.full(SHAPE, rest)
    values[20:26:2, 3:7, 3:7], values[21:26:2, 3:7, 3:7] = 1.0, 3.0
    values[LESION] = lesion
    return values


def box_mask(box: Box) -> Mask:
    """Return a mask of one box."""
    return Mask(grid=CT, runs=fine_labels({1: box}))


def evaluate(rule: AvidityRule, inputs: AvidityInputs) -> AvidityResult:
    """Evaluate one rule."""
    (result,) = evaluate_rules([rule], inputs)
    return result


def only_lesion(result: AvidityResult) -> LesionDetection:
    """Return the one lesion."""
    (lesion,) = result.lesions
    return lesion


def finding_codes(result: AvidityResult) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in result.findings]


def fixed(suv: float, **more: object) -> AvidityRule:
    """Return a fixed rule."""
    return AvidityRule(rule="fixed", suv_threshold=suv, **more)  # type: ignore[arg-type]
