"""Several files written piece by piece, which get their names together at the end or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from volstrat.errors import OutputError

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class StagedFiles:
    """Files of a folder under temporary names; a context manager that renames them when its block ends well.

    What cannot be written is an `OutputError` (as which any OSError raised inside the block is taken);
    nothing half-written stays behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = secrets.token_hex(4)
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
