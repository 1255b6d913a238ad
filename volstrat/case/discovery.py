"""Which folders are cases, what they are called, and which file plays which role without ``case.toml``."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.case_file import CaseSources, RoleEntry, case_name, parse_case_file
from volstrat.case.entries import EntryReader
from volstrat.case.lesion_table import read_bytes
from volstrat.case.reviews import REVIEWS
from volstrat.case.table_file import TABLE_ENDINGS
from volstrat.case.unread import nearly_read
from volstrat.dicom.grouping import is_one_subject, looks_like_dicom
from volstrat.errors import AmbiguousRoleError, InputFileError, MissingRoleError, VolstratError
from volstrat.formats.walk import DEEPEST, files_below, is_system_name, relative_name
from volstrat.frozen import FrozenDict, frozen
from volstrat.store.output import STATE_FOLDER
from volstrat.terms.protocol import Protocol
from volstrat.terms.roles import IMAGE_ROLES, ROLE_OF_STEM, TABLE_ROLES
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from volstrat.case.record_types import AdjudicationRecord
    from volstrat.dicom.library import DicomLibrary

CASE_FILE = "case.toml"
LESION_TABLES = tuple(f"lesions{ending}" for ending in TABLE_ENDINGS)
"""What a case's own table may be called; two of them are two candidates."""
_VOLUME_ENDINGS = (
    *(".seg.nrrd", ".seg.nhdr", ".nii.gz", ".nii", ".hdr.gz", ".hdr"),
    *(".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"),
)
_TRIED = 4


def role_of(path: Path) -> str | None:
    """Return the role that a file's or folder's name says, or None.

    A lesion table is a ``.csv`` or ``.xlsx``; images have a known ending; a folder may hold a CT or PET.
    """
    name = path.name.lower()
    if name in LESION_TABLES:
        return "lesions"
    for ending in _VOLUME_ENDINGS:
        if name.endswith(ending):
            role = ROLE_OF_STEM.get(name[: -len(ending)])
            return None if role in TABLE_ROLES else role
    role = ROLE_OF_STEM.get(name)
    return role if role in IMAGE_ROLES and path.is_dir() else None


def holds_case(folder: Path) -> bool:
    """Tell whether a folder is a case by ``case.toml`` or by a file whose name says its role."""
    with os.scandir(folder) as entries:
        return any(_tells_case(Path(e.path)) for e in entries)


def is_case_folder(folder: Path) -> bool:
    """Tell whether a folder is itself a case: what lies directly in it says so."""
    try:
        return holds_case(folder) or _is_dicom_case(folder, (), is_root=True)
    except OSError:
        return False


def may_be_case(folder: Path) -> bool:
    """Tell whether anything in a folder may be a case: a role file, ``case.toml`` or DICOM, at any depth."""
    try:
        return holds_case(folder) or holds_case_files(folder)
    except OSError:  # unreadable: it fails by name
        return True


def holds_case_files(folder: Path) -> bool:
    """Tell whether a folder holds a role file or DICOM, at any depth."""
    return any(_tells_case(path) or looks_like_dicom(path) for path in _paths_below(folder))


def _paths_below(folder: Path) -> Iterator[Path]:
    return (parent / name for parent, names in files_below(folder) for name in names)


def _tells_case(path: Path) -> bool:
    return path.name.lower() == CASE_FILE or (role_of(path) is not None and not path.is_dir())


def _holds_role_folder(folder: Path) -> bool:
    """Tell whether a folder holds a ``ct`` or ``pet`` folder."""
    with os.scandir(folder) as entries:
        return any(e.is_dir() and role_of(Path(e.path)) is not None for e in entries)


def holds_dicom(folder: Path) -> bool:
    """Tell whether a folder itself holds DICOM files; a DICOMDIR is none."""
    names = sorted(p for p in folder.iterdir() if not is_system_name(p.name) and p.name.upper() != "DICOMDIR")
    return any(looks_like_dicom(path) for path in [p for p in names if p.is_file()][:_TRIED])


