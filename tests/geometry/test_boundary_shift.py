"""Boundary shifts: against exact volumes of solids, meeting fronts, and every way to store a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shape_phantoms import (
    Placed,
    Solid,
    alone,
    any_turn,
    ball,
    cuboid,
    draw,
    ellipsoid,
    regular_grid,
)
from tests.dense import label_runs
from volstrat.geometry.boundary_shift import boundary_shift
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFTS = (-1.0, -0.5, 0.5, 1.0)
THICK, THIN = (0.8, 0.8, 5.0), (0.8, 0.8, 1.5)


def relative_errors(
    solid: Solid, spacing: tuple[float, float, float], seed: int, places: int = 8
) -> np.ndarray:
    """Error of the relative volume change, as a share of the true change, (places, shifts)."""
    rng = np.random.default_rng(seed)
    true = np.array([solid.shifted_mm3(s) / solid.volume_mm3 - 1 for s in SHIFTS])
    errors = []
    for _ in range(places):
        grid, runs = alone(solid, spacing, rng)
        volumes = boundary_shift(grid, runs, (0.0, *SHIFTS))[:, 0]
        errors.append((volumes[1:] / volumes[0] - 1) / true - 1)
    return np.array(errors)


@pytest.mark.parametrize(
    ("spacing", "diameter"),
    [(THICK, 30), (THICK, 40), (THICK, 60), (THIN, 20), (THIN, 30), (THIN, 50), ((0.7, 0.7, 1.0), 20)],
)
def test_spheres_change_volume_as_they_should(spacing: tuple[float, float, float], diameter: int) -> None:
    """Within 3 % of the change itself (not of the volume), at every place on the lattice."""
    assert np.abs(relative_errors(ball(diameter), spacing, seed=diameter)).max() < 0.03


@pytest.mark.parametrize(("spacing", "diameter"), [(THICK, 30), (THIN, 20)])
def test_turned_ellipsoids_change_volume_as_they_should(
    spacing: tuple[float, float, float], diameter: float
) -> None:
    """Axes 1.5 : 1 : 0.75 in any direction, within 3 % of the change."""
    rng = np.random.default_rng(1)
    for seed in range(4):
        solid = ellipsoid((1.5 * diameter, diameter, 0.75 * diameter), any_turn(rng))
        assert np.abs(relative_errors(solid, spacing, seed, places=2)).max() < 0.03


def test_a_turned_cuboid_changes_volume_nearly_as_it_should() -> None:
    """Smoothing rounds sharp edges, so the change comes out up to 6 % small; 48 x 40 x 32 mm."""
    rng = np.random.default_rng(2)
    errors = relative_errors(cuboid((48.0, 40.0, 32.0), any_turn(rng)), THIN, seed=3, places=3)
    assert np.abs(errors).max() < 0.06


@pytest.mark.parametrize("spacing", [THIN, (0.9, 0.7, 3.0)])
def test_fifty_small_lesions_turn_the_share_of_one_large_one(spacing: tuple[float, float, float]) -> None:
    """One resectable sphere of 50 mm and fifty unresectable ones of 10 mm: 71.4 % becomes 61.9 %.

    50^3 / (50^3 + 50 x 10^3) = 71.43 %; at +1 mm 52^3 / (52^3 + 50 x 12^3) = 61.94 %;
    at -1 mm 48^3 / (48^3 + 50 x 8^3) = 81.20 %.
    """
    rng = np.random.default_rng(4)
    grid = regular_grid((round(240 / spacing[0]), round(240 / spacing[1]), round(90 / spacing[2])), spacing)
    bodies = [Placed(solid=ball(50), centre_mm=(120.3, 119.9, 45.2), label=1)]
    for n in range(56):
        x, y = 16 + 30 * (n % 8), 16 + 30 * (n // 8)
        if math.hypot(x - 120, y - 120) > 45:
            u, v, w = rng.random(3)
            bodies.append(Placed(solid=ball(10), centre_mm=(x + u, y + v, 15 + w), label=len(bodies) + 1))
            bodies.append(Placed(solid=ball(10), centre_mm=(x - u, y - v, 65 - w), label=len(bodies) + 1))
    volumes = boundary_shift(grid, draw(grid, bodies[:51]), (-1.0, 0.0, 1.0))
    assert volumes.shape == (3, 51)
    share = 100 * volumes[:, 0] / volumes.sum(axis=1)
    assert share == pytest.approx([81.20, 71.43, 61.94], abs=0.6)


def two_slabs(gap_voxels: int) -> LabelRuns:
    """Two slabs of 30 x 30 x 12.8 mm, so many voxels of 0.8 mm apart along i."""
    dense = np.zeros((60, 40, 40), dtype=np.int64)
    dense[5:21, 2:38, 5:35] = 1
    dense[21 + gap_voxels : 37 + gap_voxels, 2:38, 5:35] = 2
    return label_runs(dense)


def test_lesions_that_grow_together_stop_half_way() -> None:
    """Two slabs 0.8 mm apart, 28.8 x 30 mm wide: at +1 mm each facing wall moves 0.4, not 1 mm.

    So each gains (1 - 0.4) x 28.8 x 30 = 518 mm3 less than a slab that stands alone.
    """
    grid = regular_grid((60, 40, 40), (0.8, 0.8, 1.0))
    near = boundary_shift(grid, two_slabs(1), (0.0, 1.0))
    far = boundary_shift(grid, two_slabs(12), (0.0, 1.0))
    assert near[0] == pytest.approx(far[0])
    assert far[1] - near[1] == pytest.approx([0.518, 0.518], rel=0.1)


def test_oblique_walls_meet_half_way_too() -> None:
    """Two slabs turned by 40 degrees about k, walls 1.2 mm apart and 24 x 24 mm wide.

    At +1 mm each facing wall moves 0.6, not 1 mm: 0.4 x 24 x 24 = 230 mm3 less than alone.
    """
    turn = np.array([[math.cos(0.7), -math.sin(0.7), 0], [math.sin(0.7), math.cos(0.7), 0], [0, 0, 1]])
    slab = cuboid((10.0, 24.0, 24.0), turn)
    grid = regular_grid((110, 110, 32), (0.6, 0.6, 1.0))
    gains = []
    for apart in (11.2, 30.0):
        bodies = [
            Placed(solid=slab, centre_mm=(x, y, 15.7), label=label)
            for label, (x, y, _) in enumerate(
                [np.array([33.0, 33.0, 0]) + side * apart / 2 * turn[:, 0] for side in (-1, 1)], start=1
            )
        ]
        volumes = boundary_shift(grid, draw(grid, bodies), (0.0, 1.0))
        gains.append(volumes[1] - volumes[0])
    assert gains[1] - gains[0] == pytest.approx([0.230, 0.230], rel=0.15)


@pytest.mark.parametrize("shift", [-4.0, -2.0, 2.0, 4.0])
def test_large_shifts_of_a_small_sphere_come_out(shift: float) -> None:
    """12 mm on a 0.5 mm grid: down to 4 % and up to 463 % of its volume, within 3 % of the change."""
    grid, runs = alone(ball(12), (0.5, 0.5, 0.5), np.random.default_rng(10))
    volumes = boundary_shift(grid, runs, (0.0, shift))[:, 0]
    true = ((6 + shift) / 6) ** 3 - 1
    assert volumes[1] / volumes[0] - 1 == pytest.approx(true, rel=0.03)


def test_a_sphere_is_gone_once_its_radius_is_used_up() -> None:
    """And does not come back beyond it."""
    grid, runs = alone(ball(12), (0.5, 0.5, 0.5), np.random.default_rng(10))
    volumes = boundary_shift(grid, runs, (0.0, -6.0, -9.0, -20.0))[:, 0]
    assert volumes[1:] == pytest.approx(0.0, abs=0.02 * volumes[0])


def test_a_thin_fin_loses_no_more_than_it_has() -> None:
    """A ball of 30 mm with a sheet of 0.8 x 20 x 20 mm on it: the sheet goes, the ball shrinks.

    At -1 mm the ball keeps (14 / 15)^3 of its volume and the sheet nothing; without a middle to meet
    in, the sheet's two sides would take 2 x 400 mm3 from its 320, 480 too much of 14,137.
    """
    grid = regular_grid((60, 80, 50), (0.8, 0.8, 1.0))
    bodies = [
        Placed(solid=ball(30), centre_mm=(24.0, 20.0, 24.0)),
        Placed(solid=cuboid((0.8, 24.0, 20.0), np.eye(3)), centre_mm=(24.1, 46.6, 24.5)),
    ]
    both = boundary_shift(grid, draw(grid, bodies), (0.0, -1.0))[:, 0]
    ball_alone = boundary_shift(grid, draw(grid, bodies[:1]), (0.0, -1.0))[:, 0]
    fin = both[0] - ball_alone[0]
    assert fin == pytest.approx(0.37, abs=0.07)
    assert ball_alone[1] - 0.15 < both[1] < ball_alone[1] + 0.5 * fin


def test_a_thin_plate_shrinks_to_nothing_and_no_further() -> None:
    """1.6 mm thick: gone at -1 mm, and nothing becomes negative."""
    dense = np.zeros((10, 40, 40), dtype=np.int64)
    dense[4:6, 5:35, 5:35] = 1
    volumes = boundary_shift(regular_grid((10, 40, 40), (0.8, 0.8, 1.0)), label_runs(dense), (-1.0, -5.0))
    assert volumes.ravel() == pytest.approx([0.0, 0.0], abs=0.02 * 1.44)
    assert (volumes >= 0).all()


def test_the_plane_between_two_parts_of_a_lesion_stays() -> None:
    """A sphere cut through its centre: each half changes by half of what the sphere does."""
    grid = regular_grid((60, 60, 48), (0.8, 0.8, 1.0))
    whole = draw(grid, [Placed(solid=ball(30), centre_mm=(23.6, 23.6, 23.5))])
    i = whole.starts % 60
    length = whole.stops - whole.starts
    cut = np.clip(30 - i, 0, length)
    starts = np.concatenate((whole.starts[cut > 0], (whole.starts + cut)[cut < length]))
    stops = np.concatenate(((whole.starts + cut)[cut > 0], whole.stops[cut < length]))
    labels = np.repeat([1, 2], [(cut > 0).sum(), (cut < length).sum()])
    order = np.argsort(starts)
    halves = LabelRuns(starts[order], stops[order], labels[order])
    one, two = boundary_shift(grid, whole, (0.0, *SHIFTS)), boundary_shift(grid, halves, (0.0, *SHIFTS))
    assert two.sum(axis=1) == pytest.approx(one[:, 0], rel=0.005)
    assert two[:, 0] == pytest.approx(two[:, 1], rel=0.005)


def test_a_part_without_free_boundary_keeps_its_volume() -> None:
    """An unresectable core inside a resectable rind: only the rind's outside moves."""
    grid = regular_grid((60, 60, 48), (0.8, 0.8, 1.0))
    core, rind = ball(16), ball(32)
    runs = draw(
        grid,
        [
            Placed(solid=core, centre_mm=(24.0, 24.0, 24.0), label=7),
            Placed(solid=rind, centre_mm=(24.0, 24.0, 24.0), label=3),
        ],
    )
    volumes = boundary_shift(grid, runs, (0.0, *SHIFTS))
    assert runs.values == (3, 7)
    assert (volumes[:, 1] == volumes[0, 1]).all()
    both = volumes.sum(axis=1)
    true = np.array([rind.shifted_mm3(s) / rind.volume_mm3 - 1 for s in SHIFTS])
    assert both[1:] / both[0] - 1 == pytest.approx(true, rel=0.03)


