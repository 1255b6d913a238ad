"""The masks of a case as read, put on the tumour's grid and united by role; whether they and the CT fit.

`align_masks` holds grids to each other; which image a mask was drawn on it cannot know from two grids alone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.case.part_shapes import (
    inverted_findings,
    lie_apart,
    model_findings,
    organ_findings,
    shared_findings,
)
from volstrat.case.parts import part_findings
from volstrat.errors import CaseError, MissingRoleError, VolstratError
from volstrat.formats.selection import only_labels
from volstrat.frozen import frozen
from volstrat.geometry.alignment import (
    align_masks,
    check_frame_of_reference,
    grid_mismatch,
    resample_nearest,
)
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.terms.findings import finding
from volstrat.terms.roles import MASK_ROLES, ON_TUMOUR_GRID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from volstrat.case.entries import EntryReader, RoleMask
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding
    from volstrat.terms.protocol import Protocol

_NEARLY_ALL = 0.95
_OWN_RESOLUTION = 0.05  # of a voxel's edge: what differs by less is no choice of a resolution


@frozen(eq=False)
class AlignedMasks:
    """Masks that share the tumour's grid, those that do not, and what reading them brought up."""

    grid: VoxelGrid  # the tumour's, or that of all masks that share its lattice
    base: str  # what messages call the first tumour mask
    tumour: list[TumourEntry]
    united: Mapping[str, VoxelRuns]  # "resectable", "liver" and "remnant", where they were drawn
    on_grid: list[tuple[RoleMask, Mask]]  # each mask of a role that shares the grid, as read and on it
    as_read: list[RoleMask]  # every mask file, with the parts it takes
    used: list[RoleMask]  # the same after resampling, without those in which nobody drew
    fields: tuple[VoxelGrid, ...]  # what the tumour could be drawn in
    findings: list[Finding]

    def of_role(self, role: str) -> list[RoleMask]:
        """Return the masks of a role, as they are used."""
        return [r for r in self.used if r.role == role]


def read_aligned_masks(reader: EntryReader, protocol: Protocol) -> AlignedMasks:
    """Read every mask, and put those that share a grid onto it.

    Raises VolstratError if a mask cannot be read, or the masks do not fit together.
    """
    tolerance_mm = protocol.geometry_tolerance_mm
    # one by one: threads would take the interpreter lock from each other and lose time
    roles = (*ON_TUMOUR_GRID, *(role for role in MASK_ROLES if role not in ON_TUMOUR_GRID))
    entries = reader.sources.entries
    as_read = [reader.mask(role, entry) for role in roles for entry in entries.get(role, ())]
    findings = _reading_findings(as_read, reader)
    used, empty = _readings(as_read)
    used, resampled = _resample_where_allowed(_with_blanks_placed(used), tolerance_mm)
    shared = {r.named_as(n): r for n, r in enumerate(used) if r.role in ON_TUMOUR_GRID}
    ct, of_ct = _ct_grid(reader)
    findings += [*empty, *resampled, *of_ct]
    base = next(iter(shared))
    grid, aligned = align_masks(
        {key: r.mask for key, r in shared.items()}, tolerance_mm=tolerance_mm, base=base
    )
    tumour = [
        TumourEntry(mask=aligned[key], instances=r.entry.instances)
        for key, r in shared.items()
        if r.role == "tumour"
    ]
    findings += _check_sparse_and_dense(shared, ct, tolerance_mm)
    findings += _check_on_ct(shared, ct, tolerance_mm)
    total = union_of(entry.mask for entry in tumour)
    findings += _copied_findings(used, total, grid, tolerance_mm)
    findings += part_findings(
        as_read,
        lambda r, number: _lies_in(r.read.mask, number, grid, total, tolerance_mm),
        lambda r, numbers: lie_apart(r.read.mask, numbers, r.choice.taken),
    )
    _refuse_label_clash([r for r in shared.values() if r.role == "tumour"])
    united = {
        role: union_of(aligned[key] for key, r in shared.items() if r.role == role)
        for role in ("resectable", "liver", "remnant")
        if any(r.role == role for r in used)
    }
    if protocol.tumour_scope == "liver":
        tumour, scoped = _in_liver(tumour, united.get("liver"), grid)
        findings += scoped
    return AlignedMasks(
        grid=grid,
        base=base,
        tumour=tumour,
        united=united,
        on_grid=[(r, aligned[key]) for key, r in shared.items()],
        as_read=as_read,
        used=used,
        fields=tuple(_lesion_fields(shared.values(), ct, tolerance_mm)),
        findings=findings,
    )