def open_case(
    folder: Path,
    *,
    lesions: str | None = None,
    naming: Mapping[str, Sequence[str]] | None = None,
    given: Mapping[str, tuple[RoleEntry, ...]] | None = None,
) -> EntryReader:
    """Settle which file plays which role in a case folder, and return what reads them.

    ``lesions`` names the lesion table to use instead of the case's own: a file, or ``R`` for
    ``lesions.R.csv``; ``naming`` are the protocol's globs on segments and ROIs in DICOM (None: the packaged
    protocol's); what a study file has ``given`` stands for these roles, whatever lies in the folder. Raises
    InputFileError if the folder or a file it needs cannot be read; CaseError if roles are missing, named
    twice or unknown.
    """
    if not folder.is_dir():
        msg = f"{folder.name}: is not a folder; a case is a folder."
        raise InputFileError(msg)
    sources = _parsed(folder) or _sources_by_name(folder, given=given or {})
    library = None
    if sources.told_by != "case.toml" and _may_hold_dicom(folder, sources):
        if not given and sources.entries.keys() <= {"lesions"}:
            _refuse_cohort(folder)
        sources, library = _with_dicom(sources, naming)
    if given:
        sources = sources.with_entries(given)
    if lesions is not None and "lesions" not in (given or {}):
        name = lesions if lesions.lower().endswith(TABLE_ENDINGS) else f"lesions.{lesions}.csv"
        sources = sources.with_entries({"lesions": (RoleEntry(path=folder / name),)})
    reviews = folder / REVIEWS
    if not given and "reviews" not in sources.entries and reviews.exists():
        sources = sources.with_entries({"reviews": (RoleEntry(path=reviews),)})
    if "tumour" not in sources.entries:
        raise _no_tumour(sources, library)
    reader = EntryReader(sources, library)
    return reader if naming is None else reader.with_naming(naming)


def _parsed(folder: Path) -> CaseSources | None:
    """Return what the folder's ``case.toml`` says; None where there is none."""
    case_file = _case_file(folder)
    if case_file is None:
        return None
    return parse_case_file(read_bytes(case_file), folder=folder, name=case_file.name)


def _case_file(folder: Path) -> Path | None:
    """Return the folder's ``case.toml``, in any case of letters, even where it is a link to nothing."""
    try:
        found = sorted(child for child in folder.iterdir() if child.name.lower() == CASE_FILE)
    except OSError as error:
        msg = f"{folder.name}: the folder cannot be read ({error.strerror})."
        raise InputFileError(msg, hint="Check its permissions.") from error
    if len(found) > 1:
        msg = f"{folder.name}: {len(found)} case files: {', '.join(path.name for path in found)}."
        raise AmbiguousRoleError(msg, hint="Keep one.")
    return found[0] if found else None


def subject_of(folder: Path) -> str:
    """Return what ``case.toml`` calls the subject, else the folder's name; never fails."""
    return _stated_subject(folder) or folder.resolve().name or "case"


def subjects_of(folders: Sequence[Path | str], root: Path) -> list[str]:
    """Name the cases of a tree: as ``case.toml`` says, else by folder, so that what tells them apart stays.

    Where folders share a name (``P01/baseline``, ``P02/baseline``), each is called by its path below ``root``
    without the parts that all have in common: P01, P02. Where most folders have a name of their own, that is
    the subject, and two of one name are one subject in two places.
    """
    named = [_stated_subject(Path(folder)) for folder in folders]
    plain = [folder for folder, stated in zip(folders, named, strict=True) if stated is None]
    leaves = [Path(folder).resolve().name or "case" for folder in plain]
    times = Counter(leaves)
    own = sum(times[leaf] == 1 for leaf in leaves)
    if len(times) < len(leaves) and 2 * own <= len(leaves):
        parts = [Path(folder).relative_to(root).parts for folder in plain]
        common = set.intersection(*(set(one) for one in parts))
        paths = ["/".join(part for part in one if part not in common) for one in parts]
        leaves = [name or leaf for name, leaf in zip(paths, leaves, strict=True)]
    found = iter(leaves)
    return [next(found) if stated is None else stated for stated in named]


def _stated_subject(folder: Path) -> str | None:
    """Return what ``case.toml`` calls the subject; None where there is none, or it cannot be read."""
    try:
        found = _parsed(folder)
    except VolstratError:
        return None
    return None if found is None else found.subject


def _may_hold_dicom(folder: Path, sources: CaseSources) -> bool:
    """Tell whether a folder has a subfolder, or a file that plays no role yet, that may be DICOM.

    A folder called ``ct`` or ``pet`` is looked into as well: masks may lie beside its images.
    """
    settled = {entry.path for entries in sources.entries.values() for entry in entries}
    for child in sorted(folder.iterdir()):
        if is_system_name(child.name):
            continue
        if child.is_dir():
            return True
        if child not in settled and (child.suffix.lower() == ".dcm" or looks_like_dicom(child)):
            return True
    return False


