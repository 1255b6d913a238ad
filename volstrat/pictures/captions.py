"""What a picture says of itself: where its slice lies, which images it shows, and their scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.pictures.planes import Plane
    from volstrat.pictures.volumes import Volume


def position_caption(plane: Plane) -> tuple[str, ...]:
    """Say where a slice lies (mm), and its number of how many."""
    along = plane.grid.to_mm(np.eye(3)[plane.normal] * plane.index)
    lps = int(np.abs(plane.grid.directions[:, plane.normal]).argmax())
    axis = "xyz"[lps]
    return (f"{plane.name}  {axis} = {float(along[lps]):.1f} mm", f"{plane.index + 1} / {plane.count}")


def window_captions(
    ct: Volume | None, pet: Volume | None, *, window: tuple[float, float], suv_max: float
) -> tuple[str, ...]:
    """Name the images that are drawn, with their windows, the ground's last; None is not drawn."""
    lines = []
    if pet is not None and not pet.counts:
        lines.append(f"{pet.name}: does not count")
    if ct is not None:
        return (*lines, f"{ct.name or 'CT'}  W {window[1]:g}  L {window[0]:g} HU")
    if pet is not None:
        return (*lines, f"{pet.name or 'PET'} {pet.unit or '(no SUV)'} 0 to {suv_max:g}")
    return ("masks alone, no image",)


def pet_scale(unit: str, top: float, *, hot: bool) -> tuple[NDArray[np.uint8], str, float]:
    """Return the PET's colours from low to high, its unit and its top: hot on a CT, else white to black."""
    grey = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    return hot_colours() if hot else grey, unit or "PET", top


def hot_colours() -> NDArray[np.uint8]:
    """Return the PET colour scale, (256, 3): black, red, yellow, white."""
    level = np.linspace(0, 3, 256)
    channels = [np.clip(level - start, 0, 1) for start in (0, 1, 2)]
    return np.rint(255 * np.stack(channels, axis=1)).astype(np.uint8)
