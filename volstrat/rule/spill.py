"""Whose avid voxels are that hold no tumour: the nearest lesion's, of those that the region may belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import expand, sorted_unique
from volstrat.rule.attribution_geometry import half_diagonal_mm, nearest_of, nearest_rows, touch_mm
from volstrat.rule.lesions_near import meeting_boxes, parts_near

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.rule.attribution_geometry import AvidVoxels, Rows
    from volstrat.rule.tumour_voxels import TumourVoxels

_MOST_PAIRS = 2_000_000
"""Of a voxel and a tumour run, in one region; beyond, a tree is quicker."""
_MOST_HOLDERS, _MOST_BOUNDS = 64, 200_000
"""Of a region's voxels that hold a lesion: so many bound how far the others are, in so many pairs."""


def spill_rows(
    tumour: TumourVoxels, pet: AvidVoxels, chosen: Bools, touched: tuple[Int64s, Int64s]
) -> list[Rows]:
    """Rows of avid voxels that hold no tumour: the nearest of the lesions that the region holds, or of all.

    Parameters
    ----------
    chosen : array of bool, (regions,)
        Those that are asked for.
    touched : tuple of array of int64, (pairs,)
        Regions that hold no tumour, by rising number, and lesions that they touch.
    """
    voxel = np.flatnonzero(chosen[pet.region] & ~pet.holds)
    points, region = pet.centres[voxel], pet.region[voxel]
    hard = np.zeros(pet.regions, dtype=bool)
    which, part, reach = _held_by_region(tumour, pet, points, region)
    _mark_hard(hard, tumour, region[which], part)
    lost = np.flatnonzero(~pet.region_holds[region])
    other, beside, reach[lost] = _beside_lost(tumour, points[lost], region[lost], hard, touched)
    which, part = np.append(which, lost[other]), np.append(part, beside)
    _mark_hard(hard, tumour, region[which], part)
    rows = [
        _by_tree(tumour, pet, group, float(reach[np.searchsorted(voxel, group)].max()))
        for _, group in pet.groups(hard[pet.region] & chosen[pet.region] & ~pet.holds)
    ]
    easy = ~hard[region[which]]
    which, part = nearest_of(tumour, points, which[easy], part[easy], reach)
    return [*rows, (voxel[which], part)]


def _mark_hard(hard: Bools, tumour: TumourVoxels, region: Int64s, part: Int64s) -> None:
    """Flag regions with too much to compare."""
    runs = np.diff(tumour.by_part.edge)
    hard |= np.bincount(region, runs[part], minlength=hard.size) > _MOST_PAIRS


def _held_by_region(
    tumour: TumourVoxels, pet: AvidVoxels, points: Float64s, region: Int64s
) -> tuple[Int64s, Int64s, Float64s]:
    """Pairs of point and part of a lesion that its region holds, and how far (mm) the nearest is at most.

    No farther than a voxel that holds it, and half that voxel's diagonal.
    """
    key = pet.region[pet.held[:, 0]] * tumour.lesions + pet.held[:, 1]
    order = np.argsort(key, kind="stable")
    key = key[order]
    owner, lesion = np.divmod(key, max(tumour.lesions, 1))
    begins = np.searchsorted(key, key)
    nth, each = np.arange(key.size) - begins, np.searchsorted(key, key, side="right") - begins
    asked = np.maximum(np.bincount(region, minlength=pet.regions), 1)
    some = nth % -(-each // np.clip(_MOST_BOUNDS // asked, 1, _MOST_HOLDERS)[owner]) == 0
    holder = pet.centres[pet.held[order[some], 0]]
    which, at = _of_sets(owner[some], region, pet.regions)
    reach = np.full(region.size, np.inf)
    apart = np.linalg.norm(points[which] - holder[at], axis=1)
    np.minimum.at(reach, which, apart + half_diagonal_mm(pet.grid))
    which, at = _of_sets(owner[nth == 0], region, pet.regions)
    position, part = tumour.parts_of(lesion[nth == 0][at])
    return which[position], part, reach


def _beside_lost(
    tumour: TumourVoxels, points: Float64s, region: Int64s, hard: Bools, touched: tuple[Int64s, Int64s]
) -> tuple[Int64s, Int64s, Float64s]:
    """Pairs of point and part of regions that hold none, and how far (mm) the nearest part is at most.

    The lesion that a region touches bounds it. Regions that are ``hard``, or found to be, have neither.
    """
    reach = np.full(region.size, np.inf)
    which, at = _of_sets(touched[0], region, hard.size)
    position, part = tumour.parts_of(touched[1][at])
    which = which[position]
    _mark_hard(hard, tumour, region[which], part)
    easy = ~hard[region[which]]
    which, part = which[easy], part[easy]
    asked = sorted_unique(which)
    owner, _, mm = parts_near(
        tumour,
        points[asked],
        np.arange(asked.size),
        distance_mm=np.inf,
        among=(np.searchsorted(asked, which), part),
    )
    np.minimum.at(reach, asked[owner], mm)
    box = reach[asked, None] + 2 * TIE_MM
    pair, part = meeting_boxes(points[asked] - box, points[asked] + box, *tumour.part_boxes)
    return asked[pair], part, reach


def _of_sets(owner: Int64s, asked: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """Pairs of a position in ``asked``, and one in ``owner`` (rising) of the same set."""
    edge = np.searchsorted(owner, np.arange(count + 1))
    each = edge[asked + 1] - edge[asked]
    return np.repeat(np.arange(asked.size), each), expand(edge[asked], edge[asked + 1])


def _by_tree(tumour: TumourVoxels, pet: AvidVoxels, group: Int64s, reach: float) -> Rows:
    """Rows of one region's voxels by a tree of the tumour voxels round them."""
    held = sorted_unique(pet.held[pet.region[pet.held[:, 0]] == pet.region[group[0]], 1])
    if held.size:
        return nearest_rows(tumour, pet, group, tumour.parts_of(held)[1], reach=reach)
    points = pet.centres[group]
    across = float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))
    return nearest_rows(tumour, pet, group, None, reach=touch_mm(tumour.grid, pet.grid) + across)
