"""Masks brought onto one grid, or refused with the displacement in mm."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.dense import label_runs, voxel_runs
from tests.lattices import ORDERS, Order, oblique, padded, stored
from tests.volume_files import random_labels
from volstrat.errors import GeometryError, GridMismatchError
from volstrat.geometry.alignment import align_masks, check_frame_of_reference, resample_nearest
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

sitk: Any = import_module("SimpleITK")  # without types

TOLERANCE_MM = 0.1
LABELS = random_labels(4)
AFFINE = oblique(4)


def mask(
    dense: NDArray[Any] = LABELS,
    affine: NDArray[np.float64] = AFFINE,
    *,
    frame: str | None = None,
    window: bool = False,
) -> Mask:
    """Return a mask; the phantom on its oblique grid unless told."""
    i, j, k = dense.shape
    grid = VoxelGrid(shape=(i, j, k), affine=affine, frame_of_reference_uid=frame, is_window=window)
    return Mask(grid=grid, runs=label_runs(dense))


def aligned(**masks: Mask) -> tuple[VoxelGrid, dict[str, Mask]]:
    """Align masks to the first of them."""
    return align_masks(masks, tolerance_mm=TOLERANCE_MM, base=next(iter(masks)))


def assert_labels(mine: Mask, dense: NDArray[Any]) -> None:
    """Hold a mask to a dense label map on the same grid."""
    assert mine.grid.shape == dense.shape
    for label in range(1, 6):
        assert mine.runs.of(label).same_as(voxel_runs(dense == label))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_storage_order_does_not_matter(order: Order) -> None:
    """The same lattice stored any of 48 ways is the same grid; voxels land where they belong."""
    other = random_labels(5)
    grid, masks = aligned(tumour=mask(), resectable=mask(*stored(other, AFFINE, order)))
    assert grid.affine.tolist() == AFFINE.tolist()
    assert_labels(masks["tumour"], LABELS)
    assert_labels(masks["resectable"], other)


def moved(mm: float) -> NDArray[np.float64]:
    """Return the phantom's affine, moved along x."""
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


def scaled(axis: int, factor: float) -> NDArray[np.float64]:
    """Return the phantom's affine with another spacing along one axis."""
    affine = AFFINE.copy()
    affine[:3, axis] *= factor
    return affine


def rotated(radians: float) -> NDArray[np.float64]:
    """Return the phantom's affine turned round x through its first voxel."""
    affine = AFFINE.copy()
    c, s = np.cos(radians), np.sin(radians)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ AFFINE[:3, :3]
    return affine


def whole_voxels(*steps: int) -> NDArray[np.float64]:
    """Return the phantom's affine, moved by whole voxels."""
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ np.array(steps)
    return affine


def turned(axis: int) -> NDArray[np.float64]:
    """Return the phantom's affine with one column of the other sign: another place, a mirror image."""
    return scaled(axis, -1)


@pytest.mark.parametrize(
    ("affine", "displaced"),
    [
        pytest.param(moved(1), "1.00 mm", id="1 mm"),
        pytest.param(moved(-1), "1.00 mm", id="1 mm the other way"),
        pytest.param(moved(0.11), "0.11 mm", id="just beyond the tolerance"),
        # The phantom is 13 x 9 x 7 voxels of 0.8 x 0.7 x 2.5 mm.
        pytest.param(scaled(0, 1.1), "0.96 mm", id="spacing along i: 12 x 0.08"),
        pytest.param(scaled(1, 1.1), "0.56 mm", id="spacing along j: 8 x 0.07"),
        pytest.param(scaled(2, 1.1), "1.50 mm", id="spacing along k: 6 x 0.25"),
        pytest.param(whole_voxels(1, 0, 0), "0.80 mm", id="one voxel along i"),
        pytest.param(whole_voxels(0, -1, 0), "0.70 mm", id="one voxel along j"),
        pytest.param(whole_voxels(0, 0, 2), "5.00 mm", id="two voxels along k"),
        pytest.param(turned(0), "9.60 mm", id="i turned: 12 x 0.8"),
        pytest.param(turned(2), "15.00 mm", id="k turned: 6 x 2.5"),
    ],
)
def test_a_grid_that_is_elsewhere_is_refused(affine: NDArray[np.float64], displaced: str) -> None:
    """One change at a time; the message names both files and the largest displacement of a corner."""
    with pytest.raises(GridMismatchError) as caught:
        aligned(tumour=mask(), resectable=mask(affine=affine))
    assert caught.value.message.startswith(
        f"resectable: its grid is {displaced} away from the grid of tumour"
    )
    assert "tolerance 0.1 mm" in caught.value.message
    assert "resample = true" in caught.value.hint


