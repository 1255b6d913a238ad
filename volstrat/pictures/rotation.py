"""The PET seen from all round: highest values along rays, one view every 15 degrees."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np

from volstrat.pictures.annotations import annotate, pet_scale, window_captions
from volstrat.pictures.planes import side_letters
from volstrat.pictures.slices import windowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Float64s
    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.planes import Frame
    from volstrat.pictures.slices import Look


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
