"""Rows of a lesion table stay with the tissue that they were written for (docs/rule.md, "Lesions")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.dense import label_runs, voxel_runs
from volstrat.case.lesion_list import lesion_list
from volstrat.certainty.verdict import avid_tumour_voxels, reach_verdict
from volstrat.errors import LesionTableError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.rule import row_placing
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks, measure_case
from volstrat.rule.row_placing import place_lesion_rows
from volstrat.rule.stratify import assess
from volstrat.terms.marks import LesionRow, Marking
from volstrat.terms.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from volstrat.rule.measure import Measurements

    Labels = NDArray[np.int64]

SHAPE = (24, 20, 16)
AFFINE = np.array([[0.8, 0, 0, -60.0], [0, 0.64, -1.2, 12], [0, 0.48, 1.6, 830], [0, 0, 0, 1.0]])
GRID = VoxelGrid(shape=SHAPE, affine=AFFINE)
WORDS = (Marking.RESECTABLE, Marking.ABLATABLE, Marking.UNRESECTABLE)


def case_of(
    labels: Labels, rows: tuple[LesionRow, ...] = (), names: Mapping[int, str] | None = None
) -> CaseMasks:
    """Return a case of a label map."""
    mask = Mask(grid=GRID, runs=label_runs(labels), names=dict(names or {}))
    return CaseMasks(grid=GRID, tumour=[TumourEntry(mask=mask)], rows=rows)


def boxes(*spans: tuple[slice, slice, slice]) -> Labels:
    """Return a label map of boxes, numbered from 1."""
    labels = np.zeros(SHAPE, dtype=np.int64)
    for n, span in enumerate(spans):
        labels[span] = n + 1
    return labels


A = (slice(2, 8), slice(2, 8), slice(2, 8))
B = (slice(12, 16), slice(2, 6), slice(2, 6))
C = (slice(12, 15), slice(10, 13), slice(8, 11))


def point(i: int, j: int, k: int) -> tuple[float, float, float]:
    """Return the centre of a voxel, LPS mm."""
    x, y, z = GRID.to_mm(np.array([i, j, k])).tolist()
    return x, y, z


def words(measured: Measurements) -> dict[str, str]:
    """Return the marking of each lesion in words."""
    return {i: measured.marked.word(n) for n, i in enumerate(measured.lesions.ids)}


def codes(measured: Measurements) -> list[str]:
    """Return the codes of what placing and marking brought up."""
    return [one.code for one in measured.mark_findings]


def test_erasing_a_label_fails_the_row_that_named_it() -> None:
    """L2 is gone: its row falls to no other piece, and the case says which row has no lesion."""
    rows = tuple(
        LesionRow(lesion_id=f"L{n}", resectability=WORDS[n - 1], where=f"row {n + 1}") for n in (1, 2, 3)
    )
    labels = boxes(A, B, C)
    assert words(measure_case(case_of(labels, rows), Protocol())) == {
        "L1": "resectable",
        "L2": "ablatable",
        "L3": "unresectable",
    }
    labels[labels == 2] = 0
    with pytest.raises(LesionTableError, match=r"row 3: 'L2' does not exist in this case; there are L1, L3"):
        measure_case(case_of(labels, rows), Protocol())


def test_numbers_that_swap_take_no_row_with_a_point_along() -> None:
    """One label, two pieces; A is drawn smaller than B. By number the marks change places, and it is said."""
    one = (boxes(A, B) > 0).astype(np.int64)
    smaller = one.copy()
    smaller[A] = 0
    smaller[2:5, 2:5, 2:5] = 1  # 27 voxels where B has 64
    by_number = (
        LesionRow(lesion_id="L1", resectability=Marking.RESECTABLE),
        LesionRow(lesion_id="L2", resectability=Marking.UNRESECTABLE),
    )
    swapped = measure_case(case_of(smaller, by_number), Protocol())
    assert words(swapped) == {"L1": "resectable", "L2": "unresectable"}  # B is L1 now
    assert [f.severity for f in swapped.mark_findings if f.code == "marks_by_number"] == ["review"]
    pointed = (
        replace(by_number[0], point_mm=point(3, 3, 3)),
        replace(by_number[1], point_mm=point(13, 3, 3)),
    )
    stayed = measure_case(case_of(smaller, pointed), Protocol())
    assert words(stayed) == {"L1": "unresectable", "L2": "resectable"}
    assert codes(stayed) == ["row_renumbered", "row_renumbered"]


def test_a_single_piece_needs_no_point() -> None:
    """One lesion alone: its number is no question."""
    one = (boxes(A) > 0).astype(np.int64)
    row = (LesionRow(lesion_id="L1", resectability=Marking.RESECTABLE),)
    assert codes(measure_case(case_of(one, row), Protocol())) == []


def test_a_segment_name_finds_its_lesion_whatever_its_number() -> None:
    """Re-saved in another order: labels 1 and 2 change places, names go with the tissue."""
    row = (LesionRow(lesion_id="L1", segment="met a", resectability=Marking.RESECTABLE, where="row 2"),)
    before = measure_case(case_of(boxes(A, B), row, {1: "Met A", 2: "Met B"}), Protocol())
    after = measure_case(case_of(boxes(B, A), row, {1: "Met B", 2: "Met A"}), Protocol())
    assert (words(before)["L1"], words(after)["L2"]) == ("resectable", "resectable")
    assert codes(after) == ["row_renumbered"]
    bare = (LesionRow(lesion_id="L1", resectability=Marking.RESECTABLE),)
    assert codes(measure_case(case_of(boxes(A, B), bare, {1: "Met A", 2: "Met B"}), Protocol())) == [
        "named_lesion_by_number"
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(
            LesionRow(lesion_id="L1", point_mm=point(20, 18, 14), where="row 2"),
            r"row 2: its point .* lies in no lesion; the row names L1",
            id="in no lesion",
        ),
        pytest.param(
            LesionRow(lesion_id="L1", segment="Met", where="row 2"),
            "row 2: the segment 'Met' is the name of L1 and L2",
            id="a name of two segments",
        ),
        pytest.param(
            LesionRow(lesion_id="L1", segment="Node", where="row 2"),
            "row 2: there is no segment 'Node'; there are Met",
            id="a name of none",
        ),
        pytest.param(
            LesionRow(lesion_id="L1", belongs_to="L2", where="row 2"),
            "row 2: L1 is a lesion; only a PET-only region belongs to one",
            id="a lesion that belongs to another",
        ),
    ],
)
def test_a_row_that_has_no_place_is_named(row: LesionRow, said: str) -> None:
    """A sentence each, with the row."""
    with pytest.raises(LesionTableError, match=said):
        measure_case(case_of(boxes(A, B), (row,), {1: "Met", 2: "Met"}), Protocol())


def test_a_point_in_two_lesions_that_overlap_is_refused() -> None:
    """Labels in two layers: the point lies in both."""
    first, second = boxes(A), boxes((slice(6, 12), slice(2, 8), slice(2, 8)))
    runs = LabelRuns.from_sets([(1, voxel_runs(first)), (2, voxel_runs(second))])
    masks = CaseMasks(
        grid=GRID,
        tumour=[TumourEntry(mask=Mask(grid=GRID, runs=runs))],
        rows=(LesionRow(lesion_id="L1", point_mm=point(7, 3, 3), where="row 2"),),
    )
    with pytest.raises(LesionTableError, match="lies in L1 and L2, which overlap there"):
        measure_case(masks, Protocol())


# --- PET-only regions -----------------------------------------------------------------------------


def with_uptake(labels: Labels, avid: tuple[slice, slice, slice], *rows: LesionRow) -> CaseMasks:
    """Return a case with one avid box on the same grid."""
    dense = np.zeros(SHAPE, dtype=bool)
    dense[avid] = True
    uptake = Avid(voxels=voxel_runs(dense), grid=GRID)
    return replace(case_of(labels, rows), avid=uptake, pet_field=GRID)


NODE = (slice(18, 20), slice(2, 6), slice(2, 6))
"""3.2 mm or four voxels beside B: it does not touch, and is near."""


def stratum(masks: CaseMasks) -> str | None:
    """Return the case's stratum."""
    return assess(measure_case(masks, Protocol()), Protocol()).stratum


