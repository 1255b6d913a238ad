"""The pixel values of a CT or PT series.

Values are stored value x RescaleSlope + RescaleIntercept, each slice with its own (PS3.3 C.11.1.1.2).
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from volstrat.dicom.header import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    NATIVE_SYNTAXES,
    PIXEL_DATA,
    inflated_file,
)
from volstrat.errors import CorruptDataError, FormatError
from volstrat.geometry.image import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from volstrat.dicom.folder import SeriesFiles
    from volstrat.dicom.image_frames import Frame
    from volstrat.dicom.series import SeriesGeometry
    from volstrat.dicom.suv.suv_factors import SuvFactors
    from volstrat.formats.stream import Digest
    from volstrat.geometry.array_types import Float64s

_RLE: Final = "1.2.840.10008.1.2.5"
_COPY_AGAIN: Final = "Copy the file again from its source."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    """How stored values are laid out (Image Pixel module, PS3.3 C.7.6.3)."""

    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_big_endian: bool

    @property
    def dtype(self) -> np.dtype[np.integer]:
        kind = "i" if self.is_signed else "u"
        return np.dtype(f"{'>' if self.is_big_endian else '<'}{kind}{self.bits_allocated // 8}")

    def cleaned(self, stored: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return values without the bits beyond BitsStored: old overlays, or no sign extension."""
        native: NDArray[np.integer] = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        if self.bits_stored >= self.bits_allocated:
            return native
        up = self.bits_allocated - 1 - self.high_bit
        down = self.bits_allocated - self.bits_stored
        if self.is_signed:
            extended: NDArray[np.integer] = np.right_shift(np.left_shift(native, up), down)
            return extended
        if not up and not down:
            return native
        kept: NDArray[np.integer] = np.bitwise_and(
            np.right_shift(native, down - up), (1 << self.bits_stored) - 1
        )
        return kept


def read_series(series: SeriesFiles, geometry: SeriesGeometry) -> Image:
    """Read a series' values: HU for CT, the unit of Units (0054,1001) for PT.

    Parameters
    ----------
    series : SeriesFiles
    geometry : SeriesGeometry
        Of this series.

    Returns
    -------
    Image
        int16 where every rescaled value is a whole number that fits (most CT), else float32.

    Raises
    ------
    CorruptDataError
        If pixel data is missing or shorter than the matrix, does not decode, or a rescale slope is
        zero, or below zero or missing (PT).
    FormatError
        If pixels are not single-channel integers of 8, 16 or 32 bits.
    """
    frames = geometry.frames
    slopes, intercepts = _rescale(series, frames)
    shape = geometry.grid.shape[::-1]
    whole = (slopes == 1).all() and (intercepts == intercepts[0]).all() and float(intercepts[0]).is_integer()
    if whole and frames[0].header.unsigned("BitsAllocated") in (8, 16):
        values = _whole_values(frames, shape, int(intercepts[0]))
        if values is not None:
            return Image(grid=geometry.grid, values=values.T)
    scaled = np.empty(shape, dtype=np.float32)
    for at, stored in enumerate(_stored_slices(frames, shape[1:])):
        _scale(stored, slopes[at], intercepts[at], scaled[at])
    return Image(grid=geometry.grid, values=scaled.T)


def series_slices(series: SeriesFiles, geometry: SeriesGeometry) -> Iterator[NDArray[np.float32]]:
    """Yield a series' values slice by slice, (rows, columns), from the grid's first on, as `read_series`.

    Each lies where the one before it lay.

    Raises
    ------
    CorruptDataError, FormatError
        As `read_series`.
    """
    slopes, intercepts = _rescale(series, geometry.frames)
    scaled = np.empty(geometry.grid.shape[1::-1], dtype=np.float32)
    for at, stored in enumerate(_stored_slices(geometry.frames, scaled.shape)):
        _scale(stored, slopes[at], intercepts[at], scaled)
        yield scaled


