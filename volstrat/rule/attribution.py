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

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.components import connected_components
from volstrat.geometry.projection import project_into
from volstrat.geometry.runs import expand, first_of_each, ranked, sorted_unique
from volstrat.rule.attribution_geometry import (
    AvidVoxels,
    distinct_pairs,
    far_voxels,
    held_pairs,
    held_rows,
    spill_rows,
    touch_mm,
)
from volstrat.rule.lesions import refuse_specks
from volstrat.rule.markings import NO_WORD, group_alike
from volstrat.rule.pet_only import PetOnly, rank_regions
from volstrat.rule.tumour_voxels import NO_PIECE, lesions_near

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.rule.markings import TumourPieces
    from volstrat.rule.tumour_voxels import TumourVoxels


_NO_LESION, _SEVERAL = -1, -2
"""In place of the one lesion that a region belongs to: it belongs to none, or voxel by voxel."""
_NO_ROWS = (np.empty(0, np.int64),) * 2


@frozen(eq=False)
class AvidGroups:
    """Avid voxels of one region that may belong to the same lesions, counted together."""

    of_voxel: Int64s  # (n,): group of each avid voxel
    # voxels, region, rank, (groups,): size, the region it is part of, and its rank among the PET-only ones (0
    # is P1), or -1
    voxels: Int64s
    region: Int64s
    rank: Int64s
    held: Bools  # (groups,): its voxels hold tumour
    # pair_group, pair_lesion, (pairs,): lesions that a group may belong to. One that holds tumour belongs to
    # every lesion it holds, one that holds none to a single one of its candidates.
    pair_group: Int64s
    pair_lesion: Int64s
    # row_pair, row_piece, (rows,): pieces of the lesion's nearest voxels, or `NO_PIECE` where the lesion has
    # one marking
    row_pair: Int64s
    row_piece: Int64s


class Seen:
    """What only a report says of avid voxels and tumour, worked out when it is asked for, and once.

    Parameters
    ----------
    tumour : TumourVoxels
        Of all lesions.
    pet : AvidVoxels
    of_voxel : array of int64, (n,)
        Group of each avid voxel.
    touching : array of bool, (regions,)
        Regions that belong to CT tumour.
    distance_mm : float
    """

    def __init__(
        self, tumour: TumourVoxels, pet: AvidVoxels, of_voxel: Int64s, touching: Bools, distance_mm: float
    ) -> None:
        self.tumour, self._pet, self._of_voxel = tumour, pet, of_voxel
        self._touching, self._distance_mm = touching, distance_mm

    @cached_property
    def far(self) -> Bools:
        """Flag the groups with a voxel beyond twice the attribution distance from tumour."""
        far = far_voxels(self.tumour, self._pet, self._touching, self._distance_mm)
        flags = np.zeros(int(self._of_voxel.max(initial=-1)) + 1, dtype=bool)
        flags[self._of_voxel[far]] = True
        return flags

    @cached_property
    def held(self) -> tuple[Int64s, Int64s, Int64s]:
        """Groups of avid voxels, pieces of tumour that they hold, and how many voxels of them, each once."""
        tumour, pet, pieces = self.tumour, self._pet, self.tumour.pieces
        held = project_into(pet.voxels, tumour.starts, tumour.stops, from_grid=tumour.grid, to_grid=pet.grid)
        piece = tumour.whole_piece[held.run]
        mine = tumour.lesion[held.run] == pieces.first_lesion[piece]  # a voxel comes once for each lesion
        count = max(pieces.voxels.size, 1)
        pairs, pair = ranked(self._of_voxel[held.holder[mine]] * count + piece[mine])
        voxels = np.bincount(pair, (held.stops - held.starts)[mine], minlength=pairs.size)
        return pairs // count, pairs % count, voxels.astype(np.int64)

    def held_voxels(self, lesions: Bools, groups: Bools) -> int:
        """Count the tumour voxels of some lesions that lie in some groups of avid voxels, each once."""
        assert lesions.size == self.tumour.lesions
        pieces, (group, piece, voxels) = self.tumour.pieces, self.held
        asked = np.zeros(pieces.voxels.size, dtype=bool)
        asked[pieces.pair_piece[lesions[pieces.pair_lesion]]] = True
        return int(voxels[asked[piece] & groups[group]].sum())