def test_a_near_region_takes_no_marking_until_somebody_says_whose_it_is() -> None:
    """A is unresectable, B resectable; the node beside B is B's, its own, or bowel."""
    labels = boxes(A, B)
    marked = (
        LesionRow(lesion_id="L1", resectability=Marking.UNRESECTABLE),
        LesionRow(lesion_id="L2", resectability=Marking.RESECTABLE),
    )
    assert stratum(with_uptake(labels, NODE, *marked)) is None
    for row, expected in (
        (LesionRow(lesion_id="P1", belongs_to="L2"), "stratum_2"),
        (LesionRow(lesion_id="P1", belongs_to="L1"), "ineligible"),
        (LesionRow(lesion_id="P1", resectability=Marking.UNRESECTABLE), "ineligible"),
        (LesionRow(lesion_id="P1", fdg_avidity="not_avid"), "ineligible"),  # no avid disease is left
    ):
        assert stratum(with_uptake(labels, NODE, *marked, row)) == expected


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        pytest.param(
            LesionRow(lesion_id="L2"),
            "belongs to L2, as a reader says, but L2 is not marked yet",
            id="unmarked",
        ),
        pytest.param(
            LesionRow(lesion_id="L2", not_tumour=True),
            "belongs to L2, as a reader says, but L2 is marked as not tumour",
            id="no tumour",
        ),
    ],
)
def test_a_region_given_to_a_lesion_that_says_nothing_waits_for_that_lesion(
    owner: LesionRow, said: str
) -> None:
    """Near B, and away from all tumour once B is none: the sentence says whose marking is missing."""
    a = LesionRow(lesion_id="L1", resectability=Marking.UNRESECTABLE)
    given = LesionRow(lesion_id="P1", belongs_to="L2")
    verdict = reach_verdict(
        measure_case(with_uptake(boxes(A, B), NODE, a, owner, given), Protocol()), Protocol()
    )
    (found,) = [one for one in verdict.findings if one.where == "P1"]
    assert (found.severity, verdict.stratum) == ("review", None)
    assert said in found.message


