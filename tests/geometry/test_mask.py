"""Masks: labels on a grid, carried to other grids of the lattice."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import label_runs, voxel_runs
from tests.lattices import ORDERS, Order, oblique, padded, stored
from tests.volume_files import random_labels
from volstrat.errors import GridMismatchError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns


def mask(seed: int = 2) -> Mask:
    """Return a mask of five labels on an oblique grid; label 9 is named and empty."""
    labels = random_labels(seed)
    return Mask(
        grid=VoxelGrid(shape=labels.shape, affine=oblique(seed)),
        runs=label_runs(labels),
        names={1: "liver", 9: "nothing"},
    )


def test_labels_are_those_named_and_those_that_occur() -> None:
    """Rising, each once; the voxels are those of any label."""
    mine = mask()
    assert mine.labels == (1, 2, 3, 4, 5, 9)
    assert mine.voxels().same_as(voxel_runs(random_labels(2)))


def test_voxels_beyond_the_grid_are_refused() -> None:
    """The last voxel fits; one past it does not."""
    grid = VoxelGrid(shape=(2, 3, 4), affine=np.eye(4))
    assert Mask(grid=grid, runs=LabelRuns(*map(np.array, ([23], [24], [1])))).voxels().count == 1
    with pytest.raises(ValueError, match="beyond its grid"):
        Mask(grid=grid, runs=LabelRuns(*map(np.array, ([23], [25], [1]))))


def test_names_cannot_be_changed_from_outside() -> None:
    """They are copied."""
    names = {1: "one"}
    grid = VoxelGrid(shape=(2, 3, 4), affine=np.eye(4))
    mine = Mask(grid=grid, runs=LabelRuns.empty(), names=names)
    names[2] = "two"
    assert mine.labels == (1,)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_mask_is_the_same_on_a_grid_stored_otherwise(order: Order) -> None:
    """Onto a padded grid in another storage order: each label where the dense array has it."""
    mine = mask()
    dense, affine = stored(*padded(random_labels(2), mine.grid.affine, (1, 0, 2), (0, 3, 1)), order)
    there = mine.on_grid(VoxelGrid(shape=dense.shape, affine=affine), tolerance_mm=0.01)
    for label in (1, 2, 3, 4, 5):
        assert there.runs.of(label).same_as(voxel_runs(dense == label))
    assert there.names == mine.names


def test_another_lattice_is_refused() -> None:
    """Nothing is resampled in passing."""
    moved = oblique(2)
    moved[0, 3] += 0.2
    with pytest.raises(GridMismatchError):
        mask().on_grid(VoxelGrid(shape=(13, 9, 7), affine=moved), tolerance_mm=0.1)
