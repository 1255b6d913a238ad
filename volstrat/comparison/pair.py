"""Two readings of one subject: voxels, surfaces, lesions, markings, and what carries a difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from volstrat.agreement.discordance import (
    INGREDIENTS,
    Discordance,
    Reading,
    TwoReadings,
    same_rule,
    voxels_not_alike,
)
from volstrat.agreement.matching import (
    LesionMatching,
    LesionPair,
    match_readings,
    match_regions,
    moved_row_findings,
    moved_rows,
)
from volstrat.agreement.overlap import compare_masks
from volstrat.case.inputs import read_inputs
from volstrat.case.json_types import taken
from volstrat.case.record import finding_record
from volstrat.comparison.agreement_types import (
    DiscordanceOfPair,
    Lesion,
    LesionKind,
    LesionOfReading,
    MaskAgreement,
    NotCompared,
    OutcomeOfReading,
    Pair,
    PairOutcome,
    ResectableAgreement,
)
from volstrat.comparison.grids import OnOneGrid, check_one_image, on_one_grid
from volstrat.errors import DifferentImageError, GridMismatchError, VolstratError
from volstrat.geometry.runs import VoxelRuns
from volstrat.rule.measure import measure_case, tumour_only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.agreement.overlap import MaskAgreement as ComparedMasks
    from volstrat.case.assess import CaseResult
    from volstrat.case.protocol_files import LoadedProtocol

_NO_PET = "Avid disease was read in one reading alone, or in neither."
_PET_GRIDS = "The avid masks lie on different grids."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a comparison is made with.

    The tolerance is that of the surface Dice. Lesions without overlap match where their centroids are no
    farther apart than ``match_distance_mm``. ``resample``: a reading whose grid differs is put onto the first
    one's.
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
    """Compare two readings of one subject, as in ``agreement.json``.

    Readings that cannot be compared have an outcome that says so, and a reason.
    """
    protocols = (a.protocol.protocol, b.protocol.protocol)
    results = (a.result, b.result)
    try:
        check_one_image(*results)
        grids = on_one_grid(*results, names=(a.name, b.name), protocols=protocols, resample=settings.resample)
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
    grid = grids.a.lesions.grid
    tumour = [measured.lesions.voxels() for measured in (grids.a, grids.b)]
    compared = compare_masks(tumour[0], tumour[1], grid, tolerance_mm=settings.surface_tolerance_mm)
    return {
        "a": a.name,
        "b": b.name,
        "outcome": "compared",
        "reason": "",
        "tumour": taken(MaskAgreement, compared),
        "resectable": _overlap(
            grids.a.marked.voxels_marked(*protocols[0].counted),
            grids.b.marked.voxels_marked(*protocols[1].counted),
            grid.voxel_ml,
        ),
        "fdg_avid": _avid_agreement(grids, settings),
        "lesions": _lesions(results, grids, matching, settings),
        "pet_only_regions": _regions(results, settings),
        "detection": {
            "matched": len(matching.pairs),
            "only_a": len(matching.only_in_a),
            "only_b": len(matching.only_in_b),
            "split": sum(group.kind == "split" for group in matching.groups),
            "merged": sum(group.kind == "merged" for group in matching.groups),
            "f1": matching.detection_f1,
        },
        "not_alike_ml": apart.count * grid.voxel_ml,
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
    sides = []
    for one, another, measured, move in zip((a, b), (b, a), (grids.a, grids.b), grids.moves, strict=True):
        protocol, other = one.protocol.protocol, another.protocol.protocol
        foreign = measured
        if not same_rule(protocol, other):
            if one.result.decision is not None:
                return "Readings with surgical plans are taken apart under one protocol only."
            rule = replace(other, avidity=protocol.avidity)
            of_masks = [(p.tumour_scope, p.geometry_tolerance_mm) for p in (protocol, other)]
            try:
                masks = measured.masks
                if of_masks[0] != of_masks[1]:
                    masks = move(read_inputs(one.result.sources, rule).masks)
                foreign = tumour_only(measure_case(masks, rule))
            except VolstratError as error:
                return f"Reading {one.name} cannot be measured by the protocol of the other: {error}"
        sides.append(Reading(protocol=protocol, measured=measured, under_other=foreign))
    differ = _plans_differ(a.result, b.result)
    return TwoReadings(*sides, distance_mm=settings.match_distance_mm, plans_differ=differ)


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


def _avid_agreement(grids: OnOneGrid, settings: Settings) -> MaskAgreement | NotCompared:
    """Compare avid voxels on the PET grid; a drawn mask or the rule's, whichever is in force."""
    one, other = grids.a.attribution, grids.b.attribution
    if one is None or other is None:
        return {"outcome": "not_compared", "reason": _NO_PET, "dice": None}
    if one.grid.shape != other.grid.shape or one.grid.corner_displacement_mm(other.grid) > 1e-3:
        return {"outcome": "not_compared", "reason": _PET_GRIDS, "dice": None}
    found = compare_masks(
        one.regions.avid, other.regions.avid, one.grid, tolerance_mm=settings.surface_tolerance_mm
    )
    return taken(MaskAgreement, found)


