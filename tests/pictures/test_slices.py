"""Slices: sides, greys, colours, scale, and PET in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.dense import voxel_runs
from tests.lattices import ORDERS, oblique, stored
from tests.report.scenes import BRIGHT_HU, TISSUE_HU, affine, coloured, grid_of, phantom, plane_through
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.pictures.annotations import bar_length_mm, hot_colours
from volstrat.pictures.drawn_volumes import Volume
from volstrat.pictures.key_slices import key_plane
from volstrat.pictures.planes import PLANES, Frame, Plane
from volstrat.pictures.scene import Scene, Shape
from volstrat.pictures.slices import Look, render_slice, sample
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.lattices import Order
    from volstrat.pictures.planes import PlaneName

IN_LESION = (-22.0, -30.0, 37.0)
BARE = Look(annotated=False, show_lesions=False)


@pytest.mark.parametrize("order", ORDERS[::7])
@pytest.mark.parametrize("name", PLANES)
def test_the_lesion_is_drawn_on_its_side(name: PlaneName, order: Order) -> None:
    """At the patient's right, in front, towards the head: upper left in all three; no other colour."""
    scene = phantom(order)
    plane = plane_through(scene, name, IN_LESION)
    look = replace(BARE, show_lesions=True, markings={"L1": "resectable"})
    pixels = render_slice(scene, plane, Frame.whole(plane, width=400, height=400), look)
    y, x = np.nonzero(coloured(pixels, STYLES["resectable"].colour))
    assert x.size > 100
    assert int(x.max()) < 200
    assert int(y.max()) < 200
    assert not coloured(pixels, STYLES["unresectable"].colour).any()


@pytest.mark.parametrize("order", ORDERS[1::7])
@pytest.mark.parametrize("name", PLANES)
def test_storage_order_changes_no_pixel(name: PlaneName, order: Order) -> None:
    """The same voxels in the same places give the same picture, letters and captions included."""
    look = Look(markings={"L1": "ablatable"})
    drawn = []
    for scene in (phantom(), phantom(order)):
        plane = plane_through(scene, name, IN_LESION)
        drawn.append(render_slice(scene, plane, Frame.whole(plane, width=256, height=256), look))
    assert np.array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("window", "tissue", "bright"),
    [
        # (HU - (centre - width / 2)) / width x 255: (-100 + 160) / 400 x 255 = 38.25; 300 is above 240.
        pytest.param((40, 400), 38, 255, id="abdomen"),
        pytest.param((100, 800), 64, 191, id="wide"),  # (-100 + 300) / 800 = 63.75; 600 / 800 = 191.25
        pytest.param((500, 200), 0, 0, id="above"),
    ],
)
def test_the_window_maps_hu_to_grey(window: tuple[float, float], tissue: int, bright: int) -> None:
    """Linear between centre minus and plus half the width, clipped outside."""
    assert (TISSUE_HU, BRIGHT_HU) == (-100, 300)
    scene = phantom()
    plane = plane_through(scene, "axial", IN_LESION)
    pixels = render_slice(
        scene, plane, Frame.whole(plane, width=180, height=200), replace(BARE, window=window)
    )
    # 0.5 mm a pixel: x = (mm + 45) / 0.5, y = (mm + 50) / 0.5.
    assert pixels[40, 46].tolist() == [bright] * 3
    assert pixels[150, 150].tolist() == [tissue] * 3


def test_the_outline_follows_the_voxels_edges() -> None:
    """The block's faces are at x -30 and -15, y -40 and -20: pixels 30 and 60, 20 and 60 at 0.5 mm."""
    scene = phantom()
    plane = plane_through(scene, "axial", IN_LESION)
    look = replace(BARE, show_lesions=True, markings={"L1": "resectable"})
    pixels = render_slice(scene, plane, Frame.whole(plane, width=180, height=200), look)
    drawn = coloured(pixels, STYLES["resectable"].colour)
    # Two pixels wide, centred on the face: the mean of their centres lies within half a pixel of it.
    across, along = np.flatnonzero(drawn[40]) + 0.5, np.flatnonzero(drawn[:, 45]) + 0.5
    assert [across[across < 45].mean(), across[across > 45].mean()] == pytest.approx([30, 60], abs=0.5)
    assert [along[along < 40].mean(), along[along > 40].mean()] == pytest.approx([20, 60], abs=0.5)
    assert not drawn[25:55, 35:55].any()


