"""Seal a finished output: one manifest of hashes, which common tools check and sign.

``sha256sum -c SHA256SUMS`` checks it; ``ssh-keygen -Y sign -n volstrat -f KEY SHA256SUMS`` signs it.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.errors import CorruptDataError, InputFileError, UsageError
from volstrat.formats.hashing import sha256_of
from volstrat.store.audit import read_trail
from volstrat.store.disk_map import DiskMap
from volstrat.store.output import STATE_FOLDER, read_object, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
LOCKED, UNLOCKED = "locked", "unlocked"
"""Events of the trail."""

_RUN, _TRAIL, _RECEIPT = "run.json", "audit.jsonl", ".receipt.json"
STATE_FILE = "seal.json"
SEALED_BY = (MANIFEST, _TRAIL, _RUN, f"{STATE_FOLDER}/{STATE_FILE}")
"""What says that an output is sealed."""
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escape: character for character, escape in _ESCAPES.items()}


def sealed_by(out: Path) -> tuple[str, ...]:
    """Return what says that an output is sealed: the manifest, its trail, ``run.json``, the state folder.

    Each says so by itself, so that taking one or some of them away opens nothing.
    """
    says = (
        (out / MANIFEST).is_file(),
        _trail_says(out / _TRAIL),
        bool((read_object(out / _RUN) or {}).get("locked")),
        bool((read_object(out / STATE_FOLDER / STATE_FILE) or {}).get("locked")),
    )
    return tuple(name for name, sealed in zip(SEALED_BY, says, strict=True) if sealed)


def is_sealed(out: Path) -> bool:
    """Tell whether an output has been sealed, and not been opened since."""
    return bool(sealed_by(out))


def note_state(out: Path, *, locked: bool) -> None:
    """Keep in the state folder whether an output is sealed."""
    write_atomically(out / STATE_FOLDER / STATE_FILE, (json.dumps({"locked": locked}) + "\n").encode())


def _trail_says(path: Path) -> bool:
    """Tell whether a trail's last word on it is that the output was sealed."""
    locked = False
    with suppress(InputFileError):
        for entry in read_trail(path):
            if entry is not None and entry["event"] in (LOCKED, UNLOCKED):
                locked = entry["event"] == LOCKED
    return locked


def refuse_sealed(out: Path) -> None:
    """Refuse (`UsageError`) to write into a sealed output, or into a folder that lies in one.

    An output whose ``run.json`` and trail are both gone while its records are there is refused too: it may
    have been sealed.
    """
    sealed = out if is_sealed(out) else next(_sealed_above(out), None) or next(_sealed_by_links(out), None)
    if sealed is not None:
        said = sealed_by(sealed)
        signs = ", ".join(said)
        msg = f"{sealed}: has been sealed with volstrat lock ({signs}); nothing may be written into it."
        if MANIFEST not in said:
            msg += f" {MANIFEST} is gone; volstrat verify says what else is not as it was."
        raise UsageError(msg, hint="Name another folder with -o, or volstrat unlock it with a reason.")
    orphans = not (out / _RUN).exists() and not (out / _TRAIL).exists()
    if orphans and next(out.glob(f"*/{_RECEIPT}"), None) is not None:
        msg = f"{out}: holds records of a run whose {_RUN} and {_TRAIL} are gone; it may have been sealed."
        raise UsageError(msg, hint="Put them back from where they are kept, or name another folder with -o.")


def refuse_run(out: Path) -> None:
    """Refuse to write a single record into the output of a run, or into one that is sealed."""
    refuse_sealed(out)
    if (out / _RUN).exists():
        msg = f"{out}: holds the results of a run, whose trail would know nothing of another record."
        raise UsageError(msg, hint="Name another folder with -o, or run the batch again.")


def _sealed_above(path: Path) -> Iterator[Path]:
    """Yield the sealed outputs that a path lies in, wherever its links lead."""
    return (folder for folder in path.resolve().parents if (folder / _RUN).is_file() and is_sealed(folder))


def _sealed_by_links(out: Path) -> Iterator[Path]:
    """Yield the sealed outputs that a link in an output leads into: a subject's folder, the trail."""
    with suppress(OSError), os.scandir(out) as there:
        for entry in there:
            if entry.is_symlink():
                target = (out / entry.name).resolve()
                yield from (one for one in (target, *_sealed_above(target)) if is_sealed(one))


def write_manifest(out: Path) -> int:
    """Write the manifest of everything in an output but itself, its signature and the state folder.

    Returns how many files it names; an `OutputError` says that it cannot be written.
    """
    lines = [_line(sha256_of(out / name), name) for name in sorted(_names(out))]
    write_atomically(out / MANIFEST, "".join(lines).encode("utf-8", "surrogateescape"))
    return len(lines)


def check_manifest(out: Path) -> list[tuple[str, str, str | None, str | None]]:
    """Compare a sealed output with its manifest: path, kind, old hash and new hash of each difference.

    The kind is "missing", "extra" or "altered". A manifest that cannot be read is altered itself.
    """
    if not (out / MANIFEST).is_file():
        return [(MANIFEST, "missing", None, None)]
    sealed: DiskMap[str] = DiskMap()
    try:
        for name, sha256 in _read_manifest(out):
            sealed[name] = sha256
    except CorruptDataError:
        return [(MANIFEST, "altered", None, None)]
    faults: list[tuple[str, str, str | None, str | None]] = []
    there: DiskMap[None] = DiskMap()
    for name in _names(out):
        there[name] = None
    for name, sha256 in sealed.items():
        if name not in there:
            faults.append((name, "missing", sha256, None))
        elif (now := _sha256_now(out / name)) != sha256:
            faults.append((name, "altered", sha256, now))
    return faults + [(name, "extra", None, _sha256_now(out / name)) for name in there if name not in sealed]


def _sha256_now(path: Path) -> str | None:
    """Hash a file; None where it cannot be read, a link to nowhere for instance."""
    try:
        return sha256_of(path)
    except OSError:
        return None


def _names(out: Path) -> Iterator[str]:
    """Yield the files of an output, relative to it."""
    for parent, folders, names in os.walk(out):
        below = Path(parent).relative_to(out)
        if parent == str(out):
            folders[:] = [name for name in folders if name != STATE_FOLDER]
        for name in names:
            path = (below / name).as_posix()
            if path not in {MANIFEST, SIGNATURE}:
                yield path


def _line(sha256: str, name: str) -> str:
    """Return a line as sha256sum writes it: names with a backslash or line break are escaped and marked."""
    escaped = "".join(_ESCAPES.get(c, c) for c in name)
    return f"{'' if escaped == name else chr(92)}{sha256}  {escaped}\n"


def _read_manifest(out: Path) -> Iterator[tuple[str, str]]:
    with (out / MANIFEST).open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for number, whole in enumerate(lines, start=1):
            line = whole.removesuffix("\n")
            sha256, gap, name = line.removeprefix("\\").partition("  ")
            if not gap or len(sha256) != 64:
                msg = f"{MANIFEST}, line {number}: is no line of a manifest."
                raise CorruptDataError(msg)
            if line.startswith("\\"):
                name = re.sub(r"\\[\\nr]", lambda pair: _UNESCAPES[pair[0]], name)
            yield name, sha256
