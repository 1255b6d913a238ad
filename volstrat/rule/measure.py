"""From a case's masks and lesion rows to everything the rule needs, measured once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import LesionTableError
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.attribution import attribute
from volstrat.rule.lesions import find_lesions, measure_lesions
from volstrat.rule.markings import NO_WORD, cut_pieces, draw_markings, mark_pieces
from volstrat.rule.table_words import words_of
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.wording import shown_names, shown_percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.geometry.mask import Mask
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.lesions import LesionMeasures, Lesions, TumourEntry
    from volstrat.rule.markings import DrawnRuns, MarkedLesions, TumourPieces
    from volstrat.rule.table_words import TableWords
    from volstrat.terms.avidity_rules import AvidityRule
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.protocol import Protocol

    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Avid:
    """FDG-avid voxels on their own grid; an empty set was read and is empty."""

    voxels: VoxelRuns
    grid: VoxelGrid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseMasks:
    """What the rule is applied to.

    Parameters
    ----------
    grid : VoxelGrid
        Of tumour and resectable voxels.
    tumour : sequence of TumourEntry
    resectable : VoxelRuns or None
    avid : Avid or None
        As a reader drew it; None where no avid mask was given.
    pet_field, avid_field : VoxelGrid or None
        The field that PET covers (of the PET image, else of a dense avid mask), and that of a dense avid
        mask.
    tumour_fields : tuple of VoxelGrid
        The images in which tumour could be drawn, as far as they are known.
    suv : Image or None
        SUVbw; None where there is no PET image or it cannot be had as SUV.
    sul_factor : float or None
        SUL over SUVbw.
    reference, liver : Mask or None
        Where an avidity rule finds its reference region.
    rows : sequence of LesionRow
    """

    grid: VoxelGrid
    tumour: Sequence[TumourEntry]
    resectable: VoxelRuns | None = None
    avid: Avid | None = None
    pet_field: VoxelGrid | None = None
    avid_field: VoxelGrid | None = None
    tumour_fields: tuple[VoxelGrid, ...] = ()
    suv: Image | None = None
    sul_factor: float | None = None
    reference: Mask | None = None
    liver: Mask | None = None
    rows: Sequence[LesionRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurements:
    """All that is measured on a case; the rule needs nothing else.

    Parameters
    ----------
    masks : CaseMasks
    lesions, measures, marked : Lesions, LesionMeasures, MarkedLesions
    attribution : Attribution or None
        None where there is neither an avid mask nor a rule that could be carried out.
    covered : array of bool, (lesions,)
        True where the PET field holds every voxel centre of the lesion, and that of a dense avid mask too
        where the mask decides, and the rule, if one is in force, could judge it; all False without a field.
    alternatives : tuple of (AvidityRule, Attribution, covered)
        The same two for each rule of the protocol's ``avidity.also_check`` that could be carried out.
    rows : mapping of lesion or region id to LesionRow
    words : TableWords
        What ``rows`` say, as arrays: this is what the rule reads.
    lesion_findings, mark_findings : tuple of Finding
        What telling lesions and avid disease apart brought up, and what marking them did.
    """

    masks: CaseMasks
    lesions: Lesions
    measures: LesionMeasures
    marked: MarkedLesions
    attribution: Attribution | None
    covered: Bools
    alternatives: tuple[tuple[AvidityRule, Attribution, Bools], ...]
    rows: Mapping[str, LesionRow]
    words: TableWords
    lesion_findings: tuple[Finding, ...]
    mark_findings: tuple[Finding, ...]


def measure_case(masks: CaseMasks, protocol: Protocol) -> Measurements:
    """Measure a case.

    Raises
    ------
    LesionTableError
        If a row names a lesion or region that does not exist, twice, or at a point outside it.
    """
    lesions, findings = find_lesions(masks.tumour, masks.grid, protocol)
    rules = _avid_by_rule(masks, lesions, protocol)
    pieces = cut_pieces(lesions, draw_markings(lesions, masks.resectable), protocol)
    attributions = [attribute_avid(lesions, pieces, rule.avid, protocol) for rule in rules]
    rows = _by_id(masks.rows)
    for row in rows.values():
        _check_row(row, lesions, attributions[0])
    measured = assemble(
        masks,
        lesions,
        measure_lesions(lesions),
        pieces,
        attribution=attributions[0],
        covered=rules[0].covered,
        rows=rows,
    )
    return replace(
        measured,
        alternatives=tuple(
            (rule.rule, attribution, rule.covered)
            for rule, attribution in zip(rules[1:], attributions[1:], strict=True)
            if attribution is not None
        ),
        lesion_findings=(
            *findings,
            *rules[0].findings,
            *(finding for other in rules[1:] if other.avid is None for finding in other.findings),
        ),
        mark_findings=tuple(_mark_findings(masks, lesions, measured.marked, rows)),
    )


def assemble(
    masks: CaseMasks,
    lesions: Lesions,
    measures: LesionMeasures,
    pieces: TumourPieces,
    *,
    attribution: Attribution | None,
    covered: Bools,
    rows: Mapping[str, LesionRow],
) -> Measurements:
    """Put together what was measured, marked by ``rows``: what the rule is applied to."""
    regions = 0 if attribution is None else attribution.pet_only_count
    words = words_of(rows, lesions.ids, regions)
    return Measurements(
        masks=masks,
        lesions=lesions,
        measures=measures,
        marked=mark_pieces(pieces, words.marking),
        attribution=attribution,
        covered=covered,
        alternatives=(),
        rows=rows,
        words=words,
        lesion_findings=(),
        mark_findings=(),
    )


def remark_case(measured: Measurements, rows: Mapping[str, LesionRow]) -> Measurements:
    """Return the case with another lesion table; what was measured on images is kept.

    Parameters
    ----------
    rows : mapping of lesion or region id to LesionRow
        The whole table.

    Raises
    ------
    LesionTableError
        If a row names a lesion or region that does not exist, or a point outside it.
    """
    for lesion_id, row in rows.items():
        if measured.rows.get(lesion_id) != row:
            _check_row(row, measured.lesions, measured.attribution)
    regions = 0 if measured.attribution is None else measured.attribution.pet_only_count
    again = with_words(replace(measured, rows=rows), words_of(rows, measured.lesions.ids, regions))
    return replace(
        again, mark_findings=tuple(_mark_findings(measured.masks, measured.lesions, again.marked, rows))
    )


def redraw_case(
    measured: Measurements, drawn: DrawnRuns, rows: Mapping[str, LesionRow], protocol: Protocol
) -> Measurements:
    """Return the case with other markings drawn, and another table; what was measured on images is kept.

    Parameters
    ----------
    measured : Measurements
    drawn : tuple of arrays
        All runs of all lesions, each with one marking.
    rows : mapping of lesion or region id to LesionRow
        The whole table; it stands over what is drawn.
    protocol : Protocol
    """
    lesions = measured.lesions
    pieces = cut_pieces(lesions, drawn, protocol)

    def again(attribution: Attribution) -> Attribution:
        if attribution.stands_for(pieces):
            return attribution
        avid = Avid(voxels=attribution.avid, grid=attribution.grid)
        attributed = attribute_avid(lesions, pieces, avid, protocol)
        assert attributed is not None
        return attributed

    redrawn = assemble(
        replace(measured.masks, resectable=None),
        lesions,
        measured.measures,
        pieces,
        attribution=None if measured.attribution is None else again(measured.attribution),
        covered=measured.covered,
        rows=rows,
    )
    return replace(
        redrawn,
        alternatives=tuple((rule, again(other), covered) for rule, other, covered in measured.alternatives),
        lesion_findings=measured.lesion_findings,
        mark_findings=tuple(_mark_findings(redrawn.masks, lesions, redrawn.marked, rows)),
    )


def with_words(measured: Measurements, words: TableWords) -> Measurements:
    """Return the case with other words in its table; its rows and findings stay behind."""
    return replace(measured, words=words, marked=mark_pieces(measured.marked.pieces, words.marking))


def with_attribution(measured: Measurements, attribution: Attribution, covered: Bools) -> Measurements:
    """Return the case with other avid disease, of which the table says the same by name."""
    words = words_of(measured.rows, measured.lesions.ids, attribution.pet_only_count)
    return replace(measured, attribution=attribution, covered=covered, words=words)


def attribute_avid(
    lesions: Lesions, pieces: TumourPieces, avid: Avid | None, protocol: Protocol
) -> Attribution | None:
    """Attribute avid voxels to lesions; None where there are none to attribute."""
    if avid is None:
        return None
    distance_mm = protocol.attribution_distance_mm
    return attribute(lesions, pieces, avid=avid.voxels, avid_grid=avid.grid, distance_mm=distance_mm)


def avid_disease(masks: CaseMasks, lesions: Lesions, protocol: Protocol) -> tuple[Avid | None, Bools]:
    """Return what is FDG-avid, by the drawn mask or the protocol's rule, and which lesions PET covers.

    Parameters
    ----------
    masks : CaseMasks
        Whose PET, avid mask and reference region count.
    lesions : Lesions
        On the grid of ``masks``; not necessarily of its own tumour masks.
    protocol : Protocol

    Returns
    -------
    Avid or None
        None where there is no mask, or the rule could not be carried out.
    array of bool, (lesions,)
        As `Measurements.covered`.
    """
    alone = replace(protocol, avidity=replace(protocol.avidity, also_check=()))
    told = _avid_by_rule(masks, lesions, alone)[0]
    return told.avid, told.covered


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ByRule:
    """What one avidity rule calls avid, and which lesions it could judge."""

    rule: AvidityRule
    avid: Avid | None
    covered: Bools
    findings: tuple[Finding, ...] = ()


def _avid_by_rule(masks: CaseMasks, lesions: Lesions, protocol: Protocol) -> list[_ByRule]:
    """Carry out the protocol's rule and those it is checked against, in that order."""
    covered = covered_by(lesions, masks.pet_field)
    rules: tuple[AvidityRule, ...] = (protocol.avidity, *protocol.avidity.also_check)
    on_suv = [rule for rule in rules if rule.needs_suv] if masks.suv is not None else []
    results = {}
    if on_suv and masks.suv is not None:
        from volstrat.pet.avidity import AvidityInputs, evaluate_rules  # most cases do without

        inputs = AvidityInputs(
            suv=masks.suv,
            tumour=LabelRuns(lesions.starts, lesions.stops, lesions.lesion + 1),
            ct_grid=lesions.grid,
            lesion_ids={n + 1: lesion_id for n, lesion_id in enumerate(lesions.ids)},
            sul_factor=masks.sul_factor,
            reference=masks.reference,
            liver=masks.liver,
        )
        results = dict(zip(on_suv, evaluate_rules(on_suv, inputs), strict=True))
    told = []
    for rule in rules:
        if not rule.needs_suv:
            drawn = covered if masks.avid_field is None else covered & covered_by(lesions, masks.avid_field)
            told.append(_ByRule(rule=rule, avid=masks.avid, covered=drawn))
        elif rule not in results or masks.suv is None:
            told.append(_ByRule(rule=rule, avid=None, covered=covered, findings=_without_suv(rule, protocol)))
        else:
            result = results[rule]
            judged = covered.copy()
            judged[[x.label - 1 for x in result.lesions if x.detected is None]] = False
            avid = None if result.avid is None else Avid(voxels=result.avid, grid=masks.suv.grid)
            told.append(_ByRule(rule=rule, avid=avid, covered=judged, findings=result.findings))
    return told


