"""What a volume file's header says, in one form for every format, and the voxel bytes that it describes."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import FormatError, GeometryError
from volstrat.formats.stream import RESAVE, SourceFile, decoder_for
from volstrat.frozen import frozen
from volstrat.geometry.grid import VoxelGrid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike

    from volstrat.formats.stream import Decoder, Digest, Encoding
    from volstrat.geometry.array_types import Float64s, Triple
    from volstrat.geometry.run_scanner import RunScanner
    from volstrat.terms.findings import Finding

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

MILLIMETRES_IN = {
    "cm": 10.0,
    "m": 1000.0,
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m", "micron", "microns"), 0.001),
}
"""Millimetres in one unit of length, by the names that headers use."""


_FARTHEST_MM = 1e7
_SMALLEST_EDGE_MM = 1e-6


@frozen
class Segment:
    """One segment of a `.seg.nrrd`: the voxels of one layer that have one value.

    ``codes`` are its segmented property category and type: value, scheme, meaning of each.
    """

    name: str
    value: int
    layer: int
    codes: tuple[tuple[str, str, str], ...] = ()


@frozen(eq=False)
class VolumeHeader:
    """Where a volume's voxels are and how to read them."""

    name: str  # the file, as it is named in messages
    grid: VoxelGrid  # converted to LPS mm
    dtype: np.dtype[np.generic]  # of the stored values, byte order included
    encoding: Encoding = "raw"
    # slope, intercept: value = slope x stored + intercept.
    slope: float = 1.0
    intercept: float = 0.0
    # the files that hold the voxels, in order, in equal parts; empty: they follow the header.
    data_files: tuple[Path, ...] = ()
    # line_skip, byte_skip: what to pass over before the voxels, see `start_of_voxels`.
    line_skip: int = 0
    byte_skip: int = 0
    layers: int = 1  # values a grid point, more than 1 only where segments lie in layers
    layers_fastest: bool = True  # the layers of one voxel are stored side by side; else layer after layer
    segments: tuple[Segment, ...] = ()
    is_segmentation: bool = False  # the file is a segmentation with named segments
    units: str | None = None  # unit of the values, where the header names one
    # of a plain label map, where the header names its labels.
    label_names: Mapping[int, str] = field(default_factory=dict)
    # the whole image that a segmentation stores a part of, where the header says which.
    drawn_on: VoxelGrid | None = None
    is_fractional: bool = False  # values are shares of a voxel, the largest being a whole one
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if self.data_files and self.voxel_bytes % len(self.data_files):
            files, volume = f"{len(self.data_files)} data files", f"a volume of shape {self.grid.shape}"
            msg = f"{self.name}: names {files}, among which {volume} cannot be shared evenly."
            raise FormatError(msg)

    @property
    def voxel_bytes(self) -> int:
        """How many bytes all voxels take once decoded."""
        return self.grid.size * self.layers * self.dtype.itemsize

    @property
    def voxel_bytes_per_file(self) -> int:
        """How many of them each file holds."""
        return self.voxel_bytes // max(len(self.data_files), 1)


def grid_of(
    name: str, shape: Triple, affine_lps: ArrayLike, *, is_window: bool = False, frame_uid: str | None = None
) -> VoxelGrid:
    """Return the grid; where the affine is not finite, singular or sheared, say in which file it is."""
    affine = plausible(name, np.asarray(affine_lps, dtype=np.float64))
    try:
        return VoxelGrid(shape=shape, affine=affine, frame_of_reference_uid=frame_uid, is_window=is_window)
    except GeometryError as error:
        msg = f"{name}: {error.message[0].lower()}{error.message[1:]}"
        raise GeometryError(msg, hint=error.hint) from error


def plausible(name: str, affine: Float64s) -> Float64s:
    """Return an affine in mm whose numbers can be a patient's.

    Not finite, beyond 10 km, or with voxel edges below a nanometre it is a GeometryError.
    """
    if not (np.abs(affine) < _FARTHEST_MM).all():
        largest = affine.ravel()[np.abs(affine).argmax()]
        msg = f"{name}: its affine holds {largest:g}, which is no place in mm."
        raise GeometryError(msg, hint=RESAVE)
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not (edges > _SMALLEST_EDGE_MM).all():
        msg = f"{name}: the voxel spacing is {edges.min():g} mm along an axis."
        raise GeometryError(msg, hint=RESAVE)
    return affine


