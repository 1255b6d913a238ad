"""PNG as another decoder reads it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from volstrat.pictures.png import png_bytes


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (1, 1, 3), (300, 2, 3)])
@pytest.mark.parametrize("fast", [False, True])
def test_pixels_come_back(shape: tuple[int, ...], fast: bool) -> None:
    """Every value, true colour and grey, whichever compressor."""
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    picture = Image.open(io.BytesIO(png_bytes(pixels, fast=fast)))
    picture.verify()
    back = np.asarray(Image.open(io.BytesIO(png_bytes(pixels, fast=fast))))
    assert np.array_equal(back, pixels)
