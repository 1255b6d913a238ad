"""Random small cases with a liver, a map of segments and a plan, for volstrat and for the oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.dense import voxel_runs
from tests.oracle_plans import SHIFTS_MM, OraclePlan, PlanOracle
from tests.oracle_rule import OracleCase
from tests.rule_cases import masks_of, protocol_of
from tests.rule_random import marked_case
from volstrat.geometry.runs import VoxelRuns
from volstrat.plans.anatomy import Anatomy
from volstrat.plans.carry_out import PatientFacts, PlanBook, PlanOutcome
from volstrat.rule.lesion_places import in_liver
from volstrat.rule.measure import measure_case
from volstrat.terms.marks import Marking
from volstrat.terms.plans import Plan, Zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.terms.protocol import Protocol

    Bools = NDArray[np.bool_]

NAMES = ("1", "2", "3", "4a", "4b", "5", "6", "7", "8")
WORDS = ("resectable", "ablatable", "unresectable", "unknown")


@dataclass(kw_only=True)
class RandomPlan:
    """A case in both forms, with what its plan must come to."""

    case: OracleCase
    liver: Bools
    segments: dict[str, Bools]
    plan: OraclePlan
    book: PlanBook
    stated: Plan
    cut_mask: VoxelRuns | None

    def oracle(self) -> PlanOracle:
        """Return the dense second opinion."""
        return PlanOracle(self.case, self.plan, liver=self.liver, segments=self.segments)

    def outcome(self) -> PlanOutcome:
        """Return what volstrat makes of it."""
        return self.book.carry_out(self.stated, cut_mask=self.cut_mask)


def random_plan(seed: int) -> RandomPlan:
    """Return a case with a plan; every fourth one on a larger grid, where the map's borders can move."""
    rng = np.random.default_rng(seed)
    case = enlarged(rng) if seed % 4 == 0 else marked_case(seed, identity=False)
    shape = next(iter(case.lesions.values())).shape
    liver = _liver(rng, case)
    segments = _segments(rng, case, liver)
    ids = sorted(case.lesions)
    margins = [0.0, 0.5, 1.0, 2.5, 4.0]
    wedge = [(str(i), float(rng.choice(margins))) for i in ids if rng.random() < 0.25]
    ablate = [(str(i), float(rng.choice(margins))) for i in ids if rng.random() < 0.3]
    mask = rng.random(shape) < 0.15 if rng.random() < 0.2 else None
    chosen = sorted({s[:1] if rng.random() < 0.3 else s for s in segments if rng.random() < 0.45})
    outside = {i: str(rng.choice(WORDS)) for i in ids if rng.random() < 0.3}
    plan = OraclePlan(segments=chosen, wedge=wedge, ablate=ablate, mask=mask, outside_liver=outside)
    protocol = protocol_of(case)
    stated = Plan(
        name="A",
        segments=tuple(chosen),
        wedges=tuple(Zone(lesion_id=i, margin_mm=mm) for i, mm in wedge),
        ablations=tuple(_zone(rng, case, i, mm) for i, mm in ablate),
        outside_liver=tuple((i, Marking[w.upper()]) for i, w in outside.items()),
    )
    return RandomPlan(
        case=case,
        liver=liver,
        segments=segments,
        plan=plan,
        book=book_of(case, liver, segments, protocol),
        stated=stated,
        cut_mask=None if mask is None else voxel_runs(mask),
    )


def book_of(case: OracleCase, liver: Bools, segments: dict[str, Bools], protocol: Protocol) -> PlanBook:
    """Return volstrat's form of a case with a liver and its segments."""
    measured = measure_case(masks_of(case), protocol)
    runs = voxel_runs(liver)
    anatomy = Anatomy(
        lesions=measured.lesions,
        liver=runs,
        segments={s: voxel_runs(v) for s, v in segments.items()},
        in_liver=tuple(bool(x) for x in in_liver(measured.lesions, runs)),
    )
    return PlanBook(measured, anatomy, protocol, patient=PatientFacts())


def _zone(rng: np.random.Generator, case: OracleCase, lesion: str, margin_mm: float) -> Zone:
    """Name the lesion by its id or, where a voxel is its own, by a point in it."""
    others = [v for i, v in case.lesions.items() if i != lesion]
    own = case.lesions[lesion] & ~np.logical_or.reduce([np.zeros_like(case.lesions[lesion]), *others])
    if rng.random() < 0.5 or not own.any():
        return Zone(lesion_id=lesion, margin_mm=margin_mm)
    at = rng.choice(np.argwhere(own)) + rng.uniform(-0.4, 0.4, 3)
    x, y, z = case.affine[:3, :3] @ at + case.affine[:3, 3]
    return Zone(point_mm=(float(x), float(y), float(z)), margin_mm=margin_mm)


