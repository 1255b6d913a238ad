"""The audit trail: one JSON object a line, appended only, each chained by sha256 to the one before.

An entry is ``{entry, recorded_at, event, detail, previous_sha256, sha256}``: ``entry`` counts from 1,
``recorded_at`` is UTC, ``previous_sha256`` is the ``sha256`` of the entry before (64 zeros for the first),
and ``sha256`` is that of the entry's own canonical JSON without the key ``sha256`` (keys sorted, no spaces,
ASCII, other characters escaped). A chain cannot show that its tail was cut: whoever keeps a trail keeps its
`TrailHead` elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from datetime import UTC
from typing import TYPE_CHECKING, Any

from volstrat.errors import CorruptDataError, InputFileError, OutputError
from volstrat.frozen import frozen
from volstrat.store.locking import locked_file
from volstrat.store.output import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from io import FileIO
    from pathlib import Path

NO_ENTRY = "0" * 64
"""What the first entry gives as ``previous_sha256``."""

_KINDS = {
    "entry": int, "recorded_at": str, "event": str, "detail": dict, "previous_sha256": str, "sha256": str,
}  # fmt: skip
_TAIL_BYTES = 65536


@frozen
class TrailHead:
    """How long a trail is and what its last entry hashes to."""

    length: int = 0
    last_sha256: str = NO_ENTRY


def entry_sha256(entry: Mapping[str, Any]) -> str:
    """Return the hash of an entry: of its canonical JSON without the key ``sha256``."""
    kept = {key: value for key, value in entry.items() if key != "sha256"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def append_entry(path: Path, *, event: str, detail: Mapping[str, Any], recorded_at: datetime) -> TrailHead:
    """Append one entry (an event, e.g. "batch_started", and JSON values) and return the trail's new head.

    The end of a line that was cut while it was written (a full disk, a lost machine) was never part of the
    trail: it is taken off, and an entry of its own says so. ``recorded_at`` has a time zone. A last entry
    that is none, so that nothing can be chained to it, is a `CorruptDataError`; a trail that cannot be
    written, whose entries all stand, an `OutputError`.
    """
    state = path.parent / STATE_FOLDER
    problem = f"{path}: the audit trail cannot be written"
    hint = "Check the disk's space and the folder's permissions."
    try:
        state.mkdir(parents=True, exist_ok=True)
        with (
            locked_file(state / "trail-lock", problem, hint),
            path.open("a+b", buffering=0) as stream,
        ):
            head, fragment = _head(stream, path.name)
            if fragment:
                stream.truncate(stream.seek(0, os.SEEK_END) - len(fragment))
                removed = {"bytes": len(fragment), "sha256": hashlib.sha256(fragment).hexdigest()}
                head = _write(stream, head, "unfinished_entry_removed", removed, recorded_at)
            return _write(stream, head, event, detail, recorded_at)
    except OutputError:
        raise
    except OSError as error:
        msg = f"{problem} ({error.strerror})."
        raise OutputError(msg, hint=hint) from error


def _head(stream: FileIO, name: str) -> tuple[TrailHead, bytes]:
    """Return the head by the last whole line, and what follows that line."""
    size = stream.seek(0, os.SEEK_END)
    back = min(size, _TAIL_BYTES)
    while True:
        stream.seek(size - back)
        tail = stream.read(back)
        lines = tail.split(b"\n")
        if len(lines) > 2 or back == size:
            break
        back = min(size, back * 4)
    fragment = lines.pop()
    if not lines:
        return TrailHead(), fragment
    entry = _parsed(lines[-1])
    if entry is None or entry["sha256"] != entry_sha256(entry):
        msg = f"{name}: its last entry has been altered; nothing can be chained to it."
        raise CorruptDataError(msg, hint="Keep the file aside; a new trail begins where none is found.")
    return TrailHead(length=entry["entry"], last_sha256=entry["sha256"]), fragment


def _write(
    stream: FileIO, head: TrailHead, event: str, detail: Mapping[str, Any], recorded_at: datetime
) -> TrailHead:
    entry: dict[str, Any] = {
        "entry": head.length + 1,
        "recorded_at": recorded_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event": event,
        "detail": dict(detail),
        "previous_sha256": head.last_sha256,
    }
    entry["sha256"] = entry_sha256(entry)
    line = json.dumps(entry, ensure_ascii=True, allow_nan=False).encode() + b"\n"
    end = stream.seek(0, os.SEEK_END)
    try:
        if stream.write(line) != len(line):  # unbuffered: a disk that fills up takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(stream.fileno())
    except OSError:
        os.ftruncate(stream.fileno(), end)
        raise
    return TrailHead(length=entry["entry"], last_sha256=entry["sha256"])


def read_trail(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield a trail's entries in order; None for a line that is no entry.

    A trail that is not there or cannot be read is an `InputFileError`.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield _parsed(line.rstrip(b"\n")) if line.endswith(b"\n") else None
    except OSError as error:
        msg = f"{path.name}: cannot be read ({error.strerror})."
        raise InputFileError(msg) from error


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line, or None where the line is not, byte for byte, what is written for one."""
    try:
        entry = json.loads(line)
        if json.dumps(entry, ensure_ascii=True, allow_nan=False).encode() != line:
            return None
    except (ValueError, RecursionError):  # also NaN, which Python reads though it is no JSON
        return None
    whole = isinstance(entry, dict) and set(entry) == set(_KINDS)
    return entry if whole and all(isinstance(entry[key], kind) for key, kind in _KINDS.items()) else None


def check_trail(path: Path, *, expected: TrailHead | None = None) -> tuple[TrailHead, tuple[str, ...]]:
    """Check every link of a trail; return its head by the last line, and one sentence for each fault.

    ``expected`` is what was kept elsewhere, e.g. in ``run.json``; a trail may have grown since, never shrunk.
    One that cannot be read is an `InputFileError`.
    """
    faults: list[str] = []
    head = TrailHead()
    for line, entry in enumerate(read_trail(path), start=1):
        if entry is None:
            faults.append(f"Line {line} is no entry.")
            head = TrailHead(length=line, last_sha256="")
            continue
        if entry["entry"] != line:
            faults.append(f"Line {line} holds entry {entry['entry']}: an entry was removed, added or moved.")
        if entry["previous_sha256"] != head.last_sha256:
            faults.append(f"Entry {entry['entry']} does not follow the one before it.")
        if entry["sha256"] != entry_sha256(entry):
            faults.append(f"Entry {entry['entry']} ({entry['event']}) has been altered.")
        if expected is not None and line == expected.length and entry["sha256"] != expected.last_sha256:
            faults.append(f"Entry {line} is not the one that was kept in mind.")
        head = TrailHead(length=line, last_sha256=entry["sha256"])
    if expected is not None and head.length < expected.length:
        faults.append(f"The trail has {head.length} entries; it once had {expected.length}: its end was cut.")
    return head, tuple(faults)
