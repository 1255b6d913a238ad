"""What becomes of each lesion's volume when its boundary moves by a millimetre, or half of one.

A shift below the voxel size cannot be made by adding or removing voxels, so the volume is worked out
from the surface. Every voxel face between tumour and background stands for a piece of the true
surface: its area times the cosine between the face and the surface's normal. Summed over faces this
is exact for a plane in any direction, whatever the voxel's shape, and needs only the normal, which is
the gradient of the smoothed mask. Moving a piece of area dA outward by t sweeps
``dA (t + t^2 / R + t^3 / (3 R^2))`` (Steiner's formula for a sphere of radius R).

Fronts stop where they meet: halfway across a gap between two lesions, or within one, when boundaries
move out; in the middle of a thin part when they move in. Where two parts touch there is no
background, so nothing moves. ``docs/method.md`` derives this and reports what it gives for phantoms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.core.components import connected_components
from volstrat.core.runs import split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from volstrat.core.grid import VoxelGrid
    from volstrat.core.runs import LabelRuns

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]

_SMOOTHING = 0.8
"""Standard deviation of the smoothing, in units of the largest voxel edge, the same in all directions."""
_KERNEL_REACH = 3.0
_BLOCK = 48
_VOXELS_AT_ONCE = 2_000_000


def boundary_shift(grid: VoxelGrid, parts: LabelRuns, shifts_mm: Sequence[float]) -> Float64s:
    """Volumes of all parts with every free boundary moved along its normal.

    Parameters
    ----------
    grid : VoxelGrid
    parts : LabelRuns
        One label for each part whose volume is asked: a lesion, or its resectable or other share.
        Parts must not overlap. Where two parts touch, their common boundary stays.
    shifts_mm : sequence of float
        Outward where positive.

    Returns
    -------
    array of float64, (n_shifts, n_parts)
        In ml, parts in the order of ``parts.values``; a part that shrinks away has 0.

    Raises
    ------
    ValueError
        If parts overlap.
    """
    if parts.overlapping:
        msg = "Parts must not overlap: a voxel that belongs to two cannot be shared out."
        raise ValueError(msg)
    shifts = np.array(shifts_mm, dtype=np.float64)
    values = np.array(parts.values, dtype=np.int64)
    voxels = _Voxels.of(grid, parts, values)
    counts = np.bincount(voxels.part, minlength=values.size).astype(np.float64)
    volumes = np.tile(counts * grid.voxel_volume_mm3, (shifts.size, 1))
    if voxels.part.size and np.any(shifts != 0):
        faces = _Faces.of(grid, voxels)
        for row, shift in zip(volumes, shifts, strict=True):
            row += np.bincount(faces.part, faces.swept_mm3(float(shift)), minlength=values.size)
    return np.maximum(volumes, 0.0) / 1000


@dataclass(frozen=True, slots=True, eq=False)
class _Voxels:
    """Every tumour voxel, in storage order.

    ``index`` (3, n): along each axis. ``part`` (n,): position of its label. ``component`` (n,): the
    26-connected piece of all tumour that it belongs to, so that across a face lies the same piece or
    background, never another piece.
    """

    index: Int64s
    part: Int64s
    component: Int64s
    component_count: int

    @classmethod
    def of(cls, grid: VoxelGrid, parts: LabelRuns, values: Int64s) -> _Voxels:
        pieces = connected_components(parts.union(), grid, connectivity=26)
        ni, nj, _ = grid.shape
        starts, stops, labels = split_rows(parts.starts, parts.stops, ni, parts.labels)
        lengths = stops - starts
        component = pieces.component[np.searchsorted(pieces.starts, starts, side="right") - 1]
        row, i = np.divmod(starts, ni)
        k, j = np.divmod(row, nj)
        ends = np.cumsum(lengths)
        along = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
        index = np.stack([np.repeat(i, lengths) + along, np.repeat(j, lengths), np.repeat(k, lengths)])
        part = np.searchsorted(values, labels)
        return cls(index, np.repeat(part, lengths), np.repeat(component, lengths), pieces.count)


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """Voxel faces between tumour and background, and the pieces of surface they stand for.

    ``area_mm2`` (n,): of the piece; negative on the far side of roughness that the smoothed surface
    passes over, so that pits and bumps cancel. ``curvature_per_mm`` (n,): 1 / R. ``out_mm``, ``in_mm``
    (n,): how far the piece moves until it meets another one.
    """

    part: Int64s
    area_mm2: Float64s
    curvature_per_mm: Float64s
    out_mm: Float64s
    in_mm: Float64s

    @classmethod
    def of(cls, grid: VoxelGrid, voxels: _Voxels) -> _Faces:
        spacing = grid.spacing_mm
        sides = [_exposed(axis, voxels) for axis in range(3)]
        voxel = np.concatenate([side.voxel for side in sides])
        axis = np.repeat(np.arange(3), [side.voxel.size for side in sides])
        outward = np.concatenate([side.outward for side in sides])
        normal = _normals(voxels, voxel, axis, outward, spacing)
        cosine = outward * np.take_along_axis(normal, axis[None], axis=0)[0]
        area = grid.voxel_volume_mm3 / np.array(spacing)[axis] * cosine
        meet = [
            _meeting_distances(side, normal[:, axis == a], a, spacing[a]) for a, side in enumerate(sides)
        ]
        out_mm, in_mm = (np.concatenate(column) for column in zip(*meet, strict=True))
        centre = (voxels.index[:, voxel] + 0.5 * outward * (axis == np.arange(3)[:, None])) * np.array(spacing)[:, None]
        curvature = _curvatures(voxels, voxel, area, normal, centre)
        return cls(voxels.part[voxel], area, curvature, out_mm, in_mm)

    def swept_mm3(self, shift: float) -> Float64s:
        """Volume that each piece gains (or, moving in, loses: below 0)."""
        bend = self.curvature_per_mm
        if shift >= 0:
            t = np.minimum(shift, self.out_mm)
            return self.area_mm2 * t * (1 + bend * t * (1 + bend * t / 3))
        t = np.minimum(-shift, self.in_mm)
        t = np.minimum(t, 1 / np.maximum(bend, 1e-9))  # a sphere is gone once its radius is used up
        return -self.area_mm2 * t * (1 - bend * t * (1 - bend * t / 3))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Exposed faces across one axis: those at the low ends of runs, then those at the high ends.

    ``voxel`` (2 r,): the tumour voxel behind each face. ``outward`` (2 r,): -1 or +1 along the axis.
    ``thickness``, ``gap`` (r,): voxels in each run, and from its high end to the next run of its line
    (0 where there is none).
    """

    voxel: Int64s
    outward: Int64s
    thickness: Int64s
    gap: Int64s


