"""How lesions are told apart, marked and measured (docs/rule.md, "Lesions")."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.dense import label_runs, voxel_runs
from tests.oracle_rule import OracleCase, regions_of
from tests.rule_cases import Record, agreed, codes, counts, grid_of, judge, judge_masks, rows_of
from tests.rule_lines import TURN, along, cells, line_case
from volstrat.errors import LesionTableError, NoisyMaskError
from volstrat.geometry.mask import Mask
from volstrat.rule.lesions import TumourEntry, find_lesions
from volstrat.rule.measure import Avid, CaseMasks
from volstrat.terms.protocol import Protocol

Labels = NDArray[np.int64]

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = TURN * np.array([2.5, 0.8, 0.7])
OBLIQUE[:3, 3] = (-80.3, 41.7, 912.4)
VOXEL_ML = 2.5 * 0.8 * 0.7 / 1000


def judged(
    *entries: tuple[Labels, str | None],
    resectable: NDArray[np.bool_] | None = None,
    table: dict[str, tuple[str | None, str | None]] | None = None,
    **changes: Any,  # noqa: ANN401 - any protocol field
) -> Record:
    """Return the record of label maps (values, instances) as the tumour role's entries."""
    grid = grid_of(OBLIQUE, entries[0][0].shape)
    tumour = [
        TumourEntry(mask=Mask(grid=grid, runs=label_runs(labels)), instances=instances)  # type: ignore[arg-type]  # two words
        for labels, instances in entries
    ]
    masks = CaseMasks(
        grid=grid,
        tumour=tumour,
        resectable=None if resectable is None else voxel_runs(resectable),
        rows=rows_of(table or {}),
    )
    return judge_masks(masks, Protocol(boundary_shift_mm=(), **changes))


def sizes(record: Record) -> dict[str, int]:
    """Return voxels by lesion id, in the record's order."""
    return {row["lesion_id"]: row["voxels"] for row in record["lesions"]}


def row_labels(*spans: tuple[int, int, int], length: int = 40) -> Labels:
    """Return a row of voxels along k with spans (label, first, last); rows along i are one voxel long."""
    labels = np.zeros((1, 1, length), dtype=np.int64)
    for label, first, last in spans:
        labels[0, 0, first : last + 1] = label
    return labels


# --- ids ----------------------------------------------------------------------------------------


def test_several_labels_are_a_lesion_each_with_their_number() -> None:
    """Values 2, 5 and 11 are L2, L5 and L11, by rising number, whatever their size."""
    record = judged((row_labels((5, 0, 0), (11, 4, 9), (2, 12, 14)), None))
    assert list(sizes(record).items()) == [("L2", 3), ("L5", 1), ("L11", 6)]


@pytest.mark.parametrize("value", [1, 7, 255])
def test_single_value_falls_into_components_by_falling_volume(value: int) -> None:
    """One value, whatever it is: L1, L2, ... by falling volume."""
    record = judged((row_labels((value, 0, 0), (value, 4, 9), (value, 12, 14)), None))
    assert list(sizes(record).items()) == [("L1", 6), ("L2", 3), ("L3", 1)]


def test_single_value_keeps_its_number_only_with_instances_labels() -> None:
    """`instances = "labels"` makes value 7 lesion L7, in pieces as it is; a finding says so."""
    record = judged((row_labels((7, 0, 0), (7, 4, 9)), "labels"))
    assert sizes(record) == {"L7": 7}
    assert "label_in_pieces" in codes(record)


def test_label_in_one_piece_is_no_finding() -> None:
    """Voxels that touch by a corner are one piece."""
    labels = np.zeros((3, 3, 3), dtype=np.int64)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    labels[2, 0, 2] = 2
    assert "label_in_pieces" not in codes(judged((labels, None)))


def test_components_takes_the_union_of_labels() -> None:
    """`instances = "components"` joins labels that touch and numbers what is left by volume."""
    record = judged((row_labels((3, 0, 1), (9, 2, 4), (3, 20, 29)), "components"))
    assert sizes(record) == {"L1": 10, "L2": 5}
    assert "label_in_pieces" not in codes(record)


