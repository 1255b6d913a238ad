"""Attribution of a discordance: constructed pairs, each with one thing changed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.dense import label_runs, voxel_runs
from volstrat.agreement.discordance import Reading, TwoReadings, voxels_not_alike
from volstrat.agreement.hybrid import Choice
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks, measure_case
from volstrat.terms.marks import LesionRow, Marking
from volstrat.terms.protocol import Protocol, Thresholds

if TYPE_CHECKING:
    from volstrat.agreement.discordance import Discordance

GRID = VoxelGrid(
    shape=(40, 30, 20),
    affine=np.array([[0.8, 0, 0, -60], [0, -0.64, 1.2, 12], [0, 0.48, 1.6, 830], [0, 0, 0, 1.0]]),
)
"""Oblique (-0.64 x 1.2 + 0.48 x 1.6 = 0), spacing 0.8 x 0.8 x 2 mm, off centre."""

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Dense = np.ndarray[Any, np.dtype[np.uint8]]
L1: Box = ((2, 12), (2, 12), (2, 9))  # 10 x 10 x 7 = 700
L2: Box = ((20, 30), (2, 12), (2, 5))  # 10 x 10 x 3 = 300
L3: Box = ((20, 30), (18, 28), (10, 13))  # 300


def filled(*boxes: Box) -> Dense:
    """Return a dense mask of boxes."""
    dense = np.zeros(GRID.shape, dtype=np.uint8)
    for i, j, k in boxes:
        dense[i[0] : i[1], j[0] : j[1], k[0] : k[1]] = 1
    return dense


def reading(
    tumour: Dense,
    *,
    resectable: Dense | None = None,
    avid: Dense | None = None,
    rows: tuple[LesionRow, ...] = (),
    protocol: Protocol | None = None,
) -> tuple[CaseMasks, Protocol]:
    """Return a reading's masks; the avid mask lies on the CT grid."""
    masks = CaseMasks(
        grid=GRID,
        tumour=[TumourEntry(mask=Mask(grid=GRID, runs=label_runs(tumour)))],
        resectable=None if resectable is None else voxel_runs(resectable),
        avid=None if avid is None else Avid(voxels=voxel_runs(avid), grid=GRID),
        pet_field=None if avid is None else GRID,
        rows=rows,
    )
    return masks, protocol or Protocol()


def compared(a: tuple[CaseMasks, Protocol], b: tuple[CaseMasks, Protocol]) -> TwoReadings:
    """Measure both readings under both protocols."""
    sides = []
    for own, other in ((a, b), (b, a)):
        foreign = replace(other[1], avidity=own[1].avidity)
        sides.append(
            Reading(
                protocol=own[1],
                measured=measure_case(own[0], own[1]),
                under_other=measure_case(own[0], foreign),
            )
        )
    return TwoReadings(sides[0], sides[1], distance_mm=10)


def discordance(a: tuple[CaseMasks, Protocol], b: tuple[CaseMasks, Protocol]) -> Discordance:
    """Compare; swapping the readings must tell the same story."""
    forth, back = compared(a, b).discordance(), compared(b, a).discordance()
    assert (forth.level, forth.differing, forth.carried_by) == (back.level, back.differing, back.carried_by)
    assert (forth.a, forth.b) == (back.b, back.a)
    return forth


def row(lesion_id: str, marking: Marking | None = None, avidity: Any = None) -> LesionRow:  # noqa: ANN401
    """Return a row of a lesion table."""
    return LesionRow(lesion_id=lesion_id, resectability=marking, fdg_avidity=avidity, where="row")


BASE: dict[str, Any] = {"resectable": filled(L1), "avid": filled(L1, L2)}
"""700 of 1000 can be resected: stratum 1. L2 is avid and stays: stratum 2 does not hold."""


def test_the_same_reading_twice_differs_in_nothing() -> None:
    """No level, no ingredient, no swap."""
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(L1, L2), **BASE))
    assert (found.level, found.differing, found.carried_by, found.swaps) == (None, (), (), ())
    assert found.attributed_to is None
    assert found.a.counts == (700, 700, 1000, 700, 700, 1000)


