"""Voxel grids: millimetres, windows, storage orders, and how far apart two of them are."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.lattices import ORDERS, Order, oblique, stored
from volstrat.errors import GeometryError
from volstrat.geometry.grid import VoxelGrid

SHAPE = (6, 4, 5)


def grid(
    affine: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None = None,
    shape: tuple[int, int, int] = SHAPE,
) -> VoxelGrid:
    """Return a grid; oblique, anisotropic and off-centre unless told."""
    return VoxelGrid(shape=shape, affine=oblique(1) if affine is None else affine)


def test_indices_become_millimetres_and_back() -> None:
    """(1, 2, 3) of a grid of 2 x 3 x 4 mm, j turned, from (10, 20, 30): (12, 14, 42)."""
    affine = np.array([[2.0, 0, 0, 10], [0, -3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])
    mine = grid(affine)
    assert mine.to_mm([[1, 2, 3]]).tolist() == [[12, 14, 42]]
    assert mine.to_index([[12, 14, 42]]).tolist() == [[1, 2, 3]]
    assert mine.spacing_mm == (2, 3, 4)
    assert mine.voxel_volume_mm3 == 24
    assert mine.directions.tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, 1]]
    assert mine.size == 120


def test_an_oblique_grid_agrees_with_matrix_products() -> None:
    """Spacing, volume and directions of a rotated grid are those it was made of."""
    affine = oblique(3)
    mine = grid(affine)
    index = np.random.default_rng(0).integers(-5, 9, (50, 3))
    assert mine.to_mm(index) == pytest.approx(index @ affine[:3, :3].T + affine[:3, 3])
    assert mine.to_index(mine.to_mm(index)) == pytest.approx(index, abs=1e-9)
    assert mine.spacing_mm == pytest.approx((0.8, 0.7, 2.5))
    assert mine.voxel_volume_mm3 == pytest.approx(0.8 * 0.7 * 2.5)
    assert mine.directions.T @ mine.directions == pytest.approx(np.eye(3), abs=1e-12)


def test_linear_indices_run_along_i_first() -> None:
    """(1, 2, 3) of 6 x 4 x 5 is 1 + 6 x (2 + 4 x 3) = 85; numpy's Fortran order agrees for all."""
    mine = grid()
    assert mine.ravel(np.array([[1, 2, 3]])).tolist() == [85]
    everywhere = np.arange(mine.size)
    index = mine.unravel(everywhere)
    assert np.array_equal(index, np.stack(np.unravel_index(everywhere, SHAPE, order="F"), axis=-1))
    assert np.array_equal(mine.ravel(index), everywhere)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axial_axis_is_the_one_along_the_patient(axis: int) -> None:
    """Whichever axis of storage it is, and if it runs downward."""
    turn: Order = (((1, 2, 0), (0, 2, 1), (0, 1, 2))[axis], (1, 1, -1))
    affine = stored(np.zeros(SHAPE), oblique(5, tilt=0.3), turn)[1]
    assert grid(affine).axial_axis == axis
    # Also where the slices are thin and another axis, of long voxels, rises more from voxel to voxel.
    long = stored(np.zeros(SHAPE), oblique(5, (9.0, 9.0, 0.5), tilt=0.3), turn)[1]
    assert np.abs(long[2, :3]).argmax() != axis
    assert grid(long).axial_axis == axis


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"affine": np.full((4, 4), np.nan)}, "finite", id="NaN"),
        pytest.param({"affine": np.eye(3)}, "4 x 4", id="3 x 3"),
        pytest.param({"affine": np.diag([1.0, 0, 1, 1])}, "spacing is zero", id="no spacing"),
        pytest.param({"shape": (3, 0, 2)}, "at least one voxel", id="no voxel"),
        pytest.param({"shape": (3, 2)}, "three axes", id="two axes"),
    ],
)
def test_no_grid_exists_in_a_wrong_state(change: dict[str, object], said: str) -> None:
    """Each refusal says what is the matter."""
    good: dict[str, object] = {"shape": SHAPE, "affine": oblique(1)}
    with pytest.raises(GeometryError, match=said):
        VoxelGrid(**(good | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(("cosine", "taken"), [(0.9e-3, True), (1.1e-3, False), (-1.1e-3, False)])
def test_shear_is_refused_beyond_a_thousandth(cosine: float, taken: bool) -> None:
    """The cosine between i and k, whatever the spacing."""
    affine = np.eye(4)
    affine[:3, 2] = 5.0 * np.array([cosine, 0, np.sqrt(1 - cosine**2)])
    if taken:
        assert grid(affine).shape == SHAPE
        return
    with pytest.raises(GeometryError, match="sheared"):
        grid(affine)


def test_a_grid_keeps_what_it_was_given() -> None:
    """The affine is copied and locked; a grid survives the way to another process."""
    affine = oblique(1)
    mine = VoxelGrid(shape=SHAPE, affine=affine, frame_of_reference_uid="1.2", is_window=True)
    affine[0, 3] += 100
    assert mine.affine[0, 3] == affine[0, 3] - 100
    with pytest.raises(ValueError, match="read-only"):
        mine.affine[0, 3] = 0
    back = pickle.loads(pickle.dumps(mine))
    assert np.array_equal(back.affine, mine.affine)
    assert (back.shape, back.frame_of_reference_uid, back.is_window) == (SHAPE, "1.2", True)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_placement_follows_voxels_into_every_storage_order(order: Order) -> None:
    """Indices carried over by the placement are at the same millimetres; nothing is displaced."""
    mine = grid()
    there, affine = stored(np.zeros(SHAPE), mine.affine, order)
    other = grid(affine, there.shape)
    placement = mine.placement_on(other, tolerance_mm=1e-6)
    assert placement is not None
    assert (placement.axes, placement.signs) == order
    index = np.argwhere(np.ones(SHAPE))
    moved = np.empty_like(index)
    for axis in range(3):
        to = placement.axes[axis]
        moved[:, to] = placement.signs[axis] * index[:, axis] + placement.offset[to]
    assert other.to_mm(moved) == pytest.approx(mine.to_mm(index), abs=1e-9)
    assert moved.min(axis=0).tolist() == [0, 0, 0]
    assert tuple(moved.max(axis=0) + 1) == other.shape
    assert mine.corner_displacement_mm(other) == pytest.approx(0, abs=1e-9)
    assert placement.is_identity == (order == ((0, 1, 2), (1, 1, 1)))


def test_a_window_lies_on_its_lattice() -> None:
    """Two voxels before the start of i and three after the start of k; the offset says so."""
    mine = grid()
    window = mine.window(origin_index=(-2, 0, 3), shape=(4, 4, 9))
    placement = window.placement_on(mine, tolerance_mm=1e-6)
    assert placement is not None
    assert placement.offset == (-2, 0, 3)
    assert not placement.is_identity
    assert (placement.axes, placement.signs) == ((0, 1, 2), (1, 1, 1))
    assert window.to_mm([[2, 1, 0]]) == pytest.approx(mine.to_mm([[0, 1, 3]]))


@pytest.mark.parametrize(
    ("change_mm", "displaced_mm"),
    [
        pytest.param((1.0, 0.0, 0.0), 1.0, id="1 mm"),
        pytest.param((0.0, -50.0, 50.0), 50 * np.sqrt(2), id="opposite shifts do not cancel"),
        pytest.param((0.0, 0.0, 0.09), 0.09, id="below the tolerance"),
    ],
)
def test_a_shift_is_its_length(change_mm: tuple[float, float, float], displaced_mm: float) -> None:
    """Every corner moves by the shift, so the displacement is its length."""
    moved = oblique(1)
    moved[:3, 3] += change_mm
    assert grid().corner_displacement_mm(grid(moved)) == pytest.approx(displaced_mm)
    placement = grid().placement_on(grid(moved), tolerance_mm=0.1)
    # 50 mm along two axes of an oblique grid is no whole number of voxels along any.
    assert (placement is not None) == (displaced_mm < 0.1)
    if placement is not None:
        assert placement.displacement_mm == pytest.approx(displaced_mm)


def test_spacing_along_one_axis_displaces_the_far_corners() -> None:
    """2.5 mm become 2.6 mm along k: the last of 5 slices moves by 4 x 0.1 mm."""
    other = oblique(1)
    other[:3, 2] *= 2.6 / 2.5
    assert grid().corner_displacement_mm(grid(other)) == pytest.approx(0.4)
    assert grid().placement_on(grid(other), tolerance_mm=0.39) is None
    placement = grid().placement_on(grid(other), tolerance_mm=0.41)
    assert placement is not None
    assert placement.displacement_mm == pytest.approx(0.4)


def test_the_misfit_of_a_window_is_measured_over_both_grids() -> None:
    """A window of 2 slices at the origin fits within 0.1 mm; 100 slices of the other do not (9.9 mm)."""
    other = oblique(1)
    other[:3, 2] *= 2.6 / 2.5
    small, large = grid(shape=(6, 4, 2)), grid(other, (6, 4, 100))
    assert small.placement_on(large, tolerance_mm=0.2) is None
    assert large.placement_on(small, tolerance_mm=0.2) is None
    # Seen from the small grid's lattice the last slice is 99 x 0.1 mm off.
    placement = small.placement_on(large, tolerance_mm=10)
    assert placement is not None
    assert placement.displacement_mm == pytest.approx(9.9)


def test_a_rotation_displaces_the_corners_far_from_its_centre() -> None:
    """0.01 rad about k round the first voxel: the far corner of i and j moves by 2 r sin(0.005)."""
    affine = np.diag([2.0, 2, 5, 1])
    turned = affine.copy()
    c, s = np.cos(0.01), np.sin(0.01)
    turned[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ affine[:3, :3]
    radius = np.hypot(2 * 5, 2 * 3)
    assert grid(affine).corner_displacement_mm(grid(turned)) == pytest.approx(2 * radius * np.sin(0.005))
    assert grid(affine).placement_on(grid(turned), tolerance_mm=0.1) is None


def test_a_grid_turned_round_is_not_the_same_place() -> None:
    """A changed sign with the origin kept puts the voxels on the other side of it.

    i runs the other way from the same first voxel: the kindest pairing matches the grid with its
    mirror image, 5 x 0.8 mm further along i.
    """
    turned = oblique(1)
    turned[:3, 0] *= -1
    assert grid().corner_displacement_mm(grid(turned)) == pytest.approx(5 * 0.8)
    placement = grid().placement_on(grid(turned), tolerance_mm=0.1)
    assert placement is not None  # the lattice is shared; the offset says that the box is not
    assert (placement.signs, placement.offset) == ((-1, 1, 1), (0, 0, 0))


def test_lattices_at_45_degrees_are_not_shared() -> None:
    """No signed permutation comes near."""
    turned = np.eye(4)
    turned[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    assert grid(np.eye(4)).placement_on(grid(turned), tolerance_mm=100) is None


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_point_belongs_to_one_voxel_however_it_is_stored(order: Order) -> None:
    """Voxel centres, faces and outside points: the voxel found is at the same millimetres.

    On a face between two voxels the one on the higher side in patient axes holds the point.
    """
    mine = grid(oblique(5, tilt=0.2))
    there, affine = stored(np.zeros(SHAPE), mine.affine, order)
    other = grid(affine, there.shape)
    continuous = np.array(np.meshgrid(*[np.arange(-1, n + 0.5, 0.5) for n in SHAPE], indexing="ij"))
    points = mine.to_mm(continuous.reshape(3, -1).T)
    first, second = mine.voxel_at(mine.to_index(points)), other.voxel_at(other.to_index(points))
    inside = first[:, 0] >= 0
    assert np.array_equal(inside, second[:, 0] >= 0)
    assert mine.to_mm(first[inside]) == pytest.approx(other.to_mm(second[inside]), abs=1e-9)
    index = continuous.reshape(3, -1).T
    assert np.array_equal(inside, ((index >= -0.5) & (index <= np.array(SHAPE) - 0.5)).all(axis=1))


def test_the_higher_side_of_a_face_in_patient_axes_holds_it() -> None:
    """Here i runs toward the patient's left (up in x), j the other way (down in y)."""
    mine = grid(np.diag([2.0, -3.0, 4.0, 1.0]))
    assert mine.voxel_at(np.array([[1.5, 1.5, 1.0]])).tolist() == [[2, 1, 1]]
    # Half a micrometre off the face is still on it; 2 micrometres are not.
    assert mine.voxel_at(np.array([[1.5 - 0.00025, 1.0, 1.0]])).tolist() == [[2, 1, 1]]
    assert mine.voxel_at(np.array([[1.5 - 0.001, 1.0, 1.0]])).tolist() == [[1, 1, 1]]
    # The outer faces belong to the grid, slack included.
    assert mine.voxel_at(np.array([[-0.5002, 3.5001, 4.5001]])).tolist() == [[0, 3, 4]]
    assert mine.voxel_at(np.array([[-0.501, 0.0, 0.0], [0.0, 3.501, 0.0]])).tolist() == [[-1, -1, -1]] * 2


@pytest.mark.parametrize("order", ORDERS[::5], ids=str)
def test_beyond_a_window_the_lattice_goes_on(order: Order) -> None:
    """A point on a window's own face belongs to the voxel that the whole lattice says, stored or not."""
    whole = grid(oblique(6, tilt=0.2))
    low, cut = np.array((1, 2, 1)), (3, 2, 2)
    corner = whole.affine.copy()
    corner[:3, 3] = whole.to_mm(low)
    there, affine = stored(np.zeros(cut), corner, order)
    window = VoxelGrid(shape=there.shape, affine=affine, is_window=True)
    index = np.array(np.meshgrid(*[np.arange(0, n - 0.5, 0.5) for n in SHAPE], indexing="ij")).reshape(3, -1)
    points = whole.to_mm(index.T)
    in_whole, in_window = whole.voxel_at(whole.to_index(points)), window.voxel_at(window.to_index(points))
    stays = ((in_whole >= low) & (in_whole < low + cut)).all(axis=1)
    assert 0 < stays.sum() < stays.size
    assert np.array_equal(in_window[:, 0] >= 0, stays)
    assert window.to_mm(in_window[stays]) == pytest.approx(whole.to_mm(in_whole[stays]), abs=1e-9)