def _without_suv(rule: AvidityRule, protocol: Protocol) -> tuple[Finding, ...]:
    """Say that a rule to check against was not carried out; `pet_missing` says it of the one in force."""
    if rule is protocol.avidity:
        return ()
    from volstrat.pet.avidity import not_evaluated

    return not_evaluated(rule, "there is no PET image with SUV values").findings


def _by_id(rows: Sequence[LesionRow]) -> dict[str, LesionRow]:
    found: dict[str, LesionRow] = {}
    for row in rows:
        if row.lesion_id in found:
            msg = f"{row.where}: {row.lesion_id} has a second row (the first: {found[row.lesion_id].where})."
            raise LesionTableError(msg, hint="Keep one row a lesion.")
        found[row.lesion_id] = row
    return found


def _check_row(row: LesionRow, lesions: Lesions, attribution: Attribution | None) -> None:
    regions = tuple(f"P{n + 1}" for n in range(attribution.pet_only_count)) if attribution else ()
    if row.lesion_id not in lesions.ids and row.lesion_id not in regions:
        known = [*_shown(lesions.ids), *_shown(regions)]
        there = ", ".join(known) or "none"
        msg = f"{row.where}: {row.lesion_id!r} does not exist in this case; there are {there}."
        raise LesionTableError(msg, hint="Correct the id, or remove the row.")
    if row.point_mm is None:
        return
    if row.lesion_id in lesions.ids:
        hit = _holds_point(lesions.of(lesions.ids.index(row.lesion_id)), lesions.grid, row.point_mm)
    else:
        assert attribution is not None
        hit = _region_holds_point(attribution, regions.index(row.lesion_id), row.point_mm)
    if not hit:
        x, y, z = row.point_mm
        msg = f"{row.where}: the point ({x:g}, {y:g}, {z:g}) mm (LPS) does not lie in {row.lesion_id}."
        raise LesionTableError(
            msg, hint="The masks may have changed since the row was written; mark it again."
        )