def test_a_lesion_that_one_reader_missed_is_detection() -> None:
    """A: 700 of 1000, stratum 1. B also sees L3, which stays: 700 of 1300 = 53.8 %, ineligible (L2 avid)."""
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(L1, L2, L3), **BASE))
    assert (found.a.stratum, found.b.stratum) == ("stratum_1", "ineligible")
    assert found.differing == ("detection",)
    assert (found.level, found.attributed_to) == ("stratum", "detection")
    (swap,) = found.swaps
    assert swap.a_with_that_of_b == found.b
    assert swap.b_with_that_of_a == found.a


def test_a_larger_contour_is_contour_though_the_mask_of_what_is_resectable_stayed() -> None:
    """B draws L2 with 11 x 10 x 3 = 330: 700 of 1030 = 67.96 %."""
    larger: Box = ((20, 31), *L2[1:])
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(L1, larger), **BASE))
    assert found.b.counts[:3] == (700, 700, 1030)
    assert found.differing == ("contour",)
    assert (found.level, found.attributed_to) == ("stratum", "contour")


def test_a_smaller_contour_with_its_own_mask_of_what_is_resectable_is_contour() -> None:
    """B draws L1 as 9 x 10 x 7 = 630 and marks all of it: 630 of 930 = 67.7 %; the word is the same."""
    smaller: Box = ((2, 11), *L1[1:])
    found = discordance(
        reading(filled(L1, L2), **BASE),
        reading(filled(smaller, L2), resectable=filled(smaller), avid=filled(L1, L2)),
    )
    assert found.differing == ("contour",)
    assert (found.level, found.attributed_to) == ("stratum", "contour")


def test_a_resectable_mask_that_did_not_follow_the_contour_is_contour() -> None:
    """B draws L1 as 14 x 10 x 7 = 980, with A's mask: 700 of 1280; L1 is then only partly resectable."""
    larger: Box = ((2, 16), *L1[1:])
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(larger, L2), **BASE))
    assert found.b.counts[:3] == (700, 700, 1280)
    assert found.differing == ("contour",)
    assert (found.level, found.attributed_to) == ("stratum", "contour")


@pytest.mark.parametrize("by_table", [True, False])
def test_another_marking_is_marking(by_table: bool) -> None:
    """B calls L1 unresectable: 0 of 1000, and L1 is avid: ineligible."""
    other: dict[str, Any] = (
        {"rows": (row("L1", Marking.UNRESECTABLE),), **BASE}
        if by_table
        else {"resectable": filled(), "avid": BASE["avid"]}
    )
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(L1, L2), **other))
    assert found.b.stratum == "ineligible"
    assert found.differing == ("marking",)
    assert (found.level, found.attributed_to) == ("stratum", "marking")


@pytest.mark.parametrize("by_table", [True, False])
def test_another_view_of_what_is_avid_is_avidity(by_table: bool) -> None:
    """L2 (30 %) can be resected: not stratum 1. A: L2 alone is avid, stratum 2. B: L1 too, ineligible."""
    marks: dict[str, Any] = {"resectable": filled(L2)}
    a = reading(filled(L1, L2), avid=filled(L2), **marks)
    b = (
        reading(filled(L1, L2), avid=filled(L2), rows=(row("L1", avidity="avid"),), **marks)
        if by_table
        else reading(filled(L1, L2), avid=filled(L1, L2), **marks)
    )
    found = discordance(a, b)
    assert (found.a.stratum, found.b.stratum) == ("stratum_2", "ineligible")
    assert found.differing == ("avidity",)
    assert (found.level, found.attributed_to) == ("stratum", "avidity")


def test_missing_pet_is_avidity() -> None:
    """Without PET B cannot be assessed; nothing else differs."""
    a = reading(filled(L1, L2), resectable=filled(L2), avid=filled(L2))
    b = reading(filled(L1, L2), resectable=filled(L2))
    found = discordance(a, b)
    assert found.b.stratum is None
    assert found.attributed_to == "avidity"


