"""The stratum if PET lay higher or lower: breathing moves a focus onto another lesion, or off its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import first_of_each
from volstrat.rule.attribution import attribute, find_regions
from volstrat.rule.measure import avid_disease, with_attribution
from volstrat.rule.stratify import assess
from volstrat.rule.table_words import NO_LESION, RegionWords
from volstrat.rule.tumour_voxels import TumourVoxels
from volstrat.terms.findings import finding
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.attribution import Attribution, AvidRegions
    from volstrat.rule.markings import TumourPieces
    from volstrat.rule.measure import Avid, CaseMasks, Measurements
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.findings import Finding
    from volstrat.terms.outcomes import Stratum
    from volstrat.terms.protocol import Protocol


@frozen
class PetShift:
    """The stratum, if there is one, with PET moved along the patient's z, headwards where positive."""

    shift_mm: float
    stratum: Stratum | None


class MovedUptake:
    """Remembers where one case's uptake lies when PET is moved: marks of lesions do not change that."""

    def __init__(self) -> None:
        self._avid: dict[float, tuple[Avid | None, Bools]] = {}
        self._tumour: TumourVoxels | None = None
        self._base: dict[float, tuple[Int64s, TumourPieces, Attribution]] = {}

    def avid(self, mm: float, measured: Measurements, protocol: Protocol) -> tuple[Avid | None, Bools]:
        """Return what is avid with PET moved, and which lesions it covers then."""
        if mm not in self._avid:
            self._avid[mm] = avid_disease(_moved(measured.masks, mm), measured.lesions, protocol)
        return self._avid[mm]

    def base(
        self,
        mm: float,
        measured: Measurements,
        *,
        regions: AvidRegions,
        grid: VoxelGrid,
        apart: Int64s,
        distance_mm: float,
    ) -> Attribution:
        """Return what is attributed to which lesion with PET moved, some regions (``apart``) to none."""
        pieces = measured.pieces
        known = self._base.get(mm)
        if known is None or known[1] is not pieces or not np.array_equal(known[0], apart):
            found = attribute(self._tumour_of(measured), regions, grid, distance_mm=distance_mm, apart=apart)
            known = self._base[mm] = (apart, pieces, found)
        return known[2]

    def _tumour_of(self, measured: Measurements) -> TumourVoxels:
        """Return the tumour by its pieces: what was prepared for it where it was measured, if that stands."""
        for known in (self._tumour, None if measured.base is None else measured.base.seen.tumour):
            if known is not None and known.pieces is measured.pieces:
                self._tumour = known
                return known
        self._tumour = TumourVoxels(measured.lesions.grid, measured.pieces)
        return self._tumour


def measure_pet_shift(
    measured: Measurements, assessment: Assessment, protocol: Protocol, *, known: MovedUptake | None = None
) -> tuple[PetShift, ...]:
    """Judge the case anew with PET moved by each of the protocol's ``review.pet_shift_mm``.

    Mask, image and field move together. A PET-only region that the table speaks of stays one wherever it
    comes to lie: somebody has said what it is.

    Empty without PET, without tumour, and where FDG does not decide. ``known`` is of the same case.
    """
    decides = not assessment.stratum_1.holds or protocol.both_fit != "stratum_1"
    if measured.base is None or not decides or measured.marked.not_tumour.all():
        return ()
    known = known or MovedUptake()
    return tuple(
        PetShift(shift_mm=mm, stratum=_stratum_at(mm, measured, protocol, known=known))
        for mm in protocol.review.pet_shift_mm
    )


def pet_shift_findings(shifts: tuple[PetShift, ...], assessment: Assessment) -> tuple[Finding, ...]:
    """Say at which shifts the case would be in another stratum; one without a stratum is no difference."""
    others = [s for s in shifts if s.stratum not in (None, assessment.stratum)]
    if assessment.stratum is None or not others:
        return ()
    ways = {True: "higher", False: "lower"}
    shifts_text = " or ".join(
        f"{abs(s.shift_mm):g} mm {ways[s.shift_mm > 0]} ({(s.stratum or '').replace('_', ' ')})"
        for s in others
    )
    return (finding("pet_shift", where="pet", shifts=shifts_text),)


