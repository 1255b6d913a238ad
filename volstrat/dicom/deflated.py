"""The data set of a DICOM file that is written deflated (PS3.5 A.5)."""

from __future__ import annotations

import zlib

from volstrat.errors import CorruptDataError


def inflated(deflated: bytes) -> bytes:
    """Return the data set of a deflated file (PS3.5 A.5).

    Raises
    ------
    CorruptDataError
        If the stream is damaged or cut off.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = stream.decompress(deflated)
    except zlib.error as error:
        msg = "holds a damaged deflated data set"
        raise CorruptDataError(msg) from error
    if not stream.eof:
        msg = "ends within its deflated data set (truncated)"
        raise CorruptDataError(msg)
    return data
