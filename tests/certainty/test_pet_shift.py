"""PET moved along the patient's z, on phantoms built to flip at known shifts (docs/rule.md, "PET moved")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.dense import voxel_runs
from volstrat.certainty.pet_shift import MovedUptake, measure_pet_shift
from volstrat.certainty.verdict import reach_verdict
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks, measure_case
from volstrat.rule.stratify import assess
from volstrat.terms.avidity_rules import Avidity
from volstrat.terms.marks import LesionRow, Marking
from volstrat.terms.protocol import Protocol, Review

if TYPE_CHECKING:
    from volstrat.certainty.verdict import Verdict

SHAPE = (30, 30, 40)
STEPS = (-10.0, -5.0, 5.0, 10.0)


def grid(*, footwards: bool = False) -> VoxelGrid:
    """Return voxels of 2 x 2 x 2 mm; with ``footwards`` slices are stored from the head down."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-30.0, -40.0, 700.0)
    if footwards:
        affine[2, 2], affine[2, 3] = -2.0, 700.0 + 2.0 * (SHAPE[2] - 1)
    return VoxelGrid(shape=SHAPE, affine=affine)


def voxels(low_k: int, high_k: int, *, footwards: bool = False) -> VoxelRuns:
    """Return a column of 6 x 6 voxels between two slices, counted from the feet."""
    dense = np.zeros(SHAPE, dtype=bool)
    dense[12:18, 12:18, low_k:high_k] = True
    return voxel_runs(dense[:, :, ::-1] if footwards else dense)


def case_of(focus: tuple[int, int], *rows: LesionRow, footwards: bool = False) -> CaseMasks:
    """Return L1 (large, below, unresectable), L2 (above it, resectable) and one focus.

    L1 is slices 4 to 14 and L2 20 to 23: 10 mm of clear space, slices 15 to 19, lie between them.
    """
    tumour = LabelRuns.from_sets(
        [(1, voxels(4, 15, footwards=footwards)), (2, voxels(20, 24, footwards=footwards))]
    )
    here = grid(footwards=footwards)
    marks = (
        LesionRow(lesion_id="L1", resectability=Marking.UNRESECTABLE),
        LesionRow(lesion_id="L2", resectability=Marking.RESECTABLE),
    )
    return CaseMasks(
        grid=here,
        tumour=[TumourEntry(mask=Mask(grid=here, runs=tumour), instances="labels")],
        avid=Avid(voxels=voxels(*focus, footwards=footwards), grid=here),
        pet_field=here,
        rows=(*marks, *rows),
    )


def judged(masks: CaseMasks, **changes: object) -> Verdict:
    """Return the verdict without a boundary shift."""
    protocol = Protocol(boundary_shift_mm=(), **changes)  # type: ignore[arg-type]
    return reach_verdict(measure_case(masks, protocol), protocol)


def strata(verdict: Verdict) -> list[str | None]:
    """Return the stratum at each step."""
    assert [one.shift_mm for one in verdict.robustness.pet_shift] == list(STEPS)
    return [one.stratum for one in verdict.robustness.pet_shift]


@pytest.mark.parametrize("footwards", [False, True], ids=["stored headwards", "stored footwards"])
def test_a_focus_moves_onto_the_neighbour_where_it_should(footwards: bool) -> None:
    """The focus is slices 20 and 21, in L2: stratum 2. Five slices (10 mm) footwards it is 15 and 16.

    There it touches slice 14 of L1, 2 mm away (half of both diagonals is 3.46 mm), unresectable: ineligible.
    At -5 mm it is 17.5 and 18.5, 3 mm below slice 20: it touches L2, and each voxel is nearer to L2 than to
    L1 (2.5 slices and 3.5). Headwards by 5 mm it is 22.5 and 23.5, which holds slice 23 of L2; by 10 mm 25
    and 26, 4 mm above slice 23: it touches nothing, and nobody says whose it is.
    """
    verdict = judged(case_of((20, 22), footwards=footwards))
    assert verdict.stratum == "stratum_2"
    assert strata(verdict) == ["ineligible", "stratum_2", "stratum_2", None]
    (found,) = [one for one in verdict.findings if one.code == "pet_shift"]
    assert (found.severity, "10 mm lower (ineligible)" in found.message) == ("review", True)


def test_a_region_that_somebody_spoke_for_stays_what_it_is() -> None:
    """A node 4 mm above L2, unresectable; moved onto L2, resectable, it is that node all the same."""
    node = LesionRow(lesion_id="P1", resectability=Marking.UNRESECTABLE)
    verdict = judged(case_of((25, 27), node))
    assert verdict.stratum == "ineligible"
    assert strata(verdict) == ["ineligible"] * 4
    assert strata(judged(case_of((25, 27))))[:2] == ["stratum_2", "stratum_2"]  # nobody said what it is


def test_what_is_remembered_of_moved_pet_follows_the_words_of_regions() -> None:
    """The node is marked after its shifts were worked out, and cleared again: as if they had not been."""
    protocol = Protocol(boundary_shift_mm=())
    known = MovedUptake()
    bare = measure_case(case_of((25, 27)), protocol)
    marked = measure_case(
        case_of((25, 27), LesionRow(lesion_id="P1", resectability=Marking.UNRESECTABLE)), protocol
    )
    for measured in (bare, marked, bare):
        assessment = assess(measured, protocol)
        again = replace(measured, pieces=bare.pieces)  # a mark leaves the lesions' pieces as they are
        shifts = measure_pet_shift(again, assessment, protocol, known=known)
        assert shifts == measure_pet_shift(measured, assessment, protocol)
    assert measure_pet_shift(marked, assess(marked, protocol), protocol) != shifts


def test_where_fdg_does_not_decide_nothing_is_moved() -> None:
    """Stratum 1 holds (both lesions resectable), there is no PET, no tumour, or no step to move by: []."""
    both = case_of((20, 22), LesionRow(lesion_id="L1", resectability=Marking.RESECTABLE))
    both = replace(both, rows=both.rows[1:])
    assert judged(both).stratum == "stratum_1"
    assert judged(both).robustness.pet_shift == ()
    assert judged(replace(case_of((20, 22)), avid=None, pet_field=None)).robustness.pet_shift == ()
    assert judged(case_of((20, 22)), review=Review(pet_shift_mm=())).robustness.pet_shift == ()


def test_image_and_field_move_with_the_mask() -> None:
    """By a SUV rule the focus is found where the moved image has it: as with the mask drawn there."""
    suv = np.ones(SHAPE, dtype=np.float32)
    suv[12:18, 12:18, 20:22] = 9.0
    masks = replace(case_of((20, 22)), avid=None, suv=Image(grid=grid(), values=suv))
    rule = Avidity(rule="fixed", suv_threshold=4.0, margin_mm=0.0)
    verdict = judged(masks, avidity=rule)
    assert verdict.stratum == "stratum_2"
    # By 5 mm headwards L2 still holds it; elsewhere no tumour is hot: no avid disease is observed.
    assert strata(verdict) == ["ineligible", "ineligible", "stratum_2", "ineligible"]
