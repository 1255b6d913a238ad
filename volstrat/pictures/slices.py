"""The one renderer: slices and projections of a case as pixels.

`render_slice` draws a plane of the CT (else the PET, else the masks alone) with the PET blended in and
the lesions outlined along their own voxels; `volstrat.pictures.projections` draws what lies behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.pictures.annotations import (
    annotate,
    draw_label,
    hot_colours,
    pet_scale,
    position_caption,
    window_captions,
)
from volstrat.pictures.outlines import draw_lines, draw_outline, draw_planned
from volstrat.pictures.planes import Frame, Plane
from volstrat.pictures.scene import AVID
from volstrat.show.styles import AVID_COLOUR, DRAWN_FIRST, STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    from volstrat.geometry.array_types import Float64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.scene import Scene, Shape

    Pixels = NDArray[np.uint8]
    Float32s = NDArray[np.float32]

Layer = Literal["fused", "ct", "pet"]

WINDOWS: dict[str, tuple[float, float]] = {
    "abdomen": (40, 400),
    "liver": (60, 160),
    "lung": (-600, 1500),
    "bone": (400, 1800),
}
"""Centre and width, HU."""

_SAME_PLACE_MM = 0.01
_MOST_NAMES = 14
_BACKGROUND = 16
_UNTOUCHED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a picture is drawn."""

    window: tuple[float, float] = WINDOWS["abdomen"]  # centre and width of the CT window, HU
    suv_max: float = 10.0  # top of the PET scale
    pet_opacity: float = 0.6  # 0 hides the PET on the CT, 1 shows the hottest voxels alone
    markings: Mapping[str, str] = field(default_factory=dict)  # a word of `STYLES` for each shape
    selected: str = ""  # the shape to stress; "" for none
    # Which images are drawn: the PET over the CT, the CT alone, or the PET alone, black on white.
    layer: Layer = "fused"
    show_lesions: bool = True  # and what is avid, and planned
    annotated: bool = True  # side letters, scale bar, window, position and names


def render_slice(scene: Scene, plane: Plane, frame: Frame, look: Look) -> Pixels:
    """Draw a slice, (height, width, 3)."""
    from PIL import Image as Pil

    ct, pet = scene.ct, scene.pet
    alone = pet is not None and (ct is None or look.layer == "pet")
    fused = not alone and look.layer == "fused" and look.pet_opacity > 0
    drawn_pet = pet if alone or fused else None
    grey = _ground(ct, pet if alone else None, plane, frame, look)
    if drawn_pet is None or alone:
        picture = Pil.fromarray(grey).convert("RGB")
    else:
        picture = _blend(grey, sample(drawn_pet, plane, frame), look)
    drawn = _draw_shapes(picture, scene, plane, frame, look)
    if look.annotated:
        named = window_captions(None if alone else ct, drawn_pet, window=look.window, suv_max=look.suv_max)
        annotate(
            picture,
            letters=plane.letters(),
            mm_per_pixel=frame.mm_per_pixel,
            captions=(*position_caption(plane), *named),
            scale=None if drawn_pet is None else pet_scale(drawn_pet.unit, look.suv_max, hot=not alone),
            light=alone,
        )
        draw_names(picture, drawn, look)  # last: a colour scale over a 3 leaves another lesion's name
    pixels: Pixels = np.asarray(picture)
    return pixels


def _ground(ct: Volume | None, pet: Volume | None, plane: Plane, frame: Frame, look: Look) -> Pixels:
    """Return the grey picture below everything: a PET alone, black on white, or the CT, or the field."""
    if pet is not None:
        return _shaded(pet, plane, frame, look.suv_max, 0.0)
    if ct is not None:
        centre, width = look.window
        low = centre - width / 2
        return _shaded(ct, plane, frame, low, low + width)
    grey = np.full((frame.height, frame.width), _BACKGROUND, dtype=np.uint8)
    columns, rows, _ = _visible(plane, frame)
    grey[rows, columns] = _UNTOUCHED
    return grey