def _shown(ids: Sequence[str]) -> list[str]:
    return list(ids) if len(ids) <= 8 else [*ids[:3], "...", ids[-1]]


def _voxels_near(grid: VoxelGrid, point_mm: Sequence[float]) -> list[int]:
    """Voxels that hold a point, those included whose face it lies on (within 0.001 mm)."""
    index = grid.to_index(np.array(point_mm))
    slack = TIE_MM * np.sqrt((grid.inverse[:3, :3] ** 2).sum(axis=1))
    sides = [
        {int(np.floor(c + 0.5 - s)), int(np.floor(c + 0.5 + s))} for c, s in zip(index, slack, strict=True)
    ]
    inside = [v for v in product(*sides) if all(0 <= a < n for a, n in zip(v, grid.shape, strict=True))]
    return [int(grid.ravel(np.array(v))) for v in inside]


def _holds_point(voxels: VoxelRuns, grid: VoxelGrid, point_mm: Sequence[float]) -> bool:
    near = _voxels_near(grid, point_mm)
    return bool(near) and bool(voxels.contains(np.array(near)).any())


def _region_holds_point(attribution: Attribution, rank: int, point_mm: Sequence[float]) -> bool:
    mine = attribution.voxels[attribution.pet_only[attribution.region] == rank]
    return any(linear in mine for linear in _voxels_near(attribution.grid, point_mm))


