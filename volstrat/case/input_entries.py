"""What the record says of each file that was read: `inputs[]`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

import numpy as np

from volstrat.case.lesion_table import history_beside, read_bytes, read_lesion_table
from volstrat.case.parts import parts_entry
from volstrat.case.reviews import read_reviews
from volstrat.case.table_file import table_format
from volstrat.dicom.identity import short_uid
from volstrat.formats.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.case.aligned_masks import AlignedMasks
    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.entries import EntryReader, RoleMask
    from volstrat.case.input_types import GridRecord, InputRecord, SegmentRecord, SuvRecord
    from volstrat.case.pet_inputs import PetInputs, PetRead
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.mask import Mask
    from volstrat.terms.findings import Closing, Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.roles import RoleName


def pet_entries(
    reader: EntryReader, pet: PetInputs, days: int | None
) -> tuple[list[InputRecord], list[Finding]]:
    """Return what the record says of the PET images, and what reading the one shown beside brought up."""
    sources = reader.sources
    entries: list[InputRecord] = []
    findings: list[Finding] = []
    entry = sources.only("pet")
    if pet.image is not None and entry is not None:
        one = _pet_entry(sources, "pet", entry, pet.image)
        if days is not None:
            one["days_from_ct"] = days
        if pet.image.conversion is not None:
            one["suv"] = cast("SuvRecord", pet.image.conversion)
        entries.append(one)
    for other in sources.entries.get("other_pet", ()):
        from volstrat.case.pet_inputs import read_other_pet

        beside, problems = read_other_pet(reader, other)
        findings += problems
        if beside is not None:
            entries.append(_pet_entry(sources, "other_pet", other, beside))
    return entries, findings


def _pet_entry(sources: CaseSources, role: RoleName, entry: RoleEntry, pet: PetRead) -> InputRecord:
    one = _input(sources, role, entry, pet.format, pet.sha256)
    one["grid"] = grid_entry(pet.grid, sources)
    one["tracer"] = pet.tracer.tracer
    if pet.voxels_sha256 is not None:
        one["voxels_sha256"] = pet.voxels_sha256
    return one


def _input(sources: CaseSources, role: RoleName, entry: RoleEntry, form: str, sha256: str) -> InputRecord:
    """Say of a file what can be said of any."""
    return {
        "role": role,
        "path": sources.relative(entry.path),
        "format": form,
        "sha256": sha256,
        "grid": None,
        "segments": [],
    }


def read_table_entry(sources: CaseSources) -> tuple[tuple[LesionRow, ...], list[InputRecord]]:
    """Read the lesion table, and say which it was and what its history hashes to."""
    table = sources.only("lesions")
    if table is None:
        return (), []
    data, entry = _table_input(sources, "lesions", table)
    history = history_beside(table.path)
    if history is not None:
        entry["history_sha256"] = sha256_of(history)
    return read_lesion_table(data, name=table.path.name), [entry]


def read_closings(sources: CaseSources) -> tuple[tuple[Closing, ...], list[InputRecord]]:
    """Read which reviews somebody closed."""
    table = sources.only("reviews")
    if table is None:
        return (), []
    data, entry = _table_input(sources, "reviews", table)
    return read_reviews(data, name=table.path.name), [entry]


def _table_input(sources: CaseSources, role: RoleName, table: RoleEntry) -> tuple[bytes, InputRecord]:
    data = read_bytes(table.path)
    form, sha256 = table_format(table.path.name), hashlib.sha256(data).hexdigest()
    return data, _input(sources, role, table, form, sha256)


def mask_entries(sources: CaseSources, masks: AlignedMasks) -> list[InputRecord]:
    """Say of every mask file its hashes and grid, what was used of it, and all of its parts."""
    used = {(r.role, r.entry): r for r in masks.used}
    return [_mask_entry(sources, used.get((r.role, r.entry), r), masks.as_read) for r in masks.as_read]


def _mask_entry(sources: CaseSources, r: RoleMask, masks: Sequence[RoleMask]) -> InputRecord:
    return {
        "role": cast("RoleName", r.role),
        "path": r.path,
        "format": r.read.format,
        "sha256": r.read.sha256,
        "voxels_sha256": voxels_sha256(r.mask),
        "grid": grid_entry(r.mask.grid, sources),
        "segments": segment_list(r.mask),
        "parts": parts_entry(r, masks),
    }


def voxels_sha256(mask: Mask) -> str:
    """Hash which voxels carry which label, whatever the file's header and compression.

    With it a rerun tells a changed header from changed voxels.
    """
    digest = hashlib.sha256()
    for label, runs in mask.runs.by_label().items():
        for numbers in (np.array([label, runs.starts.size]), runs.starts, runs.stops):
            digest.update(numbers.astype("<i8").tobytes())
    return digest.hexdigest()


def segment_list(mask: Mask) -> list[SegmentRecord]:
    """List a mask's segments, ROIs or labels with their voxel counts."""
    counts = mask.runs.counts()
    return [{"number": n, "name": mask.names.get(n) or None, "voxels": counts.get(n, 0)} for n in mask.labels]


def grid_entry(grid: VoxelGrid, sources: CaseSources) -> GridRecord:
    """Say what a grid is, as the record does; equal frames of reference have equal words, and no UID."""
    uid = grid.frame_of_reference_uid
    return {
        "shape": list(grid.shape),
        "spacing_mm": list(grid.spacing_mm),
        "origin_mm": [float(x) for x in grid.affine[:3, 3]],
        "directions": [[float(x) for x in row] for row in grid.directions],
        "frame_of_reference_uid": None if uid is None else short_uid(sources.subject, uid),
    }
