"""Connected components against cc3d and SimpleITK."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dense import voxel_runs
from volstrat.geometry.components import connected_components
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import VoxelRuns, expand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

cc3d: Any = import_module("cc3d")  # without types
sitk: Any = import_module("SimpleITK")

CONNECTIVITIES = (6, 18, 26)


def labelled(dense: Bools, connectivity: int) -> tuple[NDArray[np.int64], int]:
    """Return our components as a dense label map from 1, and how many there are."""
    grid = VoxelGrid(shape=dense.shape, affine=np.eye(4))
    found = connected_components(voxel_runs(dense), grid, connectivity=connectivity)
    assert (found.starts // dense.shape[0] == (found.stops - 1) // dense.shape[0]).all()
    labels = np.zeros(dense.size, dtype=np.int64)
    labels[expand(found.starts, found.stops)] = np.repeat(found.component + 1, found.stops - found.starts)
    return labels.reshape(dense.shape, order="F"), found.count


def assert_as_others_find_them(dense: Bools) -> None:
    """Hold ours to cc3d's partition for 6, 18, 26 and to SimpleITK's number for 6 and 26."""
    for connectivity in CONNECTIVITIES:
        mine, count = labelled(dense, connectivity)
        # An empty rim, because cc3d itself fails on some volumes of one row.
        theirs, their_count = cc3d.connected_components(
            np.pad(dense, 1).astype(np.uint8), connectivity=connectivity, return_N=True
        )
        theirs = theirs[1:-1, 1:-1, 1:-1]
        assert np.array_equal(mine > 0, dense)
        assert count == their_count
        pairs = {*zip(mine[dense].tolist(), theirs[dense].tolist(), strict=True)}
        assert len(pairs) == count
        if connectivity != 18:
            image = sitk.GetImageFromArray(dense.astype(np.uint8))
            components = sitk.ConnectedComponentImageFilter()
            components.SetFullyConnected(connectivity == 26)
            components.Execute(image)
            assert count == components.GetObjectCount()


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 6)),
    st.integers(0, 10_000),
    st.sampled_from([0.05, 0.2, 0.35, 0.6, 0.95]),
)
def test_random_masks(shape: tuple[int, int, int], seed: int, share: float) -> None:
    """From lone voxels to nearly full, axes of one voxel among them."""
    assert_as_others_find_them(np.random.default_rng(seed).random(shape) < share)


@pytest.mark.parametrize("shape", [(40, 31, 23), (64, 1, 17), (1, 50, 20), (33, 2, 30), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("share", [0.03, 0.12, 0.3, 0.5])
def test_larger_random_masks(shape: tuple[int, int, int], share: float) -> None:
    """Long joined chains near the percolation limits, and thin volumes."""
    assert_as_others_find_them(np.random.default_rng(7).random(shape) < share)


def voxels(shape: tuple[int, int, int], *there: tuple[int, int, int]) -> Bools:
    """Return a mask of the voxels named."""
    dense = np.zeros(shape, dtype=bool)
    for index in there:
        dense[index] = True
    return dense


def checkerboard(shape: tuple[int, int, int]) -> Bools:
    """Return every second voxel, by the parity of the index sum."""
    parity: Bools = np.indices(shape).sum(axis=0) % 2 == 0
    return parity


def comb(shape: tuple[int, int, int]) -> Bools:
    """Return teeth along i and k that only the last plane of j joins."""
    dense = np.zeros(shape, dtype=bool)
    dense[::2, :, ::2] = True
    dense[:, -1, :] = True
    return dense


def spiral(size: int) -> Bools:
    """Return a one-voxel-wide spiral in a plane of i and j, thrice: one long chain a plane."""
    plane = np.zeros((size, size), dtype=bool)
    low, high = 0, size - 1
    while low < high:
        plane[low : high + 1, low] = plane[high, low : high + 1] = plane[low : high + 1, high] = True
        plane[low, low + 2 : high + 1] = True
        if low + 2 <= high:
            plane[low + 1, low + 2] = True
        low, high = low + 2, high - 2
    return np.stack([plane, np.zeros_like(plane), plane], axis=2)


MASKS = {
    "nothing": np.zeros((4, 3, 2), dtype=bool),
    "everything": np.ones((5, 4, 3), dtype=bool),
    "one voxel grid": np.ones((1, 1, 1), dtype=bool),
    "first and last voxel": voxels((4, 3, 5), (0, 0, 0), (3, 2, 4)),
    "checkerboard": checkerboard((7, 6, 5)),
    "checkerboard of one row a plane": checkerboard((7, 1, 5)),
    "comb": comb((9, 5, 9)),
    "spirals": spiral(15),
    "full lines along i": np.tile(np.indices((1, 7, 7)).sum(axis=0) % 2 == 0, (6, 1, 1)),
    # A run that ends a row and one that begins the next are far apart in the patient.
    "row end and next row's start": voxels((6, 4, 4), (5, 0, 0), (0, 1, 0)),
    "row end and start, a row between": voxels((6, 4, 4), (5, 0, 0), (0, 2, 0)),
    "plane end and next plane's start": voxels((6, 4, 4), (5, 3, 0), (0, 0, 1)),
    "last row of a plane and first of the next": voxels((6, 4, 4), (2, 3, 0), (2, 0, 1)),
    "row end and start two planes on": voxels((6, 2, 4), (5, 1, 0), (0, 0, 2)),
    **{
        f"diagonal {step}": voxels((5, 5, 5), (2, 2, 2), (2 + step[0], 2 + step[1], 2 + step[2]))
        for step in [
            (1, 1, 0),
            (1, -1, 0),
            (0, 1, 1),
            (0, -1, 1),
            (1, 1, 1),
            (-1, 1, 1),
            (1, -1, 1),
            (-1, -1, 1),
        ]
    },
    **{
        f"knight's move {step}": voxels((5, 5, 5), (1, 1, 1), (1 + step[0], 1 + step[1], 1 + step[2]))
        for step in [(2, 0, 0), (0, 2, 0), (0, 0, 2), (2, 1, 1), (1, 2, 1), (1, 1, 2)]
    },
    **{
        f"planes with {nj} rows": np.stack([np.eye(4, nj), np.zeros((4, nj)), np.eye(4, nj)[::-1]], axis=2)
        > 0
        for nj in (1, 2, 3)
    },
}


@pytest.mark.parametrize("name", MASKS)
def test_adversarial_masks(name: str) -> None:
    """Where run-based joining could slip: row ends, plane ends, diagonals, chains, thin volumes.

    Also turned, so that each axis is the fast one once.
    """
    for turned in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        assert_as_others_find_them(np.ascontiguousarray(MASKS[name].transpose(turned)))


@pytest.mark.parametrize(("connectivity", "count"), [(6, 3), (18, 2), (26, 1)])
def test_neighbours_share_a_face_an_edge_or_a_corner(connectivity: int, count: int) -> None:
    """A voxel, one over an edge from it, and one over a corner from that."""
    assert labelled(voxels((3, 3, 4), (0, 0, 0), (1, 1, 0), (2, 2, 1)), connectivity)[1] == count


def test_a_checkerboard_is_one_piece_by_edges_and_lone_voxels_by_faces() -> None:
    """7 x 6 x 5 = 210 voxels, half of them filled: 105 pieces by faces, one by edges or corners."""
    board = checkerboard((7, 6, 5))
    assert [labelled(board, connectivity)[1] for connectivity in CONNECTIVITIES] == [105, 1, 1]


@pytest.mark.parametrize("connectivity", [0, 4, 8, 27])
def test_other_connectivities_are_refused(connectivity: int) -> None:
    """There are three in 3D."""
    grid = VoxelGrid(shape=(2, 2, 2), affine=np.eye(4))
    with pytest.raises(ValueError, match="6, 18 or 26"):
        connected_components(VoxelRuns.empty(), grid, connectivity=connectivity)
