"""How sure the verdict is, as the record says it: shifts, the shortest way, lesions too small to measure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.oracle_rule import OracleCase
from tests.rule_cases import codes, judge_masks, masks_of, protocol_of
from tests.rule_lines import cells, line_case

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFTS = (-1.0, -0.5, 0.5, 1.0)


def ten_cuboids(spacing: tuple[float, float, float]) -> OracleCase:
    """Return ten equal lesions far from each other, the first seven resectable, nothing avid."""
    lesions: dict[str, NDArray[np.bool_]] = {}
    for n in range(10):
        lesions[f"L{n + 1}"] = np.zeros((120, 16, 16), dtype=bool)
        lesions[f"L{n + 1}"][12 * n + 3 : 12 * n + 9, 5:11, 5:11] = True
    resectable = np.logical_or.reduce([lesions[f"L{n}"] for n in range(1, 8)])
    avid = np.zeros((120, 16, 16), dtype=bool)
    affine = np.diag([*spacing, 1.0])
    return OracleCase(
        affine=affine, lesions=lesions, resectable=resectable, avid=avid, avid_affine=affine,
        field_shape=(120, 16, 16), field_affine=affine,
    )  # fmt: skip


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 1.3), (0.8, 0.9, 1.1), (0.977, 0.977, 2.5)])
def test_exactly_the_threshold_stays_so_when_equal_lesions_are_shifted(
    spacing: tuple[float, float, float],
) -> None:
    """Seven of ten equal lesions are 70 % whatever becomes of each: stratum 1 at every shift."""
    case = ten_cuboids(spacing)
    protocol = replace(protocol_of(case), boundary_shift_mm=SHIFTS)
    shifts = judge_masks(masks_of(case), protocol)["robustness"]["boundary_shift"]
    assert [(s["resectable_fraction"], s["stratum"]) for s in shifts] == [(0.7, "stratum_1")] * 4


def test_a_shifted_share_is_not_known_where_nothing_is_marked() -> None:
    """As is the share itself: no lesion is resectable for certain, and none is not."""
    case = replace(ten_cuboids((1.0, 1.0, 1.0)), resectable=None)
    record = judge_masks(masks_of(case), replace(protocol_of(case), boundary_shift_mm=SHIFTS))
    assert record["volumes"]["resectable_fraction"] is None
    assert [s["resectable_fraction"] for s in record["robustness"]["boundary_shift"]] == [None] * 4


def way(case: OracleCase) -> Any:  # noqa: ANN401 - the record's value
    """Return the shortest way of a case."""
    return judge_masks(masks_of(case), protocol_of(case))["robustness"]["shortest_way"]


def test_a_resectable_lesion_that_holds_another_is_no_way_to_the_threshold() -> None:
    """L1, voxels 0-9, is resectable; L2, 0-5 of them, is not: 4 of 10, and only L2 stands in the way."""
    case = line_case(
        {"L1": cells(20, (0, 9)), "L2": cells(20, (0, 5))},
        table={"L1": ("resectable", None), "L2": ("unresectable", None)},
    )
    assert way(case) == ["L2"]


def test_shared_voxels_are_won_when_every_lesion_that_holds_them_goes() -> None:
    """L1 0-5 and L2 4-11 share 4-5, L3 is 12-19; of 20 voxels 14 are needed.

    L1 and L2 make 12; L1 and L3 4 + 8 = 12; L2 and L3 6 + 8 = 14: with 4-5 counted to L1 it would have
    been L1 and L3, which do not reach.
    """
    case = line_case(
        {"L1": cells(20, (0, 5)), "L2": cells(20, (4, 11)), "L3": cells(20, (12, 19))},
        table={f"L{n}": ("unresectable", None) for n in (1, 2, 3)},
    )
    assert way(case) == ["L2", "L3"]


def test_nothing_is_claimed_of_leaving_out_small_lesions_that_overlap_others() -> None:
    """L2 (3 voxels) lies in L1 (19) and alone decides; what it holds would stay L1's without it."""
    case = line_case(
        {"L1": cells(40, (0, 18)), "L2": cells(40, (0, 2)), "L3": cells(40, (20, 24))},
        table={"L1": ("resectable", None), "L2": ("unresectable", None), "L3": ("unresectable", None)},
        avid=cells(40),
    )
    record = judge_masks(masks_of(case), protocol_of(case))
    assert record["stratum"] == "ineligible"  # 16 of 24; without L2 19 of 24, 79 %
    (finding,) = [f for f in record["findings"] if f["code"] == "small_lesions"]
    assert "would" not in finding["message"]
    assert "overlapping_lesions" in codes(record)
