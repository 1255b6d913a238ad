"""What a case's inputs hash to: every byte of every file that its roles name.

A subject is skipped on a later run only where this is the same. Sizes and times are not asked: a file put
back by a copy program can carry both unchanged, and hashing costs a small part of what measuring does.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.discovery import CASE_FILE
from volstrat.case.input_files import read_with
from volstrat.case.lesion_table import history_beside
from volstrat.case.unread import unread_files
from volstrat.errors import InputFileError
from volstrat.formats.walk import open_regular, relative_name, walk
from volstrat.store.output import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from volstrat.case.case_file import CaseSources, RoleEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file's bytes and what the file system said of it while they were hashed."""

    sha256: str
    seen: tuple[int, int, int]  # size, time of the last change in ns, inode


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The inputs of a case."""

    sha256: str  # of the roles, with every key of their entries, and of all files' names and hashes
    files: Mapping[Path, FileState]

    def changed_file(self) -> Path | None:
        """Return a file that is not what it was, by size, time and inode, or None."""
        for path, state in self.files.items():
            try:
                now = _seen(path.stat())
            except OSError:
                return path
            if now != state.seen:
                return path
        return None


def take_fingerprint(sources: CaseSources) -> Fingerprint:
    """Hash the inputs of a case.

    Raises InputFileError if a file is missing or cannot be read.
    """
    files = {path: _state(path) for path in sorted(set(_files(sources)))}
    content = {
        "told_by": sources.told_by,
        "patient": _values(sources.patient, sources.folder),
        "entries": {
            role: [_values(entry, sources.folder) for entry in entries]
            for role, entries in sorted(sources.entries.items())
        },
        "unread": [path.name for path in unread_files(sources)],  # the record says what lies there
        "files": sorted([relative_name(path, sources.folder), state.sha256] for path, state in files.items()),
    }
    text = json.dumps(content, sort_keys=True)
    return Fingerprint(sha256=hashlib.sha256(text.encode()).hexdigest(), files=files)


def _files(sources: CaseSources) -> Iterator[Path]:
    if sources.told_by == "case.toml":
        yield sources.folder / CASE_FILE
    if sources.told_by == "dicom":  # which series plays which role follows from all of them
        yield from _below(sources.folder)
    for entries in sources.entries.values():
        for entry in entries:
            yield from files_of(entry)
    for table in sources.entries.get("lesions", ()):
        history = history_beside(table.path)
        if history is not None:
            yield history


def files_of(entry: RoleEntry) -> Iterator[Path]:
    """Yield the files that an entry is read from, and what names or holds its values beside them."""
    if entry.path.is_dir():
        yield from _below(entry.path)
    else:
        yield entry.path
        yield from read_with(entry.path)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the plain files below a folder; links are followed, but never in a circle."""
    for here, folders, names in walk(folder):
        if STATE_FOLDER in folders:
            folders.clear()
            continue
        for name in names:
            path = Path(here, name)
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    yield path
            except OSError:  # a broken link is no file
                continue


def _state(path: Path) -> FileState:
    try:
        with open_regular(path) as stream:
            seen = _seen(os.fstat(stream.fileno()))
            return FileState(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), seen=seen)
    except InputFileError:
        raise
    except OSError as error:
        msg = f"{path.name}: cannot be read ({error.strerror})."
        raise InputFileError(msg) from error


def _seen(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _values(said: Any, folder: Path) -> dict[str, Any]:  # noqa: ANN401 - any flat dataclass
    values = {field.name: getattr(said, field.name) for field in fields(said)}
    return {k: relative_name(v, folder) if isinstance(v, Path) else v for k, v in values.items()}
