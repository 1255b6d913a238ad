"""Cases for the rule's tests: dense arrays in, volstrat's verdict out, held against the oracle's."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.oracle_rule import Oracle, OracleCase
from volstrat.core.grid import VoxelGrid
from volstrat.core.lesions import TumourEntry
from volstrat.core.marks import LesionRow, Marking
from volstrat.core.mask import Mask
from volstrat.core.measure import Avid, CaseMasks, Measurements, measure_case
from volstrat.core.protocol import Protocol, Thresholds
from volstrat.core.runs import LabelRuns, VoxelRuns
from volstrat.core.verdict import Verdict, avid_tumour_voxels, reach_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Affine = NDArray[np.float64]
    Rows = Mapping[str, tuple[str | None, str | None]]

WORDS = ("unresectable", "unknown", "ablatable", "resectable")
REGION_REVIEWS = {
    "differently": "avid_region_differently_marked",
    "partly": "avid_region_partly_marked",
    "far": "avid_region_reaches_far",
}


def grid_of(affine: Affine, shape: tuple[int, ...], *, window: bool = False) -> VoxelGrid:
    """Return a grid of a dense array."""
    ni, nj, nk = shape
    return VoxelGrid(shape=(ni, nj, nk), affine=affine, is_window=window)


def rows_of(table: Rows) -> tuple[LesionRow, ...]:
    """Return lesion rows of words."""
    return tuple(
        LesionRow(
            lesion_id=name,
            resectability=None if words[0] is None else Marking[words[0].upper()],
            fdg_avidity=words[1],  # type: ignore[arg-type] - the two words or None
            where=f"row {n + 2}",
        )
        for n, (name, words) in enumerate(table.items())
    )


def masks_of(case: OracleCase, *, window: bool = False) -> CaseMasks:
    """Return volstrat's form of a dense case; each lesion is a label of its number."""
    shape = next(iter(case.lesions.values())).shape if case.lesions else (4, 4, 4)
    grid = grid_of(case.affine, shape)
    runs = LabelRuns.from_sets([(int(i[1:]), VoxelRuns.from_dense(v)) for i, v in case.lesions.items()])
    avid = None
    if case.avid is not None and case.avid_affine is not None:
        avid_grid = grid_of(case.avid_affine, case.avid.shape, window=window)
        avid = Avid(voxels=VoxelRuns.from_dense(case.avid), grid=avid_grid)
    field = None
    if case.field_shape is not None and case.field_affine is not None:
        field = grid_of(case.field_affine, case.field_shape)
    return CaseMasks(
        grid=grid,
        tumour=[TumourEntry(mask=Mask(grid=grid, runs=runs), instances="labels")],
        resectable=None if case.resectable is None else VoxelRuns.from_dense(case.resectable),
        avid=avid,
        pet_field=field,
        rows=rows_of(case.table),
    )


def protocol_of(case: OracleCase, **changes: Any) -> Protocol:  # noqa: ANN401 - any field
    """Return the protocol of a dense case."""
    return Protocol(
        thresholds=Thresholds(stratum_1_percent=_decimal(case.stratum_1_percent)),
        attribution_distance_mm=case.distance_mm,
        whole_lesion_percent=_decimal(case.whole_lesion_percent),
        ablation_counts=case.ablation_counts,
        **changes,
    )


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def judge(case: OracleCase, **changes: Any) -> tuple[Measurements, Verdict]:  # noqa: ANN401 - any field
    """Measure and judge a dense case."""
    protocol = protocol_of(case, **changes)
    measured = measure_case(masks_of(case), protocol)
    return measured, reach_verdict(measured, protocol)


def codes(verdict: Verdict, severity: str | None = None) -> list[str]:
    """Return the codes of the findings, of one severity or of all."""
    return [f.code for f in verdict.findings if severity in (None, f.severity)]


