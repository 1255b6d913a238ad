"""Whose avid voxels are that hold no tumour: the nearest lesion's, of those that the region may belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import expand, first_of_each, sorted_unique
from volstrat.rule.attribution_geometry import nearest_rows, touch_mm
from volstrat.rule.lesions_near import box_distance_mm, lesions_near, meeting_boxes
from volstrat.rule.tumour_voxels import NO_PIECE

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.rule.attribution_geometry import AvidVoxels, Rows
    from volstrat.rule.tumour_voxels import TumourVoxels


_MOST_PAIRS = 2_000_000
"""Of a voxel and a tumour run, in one region; beyond, a tree is quicker."""


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
    which, lesion, reach = _held_by_region(tumour, pet, points, region)
    _mark_hard(hard, tumour, region[which], lesion)
    lost = np.flatnonzero(~pet.region_holds[region])
    other, beside, reach[lost] = _beside_lost(tumour, points[lost], region[lost], hard, touched)
    which, lesion = np.append(which, lost[other]), np.append(lesion, beside)
    low, high = tumour.lesion_boxes
    kept = box_distance_mm(points[which], low[lesion], high[lesion]) <= reach[which] + 2 * TIE_MM
    which, lesion = which[kept], lesion[kept]
    _mark_hard(hard, tumour, region[which], lesion)
    rows = [
        _by_tree(tumour, pet, group, float(reach[np.searchsorted(voxel, group)].max()))
        for _, group in pet.groups(hard[pet.region] & chosen[pet.region] & ~pet.holds)
    ]
    easy = ~hard[region[which]]
    which, lesion = _nearest(tumour, points, which[easy], lesion[easy], reach)
    return [*rows, (voxel[which], lesion, np.full(lesion.size, NO_PIECE))]


def _mark_hard(hard: Bools, tumour: TumourVoxels, region: Int64s, lesion: Int64s) -> None:
    """Flag regions near a lesion without one marking, where voxels matter, or with too much to compare."""
    runs = np.diff(tumour.by_lesion.edge)
    hard |= np.bincount(region, runs[lesion], minlength=hard.size) > _MOST_PAIRS
    hard[region[tumour.partial[lesion]]] = True


def _held_by_region(
    tumour: TumourVoxels, pet: AvidVoxels, points: Float64s, region: Int64s
) -> tuple[Int64s, Int64s, Float64s]:
    """Pairs of point and lesion that its region holds, and how far (mm) the nearest of them is at most.

    No farther than a voxel that holds it, and half that voxel's diagonal.
    """
    key = pet.region[pet.held[:, 0]] * tumour.partial.size + pet.held[:, 1]
    first = first_of_each(key)
    holder = pet.centres[pet.held[first, 0]]
    owner, held = np.divmod(key[first], tumour.partial.size)
    which, at = _of_sets(owner, region, pet.regions)
    reach = np.full(region.size, np.inf)
    half = float(np.linalg.norm(pet.grid.spacing_mm)) / 2 * 1.001
    np.minimum.at(reach, which, np.linalg.norm(points[which] - holder[at], axis=1) + half)
    return which, held[at], reach


def _beside_lost(
    tumour: TumourVoxels, points: Float64s, region: Int64s, hard: Bools, touched: tuple[Int64s, Int64s]
) -> tuple[Int64s, Int64s, Float64s]:
    """Pairs of point and lesion of regions that hold none, and how far (mm) the nearest lesion is at most.

    The lesion that a region touches bounds it. Regions that are ``hard``, or found to be, have neither.
    """
    reach = np.full(region.size, np.inf)
    which, at = _of_sets(touched[0], region, hard.size)
    _mark_hard(hard, tumour, region[which], touched[1][at])
    easy = ~hard[region[which]]
    which, at = which[easy], at[easy]
    asked = sorted_unique(which)
    owner, _, mm = lesions_near(
        tumour,
        points[asked],
        np.arange(asked.size),
        distance_mm=np.inf,
        among=(np.searchsorted(asked, which), touched[1][at]),
    )
    np.minimum.at(reach, asked[owner], mm)
    box = reach[asked, None] + 2 * TIE_MM
    pair, lesion = meeting_boxes(points[asked] - box, points[asked] + box, *tumour.lesion_boxes)
    return asked[pair], lesion, reach


def _of_sets(owner: Int64s, asked: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """Pairs of a position in ``asked``, and one in ``owner`` (rising) of the same set."""
    edge = np.searchsorted(owner, np.arange(count + 1))
    each = edge[asked + 1] - edge[asked]
    return np.repeat(np.arange(asked.size), each), expand(edge[asked], edge[asked + 1])


def _nearest(
    tumour: TumourVoxels, points: Float64s, which: Int64s, lesion: Int64s, reach: Float64s
) -> tuple[Int64s, Int64s]:
    """Of pairs of point and lesion keep those with the point's nearest lesion, ties included."""
    several = np.bincount(which, minlength=len(points))[which] > 1
    asked = sorted_unique(which[several])
    owner, near, mm = lesions_near(
        tumour,
        points[asked],
        np.arange(asked.size),
        distance_mm=reach[asked] + TIE_MM,
        among=(np.searchsorted(asked, which[several]), lesion[several]),
    )
    least = np.full(asked.size, np.inf)
    np.minimum.at(least, owner, mm)
    tie = mm <= least[owner] + TIE_MM
    return np.append(which[~several], asked[owner[tie]]), np.append(lesion[~several], near[tie])


def _by_tree(tumour: TumourVoxels, pet: AvidVoxels, group: Int64s, reach: float) -> Rows:
    """Rows of one region's voxels by a tree of the tumour voxels round them."""
    held = sorted_unique(pet.held[pet.region[pet.held[:, 0]] == pet.region[group[0]], 1])
    if not held.size:
        points = pet.centres[group]
        across = float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))
        reach = touch_mm(tumour.grid, pet.grid) + across
    return nearest_rows(tumour, pet, group, held if held.size else None, reach=reach)