@pytest.mark.parametrize(
    ("second", "severity"), [((1, 20, 24), ["review"]), ((1, 5, 6), []), ((5, 20, 24), [])]
)
def test_a_number_that_two_files_have_may_be_two_lesions(
    second: tuple[int, int, int], severity: list[str]
) -> None:
    """Both files number from 1: what lies apart and counts as one lesion is marked by one word."""
    record = judged((row_labels((1, 0, 4), (2, 10, 12)), None), (row_labels(second), None))
    found = [one["severity"] for one in record["findings"] if one["code"] == "label_in_pieces"]
    assert found == severity


def test_one_value_in_two_files_is_united() -> None:
    """A role may be a list of entries, united: pieces that touch across files are one lesion."""
    record = judged((row_labels((1, 0, 4)), None), (row_labels((1, 5, 6), (1, 20, 20)), None))
    assert sizes(record) == {"L1": 7, "L2": 1}
    overlap = judged((row_labels((1, 0, 4)), None), (row_labels((1, 3, 6)), None))
    assert sizes(overlap) == {"L1": 7}
    assert "overlapping_lesions" not in codes(overlap)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["x", "then y", "then z"])
def test_ties_of_volume_go_by_the_centroid_in_lps(axis: int) -> None:
    """Equal components: the lower LPS x is first, then y, then z, however the grid is stored."""
    low, high = np.array([3, 3, 3]), np.array([3, 3, 3])
    low[axis], high[axis] = 1, 5
    for later in range(axis + 1, 3):
        low[later], high[later] = 5, 1
    for order, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
        affine = np.diag([1.0, 2.0, 3.0, 1.0])[:, [*order, 3]]
        labels = np.zeros((7, 7, 7), dtype=bool)
        for point in (low, high):
            labels[tuple(point[list(order)])] = True
        for n, flip in enumerate(flips):
            if flip < 0:
                affine[:3, 3] += affine[:3, n] * 6
                affine[:3, n] *= -1
                labels = np.flip(labels, n)
        grid = grid_of(affine, labels.shape)
        mask = Mask(grid=grid, runs=label_runs(labels.astype(np.int64)))
        masks = CaseMasks(grid=grid, tumour=[TumourEntry(mask=mask)])
        record = judge_masks(masks, Protocol(boundary_shift_mm=()), schema=False)
        assert record["lesions"][0]["centroid_mm"] == pytest.approx(low * [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("other", "connectivity", "lesions"),
    [
        ((1, 0, 0), 6, 1),
        ((1, 1, 0), 6, 2),
        ((1, 1, 0), 18, 1),
        ((1, 1, 1), 18, 2),
        ((1, 1, 1), 26, 1),
        ((2, 0, 0), 26, 2),
    ],
    ids=["face 6", "edge 6", "edge 18", "corner 18", "corner 26", "gap 26"],
)
def test_connectivity_is_the_protocols(other: tuple[int, int, int], connectivity: int, lesions: int) -> None:
    """6: faces; 18: edges too; 26: corners too - along every diagonal."""
    for signs in product((1, -1), repeat=3):
        for order in permutations(range(3)):
            labels = np.zeros((5, 5, 5), dtype=np.int64)
            step = (np.array(other) * signs)[list(order)]
            labels[2, 2, 2] = 1
            labels[tuple(2 + step)] = 1
            grid = grid_of(OBLIQUE, labels.shape)
            mask = Mask(grid=grid, runs=label_runs(labels))
            masks = CaseMasks(grid=grid, tumour=[TumourEntry(mask=mask)])
            protocol = Protocol(boundary_shift_mm=(), connectivity=connectivity)  # type: ignore[arg-type]  # 6, 18, 26
            assert len(judge_masks(masks, protocol, schema=False)["lesions"]) == lesions


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.5))
def test_components_equal_a_flood_fill(seed: int, density: float) -> None:
    """On random noise the components are those of a voxel-by-voxel flood fill; rows never wrap round."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(tuple(rng.integers(1, 7, 3))) < density).astype(np.int64)
    labels[0, 0, 0] = 1
    found = sorted(sizes(judged((labels, None))).values(), reverse=True)
    assert found == sorted((len(region) for region in regions_of(labels > 0)), reverse=True)


def test_voxels_at_row_ends_do_not_touch() -> None:
    """The last voxel of a row and the first of the next are neighbours in storage only."""
    labels = np.zeros((5, 4, 3), dtype=np.int64)
    labels[4, 0, 0] = labels[0, 1, 0] = 1
    assert sizes(judged((labels, None))) == {"L1": 1, "L2": 1}


def test_minimum_voxels_leaves_out_smaller_lesions_with_a_finding() -> None:
    """Lesions below the minimum are no tumour; those of exactly the minimum stay; numbers stay."""
    labels = row_labels((2, 0, 1), (3, 4, 6), (5, 9, 15))
    assert sizes(judged((labels, None), minimum_voxels=3)) == {"L3": 3, "L5": 7}
    record = judged((labels, None), minimum_voxels=4)
    assert sizes(record) == {"L5": 7}
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(7 * VOXEL_ML)
    assert "lesions_below_minimum" in codes(record)
    assert "lesions_below_minimum" not in codes(judged((labels, None)))


def test_nothing_left_above_the_minimum_is_an_empty_tumour() -> None:
    """All lesions too small: not assessable, never "nothing to resect"."""
    record = judged((row_labels((1, 0, 1)), None), minimum_voxels=3)
    assert (record["status"], record["lesions"]) == ("not_assessable", [])
    assert "tumour_empty" in codes(record, "blocking")


def test_named_segment_without_voxels_is_no_lesion_but_a_finding() -> None:
    """A missing segment is not an empty one: the reader named it and drew nothing."""
    grid = grid_of(OBLIQUE, (1, 1, 40))
    runs = label_runs(row_labels((1, 0, 3), (1, 10, 10)))
    mask = Mask(grid=grid, runs=runs, names={1: "Metastasis A", 2: "Metastasis B"})
    masks = CaseMasks(grid=grid, tumour=[TumourEntry(mask=mask)])
    record = judge_masks(masks, Protocol(boundary_shift_mm=()))
    assert sizes(record) == {"L1": 5}  # two segments: a lesion each, in pieces or not
    (told,) = [f for f in record["findings"] if f["code"] == "empty_segment"]
    assert told["where"] == "L2"
    assert "Metastasis" not in told["message"]  # labels may name a patient


# --- overlap --------------------------------------------------------------------------------------


def test_voxel_of_several_lesions_counts_once_with_the_worst_marking() -> None:
    """L1 and L2 share three voxels: 17 in all, the shared ones unresectable, and a finding in ml."""
    # L1 = 0-9 resectable, L2 = 7-16 unresectable: 10 + 10 - 3 = 17; resectable 7.
    case = line_case({"L1": cells(20, (0, 9)), "L2": cells(20, (7, 16))})
    case.table = {"L1": ("resectable", None), "L2": ("unresectable", None)}
    _, record = agreed(case)
    assert counts(record, "stratum_1") == (False, 7, 7, 17)
    # 17 voxels of 1.0 x 3.0 x 2.2 mm = 6.6 mm3 each.
    assert record["volumes"]["total_tumour_ml"] == pytest.approx(17 * 6.6 / 1000)
    assert [row["voxels"] for row in record["lesions"]] == [10, 10]
    # Wholeness is by its own marking, the fraction by the worst.
    assert record["lesions"][0]["resectability"] == "resectable"
    assert record["lesions"][0]["resectable_fraction"] == 0.7
    told = [f["message"] for f in record["findings"] if f["code"] == "overlapping_lesions"]
    assert len(told) == 1
    assert f"{3 * 6.6 / 1000:.3f} ml" in told[0]


# --- marking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "row", "word"),
    [
        (None, None, "unknown"),
        (None, "ablatable", "ablatable"),
        ("inside", None, "resectable"),
        ("outside", None, "unresectable"),
        ("inside", "unresectable", "unresectable"),
        ("outside", "resectable", "resectable"),
        ("inside", "unknown", "unknown"),  # the reader says that it is open
        ("half", None, "partial"),
        ("half", "ablatable", "ablatable"),
    ],
)
def test_table_stands_over_the_mask(mask: str | None, row: str | None, word: str) -> None:
    """Inside the mask resectable, outside unresectable; a word in the table stands; neither: unknown."""
    masks = {
        None: None,
        "inside": cells(20, (0, 9)),
        "outside": cells(20, (15, 16)),
        "half": cells(20, (0, 4)),
    }
    case = line_case({"L1": cells(20, (0, 9))}, resectable=masks[mask])
    if row is not None:
        case.table = {"L1": (row, None)}
    _, record = agreed(case)
    assert record["lesions"][0]["resectability"] == word
    assert ("table_over_mask" in codes(record)) == (mask is not None and row is not None)
    assert ("partly_resectable_lesion" in codes(record)) == (word == "partial")


def test_row_with_an_empty_word_leaves_the_masks_marking() -> None:
    """A row may speak of avidity alone."""
    case = line_case({"L1": cells(20, (0, 9))}, resectable=cells(20, (0, 9)), table={"L1": (None, "avid")})
    _, record = agreed(case)
    assert record["lesions"][0]["resectability"] == "resectable"
    assert "table_over_mask" not in codes(record)


def test_resectable_mask_outside_tumour_is_ignored_with_its_volume() -> None:
    """Ten voxels beyond the tumour change no count; a finding gives 10 x 6.6 mm3."""
    case = line_case({"L1": cells(40, (0, 9))}, resectable=cells(40, (0, 19)))
    _, record = agreed(case)
    assert counts(record, "stratum_1") == (True, 10, 10, 10)
    told = [f["message"] for f in record["findings"] if f["code"] == "resectable_outside_tumour"]
    assert f"{10 * 6.6 / 1000:.3f} ml" in told[0]


@pytest.mark.parametrize(
    ("percent", "inside", "word"),
    [
        ("95", 950, "resectable"),
        ("95", 949, "partial"),
        ("95", 50, "unresectable"),
        ("95", 51, "partial"),
        ("100", 999, "partial"),
        ("99.9", 999, "resectable"),
        ("66.7", 667, "resectable"),
        ("66.7", 666, "partial"),
    ],
)
def test_wholeness_is_counted_in_integers(percent: str, inside: int, word: str) -> None:
    """One marking on at least `whole_lesion_percent` of 1000 voxels."""
    case = line_case({"L1": cells(1000, (0, 999))}, resectable=cells(1000, (0, inside - 1)))
    case.whole_lesion_percent = Fraction(percent)
    _, record = agreed(case)
    assert record["lesions"][0]["resectability"] == word
    assert record["lesions"][0]["resectable_fraction"] == inside / 1000


# --- table rows -----------------------------------------------------------------------------------


def test_rows_must_name_what_exists() -> None:
    """An id that is neither lesion nor region is an error that lists what there is."""
    labels = row_labels((2, 0, 3), (5, 10, 12))
    for wrong in ("L1", "L3", "P1", "l2", "2", "L02"):
        with pytest.raises(LesionTableError) as caught:
            judged((labels, None), table={wrong: ("resectable", None)})
        assert "L2, L5" in caught.value.message
        assert repr(wrong) in caught.value.message


def test_row_of_a_lesion_below_the_minimum_is_an_error() -> None:
    """A lesion that was left out does not exist."""
    with pytest.raises(LesionTableError):
        judged((row_labels((1, 0, 0), (2, 5, 9)), None), table={"L1": (None, "avid")}, minimum_voxels=2)


def test_two_rows_of_one_lesion_that_differ_are_an_error() -> None:
    """One row a lesion; two that say the same are an info."""
    grid = grid_of(OBLIQUE, (1, 1, 40))
    mask = Mask(grid=grid, runs=label_runs(row_labels((1, 0, 3))))
    row = rows_of({"L1": ("resectable", None)})
    other = rows_of({"L1": ("unresectable", None)})
    masks = CaseMasks(grid=grid, tumour=[TumourEntry(mask=mask)], rows=(*row, *other))
    with pytest.raises(LesionTableError, match="says something else of L1 than row 2"):
        judge_masks(masks, Protocol())
    same = judge_masks(replace(masks, rows=(*row, *rows_of({"L1": ("resectable", None)}))), Protocol())
    assert "rows_alike" in codes(same, "info")


@pytest.mark.parametrize(
    ("index", "inside"),
    [
        ((0, 0, 3), True),
        ((0, 0, 5.4), True),  # within the voxel, off its centre
        ((0.49, -0.49, 3), True),
        ((0, 0, 5.6), False),
        ((0.6, 0, 3), False),
        ((0, 0, -30), False),  # beyond the grid
    ],
)
def test_point_must_lie_in_a_lesion(index: tuple[float, float, float], inside: bool) -> None:
    """A row's point guards against masks that changed after the row was written."""
    grid = grid_of(OBLIQUE, (1, 1, 40))
    mask = Mask(grid=grid, runs=label_runs(row_labels((1, 2, 5), (2, 12, 13))))
    x, y, z = (float(c) for c in grid.to_mm(np.array([index]))[0])
    (row,) = rows_of({"L1": ("resectable", None)})
    rows = (type(row)(lesion_id="L1", resectability=row.resectability, point_mm=(x, y, z), where="row 2"),)
    masks = CaseMasks(grid=grid, tumour=[TumourEntry(mask=mask)], rows=rows)
    if inside:
        assert judge_masks(masks, Protocol(boundary_shift_mm=()))["lesions"]
    else:
        with pytest.raises(LesionTableError, match=r"row 2: its point .* in no lesion; the row names L1"):
            judge_masks(masks, Protocol())


