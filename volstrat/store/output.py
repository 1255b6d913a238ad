"""Writing results, one file or several: whole or not at all, under names that no subject can break."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from volstrat.errors import OutputError

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path
    from types import TracebackType
    from typing import Self

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


class StagedFiles:
    """Files of a folder under temporary names; a context manager that renames them when its block ends well.

    What cannot be written is an `OutputError` (as which any OSError raised inside the block is taken);
    nothing half-written stays behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = os.urandom(4).hex()
        self._open: dict[str, BufferedRandom] = {}

    def open(self, name: str) -> BufferedRandom:
        """Return a stream for the file that will be called ``name``."""
        for left in self._folder.glob(f".{name}.*.part"):  # of a run that was killed
            left.unlink(missing_ok=True)
        stream = self._temporary(name).open("w+b")
        self._open[name] = stream
        return stream

    def _temporary(self, name: str) -> Path:
        return self._folder / f".{name}.{self._mark}.part"

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the files their names, or remove them."""
        try:
            if error is None:
                self._commit()
        except OSError as fault:
            error = fault
        if error is None:
            return
        for name, stream in self._open.items():
            with suppress(OSError):
                stream.close()
            with suppress(OSError):
                self._temporary(name).unlink()
        if isinstance(error, OSError) and not isinstance(error, OutputError):
            msg = f"{self._folder}: {' and '.join(self._open)} cannot be written ({error.strerror or error})."
            hint = "Check the disk's space and the folder's permissions."
            raise OutputError(msg, hint=hint) from error

    def _commit(self) -> None:
        for stream in self._open.values():
            if not stream.closed:
                stream.flush()
                os.fsync(stream.fileno())
                stream.close()
        for name in self._open:
            self._temporary(name).replace(self._folder / name)