def _shaded(volume: Volume, plane: Plane, frame: Frame, black: float, white: float) -> Pixels:
    """Return an image on a plane between black and white, whatever its own grid."""
    if _lies_on(volume.view.grid, plane.grid):
        outside = _BACKGROUND if white > black else 255
        return into_frame(plane.cut(volume.values), plane, frame, black, white, outside=outside)
    return windowed(sample(volume, plane, frame, outside=min(black, white)), black, white)


def _lies_on(own: VoxelGrid, grid: VoxelGrid) -> bool:
    if own is grid:
        return True
    return own.shape == grid.shape and bool(
        np.abs(own.corners_mm() - grid.corners_mm()).max() < _SAME_PLACE_MM
    )


def _visible(plane: Plane, frame: Frame) -> tuple[slice, slice, tuple[float, float, float, float]]:
    """Pixels of the frame that lie on the plane, and the box in voxels (columns, rows) below them."""
    low = frame.to_pixels(np.zeros(2))
    high = frame.to_pixels(np.array(plane.size_mm))
    limits = (frame.width, frame.height)
    first = [int(np.clip(np.ceil(low[a] - 1e-6), 0, limits[a])) for a in range(2)]
    last = [int(np.clip(np.floor(high[a] + 1e-6), first[a], limits[a])) for a in range(2)]
    spacing = (plane.grid.spacing_mm[plane.columns], plane.grid.spacing_mm[plane.rows])
    shape = (plane.grid.shape[plane.columns], plane.grid.shape[plane.rows])
    corner = (frame.left_mm, frame.top_mm)
    box = [
        float(np.clip((corner[a] + frame.mm_per_pixel * end) / spacing[a], 0, shape[a]))
        for end_of in (first, last)
        for a, end in enumerate(end_of)
    ]
    return slice(first[0], last[0]), slice(first[1], last[1]), (box[0], box[1], box[2], box[3])


def into_frame(
    flat: NDArray[np.generic], plane: Plane, frame: Frame, black: float, white: float, *, outside: int
) -> Pixels:
    """Lay a slice (a value a voxel) into the frame at its scale, as 8 bits between black and white."""
    from PIL import Image as Pil

    columns, rows, box = _visible(plane, frame)
    out = np.full((frame.height, frame.width), outside, dtype=np.uint8)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if min(size) > 0 and box[0] < box[2] and box[1] < box[3]:
        part, within = _in_sight(flat.shape, box, size)  # what is not seen is not scaled either
        seen = Pil.fromarray(np.ascontiguousarray(windowed(flat[part], black, white)))
        out[rows, columns] = np.asarray(seen.resize(size, Pil.Resampling.BILINEAR, box=within))
    return out


def _in_sight(
    shape: tuple[int, ...], box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[float, float, float, float]]:
    """Return the part of a slice that a box of it (columns, rows) is interpolated from, and the box in it."""
    parts, starts = [], []
    for axis in (1, 0):
        low, high, count = box[axis], box[axis + 2], shape[1 - axis]
        margin = 2 + int((high - low) / size[axis])
        first = max(int(low) - margin, 0)
        parts.append(slice(first, min(int(np.ceil(high)) + margin, count)))
        starts.append(first)
    top, left = starts
    return (parts[0], parts[1]), (box[0] - left, box[1] - top, box[2] - left, box[3] - top)


def windowed(values: NDArray[np.generic], black: float, white: float) -> Pixels:
    """Scale values to 8 bits between those that are drawn black and white."""
    scaled = (values.astype(np.float32) - np.float32(black)) * np.float32(255 / (white - black))
    np.clip(scaled, 0, 255, out=scaled)
    pixels: Pixels = np.rint(scaled).astype(np.uint8)
    return pixels


