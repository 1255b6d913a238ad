"""One phantom case, written in any format and storage order, with its numbers worked out by hand.

CT: 26 x 22 x 12 voxels of 0.8 x 0.7 x 2.5 mm, tilted and off-centre. Three cuboids of tumour:
L1 8 x 6 x 4 = 192 voxels, L2 6 x 5 x 3 = 90, L3 3 x 3 x 3 = 27; 309 in all. Resectable: all of L2, and
9 voxels (one slice) of L3: 99 of 309, 32.0 %; 40 further voxels lie outside tumour.
PET: 4.1 x 3.9 x 3.3 mm on a lattice of its own. Avid: the PET voxels that hold the centre of a voxel of
L2, and one voxel far from all tumour.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.lattices import oblique
from tests.volume_files import metaimage_header, nifti, nrrd_header

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Affine = NDArray[np.float64]
    Volume = tuple[NDArray[Any], Affine]

SHAPE = (26, 22, 12)
CT_AFFINE = oblique(21, tilt=0.3)
BOXES = {
    1: (slice(2, 10), slice(3, 9), slice(1, 5)),
    2: (slice(16, 22), slice(12, 17), slice(2, 5)),
    3: (slice(4, 7), slice(16, 19), slice(8, 11)),
}
COUNTS = {"L1": 192, "L2": 90, "L3": 27}
RESECTABLE_VOXELS, TOTAL_VOXELS = 99, 309
VOXEL_ML = 0.8 * 0.7 * 2.5 / 1000
PET_SPACING_MM = (4.1, 3.9, 3.3)


def labels() -> NDArray[np.uint8]:
    """Return the lesions as a label map: 1, 2, 3 by falling volume, as their ids are."""
    dense = np.zeros(SHAPE, dtype=np.uint8)
    for number, box in BOXES.items():
        dense[box] = number
    return dense


def resectable() -> NDArray[np.uint8]:
    """Return all of L2, one slice of L3, and 40 voxels that are no tumour."""
    dense: NDArray[np.uint8] = (labels() == 2).astype(np.uint8)
    dense[4:7, 16:19, 8] = 1
    dense[12:22, 20:22, 6:8] = 1
    return dense


def pet() -> Volume:
    """Return the avid mask on the PET lattice: 14 x 13 x 16 voxels round the CT's middle, turned."""
    shape = (14, 13, 16)
    affine = oblique(33, PET_SPACING_MM, tilt=0.2)
    middle = CT_AFFINE[:3, :3] @ (np.array(SHAPE) / 2) + CT_AFFINE[:3, 3]
    affine[:3, 3] = middle - affine[:3, :3] @ (np.array(shape) / 2)
    centres = np.argwhere(labels() == 2) @ CT_AFFINE[:3, :3].T + CT_AFFINE[:3, 3]
    index = np.rint((centres - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T).astype(int)
    dense = np.zeros(shape, dtype=np.uint8)
    dense[tuple(index.T)] = 1
    dense[12, 11, 14] = 1
    return dense, affine


def case_volumes() -> dict[str, Volume]:
    """Return the three masks of the case; the tumour without labels."""
    return {
        "tumour": ((labels() > 0).astype(np.uint8), CT_AFFINE),
        "resectable": (resectable(), CT_AFFINE),
        "fdg_avid": pet(),
    }


@dataclass(frozen=True, kw_only=True)
class Form:
    """A way to store a volume: the file's ending, value type with byte order, compression, header."""

    ending: str
    dtype: str = "u1"
    compressed: bool = False
    version: int = 1
    detached: bool = False

    def __str__(self) -> str:
        kind = "-".join(
            word
            for word, on in (("v2", self.version == 2), ("z", self.compressed), ("detached", self.detached))
            if on
        )
        return f"{self.ending[1:]}-{self.dtype}{'-' if kind else ''}{kind}"


NRRD_TYPES = {"u1": "uint8", "i2": "short", "u2": "ushort", "i4": "int", "f4": "float", "f8": "double"}
MET_TYPES = {"u1": "UCHAR", "i2": "SHORT", "u2": "USHORT", "i4": "INT", "f4": "FLOAT", "f8": "DOUBLE"}


def write(folder: Path, stem: str, volume: Volume, form: Form) -> Path:
    """Write a volume; return the file to name."""
    dense, affine = volume
    values = dense.astype(form.dtype)
    path = folder / f"{stem}{form.ending}"
    raw = values.tobytes(order="F")
    if form.ending.startswith(".nii"):
        plain = folder / f"{stem}.nii"
        order = ">" if form.dtype[0] == ">" else "<"
        nifti(plain, values, affine, version=form.version, order=order)
        if form.ending == ".nii.gz":
            data = gzip.compress(plain.read_bytes(), compresslevel=1)
            plain.unlink()
            path.write_bytes(data)
    elif form.ending in {".nrrd", ".nhdr"}:
        fields = {
            "type": NRRD_TYPES[form.dtype[-2:]],
            "endian": "big" if form.dtype[0] == ">" else "little",
            "encoding": "gzip" if form.compressed else "raw",
        }
        data = gzip.compress(raw) if form.compressed else raw
        if form.detached:
            fields["data_file"] = f"{stem}.raw"
            (folder / f"{stem}.raw").write_bytes(data)
            path.write_bytes(nrrd_header(dense.shape, affine, **fields))
        else:
            path.write_bytes(nrrd_header(dense.shape, affine, **fields) + b"\n" + data)
    else:
        data = zlib.compress(raw) if form.compressed else raw
        keys = {
            "ElementType": f"MET_{MET_TYPES[form.dtype[-2:]]}",
            "BinaryDataByteOrderMSB": str(form.dtype[0] == ">"),
            "CompressedData": str(form.compressed),
        }
        if form.compressed:
            keys["CompressedDataSize"] = str(len(data))
        if form.ending == ".mhd":
            (folder / f"{stem}.raw").write_bytes(data)
            path.write_bytes(metaimage_header(dense.shape, affine, ElementDataFile=f"{stem}.raw", **keys))
        else:
            path.write_bytes(metaimage_header(dense.shape, affine, **keys) + data)
    return path


PLAIN = Form(ending=".nrrd")


def write_case(folder: Path, volumes: dict[str, Volume] | None = None, form: Form = PLAIN) -> Path:
    """Write the case's masks into a new folder, named by their roles."""
    folder.mkdir(parents=True, exist_ok=True)
    for role, volume in (case_volumes() if volumes is None else volumes).items():
        write(folder, role, volume, form)
    return folder


def write_segmentation(
    path: Path,
    layers: list[NDArray[Any]],
    affine: Affine,
    segments: list[tuple[str, int, int]],
    *,
    drawn_on: tuple[Affine, tuple[int, ...]] | None = None,
) -> Path:
    """Write a Slicer segmentation of segments (name, label value, layer).

    ``drawn_on`` is the affine and shape of its image, which Slicer keeps as reference image geometry (RAS).
    """
    head = nrrd_header(layers[0].shape, affine).decode()
    vectors = head.split("space directions: ")[1].split("\n")[0]
    sizes = " ".join(map(str, layers[0].shape))
    fields = {"encoding": "gzip"}
    if len(layers) > 1:
        fields |= {
            "dimension": "4",
            "sizes": f"{len(layers)} {sizes}",
            "space_directions": f"none {vectors}",
            "kinds": "list domain domain domain",
        }
    keys = ""
    if drawn_on is not None:
        matrix = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ drawn_on[0]).ravel().tolist()
        ends = [end for size in drawn_on[1] for end in (0, size - 1)]
        numbers = ";".join(map(repr, [*matrix, *ends]))
        keys = f"Segmentation_ConversionParameters:=Reference image geometry|{numbers};|What it is.&\n"
    for n, (name, value, layer) in enumerate(segments):
        told = {"ID": f"Segment_{n}", "LabelValue": value, "Layer": layer, "Name": name}
        keys += "".join(f"Segment{n}_{key}:={word}\n" for key, word in told.items())
    raw = np.stack(layers).astype(np.uint8).tobytes(order="F")
    data = nrrd_header(layers[0].shape, affine, **fields) + keys.encode() + b"\n" + gzip.compress(raw)
    path.write_bytes(data)
    return path
