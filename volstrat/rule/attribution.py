"""Which lesion each FDG-avid voxel belongs to.

Works on the avid mask's own voxels; nothing is resampled. Geometry comes first (`attribute`): for
each avid voxel the lesions it may belong to, whatever any table says. Avid voxels that have this in common
form a *group*. Markings come second (`resolve`), group by group, so that a changed marking or avidity word
needs no geometry again.

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
from volstrat.geometry.runs import expand, sorted_unique, split_rows
from volstrat.rule.alike import group_alike
from volstrat.rule.attribution_geometry import (
    NO_PIECE,
    AvidVoxels,
    Rows,
    TumourVoxels,
    distinct_pairs,
    find_holders,
    held_rows,
    nearest_rows,
    spill_rows,
    tumour_distances_mm,
)
from volstrat.rule.lesions import falling_volume_rank, measure_runs, refuse_specks
from volstrat.rule.markings import NO_WORD
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.lesions import LesionMeasures, Lesions
    from volstrat.rule.markings import MarkedLesions, TumourPieces

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidGroups:
    """Avid voxels of one region that may belong to the same lesions, counted together.

    Parameters
    ----------
    of_voxel : array of int64, (n,)
        Group of each avid voxel.
    voxels, region : array of int64, (groups,)
        Size, and the region it is part of.
    far, held : array of bool, (groups,)
        Its voxels lie beyond twice the attribution distance from tumour; they hold tumour.
    pair_group, pair_lesion : array of int64, (pairs,)
        Lesions that a group may belong to. One that holds tumour belongs to every lesion it holds, one that
        holds none to a single one of its candidates.
    row_pair, row_piece : array of int64, (rows,)
        Pieces of the lesion's nearest voxels, or `NO_PIECE` where the lesion has one marking.
    """

    of_voxel: Int64s
    voxels: Int64s
    region: Int64s
    far: Bools
    held: Bools
    pair_group: Int64s
    pair_lesion: Int64s
    row_pair: Int64s
    row_piece: Int64s


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
    groups : AvidGroups
    tumour_voxels, tumour_lesion, tumour_holder : array of int64, (m,)
        Tumour voxels whose centres lie in avid voxels: linear index on the tumour grid, lesion, and
        position in ``voxels``.
    pet_only_measures : LesionMeasures
        Of the PET-only regions, by rank.
    """

    grid: VoxelGrid
    avid: VoxelRuns
    voxels: Int64s
    region: Int64s
    pet_only: Int64s
    groups: AvidGroups
    tumour_voxels: Int64s
    tumour_lesion: Int64s
    tumour_holder: Int64s
    pet_only_measures: LesionMeasures

    @property
    def pet_only_count(self) -> int:
        """How many PET-only regions there are."""
        return int((self.pet_only >= 0).sum())

    def stands_for(self, pieces: TumourPieces) -> bool:
        """Tell whether it would be the same with the lesions cut into other pieces.

        It is where every lesion that avid voxels may belong to is drawn with one marking, then as now.
        """
        partial = pieces.drawn[self.groups.pair_lesion] == NO_WORD
        return not (partial.any() or (self.groups.row_piece != NO_PIECE).any())


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
    """What the avid voxels of each group are marked, given markings and avidity words.

    Parameters
    ----------
    marking : array of int64, (groups,)
        `Marking`, the worst where several lesions are held; -1 where a word ``not_avid`` removed it.
    belongs : array of bool, (pairs,)
        Which pairs of group and lesion stand.
    pair_marking : array of int64, (pairs,)
        The marking that the group takes from the lesion.
    counts : AvidCounts
    """

    marking: Int64s
    belongs: Bools
    pair_marking: Int64s
    counts: AvidCounts


