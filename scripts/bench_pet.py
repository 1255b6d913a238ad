"""Benchmark rows for what PET costs beside the masks: reading it, attribution, PET moved by four shifts."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench_phantoms import lesions, write_case
from bench_robustness import measurement, ready
from bench_timing import Row, goal, run_rows, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_LESIONS = (60, 261, 2_500)
_VOXELS, _VOXELS_A_LESION = 183_500, 1_000


def make(folder: Path) -> None:
    """Write, for each number of lesions, a case of masks alone and one with PET in which FDG decides.

    Every other lesion can be resected, so that stratum 1 does not hold.
    """
    for count in _LESIONS:
        bodies = lesions(seed=1, count=count, voxels=max(_VOXELS, count * _VOXELS_A_LESION))
        halved = [replace(body, resectable=float(n % 2)) for n, body in enumerate(bodies)]
        write_case(folder / f"masks-{count}", halved, pet=None)
        write_case(folder / f"pet-{count}", halved, pet=halved)


def _attribution(folder: Path) -> None:
    """Read and measure a case, with all that a report says of its PET."""
    attribution = ready.__wrapped__(folder)[0].attribution
    assert attribution is not None
    assert attribution.seen.held[2].sum() > 0
    assert attribution.seen.far.size == attribution.groups.voxels.size
    assert attribution.pet_only.measures.voxels.size == attribution.pet_only.count
    assert len(attribution.pet_only.near) == 3


def _shifts(folder: Path) -> None:
    from volstrat.certainty.pet_shift import measure_pet_shift

    found = measure_pet_shift(*ready(folder))
    assert len(found) == 4


def _rows_of(folder: Path, count: int) -> dict[str, Row]:
    return {
        "masks": Row(name=f"{count:,} lesions: masks", work=partial(measurement, folder / f"masks-{count}")),
        "pet": Row(
            name=f"{count:,} lesions: masks, PET and attribution",
            work=partial(_attribution, folder / f"pet-{count}"),
        ),
        "shifts": Row(
            name=f"{count:,} lesions: PET moved, four shifts", work=partial(_shifts, folder / f"pet-{count}")
        ),
    }


def rows(folder: Path) -> list[Row]:
    """Return the rows of the table."""
    return [row for count in _LESIONS for row in _rows_of(folder, count).values()]


def run(folder: Path, *, runs: int, peak: Callable[[Row], Sequence[str]]) -> None:
    """Print the table, and whether PET with its shifts costs no more than the masks, in processor time."""
    make(folder)
    for count in _LESIONS:  # so that no row of shifts measures its case first
        ready(folder / f"pet-{count}")
    seen = run_rows(rows(folder), runs=runs, peak=peak)
    table("PET beside the masks", seen, base=f"{_LESIONS[0]:,} lesions: masks")
    for count in _LESIONS:
        masks, pet, shifts = (
            statistics.median(seen[row.name].processor) for row in _rows_of(folder, count).values()
        )
        text = f"PET, attribution and four shifts over the masks, {count:,} lesions (processor time)"
        goal(text, (pet - masks + shifts) / masks, 1.0)
