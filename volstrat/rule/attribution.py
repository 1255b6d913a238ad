"""Which lesion each FDG-avid voxel belongs to.

Works on the avid mask's own voxels; nothing is resampled. Geometry comes first (`attribute`): for
each avid voxel the lesions it may belong to, whatever any table says. Avid voxels that have this in common
form a *group*. Markings come second (`volstrat.rule.resolving`), group by group, so that a
changed marking or avidity word needs no geometry again.

Distances run between voxel centres. Those within 0.001 mm of the smallest are ties, settled by the
worst marking and then the lower lesion id, and limits include that slack, so that neither rounding
nor storage order decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.components import connected_components
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import expand, first_of_each, sorted_unique
from volstrat.rule.alike import group_alike
from volstrat.rule.attribution_geometry import (
    AvidVoxels,
    Rows,
    distinct_pairs,
    find_holders,
    held_rows,
    lesions_near,
    nearest_rows,
    spill_rows,
    touch_mm,
    tumour_distances_mm,
)
from volstrat.rule.lesions import refuse_specks
from volstrat.rule.markings import NO_WORD
from volstrat.rule.pet_only import PetOnly, measure_pet_only, measure_ranks, rank_regions
from volstrat.rule.tumour_voxels import NO_PIECE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.markings import TumourPieces
    from volstrat.rule.tumour_voxels import TumourVoxels

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
    voxels, region, rank : array of int64, (groups,)
        Size, the region it is part of, and its rank among the PET-only ones (0 is P1), or -1.
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
    rank: Int64s
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
    groups : AvidGroups
    pet_only : PetOnly
    tumour_voxels, tumour_lesion, tumour_holder : array of int64, (m,)
        Tumour voxels whose centres lie in avid voxels: linear index on the tumour grid, lesion, and
        position in ``voxels``.
    distance_mm : float
        The attribution distance.
    """

    grid: VoxelGrid
    avid: VoxelRuns
    voxels: Int64s
    groups: AvidGroups
    pet_only: PetOnly
    tumour_voxels: Int64s
    tumour_lesion: Int64s
    tumour_holder: Int64s
    distance_mm: float

    @property
    def rank(self) -> Int64s:
        """Rank of each avid voxel's region among the PET-only ones (0 is P1), or -1."""
        rank: Int64s = self.groups.rank[self.groups.of_voxel]
        return rank

    def each_alone(self) -> list[Int64s]:
        """Return the voxels (linear indices, rising) of each PET-only region, by rank."""
        return self._split(self.rank, self.pet_only.count)

    def each_region(self) -> list[Int64s]:
        """Return the voxels (linear indices, rising) of each avid region."""
        region = self.groups.region[self.groups.of_voxel]
        return self._split(region, int(region.max(initial=-1)) + 1)

    def _split(self, part: Int64s, count: int) -> list[Int64s]:
        """Return the voxels of each of so many parts, those below 0 left out."""
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange(count + 1))
        return [self.voxels[mine] for mine in np.split(order, edges)[1:-1]]

    def stands_for(self, pieces: TumourPieces) -> bool:
        """Tell whether it would be the same with the lesions cut into other pieces.

        It is where every lesion that avid voxels may belong to is drawn with one marking, then as now.
        """
        partial = pieces.drawn[self.groups.pair_lesion] == NO_WORD
        return not (partial.any() or (self.groups.row_piece != NO_PIECE).any())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidRegions:
    """Avid voxels and the 26-connected region of each, on any grid of their shape.

    Parameters
    ----------
    avid : VoxelRuns
    voxels, region : array of int64, (n,)
        Linear indices, rising, and the region of each, 0 to ``count - 1``.
    count : int
    """

    avid: VoxelRuns
    voxels: Int64s
    region: Int64s
    count: int


def find_regions(avid: VoxelRuns, grid: VoxelGrid) -> AvidRegions:
    """Tell the avid regions apart.

    Raises
    ------
    NoisyMaskError
        If there are more than 10,000.
    """
    found = connected_components(avid, grid, connectivity=26)
    hint = "Clean the avid mask, or raise the threshold of the avidity rule."
    refuse_specks(found.count, "FDG-avid disease", hint=hint)
    return AvidRegions(
        avid=avid,
        voxels=expand(found.starts, found.stops),
        region=np.repeat(found.component, found.stops - found.starts),
        count=found.count,
    )


