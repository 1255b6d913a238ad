"""What would be read from a case folder, and as what; nothing is measured or decided."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from volstrat.case import grid_entry, segment_list
from volstrat.errors import VolstratError
from volstrat.io.case_file import MASK_ROLES, ROLES
from volstrat.io.discovery import find_sources
from volstrat.io.entries import EntryReader
from volstrat.io.lesion_table import read_bytes, read_lesion_table

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.io.case_file import CaseSources, RoleEntry
    from volstrat.io.protocol_files import LoadedProtocol


def inspect_case(folder: Path, protocol: LoadedProtocol, *, lesions: str | None = None) -> dict[str, Any]:
    """List, per role, the file, its format and grid, and its segments, ROIs or labels.

    A file that cannot be read is listed with its error, so that one fault does not hide the rest.

    Raises
    ------
    VolstratError
        If the roles themselves cannot be settled.
    """
    sources = find_sources(folder, lesions=lesions, naming=protocol.protocol.naming)
    reader = EntryReader(sources)
    return {
        "subject": sources.subject,
        "told_by": sources.told_by,
        "inputs": [_entry(sources, reader, role, e) for role in ROLES for e in sources.entries.get(role, ())],
    }


def _entry(sources: CaseSources, reader: EntryReader, role: str, entry: RoleEntry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "role": role,
        "path": os.path.relpath(entry.path, sources.folder).replace(os.sep, "/"),
        "format": None,
        "grid": None,
        "segments": [],
        "error": None,
    }
    try:
        if role == "lesions":
            rows = read_lesion_table(read_bytes(entry.path), name=entry.path.name)
            found.update(format="csv", rows=len(rows))
        elif role in MASK_ROLES:
            read = reader.mask(role, entry)
            found.update(
                format=read.format, grid=grid_entry(read.mask.grid), segments=segment_list(read.mask)
            )
        else:
            image_format, grid = reader.grid(role, entry)
            found.update(format=image_format, grid=grid_entry(grid))
    except VolstratError as error:
        found["error"] = str(error)
    return found
