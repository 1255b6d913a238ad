"""Projections: along a case's axes the PET's maximum intensities and the lesions; the PET from all round."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.pictures.annotations import annotate, pet_scale, window_captions
from volstrat.pictures.cross_sections import box_corners, lattice
from volstrat.pictures.outlines import draw_outline, outlines
from volstrat.pictures.planes import Frame, Plane, side_letters
from volstrat.pictures.scene import AVID
from volstrat.pictures.slices import draw_names, in_order, into_frame, windowed
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    from volstrat.geometry.array_types import Float64s
    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.scene import Scene, Shape
    from volstrat.pictures.slices import Look

    Pixels = NDArray[np.uint8]

Projected = Literal["pet", "lesions"]

_FAINT = 0.35
_BONES_HU = (150.0, 1300.0)
_FILL_OPACITY = 150


class Projections:
    """Projections of one case along the axes of its PET, else of its CT, else of its masks.

    What takes long is computed once for each direction.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._volume = scene.pet or scene.ct
        self._grid = scene.grid if self._volume is None else self._volume.view.grid
        self._flat: dict[PlaneName, NDArray[np.generic]] = {}
        self._shadows: dict[tuple[PlaneName, str], list[Float64s]] = {}

    def plane(self, name: PlaneName) -> Plane:
        """Return the plane that is looked through."""
        return Plane(name=name, grid=self._grid, index=0)

    def box(self, name: PlaneName) -> tuple[float, float, float, float]:
        """Return the box ``(left, top, right, bottom)`` in mm that holds the field and every lesion."""
        plane = self.plane(name)
        corners = [np.zeros((1, 2)), np.array([plane.size_mm])]
        corners += [plane.to_plane(box_corners(s.box_mm)) for s in self._scene.shapes if s.name != AVID]
        every = np.concatenate(corners)
        (left, top), (right, bottom) = every.min(axis=0), every.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def render(
        self, name: PlaneName, *, of: Projected, width: int, height: int, look: Look
    ) -> NDArray[np.uint8]:
        """Draw a projection, (height, width, 3).

        ``of`` "pet": its highest values, black on white (blank without PET); "lesions": these, filled, over a
        faint picture of the PET, else of the CT's bones.
        """
        from PIL import Image as Pil

        frame = Frame.around(self.plane(name), self.box(name), width=width, height=height)
        grey = self._background(name, frame, look, of)
        picture = Pil.fromarray(np.repeat(grey[..., None], 3, axis=2))
        drawn = []
        if of == "lesions" and look.show_lesions:
            drawn = self._draw_lesions(picture, name, frame, look)
        if look.annotated:
            what = f"PET {self._unit() or '(no SUV)'} 0 to {look.suv_max:g}"
            captions = (f"{name} MIP", what) if of == "pet" else (f"{name}, all lesions", "projection")
            annotate(
                picture,
                letters=self.plane(name).letters(),
                mm_per_pixel=frame.mm_per_pixel,
                captions=captions,
                scale=pet_scale(self._unit(), look.suv_max, hot=False) if of == "pet" else None,
                light=True,
            )
            draw_names(picture, drawn, look)
        return np.asarray(picture)

    def _unit(self) -> str:
        return "" if self._scene.pet is None else self._scene.pet.unit

    def _background(self, name: PlaneName, frame: Frame, look: Look, of: Projected) -> Pixels:
        plane = self.plane(name)
        if self._volume is None:
            return np.full((frame.height, frame.width), 255, dtype=np.uint8)
        flat = plane.flatten(self._flattened(name))
        if self._volume.kind == "PET":
            inked = into_frame(flat, plane, frame, 0.0, look.suv_max, outside=0)
            return (255 - inked * (1.0 if of == "pet" else _FAINT)).astype(np.uint8)
        inked = into_frame(flat, plane, frame, *_BONES_HU, outside=0)
        return (255 - inked * _FAINT).astype(np.uint8)

    def _flattened(self, name: PlaneName) -> NDArray[np.generic]:
        """Return the highest values along the normal; axes in grid order."""
        if name not in self._flat:
            assert self._volume is not None
            self._flat[name] = self._volume.values.max(axis=self.plane(name).normal)
        return self._flat[name]

    def _draw_lesions(
        self, picture: PilImage, name: PlaneName, frame: Frame, look: Look
    ) -> list[tuple[str, str, Float64s]]:
        from PIL import ImageDraw

        draw = ImageDraw.Draw(picture, "RGBA")
        drawn = []
        for shape, word in in_order(self._scene.shapes, look):
            if shape.name == AVID:
                continue
            polygons = [frame.to_pixels(p) for p in self._shadow(name, shape)]
            for polygon in polygons:
                draw.polygon([tuple(p) for p in polygon.tolist()], fill=(*STYLES[word].colour, _FILL_OPACITY))
            draw_outline(draw, polygons, STYLES[word], selected=shape.name == look.selected)
            drawn.append((shape.name, word, np.concatenate(polygons)))
        return drawn

    def shadows(self, name: PlaneName) -> Iterator[tuple[str, list[Float64s]]]:
        """Yield the name and the outlines (mm on the plane) of every lesion and region along an axis."""
        for shape in self._scene.shapes:
            if shape.name != AVID:
                yield shape.name, self._shadow(name, shape)

    def _shadow(self, name: PlaneName, shape: Shape) -> list[Float64s]:
        """Outlines (mm on the plane) of a shape's voxels seen along the normal."""
        key = (name, shape.name)
        if key not in self._shadows:
            plane = self.plane(name)
            low, step, counts = lattice(shape, plane, coarse=True)
            points = shape.grid.to_mm(shape.grid.unravel(shape.voxels.indices()))
            at = np.floor((plane.to_plane(points) - low) / step + 0.5).astype(np.int64)
            hit = np.zeros((counts[1], counts[0]), dtype=bool)
            hit[np.clip(at[:, 1], 0, counts[1] - 1), np.clip(at[:, 0], 0, counts[0] - 1)] = True
            self._shadows[key] = [np.array(low) + (p - 0.5) * np.array(step) for p in outlines(hit)]
        return self._shadows[key]

    def hottest(self, name: PlaneName, uv: tuple[float, float]) -> Float64s | None:
        """Return the point (LPS mm) of the highest PET value behind a position on the plane, or None.

        Outside the PET's field, and where there is no PET, there is none.
        """
        if self._scene.pet is None:
            return None
        plane = self.plane(name)
        index = np.floor(self._grid.to_index(plane.to_mm(np.array(uv))) + 0.5).astype(int)
        inside = [0 <= index[a] < self._grid.shape[a] for a in (plane.columns, plane.rows)]
        if not all(inside):
            return None
        ray: list[slice | int] = [int(n) for n in index]
        ray[plane.normal] = slice(None)
        index[plane.normal] = int(np.argmax(self._scene.pet.values[tuple(ray)]))
        return self._grid.to_mm(index.astype(np.float64))


