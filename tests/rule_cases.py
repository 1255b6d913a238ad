"""Cases for the rule's tests: dense arrays in, volstrat's verdict out, held against the oracle's."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tests.dense import voxel_runs
from tests.oracle_rule import Oracle, OracleCase
from volstrat.case.protocol_files import LoadedProtocol
from volstrat.case.record import success_record
from volstrat.case.typed_json import record_schema
from volstrat.certainty.verdict import reach_verdict
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks, measure_case
from volstrat.terms.marks import LesionRow, Marking
from volstrat.terms.protocol import Protocol, Thresholds

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


def rows_of(table: Rows, belongs_to: Mapping[str, str] | None = None) -> tuple[LesionRow, ...]:
    """Return lesion rows of words."""
    owners = belongs_to or {}
    return tuple(
        LesionRow(
            lesion_id=name,
            resectability=None if words[0] in (None, "not_tumour") else Marking[words[0].upper()],
            not_tumour=words[0] == "not_tumour",
            belongs_to=owners.get(name, ""),
            fdg_avidity=words[1],  # type: ignore[arg-type]  # the two words or None
            where=f"row {n + 2}",
        )
        for n, (name, words) in enumerate({**dict.fromkeys(owners, (None, None)), **table}.items())
    )


def masks_of(case: OracleCase, *, window: bool = False) -> CaseMasks:
    """Return volstrat's form of a dense case; each lesion is a label of its number."""
    shape = next(iter(case.lesions.values())).shape if case.lesions else (4, 4, 4)
    grid = grid_of(case.affine, shape)
    runs = LabelRuns.from_sets([(int(i[1:]), voxel_runs(v)) for i, v in case.lesions.items()])
    avid = None
    if case.avid is not None and case.avid_affine is not None:
        avid_grid = grid_of(case.avid_affine, case.avid.shape, window=window)
        avid = Avid(voxels=voxel_runs(case.avid), grid=avid_grid)
    field = None
    if case.field_shape is not None and case.field_affine is not None:
        field = grid_of(case.field_affine, case.field_shape)
    return CaseMasks(
        grid=grid,
        tumour=[TumourEntry(mask=Mask(grid=grid, runs=runs), instances="labels")],
        resectable=None if case.resectable is None else voxel_runs(case.resectable),
        avid=avid,
        pet_field=field,
        rows=rows_of(case.table, case.belongs_to),
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
    return cast("Record", record)


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
        "near": {
            row["lesion_id"]: (row["near"][0], round(row["near"][1], 6))
            for row in record["pet_only_regions"]
            if row["near"]
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
    marked = {i: sum(n for w, n in oracle.lesion_counts[i].items() if w != "unknown") > 0 for i in ids}
    regions = {}
    for name, voxels in oracle.pet_only.items():
        call = case.table.get(name, (None, None))[1]
        regions[name] = (len(voxels), oracle.word_of(name), call or "avid")
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
        "avid_tumour_voxels": oracle.avid_tumour_voxels if with_mask and oracle.total else None,
        "pet_only_voxels": alone if with_mask else None,
        "pet_only": regions,
        "near": {name: (lesion, round(mm, 6)) for name, (lesion, mm) in oracle.near.items()},
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