def _exposed(axis: int, voxels: _Voxels) -> _Side:
    """Cut the voxels into runs along one axis; their ends are the faces across it."""
    index = voxels.index
    first, second = (index[a] for a in (2, 1, 0) if a != axis)
    span = [int(extent) + 2 for extent in index.max(axis=1)]  # a spare place keeps lines apart
    line = first * span[min(a for a in range(3) if a != axis)] + second
    key = line * span[axis] + index[axis]
    order = np.arange(key.size) if axis == 0 else np.argsort(key, kind="stable")
    key, line = key[order], line[order]
    breaks = np.flatnonzero(np.diff(key) != 1)
    low = np.concatenate(([0], breaks + 1))
    high = np.concatenate((breaks, [key.size - 1]))
    gap = np.zeros(low.size, dtype=np.int64)
    same_line = line[low[1:]] == line[high[:-1]]
    gap[:-1][same_line] = (key[low[1:]] - key[high[:-1]] - 1)[same_line]
    return _Side(
        voxel=order[np.concatenate((low, high))],
        outward=np.repeat(np.array([-1, 1]), low.size),
        thickness=high - low + 1,
        gap=gap,
    )


def _meeting_distances(
    side: _Side, normal: Float64s, axis: int, step_mm: float
) -> tuple[Float64s, Float64s]:
    """How far each face's piece of surface moves, out and in, until it meets the one it faces.

    Two planes through points a distance c apart along the axis, with outward normals n and m, moving
    at one speed: the first point is on their bisector after ``c |m_axis| / (1 - n m)``. For parallel
    walls that is half the wall's distance, for the two ends of a chord of a sphere the radius.
    """
    runs = side.thickness.size
    low, high = normal[:, :runs], normal[:, runs:]
    in_mm = np.concatenate(
        (
            _meeting(side.thickness * step_mm, high[axis], low, high),
            _meeting(side.thickness * step_mm, -low[axis], low, high),
        )
    )
    out_mm = np.full(2 * runs, np.inf)
    near = np.flatnonzero(side.gap)
    left, right = high[:, near], low[:, near + 1]
    gap_mm = side.gap[near] * step_mm
    out_mm[runs + near] = _meeting(gap_mm, -right[axis], left, right)
    out_mm[near + 1] = _meeting(gap_mm, left[axis], left, right)
    return out_mm, in_mm


