"""Size and place of a lesion (docs/rule.md, "Lesions")."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import label_runs
from tests.rule.test_lesions import OBLIQUE, judged
from tests.rule_cases import grid_of, judge_masks
from volstrat.geometry.mask import Mask
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import CaseMasks
from volstrat.terms.protocol import Protocol


@pytest.mark.parametrize("seed", range(8))
def test_a_lesions_point_is_its_voxel_nearest_to_the_centroid(seed: int) -> None:
    """Of random labels, some of them shared: held against the distance of every voxel that no other has."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (9, 8, 7))
    second = np.where(rng.random(labels.shape) < 0.3, 7, 0)
    second[labels == 3] = 7  # L3 lies wholly within L7
    record = judged((labels, "labels"), (second, "labels"))
    grid = grid_of(OBLIQUE, labels.shape)
    held = {"L1": labels == 1, "L2": labels == 2, "L3": labels == 3, "L7": second == 7}
    depth = sum(mask.astype(int) for mask in held.values())
    assert [lesion["lesion_id"] for lesion in record["lesions"]] == list(held)
    for lesion in record["lesions"]:
        mask = held[lesion["lesion_id"]]
        own = mask & (depth == 1) if (mask & (depth == 1)).any() else mask
        centres = grid.to_mm(np.argwhere(own))
        apart = np.linalg.norm(centres - np.array(lesion["centroid_mm"]), axis=1)
        from_centres = np.linalg.norm(centres - np.array(lesion["point_mm"]), axis=1)
        assert from_centres.min() < 0.001  # one of them, to three decimals
        assert apart[from_centres.argmin()] < apart.min() + 0.001


def test_the_point_of_a_ring_lies_in_it_and_of_equally_near_voxels_the_lowest() -> None:
    """A frame of 3 x 3 voxels around its centroid: (2, 1), (1, 2), (3, 2), (2, 3) are as near; lowest x."""
    labels = np.zeros((7, 7, 3), dtype=np.int64)
    labels[1:4, 1:4, 1] = 1
    labels[2, 2, 1] = 0
    affine = np.eye(4)
    affine[0, 3] = -1.0004
    grid = grid_of(affine, labels.shape)
    masks = CaseMasks(grid=grid, tumour=[TumourEntry(mask=Mask(grid=grid, runs=label_runs(labels)))])
    (ring,) = judge_masks(masks, Protocol(boundary_shift_mm=()))["lesions"]
    assert ring["centroid_mm"] == pytest.approx([0.9996, 2, 1])
    assert str(ring["point_mm"]) == "[0.0, 2.0, 1.0]"  # three decimals, and no -0.0
