"""Two readings of one subject: voxels, surfaces, lesions, markings, and what carries a difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from volstrat.agreement.discordance import INGREDIENTS, Reading, TwoReadings, same_rule, voxels_not_alike
from volstrat.agreement.matching import match_readings, match_regions, moved_row_findings, moved_rows
from volstrat.agreement.overlap import compare_masks
from volstrat.case.inputs import read_inputs
from volstrat.case.json_types import taken
from volstrat.case.record import finding_record
from volstrat.comparison.agreement_types import MaskAgreement, OutcomeOfReading
from volstrat.comparison.grids import check_one_image, on_one_grid
from volstrat.errors import DifferentImageError, GridMismatchError, VolstratError
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.measure import measure_case
from volstrat.rule.tumour_only import tumour_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.agreement.discordance import Discordance
    from volstrat.agreement.matching import LesionMatching
    from volstrat.case.assess import CaseResult
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import LesionRecord
    from volstrat.comparison.agreement_types import (
        DiscordanceOfPair,
        Lesion,
        LesionKind,
        LesionOfReading,
        NotCompared,
        Pair,
        PairOutcome,
        ResectableAgreement,
    )
    from volstrat.comparison.grids import OnOneGrid
    from volstrat.rule.measure import Measurements

_NO_PET = "Avid disease was read in one reading alone, or in neither."
_PET_GRIDS = "The avid masks lie on different grids."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a comparison is made with.

    Parameters
    ----------
    surface_tolerance_mm : float
        For the surface Dice.
    match_distance_mm : float
        Lesions without overlap match where their centroids are no farther apart.
    resample : bool
        Resample a reading whose grid differs onto the first one's.
    """

    surface_tolerance_mm: float = 2.0
    match_distance_mm: float = 10.0
    resample: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadCase:
    """A reading of a subject that was measured, and by which protocol."""

    name: str
    result: CaseResult
    protocol: LoadedProtocol


def compare_pair(a: ReadCase, b: ReadCase, settings: Settings) -> Pair:
    """Compare two readings of one subject.

    Returns
    -------
    Pair
        As in ``agreement.json``. Readings that cannot be compared have an outcome that says so, and a reason.
    """
    protocols = (a.protocol.protocol, b.protocol.protocol)
    try:
        check_one_image(a.result, b.result)
        grids = on_one_grid(
            a.result,
            b.result,
            names=(a.name, b.name),
            protocols=protocols,
            resample=settings.resample,
        )
    except DifferentImageError as error:
        return not_compared(a.name, b.name, "different_images", str(error))
    except GridMismatchError as error:
        return not_compared(a.name, b.name, "different_grids", str(error))
    pair = _readings(a, b, grids, settings)
    if isinstance(pair, str):
        discordance, why = None, pair
        matching = match_readings(grids.a, grids.b, distance_mm=settings.match_distance_mm)
    else:
        discordance, why, matching = pair.discordance(), "", pair.matching
    moved = moved_row_findings(moved_rows(grids.a, grids.b, matching), grids.a, grids.b)
    if moved and (discordance is None or "row_moved" in (discordance.attributed_to or "")):
        why = moved[0].message
    apart = voxels_not_alike(grids.a, grids.b, protocols=protocols)
    voxel_ml = grids.a.lesions.grid.voxel_ml
    return {
        "a": a.name,
        "b": b.name,
        "outcome": "compared",
        "reason": "",
        "tumour": _agreement(grids.a.lesions.voxels(), grids.b.lesions.voxels(), grids.a, settings),
        "resectable": _overlap(
            grids.a.marked.voxels_marked(*protocols[0].counted),
            grids.b.marked.voxels_marked(*protocols[1].counted),
            voxel_ml,
        ),
        "fdg_avid": _avid_agreement(grids, settings),
        "lesions": _lesions(a, b, grids, matching, settings),
        "pet_only_regions": _regions(a, b, grids, settings),
        "detection": {
            "matched": len(matching.pairs),
            "only_a": len(matching.only_in_a),
            "only_b": len(matching.only_in_b),
            "split": sum(group.kind == "split" for group in matching.groups),
            "merged": sum(group.kind == "merged" for group in matching.groups),
            "f1": matching.detection_f1,
        },
        "not_alike_ml": apart.count * voxel_ml,
        "discordance": None if discordance is None else _discordance(discordance),
        "discordance_reason": why,
        "findings": [finding_record(one) for one in (*grids.findings, *moved)],
    }


def not_compared(a: str, b: str, outcome: PairOutcome, reason: str) -> Pair:
    """Return the form of a pair whose voxels could not be compared."""
    return {
        "a": a,
        "b": b,
        "outcome": outcome,
        "reason": reason,
        "tumour": None,
        "resectable": None,
        "fdg_avid": None,
        "lesions": [],
        "pet_only_regions": [],
        "detection": None,
        "not_alike_ml": None,
        "discordance": None,
        "discordance_reason": reason,
        "findings": [],
    }


