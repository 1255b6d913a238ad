"""The rule: predicates with bounds, and the stratum they give.

Registry: PANTODON, NCT07273409. Counts are integers on one grid; `reaches_percent` compares them
without rounding. "Unknown" is a value of its own and never turns into "no".
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.frozen import frozen
from volstrat.rule.markings import NO_WORD
from volstrat.rule.resolving import Resolved, resolve
from volstrat.rule.table_words import AVID, AVIDITIES, NOT_ASSESSED, NOT_AVID, marked_regions
from volstrat.terms.marks import Marking
from volstrat.terms.protocol import reaches_percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.markings import MarkedLesions
    from volstrat.rule.measure import Measurements
    from volstrat.terms.marks import FdgAvidity
    from volstrat.terms.outcomes import AvidDisease, Stratum
    from volstrat.terms.protocol import Protocol


@frozen
class Predicate:
    """One predicate, three-valued, with the counts it rests on.

    ``part_voxels`` counts unknown markings as unresectable, ``part_voxels_upper`` as resectable.
    ``can_hold`` and ``can_fail`` say what the unknown markings and avidities leave possible.
    Counts are None only where PET-only volume is part of the total (two voxel sizes).
    """

    holds: bool | None
    part_voxels: int | None
    part_voxels_upper: int | None
    whole_voxels: int | None
    unit: Literal["tumour", "pet"]
    percent_lower: float | None
    percent_upper: float | None
    threshold_percent: Decimal
    can_hold: bool
    can_fail: bool
    avid_disease: AvidDisease | None = None

    @property
    def percent(self) -> float | None:
        """The share; None where unknown markings leave it between two bounds."""
        return self.percent_lower if self.percent_lower == self.percent_upper else None


@frozen
class Stratum1Tally:
    """Tumour by marking, in voxels and, with PET-only regions where they count, in mm3 (exact)."""

    voxels: tuple[int, int, int, int]
    volume_mm3: tuple[Fraction, Fraction, Fraction, Fraction]
    one_grid: bool

    def resectable_mm3(self, protocol: Protocol) -> Fraction | None:
        """Return what counts as resectable, lower bound; None where nothing is marked."""
        mm3 = self.volume_mm3
        if sum(mm3) == mm3[Marking.UNKNOWN]:
            return None
        return sum((mm3[m] for m in protocol.counted), Fraction())

    def resectable_fraction(self, protocol: Protocol) -> float | None:
        """Return the resectable over all tumour, lower bound; None where nothing is marked."""
        part = self.resectable_mm3(protocol)
        return None if part is None else float(part / sum(self.volume_mm3))


@frozen
class Stratum2Tally:
    """Avid disease by marking."""

    voxels: tuple[int, int, int, int]  # avid voxels by `Marking`
    # those that occur on lesions that the table calls avid and no avid voxel belongs to (None: partial)
    avid_without_voxels: tuple[Marking | None, ...]
    unassessed: tuple[Marking | None, ...]  # those that occur on lesions of unknown avidity
    empty_tumour: bool
    pet_read: bool  # there are avid voxels to count; else tumour voxels of lesions that the table calls avid


@frozen(eq=False)
class Assessment:
    """The rule applied to a case."""

    stratum_1: Predicate
    stratum_2: Predicate
    stratum: Stratum | None  # None where the case is not assessable
    avidity_codes: Int64s  # (lesions,): position in `AVIDITIES`
    # (PET-only regions,): `Marking` of each; of one that belongs to a lesion, the lesion's
    region_codes: Int64s
    dismissed: frozenset[int]  # PET-only regions (ranks) that the table calls physiological
    resolved: Resolved | None  # what each avid voxel is marked; None without an avid mask
    tally_1: Stratum1Tally
    tally_2: Stratum2Tally
    # True where nothing but the possibility of PET-only disease stands in the way of a stratum
    only_pet_only_open: bool

    @property
    def avidity(self) -> tuple[FdgAvidity, ...]:
        """Avidity word of each lesion."""
        return tuple(AVIDITIES[code] for code in self.avidity_codes.tolist())

    @property
    def region_marking(self) -> tuple[Marking, ...]:
        """Marking of each PET-only region."""
        return tuple(Marking(m) for m in self.region_codes.tolist())


def assess(measured: Measurements, protocol: Protocol) -> Assessment:
    """Apply the rule to a measured case."""
    words, marked, dismissed = measured.words, measured.marked, measured.region_words.dismissed
    regions = marked_regions(measured.region_words, marked)
    resolved = None
    avidity = np.where(words.avidity == NO_WORD, NOT_ASSESSED, words.avidity)
    if measured.attribution is not None:
        resolved = resolve(
            measured.attribution,
            marked,
            not_avid=words.avidity == NOT_AVID,
            region_marking=regions,
            dismissed=dismissed,
        )
        by_field = np.where(measured.covered, NOT_AVID, NOT_ASSESSED)
        seen = np.where(resolved.lesion_voxels > 0, AVID, by_field)
        moved = measured.attribution.pet_only.uptake_of
        seen[moved[moved >= 0]] = AVID  # said of lesions that are no tumour; nothing depends on it
        avidity = np.where(words.avidity == NO_WORD, seen, words.avidity)
    tally_1 = _tally_stratum_1(measured, regions, protocol)
    tally_2 = _tally_stratum_2(measured, avidity, resolved)
    first = stratum_1_predicate(tally_1, protocol)
    second = stratum_2_predicate(tally_2, protocol)
    strata = possible_strata(first, second, tally_2, protocol)
    without = _strata_of(first, second, protocol)
    return Assessment(
        stratum_1=first,
        stratum_2=second,
        stratum=only_stratum(strata),
        avidity_codes=avidity,
        region_codes=regions,
        dismissed=frozenset(np.flatnonzero(dismissed).tolist()),
        resolved=resolved,
        tally_1=tally_1,
        tally_2=tally_2,
        only_pet_only_open=len(strata) > 1 and len(without) == 1,
    )


def exact_mm3(grid: VoxelGrid) -> Fraction:
    """Return a grid's voxel volume as the decimal it stands for, in mm3: exact in ratio."""
    return _exact(grid.voxel_volume_mm3)


