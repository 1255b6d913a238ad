"""Make a cohort of small subjects, the same ones every time, for tests and benchmarks.

    python scripts/make_cohort.py FOLDER [--subjects N]

Each has a tumour of two to five boxes, some of them resectable, and most an FDG-avid mask; strata are mixed.
"""

from __future__ import annotations

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np

SHAPE = (40, 32, 24)
SPACING_MM = (1.6, 1.6, 3.0)
_HEADER = struct.pack(
    "<i 36x 8h 14x h h 2x 8f 3f 3x b 24x 80s 24x 2h 24x 12f 16x 4s 4x",
    348,
    *(3, *SHAPE, 1, 1, 1, 1),
    *(2, 8),
    *(1.0, *SPACING_MM, 0.0, 0.0, 0.0, 0.0),
    *(352.0, 1.0, 0.0),
    2,
    b"phantom, no patient",
    *(0, 1),
    *(-SPACING_MM[0], 0.0, 0.0, 40.0),
    *(0.0, -SPACING_MM[1], 0.0, 30.0),
    *(0.0, 0.0, SPACING_MM[2], -500.0),
    b"n+1\0",
)


def subject_files(number: int) -> dict[str, bytes]:
    """Return the files of one subject by name.

    Boxes lie in five cells along the first axis, four voxels apart: they never touch. Every eleventh subject
    has no PET, every thirteenth no resectable mask.
    """
    rng = np.random.default_rng(number)
    tumour, resectable, avid = (np.zeros(SHAPE, dtype=np.uint8) for _ in range(3))
    for cell in range(int(rng.integers(2, 6))):
        low = np.array([cell * 8, *rng.integers(1, 12, 2)])
        size = np.array([int(rng.integers(1, 5)), *rng.integers(2, 12, 2)])
        box = tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))
        tumour[box] = 1
        resectable[box] = rng.random() < 0.75
        avid[box] = rng.random() < 0.5
    files = {"tumour.nii.gz": tumour, "resectable.nii.gz": resectable, "fdg_avid.nii.gz": avid}
    if number % 11 == 10:
        del files["fdg_avid.nii.gz"]
    if number % 13 == 12:
        del files["resectable.nii.gz"]
    return {name: _nifti(volume) for name, volume in files.items()}


def _nifti(volume: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return gzip.compress(_HEADER + volume.tobytes(order="F"), 6, mtime=0)


def make_cohort(folder: Path, subjects: int) -> None:
    """Write subjects ``S00001`` and on below a folder, a hundred to a site folder."""
    for number in range(subjects):
        case = folder / f"site{number // 100:04d}" / f"S{number + 1:05d}"
        case.mkdir(parents=True, exist_ok=True)
        for name, data in subject_files(number).items():
            (case / name).write_bytes(data)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subjects", type=int, default=100)
    arguments = parser.parse_args()
    make_cohort(arguments.folder, arguments.subjects)
    print(f"{arguments.subjects} subjects in {arguments.folder}")


if __name__ == "__main__":
    main()