def read_suv(
    series: SeriesFiles, geometry: SeriesGeometry, factors: SuvFactors, *, digest: Digest | None = None
) -> Image:
    """Read a PT series as SUVbw.

    Parameters
    ----------
    series : SeriesFiles
    geometry : SeriesGeometry
        Of this series.
    factors : SuvFactors
        Of this series, from `suv.suv_factors`.
    digest : Digest or None
        Fed with the stored values on the way (see `stored_sha256`).

    Returns
    -------
    Image
        float32 SUVbw in g/ml.

    Raises
    ------
    SuvError
        If SUV cannot be known; names the attribute.
    CorruptDataError, FormatError
        As `read_series`.
    """
    factor_of = factors.required()
    frames = geometry.frames
    slopes, intercepts = _rescale(series, frames)
    values = np.empty(geometry.grid.shape[::-1], dtype=np.float32)
    for at, stored in enumerate(_stored_slices(frames, values.shape[1:])):
        if digest is not None:
            digest.update(_little_endian(stored))
        factor = factor_of(frames[at])
        _scale(stored, slopes[at] * factor, intercepts[at] * factor, values[at])
    return Image(grid=geometry.grid, values=values.T)


def stored_sha256(geometry: SeriesGeometry) -> str:
    """Hash the stored values of a series: slices in the grid's order, row by row, little endian.

    It tells changed voxels from a changed header, whatever the transfer syntax, the files' names and what
    else their headers say.

    Raises
    ------
    CorruptDataError, FormatError
        As `read_series`.
    """
    digest = hashlib.sha256()
    for stored in _stored_slices(geometry.frames, geometry.grid.shape[1::-1]):
        digest.update(_little_endian(stored))
    return digest.hexdigest()


def _little_endian(stored: NDArray[np.integer]) -> bytes:
    return stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()


def _scale(stored: NDArray[np.integer], slope: float, intercept: float, out: NDArray[np.float32]) -> None:
    scaled = np.multiply(stored, slope, dtype=np.float64)
    if intercept:
        scaled += intercept
    out[...] = scaled


def _rescale(series: SeriesFiles, frames: tuple[Frame, ...]) -> tuple[Float64s, Float64s]:
    """Return slope and intercept of each slice."""
    slopes, intercepts = [], []
    for frame in frames:
        slope = frame.plane.slope
        if slope is None and series.modality == "PT":
            msg = f"{frame.name}: has no RescaleSlope (0028,1053), which PET values need."
            raise CorruptDataError(msg, hint="Export the series again from its source.")
        if slope is not None and (slope == 0 or not np.isfinite(slope)):
            msg = f"{frame.name}: RescaleSlope (0028,1053) is {slope:g}, so every value would be the same."
            raise CorruptDataError(msg, hint="Export the series again from its source.")
        if slope is not None and slope < 0 and series.modality == "PT":
            msg = f"{frame.name}: RescaleSlope (0028,1053) is {slope:g}, so uptake would be negative."
            raise CorruptDataError(msg, hint="Export the series again from its source.")
        intercept = frame.plane.intercept or 0.0
        if not np.isfinite(intercept):
            msg = f"{frame.name}: RescaleIntercept (0028,1052) is {intercept:g}, which is no number."
            raise CorruptDataError(msg, hint="Export the series again from its source.")
        slopes.append(1.0 if slope is None else slope)
        intercepts.append(intercept)
    return np.array(slopes), np.array(intercepts)


def _whole_values(
    frames: tuple[Frame, ...], shape: tuple[int, int, int], intercept: int
) -> NDArray[np.int16] | None:
    """Return int16 values, or None where one does not fit."""
    values = np.empty(shape, dtype=np.int16)
    limits = np.iinfo(np.int16)
    for at, stored in enumerate(_stored_slices(frames, shape[1:])):
        low, high = int(stored.min()) + intercept, int(stored.max()) + intercept
        if low < limits.min or high > limits.max:
            return None
        # Wrapping 16-bit arithmetic ends at the right value, since that is known to fit.
        np.add(stored.astype(np.int16, copy=False), np.int16(intercept), out=values[at])
    return values


