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
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.faces import surface_faces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from volstrat.geometry.array_types import Bools, Float64s, Int32s, Int64s
    from volstrat.geometry.faces import Faces, SurfaceFaces
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import LabelRuns


_DECIMALS = 6
"""Of a millilitre: far below what is meant, so that every platform gives the same bytes."""
_PARALLEL = 1e-6
"""Normals that differ by less (1 - cosine) never meet."""
_ACROSS = 1e-9
"""A plane whose normal has no larger cosine with a line runs along it: the sign is rounding."""
_FACES_AT_ONCE = 1 << 14
"""Even, so that a stretch starts with a low end."""


def boundary_shift(
    grid: VoxelGrid, parts: LabelRuns, shifts_mm: Sequence[float], *, piece_of_part: Int64s | None = None
) -> Float64s:
    """Volumes of all parts with every free boundary moved along its normal, (n_shifts, n_parts) in ml.

    ``parts`` have one label for each part whose volume is asked: a lesion, or its resectable or other share.
    They must not overlap (ValueError); where two touch, their common boundary stays. ``shifts_mm`` go outward
    where positive. ``piece_of_part`` is the 26-connected piece of all parts that each of ``parts.values``
    lies in, where that is known. Volumes are in the order of ``parts.values``; a part that shrinks away has
    0.
    """
    if parts.overlapping:
        msg = "Parts must not overlap: a voxel that belongs to two cannot be shared out."
        raise ValueError(msg)
    values = np.array(parts.values, dtype=np.int64)
    position = np.searchsorted(values, parts.labels)
    counts = np.bincount(position, parts.stops - parts.starts, minlength=values.size)
    volumes = np.tile(counts * grid.voxel_volume_mm3, (len(shifts_mm), 1))
    if values.size and any(shifts_mm):
        volumes += _gains_mm3(grid, surface_faces(grid, parts, piece_of_part), shifts_mm)
    return np.round(np.maximum(volumes, 0.0) / 1000, _DECIMALS)


class ShiftedVolumes:
    """Remembers the last `boundary_shift` of a case.

    Marking whole lesions otherwise only renames the parts; then no surface is looked for again.
    """

    def __init__(self) -> None:
        self._last: tuple[LabelRuns, Int64s, tuple[float, ...], Float64s] | None = None

    def of(
        self,
        grid: VoxelGrid,
        parts: LabelRuns,
        shifts_mm: Sequence[float],
        *,
        piece_of_part: Int64s | None = None,
    ) -> Float64s:
        """Return what `boundary_shift` gives for parts of the one case that this belongs to."""
        position = np.searchsorted(np.array(parts.values, dtype=np.int64), parts.labels)
        if self._last is not None:
            runs, place, shifts, volumes = self._last
            same = np.array_equal(runs.starts, parts.starts) and np.array_equal(runs.stops, parts.stops)
            if same and np.array_equal(place, position) and shifts == tuple(shifts_mm):
                return volumes
        volumes = boundary_shift(grid, parts, shifts_mm, piece_of_part=piece_of_part)
        self._last = (parts, position, tuple(shifts_mm), volumes)
        return volumes


def _gains_mm3(grid: VoxelGrid, surface: SurfaceFaces, shifts_mm: Sequence[float]) -> Float64s:
    """Volume that each part gains (below 0: loses) by each shift, (n_shifts, n_parts)."""
    bend = _bends(grid, surface)
    width = int(surface.part.max()) + 1
    gained = np.zeros((len(shifts_mm), width))
    for faces in surface.across:
        for group, area_mm2, out_mm, in_mm in _pieces_of_surface(grid, faces):
            part, bent = surface.part[group], bend[group]
            for number, shift in enumerate(shifts_mm):
                # Until the piece meets another one; Steiner's formula has the shift's sign.
                t = np.minimum(shift, out_mm) if shift >= 0 else np.maximum(shift, -in_mm)
                swept_mm3 = area_mm2 * t * (1 + bent * t * (1 + bent * t / 3))
                gained[number] += np.bincount(part, swept_mm3, minlength=width)
    return gained


def _pieces_of_surface(
    grid: VoxelGrid, faces: Faces
) -> Iterator[tuple[Int32s, Float64s, Float64s, Float64s]]:
    """Yield pieces of surface across one axis, a stretch of lines at a time.

    Group, area in mm2, and how far out and in each moves until it meets another one. The area is negative on
    the far side of roughness that the smoothed surface passes over, so that pits and bumps cancel.
    """
    total = faces.place.size
    for first in range(0, total, _FACES_AT_ONCE):
        past = min(first + _FACES_AT_ONCE, total)
        # Who a face at either end meets across a gap is in the next pair.
        wider = faces.stretch(first - 2, past + 2)
        out_mm, in_mm = _meetings(wider, grid.spacing_mm[faces.axis])
        ours = slice(min(first, 2), min(first, 2) + past - first)
        piece = faces.stretch(first, past)
        yield piece.group, _areas(grid, piece), out_mm[ours], in_mm[ours]


