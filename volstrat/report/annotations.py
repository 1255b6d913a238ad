"""What is written on a picture: side letters, scale bar, captions, colour scale, lesion names."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import ImageFont
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from volstrat.report.styles import Colour, Style

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
) -> None:
    """Write on a picture, in place.

    Parameters
    ----------
    letters : tuple of str
        Patient sides at the left, right, top and bottom.
    captions : sequence of str
        Lines at the top left (all but the last) and at the bottom left (the last).
    scale : tuple or None
        Colours from low to high, unit and top value of a colour scale at the right.
    """
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    text = max(_SMALLEST_TEXT, min(width, height) // 34)
    letter = max(_SMALLEST_LETTER, min(width, height) // 20)
    left, right, top, bottom = letters
    margin = text // 2
    for word, at, anchor in (
        (left, (margin, height / 2), "lm"),
        (right, (width - margin, height / 2), "rm"),
        (top, (width / 2, margin), "ma"),
        (bottom, (width / 2, height - margin), "md"),
    ):
        _write(draw, at, word, letter, anchor=anchor)
    for line, caption in enumerate(captions[:-1]):
        _write(draw, (margin, margin + line * text * 1.3), caption, text, anchor="la")
    _write(draw, (margin, height - margin), captions[-1], text, anchor="ld")
    _draw_scale_bar(draw, (width, height), mm_per_pixel, text)
    if scale is not None:
        _draw_colour_scale(picture, draw, scale, text)


def _write(
    draw: ImageDraw, at: tuple[float, float], words: str, size: int, *, anchor: str, fill: Colour = _WHITE
) -> None:
    edge = max(1, size // 9)
    draw.text(at, words, fill=fill, font=_font(size), anchor=anchor, stroke_width=edge, stroke_fill=_BLACK)


def _draw_scale_bar(draw: ImageDraw, size: tuple[int, int], mm_per_pixel: float, text: int) -> None:
    """Draw a bar of a round length, about a fifth of the picture, at the bottom right."""
    length = bar_length_mm(mm_per_pixel * size[0])
    pixels = length / mm_per_pixel
    x1, y = size[0] - text, size[1] - text
    x0 = x1 - pixels
    tick = text // 3
    for width, colour in ((5, _BLACK), (2, _WHITE)):
        for ends in (((x0, y), (x1, y)), ((x0, y - tick), (x0, y + tick)), ((x1, y - tick), (x1, y + tick))):
            draw.line(ends, fill=colour, width=width)
    told = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm"
    _write(draw, ((x0 + x1) / 2, y - tick), told, text, anchor="md")


def bar_length_mm(width_mm: float) -> float:
    """Return a length of 1, 2 or 5 times a power of ten, at most a fifth of a width.

    >>> bar_length_mm(400.0), bar_length_mm(84.0)
    (50.0, 10.0)
    """
    most = width_mm / 5
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most))


def _draw_colour_scale(
    picture: Image, draw: ImageDraw, scale: tuple[NDArray[np.uint8], str, float], text: int
) -> None:
    from PIL import Image as Pil

    colours, unit, top = scale
    width, height = picture.size
    bar_width, bar_height = text * 2 // 3, height // 4
    x, y = width - bar_width - text // 2, text * 5 // 2
    strip = Pil.fromarray(np.ascontiguousarray(np.repeat(colours[::-1, None], bar_width, axis=1)))
    draw.rectangle((x - 1, y - 1, x + bar_width, y + bar_height), outline=_WHITE)
    picture.paste(strip.resize((bar_width, bar_height)), (x, y))
    _write(draw, (width - text // 2, y - text // 3), unit, text, anchor="rd")
    for share in (0.0, 0.5, 1.0):
        at = (x - text // 3, y + bar_height * (1 - share))
        _write(draw, at, f"{top * share:g}", text, anchor="rm")


def draw_label(
    draw: ImageDraw,
    size: tuple[int, int],
    at: tuple[float, float],
    name: str,
    style: Style,
    *,
    selected: bool,
) -> None:
    """Write a lesion's name with the sign of its marking beside it, kept within the picture."""
    text = max(_SMALLEST_TEXT + 1, min(size) // 32) + (2 if selected else 0)
    box = draw.textbbox((0, 0), name, font=_font(text))
    sign = text * 0.75
    long = sign + 3 + box[2]
    x = float(np.clip(at[0], 2, size[0] - long - 2))
    y = float(np.clip(at[1], text, size[1] - 2))
    draw_sign(draw, (x + sign / 2, y - text * 0.42), sign / 2, style)
    _write(draw, (x + sign + 3, y), name, text, anchor="ls", fill=style.colour)


def draw_sign(draw: ImageDraw, at: tuple[float, float], radius: float, style: Style) -> None:
    """Draw the sign of a marking."""
    x, y = at
    r = radius
    box = (x - r, y - r, x + r, y + r)
    if style.sign == "disc":
        draw.ellipse(box, fill=style.colour, outline=_BLACK)
    elif style.sign == "diamond":
        draw.polygon(
            [(x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)],
            fill=style.colour,
            outline=_BLACK,
        )
    elif style.sign == "cross":
        for width, colour in ((5, _BLACK), (3, style.colour)):
            draw.line((x - r, y - r, x + r, y + r), fill=colour, width=width)
            draw.line((x - r, y + r, x + r, y - r), fill=colour, width=width)
    elif style.sign == "question":
        _write(draw, (x, y), "?", int(2.6 * r), anchor="mm", fill=style.colour)
    else:
        draw.ellipse(box, fill=_BLACK, outline=style.colour, width=2)
        if style.sign == "half":
            draw.pieslice(box, 90, 270, fill=style.colour)