def _stored_slices(frames: tuple[Frame, ...], shape: tuple[int, ...]) -> Iterator[NDArray[np.integer]]:
    """Yield the stored values of each slice, (rows, columns)."""
    decoder = _Decoder()
    encodings: dict[int, _Encoding] = {}
    for frame in frames:
        encoding = encodings.get(id(frame.file))
        if encoding is None:
            encoding = encodings[id(frame.file)] = _encoding(frame)
        if frame.file.header.transfer_syntax in NATIVE_SYNTAXES:
            stored = np.frombuffer(_native_bytes(frame, encoding, shape), dtype=encoding.dtype)
            stored = encoding.cleaned(stored)
        else:
            stored = decoder.decode(frame, encoding)
        if stored.size != shape[0] * shape[1]:
            msg = f"{frame.name}: decodes to {stored.size} pixels, expected {shape[0]} x {shape[1]}."
            raise CorruptDataError(msg, hint=_COPY_AGAIN)
        yield stored.reshape(shape)


def _encoding(frame: Frame) -> _Encoding:
    header, name = frame.file.header, frame.file.path.name
    allocated = header.unsigned("BitsAllocated") or 0
    samples = header.unsigned("SamplesPerPixel") or 1
    photometric = header.text("PhotometricInterpretation")
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        msg = f"{name}: holds {photometric or 'unknown'} pixels of {samples} samples, not grey values."
        raise FormatError(msg, hint="Remove secondary captures from the folder.")
    stored = header.unsigned("BitsStored") or allocated
    high_bit = header.unsigned("HighBit")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        msg = f"{name}: BitsAllocated is {allocated} and BitsStored {stored}; 8, 16 and 32 bits are read."
        raise FormatError(msg, hint="Export the series again with 16-bit pixels.")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    is_big_endian = header.transfer_syntax == EXPLICIT_BIG_ENDIAN
    if is_big_endian and allocated == 8:
        msg = f"{name}: holds 8-bit pixels in big-endian words, a retired form that is not read."
        raise FormatError(msg, hint="Convert the series to explicit VR little endian.")
    return _Encoding(
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        is_signed=header.unsigned("PixelRepresentation") == 1,
        is_big_endian=is_big_endian,
    )


def _native_bytes(frame: Frame, encoding: _Encoding, shape: tuple[int, ...]) -> bytes:
    """Return the bytes of one uncompressed frame."""
    pixels, file = frame.pixels, frame.file
    if pixels is None or pixels.length is None or pixels.tag != PIXEL_DATA:
        msg = f"{file.path.name}: holds no pixel data that is read (integers in (7FE0,0010))."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    count = shape[0] * shape[1] * encoding.bits_allocated // 8
    if pixels.length < count * file.number_of_frames:
        msg = (
            f"{file.path.name}: pixel data is {pixels.length} bytes, "
            f"{count * file.number_of_frames} expected (truncated)."
        )
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    start = pixels.offset + frame.index * count
    if file.header.transfer_syntax == DEFLATED_LITTLE_ENDIAN:
        return inflated_file(file.path)[start : start + count]
    with open(file.path, "rb", buffering=0) as stream:  # noqa: PTH123 -- called for hundreds of files
        stream.seek(start)
        data = stream.read(count)
    if len(data) < count:
        msg = f"{file.path.name}: ends within its pixel data (truncated)."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    return data


class _Decoder:
    """Decodes compressed frames one by one, as stored values: RLE with pydicom, JPEG with SimpleITK.

    For SimpleITK each frame's code stream is put into a file of its own that holds nothing else, so that no
    rescaling, no other frame and no patient data is involved.
    """

    def __init__(self) -> None:
        self._streams: dict[Path, list[bytes]] = {}

    def decode(self, frame: Frame, encoding: _Encoding) -> NDArray[np.integer]:
        stream = self._stream(frame)
        if frame.file.header.transfer_syntax == _RLE:
            stored = _rle_decoded(frame, encoding, stream)
        else:
            stored = self._jpeg_decoded(frame, encoding, stream)
        return encoding.cleaned(_as_encoded(stored, encoding))

    def _jpeg_decoded(self, frame: Frame, encoding: _Encoding, stream: bytes) -> NDArray[np.integer]:
        import SimpleITK as sitk

        with tempfile.TemporaryDirectory(prefix="volstrat-") as folder:
            path = Path(folder) / "frame.dcm"
            path.write_bytes(_single_frame(frame, encoding, stream))
            try:
                image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
            except RuntimeError as error:
                syntax = frame.file.header.transfer_syntax
                msg = f"{frame.name}: its pixels (transfer syntax {syntax}) do not decode."
                raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
        stored: NDArray[np.integer] = sitk.GetArrayFromImage(image)
        return stored

    def _stream(self, frame: Frame) -> bytes:
        """Return the code stream of one frame."""
        path = frame.file.path
        if path not in self._streams:
            self._streams = {path: _code_streams(frame)}
        return self._streams[path][frame.index]


