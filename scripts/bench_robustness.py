"""Benchmark rows for what robustness adds to a whole-body case with PET, and for its parts."""

from __future__ import annotations

from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING

from bench_masks import make
from bench_timing import Row, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.protocol import Protocol

_MANY = 300


@cache
def ready(folder: Path) -> tuple[Measurements, Assessment, Protocol]:
    """Return a case as measured, and what the rule says of it."""
    from volstrat.case.discovery import open_case
    from volstrat.case.inputs import read_inputs
    from volstrat.case.protocol_files import load_protocol
    from volstrat.rule.measure import measure_case
    from volstrat.rule.stratify import assess

    protocol = load_protocol(None).protocol
    measured = measure_case(read_inputs(open_case(folder), protocol).masks, protocol)
    return measured, assess(measured, protocol), protocol


def measurement(folder: Path) -> None:
    """Read and measure a case."""
    ready.__wrapped__(folder)


def _robustness(folder: Path) -> None:
    from volstrat.certainty.robustness import measure_robustness

    measure_robustness(*ready(folder))


def boundary(folder: Path) -> None:
    """Move the boundaries of a case that was measured."""
    import numpy as np

    from volstrat.geometry.boundary_shift import boundary_shift
    from volstrat.geometry.runs import LabelRuns

    measured, _, protocol = ready(folder)
    pieces, worst = measured.marked.pieces, measured.marked.worst
    parts = LabelRuns(pieces.starts, pieces.stops, 4 * pieces.lesion + worst + 1)
    lesion = (np.array(parts.values) - 1) // 4  # each is one piece
    boundary_shift(measured.lesions.grid, parts, protocol.boundary_shift_mm, piece_of_part=lesion)


def _flips(folder: Path) -> None:
    from volstrat.certainty.flips import find_flips

    find_flips(*ready(folder))


def _shortest() -> None:
    """Find the shortest way through many lesions of which none is resectable."""
    import numpy as np

    from volstrat.certainty.shortest_way import shortest_way

    voxels = np.random.default_rng(3).lognormal(7, 1.2, _MANY).astype(int) + 1
    shortest_way(voxels.tolist(), part_voxels=0, whole_voxels=int(voxels.sum()), percent=Decimal(70))


def rows(folder: Path) -> list[Row]:
    """Return the rows of the table."""
    pet = folder / "pet"
    return [
        Row(name="read + measure", work=partial(measurement, folder / "masks")),
        Row(name="read + measure, with PET", work=partial(measurement, pet)),
        Row(name="robustness", work=partial(_robustness, pet)),
        Row(name="  boundary shift", work=partial(boundary, pet)),
        Row(name="  flips", work=partial(_flips, pet)),
        Row(name=f"shortest way, {_MANY} lesions", work=_shortest),
    ]


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]]) -> None:
    """Print the table and say whether the goal is met."""
    make(folder)
    seen = run_rows(rows(folder), runs=runs, peak=peak)
    table("Robustness: whole-body case, 60 lesions, PET", seen, base="read + measure")
    added = seen["robustness"].median / seen["read + measure"].median
    goal("robustness over reading and measuring the masks", added, 1.0)