def test_another_direction_is_refused() -> None:
    """0.02 rad about x: the corner farthest from the axis moves by that times its distance, about 0.3 mm."""
    with pytest.raises(GridMismatchError, match=r"resectable: its grid is 0\.\d\d mm away"):
        aligned(tumour=mask(), resectable=mask(affine=rotated(0.02)))
    assert aligned(tumour=mask(), resectable=mask(affine=rotated(0.002)))[0].shape == LABELS.shape


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_another_shape_is_refused(axis: int) -> None:
    """One plane fewer of the same lattice; the message says both shapes."""
    cut = np.delete(LABELS, -1, axis)
    with pytest.raises(GridMismatchError) as caught:
        aligned(tumour=mask(), resectable=mask(cut))
    by = " x ".join(map(str, cut.shape))
    assert f"shape {by} against 13 x 9 x 7" in caught.value.message


def test_a_different_spacing_is_said() -> None:
    """Beside the displacement, what differs."""
    with pytest.raises(
        GridMismatchError, match=r"spacing 0\.8 x 0\.7 x 2\.75 mm against 0\.8 x 0\.7 x 2\.5 mm"
    ):
        aligned(tumour=mask(), resectable=mask(affine=scaled(2, 1.1)))


def test_a_displacement_within_the_tolerance_is_the_same_grid() -> None:
    """0.09 mm; indices carry over unchanged."""
    other = random_labels(5)
    _, masks = aligned(tumour=mask(), resectable=mask(other, moved(0.09)))
    assert_labels(masks["resectable"], other)


@pytest.mark.parametrize(
    ("mine", "theirs", "refused"),
    [("1.2.3", "1.2.4", True), ("1.2.3", "1.2.3", False), ("1.2.3", None, False), (None, "1.2.4", False)],
)
def test_frames_of_reference_differ_only_where_both_are_known(
    mine: str | None, theirs: str | None, refused: bool
) -> None:
    """The same place in another frame is another place."""
    masks = {"tumour": mask(frame=mine), "resectable": mask(frame=theirs)}
    if not refused:
        assert aligned(**masks)[0].frame_of_reference_uid == mine
        return
    with pytest.raises(GridMismatchError, match=r"resectable: its frame of reference is not that of tumour"):
        aligned(**masks)
    with pytest.raises(GridMismatchError):
        check_frame_of_reference(masks["resectable"].grid, masks["tumour"].grid, name="a", other="b")


def test_windows_of_a_lattice_unite() -> None:
    """A sparse tumour mask and a sparse resectable one that reaches beyond it: one wider grid."""
    whole = np.zeros((20, 20, 20), dtype=np.uint8)
    whole[3:9, 4:8, 5:9] = random_labels(1, (6, 4, 4))
    other = np.zeros_like(whole)
    other[1:5, 10:19, 7:8] = random_labels(2, (4, 9, 1))
    windows = {
        "tumour": mask(whole[3:9, 4:8, 5:9], padded(whole, AFFINE, (-0, 0, 0), (0, 0, 0))[1], window=True),
        "resectable": mask(other[1:5, 10:19, 7:8], whole_voxels(-2, 6, 2), window=True),
    }
    grid, masks = aligned(**windows)
    # The tumour window's first voxel is the phantom's origin: (3, 4, 5) of `whole`.
    assert grid.shape == (8, 15, 4)  # i 1..8, j 4..18, k 5..8
    assert grid.to_mm([[2, 0, 0]]) == pytest.approx(AFFINE[:3, 3][None])
    assert_labels(masks["tumour"], whole[1:9, 4:19, 5:9])
    assert_labels(masks["resectable"], other[1:9, 4:19, 5:9])


def test_a_window_lies_inside_a_whole_mask() -> None:
    """A cropped segmentation beside a full one: the full grid is kept, whichever comes first."""
    small = LABELS[2:7, 3:6, 1:5]
    window = mask(small, whole_voxels(2, 3, 1), window=True)
    wanted = np.zeros_like(LABELS)
    wanted[2:7, 3:6, 1:5] = small
    for first, second in ((mask(), window), (window, mask())):
        grid, masks = aligned(a=first, b=second)
        assert grid.shape == LABELS.shape
        assert grid.to_mm([[0, 0, 0]]) == pytest.approx(AFFINE[:3, 3][None])
        assert_labels(masks["a"], LABELS if first is not window else wanted)
        assert_labels(masks["b"], wanted if first is not window else LABELS)


