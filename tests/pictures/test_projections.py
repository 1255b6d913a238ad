"""Projections: maxima, shadows, and the way from a click into the patient."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lattices import ORDERS, stored
from tests.report.scenes import affine, coloured, grid_of, phantom
from volstrat.geometry.image import Image
from volstrat.pictures.projections import Projections
from volstrat.pictures.slices import Look
from volstrat.show.styles import STYLES

HOT = (-22.0, -30.0, 37.5)
"""A point in the lesion: right, front, head."""


def hot_pet(order: tuple[object, object]) -> Image:
    """Return a PET with one hot voxel on the CT's own lattice: index (15, 10, 32) is (-21.75, -29, 37.5)."""
    values = np.zeros((60, 50, 40), dtype=np.float32)
    values[15, 10, 32] = 9
    turned, matrix = stored(values, affine(), order)  # type: ignore[arg-type]
    return Image(grid=grid_of(turned, matrix), values=np.asfortranarray(turned))


@pytest.mark.parametrize("order", ORDERS[::11])
def test_a_click_on_the_projection_finds_the_hottest_point_behind(order: tuple[object, object]) -> None:
    """Coronal u = x + 45, v = 60 - z; the depth y comes from the PET."""
    projections = Projections(phantom(pet=hot_pet(order)))
    point = projections.hottest("coronal", (-21.75 + 45, 60 - 37.5))
    assert point is not None
    assert np.allclose(point, (-21.75, -29.0, 37.5))
    point = projections.hottest("sagittal", (-29.0 + 50, 60 - 37.5))
    assert point is not None
    assert np.allclose(point, (-21.75, -29.0, 37.5))
    assert projections.hottest("coronal", (-5.0, 20.0)) is None


def test_the_maximum_is_black_and_on_its_side() -> None:
    """One hot voxel: dark at the patient's right (left of the picture) towards the head, white elsewhere."""
    projections = Projections(phantom(pet=hot_pet(ORDERS[5])))
    look = Look(suv_max=9, annotated=False)
    pixels = projections.render("coronal", of="pet", width=360, height=480, look=look)
    # 0.25 mm a pixel: x = (-21.75 + 45) / 0.25 = 93, y = (60 - 37.5) / 0.25 = 90.
    assert pixels[90, 93].max() < 40  # between the voxel's centre and its neighbours, interpolated
    assert pixels[300, 250].tolist() == [255, 255, 255]


def test_lesions_are_filled_where_they_lie() -> None:
    """Shadow x -30 to -15, z 30 to 45: pixels 60 to 120 and 60 to 120; its rim in the marking's colour."""
    scene = phantom(ORDERS[30], with_ct=False)
    look = Look(annotated=False, markings={"L1": "resectable"})
    pixels = Projections(scene).render("coronal", of="lesions", width=360, height=480, look=look)
    rim = coloured(pixels, STYLES["resectable"].colour)
    y, x = np.nonzero(rim)
    assert abs(int(x.min()) - 60) <= 2
    assert abs(int(y.min()) - 60) <= 2
    filled = (pixels[70:110, 70:110] != 255).any(axis=-1)
    assert filled.all()
    assert (pixels[300:, 200:] == 255).all()


def test_lesions_outside_the_image_are_in_the_frame() -> None:
    """A PET that ends below the lesion: the projection's box still holds it."""
    values = np.zeros((22, 25, 10), dtype=np.float32, order="F")
    matrix = np.diag([4.0, 4.0, 4.0, 1.0])
    matrix[:3, 3] = (-42, -48, -58)  # z faces -60 to -20
    scene = phantom(with_ct=False, pet=Image(grid=grid_of(values, matrix), values=values))
    left, top, right, bottom = Projections(scene).box("coronal")
    assert (left, right, bottom) == (0, 88, 40)
    assert top == pytest.approx(-65)  # z = 45 lies 65 mm above the field's top at -20
