"""Looking up voxel centres of one grid in another."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import voxel_runs
from tests.lattices import turned_grid
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.projection import holders_of_runs, project, project_into
from volstrat.geometry.runs import LabelRuns, VoxelRuns, expand, split_rows


def _flipped(grid: VoxelGrid, axis: int) -> VoxelGrid:
    affine = np.array(grid.affine)
    affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
    affine[:3, axis] *= -1
    return VoxelGrid(shape=grid.shape, affine=affine)


def _turned(grid: VoxelGrid) -> VoxelGrid:
    """Return the same lattice stored with axes k, i, j."""
    columns = [2, 0, 1, 3]
    return VoxelGrid(shape=(grid.shape[2], grid.shape[0], grid.shape[1]), affine=grid.affine[:, columns])


def _pairs(dense: np.ndarray, ct: VoxelGrid, pet: VoxelGrid) -> set[tuple[int, ...]]:
    """Pairs (CT centre, PET centre) in whole micrometres: free of storage order."""
    runs = voxel_runs(dense)
    found = project(runs, from_grid=ct, to_grid=pet)
    inside = found >= 0
    centres = ct.to_mm(ct.unravel(runs.indices()[inside]))
    holders = pet.to_mm(pet.unravel(found[inside]))
    rows = np.rint(np.concatenate((centres, holders), axis=1) * 1000).astype(int)
    return set(map(tuple, rows.tolist()))


def test_every_centre_is_looked_up_where_direct_arithmetic_puts_it() -> None:
    """Runs across row ends, oblique grids: equal to mapping each voxel by itself."""
    rng = np.random.default_rng(1)
    ct = turned_grid((31, 17, 13), (0.8, 0.7, 2.5), (-30.0, 12.0, 5.0), (0.2, -0.3, 0.4))
    pet = turned_grid((9, 8, 11), (4.1, 4.1, 3.3), (-45.0, 5.0, -10.0), (-0.1, 0.2, 0.1))
    dense = rng.random(ct.shape) < 0.4
    dense[:, 4:6, 3] = True  # whole rows: one run passes a row end
    got = project(voxel_runs(dense), from_grid=ct, to_grid=pet)
    voxels = np.flatnonzero(dense.ravel(order="F"))
    at = pet.voxel_at(pet.to_index(ct.to_mm(ct.unravel(voxels))))
    expected = np.where(at[:, 0] < 0, -1, pet.ravel(at))
    np.testing.assert_array_equal(got, expected)
    assert 0 < (got >= 0).sum() < voxels.size  # the field covers a part of it


def test_a_hand_worked_row() -> None:
    """CT centres at x = 0, 1, ..., 7 mm; PET faces at 1.5, 4.5 and 7.5: a tie goes up, outside is -1."""
    ct = turned_grid((8, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    # PET centres at x = 3, 6: faces 1.5, 4.5, 7.5. CT 0, 1 lie outside; 2..4 -> 0; 5..7 -> 1.
    pet = turned_grid((2, 1, 1), (3.0, 3.0, 3.0), (3.0, 0.0, 0.0))
    whole = VoxelRuns(np.array([0]), np.array([8]))
    assert project(whole, from_grid=ct, to_grid=pet).tolist() == [-1, -1, 0, 0, 0, 1, 1, 1]
    # PET moved to centres 2.5, 5.5: faces 1, 4, 7; centres on a face belong to the higher x, 7 to the last.
    moved = turned_grid((2, 1, 1), (3.0, 3.0, 3.0), (2.5, 0.0, 0.0))
    assert project(whole, from_grid=ct, to_grid=moved).tolist() == [-1, 0, 0, 0, 1, 1, 1, 1]


def test_a_voxel_of_two_labels_comes_twice() -> None:
    """Labels 2 = voxels 0..2 and 5 = voxels 2..3: voxel 2 comes twice."""
    ct = turned_grid((4, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    pet = turned_grid((2, 1, 1), (2.0, 2.0, 2.0), (0.25, 0.0, 0.0))  # faces at -0.75, 1.25, 3.25
    runs = LabelRuns(np.array([0, 2]), np.array([3, 4]), np.array([2, 5]))
    assert project(runs, from_grid=ct, to_grid=pet).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.5)], ids=["straight", "oblique"])
def test_mirrored_and_turned_storage_gives_the_same_pairs(
    axis: int, angles: tuple[float, float, float]
) -> None:
    """Spacing 1 and 2 mm with centres on faces: ties go one way in the patient, however stored."""
    rng = np.random.default_rng(2)
    ct = turned_grid((10, 8, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), angles)
    pet = VoxelGrid(shape=(4, 4, 3), affine=ct.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))
    dense = rng.random(ct.shape) < 0.5
    expected = _pairs(dense, ct, pet)
    assert len(expected) > 50
    assert _pairs(np.flip(dense, axis), _flipped(ct, axis), pet) == expected
    assert _pairs(dense, ct, _flipped(pet, axis)) == expected
    assert _pairs(dense.transpose(2, 0, 1), _turned(ct), _turned(pet)) == expected


def test_no_runs_give_no_pairs() -> None:
    """An empty set is answered with empty arrays."""
    grid = turned_grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    for none in (VoxelRuns.empty(), LabelRuns.empty()):
        assert project(none, from_grid=grid, to_grid=grid).size == 0


def _every_way(ct: VoxelGrid) -> list[VoxelGrid]:
    """Return PET grids that meet a CT in every way: ties, finer, coarser, mirrored, turned, windows."""
    grids = []
    for steps in ((2.0, 2.0, 2.0), (0.5, 3.0, 1.0), (1.0, 1.0, 1.0), (4.1, 2.7, 3.3)):
        for shift in (-3.0, 0.5, 2.2):
            affine = ct.affine @ np.diag([*steps, 1.0])
            affine[:3, 3] += ct.affine[:3, :3] @ np.full(3, shift)
            grid = VoxelGrid(shape=(7, 6, 5), affine=affine)
            grids += [grid, _flipped(grid, 0), _turned(grid)]
            grids.append(VoxelGrid(shape=(3, 2, 4), affine=affine, is_window=True))
    return [*grids, turned_grid((6, 6, 6), (2.0, 2.0, 2.0), (-4.0, 1.0, 2.0), (0.1, -0.2, 0.3))]


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.5)], ids=["straight", "oblique"])
def test_what_lies_in_chosen_voxels_is_what_looking_up_each_voxel_gives(
    angles: tuple[float, float, float],
) -> None:
    """Stretches of runs, and the voxels from a run's first holder to its last, against voxel after voxel."""
    rng = np.random.default_rng(3)
    ct = turned_grid((12, 9, 7), (1.0, 0.8, 1.5), (-3.0, 2.0, 1.0), angles)
    runs = voxel_runs(rng.random(ct.shape) < 0.6)
    starts, stops, _ = split_rows(runs.starts, runs.stops, ct.shape[0])
    known_ones = 0
    for pet in _every_way(ct):
        one_by_one = project(runs, from_grid=ct, to_grid=pet)
        chosen = np.flatnonzero(rng.random(pet.size) < 0.5)
        found = project_into(chosen, starts, stops, from_grid=ct, to_grid=pet)
        voxels = expand(found.starts, found.stops)
        holders = np.repeat(chosen[found.holder], found.stops - found.starts)
        order = np.argsort(voxels, kind="stable")
        in_chosen = np.isin(one_by_one, chosen)
        np.testing.assert_array_equal(voxels[order], runs.indices()[in_chosen])
        np.testing.assert_array_equal(holders[order], one_by_one[in_chosen])
        assert (starts[found.run] <= found.starts).all()
        assert (found.stops <= stops[found.run]).all()
        first, past, known = holders_of_runs(starts, stops, from_grid=ct, to_grid=pet)
        begins = np.cumsum(stops - starts) - (stops - starts)
        for run in np.flatnonzero(known).tolist():
            held = one_by_one[begins[run] : begins[run] + stops[run] - starts[run]]
            assert set(range(first[run], past[run])) == {h for h in held.tolist() if h >= 0}
        known_ones += int((known & (first < past)).sum())
    assert known_ones > 500