def _blend(grey: Pixels, suv: NDArray[np.float32], look: Look) -> PilImage:
    """Lay the PET over the CT: the hotter, the less the CT shines through."""
    from PIL import Image as Pil

    step = np.clip(suv * np.float32(255 / look.suv_max), 0, 255).astype(np.uint16)
    height, width = grey.shape
    mixed = np.take(_mixtures(look.pet_opacity), step * 256 + grey)
    return Pil.frombuffer("RGBX", (width, height), mixed, "raw", "RGBX", 0, 1).convert("RGB")


@lru_cache(maxsize=8)
def _mixtures(opacity: float) -> NDArray[np.uint32]:
    """Return the pixel of each PET level (256) over each grey (256), as red, green, blue and nothing."""
    # From a third of the scale on, fully from two: what is as hot as normal liver stays grey.
    strength = opacity * np.clip((np.arange(256) - 85) / 85, 0, 1)
    mixed = np.zeros((256, 256, 4), dtype=np.uint8)
    mixed[..., :3] = np.rint(
        hot_colours()[:, None] * strength[:, None, None]
        + np.arange(256)[None, :, None] * (1 - strength)[:, None, None]
    )
    return mixed.view(np.uint32).reshape(-1)


def _draw_shapes(
    picture: PilImage, scene: Scene, plane: Plane, frame: Frame, look: Look
) -> list[tuple[str, str, Float64s]]:
    """Draw outlines, and return name, word and corners of each."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    drawn = []
    for shape, loops in scene.planned_sections.on(plane) if look.show_lesions else ():
        draw_planned(draw, [frame.to_pixels(p) for p in loops], shape.name)
    outlined = dict(scene.sections.on(plane)) if look.show_lesions else {}
    for shape, word in in_order(list(outlined), look):
        polygons = [frame.to_pixels(p) for p in outlined[shape]]
        if shape.name == AVID:
            draw_lines(draw, polygons, colour=AVID_COLOUR, width=1)
        else:
            draw_outline(draw, polygons, STYLES[word], selected=shape.name == look.selected)
            drawn.append((shape.name, word, np.concatenate(polygons)))
    return drawn


def draw_names(picture: PilImage, drawn: Sequence[tuple[str, str, Float64s]], look: Look) -> None:
    """Write names and signs beside outlines: of all where there are few, else of the selected one.

    What lies outside the picture has no name in it.
    """
    seen = [
        (n, word, c)
        for n, word, c in drawn
        if (c.max(axis=0) > 0).all() and (c.min(axis=0) < picture.size).all()
    ]
    for name, word, corners in seen:
        if len(seen) <= _MOST_NAMES or name == look.selected:
            x, y = corners[np.argmax(corners[:, 0] - corners[:, 1])].tolist()
            beside = 14 if name == look.selected else 5  # a selected one has brackets round it
            draw_label(picture, (x + beside, y - 5), name, STYLES[word], selected=name == look.selected)


def in_order(shapes: Sequence[Shape], look: Look) -> list[tuple[Shape, str]]:
    """Return shapes and words in the order of drawing: what stands in the way on top, the selected last."""

    def rank(pair: tuple[Shape, str]) -> tuple[bool, bool, int]:
        shape, word = pair
        return shape.name != AVID, shape.name == look.selected, DRAWN_FIRST.index(word)

    return sorted(((s, look.markings.get(s.name, "unknown")) for s in shapes), key=rank)


_POINTS_A_VOXEL = 1.5
_ALIGNED = 1e-6


def sample(volume: Volume, plane: Plane, frame: Frame, *, outside: float = 0.0) -> Float32s:
    """Interpolate an image on a plane of another grid (trilinear), a value a pixel, (height, width).

    It is asked at points closer than its voxels, and what lies between them is interpolated again; off its
    field it has the value ``outside``.
    """
    from PIL import Image as Pil

    grid = volume.view.grid
    pitch = min(grid.spacing_mm) / _POINTS_A_VOXEL
    size_mm = (frame.width * frame.mm_per_pixel, frame.height * frame.mm_per_pixel)
    columns = min(frame.width, int(np.ceil(size_mm[0] / pitch)))
    rows = min(frame.height, int(np.ceil(size_mm[1] / pitch)))
    u = frame.left_mm + (np.arange(columns) + 0.5) * size_mm[0] / columns
    v = frame.top_mm + (np.arange(rows) + 0.5) * size_mm[1] / rows
    origin, right, down = plane.in_voxels(grid)
    follows = np.abs(np.stack((right, down))) > _ALIGNED
    if (follows.sum(axis=0) <= 1).all() and (follows.sum(axis=1) == 1).all():
        across, along = (int(np.argmax(row)) for row in follows)
        lines = [origin[a : a + 1] for a in range(3)]
        lines[across] = origin[across] + right[across] * u
        lines[along] = origin[along] + down[along] * v
        coarse = _separable(volume.values, lines, across=across, along=along)
        kept = [_inside(line, count) for line, count in zip(lines, volume.values.shape, strict=True)]
        inside = kept[along][:, None] & kept[across][None, :] & kept[3 - across - along][0]
    else:
        index = [origin[a] + right[a] * u[None, :] + down[a] * v[:, None] for a in range(3)]
        coarse = _trilinear(volume.values, index)
        inside = np.ones(coarse.shape, dtype=bool)
        for a in range(3):
            inside &= _inside(index[a], volume.values.shape[a])
    if outside:
        coarse[~inside] = outside
    fine = Pil.fromarray(coarse).resize((frame.width, frame.height), Pil.Resampling.BILINEAR)
    return np.asarray(fine)


def _neighbours(index: Float64s, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32s]:
    """Return the voxels below and above an index, and the share of the one above."""
    at = np.clip(index, 0, count - 1)
    low = np.minimum(at.astype(np.intp), max(count - 2, 0))
    return low, np.minimum(low + 1, count - 1), (at - low).astype(np.float32)


def _inside(index: Float64s, count: int) -> NDArray[np.bool_]:
    return (index >= -0.5) & (index <= count - 0.5)


def _separable(
    values: NDArray[np.generic], lines: Sequence[Float64s], *, across: int, along: int
) -> Float32s:
    """Interpolate where two axes of the image follow the picture's width (``across``) and height (``along``).

    ``lines`` hold the index along each axis; one element for the axis that looks out of the plane.
    """
    through = 3 - across - along
    low, high, share = _neighbours(lines[through], values.shape[through])
    weight = share[0] * _inside(lines[through], values.shape[through])[0]
    rest = (1 - share[0]) * _inside(lines[through], values.shape[through])[0]
    at: list[slice | int] = [slice(None)] * 3
    at[through] = int(low[0])
    flat = values[tuple(at)] * rest
    at[through] = int(high[0])
    flat = flat + values[tuple(at)] * weight
    if across < along:
        flat = flat.T
    for axis, line in enumerate((lines[along], lines[across])):
        low, high, share = _neighbours(line, flat.shape[axis])
        kept = _inside(line, flat.shape[axis])
        before, after = (1 - share) * kept, share * kept
        if axis == 0:
            before, after = before[:, None], after[:, None]
        flat = np.take(flat, low, axis) * before + np.take(flat, high, axis) * after
    return np.ascontiguousarray(flat, dtype=np.float32)


def _trilinear(values: NDArray[np.generic], index: Sequence[Float64s]) -> Float32s:
    """Interpolate at any points, index arrays (rows, columns) one an axis."""
    inside = np.ones(index[0].shape, dtype=bool)
    for a in range(3):
        inside &= _inside(index[a], values.shape[a])
    result = np.zeros(inside.shape, dtype=np.float32)
    ends = [_neighbours(index[a][inside], values.shape[a]) for a in range(3)]
    total = np.zeros(int(inside.sum()), dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        weight = np.ones(total.size, dtype=np.float32)
        for a, bit in enumerate(corner):
            weight *= ends[a][2] if bit else 1 - ends[a][2]
        total += weight * values[tuple(ends[a][bit] for a, bit in enumerate(corner))]
    result[inside] = total
    return result
