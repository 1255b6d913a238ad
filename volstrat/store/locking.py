"""One program at a time in an output folder."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from volstrat.errors import OutputError, UsageError
from volstrat.store.output import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TAKEN = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.EINVAL, errno.EBADF)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Keep other programs that write tables in a case folder waiting, where its file system knows locks.

    Raises
    ------
    OutputError
        If the folder cannot be opened.
    """
    try:
        folder = os.open(path, os.O_RDONLY)
    except OSError as error:
        msg = f"{path.name}: cannot be opened ({error.strerror})."
        raise OutputError(msg, hint="Check the case folder.") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:  # without locks, what was seen is compared all the same
            os.close(folder)
            msg = f"The case folder cannot be locked ({error.strerror})."
            raise OutputError(msg, hint="Check the disk; nothing was changed.") from error
    try:
        yield
    finally:
        os.close(folder)


@contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Hold an output folder for this process; the lock ends with the process, however that dies.

    Raises
    ------
    UsageError
        If another process holds it.
    OutputError
        If the folder cannot be made or written.
    """
    path = out / STATE_FOLDER / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        msg = f"{out}: cannot be written ({error.strerror})."
        raise OutputError(msg, hint="Name another folder with -o, or check its permissions.") from error
    try:
        _take(descriptor, out)
        with suppress(OSError):  # a full disk: the lock holds all the same, it only does not say whose it is
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _TAKEN:
            msg = f"{out}: its file system knows no locks ({error.strerror})."
            raise OutputError(msg, hint="Name a folder on another disk with -o.") from error
        holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
        msg = f"{out}: another run is going on in this folder ({holder})."
        raise UsageError(msg, hint="Wait until it is done, or name another folder with -o.") from error