@pytest.mark.parametrize(("at", "inside"), [(51.0, True), (54.9, True), (56.1, False)])
def test_point_of_a_region_must_lie_in_the_region(at: float, inside: bool) -> None:
    """The same for PET-only regions, in PET voxels (centres at 50 and 54, so 48 to 56)."""
    case = line_case({"L1": cells(3, (0, 2))}, avid=cells(3, (0, 1)), avid_affine=along(4.0, first_mm=50.0))
    grid, pet = grid_of(along(), (3, 1, 1)), grid_of(along(4.0, first_mm=50.0), (3, 1, 1))
    mask = Mask(grid=grid, runs=label_runs(case.lesions["L1"].astype(np.int64)))
    x, y, z = (float(c) for c in grid.to_mm(np.array([[at, 0.0, 0.0]]))[0])
    (row,) = rows_of({"P1": ("resectable", None)})
    rows = (type(row)(lesion_id="P1", resectability=row.resectability, point_mm=(x, y, z), where="row 2"),)
    assert case.avid is not None
    masks = CaseMasks(
        grid=grid,
        tumour=[TumourEntry(mask=mask)],
        avid=Avid(voxels=voxel_runs(case.avid), grid=pet),
        rows=rows,
    )
    if inside:
        assert judge_masks(masks, Protocol(boundary_shift_mm=()))["pet_only_regions"]
    else:
        with pytest.raises(LesionTableError, match="lies in no PET-only region; the row names P1"):
            judge_masks(masks, Protocol())


