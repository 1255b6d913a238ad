"""The rule against its second opinion on random cases, and under changes that must not matter.

`tests/oracle_rule.py` is the contract written a second time, dense and voxel by voxel.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.dense import voxel_runs
from tests.oracle_rule import Oracle, OracleCase
from tests.rule_cases import agreed, facts, grid_of, judge, judge_masks, masks_of, protocol_of, seen
from tests.rule_random import TURNS, marked_case, restored
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

CASES_A_TEST = 30


@pytest.mark.parametrize("batch", range(5))
def test_strata_counts_and_reviews_equal_the_oracles(batch: int) -> None:
    """Predicates, bounds, stratum, avidity, attribution and reviews agree on every random case."""
    strata = set()
    for seed in range(batch * CASES_A_TEST, (batch + 1) * CASES_A_TEST):
        oracle, _ = agreed(marked_case(seed), schema=seed % 10 == 0)
        strata.add(oracle.stratum)
    assert strata >= {"stratum_1", "ineligible", None}


def test_flips_are_every_single_change_that_the_oracle_finds() -> None:
    """Each marking and avidity word is tried for each lesion and region, alone, by judging anew."""
    found = set()
    for seed in range(8000, 8015):
        case = marked_case(seed)
        flips = {tuple(flip.values()) for flip in judge(case, schema=False)["robustness"]["flips"]}
        assert flips == single_changes(case), seed
        found |= {stratum for _, _, stratum in flips}
    assert found == {"stratum_1", "stratum_2", "ineligible"}


def single_changes(case: OracleCase) -> set[tuple[str, str, str]]:
    """Return (lesion, word, stratum) of every change of one word that gives another stratum."""
    oracle = Oracle(case)
    calls = {name: "avid" for name in oracle.pet_only} | oracle.avidity
    words = {name: oracle.word_of(name) for name in oracle.pet_only} | oracle.lesion_word
    changes = set()
    for name, call in calls.items():
        word, told = case.table.get(name, (None, None))
        if (name in oracle.pet_only and told == "not_avid") or word == "not_tumour":
            continue  # dismissed: no longer part of the case
        rows: dict[str, tuple[str | None, str | None]] = {
            w: (w, told) for w in ("resectable", "ablatable", "unresectable") if w != words[name]
        }
        rows |= {c: (word, c) for c in ("avid", "not_avid") if c != call}
        for to, row in rows.items():
            owners = {region: lesion for region, lesion in case.belongs_to.items() if region != name}
            stratum = Oracle(replace(case, table={**case.table, name: row}, belongs_to=owners)).stratum
            if stratum not in (None, oracle.stratum):
                changes.add((name, to, stratum))
    return changes


def test_shortest_way_is_the_fewest_lesions_that_would_do() -> None:
    """Held against every subset of lesions made resectable: it reaches the threshold, none smaller does."""
    lengths = set()
    for seed in range(8100, 8130):
        case = marked_case(seed)
        way = judge(case, schema=False)["robustness"]["shortest_way"]
        fewest = fewest_lesions(case)
        assert (None if way is None else len(way)) == fewest, seed
        assert way is None or reaches(case, way)
        lengths.add(fewest)
    assert lengths >= {0, 1, 2}


def reaches(case: OracleCase, lesions: Iterable[str]) -> bool:
    """Tell whether stratum 1 holds for certain once these lesions are resectable."""
    more = {i: ("resectable", case.table.get(i, (None, None))[1]) for i in lesions}
    return Oracle(replace(case, table={**case.table, **more})).stratum_1 is True


def fewest_lesions(case: OracleCase) -> int | None:
    """Try every subset of lesions, the small ones first."""
    tumour = Oracle(case).tumour
    for count in range(len(tumour) + 1):
        if any(reaches(case, chosen) for chosen in combinations(tumour, count)):
            return count
    return None


def test_storage_order_of_either_grid_decides_nothing() -> None:
    """All 48 ways to store each grid give the same counts, attribution, ids, reviews and stratum."""
    other = np.random.default_rng(7).permutation(len(TURNS))
    for turn in range(len(TURNS)):
        case = marked_case(1000 + turn)
        again = restored(case, ct=turn, pet=int(other[turn]))
        assert facts(again) == facts(case)


def test_translation_decides_nothing() -> None:
    """Moving the whole patient moves the centroids and nothing else."""
    for seed in range(2000, 2025):
        case = marked_case(seed)
        again = replace(case, affine=_moved(case.affine))
        again.avid_affine = None if case.avid_affine is None else _moved(case.avid_affine)
        again.field_affine = None if case.field_affine is None else _moved(case.field_affine)
        before, after = facts(case), facts(again)
        for old, new in zip(before.pop("places"), after.pop("places"), strict=True):
            assert np.array(new) - np.array(old) == pytest.approx([-137.0, 64.0, 512.0], abs=1e-5)
        assert after == before


def _moved(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = affine.copy()
    moved[:3, 3] += [-137.0, 64.0, 512.0]
    return moved


def test_empty_space_round_the_masks_decides_nothing() -> None:
    """Padding both grids by background leaves all as it was (the field is given on its own)."""
    for seed in range(3000, 3025):
        case = marked_case(seed)
        again = replace(
            case, lesions={i: np.pad(v, ((1, 2), (3, 1), (0, 2))) for i, v in case.lesions.items()}
        )
        again.affine = case.affine.copy()
        again.affine[:3, 3] -= case.affine[:3, :3] @ [1, 3, 0]
        if case.resectable is not None:
            again.resectable = np.pad(case.resectable, ((1, 2), (3, 1), (0, 2)))
        if case.avid is not None and case.avid_affine is not None:
            again.avid = np.pad(case.avid, ((2, 0), (1, 1), (0, 3)))
            again.avid_affine = case.avid_affine.copy()
            again.avid_affine[:3, 3] -= case.avid_affine[:3, :3] @ [2, 1, 0]
        assert facts(again) == facts(case)


def test_how_tightly_a_sparse_avid_mask_is_cropped_decides_nothing() -> None:
    """Only the box round its voxels is stored, or one voxel more on every side: the same."""
    tried = 0
    for seed in range(3100, 3160):
        case = marked_case(seed)
        if case.avid is None or case.avid_affine is None or not case.avid.any():
            continue
        masks = masks_of(case)
        records = []
        for margin in (0, 1):
            wide = np.pad(case.avid, 1)
            where = np.argwhere(wide)
            low, past = where.min(axis=0) - margin, where.max(axis=0) + 1 + margin
            affine = case.avid_affine.copy()
            affine[:3, 3] += affine[:3, :3] @ (low - 1)
            dense = wide[tuple(slice(a, b) for a, b in zip(low, past, strict=True))]
            avid = Avid(voxels=voxel_runs(dense), grid=grid_of(affine, dense.shape, window=True))
            records.append(judge_masks(replace(masks, avid=avid), protocol_of(case), schema=False))
        tight, loose = (seen(record, case) for record in records)
        assert tight == loose
        tried += 1
    assert tried > 30


def test_splitting_the_tumour_over_files_decides_nothing() -> None:
    """Each lesion in a file of its own, in any order, and a lesion cut in two files: the same."""
    rng = np.random.default_rng(11)
    for seed in range(4000, 4025):
        case = marked_case(seed)
        masks = masks_of(case)
        sets = []
        for name, voxels in case.lesions.items():
            half = voxels & (rng.random(voxels.shape) < 0.5)
            sets += [(int(name[1:]), part) for part in (half, voxels & ~half) if part.any()]
        rng.shuffle(sets)
        entries = []
        for number, part in sets:
            runs = LabelRuns.from_sets([(number, voxel_runs(part))])
            entries.append(TumourEntry(mask=Mask(grid=masks.grid, runs=runs), instances="labels"))
        again = judge_masks(replace(masks, tumour=entries), protocol_of(case), schema=False)
        assert seen(again, case) == facts(case)


def test_numbering_of_lesions_decides_no_predicate() -> None:
    """Turned round, the lesions' numbers change attribution of ties at most, never markings or strata."""
    for seed in range(5000, 5025):
        case = marked_case(seed)
        names = {name: f"L{20 - int(name[1:])}" for name in case.lesions}
        again = replace(case, lesions={names[i]: v for i, v in case.lesions.items()})
        again.table = {names.get(i, i): row for i, row in case.table.items()}
        again.belongs_to = {region: names[lesion] for region, lesion in case.belongs_to.items()}
        before, after = judge(case, schema=False), judge(again, schema=False)
        assert after["predicates"]["stratum_1"] == before["predicates"]["stratum_1"]
        # An avidity word goes with the lesion, and the uptake of one that is none is numbered in their order.
        if not any(row[1] or row[0] == "not_tumour" for row in case.table.values()):
            assert after["predicates"] == before["predicates"]
            assert after["stratum"] == before["stratum"]