@lru_cache(maxsize=64)
def _exact(value: float) -> Fraction:
    return Fraction(str(value))


def _tally_stratum_1(measured: Measurements, regions: Int64s, protocol: Protocol) -> Stratum1Tally:
    """Count the tumour by marking, with PET-only regions where the protocol counts them in the total."""
    voxels = measured.marked.total_voxels.tolist()
    size = exact_mm3(measured.lesions.grid)
    volume = [n * size for n in voxels]
    kept = ~measured.region_words.dismissed
    added = protocol.pet_only_in_total and measured.attribution is not None and bool(kept.any())
    if added and measured.attribution is not None:
        sizes = measured.attribution.pet_only.sizes
        more = np.bincount(regions[kept], sizes[kept], minlength=len(Marking))
        pet_size = exact_mm3(measured.attribution.grid)
        volume = [v + int(n) * pet_size for v, n in zip(volume, more.tolist(), strict=True)]
    return Stratum1Tally(
        voxels=(voxels[0], voxels[1], voxels[2], voxels[3]),
        volume_mm3=(volume[0], volume[1], volume[2], volume[3]),
        one_grid=not added,
    )


def _tally_stratum_2(measured: Measurements, avidity: Int64s, resolved: Resolved | None) -> Stratum2Tally:
    codes, tumour = measured.marked.codes, ~measured.marked.not_tumour
    without: tuple[Marking | None, ...] = ()
    if resolved is None:
        voxels = _avid_tumour_voxels(measured.marked, avidity == AVID).tolist()
    else:
        voxels = resolved.by_marking.tolist()
        without = _markings_of(codes[tumour & (avidity == AVID) & (resolved.lesion_voxels == 0)])
    return Stratum2Tally(
        voxels=(voxels[0], voxels[1], voxels[2], voxels[3]),
        avid_without_voxels=without,
        unassessed=_markings_of(codes[tumour & (avidity == NOT_ASSESSED)]),
        empty_tumour=not tumour.any(),
        pet_read=resolved is not None,
    )


