"""Lesions as runs on one long row of voxels, so that ten thousand million of them cost nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.rule_cases import Record, grid_of, judge_masks, rows_of
from tests.rule_lines import along
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks
from volstrat.terms.protocol import Protocol

Lesion = tuple[int, str | None, str | None]
"""Voxels, resectability word, avidity word."""


def judged(
    *lesions: Lesion,
    avid: list[tuple[int, int]] | None = None,
    regions: dict[str, tuple[str | None, str | None]] | None = None,
    pet_field: bool = True,
    schema: bool = True,
    **changes: Any,  # noqa: ANN401 - any protocol field
) -> Record:
    """Return the record of lesions in a row, 40 voxels apart; PET shares the voxels' centres.

    ``avid`` are spans (first, last) in CT voxels; None: no avid mask.
    """
    starts, at = [], 0
    for voxels, _, _ in lesions:
        starts.append(at)
        at += voxels + 40
    grid = grid_of(along(0.5), (at + 200, 1, 1))
    runs = LabelRuns.from_sets(
        [
            (n + 1, VoxelRuns.from_intervals([start], [start + lesion[0]]))
            for n, (start, lesion) in enumerate(zip(starts, lesions, strict=True))
            if lesion[0]
        ]
    )
    table = {
        f"L{n + 1}": (word, call)
        for n, (voxels, word, call) in enumerate(lesions)
        if voxels and (word or call)
    }
    pet = None
    if avid is not None:
        spans = np.array(avid, dtype=np.int64).reshape(-1, 2)
        pet = Avid(voxels=VoxelRuns.from_intervals(spans[:, 0], spans[:, 1] + 1), grid=grid)
    masks = CaseMasks(
        grid=grid,
        tumour=[TumourEntry(mask=Mask(grid=grid, runs=runs), instances="labels")],
        avid=pet,
        pet_field=grid if avid is not None and pet_field else None,
        rows=rows_of(table | (regions or {})),
    )
    return judge_masks(masks, Protocol(boundary_shift_mm=(), **changes), schema=schema)


COLD = (900, "unresectable", "not_avid")
"""Nine tenths of the tumour that cannot go and is not avid: stratum 1 is false."""
