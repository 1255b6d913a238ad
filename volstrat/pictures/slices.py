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

from volstrat.pictures.annotations import annotate, draw_label
from volstrat.pictures.captions import hot_colours, pet_scale, position_caption, window_captions
from volstrat.pictures.outline_drawing import draw_lines, draw_outline, draw_planned
from volstrat.pictures.outlines import outlines
from volstrat.pictures.planes import Frame, PatientView, Plane
from volstrat.pictures.sampling import in_voxels, sample
from volstrat.pictures.scene import AVID
from volstrat.show.styles import AVID_COLOUR, DRAWN_FIRST, STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.pictures.scene import Scene, Shape, Volume

    Pixels = NDArray[np.uint8]
    Float64s = NDArray[np.float64]

Layer = Literal["fused", "ct", "pet"]

WINDOWS: dict[str, tuple[float, float]] = {
    "abdomen": (40, 400),
    "liver": (60, 160),
    "lung": (-600, 1500),
    "bone": (400, 1800),
}
"""Centre and width, HU."""

_PARALLEL_COSINE = 1 - 1e-6
_TIE = 1e-6
_SAME_PLACE_MM = 0.01
_MOST_NAMES = 14
_BACKGROUND = 16
_UNTOUCHED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a picture is drawn.

    Parameters
    ----------
    window : tuple of float
        Centre and width of the CT window, HU.
    suv_max : float
        Top of the PET scale.
    pet_opacity : float
        0 hides the PET on the CT, 1 shows the hottest voxels alone.
    markings : mapping of str to str
        A word of `STYLES` for each shape.
    selected : str
        The shape to stress; "" for none.
    layer : {"fused", "ct", "pet"}
        Which images are drawn: the PET over the CT, the CT alone, or the PET alone, black on white.
    show_lesions, show_avid : bool
    annotated : bool
        Side letters, scale bar, window, position and names.
    """

    window: tuple[float, float] = WINDOWS["abdomen"]
    suv_max: float = 10.0
    pet_opacity: float = 0.6
    markings: Mapping[str, str] = field(default_factory=dict)
    selected: str = ""
    layer: Layer = "fused"
    show_lesions: bool = True
    show_avid: bool = True
    annotated: bool = True


def render_slice(scene: Scene, plane: Plane, frame: Frame, look: Look) -> Pixels:
    """Draw a slice.

    Returns
    -------
    array of uint8, (height, width, 3)
    """
    from PIL import Image as Pil

    grey = _ground(scene, plane, frame, look)
    if _is_fused(scene, look):
        assert scene.pet is not None
        picture = _blend(grey, sample(scene.pet, plane, frame), look)
    else:
        picture = Pil.fromarray(grey).convert("RGB")
    drawn = _draw_shapes(picture, scene, plane, frame, look)
    if look.annotated:
        annotate(
            picture,
            letters=plane.letters(),
            mm_per_pixel=frame.mm_per_pixel,
            captions=(*position_caption(plane), *_windows(scene, look)),
            scale=_shown_scale(scene, look),
            light=_is_pet_alone(scene, look),
        )
        draw_names(picture, drawn, look)  # last: a colour scale over a 3 leaves another lesion's name
    pixels: Pixels = np.asarray(picture)
    return pixels


def _ground(scene: Scene, plane: Plane, frame: Frame, look: Look) -> Pixels:
    """Return the grey picture below everything: the CT, or the PET, black on white, or the field."""
    if _is_pet_alone(scene, look) and scene.pet is not None:
        return _shaded(scene.pet, plane, frame, look.suv_max, 0.0)
    if scene.ct is not None:
        centre, width = look.window
        low = centre - width / 2
        return _shaded(scene.ct, plane, frame, low, low + width)
    grey = np.full((frame.height, frame.width), _BACKGROUND, dtype=np.uint8)
    columns, rows, _ = _visible(plane, frame)
    grey[rows, columns] = _UNTOUCHED
    return grey


def _shaded(volume: Volume, plane: Plane, frame: Frame, black: float, white: float) -> Pixels:
    """Return an image on a plane between black and white, whatever its own grid."""
    if _lies_on(volume.view.grid, plane.grid):
        return _grey(volume, plane, frame, black, white)
    return windowed(sample(volume, plane, frame, outside=min(black, white)), black, white)


def _lies_on(own: VoxelGrid, grid: VoxelGrid) -> bool:
    if own is grid:
        return True
    return own.shape == grid.shape and bool(
        np.abs(own.corners_mm() - grid.corners_mm()).max() < _SAME_PLACE_MM
    )


def _is_pet_alone(scene: Scene, look: Look) -> bool:
    return scene.pet is not None and (scene.ct is None or look.layer == "pet")


def _is_fused(scene: Scene, look: Look) -> bool:
    both = scene.ct is not None and scene.pet is not None
    return both and look.layer == "fused" and look.pet_opacity > 0


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


def _grey(volume: Volume, plane: Plane, frame: Frame, black: float, white: float) -> Pixels:
    outside = _BACKGROUND if white > black else 255
    columns, rows, box = _visible(plane, frame)
    out = np.full((frame.height, frame.width), outside, dtype=np.uint8)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if min(size) > 0 and box[0] < box[2] and box[1] < box[3]:
        flat = plane.cut(volume.values)
        part, within = _in_sight(flat.shape, box, size)  # what is not seen is not scaled either
        shown = windowed(flat[part], black, white)
        out[rows, columns] = _resized(shown, size, within)
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


def _resized(pixels: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> Pixels:
    from PIL import Image as Pil

    picture = Pil.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize(size, Pil.Resampling.BILINEAR, box=box))


def windowed(values: NDArray[np.generic], black: float, white: float) -> Pixels:
    """Scale values to 8 bits between those that are drawn black and white."""
    scaled = (values.astype(np.float32) - np.float32(black)) * np.float32(255 / (white - black))
    np.clip(scaled, 0, 255, out=scaled)
    pixels: Pixels = np.rint(scaled).astype(np.uint8)
    return pixels


def into_frame(flat: Pixels, plane: Plane, frame: Frame, *, outside: int) -> Pixels:
    """Lay a slice (a pixel a voxel) into the frame at its scale."""
    columns, rows, box = _visible(plane, frame)
    out = np.full((frame.height, frame.width), outside, dtype=np.uint8)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if min(size) > 0 and box[0] < box[2] and box[1] < box[3]:
        out[rows, columns] = _resized(flat, size, box)
    return out


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
    for shape in _cut(scene.planned, plane) if look.show_lesions else ():
        lines = [frame.to_pixels(p) for p in _cross_section(shape, plane) or ()]
        draw_planned(draw, lines, shape.name)
    for shape, word in in_order(_cut(scene.shapes, plane), look):
        loops = _cross_section(shape, plane)
        if loops is None:
            continue
        polygons = [frame.to_pixels(p) for p in loops]
        if shape.name == AVID:
            draw_lines(draw, polygons, colour=AVID_COLOUR, width=1)
        else:
            draw_outline(draw, polygons, STYLES[word], selected=shape.name == look.selected)
            drawn.append((shape.name, word, np.concatenate(polygons)))
    return drawn


def outlines_on(scene: Scene, plane: Plane) -> Iterator[tuple[str, list[Float64s]]]:
    """Yield the name and the outlines (mm on the plane) of every shape that a plane's slice shows."""
    for shape in _cut(scene.shapes, plane):
        loops = _cross_section(shape, plane)
        if loops is not None:
            yield shape.name, loops


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
            draw_label(picture, (x + 5, y - 5), name, STYLES[word], selected=name == look.selected)


