"""From a case's masks and lesion rows to everything the rule needs, measured once."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.attribution import attribute, find_regions, without_lesions
from volstrat.rule.drawing import drawing_findings
from volstrat.rule.lesion_measures import measure_lesions
from volstrat.rule.lesions import covered_by, find_lesions
from volstrat.rule.markings import NO_WORD, cut_pieces, draw_markings, mark_pieces, pieces_without
from volstrat.rule.row_placing import PlacedRows, place_lesion_rows, place_region_rows
from volstrat.rule.table_words import NO_LESION, NOT_AVID, lesion_words, region_words
from volstrat.rule.tumour_voxels import TumourVoxels
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.wording import shown_ml, shown_names, shown_percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.image import Image
    from volstrat.geometry.mask import Mask
    from volstrat.rule.attribution import Attribution, AvidRegions
    from volstrat.rule.lesion_measures import LesionMeasures
    from volstrat.rule.lesions import Lesions, TumourEntry
    from volstrat.rule.markings import DrawnRuns, MarkedLesions, TumourPieces
    from volstrat.rule.table_words import LesionWords, RegionWords
    from volstrat.terms.avidity_rules import AvidityRule
    from volstrat.terms.findings import Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.protocol import Protocol


_Arrays = TypeVar("_Arrays", "LesionMeasures", "LesionWords")


@frozen(eq=False)
class Avid:
    """FDG-avid voxels on their own grid; an empty set was read and is empty."""

    voxels: VoxelRuns
    grid: VoxelGrid


@frozen(eq=False)
class CaseMasks:
    """What the rule is applied to."""

    grid: VoxelGrid  # of tumour and resectable voxels
    tumour: Sequence[TumourEntry]
    resectable: VoxelRuns | None = None
    avid: Avid | None = None  # as a reader drew it; None where no avid mask was given
    # pet_field, avid_field: the field that PET covers (of the PET image, else of a dense avid mask), and that
    # of a dense avid mask
    pet_field: VoxelGrid | None = None
    avid_field: VoxelGrid | None = None
    # the images in which tumour could be drawn, as far as they are known
    tumour_fields: tuple[VoxelGrid, ...] = ()
    suv: Image | None = None  # SUVbw; None where there is no PET image or it cannot be had as SUV
    sul_factor: float | None = None  # SUL over SUVbw
    # reference, liver: where an avidity rule finds its reference region
    reference: Mask | None = None
    liver: Mask | None = None
    rows: Sequence[LesionRow] = ()


@frozen(eq=False)
class Measurements:
    """All that is measured on a case; the rule needs nothing else."""

    masks: CaseMasks
    lesions: Lesions
    measures: LesionMeasures
    pieces: TumourPieces  # of all lesions; ``marked.pieces`` leaves out those that are no tumour
    marked: MarkedLesions
    # base, attribution: to all lesions, and to those that are tumour. None where there is neither an avid
    # mask nor a rule that could be carried out.
    base: Attribution | None
    attribution: Attribution | None
    # (lesions,): True where the PET field holds every voxel centre of the lesion, and that of a dense avid
    # mask too where the mask decides, and the rule, if one is in force, could judge it; all False without a
    # field
    covered: Bools
    # ``base`` and ``covered`` by each rule of ``avidity.also_check`` that could be carried out
    alternatives: tuple[tuple[AvidityRule, Attribution, Bools], ...]
    rows: Mapping[str, LesionRow]  # by the id that lesion or region has now; a row's own may be another
    # words, region_words: what ``rows`` say, as arrays: this is what the rule reads
    words: LesionWords
    region_words: RegionWords
    # lesion_findings, mark_findings: what telling lesions and avid disease apart brought up, and what marking
    # them did
    lesion_findings: tuple[Finding, ...]
    mark_findings: tuple[Finding, ...]

    def points(self) -> dict[str, tuple[float, float, float]]:
        """Return a point in each lesion and PET-only region, LPS mm, by id: table rows are found by it."""
        points = list(zip(self.lesions.ids, self.measures.point_mm.tolist(), strict=True))
        if self.attribution is not None and self.attribution.pet_only.count:
            regions = self.attribution.pet_only.measures.point_mm.tolist()
            points += [(f"P{n}", point) for n, point in enumerate(regions, start=1)]
        return {lesion_id: (x, y, z) for lesion_id, (x, y, z) in points}


def measure_case(masks: CaseMasks, protocol: Protocol) -> Measurements:
    """Measure a case.

    Raises LesionTableError if a row of the table cannot be placed, or two of them say different things of one
    lesion.
    """
    lesions, findings = find_lesions(masks.tumour, masks.grid, protocol)
    rules = _avid_by_rule(masks, lesions, protocol)
    pieces = cut_pieces(lesions, draw_markings(lesions, masks.resectable), protocol)
    found = [attribute_avid(lesions, pieces, rule.avid, protocol) for rule in rules]
    measures, base, covered = measure_lesions(lesions), found[0], rules[0].covered
    bare = replace(
        assemble(masks, lesions, measures, pieces, base=base, covered=covered, placed=PlacedRows()),
        alternatives=tuple(
            (rule.rule, attribution, rule.covered)
            for rule, attribution in zip(rules[1:], found[1:], strict=True)
            if attribution is not None
        ),
        lesion_findings=(
            *findings,
            *drawing_findings(masks.tumour, lesions, masks.resectable),
            *rules[0].findings,
            *(finding for other in rules[1:] if other.avid is None for finding in other.findings),
        ),
    )
    return _marked(bare, masks.rows)


def assemble(
    masks: CaseMasks,
    lesions: Lesions,
    measures: LesionMeasures,
    pieces: TumourPieces,
    *,
    base: Attribution | None,
    covered: Bools,
    placed: PlacedRows,
) -> Measurements:
    """Put together what was measured, marked by rows that have their place: what the rule is applied to."""
    words = lesion_words(placed.lesions, lesions.count)
    attribution = _of_tumour(lesions, pieces, base, words)
    return Measurements(
        masks=masks,
        lesions=lesions,
        measures=measures,
        pieces=pieces,
        marked=mark_pieces(pieces, words.marking, words.not_tumour),
        base=base,
        attribution=attribution,
        covered=covered,
        alternatives=(),
        rows=placed.by_id(lesions),
        words=words,
        region_words=region_words(placed.regions, placed.owners, _regions_of(attribution)),
        lesion_findings=(),
        mark_findings=(),
    )


def remark_case(measured: Measurements, rows: Mapping[str, LesionRow]) -> Measurements:
    """Return the case with another lesion table; what was measured on images is kept.

    ``rows`` is the whole table; what a row is about, its point, segment and id say, not its key.

    Raises LesionTableError if a row cannot be placed, or two of them say different things of one lesion.
    """
    return _marked(measured, list(rows.values()))


def _marked(measured: Measurements, table: Sequence[LesionRow]) -> Measurements:
    """Place a table's rows and mark the case by them."""
    placed = place_lesion_rows(table, measured.lesions)
    words = lesion_words(placed.lesions, measured.lesions.count)
    attribution = _of_tumour(measured.lesions, measured.pieces, measured.base, words)
    placed = place_region_rows(table, measured.lesions, placed, attribution)
    marked = mark_pieces(measured.pieces, words.marking, words.not_tumour)
    rows = placed.by_id(measured.lesions)
    marks = _mark_findings(measured.masks, measured.lesions, marked, rows)
    return replace(
        measured,
        marked=marked,
        attribution=attribution,
        rows=rows,
        words=words,
        region_words=region_words(placed.regions, placed.owners, _regions_of(attribution)),
        mark_findings=(*placed.findings, *marks),
    )


