"""MetaImage headers (.mha, and .mhd with its data files).

MetaImage is LPS mm, as ITK has it. Source: the MetaIO documentation (itk.org/Wiki/MetaIO); checked
against SimpleITK: row ``a`` of TransformMatrix is the direction of axis ``a`` (the transpose of
ITK's direction matrix), Offset is the centre of the first voxel, AnatomicalOrientation and
CenterOfRotation change nothing. Refused, because readers differ on them: units other than mm, an
intensity function, a matrix that is no rotation, a key said twice, otherwise (by a synonym too).
A missing matrix or offset is the identity and 0,
which the format defines; a finding says so.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import FormatError, GeometryError
from volstrat.formats.layout import VolumeHeader, grid_of, single_volume_shape, start_of_voxels
from volstrat.formats.text_header import (
    OTHER_FORMAT,
    TextHeader,
    files_beside,
    numbered_names,
    pattern_numbers,
    read_head,
)
from volstrat.geometry.grid import affine_of
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.formats.stream import Decoder, Encoding, SourceFile
    from volstrat.geometry.array_types import Float64s
    from volstrat.terms.findings import Finding

_LARGEST_HEADER_BYTES = 1 << 20
_TYPES = {
    "met_char": "i1",
    "met_uchar": "u1",
    "met_short": "i2",
    "met_ushort": "u2",
    "met_int": "i4",
    "met_uint": "u4",
    "met_long": "i4",  # four bytes in MetaIO on every platform
    "met_ulong": "u4",
    "met_long_long": "i8",
    "met_ulong_long": "u8",
    "met_float": "f4",
    "met_double": "f8",
}
_SYNONYMS = {
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "position": "offset",
    "origin": "offset",
    "elementbyteordermsb": "binarydatabyteordermsb",
}
_LOCAL_DATA = re.compile(rb"(?im)^[ \t]*ElementDataFile[ \t]*=[ \t]*LOCAL[ \t]*\r?\n")
_UNIT_LENGTH_WITHIN = 1e-3


def _alike(one: str, other: str) -> bool:
    """Tell whether two values of a key say the same, whatever way their numbers are written."""
    if one.lower() == other.lower():
        return True
    try:
        return [float(word) for word in one.split()] == [float(word) for word in other.split()]
    except ValueError:
        return False


class _Header(TextHeader):
    """The keys of a header by one name each."""

    def __init__(self, name: str, lines: list[str]) -> None:
        super().__init__(name)
        for at, line in enumerate(lines):
            key, equals, value = line.partition("=")
            if not equals:
                if not line.strip():
                    continue
                msg = f"{name}: line {at + 1} of its header is not of the form 'Key = Value'."
                raise FormatError(msg, hint=OTHER_FORMAT)
            written, key = key.strip(), key.strip().lower()
            meant, value = _SYNONYMS.get(key, key), value.strip()
            if not _alike(self.fields.setdefault(meant, value), value):
                before = self.fields[meant]
                msg = f"{name}: contradicts itself; {written} is '{value[:80]}', and was '{before[:80]}'."
                raise FormatError(msg, hint="Find out which is right and write that one alone.")
            if key == "elementdatafile":
                self.listed = [entry.strip() for entry in lines[at + 1 :] if entry.strip()]
                return
        msg = f"{name}: is not MetaImage; its header has no ElementDataFile."
        raise FormatError(msg, hint=OTHER_FORMAT)

    def numbers(self, key: str, count: int) -> Float64s:
        text = self.required(key)
        try:
            values = np.array([float(word) for word in text.split()], dtype=np.float64)
        except ValueError:
            values = np.empty(0)
        if values.size != count:
            msg = f"{self.name}: its {key} is '{text[:80]}'; {count} numbers were expected."
            raise FormatError(msg)
        return values

    def flag(self, key: str, *, default: bool) -> bool:
        text = self.fields.get(key.lower(), str(default)).lower()
        if text not in {"true", "t", "1", "false", "f", "0"}:
            msg = f"{self.name}: its {key} is {text!r}; True or False was expected."
            raise FormatError(msg)
        return text in {"true", "t", "1"}


def read_header(path: Path, source: SourceFile) -> tuple[VolumeHeader, Decoder | None]:
    """Read a MetaImage header, whose grid is in LPS mm already; see `nifti.read_header`."""
    name = path.name
    head = read_head(source, _LOCAL_DATA, most_bytes=_LARGEST_HEADER_BYTES)
    header = _Header(name, re.split(r"\r?\n", head.decode("latin-1")))
    _refuse_unusual(header)
    dimensions = header.whole("NDims")
    sizes = header.sizes("DimSize", "NDims")
    shape = single_volume_shape(name, sizes)
    affine, findings = _affine(header, dimensions)
    data_files = _data_files(path, header, sizes)
    encoding: Encoding = "raw"
    if not header.flag("BinaryData", default=True):
        encoding = "text"
    elif header.flag("CompressedData", default=False):
        encoding = "zlib"
    skip = header.whole("HeaderSize", 0)
    if skip < -1 or (skip > 0 and (encoding == "zlib" or not data_files)):
        msg = f"{name}: a HeaderSize of {skip} does not go with its data."
        raise FormatError(msg)
    volume = VolumeHeader(
        name=name,
        grid=grid_of(name, shape, affine),
        dtype=_dtype(header),
        encoding=encoding,
        data_files=data_files,
        byte_skip=skip,
        findings=findings,
    )
    return volume, None if data_files else start_of_voxels(source, volume)


def _refuse_unusual(header: _Header) -> None:
    """Refuse what other readers pass over and what would change values or volumes."""
    kind = header.fields.get("objecttype", "Image")
    if kind.lower() != "image":
        msg = f"{header.name}: its ObjectType is {kind}; Image was expected."
        raise FormatError(msg)
    channels = header.whole("ElementNumberOfChannels", 1)
    if channels != 1:
        msg = f"{header.name}: has {channels} channels at each voxel; one was expected."
        raise FormatError(msg, hint="Export the one channel that is meant.")
    units = header.fields.get("distanceunits", "mm")
    if units.lower() not in {"mm", "millimeter", "?", ""}:
        msg = f"{header.name}: its DistanceUnits are {units}; mm was expected."
        raise FormatError(msg)
    for key, identity in (
        ("ElementToIntensityFunctionSlope", 1.0),
        ("ElementToIntensityFunctionOffset", 0.0),
    ):
        if key.lower() in header.fields and header.numbers(key, 1)[0] != identity:
            msg = f"{header.name}: has an {key}, which readers do not agree to apply."
            raise FormatError(msg, hint="Save the image with its final values.")


def _affine(header: _Header, dimensions: int) -> tuple[Float64s, tuple[Finding, ...]]:
    """Return the map from indices to LPS mm, and a finding where the format's defaults stand in."""
    spacing_key = "ElementSpacing" if "elementspacing" in header.fields else "ElementSize"
    spacing = header.numbers(spacing_key, dimensions)[:3]
    rows = np.eye(dimensions)
    offset = np.zeros(dimensions)
    missing = [key for key in ("TransformMatrix", "Offset") if key.lower() not in header.fields]
    if "TransformMatrix" not in missing:
        rows = header.numbers("TransformMatrix", dimensions**2).reshape(dimensions, dimensions)
    if "Offset" not in missing:
        offset = header.numbers("Offset", dimensions)
    directions = rows[:3, :3].T
    lengths = np.array([math.hypot(*direction) for direction in directions.T])
    if not (np.abs(lengths - 1) <= _UNIT_LENGTH_WITHIN).all():
        rows_long = " ".join(f"{length:.6g}" for length in lengths)
        msg = f"{header.name}: its TransformMatrix is no rotation; its rows have the lengths {rows_long}."
        raise GeometryError(msg, hint="Save the image again with its voxel size in ElementSpacing.")
    affine = affine_of(*(directions * spacing).T, offset[:3])
    if not missing:
        return affine, ()
    fields = " and no ".join(missing)
    return affine, (finding("geometry_defaulted", where=header.name, name=header.name, fields=fields),)


def _dtype(header: _Header) -> np.dtype[np.generic]:
    named = header.required("ElementType")
    if named.lower() not in _TYPES:
        msg = f"{header.name}: its ElementType is {named}; a single whole or real number was expected."
        raise FormatError(msg)
    order = ">" if header.flag("BinaryDataByteOrderMSB", default=False) else "<"
    return np.dtype(order + _TYPES[named.lower()])


def _data_files(path: Path, header: _Header, sizes: tuple[int, ...]) -> tuple[Path, ...]:
    """Return the detached data files, in order; none where the data follow the header."""
    named = header.required("ElementDataFile")
    if named.upper() == "LOCAL":
        return ()
    if not named:
        msg = f"{header.name}: its ElementDataFile is empty."
        raise FormatError(msg)
    words, numbers = named.split(), pattern_numbers(named)
    if words[0].upper() == "LIST":
        return files_beside(path, header.listed)
    if not 1 <= len(numbers) <= 3:
        return files_beside(path, [named])
    first, last, step = (numbers + [sizes[2] + numbers[0] - 1, 1][len(numbers) - 1 :])[:3]
    return files_beside(path, numbered_names(header.name, words[0], first, last, step, most=sizes[2]))
