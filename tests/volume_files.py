"""Small volume files for tests, written without volstrat's own readers."""

from __future__ import annotations

import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.formats.volumes import MaskRead

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SPACING_MM = (0.8, 0.7, 2.5)


def rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a random proper rotation, (3, 3)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.sign(np.linalg.det(q))
    turned: NDArray[np.float64] = q
    return turned


def oblique_lps(seed: int, *, mirrored: bool = False) -> NDArray[np.float64]:
    """Return an oblique, anisotropic, off-centre affine (index to LPS mm)."""
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = rotation(rng) * np.array(SPACING_MM) * rng.uniform(0.5, 2.0, 3)
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    if mirrored:
        affine[:3, 2] *= -1
    return affine


def random_labels(seed: int, shape: tuple[int, int, int] = (13, 9, 7), most: int = 5) -> NDArray[np.uint8]:
    """Return a blocky random label map, about a third filled, indexed [i, j, k]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, most + 1, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.6] = 0
    labels[2:6, 3:5, 1:4] = 1
    return labels


def dense_counts(labels: NDArray[Any]) -> dict[int, int]:
    """Return voxels by label of a dense array, background left out."""
    values, counts = np.unique(labels[labels != 0], return_counts=True)
    return {int(v): int(n) for v, n in zip(values, counts, strict=True)}


def nifti(  # every argument is a header field some test turns
    path: Path,
    values: NDArray[Any],
    affine_lps: NDArray[np.float64],
    *,
    forms: str = "s",
    version: int = 1,
    order: str = "<",
    slope: tuple[float, float] | None = None,
    poke: dict[int, bytes] | None = None,
    extension: bytes = b"",
) -> Path:
    """Write an uncompressed NIfTI file with nibabel, then overwrite header bytes by offset."""
    nib: Any = import_module("nibabel")  # without types
    header_of = {1: nib.Nifti1Header, 2: nib.Nifti2Header}[version]
    image_of = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version]
    ras = RAS_LPS @ affine_lps
    header = header_of(endianness=order)
    dtype = np.dtype(order + values.dtype.str[1:])
    header.set_data_dtype(dtype)
    image = image_of(values.astype(dtype), ras, header)
    image.set_sform(ras if "s" in forms else None, code=1 if "s" in forms else 0)
    image.set_qform(ras if "q" in forms else None, code=1 if "q" in forms else 0)
    image.header.set_xyzt_units("mm")
    if extension:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", extension))
    plain = path.with_name("plain.nii")
    nib.save(image, plain)
    raw = bytearray(plain.read_bytes())
    plain.unlink()
    if slope is not None:
        at, code = (112, "2f") if version == 1 else (176, "2d")
        struct.pack_into(order + code, raw, at, *slope)
    for at, data in (poke or {}).items():
        raw[at : at + len(data)] = data
    path.write_bytes(raw)
    return path


def nrrd_header(shape: tuple[int, ...], affine_lps: NDArray[np.float64], **fields: str) -> bytes:
    """Return the text of an NRRD header; ``fields`` replace or (empty) drop lines, ``_`` for a space."""
    vectors = ["(" + ",".join(f"{v!r}" for v in affine_lps[:3, c].tolist()) + ")" for c in range(4)]
    lines = {
        "type": "uint8",
        "dimension": str(len(shape)),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, shape)),
        "space directions": " ".join(vectors[:3]),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": vectors[3],
    }
    lines.update({key.replace("_", " "): value for key, value in fields.items()})
    text = "".join(f"{key}: {value}\n" for key, value in lines.items() if value)
    return ("NRRD0004\n# a comment\n" + text).encode()


def metaimage_header(shape: tuple[int, ...], affine_lps: NDArray[np.float64], **keys: str) -> bytes:
    """Return the text of a MetaImage header; ``keys`` replace or (empty) drop lines."""
    spacing = np.sqrt((affine_lps[:3, :3] ** 2).sum(axis=0))
    matrix = (affine_lps[:3, :3] / spacing).T
    lines = {
        "ObjectType": "Image",
        "NDims": str(len(shape)),
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(f"{v!r}" for v in matrix.ravel().tolist()),
        "Offset": " ".join(f"{v!r}" for v in affine_lps[:3, 3].tolist()),
        "ElementSpacing": " ".join(f"{v!r}" for v in spacing.tolist()),
        "DimSize": " ".join(map(str, shape)),
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "LOCAL",
    }
    last = keys.pop("ElementDataFile", "LOCAL")
    lines.update(keys)
    del lines["ElementDataFile"]
    text = "".join(f"{key} = {value}\n" for key, value in lines.items() if value)
    return (text + f"ElementDataFile = {last}\n").encode()


def counts(read: MaskRead) -> dict[int, int]:
    """Return voxels by label."""
    return {label: read.mask.runs.of(label).count for label in read.mask.runs.values}