def test_another_threshold_is_protocol() -> None:
    """700 of 1000 does not reach 80 %."""
    strict = Protocol(thresholds=Thresholds(stratum_1_percent=Decimal(80)))
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(L1, L2), protocol=strict, **BASE))
    assert found.differing == ("protocol",)
    assert (found.level, found.attributed_to) == ("stratum", "protocol")


def test_a_lesion_that_only_the_protocol_leaves_out_is_protocol_not_detection() -> None:
    """Lesions below 301 voxels do not count in B: L2 is gone, all of the rest can be resected."""
    few = Protocol(minimum_voxels=301)
    a = reading(filled(L1, L2), resectable=filled(L2), avid=filled(L1, L2))
    b = reading(filled(L1, L2), resectable=filled(L2), avid=filled(L1, L2), protocol=few)
    found = compared(a, b).discordance()
    assert found.differing == ("protocol",)
    assert found.attributed_to == "protocol"


def test_two_differences_of_which_one_decides() -> None:
    """B draws L2 one row smaller (270), which alone leaves stratum 1 (72.2 %); its marking decides."""
    smaller: Box = ((20, 29), *L2[1:])
    b = reading(filled(L1, smaller), resectable=filled(smaller), avid=filled(L1, L2))
    found = discordance(reading(filled(L1, L2), **BASE), b)
    assert found.differing == ("contour", "marking")
    assert found.carried_by == (("marking",),)
    swaps = {swap.ingredient: swap for swap in found.swaps}
    assert swaps["contour"].a_with_that_of_b.counts[:3] == (700, 700, 970)
    assert swaps["contour"].a_with_that_of_b.stratum == "stratum_1"
    assert swaps["marking"].a_with_that_of_b.stratum == "ineligible"


def test_two_ingredients_that_only_together_make_the_difference() -> None:
    """B misses L4 (60, resectable) and draws L2 with 20 more.

    A: 760 of 1060 = 71.7 %. Without L4: 700 of 1000 = 70 %. With L2 larger: 760 of 1080 = 70.4 %.
    Both: 700 of 1020 = 68.6 %.
    """
    l4: Box = ((2, 7), (18, 24), (10, 12))  # 5 x 6 x 2 = 60
    bump: Box = ((30, 31), (2, 12), (2, 4))  # 1 x 10 x 2 = 20
    a = reading(filled(L1, L2, l4), resectable=filled(L1, l4), avid=filled(L1, L2))
    b = reading(filled(L1, L2, bump), resectable=filled(L1), avid=filled(L1, L2))
    found = discordance(a, b)
    assert found.a.counts[:3] == (760, 760, 1060)
    assert found.b.counts[:3] == (700, 700, 1020)
    swaps = {swap.ingredient: swap.a_with_that_of_b for swap in found.swaps}
    assert swaps["detection"].counts[:3] == (700, 700, 1000)
    assert swaps["contour"].counts[:3] == (760, 760, 1080)
    assert found.carried_by == (("detection", "contour"),)
    assert found.attributed_to == "detection+contour"


def test_the_same_stratum_by_different_counts_is_a_difference_of_counts() -> None:
    """L2 one row smaller: both stratum 1, and no predicate differs."""
    smaller: Box = ((20, 29), *L2[1:])
    found = discordance(reading(filled(L1, L2), **BASE), reading(filled(L1, smaller), **BASE))
    assert found.a.stratum == found.b.stratum == "stratum_1"
    assert (found.level, found.attributed_to) == ("counts", "contour")


def test_the_same_stratum_by_another_predicate_is_a_difference_of_predicates() -> None:
    """Both stratum 1; in B nothing avid stays, so its second predicate holds too."""
    found = discordance(
        reading(filled(L1, L2), **BASE), reading(filled(L1, L2), resectable=filled(L1), avid=filled(L1))
    )
    assert found.a.stratum == found.b.stratum == "stratum_1"
    assert (found.level, found.attributed_to) == ("predicates", "avidity")


