"""Writing results: whole or not at all, under names that no subject can break."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from volstrat.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

STATE_FOLDER = ".volstrat"
"""Where an output folder keeps its ledger and lock; a folder that holds one is an output, never a case."""

_PLAIN = frozenset(" _-.~")
_LONGEST_NAME_BYTES = 200
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789\u00b9\u00b2\u00b3"}
)


def write_atomically(path: Path, data: bytes, *, at_once: bool = True) -> None:
    """Write a file so that its name holds either the old bytes or all the new ones.

    ``at_once``: return only when the bytes are on the disk; else the system writes them when it likes, and
    whoever reads them after a power cut must be able to tell. What cannot be written is an `OutputError`;
    nothing half-written stays behind.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            if at_once:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        msg = f"{path}: cannot be written ({error.strerror})."
        raise OutputError(msg, hint="Check the disk's space and the folder's permissions.") from error


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object that a file holds; None where nothing readable does."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def folder_name(subject: str) -> str:
    """Return a folder name for a subject: itself where that is safe, else with escapes.

    Letters, digits, spaces and ``_-.~`` stay; other characters become ``%XX`` (UTF-8 bytes), and so do a
    leading dot, outer spaces, a last dot, and the first letter of what Windows takes for a device (``CON``,
    ``NUL.1``): no two subjects share a folder, none leaves it, and an output can be copied to any system.

    >>> folder_name("S001")
    'S001'
    >>> folder_name("../S/1"), folder_name("con"), folder_name("S1.")
    ('%2E.%2FS%2F1', '%63on', 'S1%2E')
    """
    name = "".join(c if c.isalnum() or c in _PLAIN else _escaped(c) for c in subject)
    if name[:1] in {".", " "} or name.partition(".")[0].rstrip().upper() in _DEVICES:
        name = _escaped(name[0]) + name[1:]
    if name[-1:] in {".", " "} and name:
        name = name[:-1] + _escaped(name[-1])
    encoded = name.encode()
    if len(encoded) > _LONGEST_NAME_BYTES:
        mark = hashlib.sha256(subject.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        name = encoded[: _LONGEST_NAME_BYTES - 17].decode(errors="ignore") + "~" + mark
    return name


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
