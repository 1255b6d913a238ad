"""How sure the verdict is: interval, boundary shift, flips, margin and the shortest way to the threshold.

Nothing here changes a verdict. All of it is deterministic and works on what was measured once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from volstrat.certainty.counting_error import (
    counting_error_percent,
    counting_findings,
    equivalent_diameter_mm,
    small_lesions,
)
from volstrat.certainty.flips import Flip, find_flips, open_choice_findings, stratum_without
from volstrat.certainty.pet_shift import PetShift, measure_pet_shift, pet_shift_findings
from volstrat.certainty.shortest_way import shortest_way
from volstrat.certainty.volume_error import FractionInterval, resectable_fraction_interval
from volstrat.frozen import frozen
from volstrat.geometry.boundary_shift import ShiftedVolumes
from volstrat.geometry.runs import LabelRuns
from volstrat.rule.measure import tumour_only
from volstrat.rule.stratify import (
    Stratum1Tally,
    exact_mm3,
    only_stratum,
    possible_strata,
    stratum_1_predicate,
)
from volstrat.rule.table_words import NOT_AVID
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking
from volstrat.terms.wording import shown_percent

if TYPE_CHECKING:
    from volstrat.certainty.verdict import CaseMemo
    from volstrat.geometry.array_types import Int64s
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.findings import Finding
    from volstrat.terms.outcomes import Stratum
    from volstrat.terms.protocol import Protocol


@frozen
class BoundaryShift:
    """Resectable fraction and stratum with every tumour boundary moved; None where nothing is left.

    The fraction is None too where nothing is marked.
    """

    shift_mm: float
    resectable_fraction: float | None
    stratum: Stratum | None


@frozen
class Robustness:
    """How far the verdict is from another one."""

    interval: FractionInterval | None  # None where there is no tumour
    boundary_shift: tuple[BoundaryShift, ...]
    pet_shift: tuple[PetShift, ...]  # empty where FDG does not decide
    flips: tuple[Flip, ...]
    margin_ml: float | None  # resectable ml (lower bound) less the threshold's; None without tumour
    # the fewest lesions that would have to become resectable to reach the threshold; empty where it is
    # reached, None where nothing reaches it
    shortest_way: tuple[str, ...] | None
    # avid lesions and regions (or of unknown avidity) that are not wholly resectable
    stratum_2_obstacles: tuple[str, ...]
    counting_error_percent: tuple[float, ...]  # of each lesion, from counting voxels alone


def measure_robustness(
    measured: Measurements,
    assessment: Assessment,
    protocol: Protocol,
    *,
    memo: CaseMemo | None = None,
    with_flips: bool = True,
) -> tuple[Robustness, tuple[Finding, ...]]:
    """Measure how sure a verdict is, and say what a person should know of it.

    Parameters
    ----------
    memo : CaseMemo or None
        What was worked out of the same case under other marks.
    with_flips : bool
        False leaves them out: ``flips`` is empty then.
    """
    tumour = tumour_only(measured)
    parts, voxels = _parts(tumour)
    interval = _interval(voxels, tumour, assessment, protocol)
    pet_shift = measure_pet_shift(measured, assessment, protocol, known=memo.moved if memo else None)
    robustness = Robustness(
        interval=interval,
        boundary_shift=_boundary_shift(parts, tumour, assessment, protocol, memo),
        pet_shift=pet_shift,
        flips=find_flips(measured, assessment, protocol) if with_flips else (),
        margin_ml=_margin_ml(assessment, protocol),
        shortest_way=_shortest_way(voxels, tumour, assessment, protocol),
        stratum_2_obstacles=_obstacles(measured, assessment, protocol),
        counting_error_percent=_counting_errors(measured),
    )
    findings = [
        *open_choice_findings(measured, assessment, protocol),
        *pet_shift_findings(pet_shift, assessment),
        *_counting(tumour, assessment, protocol),
    ]
    threshold = protocol.thresholds.stratum_1_percent
    if assessment.stratum is not None and interval is not None and interval.spans(threshold):
        borderline = finding(
            "borderline",
            "volume_error" if interval.probability is not None else "open_markings",
            where="tumour",
            threshold_percent=threshold,
            lower_percent=shown_percent(100 * interval.lo, threshold),
            upper_percent=shown_percent(100 * interval.hi, threshold),
        )
        findings.append(borderline)
    return robustness, tuple(findings)


def _parts(measured: Measurements) -> tuple[LabelRuns, Int64s]:
    """Cut tumour into parts of one lesion (the first that holds a voxel) and one marking, each voxel once.

    The runs' label is 4 x lesion + marking + 1; their voxels are counted, (lesions, 4).
    """
    marked = measured.marked
    pieces = marked.pieces
    own = pieces.lesion == pieces.first_lesion[pieces.piece]
    label = (4 * pieces.lesion + marked.worst)[own]
    starts, stops = pieces.starts[own], pieces.stops[own]
    voxels = np.bincount(label, stops - starts, minlength=4 * measured.lesions.count)
    return LabelRuns(starts, stops, label + 1), voxels.astype(np.int64).reshape(-1, 4)


def _interval(
    voxels: Int64s, measured: Measurements, assessment: Assessment, protocol: Protocol
) -> FractionInterval | None:
    ml = measured.lesions.grid.voxel_ml
    sure = voxels[:, list(protocol.counted)].sum(axis=1)
    volume = (voxels.sum(axis=1) * ml).tolist()
    lower = (sure * ml).tolist()
    upper = ((sure + voxels[:, Marking.UNKNOWN]) * ml).tolist()
    diameter = measured.measures.max_axial_diameter_mm.tolist()
    if protocol.pet_only_in_total and measured.attribution is not None:
        regions = measured.attribution.pet_only.measures
        for n, marking in enumerate(assessment.region_marking):
            if n not in assessment.dismissed:
                volume.append(float(regions.volume_ml[n]))
                lower.append(volume[-1] if marking in protocol.counted else 0.0)
                upper.append(volume[-1] if marking is Marking.UNKNOWN else lower[-1])
                diameter.append(float(regions.max_axial_diameter_mm[n]))
    return resectable_fraction_interval(
        volume,
        lower,
        diameter,
        policy=protocol.volume_error,
        threshold_percent=protocol.thresholds.stratum_1_percent,
        resectable_upper_ml=upper,
    )


def _boundary_shift(
    parts: LabelRuns,
    measured: Measurements,
    assessment: Assessment,
    protocol: Protocol,
    memo: CaseMemo | None,
) -> tuple[BoundaryShift, ...]:
    """Judge the case with its boundaries moved; PET-only regions in the total, and stratum 2, stay."""
    shifts, lesions, tally = protocol.boundary_shift_mm, measured.lesions, assessment.tally_1
    if not lesions.count:
        return tuple(BoundaryShift(shift_mm=s, resectable_fraction=None, stratum=None) for s in shifts)
    lesion, marking = np.divmod(np.array(parts.values) - 1, len(Marking))
    are_pieces = all(lesions.by_size) and protocol.connectivity == 26
    known = memo.shifted if memo else ShiftedVolumes()
    volumes = known.of(lesions.grid, parts, shifts, piece_of_part=lesion if are_pieces else None)
    size = exact_mm3(lesions.grid)
    pet_only = [mm3 - n * size for mm3, n in zip(tally.volume_mm3, tally.voxels, strict=True)]
    shifted = []
    for shift, row in zip(shifts, volumes, strict=True):
        # In nanolitres, which is how far they are rounded, volumes are whole: shares of sums are exact.
        nanolitres = [
            sum(round(volume) for volume in (row[marking == m] * 1_000_000).tolist()) for m in Marking
        ]
        a, b, c, d = (Fraction(n, 1000) + more for n, more in zip(nanolitres, pet_only, strict=True))
        moved = Stratum1Tally(voxels=(1, 1, 1, 1), volume_mm3=(a, b, c, d), one_grid=False)
        fraction = stratum = None
        if sum(moved.volume_mm3):
            fraction = moved.resectable_fraction(protocol)
            first = stratum_1_predicate(moved, protocol)
            strata = possible_strata(first, assessment.stratum_2, assessment.tally_2, protocol)
            stratum = only_stratum(strata)
        shifted.append(BoundaryShift(shift_mm=shift, resectable_fraction=fraction, stratum=stratum))
    return tuple(shifted)


def _margin_ml(assessment: Assessment, protocol: Protocol) -> float | None:
    mm3 = assessment.tally_1.volume_mm3
    if not sum(mm3):
        return None
    needed = sum(mm3) * Fraction(protocol.thresholds.stratum_1_percent) / 100
    return float((sum(mm3[m] for m in protocol.counted) - needed) / 1000)


def _shortest_way(
    voxels: Int64s, measured: Measurements, assessment: Assessment, protocol: Protocol
) -> tuple[str, ...] | None:
    """Return the fewest lesions; PET-only regions are no lesions to debulk, even where they are counted."""
    if not measured.lesions.count:
        return None
    first = assessment.stratum_1
    part, whole = first.part_voxels, first.whole_voxels
    if part is None or whole is None:  # PET-only volume is part of the total: in tumour voxels, rounded up
        size = exact_mm3(measured.lesions.grid)
        mm3 = assessment.tally_1.volume_mm3
        whole = -(-sum(mm3) // size)
        part = int(sum(mm3[m] for m in protocol.counted) // size)
    alone = (voxels.sum(axis=1) - voxels[:, list(protocol.counted)].sum(axis=1)).tolist()
    shared: dict[tuple[int, ...], int] = {}
    if measured.lesions.overlapping:
        alone, shared = _remainders(measured, protocol)
    way = shortest_way(
        alone,
        part_voxels=part,
        whole_voxels=int(whole),
        percent=protocol.thresholds.stratum_1_percent,
        shared_voxels=shared,
    )
    return None if way is None else tuple(measured.lesions.ids[n] for n in way)


def _remainders(measured: Measurements, protocol: Protocol) -> tuple[list[int], dict[tuple[int, ...], int]]:
    """Voxels that each lesion alone keeps from being resectable, and that several keep together."""
    marked, pieces = measured.marked, measured.marked.pieces
    kept = ~np.isin(pieces.pair_own(marked.table), protocol.counted)
    holders: dict[int, list[int]] = {}
    pairs = zip(pieces.pair_piece[kept].tolist(), pieces.pair_lesion[kept].tolist(), strict=True)
    for piece, lesion in pairs:
        holders.setdefault(piece, []).append(lesion)
    together: dict[tuple[int, ...], int] = {}
    for piece, those in holders.items():
        key = tuple(sorted(set(those)))
        together[key] = together.get(key, 0) + int(pieces.voxels[piece])
    alone = [together.pop((n,), 0) for n in range(measured.lesions.count)]
    return alone, together


def _obstacles(measured: Measurements, assessment: Assessment, protocol: Protocol) -> tuple[str, ...]:
    marked = measured.marked
    resectable = np.isin(marked.codes, protocol.counted)
    matters = ~marked.not_tumour & (assessment.avidity_codes != NOT_AVID) & ~resectable
    regions = ~measured.region_words.dismissed & ~np.isin(assessment.region_codes, protocol.counted)
    return (
        *(measured.lesions.ids[n] for n in np.flatnonzero(matters).tolist()),
        *(f"P{n + 1}" for n in np.flatnonzero(regions).tolist()),
    )


def _counting_errors(measured: Measurements) -> tuple[float, ...]:
    spacing = measured.lesions.grid.spacing_mm
    diameters = (equivalent_diameter_mm(1000 * ml) for ml in measured.measures.volume_ml.tolist())
    return tuple(counting_error_percent(diameter, spacing) for diameter in diameters)


def _counting(measured: Measurements, assessment: Assessment, protocol: Protocol) -> tuple[Finding, ...]:
    if not measured.lesions.count:
        return ()
    lesions, voxels = measured.lesions, measured.measures.voxels.tolist()
    small = small_lesions(voxels)
    changes = None
    tried = len(small) < len(voxels) and not lesions.overlapping
    if small and tried and assessment.stratum is not None:
        changes = stratum_without(measured, small, protocol) != assessment.stratum
    return counting_findings(lesions.ids, voxels, lesions.grid.spacing_mm, changes_stratum=changes)
