"""Benchmark rows by the size of a case: tumour voxels (the boundary shift) and lesions (the whole case).

Boxes of the same surface and as many rows of voxels, but 8 times the volume, say what volume alone costs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench_phantoms import CT_SPACING_MM, lesions, write_case, write_nifti
from bench_robustness import boundary, measurement
from bench_timing import Row, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_VOXELS = (183_500, 700_000, 2_000_000)
_LESIONS = (10, 100, 1_000, 2_500)
# Boxes in voxels, how many, and their surface in voxel faces: 2 x (ab + bc + ca).
_THIN, _THICK = (2, 256, 1), (16, 16, 16)  # 1,540 and 1,536 faces, 256 rows, 512 and 4,096 voxels
_SLAB, _BLOCK = (10, 1430, 7), (79, 100, 100)  # 48,760 and 51,600; 10,010 and 10,000 rows; 7.9 times
_SHAPES = {
    "60 sheets": (_THIN, 60),
    "60 cubes, 8 times their volume": (_THICK, 60),
    "one slab": (_SLAB, 1),
    "one block, 7.9 times its volume": (_BLOCK, 1),
}


def make(folder: Path) -> None:
    """Write a case of 60 lesions for each number of voxels, and one for each number of lesions."""
    for voxels in _VOXELS:
        write_case(folder / f"voxels-{voxels}", lesions(seed=1, voxels=voxels), pet=None)
    for count in _LESIONS:
        write_case(folder / f"lesions-{count}", lesions(seed=1, count=count), pet=None)
    for name, (box, count) in _SHAPES.items():
        _write_boxes(folder / name, box, count)


def _write_boxes(folder: Path, box: tuple[int, int, int], count: int) -> None:
    """Write a case of so many boxes in a column and a row, all tumour, four in five of them resectable."""
    folder.mkdir()
    tumour = np.zeros((100, 1500, 320), dtype=np.uint8, order="F")
    resectable = np.zeros_like(tumour)
    i, j, k = box
    for number in range(count):
        column, row = divmod(number, 12)
        at = (
            slice(2, 2 + i),
            slice(4 + 280 * column, 4 + 280 * column + j),
            slice(4 + 24 * row, 4 + 24 * row + k),
        )
        tumour[at] = 1
        resectable[at] = number % 5 != 4
    write_nifti(folder / "tumour.nii.gz", tumour, CT_SPACING_MM)
    write_nifti(folder / "resectable.nii.gz", resectable, CT_SPACING_MM)


def _case(folder: Path) -> None:
    from volstrat.case.assess import run_case
    from volstrat.case.protocol_files import load_protocol

    run_case(folder, load_protocol(None))


def rows(folder: Path) -> list[Row]:
    """Return the rows of both tables."""
    return [*_by_voxels(folder), *_by_lesions(folder), *_by_shape(folder)]


def _by_voxels(folder: Path) -> list[Row]:
    found = []
    for voxels in _VOXELS:
        case = folder / f"voxels-{voxels}"
        found.append(Row(name=f"read + measure, {voxels:,} voxels", work=partial(measurement, case)))
        found.append(Row(name=f"  boundary shift, {voxels:,} voxels", work=partial(boundary, case)))
    return found


def _by_lesions(folder: Path) -> list[Row]:
    return [
        Row(name=f"case, {count:,} lesions", work=partial(_case, folder / f"lesions-{count}"))
        for count in _LESIONS
    ]


def _by_shape(folder: Path) -> list[Row]:
    return [Row(name=f"case, {name}", work=partial(_case, folder / name)) for name in _SHAPES]


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]]) -> None:
    """Print both tables and say whether the goals are met."""
    make(folder)
    seen = run_rows(rows(folder), runs=runs, peak=peak)
    voxels = {row.name: seen[row.name] for row in _by_voxels(folder)}
    table("Size: 60 lesions by tumour voxels", voxels, base=f"read + measure, {_VOXELS[0]:,} voxels")
    for count in _VOXELS:
        shift = seen[f"  boundary shift, {count:,} voxels"].median
        measured = seen[f"read + measure, {count:,} voxels"].median
        goal(f"boundary shift over reading and measuring, {count:,} voxels", shift / measured, 1.0)
    by_lesions = {row.name: seen[row.name] for row in _by_lesions(folder)}
    table("Size: a case by its lesions", by_lesions, base=f"case, {_LESIONS[0]:,} lesions")
    shapes = {row.name: seen[row.name] for row in _by_shape(folder)}
    table("Size: the same surface and rows, 8 times the volume", shapes, base="case, 60 sheets")
    names = list(shapes)
    for thin, thick in (names[:2], names[2:]):
        goal(f"{thick}, over {thin}", shapes[thick].median / shapes[thin].median, 1.3)
