"""Readings of box phantoms, written as case folders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Dense = NDArray[np.uint8]

SHAPE = (40, 30, 20)
AFFINE = np.array([[-0.8, 0, 0, 60], [0, 0.64, -1.2, -12], [0, 0.48, 1.6, 830], [0, 0, 0, 1.0]])
"""RAS, oblique (-0.64 x 1.2 + 0.48 x 1.6 = 0), 0.8 x 0.8 x 2 mm, off centre; a voxel is 1.28 mm3."""

VOXEL_ML = 0.00128

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
L1: Box = ((2, 12), (2, 12), (2, 9))  # 700 voxels
L2: Box = ((20, 30), (2, 12), (2, 5))  # 300
L3: Box = ((20, 30), (18, 28), (10, 13))  # 300


def filled(*boxes: Box) -> Dense:
    """Return a dense mask of boxes."""
    dense = np.zeros(SHAPE, dtype=np.uint8)
    for i, j, k in boxes:
        dense[i[0] : i[1], j[0] : j[1], k[0] : k[1]] = 1
    return dense


def write_mask(path: Path, dense: Dense, affine: NDArray[np.float64] = AFFINE) -> None:
    """Write a mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(dense, affine), path)


def write_case(folder: Path, *, affine: NDArray[np.float64] = AFFINE, **masks: Dense) -> Path:
    """Write a case folder: a file for each role."""
    for role, dense in masks.items():
        write_mask(folder / f"{role}.nii.gz", dense, affine)
    return folder


def stratum_1(folder: Path, **changes: Dense) -> Path:
    """Write a case of which 700 of 1000 voxels can be resected and an avid lesion stays: stratum 1 alone."""
    masks = {"tumour": filled(L1, L2), "resectable": filled(L1), "fdg_avid": filled(L1, L2), **changes}
    for role, dense in masks.items():
        write_mask(folder / f"{role}.nii.gz", dense)
    return folder


def agreement(out: Path) -> dict[str, Any]:
    """Return what a comparison wrote."""
    found: dict[str, Any] = json.loads((out / "agreement.json").read_bytes())
    return found
