"""Encapsulated pixel data (PS3.5 A.4): its frames' code streams, and what pydicom makes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from volstrat.errors import CorruptDataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from volstrat.dicom.header import PixelLayout

RLE: Final = "1.2.840.10008.1.2.5"
_COPY_AGAIN: Final = "Copy the file again from its source."


def code_streams(path: Path, pixels: PixelLayout | None, frames: int) -> list[bytes]:
    """Return the code streams of all frames of a file.

    No compressed pixel data, damaged, or of another number of frames, is a CorruptDataError.
    """
    from pydicom.encaps import generate_frames

    if pixels is None or pixels.length is not None:
        msg = f"{path.name}: holds no compressed pixel data, though its transfer syntax says so."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    with path.open("rb") as file:
        file.seek(pixels.offset)
        encapsulated = file.read()
    try:
        streams = list(generate_frames(encapsulated, number_of_frames=frames))
    except (ValueError, EOFError, IndexError) as error:
        msg = f"{path.name}: its compressed pixel data is damaged or cut off."
        raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
    if len(streams) != frames:
        msg = f"{path.name}: holds {len(streams)} compressed frames, {frames} expected."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    return streams


def pydicom_decoded(
    stream: bytes,
    syntax: str,
    shape: tuple[int, int],
    bits: int,
    bits_stored: int,
    *,
    is_signed: bool = False,
) -> NDArray[np.integer]:
    """Return the stored values of one frame of grey values; what does not decode is pydicom's own error."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    layout: dict[str, Any] = {
        "rows": shape[0],
        "columns": shape[1],
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "bits_allocated": bits,
        "bits_stored": bits_stored,
        "pixel_representation": int(is_signed),
        "photometric_interpretation": "MONOCHROME2",
        "pixel_keyword": "PixelData",
    }
    encapsulated = encapsulate([stream], has_bot=False)
    # What pydicom would check and warn about is checked by the caller.
    values, _ = get_decoder(UID(syntax)).as_array(encapsulated, raw=True, validate=False, **layout)
    return values
