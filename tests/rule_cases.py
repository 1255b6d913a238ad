"""Cases for the rule's tests: dense arrays in, volstrat's verdict out, held against the oracle's."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import import_module
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.oracle_rule import Oracle, OracleCase
from volstrat.core.grid import VoxelGrid
from volstrat.core.lesions import TumourEntry
from volstrat.core.marks import LesionRow, Marking
from volstrat.core.mask import Mask
from volstrat.core.measure import Avid, CaseMasks, measure_case
from volstrat.core.protocol import Protocol, Thresholds
from volstrat.core.runs import LabelRuns, VoxelRuns
from volstrat.core.verdict import reach_verdict
from volstrat.io.protocol_files import LoadedProtocol
from volstrat.record import record_schema, success_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Affine = NDArray[np.float64]
    Rows = Mapping[str, tuple[str | None, str | None]]

Record = dict[str, Any]

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
    """Return the protocol of a dense case; the rule's tests do without the boundary shift, for speed."""
    return Protocol(
        boundary_shift_mm=(),
        thresholds=Thresholds(stratum_1_percent=_decimal(case.stratum_1_percent)),
        attribution_distance_mm=case.distance_mm,
        whole_lesion_percent=_decimal(case.whole_lesion_percent),
        ablation_counts=case.ablation_counts,
        **changes,
    )


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def judge(case: OracleCase, *, schema: bool = True, **changes: Any) -> Record:  # noqa: ANN401 - protocol fields
    """Return the record of a dense case; it meets the JSON Schema."""
    return judge_masks(masks_of(case), protocol_of(case, **changes), schema=schema)


def judge_masks(masks: CaseMasks, protocol: Protocol, *, schema: bool = True) -> Record:
    """Return the record of masks; it meets the JSON Schema (checking costs more than judging)."""
    measured = measure_case(masks, protocol)
    record = success_record(
        subject="S001",
        measured=measured,
        verdict=reach_verdict(measured, protocol),
        protocol=LoadedProtocol(protocol=protocol, sha256="0" * 64, text=""),
        inputs=[],
    )
    if schema:
        _validator().validate(record)
    return record


@cache
def _validator() -> Any:  # noqa: ANN401 - jsonschema has no types
    return import_module("jsonschema").Draft202012Validator(record_schema())


def codes(record: Record, severity: str | None = None) -> list[str]:
    """Return the codes of the findings, of one severity or of all."""
    return [f["code"] for f in record["findings"] if severity in (None, f["severity"])]


def avid_reviews(record: Record) -> list[str]:
    """Return the codes of the reviews that an avid region on CT tumour calls for."""
    return [code for code in codes(record, "review") if code in REGION_REVIEWS.values()]


def counts(record: Record, predicate: str) -> tuple[bool | None, int | None, int | None, int | None]:
    """Return holds, part, part (upper) and whole of a predicate."""
    found = record["predicates"][predicate]
    return found["holds"], found["part_voxels"], found["part_voxels_upper"], found["whole_voxels"]


def seen(record: Record, case: OracleCase) -> dict[str, Any]:
    """Return what a record says, in the oracle's words; volumes become the voxels they must be."""
    lesions = {row["lesion_id"]: row for row in record["lesions"]}
    volumes = record["volumes"]
    total = record["predicates"]["stratum_1"]["whole_voxels"]
    return {
        "stratum": record["stratum"],
        "stratum_1": counts(record, "stratum_1"),
        "stratum_2": counts(record, "stratum_2"),
        "unit": record["predicates"]["stratum_2"]["unit"],
        "disease": record["predicates"]["stratum_2"]["avid_disease"],
        "lesions": {i: row["resectability"] for i, row in lesions.items()},
        "voxels": {i: row["voxels"] for i, row in lesions.items()},
        "fractions": {i: row["resectable_fraction"] for i, row in lesions.items()},
        "avidity": {i: row["fdg_avidity"] for i, row in lesions.items()},
        "avid_voxels": {i: _voxels(row["fdg_avid_ml"], case) for i, row in lesions.items()},
        "avid_whole": _voxels(volumes["fdg_avid_ml"], case),
        "avid_tumour_voxels": _whole(volumes["fdg_avid_fraction"], total),
        "pet_only_voxels": _voxels(volumes["pet_only_ml"], case),
        "pet_only": {
            row["lesion_id"]: (row["voxels"], row["resectability"], row["fdg_avidity"])
            for row in record["pet_only_regions"]
        },
        "places": [
            [round(x, 6) + 0.0 for x in row["centroid_mm"]]
            for row in (*record["lesions"], *record["pet_only_regions"])
        ],
        "reviews": sorted(
            (f["code"], f["where"]) for f in record["findings"] if f["code"] in REGION_REVIEWS.values()
        ),
    }