def test_a_lesion_drawn_as_two_is_contour() -> None:
    """B leaves a gap of two rows in L1: 10 x 8 x 7 = 560 of 860 = 65.1 %."""
    low: Box = (L1[0], (2, 6), L1[2])
    high: Box = (L1[0], (8, 12), L1[2])
    found = discordance(
        reading(filled(L1, L2), **BASE),
        reading(filled(low, high, L2), resectable=filled(low, high), avid=filled(L1, L2)),
    )
    assert found.b.counts[:3] == (560, 560, 860)
    assert found.differing == ("contour",)
    assert found.attributed_to == "contour"


def test_a_partly_resectable_lesion_lends_its_marking_voxel_by_voxel() -> None:
    """A can resect i < 9 of L1 (490 of 700), B draws one row more and calls all of it unresectable.

    A's marking on B's contour (i from 2 to 13, 11 x 70 = 770): 7 rows resectable, 4 not: 490 of 770 + 300.
    """
    part: Box = ((2, 9), *L1[1:])
    larger: Box = ((2, 13), *L1[1:])
    a = reading(filled(L1, L2), resectable=filled(part), avid=filled(L1, L2))
    b = reading(filled(larger, L2), resectable=filled(), avid=filled(L1, L2))
    pair = compared(a, b)
    assert pair.outcome(Choice(0, 1, 0, 0, 0, 0)).counts[:3] == (490, 490, 1070)
    assert pair.outcome(Choice(0, 1, 0, 1, 0, 0)).counts[:3] == (0, 0, 1070)


def test_a_dismissed_pet_only_region_is_avidity_and_a_marked_one_is_marking() -> None:
    """An avid spot lies 24 mm above L2. A dismisses it, B calls it unresectable, C resectable."""
    spot: Box = ((32, 38), (24, 29), (17, 20))
    marks: dict[str, Any] = {"resectable": filled(L2), "avid": filled(L2, spot)}
    a = reading(filled(L1, L2), rows=(row("P1", avidity="not_avid"),), **marks)
    b = reading(filled(L1, L2), rows=(row("P1", Marking.UNRESECTABLE),), **marks)
    c = reading(filled(L1, L2), rows=(row("P1", Marking.RESECTABLE),), **marks)
    found = discordance(a, b)
    assert (found.a.stratum, found.b.stratum) == ("stratum_2", "ineligible")
    assert found.attributed_to == "avidity"
    found = discordance(b, c)
    assert (found.a.stratum, found.b.stratum) == ("ineligible", "stratum_2")
    assert (found.differing, found.attributed_to) == (("marking",), "marking")


def numbered(*boxes: Box) -> CaseMasks:
    """Return lesions that are labels 1, 2, ... in the order of the boxes, without resectable mask or PET."""
    sets = [(n, voxel_runs(filled(box))) for n, box in enumerate(boxes, start=1)]
    mask = Mask(grid=GRID, runs=LabelRuns.from_sets(sets))
    return CaseMasks(grid=GRID, tumour=[TumourEntry(mask=mask, instances="labels")])


TABLE = (row("L1", Marking.RESECTABLE), row("L2", Marking.UNRESECTABLE), row("L3", Marking.RESECTABLE))


def test_a_row_that_moved_to_another_lesion_is_no_other_marking() -> None:
    """B's mask has labels 1 and 2 the other way round, under the same table: 1000 of 1300 become 600."""
    a = replace(numbered(L1, L2, L3), rows=TABLE)
    b = replace(numbered(L2, L1, L3), rows=TABLE)
    found = discordance((a, Protocol()), (b, Protocol()))
    assert (found.a.counts[:3], found.b.counts[:3]) == ((1000, 1000, 1300), (600, 600, 1300))
    assert (found.differing, found.attributed_to) == (("row_moved",), "row_moved")