def _with_dicom(
    sources: CaseSources, naming: Mapping[str, Sequence[str]] | None
) -> tuple[CaseSources, DicomLibrary | None]:
    """Add the roles that DICOM plays, and return what was scanned for it; None where that is no DICOM."""
    from volstrat.case.dicom_roles import dicom_roles
    from volstrat.dicom.library import DicomLibrary

    library = DicomLibrary()
    patterns = Protocol().naming if naming is None else naming
    found = dicom_roles(sources.folder, library, patterns, settled=sources.entries)
    if not found:
        scan = library.folder(sources.folder)
        if "tumour" in sources.entries or not (scan.series or scan.segmentations or scan.structure_sets):
            return sources, None
    return replace(sources.with_entries(found), told_by="dicom"), library


def _sources_by_name(folder: Path, *, given: Collection[str] = ()) -> CaseSources:
    """Settle roles by file stems, but for those that a study gives."""
    found: dict[str, list[Path]] = {}
    for child in sorted(folder.iterdir()):
        role = role_of(child)
        if role is not None and role not in given:
            found.setdefault(role, []).append(child)
    for role, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(p.name for p in paths)
            msg = f"{folder.name}: {len(paths)} candidates for {role}: {names}."
            lines = " or ".join(f'{role} = "{path.name}"' for path in paths)
            raise AmbiguousRoleError(msg, hint=f"Keep one, or write case.toml with [inputs] {lines}.")
    entries = {role: (RoleEntry(path=paths[0]),) for role, paths in found.items()}
    return CaseSources(folder=folder, subject=folder.resolve().name, entries=entries)


def _refuse_cohort(folder: Path) -> None:
    """Refuse a folder of which nothing but DICOM at any depth would make a case, where cases lie below it."""
    names_case = (p for p in _paths_below(folder) if role_of(p) == "tumour" or p.name.lower() == CASE_FILE)
    below = {path.parent for path in names_case} - {folder}
    if below:
        names = shown_names(sorted(relative_name(one, folder) for one in below))
        msg = f"{folder.name}: no tumour mask; it is no case but holds some: {names}."
        hint = (
            "Name one of them, give this folder to volstrat batch, or write a case.toml that names its files."
        )
        raise MissingRoleError(msg, hint=hint)


def _no_tumour(sources: CaseSources, library: DicomLibrary | None) -> MissingRoleError:
    folder, name = sources.folder, sources.folder.name
    if sources.told_by == "case.toml":
        msg = f"{CASE_FILE}: names no tumour mask."
        return MissingRoleError(msg, hint='Write [inputs] tumour = "FILE".')
    if library is not None:
        from volstrat.case.dicom_roles import no_tumour

        return no_tumour(library.folder(folder), subject=name)
    if (folder / STATE_FOLDER).is_dir():
        msg = f"{name}: holds results that volstrat wrote; it is no case."
        return MissingRoleError(msg, hint="Name the folder of a case, not that of its results.")
    there = sorted(p.name for p in folder.iterdir())
    for path in (folder / one for one in there):
        near = nearly_read(path)
        if near is not None and near[0].startswith(("tumour", "tumor")):
            msg = f"{name}: no tumour mask; there is {path.name}, which is not read."
            return MissingRoleError(msg, hint=near[1])
    below = [one for one in there if (folder / one).is_dir() and is_case_folder(folder / one)]
    if below:
        msg = f"{name}: no tumour mask; it is no case but holds some: {shown_names(below)}."
        return MissingRoleError(msg, hint="Name one of them, or give this folder to volstrat batch.")
    msg = f"{name}: no tumour mask; there is {shown_names(there, named=12) or 'nothing'}."
    hint = 'Name it tumour.nii.gz (or .nrrd, .mha), or write case.toml with [inputs] tumour = "FILE".'
    return MissingRoleError(msg, hint=hint)


def iter_case_folders(root: Path, *, skip: Path | None = None) -> Iterator[Path]:
    """Yield case folders below ``root``, in sorted order, as the walk meets them.

    A case is the topmost folder that holds ``case.toml`` or a role file; of DICOM without either, the
    topmost below ``root`` whose files are tied together by study or frame of reference, or that holds a
    ``ct`` or ``pet`` folder. A lowest folder that holds nothing of this is yielded too, so that it fails by
    name instead of being passed over. ``root`` itself is a case only where files or folders directly in it
    say so. ``skip`` is a folder that is never walked (the output).
    """
    skipped = None if skip is None else skip.resolve()
    waiting: list[tuple[Iterator[Path], frozenset[Path]]] = [(iter([root]), frozenset())]
    while waiting:  # no recursion: trees can be deeper than the stack
        siblings, above = waiting[-1]
        folder = next(siblings, None)
        if folder is None:
            waiting.pop()
            continue
        real = folder.resolve()
        if real == skipped or real in above:  # the output, or a link that leads back up
            continue
        if (folder / STATE_FOLDER).is_dir():  # the output of another run
            continue
        try:
            below = _cases_not_here(folder, is_root=not above)
        except OSError:  # unreadable: a case of its own, which fails with the reason
            below = None
        if below is None or len(above) > DEEPEST:
            yield folder
        else:
            waiting.append((map(folder.joinpath, below), above | {real}))