def _meeting(apart_mm: Float64s, toward: Float64s, normal: Float64s, other: Float64s) -> Float64s:
    opening = 1 - (normal * other).sum(axis=0)
    meets = (toward > 0) & (opening > 1e-6)
    return np.where(meets, apart_mm * toward / np.where(meets, opening, 1.0), np.inf)


def _curvatures(
    voxels: _Voxels, voxel: Int64s, area: Float64s, normal: Float64s, centre: Float64s
) -> Float64s:
    """1 / R of each face's surface: one for each connected piece, or part of one.

    A piece of surface S bends on average as a sphere of that surface does, ``sqrt(4 pi / S)``: exact
    for spheres, low by 4 % for an ellipsoid 2 : 1 : 1. Where a piece holds several parts, each has
    the curvature of the sphere that fits its free surface: ``n = (x - c) / R`` by least squares.
    """
    component = voxels.component[voxel]
    surface = np.bincount(component, area, minlength=voxels.component_count)
    bend = np.sqrt(4 * math.pi / np.where(surface > 0, surface, np.inf))[component]
    group = component * (int(voxels.part.max()) + 1) + voxels.part[voxel]
    kinds, group = np.unique(group, return_inverse=True)
    if kinds.size == np.unique(component).size:
        return bend
    fitted = _fitted_curvatures(group, kinds.size, area, normal, centre)
    shared = np.bincount(kinds // (int(voxels.part.max()) + 1), minlength=voxels.component_count) > 1
    return np.where(shared[component], fitted[group], bend)


def _fitted_curvatures(
    group: Int64s, count: int, area: Float64s, normal: Float64s, centre: Float64s
) -> Float64s:
    weight = np.bincount(group, area, minlength=count)
    safe = np.where(weight > 0, weight, np.inf)
    spread, turn = np.zeros(count), np.zeros(count)
    for n, x in zip(normal, centre, strict=True):
        x_off = x - (np.bincount(group, area * x, minlength=count) / safe)[group]
        n_off = n - (np.bincount(group, area * n, minlength=count) / safe)[group]
        spread += np.bincount(group, area * x_off * x_off, minlength=count)
        turn += np.bincount(group, area * x_off * n_off, minlength=count)
    fitted = turn / np.where(spread > 0, spread, np.inf)
    return np.clip(fitted, 0.0, np.sqrt(4 * math.pi / safe))


def _normals(
    voxels: _Voxels, voxel: Int64s, axis: Int64s, outward: Int64s, spacing: tuple[float, float, float]
) -> Float64s:
    """Outward unit normals (3, n) of the smoothed mask at faces; (0, 0, 0) where it has no slope.

    Each connected piece is smoothed by itself, in the smallest box round it: a neighbour does not
    turn its normals.
    """
    kernels = [_kernels(step, _SMOOTHING * max(spacing)) for step in spacing]
    layout = _Layout.of(voxels)
    place = layout.places(voxels)
    steps = layout.steps[axis, voxels.component[voxel]]
    inside, beyond = place[voxel], place[voxel] + outward * steps
    batch_of_face = layout.batch[voxels.component[voxel]]
    by_batch = np.argsort(batch_of_face, kind="stable")
    bounds = np.searchsorted(batch_of_face[by_batch], np.arange(len(layout.shapes) + 1))
    filled = np.split(np.sort(place), np.searchsorted(np.sort(place), layout.begins[1:]))
    normal = np.empty((3, voxel.size))
    for number, shape in enumerate(layout.shapes):
        begin = layout.begins[number]
        box = np.zeros(shape)
        box.reshape(-1)[filled[number] - begin] = 1.0
        chosen = by_batch[bounds[number] : bounds[number + 1]]
        for direction, values in enumerate(_smoothed_gradient(box, kernels)):
            flat = values.reshape(-1)
            normal[direction, chosen] = -(flat[inside[chosen] - begin] + flat[beyond[chosen] - begin])
    length = np.sqrt((normal**2).sum(axis=0))
    return normal / np.where(length > 0, length, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Where each connected piece lies in dense boxes; pieces of about one size share an array.

    ``low`` (3, c): first index of each box, a voxel of margin included. ``steps`` (3, c): from a voxel
    to the next along i, j, k. ``first`` (c,): place of each box's first voxel, counted through all
    arrays. ``batch`` (c,): which array it is in. ``shapes``: of the arrays, [box, k, j, i].
    ``begins``: place of each array's first voxel.
    """

    low: Int64s
    steps: Int64s
    first: Int64s
    batch: Int64s
    shapes: list[tuple[int, ...]]
    begins: Int64s

    @classmethod
    def of(cls, voxels: _Voxels) -> _Layout:
        low, size = _boxes(voxels)
        order = np.lexsort(size)
        volume = size.prod(axis=0)
        batch, first = np.empty_like(volume), np.empty_like(volume)
        shapes: list[tuple[int, ...]] = []
        begins: list[int] = []
        place = 0
        for box in order:
            shape = tuple(int(n) for n in size[::-1, box])
            if not shapes or shapes[-1][1:] != shape or (shapes[-1][0] + 1) * volume[box] > _VOXELS_AT_ONCE:
                shapes.append((0, *shape))
                begins.append(place)
            shapes[-1] = (shapes[-1][0] + 1, *shape)
            batch[box], first[box] = len(shapes) - 1, place
            place += int(volume[box])
        steps = np.stack([np.ones_like(volume), size[0], size[0] * size[1]])
        return cls(low, steps, first, batch, shapes, np.array(begins))

    def places(self, voxels: _Voxels) -> Int64s:
        """Place of every voxel, (n,)."""
        piece = voxels.component
        place = self.first[piece]
        for axis in range(3):
            place += (voxels.index[axis] - self.low[axis, piece]) * self.steps[axis, piece]
        return place


def _boxes(voxels: _Voxels) -> tuple[Int64s, Int64s]:
    """First index and size of each connected piece's box, (3, c): a voxel of margin, sizes in steps."""
    low = np.full((3, voxels.component_count), np.iinfo(np.int64).max)
    high = np.full((3, voxels.component_count), -1)
    for axis in range(3):
        np.minimum.at(low[axis], voxels.component, voxels.index[axis])
        np.maximum.at(high[axis], voxels.component, voxels.index[axis])
    size = high - low + 3
    step = 2 ** np.maximum(np.ceil(np.log2(size)).astype(np.int64) - 4, 0)
    return low - 1, -(-size // step) * step  # at most an eighth larger


def _kernels(step_mm: float, sigma_mm: float) -> tuple[Float64s, Float64s]:
    """Gaussian weights over neighbouring voxels, and those that give its slope in 1/mm."""
    reach = math.ceil(_KERNEL_REACH * sigma_mm / step_mm)
    offset = np.arange(-reach, reach + 1) * step_mm
    weight = np.exp(-(offset**2) / (2 * sigma_mm**2))
    weight /= weight.sum()
    slope = offset * weight
    return weight, slope / (offset * slope).sum()


def _smoothed_gradient(
    filled: Float64s, kernels: list[tuple[Float64s, Float64s]]
) -> tuple[Float64s, Float64s, Float64s]:
    """Gradient along i, j, k of smoothed boxes indexed [box, k, j, i]."""
    (flat_i, slope_i), (flat_j, slope_j), (flat_k, slope_k) = kernels
    smooth = _filtered(filled, flat_i, 3)
    sloped = _filtered(filled, slope_i, 3)
    both = _filtered(smooth, flat_j, 2)
    return (
        _filtered(_filtered(sloped, flat_j, 2), flat_k, 1),
        _filtered(_filtered(smooth, slope_j, 2), flat_k, 1),
        _filtered(both, slope_k, 1),
    )


def _filtered(values: Float64s, kernel: Float64s, axis: int) -> Float64s:
    """Correlate boxes along one axis, zero outside: products with small banded matrices."""
    size, reach = values.shape[axis], kernel.size // 2
    result = np.empty_like(values)
    lanes, filtered = (a.reshape(a.shape[0], a.shape[1], -1) if axis == 1 else a for a in (values, result))
    for first in range(0, size, _BLOCK):
        last = min(first + _BLOCK, size)
        begin, end = max(first - reach, 0), min(last + reach, size)
        offset = np.arange(begin, end) - np.arange(first, last)[:, None] + reach
        band = np.where((offset >= 0) & (offset < kernel.size), kernel[offset.clip(0, kernel.size - 1)], 0.0)
        if axis == 3:
            filtered[..., first:last] = lanes[..., begin:end] @ band.T
        else:
            filtered[..., first:last, :] = band @ lanes[..., begin:end, :]
    return result
