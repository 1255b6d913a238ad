"""A small case folder with a liver in four segments, for plans; numbers worked out by hand.

Grid 20 x 10 x 4 voxels of 2 x 2 x 2.5 mm (0.01 ml), axis-parallel. Liver: i 0-15, all j, all k: 640 voxels.
Segments by i: 5: 0-3, 6: 4-7, 4: 8-11, 3: 12-15, 160 voxels each.
L1: i 1-2, j 2-5, k 1-2, 16 voxels, in 5. L2: i 9-10, j 4-5, k 1-2, 8 voxels, in 4.
L3: i 13, j 7-8, k 1-2, 4 voxels, in 3. L4: i 18, j 4-5, k 1, 2 voxels, outside the liver. 30 voxels in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.volume_files import nifti

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (20, 10, 4)
AFFINE = np.array([[2.0, 0, 0, -30.0], [0, 2.0, 0, 12.0], [0, 0, 2.5, 100.0], [0, 0, 0, 1]])
INPUTS = """
[inputs]
tumour = { path = "tumour.nii", instances = "labels" }
liver = "liver.nii"
liver_segments = "liver_segments.nii"
"""


def labels() -> NDArray[np.uint8]:
    """Return the lesions."""
    dense = np.zeros(SHAPE, dtype=np.uint8)
    dense[1:3, 2:6, 1:3] = 1
    dense[9:11, 4:6, 1:3] = 2
    dense[13, 7:9, 1:3] = 3
    dense[18, 4:6, 1] = 4
    return dense


def segments() -> NDArray[np.uint8]:
    """Return the map."""
    dense = np.zeros(SHAPE, dtype=np.uint8)
    for first, number in ((0, 5), (4, 6), (8, 4), (12, 3)):
        dense[first : first + 4] = number
    return dense


def write_case(folder: Path, plans: str, *, top: str = "", inputs: str = INPUTS) -> Path:
    """Write the case with these plans; ``top`` stands before the inputs."""
    folder.mkdir(exist_ok=True)
    for name, dense in (
        ("tumour", labels()),
        ("liver", (segments() > 0).astype(np.uint8)),
        ("liver_segments", segments()),
    ):
        nifti(folder / f"{name}.nii", dense, AFFINE)
    (folder / "case.toml").write_text(top + inputs + plans, encoding="utf-8")
    return folder