def test_a_point_in_ras_is_told_from_one_in_no_lesion() -> None:
    """Signs of x and y turned: the hint says where it would lie; of any other point, to mark it again."""
    x, y, z = point(4, 4, 4)
    for at, hint in (((-x, -y, z), "then it lies in L1"), ((x, y, z + 500), "mark it again")):
        row = LesionRow(lesion_id="L1", resectability=Marking.RESECTABLE, point_mm=at, where="row 2")
        with pytest.raises(LesionTableError, match="lies in no lesion") as caught:
            measure_case(case_of(boxes(A, B), (row,)), Protocol())
        assert hint in str(caught.value.hint)


def test_an_owner_that_only_its_number_names_is_a_review() -> None:
    """The table calls the present L2 L1 (by its point); its L2 may have been another lesion than today's."""
    labels = (boxes(A, B) > 0).astype(np.int64)  # one mask: numbers go by size
    moved = LesionRow(lesion_id="L1", resectability=Marking.RESECTABLE, point_mm=point(13, 3, 3))
    owned = LesionRow(lesion_id="P1", belongs_to="L2")
    measured = measure_case(with_uptake(labels, NODE, moved, owned), Protocol())
    assert "marks_by_number" in {one.code for one in measured.mark_findings}
    told = LesionRow(lesion_id="P1", belongs_to="L1")
    measured = measure_case(with_uptake(labels, NODE, moved, told), Protocol())
    assert "marks_by_number" not in {one.code for one in measured.mark_findings}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(
            LesionRow(lesion_id="P1", belongs_to="L9"), "belongs to 'L9', which is not in", id="unknown"
        ),
        pytest.param(LesionRow(lesion_id="P1", belongs_to="P1"), "belongs to itself", id="a circle"),
        pytest.param(LesionRow(lesion_id="P1", belongs_to="P2"), "a region; it can belong", id="a region"),
        pytest.param(
            LesionRow(lesion_id="P1", belongs_to="L2", fdg_avidity="not_avid"), "only one can be", id="both"
        ),
        pytest.param(LesionRow(lesion_id="P1", not_tumour=True), "no tumour on CT", id="no tumour"),
    ],
)
def test_what_a_region_cannot_be_is_refused(row: LesionRow, said: str) -> None:
    """A sentence each."""
    with pytest.raises(LesionTableError, match=said):
        measure_case(with_uptake(boxes(A, B), NODE, row), Protocol())


