"""Walk a folder: links are followed, no folder is entered twice, what systems leave behind is passed over."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

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


def files_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield every folder that holds files, with their sorted names."""
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
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
