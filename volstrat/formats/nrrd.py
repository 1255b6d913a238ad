"""NRRD headers (.nrrd, detached .nhdr) and the segments of Slicer's .seg.nrrd.

Source: "Definition of NRRD File Format" (teem.sourceforge.net/nrrd/format.html), NRRD0001 to
NRRD0005; segment keys as 3D Slicer's documentation of `.seg.nrrd` describes them.

NRRD names its own space; it becomes LPS here, once. Only patient spaces are taken (left-posterior-
superior, right-anterior-superior, left-anterior-superior): a file without a space, or in
scanner-xyz or a bare 3D space, does not say how the patient lies and is refused, as is one
without space directions or a space origin.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import FormatError, GeometryError
from volstrat.formats.label_names import names_in_groups
from volstrat.formats.layout import (
    MILLIMETRES_IN,
    RAS_TO_LPS,
    Segment,
    VolumeHeader,
    grid_of,
    plausible,
    single_volume_shape,
    start_of_voxels,
)
from volstrat.formats.text_header import (
    OTHER_FORMAT,
    TextHeader,
    files_beside,
    numbered_names,
    pattern_numbers,
    read_head,
)
from volstrat.geometry.grid import affine_of

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.formats.stream import Decoder, Encoding, SourceFile
    from volstrat.geometry.array_types import Float64s
    from volstrat.geometry.grid import VoxelGrid

_LARGEST_HEADER_BYTES = 1 << 24
_HEADER_ENDS = re.compile(rb"\n\r?\n")
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        "longlong",
        "long long",
        "long long int",
        "signed long long",
        "signed long long int",
        "int64",
        "int64_t",
    ),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_CODE_OF_TYPE = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS: tuple[Encoding, ...] = ("raw", "gzip", "bzip2", "text")
_ENCODING_ALIASES = {"gz": "gzip", "bz2": "bzip2", "txt": "text", "ascii": "text"}
_SIGNS_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_ALIASES = {
    "datafile": "data file",
    "lineskip": "line skip",
    "byteskip": "byte skip",
    "sampleunits": "sample units",
}
_ESCAPED = re.compile(r"\\([n\\])")
_ESCAPES = {"n": "\n", "\\": "\\"}
_MOST_LAYERS = 1000
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
_SEGMENT_KEY = re.compile(r"Segment(\d{1,6})_(ID|Name|LabelValue|Layer|Tags)")
_TERMS = re.compile(r"TerminologyEntry:([^|]*)")
_MITK_GROUPS = "org.mitk.multilabel.segmentation.labelgroups"
_REPRESENTATIONS = ("Segmentation_MasterRepresentation", "Segmentation_SourceRepresentation")
_REFERENCE = re.compile(r"Reference image geometry\|([-+\d.eE;]+)")
_SPATIAL_KINDS = {"domain", "space"}
_UNKNOWN_KINDS = {"???", "none"}


class _Header(TextHeader):
    """The fields of a header, and its key/value pairs."""

    def __init__(self, name: str, lines: list[str]) -> None:
        super().__init__(name)
        self.keys: dict[str, str] = {}
        for at, line in enumerate(lines):
            if line.startswith("#") or not line.strip():
                continue
            key, colon, value = line.partition(":")
            if not colon:
                msg = f"{name}: line {at + 2} of its header is neither a field nor a key."
                raise FormatError(msg)
            if value.startswith("="):
                self.keys[key.strip()] = _ESCAPED.sub(lambda match: _ESCAPES[match[1]], value[1:].strip())
                continue
            field = _ALIASES.get(key.strip().lower(), key.strip().lower())
            self.fields[field] = value.strip()
            if field == "data file" and value.split()[:1] == ["LIST"]:
                self.listed = [entry.strip() for entry in lines[at + 1 :] if entry.strip()]
                break


def read_header(path: Path, source: SourceFile) -> tuple[VolumeHeader, Decoder | None]:
    """Read an NRRD header, the grid in LPS mm from the space that the file names; see `nifti.read_header`."""
    name = path.name
    header = _Header(name, _header_lines(name, source))
    sizes = header.sizes("sizes", "dimension")
    spatial = _spatial_axes(header, len(sizes))
    segments = _segments(header)
    is_window = bool(segments) or name.lower().endswith((".seg.nrrd", ".seg.nhdr"))
    segments = segments or _mitk_segments(header)
    is_segmentation = bool(segments) or is_window
    layers, layers_fastest = _layers(name, sizes, spatial, is_segmentation=is_segmentation)
    encoding = _encoding(header)
    shape = single_volume_shape(name, tuple(sizes[axis] for axis in spatial))
    represented = [header.keys.get(key, "") for key in _REPRESENTATIONS]
    volume = VolumeHeader(
        name=name,
        grid=grid_of(name, shape, _affine(header, spatial), is_window=is_window),
        dtype=_dtype(header, encoding),
        encoding=encoding,
        data_files=_data_files(path, header, sizes),
        line_skip=header.whole("line skip", 0),
        byte_skip=header.whole("byte skip", 0),
        layers=layers,
        layers_fastest=layers_fastest,
        segments=_checked(name, segments, layers),
        is_segmentation=is_segmentation,
        drawn_on=_drawn_on(header) if is_window else None,
        is_fractional=is_window and any("fractional" in one.lower() for one in represented),
        units=header.fields.get("sample units", "").strip('"') or None,
    )
    if volume.line_skip < 0 or volume.byte_skip < -1:
        msg = f"{name}: skips {volume.line_skip} lines and {volume.byte_skip} bytes, which cannot be."
        raise FormatError(msg)
    return volume, None if volume.data_files else start_of_voxels(source, volume)


def _header_lines(name: str, source: SourceFile) -> list[str]:
    """Return the lines after the magic up to the empty line; what follows goes back to the source."""
    begin = source.read(8)
    source.unread(begin)
    if not begin.startswith(b"NRRD000"):
        msg = f"{name}: is not NRRD; it begins with {begin!r}."
        raise FormatError(msg, hint=OTHER_FORMAT)
    head = read_head(source, _HEADER_ENDS, most_bytes=_LARGEST_HEADER_BYTES)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    magic, *lines = re.split(r"\r?\n", text)
    if magic.strip() not in {f"NRRD000{version}" for version in range(1, 6)}:
        msg = f"{name}: is NRRD of an unknown version ({magic[:20]!r}); NRRD0001 to NRRD0005 were expected."
        raise FormatError(msg)
    return lines


def _vectors(header: _Header, field: str) -> list[list[float] | None]:
    """Return the vectors of a field such as ``none (1,0,0) (0,1,0)``."""
    try:
        return [
            None if match[1] is None else [float(number) for number in match[1].split(",")]
            for match in _VECTOR.finditer(header.fields[field])
        ]
    except ValueError:
        text = header.fields[field][:80]
        msg = f"{header.name}: the field '{field}' is {text!r}; vectors of numbers were expected."
        raise FormatError(msg) from None


def _spatial_axes(header: _Header, dimension: int) -> tuple[int, ...]:
    """Return the axes that lie in space: those with a direction, and by their kind."""
    if "space directions" not in header.fields:
        msg = f"{header.name}: has no space directions, so it does not say how the patient lies."
        raise GeometryError(msg, hint="Save it again with its orientation, in left-posterior-superior space.")
    vectors = _vectors(header, "space directions")
    kinds = header.fields.get("kinds", "").lower().split()
    if len(vectors) != dimension or (kinds and len(kinds) != dimension):
        there = f"{len(vectors)} space directions and {len(kinds)} kinds"
        msg = f"{header.name}: has {dimension} axes but {there}."
        raise FormatError(msg)
    spatial = tuple(axis for axis, vector in enumerate(vectors) if vector is not None)
    for axis in spatial:
        if kinds and kinds[axis] not in _SPATIAL_KINDS | _UNKNOWN_KINDS:
            msg = f"{header.name}: axis {axis + 1} has a direction in space, but its kind is {kinds[axis]}."
            raise FormatError(msg, hint=_saved_again(header))
    if len(spatial) != 3:
        msg = f"{header.name}: has {len(spatial)} axes in space; a volume has three."
        raise FormatError(msg, hint=_saved_again(header) or "Export the whole volume, not one slice.")
    return spatial


def _saved_again(header: _Header) -> str:
    """Return what helps where 3D Slicer before 4.7 wrote a segmentation; empty for other files."""
    if not any(_SEGMENT_KEY.fullmatch(key) for key in header.keys):
        return ""
    return "Old 3D Slicer wrote it so: open it in a current 3D Slicer and save it again."


def _affine(header: _Header, spatial: tuple[int, ...]) -> Float64s:
    """Return the map from indices to LPS mm."""
    space = header.fields.get("space", "").lower()
    if space not in _SIGNS_TO_LPS:
        what = f"its space is '{space}'" if space else "it names no space"
        msg = f"{header.name}: {what}, which does not say how the patient lies."
        raise GeometryError(msg, hint="Save it again in left-posterior-superior space.")
    if "space origin" not in header.fields:
        msg = f"{header.name}: has no space origin, so it does not say where the volume is."
        raise GeometryError(msg, hint="Save it again with its origin.")
    origin = _vectors(header, "space origin")
    directions = _vectors(header, "space directions")
    named = [*(directions[axis] for axis in spatial), *origin]
    columns = [column for column in named if column is not None and len(column) == 3]
    if len(named) != 4 or len(columns) != 4:
        msg = f"{header.name}: its space directions and origin are not vectors of three numbers."
        raise FormatError(msg)
    to_mm = _millimetres(header)
    signs = _SIGNS_TO_LPS[space]
    scale = np.diag([signs[0] * to_mm[0], signs[1] * to_mm[1], signs[2] * to_mm[2], 1.0])
    scaled: Float64s = scale @ plausible(header.name, affine_of(*columns))
    return scaled


def _millimetres(header: _Header) -> list[float]:
    """Return millimetres in one unit of each space axis; mm where no unit is named."""
    text = header.fields.get("space units")
    if text is None:
        return [1.0, 1.0, 1.0]
    units = [unit.strip().lower() for unit in re.findall(r'"([^"]*)"', text)] or text.lower().split()
    if len(units) != 3 or any(unit and unit not in MILLIMETRES_IN for unit in units):
        msg = f"{header.name}: its space units are {text}; millimetres were expected."
        raise FormatError(msg)
    return [MILLIMETRES_IN.get(unit, 1.0) for unit in units]


def _encoding(header: _Header) -> Encoding:
    named = header.required("encoding").lower()
    for encoding in _ENCODINGS:
        if encoding == _ENCODING_ALIASES.get(named, named):
            return encoding
    msg = f"{header.name}: its encoding is '{named}'; raw, gzip, bzip2 or text were expected."
    raise FormatError(msg)


def _dtype(header: _Header, encoding: Encoding) -> np.dtype[np.generic]:
    named = header.required("type").lower()
    if named not in _CODE_OF_TYPE:
        msg = f"{header.name}: its type is '{named}'; a whole or real number type was expected."
        raise FormatError(msg)
    dtype = np.dtype(_CODE_OF_TYPE[named])
    if dtype.itemsize == 1 or encoding == "text":
        return dtype
    endian = header.required("endian").lower()
    if endian not in {"little", "big"}:
        msg = f"{header.name}: its endian is '{endian}'; little or big was expected."
        raise FormatError(msg)
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _layers(
    name: str, sizes: tuple[int, ...], spatial: tuple[int, ...], *, is_segmentation: bool
) -> tuple[int, bool]:
    """Return how many values a grid point has, and whether they lie side by side."""
    others = [axis for axis in range(len(sizes)) if axis not in spatial and sizes[axis] != 1]
    if not others:
        return 1, True
    if not is_segmentation or len(others) > 1:
        msg = f"{name}: holds more than one value at each voxel (sizes {sizes}); one volume was expected."
        raise FormatError(
            msg, hint="Export the one volume that is meant; name a Slicer segmentation .seg.nrrd."
        )
    if not 1 <= sizes[others[0]] <= _MOST_LAYERS or (spatial[0] < others[0] < spatial[2]):
        msg = f"{name}: its layers (sizes {sizes}) are not 1 to {_MOST_LAYERS} on the first or the last axis."
        raise FormatError(msg)
    return sizes[others[0]], others[0] < spatial[0]


def _data_files(path: Path, header: _Header, sizes: tuple[int, ...]) -> tuple[Path, ...]:
    """Return the detached data files, in order; none where the data follow the header."""
    named = header.fields.get("data file", "")
    if not named:
        return ()
    words, numbers = named.split(), pattern_numbers(named)
    if words[0] == "LIST":
        return files_beside(path, header.listed)
    if len(numbers) not in {3, 4}:
        return files_beside(path, [named])
    first, last, step = numbers[:3]
    return files_beside(path, numbered_names(header.name, words[0], first, last, step, most=sizes[-1]))


def _segments(header: _Header) -> tuple[Segment, ...]:
    """Return the segments by their number; files from before Slicer 4.11 have one layer a segment."""
    found: dict[int, dict[str, str]] = {}
    for key, value in header.keys.items():
        match = _SEGMENT_KEY.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    found = {number: entry for number, entry in found.items() if set(entry) != {"Tags"}}
    has_layers = any("Layer" in entry for entry in found.values())
    has_values = any("LabelValue" in entry for entry in found.values())
    segments = []
    for order, (number, entry) in enumerate(sorted(found.items())):
        value = entry.get("LabelValue", "1")
        layer = entry.get("Layer", "0" if has_layers or has_values else str(order))
        if not re.fullmatch(r"\d{1,9}", value) or not re.fullmatch(r"\d{1,9}", layer) or int(value) == 0:
            msg = f"{header.name}: segment {number} has value {value!r} in layer {layer!r}; no whole numbers."
            raise FormatError(msg)
        name = entry.get("Name") or entry.get("ID") or f"Segment {number}"
        codes = _codes(entry.get("Tags", ""))
        segments.append(Segment(name=" ".join(name.split()), value=int(value), layer=int(layer), codes=codes))
    return tuple(segments)


def _codes(tags: str) -> tuple[tuple[str, str, str], ...]:
    """Return category and type of a segment's terminology entry (3D Slicer: parts by ~, codes by ^)."""
    entry = _TERMS.search(tags)
    parts = [part.split("^") for part in entry[1].split("~")[1:3]] if entry else []
    return tuple((part[1], part[0], part[2]) for part in parts if len(part) == 3)