def test_a_hidden_core_changes_nothing() -> None:
    """A long block bends as a whole, whether or not a part inside it, all hidden, is told apart."""
    grid = regular_grid((40, 24, 16), (0.8, 0.8, 1.0))
    whole = np.zeros(grid.shape, dtype=np.int64)
    whole[4:36, 6:18, 4:12] = 1
    parted = whole.copy()
    parted[10:30, 9:15, 6:10] = 2
    one = boundary_shift(grid, label_runs(whole), SHIFTS)
    two = boundary_shift(grid, label_runs(parted), SHIFTS)
    assert two.sum(axis=1) == pytest.approx(one[:, 0], abs=2e-6)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (0.5, 1.0, 1.5)])
def test_a_small_lesion_that_touches_a_large_one_bends_by_itself(
    spacing: tuple[float, float, float],
) -> None:
    """A 10 mm ball sunk 1 mm into one of 40 mm gains 62 to 72 % at +1 mm, not the large one's 16 %.

    Alone it would gain 72.8 %; where it touches, about a tenth of its surface stays.
    """
    grid = regular_grid((round(64 / spacing[0]), round(48 / spacing[1]), round(50 / spacing[2])), spacing)
    runs = draw(
        grid,
        [
            Placed(solid=ball(40), centre_mm=(22.3, 23.1, 24.6), label=1),
            Placed(solid=ball(10), centre_mm=(46.3, 23.1, 24.6), label=2),
        ],
    )
    volumes = boundary_shift(grid, runs, (0.0, 1.0))
    gain = volumes[1] / volumes[0] - 1
    assert 0.14 < gain[0] < 0.17
    assert 0.62 < gain[1] < 0.72


