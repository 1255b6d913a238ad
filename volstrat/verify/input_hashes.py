"""The inputs of a case as they are now: their hashes, and each read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from volstrat.case.input_entries import grid_entry, segment_list, voxels_sha256
from volstrat.case.input_files import file_sha256
from volstrat.case.lesion_table import HISTORY, history_beside
from volstrat.errors import VolstratError
from volstrat.formats.hashing import joined_sha256, sha256_of
from volstrat.terms.roles import IMAGE_ROLES, MASK_ROLES
from volstrat.verify.steps import changed, input_differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.case.case_file import RoleEntry
    from volstrat.case.entries import EntryReader
    from volstrat.case.fingerprint import Fingerprint
    from volstrat.case.input_types import InputRecord
    from volstrat.verify.steps import Difference


def readable_inputs(case: EntryReader) -> Iterator[InputRecord]:
    """Describe each input as a record does, as far as it can be read.

    A case that fails has no inputs in its record; this finds out which of them is not what it was.
    """
    for role, entries in case.sources.entries.items():
        for entry in entries:
            described = _described(role, entry, case)
            if described is not None:
                yield described


def changes_of(recorded: InputRecord, case: EntryReader, fingerprint: Fingerprint) -> Iterator[Difference]:
    """Hold an input of a record to its hash as it is now.

    Where that differs, reading the file tells whether its voxels or its header did. Hashes that the
    fingerprint of the case has are taken from it.
    """
    role, path = recorded["role"], recorded["path"]
    sha256 = _hash_now(case, fingerprint, recorded)
    if sha256 != recorded["sha256"]:
        there = (e for e in case.sources.entries.get(role, ()) if case.sources.relative(e.path) == path)
        entry = next(there, None)
        now = None if entry is None else _described(role, entry, case)
        if (
            now is not None
            and now["sha256"] == sha256
            and (now["grid"] is None) == (recorded["grid"] is None)
        ):
            yield from input_differences(recorded, now)
            return
    untold = "" if recorded["grid"] is None else " (it cannot be read: voxels or header cannot be told)"
    history = history_beside(case.sources.folder / path) if role == "lesions" else None
    history_now = None if history is None else sha256_of(history)
    found = [
        (f"sha256 of {HISTORY}", recorded.get("history_sha256"), history_now),
        (f"sha256{untold}", recorded["sha256"], sha256),
    ]
    yield from changed("input_bytes", found, role=role, path=path)


def _hash_now(case: EntryReader, fingerprint: Fingerprint, recorded: InputRecord) -> str | None:
    """Return what an input of a record hashes to now; None where it is not there."""
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


def _described(role: str, entry: RoleEntry, case: EntryReader) -> InputRecord | None:
    """Say of an input what tells it from another; None where not even its bytes can be read."""
    told: dict[str, Any] = {
        "role": role,
        "path": case.sources.relative(entry.path),
        "grid": None,
        "segments": [],
    }
    try:
        if role in MASK_ROLES:
            read = case.mask(role, entry)
            told |= {"sha256": read.read.sha256, "voxels_sha256": voxels_sha256(read.mask)}
            told |= {"grid": grid_entry(read.mask.grid, case.sources), "segments": segment_list(read.mask)}
            return cast("InputRecord", told)
        if role == "pet":
            pet = case.pet(entry)
            told |= {"sha256": pet.sha256, "tracer": pet.tracer.tracer}
            told |= {} if pet.voxels_sha256 is None else {"voxels_sha256": pet.voxels_sha256}
            told |= {} if pet.conversion is None else {"suv": pet.conversion}
            return cast("InputRecord", told | {"grid": grid_entry(pet.grid, case.sources)})
    except VolstratError:
        pass  # unreadable: its bytes are all that can be said of it
    if role == "ct" or entry.path.is_dir():
        return None
    try:
        told["sha256"] = file_sha256(entry.path)
    except VolstratError:
        return None
    history = history_beside(entry.path) if role == "lesions" else None
    return cast("InputRecord", told if history is None else {**told, "history_sha256": sha256_of(history)})