def _lesions(
    results: tuple[CaseResult, CaseResult], grids: OnOneGrid, matching: LesionMatching, settings: Settings
) -> list[Lesion]:
    """Put the lesions side by side: pairs, then what is part of another, then what one alone has."""
    lesions = (grids.a.lesions, grids.b.lesions)
    a, b = (_by_label(r.record["lesions"], one.ids) for r, one in zip(results, lesions, strict=True))
    rows = []
    for pair in matching.pairs:
        masks = compare_masks(
            lesions[0].of(pair.a - 1),
            lesions[1].of(pair.b - 1),
            lesions[0].grid,
            tolerance_mm=settings.surface_tolerance_mm,
        )
        rows.append(_row("matched", a[pair.a], b[pair.b], pair=pair, masks=masks))
    paired = {(pair.a, pair.b) for pair in matching.pairs}
    for group in matching.groups:
        for part in group.parts:
            if group.kind == "split" and (group.whole, part) not in paired:
                rows.append(_row("part", None, b[part], part_of=a[group.whole]["lesion_id"]))
            elif group.kind == "merged" and (part, group.whole) not in paired:
                rows.append(_row("part", a[part], None, part_of=b[group.whole]["lesion_id"]))
    rows += [_row("only_a", a[label], None) for label in matching.only_in_a]
    rows += [_row("only_b", None, b[label]) for label in matching.only_in_b]
    return rows


def _regions(results: tuple[CaseResult, CaseResult], settings: Settings) -> list[Lesion]:
    """Put the PET-only regions side by side; one that the other reading gives to a lesion is its alone.

    They are those of the readings as measured: a lesion that resampling loses leaves its uptake behind.
    """
    records = [result.record["pet_only_regions"] for result in results]
    a, b = (_by_label(rows, [row["lesion_id"] for row in rows]) for rows in records)
    one, other = (result.measured for result in results)
    pairs = match_regions(one, other, distance_mm=settings.match_distance_mm)
    in_a, in_b = {pair.a for pair in pairs}, {pair.b for pair in pairs}
    return [
        *(_row("matched", a[pair.a], b[pair.b], pair=pair) for pair in pairs),
        *(_row("only_a", a[label], None) for label in a if label not in in_a),
        *(_row("only_b", None, b[label]) for label in b if label not in in_b),
    ]


def _by_label(records: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> dict[int, LesionOfReading]:
    """Return what a record says of lesions or regions with these ids, by label: position plus one."""
    by_id = {record["lesion_id"]: record for record in records}
    shown = [{key: by_id[name][key] for key in LesionOfReading.__annotations__} for name in ids]
    return dict(enumerate(cast("list[LesionOfReading]", shown), start=1))


def _row(
    kind: LesionKind,
    a: LesionOfReading | None,
    b: LesionOfReading | None,
    *,
    part_of: str | None = None,
    pair: LesionPair | None = None,
    masks: ComparedMasks | None = None,
) -> Lesion:
    return {
        "kind": kind,
        "a": a,
        "b": b,
        "part_of": part_of,
        "matched_by": None if pair is None else pair.matched_by,
        "centroid_distance_mm": None if pair is None else pair.centroid_distance_mm,
        "dice": None if pair is None else pair.dice,
        "volume_difference_ml": None if masks is None else masks.volume_difference_ml,
        "surface_dice": None if masks is None else masks.surface_dice,
        "hd95_mm": None if masks is None else masks.hd95_mm,
        "mean_surface_distance_mm": None if masks is None else masks.mean_surface_distance_mm,
    }


def _plans_differ(a: CaseResult, b: CaseResult) -> bool:
    """Tell whether two readings rest on different surgical plans, or one of them on none."""
    one, other = (None if r.decision is None else r.decision.chosen for r in (a, b))
    if one is None or other is None:
        return one is not other
    return not (
        one.regions.cut.same_as(other.regions.cut)
        and one.regions.ablated.same_as(other.regions.ablated)
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