# --- measures -------------------------------------------------------------------------------------


def test_measures_are_in_mm_on_an_oblique_anisotropic_grid() -> None:
    """A box of 3 x 4 x 5 voxels of 2.5 x 0.8 x 0.7 mm."""
    labels = np.zeros((9, 9, 9), dtype=bool)
    labels[2:5, 1:5, 3:8] = True
    record = judge(OracleCase(affine=OBLIQUE, lesions={"L1": labels}))
    (lesion,) = record["lesions"]
    assert lesion["voxels"] == 60
    assert lesion["volume_ml"] == pytest.approx(60 * VOXEL_ML)
    # The middle is index (3, 2.5, 5).
    middle = OBLIQUE[:3, :3] @ np.array([3, 2.5, 5]) + OBLIQUE[:3, 3]
    assert lesion["centroid_mm"] == pytest.approx(middle)
    # Between voxel centres: steps of 2, 3 and 4 voxels, 5.0, 2.4 and 2.8 mm, so sqrt(25 + 5.76 + 7.84).
    assert lesion["max_diameter_mm"] == pytest.approx(np.sqrt(38.6))
    corners = np.array(
        [OBLIQUE[:3, :3] @ np.array(c) + OBLIQUE[:3, 3] for c in product((2, 4), (1, 4), (3, 7))]
    )
    assert np.array(lesion["bounding_box_mm"]) == pytest.approx(np.stack([corners.min(0), corners.max(0)]))