def covered_by(lesions: Lesions, field: VoxelGrid | None) -> Bools:
    """Tell which lesions lie wholly inside the field; a run's ends decide, for the field is convex."""
    covered = np.full(lesions.count, field is not None)
    if field is not None:
        for ends in (lesions.starts, lesions.stops - 1):
            index = field.to_index(lesions.grid.to_mm(lesions.grid.unravel(ends)))
            outside = field.voxel_at(index)[:, 0] < 0 if ends.size else np.empty(0, bool)
            covered[lesions.lesion[outside]] = False
    return covered


def _mark_findings(
    masks: CaseMasks, lesions: Lesions, marked: MarkedLesions, rows: Mapping[str, LesionRow]
) -> list[Finding]:
    findings = []
    if masks.resectable is not None:
        outside = masks.resectable.difference(lesions.voxels()).count
        if outside:
            volume_ml = outside * masks.grid.voxel_ml
            findings.append(finding("resectable_outside_tumour", where="resectable", volume_ml=volume_ml))
        marked_by_table = [i for i in lesions.ids if i in rows and rows[i].resectability is not None]
        if marked_by_table:
            findings.append(finding("table_over_mask", where="lesions", lesions=shown_names(marked_by_table)))
    for n, lesion_id in enumerate(lesions.ids):
        if marked.codes[n] == NO_WORD:
            findings.append(_in_parts(lesion_id, marked.own_voxels[n]))
    return findings


def _in_parts(lesion_id: str, voxels: NDArray[np.int64]) -> Finding:
    """Say of which parts a lesion without one marking consists."""
    share = (100 * voxels / voxels.sum()).tolist()
    words = {m.word: shown_percent(share[m]) for m in reversed(Marking) if share[m]}
    if list(words) == [Marking.RESECTABLE.word, Marking.UNRESECTABLE.word]:
        percent = words[Marking.RESECTABLE.word]
        return finding("partly_resectable_lesion", "area", where=lesion_id, lesion=lesion_id, percent=percent)
    shares = ", ".join(f"{percent} % {word}" for word, percent in words.items())
    return finding("partly_resectable_lesion", "parts", where=lesion_id, lesion=lesion_id, shares=shares)