def _cases_not_here(folder: Path, *, is_root: bool) -> list[str] | None:
    """Return the folders to look into where a folder is no case itself; None where it is one."""
    if holds_case(folder) and not (is_root and _tables_of_a_cohort(folder)):
        return None
    names = _folders_in(folder)
    return None if _is_dicom_case(folder, names, is_root=is_root) else names


def _folders_in(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; names alone, for there may be very many."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not is_system_name(path.name))


def role_files_in(folder: Path) -> list[Path]:
    """Return what makes a folder a case by name: ``case.toml`` and the role files directly in it."""
    return sorted(path for path in folder.iterdir() if _tells_case(path))


def _tables_of_a_cohort(root: Path) -> bool:
    """Tell whether a root holds nothing but lesion tables of its own, and cases below: then it is no case."""
    tables = all(role_of(path) == "lesions" for path in role_files_in(root))
    return tables and any(_role_files_below(root / name) for name in _folders_in(root))


def cases_below(root: Path) -> list[Path]:
    """Return the folders below ``root``, itself left out, that are cases by the names of their files."""
    found = [folder for name in _folders_in(root) for folder in iter_case_folders(root / name)]
    return [folder for folder in found if any(role_of(path) != "lesions" for path in role_files_in(folder))]


def _is_dicom_case(folder: Path, children: Sequence[str], *, is_root: bool) -> bool:
    """Tell whether a folder without role files is one case: a lowest one, or DICOM tied together."""
    if is_root:
        return _holds_role_folder(folder) or (holds_dicom(folder) and is_one_subject(folder))
    if not children:
        return True
    if _role_files_below(folder):
        return False
    return is_one_subject(folder) or _holds_role_folder(folder)


def _role_files_below(folder: Path) -> bool:
    """Tell whether any folder below holds ``case.toml`` or a role file."""
    return any(map(_tells_case, _paths_below(folder)))


_NOTHING: Mapping[str, tuple[RoleEntry, ...]] = FrozenDict()
"""Shared: a cohort has a place for each of its cases."""


@frozen
class CasePlace:
    """A case that a folder, a manifest or a study named."""

    folder: Path  # the case folder; the manifest's or the study file's where these name every file
    subject: str
    visit: str | None = None
    # which file plays which role, where a manifest or a study says so; None: the folder is looked into
    sources: CaseSources | None = None
    # what a study names of a case whose folder says the rest
    given: Mapping[str, tuple[RoleEntry, ...]] = field(default_factory=dict)
    problem: VolstratError | None = None  # why there is nothing to read
    # why this reading of the subject stands, where an adjudicator was asked
    adjudication: AdjudicationRecord | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", FrozenDict(self.given) if self.given else _NOTHING)

    def with_table(self, path: Path) -> CasePlace:
        """Return the case with another lesion table, whatever names its own."""
        table = (RoleEntry(path=path),)
        if self.sources is not None:
            return replace(self, sources=self.sources.with_entries({"lesions": table}))
        return replace(self, given={**self.given, "lesions": table})

    @property
    def name(self) -> str:
        """What no other case of a cohort is called."""
        return case_name(self.subject, self.visit)

    @property
    def names_table(self) -> bool:
        """Whether a study says where the case's lesion table lies."""
        if self.sources is not None and self.sources.told_by == "study":
            return "lesions" in self.sources.entries
        return "lesions" in self.given

    def open(
        self, *, lesions: str | None = None, naming: Mapping[str, Sequence[str]] | None = None
    ) -> EntryReader:
        """Settle which file plays which role, and return what reads them; arguments as of `open_case`.

        Raises VolstratError if the roles cannot be settled.
        """
        if self.problem is not None:
            raise self.problem
        if self.sources is not None:
            return EntryReader(self.sources).of_subject(self.subject, self.visit)
        found = open_case(self.folder, lesions=lesions, naming=naming, given=self.given)
        return found.of_subject(self.subject, self.visit)