def _reading_findings(as_read: Sequence[RoleMask], reader: EntryReader) -> list[Finding]:
    """Return what the files themselves bring up: how they were read, organs among them, models that drew."""
    findings = [one for r in as_read for one in r.read.findings]
    findings += shared_findings(as_read)
    for r in as_read:
        findings += [*organ_findings(r), *inverted_findings(r)]
    return [*findings, *model_findings(as_read, reader)]


def _copied_findings(
    masks: Sequence[RoleMask], tumour: VoxelRuns, grid: VoxelGrid, tolerance_mm: float
) -> list[Finding]:
    """Say where what can be resected is the avid mask of another file, voxel by voxel.

    Where neither holds more than tumour, both may be lesions that a reader picked.
    """
    found = []
    resectable, avid = ([r for r in masks if r.role == role] for role in ("resectable", "fdg_avid"))
    for one, other in product(resectable, avid):
        if one.entry.path == other.entry.path:
            continue
        if not _is_same_grid(one.mask.grid, other.mask.grid, tolerance_mm):
            continue
        drawn, uptake = (r.mask.on_grid(grid, tolerance_mm=tolerance_mm).voxels() for r in (one, other))
        if drawn.count == uptake.count == drawn.union(uptake).count and drawn.difference(tumour):
            where, name = one.role, one.name
            found.append(finding("file_in_two_roles", "copied", where=where, name=name, other=other.name))
    return found


def _readings(read: Sequence[RoleMask]) -> tuple[list[RoleMask], list[Finding]]:
    """Leave out segmentations without any segment: nobody has drawn in them.

    The tumour's stays, empty; what is said of avid disease is PET's affair.
    """
    empty = [r for r in read if not r.read.is_reading and r.role not in ("tumour", "fdg_avid")]
    findings = [finding("segmentation_without_segments", "other", where=r.role, name=r.name) for r in empty]
    return [r for r in read if r not in empty], findings


def _with_blanks_placed(read: Sequence[RoleMask]) -> list[RoleMask]:
    """Put masks in which nothing is drawn, and whose grid says nothing, onto the grid of another mask."""
    grids = [r.mask.grid for r in read if r.role in ON_TUMOUR_GRID and not r.read.is_blank]
    placed = []
    for r in read:
        if not r.read.is_blank or not grids:
            placed.append(r)
            continue
        grid = replace(grids[0], is_window=True) if r.role == "fdg_avid" else grids[0]
        placed.append(replace(r, mask=Mask(grid=grid, runs=LabelRuns.empty(), names=r.mask.names)))
    return placed


def _resample_where_allowed(
    read: Sequence[RoleMask], tolerance_mm: float
) -> tuple[list[RoleMask], list[Finding]]:
    """Resample masks whose entry allows it and whose grid is not the tumour's."""
    own = read[0].mask.grid
    done, findings = [], []
    for r in read:
        before = r.mask
        on_lattice = before.grid.placement_on(own, tolerance_mm=tolerance_mm) is not None
        is_window = before.grid.is_window or own.is_window
        if not r.entry.resample:
            done.append(r)
        elif not (on_lattice if is_window else _is_same_grid(before.grid, own, tolerance_mm)):
            check_frame_of_reference(before.grid, own, name=r.name, other=read[0].name)
            mask = resample_nearest(before, own)
            findings.append(
                finding(
                    "resampled",
                    "mask",
                    where=r.role,
                    name=r.name,
                    other=read[0].name,
                    distance_mm=before.grid.corner_displacement_mm(own),
                    before_ml=before.voxels().count * before.grid.voxel_ml,
                    after_ml=mask.voxels().count * mask.grid.voxel_ml,
                )
            )
            done.append(replace(r, mask=mask))
        elif own.is_window:  # on the lattice already; its extent need not be another's
            done.append(replace(r, mask=replace(before, grid=replace(before.grid, is_window=True))))
        else:
            done.append(r)
    return done, findings


