"""The pixel bytes of a DICOM SEG, piece by piece: stored as they are, deflated or compressed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from volstrat.dicom.encapsulated import RLE, code_streams, pydicom_decoded
from volstrat.dicom.header import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    NATIVE_SYNTAXES,
    PIXEL_DATA,
    inflated_file,
)
from volstrat.errors import CorruptDataError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from volstrat.dicom.header import Header, PixelLayout

_PIECE_BYTES: Final = 1 << 20
_LONG_HEADER: Final = 8  # from VR to value: VR, two reserved bytes, four of length
_DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
# Without loss and with a decoder; a mask that was compressed with losses is none.
_COMPRESSED: Final = {
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    RLE: "RLE",
    _DEFLATED_FRAMES: "deflated frames",
}
_TO_LITTLE_ENDIAN: Final = "Convert it to Explicit VR Little Endian, e.g. with dcmtk: dcmconv +te IN OUT."
_COPY_AGAIN: Final = "Copy the file again from its source."


def pixel_pieces(
    path: Path, header: Header, *, frames: int, shape: tuple[int, int], bits: int
) -> Iterator[bytes | memoryview]:
    """Yield the pixel data of all frames, uncompressed, little-endian, in stored order.

    ``shape`` are rows and columns, ``bits`` those allocated per pixel. With 1, pixels are one line of bits
    without padding between frames. Pixel data that is missing, or not as long as the frames need it to be, is
    a CorruptDataError; a transfer syntax that is not read a FormatError.
    """
    pixels = header.pixels
    if pixels is None or pixels.tag != PIXEL_DATA:
        msg = f"{path.name}: holds no pixel data."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    if header.transfer_syntax == EXPLICIT_BIG_ENDIAN and bits > 8:
        msg = f"{path.name}: is stored big-endian with {bits} bits a pixel, which is not read for a SEG."
        raise FormatError(msg, hint=_TO_LITTLE_ENDIAN)
    if header.transfer_syntax not in NATIVE_SYNTAXES:
        yield from _decompressed(path, header, frames=frames, shape=shape, bits=bits)
        return
    expected = (frames * shape[0] * shape[1] * bits + 7) // 8
    if pixels.length not in (expected, expected + expected % 2):
        msg = (
            f"{path.name}: pixel data is {pixels.length} bytes; {frames} frames of {shape[0]} x {shape[1]} "
            f"pixels of {bits} bit need {expected}."
        )
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    if header.transfer_syntax == EXPLICIT_BIG_ENDIAN:
        yield _big_endian(path, pixels, expected)
        return
    if header.transfer_syntax == DEFLATED_LITTLE_ENDIAN:
        yield memoryview(inflated_file(path))[pixels.offset : pixels.offset + expected]
        return
    with path.open("rb", buffering=0) as file:
        file.seek(pixels.offset)
        left = expected
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                msg = f"{path.name}: ends within its pixel data (truncated)."
                raise CorruptDataError(msg, hint=_COPY_AGAIN)
            left -= len(piece)
            yield piece


def _decompressed(
    path: Path, header: Header, *, frames: int, shape: tuple[int, int], bits: int
) -> Iterator[bytes]:
    """Yield frames of encapsulated pixel data (PS3.5 A.4), decoded one by one."""
    syntax = header.transfer_syntax
    if syntax not in _COMPRESSED:
        msg = f"{path.name}: its pixels have the transfer syntax {syntax}, which is not read for a SEG."
        raise FormatError(msg, hint="Export the segmentation without compression.")
    streams = code_streams(path, header.pixels, frames)
    decoded = (
        _frame(path, stream, number, syntax=syntax, shape=shape, bits=bits)
        for number, stream in enumerate(streams, start=1)
    )
    if bits == 1 and shape[0] * shape[1] % 8:
        yield from _in_one_line(decoded, shape[0] * shape[1])
    else:
        yield from decoded


def _frame(
    path: Path, stream: bytes, number: int, *, syntax: str, shape: tuple[int, int], bits: int
) -> bytes:
    """Decode one frame; one-bit pixels as bytes of eight, the last filled up."""
    expected = (shape[0] * shape[1] * bits + 7) // 8
    try:
        if syntax == _DEFLATED_FRAMES:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream)[:expected]
        elif bits == 1 and syntax == RLE:  # the bytes of packed pixels are what is run-length encoded
            data = _decoded(stream, syntax, (1, expected), 8)
        elif bits == 1:
            pixels = np.frombuffer(_decoded(stream, syntax, shape, 1), np.uint8)
            data = np.packbits(pixels, bitorder="little").tobytes()
        else:
            data = _decoded(stream, syntax, shape, bits)
    except (zlib.error, ValueError, RuntimeError, OSError) as error:
        msg = f"{path.name}: frame {number} ({_COMPRESSED[syntax]}) does not decode."
        raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
    if len(data) != expected:
        msg = f"{path.name}: frame {number} decodes to {len(data)} bytes; expected {expected}."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    return data


def _in_one_line(frames: Iterable[bytes], pixels: int) -> Iterator[bytes]:
    """Take out the bits that fill up each frame's last byte: the next frame follows at once."""
    left = np.empty(0, np.uint8)
    for frame in frames:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little", count=pixels)
        bits = np.concatenate([left, bits])
        whole = bits.size // 8 * 8
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
        left = bits[whole:]
    yield np.packbits(left, bitorder="little").tobytes()


def _big_endian(path: Path, pixels: PixelLayout, expected: int) -> bytes:
    """Read pixel data of up to 8 bits a pixel; words (OW) have their bytes swapped (PS3.5 7.3)."""
    with path.open("rb") as file:
        file.seek(pixels.offset - _LONG_HEADER)
        is_words = file.read(2) == b"OW"
        file.seek(pixels.offset)
        data = file.read(pixels.length or 0)
    if len(data) < expected:
        msg = f"{path.name}: ends within its pixel data (truncated)."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    if is_words:
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    return data[:expected]


def _decoded(stream: bytes, syntax: str, shape: tuple[int, int], bits: int) -> bytes:
    array = pydicom_decoded(stream, syntax, shape, bits, bits)
    return array.astype(f"<u{max(bits // 8, 1)}", copy=False).tobytes()
