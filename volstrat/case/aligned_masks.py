"""The masks of a case as read, united by role and put on the tumour's grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.case.drawn_by import model_findings
from volstrat.case.mask_grids import (
    check_on_ct,
    check_sparse_and_dense,
    ct_grid,
    is_same_grid,
    lesion_fields,
    lies_in,
    put_blank_on,
)
from volstrat.case.part_shapes import inverted_findings, lie_apart, organ_findings, shared_findings
from volstrat.case.parts import PlayedFile, part_findings
from volstrat.errors import CaseError, MissingRoleError
from volstrat.frozen import frozen
from volstrat.geometry.alignment import align_masks, check_frame_of_reference, resample_nearest
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.terms.findings import finding
from volstrat.terms.roles import MASK_ROLES, ON_TUMOUR_GRID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from volstrat.case.case_file import CaseSources, RoleEntry
    from volstrat.case.entries import EntryReader, RoleMask
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.terms.findings import Finding
    from volstrat.terms.protocol import Protocol


@frozen(eq=False)
class ReadEntry:
    """A mask file as one role's entry."""

    role: str
    entry: RoleEntry
    read: RoleMask

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.entry.path.name


@frozen(eq=False)
class AlignedMasks:
    """Masks that share the tumour's grid, those that do not, and what reading them brought up.

    Parameters
    ----------
    grid : VoxelGrid
        The tumour's, or that of all masks that share its lattice.
    base : str
        What messages call the first tumour mask.
    tumour : list of TumourEntry
    united : mapping of role to VoxelRuns
        "resectable", "liver" and "remnant", where they were drawn.
    on_grid : list of (ReadEntry, Mask)
        Each mask of a role that shares the grid, as read and on it.
    as_read : list of ReadEntry
        Every mask file, with the parts it takes.
    used : list of ReadEntry
        The same after resampling, without those in which nobody drew.
    files : list of PlayedFile
        Of ``as_read``, in its order.
    fields : tuple of VoxelGrid
        What the tumour could be drawn in.
    findings : list of Finding
    """

    grid: VoxelGrid
    base: str
    tumour: list[TumourEntry]
    united: Mapping[str, VoxelRuns]
    on_grid: list[tuple[ReadEntry, Mask]]
    as_read: list[ReadEntry]
    used: list[ReadEntry]
    files: list[PlayedFile]
    fields: tuple[VoxelGrid, ...]
    findings: list[Finding]

    def of_role(self, role: str) -> list[ReadEntry]:
        """Return the masks of a role, as they are used."""
        return [r for r in self.used if r.role == role]


def read_aligned_masks(reader: EntryReader, protocol: Protocol) -> AlignedMasks:
    """Read every mask, and put those that share a grid onto it.

    Raises
    ------
    VolstratError
        If a mask cannot be read, or the masks do not fit together.
    """
    tolerance_mm = protocol.geometry_tolerance_mm
    as_read = _read_masks(reader.sources, reader)
    files = _played_files(as_read, reader.sources, reader)
    findings = _reading_findings(as_read, reader)
    used, empty = _readings(as_read)
    used, resampled = _resample_where_allowed(_with_blanks_placed(used), protocol)
    shared = {_key(r, n): r for n, r in enumerate(used) if r.role in ON_TUMOUR_GRID}
    ct, of_ct = ct_grid(reader)
    named = [(key, r.role, r.read) for key, r in shared.items()]
    findings += [*empty, *resampled, *of_ct]
    base = next(iter(shared))
    grid, aligned = align_masks(
        {key: r.read.mask for key, r in shared.items()}, tolerance_mm=tolerance_mm, base=base
    )
    tumour = [
        TumourEntry(mask=aligned[key], instances=r.entry.instances)
        for key, r in shared.items()
        if r.role == "tumour"
    ]
    findings += check_sparse_and_dense(named, ct, tolerance_mm=tolerance_mm)
    findings += check_on_ct(named, ct, tolerance_mm=tolerance_mm)
    whole = {file: r.read.whole for file, r in zip(files, as_read, strict=True)}
    total = _union(entry.mask for entry in tumour)
    findings += part_findings(
        files,
        lambda file, number: lies_in(whole[file], number, grid, total, tolerance_mm=tolerance_mm),
        lambda file, numbers: lie_apart(whole[file], numbers, file.choice.taken),
    )
    _refuse_label_clash([r for r in shared.values() if r.role == "tumour"])
    united = {
        role: _union(aligned[key] for key, r in shared.items() if r.role == role)
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
        files=files,
        fields=tuple(lesion_fields(named, ct, tolerance_mm=tolerance_mm)),
        findings=findings,
    )


def _reading_findings(as_read: Sequence[ReadEntry], reader: EntryReader) -> list[Finding]:
    """Return what the files themselves bring up: how they were read, organs among them, models that drew."""
    findings = [one for r in as_read for one in r.read.findings]
    findings += shared_findings((r.role, r.read, r.entry) for r in as_read)
    for r in as_read:
        findings += [*organ_findings(r.role, r.read, r.name), *inverted_findings(r.role, r.read, r.name)]
    drawn = ((r.role, r.entry.path, r.read.mask.names) for r in as_read if r.read.format != "array")
    return [*findings, *model_findings(drawn, reader)]


def _played_files(read: Sequence[ReadEntry], sources: CaseSources, reader: EntryReader) -> list[PlayedFile]:
    on_pet = reader.drawn_on_pet()
    return [
        PlayedFile(
            role=r.role,
            path=sources.relative(r.entry.path),
            name=r.name,
            choice=r.read.choice,
            drawn_on_pet=r.entry.path in on_pet,
            by_content=r.entry.by_content,
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
                hint = 'Write instances = "components" in their entries, or renumber the segments.'
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
