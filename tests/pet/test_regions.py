"""The PET voxels of each CT lesion, against direct distances between all voxel centres."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tests.dense import label_runs, voxel_runs
from tests.lattices import turned_grid
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.pet.regions import LesionRegions, lesion_regions, offsets_within, voxels_in_mask

TIE_MM = 0.001


def _sets(regions: LesionRegions) -> dict[int, set[int]]:
    return {int(label): set(regions.of(label).tolist()) for label in regions.labels}


def _line(*lesions: tuple[int, int, int]) -> LabelRuns:
    """Lesions (label, first, stop) on a row."""
    return LabelRuns.from_sets([(label, VoxelRuns(np.array([a]), np.array([b]))) for label, a, b in lesions])


def _expected(
    dense: np.ndarray, ct: VoxelGrid, pet: VoxelGrid, margin_mm: float
) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Core voxels and regions, exclusive, by brute force."""
    flat = dense.ravel(order="F")
    pet_mm = pet.to_mm(pet.unravel(np.arange(pet.size)))
    at = ct.voxel_at(ct.to_index(pet_mm))
    lies_in = np.where(at[:, 0] < 0, 0, flat[np.where(at[:, 0] < 0, 0, ct.ravel(at))])
    core, distance = {}, {}
    for label in np.unique(flat[flat > 0]).tolist():
        centres = ct.to_mm(ct.unravel(np.flatnonzero(flat == label)))
        holder = pet.voxel_at(pet.to_index(centres))
        held = pet.ravel(holder[holder[:, 0] >= 0])
        core[label] = set(held.tolist()) | set(np.flatnonzero(lies_in == label).tolist())
        nearest = cdist(pet_mm, centres).min(axis=1)
        nearest[nearest > margin_mm + TIE_MM] = np.inf
        nearest[sorted(core[label])] = -1.0
        distance[label] = nearest
    least = np.min(list(distance.values()), axis=0)
    region = {
        label: set(np.flatnonzero(np.isfinite(d) & (d <= least + TIE_MM)).tolist())
        for label, d in distance.items()
    }
    return core, region


@pytest.mark.parametrize("margin_mm", [0.0, 2.0, 6.5])
@pytest.mark.parametrize(
    ("pet_spacing", "pet_shape"),
    [
        pytest.param((4.1, 4.1, 3.3), (11, 10, 12), id="PET coarser"),
        pytest.param((1.5, 1.4, 1.2), (26, 26, 30), id="PET finer than CT slices"),
    ],
)
def test_regions_equal_direct_distances(
    margin_mm: float, pet_spacing: tuple[float, float, float], pet_shape: tuple[int, int, int]
) -> None:
    """Oblique anisotropic grids, three lesions that touch and reach the edges: voxel for voxel."""
    ct = turned_grid((34, 30, 14), (0.9, 1.1, 3.0), (-10.0, 4.0, -20.0), (0.2, -0.3, 0.4))
    pet = turned_grid(pet_shape, pet_spacing, (-12.0, -2.0, -23.0), (0.1, 0.05, 0.3))
    i, j, k = np.indices(ct.shape)
    dense = np.zeros(ct.shape, np.int64)
    dense[(i - 8) ** 2 * 0.8 + (j - 9) ** 2 + (k - 6) ** 2 * 7 < 60] = 1
    dense[(i - 22) ** 2 * 0.8 + (j - 12) ** 2 + (k - 7) ** 2 * 7 < 50] = 3
    dense[24:34, 18:30, 0:2] = 7  # in a corner of the CT
    core, expected = _expected(dense, ct, pet, margin_mm)
    regions = lesion_regions(label_runs(dense), ct_grid=ct, pet_grid=pet, margin_mm=margin_mm)
    got = _sets(regions)
    assert got.keys() == {1, 3, 7}
    for label in got:
        assert got[label] == expected[label]
        mine = regions.lesion == list(got).index(label)
        assert set(regions.voxels[mine & regions.is_core].tolist()) == core[label]
    assert regions.voxel_counts.tolist() == [int((dense == label).sum()) for label in (1, 3, 7)]