def in_order(shapes: Sequence[Shape], look: Look) -> list[tuple[Shape, str]]:
    """Return shapes and words in the order of drawing: what stands in the way on top, the selected last."""
    marked_shapes = [(s, look.markings.get(s.name, "unknown")) for s in shapes if _shown(s, look)]
    return sorted(
        marked_shapes,
        key=lambda pair: (
            pair[0].name != AVID,
            pair[0].name == look.selected,
            DRAWN_FIRST.index(pair[1]),
        ),
    )


def _shown(shape: Shape, look: Look) -> bool:
    return look.show_avid if shape.name == AVID else look.show_lesions


@lru_cache(maxsize=4)
def _boxes(shapes: tuple[Shape, ...]) -> Float64s:
    """Return the boxes of a scene's shapes, (shapes, 2, 3)."""
    return np.array([shape.box_mm for shape in shapes])


def _cut(shapes: tuple[Shape, ...], plane: Plane) -> list[Shape]:
    """Return the shapes whose boxes the plane cuts."""
    if not shapes:
        return []
    boxes = _boxes(shapes)
    along, start = plane.grid.inverse[plane.normal, :3], plane.grid.inverse[plane.normal, 3]
    ends = boxes * along
    low, high = ends.min(axis=1).sum(axis=1) + start, ends.max(axis=1).sum(axis=1) + start
    cut = (low - 0.5 <= plane.index) & (plane.index <= high + 0.5)
    return [shape for shape, is_cut in zip(shapes, cut.tolist(), strict=True) if is_cut]