def test_uptake_of_a_lesion_that_is_none_is_a_region_of_its_own() -> None:
    """B is bowel: it leaves the total, its uptake waits for a word; with not_avid it is gone."""
    labels = boxes(A, B)
    a = LesionRow(lesion_id="L1", resectability=Marking.UNRESECTABLE)
    b = LesionRow(lesion_id="L2", not_tumour=True)
    measured = measure_case(with_uptake(labels, B, a, b), Protocol())
    assert measured.marked.total_voxels.tolist() == [216, 0, 0, 0]
    assert measured.attribution is not None
    assert measured.attribution.pet_only.measures.voxels.tolist() == [64]
    # It comes within 10 mm of A, from voxel 12 to voxel 7 along i: five of 0.8 mm.
    near = measured.attribution.pet_only.nearest(0)
    assert near is not None
    assert near[0] == 0
    assert near[1] == pytest.approx(4.0)
    assert assess(measured, Protocol()).stratum is None
    # Of the tumour, which is A, nothing lies in avid voxels; drawn B does where it is tumour.
    assert avid_tumour_voxels(measured, assess(measured, Protocol())) == 0
    as_tumour = measure_case(with_uptake(labels, B, a), Protocol())
    assert avid_tumour_voxels(as_tumour, assess(as_tumour, Protocol())) == 64
    dismissed = measure_case(with_uptake(labels, B, a, replace(b, fdg_avidity="not_avid")), Protocol())
    assert dismissed.attribution is not None
    assert dismissed.attribution.pet_only.count == 0
    assert assess(dismissed, Protocol()).stratum == "ineligible"


def test_with_every_lesion_called_none_there_is_no_tumour() -> None:
    """Not assessable, as with an empty mask."""
    rows = tuple(LesionRow(lesion_id=f"L{n}", not_tumour=True) for n in (1, 2))
    measured = measure_case(case_of(boxes(A, B), rows), Protocol())
    assessment = assess(measured, Protocol())
    assert (assessment.stratum, assessment.stratum_1.holds, assessment.stratum_2.holds) == (None, None, None)


# --- edits ----------------------------------------------------------------------------------------


def renumbered(rng: np.random.Generator, labels: Labels) -> Labels:
    """Give the labels other numbers."""
    order = np.concatenate(([0], rng.permutation(np.arange(1, labels.max() + 1)) + int(rng.integers(3))))
    return order[labels]


def shrunk(rng: np.random.Generator, labels: Labels) -> Labels:
    """Take voxels away."""
    return np.where(rng.random(SHAPE) < 0.4, 0, labels)


def grown(rng: np.random.Generator, labels: Labels) -> Labels:
    """Add the voxels beside."""
    return np.where(labels == 0, np.roll(labels, 1, axis=int(rng.integers(3))), labels)


def merged(rng: np.random.Generator, labels: Labels) -> Labels:
    """Make two labels one."""
    one, other = rng.integers(1, labels.max() + 1, 2)
    return np.where(labels == one, other, labels)


def split(rng: np.random.Generator, labels: Labels) -> Labels:
    """Make two labels of one."""
    one = int(rng.integers(1, labels.max() + 1))
    half = np.indices(SHAPE)[int(rng.integers(3))] % 7 < 4
    return np.where((labels == one) & half, labels.max() + 1, labels)


def erased(rng: np.random.Generator, labels: Labels) -> Labels:
    """Take a label away."""
    return np.where(labels == rng.integers(1, labels.max() + 1), 0, labels)


def as_one_label(rng: np.random.Generator, labels: Labels) -> Labels:
    """Save all as one label."""
    return (labels > 0).astype(np.int64) * int(rng.integers(1, 4))


EDITS: tuple[Callable[[np.random.Generator, Labels], Labels], ...] = (
    renumbered,
    shrunk,
    grown,
    merged,
    split,
    erased,
    as_one_label,
)
FEWEST_PLACED = 0.3


