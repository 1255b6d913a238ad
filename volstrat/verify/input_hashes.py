"""The inputs of a case as they are now: their hashes, and each read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volstrat.case.input_entries import grid_entry, segment_list, voxels_sha256
from volstrat.case.input_files import file_sha256
from volstrat.case.lesion_table import history_beside
from volstrat.errors import VolstratError
from volstrat.formats.hashing import joined_sha256, sha256_of
from volstrat.formats.walk import relative_name
from volstrat.terms.roles import IMAGE_ROLES, MASK_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from volstrat.case.case_file import RoleEntry
    from volstrat.case.entries import EntryReader
    from volstrat.case.fingerprint import Fingerprint


def readable_inputs(case: EntryReader) -> Iterator[dict[str, Any]]:
    """Describe each input as a record does, as far as it can be read.

    A case that fails has no inputs in its record; this finds out which of them is not what it was.
    """
    for role, entries in case.sources.entries.items():
        for entry in entries:
            described = _described(role, entry, case)
            if described is not None:
                yield {"role": role, "path": relative_name(entry.path, case.sources.folder), **described}


def described_input(case: EntryReader, role: str, path: str) -> dict[str, Any] | None:
    """Describe one input, by its role and its path as the record has it; None where it cannot be read."""
    for entry in case.sources.entries.get(role, ()):
        if relative_name(entry.path, case.sources.folder) == path:
            found = _described(role, entry, case)
            return None if found is None else {"role": role, "path": path, **found}
    return None


def hash_now(case: EntryReader, fingerprint: Fingerprint, recorded: Mapping[str, Any]) -> str | None:
    """Return what an input of a record hashes to now; None where it is not there.

    Parameters
    ----------
    case : EntryReader
    fingerprint : Fingerprint
        Of the case, whose hashes are taken where it has them.
    recorded : mapping
        An entry of the record's `inputs`.
    """
    path = case.sources.folder / recorded["path"]
    try:
        if not path.is_dir():
            return file_sha256(path)
        entry = case.sources.only(recorded["role"]) if recorded["role"] in IMAGE_ROLES else None
        if entry is None:
            return None
        series = case.library.series(entry.path, role=recorded["role"], uid=entry.series)
    except VolstratError:
        return None
    known = fingerprint.files
    return joined_sha256(known[file].sha256 if file in known else sha256_of(file) for file in series.paths)


def _described(role: str, entry: RoleEntry, case: EntryReader) -> dict[str, Any] | None:
    try:
        if role in MASK_ROLES:
            read = case.mask(role, entry)
            return {
                "sha256": read.sha256,
                "voxels_sha256": voxels_sha256(read.mask),
                "grid": grid_entry(read.mask.grid, case.sources),
                "segments": segment_list(read.mask),
            }
        if role == "pet":
            pet = case.pet(entry)
            entry_json: dict[str, Any] = {"sha256": pet.sha256, "grid": grid_entry(pet.grid, case.sources)}
            entry_json |= {"segments": [], "tracer": pet.tracer.tracer}
            entry_json |= {} if pet.voxels_sha256 is None else {"voxels_sha256": pet.voxels_sha256}
            return entry_json | ({} if pet.conversion is None else {"suv": pet.conversion})
    except VolstratError:
        pass  # unreadable: its bytes are all that can be said of it
    if role == "ct" or entry.path.is_dir():
        return None
    try:
        sha256 = file_sha256(entry.path)
    except VolstratError:
        return None
    found: dict[str, Any] = {"sha256": sha256, "grid": None, "segments": []}
    history = history_beside(entry.path) if role == "lesions" else None
    return found if history is None else {**found, "history_sha256": sha256_of(history)}
