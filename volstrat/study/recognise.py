"""Which layout a tree has, and which subjects lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.discovery import holds_case, holds_dicom, iter_case_folders
from volstrat.formats.walk import files_below, is_system_name
from volstrat.study.layouts import LAYOUTS, Layout
from volstrat.study.patterns import Match, PathPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_LOOKED_AT = 60
"""How many names of a folder are looked at for a layout's marks."""
_LOOKED_BELOW = 20
"""How many folders of a tree are looked into for a layout of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A tree's layout.

    Parameters
    ----------
    layout : Layout
    ending : str
        Of its volumes.
    subject : PathPattern
    matches : tuple of Match
        Its subjects.
    by : str
        What it was known by.
    """

    layout: Layout
    ending: str
    subject: PathPattern
    matches: tuple[Match, ...]
    by: str

    def pattern(self, text: str) -> PathPattern:
        """Return a pattern of the layout with this tree's ending."""
        return PathPattern(text=text.replace("{ending}", self.ending), where="layout")


def recognise(tree: Path) -> Recognised | None:
    """Return the first layout that fits a tree and holds a subject; None where none does.

    A tree of which one folder has a program's layout is none of case folders: that folder is meant.
    """
    found = by_layout(tree)
    if found is None and not below_with_layout(tree):
        found = _case_folders(tree)
    return found


def below_with_layout(tree: Path) -> list[Path]:
    """Return the folders of a tree that have a program's layout themselves, of the first that there are."""
    try:
        children = sorted(child for child in tree.iterdir() if not is_system_name(child.name))
    except OSError:
        return []
    return [child for child in islice(children, _LOOKED_BELOW) if child.is_dir() and by_layout(child)]


def by_layout(tree: Path) -> Recognised | None:
    """Return the first layout of a program that fits a tree and holds a subject; None where none does."""
    for layout in LAYOUTS:
        for ending in ENDINGS if any("{ending}" in mark for mark in layout.marks) else ENDINGS[:1]:
            marks = [mark.replace("{ending}", ending) for mark in layout.marks]
            if all(_is_there(tree, mark) for mark in marks):
                pattern = PathPattern(text=layout.subject.replace("{ending}", ending), where="layout")
                matches = tuple(pattern.matches(tree))
                if len(matches) >= layout.least:
                    return Recognised(
                        layout=layout, ending=ending, subject=pattern, matches=matches, by=" and ".join(marks)
                    )
    return None


def _is_there(tree: Path, mark: str) -> bool:
    found = PathPattern(text=mark, where="layout").matches(tree, most=_LOOKED_AT)
    return next(found, None) is not None


def _case_folders(tree: Path) -> Recognised | None:
    """Return volstrat's own folders, or folders of DICOM, where every case lies equally deep."""
    folders = [folder for folder in iter_case_folders(tree) if folder != tree]
    folders = [folder for folder in folders if holds_case(folder) or _holds_dicom_below(folder)]
    text = _folder_pattern([folder.relative_to(tree).parts for folder in folders])
    if text is None:
        return None
    pattern = PathPattern(text=text, where="layout")
    named = any(holds_case(folder) for folder in islice(folders, _LOOKED_AT))
    layout = Layout(name="case folders" if named else "folders of DICOM", marks=(), subject=text, sources=())
    by = "role files or case.toml in each" if named else "DICOM in each"
    matches = tuple(match for match in pattern.matches(tree) if match.path.is_dir())
    return Recognised(layout=layout, ending="", subject=pattern, matches=matches, by=by)


def _holds_dicom_below(folder: Path) -> bool:
    """Tell whether a folder, or one below it, holds DICOM files: each series may have a folder of its own."""
    return any(holds_dicom(Path(parent)) for parent, _ in islice(files_below(folder), _LOOKED_AT))


def _folder_pattern(paths: Sequence[tuple[str, ...]]) -> str | None:
    """Return the pattern of folders that differ in one part (the subject) or two (subject and visit)."""
    if not paths or len({len(parts) for parts in paths}) != 1:
        return None
    columns = list(zip(*paths, strict=True))
    varying = [n for n, names in enumerate(columns) if len(set(names)) > 1] or [len(columns) - 1]
    if len(varying) > 2:
        return None
    parts = [names[0] for names in columns]
    first, last = varying[0], varying[-1]
    if first != last and len(set(columns[last])) == len(paths):  # sites, then subjects of their own names
        parts[first], parts[last] = "*", "{subject}"
    elif first != last:
        parts[first], parts[last] = "{subject}", "{visit}"
    else:
        parts[first] = "{subject}"
    return "/".join(parts)