def edited(seed: int) -> str:
    """Edit a marked label map once or twice; every row has its place, or one is named that has none."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, dtype=np.int64)
    for n in range(int(rng.integers(2, 7))):
        low = [int(rng.integers(0, s - 6)) for s in SHAPE]
        size = rng.integers(2, 7, 3)
        labels[tuple(slice(a, a + int(s)) for a, s in zip(low, size, strict=True))] = n + 1
    before = measure_case(case_of(labels), Protocol())
    rows = tuple(
        replace(row, resectability=WORDS[int(rng.integers(3))], where=f"row {n + 2}")
        for n, row in enumerate(lesion_list(before))
    )
    for edit in rng.choice(len(EDITS), int(rng.integers(1, 3))):
        labels = EDITS[edit](rng, labels)
    try:
        after = measure_case(case_of(labels, rows), Protocol())
    except LesionTableError as error:
        return "named" if error.message.startswith("row ") else error.message
    placed = set()
    for row in rows:
        assert row.point_mm is not None
        at = tuple(np.round(GRID.to_index(np.array(row.point_mm))).astype(int).tolist())
        (n,) = [
            m
            for m in range(after.lesions.count)
            if int(GRID.ravel(np.array(at))) in after.lesions.of(m).indices()
        ]
        placed.add(after.lesions.ids[n])
        assert after.marked.codes[n] == row.resectability, (seed, row)
    assert set(after.rows) == placed  # and nothing else is marked
    return "placed"


def test_random_edits_leave_every_row_with_its_tissue_or_name_it() -> None:
    """Renumbered, shrunk, grown, merged, split, erased, saved as one label: never a silent move."""
    outcomes = [edited(seed) for seed in range(60)]
    assert set(outcomes) == {"placed", "named"}
    assert outcomes.count("placed") > FEWEST_PLACED * len(outcomes)


def test_a_row_whose_volume_is_not_its_lesions_is_a_review() -> None:
    """A is 216 voxels. By a point, twice and half the volume pass; by a number alone, 10 % do."""
    ml = 216 * GRID.voxel_ml
    inside = point(4, 4, 4)

    def said(told_ml: float, point_mm: tuple[float, float, float] | None) -> list[str]:
        row = LesionRow(
            lesion_id="L1",
            resectability=Marking.RESECTABLE,
            point_mm=point_mm,
            volume_ml=told_ml,
            where="row 2",
        )
        found = codes(measure_case(case_of(boxes(A, B), (row,)), Protocol()))
        return [code for code in found if code == "row_volume_differs"]

    assert said(ml, inside) == said(ml, None) == []
    assert said(1.9 * ml, inside) == said(0.55 * ml, inside) == []
    assert said(2.1 * ml, inside) == said(0.45 * ml, inside) == ["row_volume_differs"]
    assert said(1.09 * ml, None) == []
    assert said(1.11 * ml, None) == said(0.9 * ml, None) == ["row_volume_differs"]


def test_a_row_whose_point_and_segment_are_of_two_lesions_is_a_review() -> None:
    """It counts where its point lies; which is meant, a person must say."""
    names = {1: "Met A", 2: "Met B"}

    def said(segment: str) -> list[str]:
        row = LesionRow(
            lesion_id="L1",
            resectability=Marking.RESECTABLE,
            point_mm=point(13, 3, 3),
            segment=segment,
            where="r",
        )
        measured = measure_case(case_of(boxes(A, B), (row,), names), Protocol())
        assert words(measured)["L2"] == "resectable"
        return [code for code in codes(measured) if code == "row_contradicts"]

    assert said("Met A") == ["row_contradicts"]
    assert said("Met B") == said("Met of old") == said("") == []


def test_pet_only_regions_by_number_alone_are_a_review() -> None:
    """Their numbers go by size; a point settles it, and so does having only one."""

    def found(spans: list[tuple[slice, slice, slice]], row: LesionRow) -> list[str]:
        avid = Avid(voxels=voxel_runs(boxes(*spans) > 0), grid=GRID)
        masks = replace(case_of(boxes(A), (row,)), avid=avid, pet_field=GRID)
        return [code for code in codes(measure_case(masks, Protocol())) if code == "marks_by_number"]

    far = (slice(18, 22), slice(14, 19), slice(12, 15))
    farther = (slice(18, 20), slice(2, 4), slice(12, 14))
    by_number = LesionRow(lesion_id="P1", fdg_avidity="not_avid", where="row 2")
    assert found([far, farther], by_number) == ["marks_by_number"]
    assert found([far, farther], replace(by_number, point_mm=point(19, 15, 13))) == []
    assert found([far], by_number) == []


def test_points_looked_up_together_lie_where_each_alone_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 points round two lesions on an oblique grid, a third on faces: the same lesion or error."""
    rng = np.random.default_rng(5)
    measured = measure_case(case_of(boxes(A, B)), Protocol())
    index = rng.uniform(0, 18, (500, 3))
    index[::3] = np.floor(index[::3]) + rng.choice([0.0, 0.5], (167, 3))
    points = [tuple(p) for p in GRID.to_mm(index).tolist()]

    def placed(one: tuple[float, float, float]) -> str:
        row = LesionRow(lesion_id="L1", point_mm=one, resectability=Marking.RESECTABLE)
        try:
            return str(sorted(place_lesion_rows([row], measured.lesions).lesions))
        except LesionTableError as error:
            return str(error)

    together = [placed(one) for one in points]
    monkeypatch.setattr(row_placing, "_clearly_at", lambda *_: {})
    assert together == [placed(one) for one in points]
    assert {"[0]", "[1]"} < set(together)