def enlarged(rng: np.random.Generator) -> OracleCase:
    """Return a case of larger voxels and more of them, without PET."""
    case = marked_case(int(rng.integers(1 << 30)), identity=False)
    shape = (15, 12, 8)
    affine = case.affine.copy()
    affine[:3, :3] *= 1.6
    lesions = {f"L{n + 1}": _ball(rng, shape, affine, 2.0, 6.0) for n in range(int(rng.integers(2, 5)))}
    table = {i: row for i, row in case.table.items() if i in lesions}
    return replace(
        case,
        affine=affine,
        lesions=lesions,
        resectable=None,
        table=table,
        avid=None,
        avid_affine=None,
        field_shape=None,
        field_affine=None,
    )


def _ball(rng: np.random.Generator, shape: Any, affine: Any, low: float, high: float) -> Bools:  # noqa: ANN401
    at = np.argwhere(np.ones(shape, dtype=bool)) @ affine[:3, :3].T
    away = np.linalg.norm(at - at[rng.integers(len(at))], axis=1)
    ball: Bools = (away <= rng.uniform(low, high)).reshape(shape)
    return ball


def _liver(rng: np.random.Generator, case: OracleCase) -> Bools:
    """Most of the grid, with or without a lesion left out as a hole."""
    shape = next(iter(case.lesions.values())).shape
    extent = float(np.linalg.norm(case.affine[:3, :3] @ np.array(shape)))
    low, high = (0.1, 0.3) if rng.random() < 0.4 else (0.3, 0.7)
    liver = _ball(rng, shape, case.affine, low * extent, high * extent)
    for lesion in case.lesions.values():
        if rng.random() < 0.25:
            liver &= ~lesion
    return liver


def _segments(rng: np.random.Generator, case: OracleCase, liver: Bools) -> dict[str, Bools]:
    """Nearest of random centres; a few voxels in none, a few in two, and some beyond the liver."""
    at = np.argwhere(np.ones(liver.shape, dtype=bool)) @ case.affine[:3, :3].T
    count = int(rng.integers(2, 7))
    names = sorted(rng.choice(NAMES, count, replace=False), key=NAMES.index)
    centres = at[rng.integers(0, len(at), count)]
    nearest = np.argmin(np.linalg.norm(at[:, None] - centres[None], axis=2), axis=1).reshape(liver.shape)
    mapped = liver if rng.random() < 0.4 else rng.random(liver.shape) < 0.95
    found = {str(name): (nearest == n) & mapped for n, name in enumerate(names)}
    if rng.random() < 0.3:
        found[str(names[0])] |= rng.random(liver.shape) < 0.05
    return {name: voxels for name, voxels in found.items() if voxels.any()}


def compared(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what volstrat and what the oracle say of one random plan, under the same names."""
    this = random_plan(seed)
    if not set(this.stated.segments) <= {*this.segments, *(s[:1] for s in this.segments)}:
        msg = "the plan names what the map holds"
        raise AssertionError(msg)
    got, want = this.outcome(), this.oracle()
    measured, first = got.measured, got.verdict.assessment.stratum_1
    part, whole = want.flr
    second = got.verdict.assessment.stratum_2
    shifts = [(mm, want.shifted(mm)) for mm in SHIFTS_MM] if want.resected.any() else []
    voxel_ml = measured.lesions.grid.voxel_ml
    seen = {
        "cut": got.regions.cut.count,
        "lesions": {i: measured.marked.word(n) for n, i in enumerate(measured.lesions.ids)},
        "own": measured.marked.own_voxels.tolist(),
        "stratum_1": (first.holds, first.part_voxels, first.part_voxels_upper, first.whole_voxels),
        "stratum": got.verdict.stratum,
        "stratum_2": second.holds,
        "left": {x.lesion_id: round(x.volume_ml / voxel_ml) for x in got.left},
        "left_avid": {x.lesion_id: x.fdg_avidity for x in got.left},
        "cuts_through": list(got.cuts_through),
        "flr": (round(got.remnant.flr_ml / voxel_ml), got.remnant.flr_percent),
        "map_shift": [(s.mm, s.flr_percent, s.stratum, s.resectable_fraction) for s in got.map_shift],
    }
    wanted = {
        "cut": int(want.cut.sum()),
        "lesions": want.lesion_word,
        "own": [[[want._own(i, v) for v in want.voxels[i]].count(w) for w in _ORDER] for i in want.ids],
        "stratum_1": (want.stratum_1, want.lower, want.upper, want.total),
        "stratum": want.stratum,
        "stratum_2": want.stratum_2,
        "left": want.left_voxels,
        "left_avid": {i: want.avidity[i] for i in want.left_voxels},
        "cuts_through": want.cuts_through,
        "flr": (part, 100 * part / whole if whole else None),
        "map_shift": [
            (
                mm,
                100 * o.flr[0] / whole if whole else None,
                o.stratum,
                None if set(o.voxel_word.values()) == {"unknown"} else o.lower / o.total,
            )
            for mm, o in shifts
        ],
    }
    return seen, wanted


_ORDER = ("unresectable", "unknown", "ablatable", "resectable")
