"""Which series, segments and ROIs of a folder of DICOM play which role.

Modality says what a series is; names of segments and ROIs are matched against the protocol's
``naming`` patterns; the series that the tumour is drawn on is the case's image.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.case_file import RoleEntry
from volstrat.case.parts import choose_parts, describe_parts, line_of_parts, parts_named
from volstrat.dicom.library import DicomLibrary, ambiguous_series, likeliest_fdg, listed
from volstrat.dicom.tracer import series_tracer
from volstrat.errors import AmbiguousRoleError, CaseError, CorruptDataError, MissingRoleError
from volstrat.formats.volumes import stem_of
from volstrat.formats.walk import relative_name
from volstrat.terms.naming import NAMED_ROLES, said_by
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from volstrat.dicom.folder import DicomFolder, SeriesFiles, Structure, StructureFile

_ON_PET = ("fdg_avid", "reference")


def dicom_roles(
    folder: Path,
    library: DicomLibrary,
    naming: Mapping[str, Sequence[str]],
    *,
    settled: Mapping[str, tuple[RoleEntry, ...]],
) -> dict[str, tuple[RoleEntry, ...]]:
    """Find the roles that the DICOM below a case folder plays, by the protocol's globs on segments and ROIs.

    Roles that file names have ``settled`` are left alone, but for a folder called ``ct`` or ``pet``, of which
    one series is chosen. Raises AmbiguousRoleError, with every candidate and the line to write, if two files
    or series could play one role; CaseError if the tumour is drawn on a series that is not there;
    CorruptDataError if a file cannot be read that may be one of the masks, or a mask is there twice.
    """
    scan = library.folder(folder)
    known = {series.series_instance_uid for series in scan.series}
    for broken in scan.broken:  # not one of a series whose other files can be read: it may be a mask
        if broken.series_instance_uid not in known:
            raise broken.error()
    roles: dict[str, tuple[RoleEntry, ...]] = {}
    by_path = {file.path: file for file in (*scan.segmentations, *scan.structure_sets)}
    first = {role: entries[0].path for role, entries in settled.items()}
    drawn = {role: by_path[path] for role, path in first.items() if path in by_path}  # by their own names
    for role, candidates in _candidates(scan, naming).items():
        if role in settled:
            continue
        if len(candidates) > 1:
            raise _two_files(role, candidates, folder)
        ((file, _),) = candidates
        drawn[role] = file
        roles[role] = (RoleEntry(path=file.path, by_content=True),)
    for role, modality, drawn_role in (("ct", "CT", "tumour"), ("pet", "PT", "fdg_avid")):
        named = settled[role][0].path if role in settled else None
        if named is not None and not named.is_dir():
            continue
        where = scan if named is None else scan.below(named)
        chosen = _series_for(scan, where, modality, drawn.get(drawn_role), role)
        if chosen is not None:
            roles[role] = (_entry_of(chosen),)
            if role == "ct":
                roles[role] += tuple(_entry_of(one) for one in _phases(where, chosen))
    beside = [] if "other_pet" in settled else _of_other_tracers(scan, (*settled.values(), *roles.values()))
    if beside:  # shown, never counted
        roles["other_pet"] = tuple(map(_entry_of, beside))
    return roles


def _entry_of(series: SeriesFiles) -> RoleEntry:
    parent = Path(os.path.commonpath([path.parent for path in series.paths]))
    return RoleEntry(path=parent, series=series.series_instance_uid)


def _phases(where: DicomFolder, chosen: SeriesFiles) -> list[SeriesFiles]:
    """Return the other CT series in the chosen one's frame of reference: phases of it, to be shown."""
    uid, frame = chosen.series_instance_uid, chosen.frame_of_reference_uid
    if frame is None:
        return []
    others = [s for s in where.series if s.modality == "CT" and s.is_volume and s.series_instance_uid != uid]
    return [s for s in others if s.frame_of_reference_uid == frame]


def _of_other_tracers(scan: DicomFolder, taken: Sequence[tuple[RoleEntry, ...]]) -> list[SeriesFiles]:
    """Return the PET series of other tracers that play no role yet."""
    used = {entry.series for entries in taken for entry in entries}
    return [
        s
        for s in scan.series
        if s.modality == "PT" and s.series_instance_uid not in used and series_tracer(s).tracer == "other"
    ]


def _candidates(
    scan: DicomFolder, naming: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[StructureFile, tuple[int, ...]]]]:
    """For each role the files with segments or ROIs so named, and their numbers."""
    found: dict[str, list[tuple[StructureFile, tuple[int, ...]]]] = {}
    for file in (*scan.segmentations, *scan.structure_sets):
        on_pet = _is_on_pet(file, scan)
        said = [said_by(one.name, one.codes, naming) for one in file.structures]
        for role in NAMED_ROLES:
            numbers = tuple(file.structures[n].number for n in parts_named(role, said))
            if numbers and (role in _ON_PET or not on_pet):
                found.setdefault(role, []).append((file, numbers))
    return found


def _is_on_pet(file: StructureFile, scan: DicomFolder) -> bool:
    """Tell whether a file was drawn on PET alone, as far as its series are there."""
    drawn_on = file.referenced_series_uids
    return {s.modality for s in scan.series if s.series_instance_uid in drawn_on} == {"PT"}


def drawn_on_pet(path: Path, scan: DicomFolder) -> bool:
    """Tell whether a SEG or RTSTRUCT file was drawn on PET alone, as far as its series are there."""
    files = (*scan.segmentations, *scan.structure_sets)
    return any(file.path == path and _is_on_pet(file, scan) for file in files)


