"""The inputs of a case that cannot be measured any more, each read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volstrat.case.entries import EntryReader
from volstrat.case.input_entries import grid_entry, segment_list, voxels_sha256
from volstrat.case.input_files import file_sha256
from volstrat.case.lesion_table import history_beside
from volstrat.errors import VolstratError
from volstrat.formats.hashing import sha256_of
from volstrat.formats.walk import relative_name
from volstrat.terms.roles import MASK_ROLES

if TYPE_CHECKING:
    from volstrat.case.case_file import CaseSources, RoleEntry


def readable_inputs(sources: CaseSources) -> list[dict[str, Any]]:
    """Describe each input as a record does, as far as it can be read.

    A case that fails has no inputs in its record; this finds out which of them is not what it was.
    """
    reader = EntryReader(sources)
    found = []
    for role, entries in sources.entries.items():
        for entry in entries:
            described = _described(role, entry, reader, sources)
            if described is not None:
                path = relative_name(entry.path, sources.folder)
                found.append({"role": role, "path": path, **described})
    return found


def _described(
    role: str, entry: RoleEntry, reader: EntryReader, sources: CaseSources
) -> dict[str, Any] | None:
    try:
        if role in MASK_ROLES:
            read = reader.mask(role, entry)
            return {
                "sha256": read.sha256,
                "voxels_sha256": voxels_sha256(read.mask),
                "grid": grid_entry(read.mask.grid, sources),
                "segments": segment_list(read.mask),
            }
        if role == "pet":
            pet = reader.pet(entry)
            entry_json = {"sha256": pet.sha256, "grid": grid_entry(pet.grid, sources), "segments": []}
            entry_json["tracer"] = pet.tracer.tracer
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
