"""Walk a folder and open its files.

Links are followed, no folder is entered twice, what systems leave behind is passed over. A pipe would be
waited for, and a device never ends: neither is opened.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator


SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "#recycle"}
)
"""Folders that archivers, network drives and Windows leave in a tree, in lower case."""


def is_system_name(name: str) -> bool:
    """Tell a folder or file that a system left, or a hidden one: never a case, never an input.

    >>> is_system_name("__MACOSX"), is_system_name("._tumour.nii.gz"), is_system_name("S001")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def relative_name(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with ``/`` on every system; whole where it is on another drive.

    >>> relative_name(Path("study/P01/../ct"), Path("study/P01"))
    '../ct'
    """
    try:
        return os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:  # Windows has no way from one drive to another
        return path.as_posix()


DEEPEST = 100
"""Folders in one another that are looked into: more are no tree that a person made."""


def walk(folder: Path | str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder with the names of its folders and files, as `os.walk` does from the top.

    Links are followed, no folder comes twice, and none that lies more than `DEEPEST` below the first: what
    `os.walk` makes of a deep tree depends on the stack. The caller may take names out of the folders.
    """
    seen: set[tuple[int, int] | str] = set()
    waiting = [(os.fspath(folder), 0)]
    while waiting:
        here, depth = waiting.pop()
        folders: list[str] = []
        names: list[str] = []
        try:
            status = os.stat(here)  # noqa: PTH116 - thousands of folders: no Path for each
            own = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(here)
            if own in seen:
                continue
            seen.add(own)
            with os.scandir(here) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else names).append(entry.name)
        except OSError:
            continue
        folders.sort()
        yield here, folders, names
        if depth < DEEPEST:
            waiting += [(os.path.join(here, name), depth + 1) for name in reversed(folders)]  # noqa: PTH118


def files_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield every folder that holds files, with their sorted names."""
    for parent, folders, names in walk(folder):
        folders[:] = sorted(name for name in folders if not is_system_name(name))
        there = sorted(
            name
            for name in names
            if not (is_system_name(name) or _is_special(os.path.join(parent, name)))  # noqa: PTH118
        )
        if there:
            yield Path(parent), there


def _is_special(path: str) -> bool:
    """Tell pipes, sockets and devices, which a reader could wait for without end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - thousands of files: no Path for each
    except OSError:
        return False  # a link to nothing, say: opening it gives the error
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_regular(path: Path, named: str = "") -> io.FileIO:
    """Open a regular file for reading bytes; ``named`` is what messages say behind its name.

    One that is absent, cannot be opened, or is a pipe, device or folder (unopened) is an InputFileError.
    """
    name = f"{path.name}{named}"
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            msg = f"{name}: is a directory; a file was expected."
            raise InputFileError(msg)
        if not stat.S_ISREG(mode):
            msg = f"{name}: is not a regular file."
            raise InputFileError(msg)
        return io.FileIO(path)
    except FileNotFoundError as error:
        msg = f"{name}: there is no such file."
        raise InputFileError(msg, hint="Check the name, and the letters' case.") from error
    except InputFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{name}: cannot be opened ({reason})."
        raise InputFileError(msg) from error
