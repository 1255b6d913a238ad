"""What lies in a case and plays no part: listed, and a review where its name is nearly one that is read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.case.input_files import read_with
from volstrat.formats.volumes import stem_of, volume_format
from volstrat.formats.walk import is_system_name
from volstrat.terms.findings import finding
from volstrat.terms.naming import plain_words, said_by
from volstrat.terms.protocol import NAMING
from volstrat.terms.roles import MASK_ROLES, ROLE_OF_STEM
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.terms.findings import Finding

_CASE_FILE = "case.toml"
_OWN = r"(?i)lesions\.[^.]+\.csv|reviews\.csv|lesions\.csv\.lock"
"""Readers' tables and their history, and the table of closed reviews."""
_READERS = r"(?i)lesions\.(?!history\.)[^.]+\.csv"
_TABLE = (
    r"(?i)lesions?(?![a-z]).*\.(?:csv|tsv|xlsx|xlsm|xls|ods|numbers|txt)(?:\.txt)?"
    r"|lesions.*\.(?:xlsx|ods|tsv|csv\.txt)|lesions?(?:\.csv)?(?:\.bak|~)?"
)
_CASE_TOML = r"(?i)case(?![a-z]).*\.(?:toml|tml)(?:\.\w+)?|case\.(?:toml\.\w+|txt)"
_VERSION = (
    r"(?i)(?:[ _.-]*(?:v(?:er(?:sion)?)?[ _.-]?\d+|\(\d+\)|\d+|copy|kopia|kopie|copie|final|new|ny|nytt|old|"
    r"gammal|edit(?:ed)?|corr(?:ected)?|rev\w*|fixed|draft|utkast|mask|seg|segmentation|label|roi|s))+"
)
"""What people put behind a name: versions, copies, what it is."""
_CONVERTED = (
    *(".mgz", ".mgh", ".mnc", ".stl", ".obj", ".vtk", ".vti", ".ply", ".mrb", ".zip", ".7z", ".nii.zip"),
)
_IMAGE_DATA = (".img", ".img.gz", ".raw", ".zraw")
_ALIKE = 0.85
_LISTED = 12
_SAYING = {
    "resectable": "what can (or cannot) be resected",
    "fdg_avid": "FDG-avid disease (or what is not avid)",
    "tumour": "tumour",
}
_STEMS = {stem: role for stem, role in ROLE_OF_STEM.items() if role in MASK_ROLES or role == "pet"}


def unread_findings(sources: CaseSources) -> list[Finding]:
    """Return what to say of the files and folders of a case that no role names.

    Nothing where a manifest or a study file names the case: its folder is not the case's own.
    """
    findings = []
    rest = []
    chosen = sources.told_by == "case.toml"  # there a person chose the files
    for path in unread_files(sources):
        name, near, role = path.name, nearly_read(path), called_by_role(path)
        if near is not None and not (chosen and name.lower() == "lesions.csv"):
            expected, do = near
            said = finding("files_unread", "nearly", where=name, name=name, expected=expected, do=do)
        elif near is not None:
            said = finding("files_unread", "unnamed", where=name, name=name)
        elif role and not chosen:
            said = finding("files_unread", "called", where=name, name=name, role=role)
        else:
            rest.append(path)
            continue
        findings.append(replace(said, severity="review"))
    unheard = _unheard_tables(sources)
    if unheard:
        names = shown_names([path.name for path in unheard])
        reader = unheard[0].name[len("lesions.") : -len(".csv")]
        said = finding("files_unread", "readers", where="lesions", names=names, reader=reader)
        findings.append(replace(said, severity="review"))
    if rest and sources.told_by != "dicom":  # there `files_skipped` counts them
        names = shown_names([path.name + ("/" if path.is_dir() else "") for path in rest], named=_LISTED)
        findings.append(finding("files_unread", "list", names=names))
    return findings


def _unheard_tables(sources: CaseSources) -> list[Path]:
    """Return the tables of readers in a case's folder where no lesion table is read at all."""
    there = [] if "lesions" in sources.entries else _children(sources)
    return [path for path in there if re.fullmatch(_READERS, path.name)]


