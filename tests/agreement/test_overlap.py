"""Two masks on one grid: Dice, volumes, surface Dice, HD95 and mean surface distance."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest

from tests.dense import voxel_runs
from volstrat.agreement.overlap import MaskAgreement, compare_masks
from volstrat.errors import GridMismatchError, UsageError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import VoxelRuns
from volstrat.geometry.surface import surface_of, surfel_areas_mm2

Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Triple = tuple[float, float, float]


def _grid(shape: tuple[int, ...], spacing: Triple = (2.0, 3.0, 5.0)) -> VoxelGrid:
    ni, nj, nk = shape
    return VoxelGrid(shape=(ni, nj, nk), affine=np.diag([*spacing, 1.0]))


def _compare(a: Bools, b: Bools, spacing: Triple = (2.0, 3.0, 5.0), tolerance: float = 1.0) -> MaskAgreement:
    runs_a, runs_b = voxel_runs(a), voxel_runs(b)
    return compare_masks(runs_a, runs_b, _grid(a.shape, spacing), tolerance_mm=tolerance)


def _numbers(result: MaskAgreement) -> dict[str, float]:
    """Return all but the outcome, which must say that there was something to compare."""
    values = asdict(result)
    assert values.pop("outcome") == "compared"
    return values


def _mask(shape: tuple[int, int, int], *boxes: tuple[slice, slice, slice]) -> Bools:
    dense = np.zeros(shape, dtype=bool)
    for box in boxes:
        dense[box] = True
    return dense


def _voxel(shape: tuple[int, int, int], at: tuple[int, int, int]) -> Bools:
    dense = np.zeros(shape, dtype=bool)
    dense[at] = True
    return dense


def _random_pair(seed: int, shape: tuple[int, int, int], fill: float) -> tuple[Bools, Bools]:
    rng = np.random.default_rng(seed)
    a = rng.random(shape) < fill
    return a, a ^ (rng.random(shape) < 0.1)


def _balls() -> tuple[Bools, Bools]:
    """Two readings of one lesion, 4 mm apart, and a small lesion that only the first shows."""
    indices = np.moveaxis(np.indices((40, 44, 14)), 0, -1)

    def ball(centre: Triple, radius_mm: float) -> Bools:
        apart = (indices - np.array(centre)) * np.array([0.8, 0.7, 2.5])
        inside: Bools = (apart**2).sum(axis=-1) <= radius_mm**2
        return inside

    return ball((18, 20, 6), 9.0) | ball((33, 35, 10), 3.0), ball((20, 21, 7), 8.5)


def test_a_voxel_and_its_neighbour_meet_in_half_of_their_surface() -> None:
    """Voxels of 2 x 3 x 5 mm, B one voxel further along i.

    ::

        corners i = 0   1   2        A has corners at i = 0 and 1, B at i = 1 and 2:
                  +---+---+          four corners of A lie on B (0 mm), four are 2 mm away.
                  | A | B |          Each corner is a triangle of |(15, 10, 6)| / 8 = 19 / 8 mm2
                  +---+---+          (15 = 3 x 5, 10 = 2 x 5, 6 = 2 x 3; 15^2 + 10^2 + 6^2 = 19^2).
    """
    result = _compare(_voxel((2, 1, 1), (0, 0, 0)), _voxel((2, 1, 1), (1, 0, 0)), tolerance=1.9)
    assert result.outcome == "compared"
    assert (result.a_voxels, result.b_voxels, result.both_voxels) == (1, 1, 0)
    assert result.a_volume_ml == pytest.approx(0.030)  # 2 x 3 x 5 mm3
    assert result.a_surface_mm2 == pytest.approx(19.0)
    assert (result.dice, result.volume_similarity, result.volume_difference_ml) == (0.0, 1.0, 0.0)
    assert result.surface_dice == pytest.approx(0.5)
    assert result.hd95_mm == pytest.approx(2.0)
    assert result.mean_surface_distance_mm == pytest.approx(1.0)


@pytest.mark.parametrize(("axis", "edge_mm"), [(0, 2.0), (1, 3.0), (2, 5.0)])
def test_a_shift_by_one_voxel_is_its_edge_along_that_axis(axis: int, edge_mm: float) -> None:
    """Each axis has its own spacing; the tolerance includes its own value."""
    to = [0, 0, 0]
    to[axis] = 1
    a, b = _voxel((2, 2, 2), (0, 0, 0)), _voxel((2, 2, 2), (to[0], to[1], to[2]))
    assert _compare(a, b).hd95_mm == pytest.approx(edge_mm)
    assert _compare(a, b, tolerance=edge_mm).surface_dice == 1.0
    assert _compare(a, b, tolerance=edge_mm - 0.01).surface_dice == pytest.approx(0.5)


def test_a_translation_of_thirteen_millimetres() -> None:
    """Voxels of 1.5 x 2 x 6 mm, B two voxels further along each axis: (3, 4, 12) mm, 13 mm in all.

    Seen from A's low corner along i, B begins 3 mm away, from its high corner 1.5 mm; 4 or 2 along j,
    12 or 6 along k. The eight corners of a voxel have equal areas.
    """
    spacing = (1.5, 2.0, 6.0)
    result = _compare(_voxel((3, 3, 3), (0, 0, 0)), _voxel((3, 3, 3), (2, 2, 2)), spacing, 7.0)
    distances = [math.hypot(*xyz) for xyz in product((3, 1.5), (4, 2), (12, 6))]
    assert result.hd95_mm == pytest.approx(13.0)
    assert result.mean_surface_distance_mm == pytest.approx(sum(distances) / 8)
    # (1.5, 2, 6) is 6.5 mm, (3, 2, 6) is exactly 7 mm, (1.5, 4, 6) is 7.37 mm: two of eight within 7 mm.
    assert result.surface_dice == pytest.approx(2 / 8)


def test_a_slab_one_slice_lower() -> None:
    """Two slices of 5 mm, 3 x 2 voxels of 2 x 3 mm, B one slice further along k.

    ::

        k = 3          +--------+      A's lower face (k = 0) is 5 mm from B's (k = 1), its upper face
            2  +----A--|--+     |      (k = 2) runs inside B: at most 2 mm from B's side walls.
            1  |       +--|--B--+      The lower face holds more than 5 % of A's surface, so HD95 is 5 mm.
            0  +----------+            6 of 12 voxels are common.
    """
    shape = (3, 2, 3)
    a = _mask(shape, (slice(None), slice(None), slice(0, 2)))
    b = _mask(shape, (slice(None), slice(None), slice(1, 3)))
    result = _compare(a, b, tolerance=2.0)
    assert result.dice == pytest.approx(2 * 6 / 24)
    assert result.hd95_mm == pytest.approx(5.0)
    assert result.surface_dice is not None
    # Only the face that sticks out at either end is beyond 2 mm: its 4 x 3 corner points are 2 area
    # elements of 2 x 3 mm2, 6 edge elements, and 4 voxel-corner triangles of 19/8 mm2.
    # An edge element (two voxels in a line along i, 1/2 on j and k): |(10, 6)| / 2 mm2, 2 on either side;
    # along j, 1/2 on i and k: |(15, 6)| / 2 mm2, 1 at either end.
    face = 2 * 6 + 4 * math.hypot(10, 6) / 2 + 2 * math.hypot(15, 6) / 2 + 4 * 19 / 8
    assert result.a_surface_mm2 is not None
    assert result.surface_dice == pytest.approx(1 - face / result.a_surface_mm2)


def test_identical_masks_agree_in_everything() -> None:
    """Dice, surface Dice and similarity are exactly 1, distances exactly 0, at tolerance 0 too."""
    a, _ = _random_pair(5, (7, 6, 5), 0.4)
    result = _compare(a, a, tolerance=0.0)
    assert (result.dice, result.surface_dice, result.volume_similarity) == (1.0, 1.0, 1.0)
    assert (result.hd95_mm, result.mean_surface_distance_mm) == (0.0, 0.0)


def test_both_empty_is_a_named_outcome() -> None:
    """Nothing in either mask: volumes are 0, agreement does not exist."""
    empty = _mask((3, 3, 3))
    result = _compare(empty, empty)
    assert result.outcome == "both_empty"
    assert (result.a_volume_ml, result.b_volume_ml, result.volume_difference_ml) == (0.0, 0.0, 0.0)
    assert (result.dice, result.volume_similarity) == (None, None)
    assert (result.surface_dice, result.hd95_mm, result.mean_surface_distance_mm) == (None, None, None)


@pytest.mark.parametrize("empty_one", ["a", "b"])
def test_one_empty_mask_is_named_and_has_no_surface_distance(empty_one: str) -> None:
    """Dice and similarity are 0 by their formulas; there is no surface to measure to."""
    one, empty = _voxel((3, 3, 3), (1, 1, 1)), _mask((3, 3, 3))
    result = _compare(empty, one) if empty_one == "a" else _compare(one, empty)
    assert result.outcome == f"only_{empty_one}_empty"
    assert (result.dice, result.volume_similarity) == (0.0, 0.0)
    assert result.volume_difference_ml == pytest.approx(0.030 if empty_one == "a" else -0.030)
    assert (result.surface_dice, result.hd95_mm, result.mean_distance_a_to_b_mm) == (None, None, None)


# surface-distance 0.1 (numpy 1.26, scipy 1.12) on the masks of `_random_pair` and `_balls`:
# Dice, surface Dice, HD95, the two directed mean distances, the two surface areas.
_FROZEN = [
    pytest.param(
        _random_pair(1, (6, 5, 4), 0.5),
        (0.7, 0.8, 2.5),
        1.0,
        (0.9333333333333333, 1.0, 0.0, 0.009000545509127048, 0.007303984145866794),
        (192.36442333473462, 199.86283557595922),
        id="half-full",
    ),
    pytest.param(
        _random_pair(2, (9, 7, 5), 0.2),
        (1.25, 0.9, 3.0),
        1.5,
        (0.8027210884353742, 0.9961845011270111, 0.9, 0.013542644751817571, 0.07526793111305853),
        (417.02148644217186, 517.8205519897252),
        id="sparse",
    ),
    pytest.param(
        _random_pair(3, (4, 8, 6), 0.85),
        (4.6875, 4.6875, 3.27),
        5.0,
        (0.9444444444444444, 1.0, 0.0, 0.048105012020549565, 0.16628252840455382),
        (3596.9070443794517, 3893.6690640782276),
        id="dense",
    ),
    pytest.param(
        _random_pair(4, (12, 11, 10), 0.03),
        (0.98, 0.98, 1.5),
        2.0,
        (0.3285024154589372, 0.8717421475300844, 3.0, 0.04242870951285569, 1.135826700779332),
        (85.95238322193148, 479.5406962028709),
        id="specks",
    ),
    pytest.param(
        _balls(),
        (0.8, 0.7, 2.5),
        2.0,
        (0.7243943391700648, 0.6918457741654359, 7.3006848993775915, 1.8135417771446327, 1.048660017983626),
        (1342.061126997995, 1093.0359752439472),
        id="balls",
    ),
]


@pytest.mark.parametrize(("pair", "spacing", "tolerance", "values", "areas"), _FROZEN)
def test_values_equal_those_of_surface_distance(
    pair: tuple[Bools, Bools],
    spacing: Triple,
    tolerance: float,
    values: tuple[float, ...],
    areas: tuple[float, float],
) -> None:
    """An independent implementation on dense distance maps gives the same numbers."""
    result = _compare(*pair, spacing, tolerance)
    dice, surface_dice, hd95, forth, back = values
    assert result.dice == pytest.approx(dice, rel=1e-12)
    assert result.surface_dice == pytest.approx(surface_dice, rel=1e-12)
    assert result.hd95_mm == pytest.approx(hd95, rel=1e-12, abs=0)
    assert result.mean_distance_a_to_b_mm == pytest.approx(forth, rel=1e-12)
    assert result.mean_distance_b_to_a_mm == pytest.approx(back, rel=1e-12)
    assert (result.a_surface_mm2, result.b_surface_mm2) == pytest.approx(areas, rel=1e-12)
    pooled = (forth * areas[0] + back * areas[1]) / sum(areas)
    assert result.mean_surface_distance_mm == pytest.approx(pooled, rel=1e-12)


def test_swapping_the_readings_swaps_only_what_has_a_direction() -> None:
    """Agreement has no direction; the difference changes its sign."""
    a, b = _balls()
    forth, back = asdict(_compare(a, b)), asdict(_compare(b, a))
    assert back.pop("volume_difference_ml") == -forth.pop("volume_difference_ml")
    assert forth["mean_distance_a_to_b_mm"] != forth["mean_distance_b_to_a_mm"]
    swapped = {"a_": "b_", "b_": "a_"}
    for name, value in forth.items():
        other = swapped.get(name[:2], name[:2]) + name[2:]
        other = {
            "mean_distance_a_to_b_mm": "mean_distance_b_to_a_mm",
            "mean_distance_b_to_a_mm": "mean_distance_a_to_b_mm",
        }.get(other, other)
        assert back[other] == value


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_storage_order_does_not_matter(axes: tuple[int, int, int], flips: tuple[int, int, int]) -> None:
    """Axes mirrored or exchanged, and spacing with them: the same agreement."""
    spacing = (0.7, 0.8, 2.5)
    pair = _random_pair(6, (9, 8, 7), 0.3)
    plain = _numbers(_compare(*pair, spacing, 1.2))
    turned = [x.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]] for x in pair]
    there = (spacing[axes[0]], spacing[axes[1]], spacing[axes[2]])
    assert _numbers(_compare(turned[0], turned[1], there, 1.2)) == pytest.approx(plain, rel=1e-12)


def test_the_border_of_the_image_is_a_surface() -> None:
    """A mask that fills whole rows up to the border is measured as if the image went on."""
    a = _mask((4, 3, 3), (slice(None), slice(0, 2), slice(None)))  # runs pass from one row into the next
    b = _mask((4, 3, 3), (slice(1, 4), slice(None), slice(1, 3)))
    padded = _numbers(_compare(np.pad(a, 2), np.pad(b, 2)))
    assert _numbers(_compare(a, b)) == pytest.approx(padded, rel=1e-12)


def test_an_oblique_grid_far_from_the_origin_measures_the_same() -> None:
    """Only the spacing matters, not where the grid lies and how it is turned."""
    a, b = _random_pair(7, (6, 7, 8), 0.4)
    cosine, sine = math.cos(0.4), math.sin(0.4)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, -1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.7, 0.8, 2.5])
    affine[:3, 3] = [-250.3, 311.7, -1204.2]
    runs = voxel_runs(a), voxel_runs(b)
    oblique = compare_masks(*runs, VoxelGrid(shape=(6, 7, 8), affine=affine), tolerance_mm=1.2)
    straight = _numbers(_compare(a, b, (0.7, 0.8, 2.5), 1.2))
    assert _numbers(oblique) == pytest.approx(straight, rel=1e-9)


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance: float) -> None:
    """The message says what was given."""
    one = _voxel((2, 2, 2), (0, 0, 0))
    with pytest.raises(UsageError, match=f"got {tolerance}"):
        _compare(one, one, tolerance=tolerance)


@pytest.mark.parametrize("first", [True, False])
def test_a_mask_that_does_not_fit_the_grid_is_refused(first: bool) -> None:
    """Voxels beyond the grid would be measured in the wrong place."""
    fits, too_far = VoxelRuns.from_indices([3]), VoxelRuns.from_indices([8])
    pair = (too_far, fits) if first else (fits, too_far)
    with pytest.raises(GridMismatchError, match="beyond the grid"):
        compare_masks(*pair, _grid((2, 2, 2)), tolerance_mm=1.0)


def test_surface_elements_of_a_face_and_of_a_corner() -> None:
    """Of 2 x 3 x 5 mm voxels: a wall across i is 3 x 5 mm2, all but one voxel is the triangle of 19/8 mm2."""
    areas = surfel_areas_mm2((2.0, 3.0, 5.0))
    wall = 0b10101010  # bits with di = 1
    assert areas[wall] == pytest.approx(15.0)
    assert areas[0b00001111] == pytest.approx(6.0)  # dk = 0
    assert areas[1] == areas[255 - 128] == pytest.approx(19 / 8)
    assert (areas[0], areas[255]) == (0.0, 0.0)


def test_a_single_voxel_has_eight_surface_elements_at_its_corners() -> None:
    """Voxel (1, 0, 2): corners i 1-2, j 0-1, k 2-3."""
    surface = surface_of(voxel_runs(_voxel((3, 2, 4), (1, 0, 2))), _grid((3, 2, 4)))
    assert {tuple(int(x) for x in corner) for corner in surface.indices()} == set(
        product((1, 2), (0, 1), (2, 3))
    )