def _regions_of(attribution: Attribution | None) -> int:
    """Count the PET-only regions."""
    return 0 if attribution is None else attribution.pet_only.count


def redraw_case(
    measured: Measurements, drawn: DrawnRuns, rows: Mapping[str, LesionRow], protocol: Protocol
) -> Measurements:
    """Return the case with other markings drawn, and another table; what was measured on images is kept.

    ``drawn`` is all runs of all lesions; ``rows`` is the whole table, which stands over what is drawn.
    """
    lesions = measured.lesions
    pieces = cut_pieces(lesions, drawn, protocol)

    def again(attribution: Attribution) -> Attribution:
        if attribution.stands_for(pieces):
            return attribution
        return _attributed(lesions, pieces, attribution.regions, attribution.grid, protocol)

    redrawn = replace(
        measured,
        masks=replace(measured.masks, resectable=None),
        pieces=pieces,
        base=None if measured.base is None else again(measured.base),
        alternatives=tuple((rule, again(other), covered) for rule, other, covered in measured.alternatives),
    )
    return remark_case(redrawn, rows)


def with_words(
    measured: Measurements, words: LesionWords, regions: RegionWords | None = None
) -> Measurements:
    """Return the case with other words for the same tumour; its rows and findings stay behind."""
    marked = mark_pieces(measured.pieces, words.marking, words.not_tumour)
    return replace(measured, words=words, region_words=regions or measured.region_words, marked=marked)