def _as_encoded(values: NDArray[np.integer], encoding: _Encoding) -> NDArray[np.integer]:
    """Undo a change of sign or width that the decoder made: the header says what values are."""
    kind = np.dtype(f"{'i' if encoding.is_signed else 'u'}{encoding.bits_allocated // 8}")
    return values.astype(kind, copy=False).reshape(-1)


def _rle_decoded(frame: Frame, encoding: _Encoding, stream: bytes) -> NDArray[np.integer]:
    """Decode one frame with pydicom: GDCM refuses valid small RLE frames."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import RLELossless

    options: Any = {
        "rows": frame.file.rows,
        "columns": frame.file.columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "number_of_frames": 1,
        "bits_allocated": encoding.bits_allocated,
        "bits_stored": encoding.bits_stored,
        "pixel_representation": int(encoding.is_signed),
        "pixel_keyword": "PixelData",
    }
    try:
        stored, _ = get_decoder(RLELossless).as_array(encapsulate([stream]), raw=True, **options)
    except (ValueError, RuntimeError, IndexError) as error:
        msg = f"{frame.name}: its pixels (RLE) do not decode."
        raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
    return np.asarray(stored)


def _code_streams(frame: Frame) -> list[bytes]:
    from pydicom.encaps import generate_frames

    file, pixels = frame.file, frame.pixels
    if pixels is None or pixels.length is not None:
        msg = f"{file.path.name}: holds no compressed pixel data, though its transfer syntax says so."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    with file.path.open("rb") as stream:
        stream.seek(pixels.offset)
        try:
            streams = list(generate_frames(stream.read(), number_of_frames=file.number_of_frames))
        except (ValueError, EOFError, IndexError) as error:
            msg = f"{file.path.name}: its compressed pixel data is damaged or cut off."
            raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
    if len(streams) != file.number_of_frames:
        msg = f"{file.path.name}: holds {len(streams)} compressed frames, {file.number_of_frames} expected."
        raise CorruptDataError(msg, hint=_COPY_AGAIN)
    return streams


def _single_frame(frame: Frame, encoding: _Encoding, stream: bytes) -> bytes:
    """Return a minimal DICOM file with one compressed frame (PS3.10; PS3.5 A.4)."""
    secondary_capture, uid = b"1.2.840.10008.5.1.4.1.1.7", b"2.25.1"
    file = frame.file

    def short(tag: int, vr: bytes, value: bytes, pad: bytes = b"\0") -> bytes:
        value += pad * (len(value) % 2)
        group, element = (tag >> 16).to_bytes(2, "little"), (tag & 0xFFFF).to_bytes(2, "little")
        return group + element + vr + len(value).to_bytes(2, "little") + value

    def us(tag: int, value: int) -> bytes:
        return short(tag, b"US", value.to_bytes(2, "little"))

    meta = (
        b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"
        + short(0x00020002, b"UI", secondary_capture)
        + short(0x00020003, b"UI", uid)
        + short(0x00020010, b"UI", file.header.transfer_syntax.encode())
        + short(0x00020012, b"UI", uid)
    )
    item = b"\xfe\xff\x00\xe0"
    padded = stream + b"\0" * (len(stream) % 2)
    data = (
        short(0x00080016, b"UI", secondary_capture)
        + short(0x00080018, b"UI", uid)
        + us(0x00280002, 1)
        + short(0x00280004, b"CS", b"MONOCHROME2", b" ")
        + us(0x00280010, file.rows)
        + us(0x00280011, file.columns)
        + us(0x00280100, encoding.bits_allocated)
        + us(0x00280101, encoding.bits_stored)
        + us(0x00280102, encoding.high_bit)
        + us(0x00280103, int(encoding.is_signed))
        + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
        + item
        + bytes(4)
        + item
        + len(padded).to_bytes(4, "little")
        + padded
        + b"\xfe\xff\xdd\xe0"
        + bytes(4)
    )
    length = b"\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little")
    return bytes(128) + b"DICM" + length + meta + data