def attribute(
    lesions: Lesions, pieces: TumourPieces, *, avid: VoxelRuns, avid_grid: VoxelGrid, distance_mm: float
) -> Attribution:
    """Find the lesions that each avid voxel may belong to.

    A 26-connected avid region with a voxel centre within ``distance_mm`` of a tumour voxel centre
    belongs to CT tumour. Its voxels that hold tumour voxel centres belong to the lesions they hold;
    the others go to the nearest of the lesions that the region holds, or, where it holds none, to
    the nearest tumour voxel. The other regions are PET-only.

    Parameters
    ----------
    lesions, pieces : Lesions, TumourPieces
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
    tumour = TumourVoxels(lesions.grid, pieces)
    within = find_holders(tumour, voxels, centres, avid_grid)
    pet = AvidVoxels(
        grid=avid_grid,
        centres=centres,
        region=np.repeat(found.component, found.stops - found.starts),
        regions=found.count,
        held=distinct_pairs(within.holder, tumour.lesion[within.run]),
    )
    distance = tumour_distances_mm(tumour, pet, distance_mm)
    near = np.zeros(found.count, dtype=bool)
    near[pet.region[distance <= distance_mm + TIE_MM]] = True
    lost = np.flatnonzero(near[pet.region] & ~pet.region_holds[pet.region])
    rows = [
        *held_rows(tumour, pet, near, within),
        *spill_rows(tumour, pet, near),
        nearest_rows(tumour, pet, lost, None, reach=float(np.max(distance[lost], initial=0.0))),
    ]
    pet_only, measures = _pet_only(avid_grid, found.starts, found.stops, found.component, near)
    return Attribution(
        grid=avid_grid,
        avid=avid,
        voxels=voxels,
        region=pet.region,
        pet_only=pet_only,
        groups=_grouped(pet, rows, far=distance > 2 * distance_mm + TIE_MM, pieces=pieces),
        tumour_voxels=within.voxel,
        tumour_lesion=tumour.lesion[within.run],
        tumour_holder=within.holder,
        pet_only_measures=measures,
    )


def _grouped(pet: AvidVoxels, rows: list[Rows], *, far: Bools, pieces: TumourPieces) -> AvidGroups:
    """Group avid voxels of one region that hold alike, and have the same candidates."""
    voxel, lesion, piece = (np.concatenate(column) for column in zip(*rows, strict=True))
    span = pieces.voxels.size + 1
    key = lesion * span + piece - NO_PIECE
    held = pet.holds
    of_voxel = group_alike(voxel, key, pet.region.size, start=4 * pet.region + 2 * far + held)
    first = np.unique(of_voxel, return_index=True)[1]
    shown = first[of_voxel[voxel]] == voxel  # one voxel stands for its group
    pairs = distinct_pairs(of_voxel[voxel[shown]], key[shown])
    group, (lesion, piece) = pairs[:, 0], np.divmod(pairs[:, 1], span)
    opens = np.ones(group.size, dtype=bool)
    opens[1:] = (group[1:] != group[:-1]) | (lesion[1:] != lesion[:-1])
    return AvidGroups(
        of_voxel=of_voxel,
        voxels=np.bincount(of_voxel, minlength=first.size).astype(np.int64),
        region=pet.region[first],
        far=far[first],
        held=held[first],
        pair_group=group[opens],
        pair_lesion=lesion[opens],
        row_pair=np.cumsum(opens) - 1,
        row_piece=piece + NO_PIECE,
    )


def resolve(
    attribution: Attribution,
    marked: MarkedLesions,
    *,
    not_avid: Bools,
    region_marking: Int64s,
    dismissed: Bools,
) -> Resolved:
    """Give every avid voxel its marking.

    Parameters
    ----------
    marked : MarkedLesions
        An avid voxel takes the lesion's marking where it has one, else that of the lesion's nearest voxel.
    not_avid : array of bool, (lesions,)
        Lesions whose avid voxels are removed.
    region_marking : array of int64, (PET-only regions,)
        `Marking` of each.
    dismissed : array of bool, (PET-only regions,)
        Those that are physiological.
    """
    groups = attribution.groups
    word = marked.codes[groups.pair_lesion]
    mark = np.full(word.size, len(Marking), dtype=np.int64)
    asked = word[groups.row_pair] == NO_WORD
    np.minimum.at(mark, groups.row_pair[asked], marked.piece_worst[groups.row_piece[asked]])
    mark = np.where(word == NO_WORD, mark, word)
    # A group that holds no tumour belongs to one candidate: worst marking, then lower lesion.
    order = np.lexsort((groups.pair_lesion, mark, groups.pair_group))
    first = np.ones(order.size, dtype=bool)
    first[1:] = groups.pair_group[order][1:] != groups.pair_group[order][:-1]
    belongs = groups.held[groups.pair_group]
    belongs[order[first]] = True
    belongs &= ~not_avid[groups.pair_lesion]
    marking = np.full(groups.voxels.size, len(Marking), dtype=np.int64)
    np.minimum.at(marking, groups.pair_group[belongs], mark[belongs])
    marking[marking == len(Marking)] = -1
    if attribution.pet_only.size:
        rank = attribution.pet_only[groups.region]
        alone = rank >= 0
        marking[alone] = np.where(dismissed, -1, region_marking)[rank[alone]]
    kept = marking >= 0
    by_marking = np.bincount(marking[kept], groups.voxels[kept], minlength=len(Marking))
    of_lesion = np.bincount(
        groups.pair_lesion[belongs], groups.voxels[groups.pair_group[belongs]], minlength=not_avid.size
    )
    counts = AvidCounts(by_marking=by_marking.astype(np.int64), lesion_voxels=of_lesion.astype(np.int64))
    return Resolved(marking=marking, belongs=belongs, pair_marking=mark, counts=counts)


def avid_voxels_of_lesions(attribution: Attribution, resolved: Resolved, count: int) -> list[Int64s]:
    """Return the avid voxels (linear indices, rising) that belong to each of ``count`` lesions."""
    groups = attribution.groups
    of: list[list[int]] = [[] for _ in range(count)]
    mine, owner = groups.pair_group[resolved.belongs], groups.pair_lesion[resolved.belongs]
    for group, lesion in zip(mine.tolist(), owner.tolist(), strict=True):
        of[lesion].append(group)
    order = np.argsort(groups.of_voxel, kind="stable")
    members = np.split(attribution.voxels[order], np.cumsum(groups.voxels)[:-1])
    none = np.empty(0, np.int64)
    return [np.sort(np.concatenate([none, *(members[g] for g in those)])) for those in of]


def review_regions(
    attribution: Attribution, resolved: Resolved, marked: MarkedLesions
) -> tuple[tuple[int, str, tuple[int, ...]], ...]:
    """List the regions that a person must look at: lowest lesion position, reason, all lesions concerned.

    ``differently_marked``: on tumour of more than one marking; ``partly_marked``: on a lesion without
    one marking; ``reaches_far``: beyond twice the attribution distance. Removed voxels do not count.
    """
    groups = attribution.groups
    group, lesion = groups.pair_group[resolved.belongs], groups.pair_lesion[resolved.belongs]
    mark, region = resolved.pair_marking[resolved.belongs], groups.region[group]
    lowest = np.full(attribution.pet_only.size, np.iinfo(np.int64).max)
    np.minimum.at(lowest, region, lesion)
    low = np.full(attribution.pet_only.size, len(Marking))
    high = np.full(attribution.pet_only.size, -1)
    np.minimum.at(low, region, mark)
    np.maximum.at(high, region, mark)
    reviews: dict[tuple[int, str], set[int]] = {}
    for regions, reason in (
        (np.flatnonzero(low < high), "differently_marked"),
        (sorted_unique(region[marked.codes[lesion] == NO_WORD]), "partly_marked"),
        (sorted_unique(region[groups.far[group]]), "reaches_far"),
    ):
        for r in regions:
            reviews.setdefault((int(lowest[r]), reason), set()).update(lesion[region == r].tolist())
    return tuple((*key, tuple(sorted(on))) for key, on in sorted(reviews.items()))


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