def test_axial_diameter_lies_in_one_axial_plane() -> None:
    """Slices are the planes closest to the patient's axial ones: the plane of the two other axes."""
    # k runs closest to LPS z; in a slice the box spans 5.0 and 2.4 mm: sqrt(25 + 5.76).
    labels = np.zeros((9, 9, 9), dtype=bool)
    labels[2:5, 1:5, 3:8] = True
    assert int(np.argmax(np.abs(TURN[2]))) == 2
    (lesion,) = judge(OracleCase(affine=OBLIQUE, lesions={"L1": labels}))["lesions"]
    assert lesion["max_axial_diameter_mm"] == pytest.approx(np.sqrt(30.76))


def specks(count: int) -> Labels:
    """Return so many voxels along i that do not touch."""
    labels = np.zeros((2 * count, 1, 1), dtype=np.int64)
    labels[::2] = 1
    return labels


def test_more_lesions_than_a_patient_can_have_are_refused() -> None:
    """10,000 specks are lesions; one more, and the error names the count and the way out."""
    grid = grid_of(OBLIQUE, (20_000, 1, 1))
    mask = Mask(grid=grid, runs=label_runs(specks(10_000)))
    assert find_lesions([TumourEntry(mask=mask)], grid, Protocol())[0].count == 10_000
    with pytest.raises(NoisyMaskError, match=r"tumour falls into 10,001 pieces.*minimum_voxels"):
        judged((specks(10_001), None))


