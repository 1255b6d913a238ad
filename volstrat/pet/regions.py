"""The PET voxels of each CT lesion: what it holds, and what lies within a margin of it.

PET is not resampled and the grids need not be parallel: distances are between voxel centres, in mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.nearest import nearest_distances
from volstrat.geometry.projection import project
from volstrat.geometry.runs import VoxelRuns, begins_of, expand, sorted_unique, split_index, split_rows

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import LabelRuns


_CORE_MM = -1.0
"""Stands for the distance of a PET voxel that is itself tumour: nearer than any other."""


@frozen(eq=False)
class LesionRegions:
    """PET voxels by lesion."""

    labels: Int64s  # (m,): the lesions' labels, rising
    voxels: Int64s  # (n,): linear PET indices, lesion by lesion, rising within each
    bounds: Int64s  # (m + 1,): ``voxels[bounds[a]:bounds[a + 1]]`` belong to lesion ``a``
    # (n,): True where the PET voxel holds a tumour voxel's centre, or its centre lies in a tumour voxel.
    is_core: Bools
    covered: Bools  # (m,): true where every voxel centre of the lesion lies in the PET field
    voxel_counts: Int64s  # (m,): how many CT voxels each lesion has

    @property
    def lesion(self) -> Int64s:
        """For each entry of ``voxels`` the position of its lesion in ``labels``."""
        return np.repeat(np.arange(self.labels.size), np.diff(self.bounds))

    def of(self, label: int) -> Int64s:
        """Return the PET voxels of one lesion."""
        at = int(np.searchsorted(self.labels, label))
        return self.voxels[self.bounds[at] : self.bounds[at + 1]]


def lesion_regions(
    tumour: LabelRuns, *, ct_grid: VoxelGrid, pet_grid: VoxelGrid, margin_mm: float, exclusive: bool = True
) -> LesionRegions:
    """Find the PET voxels of each lesion (``tumour``, on ``ct_grid``) and those within a margin of it.

    A PET voxel is in a lesion's region if it holds the centre of one of its voxels, if its own centre lies in
    one of them (where PET is the finer grid), or if its centre is within ``margin_mm`` of the centre of one
    of them (0: none is); 0.001 mm is allowed on every limit. The two grids are in one frame of reference.

    ``exclusive``: a PET voxel that is within the margin of several lesions goes to those that it is part of,
    else to the nearest (to all within 0.001 mm of it), so that a cold lesion is not called avid for its
    neighbour's uptake.
    """
    labels = sorted_unique(tumour.labels)
    holders = project(tumour, from_grid=ct_grid, to_grid=pet_grid)
    owner = np.repeat(np.searchsorted(labels, tumour.labels), tumour.stops - tumour.starts)
    outside = np.bincount(owner[holders < 0], minlength=labels.size)
    keys = _core_keys(tumour, labels, owner, holders, ct_grid=ct_grid, pet_grid=pet_grid)
    distance = np.full(keys.size, _CORE_MM)
    if margin_mm > 0 and labels.size:
        near, near_mm = _margin_keys(
            tumour, labels, keys, ct_grid=ct_grid, pet_grid=pet_grid, margin_mm=margin_mm
        )
        keys, distance = np.concatenate((keys, near)), np.concatenate((distance, near_mm))
    if exclusive:
        keys, distance = _nearest_only(keys, distance, pet_grid.size)
    order = np.argsort(keys)
    keys, distance = keys[order], distance[order]
    lesion, voxels = np.divmod(keys, pet_grid.size)
    return LesionRegions(
        labels=labels,
        voxels=voxels,
        bounds=np.searchsorted(lesion, np.arange(labels.size + 1)),
        is_core=distance == _CORE_MM,
        covered=outside == 0,
        voxel_counts=np.bincount(owner, minlength=labels.size),
    )


def _core_keys(
    tumour: LabelRuns,
    labels: Int64s,
    owner: Int64s,
    holders: Int64s,
    *,
    ct_grid: VoxelGrid,
    pet_grid: VoxelGrid,
) -> Int64s:
    """``lesion * pet size + voxel`` of the PET voxels that hold tumour or lie in it."""
    inside = holders >= 0
    key = owner[inside] * pet_grid.size + holders[inside]
    if key.size == 0:
        return key
    held = sorted_unique(key[begins_of(key)])
    if _half_diagonal_mm(ct_grid) < min(pet_grid.spacing_mm) / 2 - TIE_MM:
        return held  # a PET centre in a tumour voxel has that voxel's centre in its own voxel
    lesion, voxel = np.divmod(held, pet_grid.size)
    candidates = _dilated(lesion, pet_grid.unravel(voxel), pet_grid, reach_mm=_half_diagonal_mm(ct_grid))
    lesion, voxel = np.divmod(candidates, pet_grid.size)
    at = ct_grid.voxel_at(ct_grid.to_index(pet_grid.to_mm(pet_grid.unravel(voxel))))
    lane = np.searchsorted(labels, tumour.labels) * ct_grid.size
    lanes = VoxelRuns.from_intervals(tumour.starts + lane, tumour.stops + lane)
    in_tumour = (at[:, 0] >= 0) & lanes.contains(lesion * ct_grid.size + ct_grid.ravel(at))
    return np.union1d(held, candidates[in_tumour])


def _margin_keys(
    tumour: LabelRuns,
    labels: Int64s,
    core: Int64s,
    *,
    ct_grid: VoxelGrid,
    pet_grid: VoxelGrid,
    margin_mm: float,
) -> tuple[Int64s, Float64s]:
    """Keys of PET voxels outside the lesion but within the margin, and how far away each is, in mm.

    The tumour voxel nearest to a point outside the lesion lies on the lesion's surface.
    """
    lesion, indices = _surface(tumour, labels, ct_grid)
    points = ct_grid.to_mm(indices)
    seeds = np.rint(pet_grid.to_index(points)).astype(np.int64)
    candidates = _dilated(lesion, seeds, pet_grid, reach_mm=margin_mm)
    candidates = np.setdiff1d(candidates, core, assume_unique=True)
    queries = pet_grid.to_mm(pet_grid.unravel(candidates % pet_grid.size))
    point_bounds = np.searchsorted(lesion, np.arange(labels.size + 1))
    query_bounds = np.searchsorted(candidates // pet_grid.size, np.arange(labels.size + 1))
    distance = np.full(candidates.size, np.inf)
    for a in range(labels.size):
        asked = slice(query_bounds[a], query_bounds[a + 1])
        own = points[point_bounds[a] : point_bounds[a + 1]]
        distance[asked] = nearest_distances(own, queries[asked], reach=margin_mm + TIE_MM)
    near = np.isfinite(distance)
    return candidates[near], distance[near]


def _surface(tumour: LabelRuns, labels: Int64s, grid: VoxelGrid) -> tuple[Int64s, Int64s]:
    """Voxels of each lesion with a face neighbour outside it: lesion (n,), rising, and indices (n, 3)."""
    ni, nj, nk = grid.shape
    starts, stops, label = split_rows(tumour.starts, tumour.stops, ni, tumour.labels)
    _, j, k = split_index(starts, ni, nj)
    # One empty column, row and slice between neighbours in storage that are none in space.
    slice_size = (ni + 1) * (nj + 1)
    lane = (
        np.searchsorted(labels, label) * (slice_size * (nk + 1))
        + k * slice_size
        + j * (ni + 1)
        - ni * (j + nj * k)
    )
    whole = VoxelRuns.from_intervals(starts + lane, stops + lane)
    inner = VoxelRuns.from_intervals(whole.starts + 1, whole.stops - 1)
    for step in (ni + 1, slice_size):
        for shift in (step, -step):
            inner = inner.intersection(VoxelRuns(whole.starts + shift, whole.stops + shift))
    *index, lesion = split_index(whole.difference(inner).indices(), ni + 1, nj + 1, nk + 1)
    return lesion, np.stack(index, axis=-1)


def _dilated(lesion: Int64s, seeds: Int64s, grid: VoxelGrid, *, reach_mm: float) -> Int64s:
    """Keys of every voxel whose centre can be within reach of a point held by one of the seeds.

    Worked on runs, a row of the neighbourhood at a time; seeds (n, 3) may lie outside the grid.
    """
    steps = offsets_within(grid, reach_mm + _half_diagonal_mm(grid))
    rows, row_of = np.unique(steps[:, 1:], axis=0, return_inverse=True)
    low, high = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    np.minimum.at(low, row_of, steps[:, 0])
    np.maximum.at(high, row_of, steps[:, 0])
    pad = int(np.abs(steps).max()) + 1
    shape = np.array(grid.shape)
    close = ((seeds >= -pad) & (seeds < shape + pad)).all(axis=1)
    padded = shape + 4 * pad
    i, j, k = (seeds[close] + 2 * pad).T
    place = i + padded[0] * (j + padded[1] * (k + padded[2] * lesion[close]))
    runs = VoxelRuns.from_indices(place)
    shifts = padded[0] * (rows[:, 0] + padded[1] * rows[:, 1])
    starts = runs.starts + (shifts + low)[:, None]
    stops = runs.stops + (shifts + high + 1)[:, None]
    *index, owner = split_index(VoxelRuns.from_intervals(starts, stops).indices(), *padded.tolist())
    indices = np.stack(index, axis=-1) - 2 * pad
    inside = ((indices >= 0) & (indices < shape)).all(axis=1)
    keys: Int64s = owner[inside] * grid.size + grid.ravel(indices[inside])
    return keys


def offsets_within(grid: VoxelGrid, radius_mm: float) -> Int64s:
    """Index steps (n, 3) from a voxel to those whose centres lie within a radius (0.001 mm allowed)."""
    reach = radius_mm + TIE_MM
    limit = np.floor(reach * np.sqrt((grid.inverse[:3, :3] ** 2).sum(axis=1))).astype(np.int64)
    box = np.meshgrid(*(np.arange(-n, n + 1) for n in limit), indexing="ij")
    steps = np.stack(box, axis=-1).reshape(-1, 3)
    within: Int64s = steps[((steps @ grid.affine[:3, :3].T) ** 2).sum(axis=1) <= reach**2]
    return within


def _half_diagonal_mm(grid: VoxelGrid) -> float:
    return float(np.linalg.norm(grid.spacing_mm)) / 2


def _nearest_only(keys: Int64s, distance: Float64s, size: int) -> tuple[Int64s, Float64s]:
    """Keep, of the lesions that claim a PET voxel, the nearest and those within 0.001 mm of it."""
    if keys.size == 0:
        return keys, distance
    voxel = keys % size
    order = np.argsort(voxel, kind="stable")
    first = np.flatnonzero(begins_of(voxel[order]))
    least = np.minimum.reduceat(distance[order], first)
    spread = np.repeat(least, np.diff(np.append(first, keys.size)))
    kept = order[distance[order] <= spread + TIE_MM]
    return keys[kept], distance[kept]


def voxels_in_mask(runs: VoxelRuns, *, mask_grid: VoxelGrid, pet_grid: VoxelGrid) -> Int64s:
    """Return the PET voxels, rising, whose centres lie in a voxel of a mask on another grid."""
    if not runs:
        return np.empty(0, np.int64)
    ni = mask_grid.shape[0]
    starts, stops, _ = split_rows(runs.starts, runs.stops, ni)
    first = mask_grid.unravel(starts)
    low, high = first.min(axis=0), first.max(axis=0)
    high[0] = int(((stops - 1) % ni).max())
    bits = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T
    corners = pet_grid.to_index(mask_grid.to_mm(np.where(bits == 1, high + 0.5, low - 0.5)))
    begin = np.maximum(np.floor(corners.min(axis=0)).astype(np.int64), 0)
    end = np.minimum(np.ceil(corners.max(axis=0)).astype(np.int64) + 1, pet_grid.shape)
    if (begin >= end).any():
        return np.empty(0, np.int64)
    rows = np.arange(begin[1], end[1])[None, :] + pet_grid.shape[1] * np.arange(begin[2], end[2])[:, None]
    row_starts = rows.reshape(-1) * pet_grid.shape[0]
    box = expand(row_starts + begin[0], row_starts + end[0])
    at = mask_grid.voxel_at(mask_grid.to_index(pet_grid.to_mm(pet_grid.unravel(box))))
    inside = (at[:, 0] >= 0) & runs.contains(mask_grid.ravel(at))
    found: Int64s = box[inside]
    return found
