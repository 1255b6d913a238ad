"""Which series, segments and ROIs of a folder of DICOM play which role.

Modality says what a series is; names of segments and ROIs are matched against the protocol's
``naming`` patterns; the series that the tumour is drawn on is the case's image.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from volstrat.errors import AmbiguousRoleError, CaseError
from volstrat.io.case_file import RoleEntry
from volstrat.io.dicom.library import DicomLibrary, ambiguous_series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from volstrat.io.dicom.folder import DicomFolder, SeriesFiles, StructureFile

NAMED_ROLES = ("fdg_avid", "resectable", "remnant", "reference", "liver", "tumour")
"""Roles that names can say; a name that fits several plays the first."""

_ON_PET = ("fdg_avid", "reference")


def dicom_roles(
    folder: Path, library: DicomLibrary, naming: Mapping[str, Sequence[str]], *, settled: Mapping[str, object]
) -> dict[str, tuple[RoleEntry, ...]]:
    """Find the roles that the DICOM below a folder plays.

    Parameters
    ----------
    folder : Path
        The case folder.
    naming : mapping of role to globs
        On segment labels and ROI names, case-insensitive.
    settled : mapping
        Roles that file names have settled already; they are left alone.

    Raises
    ------
    AmbiguousRoleError
        If two files or series could play one role; lists them and the line to write.
    CaseError
        If the tumour is drawn on a series that is not there.
    """
    scan = library.folder(folder)
    roles: dict[str, tuple[RoleEntry, ...]] = {}
    drawn: dict[str, StructureFile] = {}
    for role, candidates in _candidates(scan, naming).items():
        if role in settled:
            continue
        if len(candidates) > 1:
            raise _two_files(role, candidates, folder)
        ((file, names),) = candidates
        drawn[role] = file
        roles[role] = (RoleEntry(path=file.path, select=names),)
    for role, modality, drawn_role in (("ct", "CT", "tumour"), ("pet", "PT", "fdg_avid")):
        if role in settled:
            continue
        chosen = _series_for(scan, modality, drawn.get(drawn_role), role, folder)
        if chosen is not None:
            parent = os.path.commonpath([path.parent for path in chosen.paths])
            roles[role] = (RoleEntry(path=type(folder)(parent), series=chosen.series_instance_uid),)
    return roles


def _candidates(
    scan: DicomFolder, naming: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[StructureFile, tuple[int, ...]]]]:
    """For each role the files with segments or ROIs so named, and their numbers."""
    modality = {s.series_instance_uid: s.modality for s in scan.series}
    found: dict[str, list[tuple[StructureFile, tuple[int, ...]]]] = {}
    for file in (*scan.segmentations, *scan.structure_sets):
        on_pet = any(modality.get(uid) == "PT" for uid in file.referenced_series_uids)
        by_role: dict[str, list[int]] = {}
        for structure in file.structures:
            role = role_of_name(structure.name, naming)
            if role is not None and (role in _ON_PET or not on_pet):
                by_role.setdefault(role, []).append(structure.number)
        for role, numbers in by_role.items():
            found.setdefault(role, []).append((file, tuple(numbers)))
    return found


def role_of_name(name: str, naming: Mapping[str, Sequence[str]]) -> str | None:
    """Return the role that a segment label or ROI name says, or None.

    >>> role_of_name("Liver metastasis 3", {"liver": ["liver"], "tumour": ["*metasta*"]})
    'tumour'
    """
    folded = " ".join(name.replace("_", " ").casefold().split())
    for role in NAMED_ROLES:
        if any(fnmatchcase(folded, pattern.casefold()) for pattern in naming.get(role, ())):
            return role
    return None


def _two_files(
    role: str, candidates: Sequence[tuple[StructureFile, tuple[int, ...]]], folder: Path
) -> AmbiguousRoleError:
    shown = []
    for file, numbers in candidates:
        names = [s.name for s in file.structures if s.number in numbers]
        shown.append(f"{os.path.relpath(file.path, folder)} ({', '.join(names[:4])})")
    msg = f"{folder.name}: {len(candidates)} candidates for {role}: {'; '.join(shown)}."
    path = os.path.relpath(candidates[0][0].path, folder)
    hint = f'Write case.toml with [inputs] {role} = "{path}", or a list of them.'
    return AmbiguousRoleError(msg, hint=hint)


def _series_for(
    scan: DicomFolder, modality: str, drawn: StructureFile | None, role: str, folder: Path
) -> SeriesFiles | None:
    """Choose the series of a modality: the one that was drawn on, else the only one."""
    there = [s for s in scan.series if s.modality == modality and not s.is_localizer]
    if drawn is not None and drawn.referenced_series_uids:
        uids = drawn.referenced_series_uids
        if any(s.series_instance_uid in uids and s.modality != modality for s in scan.series):
            drawn = None  # drawn on the other modality: says nothing about this one
        else:
            referenced = [s for s in there if s.series_instance_uid in uids]
            if len(referenced) == 1:
                return referenced[0]
            if not referenced and scan.series:
                msg = (
                    f"{drawn.path.name}: references series {', '.join(uids)}, which is not in {folder.name}."
                )
                raise CaseError(msg, hint="Add that series, or name the files in case.toml.")
    if len(there) > 1:
        raise ambiguous_series(there, role=role, path=folder.name)
    return there[0] if there else None