@frozen(eq=False)
class Attribution:
    """The lesions that each avid voxel may belong to."""

    grid: VoxelGrid  # of the avid mask
    regions: AvidRegions  # the avid voxels, as given
    groups: AvidGroups
    pet_only: PetOnly
    seen: Seen
    distance_mm: float  # the attribution distance

    @property
    def voxels(self) -> Int64s:
        """Linear indices of the avid voxels, rising."""
        return self.regions.voxels

    @property
    def rank(self) -> Int64s:
        """Rank of each avid voxel's region among the PET-only ones (0 is P1), or -1."""
        rank: Int64s = self.groups.rank[self.groups.of_voxel]
        return rank

    def each_alone(self, values: Int64s | None = None) -> list[Int64s]:
        """Return the voxels (linear indices, rising) of each PET-only region, by rank.

        Or ``values`` of them, which has one for each avid voxel.
        """
        return self._split(self.rank, self.pet_only.count, self.voxels if values is None else values)

    def each_region(self) -> list[Int64s]:
        """Return the voxels (linear indices, rising) of each avid region."""
        region = self.groups.region[self.groups.of_voxel]
        return self._split(region, int(region.max(initial=-1)) + 1, self.voxels)

    @staticmethod
    def _split(part: Int64s, count: int, values: Int64s) -> list[Int64s]:
        """Return the values of each of so many parts, those below 0 left out."""
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange(count + 1))
        return [values[mine] for mine in np.split(order, edges)[1:-1]]

    def stands_for(self, pieces: TumourPieces) -> bool:
        """Tell whether it would be the same with the lesions cut into other pieces.

        It is where every lesion that avid voxels may belong to is drawn with one marking, then as now.
        """
        partial = pieces.drawn[self.groups.pair_lesion] == NO_WORD
        return not (partial.any() or (self.groups.row_piece != NO_PIECE).any())


@frozen(eq=False)
class AvidRegions:
    """Avid voxels and the 26-connected region of each, on any grid of their shape."""

    avid: VoxelRuns
    # voxels, region, (n,): linear indices, rising, and the region of each, 0 to ``count - 1``
    voxels: Int64s
    region: Int64s
    count: int


