"""Lesions near sets of points, run by run, beside every distance worked out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.rule_cases import masks_of, protocol_of
from tests.rule_random import marked_case
from volstrat.certainty.pet_shift import measure_pet_shift
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import expand
from volstrat.rule import attribution_geometry as geometry_module
from volstrat.rule import tumour_voxels as near_module
from volstrat.rule.lesions import covered_by, find_lesions
from volstrat.rule.markings import NO_WORD, cut_pieces, draw_markings
from volstrat.rule.measure import attribute_avid, measure_case
from volstrat.rule.stratify import assess
from volstrat.rule.tumour_voxels import NO_PIECE, TumourVoxels, lesions_near, meeting_boxes
from volstrat.terms.marks import Marking
from volstrat.terms.protocol import Protocol, Review

if TYPE_CHECKING:
    from tests.oracle_rule import OracleCase
    from volstrat.rule.attribution import Attribution


def tumour_of(case: OracleCase) -> tuple[TumourVoxels, list[tuple[int, np.ndarray]]]:
    """Return a random case's tumour, and each lesion's voxel centres (mm)."""
    masks, protocol = masks_of(case), Protocol()
    lesions, _ = find_lesions(masks.tumour, masks.grid, protocol)
    pieces = cut_pieces(lesions, draw_markings(lesions, masks.resectable), protocol)
    centres = [
        (n, masks.grid.to_mm(masks.grid.unravel(lesions.of(n).indices()))) for n in range(lesions.count)
    ]
    return TumourVoxels(masks.grid, pieces), centres


@pytest.mark.parametrize(
    ("at_once", "most"), [(300_000, 2_000_000), (7, 2_000_000), (300_000, 3)], ids=["one go", "bits", "tree"]
)
def test_lesions_near_are_those_that_every_distance_gives(
    at_once: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Straight and oblique grids, overlapping lesions, points inside and outside, a reach for each set."""
    monkeypatch.setattr(near_module, "_AT_ONCE", at_once)
    monkeypatch.setattr(near_module, "_MOST_PAIRS", most)
    pairs = 0
    for seed in range(6000, 6040):
        rng = np.random.default_rng(seed)
        tumour, centres = tumour_of(marked_case(seed))
        middle = np.concatenate([c for _, c in centres]).mean(axis=0)
        points = middle + rng.uniform(-8, 8, (40, 3))
        owner = rng.integers(-1, 9, 40)
        sets = np.unique(owner[owner >= 0])
        reach = rng.uniform(0.5, 8.0, sets.size)
        found = lesions_near(tumour, points, owner, distance_mm=reach)
        expected = []
        for one, far in zip(sets.tolist(), reach.tolist(), strict=True):
            for lesion, voxels in centres:
                away = np.sqrt(((points[owner == one][:, None] - voxels) ** 2).sum(axis=2)).min()
                if away <= far + 0.001:
                    expected.append((one, lesion, pytest.approx(away, abs=1e-9)))
        assert sorted(zip(*(column.tolist() for column in found), strict=True)) == expected
        pairs += len(expected)
    assert pairs > 200


def test_boxes_that_meet_are_those_that_do() -> None:
    """Against all pairs; boxes that share a face meet, an empty one (inf, -inf) meets none."""
    rng = np.random.default_rng(4)
    low, other_low = np.floor(rng.uniform(0, 20, (60, 3))), np.floor(rng.uniform(0, 20, (80, 3)))
    high = low + np.floor(rng.uniform(0, 4, (60, 3)))
    other_high = other_low + np.floor(rng.uniform(0, 9, (80, 3)))
    other_low[5], other_high[5] = np.inf, -np.inf
    meets = ((low[:, None] <= other_high) & (high[:, None] >= other_low)).all(axis=2)
    one, other = meeting_boxes(low, high, other_low, other_high)
    assert one.tolist() == sorted(one.tolist())
    assert sorted(zip(one.tolist(), other.tolist(), strict=True)) == list(
        zip(*np.nonzero(meets), strict=True)
    )
    assert 50 < one.size < meets.size // 4


def facts(attribution: Attribution) -> set[tuple[object, ...]]:
    """Return of each avid voxel what it may belong to."""
    groups = attribution.groups
    lesions: dict[int, set[tuple[int, int]]] = {}
    for pair, piece in zip(groups.row_pair.tolist(), groups.row_piece.tolist(), strict=True):
        group, lesion = int(groups.pair_group[pair]), int(groups.pair_lesion[pair])
        lesions.setdefault(group, set()).add((lesion, piece))
    return {
        (voxel, int(groups.rank[g]), bool(groups.held[g]), frozenset(lesions.get(g, ())))
        for voxel, g in zip(attribution.voxels.tolist(), groups.of_voxel.tolist(), strict=True)
    }


