"""Which lesion each FDG-avid voxel belongs to.

Works on the avid mask's own voxels; nothing is resampled. Geometry comes first (`attribute`): for
each avid voxel the lesions it may belong to. Markings come second (`resolve`), cheaply, so that
a changed marking or avidity word needs no geometry again.

Distances run between voxel centres. Those within 0.001 mm of the smallest are ties, settled by the
worst marking and then the lower lesion id, and limits include that slack, so that neither rounding
nor storage order decides.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.components import connected_components
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import expand, split_rows
from volstrat.rule.attribution_geometry import (
    AvidVoxels,
    TumourVoxels,
    distinct_pairs,
    find_holders,
    held_rows,
    nearest_held,
    nearest_rows,
    spill_rows,
    tumour_distances_mm,
)
from volstrat.rule.lesions import falling_volume_rank, measure_runs, refuse_specks
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.lesions import LesionMeasures, Lesions, MarkedLesions

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribution:
    """The lesions that each avid voxel may belong to.

    Parameters
    ----------
    grid : VoxelGrid
        Of the avid mask.
    avid : VoxelRuns
        The avid voxels as given.
    voxels : array of int64, (n,)
        Linear indices of the avid voxels, rising.
    region : array of int64, (n,)
        The 26-connected region of each, 0 to ``regions - 1``.
    pet_only : array of int64, (regions,)
        Rank of the region among the PET-only ones (0 is P1), or -1 where it belongs to CT tumour.
    far : array of bool, (n,)
        True where the nearest tumour voxel lies beyond twice the attribution distance.
    row_voxel, row_lesion, row_marking : array of int64, (rows,)
        Candidates: position in ``voxels``, lesion, and the worst `Marking` of the lesion's nearest
        voxels (for lesions without one marking).
    row_held : array of bool, (rows,)
        True where the avid voxel holds a voxel centre of the lesion; an avid voxel belongs to every
        lesion it holds, and a voxel that holds none to one of its candidates.
    tumour_voxels, tumour_lesion, tumour_holder : array of int64, (m,)
        Tumour voxels whose centres lie in avid voxels: linear index on the tumour grid, lesion, and
        position in ``voxels``.
    """

    grid: VoxelGrid
    avid: VoxelRuns
    voxels: Int64s
    region: Int64s
    pet_only: Int64s
    far: Bools
    row_voxel: Int64s
    row_lesion: Int64s
    row_marking: Int64s
    row_held: Bools
    tumour_voxels: Int64s
    tumour_lesion: Int64s
    tumour_holder: Int64s
    pet_only_measures: LesionMeasures

    @property
    def pet_only_count(self) -> int:
        """How many PET-only regions there are."""
        return int((self.pet_only >= 0).sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidCounts:
    """What the rule counts of avid voxels.

    Parameters
    ----------
    by_marking : array of int64, (4,)
        Avid voxels by `Marking`, those that were removed left out.
    lesion_voxels : array of int64, (lesions,)
        Avid voxels that belong to each lesion; one that holds two counts for both.
    """

    by_marking: Int64s
    lesion_voxels: Int64s

    def count(self, *markings: Marking) -> int:
        """Count the avid voxels that carry one of these markings."""
        return int(self.by_marking[list(markings)].sum())

    @property
    def whole(self) -> int:
        """Avid voxels that were not removed."""
        return int(self.by_marking.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resolved:
    """What each avid voxel is marked, given markings and avidity words.

    Parameters
    ----------
    marking : array of int64, (n,)
        `Marking` of each avid voxel, the worst where it holds several lesions; -1 where a word
        ``not_avid`` removed it.
    pair_voxel, pair_lesion, pair_marking : array of int64, (pairs,)
        Which avid voxel (position) belongs to which lesion, and the marking it takes from it; one that
        holds two lesions belongs to both.
    counts : AvidCounts
    """

    marking: Int64s
    pair_voxel: Int64s
    pair_lesion: Int64s
    pair_marking: Int64s
    counts: AvidCounts


def attribute(
    lesions: Lesions, marked: MarkedLesions, *, avid: VoxelRuns, avid_grid: VoxelGrid, distance_mm: float
) -> Attribution:
    """Find the lesions that each avid voxel may belong to.

    A 26-connected avid region with a voxel centre within ``distance_mm`` of a tumour voxel centre
    belongs to CT tumour. Its voxels that hold tumour voxel centres belong to the lesions they hold;
    the others go to the nearest of the lesions that the region holds, or, where it holds none, to
    the nearest tumour voxel. The other regions are PET-only.

    Parameters
    ----------
    lesions, marked : Lesions, MarkedLesions
        On the tumour grid.
    avid : VoxelRuns
        On ``avid_grid``, in the tumour's frame of reference.

    Raises
    ------
    NoisyMaskError
        If there are more than 10,000 avid regions.
    """
    found = connected_components(avid, avid_grid, connectivity=26)
    hint = "Clean the avid mask, or raise the threshold of the avidity rule."
    refuse_specks(found.count, "FDG-avid disease", hint=hint)
    voxels = expand(found.starts, found.stops)
    centres = avid_grid.to_mm(avid_grid.unravel(voxels))
    tumour = TumourVoxels(lesions.grid, marked)
    holder, run, tumour_voxel = find_holders(tumour, voxels, centres, avid_grid)
    lesion = tumour.lesion[run]
    pet = AvidVoxels(
        grid=avid_grid,
        centres=centres,
        region=np.repeat(found.component, found.stops - found.starts),
        regions=found.count,
        held=distinct_pairs(holder, lesion),
    )
    distance = tumour_distances_mm(tumour, pet, distance_mm)
    near = np.zeros(found.count, dtype=bool)
    near[pet.region[distance <= distance_mm + TIE_MM]] = True
    partial = np.array([m is None for m in marked.marking], dtype=bool)
    lost = np.flatnonzero(near[pet.region] & ~pet.region_holds[pet.region])
    asked = partial[lesion]
    nearest = nearest_held(tumour, pet, holder[asked], run[asked], tumour_voxel[asked])
    rows = [
        held_rows(tumour, pet, near, partial, nearest),
        *spill_rows(tumour, pet, near, partial),
        nearest_rows(tumour, pet, lost, None, reach=float(np.max(distance[lost], initial=0.0))),
    ]
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    pet_only, measures = _pet_only(avid_grid, found.starts, found.stops, found.component, near)
    return Attribution(
        grid=avid_grid,
        avid=avid,
        voxels=voxels,
        region=pet.region,
        pet_only=pet_only,
        far=distance > 2 * distance_mm + TIE_MM,
        row_voxel=columns[0],
        row_lesion=columns[1],
        row_marking=columns[2],
        row_held=columns[3].astype(bool),
        tumour_voxels=tumour_voxel,
        tumour_lesion=lesion,
        tumour_holder=holder,
        pet_only_measures=measures,
    )


def resolve(
    attribution: Attribution,
    *,
    marking: Sequence[Marking | None],
    not_avid: Collection[int],
    region_marking: Sequence[Marking],
    dismissed: Collection[int],
) -> Resolved:
    """Give every avid voxel its marking.

    Parameters
    ----------
    marking : sequence of Marking or None, one a lesion
        None where the lesion has no one marking; then the nearest voxel's counts.
    not_avid : collection of int
        Lesions (positions) whose avid voxels are removed.
    region_marking : sequence of Marking, one a PET-only region
    dismissed : collection of int
        PET-only regions (ranks) that are physiological.
    """
    a = attribution
    words = np.array([-1 if m is None else m for m in marking], dtype=np.int64)
    removed = np.zeros(words.size, dtype=bool)
    removed[list(not_avid)] = True
    row_marking = np.where(words[a.row_lesion] >= 0, words[a.row_lesion], a.row_marking)
    # A voxel that holds no tumour belongs to one candidate: worst marking, then lower lesion.
    order = np.lexsort((a.row_lesion, row_marking, a.row_voxel))
    first = np.ones(order.size, dtype=bool)
    first[1:] = a.row_voxel[order][1:] != a.row_voxel[order][:-1]
    chosen = a.row_held.copy()
    chosen[order[first]] = True
    chosen &= ~removed[a.row_lesion]
    voxel, lesion, mark = a.row_voxel[chosen], a.row_lesion[chosen], row_marking[chosen]
    result = np.full(a.voxels.size, len(Marking), dtype=np.int64)
    np.minimum.at(result, voxel, mark)
    result[result == len(Marking)] = -1
    rank = a.pet_only[a.region] if a.voxels.size else np.empty(0, np.int64)
    alone = rank >= 0
    region_words = np.array(
        [-1 if n in dismissed else m for n, m in enumerate(region_marking)], dtype=np.int64
    )
    result[alone] = region_words[rank[alone]]
    return Resolved(
        marking=result,
        pair_voxel=voxel,
        pair_lesion=lesion,
        pair_marking=mark,
        counts=AvidCounts(
            by_marking=np.bincount(result[result >= 0], minlength=len(Marking)).astype(np.int64),
            lesion_voxels=np.bincount(lesion, minlength=words.size).astype(np.int64),
        ),
    )


def review_regions(
    attribution: Attribution, resolved: Resolved, *, marking: Sequence[Marking | None]
) -> tuple[tuple[int, str], ...]:
    """List the regions that a person must look at, by their lowest lesion position, with the reason.

    ``differently_marked``: on tumour of more than one marking; ``partly_marked``: on a lesion without
    one marking; ``reaches_far``: beyond twice the attribution distance. Removed voxels do not count.
    """
    a, voxel, lesion, mark = attribution, resolved.pair_voxel, resolved.pair_lesion, resolved.pair_marking
    words = np.array([-1 if m is None else m for m in marking], dtype=np.int64)
    reviews: list[tuple[int, str]] = []
    region = a.region[voxel] if voxel.size else voxel
    lowest = np.full(a.pet_only.size, np.iinfo(np.int64).max)
    np.minimum.at(lowest, region, lesion)
    low = np.full(a.pet_only.size, len(Marking))
    high = np.full(a.pet_only.size, -1)
    np.minimum.at(low, region, mark)
    np.maximum.at(high, region, mark)
    partly = np.unique(region[words[lesion] < 0])
    reach = np.unique(region[a.far[voxel]])
    for regions, reason in (
        (np.flatnonzero(low < high), "differently_marked"),
        (partly, "partly_marked"),
        (reach, "reaches_far"),
    ):
        reviews.extend((int(lowest[r]), reason) for r in regions)
    return tuple(sorted(set(reviews)))


def _pet_only(
    grid: VoxelGrid, starts: Int64s, stops: Int64s, component: Int64s, near: Bools
) -> tuple[Int64s, LesionMeasures]:
    """Rank of each region among the PET-only ones (-1 for the others), and their measurements."""
    alone = np.flatnonzero(~near)
    position = np.full(near.size, -1, dtype=np.int64)
    position[alone] = np.arange(alone.size)
    mine = position[component] >= 0 if component.size else np.empty(0, bool)
    first, last, owner = split_rows(starts[mine], stops[mine], grid.shape[0], position[component[mine]])
    found = measure_runs(grid, first, last, owner, alone.size)
    rank = falling_volume_rank(found.voxels, found.centroid_mm)
    position[alone] = rank
    order = np.argsort(rank)
    return position, replace(
        found, **{field.name: getattr(found, field.name)[order] for field in fields(found)}
    )