def _areas(grid: VoxelGrid, faces: Faces) -> Float64s:
    """Area of each piece of surface, mm2; the faces start with a low end."""
    area: Float64s = faces.normal[faces.axis] * (grid.voxel_volume_mm3 / grid.spacing_mm[faces.axis])
    area[::2] *= -1
    return area


def _meetings(faces: Faces, step_mm: float) -> tuple[Float64s, Float64s]:
    """How far each face's surface moves, out and in, until it meets the one that it faces.

    Faces pair up along each line of voxels: the low and high end of a run bound its thickness, the
    high end and the next low end a gap.
    """
    out_mm, in_mm = np.full(faces.place.size, np.inf), np.full(faces.place.size, np.inf)
    low, high = faces.normal[:, ::2], faces.normal[:, 1::2]
    wide = (faces.place[1::2] - faces.place[::2] + 1).astype(np.float64) * step_mm
    opening = 1 - (low * high).sum(axis=0)
    in_mm[::2] = _meeting(wide, high[faces.axis], opening)
    in_mm[1::2] = _meeting(wide, -low[faces.axis], opening)
    line = faces.place // faces.shape[0]
    left, right = faces.normal[:, 1:-1:2], faces.normal[:, 2::2]
    gap = (faces.place[2::2] - faces.place[1:-1:2] - 1).astype(np.float64) * step_mm
    # Beyond the end of a line nothing is met: as if planes were parallel.
    opening = np.where(line[1:-1:2] == line[2::2], 1 - (left * right).sum(axis=0), 0.0)
    out_mm[1:-1:2] = _meeting(gap, -right[faces.axis], opening)
    out_mm[2::2] = _meeting(gap, left[faces.axis], opening)
    return out_mm, in_mm


def _meeting(apart_mm: Float64s, toward: Float64s, opening: Float64s) -> Float64s:
    """Distance to the bisector of two planes, for the point at one end of a line between them.

    With outward normals n and m, points a distance c apart along the line, ``toward`` the cosine
    of the other plane's normal with it, and ``opening`` 1 - n m: ``c toward / (1 - n m)``. Half the
    distance for parallel walls, the radius for the two ends of any chord of a sphere.
    """
    meets = (toward > _ACROSS) & (opening > _PARALLEL)
    return np.where(meets, apart_mm * toward / np.where(meets, opening, 1.0), np.inf)


def _bends(grid: VoxelGrid, surface: SurfaceFaces) -> Float64s:
    """1 / R of each group's surface: one for each connected piece, or for each part of one.

    A piece of surface S bends on average as the sphere of that surface does, ``sqrt(4 pi / S)``: exact
    for spheres and a little low for others. Where a piece holds several parts, each has the bend of
    the sphere that fits its free surface: ``n = (x - c) / R`` by least squares.
    """
    groups = surface.part.size
    area, free = np.zeros(groups), np.zeros(groups, dtype=bool)
    for faces in surface.across:
        area += np.bincount(faces.group, _areas(grid, faces), minlength=groups)
        free[faces.group] = True
    total = np.bincount(surface.piece, area)
    bend = np.sqrt(4 * math.pi / np.where(total > 0, total, np.inf))[surface.piece]
    shared = np.bincount(surface.piece, free)[surface.piece] > 1
    if not shared.any():
        return bend
    return np.where(shared, _fitted_bends(grid, surface, area, shared), bend)


def _fitted_bends(grid: VoxelGrid, surface: SurfaceFaces, weight: Float64s, asked: Bools) -> Float64s:
    """Bend of the sphere that fits each of the groups asked for; ``weight`` is the group's area, mm2."""
    safe = np.where(weight > 0, weight, np.inf)
    means = np.zeros((2, 3, weight.size))
    for group, area, x, n in _weighted(grid, surface, asked):
        for axis in range(3):
            means[0, axis] += np.bincount(group, area * x[axis], minlength=weight.size)
            means[1, axis] += np.bincount(group, area * n[axis], minlength=weight.size)
    means /= safe
    spread, turn = np.zeros(weight.size), np.zeros(weight.size)
    for group, area, x, n in _weighted(grid, surface, asked):
        for axis in range(3):
            x_off = x[axis] - means[0, axis][group]
            n_off = n[axis] - means[1, axis][group]
            spread += np.bincount(group, area * x_off * x_off, minlength=weight.size)
            turn += np.bincount(group, area * x_off * n_off, minlength=weight.size)
    fitted = turn / np.where(spread > 0, spread, np.inf)
    return np.clip(fitted, 0.0, np.sqrt(4 * math.pi / safe))


def _weighted(
    grid: VoxelGrid, surface: SurfaceFaces, asked: Bools
) -> Iterator[tuple[Int32s, Float64s, Float64s, Float64s]]:
    """Group, area, centre (3, n) in mm and normal (3, n) of some groups' faces, a stretch at a time."""
    spacing = np.array(grid.spacing_mm)[:, None]
    for faces in surface.across:
        for first in range(0, faces.place.size, _FACES_AT_ONCE):
            some = faces.stretch(first, first + _FACES_AT_ONCE)
            ours = asked[some.group]
            if ours.any():
                centres = some.centres()[:, ours] * spacing
                yield some.group[ours], _areas(grid, some)[ours], centres, some.normal[:, ours]
