"""What becomes of each lesion's volume when its boundary moves by a millimetre, or half of one.

A shift below the voxel size cannot be made by adding or removing voxels, so the volume is worked out
from the surface. Every voxel face between tumour and background stands for a piece of the true
surface: its area times the cosine between the face and the surface's normal. Summed over faces this
is exact for a plane in any direction, whatever the voxel's shape, and needs only the normal, which
`surface_faces` takes from the smoothed mask. Moving a piece of area dA outward by t sweeps
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

from volstrat.core.faces import Faces, surface_faces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from volstrat.core.grid import VoxelGrid
    from volstrat.core.runs import LabelRuns

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]

_DECIMALS = 6
"""Of a millilitre: far below what is meant, so that every platform gives the same bytes."""
_PARALLEL = 1e-6
"""Normals that differ by less (1 - cosine) never meet."""


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
    values = np.array(parts.values, dtype=np.int64)
    position = np.searchsorted(values, parts.labels)
    counts = np.bincount(position, parts.stops - parts.starts, minlength=values.size)
    volumes = np.tile(counts * grid.voxel_volume_mm3, (len(shifts_mm), 1))
    if values.size and any(shifts_mm):
        faces = surface_faces(grid, parts)
        surface = _Surface.of(grid, faces)
        for number, shift in enumerate(shifts_mm):
            volumes[number] += np.bincount(faces.part, surface.swept_mm3(shift), minlength=values.size)
    return np.round(np.maximum(volumes, 0.0) / 1000, _DECIMALS)


class ShiftedVolumes:
    """Remembers the last `boundary_shift` of a case.

    Marking whole lesions otherwise only renames the parts; then no surface is looked for again.
    """

    def __init__(self) -> None:
        self._last: tuple[LabelRuns, Int64s, tuple[float, ...], Float64s] | None = None

    def of(self, grid: VoxelGrid, parts: LabelRuns, shifts_mm: Sequence[float]) -> Float64s:
        """Return what `boundary_shift` gives for parts of the one case that this belongs to."""
        position = np.searchsorted(np.array(parts.values, dtype=np.int64), parts.labels)
        if self._last is not None:
            runs, place, shifts, volumes = self._last
            same = np.array_equal(runs.starts, parts.starts) and np.array_equal(runs.stops, parts.stops)
            if same and np.array_equal(place, position) and shifts == tuple(shifts_mm):
                return volumes
        volumes = boundary_shift(grid, parts, shifts_mm)
        self._last = (parts, position, tuple(shifts_mm), volumes)
        return volumes


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """The pieces of surface that the faces stand for.

    ``area_mm2`` (n,): negative on the far side of roughness that the smoothed surface passes over, so
    that pits and bumps cancel. ``bend_per_mm`` (n,): 1 / R. ``out_mm``, ``in_mm`` (n,): how far the
    piece moves until it meets another one.
    """

    area_mm2: Float64s
    bend_per_mm: Float64s
    out_mm: Float64s
    in_mm: Float64s

    @classmethod
    def of(cls, grid: VoxelGrid, faces: Faces) -> _Surface:
        spacing = np.array(grid.spacing_mm)
        cosine = faces.outward * np.take_along_axis(faces.normal, faces.axis[None], axis=0)[0]
        area = grid.voxel_volume_mm3 / spacing[faces.axis] * cosine
        out_mm, in_mm = np.full(area.size, np.inf), np.full(area.size, np.inf)
        for axis in range(3):
            _set_meetings(faces, axis, float(spacing[axis]), out_mm=out_mm, in_mm=in_mm)
        return cls(area, _bends(faces, area, spacing), out_mm, in_mm)

    def swept_mm3(self, shift: float) -> Float64s:
        """Volume that each piece gains (or, moving in, loses: below 0)."""
        bend = self.bend_per_mm
        if shift >= 0:
            t = np.minimum(shift, self.out_mm)
            return self.area_mm2 * t * (1 + bend * t * (1 + bend * t / 3))
        t = np.minimum(-shift, self.in_mm)
        return -self.area_mm2 * t * (1 - bend * t * (1 - bend * t / 3))


def _set_meetings(faces: Faces, axis: int, step_mm: float, *, out_mm: Float64s, in_mm: Float64s) -> None:
    """Fill in how far each face's surface moves until it meets the one that it faces along the axis.

    Faces across one axis pair up along each line of voxels: the low and high end of a run bound its
    thickness, the high end and the next low end a gap.
    """
    chosen = np.flatnonzero(faces.axis == axis)
    line, at = faces.line[chosen], faces.voxel[axis, chosen]
    order = chosen[np.lexsort((faces.outward[chosen], at, line))]
    low, high = order[::2], order[1::2]
    wide = (faces.voxel[axis, high] - faces.voxel[axis, low] + 1) * step_mm
    in_mm[low] = _meeting(wide, faces.normal[axis, high], faces.normal[:, low], faces.normal[:, high])
    in_mm[high] = _meeting(wide, -faces.normal[axis, low], faces.normal[:, low], faces.normal[:, high])
    next_too = faces.line[high[:-1]] == faces.line[low[1:]]
    left, right = high[:-1][next_too], low[1:][next_too]
    gap = (faces.voxel[axis, right] - faces.voxel[axis, left] - 1) * step_mm
    out_mm[left] = _meeting(gap, -faces.normal[axis, right], faces.normal[:, left], faces.normal[:, right])
    out_mm[right] = _meeting(gap, faces.normal[axis, left], faces.normal[:, left], faces.normal[:, right])


def _meeting(apart_mm: Float64s, toward: Float64s, normal: Float64s, other: Float64s) -> Float64s:
    """Distance to the bisector of two planes, for the point at one end of a line between them.

    With outward normals n and m, points a distance c apart along the line, and ``toward`` the cosine
    of the other plane's normal with it: ``c toward / (1 - n m)``. Half the distance for parallel
    walls, the radius for the two ends of any chord of a sphere.
    """
    opening = 1 - (normal * other).sum(axis=0)
    meets = (toward > 0) & (opening > _PARALLEL)
    return np.where(meets, apart_mm * toward / np.where(meets, opening, 1.0), np.inf)


def _bends(faces: Faces, area: Float64s, spacing: Float64s) -> Float64s:
    """1 / R of each face's surface: one for each connected piece, or for each part of one.

    A piece of surface S bends on average as the sphere of that surface does, ``sqrt(4 pi / S)``: exact
    for spheres and a little low for others. Where a piece holds several parts, each has the bend of
    the sphere that fits its free surface: ``n = (x - c) / R`` by least squares.
    """
    surface = np.bincount(faces.piece, area)
    bend = np.sqrt(4 * math.pi / np.where(surface > 0, surface, np.inf))[faces.piece]
    width = int(faces.part.max(initial=0)) + 1
    kinds, group = np.unique(faces.piece * width + faces.part, return_inverse=True)
    shared = np.bincount(kinds // width, minlength=surface.size)[faces.piece] > 1
    if not shared.any():
        return bend
    side = 0.5 * faces.outward * (faces.axis == np.arange(3)[:, None])
    centre = (faces.voxel + side) * spacing[:, None]
    return np.where(shared, _fitted_bends(group, area, faces.normal, centre)[group], bend)


def _fitted_bends(group: Int64s, area: Float64s, normal: Float64s, centre: Float64s) -> Float64s:
    weight = np.bincount(group, area)
    safe = np.where(weight > 0, weight, np.inf)
    spread, turn = np.zeros(weight.size), np.zeros(weight.size)
    for n, x in zip(normal, centre, strict=True):
        x_off = x - (np.bincount(group, area * x) / safe)[group]
        n_off = n - (np.bincount(group, area * n) / safe)[group]
        spread += np.bincount(group, area * x_off * x_off)
        turn += np.bincount(group, area * x_off * n_off)
    fitted = turn / np.where(spread > 0, spread, np.inf)
    return np.clip(fitted, 0.0, np.sqrt(4 * math.pi / safe))
