"""NIfTI-1 and NIfTI-2 headers (.nii, .nii.gz, and .hdr with its .img).

NIfTI coordinates are RAS mm; they become LPS here, once. Sources: the field tables of `nifti1.h`
(NIFTI-1 standard, "3D image orientation": method 2 qform, method 3 sform) and of `nifti2.h`.

Decisions that are stricter than other readers, because a side or a volume could silently be wrong:

- Neither qform nor sform (codes 0): refused. The standard then defines no orientation, and readers
  differ: nibabel centres the volume and flips x, ITK puts the first voxel at the origin.
- qform and sform that move a corner apart by more than half the smallest voxel edge: refused.
  Closer than that the sform is used.
- More bytes than the header promises: refused (see `stream`).
- Units of metres or microns are converted, with a finding; unknown units are taken as mm, as every
  reader does and many writers mean.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import CorruptDataError, FormatError, GeometryError
from volstrat.formats.label_names import LARGEST_BYTES, names_in_table
from volstrat.formats.layout import RAS_TO_LPS, VolumeHeader, grid_of, plausible, single_volume_shape
from volstrat.formats.stream import RESAVE, sniffed
from volstrat.frozen import frozen
from volstrat.geometry.grid import affine_of
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from volstrat.formats.stream import Decoder, SourceFile
    from volstrat.geometry.array_types import Float64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding


_SIZE_1, _SIZE_2 = 348, 540
_EXTENDER_BYTES = 4
_EXTENSION_HEAD_BYTES = 8
# Field name -> offset and struct code, where NIfTI-1 and NIfTI-2 keep it.
_FIELDS_1 = {
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "3f"),
    "qoffset": (268, "3f"),
    "srow": (280, "12f"),
}
_FIELDS_2 = {
    "datatype": (12, "h"),
    "dim": (16, "8q"),
    "pixdim": (104, "8d"),
    "vox_offset": (168, "q"),
    "scl_slope": (176, "d"),
    "scl_inter": (184, "d"),
    "qform_code": (344, "i"),
    "sform_code": (348, "i"),
    "quatern": (352, "3d"),
    "qoffset": (376, "3d"),
    "srow": (400, "12d"),
    "xyzt_units": (500, "i"),
}
_SINGLE_FILE = {b"n+1\0": True, b"ni1\0": False, b"n+2\0\r\n\x1a\n": True, b"ni2\0\r\n\x1a\n": False}
_DTYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_REFUSED_DTYPES = {
    1: "single bits",
    32: "complex numbers",
    128: "RGB colours",
    1536: "128-bit floats",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "RGBA colours",
}
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "microns"}
_LARGEST_OFFSET = 1 << 31


@frozen(kw_only=False)
class _Fields:
    """The fields that matter, as stored."""

    order: str  # of struct and numpy: "<" or ">"
    header_bytes: int
    in_this_file: bool
    values: dict[str, tuple[float, ...]]

    def whole(self, field: str) -> int:
        return int(self.values[field][0])

    def number(self, field: str) -> float:
        return float(self.values[field][0])


def read_header(path: Path, source: SourceFile) -> tuple[VolumeHeader, Decoder | None]:
    """Read a NIfTI header, whether the file is gzip or not and whatever its name says.

    The source stands at the file's beginning. The header's grid is in LPS mm, from RAS mm; the decoder stands
    where the voxels begin, and is None where they lie in other files. A file of another format, or one that
    volstrat refuses (see the module), is a FormatError, CorruptDataError, GeometryError or InputFileError.
    """
    name = path.name
    decoder = sniffed(source)
    fields = _read_fields(name, decoder)
    offset = _voxel_offset(name, fields)
    slope, intercept = _scaling(name, fields)
    grid, findings = _grid(name, fields)
    dtype = _dtype(name, fields)
    names = (
        _extension_names(decoder, offset - fields.header_bytes, fields.order) if fields.in_this_file else {}
    )
    header = VolumeHeader(
        name=name,
        grid=grid,
        dtype=dtype,
        encoding="raw or gzip",
        slope=slope,
        intercept=intercept,
        data_files=() if fields.in_this_file else (_img_beside(path),),
        byte_skip=offset,
        label_names=names,
        findings=findings,
    )
    return header, decoder if fields.in_this_file else None


def _extension_names(decoder: Decoder, size: int, order: str) -> dict[int, str]:
    """Pass over what lies between header and voxels; return the names of a label table in an extension."""
    if not _EXTENDER_BYTES + _EXTENSION_HEAD_BYTES < size <= LARGEST_BYTES:
        decoder.skip(size)
        return {}
    between = decoder.read_exactly(size)
    decoder.skip(size - len(between))  # says that the file ends too early
    at = _EXTENDER_BYTES
    while between[0] and at + _EXTENSION_HEAD_BYTES <= size:
        length, _ = struct.unpack_from(order + "2i", between, at)
        if not _EXTENSION_HEAD_BYTES <= length <= size - at:
            break
        names = names_in_table(between[at + _EXTENSION_HEAD_BYTES : at + length].decode("utf-8", "replace"))
        if names:
            return names
        at += length
    return {}


def _read_fields(name: str, decoder: Decoder) -> _Fields:
    size_field = decoder.read_exactly(4)
    little, big = int.from_bytes(size_field, "little"), int.from_bytes(size_field, "big")
    size = little if little in {_SIZE_1, _SIZE_2} else big
    if size not in {_SIZE_1, _SIZE_2}:
        begin = size_field.hex(" ")
        msg = f"{name}: is not NIfTI; it begins with {begin}, not with the header size 348 or 540."
        raise FormatError(msg, hint="Check that the file's name fits its format.")
    raw = size_field + decoder.read_exactly(size - 4)
    if len(raw) < size:
        msg = f"{name}: ends within its header, after {len(raw)} of {size} bytes (truncated file)."
        raise CorruptDataError(msg, hint=RESAVE)
    magic = raw[344:348] if size == _SIZE_1 else raw[4:12]
    if magic not in _SINGLE_FILE:
        is_analyze = size == _SIZE_1 and not magic.strip(b"\0")
        what = "is ANALYZE 7.5, which does not say left from right" if is_analyze else "is not NIfTI"
        msg = f"{name}: {what} (its magic is {magic!r})."
        raise FormatError(msg, hint="Convert the image to NIfTI from its DICOM series.")
    order = "<" if size == little else ">"
    table = _FIELDS_1 if size == _SIZE_1 else _FIELDS_2
    values = {field: struct.unpack_from(order + code, raw, at) for field, (at, code) in table.items()}
    return _Fields(order, size, _SINGLE_FILE[magic], values)


def _voxel_offset(name: str, fields: _Fields) -> int:
    """Bytes before the voxels in the file that holds them; header extensions lie in between."""
    offset = fields.number("vox_offset")
    least = fields.header_bytes + _EXTENDER_BYTES if fields.in_this_file else 0
    if offset == 0:
        return least
    if not least <= offset <= _LARGEST_OFFSET or offset != int(offset):
        msg = f"{name}: its voxels would begin at byte {offset:g}; {least} is the least (damaged header)."
        raise FormatError(msg, hint=RESAVE)
    return int(offset)


def _img_beside(path: Path) -> Path:
    """Return the `.img` of a `.hdr`, with the name's own case, compressed or not."""
    hdr = re.fullmatch(r"(.+\.)(hdr)(\.gz)?", path.name, re.IGNORECASE)
    if hdr is None:
        msg = f"{path.name}: is the header of a .hdr/.img pair and holds no voxels itself."
        raise FormatError(msg, hint="Name it .hdr, beside its .img, or export one .nii file.")
    stem, gz = hdr[1], hdr[3] or ""
    img = "IMG" if hdr[2].isupper() else "img"
    plain, zipped = path.with_name(stem + img), path.with_name(stem + img + (gz or ".gz"))
    first, second = (zipped, plain) if gz else (plain, zipped)
    return second if second.exists() and not first.exists() else first