def _readings(a: ReadCase, b: ReadCase, grids: OnOneGrid, settings: Settings) -> TwoReadings | str:
    """Return both readings under both protocols, or why that cannot be."""
    own, sides = (a, b), []
    for n, measured in enumerate((grids.a, grids.b)):
        protocol, other = own[n].protocol.protocol, own[1 - n].protocol.protocol
        foreign = measured
        if not same_rule(protocol, other):
            if own[n].result.decision is not None:
                return "Readings with surgical plans are taken apart under one protocol only."
            rule = replace(other, avidity=protocol.avidity)
            try:
                masks = measured.masks
                if (protocol.tumour_scope, protocol.geometry_tolerance_mm) != (
                    other.tumour_scope,
                    other.geometry_tolerance_mm,
                ):
                    masks = grids.moves[n](read_inputs(own[n].result.sources, rule).masks)
                foreign = tumour_only(measure_case(masks, rule))
            except VolstratError as error:
                return f"Reading {own[n].name} cannot be measured by the protocol of the other: {error}"
        sides.append(Reading(protocol=protocol, measured=measured, under_other=foreign))
    return TwoReadings(
        sides[0],
        sides[1],
        distance_mm=settings.match_distance_mm,
        plans_differ=_plans_differ(a.result, b.result),
    )


def _overlap(a: VoxelRuns, b: VoxelRuns, voxel_ml: float) -> ResectableAgreement:
    """Compare what can be resected: a part of the tumour, so without surfaces of its own."""
    in_a, in_b, in_both = a.count, b.count, a.intersection(b).count
    return {
        "a_voxels": in_a,
        "b_voxels": in_b,
        "both_voxels": in_both,
        "a_volume_ml": in_a * voxel_ml,
        "b_volume_ml": in_b * voxel_ml,
        "volume_difference_ml": (in_b - in_a) * voxel_ml,
        "dice": 2 * in_both / (in_a + in_b) if in_a + in_b else None,
    }


def _agreement(a: VoxelRuns, b: VoxelRuns, measured: Measurements, settings: Settings) -> MaskAgreement:
    grid = measured.lesions.grid
    return taken(MaskAgreement, compare_masks(a, b, grid, tolerance_mm=settings.surface_tolerance_mm))


def _avid_agreement(grids: OnOneGrid, settings: Settings) -> MaskAgreement | NotCompared:
    """Compare avid voxels on the PET grid; a drawn mask or the rule's, whichever is in force."""
    found = [m.attribution for m in (grids.a, grids.b)]
    if found[0] is None or found[1] is None:
        return {"outcome": "not_compared", "reason": _NO_PET, "dice": None}
    here, there = found[0].grid, found[1].grid
    if here.shape != there.shape or here.corner_displacement_mm(there) > 1e-3:
        return {"outcome": "not_compared", "reason": _PET_GRIDS, "dice": None}
    compared = compare_masks(found[0].avid, found[1].avid, here, tolerance_mm=settings.surface_tolerance_mm)
    return taken(MaskAgreement, compared)


def _lesions(
    a: ReadCase, b: ReadCase, grids: OnOneGrid, matching: LesionMatching, settings: Settings
) -> list[Lesion]:
    """Put the lesions side by side: pairs, then what is part of another, then what one alone has."""
    sides = (_Side(a, grids.a), _Side(b, grids.b))
    rows = []
    for pair in matching.pairs:
        voxels = [side.measured.lesions.of(n - 1) for side, n in zip(sides, (pair.a, pair.b), strict=True)]
        found = compare_masks(
            voxels[0],
            voxels[1],
            grids.a.lesions.grid,
            tolerance_mm=settings.surface_tolerance_mm,
        )
        row = _row("matched", sides, pair.a - 1, pair.b - 1)
        row["matched_by"] = pair.matched_by
        row["centroid_distance_mm"] = pair.centroid_distance_mm
        row["dice"] = pair.dice
        row["volume_difference_ml"] = found.volume_difference_ml
        row["surface_dice"] = found.surface_dice
        row["hd95_mm"] = found.hd95_mm
        row["mean_surface_distance_mm"] = found.mean_surface_distance_mm
        rows.append(row)
    partner_a = {pair.a: pair.b for pair in matching.pairs}
    partner_b = {pair.b: pair.a for pair in matching.pairs}
    for group in matching.groups:
        for part in group.parts:
            if group.kind == "split" and partner_a.get(group.whole) != part:
                row = _row("part", sides, None, part - 1)
                rows.append({**row, "part_of": sides[0].ids[group.whole - 1]})
            elif group.kind == "merged" and partner_b.get(group.whole) != part:
                row = _row("part", sides, part - 1, None)
                rows.append({**row, "part_of": sides[1].ids[group.whole - 1]})
    rows += [_row("only_a", sides, n - 1, None) for n in matching.only_in_a]
    rows += [_row("only_b", sides, None, n - 1) for n in matching.only_in_b]
    return rows