def test_beside_a_moved_row_a_marking_that_differs_is_one() -> None:
    """As above, and B calls L3 unresectable: 1000 of 1300 become 300.

    The rows alone (600 of 1300) make it less than 70 %, and L3 alone (700 of 1300) too; put into B, the rows
    give 700 and L3 gives 600 of 1300, which is no stratum 1 again: both carry it, and only together.
    """
    a = replace(numbered(L1, L2, L3), rows=TABLE)
    b = replace(numbered(L2, L1, L3), rows=(*TABLE[:2], row("L3", Marking.UNRESECTABLE)))
    found = discordance((a, Protocol()), (b, Protocol()))
    assert (found.a.counts[0], found.b.counts[0]) == (1000, 300)
    a_then = {swap.ingredient: swap.a_with_that_of_b.counts[0] for swap in found.swaps}
    b_then = {swap.ingredient: swap.b_with_that_of_a.counts[0] for swap in found.swaps}
    assert (a_then, b_then) == ({"row_moved": 600, "marking": 700}, {"row_moved": 700, "marking": 600})
    assert found.attributed_to == "row_moved+marking"


def test_an_avidity_word_moves_with_its_row() -> None:
    """L2 is avid and stays; its row dismisses it. In B the row has gone to L1: L2 is avid again."""
    rows = (row("L1", Marking.UNRESECTABLE), row("L2", Marking.UNRESECTABLE, "not_avid"))
    avid = Avid(voxels=voxel_runs(filled(L2)), grid=GRID)
    a = replace(numbered(L1, L2), avid=avid, pet_field=GRID, rows=rows)
    b = replace(numbered(L2, L1), avid=avid, pet_field=GRID, rows=rows)
    found = discordance((a, Protocol()), (b, Protocol()))
    assert (found.a.counts[-1], found.b.counts[-1]) == (0, 300)
    assert (found.differing, found.attributed_to) == (("row_moved",), "row_moved")


