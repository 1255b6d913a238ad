"""Pixels to PNG (ISO/IEC 15948): true colour or grey, 8 bits."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN, _SUB = 0, 1


def png_bytes(pixels: NDArray[np.uint8], *, fast: bool = False) -> bytes:
    """Encode a picture; a ``fast`` one is stored as it is, for a viewer on this machine.

    What is saved in bytes would cost more in time there.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    lines = np.empty((height, 1 + width * channels), dtype=np.uint8)
    flat = pixels.reshape(height, width * channels)
    if fast:
        lines[:, 0] = _PLAIN
        lines[:, 1:] = flat
    else:
        lines[:, 0] = _SUB
        lines[:, 1 : 1 + channels] = flat[:, :channels]
        np.subtract(flat[:, channels:], flat[:, :-channels], out=lines[:, 1 + channels :])
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 0 if fast else 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
