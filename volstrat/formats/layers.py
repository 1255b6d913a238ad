"""Voxel bytes as they come from a file, and each layer's bytes to its own scanner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.formats.layout import start_of_voxels
from volstrat.formats.stream import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from volstrat.formats.layout import VolumeHeader
    from volstrat.formats.stream import Decoder, Digest
    from volstrat.geometry.run_scanner import RunScanner


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