def _cross_section(shape: Shape, plane: Plane) -> list[Float64s] | None:
    """Outlines (mm on the plane) of a shape within the plane's slice, or None."""
    corners = box_corners(shape.box_mm)
    low, step, counts = lattice(shape, plane, plane.to_plane(corners))
    u = low[0] + step[0] * np.arange(counts[0])
    v = low[1] + step[1] * np.arange(counts[1])
    origin, right, down = in_voxels(plane, shape.grid)
    index = (origin + u[None, :, None] * right + v[:, None, None] * down).reshape(-1, 3)
    through = shape.grid.inverse[:3, :3] @ plane.grid.affine[:3, plane.normal]
    inside = np.zeros(len(index), dtype=bool)
    for depth in depths(shape.grid, plane):
        at = shape.grid.voxel_at(index + depth * through)
        inside |= shape.voxels.contains(shape.grid.ravel(at)) & (at[:, 0] >= 0)
    if not inside.any():
        return None
    return [
        np.array(low) + (p - 0.5) * np.array(step) for p in outlines(inside.reshape(counts[1], counts[0]))
    ]


def depths(grid: VoxelGrid, plane: Plane) -> list[float]:
    """Say where in a slice a shape is looked for, in slices from its middle.

    In the middle; where the shape's voxels are thinner than the slice, at each of their centres within it,
    so that what lies between two slices' middles is on one of them.
    """
    own, axis = _patient_grid(grid), plane.normal
    normal = plane.grid.directions[:, axis]
    thickness = float(own.spacing_mm @ np.abs(normal @ own.directions)) / plane.grid.spacing_mm[axis]
    if thickness > _PARALLEL_COSINE:
        return [0.0]
    if not _parallel(own, plane.grid):
        count = int(np.ceil(1 / thickness))
        return [(n + 0.5) / count - 0.5 for n in range(count)]
    first = float(plane.grid.to_index(own.affine[:3, 3])[axis]) - plane.index
    centres = first + thickness * np.arange(own.shape[axis])
    within = centres[np.abs(centres) <= 0.5 + _TIE]  # on the border: in both slices
    return [float(depth) for depth in within] or [0.0]


def _parallel(own: VoxelGrid, other: VoxelGrid) -> bool:
    """Tell whether the axes of two grids in patient order run parallel."""
    return bool(((own.directions * other.directions).sum(axis=0) > _PARALLEL_COSINE).all())


def box_corners(box: Float64s) -> Float64s:
    """Return the eight corners of a box (2, 3)."""
    bits = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
    corners: Float64s = np.where(bits, box[1], box[0])
    return corners


@lru_cache(maxsize=16)
def _patient_grid(grid: VoxelGrid) -> VoxelGrid:
    return PatientView.of(grid).grid


def lattice(
    shape: Shape, plane: Plane, around: Float64s, *, coarse: bool = False
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """Lay a net of points over a shape: its own voxel centres where both run parallel, else a fine one.

    Parameters
    ----------
    around : array, (n, 2)
        Positions on the plane that the net must hold.
    coarse : bool
        Where they do not run parallel, a net with at least one voxel centre in each mesh.

    Returns
    -------
    low, step, counts : tuple of two
        First point, distance (mm) and number of points, to the right and down.
    """
    own = _patient_grid(shape.grid)
    axes = (plane.columns, plane.rows)
    if _parallel(own, plane.grid):
        step = (own.spacing_mm[axes[0]], own.spacing_mm[axes[1]])
        anchor = plane.to_plane(own.affine[:3, 3])
    else:
        mesh = max(own.spacing_mm) if coarse else min(own.spacing_mm) / 2
        step = (mesh, mesh)
        anchor = around.min(axis=0)
    low, counts = [], []
    for a in range(2):
        first = np.floor((around[:, a].min() - anchor[a]) / step[a])
        last = np.ceil((around[:, a].max() - anchor[a]) / step[a])
        low.append(float(anchor[a] + first * step[a]))
        counts.append(int(last - first) + 1)
    return (low[0], low[1]), step, (counts[0], counts[1])


def _windows(scene: Scene, look: Look) -> tuple[str, ...]:
    alone = _is_pet_alone(scene, look)
    return window_captions(
        None if alone else scene.ct,
        scene.pet if alone or _is_fused(scene, look) else None,
        window=look.window,
        suv_max=look.suv_max,
    )


def _shown_scale(scene: Scene, look: Look) -> tuple[NDArray[np.uint8], str, float] | None:
    if scene.pet is None or not (_is_pet_alone(scene, look) or _is_fused(scene, look)):
        return None
    return pet_scale(scene.pet.unit, look.suv_max, hot=_is_fused(scene, look))
