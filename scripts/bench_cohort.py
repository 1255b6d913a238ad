"""Benchmark of cohorts: ``volstrat batch`` against a SimpleITK script in a pool of processes."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

from bench_masks import volstrat
from bench_phantoms import lesions, write_case
from bench_timing import SCRIPTS, Row, Timings, goal, run_rows, table
from make_cohort import make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_SMALL, _WHOLE_BODY = 1000, 50
_SIZES = (100, 1000)
_FULL_SIZES = (*_SIZES, 10_000)
_ENDS = (0, 1, 3)
"""Exit codes of a batch: some small subjects lack what their stratum would need."""


def rows(folder: Path) -> list[Row]:
    """Return no rows: all are whole programs."""
    return []


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]], full: bool = False) -> None:
    """Print the tables and say which goals are met."""
    small, whole = folder / "small", folder / "whole-body"
    make_cohort(small, _SMALL)
    _make_whole_body(whole, _WHOLE_BODY)
    for title, root, subjects in (
        (f"Cohort of {_SMALL:,} small subjects (40 x 32 x 24, three masks)", small, _SMALL),
        (f"Cohort of {_WHOLE_BODY} whole-body subjects (512 x 512 x 700, three masks)", whole, _WHOLE_BODY),
    ):
        seen = run_rows(_programs(root, folder / "out"), runs=min(runs, 3), peak=None)
        script = "SimpleITK pool, 2 processes"
        own = "volstrat batch, 2 workers"
        table(title, seen, base=own if seen[script].missing else script)
        _per_case(seen, subjects)
        if root == whole:
            two = seen[own]
            idle = 1 - statistics.median(two.processor) / two.median / 2
            goal("share of two cores that is idle in whole-body cases", idle, 0.15)
    _scaling(folder, runs=min(runs, 3), sizes=_FULL_SIZES if full else _SIZES)


def _make_whole_body(root: Path, subjects: int) -> None:
    """Write five subjects and copies of them: each is read from a file of its own."""
    for number in range(subjects):
        case = root / f"W{number + 1:03d}"
        if number < 5:
            bodies = lesions(seed=100 + number)
            write_case(case, bodies, pet=bodies)
        else:
            shutil.copytree(root / f"W{number % 5 + 1:03d}", case)


def _programs(root: Path, out: Path) -> list[Row]:
    script = str(SCRIPTS / "bench_simpleitk.py")
    rows = []
    for workers in (1, 2):
        rows.append(
            Row(
                name=f"volstrat batch, {workers} worker{'s' * (workers > 1)}",
                program=volstrat("batch", str(root), "-o", str(out), "--workers", str(workers), "--fresh"),
                accepts=_ENDS,
            )
        )
    for workers in (1, 2):
        rows.append(
            Row(
                name=f"SimpleITK pool, {workers} process{'es' * (workers > 1)}",
                program=(sys.executable, script, str(root), "--workers", str(workers)),
                needs=("SimpleITK",),
            )
        )
    return rows


def _per_case(seen: Timings, subjects: int) -> None:
    for name, timed in seen.items():
        if not timed.missing:
            busy = statistics.median(timed.processor) / timed.median
            print(f"  {name}: {1000 * timed.median / subjects:.2f} ms a case, {busy:.2f} cores busy")
    one, two = seen["volstrat batch, 1 worker"], seen["volstrat batch, 2 workers"]
    print(f"  2 workers are {one.median / two.median:.2f} times as fast as 1")


def _scaling(folder: Path, *, runs: int, sizes: Sequence[int]) -> None:
    """Print the cost of a case in cohorts of growing size."""
    workers = min(2, os.cpu_count() or 1)
    batches = []
    for size in sizes:
        root = folder / f"small-{size}"
        make_cohort(root, size)
        arguments = ("batch", str(root), "-o", str(folder / "out"), "--workers", str(workers), "--fresh")
        batches.append(Row(name=f"{size:,} subjects", program=volstrat(*arguments), accepts=_ENDS))
    seen = run_rows(batches, runs=runs, peak=None)
    title = f"Cost as the cohort grows: volstrat batch, {workers} workers, small subjects"
    table(title, seen, base=batches[-1].name)
    taken = [(seen[row.name].median, statistics.median(seen[row.name].processor)) for row in batches]
    for size, (wall, processor) in zip(sizes, taken, strict=True):
        each, used = 1000 * wall / size, 1000 * processor / size
        print(f"  {size:,} subjects: {each:.2f} ms a case, {used:.2f} of processor")
    marginal = [
        ((after[0] - before[0]) / (many - few), (after[1] - before[1]) / (many - few))
        for (few, before), (many, after) in pairwise(zip(sizes, taken, strict=True))
    ]
    for (few, many), (wall, processor) in zip(pairwise(sizes), marginal, strict=True):
        told = f"{1000 * wall:.2f} ms, {1000 * processor:.2f} of processor"
        print(f"  each case from {few:,} to {many:,}: {told}")
    if len(marginal) > 1:
        goal("processor time of a further case, last step over first", marginal[-1][1] / marginal[0][1], 1.1)