def test_the_inside_of_a_thick_slice_is_part_of_the_lesion() -> None:
    """CT slices of 6 mm, PET of 2 mm: PET slices between CT centres belong to the lesion too."""
    ct = turned_grid((1, 1, 3), (6.0, 6.0, 6.0), (0.0, 0.0, 0.0))
    pet = turned_grid((1, 1, 9), (6.0, 6.0, 2.0), (0.0, 0.0, -2.0))  # three PET voxels in each CT voxel
    middle = LabelRuns(np.array([1]), np.array([2]), np.array([1]))
    regions = lesion_regions(middle, ct_grid=ct, pet_grid=pet, margin_mm=0.0)
    assert regions.of(1).tolist() == [3, 4, 5]


def test_a_hand_worked_margin_includes_its_limit() -> None:
    """Centres at 0, 1, 2, ... mm on both grids, lesion at 5 and 6, margin 2 mm: voxels 3 to 8."""
    grid = turned_grid((12, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    lesion = _line((1, 5, 7))
    for margin_mm, expected in ((0.0, [5, 6]), (1.9, [4, 5, 6, 7]), (2.0, [3, 4, 5, 6, 7, 8])):
        regions = lesion_regions(lesion, ct_grid=grid, pet_grid=grid, margin_mm=margin_mm)
        assert regions.of(1).tolist() == expected


def test_a_step_in_the_surface_is_part_of_it() -> None:
    """Spacing 4 x 1 mm, columns of height 3 and 2: above the lower one the nearest voxel is right below."""
    # Lesion j 0..2 at i = 0 and j 0..1 at i = 1, 2. Margin 1.5 mm: one voxel up each column, none sideways
    # (4 mm), so i = 0 reaches j = 3 and i = 1, 2 reach j = 2; alike in three slices.
    grid = turned_grid((4, 6, 3), (4.0, 1.0, 4.0), (0.0, 0.0, 0.0))
    dense = np.zeros(grid.shape, np.int64)
    dense[0, 0:3], dense[1:3, 0:2] = 1, 1
    regions = lesion_regions(label_runs(dense), ct_grid=grid, pet_grid=grid, margin_mm=1.5)
    expected = dense.copy()
    expected[0, 3], expected[1:3, 2] = 1, 1
    assert regions.of(1).tolist() == np.flatnonzero(expected.ravel(order="F")).tolist()


def test_a_voxel_between_two_lesions_goes_to_the_nearest_and_a_tie_to_both() -> None:
    """Lesions at 2 and 8 mm, margin 4 mm: 5 is 3 mm from both; 4 is nearer to the first, 6 to the second."""
    grid = turned_grid((12, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    lesions = _line((1, 2, 3), (2, 8, 9))
    apart = lesion_regions(lesions, ct_grid=grid, pet_grid=grid, margin_mm=4.0)
    assert _sets(apart) == {1: {0, 1, 2, 3, 4, 5}, 2: {5, 6, 7, 8, 9, 10, 11}}
    shared = lesion_regions(lesions, ct_grid=grid, pet_grid=grid, margin_mm=4.0, exclusive=False)
    assert _sets(shared) == {1: set(range(7)), 2: set(range(4, 12))}


def test_tumour_beyond_the_field_is_not_covered_but_its_margin_reaches_in() -> None:
    """CT centres 0 to 9 mm, PET from 3.5 to 9.5: a lesion at 2 and 3 is outside, its margin reaches 4, 5."""
    ct = turned_grid((10, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    pet = turned_grid((6, 1, 1), (1.0, 1.0, 1.0), (4.0, 0.0, 0.0))
    lesions = _line((1, 2, 4), (2, 8, 9))
    regions = lesion_regions(lesions, ct_grid=ct, pet_grid=pet, margin_mm=2.0)
    assert regions.covered.tolist() == [False, True]
    assert regions.of(1).tolist() == [0, 1]
    assert not regions.is_core[:2].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_storage_gives_the_same_regions(axis: int) -> None:
    """Grids of 1 and 2 mm whose faces and centres tie everywhere, mirrored along one axis of either."""
    ct = turned_grid((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    pet = turned_grid((6, 6, 6), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    dense = np.zeros(ct.shape, np.int64)
    dense[2:5, 3:6, 4:6] = 1
    dense[7:10, 3:6, 5:9] = 2

    def found(dense: np.ndarray, ct: VoxelGrid, pet: VoxelGrid) -> set[tuple[int, ...]]:
        regions = lesion_regions(label_runs(dense), ct_grid=ct, pet_grid=pet, margin_mm=2.0)
        where = np.rint(pet.to_mm(pet.unravel(regions.voxels)) * 1000).astype(int)
        return set(map(tuple, np.column_stack((regions.lesion, regions.is_core, where)).tolist()))

    def flipped(grid: VoxelGrid) -> VoxelGrid:
        affine = np.array(grid.affine)
        affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
        affine[:3, axis] *= -1
        return VoxelGrid(shape=grid.shape, affine=affine)

    expected = found(dense, ct, pet)
    assert len(expected) > 20  # not an empty comparison
    assert found(np.flip(dense, axis), flipped(ct), pet) == expected
    assert found(dense, ct, flipped(pet)) == expected


def test_no_lesions_give_no_regions() -> None:
    """An empty tumour has no lesions and no voxels, with a margin or without."""
    grid = turned_grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    for margin_mm in (0.0, 5.0):
        regions = lesion_regions(LabelRuns.empty(), ct_grid=grid, pet_grid=grid, margin_mm=margin_mm)
        assert regions.labels.size == regions.voxels.size == regions.lesion.size == 0


def test_offsets_are_counted_in_millimetres() -> None:
    """Spacing 2 x 3 x 5, radius 5: i up to 2, j up to 1, k up to 1; (2, 1, 0) is exactly 5 mm away."""
    # |(4, 3, 0)| = 5 is inside; |(0, 3, 5)| = 5.83 and |(2, 0, 5)| = 5.39 are not.
    grid = turned_grid((9, 9, 9), (2.0, 3.0, 5.0), (0.0, 0.0, 0.0), (0.3, 0.2, 0.1))
    got = set(map(tuple, offsets_within(grid, 5.0).tolist()))
    assert got == {(i, j, 0) for i in range(-2, 3) for j in (-1, 0, 1)} | {(0, 0, 1), (0, 0, -1)}


def test_a_coarse_mask_is_read_to_its_faces() -> None:
    """One mask voxel of 10 mm at x = 20 reaches from 15 to 25: PET centres at 16, 18, ..., 24 lie in it."""
    grid = turned_grid((4, 1, 1), (10.0, 10.0, 10.0), (0.0, 0.0, 0.0))
    pet = turned_grid((20, 1, 1), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    one = VoxelRuns(np.array([2]), np.array([3]))
    assert voxels_in_mask(one, mask_grid=grid, pet_grid=pet).tolist() == [8, 9, 10, 11, 12]


def test_a_mask_is_read_at_pet_centres() -> None:
    """Oblique mask grid against each PET centre by itself; voxels beyond the mask's grid are out."""
    rng = np.random.default_rng(5)
    grid = turned_grid((14, 12, 10), (1.3, 0.9, 2.2), (3.0, -2.0, 1.0), (0.4, 0.1, -0.2))
    pet = turned_grid((9, 9, 9), (2.5, 2.5, 2.9), (-2.0, -6.0, -3.0))
    dense = rng.random(grid.shape) < 0.5
    at = grid.voxel_at(grid.to_index(pet.to_mm(pet.unravel(np.arange(pet.size)))))
    expected = [n for n, (i, j, k) in enumerate(at.tolist()) if i >= 0 and dense[i, j, k]]
    got = voxels_in_mask(voxel_runs(dense), mask_grid=grid, pet_grid=pet)
    assert got.tolist() == expected
    assert 20 < len(expected) < 600
    assert voxels_in_mask(VoxelRuns.empty(), mask_grid=grid, pet_grid=pet).size == 0
