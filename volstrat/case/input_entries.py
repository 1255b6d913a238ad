"""What the record says of each file that was read: `inputs[]`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

import numpy as np

from volstrat.case.lesion_table import history_beside, read_bytes, read_lesion_table
from volstrat.case.reviews import read_reviews
from volstrat.case.table_file import table_format
from volstrat.dicom.identity import short_uid
from volstrat.formats.hashing import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.case.aligned_masks import ReadEntry
    from volstrat.case.case_file import CaseSources
    from volstrat.case.entries import EntryReader
    from volstrat.case.input_types import GridRecord, InputRecord, PartRecord, SegmentRecord, SuvRecord
    from volstrat.case.pet_inputs import PetInputs
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.mask import Mask
    from volstrat.terms.findings import Closing, Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.roles import RoleName


def pet_entries(
    sources: CaseSources, reader: EntryReader, pet: PetInputs, days: int | None
) -> tuple[list[InputRecord], list[Finding]]:
    """Return what the record says of the PET images, and what reading the one shown beside brought up."""
    entries: list[InputRecord] = []
    entry = sources.only("pet")
    if pet.image is not None and entry is not None:
        one: InputRecord = {
            "role": "pet",
            "path": sources.relative(entry.path),
            "format": pet.image.format,
            "sha256": pet.image.sha256,
            "grid": grid_entry(pet.image.grid, sources),
            "segments": [],
            "tracer": pet.image.tracer.tracer,
        }
        if pet.image.voxels_sha256 is not None:
            one["voxels_sha256"] = pet.image.voxels_sha256
        if days is not None:
            one["days_from_ct"] = days
        if pet.image.conversion is not None:
            one["suv"] = cast("SuvRecord", pet.image.conversion)
        entries.append(one)
    findings: list[Finding] = []
    for other in sources.entries.get("other_pet", ()):
        from volstrat.case.pet_inputs import read_other_pet

        beside, problems = read_other_pet(reader, other)
        findings += problems
        if beside is not None:
            entries.append(
                {
                    "role": "other_pet",
                    "path": sources.relative(other.path),
                    "format": beside.format,
                    "sha256": beside.sha256,
                    "grid": grid_entry(beside.grid, sources),
                    "segments": [],
                    "tracer": beside.tracer.tracer,
                }
            )
    return entries, findings


def read_table_entry(sources: CaseSources) -> tuple[tuple[LesionRow, ...], list[InputRecord]]:
    """Read the lesion table, and say which it was and what its history hashes to."""
    table = sources.only("lesions")
    if table is None:
        return (), []
    data = read_bytes(table.path)
    entry = _table_input(sources, "lesions", table.path, data)
    history = history_beside(table.path)
    if history is not None:
        entry["history_sha256"] = sha256_of(history)
    return read_lesion_table(data, name=table.path.name), [entry]


def read_closings(sources: CaseSources) -> tuple[tuple[Closing, ...], list[InputRecord]]:
    """Read which reviews somebody closed."""
    table = sources.only("reviews")
    if table is None:
        return (), []
    data = read_bytes(table.path)
    return read_reviews(data, name=table.path.name), [_table_input(sources, "reviews", table.path, data)]


def _table_input(sources: CaseSources, role: RoleName, path: Path, data: bytes) -> InputRecord:
    return {
        "role": role,
        "path": sources.relative(path),
        "format": table_format(path.name),
        "sha256": hashlib.sha256(data).hexdigest(),
        "grid": None,
        "segments": [],
    }


def mask_entry(sources: CaseSources, read: ReadEntry, parts: list[PartRecord]) -> InputRecord:
    """Say of a mask file its hashes, grid, segments and parts."""
    mask = read.read.mask
    return {
        "role": cast("RoleName", read.role),
        "path": sources.relative(read.entry.path),
        "format": read.read.format,
        "sha256": read.read.sha256,
        "voxels_sha256": voxels_sha256(mask),
        "grid": grid_entry(mask.grid, sources),
        "segments": segment_list(mask),
        "parts": parts,
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