def _refuse_label_clash(tumour: Sequence[RoleMask]) -> None:
    """Refuse one number for differently named segments of two files: they are different lesions."""
    seen: dict[int, tuple[str, str]] = {}
    for r in tumour:
        if r.entry.instances == "components":
            continue
        for number, name in r.mask.names.items():
            other = seen.setdefault(number, (name, r.name))
            if other[0] != name:
                msg = f"Segment {number} is {other[0]!r} in {other[1]} and {name!r} in {r.name}."
                hint = 'Write instances = "components" in their entries, or renumber the segments.'
                raise CaseError(msg, hint=hint)


def union_of(masks: Iterable[Mask]) -> VoxelRuns:
    """Return the voxels that any of some masks holds."""
    voxels = VoxelRuns.empty()
    for mask in masks:
        voxels = voxels.union(mask.voxels())
    return voxels


def _in_liver(
    tumour: Sequence[TumourEntry], liver: VoxelRuns | None, grid: VoxelGrid
) -> tuple[list[TumourEntry], list[Finding]]:
    """Keep the tumour that lies in the liver, as the protocol's ``tumour_scope`` says.

    What tells lesions apart is the mask as drawn: a label stays a lesion where no other lies in the liver.
    """
    if liver is None:
        msg = 'The protocol counts only tumour in the liver (tumour_scope = "liver"); there is no liver mask.'
        raise MissingRoleError(msg, hint="Give the liver mask as liver.")
    drawn = {label for entry in tumour if entry.instances is None for label in entry.mask.labels}
    kept, lost = [], VoxelRuns.empty()
    for entry in tumour:
        sets = list(entry.mask.runs.by_label().items())
        inside = LabelRuns.from_sets([(n, voxels.intersection(liver)) for n, voxels in sets])
        gone = set(entry.mask.runs.values) - set(inside.values)
        names = {n: name for n, name in entry.mask.names.items() if n not in gone}
        instances = "labels" if entry.instances is None and len(drawn) > 1 else entry.instances
        mask = Mask(grid=grid, runs=inside, names=names)
        kept.append(replace(entry, mask=mask, instances=instances))
        lost = lost.union(entry.mask.voxels().difference(liver))
    if not lost:
        return kept, []
    return kept, [finding("tumour_outside_liver", where="tumour", volume_ml=lost.count * grid.voxel_ml)]


def _ct_grid(reader: EntryReader) -> tuple[VoxelGrid | None, list[Finding]]:
    """Return the grid of the case's CT, by header; one that cannot be used is a finding: no mask needs it."""
    entry = reader.sources.only("ct")
    try:
        return None if entry is None else reader.grid("ct", entry)[1], []
    except VolstratError as error:
        return None, [finding("ct_unusable", where="ct", reason=str(error))]


def _check_sparse_and_dense(
    masks: Mapping[str, RoleMask], ct: VoxelGrid | None, tolerance_mm: float
) -> list[Finding]:
    """Hold dense masks to the grid that sparse ones beside them were drawn on.

    A sparse mask is a window of a lattice; a dense one that lies elsewhere on the same lattice is of another
    image, which the lattice alone does not show.
    """
    dense = {name: r.mask.grid for name, r in masks.items() if not r.mask.grid.is_window}
    findings = []
    for name, r in masks.items():
        own = r.mask.grid
        if not own.is_window or r.read.is_blank:
            continue
        image = r.read.drawn_on or _on_lattice(own, ct, tolerance_mm)
        for other, grid in dense.items():
            if image is not None and not _is_same_grid(grid, image, tolerance_mm):
                called = f"the image of {name}"
                raise grid_mismatch(grid, image, name=other, base=called, tolerance_mm=tolerance_mm)
            if image is None and not _is_same_grid(grid, own, tolerance_mm):
                findings.append(finding("grid_unproven", where=other, dense=other, sparse=name))
    return findings