class _Side:
    """One reading's lesions as its record has them."""

    def __init__(self, case: ReadCase, measured: Measurements) -> None:
        self.measured = measured
        self.ids = measured.lesions.ids
        self._records = {lesion["lesion_id"]: lesion for lesion in case.result.record["lesions"]}
        self.regions = case.result.record["pet_only_regions"]

    def as_json(self, lesion: int | None) -> LesionOfReading | None:
        """Return id, volume, place, marking and avidity of a lesion."""
        return None if lesion is None else self._shown(self._records[self.ids[lesion]])

    def region(self, rank: int | None) -> LesionOfReading | None:
        """Return the same of a PET-only region; rank 0 is P1."""
        return None if rank is None else self._shown(self.regions[rank])

    @staticmethod
    def _shown(record: LesionRecord) -> LesionOfReading:
        return {
            "lesion_id": record["lesion_id"],
            "volume_ml": record["volume_ml"],
            "centroid_mm": record["centroid_mm"],
            "max_axial_diameter_mm": record["max_axial_diameter_mm"],
            "resectability": record["resectability"],
            "resectable_fraction": record["resectable_fraction"],
            "fdg_avidity": record["fdg_avidity"],
        }


def _regions(a: ReadCase, b: ReadCase, grids: OnOneGrid, settings: Settings) -> list[Lesion]:
    """Put the PET-only regions side by side; one that the other reading gives to a lesion is its alone."""
    sides = (_Side(a, grids.a), _Side(b, grids.b))
    pairs = match_regions(grids.a, grids.b, distance_mm=settings.match_distance_mm)
    rows = []
    for pair in pairs:
        row = _shown_row("matched", sides[0].region(pair.a - 1), sides[1].region(pair.b - 1))
        row["matched_by"] = pair.matched_by
        row["centroid_distance_mm"] = pair.centroid_distance_mm
        row["dice"] = pair.dice
        rows.append(row)
    seen = ({pair.a - 1 for pair in pairs}, {pair.b - 1 for pair in pairs})
    rows += [
        _shown_row("only_a", sides[0].region(n), None)
        for n in range(len(sides[0].regions))
        if n not in seen[0]
    ]
    rows += [
        _shown_row("only_b", None, sides[1].region(n))
        for n in range(len(sides[1].regions))
        if n not in seen[1]
    ]
    return rows


def _row(kind: LesionKind, sides: Sequence[_Side], a: int | None, b: int | None) -> Lesion:
    return _shown_row(kind, sides[0].as_json(a), sides[1].as_json(b))


def _shown_row(kind: LesionKind, a: LesionOfReading | None, b: LesionOfReading | None) -> Lesion:
    return {
        "kind": kind,
        "a": a,
        "b": b,
        "part_of": None,
        "matched_by": None,
        "centroid_distance_mm": None,
        "dice": None,
        "volume_difference_ml": None,
        "surface_dice": None,
        "hd95_mm": None,
        "mean_surface_distance_mm": None,
    }


def _plans_differ(a: CaseResult, b: CaseResult) -> bool:
    """Tell whether two readings rest on different surgical plans, or one of them on none."""
    one, other = (None if r.decision is None else r.decision.chosen for r in (a, b))
    if one is None or other is None:
        return one is not other
    ours, others = one.regions, other.regions
    return not (
        ours.cut.same_as(others.cut)
        and ours.ablated.same_as(others.ablated)
        and dict(one.plan.outside_liver) == dict(other.plan.outside_liver)
    )


def _discordance(found: Discordance) -> DiscordanceOfPair:
    beside = "marking" if "plan" in found.differing else "plan"  # one stands in the place of the other
    named = [i for i in INGREDIENTS if i not in (beside, "row_moved")]
    return {
        "level": found.level,
        "attributed_to": found.attributed_to,
        "carried_by": [list(group) for group in found.carried_by],
        "differing": list(found.differing),
        "same": [i for i in named if i not in found.differing],
        "swaps": [
            {
                "ingredient": swap.ingredient,
                "a_with_that_of_b": taken(OutcomeOfReading, swap.a_with_that_of_b),
                "b_with_that_of_a": taken(OutcomeOfReading, swap.b_with_that_of_a),
            }
            for swap in found.swaps
        ],
    }
