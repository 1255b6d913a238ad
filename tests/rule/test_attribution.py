"""Which lesion an FDG-avid voxel belongs to, and which marking it takes (docs/rule.md, attribution).

Every case here is judged twice: by volstrat and, voxel by voxel, by the oracle.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle_rule import OracleCase
from tests.rule_cases import agreed, avid_reviews, counts, judge
from tests.rule_lines import along, cells, line_case

PET_4_MM = along(4.0, first_mm=1.5)
"""PET voxel m lies at u = 4m + 1.5 and holds the four CT centres 4m ... 4m + 3."""


def test_spill_beyond_the_ct_contour_stays_with_the_lesion() -> None:
    """Uptake that blurs 8 mm beyond a resectable lesion is as resectable as the lesion: 100 %."""
    # The lesion fills PET voxel 2 (CT 8-11); PET voxels 1, 3 and 4 hold no tumour.
    case = line_case({"L1": cells(40, (8, 11))}, avid=cells(10, (1, 4)), avid_affine=PET_4_MM)
    case.table = {"L1": ("resectable", None)}
    oracle, record = agreed(case)
    assert counts(record, "stratum_2") == (True, 4, 4, 4)
    assert oracle.avid_voxels == {"L1": 4}
    # All four tumour voxels lie in the avid voxel 2.
    assert record["volumes"]["fdg_avid_fraction"] == 1.0


@pytest.mark.parametrize("shift", [-1, 1], ids=["one voxel low", "one voxel high"])
def test_resectable_mask_drawn_one_voxel_off_leaves_100_percent(shift: int) -> None:
    """39 of 40 voxels resectable is a whole lesion, so its avid voxels and spill stay at 100 %."""
    # Lesion CT 8-47; mask one voxel off covers 39 = 97.5 %. PET voxels 1-12: ten hold tumour, two spill.
    case = line_case({"L1": cells(60, (8, 47))}, avid=cells(15, (1, 12)), avid_affine=PET_4_MM)
    case.resectable = cells(60, (8 + shift, 47 + shift))
    _, record = agreed(case)
    assert counts(record, "stratum_1") == (True, 39, 39, 40)  # stratum 1 counts voxel by voxel
    assert counts(record, "stratum_2") == (True, 12, 12, 12)


@pytest.mark.parametrize(
    ("span", "part", "word"),
    [
        pytest.param((0, 17), 4, "partial", id="18 of 20 is 90 %"),
        pytest.param((2, 19), 4, "partial", id="18 of 20 at the other end"),
        pytest.param((0, 18), 5, "resectable", id="19 of 20 is exactly 95 %"),
        pytest.param((1, 19), 5, "resectable", id="19 of 20 at the other end"),
    ],
)
def test_lesion_is_whole_from_exactly_95_percent(span: tuple[int, int], part: int, word: str) -> None:
    """Below 95 % an avid voxel takes the nearest tumour voxel's marking, from 95 % on the lesion's."""
    # Lesion CT 0-19, PET voxels 0-4 at u = 1.5, 5.5, 9.5, 13.5, 17.5. With CT 0-17 resectable, PET voxel 4
    # lies halfway between CT 17 (resectable) and 18 (not): a tie, worst marking. PET voxel 3 (13.5)
    # lies between CT 13 and 14: resectable. So 4 of 5 at 90 %; at the other end PET voxel 0 (1.5) ties.
    case = line_case({"L1": cells(20, (0, 19))}, avid=cells(5, (0, 4)), avid_affine=PET_4_MM)
    case.resectable = cells(20, span)
    _, record = agreed(case)
    assert record["lesions"][0]["resectability"] == word
    assert counts(record, "stratum_2") == (part == 5, part, part, 5)


def test_avid_voxel_that_holds_two_markings_takes_the_worst_and_is_a_review() -> None:
    """One PET voxel over a resectable and an unresectable lesion is unresectable, and a person looks."""
    case = line_case(
        {"L1": cells(40, (8, 9)), "L2": cells(40, (10, 11)), "L3": cells(40, (30, 39))},
        avid=cells(10, (2, 2)),
        avid_affine=PET_4_MM,
        table={
            "L1": ("resectable", None),
            "L2": ("unresectable", None),
            "L3": ("unresectable", "not_avid"),
        },
    )
    oracle, record = agreed(case)
    assert counts(record, "stratum_2") == (False, 0, 0, 1)
    assert oracle.avid_voxels == {"L1": 1, "L2": 1, "L3": 0}  # it belongs to both
    assert avid_reviews(record) == ["avid_region_differently_marked"]
    assert record["status"] == "review"


@pytest.mark.parametrize(
    ("marks", "voxels"),
    [
        pytest.param(("resectable", "unresectable"), (2, 3), id="worst marking wins"),
        pytest.param(("unresectable", "resectable"), (3, 2), id="worst marking wins, other side"),
        pytest.param(("ablatable", "resectable"), (3, 2), id="ablatable is worse than resectable"),
        pytest.param(("ablatable", "unknown"), (2, 3), id="unknown is worse than ablatable"),
        pytest.param(("unresectable", "unknown"), (3, 2), id="unresectable is worse than unknown"),
        pytest.param(("resectable", "resectable"), (3, 2), id="then the lower id"),
    ],
)
def test_tie_goes_to_the_worst_marking_then_to_the_lower_id(
    marks: tuple[str, str], voxels: tuple[int, int]
) -> None:
    """Midway between L2 and L10 the worse marking takes the voxel; L2 is lower than L10 as a number."""
    # Tumour at u = 0 and 4, avid 0-4: voxel 1 is L2's, voxel 3 L10's, voxel 2 lies 2 mm from both.
    case = line_case({"L2": cells(9, (0, 0)), "L10": cells(9, (4, 4))}, avid=cells(9, (0, 4)))
    case.table = {"L2": (marks[0], None), "L10": (marks[1], None)}
    oracle, _ = agreed(case)
    assert oracle.avid_voxels == {"L2": voxels[0], "L10": voxels[1]}


@pytest.mark.parametrize(
    ("shift_mm", "voxels"),
    [
        pytest.param(-0.0004, (2, 3), id="0.0008 mm nearer L1: a tie, worst marking"),
        pytest.param(-0.0006, (3, 2), id="0.0012 mm nearer L1: L1"),
    ],
)
def test_distances_within_a_thousandth_of_a_millimetre_tie(shift_mm: float, voxels: tuple[int, int]) -> None:
    """Shifting PET by d makes the middle voxel 2d nearer to one lesion: a tie up to 0.001 mm."""
    case = line_case(
        {"L1": cells(9, (0, 0)), "L2": cells(9, (4, 4))},
        avid=cells(9, (0, 4)),
        avid_affine=along(first_mm=shift_mm),
        table={"L1": ("resectable", None), "L2": ("unresectable", None)},
    )
    oracle, _ = agreed(case)
    assert oracle.avid_voxels == {"L1": voxels[0], "L2": voxels[1]}


def test_spill_goes_only_to_lesions_that_the_region_holds() -> None:
    """A cold neighbour does not take spill, however near: it may be resectable, the avid one not."""
    # Avid 0-6 holds L1 (u = 0); L2 (u = 8) is nearer to voxels 5 and 6 but is not in the region.
    case = line_case({"L1": cells(12, (0, 0)), "L2": cells(12, (8, 8))}, avid=cells(12, (0, 6)))
    case.table = {"L1": ("resectable", None), "L2": ("unresectable", None)}
    oracle, record = agreed(case)
    assert oracle.avid_voxels == {"L1": 7, "L2": 0}
    assert oracle.avidity == {"L1": "avid", "L2": "not_avid"}
    assert counts(record, "stratum_2")[0] is True


def test_misregistered_region_goes_voxel_by_voxel_to_the_nearest_tumour() -> None:
    """PET 3 mm aside holds no tumour but touches it: each voxel goes to the nearest tumour voxel's lesion."""
    # L1 at u = 0-3, L2 at 10-13; avid u = 0-13, 3 mm aside. Voxel 6 lies 3 from L1 and 4 from L2, voxel 7
    # the other way round: seven each.
    case = line_case(
        {"L1": cells(14, (0, 3)), "L2": cells(14, (10, 13))},
        avid=cells(14, (0, 13)),
        avid_affine=along(aside_mm=3.0),
        table={"L1": ("resectable", None), "L2": ("unresectable", None)},
    )
    oracle, record = agreed(case)
    assert oracle.avid_voxels == {"L1": 7, "L2": 7}
    assert counts(record, "stratum_2") == (False, 7, 7, 14)
    assert record["volumes"]["fdg_avid_fraction"] == 0.0  # no tumour voxel's centre lies in an avid voxel


