"""What a sample subject is, and the grids that they lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sample_files import nifti
from sample_phantoms import MIRRORED, OBLIQUE, SAGITTAL, STRAIGHT, Grid, Phantom

# 84 x 72 x 70 mm of liver, turned out of the scanner's axes, a long way from the origin.
CT_OBLIQUE = Grid(
    shape=(56, 48, 28), spacing_mm=(1.5, 1.5, 2.5), axes=OBLIQUE, origin_mm=(-97.31, -141.87, 1033.43)
)
# The same stored from left to right and from back to front.
CT_MIRRORED = Grid(
    shape=(60, 50, 32), spacing_mm=(1.37, 1.37, 2.0), axes=MIRRORED, origin_mm=(13.19, 55.61, -412.77)
)
# Sagittal slices: the index that runs fastest goes from front to back.
CT_SAGITTAL = Grid(
    shape=(52, 44, 30), spacing_mm=(1.6, 1.6, 2.2), axes=SAGITTAL, origin_mm=(-31.13, -88.29, 251.91)
)
# PET covers each of them with some centimetres to spare, in the scanner's axes.
PET_OBLIQUE = Grid(
    shape=(36, 36, 44), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-141.2, -176.6, 987.5)
)
PET_MIRRORED = Grid(
    shape=(30, 27, 30), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-85.9, -31.8, -423.1)
)
PET_SAGITTAL = Grid(
    shape=(26, 29, 34), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-48.3, -103.7, 167.6)
)
# 70 x 60 x 55 mm, small enough for DICOM in a repository.
CT_DICOM = Grid(
    shape=(44, 40, 22), spacing_mm=(1.6, 1.5, 2.5), axes=OBLIQUE, origin_mm=(-61.37, -112.83, 871.19)
)
PET_DICOM = Grid(
    shape=(26, 27, 28), spacing_mm=(4.0, 4.0, 3.0), axes=STRAIGHT, origin_mm=(-85.7, -140.3, 864.9)
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One folder of `sample_data/`."""

    name: str  # folder and subject
    story: str  # one line for the demo's table
    files: dict[str, bytes]  # by path within the folder
    expected: dict[str, Any]  # keys of the case record that the subject must show


def nifti_files(p: Phantom, *resectable: int, with_suv: bool = False) -> dict[str, bytes]:
    """Return a phantom's masks as NIfTI, called by their roles; the lesions named are drawn as resectable."""
    files = {
        "tumour.nii.gz": nifti(p.tumour(), p.ct.affine),
        "resectable.nii.gz": nifti(p.union(*resectable), p.ct.affine),
        "fdg_avid.nii.gz": nifti(p.avid(), p.pet_grid().affine),
    }
    if with_suv:
        files["suv.nii.gz"] = nifti(p.suv(), p.pet_grid().affine, slope=1 / 16)
    return files