def seen(measured: Measurements, verdict: Verdict) -> dict[str, Any]:
    """Return what volstrat says, in the oracle's words."""
    first, second = verdict.assessment.stratum_1, verdict.assessment.stratum_2
    ids = measured.lesions.ids
    resolved, attribution = verdict.assessment.resolved, measured.attribution
    return {
        "stratum": verdict.stratum,
        "stratum_1": (first.holds, first.part_voxels, first.part_voxels_upper, first.whole_voxels),
        "stratum_2": (second.holds, second.part_voxels, second.part_voxels_upper, second.whole_voxels),
        "disease": second.avid_disease,
        "lesions": {i: measured.marked.word(n) for n, i in enumerate(ids)},
        "counts": {
            i: {word: int(measured.marked.worst_voxels[n][m]) for m, word in enumerate(WORDS)}
            for n, i in enumerate(ids)
        },
        "avidity": dict(zip(ids, verdict.assessment.avidity, strict=True)),
        "avid_voxels": {}
        if resolved is None
        else {i: int(resolved.lesion_voxels[n]) for n, i in enumerate(ids)},
        "avid_tumour_voxels": avid_tumour_voxels(measured, verdict.assessment),
        "pet_only": {}
        if attribution is None
        else {
            f"P{rank + 1}": sorted(
                map(tuple, attribution.grid.unravel(attribution.voxels[_of(attribution, rank)]).tolist())
            )
            for rank in range(attribution.pet_only_count)
        },
        "reviews": sorted(
            (f.code, f.where) for f in verdict.findings if f.code in REGION_REVIEWS.values()
        ),
    }


def _of(attribution: Any, rank: int) -> Bools:  # noqa: ANN401 - Attribution
    chosen: Bools = attribution.pet_only[attribution.region] == rank
    return chosen


def expected(oracle: Oracle) -> dict[str, Any]:
    """Return what the oracle says, in the form of `seen`."""
    with_mask = oracle.case.avid is not None
    return {
        "stratum": oracle.stratum,
        "stratum_1": (oracle.stratum_1, oracle.lower, oracle.upper, oracle.total),
        "stratum_2": (oracle.stratum_2, oracle.avid_lower, oracle.avid_upper, oracle.avid_whole),
        "disease": oracle.disease,
        "lesions": oracle.lesion_word,
        "counts": oracle.lesion_counts,
        "avidity": oracle.avidity,
        "avid_voxels": oracle.avid_voxels if with_mask else {},
        "avid_tumour_voxels": oracle.avid_tumour_voxels,
        "pet_only": {name: sorted(voxels) for name, voxels in oracle.pet_only.items()},
        "reviews": sorted(
            {(REGION_REVIEWS[reason], oracle.ids[where]) for reason, where in oracle.reviews}
        ),
    }


def agreed(case: OracleCase) -> tuple[Oracle, Verdict]:
    """Judge a case twice and hold the two to each other; returns both."""
    oracle = Oracle(case)
    measured, verdict = judge(case)
    assert seen(measured, verdict) == expected(oracle)
    return oracle, verdict


# --- random cases -------------------------------------------------------------------------------


def random_case(rng: np.random.Generator) -> OracleCase:
    """Return a small random case: 1-4 lesions, any markings, avid blobs on another grid."""
    shape = tuple(int(n) for n in rng.integers(4, 8, 3))
    spacing = rng.choice([0.8, 1.0, 1.5, 2.5], 3)
    oblique = rng.random() < 0.5
    turn = _turn(rng, oblique=oblique)
    affine = _affine(turn, spacing, rng.uniform(-200, 200, 3))
    lesions = _random_lesions(rng, shape)
    resectable = None
    if rng.random() < 0.6:
        resectable = _blob(rng, shape) | _blob(rng, shape)
        if rng.random() < 0.3:
            resectable |= lesions["L1"]
    avid = avid_affine = field_shape = field_affine = None
    centre = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    if rng.random() < 0.85:
        avid_shape = tuple(int(n) for n in rng.integers(3, 7, 3))
        on_lattice = rng.random() < 0.5
        steps = rng.choice([1.0, 2.0, 3.0], 3) * (spacing if on_lattice else rng.choice([0.7, 1.3, 1.9]))
        base = turn if on_lattice else _turn(rng, oblique=bool(rng.random() < 0.5))
        avid_affine = _affine(base, steps, np.zeros(3))
        corner = centre - avid_affine[:3, :3] @ (np.array(avid_shape) / 2 + rng.uniform(-1.5, 1.5, 3))
        if on_lattice:  # centres and faces fall together: ties
            index = np.round(2 * np.linalg.solve(affine[:3, :3], corner - affine[:3, 3])) / 2
            corner = affine[:3, :3] @ index + affine[:3, 3]
        avid_affine[:3, 3] = corner
        avid = np.zeros(avid_shape, dtype=bool)
        for _ in range(int(rng.integers(0, 4))):
            avid |= _blob(rng, avid_shape, most=3)
        if rng.random() < 0.6:
            field_shape, field_affine = avid.shape, avid_affine
    if rng.random() < 0.4 and field_shape is None:
        field_shape = (5, 5, 5)
        steps = rng.uniform(1.5, 4.0, 3)
        field_affine = _affine(_turn(rng, oblique=True), steps, np.zeros(3))
        field_affine[:3, 3] = centre - field_affine[:3, :3] @ np.array([2.0, 2.0, 2.0])
    return OracleCase(
        affine=affine,
        lesions=lesions,
        resectable=resectable,
        table=_random_table(rng, lesions),
        avid=avid,
        avid_affine=avid_affine,
        field_shape=field_shape,
        field_affine=field_affine,
        distance_mm=float(rng.choice([0.5, 1.0, 2.0, 4.0])),
        whole_lesion_percent=Fraction(int(rng.choice([60, 75, 95]))),
        stratum_1_percent=Fraction(int(rng.choice([30, 50, 70]))),
        ablation_counts=bool(rng.random() < 0.8),
    )


