"""``study.toml``: a cohort described once, so that a tree as others laid it gives strata without a script."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Any

from volstrat import __version__
from volstrat.case.case_file import role_entries
from volstrat.case.lesion_table import read_bytes
from volstrat.case.protocol_files import LoadedProtocol, load_protocol
from volstrat.case.toml_file import TomlTable, read_toml
from volstrat.errors import CaseError, UsageError
from volstrat.frozen import FrozenDict, frozen
from volstrat.study.patterns import PLACES, PathPattern
from volstrat.terms.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

STUDY_ENDING = ".toml"

_OF_A_CASE = ("plans", "chosen")


@frozen
class Study:
    """A study file as read; paths in it are relative to its own folder."""

    path: Path
    study_id: str
    protocol: Path | None  # the pinned protocol; None: the packaged one
    versions: str  # versions of the program that may write its results (PEP 440); "" for any
    subject: PathPattern  # what a subject's file or folder is called
    inputs: Mapping[str, Any]  # as in ``case.toml``, with ``{subject}`` and ``{visit}`` in paths
    readers: Mapping[str, PathPattern] = field(default_factory=dict)  # each reader's lesion tables

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", FrozenDict(self.inputs))
        object.__setattr__(self, "readers", FrozenDict(self.readers))

    @property
    def name(self) -> str:
        """The study file's name, for messages."""
        return self.path.name

    def load_protocol(self, given: LoadedProtocol | Path | None) -> LoadedProtocol:
        """Return the protocol that the study pins; one that is given besides must be the same.

        Raises UsageError if the pinned protocol is gone, or another one was given.
        """
        if self.protocol is not None and not self.protocol.exists():
            msg = f"{self.name}: its protocol, {self.protocol.name}, is not there."
            raise UsageError(msg, hint="Put the protocol back, or correct study.protocol.")
        pinned = load_protocol(self.protocol)
        if given is not None and _loaded(given).sha256 != pinned.sha256:
            named = f"{pinned.protocol.id} {pinned.protocol.version}"
            msg = f"{self.name}: pins the protocol {named}; --protocol names another."
            raise UsageError(msg, hint="Leave --protocol out, or change study.protocol.")
        return pinned

    def check_version(self) -> None:
        """Refuse to write with a version of the program that the study does not name."""
        if not self.versions:
            return
        from packaging.specifiers import SpecifierSet

        if not SpecifierSet(self.versions).contains(__version__, prereleases=True):
            msg = f"{self.name}: is for volstrat {self.versions}; this is {__version__} and writes nothing."
            raise UsageError(msg, hint="Install a version that the study names, or change study.volstrat.")

    def table_of(self, reader: str) -> PathPattern:
        """Return where a reader's lesion tables lie.

        Raises UsageError if the study knows no such reader.
        """
        if reader not in self.readers:
            known = ", ".join(self.readers) or "none"
            msg = f"{self.name}: has no reader {reader!r} (its readers: {known})."
            raise UsageError(msg, hint=f'Write [readers] {_bare(reader)} = {{ lesions = "PATH" }}.')
        return self.readers[reader]


def is_study_file(path: Path) -> bool:
    """Tell whether a path can be a study file: a file of that ending."""
    return path.suffix.lower() == STUDY_ENDING and not path.is_dir()


def refuse_other_version(source: Path) -> None:
    """Refuse to write of a study that is for other versions; of other sources nothing is asked."""
    if is_study_file(source):
        read_study(source).check_version()


def _loaded(given: LoadedProtocol | Path | None) -> LoadedProtocol:
    return given if isinstance(given, LoadedProtocol) else load_protocol(given)