def find_regions(avid: VoxelRuns, grid: VoxelGrid) -> AvidRegions:
    """Tell the avid regions apart; NoisyMaskError if there are more than 10,000."""
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
    grid : VoxelGrid
        Of the avid voxels, in the tumour's frame of reference.
    apart : array of int64, optional
        Regions that are PET-only wherever they lie: those that a person spoke for.
    """
    pet = AvidVoxels(
        grid=grid,
        voxels=regions.voxels,
        centres=grid.to_mm(grid.unravel(regions.voxels)),
        region=regions.region,
        regions=regions.count,
        held=held_pairs(tumour, regions.voxels, grid),
    )
    spoken_for = np.zeros(regions.count, dtype=bool)
    if apart is not None:
        spoken_for[apart] = True
    touching, lost = pet.region_holds & ~spoken_for, ~(pet.region_holds | spoken_for)
    reach = touch_mm(tumour.grid, grid)
    owner = np.where(lost[pet.region], pet.region, -1)
    touched = lesions_near(tumour, pet.centres, owner, distance_mm=reach)[:2]
    touching[touched[0]] = True
    rank = rank_regions(grid, regions.voxels, regions.region, ~touching)
    groups = _grouped(tumour, pet, touching, touched, rank)
    return Attribution(
        grid=grid,
        regions=regions,
        groups=groups,
        pet_only=PetOnly(
            tumour,
            grid,
            regions.voxels,
            rank[regions.region],
            uptake_of=np.full(int((rank >= 0).sum()), -1),
            distance_mm=distance_mm,
        ),
        seen=Seen(tumour, pet, groups.of_voxel, touching, distance_mm),
        distance_mm=distance_mm,
    )


def _sole_lesions(tumour: TumourVoxels, pet: AvidVoxels, touching: Bools) -> Int64s:
    """Lesion that all voxels of a region belong to since it holds no other; `_SEVERAL`, or `_NO_LESION`."""
    region, lesion = distinct_pairs(pet.region[pet.held[:, 0]], pet.held[:, 1]).T
    sole = np.full(pet.regions, _SEVERAL, dtype=np.int64)
    sole[region] = np.where(tumour.pieces.drawn[lesion] == NO_WORD, _SEVERAL, lesion)
    sole[np.bincount(region, minlength=pet.regions) > 1] = _SEVERAL
    sole[~touching] = _NO_LESION
    return sole


def without_lesions(
    attribution: Attribution, tumour: TumourVoxels, *, not_tumour: Bools, not_avid: Bools
) -> Attribution:
    """Return the attribution where some lesions are no tumour.

    Avid voxels that belonged to such lesions alone become a PET-only region for each of them, after the
    others; of a lesion that is not avid they are removed.

    ``attribution`` is to all lesions, ``tumour`` without those that are none.
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
    return replace(
        attribution,
        groups=groups,
        pet_only=PetOnly(
            tumour,
            attribution.grid,
            attribution.voxels,
            rank[old.of_voxel],
            uptake_of=np.concatenate((before.uptake_of, uptake_of)),
            distance_mm=attribution.distance_mm,
            before=before,
        ),
    )


def _grouped(
    tumour: TumourVoxels, pet: AvidVoxels, touching: Bools, touched: tuple[Int64s, Int64s], rank: Int64s
) -> AvidGroups:
    """Group avid voxels of one region that hold alike, and have the same candidates.

    All of a region that belongs to one lesion, or to none, do; the others are told apart voxel by voxel.
    """
    sole = _sole_lesions(tumour, pet, touching)
    code = 2 * pet.region + pet.holds
    apart = np.flatnonzero((sole == _SEVERAL)[pet.region])
    there = np.zeros(2 * pet.regions, dtype=bool)
    there[code] = True
    there[code[apart]] = False
    plain = np.flatnonzero(there)
    of_voxel = (np.cumsum(there) - 1)[code]
    owned = np.flatnonzero(sole[plain // 2] >= 0)
    chosen = sole == _SEVERAL
    rows = [held_rows(tumour, pet, chosen), *spill_rows(tumour, pet, chosen, touched)] if apart.size else []
    voxel, part = (np.concatenate(column) for column in zip(_NO_ROWS, *rows, strict=True))
    alike = group_alike(np.searchsorted(apart, voxel), part, apart.size, start=code[apart])
    of_voxel[apart] = plain.size + alike
    first = apart[first_of_each(alike)]
    shown = first[of_voxel[voxel] - plain.size] == voxel  # one voxel stands for its group
    group, part = distinct_pairs(of_voxel[voxel[shown]], part[shown]).T
    lesion, piece = tumour.part_lesion[part], tumour.part_piece[part]
    opens = np.ones(group.size, dtype=bool)
    opens[1:] = (group[1:] != group[:-1]) | (lesion[1:] != lesion[:-1])
    region = np.append(plain // 2, pet.region[first])
    return AvidGroups(
        of_voxel=of_voxel,
        voxels=np.bincount(of_voxel, minlength=region.size).astype(np.int64),
        region=region,
        rank=rank[region],
        held=np.append(plain % 2, code[first] % 2).astype(bool),
        pair_group=np.append(owned, group[opens]),
        pair_lesion=np.append(sole[plain[owned] // 2], lesion[opens]),
        row_pair=np.append(np.arange(owned.size), owned.size + np.cumsum(opens) - 1),
        row_piece=np.append(np.full(owned.size, NO_PIECE), piece),
    )
