"""Projections of a case: the PET's maximum intensities, and where the lesions lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.pictures.annotations import annotate, pet_scale
from volstrat.pictures.cross_sections import box_corners, lattice
from volstrat.pictures.outlines import draw_outline, outlines
from volstrat.pictures.planes import Frame, Plane
from volstrat.pictures.scene import AVID
from volstrat.pictures.slices import draw_names, in_order, into_frame
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    from volstrat.geometry.array_types import Float64s
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
        """Draw a projection.

        Parameters
        ----------
        of : {"pet", "lesions"}
            The PET's highest values, black on white (blank without PET); or the lesions, filled, over
            a faint picture of the PET, else of the CT's bones.

        Returns
        -------
        array of uint8, (height, width, 3)
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
            low, step, counts = lattice(shape, plane, plane.to_plane(box_corners(shape.box_mm)), coarse=True)
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