@pytest.mark.parametrize(
    ("away_mm", "near"),
    [
        pytest.param(10.0, True, id="exactly at the limit"),
        pytest.param(10.0009, True, id="within its slack"),
        pytest.param(10.0011, False, id="beyond its slack"),
    ],
)
def test_a_near_region_is_pet_only_and_says_so_up_to_the_distance(away_mm: float, near: bool) -> None:
    """Near is up to 10 mm and a thousandth, voxel centre to voxel centre; it has a row of its own."""
    case = line_case(
        {"L1": cells(5, (0, 4))},
        avid=cells(3, (0, 2)),
        avid_affine=along(2.0, first_mm=4 + away_mm),
        table={"L1": ("unresectable", None)},
    )
    oracle, record = agreed(case)
    assert oracle.avid_voxels == {"L1": 0}
    (region,) = record["pet_only_regions"]
    assert region["near"] == (["L1", pytest.approx(away_mm)] if near else None)
    code = "avid_region_near" if near else "pet_only_region"
    assert [f["where"] for f in record["findings"] if f["code"] == code and f["severity"] == "review"] == [
        "P1"
    ]


TOUCH_MM = (3.852272 + 4.223742) / 2
"""Half the diagonals of a CT voxel of 1 x 3 x 2.2 mm and of a PET voxel of 2 x 3 x 2.2 mm."""


