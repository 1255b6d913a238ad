"""NIfTI-1, NRRD and MetaImage writers of a few lines, for `sample_data/`.

Arrays are indexed ``[i, j, k]`` with ``i`` fastest on disk; affines are LPS mm. The bytes hold no
time stamp and no file name.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

_NIFTI_TYPES = {"uint8": (2, 8), "int16": (4, 16), "int32": (8, 32), "float32": (16, 32)}
_METAIMAGE_TYPES = {"uint8": "MET_UCHAR", "int16": "MET_SHORT", "float32": "MET_FLOAT"}
_NRRD_TYPES = {"uint8": "unsigned char", "int16": "short", "float32": "float"}


def nifti(volume: Array, affine: Array, *, slope: float = 1.0, order: Literal["<", ">"] = "<") -> bytes:
    """Return a gzipped NIfTI-1 file with an sform (RAS mm), in either byte order ("<" or ">")."""
    code, bits = _NIFTI_TYPES[volume.dtype.name]
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    header = struct.pack(
        f"{order}i 36x 8h 14x h h 2x 8f 3f 3x b 24x 80s 24x 2h 24x 12f 16x 4s 4x",
        348,
        *(3, *volume.shape, 1, 1, 1, 1),
        *(code, bits),
        *(1.0, *steps, 0.0, 0.0, 0.0, 0.0),
        *(352.0, slope, 0.0),
        2,  # units: mm
        b"phantom, no patient",
        *(0, 1),  # qform_code, sform_code
        *ras[:3].ravel(),
        b"n+1\0",
    )
    stored = volume.astype(volume.dtype.newbyteorder(order))
    return gzip.compress(header + stored.tobytes(order="F"), 9, mtime=0)


def nrrd(volume: Array, affine: Array, *, extra: Mapping[str, str] | None = None) -> bytes:
    """Return a gzipped NRRD file; a fourth, first axis of ``volume`` is a list of layers."""
    layered = volume.ndim == 4
    directions = [f"({c[0]!r},{c[1]!r},{c[2]!r})" for c in affine[:3, :3].T.tolist()]
    fields = {
        "type": _NRRD_TYPES[volume.dtype.name],
        "dimension": str(volume.ndim),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, volume.shape)),
        "space directions": " ".join((["none"] if layered else []) + directions),
        "kinds": " ".join((["list"] if layered else []) + ["domain"] * 3),
        "endian": "little",
        "encoding": "gzip",
        "space origin": "({!r},{!r},{!r})".format(*affine[:3, 3].tolist()),
    }
    lines = [f"{key}: {value}" for key, value in fields.items()]
    lines += [f"{key}:={value}" for key, value in (extra or {}).items()]
    header = "\n".join(["NRRD0004", *lines, "", ""]).encode("ascii")
    return header + gzip.compress(volume.tobytes(order="F"), 9, mtime=0)


def metaimage(volume: Array, affine: Array) -> bytes:
    """Return an MHA file with zlib data."""
    steps = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    data = zlib.compress(volume.tobytes(order="F"), 9)

    def words(values: Array) -> str:
        return " ".join(map(repr, values.ravel().tolist()))

    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(data)),
        "TransformMatrix": words((affine[:3, :3] / steps).T),
        "Offset": words(affine[:3, 3]),
        "ElementSpacing": words(steps),
        "DimSize": " ".join(map(str, volume.shape)),
        "ElementType": _METAIMAGE_TYPES[volume.dtype.name],
        "ElementDataFile": "LOCAL",
    }
    header = "".join(f"{key} = {value}\n" for key, value in fields.items())
    return header.encode("ascii") + data


def content(name: str, data: bytes) -> bytes:
    """Return a file's bytes with what is compressed laid open: another zlib may pack differently.

    Of DICOM it is what the elements say.
    """
    if data[128:132] == b"DICM":
        from sample_dicom import dicom_content

        return dicom_content(data)
    if name.endswith(".nrrd"):
        header, packed = data.split(b"\n\n", 1)
        return header + _unpacked(packed)
    if name.endswith(".mha"):
        header, packed = data.split(b"ElementDataFile = LOCAL\n", 1)
        kept = [line for line in header.split(b"\n") if not line.startswith(b"CompressedDataSize")]
        return b"\n".join(kept) + _unpacked(packed)
    return _unpacked(data) if name.endswith(".gz") else data


def _unpacked(packed: bytes) -> bytes:
    """Return what can be unpacked of gzip or zlib data; a truncated stream gives its beginning."""
    return zlib.decompressobj(wbits=47).decompress(packed)