def permuted(dense: NDArray[np.int64], axes: tuple[int, int, int], flips: tuple[int, int, int]) -> LabelRuns:
    """Store the same voxels with axes in another order and direction."""
    return label_runs(np.asfortranarray(dense.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]))


@pytest.mark.parametrize(
    ("axes", "flips"),
    [((2, 0, 1), (1, 1, 1)), ((1, 2, 0), (-1, 1, 1)), ((0, 1, 2), (1, -1, -1)), ((0, 2, 1), (-1, -1, 1))],
)
def test_the_order_and_direction_of_axes_do_not_matter(
    axes: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    """The same body stored in another order, its spacing with it: the same volumes."""
    spacing = (0.9, 0.6, 2.0)
    rng = np.random.default_rng(5)
    shape = (50, 60, 30)
    grid = regular_grid(shape, spacing)
    bodies = [
        Placed(solid=ellipsoid((26.0, 14.0, 10.0), any_turn(rng)), centre_mm=(18, 17, 24), label=1),
        Placed(solid=ball(9), centre_mm=(36.0, 25.0, 40.0), label=2),
    ]
    runs = draw(grid, bodies)
    dense = np.zeros(grid.size, dtype=np.int64)
    for start, stop, label in zip(runs.starts, runs.stops, runs.labels, strict=True):
        dense[start:stop] = label
    turned = permuted(dense.reshape(shape, order="F"), axes, flips)
    turned_grid = regular_grid(
        (shape[axes[0]], shape[axes[1]], shape[axes[2]]),
        (spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]),
    )
    assert boundary_shift(turned_grid, turned, SHIFTS) == pytest.approx(
        boundary_shift(grid, runs, SHIFTS), abs=2e-6
    )