@pytest.mark.parametrize(
    ("away_mm", "belongs"),
    [
        pytest.param(TOUCH_MM, True, id="exactly at the limit"),
        pytest.param(TOUCH_MM + 0.0009, True, id="within its slack"),
        pytest.param(TOUCH_MM + 0.0011, False, id="beyond its slack"),
    ],
)
def test_touching_includes_its_slack(away_mm: float, belongs: bool) -> None:
    """A region that holds no tumour belongs to it where a voxel centre is within half of both diagonals."""
    case = line_case(
        {"L1": cells(5, (0, 4))},
        avid=cells(3, (0, 2)),
        avid_affine=along(2.0, first_mm=4 + away_mm),
        table={"L1": ("unresectable", None)},
    )
    oracle, _ = agreed(case)
    # One voxel of the region that touches is enough for all three.
    assert oracle.avid_voxels == {"L1": 3 if belongs else 0}
    assert list(oracle.pet_only) == ([] if belongs else ["P1"])


@pytest.mark.parametrize(("last", "reviewed"), [(20, False), (21, True)], ids=["20 mm is in", "21 mm is far"])
@pytest.mark.parametrize("first", [0, 3], ids=["region holds tumour", "misregistered region"])
def test_region_that_reaches_beyond_twice_the_distance_is_a_review(
    first: int,
    last: int,
    reviewed: bool,
) -> None:
    """Uptake running on for more than 20 mm from any tumour voxel may be physiological."""
    case = line_case({"L1": cells(30, (0, 0))}, avid=cells(30, (first, last)))
    case.table = {"L1": ("unresectable", None)}
    _, record = agreed(case)
    assert ("avid_region_reaches_far" in avid_reviews(record)) == reviewed
    assert record["stratum"] == "ineligible"  # the flag never replaces the verdict


@pytest.mark.parametrize(
    ("shift_mm", "reviewed"), [(0.0009, False), (0.0011, True)], ids=["within the slack", "beyond it"]
)
def test_reach_includes_its_slack(shift_mm: float, reviewed: bool) -> None:
    """20 mm and a thousandth, from the nearest tumour voxel."""
    case = line_case({"L1": cells(30, (0, 0))}, avid=cells(30, (2, 20)), avid_affine=along(first_mm=shift_mm))
    assert (avid_reviews(agreed(case)[1]) == ["avid_region_reaches_far"]) == reviewed


def test_reach_is_measured_in_mm_on_the_protocols_distance() -> None:
    """With 4 mm the review starts beyond 8 mm."""
    case = line_case({"L1": cells(30, (0, 0))}, avid=cells(30, (0, 8)), distance_mm=4.0)
    assert avid_reviews(agreed(case)[1]) == []
    case.avid = cells(30, (0, 9))
    assert avid_reviews(agreed(case)[1]) == ["avid_region_reaches_far"]


