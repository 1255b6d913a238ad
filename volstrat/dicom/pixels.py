"""The pixel values of a CT or PT series.

Values are stored value x RescaleSlope + RescaleIntercept, each slice with its own (PS3.3 C.11.1.1.2).
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
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
from volstrat.geometry.image import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from volstrat.dicom.folder import ImageFile, SeriesFiles
    from volstrat.dicom.image_frames import Frame
    from volstrat.dicom.series import SeriesGeometry
    from volstrat.dicom.suv.suv_factors import SuvFactors
    from volstrat.formats.stream import Digest
    from volstrat.geometry.array_types import Float64s

_PIXEL_DATA_BEGINS: Final = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"  # encapsulated (PS3.5 A.4)
_SEQUENCE_ENDS: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
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
    """Read a series' values on its grid: HU for CT, the unit of Units (0054,1001) for PT.

    int16 where every rescaled value is a whole number that fits (most CT), else float32. Pixel data that is
    missing or shorter than the matrix, or does not decode, and a rescale slope of zero, or below zero or
    missing (PT), are a CorruptDataError; pixels that are no single-channel integers of 8, 16 or 32 bits a
    FormatError.
    """
    frames = geometry.frames
    slopes, intercepts = _rescale(series, frames)
    whole = (slopes == 1).all() and (intercepts == intercepts[0]).all() and float(intercepts[0]).is_integer()
    if whole and frames[0].header.unsigned("BitsAllocated") in (8, 16):
        values = _whole_values(geometry, int(intercepts[0]))
        if values is not None:
            return Image(grid=geometry.grid, values=values.T)
    return _scaled(geometry, slopes, intercepts)


def series_slices(series: SeriesFiles, geometry: SeriesGeometry) -> Iterator[NDArray[np.float32]]:
    """Yield a series' values slice by slice, (rows, columns), from the grid's first on, as `read_series`.

    Each lies where the one before it lay.
    """
    slopes, intercepts = _rescale(series, geometry.frames)
    scaled = np.empty(geometry.grid.shape[1::-1], dtype=np.float32)
    for at, stored in enumerate(_stored_slices(geometry)):
        _scale(stored, slopes[at], intercepts[at], scaled)
        yield scaled


def read_suv(
    series: SeriesFiles, geometry: SeriesGeometry, factors: SuvFactors, *, digest: Digest | None = None
) -> Image:
    """Read a PT series as SUVbw, float32 in g/ml, by the factors that `suv.suv_factors` found for it.

    ``digest`` is fed with the stored values on the way (see `stored_sha256`). Where SUV cannot be known the
    SuvError names the attribute; other errors are those of `read_series`.
    """
    factor_of = factors.required()
    by_frame = np.array([factor_of(frame) for frame in geometry.frames])
    slopes, intercepts = _rescale(series, geometry.frames)
    return _scaled(geometry, slopes * by_frame, intercepts * by_frame, digest)


def stored_sha256(geometry: SeriesGeometry) -> str:
    """Hash the stored values of a series: slices in the grid's order, row by row, little endian.

    It tells changed voxels from a changed header, whatever the transfer syntax, the files' names and what
    else their headers say. Errors are those of `read_series`.
    """
    digest = hashlib.sha256()
    for stored in _stored_slices(geometry):
        digest.update(_little_endian(stored))
    return digest.hexdigest()


def _little_endian(stored: NDArray[np.integer]) -> bytes:
    return stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()


def _scaled(
    geometry: SeriesGeometry, slopes: Float64s, intercepts: Float64s, digest: Digest | None = None
) -> Image:
    """Return float32 values, each slice by its own slope and intercept."""
    values = np.empty(geometry.grid.shape[::-1], dtype=np.float32)
    for at, stored in enumerate(_stored_slices(geometry)):
        if digest is not None:
            digest.update(_little_endian(stored))
        _scale(stored, slopes[at], intercepts[at], values[at])
    return Image(grid=geometry.grid, values=values.T)


def _scale(stored: NDArray[np.integer], slope: float, intercept: float, out: NDArray[np.float32]) -> None:
    scaled = np.multiply(stored, slope, dtype=np.float64)
    if intercept:
        scaled += intercept
    out[...] = scaled


def _rescale(series: SeriesFiles, frames: tuple[Frame, ...]) -> tuple[Float64s, Float64s]:
    """Return slope and intercept of each slice."""
    is_pet = series.modality == "PT"
    slopes, intercepts = [], []
    for frame in frames:
        slope, intercept = frame.plane.slope, frame.plane.intercept or 0.0
        wrong = ""
        if slope is None and is_pet:
            wrong = "has no RescaleSlope (0028,1053), which PET values need"
        elif slope is not None and (slope == 0 or not np.isfinite(slope)):
            wrong = f"RescaleSlope (0028,1053) is {slope:g}, so every value would be the same"
        elif slope is not None and slope < 0 and is_pet:
            wrong = f"RescaleSlope (0028,1053) is {slope:g}, so uptake would be negative"
        elif not np.isfinite(intercept):
            wrong = f"RescaleIntercept (0028,1052) is {intercept:g}, which is no number"
        if wrong:
            msg = f"{frame.name}: {wrong}."
            raise CorruptDataError(msg, hint="Export the series again from its source.")
        slopes.append(1.0 if slope is None else slope)
        intercepts.append(intercept)
    return np.array(slopes), np.array(intercepts)


def _whole_values(geometry: SeriesGeometry, intercept: int) -> NDArray[np.int16] | None:
    """Return int16 values, or None where one does not fit."""
    values = np.empty(geometry.grid.shape[::-1], dtype=np.int16)
    limits = np.iinfo(np.int16)
    for at, stored in enumerate(_stored_slices(geometry)):
        low, high = int(stored.min()) + intercept, int(stored.max()) + intercept
        if low < limits.min or high > limits.max:
            return None
        # Wrapping 16-bit arithmetic ends at the right value, since that is known to fit.
        np.add(stored.astype(np.int16, copy=False), np.int16(intercept), out=values[at])
    return values


def _stored_slices(geometry: SeriesGeometry) -> Iterator[NDArray[np.integer]]:
    """Yield the stored values of each slice, (rows, columns)."""
    shape = geometry.grid.shape[1::-1]
    streams: tuple[ImageFile, list[bytes]] | None = None  # the code streams of the file that was last read
    encodings: dict[int, _Encoding] = {}
    for frame in geometry.frames:
        file = frame.file
        if id(file) not in encodings:
            encodings[id(file)] = _encoding(frame)
        encoding = encodings[id(file)]
        if file.header.transfer_syntax in NATIVE_SYNTAXES:
            stored = np.frombuffer(_native_bytes(frame, encoding, shape), dtype=encoding.dtype)
        else:
            if streams is None or streams[0] is not file:
                streams = file, code_streams(file.path, frame.pixels, file.number_of_frames)
            decode = _rle_decoded if file.header.transfer_syntax == RLE else _jpeg_decoded
            decoded = decode(frame, encoding, streams[1][frame.index])
            # Undoes a change of sign or width that the decoder made: the header says what values are.
            stored = decoded.astype(encoding.dtype.newbyteorder("="), copy=False).reshape(-1)
        stored = encoding.cleaned(stored)
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
    expected = count * file.number_of_frames
    if pixels.length < expected:
        msg = f"{file.path.name}: pixel data is {pixels.length} bytes, {expected} expected (truncated)."
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


def _jpeg_decoded(frame: Frame, encoding: _Encoding, stream: bytes) -> NDArray[np.integer]:
    """Decode one frame with SimpleITK.

    Its code stream is put into a file of its own that holds nothing else, so that no rescaling, no other
    frame and no patient data is involved.
    """
    import SimpleITK as sitk
    from pydicom.encaps import encapsulate

    with tempfile.TemporaryDirectory(prefix="volstrat-") as folder:
        path = Path(folder) / "frame.dcm"
        syntax = frame.file.header.transfer_syntax
        header = _single_frame_header(syntax, (frame.file.rows, frame.file.columns), encoding)
        path.write_bytes(header + _PIXEL_DATA_BEGINS + encapsulate([stream], has_bot=False) + _SEQUENCE_ENDS)
        try:
            image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
        except RuntimeError as error:
            msg = f"{frame.name}: its pixels (transfer syntax {syntax}) do not decode."
            raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
    stored: NDArray[np.integer] = sitk.GetArrayFromImage(image)
    return stored


@lru_cache(maxsize=1)
def _single_frame_header(syntax: str, shape: tuple[int, int], encoding: _Encoding) -> bytes:
    """Return a minimal DICOM file of one frame up to its pixel data (PS3.10)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, SecondaryCaptureImageStorage

    single = Dataset()
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = UID(syntax)
    single.SOPClassUID, single.SOPInstanceUID = SecondaryCaptureImageStorage, UID("2.25.1")
    single.SamplesPerPixel, single.PhotometricInterpretation = 1, "MONOCHROME2"
    single.Rows, single.Columns = shape
    single.BitsAllocated, single.BitsStored = encoding.bits_allocated, encoding.bits_stored
    single.HighBit, single.PixelRepresentation = encoding.high_bit, int(encoding.is_signed)
    file = BytesIO()
    single.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _rle_decoded(frame: Frame, encoding: _Encoding, stream: bytes) -> NDArray[np.integer]:
    """Decode one frame with pydicom: GDCM refuses valid small RLE frames."""
    shape, bits = (frame.file.rows, frame.file.columns), encoding.bits_allocated
    try:
        return pydicom_decoded(stream, RLE, shape, bits, encoding.bits_stored, is_signed=encoding.is_signed)
    except (ValueError, RuntimeError, IndexError) as error:
        msg = f"{frame.name}: its pixels (RLE) do not decode."
        raise CorruptDataError(msg, hint=_COPY_AGAIN) from error