def with_attribution(
    measured: Measurements, base: Attribution, covered: Bools, regions: RegionWords | None = None
) -> Measurements:
    """Return the case with other avid disease; rows of PET-only regions count where they fit one.

    ``base`` is to all lesions; ``regions`` stands in place of what the rows say.
    """
    attribution = _of_tumour(measured.lesions, measured.pieces, base, measured.words)
    assert attribution is not None
    if regions is None:
        rows = measured.rows.values()
        places = {i: n for n, i in enumerate(measured.lesions.ids)}
        lesions = {places[i]: row for i, row in measured.rows.items() if i in places}
        of_lesions = PlacedRows(lesions=lesions)
        placed = place_region_rows(rows, measured.lesions, of_lesions, attribution, strict=False)
        regions = region_words(placed.regions, placed.owners, attribution.pet_only.count)
    return replace(measured, base=base, attribution=attribution, covered=covered, region_words=regions)


def attribute_avid(
    lesions: Lesions, pieces: TumourPieces, avid: Avid | None, protocol: Protocol
) -> Attribution | None:
    """Attribute avid voxels to lesions; None where there are none to attribute."""
    if avid is None:
        return None
    return _attributed(lesions, pieces, find_regions(avid.voxels, avid.grid), avid.grid, protocol)


def _attributed(
    lesions: Lesions, pieces: TumourPieces, regions: AvidRegions, grid: VoxelGrid, protocol: Protocol
) -> Attribution:
    tumour = TumourVoxels(lesions.grid, pieces)
    return attribute(tumour, regions, grid, distance_mm=protocol.attribution_distance_mm)


def _of_tumour(
    lesions: Lesions, pieces: TumourPieces, base: Attribution | None, words: LesionWords
) -> Attribution | None:
    """Return the attribution without the lesions that are no tumour."""
    if base is None or not words.not_tumour.any():
        return base
    tumour = TumourVoxels(lesions.grid, pieces_without(pieces, words.not_tumour))
    return without_lesions(base, tumour, not_tumour=words.not_tumour, not_avid=words.avidity == NOT_AVID)


def avid_disease(masks: CaseMasks, lesions: Lesions, protocol: Protocol) -> tuple[Avid | None, Bools]:
    """Return what is FDG-avid, by the drawn mask or the protocol's rule, and which lesions PET covers.

    ``lesions`` lie on the grid of ``masks``, and need not be of its own tumour. Nothing is avid (None) where
    there is no mask, or the rule could not be carried out; what is covered is as in `Measurements`.
    """
    alone = replace(protocol, avidity=replace(protocol.avidity, also_check=()))
    in_force = _avid_by_rule(masks, lesions, alone)[0]
    return in_force.avid, in_force.covered


@frozen(eq=False)
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
    outcomes = []
    for rule in rules:
        if not rule.needs_suv:
            drawn = covered if masks.avid_field is None else covered & covered_by(lesions, masks.avid_field)
            outcomes.append(_ByRule(rule=rule, avid=masks.avid, covered=drawn))
        elif rule not in results or masks.suv is None:
            outcomes.append(
                _ByRule(rule=rule, avid=None, covered=covered, findings=_without_suv(rule, protocol))
            )
        else:
            result = results[rule]
            judged = covered.copy()
            judged[[x.label - 1 for x in result.lesions if x.detected is None]] = False
            avid = None if result.avid is None else Avid(voxels=result.avid, grid=masks.suv.grid)
            outcomes.append(_ByRule(rule=rule, avid=avid, covered=judged, findings=result.findings))
    return outcomes


def _without_suv(rule: AvidityRule, protocol: Protocol) -> tuple[Finding, ...]:
    """Say that a rule to check against was not carried out; `pet_missing` says it of the one in force."""
    if rule is protocol.avidity:
        return ()
    from volstrat.pet.avidity import not_evaluated

    return not_evaluated(rule, "there is no PET image with SUV values").findings


