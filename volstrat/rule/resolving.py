"""What each FDG-avid voxel is marked, given the markings of lesions and regions and avidity words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import sorted_unique
from volstrat.rule.markings import NO_WORD
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.markings import MarkedLesions


@frozen(eq=False)
class Resolved:
    """What the avid voxels of each group are marked, given markings and avidity words."""

    # (groups,): `Marking`, the worst where several lesions are held; -1 where a word ``not_avid`` removed it
    marking: Int64s
    belongs: Bools  # (pairs,): which pairs of group and lesion stand
    pair_marking: Int64s  # (pairs,): the marking that the group takes from the lesion
    by_marking: Int64s  # (4,): avid voxels by `Marking`, those that were removed left out
    # (lesions,): avid voxels that belong to each lesion; one that holds two counts for both
    lesion_voxels: Int64s

    def count(self, *markings: Marking) -> int:
        """Count the avid voxels that carry one of these markings."""
        return int(self.by_marking[list(markings)].sum())


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
    alone = groups.rank >= 0
    marking[alone] = np.where(dismissed, -1, region_marking)[groups.rank[alone]]
    kept = marking >= 0
    by_marking = np.bincount(marking[kept], groups.voxels[kept], minlength=len(Marking))
    of_lesion = np.bincount(
        groups.pair_lesion[belongs], groups.voxels[groups.pair_group[belongs]], minlength=not_avid.size
    )
    return Resolved(
        marking=marking,
        belongs=belongs,
        pair_marking=mark,
        by_marking=by_marking.astype(np.int64),
        lesion_voxels=of_lesion.astype(np.int64),
    )


def avid_voxels_of_lesions(attribution: Attribution, resolved: Resolved, count: int) -> list[Int64s]:
    """Return the avid voxels (linear indices, rising) that belong to each of ``count`` lesions."""
    groups = attribution.groups
    of: list[list[int]] = [[] for _ in range(count)]
    groups_of, owner = groups.pair_group[resolved.belongs], groups.pair_lesion[resolved.belongs]
    for group, lesion in zip(groups_of.tolist(), owner.tolist(), strict=True):
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
    count = int(groups.region.max(initial=-1)) + 1
    lowest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(lowest, region, lesion)
    low, high = np.full(count, len(Marking)), np.full(count, -1)
    np.minimum.at(low, region, mark)
    np.maximum.at(high, region, mark)
    reviews: dict[tuple[int, str], set[int]] = {}
    for regions, reason in (
        (np.flatnonzero(low < high), "differently_marked"),
        (sorted_unique(region[marked.codes[lesion] == NO_WORD]), "partly_marked"),
        (sorted_unique(region[attribution.seen.far[group]]), "reaches_far"),
    ):
        for r in regions:
            reviews.setdefault((int(lowest[r]), reason), set()).update(lesion[region == r].tolist())
    return tuple((*key, tuple(sorted(on))) for key, on in sorted(reviews.items()))
