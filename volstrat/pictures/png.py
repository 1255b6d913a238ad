"""Pixels to PNG (ISO/IEC 15948): true colour or grey, 8 bits."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SUB = 1


def png_bytes(pixels: NDArray[np.uint8], *, fast: bool = False) -> bytes:
    """Encode a picture.

    Parameters
    ----------
    pixels : array of uint8, (height, width, 3) or (height, width)
    fast : bool
        Compress for a viewer: quick, and the bytes may differ between processors.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    lines = np.empty((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 0] = _SUB
    flat = pixels.reshape(height, width * channels)
    lines[:, 1 : 1 + channels] = flat[:, :channels]
    np.subtract(flat[:, channels:], flat[:, :-channels], out=lines[:, 1 + channels :])
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", _deflated(lines.tobytes(), fast=fast)),
            _chunk(b"IEND", b""),
        )
    )


def _deflated(data: bytes, *, fast: bool) -> bytes:
    if not fast:
        return zlib.compress(data, 6)
    from zlib_ng import zlib_ng

    return zlib_ng.compress(data, 1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