def protocol_for(source: Path, given: LoadedProtocol | Path | None) -> LoadedProtocol:
    """Return the protocol for a folder, manifest or study file: a study's own, else the one given.

    Raises VolstratError if it cannot be read, or is not the one that the study pins.
    """
    return read_study(source).load_protocol(given) if is_study_file(source) else _loaded(given)


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises InputFileError if it cannot be read; UsageError if it is no TOML, or has an unknown key, a value of
    the wrong kind, or no subject pattern.
    """
    name = path.name
    document = read_toml(read_bytes(path), name=name, error=UsageError)
    _refuse_plans(document, name)
    whole = TomlTable(document, name, known=("study", "layout", "readers"), error=UsageError)
    study = _table(whole, "study", ("id", "protocol", "volstrat"))
    layout = _table(whole, "layout", ("subject", "inputs"))
    readers, protocol = _table(whole, "readers"), study.text("protocol")
    found = Study(
        path=path,
        study_id=study.text("id") or path.resolve().parent.name,
        protocol=path.parent / protocol if protocol else None,
        versions=_versions(study),
        subject=_subject_pattern(layout),
        inputs=_table(layout, "inputs", ROLES).values,
        readers={reader: _reader(readers, reader) for reader in readers.values},
    )
    _check_inputs(found)
    return found


def _refuse_plans(document: Mapping[str, Any], name: str) -> None:
    """Refuse plans by where they belong: at the top of the file and in its layout."""
    layout = document.get("layout")
    inputs = layout.get("inputs") if isinstance(layout, dict) else None
    for table in (document, layout, inputs):
        found = [key for key in _OF_A_CASE if isinstance(table, dict) and key in table]
        if found:
            msg = f"{name}: {found[0]!r} is no key of a study file; a surgical plan is of one patient."
            hint = "Write [[plans]] and chosen in the subject's case.toml; layout.subject names its folder."
            raise UsageError(msg, hint=hint)


def _table(above: TomlTable, key: str, known: Collection[str] | None = None) -> TomlTable:
    """Return a table in another; None: it may have any key."""
    value, path = above.values.get(key, {}), f"{above.path}{key}"
    if not isinstance(value, dict):
        above.refuse(f"{path} must be a table, [{path}].", f"Write [{path}] on a line of its own.")
    return TomlTable(value, above.name, f"{path}.", known=value if known is None else known, error=UsageError)


def _subject_pattern(layout: TomlTable) -> PathPattern:
    text = layout.text("subject")
    if not text:
        hint = 'Write [layout] subject = "{subject}", or a pattern of files with {subject} in it.'
        layout.refuse("layout.subject is missing; it says where the subjects lie.", hint)
    pattern = PathPattern(text=text, where=f"{layout.name}: layout.subject")
    if not pattern.has("subject"):
        hint = "Put {subject} where the subject's name stands in the path."
        layout.refuse(f"layout.subject is {text!r}; it has no {{subject}}.", hint)
    return pattern


def _versions(study: TomlTable) -> str:
    text = study.text("volstrat")
    if text:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            study.refuse(
                f"study.volstrat is {text!r}; that names no versions.", 'Write it like ">=0.2,<0.3".'
            )
    return text


def _reader(readers: TomlTable, reader: str) -> PathPattern:
    value = readers.values[reader]
    table = value if isinstance(value, dict) else {}
    path = table.get("lesions")
    if set(table) != {"lesions"} or not isinstance(path, str):
        hint = f'Write {_bare(reader)} = {{ lesions = "reads/{reader}/{{subject}}.csv" }}.'
        readers.refuse(f"readers.{reader} must name the reader's lesion tables.", hint)
    return PathPattern(text=path, where=f"{readers.name}: readers.{reader}.lesions")


def _bare(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"'


def _check_inputs(study: Study) -> None:
    """Refuse an entry that no subject could use, before any subject is looked for."""
    for role, value in study.inputs.items():
        try:
            role_entries(role, value, study.path.parent, study.name)
        except CaseError as error:
            message = re.sub(r"\binputs\.", "layout.inputs.", error.message, count=1)
            raise UsageError(message, hint=error.hint) from error
    for pattern in [*(p for _, p in entry_patterns(study)), *study.readers.values()]:
        missing = [place for place in PLACES if study.subject.has(place) and not pattern.has(place)]
        if missing:
            msg = f"{pattern.where} is {pattern.text!r}: without {{{missing[0]}}} it is one file for all."
            raise UsageError(msg, hint=f"Put {{{missing[0]}}} into the path.")
        if pattern.has("visit") and not study.subject.has("visit"):
            msg = f"{pattern.where} is {pattern.text!r}, but layout.subject has no {{visit}}."
            raise UsageError(msg, hint="Put {visit} into layout.subject too, or leave it out here.")


def entry_patterns(study: Study) -> Iterator[tuple[str, PathPattern]]:
    """Yield the pattern of each entry of the layout, with its role."""
    for role, value in study.inputs.items():
        for item in value if isinstance(value, list) else [value]:
            text = item["path"] if isinstance(item, dict) else item
            yield role, PathPattern(text=text, where=f"{study.name}: layout.inputs.{role}")
