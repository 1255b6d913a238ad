"""A case as read: every file the rule needs, masks that share a grid on it, and what reading brought up."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from volstrat.case.drawn_by import model_findings
from volstrat.case.entries import EntryReader
from volstrat.case.lesion_table import history_beside, read_bytes, read_lesion_table
from volstrat.case.mask_grids import (
    check_on_ct,
    check_sparse_and_dense,
    ct_grid,
    is_same_grid,
    lesion_fields,
    lies_in,
    put_blank_on,
)
from volstrat.case.one_patient import days_between_images, patient_findings, time_findings
from volstrat.case.part_shapes import organ_findings
from volstrat.case.parts import PlayedFile, part_findings, parts_entry
from volstrat.case.pet_inputs import read_other_pet, read_pet_inputs
from volstrat.case.plan_inputs import PlanInputs, plan_inputs
from volstrat.case.reviews import read_reviews
from volstrat.case.table_file import table_format
from volstrat.case.unread import unread_findings
from volstrat.dicom.identity import short_uid
from volstrat.errors import CaseError, MissingRoleError
from volstrat.formats.hashing import sha256_of
from volstrat.geometry.alignment import align_masks, check_frame_of_reference, resample_nearest
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import CaseMasks
from volstrat.terms.findings import finding
from volstrat.terms.roles import MASK_ROLES, ON_TUMOUR_GRID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.entries import RoleMask
    from volstrat.case.pet_inputs import PetInputs
    from volstrat.case.record_types import GridRecord, InputRecord, PartRecord, SegmentRecord, SuvRecord
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Closing, Finding
    from volstrat.terms.marks import LesionRow
    from volstrat.terms.protocol import Protocol
    from volstrat.terms.roles import RoleName


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseInputs:
    """A case as read: masks on their grids, lesion rows, and what reading them brought up.

    Parameters
    ----------
    masks : CaseMasks
    liver, remnant : VoxelRuns or None
        On the tumour's grid.
    plans : PlanInputs
    body_size : tuple of float or None
        Weight (kg) and height (cm) as the PET header says.
    findings : tuple of Finding
    inputs : tuple of InputRecord
        What the record says of each file.
    closings : tuple of Closing
        Reviews that somebody closed.
    """

    masks: CaseMasks
    liver: VoxelRuns | None
    remnant: VoxelRuns | None
    plans: PlanInputs
    body_size: tuple[float | None, float | None]
    findings: tuple[Finding, ...]
    inputs: tuple[InputRecord, ...]
    closings: tuple[Closing, ...] = ()

    @property
    def without_rows(self) -> CaseMasks:
        """The masks alone, without what the lesion table says."""
        return replace(self.masks, rows=())

    @property
    def rests_on(self) -> str:
        """Hash of the voxels that were read, whatever the tables say."""
        told = [
            str(one.get("voxels_sha256", one["sha256"]))
            for one in self.inputs
            if one["role"] not in ("lesions", "reviews")
        ]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadEntry:
    """A mask file as one role's entry."""

    role: str
    entry: RoleEntry
    read: RoleMask

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.entry.path.name