def _on_lattice(own: VoxelGrid, ct: VoxelGrid | None, tolerance_mm: float) -> VoxelGrid | None:
    """Return the CT's grid where a mask lies on its lattice."""
    return None if ct is None or own.placement_on(ct, tolerance_mm=tolerance_mm) is None else ct


def _is_same_grid(grid: VoxelGrid, other: VoxelGrid, tolerance_mm: float) -> bool:
    """Tell whether two grids have the same voxels, whichever way their axes are stored."""
    if grid.placement_on(other, tolerance_mm=tolerance_mm) is None:
        return False
    return grid.corner_displacement_mm(other) <= tolerance_mm


def _check_on_ct(masks: Mapping[str, RoleMask], ct: VoxelGrid | None, tolerance_mm: float) -> list[Finding]:
    """Say which masks share neither the CT's grid nor its lattice, and whether all tumour lies outside it."""
    if ct is None:
        return []
    findings = []
    tumour = {name: r.mask for name, r in masks.items() if r.role == "tumour"}
    if _all_outside(tumour.values(), ct):
        distance = next(iter(tumour.values())).grid.corner_displacement_mm(ct)
        names = " and ".join(tumour)
        findings.append(
            finding(
                "mask_off_ct",
                "outside",
                severity="blocking",
                where="tumour",
                name=names,
                distance_mm=distance,
            )
        )
    for name, r in masks.items():
        own = r.mask.grid
        if r.read.is_blank or own.placement_on(ct, tolerance_mm=tolerance_mm) is not None:
            continue
        if (
            r.read.drawn_on is not None
            and _is_same_grid(r.read.drawn_on, ct, tolerance_mm)
            and _is_coarser_or_finer(own, ct)
        ):
            continue  # drawn on this very CT, at a resolution of its own
        distance = _off_lattice_mm(own, ct)
        findings.append(finding("mask_off_ct", "grid", where=r.role, name=name, distance_mm=distance))
    return findings


def _is_coarser_or_finer(grid: VoxelGrid, image: VoxelGrid) -> bool:
    """Tell whether a grid has a resolution of its own, and is not the image's, moved or stretched."""
    ratio = np.sort(grid.spacing_mm) / np.sort(image.spacing_mm)
    return bool((np.abs(ratio - 1) > _OWN_RESOLUTION).any())


def _off_lattice_mm(grid: VoxelGrid, image: VoxelGrid) -> float:
    """Return how far a corner lies from the image's; from its lattice, where the two are not of one size."""
    if sorted(grid.shape) == sorted(image.shape):
        return grid.corner_displacement_mm(image)
    corners = grid.corners_mm()
    nearest = image.to_mm(np.rint(image.to_index(corners)))
    return float(np.linalg.norm(corners - nearest, axis=1).max())


def _all_outside(masks: Iterable[Mask], field: VoxelGrid) -> bool:
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


def _lies_in(mask: Mask, label: int, grid: VoxelGrid, tumour: VoxelRuns, tolerance_mm: float) -> bool:
    """Tell whether nearly all voxels of a label lie in the tumour, as far as they share a lattice."""
    own = only_labels(mask, (label,))
    placement = own.grid.placement_on(grid, tolerance_mm=tolerance_mm)
    if not own.runs.starts.size or placement is None:
        return False
    inside = own.on_grid(grid, tolerance_mm=tolerance_mm).voxels().intersection(tumour)
    return inside.count >= _NEARLY_ALL * own.voxels().count


def _lesion_fields(
    masks: Iterable[RoleMask], ct: VoxelGrid | None, tolerance_mm: float
) -> Iterable[VoxelGrid]:
    """Yield the images in which tumour could be drawn, as far as they are known."""
    for r in masks:
        if r.role != "tumour" or r.read.is_blank:
            continue
        own = r.mask.grid
        image = r.read.drawn_on or _on_lattice(own, ct, tolerance_mm) or (None if own.is_window else own)
        if image is not None:
            yield image