VIEWS = 24


class RotatingProjection:
    """Views of a PET round the patient's long axis: 0 from the front, 6 from the left, 12 from behind."""

    def __init__(self, pet: Volume) -> None:
        self.pet = pet
        grid = pet.view.grid
        across = [grid.shape[a] * grid.spacing_mm[a] for a in range(2)]
        self._step = max(grid.spacing_mm[:2])
        self._side = math.ceil(math.hypot(*across) / self._step)
        self._seen: dict[int, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of every view."""
        grid = self.pet.view.grid
        return self._side * self._step, grid.shape[2] * grid.spacing_mm[2]

    def axes(self, view: int) -> tuple[Float64s, Float64s, Float64s]:
        """Return unit vectors (LPS) to the right, down and into the picture."""
        turn = 2 * math.pi * view / VIEWS
        one, two, up = self.pet.view.grid.directions.T
        right = math.cos(turn) * one + math.sin(turn) * two
        return right, -up, math.cos(turn) * two - math.sin(turn) * one

    def corner_mm(self, view: int) -> Float64s:
        """Return the top left corner (LPS mm), on the plane through the middle of the field."""
        grid = self.pet.view.grid
        right, down, _ = self.axes(view)
        middle = grid.to_mm((np.array(grid.shape) - 1) / 2)
        width, height = self.size_mm
        corner: Float64s = middle - right * width / 2 - down * height / 2
        return corner

    def values(self, view: int) -> NDArray[np.float32]:
        """Return a view's highest values, (rows from the head, columns)."""
        with self._lock:
            if view not in self._seen:
                self._seen[view] = self._projected(view)
            return self._seen[view]

    def _rays(self, view: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Voxels (i, j) under each column and depth, and which of them lie in the field."""
        grid = self.pet.view.grid
        turn = 2 * math.pi * view / VIEWS
        at = (np.arange(self._side) - (self._side - 1) / 2) * self._step
        u, depth = at[:, None], at[None, :]
        x = u * math.cos(turn) - depth * math.sin(turn)
        y = u * math.sin(turn) + depth * math.cos(turn)
        i = np.floor(x / grid.spacing_mm[0] + (grid.shape[0] - 1) / 2 + 0.5).astype(np.intp)
        j = np.floor(y / grid.spacing_mm[1] + (grid.shape[1] - 1) / 2 + 0.5).astype(np.intp)
        inside = (i >= 0) & (i < grid.shape[0]) & (j >= 0) & (j < grid.shape[1])
        return i, j, inside

    def _projected(self, view: int) -> NDArray[np.float32]:
        i, j, inside = self._rays(view)
        values = self.pet.values
        flat = np.zeros((self._side, values.shape[2]), dtype=np.float32)
        for column in range(self._side):
            held = inside[column]
            if held.any():
                flat[column] = values[i[column, held], j[column, held]].max(axis=0)
        return np.ascontiguousarray(flat.T[::-1])

    def render(self, view: int, frame: Frame, look: Look) -> NDArray[np.uint8]:
        """Draw a view, black on white, (height, width, 3)."""
        from PIL import Image as Pil

        seen = self.values(view)
        shown = 255 - windowed(seen, 0.0, look.suv_max)
        low = frame.to_pixels(np.zeros(2))
        high = frame.to_pixels(np.array(self.size_mm))
        picture = Pil.new("RGB", (frame.width, frame.height), (255, 255, 255))
        size = [max(1, round(float(b - a))) for a, b in zip(low, high, strict=True)]
        scaled = Pil.fromarray(shown).resize((size[0], size[1]), Pil.Resampling.BILINEAR)
        picture.paste(scaled.convert("RGB"), (round(float(low[0])), round(float(low[1]))))
        right, down, _ = self.axes(view)
        angle = f"MIP {round(360 * view / VIEWS)}\N{DEGREE SIGN}"
        annotate(
            picture,
            letters=tuple(side_letters(d) for d in (-right, right, -down, down)),  # type: ignore[arg-type]
            mm_per_pixel=frame.mm_per_pixel,
            captions=(angle, *window_captions(None, self.pet, window=look.window, suv_max=look.suv_max)),
            scale=pet_scale(self.pet.unit, look.suv_max, hot=False),
            light=True,
        )
        pixels: NDArray[np.uint8] = np.asarray(picture)
        return pixels

    def hottest(self, view: int, uv: tuple[float, float]) -> Float64s | None:
        """Return the point (LPS mm) of the highest value behind a position on a view; None outside."""
        grid = self.pet.view.grid
        column, row = int(uv[0] // self._step), int(uv[1] // grid.spacing_mm[2])
        k = grid.shape[2] - 1 - row
        if not (0 <= column < self._side and 0 <= k < grid.shape[2]):
            return None
        i, j, inside = (part[column] for part in self._rays(view))
        if not inside.any():
            return None
        along = self.pet.values[i[inside], j[inside], k]
        best = int(np.argmax(along))
        return grid.to_mm(np.array([i[inside][best], j[inside][best], k], dtype=np.float64))