def facts(case: OracleCase) -> dict[str, Any]:
    """Judge a case and return what its record says, in the oracle's words."""
    return seen(judge(case, schema=False), case)


def _voxels(ml: float | None, case: OracleCase) -> int | None:
    """Return how many avid voxels a volume is."""
    if ml is None:
        return None
    assert case.avid_affine is not None
    return _whole(ml * 1000 / abs(float(np.linalg.det(case.avid_affine[:3, :3]))), 1)


def _whole(value: float | None, times: int) -> int | None:
    if value is None:
        return None
    count = round(value * times)
    assert abs(value * times - count) < 1e-6
    return count


def expected(oracle: Oracle) -> dict[str, Any]:
    """Return what the oracle says, in the form of `seen`."""
    case, ids = oracle.case, oracle.ids
    with_mask = case.avid is not None
    marked = {i: oracle.lesion_counts[i]["unknown"] < len(oracle.voxels[i]) for i in ids}
    regions = {}
    for name, voxels in oracle.pet_only.items():
        word, call = case.table.get(name, (None, None))
        regions[name] = (len(voxels), word or "unknown", call or "avid")
    alone = sum(n for n, _, call in regions.values() if call == "avid")
    places = [_centroid(case.affine, oracle.voxels[i]) for i in ids]
    if case.avid_affine is not None:
        places += [_centroid(case.avid_affine, voxels) for voxels in oracle.pet_only.values()]
    return {
        "stratum": oracle.stratum,
        "stratum_1": (oracle.stratum_1, oracle.lower, oracle.upper, oracle.total),
        "stratum_2": (oracle.stratum_2, oracle.avid_lower, oracle.avid_upper, oracle.avid_whole),
        "unit": "pet" if with_mask else "tumour",
        "disease": oracle.disease,
        "lesions": oracle.lesion_word,
        "voxels": {i: len(oracle.voxels[i]) for i in ids},
        "fractions": {
            i: sum(oracle.can_go(oracle.voxel_word[v]) for v in oracle.voxels[i]) / len(oracle.voxels[i])
            if marked[i]
            else None
            for i in ids
        },
        "avidity": oracle.avidity,
        "avid_voxels": {i: oracle.avid_voxels[i] if with_mask else None for i in ids},
        "avid_whole": oracle.avid_whole if with_mask else None,
        "avid_tumour_voxels": oracle.avid_tumour_voxels if with_mask else None,
        "pet_only_voxels": alone if with_mask else None,
        "pet_only": regions,
        "places": places,
        "reviews": sorted({(REGION_REVIEWS[reason], ids[where]) for reason, where in oracle.reviews}),
    }


def _centroid(affine: Affine, voxels: list[tuple[int, ...]]) -> list[float]:
    centre = affine[:3, :3] @ np.mean(np.array(voxels, dtype=float), axis=0) + affine[:3, 3]
    return [round(float(x), 6) + 0.0 for x in centre]


def agreed(case: OracleCase, *, schema: bool = True) -> tuple[Oracle, Record]:
    """Judge a case twice and hold the two to each other; returns both."""
    oracle, record = Oracle(case), judge(case, schema=schema)
    assert seen(record, case) == expected(oracle)
    assert ("blocking" in [f["severity"] for f in record["findings"]]) == (oracle.stratum is None)
    return oracle, record


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
    table = _random_table(rng, lesions)
    ablation_counts = bool(rng.random() < 0.8)
    if not ablation_counts:  # where unknown meets ablatable the word is "unknown", though it cannot go
        resectable = _blob(rng, shape) if resectable is None else resectable
        table = {i: ("unresectable" if w == "unknown" else w, call) for i, (w, call) in table.items()}
    return OracleCase(
        affine=affine,
        lesions=lesions,
        resectable=resectable,
        table=table,
        avid=avid,
        avid_affine=avid_affine,
        field_shape=field_shape,
        field_affine=field_affine,
        distance_mm=float(rng.choice([0.5, 1.0, 2.0, 4.0])),
        whole_lesion_percent=Fraction(int(rng.choice([60, 75, 95]))),
        stratum_1_percent=Fraction(int(rng.choice([30, 50, 70, 90]))),
        ablation_counts=ablation_counts,
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
    told, sure, decided = rng.random(), rng.random(), rng.random() < 0.4
    for name in lesions:
        word = str(rng.choice(["resectable", "ablatable", "unresectable", "unknown", ""]))
        call = str(rng.choice(["", "", "avid", "not_avid"]))
        if rng.random() < sure:
            word = "resectable"
        if decided and rng.random() < 0.5:  # what stratum 2 needs: what cannot go is cold
            word, call = "unresectable", "not_avid"
        if rng.random() < told or decided:
            table[name] = (word or None, call or None)
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