def test_partly_marked_lesion_takes_the_nearest_voxels_marking_and_is_a_review() -> None:
    """Half of the lesion resectable: avid voxels and spill go by the nearest voxel of the lesion."""
    # L1 at u = 4-11, resectable 4-7. Avid 0-5: all nearest to 4 or 5, resectable. Avid 0-9: 8 and 9 not.
    case = line_case({"L1": cells(20, (4, 11))}, avid=cells(20, (0, 5)), resectable=cells(20, (4, 7)))
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (True, 6, 6, 6)
    assert avid_reviews(record) == ["avid_region_partly_marked"]
    case.avid = cells(20, (0, 9))
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (False, 8, 8, 10)
    assert set(avid_reviews(record)) == {"avid_region_partly_marked", "avid_region_differently_marked"}


def test_of_several_held_voxels_of_a_partial_lesion_the_nearest_says_the_marking() -> None:
    """An avid voxel whose two middle tumour voxels are resectable is, though it holds an unresectable one."""
    # Lesion CT 0-19, resectable 0-10. PET voxel 2 (u = 9.5) holds CT 8-11: 9 and 10 are nearest, 11 is not.
    case = line_case({"L1": cells(20, (0, 19))}, avid=cells(5, (0, 4)), avid_affine=PET_4_MM)
    case.resectable = cells(20, (0, 10))
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (False, 3, 3, 5)


def test_the_nearest_voxel_of_a_partial_lesion_may_lie_beyond_the_avid_voxel() -> None:
    """An avid voxel 8 x 2 mm wide holds resectable tumour 2 mm off; unresectable lies 1.5 mm beside."""
    lesion, resectable = np.zeros((8, 2, 1), dtype=bool), np.zeros((8, 2, 1), dtype=bool)
    lesion[2:4, 0] = lesion[0:4, 1] = resectable[2:4, 0] = True
    case = OracleCase(
        affine=along(across_mm=1.5), lesions={"L1": lesion}, resectable=resectable,
        avid=cells(1, (0, 0)), avid_affine=along(8.0, across_mm=2.0),
        field_shape=(3, 5, 1), field_affine=along(8.0, first_mm=-8.0, aside_mm=-4.0, across_mm=2.0),
    )  # fmt: skip
    _, record = agreed(case)
    assert counts(record, "stratum_2") == (False, 0, 0, 1)


def test_whole_lesion_and_overlap_take_the_worst_where_a_voxel_is_in_both() -> None:
    """An avid voxel on the overlap of two lesions belongs to both and takes the worse marking."""
    # L1 = 0-9 resectable, L2 = 8-9 unresectable. Avid 6-9: voxels 8 and 9 hold both.
    case = line_case({"L1": cells(20, (0, 9)), "L2": cells(20, (8, 9))}, avid=cells(20, (6, 9)))
    case.table = {"L1": ("resectable", None), "L2": ("unresectable", None)}
    oracle, record = agreed(case)
    assert counts(record, "stratum_2") == (False, 2, 2, 4)
    assert oracle.avid_voxels == {"L1": 4, "L2": 2}
    assert oracle.lesion_word == {"L1": "resectable", "L2": "unresectable"}  # by their own marking
    assert counts(record, "stratum_1") == (True, 8, 8, 10)


def test_pet_finer_than_ct_counts_every_pet_voxel() -> None:
    """PET voxels between CT centres hold none, and are spill of the lesion round them."""
    # CT centres at u = 0, 4, 8 (4 mm); PET every 1 mm, avid u = -1 ... 9: 11 voxels, three hold a centre.
    case = line_case({"L1": cells(3, (0, 2))}, avid=cells(13, (1, 11)), avid_affine=along(first_mm=-2.0))
    case.affine = along(4.0)
    case.table = {"L1": ("resectable", None)}
    oracle, record = agreed(case)
    assert oracle.avid_voxels == {"L1": 11}
    assert counts(record, "stratum_2")[0] is True
    assert record["volumes"]["fdg_avid_fraction"] == 1.0


@pytest.mark.parametrize("mirrored", [False, True], ids=["stored upward", "stored downward"])
@pytest.mark.parametrize(("avid_side", "held"), [(-1, 0), (1, 1)], ids=["lower voxel", "higher voxel"])
def test_centre_on_a_face_belongs_to_the_higher_side_in_patient_axes(
    avid_side: int,
    held: int,
    mirrored: bool,
) -> None:
    """A CT centre on the face between two PET voxels lies in the one that is higher in LPS."""
    # PET centres at u = -1 and 1 (2 mm), the face at u = 0; u rises with its largest component, LPS x.
    avid = cells(2, (0, 0)) if avid_side < 0 else cells(2, (1, 1))
    affine = along(2.0, first_mm=-1.0)
    if mirrored:
        avid = avid[::-1]
        affine = along(-2.0, first_mm=1.0)
    case = line_case({"L1": cells(1, (0, 0))}, avid=avid, avid_affine=affine)
    oracle, record = agreed(case)
    assert oracle.avid_tumour_voxels == held
    assert record["volumes"]["fdg_avid_fraction"] == float(held)