def _children(sources: CaseSources) -> list[Path]:
    """Return what lies in a case's own folder, sorted by name; nothing where it has none."""
    try:
        return sorted(sources.folder.iterdir()) if sources.told_by in ("names", "dicom", "case.toml") else []
    except OSError:
        return []


def unread_files(sources: CaseSources) -> list[Path]:
    """Return the files and folders directly in a case's folder that play no part, sorted by name."""
    there = _children(sources)
    if not there:
        return []
    used = {
        path
        for entries in sources.entries.values()
        for entry in entries
        for path in (entry.path, *read_with(entry.path))
    }
    held = {parent for path in used for parent in path.parents}
    chosen_table = "lesions" in sources.entries
    return [
        path
        for path in there
        if path not in used
        and path not in held
        and not (is_system_name(path.name) or path.name.startswith("~$"))
        and path.name.lower() != _CASE_FILE
        and not re.fullmatch(_OWN, path.name)
        and not (chosen_table and path.name.lower() == "lesions.csv")
        and not (sources.told_by == "dicom" and path.is_dir())
    ]


def called_by_role(path: Path) -> str:
    """Return what a mask that no role names may be by its name, in words; "" where the name says nothing.

    >>> from pathlib import Path
    >>> called_by_role(Path("case/bone_mets.nii.gz")), called_by_role(Path("case/spleen.nii.gz"))
    ('tumour', '')
    """
    if volume_format(path) is None or path.is_dir():
        return ""
    words = stem_of(path)
    if plain_words(words).startswith("ablat"):
        return "what can be ablated (which the lesion table says: ablatable)"
    said = said_by(words, (), NAMING)
    roles = [role for role in _SAYING if role in (*said.roles, *said.denied, *said.doubted)]
    return _SAYING[roles[0]] if roles else ""


def nearly_read(path: Path) -> tuple[str, str] | None:
    """Return the name that a file's name nearly is, and what to do; None where it is near to none.

    >>> from pathlib import Path
    >>> nearly_read(Path("case/lesions.xlsx"))[0], nearly_read(Path("case/resectable_v2.nii.gz"))[0]
    ('lesions.csv', 'resectable.nii.gz')
    >>> nearly_read(Path("case/notes.docx")) is None
    True
    """
    name = path.name
    if re.fullmatch(_CASE_TOML, name):
        return _CASE_FILE, f"Rename it {_CASE_FILE}, or remove it."
    if re.fullmatch(_TABLE, name):
        return "lesions.csv", "Save the table as lesions.csv, or move it out of the case."
    lower = name.lower()
    ending = next((one for one in sorted(_CONVERTED, key=len, reverse=True) if lower.endswith(one)), "")
    if ending:
        bare = lower[: -len(ending)]
        stem = bare if bare in _STEMS else _near_stem(bare)
        return (f"{stem}.nii.gz", f"Convert it to NIfTI and name it {stem}.nii.gz.") if stem else None
    if lower.endswith(_IMAGE_DATA):
        return None
    own = stem_of(path)
    if own == name:
        return None
    stem = None if own.lower() in _STEMS else _near_stem(own.lower())  # case.toml leaves that out on purpose
    expected = f"{stem}{name[len(own) :]}"
    return (expected, f"Rename it {expected}, or move it out of the case.") if stem else None


def _near_stem(stem: str) -> str | None:
    """Return the stem of a mask or PET that a stem is, but for a version, separators or a slip of the pen."""
    for known in sorted(_STEMS, key=len, reverse=True):
        if stem.startswith(known) and re.fullmatch(_VERSION, stem[len(known) :]):
            return known
    from difflib import SequenceMatcher

    plain = re.sub(r"[ _.-]", "", stem)
    denied = said_by(stem, (), NAMING).denied
    for known, role in _STEMS.items():
        bare = known.replace("_", "")
        if role in denied:  # "unresectable" is no slip of the pen
            continue
        if len(bare) > 4 and SequenceMatcher(None, plain, bare).ratio() >= _ALIKE:
            return known
    return None
