"""Versions of installed packages, from the metadata beside them.

`importlib.metadata` gives the same and is asked where a package is not found here (in an archive, or an
egg), but importing it brings in the email package, which takes longer than measuring a small case.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

_SUFFIX = ".dist-info"


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None where it is not installed or does not say.

    Letter case and ``-``, ``_``, ``.`` in its name make no difference.
    """
    for folder in sys.path:
        path = _metadata_by_name(folder or ".").get(_normalised(distribution))
        if path is not None:
            return _version_in(path)
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _metadata_by_name(folder: str) -> dict[str, Path]:
    """Return the metadata files in a folder of the import path by normalised name."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - iterdir makes a Path of each of several hundred
    except OSError:
        return {}
    return {
        _normalised(name.removesuffix(_SUFFIX).rpartition("-")[0]): Path(folder, name, "METADATA")
        for name in names
        if name.endswith(_SUFFIX)
    }


def _version_in(path: Path) -> str | None:
    """Return the Version field of a metadata file's header."""
    try:
        header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    except (OSError, ValueError):
        return None
    found = re.search(r"^Version:[ \t]*(\S+)[ \t]*$", header, re.MULTILINE | re.IGNORECASE)
    return None if found is None else found[1]