@pytest.mark.parametrize("noise", [0.0, 1e-7, -1e-7], ids=["exact", "rounded one way", "the other way"])
@pytest.mark.parametrize("mirrored", [False, True], ids=["stored upward", "stored downward"])
def test_last_digits_of_a_45_degree_header_do_not_decide_a_face(mirrored: bool, noise: float) -> None:
    """Where an axis is as close to LPS x as to y, x says which side of a face is the higher one."""
    # PET axis i runs along (1, -1, 0) / sqrt(2): up in x, down in y. PET centres at -1 and 1 mm along it, the
    # tumour centre on the face at 0 lies in the voxel of higher x.
    turn = np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 2**0.5]]) / 2**0.5
    turn[0, 0] += noise
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array([-2.0 if mirrored else 2.0, 3.0, 3.0])
    affine[:3, 3] = turn[:, 0] * (1.0 if mirrored else -1.0)
    avid = cells(2, (0, 0) if mirrored else (1, 1))
    case = OracleCase(affine=np.eye(4), lesions={"L1": np.ones((1, 1, 1), dtype=bool)})
    case.avid, case.avid_affine = avid, affine
    assert agreed(case)[1]["volumes"]["fdg_avid_fraction"] == 1.0


def test_regions_are_26_connected_whatever_the_protocols_connectivity() -> None:
    """Voxels that share a corner are one region; connectivity is about CT components only."""
    avid = np.zeros((3, 3, 3), dtype=bool)
    avid[0, 0, 0] = avid[1, 1, 1] = avid[2, 2, 2] = True
    far = along()
    far[:3, 3] += 100.0
    case = OracleCase(
        affine=far, lesions={"L1": np.ones((2, 2, 2), dtype=bool)}, avid=avid, avid_affine=along()
    )
    for connectivity in (6, 18, 26):
        assert len(judge(case, connectivity=connectivity)["pet_only_regions"]) == 1


def test_pet_only_regions_are_numbered_by_falling_volume_then_position() -> None:
    """P1 is the largest; of two alike the one with the lower LPS x, then y, then z comes first."""
    # Far from tumour: sizes 1 (u = 0), 3 (u = 3-5), 1 (u = 9). u rises with LPS x.
    case = line_case(
        {"L1": cells(3, (0, 2))},
        avid=cells(12, (0, 0), (3, 5), (9, 9)),
        avid_affine=along(first_mm=50.0),
    )
    oracle, record = agreed(case)
    assert {name: sorted(voxels) for name, voxels in oracle.pet_only.items()} == {
        "P1": [(3, 0, 0), (4, 0, 0), (5, 0, 0)],
        "P2": [(0, 0, 0)],
        "P3": [(9, 0, 0)],
    }
    assert [row["voxels"] for row in record["pet_only_regions"]] == [3, 1, 1]
    told = [f["where"] for f in record["findings"] if f["code"] == "pet_only_region"]
    assert told == ["P1", "P2", "P3"]


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["LPS x first", "then y", "then z"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_position_settles_ties_by_lps_axes_not_by_storage(axis: int, mirrored: bool) -> None:
    """Two regions of one voxel: the lower in LPS is P1 however the grid is stored."""
    avid = np.zeros((9, 9, 9), dtype=bool)
    low, high = [4, 4, 4], [4, 4, 4]
    low[axis], high[axis] = 2, 6
    for later in range(axis + 1, 3):  # later axes point the other way and must not matter
        low[later], high[later] = 6, 2
    avid[tuple(low)] = avid[tuple(high)] = True
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = 200.0
    low_mm = affine[:3, :3] @ np.array(low) + affine[:3, 3]
    if mirrored:
        avid = avid[::-1, ::-1, ::-1]
        affine[:3, 3] += affine[:3, :3] @ np.array([8, 8, 8])
        affine[:3, :3] *= -1
    case = OracleCase(affine=np.eye(4), lesions={"L1": np.ones((2, 2, 2), dtype=bool)})
    case.avid, case.avid_affine = avid, affine
    assert judge(case)["pet_only_regions"][0]["centroid_mm"] == pytest.approx(low_mm)