def attribute(
    tumour: TumourVoxels,
    regions: AvidRegions,
    grid: VoxelGrid,
    *,
    distance_mm: float,
    apart: Int64s | None = None,
) -> Attribution:
    """Find the lesions that each avid voxel may belong to.

    A 26-connected avid region that holds a tumour voxel centre, or has a voxel centre within `touch_mm` of
    one, belongs to CT tumour. Its voxels that hold tumour voxel centres belong to the lesions they hold;
    the others go to the nearest of the lesions that the region holds, or, where it holds none, to
    the nearest tumour voxel. The other regions are PET-only, those within ``distance_mm`` of tumour too.

    Parameters
    ----------
    tumour : TumourVoxels
    regions : AvidRegions
    grid : VoxelGrid
        Of the avid voxels, in the tumour's frame of reference.
    distance_mm : float
    apart : array of int64, optional
        Regions that are PET-only wherever they lie: those that a person spoke for.
    """
    centres = grid.to_mm(grid.unravel(regions.voxels))
    within = find_holders(tumour, regions.voxels, centres, grid)
    pet = AvidVoxels(
        grid=grid,
        centres=centres,
        region=regions.region,
        regions=regions.count,
        held=distinct_pairs(within.holder, tumour.lesion[within.run]),
    )
    nearest = tumour.around(centres)
    distance = tumour_distances_mm(tumour, nearest, pet, distance_mm)
    touching = pet.region_holds
    touching[pet.region[distance <= touch_mm(tumour.grid, grid) + TIE_MM]] = True
    if apart is not None:
        touching[apart] = False
    lost = np.flatnonzero(touching[pet.region] & ~pet.region_holds[pet.region])
    rows = [
        *held_rows(tumour, nearest, pet, touching, within),
        *spill_rows(tumour, nearest, pet, touching, distance),
        nearest_rows(nearest, pet, lost, None, reach=float(np.max(distance[lost], initial=0.0))),
    ]
    rank = rank_regions(grid, regions.voxels, regions.region, ~touching)
    far = distance > 2 * distance_mm + TIE_MM
    groups = _grouped(pet, rows, rank, far=far, piece_span=tumour.piece_span)
    close = np.zeros(regions.count, dtype=bool)
    close[pet.region[distance <= distance_mm + TIE_MM]] = True
    pet_only = measure_pet_only(
        nearest,
        grid,
        regions.voxels,
        rank[regions.region],
        near=np.where(close, rank, -1)[regions.region],
        centres=centres,
        uptake_of=np.full(int((rank >= 0).sum()), -1),
        distance_mm=distance_mm,
    )
    return Attribution(
        grid=grid,
        avid=regions.avid,
        voxels=regions.voxels,
        groups=groups,
        pet_only=pet_only,
        tumour_voxels=within.voxel,
        tumour_lesion=tumour.lesion[within.run],
        tumour_holder=within.holder,
        distance_mm=distance_mm,
    )


def without_lesions(
    attribution: Attribution, tumour: TumourVoxels, *, not_tumour: Bools, not_avid: Bools
) -> Attribution:
    """Return the attribution where some lesions are no tumour.

    Avid voxels that belonged to such lesions alone become a PET-only region for each of them, after the
    others; of a lesion that is not avid they are removed.

    Parameters
    ----------
    attribution : Attribution
        To all lesions.
    tumour : TumourVoxels
        Without those lesions.
    not_tumour, not_avid : array of bool, (lesions,)
    """
    if not not_tumour.any():
        return attribution
    old, before = attribution.groups, attribution.pet_only
    kept = ~not_tumour[old.pair_lesion]
    owner = np.full(old.voxels.size, not_tumour.size, dtype=np.int64)
    np.minimum.at(owner, old.pair_group, old.pair_lesion)
    claimed = np.zeros(old.voxels.size, dtype=bool)
    claimed[old.pair_group[kept]] = True
    orphan = (owner < not_tumour.size) & ~claimed
    orphan[orphan] = ~not_avid[owner[orphan]]
    uptake_of = sorted_unique(owner[orphan])
    rank = old.rank.copy()
    rank[orphan] = before.count + np.searchsorted(uptake_of, owner[orphan])
    rows = kept[old.row_pair]
    groups = replace(
        old,
        rank=rank,
        pair_group=old.pair_group[kept],
        pair_lesion=old.pair_lesion[kept],
        row_pair=(np.cumsum(kept) - 1)[old.row_pair[rows]],
        row_piece=old.row_piece[rows],
    )
    near = ~not_tumour[before.near_lesion]
    fresh = np.where(orphan, rank, -1)[old.of_voxel]
    centres = attribution.grid.to_mm(attribution.grid.unravel(attribution.voxels))
    added = lesions_near(tumour.around(centres), centres, fresh, distance_mm=attribution.distance_mm)
    within = ~not_tumour[attribution.tumour_lesion]
    known = np.concatenate((before.uptake_of, uptake_of))
    return replace(
        attribution,
        groups=groups,
        pet_only=PetOnly(
            measures=measure_ranks(attribution.grid, attribution.voxels, rank[old.of_voxel], known.size),
            uptake_of=known,
            near_rank=np.concatenate((before.near_rank[near], added[0])),
            near_lesion=np.concatenate((before.near_lesion[near], added[1])),
            near_mm=np.concatenate((before.near_mm[near], added[2])),
        ),
        tumour_voxels=attribution.tumour_voxels[within],
        tumour_lesion=attribution.tumour_lesion[within],
        tumour_holder=attribution.tumour_holder[within],
    )


def _grouped(pet: AvidVoxels, rows: list[Rows], rank: Int64s, *, far: Bools, piece_span: int) -> AvidGroups:
    """Group avid voxels of one region that hold alike, and have the same candidates."""
    voxel, lesion, piece = (np.concatenate(column) for column in zip(*rows, strict=True))
    key = lesion * piece_span + piece - NO_PIECE
    held = pet.holds
    of_voxel = group_alike(voxel, key, pet.region.size, start=4 * pet.region + 2 * far + held)
    first = first_of_each(of_voxel)
    shown = first[of_voxel[voxel]] == voxel  # one voxel stands for its group
    pairs = distinct_pairs(of_voxel[voxel[shown]], key[shown])
    group, (lesion, piece) = pairs[:, 0], np.divmod(pairs[:, 1], piece_span)
    opens = np.ones(group.size, dtype=bool)
    opens[1:] = (group[1:] != group[:-1]) | (lesion[1:] != lesion[:-1])
    return AvidGroups(
        of_voxel=of_voxel,
        voxels=np.bincount(of_voxel, minlength=first.size).astype(np.int64),
        region=pet.region[first],
        rank=rank[pet.region[first]],
        far=far[first],
        held=held[first],
        pair_group=group[opens],
        pair_lesion=lesion[opens],
        row_pair=np.cumsum(opens) - 1,
        row_piece=piece + NO_PIECE,
    )