def _dtype(name: str, fields: _Fields) -> np.dtype[np.generic]:
    code = fields.whole("datatype")
    if code not in _DTYPES:
        what = _REFUSED_DTYPES.get(code, "an unknown type")
        msg = f"{name}: its voxels are {what} (datatype {code}); whole or real numbers were expected."
        raise FormatError(msg)
    return np.dtype(fields.order + _DTYPES[code])


def _scaling(name: str, fields: _Fields) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN means none (nifti1.h, "Data scaling")."""
    slope, intercept = fields.number("scl_slope"), fields.number("scl_inter")
    if slope == 0 or not math.isfinite(slope):
        return 1.0, 0.0
    if not math.isfinite(intercept):
        msg = f"{name}: its values have the slope {slope:g} but no finite intercept ({intercept})."
        raise FormatError(msg, hint=RESAVE)
    return slope, intercept


def _grid(name: str, fields: _Fields) -> tuple[VoxelGrid, tuple[Finding, ...]]:
    """Return the grid in LPS mm, from the sform or the qform, with what a person should know of it."""
    count = fields.whole("dim")
    if not 1 <= count <= 7:
        msg = f"{name}: claims {count} dimensions; NIfTI has 1 to 7 (damaged header)."
        raise FormatError(msg, hint=RESAVE)
    sizes = [int(n) for n in fields.values["dim"][1 : count + 1]]
    sizes[3:] = [n or 1 for n in sizes[3:]]  # an unused axis is 1, and 0 where writers were careless
    shape = single_volume_shape(name, tuple(sizes))
    scale, findings = _millimetres(name, fields.whole("xyzt_units"))
    to_mm = np.diag([scale, scale, scale, 1.0])
    qform = to_mm @ _qform(name, fields) if fields.whole("qform_code") > 0 else None
    if fields.whole("sform_code") <= 0:
        if qform is None:
            msg = f"{name}: has neither qform nor sform, so it does not say where left is."
            raise GeometryError(msg, hint="Convert it again from its DICOM series, orientation included.")
        chosen = qform
    else:
        rows = np.reshape(fields.values["srow"], (3, 4))
        sform = to_mm @ plausible(name, np.vstack((rows, [0.0, 0.0, 0.0, 1.0])))
        chosen = sform
        if qform is not None:
            _refuse_disagreement(name, shape, qform, sform)
        else:
            findings = (*findings, *_pixdim_finding(name, fields, scale, sform))
    if np.array_equal(chosen, np.eye(4)):  # what a program writes that lost the image's geometry
        fields_lost = "voxel size and place of its own (1 x 1 x 1 mm from 0, 0, 0)"
        findings += (finding("geometry_defaulted", where=name, name=name, fields=fields_lost),)
    return grid_of(name, shape, RAS_TO_LPS @ chosen), findings


def _millimetres(name: str, xyzt_units: int) -> tuple[float, tuple[Finding, ...]]:
    code = xyzt_units & 7
    if code not in _MILLIMETRES:
        msg = f"{name}: its unit of length has the code {code}; millimetres, metres or microns were expected."
        raise FormatError(msg, hint=RESAVE)
    if code not in _UNIT_NAMES:
        return 1.0, ()
    return _MILLIMETRES[code], (finding("units_converted", where=name, name=name, unit=_UNIT_NAMES[code]),)


def _qform(name: str, fields: _Fields) -> Float64s:
    """Return method 2 of the standard: a unit quaternion, voxel sizes and an offset."""
    b, c, d = (float(v) for v in fields.values["quatern"])
    rest = 1.0 - (b * b + c * c + d * d)
    sizes = np.array(fields.values["pixdim"][1:4], dtype=np.float64)
    if not rest > -1e-3 or not ((sizes > 0) & np.isfinite(sizes)).all():
        voxel = _millimetre_list(sizes)
        msg = f"{name}: its qform is unusable (quaternion {b:g} {c:g} {d:g}, voxel {voxel})."
        raise GeometryError(msg, hint=RESAVE)
    if rest < 1e-7:  # half a turn: what is left of `a` is rounding (as nifti_quatern_to_mat44 has it)
        length = math.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    sizes[2] *= -1.0 if fields.number("pixdim") < 0 else 1.0
    return plausible(name, affine_of(*(rotation * sizes).T, fields.values["qoffset"]))


def _refuse_disagreement(name: str, shape: tuple[int, ...], qform: Float64s, sform: Float64s) -> None:
    ends = np.array(shape, dtype=np.float64) - 1
    corners = np.array([[*(ends * bits), 1.0] for bits in np.ndindex(2, 2, 2)])
    moved = (corners @ (qform - sform).T)[:, :3]
    distance = float(np.sqrt((moved**2).sum(axis=1)).max())
    edge = float(np.sqrt((sform[:3, :3] ** 2).sum(axis=0)).min())
    if not distance <= edge / 2:
        msg = (
            f"{name}: its qform and sform disagree; a corner moves by {distance:.4g} mm, more than half "
            f"the smallest voxel edge ({edge / 2:.4g} mm)."
        )
        raise GeometryError(msg, hint="Find out which is right and write it to both.")


def _pixdim_finding(name: str, fields: _Fields, scale: float, sform: Float64s) -> Iterator[Finding]:
    """Voxel sizes that contradict the sform: readers differ on which they take, so a person should know."""
    edges = np.sqrt((sform[:3, :3] ** 2).sum(axis=0))
    sizes = (
        np.clip(fields.values["pixdim"][1:4], -1e9, 1e9) * scale
    )  # the clip only keeps nonsense from overflowing
    if not (np.abs(sizes - edges) <= 1e-3 * edges).all():
        said, taken = _millimetre_list(sizes), _millimetre_list(edges)
        yield finding("pixdim_ignored", where=name, name=name, pixdim=said, sform=taken)


def _millimetre_list(sizes: Float64s) -> str:
    return " x ".join(f"{size:.6g}" for size in sizes) + " mm"