def test_two_whole_masks_of_different_extent_are_refused_beside_a_window() -> None:
    """That the tumour is stored sparsely does not excuse a slice that is missing from another mask."""
    window = mask(LABELS[2:7, 3:6, 1:5], whole_voxels(2, 3, 1), window=True)
    with pytest.raises(GridMismatchError) as caught:
        aligned(tumour=window, resectable=mask(LABELS[:, :, :-1]), liver=mask())
    assert caught.value.message.startswith("liver: its grid is 2.50 mm away from the grid of resectable")
    assert "shape 13 x 9 x 7 against 13 x 9 x 6" in caught.value.message


def test_only_windows_make_a_window() -> None:
    """What comes back has outer faces where any of the masks has them, whichever comes first."""
    window = mask(LABELS[2:7, 3:6, 1:5], whole_voxels(2, 3, 1), window=True)
    assert aligned(a=window, b=window)[0].is_window
    assert not aligned(a=window, b=mask())[0].is_window
    assert not aligned(a=mask(), b=window)[0].is_window


def test_windows_too_far_apart_to_number_what_lies_between_are_refused() -> None:
    """5 million voxels away along each axis: the union would have 10^20, beyond 64 bits."""
    far = mask(affine=whole_voxels(*[5_000_000] * 3), window=True)
    with pytest.raises(GeometryError, match="5000013 x 5000009 x 5000007 voxels has more"):
        aligned(tumour=mask(window=True), resectable=far)


def test_a_window_off_the_lattice_is_refused() -> None:
    """Half a voxel off is no whole-voxel offset."""
    off = AFFINE.copy()
    off[:3, 3] += AFFINE[:3, :3] @ (0.5, 0, 0)
    with pytest.raises(
        GridMismatchError, match=r"resectable: its grid is 0\.40 mm away from the grid of tumour"
    ):
        aligned(tumour=mask(window=True), resectable=mask(LABELS[:5], off, window=True))


def test_the_tolerance_holds_over_the_union_of_windows() -> None:
    """Spacing that differs by 0.5 % is not seen on the window (0.09 mm) but on the union: it is refused.

    Along k: 7 slices of 2.5 mm. The second window has 2.5125 mm; 6 x 0.0125 = 0.075 mm. A third reaches
    60 slices further on the first lattice, where the second is off by more than the tolerance.
    """
    first = mask(window=True)
    second = mask(affine=scaled(2, 1.005), window=True)
    third = mask(LABELS, whole_voxels(0, 0, 60), window=True)
    assert aligned(tumour=first, resectable=second)[0].shape == LABELS.shape
    # Of 67 slices the last is 66 x 0.0125 mm off.
    with pytest.raises(
        GridMismatchError, match=r"resectable: its grid is 0\.8[23] mm away from the grid of tumour"
    ):
        aligned(tumour=first, resectable=second, liver=third)