def test_specks_that_the_protocol_leaves_out_are_not_refused() -> None:
    """10,001 specks and one lesion of 3 voxels, with a minimum of 2: one lesion."""
    labels = np.concatenate((specks(10_001), np.ones((3, 1, 1), dtype=np.int64)))
    assert sizes(judged((labels, None), minimum_voxels=2)) == {"L1": 3}


def test_more_avid_regions_than_a_patient_can_have_are_refused() -> None:
    """10,001 avid specks."""
    avid = specks(10_001)
    grid = grid_of(OBLIQUE, avid.shape)
    tumour = TumourEntry(mask=Mask(grid=grid, runs=label_runs(avid[:1])), instances=None)
    masks = CaseMasks(grid=grid, tumour=[tumour], avid=Avid(voxels=voxel_runs(avid), grid=grid))
    with pytest.raises(NoisyMaskError, match="FDG-avid disease falls into 10,001 pieces"):
        judge_masks(masks, Protocol(boundary_shift_mm=()))


def test_a_tumour_of_countless_runs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 4 runs, over all files: 4 runs in one file, but not 3 in each of two."""
    monkeypatch.setattr("volstrat.rule.lesions._MOST_RUNS", 4)
    assert len(judged((specks(4), None))["lesions"]) == 4
    with pytest.raises(NoisyMaskError, match="separate pieces"):
        judged((specks(3), None), (np.roll(specks(3), 1), None))
