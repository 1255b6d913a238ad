"""Notice that a case's files change while it is being reviewed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.formats.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.case.case_file import CaseSources

State = dict[Path, tuple[int, int, int]]
"""Size, time of change and inode of each file."""

_NOT_INPUT = ("lesions", "reviews")


class InputWatch:
    """Remembers a case's input files as the file system sees them, but for tables that are marked in."""

    def __init__(self, sources: CaseSources) -> None:
        self._paths = [
            entry.path
            for role, entries in sources.entries.items()
            if role not in _NOT_INPUT
            for entry in entries
        ]
        if sources.told_by == "case.toml":
            self._paths.append(sources.folder / "case.toml")
        self._before = self._state()

    def changed(self) -> str:
        """Return the name of a file that was changed, added or removed; "" where there is none."""
        now = self._state()
        for path in sorted(self._before.keys() | now.keys()):
            if self._before.get(path) != now.get(path):
                return path.name
        return ""

    def _state(self) -> State:
        return {path: seen for top in self._paths for path, seen in _seen_below(top)}


def _seen_below(top: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    paths = [top]
    if top.is_dir():
        paths = [Path(here, name) for here, _, names in walk(top) for name in names]
    for path in paths:
        try:
            seen = path.stat()
        except OSError:
            continue
        yield path, (seen.st_size, seen.st_mtime_ns, seen.st_ino)
