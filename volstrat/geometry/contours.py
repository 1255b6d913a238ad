"""Closed planar contours to voxel runs: a voxel belongs where its centre lies inside.

Even-odd over all contours of one label on one slice (nested contours, keyholes and
CLOSEDPLANAR_XOR are the same thing then), by scan line, for all contours of all slices at once.

A centre *on* an edge belongs to the side that lies towards rising patient coordinates: the rule is
that of a centre moved by a vanishing amount, first along the in-plane axis closest to patient x (or
y, where x is the normal), then, far less, along the other. So abutting contours share no voxel and
lose none, and mirrored or permuted storage gives the same voxels. Two tolerances make "on" robust:
a vertex coordinate within 0.001 mm of a line of centres lies on it (coordinates are written with
three decimals or so), and a crossing within 1e-6 mm of a centre lies on it (rounding of the affine).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import TIE_MM, Placement, VoxelGrid, _points_upward, triple
from volstrat.geometry.runs import LabelRuns, _merged, expand, split_index

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Float64s, Int64s


# Widened a little, so that a vertex written exactly 1e-6 mm off is on it whatever the rounding.
_ON_MM = 1e-6 * (1 + 1e-3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedContours:
    """Contours in the indices of a grid, each on its nearest slice."""

    offsets: Int64s  # (m + 1,): contour ``c`` has the points ``offsets[c]`` to ``offsets[c + 1]``
    # u, v: (n,): continuous in-plane indices of the points in a *canonical* order of the grid's axes: rising
    # with the patient axes, the one closest to patient x first.
    u: Float64s
    v: Float64s
    boxes: Float64s  # (m, 4): low and high ``u``, low and high ``v`` of each contour
    slices: Int64s  # (m,): nearest slice of each contour, in the canonical direction; may lie beyond the grid
    off_slice_mm: Float64s  # (m,): distance of the contour (middle of its extent) from that slice's plane
    tilt_mm: Float64s  # (m,): extent along the slices' normal: zero for a contour that lies in a slice
    shape: tuple[int, int, int]  # of the grid
    canonical: VoxelGrid  # the grid with its axes in canonical order, slices last
    placement: Placement  # from canonical indices to the grid's own

    @property
    def slice_spacing_mm(self) -> float:
        """Distance between neighbouring slices in mm."""
        return self.canonical.spacing_mm[2]

    @property
    def on_slices(self) -> Bools:
        """Tell for each contour whether the grid has its slice."""
        return (self.slices >= 0) & (self.slices < self.canonical.shape[2])

    @property
    def reaches_out(self) -> Bools:
        """Tell for each contour whether it reaches, in its plane, beyond the faces of the outer voxels."""
        slack = 2 * TIE_MM / np.array(self.canonical.spacing_mm)
        ni, nj, _ = self.canonical.shape
        box = self.boxes
        low = (box[:, 0] < -0.5 - slack[0]) | (box[:, 2] < -0.5 - slack[1])
        beyond: Bools = low | (box[:, 1] > ni - 0.5 + slack[0]) | (box[:, 3] > nj - 0.5 + slack[1])
        return beyond


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilledContours:
    """The voxels inside contours, and where even-odd may not be what was meant."""

    runs: LabelRuns  # on the grid that the contours were placed on
    # (m,): voxels that a contour goes round twice or more an even number of times: even-odd leaves them out.
    self_overlap_voxels: Int64s
    # (p, 2): contours of one label and slice of which neither holds the other, though they share voxels; or
    # that hold the very same voxels.
    crossing_pairs: Int64s


def place_contours(points_mm: Float64s, offsets: Int64s, grid: VoxelGrid) -> PlacedContours:
    """Express contours in the indices of a grid.

    ``points_mm`` (n, 3) are vertices in LPS mm, contour after contour, each of which closes by itself;
    ``offsets`` (m + 1,) say where each starts: one contour at least, none without points. Slices are the
    planes of the two grid axes in which the contours lie, whatever their order in memory.
    """
    index = _indices(points_mm, grid)
    low = np.minimum.reduceat(index, offsets[:-1], axis=1)
    high = np.maximum.reduceat(index, offsets[:-1], axis=1)
    extent_mm = (high - low).sum(axis=1) * np.array(grid.spacing_mm)
    canonical, placement = _canonical(grid, normal=2 - int(np.argmin(extent_mm[::-1])))
    spacing_mm = canonical.spacing_mm
    for axis, sign in zip(placement.axes, placement.signs, strict=True):
        if sign < 0:
            last = grid.shape[axis] - 1
            index[axis] = last - index[axis]
            low[axis], high[axis] = last - high[axis], last - low[axis]
    i, j, k = placement.axes
    middle = (low[k] + high[k]) / 2
    # Which slice a contour half-way between two is nearest to must not depend on rounding.
    slices = np.floor(middle + 0.5 + TIE_MM / spacing_mm[2]).astype(np.int64)
    return PlacedContours(
        offsets=offsets,
        u=_on_centres(index[i], spacing_mm[0]),
        v=_on_centres(index[j], spacing_mm[1]),
        boxes=np.stack([low[i], high[i], low[j], high[j]], axis=-1),
        slices=slices,
        off_slice_mm=np.abs(middle - slices) * spacing_mm[2],
        tilt_mm=(high[k] - low[k]) * spacing_mm[2],
        shape=grid.shape,
        canonical=canonical,
        placement=placement,
    )


def _indices(points_mm: Float64s, grid: VoxelGrid) -> Float64s:
    """Continuous indices as (3, n): like `VoxelGrid.to_index`, in the layout that is fast here."""
    relative = np.ascontiguousarray(points_mm.T) - grid.affine[:3, 3:]
    inverse = grid.inverse
    return np.stack(
        [row[0] * relative[0] + row[1] * relative[1] + row[2] * relative[2] for row in inverse[:3]]
    )


def _on_centres(index: Float64s, spacing_mm: float) -> Float64s:
    """Put vertices on the line of centres that they lie on."""
    nearest = np.rint(index)
    return np.where(np.abs(index - nearest) <= _ON_MM / spacing_mm, nearest, index)


def fill_contours(placed: PlacedContours, labels: Int64s) -> FilledContours:
    """Return the voxels whose centres lie inside contours, even-odd per label and slice.

    ``labels`` (m,) are those of the contours, from 1. Contours beyond the grid's slices give no voxels; parts
    beyond its rows and columns neither.
    """
    ni, nj, nk = placed.canonical.shape
    line, crossed_at, direction = _sorted_crossings(placed)
    contour = line // nj
    # One label on one slice is a group.
    pairs = np.stack([labels, placed.slices], axis=-1)
    groups, group, sizes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    group, (label_of, slice_of) = group.reshape(-1), groups.T
    shared = sizes[group] > 1
    key = (group[contour] * nj + line % nj) * (ni + 1) + crossed_at
    first, last, owner = key[0::2], key[1::2], contour[0::2]
    with_others = shared[owner]
    crossing_pairs = _crossing_pairs(first[with_others], last[with_others], owner[with_others])

    # Contours that share a slice with others of their label: even-odd over all of their crossings.
    again = np.sort(key[shared[contour]])
    first = np.concatenate((first[~with_others], again[0::2]))
    last = np.concatenate((last[~with_others], again[1::2]))
    column, row, group_of = split_index(first, ni + 1, nj)
    k = slice_of[group_of]
    keep = (first < last) & (k >= 0) & (k < nk)
    begin = ((k * nj + row) * ni + column)[keep]
    runs = _merged(begin, begin + (last - first)[keep], label_of[group_of][keep])
    # Even-odd has the outside between a pair of crossings and the next: what is wound round there is lost.
    winding = np.cumsum(direction)[1::2]
    nonzero = np.flatnonzero(winding[:-1]) * 2 + 1
    lost = np.zeros(placed.slices.size, np.int64)
    np.add.at(lost, contour[nonzero], crossed_at[nonzero + 1] - crossed_at[nonzero])
    return FilledContours(
        runs=runs.reindexed(placed.placement, shape=placed.canonical.shape, onto=placed.shape),
        self_overlap_voxels=lost,
        crossing_pairs=crossing_pairs,
    )


def _sorted_crossings(placed: PlacedContours) -> tuple[Int64s, Int64s, Int64s]:
    """Return where contours cross the lines of voxel centres, sorted by contour, row, column.

    The line is ``contour * rows + row``; the column that of the first centre at or past the crossing; the
    direction 1 where the contour runs towards rising rows, else -1.
    """
    ni, nj, _ = placed.canonical.shape
    count = np.diff(placed.offsets)
    following = np.arange(1, placed.u.size + 1)
    following[placed.offsets[1:] - 1] = placed.offsets[:-1]
    row = np.clip(np.ceil(placed.v), 0, nj).astype(np.int64)
    edge = np.flatnonzero(row != row[following])
    other = following[edge]
    rises = row[edge] < row[other]
    low = np.where(rises, edge, other)  # interpolate upward, so that a shared edge gives the same bits
    high = np.where(rises, other, edge)
    crossed = row[high] - row[low]
    which = np.repeat(np.arange(edge.size), crossed)
    at_row = expand(row[low], row[high])
    slope = (placed.u[high] - placed.u[low]) / (placed.v[high] - placed.v[low])
    u = placed.u[low][which] + (at_row - placed.v[low][which]) * slope[which]
    tie = _ON_MM / placed.canonical.spacing_mm[0]
    column = np.clip(np.ceil(u - tie), 0, ni).astype(np.int64)
    contour = np.repeat(np.arange(count.size), count)[edge]
    key = ((contour[which] * nj + at_row) * (ni + 1) + column) * 2 + rises[which]
    key.sort()
    line, column = np.divmod(key >> 1, ni + 1)
    return line, column, (key & 1) * 2 - 1


def _crossing_pairs(first: Int64s, last: Int64s, owner: Int64s) -> Int64s:
    """Pairs of contours that partly overlap, or hold the same voxels.

    Intervals ``[first, last)`` lie on one line of voxels for all groups, so that only contours of
    one group can overlap.
    """
    order = np.argsort(first, kind="stable")
    order = order[first[order] < last[order]]
    first, last, owner = first[order], last[order], owner[order]
    # For each interval, those that start within it; equal starts are met once, the later one second.
    after = np.arange(1, first.size + 1)
    reach = np.maximum(np.searchsorted(first, last), after)
    one = np.repeat(np.arange(first.size), reach - after)
    two = expand(after, reach)
    common = np.minimum(last[one], last[two]) - first[two]
    pair = np.sort(np.stack([owner[one], owner[two]], axis=-1), axis=-1)
    pairs, at = np.unique(pair, axis=0, return_inverse=True)
    voxels = np.bincount(at.reshape(-1), weights=common, minlength=len(pairs))
    held = np.bincount(owner, weights=last - first, minlength=int(pairs.max(initial=-1)) + 1)[pairs]
    crossing: Int64s = pairs[(voxels < held.min(axis=1)) | (voxels == held.max(axis=1))]
    return crossing


def same_outline(one_mm: Float64s, other_mm: Float64s, *, tolerance_mm: float) -> bool:
    """Tell whether two contours, (n, 3), are the same polygon, whatever vertex each starts at and its sense.

    A vertex that repeats the one before it, or closes the contour, counts for nothing; two that stand for
    each other may be ``tolerance_mm`` apart.

    >>> square = np.array([[0.0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 1, 5]])
    >>> closed_elsewhere = square[[2, 1, 0, 3, 2]]
    >>> same_outline(square, closed_elsewhere, tolerance_mm=0.01)
    True
    >>> same_outline(square, square + 0.1, tolerance_mm=0.01)
    False
    """
    one, other = (_corners(points, tolerance_mm) for points in (one_mm, other_mm))
    if one.shape != other.shape:
        return False
    for turned in (other, other[::-1]):
        for start in np.flatnonzero(np.abs(turned - one[0]).max(axis=1) <= tolerance_mm):
            if np.abs(np.roll(turned, -start, axis=0) - one).max() <= tolerance_mm:
                return True
    return False


def _corners(points_mm: Float64s, tolerance_mm: float) -> Float64s:
    """Return the vertices that are not the one before again; one at least."""
    moved = np.abs(points_mm - np.roll(points_mm, 1, axis=0)).max(axis=1) > tolerance_mm
    moved[0] |= not moved.any()
    corners: Float64s = points_mm[moved]
    return corners


def _canonical(grid: VoxelGrid, normal: int) -> tuple[VoxelGrid, Placement]:
    """Return the grid with axes rising with the patient's and ``normal`` last, and the way back."""
    directions = np.abs(grid.directions)
    in_plane = [axis for axis in range(3) if axis != normal]
    in_plane.sort(key=lambda axis: (int(directions[:, axis].argmax()), -float(directions[0, axis])))
    axes = (in_plane[0], in_plane[1], normal)
    signs = np.where(_points_upward(grid.directions), 1, -1)
    ends = np.where(signs > 0, 0, np.array(grid.shape) - 1)
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.to_mm(ends)
    affine[:3, :3] = (grid.affine[:3, :3] * signs)[:, axes]
    canonical = VoxelGrid(
        shape=triple(grid.shape[axis] for axis in axes),
        affine=affine,
        frame_of_reference_uid=grid.frame_of_reference_uid,
    )
    placement = Placement(
        axes=axes, signs=triple(signs[list(axes)]), offset=triple(ends), displacement_mm=0.0
    )
    return canonical, placement
