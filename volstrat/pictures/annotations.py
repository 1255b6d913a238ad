"""What is written on a picture: side letters, scale bar, captions, colour scale, lesion names."""

from __future__ import annotations

from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import ImageFont
    from PIL.Image import Image

    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.planes import Plane
    from volstrat.show.styles import Colour, Style

    Inks = tuple[Colour, Colour]  # of letters, and of their rim

_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_SMALLEST_TEXT, _SMALLEST_LETTER = 11, 15


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def annotate(
    picture: Image,
    *,
    letters: tuple[str, str, str, str],
    mm_per_pixel: float,
    captions: Sequence[str],
    scale: tuple[NDArray[np.uint8], str, float] | None = None,
    light: bool = False,
) -> None:
    """Write on a picture, in place; on ``light`` ground in black letters, else in white ones.

    ``letters`` are the patient's sides at the left, right, top and bottom; of ``captions`` the last stands at
    the bottom left, the others at the top left; ``scale`` has the colours from low to high, unit and top
    value of a colour scale at the right.
    """
    inks = (_BLACK, _WHITE) if light else (_WHITE, _BLACK)
    write = partial(_write, picture, inks=inks)
    width, height = picture.size
    text = max(_SMALLEST_TEXT, min(width, height) // 27)
    letter = max(_SMALLEST_LETTER, min(width, height) // 17)
    margin = text // 2
    write((margin, height / 2), letters[0], letter, anchor="lm")
    write((width - margin, height / 2), letters[1], letter, anchor="rm")
    write((width / 2, margin), letters[2], letter, anchor="mt")
    write((width / 2, height - margin), letters[3], letter, anchor="mb")
    for line, caption in enumerate(captions[:-1]):
        write((margin, margin + line * text * 1.3), caption, text, anchor="lt")
    write((margin, height - margin), captions[-1], text, anchor="lb")
    _draw_scale_bar(picture, mm_per_pixel, text, inks)
    if scale is not None:
        _draw_colour_scale(picture, scale, text, inks)


def _write(
    picture: Image, at: tuple[float, float], words: str, size: int, *, anchor: str, inks: Inks
) -> None:
    """Write words with a rim; ``anchor`` says which point of them lies at ``at`` (l m r, t m b)."""
    tile = _tile(words, size, inks)
    shift = {"l": 0.0, "t": 0.0, "m": 0.5, "r": 1.0, "b": 1.0}
    x = round(at[0] - shift[anchor[0]] * tile.width)
    y = round(at[1] - shift[anchor[1]] * tile.height)
    picture.paste(tile, (x, y), tile)


@lru_cache(maxsize=1024)
def _tile(words: str, size: int, inks: Inks) -> Image:
    """Render words once: the same ones come back on every slice."""
    from PIL import Image as Pil
    from PIL import ImageDraw

    font = _font(size)
    edge = max(1, size // 8)
    left, _, right, _ = font.getbbox(words, stroke_width=edge)
    tile = Pil.new("RGBA", (max(1, round(right - left)), round(size * 1.1) + 2 * edge))
    ImageDraw.Draw(tile).text(
        (-left, tile.height - edge - size * 0.2),
        words,
        fill=inks[0],
        font=font,
        anchor="ls",
        stroke_width=edge,
        stroke_fill=inks[1],
    )
    return tile


def _draw_scale_bar(picture: Image, mm_per_pixel: float, text: int, inks: Inks) -> None:
    """Draw a bar of a round length, about a fifth of the picture, at the bottom right."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    length = bar_length_mm(mm_per_pixel * picture.width)
    x1, y = picture.width - text, picture.height - text
    x0 = x1 - length / mm_per_pixel
    tick = text // 3
    for width, colour in ((5, inks[1]), (2, inks[0])):
        for ends in (((x0, y), (x1, y)), ((x0, y - tick), (x0, y + tick)), ((x1, y - tick), (x1, y + tick))):
            draw.line(ends, fill=colour, width=width)
    length_text = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm"
    _write(picture, ((x0 + x1) / 2, y - tick), length_text, text, anchor="mb", inks=inks)


def bar_length_mm(width_mm: float) -> float:
    """Return a length of 1, 2 or 5 times a power of ten, at most a fifth of a width.

    >>> bar_length_mm(400.0), bar_length_mm(84.0)
    (50.0, 10.0)
    """
    most = width_mm / 5
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most))


def _draw_colour_scale(
    picture: Image, scale: tuple[NDArray[np.uint8], str, float], text: int, inks: Inks
) -> None:
    from PIL import Image as Pil
    from PIL import ImageDraw

    colours, unit, top = scale
    bar_width, bar_height = text * 2 // 3, max(1, picture.height // 4)
    x, y = picture.width - bar_width - text // 2, text * 5 // 2
    strip = Pil.fromarray(np.ascontiguousarray(np.repeat(colours[::-1, None], bar_width, axis=1)))
    ImageDraw.Draw(picture).rectangle((x - 1, y - 1, x + bar_width, y + bar_height), outline=inks[0])
    picture.paste(strip.resize((bar_width, bar_height)), (x, y))
    at = (picture.width - text // 2, y - text // 3)
    _write(picture, at, unit, text, anchor="rb", inks=inks)
    for share in (0.0, 0.5, 1.0):
        suv_text = f"{top * share:g}"
        at = (x - text // 3, round(y + bar_height * (1 - share)))
        _write(picture, at, suv_text, text, anchor="rm", inks=inks)


def draw_label(picture: Image, at: tuple[float, float], name: str, style: Style, *, selected: bool) -> None:
    """Write a lesion's name with the sign of its marking beside it, kept within the picture."""
    text = max(_SMALLEST_TEXT + 1, min(picture.size) // 26) + (2 if selected else 0)
    inks = (style.colour, _BLACK)
    tile = _tile(name, text, inks)
    sign = text * 0.8
    x = float(np.clip(at[0], 2, max(2, picture.width - sign - 3 - tile.width)))
    y = float(np.clip(at[1], tile.height / 2, picture.height - tile.height / 2))
    draw_sign(picture, (x + sign / 2, y), sign / 2, style)
    _write(picture, (x + sign + 2, y), name, text, anchor="lm", inks=inks)


def draw_sign(picture: Image, at: tuple[float, float], radius: float, style: Style) -> None:
    """Draw the sign of a marking."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    x, y = at
    r = radius
    box = (x - r, y - r, x + r, y + r)
    if style.sign == "disc":
        draw.ellipse(box, fill=style.colour, outline=_BLACK)
    elif style.sign == "diamond":
        corners = [(x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)]
        draw.polygon(corners, fill=style.colour, outline=_BLACK)
    elif style.sign == "cross":
        for width, colour in ((5, _BLACK), (3, style.colour)):
            draw.line((x - r, y - r, x + r, y + r), fill=colour, width=width)
            draw.line((x - r, y + r, x + r, y - r), fill=colour, width=width)
    elif style.sign == "question":
        _write(picture, (x, y), "?", round(2.6 * r), anchor="mm", inks=(style.colour, _BLACK))
    else:
        draw.ellipse(box, fill=_BLACK, outline=style.colour, width=2)
        if style.sign == "half":
            draw.pieslice(box, 90, 270, fill=style.colour)


def caption_below(pixels: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """Return a picture with lines of text in a dark strip below it, in letters that fit its width."""
    from PIL import Image as Pil
    from PIL import ImageDraw

    height, width = pixels.shape[:2]
    size = max(_SMALLEST_TEXT, width // 27)
    while size > _SMALLEST_TEXT and max(_font(size).getlength(line) for line in lines) > width - size:
        size -= 1
    step = int(size * 1.5)
    picture = Pil.new("RGB", (width, height + step * len(lines) + size // 2), _BLACK)
    picture.paste(Pil.fromarray(pixels), (0, 0))
    drawing = ImageDraw.Draw(picture)
    for n, line in enumerate(lines):
        drawing.text((size // 2, height + size // 4 + n * step), line, fill=_WHITE, font=_font(size))
    drawn: NDArray[np.uint8] = np.asarray(picture)
    return drawn


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