def read_inputs(case: CaseSources | EntryReader, protocol: Protocol) -> CaseInputs:
    """Read every file the rule needs and put the masks that share a grid onto it.

    Parameters
    ----------
    case : CaseSources or EntryReader
        A reader keeps what finding the sources scanned.
    protocol : Protocol

    Raises
    ------
    VolstratError
        If a file cannot be read, or the masks do not fit together.
    """
    reader = (case if isinstance(case, EntryReader) else EntryReader(case)).with_naming(protocol.naming)
    sources = reader.sources
    reader.require_all()
    everything = _read_masks(sources, reader)
    files = _played_files(everything, sources, reader)
    findings = [*unread_findings(sources), *(one for r in everything for one in r.read.findings)]
    findings += [one for r in everything for one in organ_findings(r.role, r.read, r.name)]
    findings += model_findings(
        ((r.role, r.entry.path, r.read.mask.names) for r in everything if r.read.format != "array"), reader
    )
    read, more = _readings(everything)
    read = _with_blanks_placed(read)
    read, resampled = _resample_where_allowed(read, protocol)
    findings += [*more, *resampled]
    shared = {_key(r, n): r for n, r in enumerate(read) if r.role in ON_TUMOUR_GRID}
    ct, more = ct_grid(reader)
    named = [(key, r.role, r.read) for key, r in shared.items()]
    tolerance_mm = protocol.geometry_tolerance_mm
    findings += more
    base = next(iter(shared))
    grid, aligned = align_masks(
        {key: r.read.mask for key, r in shared.items()},
        tolerance_mm=protocol.geometry_tolerance_mm,
        base=base,
    )
    tumour = [
        TumourEntry(mask=aligned[key], instances=r.entry.instances)
        for key, r in shared.items()
        if r.role == "tumour"
    ]
    findings += check_sparse_and_dense(named, ct, tolerance_mm=tolerance_mm)
    findings += check_on_ct(named, ct, tolerance_mm=tolerance_mm)
    whole = {file: r.read.whole for file, r in zip(files, everything, strict=True)}
    total = _union(entry.mask for entry in tumour)
    findings += part_findings(
        files, lambda file, number: lies_in(whole[file], number, grid, total, tolerance_mm=tolerance_mm)
    )
    _refuse_label_clash([r for r in shared.values() if r.role == "tumour"])
    united = {
        role: _union(aligned[key] for key, r in shared.items() if r.role == role)
        for role in ("resectable", "liver", "remnant")
        if any(r.role == role for r in read)
    }
    if protocol.tumour_scope == "liver":
        tumour, scoped = _in_liver(tumour, united.get("liver"), grid)
        findings += scoped
    pet = read_pet_inputs(
        sources,
        reader,
        [r for r in read if r.role == "fdg_avid"],
        grid=grid,
        base=base,
        protocol=protocol,
    )
    days = days_between_images(sources, reader)
    pet_entries, found = _pet_entries(sources, reader, pet, days)
    found += time_findings(days, protocol.review.max_days_between)
    found += patient_findings(sources, reader)
    rows, table_inputs = _read_table(sources)
    closings, review_inputs = _read_closings(sources)
    if pet.left_out:  # regions of what plays no FDG role are no regions of this case
        rows = tuple(row for row in rows if not row.lesion_id.startswith("P"))
    as_used = {(r.role, r.entry): r for r in read}
    for_plans = PlanInputs()
    if sources.plans or "liver_segments" in sources.entries:
        for_plans = plan_inputs(sources, ((r, aligned[key]) for key, r in shared.items()))
    masks = {role: [r.read.mask for r in read if r.role == role] for role in ("reference", "liver")}
    return CaseInputs(
        masks=CaseMasks(
            grid=grid,
            tumour=tumour,
            resectable=united.get("resectable"),
            avid=pet.avid,
            pet_field=pet.field,
            avid_field=pet.avid_field,
            tumour_fields=tuple(lesion_fields(named, ct, tolerance_mm=tolerance_mm)),
            suv=None if pet.fdg is None else pet.fdg.suv,
            sul_factor=None if pet.fdg is None else pet.fdg.sul_factor,
            reference=masks["reference"][0] if masks["reference"] else None,
            liver=masks["liver"][0] if masks["liver"] else None,
            rows=rows,
        ),
        liver=united.get("liver"),
        remnant=united.get("remnant"),
        plans=for_plans,
        body_size=(None, None) if pet.image is None else pet.image.body_size,
        findings=(*findings, *pet.findings, *found, *reader.findings()),
        inputs=(
            *(
                _mask_input(sources, as_used.get((r.role, r.entry), r), parts_entry(file, files))
                for r, file in zip(everything, files, strict=True)
            ),
            *pet_entries,
            *table_inputs,
            *review_inputs,
        ),
        closings=closings,
    )


def _played_files(read: Sequence[ReadEntry], sources: CaseSources, reader: EntryReader) -> list[PlayedFile]:
    on_pet = reader.drawn_on_pet()
    return [
        PlayedFile(
            role=r.role,
            path=_relative(sources, r.entry.path),
            name=r.name,
            choice=r.read.choice,
            drawn_on_pet=r.entry.path in on_pet,
        )
        for r in read
    ]


def _readings(read: Sequence[ReadEntry]) -> tuple[list[ReadEntry], list[Finding]]:
    """Leave out segmentations without any segment: nobody has drawn in them.

    The tumour's stays, empty; what is said of avid disease is PET's affair.
    """
    empty = [r for r in read if not r.read.is_reading and r.role not in ("tumour", "fdg_avid")]
    findings = [finding("segmentation_without_segments", "other", where=r.role, name=r.name) for r in empty]
    return [r for r in read if r not in empty], findings


def _with_blanks_placed(read: Sequence[ReadEntry]) -> list[ReadEntry]:
    """Put masks in which nothing is drawn, and whose grid says nothing, onto the grid of another mask."""
    named = [(r.name, r.role, r.read) for r in read if r.role in ON_TUMOUR_GRID]
    placed = []
    for r in read:
        grid = put_blank_on(named, r.read) if r.read.is_blank else None
        if grid is None:
            placed.append(r)
            continue
        window = replace(grid, is_window=True) if r.role == "fdg_avid" else grid
        mask = Mask(grid=window, runs=LabelRuns.empty(), names=r.read.mask.names)
        placed.append(replace(r, read=replace(r.read, mask=mask)))
    return placed


def _key(read: ReadEntry, n: int) -> str:
    """Name a mask in messages: its file, and its role where another file has the same name."""
    return read.name if n == 0 else f"{read.name} ({read.role})"


def _read_masks(sources: CaseSources, reader: EntryReader) -> list[ReadEntry]:
    """Read the masks one by one: threads would take the interpreter lock from each other and lose time."""
    roles = (*ON_TUMOUR_GRID, *(role for role in MASK_ROLES if role not in ON_TUMOUR_GRID))
    return [
        ReadEntry(role=role, entry=entry, read=reader.mask(role, entry))
        for role in roles
        for entry in sources.entries.get(role, ())
    ]


