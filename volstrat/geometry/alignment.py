"""Bring masks that must share a grid onto one grid, or say by how much they miss."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import GridMismatchError
from volstrat.geometry.grid import VoxelGrid, triple
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, expand

if TYPE_CHECKING:
    from collections.abc import Mapping

_VOXELS_AT_ONCE = 1 << 20


def align_masks(
    masks: Mapping[str, Mask], *, tolerance_mm: float, base: str
) -> tuple[VoxelGrid, dict[str, Mask]]:
    """Put masks onto one grid, that of ``base`` (wider where a sparse mask reaches beyond it).

    Two grids are the same where they have the same shape, the same frame of reference if both know one, and
    no corner voxel displaced by more than ``tolerance_mm``; the order in which axes are stored does not
    matter. Sparse masks are windows of a lattice: the same lattice is enough. The grid that comes back is a
    window where all masks are. Else it is a GridMismatchError with both masks' names (files', usually), what
    differs, and the displacement in mm.
    """
    own = masks[base].grid
    low, high = np.zeros(3, dtype=np.int64), np.array(own.shape)
    # The mask that all others must match which are no windows either, and its box on the lattice.
    dense = None if own.is_window else (base, [0, 0, 0, *own.shape])
    for name, mask in masks.items():
        check_frame_of_reference(mask.grid, own, name=name, other=base)
        placement = mask.grid.placement_on(own, tolerance_mm=tolerance_mm)
        if placement is None:
            raise grid_mismatch(mask.grid, own, name=name, base=base, tolerance_mm=tolerance_mm)
        ends = np.zeros((2, 3), dtype=np.int64)
        for axis in range(3):
            to = placement.axes[axis]
            ends[:, to] = placement.offset[to] + placement.signs[axis] * np.array(
                [0, mask.grid.shape[axis] - 1]
            )
        first, past = ends.min(axis=0), ends.max(axis=0) + 1
        if not mask.grid.is_window:
            box = [*first.tolist(), *past.tolist()]
            dense = dense or (name, box)
            if box != dense[1]:
                other = masks[dense[0]].grid
                raise grid_mismatch(mask.grid, other, name=name, base=dense[0], tolerance_mm=tolerance_mm)
        low, high = np.minimum(low, first), np.maximum(high, past)
    grid = own if own.is_window == (dense is None) else replace(own, is_window=False)
    if (low < 0).any() or (high > own.shape).any():
        grid = grid.window(origin_index=triple(low), shape=triple(high - low))
    for name, mask in masks.items():  # a misfit may only show over the union
        if mask.grid.placement_on(grid, tolerance_mm=tolerance_mm) is None:
            raise grid_mismatch(mask.grid, grid, name=name, base=base, tolerance_mm=tolerance_mm)
    return grid, {name: mask.on_grid(grid, tolerance_mm=tolerance_mm) for name, mask in masks.items()}


def check_frame_of_reference(grid: VoxelGrid, own: VoxelGrid, *, name: str, other: str) -> None:
    """Refuse two grids whose frames of reference are known and differ (GridMismatchError)."""
    ours, theirs = grid.frame_of_reference_uid, own.frame_of_reference_uid
    if ours is not None and theirs is not None and ours != theirs:
        msg = f"{name}: its frame of reference is not that of {other}: two examinations."
        hint = "Masks of one case must be drawn on images of one examination, or be registered first."
        raise GridMismatchError(msg, hint=hint)


def grid_mismatch(
    grid: VoxelGrid, own: VoxelGrid, *, name: str, base: str, tolerance_mm: float
) -> GridMismatchError:
    """Return the error for two grids that must be one: what differs, and by how much."""
    # A window differs in shape by right: what counts is how far its voxels are off the lattice.
    sparse = grid.is_window or own.is_window
    loose = grid.placement_on(own, tolerance_mm=math.inf) if sparse else None
    moved = grid.corner_displacement_mm(own) if loose is None else loose.displacement_mm
    differs = []
    if not sparse and sorted(grid.shape) != sorted(own.shape):
        differs.append(f"shape {_by(grid.shape)} against {_by(own.shape)}")
    ours, theirs = sorted(grid.spacing_mm), sorted(own.spacing_mm)
    if any(abs(a - b) > 1e-4 for a, b in zip(ours, theirs, strict=True)):
        differs.append(f"spacing {_by(grid.spacing_mm)} mm against {_by(own.spacing_mm)} mm")
    what = f" ({'; '.join(differs)})" if differs else ""
    msg = (
        f"{name}: its grid is {moved:.2f} mm away from the grid of {base} "
        f"(largest displacement of a corner voxel; tolerance {tolerance_mm:g} mm){what}."
    )
    hint = f"Draw it on the image of {base}, or write resample = true in its case.toml entry."
    return GridMismatchError(msg, hint=hint)


def _by(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{n:g}" for n in numbers)


def resample_nearest(mask: Mask, grid: VoxelGrid) -> Mask:
    """Return the mask on another grid: each voxel takes the label at its centre.

    Ties on a face between two voxels follow `VoxelGrid.voxel_at`. A window of a lattice is widened
    to hold the whole mask; what lies beyond another grid is lost.
    """
    if grid.is_window:
        there = grid.to_index(mask.grid.corners_mm())
        first, past = np.floor(there.min(axis=0)), np.ceil(there.max(axis=0)) + 1
        grid = grid.window(origin_index=triple(first), shape=triple(past - first))
    labels = mask.runs.by_label()
    found: dict[int, list[np.ndarray]] = {label: [] for label in labels}
    low, high = _reach(mask, grid)
    for k in range(low[2], high[2]):
        rows = max(1, _VOXELS_AT_ONCE // max(1, high[0] - low[0]))
        for j in range(low[1], high[1], rows):
            box = np.meshgrid(
                np.arange(low[0], high[0]), np.arange(j, min(j + rows, high[1])), [k], indexing="ij"
            )
            index = np.stack([axis.ravel(order="F") for axis in box], axis=-1)
            at = mask.grid.voxel_at(mask.grid.to_index(grid.to_mm(index)))
            linear = np.where(at[:, 0] < 0, -1, mask.grid.ravel(at))
            for label, runs in labels.items():
                found[label].append(grid.ravel(index[runs.contains(linear)]))
    sets = [
        (label, type(labels[label]).from_indices(np.concatenate(parts)))
        for label, parts in found.items()
        if parts
    ]
    return Mask(grid=grid, runs=LabelRuns.from_sets(sets), names=mask.names)


def _reach(mask: Mask, grid: VoxelGrid) -> tuple[list[int], list[int]]:
    """Box of ``grid`` voxels that the mask's voxels can reach, clipped to the grid."""
    union = mask.runs.union()
    if not union:
        return [0, 0, 0], [0, 0, 0]
    index = mask.grid.unravel(expand(union.starts, union.stops))
    ends = np.stack([index.min(axis=0) - 1, index.max(axis=0) + 1])
    corners = np.array([[ends[a, 0], ends[b, 1], ends[c, 2]] for a, b, c in np.ndindex(2, 2, 2)])
    there = grid.to_index(mask.grid.to_mm(corners))
    low = np.clip(np.floor(there.min(axis=0)).astype(int), 0, grid.shape)
    high = np.clip(np.ceil(there.max(axis=0)).astype(int) + 1, 0, grid.shape)
    return low.tolist(), high.tolist()