def single_volume_shape(name: str, sizes: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the three spatial sizes of a volume whose further axes, if any, have one entry.

    Fewer than three axes, an empty one, or more than one volume are a FormatError.
    """
    if min(sizes, default=0) < 1:
        msg = f"{name}: has the shape {sizes}; every axis needs at least one voxel."
        raise FormatError(msg)
    if len(sizes) < 3:
        msg = f"{name}: has {len(sizes)} axes; a volume has three."
        raise FormatError(msg, hint="Export the whole volume, not one slice.")
    volumes = int(np.prod(np.array(sizes[3:], dtype=object)))
    if volumes != 1:
        msg = f"{name}: holds {volumes} volumes (shape {sizes}); one was expected."
        raise FormatError(msg, hint="Export the one volume that is meant.")
    return sizes[0], sizes[1], sizes[2]


def start_of_voxels(source: SourceFile, header: VolumeHeader) -> Decoder:
    """Return a decoder that stands where the voxels of a header begin.

    ``source`` stands behind the header, or at the beginning of a detached data file. ``line_skip`` of the
    header counts lines of the file, its ``byte_skip`` decoded bytes after those; a ``byte_skip`` of -1: the
    voxels are the file's last bytes. A file that ends before is a CorruptDataError.
    """
    source.skip_lines(header.line_skip)
    skip = header.byte_skip
    if skip == -1:
        if header.encoding != "raw":
            msg = f"{header.name}: counts its {header.encoding} voxels from the file's end; raw was expected."
            raise FormatError(msg, hint=RESAVE)
        skip = max(source.remaining_bytes - header.voxel_bytes_per_file, 0)
    decoder = decoder_for(source, header.encoding, header.dtype)
    decoder.skip(skip)
    return decoder


def voxel_pieces(header: VolumeHeader, attached: Decoder | None, digest: Digest | None) -> Iterator[bytes]:
    """Yield the voxel bytes in pieces, from behind the header or from the data files in order."""
    if attached is not None:
        yield from attached.pieces(header.voxel_bytes)
        return
    for path in header.data_files:
        with SourceFile(path, digest, named_by=header.name) as source:
            yield from start_of_voxels(source, header).pieces(header.voxel_bytes_per_file)


def feed_layers(scanners: list[RunScanner], header: VolumeHeader, pieces: Iterable[bytes]) -> None:
    """Give every layer's bytes to its own scanner."""
    if header.layers == 1:
        for piece in pieces:
            scanners[0].feed(piece)
    elif header.layers_fastest:
        _feed_interleaved(scanners, header.dtype.itemsize, pieces)
    else:
        _feed_one_after_another(scanners, header.grid.size * header.dtype.itemsize, pieces)


def _feed_interleaved(scanners: list[RunScanner], itemsize: int, pieces: Iterable[bytes]) -> None:
    layers = len(scanners)
    step = layers * itemsize
    carry = b""
    for piece in pieces:
        data = carry + piece if carry else piece
        points, rest = divmod(len(data), step)
        carry = data[len(data) - rest :]
        values = np.frombuffer(data, dtype=f"u{itemsize}", count=points * layers).reshape(points, layers)
        if not values.any():
            nothing = bytes(points * itemsize)
            for scanner in scanners:
                scanner.feed(nothing)
            continue
        for layer, scanner in enumerate(scanners):
            scanner.feed(values[:, layer].tobytes())


def _feed_one_after_another(scanners: list[RunScanner], layer_bytes: int, pieces: Iterable[bytes]) -> None:
    done = 0
    for piece in pieces:
        view = memoryview(piece)
        while view:
            layer, within = divmod(done, layer_bytes)
            part = view[: layer_bytes - within]
            scanners[layer].feed(part)
            done += len(part)
            view = view[len(part) :]