def test_an_oblique_grid_gives_the_same_volumes() -> None:
    """Only spacing matters, not where the patient's axes point."""
    rng = np.random.default_rng(6)
    grid, runs = alone(ball(20), THIN, rng)
    affine = np.eye(4)
    affine[:3, :3] = any_turn(rng) * THIN
    affine[:3, 3] = (-120.0, 33.0, 871.0)
    oblique = VoxelGrid(shape=grid.shape, affine=affine)
    assert boundary_shift(oblique, runs, SHIFTS) == pytest.approx(
        boundary_shift(grid, runs, SHIFTS), abs=2e-6
    )


def test_a_lesion_far_away_changes_nothing() -> None:
    """Two lesions together give what each gives alone, also where their boxes differ in size."""
    grid = regular_grid((120, 60, 40), THIN)
    first = Placed(solid=ball(24), centre_mm=(20, 20, 25), label=1)
    second = Placed(solid=ball(11), centre_mm=(70, 28, 31), label=2)
    together = boundary_shift(grid, draw(grid, [first, second]), SHIFTS)
    alone_ = [boundary_shift(grid, draw(grid, [body]), SHIFTS)[:, 0] for body in (first, second)]
    assert together == pytest.approx(np.stack(alone_, axis=1), abs=2e-6)