def _markings_of(codes: Int64s) -> tuple[Marking | None, ...]:
    """Each marking that occurs, once, the partial ones (None) first."""
    present = np.flatnonzero(np.bincount(codes - NO_WORD, minlength=1))
    return tuple(None if n + NO_WORD == NO_WORD else Marking(n + NO_WORD) for n in present.tolist())


def _avid_tumour_voxels(marked: MarkedLesions, avid: Bools) -> Int64s:
    """Tumour voxels of avid lesions by marking: the lesion's where it has one, else the voxel's.

    A voxel of two lesions counts once, with the worst marking.
    """
    pieces = marked.pieces
    of_avid = avid[pieces.pair_lesion]
    piece, word = pieces.pair_piece[of_avid], marked.codes[pieces.pair_lesion[of_avid]]
    worst = np.full(pieces.voxels.size, len(Marking), dtype=np.int64)
    np.minimum.at(worst, piece, np.where(word == NO_WORD, marked.piece_worst[piece], word))
    return np.bincount(worst, pieces.voxels, minlength=len(Marking) + 1)[:-1].astype(np.int64)


def _split(values: Sequence[int], protocol: Protocol) -> tuple[int, int, int]:
    """Resectable for certain, resectable at most, and whole, of counts by `Marking`."""
    sure = sum(values[m] for m in protocol.counted)
    return sure, sure + values[Marking.UNKNOWN], sum(values)


def _percent(part: int | Fraction, whole: int | Fraction) -> float | None:
    return float(100 * part / whole) if whole else None


def stratum_1_predicate(tally: Stratum1Tally, protocol: Protocol) -> Predicate:
    """Return the stratum 1 predicate: enough of the total tumour volume can be debulked."""
    percent = protocol.thresholds.stratum_1_percent
    sure, most, whole = _split(tally.voxels, protocol)
    if tally.one_grid:
        lower, upper = reaches_percent(sure, whole, percent), reaches_percent(most, whole, percent)
        shares = (_percent(sure, whole), _percent(most, whole))
    else:
        mm3 = tally.volume_mm3
        sure_mm3 = sum(mm3[m] for m in protocol.counted)
        needed = sum(mm3) * Fraction(percent) / 100
        lower, upper = sure_mm3 >= needed, sure_mm3 + mm3[Marking.UNKNOWN] >= needed
        shares = (_percent(sure_mm3, sum(mm3)), _percent(sure_mm3 + mm3[Marking.UNKNOWN], sum(mm3)))
    empty = not sum(tally.voxels)
    return Predicate(
        holds=None if empty or lower != upper else lower,
        part_voxels=sure if tally.one_grid else None,
        part_voxels_upper=most if tally.one_grid else None,
        whole_voxels=whole if tally.one_grid else None,
        unit="tumour",
        percent_lower=shares[0],
        percent_upper=shares[1],
        threshold_percent=percent,
        can_hold=empty or upper,
        can_fail=empty or not lower,
    )