def test_rows_that_their_readers_placed_did_not_move() -> None:
    """Each table numbers its own mask and has a point in each lesion: then the markings do differ."""
    sides = []
    for boxes in ((L1, L2, L3), (L2, L1, L3)):
        centres = [tuple(GRID.to_mm(np.array([sum(edge) // 2 for edge in box])).tolist()) for box in boxes]
        rows = tuple(replace(r, point_mm=c) for r, c in zip(TABLE, centres, strict=True))
        sides.append((replace(numbered(*boxes), rows=rows), Protocol()))
    found = discordance(*sides)
    assert (found.differing, found.attributed_to) == (("marking",), "marking")


def test_a_row_moved_off_a_lesion_that_the_other_reading_misses() -> None:
    """B does not have L1; A's L2 has its number there, and its word: 700 of 1300 become 600 of 600."""
    a = replace(numbered(L1, L2, L3), rows=TABLE)
    b = replace(numbered(L2, L3), rows=(row("L1", Marking.RESECTABLE), row("L2", Marking.RESECTABLE)))
    a = replace(a, rows=(TABLE[0], row("L2", Marking.UNRESECTABLE), row("L3", Marking.UNRESECTABLE)))
    found = discordance((a, Protocol()), (b, Protocol()))
    assert (found.a.counts[:3], found.b.counts[:3]) == ((700, 700, 1300), (600, 600, 600))
    assert found.differing == ("detection", "row_moved", "marking")


@pytest.mark.parametrize("empty", ["a", "b", "both"])
def test_empty_masks_are_compared_too(empty: str) -> None:
    """An empty tumour mask is not assessable; against a full one that is a matter of detection."""
    nothing, something = reading(filled(), **BASE), reading(filled(L1, L2), **BASE)
    a = nothing if empty in {"a", "both"} else something
    b = nothing if empty in {"b", "both"} else something
    found = discordance(a, b)
    assert found.attributed_to == (None if empty == "both" else "detection")


def test_voxels_not_counted_alike_are_those_at_stake() -> None:
    """B misses L3 (300), calls L2 (300) resectable and draws L1 with one row of 70 less."""
    smaller: Box = ((2, 11), *L1[1:])
    a = reading(filled(L1, L2, L3), resectable=filled(L1))
    b = reading(filled(smaller, L2), resectable=filled(smaller, L2))
    measured = [measure_case(masks, protocol) for masks, protocol in (a, b)]
    found = voxels_not_alike(measured[0], measured[1], protocols=(a[1], b[1]))
    assert found.count == 300 + 300 + 70


def test_full_swaps_reproduce_the_other_reading_on_random_pairs() -> None:
    """Whatever is named as carrying a difference turns each reading's outcome into the other's."""
    rng = np.random.default_rng(20)
    for _ in range(12):
        sides = []
        for _ in range(2):
            boxes: list[Box] = []
            for base in (L1, L2, L3):
                if rng.random() < 0.8:
                    shift = rng.integers(-1, 2, 3)
                    (i, j, k), (a, b, c) = base, (int(s) for s in shift)
                    boxes.append(((i[0] + a, i[1] + a), (j[0] + b, j[1] + b), (k[0] + c, k[1] + c)))
            tumour = filled(*boxes)
            resectable = tumour * (rng.random(GRID.shape) < rng.choice([0.5, 1.0]))
            avid = filled(*[box for box in (L1, L2, L3) if rng.random() < 0.6])
            sides.append(reading(tumour, resectable=resectable, avid=avid))
        pair = compared(sides[0], sides[1])
        found = pair.discordance()
        for group in found.carried_by:
            assert set(group) <= set(found.differing)
            level = found.level
            if level in {"stratum", "predicates"}:
                there = Choice.of(0, but=group)
                back = Choice.of(1, but=group)
                assert pair.outcome(there).at(level) == found.b.at(level)
                assert pair.outcome(back).at(level) == found.a.at(level)


def test_each_lesion_takes_the_marking_of_its_own_counterpart() -> None:
    """A can resect L1, B L2 instead; L1 alone is avid. A with B's marking: 300, and no avid voxel."""
    a = reading(filled(L1, L2), resectable=filled(L1), avid=filled(L1))
    b = reading(filled(L1, L2), resectable=filled(L2), avid=filled(L1))
    pair = compared(a, b)
    assert pair.outcome(Choice(0, 0, 0, 0, 0, 0)).counts == (700, 700, 1000, 700, 700, 700)
    assert pair.outcome(Choice(0, 0, 0, 1, 0, 0)).counts == (300, 300, 1000, 0, 0, 700)
    assert pair.outcome(Choice(1, 1, 0, 0, 1, 0)).counts == (700, 700, 1000, 700, 700, 700)


def test_a_partly_resectable_lesion_decides_by_the_part_that_is_avid() -> None:
    """Avid for i < 5 (210). A can resect i < 7, B the rest: with B's marking all that is avid stays."""
    low: Box = ((2, 7), *L1[1:])
    high: Box = ((7, 12), *L1[1:])
    spot: Box = ((2, 5), *L1[1:])
    a = reading(filled(L1, L2), resectable=filled(low), avid=filled(spot))
    b = reading(filled(L1, L2), resectable=filled(high), avid=filled(spot))
    pair = compared(a, b)
    assert pair.outcome(Choice(0, 0, 0, 0, 0, 0)).counts[3:] == (210, 210, 210)
    assert pair.outcome(Choice(0, 0, 0, 1, 0, 0)).counts[3:] == (0, 0, 210)


def test_a_lesion_is_avid_where_any_of_its_counterparts_is() -> None:
    """B drew L1 as two and calls one avid; A calls L1 not avid. Without PET tumour voxels count."""
    low: Box = (L1[0], (2, 6), L1[2])  # 280
    high: Box = (L1[0], (7, 12), L1[2])  # 350
    a = reading(filled(L1, L2), rows=(row("L1", avidity="not_avid"), row("L2", avidity="not_avid")))
    # B by falling volume: high 350 is L1, L2 300 is L2, low 280 is L3.
    words = (row("L1", avidity="avid"), row("L2", avidity="not_avid"), row("L3", avidity="not_avid"))
    pair = compared(a, reading(filled(low, high, L2), rows=words))
    assert pair.outcome(Choice(0, 0, 0, 0, 0, 0)).counts[3:] == (0, 0, 0)
    assert pair.outcome(Choice(0, 0, 0, 0, 1, 0)).counts[3:] == (0, 700, 700)
    assert pair.outcome(Choice(1, 1, 0, 0, 0, 0)).counts[3:] == (0, 0, 0)
