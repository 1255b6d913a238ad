"""One program at a time: in an output folder, in a case's tables, at a trail."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from volstrat.errors import OutputError, UsageError
from volstrat.store.output import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import BaseFileLock

_WITHOUT_END = -1


def _lock(path: Path, *, wait: bool) -> BaseFileLock:
    """Return a lock that ends with its process, however that dies; a file of no content stays behind."""
    with warnings.catch_warnings():  # a system without native locks gets those of marker files
        warnings.simplefilter("ignore")
        from filelock import FileLock
    return FileLock(path, timeout=_WITHOUT_END if wait else 0)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Keep other programs that write tables in a case folder waiting, on this machine or over the network.

    A folder that cannot be written into is an `OutputError`.
    """
    if not path.is_dir():
        msg = f"{path.name}: cannot be opened (there is no such folder)."
        raise OutputError(msg, hint="Check the case folder.")
    with locked_file(path / ".lesions.lock", f"{path.name}: cannot be locked", "Check the case folder."):
        yield


@contextmanager
def locked_file(path: Path, problem: str, hint: str) -> Iterator[None]:
    """Wait for a lock and hold it; ``problem`` and ``hint`` are the `OutputError`'s where that cannot be.

    The lock's file has a name that begins with a dot, or lies in a state folder.
    """
    lock = _lock(path, wait=True)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or "its file system knows no locks"
        msg = f"{problem} ({why})."
        raise OutputError(msg, hint=hint) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Hold an output folder for this process; the lock ends with the process, however that dies.

    Another process that holds it is a `UsageError`, a folder that cannot be written an `OutputError`.
    """
    import socket

    state = out / STATE_FOLDER
    holder = state / "lock-holder"
    lock = _lock(state / "lock", wait=False)
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except TimeoutError as error:
        msg = f"{out}: another run is going on in this folder ({_text(holder) or 'another process'})."
        raise UsageError(msg, hint="Wait until it is done, or name another folder with -o.") from error
    except NotImplementedError as error:
        msg = f"{out}: its file system knows no locks."
        raise OutputError(msg, hint="Name a folder on another disk with -o.") from error
    except OSError as error:
        msg = f"{out}: cannot be written ({error.strerror})."
        raise OutputError(msg, hint="Name another folder with -o, or check its permissions.") from error
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same, it only does not say whose it is
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:200]
    except (OSError, ValueError):
        return ""
