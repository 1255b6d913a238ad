"""Benchmark rows by the size of a case: tumour voxels (the boundary shift) and lesions (the whole case)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench_phantoms import lesions, write_case
from bench_robustness import boundary, measurement
from bench_timing import Row, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_VOXELS = (183_500, 700_000, 2_000_000)
_LESIONS = (10, 100, 1_000, 2_500)


def make(folder: Path) -> None:
    """Write a case of 60 lesions for each number of voxels, and one for each number of lesions."""
    for voxels in _VOXELS:
        write_case(folder / f"voxels-{voxels}", lesions(seed=1, voxels=voxels), pet=None)
    for count in _LESIONS:
        write_case(folder / f"lesions-{count}", lesions(seed=1, count=count), pet=None)


def _case(folder: Path) -> None:
    from volstrat.case.assess import run_case
    from volstrat.case.protocol_files import load_protocol

    run_case(folder, load_protocol(None))


def rows(folder: Path) -> list[Row]:
    """Return the rows of both tables."""
    return [*_by_voxels(folder), *_by_lesions(folder)]


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