def _mark_findings(
    masks: CaseMasks, lesions: Lesions, marked: MarkedLesions, rows: Mapping[str, LesionRow]
) -> list[Finding]:
    findings = []
    if masks.resectable is not None:
        tumour = lesions.voxels()
        inside = int(masks.resectable.counts_in(tumour.starts, tumour.stops).sum())
        outside = masks.resectable.count - inside
        if outside:
            volume = shown_ml(outside * masks.grid.voxel_ml)
            findings.append(finding("resectable_outside_tumour", where="resectable", volume=volume))
        marked_by_table = [i for i in lesions.ids if i in rows and rows[i].resectability is not None]
        if marked_by_table:
            findings.append(finding("table_over_mask", where="lesions", lesions=shown_names(marked_by_table)))
    for n in np.flatnonzero((marked.codes == NO_WORD) & ~marked.not_tumour).tolist():
        findings.append(_in_parts(lesions.ids[n], marked.own_voxels[n]))
    return findings


def _in_parts(lesion_id: str, voxels: Int64s) -> Finding:
    """Say of which parts a lesion without one marking consists."""
    share = (100 * voxels / voxels.sum()).tolist()
    words = {m.word: shown_percent(share[m]) for m in reversed(Marking) if share[m]}
    if list(words) == [Marking.RESECTABLE.word, Marking.UNRESECTABLE.word]:
        percent = words[Marking.RESECTABLE.word]
        return finding("partly_resectable_lesion", "area", where=lesion_id, lesion=lesion_id, percent=percent)
    shares = ", ".join(f"{percent} % {word}" for word, percent in words.items())
    return finding("partly_resectable_lesion", "parts", where=lesion_id, lesion=lesion_id, shares=shares)


def tumour_only(measured: Measurements) -> Measurements:
    """Return the case as if the lesions that are no tumour had not been drawn.

    Their uptake stays what the table makes of it: PET-only regions. Lesions keep their ids.
    """
    left_out = measured.words.not_tumour
    if not left_out.any():
        return measured
    kept = np.flatnonzero(~left_out)
    number = np.full(left_out.size, -1, dtype=np.int64)
    number[kept] = np.arange(kept.size)
    lesions, words = measured.lesions, measured.words
    runs = ~left_out[lesions.lesion]
    pieces = pieces_without(measured.pieces, left_out)
    pieces = replace(
        pieces,
        lesion=number[pieces.lesion],
        pair_lesion=number[pieces.pair_lesion],
        drawn_voxels=pieces.drawn_voxels[kept],
        drawn=pieces.drawn[kept],
    )
    words = _those(words, kept)
    regions = measured.region_words
    owned = regions.belongs_to != NO_LESION
    belongs_to = np.where(owned, number[regions.belongs_to], NO_LESION)
    attribution = None if measured.attribution is None else _renumbered(measured.attribution, number)
    gone = {lesions.ids[n] for n in np.flatnonzero(left_out).tolist()}
    return replace(
        measured,
        lesions=replace(
            lesions,
            ids=tuple(lesions.ids[n] for n in kept.tolist()),
            starts=lesions.starts[runs],
            stops=lesions.stops[runs],
            lesion=number[lesions.lesion[runs]],
            names=tuple(lesions.names[n] for n in kept.tolist()),
            by_size=tuple(lesions.by_size[n] for n in kept.tolist()),
        ),
        measures=_those(measured.measures, kept),
        pieces=pieces,
        marked=mark_pieces(pieces, words.marking, words.not_tumour),
        base=attribution,
        attribution=attribution,
        covered=measured.covered[kept],
        alternatives=(),
        rows={i: row for i, row in measured.rows.items() if i not in gone},
        words=words,
        region_words=replace(regions, belongs_to=belongs_to),
    )


def _those(value: _Arrays, kept: Int64s) -> _Arrays:
    """Return what is said of some lesions, of arrays by lesion."""
    return replace(value, **{one.name: getattr(value, one.name)[kept] for one in fields(value)})


def _renumbered(attribution: Attribution, number: Int64s) -> Attribution:
    """Return an attribution to tumour alone by the lesions' new positions."""
    groups = attribution.groups
    return replace(
        attribution,
        groups=replace(groups, pair_lesion=number[groups.pair_lesion]),
        pet_only=attribution.pet_only.renumbered(number),
    )