def _stratum_at(
    mm: float, measured: Measurements, protocol: Protocol, *, known: MovedUptake
) -> Stratum | None:
    avid, covered = known.avid(mm, measured, protocol)
    if avid is None:
        return None
    assert measured.base is not None
    regions = measured.base.regions  # those of a drawn mask are the same wherever it lies
    if protocol.avidity.needs_suv:
        regions = find_regions(avid.voxels, avid.grid)
    spoken_for = _spoken_for(measured, regions)
    apart, far_mm = np.array(sorted(spoken_for), dtype=np.int64), protocol.attribution_distance_mm
    base = known.base(mm, measured, regions=regions, grid=avid.grid, apart=apart, distance_mm=far_mm)
    moved = with_attribution(measured, base, covered, RegionWords.nothing(0))
    assert moved.attribution is not None
    words = _carried(measured, moved.attribution, regions, spoken_for)
    return assess(replace(moved, region_words=words), protocol).stratum


def _moved(masks: CaseMasks, mm: float) -> CaseMasks:
    """Return the masks with everything that was seen on PET moved headwards."""
    changed: dict[str, Any] = {}
    for name in ("pet_field", "avid_field"):
        field = getattr(masks, name)
        changed[name] = None if field is None else _higher(field, mm)
    for name in ("avid", "suv", "reference"):
        image = getattr(masks, name)
        changed[name] = None if image is None else replace(image, grid=_higher(image.grid, mm))
    return replace(masks, **changed)


def _higher(grid: VoxelGrid, mm: float) -> VoxelGrid:
    affine = grid.affine.copy()
    affine[2, 3] += mm
    return replace(grid, affine=affine)


def _spoken_for(measured: Measurements, regions: AvidRegions) -> dict[int, int]:
    """Regions of the moved PET that are a PET-only region with words of its own: region to its rank.

    Regions that are the uptake of a lesion that is no tumour go with that lesion.
    """
    assert measured.attribution is not None
    words, now = measured.region_words, measured.attribution
    has_words = words.dismissed | (words.marking != Marking.UNKNOWN) | (words.belongs_to != NO_LESION)
    has_words &= now.pet_only.uptake_of < 0
    if not has_words.any():
        return {}
    rank = now.rank
    in_these = (rank >= 0) & has_words[rank]
    _, there, here = np.intersect1d(
        regions.voxels, now.voxels[in_these], assume_unique=True, return_indices=True
    )
    region, of = regions.region[there], rank[in_these][here]
    first = first_of_each(region)
    return dict(zip(region[first].tolist(), of[first].tolist(), strict=True))


def _carried(
    measured: Measurements, moved: Attribution, regions: AvidRegions, spoken_for: dict[int, int]
) -> RegionWords:
    """Give the moved PET-only regions the words that they had where they were drawn."""
    assert measured.attribution is not None
    old, before = measured.region_words, measured.attribution.pet_only
    words = RegionWords.nothing(moved.pet_only.count)
    rank_of = np.full(regions.count, -1, dtype=np.int64)  # a region that is spoken for has one rank
    rank_of[moved.groups.region] = moved.groups.rank
    sources = {int(rank_of[region]): rank for region, rank in spoken_for.items()}
    owners = {int(lesion): rank for rank, lesion in enumerate(before.uptake_of.tolist()) if lesion >= 0}
    for rank, lesion in enumerate(moved.pet_only.uptake_of.tolist()):
        if lesion in owners:
            sources[rank] = owners[lesion]
    to, source = list(sources), list(sources.values())
    words.marking[to] = old.marking[source]
    words.dismissed[to] = old.dismissed[source]
    words.belongs_to[to] = old.belongs_to[source]
    return words