def test_adding_a_resectable_voxel_never_lowers_a_resectable_share() -> None:
    """One more voxel in the resectable mask: neither lower bound falls, and stratum 1 is not lost."""
    rng = np.random.default_rng(13)
    tried = 0
    for seed in range(6000, 6050):
        case = marked_case(seed)
        if case.resectable is None or case.resectable.all():
            continue
        more = case.resectable.copy()
        more[tuple(rng.choice(np.argwhere(~more)))] = True
        before = judge(case, schema=False)
        after = judge(replace(case, resectable=more), schema=False)
        tried += 1
        for predicate in ("stratum_1", "stratum_2"):
            old, new = before["predicates"][predicate], after["predicates"][predicate]
            assert new["part_voxels"] >= old["part_voxels"]
            assert new["whole_voxels"] == old["whole_voxels"]
        assert not (before["stratum"] == "stratum_1" and after["stratum"] != "stratum_1")
    assert tried > 15


def test_narrower_unknowns_never_contradict_an_earlier_stratum() -> None:
    """A stratum that was assigned with markings unknown stays, whatever those turn out to be."""
    rng = np.random.default_rng(17)
    tried = 0
    for seed in range(7000, 7100):
        case = marked_case(seed)
        before = judge(case, schema=False)
        open_rows = [
            row["lesion_id"]
            for row in (*before["lesions"], *before["pet_only_regions"])
            if row["resectability"] == "unknown"
        ]
        if before["stratum"] is None or not open_rows:
            continue
        table = dict(case.table)
        for name in open_rows:
            table[name] = (str(rng.choice(["resectable", "unresectable"])), table.get(name, (None, None))[1])
        tried += 1
        owners = {region: lesion for region, lesion in case.belongs_to.items() if region not in open_rows}
        again = replace(case, table=table, belongs_to=owners)
        assert judge(again, schema=False)["stratum"] == before["stratum"]
    assert tried > 8
