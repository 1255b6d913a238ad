"""Size and place of lesions and PET-only regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.diameters import longest_diameters_mm
from volstrat.geometry.runs import begins_of, covered_twice, cut_at, order_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.geometry.array_types import Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.lesions import Lesions


_POINT_DECIMALS = 3
_POSITION_STEP_MM = 1e-3
_POSITION_OFFSET = 0.318309886  # keeps round coordinates away from the edges of a step


@frozen(eq=False)
class LesionMeasures:
    """Size and place of each lesion; arrays of length ``n`` lesions.

    ``centroid_mm`` and ``point_mm``, a voxel centre, are (n, 3); ``box_mm`` is (n, 2, 3), lowest and highest
    LPS coordinate of any voxel centre; diameters are between voxel centres.
    """

    voxels: Int64s
    volume_ml: Float64s
    centroid_mm: Float64s
    point_mm: Float64s
    box_mm: Float64s
    max_diameter_mm: Float64s
    max_axial_diameter_mm: Float64s


def sizes_and_centroids(
    grid: VoxelGrid, starts: Int64s, stops: Int64s, owner: Int64s, count: int
) -> tuple[Int64s, Float64s]:
    """Voxels and centroid (LPS mm) of each owner's runs (cut at row ends)."""
    length = stops - starts
    first = grid.unravel(starts)
    weights = (length * (2 * first[:, 0] + length - 1) / 2, length * first[:, 1], length * first[:, 2])
    voxels = np.bincount(owner, weights=length, minlength=count).astype(np.int64)
    sums = np.stack([np.bincount(owner, weights=w, minlength=count) for w in weights], axis=-1)
    return voxels, grid.to_mm(sums / np.maximum(voxels, 1)[:, None])


def measure_runs(grid: VoxelGrid, starts: Int64s, stops: Int64s, owner: Int64s, count: int) -> LesionMeasures:
    """Measure lesions or PET regions given as runs cut at row ends.

    Parameters
    ----------
    starts, stops, owner : array of int64, (n,)
        Runs, and which of the ``count`` lesions each belongs to.
    """
    voxels, centroid = sizes_and_centroids(grid, starts, stops, owner, count)
    low = np.full((count, 3), np.inf)
    high = np.full((count, 3), -np.inf)
    order = order_by(owner)
    held = np.bincount(owner, minlength=count)
    opens, filled = (np.cumsum(held) - held)[held > 0], held > 0
    for ends in (starts, stops - 1) if starts.size else ():
        mm = grid.to_mm(grid.unravel(ends[order]))
        low[filled] = np.minimum(low[filled], np.minimum.reduceat(mm, opens))
        high[filled] = np.maximum(high[filled], np.maximum.reduceat(mm, opens))
    longest, axial = longest_diameters_mm(grid, starts, stops, owner, count)
    return LesionMeasures(
        voxels=voxels,
        volume_ml=voxels * grid.voxel_volume_mm3 / 1000,
        centroid_mm=centroid,
        point_mm=_inner_points(grid, starts, stops, owner, centroid),
        box_mm=np.stack((low, high), axis=1),
        max_diameter_mm=longest,
        max_axial_diameter_mm=axial,
    )


def _inner_points(
    grid: VoxelGrid, starts: Int64s, stops: Int64s, owner: Int64s, centroid_mm: Float64s
) -> Float64s:
    """Centre (LPS mm) of each owner's voxel nearest to its centroid; of equally near ones lowest x, y, z.

    Where owners overlap it is a voxel that no other holds, where there is one.
    """
    shared = covered_twice(starts, stops)
    if shared:
        cut, past, run = cut_at(starts, stops, np.concatenate((shared.starts, shared.stops)))
        alone = ~shared.contains(cut)
        keep = alone | ~np.isin(owner[run], owner[run[alone]])
        starts, stops, owner = cut[keep], past[keep], owner[run[keep]]
    along = grid.affine[:3, 0]
    middle = (centroid_mm[owner] - grid.to_mm(grid.unravel(starts))) @ along / (along @ along)
    steps = np.floor(middle)[:, None] + [0, 1]  # the voxels of the run on either side of the middle
    voxel = starts[:, None] + np.clip(steps, 0, (stops - starts - 1)[:, None]).astype(np.int64)
    centres, owner = grid.to_mm(grid.unravel(voxel.ravel())), np.repeat(owner, 2)
    apart = _stepped(np.sqrt(((centres - centroid_mm[owner]) ** 2).sum(axis=1)))
    least = np.full(centroid_mm.shape[0], np.inf)
    np.minimum.at(least, owner, apart)
    alike = np.flatnonzero(apart == least[owner])
    x, y, z = (_stepped(column) for column in centres[alike].T)
    nearest = alike[np.lexsort((z, y, x, owner[alike]))]
    nearest = nearest[begins_of(owner[nearest])]
    points = np.zeros_like(centroid_mm)
    points[owner[nearest]] = np.round(centres[nearest], _POINT_DECIMALS) + 0.0  # no negative zero
    return points


def measure_lesions(lesions: Lesions) -> LesionMeasures:
    """Measure every lesion."""
    return measure_runs(lesions.grid, lesions.starts, lesions.stops, lesions.lesion, lesions.count)


def gathered_measures(rows: Sequence[tuple[LesionMeasures, int]]) -> LesionMeasures:
    """Return the measures of single lesions, each out of a table of its own."""

    def column(name: str, empty: tuple[int, ...]) -> Float64s:
        values = [getattr(measures, name)[n] for measures, n in rows]
        return np.array(values, dtype=np.float64) if values else np.zeros((0, *empty))

    return LesionMeasures(
        voxels=column("voxels", ()).astype(np.int64),
        volume_ml=column("volume_ml", ()),
        centroid_mm=column("centroid_mm", (3,)),
        point_mm=column("point_mm", (3,)),
        box_mm=column("box_mm", (2, 3)),
        max_diameter_mm=column("max_diameter_mm", ()),
        max_axial_diameter_mm=column("max_axial_diameter_mm", ()),
    )


def falling_volume_rank(voxels: Int64s, centroid_mm: Float64s) -> Int64s:
    """Rank by falling volume, ties by centroid (LPS x, then y, then z; within a micrometre equal)."""
    step = _stepped(centroid_mm)
    order = np.lexsort((step[:, 2], step[:, 1], step[:, 0], -voxels))
    rank = np.empty(voxels.size, dtype=np.int64)
    rank[order] = np.arange(voxels.size)
    return rank


def _stepped(mm: Float64s) -> Float64s:
    """Return millimetres in whole steps, in which what differs by the last bits alone is equal."""
    steps: Float64s = np.floor(mm / _POSITION_STEP_MM + _POSITION_OFFSET)
    return steps