def test_a_lesion_in_many_pieces_is_the_sum_of_them() -> None:
    """One label on 300 specks of one voxel each: 300 times what one speck does."""
    grid = regular_grid((80, 80, 40), (0.8, 0.8, 1.0))
    dense = np.zeros(grid.shape, dtype=np.int64)
    dense[4::8, 4::8, 10:31:10] = 1
    one = np.zeros(grid.shape, dtype=np.int64)
    one[40, 40, 20] = 1
    many = boundary_shift(grid, label_runs(dense), (0.5, 1.0))
    single = boundary_shift(grid, label_runs(one), (0.5, 1.0))
    assert many == pytest.approx(300 * single, abs=1e-3)


def test_pits_within_a_lesion_do_not_count_as_boundary() -> None:
    """2 % of the voxels knocked out of a 30 mm ball change its growth by 3 points, not by a third.

    The true answer is in between: growth fills the pits (+2 %) and adds the ball's own 21.4 %.
    """
    rng = np.random.default_rng(8)
    grid, runs = alone(ball(30), (0.8, 0.8, 1.0), rng)
    dense = np.zeros(grid.size, dtype=np.int64)
    for start, stop in zip(runs.starts, runs.stops, strict=True):
        dense[start:stop] = 1
    dense[rng.random(grid.size) < 0.02] = 0
    pitted = label_runs(dense.reshape(grid.shape, order="F"))
    volumes = boundary_shift(grid, pitted, (0.0, 1.0))[:, 0]
    assert volumes[1] / volumes[0] - 1 == pytest.approx(0.234, abs=0.03)


def test_volumes_rise_with_the_shift() -> None:
    """Whatever the shape: a random blot of voxels."""
    rng = np.random.default_rng(9)
    dense = (rng.random((24, 24, 12)) < 0.3).astype(np.int64)
    dense[8:16, 8:16, 3:9] = 2
    shifts = (-2.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0)
    volumes = boundary_shift(regular_grid((24, 24, 12), THIN), label_runs(dense), shifts)
    assert (np.diff(volumes.sum(axis=1)) >= 0).all()


def test_no_shift_gives_the_counted_volumes() -> None:
    """Exactly, and a lesion at the edge of the grid may still grow beyond it."""
    dense = np.zeros((10, 10, 10), dtype=np.int64)
    dense[0:4, 0:10, 0:5] = 5
    grid = regular_grid((10, 10, 10), (1.0, 2.0, 3.0))
    volumes = boundary_shift(grid, label_runs(dense), (0.0, 0.5))
    assert volumes[0, 0] == pytest.approx(200 * 6 / 1000)
    assert volumes[1, 0] > volumes[0, 0]


def test_nothing_to_measure_is_an_empty_table() -> None:
    """No parts: a row for each shift and no column."""
    assert boundary_shift(regular_grid((4, 4, 4), THIN), LabelRuns.empty(), SHIFTS).shape == (4, 0)


def test_overlapping_parts_are_refused() -> None:
    """A voxel of two parts cannot be shared out."""
    runs = LabelRuns(np.array([0, 2]), np.array([4, 6]), np.array([1, 2]))
    with pytest.raises(ValueError, match="overlap"):
        boundary_shift(regular_grid((10, 10, 10), THIN), runs, SHIFTS)
