"""Marking a measured case otherwise gives what measuring it with that table gives."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import label_runs, voxel_runs
from tests.lattices import oblique
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks, measure_case, remark_case
from volstrat.rule.stratify import assess
from volstrat.terms.marks import LesionRow, Marking
from volstrat.terms.protocol import Protocol

SHAPE = (14, 9, 8)


def half_resectable(*rows: LesionRow) -> CaseMasks:
    """Return one lesion of 10 x 4 x 5 = 200 voxels, the lower half along i resectable, all of it avid."""
    grid = VoxelGrid(shape=SHAPE, affine=oblique(5))
    tumour = np.zeros(SHAPE, dtype=np.uint8)
    tumour[2:12, 3:7, 1:6] = 1
    resectable = tumour.copy()
    resectable[7:] = 0
    return CaseMasks(
        grid=grid,
        tumour=[TumourEntry(mask=Mask(grid=grid, runs=label_runs(tumour)))],
        resectable=voxel_runs(resectable),
        avid=Avid(voxels=voxel_runs(tumour), grid=grid),
        pet_field=grid,
        rows=rows,
    )


@pytest.mark.parametrize("word", [Marking.UNRESECTABLE, Marking.RESECTABLE])
def test_a_row_taken_back_leaves_the_masks_marking(word: Marking) -> None:
    """The table marks the whole lesion; without it, 5 x 4 x 5 = 100 of 200 avid voxels are resectable."""
    protocol = Protocol()
    whole = {Marking.UNRESECTABLE: 0, Marking.RESECTABLE: 200}[word]
    measured = measure_case(half_resectable(LesionRow(lesion_id="L1", resectability=word)), protocol)
    second = assess(measured, protocol).stratum_2
    assert (second.part_voxels, second.whole_voxels) == (whole, 200)
    second = assess(remark_case(measured, {}), protocol).stratum_2
    assert (second.part_voxels, second.whole_voxels) == (100, 200)


@pytest.mark.parametrize("word", [Marking.UNRESECTABLE, Marking.RESECTABLE])
def test_a_row_added_marks_the_whole_lesion(word: Marking) -> None:
    """The other way: the masks first, then a table for the lesion."""
    protocol = Protocol()
    measured = measure_case(half_resectable(), protocol)
    again = remark_case(measured, {"L1": LesionRow(lesion_id="L1", resectability=word)})
    second = assess(again, protocol).stratum_2
    whole = {Marking.UNRESECTABLE: 0, Marking.RESECTABLE: 200}[word]
    assert (second.part_voxels, second.whole_voxels) == (whole, 200)