def test_markings_differ_without_colour() -> None:
    """In grey, each marking's outline and sign still differ from every other's.

    What a reader took out looks alike, be it a lesion that is no tumour or a region called physiological.
    """
    scene = phantom()
    plane = plane_through(scene, "axial", IN_LESION)
    frame = Frame.whole(plane, width=400, height=400)
    patterns = {}
    for word, style in STYLES.items():
        if word == "not_tumour":
            continue
        look = replace(BARE, show_lesions=True, annotated=True, markings={"L1": word})
        patterns[word] = coloured(render_slice(scene, plane, frame, look), style.colour)
    words = list(patterns)
    for n, one in enumerate(words):
        for other in words[n + 1 :]:
            assert (patterns[one] != patterns[other]).sum() > 60, (one, other)


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    """100 mm of picture: at most 20 mm; at 0.25 mm a pixel 80 pixels of white in the lowest rows."""
    scene = phantom(with_ct=False)
    plane = plane_through(scene, "axial", IN_LESION)
    frame = Frame.whole(plane, width=400, height=400)
    assert (frame.mm_per_pixel, bar_length_mm(100.0)) == (0.25, 20.0)
    pixels = render_slice(scene, plane, frame, Look(show_lesions=False))
    white = coloured(pixels[350:], (255, 255, 255))
    longest = max(len(run) for row in white for run in "".join("x" if w else " " for w in row).split())
    assert abs(longest - 80) <= 3