def without_role(
    file: StructureFile,
    entries: Mapping[str, Sequence[RoleEntry]],
    naming: Mapping[str, Sequence[str]],
) -> tuple[Structure, ...]:
    """Return the segments or ROIs of a file that no entry takes."""
    used: set[int] = set()
    parts = describe_parts(
        file.names(),
        {one.number: one.codes for one in file.structures},
        stem=stem_of(file.path),
        naming=naming,
    )
    played = [role for role, named in entries.items() if any(entry.path == file.path for entry in named)]
    for role in played:
        for entry in entries[role]:
            if entry.path == file.path:
                used |= choose_parts(role, entry, parts, played=played).taken
    return tuple(s for s in file.structures if s.number not in used)


def _two_files(
    role: str, candidates: Sequence[tuple[StructureFile, tuple[int, ...]]], folder: Path
) -> AmbiguousRoleError | CorruptDataError:
    where = [relative_name(file.path, folder) for file, _ in candidates]
    uids = [file.sop_instance_uid for file, _ in candidates]
    for n, uid in enumerate(uids):
        if uid and uid in uids[:n]:
            both = f"{where[uids.index(uid)]} and {where[n]}"
            msg = f"{folder.name}: {both} are the same DICOM instance (equal SOPInstanceUID)."
            hint = "Keep one of the two files, or export both again where they differ."
            return CorruptDataError(msg, hint=hint)
    shown = [
        f"{path} ({shown_names([s.name for s in file.structures if s.number in numbers], named=4)})"
        for (file, numbers), path in zip(candidates, where, strict=True)
    ]
    msg = f"{folder.name}: {len(candidates)} candidates for {role}: {'; '.join(shown)}."
    every = ", ".join(f'"{path}"' for path in where)
    hint = f"Write case.toml with [inputs] {role} = [{every}] and keep there those that are meant."
    return AmbiguousRoleError(msg, hint=hint)


def _series_for(
    scan: DicomFolder, where: DicomFolder, modality: str, drawn: StructureFile | None, role: str
) -> SeriesFiles | None:
    """Choose the series of a modality: the one that was drawn on, else the only one in ``where``."""
    everywhere = [s for s in scan.series if s.modality == modality and s.is_volume]
    if drawn is not None and drawn.referenced_series_uids:
        uids = drawn.referenced_series_uids
        known = {s.modality for s in scan.series if s.series_instance_uid in uids}
        if modality in known or not known:
            return _of_fdg(_drawn_on(drawn, everywhere, scan), everywhere)
        # Drawn on the other modality: that says nothing about this one.
    there = [s for s in where.series if s.modality == modality and s.is_volume]
    if modality == "PT":
        there = likeliest_fdg(there)
    if len(there) > 1:
        raise ambiguous_series(there, role=role, path=relative_name(where.root, scan.root))
    return there[0] if there else None


def _of_fdg(chosen: SeriesFiles, everywhere: Sequence[SeriesFiles]) -> SeriesFiles:
    """Return the one FDG-PET there is where the series that was drawn on is of another tracer."""
    if chosen.modality != "PT" or series_tracer(chosen).tracer != "other":
        return chosen
    fdg = [s for s in everywhere if series_tracer(s).tracer == "fdg"]
    return fdg[0] if len(fdg) == 1 else chosen


def _drawn_on(drawn: StructureFile, series: Sequence[SeriesFiles], scan: DicomFolder) -> SeriesFiles:
    """Return the series that a file references; for an RTSTRUCT else the only one in its frame of reference.

    Raises CaseError if that series is not there.
    """
    uids, frame = drawn.referenced_series_uids, drawn.frame_of_reference_uid
    found = [s for s in series if s.series_instance_uid in uids]
    if not found and drawn in scan.structure_sets:  # contours are in patient coordinates
        found = [s for s in series if frame is not None and s.frame_of_reference_uid == frame]
    if len(found) == 1:
        return found[0]
    what = "a series that is not there" if not found else "images that several series could be"
    msg = f"{drawn.path.name}: references {what}; there is {listed(scan.series) or 'none'}."
    raise CaseError(msg, hint="Add that series, or name the files in case.toml.")


def no_tumour(scan: DicomFolder, *, subject: str) -> MissingRoleError:
    """Return the error for DICOM in which nothing is called tumour: what is there, what to write."""
    shown = [listed(scan.series)] if scan.series else []
    files = [*scan.segmentations, *scan.structure_sets]
    for file in files:
        drawn = ", drawn on PET" if _is_on_pet(file, scan) else ""
        inside = shown_names([s.name for s in file.structures], named=12)
        shown.append(f"{relative_name(file.path, scan.root)} ({inside}){drawn}")
    there = "; ".join(shown) or "no DICOM image or mask"
    msg = f"{subject}: no segment or ROI is called tumour; there is {there}."
    if not files:
        return MissingRoleError(msg, hint="Add a mask: SEG, RTSTRUCT, or tumour.nii.gz (.nrrd, .mha).")
    lines = []
    for file in files:
        parts = [(one.number, one.name) for one in file.structures]
        lines.append(f"tumour = {line_of_parts(relative_name(file.path, scan.root), parts)}")
    hint = f"Write case.toml with [inputs] and keep what is tumour: {'; or '.join(lines)}."
    return MissingRoleError(msg, hint=hint)