def _random_lesions(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Bools]:
    numbers = rng.choice(np.arange(1, 12), int(rng.integers(1, 5)), replace=False)
    numbers[0] = 1
    lesions: dict[str, Bools] = {}
    taken = np.zeros(shape, dtype=bool)
    overlapping = rng.random() < 0.4
    for number in sorted({int(n) for n in numbers}):
        blob = _blob(rng, shape, most=3)
        if not overlapping:
            blob &= ~taken
        if blob.any():
            lesions[f"L{number}"] = blob
            taken |= blob
    if "L1" not in lesions:
        lesions["L1"] = _blob(rng, shape)
    return lesions


def _random_table(
    rng: np.random.Generator, lesions: Mapping[str, Bools]
) -> dict[str, tuple[str | None, str | None]]:
    table: dict[str, tuple[str | None, str | None]] = {}
    sure = rng.random()
    for name in lesions:
        if rng.random() < 0.6:
            word = rng.choice(["resectable", "ablatable", "unresectable", "unknown", ""])
            if rng.random() < sure:
                word = "resectable"
            call = rng.choice(["", "", "avid", "not_avid"])
            table[name] = (str(word) or None, str(call) or None)
    return table


def mark_pet_only(rng: np.random.Generator, case: OracleCase, names: list[str]) -> None:
    """Mark or dismiss some of a case's PET-only regions, in place."""
    rows = dict(case.table)
    for name in names:
        if rng.random() < 0.6:
            word = str(rng.choice(["resectable", "ablatable", "unresectable", "unknown", ""])) or None
            rows[name] = (word, "not_avid" if rng.random() < 0.3 else None)
    case.table = rows


def _turn(rng: np.random.Generator, *, oblique: bool) -> Affine:
    if oblique:
        q, r = np.linalg.qr(rng.standard_normal((3, 3)))
        turned: Affine = q * np.sign(np.diag(r))
        return turned
    order = list(permutations(range(3)))[int(rng.integers(6))]
    turned = np.eye(3)[:, order] * rng.choice([-1.0, 1.0], 3)
    return turned


def _affine(turn: Affine, spacing: NDArray[np.float64], origin: NDArray[np.float64]) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = origin
    return affine


def _blob(rng: np.random.Generator, shape: tuple[int, ...], *, most: int = 4) -> Bools:
    """Return a box, sometimes with holes and specks."""
    size = [int(rng.integers(1, min(most, n) + 1)) for n in shape]
    low = [int(rng.integers(0, n - s + 1)) for n, s in zip(shape, size, strict=True)]
    blob = np.zeros(shape, dtype=bool)
    blob[tuple(slice(a, a + s) for a, s in zip(low, size, strict=True))] = True
    if rng.random() < 0.3:
        holed = blob & (rng.random(shape) < 0.8)
        blob = holed if holed.any() else blob
    return blob