@pytest.mark.parametrize("order", ORDERS[::11])
@pytest.mark.parametrize("first", range(8))
def test_what_lies_between_two_slices_is_on_one_of_them(first: int, order: Order) -> None:
    """A lesion two 1 mm voxels high on a PET of 4 mm slices: outlined on each that holds a centre of it.

    PET slices lie at z = -38, -34, ...; masks' at -39.5, -38.5, ... So mask slice k belongs to PET slice
    k // 4, and the key slice is one that shows it.
    """
    pet_affine, mask_affine = np.diag([4.0, 4, 4, 1]), np.diag([1.0, 1, 1, 1])
    pet_affine[:3, 3], mask_affine[:3, 3] = (-38, -38, -38), (-39.5, -39.5, -39.5)
    values = np.ones((20, 20, 20), dtype=np.float32)
    pet = Volume.pet(Image(grid=grid_of(values, pet_affine), values=np.asfortranarray(values)), unit="SUV")
    dense = np.zeros((80, 80, 80), dtype=bool)
    dense[30:40, 30:40, 32 + first : 34 + first] = True
    mask, matrix = stored(dense, mask_affine, order)
    grid = grid_of(mask, matrix)
    shape = Shape.of("L1", grid, voxel_runs(np.asfortranarray(mask)))
    scene = Scene(ct=None, pet=pet, shapes=(shape,), mask_grid=grid)
    look = replace(BARE, show_lesions=True, markings={"L1": "resectable"})
    shown = []
    for index in range(20):
        plane = Plane(name="axial", grid=scene.grid, index=index)
        pixels = render_slice(scene, plane, Frame.whole(plane, width=160, height=160), look)
        drawn = coloured(pixels, STYLES["resectable"].colour)
        if drawn.any():
            shown.append(index)
            rows, columns = np.nonzero(drawn)  # 10 mm at 0.5 mm a pixel, and the line's width
            assert (int(np.ptp(rows)), int(np.ptp(columns))) == (21, 21)
    assert shown == sorted({(32 + first) // 4, (33 + first) // 4})
    assert key_plane(scene, shape).index in shown


@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("name", PLANES)
def test_pet_is_sampled_where_the_plane_lies(name: PlaneName, tilted: bool) -> None:
    """SUV linear in place comes out exact: f = 5 + 0.01 x + 0.02 y + 0.03 z, parallel and oblique."""
    slope = np.array([0.01, 0.02, 0.03])
    matrix = oblique(3, (4.0, 4.0, 3.0), tilt=0.4 if tilted else 0.0)
    matrix[:3, 3] = -matrix[:3, :3] @ np.array([30, 30, 40])  # voxel (30, 30, 40) at the origin
    grid = VoxelGrid(shape=(60, 60, 80), affine=matrix)
    centres = grid.to_mm(np.argwhere(np.ones(grid.shape)))
    values = (5 + centres @ slope).reshape(grid.shape).astype(np.float32)
    pet = Image(grid=grid, values=np.asfortranarray(values))
    scene = phantom(ORDERS[9], pet=pet)
    plane = plane_through(scene, name, IN_LESION)
    frame = Frame.whole(plane, width=120, height=120)
    assert scene.pet is not None
    found = sample(scene.pet, plane, frame)
    y, x = np.mgrid[20:100, 20:100]
    uv = np.stack(
        [frame.left_mm + (x + 0.5) * frame.mm_per_pixel, frame.top_mm + (y + 0.5) * frame.mm_per_pixel], -1
    )
    assert np.abs(found[20:100, 20:100] - (5 + plane.to_mm(uv) @ slope)).max() < 2e-3


def test_outside_its_field_pet_is_nothing() -> None:
    """A PET that ends at x = 0 (faces at -40 and 0): half of the picture is CT alone."""
    matrix = np.diag([4.0, 4.0, 4.0, 1.0])
    matrix[:3, 3] = (-38, -58, -58)
    values = np.full((10, 30, 30), 8.0, dtype=np.float32, order="F")
    scene = phantom(pet=Image(grid=grid_of(values, matrix), values=values))
    plane = plane_through(scene, "axial", (0, 0, 0))
    frame = Frame.whole(plane, width=180, height=200)
    look = replace(BARE, suv_max=8.0, pet_opacity=1.0)
    pixels = render_slice(scene, plane, frame, look)
    assert pixels[100, 60].tolist() == hot_colours()[255].tolist() == [255, 255, 255]
    assert pixels[100, 120].tolist() == [38, 38, 38]  # the CT's -100 HU, as above


def test_pet_alone_is_black_on_white() -> None:
    """SUV 0 white, half the scale grey, its top black."""
    values = np.zeros((60, 50, 40), dtype=np.float32, order="F")
    values[:, 25:] = 5
    values[40:, 25:] = 10
    scene = phantom(
        with_ct=False, pet=Image(grid=VoxelGrid(shape=(60, 50, 40), affine=affine()), values=values)
    )
    plane = plane_through(scene, "axial", (0, 0, 0))
    pixels = render_slice(scene, plane, Frame.whole(plane, width=180, height=200), replace(BARE, suv_max=10))
    assert [int(pixels[y, x, 0]) for y, x in ((40, 60), (150, 60), (150, 150))] == [255, 128, 0]


def test_nan_and_infinite_values_are_drawn(recwarn: pytest.WarningsRecorder) -> None:
    """NaN in a CT is air, in a PET nothing; no warning, no crash."""
    values: NDArray[np.float32] = np.full((4, 4, 4), np.nan, dtype=np.float32, order="F")
    values[0, 0, 0], values[1, 1, 1] = np.inf, -np.inf
    grid = VoxelGrid(shape=(4, 4, 4), affine=np.eye(4))
    ct = Volume.ct(grid, values)
    assert (int(ct.values[2, 2, 2]), int(ct.values[0, 0, 0]), int(ct.values[1, 1, 1])) == (
        -32768,
        32767,
        -32768,
    )
    assert not np.isnan(Volume.pet(Image(grid=grid, values=values), unit="SUV").values).any()
    assert len(recwarn) == 0


def test_a_masks_only_case_is_drawn() -> None:
    """Without any image the lesion still has its outline, and the picture says what it is."""
    scene = phantom(with_ct=False)
    plane = plane_through(scene, "coronal", IN_LESION)
    pixels = render_slice(
        scene, plane, Frame.whole(plane, width=300, height=300), Look(markings={"L1": "unknown"})
    )
    assert coloured(pixels, STYLES["unknown"].colour).sum() > 50


def test_a_name_is_not_covered_by_the_colour_scale() -> None:
    """A lesion at the upper right: its name's pixels are all there, as on a picture without a scale."""
    scene = phantom(pet=Image(grid=VoxelGrid(shape=(4, 4, 4), affine=np.diag([40.0, 40, 40, 1])),
                              values=np.zeros((4, 4, 4), dtype=np.float32, order="F")))  # fmt: skip
    plane = plane_through(scene, "axial", IN_LESION)
    # The block's face at x = -15 is at pixel 170, that at y = -40 at 60; the scale at 188 to 195, 27 to 77.
    frame = Frame(width=200, height=200, left_mm=-55, top_mm=-20, mm_per_pixel=0.5)
    look = Look(markings={"L1": "resectable"})
    named = coloured(render_slice(scene, plane, frame, look), STYLES["resectable"].colour)
    alone = coloured(render_slice(replace(scene, pet=None), plane, frame, look), STYLES["resectable"].colour)
    assert alone.any()
    assert np.array_equal(named, alone)


@pytest.mark.parametrize("left_mm", [-60.0, 40.0])
def test_a_lesion_outside_the_picture_has_no_name_in_it(left_mm: float) -> None:
    """Beside it, on the same slice: no name at the edge, where it would be taken for another's."""
    scene = phantom()
    plane = plane_through(scene, "axial", IN_LESION)
    frame = Frame(width=100, height=100, left_mm=left_mm, top_mm=0, mm_per_pixel=0.5)
    pixels = render_slice(scene, plane, frame, Look(markings={"L1": "unresectable"}, selected="L1"))
    assert not coloured(pixels, STYLES["unresectable"].colour).any()
