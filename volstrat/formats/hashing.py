"""The hash of a file's bytes, and of several files whatever their names and order."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from volstrat.formats.walk import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def sha256_of(path: Path) -> str:
    """Hash a file's bytes, in pieces; what is no regular file is an InputFileError."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def joint_sha256(paths: Iterable[Path]) -> str:
    """Hash one file's bytes, or of several the sorted hashes of each: order and names do not matter."""
    return joined_sha256(sha256_of(path) for path in paths)


def joined_sha256(hashes: Iterable[str]) -> str:
    """Return what `joint_sha256` gives of files with these hashes."""
    digests = sorted(hashes)
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