def _mitk_segments(header: _Header) -> tuple[Segment, ...]:
    """Return MITK's labels as segments: each group of labels is a layer."""
    groups = names_in_groups(header.keys.get(_MITK_GROUPS, ""))
    return tuple(
        Segment(name=name, value=value, layer=layer)
        for layer, names in enumerate(groups)
        for value, name in names.items()
    )


def _drawn_on(header: _Header) -> VoxelGrid | None:
    """Return the image that a 3D Slicer segmentation was drawn on: its reference image geometry.

    Sixteen numbers of the map from indices to RAS mm, then first and last index along each axis.
    """
    found = _REFERENCE.search(header.keys.get("Segmentation_ConversionParameters", ""))
    if found is None:
        return None
    try:
        numbers = [float(number) for number in found[1].strip(";").split(";")]
        ends = np.array(numbers[16:22], dtype=np.int64).reshape(3, 2)
        affine = RAS_TO_LPS @ np.array(numbers[:16]).reshape(4, 4)
        affine[:3, 3] = (affine @ [*ends[:, 0], 1.0])[:3]
        ni, nj, nk = (int(last - first + 1) for first, last in ends)
        return grid_of(header.name, (ni, nj, nk), affine)
    except (ValueError, GeometryError):
        return None


def _checked(name: str, segments: tuple[Segment, ...], layers: int) -> tuple[Segment, ...]:
    """Return the segments, each with voxels of its own: a layer that exists, no value named twice in it."""
    taken = set()
    for segment in segments:
        if segment.layer >= layers:
            msg = f"{name}: a segment is in layer {segment.layer}, but there are {layers} layers (from 0)."
            raise FormatError(msg)
        if (segment.layer, segment.value) in taken:
            msg = f"{name}: two segments have the value {segment.value} in layer {segment.layer}."
            raise FormatError(msg)
        taken.add((segment.layer, segment.value))
    return segments
