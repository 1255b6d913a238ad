"""Whether a case's masks lie together, and on its CT: what `align_masks` cannot know from two grids alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.errors import VolstratError
from volstrat.formats.selection import only_labels
from volstrat.geometry.alignment import grid_mismatch
from volstrat.terms.findings import finding

_NEARLY_ALL = 0.95

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.entries import EntryReader, RoleMask
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.mask import Mask
    from volstrat.geometry.runs import VoxelRuns
    from volstrat.terms.findings import Finding

    NamedMask = tuple[str, str, RoleMask]
    """Name in messages, role, and the mask."""


def ct_grid(reader: EntryReader) -> tuple[VoxelGrid | None, list[Finding]]:
    """Return the grid of the case's CT, by header; one that cannot be used is a finding: no mask needs it."""
    entry = reader.sources.only("ct")
    if entry is None:
        return None, []
    try:
        return reader.grid("ct", entry)[1], []
    except VolstratError as error:
        return None, [finding("ct_unusable", where="ct", reason=str(error))]


def check_sparse_and_dense(
    masks: Sequence[NamedMask], ct: VoxelGrid | None, *, tolerance_mm: float
) -> list[Finding]:
    """Hold dense masks to the grid that sparse ones beside them were drawn on.

    A sparse mask is a window of a lattice; a dense one that lies elsewhere on the same lattice is of another
    image, which the lattice alone does not show.

    Raises
    ------
    GridMismatchError
        If the image that the sparse mask was drawn on is known, and the dense one is not on its grid.
    """
    dense = [(name, read.mask.grid) for name, _, read in masks if not read.mask.grid.is_window]
    findings = []
    for name, _, read in masks:
        own = read.mask.grid
        if not own.is_window or read.is_blank:
            continue
        image = read.drawn_on if read.drawn_on is not None else _on_lattice(own, ct, tolerance_mm)
        for other, grid in dense:
            if image is not None and not is_same_grid(grid, image, tolerance_mm):
                raise grid_mismatch(
                    grid, image, name=other, base=f"the image of {name}", tolerance_mm=tolerance_mm
                )
            if image is None and not is_same_grid(grid, own, tolerance_mm):
                findings.append(finding("grid_unproven", where=other, dense=other, sparse=name))
    return findings


def _on_lattice(own: VoxelGrid, ct: VoxelGrid | None, tolerance_mm: float) -> VoxelGrid | None:
    """Return the CT's grid where a mask lies on its lattice."""
    return None if ct is None or own.placement_on(ct, tolerance_mm=tolerance_mm) is None else ct


def is_same_grid(grid: VoxelGrid, other: VoxelGrid, tolerance_mm: float) -> bool:
    """Tell whether two grids have the same voxels, whichever way their axes are stored."""
    if grid.placement_on(other, tolerance_mm=tolerance_mm) is None:
        return False
    return grid.corner_displacement_mm(other) <= tolerance_mm


def check_on_ct(masks: Sequence[NamedMask], ct: VoxelGrid | None, *, tolerance_mm: float) -> list[Finding]:
    """Say which masks share neither the CT's grid nor its lattice, and whether all tumour lies outside it."""
    if ct is None:
        return []
    findings = []
    tumour = [read.mask for _, role, read in masks if role == "tumour"]
    names = [name for name, role, _ in masks if role == "tumour"]
    if _all_outside(tumour, ct):
        distance = tumour[0].grid.corner_displacement_mm(ct)
        findings.append(
            finding(
                "mask_off_ct",
                "outside",
                severity="blocking",
                where="tumour",
                name=" and ".join(names),
                distance_mm=distance,
            )
        )
    for name, role, read in masks:
        own = read.mask.grid
        if read.is_blank or own.placement_on(ct, tolerance_mm=tolerance_mm) is not None:
            continue
        if read.drawn_on is not None and is_same_grid(read.drawn_on, ct, tolerance_mm):
            continue  # drawn on this very CT, at a resolution of its own
        distance = own.corner_displacement_mm(ct)
        findings.append(finding("mask_off_ct", "grid", where=role, name=name, distance_mm=distance))
    return findings


def _all_outside(masks: Sequence[Mask], field: VoxelGrid) -> bool:
    """Tell whether there are voxels, and no end of any run lies in the field."""
    any_voxels = False
    for mask in masks:
        for ends in (mask.runs.starts, mask.runs.stops - 1):
            if not ends.size:
                continue
            any_voxels = True
            at = field.to_index(mask.grid.to_mm(mask.grid.unravel(ends)))
            if (field.voxel_at(at)[:, 0] >= 0).any():
                return False
    return any_voxels


def lies_in(mask: Mask, label: int, grid: VoxelGrid, tumour: VoxelRuns, *, tolerance_mm: float) -> bool:
    """Tell whether nearly all voxels of a label lie in the tumour, as far as they share a lattice."""
    own = only_labels(mask, (label,))
    placement = own.grid.placement_on(grid, tolerance_mm=tolerance_mm)
    if not own.runs.starts.size or placement is None:
        return False
    inside = own.on_grid(grid, tolerance_mm=tolerance_mm).voxels().intersection(tumour)
    return inside.count >= _NEARLY_ALL * own.voxels().count


def put_blank_on(masks: Sequence[NamedMask], read: RoleMask) -> VoxelGrid | None:
    """Return the grid that a blank mask takes: that of the first other mask which has one."""
    grids = (other.mask.grid for _, _, other in masks if other is not read and not other.is_blank)
    return next(grids, None)


def lesion_fields(
    masks: Sequence[NamedMask], ct: VoxelGrid | None, *, tolerance_mm: float
) -> list[VoxelGrid]:
    """Return the images in which tumour could be drawn, as far as they are known."""
    fields = []
    for _, role, read in masks:
        if role != "tumour" or read.is_blank:
            continue
        own = read.mask.grid
        image = read.drawn_on or _on_lattice(own, ct, tolerance_mm) or (None if own.is_window else own)
        if image is not None:
            fields.append(image)
    return fields