def test_spill_goes_where_a_tree_of_all_tumour_voxels_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds and runs leave out what cannot be nearest: with every region by a tree, the same."""
    tried = 0
    for seed in range(7000, 7150):
        case = marked_case(seed)
        masks, protocol = masks_of(case), protocol_of(case)
        lesions, _ = find_lesions(masks.tumour, masks.grid, protocol)
        pieces = cut_pieces(lesions, draw_markings(lesions, masks.resectable), protocol)
        seen = []
        for most in (2_000_000, -1):
            monkeypatch.setattr(geometry_module, "_MOST_PAIRS", most)
            attribution = attribute_avid(lesions, pieces, masks.avid, protocol)
            seen.append(None if attribution is None else facts(attribution))
        assert seen[0] == seen[1]
        tried += seen[0] is not None and any(len(one[3]) for one in seen[0])  # type: ignore[arg-type]
    assert tried > 60


def test_a_moved_pet_gives_what_pet_drawn_there_gives() -> None:
    """At each shift the stratum of a case whose mask and field were drawn so much higher."""
    steps = (-3.0, -1.0, 0.7, 2.0)
    moved = strata = 0
    for seed in range(8000, 8100):
        case = marked_case(seed, identity=False)
        case.table = {name: row for name, row in case.table.items() if name.startswith("L")}
        protocol = protocol_of(case, review=Review(pet_shift_mm=steps))
        measured = measure_case(masks_of(case), protocol)
        assessment = assess(measured, protocol)
        for shift in measure_pet_shift(measured, assessment, protocol):
            up = np.array([0.0, 0.0, shift.shift_mm])
            there = marked_case(seed, identity=False)
            there.table = case.table
            for name in ("avid_affine", "field_affine"):
                affine = getattr(there, name)
                if affine is not None:
                    affine = affine.copy()
                    affine[:3, 3] += up
                    setattr(there, name, affine)
            stratum = assess(measure_case(masks_of(there), protocol), protocol).stratum
            assert shift.stratum == stratum
            moved += 1
            strata += stratum != assessment.stratum
    assert moved > 120
    assert strata > 8


def test_a_lesion_whose_box_leaves_the_field_is_covered_where_its_voxels_do_not() -> None:
    """An oblique field holds an L-shaped lesion; the corner of its box lies outside."""
    tumour = np.zeros((10, 10, 3), dtype=bool)
    tumour[1:9, 1, 1] = tumour[1, 1:9, 1] = True  # the box's corner (8, 8) is no voxel of it
    case = marked_case(1)
    case.lesions, case.affine, case.resectable, case.table = {"L1": tumour}, np.eye(4), None, {}
    case.avid = case.avid_affine = case.field_shape = case.field_affine = None
    lesions = measure_case(masks_of(case), Protocol()).lesions
    turn = np.eye(4)
    turn[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)  # along and across the diagonal
    # Along it voxels lie at (i + j) / 1.41 mm: from 1.41 to 6.36 (8, 1); the box's corner is at 11.3.
    turn[:3, 3] = turn[:3, :3] @ [0.0, -8.0, 0.0]
    field = VoxelGrid(shape=(8, 17, 3), affine=turn)
    assert covered_by(lesions, field).tolist() == [True]
    short = VoxelGrid(shape=(6, 17, 3), affine=turn)  # to 5.5 mm: (8, 1) lies outside
    assert covered_by(lesions, short).tolist() == [False]


@pytest.mark.parametrize("most", [2_000_000, -1], ids=["runs", "tree"])
def test_pieces_of_a_cut_lesion_are_those_nearest_to_each_avid_voxel(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two balls, one cut by the resectable mask, under one avid region on an oblique grid: every distance."""
    monkeypatch.setattr(geometry_module, "_MOST_PAIRS", most)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    case = marked_case(1)
    case.affine, case.table, case.belongs_to = np.eye(4), {}, {}
    case.affine[:3, :3] = np.diag([0.8, 0.9, 1.5])
    case.avid_affine = np.eye(4)
    case.avid_affine[:3, :3] = turn * 2.5
    case.avid_affine[:3, 3] = [12.0, 12.0, 12.0] - turn @ np.full(3, 2.5 * 5.5)
    at = np.indices((30, 27, 16)).reshape(3, -1).T @ case.affine[:3, :3]
    balls = {"L1": ((9.0, 12.0, 12.0), 6.5), "L2": ((19.0, 12.0, 12.0), 3.0)}
    case.lesions = {
        name: (np.linalg.norm(at - centre, axis=1) < radius).reshape(30, 27, 16)
        for name, (centre, radius) in balls.items()
    }
    case.resectable = (at[:, 0] + at[:, 1] > 20).reshape(30, 27, 16)
    case.avid = np.linalg.norm(np.indices((12, 12, 12)) - 5.5, axis=0) < 5.5
    masks, protocol = masks_of(case), Protocol()
    lesions, _ = find_lesions(masks.tumour, masks.grid, protocol)
    pieces = cut_pieces(lesions, draw_markings(lesions, masks.resectable), protocol)
    assert pieces.drawn.tolist() == [NO_WORD, Marking.RESECTABLE]
    found = attribute_avid(lesions, pieces, masks.avid, protocol)
    assert found is not None
    assert found.regions.count == 1
    length = pieces.stops - pieces.starts
    centres = masks.grid.to_mm(masks.grid.unravel(expand(pieces.starts, pieces.stops)))
    piece = np.where(pieces.drawn[pieces.lesion] == NO_WORD, pieces.piece, NO_PIECE)
    part = np.stack((np.repeat(pieces.lesion, length), np.repeat(piece, length)), axis=1)
    holder = found.grid.ravel(found.grid.voxel_at(found.grid.to_index(centres)))
    expected = set()
    for voxel in found.voxels.tolist():
        apart = np.linalg.norm(centres - found.grid.to_mm(found.grid.unravel(np.array([voxel]))), axis=1)
        held = np.unique(part[holder == voxel, 0])
        near = [apart[part[:, 0] == n].min() + 0.001 for n in (0, 1)]
        wanted = [(part[:, 0] == n) & (apart <= near[n]) for n in held.tolist()] or [apart <= min(near)]
        rows = {tuple(row) for one in wanted for row in part[one].tolist()}
        expected.add((voxel, -1, bool(held.size), frozenset(rows)))
    assert facts(found) == expected
    assert {len(rows) for *_, rows in expected} >= {1, 2}
