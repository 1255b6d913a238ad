"""Growing voxel sets by millimetres on bits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import voxel_runs
from tests.lattices import oblique
from volstrat.geometry.bit_box import BitBox, box_of, voxels_within
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import VoxelRuns


@pytest.mark.parametrize("seed", range(12))
def test_growth_is_exact_on_oblique_sheared_and_long_grids(seed: int) -> None:
    """Every voxel within the limit of some voxel centre and no other, also across words of 64 voxels."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(60, 140)), 9, 7) if seed % 3 == 0 else (13, 11, 9)
    affine = oblique(seed, (0.8, 1.3, 2.5))
    if seed % 2:  # the most that is taken as square
        unit = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
        affine[:3, 1] += 9e-4 * np.linalg.norm(affine[:3, 1]) * unit
    grid = VoxelGrid(shape=shape, affine=affine)
    dense = rng.random(shape) < 0.01
    dense[0, 0, 0] = True
    distance_mm = float(rng.choice([0, 1.3, 4.0, 10.0]))
    centres = np.argwhere(np.ones(shape, dtype=bool)) @ affine[:3, :3].T
    nearest = np.full(len(centres), np.inf)
    for centre in np.argwhere(dense) @ affine[:3, :3].T:
        nearest = np.minimum(nearest, np.linalg.norm(centres - centre, axis=1))
    wanted = (nearest <= distance_mm + 0.001).reshape(shape)
    grown = voxels_within(voxel_runs(dense), grid, distance_mm)
    assert grown.same_as(voxel_runs(wanted))


def test_a_voxel_at_the_limit_is_within() -> None:
    """Voxels of 2.5 mm: the second neighbour counts at 4.999 mm (0.001 more is allowed), not at 4.998."""
    grid = VoxelGrid(shape=(9, 3, 3), affine=np.diag([2.5, 9, 9, 1]))
    middle = VoxelRuns.from_indices([int(grid.ravel(np.array([4, 1, 1])))])
    assert voxels_within(middle, grid, 5.0).count == 5
    assert voxels_within(middle, grid, 4.999).count == 5
    assert voxels_within(middle, grid, 4.998).count == 3


def test_a_box_gives_back_what_lies_in_it() -> None:
    """Runs that reach beyond the box are cut at its edges; 64 and 65 voxels a row fill words to the brim."""
    for width in (64, 65, 130):
        grid = VoxelGrid(shape=(width + 4, 5, 4), affine=np.eye(4))
        everything = VoxelRuns.from_intervals([0], [grid.size])
        box = BitBox.of(everything, grid, (2, 1, 1), (width + 2, 4, 3))
        assert box.count == width * 3 * 2
        assert box.runs().count == width * 3 * 2
        assert box_of(box.runs(), grid) == ((2, 1, 1), (width + 2, 4, 3))