def stratum_2_predicate(tally: Stratum2Tally, protocol: Protocol) -> Predicate:
    """Return the stratum 2 predicate: avid disease is observed, and all of it is resectable."""
    percent = protocol.thresholds.stratum_2_percent
    sure, most, whole = _split(tally.voxels, protocol)
    observed = whole > 0 or bool(tally.avid_without_voxels)
    if tally.empty_tumour:
        holds, can_hold, can_fail = None, True, True
    elif protocol.exclusion_b == "not_all_resectable":
        holds, can_hold, can_fail = _all_resectable(tally, observed, protocol)
    else:
        holds, can_hold, can_fail = _any_resectable(tally, observed, protocol)
    disease: AvidDisease = "observed" if observed else "not_observed"
    if not observed and (tally.unassessed or (tally.empty_tumour and not tally.pet_read)):
        disease = "not_assessed"
    return Predicate(
        holds=holds,
        part_voxels=sure,
        part_voxels_upper=most,
        whole_voxels=whole,
        unit="pet" if tally.pet_read else "tumour",
        percent_lower=_percent(sure, whole),
        percent_upper=_percent(most, whole),
        threshold_percent=percent,
        can_hold=can_hold,
        can_fail=can_fail,
        avid_disease=disease,
    )


def _certain(marking: Marking | None, protocol: Protocol) -> bool:
    return marking in protocol.counted


def _possible(marking: Marking | None, protocol: Protocol) -> bool:
    return marking is Marking.UNKNOWN or _certain(marking, protocol)


def _all_resectable(
    tally: Stratum2Tally, observed: bool, protocol: Protocol
) -> tuple[bool | None, bool, bool]:
    percent = protocol.thresholds.stratum_2_percent
    sure, most, whole = _split(tally.voxels, protocol)
    lost = not reaches_percent(most, whole, percent)
    lost |= any(not _possible(m, protocol) for m in tally.avid_without_voxels)
    open_marking = not reaches_percent(sure, whole, percent)
    open_marking |= any(not _certain(m, protocol) for m in tally.avid_without_voxels)
    open_avidity = any(not _certain(m, protocol) for m in tally.unassessed)
    if lost or (not observed and not tally.unassessed):
        return False, False, True
    if observed and not open_marking and not open_avidity:
        return True, True, False
    can_hold = observed or any(_possible(m, protocol) for m in tally.unassessed)
    return None, can_hold, True


def _any_resectable(
    tally: Stratum2Tally, observed: bool, protocol: Protocol
) -> tuple[bool | None, bool, bool]:
    """Read exclusion b the other way: only where none of the avid disease is resectable.

    Of a lesion without one marking (None) a part is.
    """
    sure, most, _ = _split(tally.voxels, protocol)
    if sure or any(m is None or _certain(m, protocol) for m in tally.avid_without_voxels):
        return True, True, False
    can_hold = bool(most) or any(
        m is None or _possible(m, protocol) for m in (*tally.avid_without_voxels, *tally.unassessed)
    )
    if can_hold or (not observed and tally.unassessed):
        return None, can_hold, True
    return False, False, True


def _leaves_pet_only_open(predicate: Predicate, tally: Stratum2Tally) -> Predicate:
    """Without PET an undecided stratum 2 may still hold or fail by disease that only PET would show."""
    if tally.pet_read or predicate.holds is not None:
        return predicate
    return replace(predicate, can_hold=True, can_fail=True)


def possible_strata(
    first: Predicate, second: Predicate, tally: Stratum2Tally, protocol: Protocol
) -> set[Stratum]:
    """Return every stratum that some combination of the unknown markings and avidities gives.

    One: that is the case's stratum. Several: the case is not assessable.
    """
    return _strata_of(first, _leaves_pet_only_open(second, tally), protocol)


def _strata_of(first: Predicate, second: Predicate, protocol: Protocol) -> set[Stratum]:
    return {
        _stratum_of(a, b, protocol)
        for a in (True, False)
        for b in (True, False)
        if (first.can_hold if a else first.can_fail) and (second.can_hold if b else second.can_fail)
    }


def only_stratum(strata: set[Stratum]) -> Stratum | None:
    """Return the stratum where there is but one."""
    return next(iter(strata)) if len(strata) == 1 else None


def _stratum_of(first: bool, second: bool, protocol: Protocol) -> Stratum:
    if first and second:
        return protocol.both_fit
    if first:
        return "stratum_1"
    return "stratum_2" if second else "ineligible"
