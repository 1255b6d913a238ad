"""Planes in radiological convention, whatever way the voxels are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.lattices import ORDERS, oblique, stored
from tests.report.scenes import affine, grid_of, phantom
from volstrat.geometry.grid import VoxelGrid
from volstrat.pictures.planes import PLANES, Frame, PatientView, Plane, side_letters

if TYPE_CHECKING:
    from volstrat.pictures.planes import PlaneName

LETTERS = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "H", "F"),
    "sagittal": ("A", "P", "H", "F"),
}
"""Left, right, top, bottom: axial seen from the feet, coronal from the front, sagittal from the left."""


@pytest.mark.parametrize("order", ORDERS[::5])
@pytest.mark.parametrize("name", PLANES)
def test_the_side_letters_are_those_of_the_convention(name: PlaneName, order: tuple[object, object]) -> None:
    """Patient's right on the left of the picture, front on top of axial ones, head on top of the others."""
    dense, matrix = stored(np.zeros((5, 6, 7)), affine(), order)  # type: ignore[arg-type]
    view = PatientView.of(grid_of(dense, matrix))
    assert Plane(name=name, grid=view.grid, index=2).letters() == LETTERS[name]


@pytest.mark.parametrize("order", ORDERS[::5])
@pytest.mark.parametrize("name", PLANES)
def test_a_voxel_lands_where_its_place_in_the_patient_says(
    name: PlaneName, order: tuple[object, object]
) -> None:
    """One voxel left, behind and towards the head: its pixel is right, down or up by as many voxels."""
    dense = np.zeros((7, 9, 11))
    dense[5, 2, 8] = 1  # left of the middle (5 > 3), in front of it (2 < 4), towards the head (8 > 5)
    values, matrix = stored(dense, affine(), order)  # type: ignore[arg-type]
    view = PatientView.of(grid_of(values, matrix))
    index = {"axial": 8, "coronal": 2, "sagittal": 5}[name]
    flat = Plane(name=name, grid=view.grid, index=index).cut(view.turn(values))
    # Rows, columns: axial y 2, x 5; coronal 11 - 1 - 8 = 2 from the top, x 5; sagittal the same row, y 2.
    assert np.argwhere(flat == 1).tolist() == [{"axial": [2, 5], "coronal": [2, 5], "sagittal": [2, 2]}[name]]


@pytest.mark.parametrize("name", PLANES)
def test_points_go_to_the_plane_and_back(name: PlaneName) -> None:
    """On an oblique grid; the picture's corner is half a voxel outside the first centre."""
    matrix = oblique(5, tilt=0.3)
    view = PatientView.of(VoxelGrid(shape=(20, 30, 12), affine=matrix))
    plane = Plane(name=name, grid=view.grid, index=4)
    uv = np.array([[3.0, 4.0], [10.5, 1.25]])
    points = plane.to_mm(uv)
    assert np.allclose(plane.to_plane(points), uv)
    assert (plane.slice_at(points[0]), plane.slice_at(points[1])) == (4, 4)
    spacing = np.array([view.grid.spacing_mm[plane.columns], view.grid.spacing_mm[plane.rows]])
    first = view.grid.to_index(plane.to_mm(spacing / 2))
    wanted = np.zeros(3)
    wanted[plane.normal] = 4
    wanted[plane.rows] = 0 if plane.downward else view.grid.shape[plane.rows] - 1
    assert np.allclose(first, wanted)


def test_oblique_directions_have_two_letters() -> None:
    """Beyond 15 degrees the second side is said: sin 14 = 0.242, sin 16 = 0.276."""
    for degrees, wanted in ((0, "L"), (14, "L"), (16, "LP"), (-16, "LA"), (74, "PL")):
        turned = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0])
        assert side_letters(turned) == wanted
    assert side_letters(np.array([0.0, 0.0, -1.0])) == "F"


def test_a_frame_shows_the_whole_plane_in_proportion() -> None:
    """90 x 100 mm into 300 x 200 pixels: 0.5 mm a pixel by height; (300 x 0.5 - 90) / 2 = 30 mm left over."""
    plane = Plane(name="axial", grid=phantom().grid, index=0)
    frame = Frame.whole(plane, width=300, height=200)
    assert (frame.mm_per_pixel, frame.left_mm, frame.top_mm) == (0.5, -30.0, 0.0)
    assert frame.to_pixels(np.array([0.0, 100.0])).tolist() == [60.0, 200.0]