def _resample_where_allowed(
    read: Sequence[ReadEntry], protocol: Protocol
) -> tuple[list[ReadEntry], list[Finding]]:
    """Resample masks whose entry allows it and whose grid is not the tumour's."""
    own = read[0].read.mask.grid
    done, findings = [], []
    for r in read:
        mask = r.read.mask
        if r.entry.resample and not _same_grid(mask, own, protocol.geometry_tolerance_mm):
            check_frame_of_reference(mask.grid, own, name=r.name, other=read[0].name)
            moved = mask.grid.corner_displacement_mm(own)
            before, mask = mask, resample_nearest(mask, own)
            findings.append(
                finding(
                    "resampled",
                    "mask",
                    where=r.role,
                    name=r.name,
                    other=read[0].name,
                    distance_mm=moved,
                    before_ml=_ml(before),
                    after_ml=_ml(mask),
                )
            )
            done.append(replace(r, read=replace(r.read, mask=mask)))
        elif r.entry.resample and own.is_window:  # on the lattice already; its extent need not be another's
            mask = replace(mask, grid=replace(mask.grid, is_window=True))
            done.append(replace(r, read=replace(r.read, mask=mask)))
        else:
            done.append(r)
    return done, findings


def _same_grid(mask: Mask, own: VoxelGrid, tolerance_mm: float) -> bool:
    if mask.grid.is_window or own.is_window:
        return mask.grid.placement_on(own, tolerance_mm=tolerance_mm) is not None
    return is_same_grid(mask.grid, own, tolerance_mm)


def _ml(mask: Mask) -> float:
    return mask.voxels().count * mask.grid.voxel_ml


def _refuse_label_clash(tumour: Sequence[ReadEntry]) -> None:
    """Refuse one number for differently named segments of two files: they are different lesions."""
    seen: dict[int, tuple[str, str]] = {}
    for r in tumour:
        if r.entry.instances == "components":
            continue
        for number, name in r.read.mask.names.items():
            other = seen.setdefault(number, (name, r.name))
            if other[0] != name:
                msg = f"Segment {number} is {other[0]!r} in {other[1]} and {name!r} in {r.name}."
                hint = 'Write `instances = "components"` in their entries, or renumber the segments.'
                raise CaseError(msg, hint=hint)


def _union(masks: Iterable[Mask]) -> VoxelRuns:
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
        raise MissingRoleError(msg, hint="Give the liver mask as `liver`.")
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


def _pet_entries(
    sources: CaseSources, reader: EntryReader, pet: PetInputs, days: int | None
) -> tuple[list[InputRecord], list[Finding]]:
    """Return what the record says of the PET images, and what reading the one shown beside brought up."""
    told: list[InputRecord] = []
    entry, other = sources.only("pet"), sources.only("other_pet")
    if pet.image is not None and entry is not None:
        one: InputRecord = {
            "role": "pet",
            "path": _relative(sources, entry.path),
            "format": pet.image.format,
            "sha256": pet.image.sha256,
            "grid": grid_entry(pet.image.grid, sources),
            "segments": [],
            "tracer": pet.image.tracer.tracer,
        }
        if days is not None:
            one["days_from_ct"] = days
        if pet.image.conversion is not None:
            one["suv"] = cast("SuvRecord", pet.image.conversion)
        told.append(one)
    if other is None:
        return told, []
    beside, findings = read_other_pet(reader, other)
    if beside is not None:
        told.append(
            {
                "role": "other_pet",
                "path": _relative(sources, other.path),
                "format": beside.format,
                "sha256": beside.sha256,
                "grid": grid_entry(beside.grid, sources),
                "segments": [],
                "tracer": beside.tracer.tracer,
            }
        )
    return told, findings


def _read_table(sources: CaseSources) -> tuple[tuple[LesionRow, ...], list[InputRecord]]:
    table = sources.only("lesions")
    if table is None:
        return (), []
    data = read_bytes(table.path)
    entry = _table_input(sources, "lesions", table.path, data)
    history = history_beside(table.path)
    if history is not None:
        entry["history_sha256"] = sha256_of(history)
    return read_lesion_table(data, name=table.path.name), [entry]


def _read_closings(sources: CaseSources) -> tuple[tuple[Closing, ...], list[InputRecord]]:
    table = sources.only("reviews")
    if table is None:
        return (), []
    data = read_bytes(table.path)
    return read_reviews(data, name=table.path.name), [_table_input(sources, "reviews", table.path, data)]


def _table_input(sources: CaseSources, role: RoleName, path: Path, data: bytes) -> InputRecord:
    return {
        "role": role,
        "path": _relative(sources, path),
        "format": table_format(path.name),
        "sha256": hashlib.sha256(data).hexdigest(),
        "grid": None,
        "segments": [],
    }


def _mask_input(sources: CaseSources, read: ReadEntry, parts: list[PartRecord]) -> InputRecord:
    mask = read.read.mask
    return {
        "role": cast("RoleName", read.role),
        "path": _relative(sources, read.entry.path),
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


def _relative(sources: CaseSources, path: Path) -> str:
    return os.path.relpath(path, sources.folder).replace(os.sep, "/")
