"""Goldens on disk: ``digests/SET/FILE.txt``, one line for each case (or column, or key) with a short digest.

A value that is as short as a digest stands there itself, so that strata can be read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.golden.cases import Found

DIGESTS = Path(__file__).with_name("digests")
_SHORT = 16

Stored = dict[str, dict[str, str]]
"""Of one set: digests by file and line."""


def digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a value's digest: what is short as it is, else the beginning of its SHA-256."""
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _SHORT else hashlib.sha256(text.encode()).hexdigest()[:10]


def digests(found: Found) -> Stored:
    """Return the digests of a set."""
    return {
        file: {line: digest(value) for line, value in sorted(lines.items())} for file, lines in found.items()
    }


def read(name: str, folder: Path = DIGESTS) -> Stored:
    """Return a set as stored."""
    return {
        path.stem: dict(line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
        for path in sorted((folder / name).glob("*.txt"))
    }


def write(name: str, stored: Stored, folder: Path = DIGESTS) -> None:
    """Store a set in place of the one that is there."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for path in (folder / name).glob("*.txt"):
        if path.stem not in stored:
            path.unlink()
    for file, lines in stored.items():
        text = "".join(f"{line}\t{value}\n" for line, value in sorted(lines.items()))
        (folder / name / f"{file}.txt").write_text(text, encoding="utf-8")


def without(stored: Stored, lines: Collection[str]) -> Stored:
    """Leave lines out: those of cases that cannot be made here."""
    kept = {file: {k: v for k, v in found.items() if k not in lines} for file, found in stored.items()}
    return {file: found for file, found in kept.items() if found}


def only(stored: Stored, lines: Collection[str]) -> Stored:
    """Keep these lines alone."""
    kept = {file: {k: v for k, v in found.items() if k in lines} for file, found in stored.items()}
    return {file: found for file, found in kept.items() if found}


def differences(now: Stored, before: Stored) -> list[str]:
    """Name every line that is new, left over, or another one."""
    told = []
    for file in sorted({*now, *before}):
        new, old = now.get(file, {}), before.get(file, {})
        for line in sorted({*new, *old}):
            if line not in old:
                told.append(f"{file} of {line}: has no golden")
            elif line not in new:
                told.append(f"{file} of {line}: a golden of nothing")
            elif new[line] != old[line]:
                told.append(f"{file} of {line}: was {old[line]}, is {new[line]}")
    return told