def resampled_by_itk(dense: NDArray[Any], affine: NDArray[np.float64], onto: VoxelGrid) -> NDArray[Any]:
    """Return SimpleITK's nearest-neighbour resampling, indexed [i, j, k]."""

    def place(image: Any, at: NDArray[np.float64]) -> None:  # noqa: ANN401 - SimpleITK has no types
        spacing = np.sqrt((at[:3, :3] ** 2).sum(axis=0))
        image.SetSpacing(spacing.tolist())
        image.SetDirection((at[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(at[:3, 3].tolist())

    image = sitk.GetImageFromArray(dense.transpose(2, 1, 0))
    place(image, affine)
    target = sitk.Image(list(onto.shape), sitk.sitkUInt8)
    place(target, onto.affine)
    done = sitk.Resample(image, target, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    array: NDArray[Any] = sitk.GetArrayFromImage(done).transpose(2, 1, 0)
    return array


def assert_as_itk_resamples(grid: VoxelGrid) -> None:
    """Compare every voxel; within 0.001 mm of a face between two voxels the sides may be chosen otherwise."""
    wanted = resampled_by_itk(LABELS, AFFINE, grid)
    found = np.zeros(grid.size, dtype=np.uint8)
    for label, voxels in ((n, resample_nearest(mask(), grid).runs.of(n)) for n in range(1, 6)):
        found[voxels.indices()] = label
    index = np.argwhere(np.ones(grid.shape))
    mm = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    continuous = (mm - AFFINE[:3, 3]) @ np.linalg.inv(AFFINE[:3, :3]).T
    off_face_mm = np.abs((continuous % 1) - 0.5) * (0.8, 0.7, 2.5)
    clear = (off_face_mm > 0.0011).all(axis=1).reshape(grid.shape)
    assert clear.mean() > 0.98
    assert (wanted[clear] > 0).sum() > 25
    assert np.array_equal(found.reshape(grid.shape, order="F")[clear], wanted[clear])


@pytest.mark.parametrize("seed", range(12))
def test_resampling_takes_the_nearest_label_as_simpleitk_does(seed: int) -> None:
    """Onto coarser, finer, rotated, partly overlapping grids; every voxel's label agrees."""
    rng = np.random.default_rng(seed)
    target = oblique(seed + 50, tuple(rng.uniform(0.5, 3, 3)))
    shape = tuple(int(n) for n in rng.integers(6, 22, 3))
    # The middles of both grids, give or take 2 mm, fall on one another.
    middle = AFFINE[:3, :3] @ (np.array(LABELS.shape) / 2) + AFFINE[:3, 3] + rng.uniform(-2, 2, 3)
    target[:3, 3] = middle - target[:3, :3] @ (np.array(shape) / 2)
    grid = VoxelGrid(shape=shape, affine=target)  # type: ignore[arg-type]
    assert_as_itk_resamples(grid)


def test_resampling_onto_its_own_lattice_changes_nothing() -> None:
    """In another storage order, too."""
    for order in ORDERS[::7]:
        dense, affine = stored(LABELS, AFFINE, order)
        assert_labels(resample_nearest(mask(), mask(dense, affine).grid), dense)


def test_resampling_in_pieces_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane too large to be asked for at once is asked for row by row."""
    from volstrat.geometry import alignment

    affine = oblique(4, (0.33, 0.37, 0.59))
    monkeypatch.setattr(alignment, "_VOXELS_AT_ONCE", 17)
    assert_as_itk_resamples(VoxelGrid(shape=(30, 25, 20), affine=affine))


def test_resampling_onto_a_finer_grid_keeps_whole_voxels() -> None:
    """A voxel of 3 x 3 x 5 mm is 12 x 12 x 20 of 0.25 mm: out to its faces, not to its centre only."""
    dense = np.zeros((5, 5, 5), dtype=np.uint8)
    dense[2, 2, 2] = 3
    coarse = np.diag([3.0, 3.0, 5.0, 1.0])
    fine = np.diag([0.25, 0.25, 0.25, 1.0])
    fine[:3, 3] = (0.125, 0.125, 0.125)  # no centre falls on a face
    there = resample_nearest(mask(dense, coarse), VoxelGrid(shape=(60, 60, 100), affine=fine))
    assert there.runs.values == (3,)
    assert there.runs.of(3).count == 12 * 12 * 20


def test_resampling_what_is_not_there() -> None:
    """An empty mask, or one that the target does not reach, gives an empty mask."""
    empty = mask(np.zeros_like(LABELS))
    assert resample_nearest(empty, mask().grid).runs.values == ()
    assert resample_nearest(mask(), mask(affine=moved(1000)).grid).runs.values == ()


def test_overlapping_labels_are_resampled_each_for_itself() -> None:
    """Two labels that share voxels keep sharing them."""
    one, two = voxel_runs(LABELS > 0), voxel_runs(LABELS == 1)
    both = Mask(grid=mask().grid, runs=LabelRuns.from_sets([(1, one), (2, two)]), names={1: "a", 2: "b"})
    there = resample_nearest(both, mask().grid)
    assert there.runs.of(1).same_as(one)
    assert there.runs.of(2).same_as(two)
    assert there.names == {1: "a", 2: "b"}


def test_resampling_onto_a_window_keeps_what_lies_beyond_it() -> None:
    """A tumour stored as a crop of one voxel does not crop the liver: the lattice goes on."""
    affine = oblique(9, (1.1, 1.3, 1.9))
    middle = AFFINE[:3, :3] @ (np.array(LABELS.shape) / 2) + AFFINE[:3, 3]
    affine[:3, 3] = middle - affine[:3, :3] @ (30.1, 30.2, 30.3)
    whole = resample_nearest(mask(), mask(np.zeros((60, 60, 60)), affine).grid)
    first = affine.copy()
    first[:3, 3] += affine[:3, :3] @ (30, 29, 31)
    window = resample_nearest(mask(), mask(np.zeros((1, 1, 1)), first, window=True).grid)
    counts = {label: whole.runs.of(label).count for label in whole.runs.values}
    assert sum(counts.values()) * 1.1 * 1.3 * 1.9 == pytest.approx((LABELS > 0).sum() * 1.4, rel=0.1)
    assert {label: window.runs.of(label).count for label in window.runs.values} == counts
    assert window.grid.is_window
