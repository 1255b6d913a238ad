"""What is compared: cases, folders of cases, cohort outputs, manifests or bare masks, by subject."""

from __future__ import annotations

import hashlib
import json
import os
import string
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.case.discovery import CASE_FILE, CasePlace, holds_case, iter_case_folders, subject_of
from volstrat.case.fingerprint import take_fingerprint
from volstrat.case.json_types import record_bytes
from volstrat.case.lesion_table import read_bytes
from volstrat.case.protocol_files import LoadedProtocol, load_protocol, parse_protocol
from volstrat.case.record import parse_record, record_name
from volstrat.case.toml_file import read_toml
from volstrat.cohort.run_file import (
    ADJUDICATION,
    BASIS,
    COMPARISON,
    read_run_file,
    removed_subjects,
)
from volstrat.cohort.source import FoundCase, find_cases
from volstrat.comparison.decisions import decided_cases, read_decisions, read_held_agreement
from volstrat.dicom.grouping import is_one_subject
from volstrat.errors import CaseError, ProtocolError, UsageError, VolstratError
from volstrat.formats.volumes import stem_of, volume_format
from volstrat.formats.walk import relative_name
from volstrat.frozen import FrozenDict
from volstrat.store.output import STATE_FOLDER
from volstrat.study.study_file import is_study_file, read_study

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from volstrat.case.entries import EntryReader
    from volstrat.case.record_types import CaseRecord
    from volstrat.comparison.agreement_types import ReadingKind

FEWEST_READINGS = 2
_RECORD = "case.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectReading:
    """One subject (and visit) as one reading has it.

    ``case`` is None where only a record is known; ``lesions`` is a lesion table to use instead of the case's
    own, ``record`` what a cohort output has on the subject, ``problem`` why there is nothing to read, and
    ``called`` what this reading calls the subject where that is something else.
    """

    subject: str
    case: CasePlace | None
    lesions: str | None = None
    record: CaseRecord | None = None
    problem: VolstratError | None = None
    called: str | None = None

    @property
    def names(self) -> tuple[str, str | None]:
        """What the subject and its visit are called."""
        if self.case is not None:
            return self.case.subject, self.case.visit
        return (self.subject, None) if self.record is None else (self.record["subject"], self.record["visit"])

    def open(self, protocol: LoadedProtocol) -> EntryReader:
        """Return a reader of the files that play its roles."""
        if self.problem is not None:
            raise self.problem
        if self.case is None:
            msg = f"{self.subject}: the files that its record was made from are not there."
            raise UsageError(msg, hint="Compare the case folders instead, or put the input folder back.")
        return self.case.open(lesions=self.lesions, naming=protocol.protocol.naming)

    def sha256(self, protocol: LoadedProtocol, opened: EntryReader | None = None) -> str:
        """Return the hash of all that the reading holds of the subject: its inputs, and its record.

        Inputs that cannot be read count by what is wrong with them. ``opened`` is what `open` returned.
        """
        inputs: str | None = None
        if self.case is not None or self.problem is not None:
            try:
                inputs = take_fingerprint((opened or self.open(protocol)).sources).sha256
            except VolstratError as error:
                inputs = error.code
        record = None if self.record is None else hashlib.sha256(record_bytes(self.record)).hexdigest()
        return hashlib.sha256(json.dumps([inputs, record]).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSet:
    """One reading, A, B, C, ..., of any number of subjects.

    ``label`` is the last part of its path; ``reader`` whose reading it is: the lesion table that was named
    (``lesions``), else as much of its path as tells it apart. Where an output does not say by which protocol
    it was made, ``protocol_known`` is false and records alone are compared.
    """

    name: str
    label: str
    reader: str = ""
    kind: ReadingKind
    path: Path
    lesions: str | None = None
    protocol: LoadedProtocol
    subjects: Mapping[str, SubjectReading]
    protocol_known: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", FrozenDict(self.subjects))


def open_readings(
    paths: Sequence[Path], *, protocol: LoadedProtocol | None = None, lesions: Sequence[str | None] = ()
) -> tuple[ReadingSet, ...]:
    """Find the subjects of each reading.

    Readings that are one case each are readings of one subject, whatever their folders are called, unless two
    ``case.toml`` name different subjects. Fewer than two readings, or an empty one, are a `UsageError`.

    Parameters
    ----------
    paths : sequence of Path
        A case folder; a folder of cases at any depth; the output of ``volstrat batch`` or ``volstrat case``;
        a manifest; a mask file; or a folder of mask files, each called like its subject.
    protocol : LoadedProtocol or None
        For all but cohort outputs, which have their own; the packaged one by default.
    lesions : sequence of str
        Lesion table to use instead of the cases' own: none, one for all, or one a reading.
    """
    if len(paths) < FEWEST_READINGS:
        msg = f"A comparison needs at least {FEWEST_READINGS} readings; there is {len(paths)}."
        raise UsageError(msg, hint="Name a second reading of the same subjects.")
    if len(paths) > len(string.ascii_uppercase):
        msg = f"{len(paths)} readings are more than the {len(string.ascii_uppercase)} that can be compared."
        raise UsageError(msg)
    if len(lesions) > 1 and len(lesions) != len(paths):
        msg = f"There are {len(paths)} readings and {len(lesions)} lesion tables (--lesions)."
        raise UsageError(msg, hint="Give --lesions once for all readings, or once for each, in their order.")
    tables: list[str | None] = [*lesions] * len(paths) if len(lesions) == 1 else [*lesions]
    tables = tables or [None] * len(paths)
    loaded = protocol or load_protocol(None)
    found = [
        _open(path, name, loaded, table)
        for path, name, table in zip(paths, string.ascii_uppercase, tables, strict=False)
    ]
    deaf = [r for r, table in zip(found, tables, strict=False) if table is not None and not _takes(r, table)]
    if deaf and (len(lesions) > 1 or len(deaf) == len(found)):
        names = ", ".join(dict.fromkeys(str(reading.path) for reading in deaf))
        msg = f"--lesions says nothing of {names}: a manifest or an output has its own, a mask has none."
        raise UsageError(msg, hint="Leave --lesions out, or name folders of cases or a study file.")
    return tuple(_named(_of_one_subject(found)))


def _takes(reading: ReadingSet, table: str) -> bool:
    """Tell whether a reading's marks are those of a table that was asked for."""
    run = read_run_file(reading.path) if reading.kind == "cohort_output" else None
    return reading.lesions is not None or (run or {}).get("lesions") == table


def _named(readings: Sequence[ReadingSet]) -> list[ReadingSet]:
    """Say whose reading each is."""
    names = []
    for reading in readings:
        run = read_run_file(reading.path) if reading.kind == "cohort_output" else None
        names.append(reading.lesions or (run or {}).get("lesions") or reading.label)
    if len(set(names)) < len(names) and len({r.path.resolve() for r in readings}) == len(readings):
        common = os.path.commonpath([r.path.resolve().parent for r in readings])
        names = [relative_name(r.path.resolve(), Path(common)) for r in readings]
    return [replace(reading, reader=name) for reading, name in zip(readings, names, strict=True)]


def _open(path: Path, name: str, protocol: LoadedProtocol, lesions: str | None) -> ReadingSet:
    if not path.exists():
        msg = f"{path}: no such file or folder."
        raise UsageError(msg)
    kind: ReadingKind
    if path.is_dir():
        run = read_run_file(path)
        if run is not None and run.get("event") == COMPARISON:
            msg = f"{path}: is an agreement of readings, no reading."
            raise UsageError(msg, hint="Name the readings themselves.")
        if run is not None:
            return _cohort_output(path, name, run, protocol)
        kind, subjects = _folder(path, lesions)
    elif path.suffix.lower() == ".csv":
        kind, subjects = "manifest", _from_cases(path, path / STATE_FOLDER, lesions)
    elif is_study_file(path):
        study = read_study(path)
        if study.protocol is not None:
            is_asked = protocol.sha256 != load_protocol(None).sha256
            protocol = study.load_protocol(protocol if is_asked else None)
        kind, subjects = "study", _from_cases(path, path / STATE_FOLDER, lesions)
    else:
        kind, subjects = "masks", [_bare_mask(path)]
    by_subject, twice = _by_subject(subjects)
    if not by_subject:
        msg = f"{path}: there is nothing in it to compare."
        raise UsageError(msg, hint="Name a case, a folder of cases or masks, or an output of volstrat batch.")
    for subject in twice:
        msg = f"{path.name}: two cases are called {subject!r}."
        by_subject[subject] = SubjectReading(subject=subject, case=None, problem=UsageError(msg))
    return ReadingSet(
        name=name,
        label=_label(path),
        kind=kind,
        path=path,
        lesions=lesions if kind in ("case", "cases", "study") else None,
        protocol=protocol,
        subjects=by_subject,
    )


def _by_subject(readings: Iterable[SubjectReading]) -> tuple[dict[str, SubjectReading], set[str]]:
    """Return readings by subject, and the subjects that come twice."""
    found: dict[str, SubjectReading] = {}
    twice = set()
    for reading in readings:
        if reading.subject in found:
            twice.add(reading.subject)
        found[reading.subject] = reading
    return found, twice


def _met_once(readings: Iterable[SubjectReading]) -> dict[str, SubjectReading]:
    found, twice = _by_subject(readings)
    return {subject: reading for subject, reading in found.items() if subject not in twice}


def _label(path: Path) -> str:
    return path.resolve().name or "reading"


def _folder(path: Path, lesions: str | None) -> tuple[ReadingKind, list[SubjectReading]]:
    is_case = holds_case(path)
    if not is_case:
        records = list(_records(path))
        if records:
            return "records", records
        masks = [p for p in sorted(path.iterdir()) if p.is_file() and volume_format(p) is not None]
        if masks:
            return "masks", [_bare_mask(mask) for mask in masks]
        # A folder of DICOM is one case unless a folder below is one by its file names.
        is_case = not any(holds_case(one) for one in iter_case_folders(path)) and is_one_subject(path)
    if is_case:
        case = CasePlace(folder=path, subject=subject_of(path))
        return "case", [SubjectReading(subject=case.name, case=case, lesions=lesions)]
    return "cases", _from_cases(path, path / STATE_FOLDER, lesions)


def _from_cases(source: Path, out: Path, lesions: str | None) -> list[SubjectReading]:
    return [
        SubjectReading(subject=found.subject, case=found.case, lesions=lesions)
        for found in find_cases(source, out, shard=None, lesions=lesions)
    ]


def _bare_mask(path: Path) -> SubjectReading:
    """Return a mask file as a case that has nothing but a tumour mask."""
    entries = {"tumour": (RoleEntry(path=path),)}
    subject = stem_of(path)
    sources = CaseSources(folder=path.parent, subject=subject, entries=entries, told_by="manifest")
    case = CasePlace(folder=path.parent, subject=subject, sources=sources)
    return SubjectReading(subject=subject, case=case)


def _records(out: Path) -> Iterator[SubjectReading]:
    """Yield what the subjects' folders of an output hold: records without a way to their files."""
    paths = [out / _RECORD] if (out / _RECORD).is_file() else sorted(out.glob(f"*/{_RECORD}"))
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        try:
            record = parse_record(path.read_bytes(), name=name)
        except OSError as error:
            problem = UsageError(f"{name}: cannot be read ({error.strerror}).")
            yield SubjectReading(subject=path.parent.name, case=None, problem=problem)
        except UsageError as error:
            yield SubjectReading(subject=path.parent.name, case=None, problem=error)
        else:
            yield SubjectReading(subject=record_name(record), case=None, record=record)


def cohort_cases(out: Path, run: Mapping[str, Any]) -> dict[str, SubjectReading]:
    """Return the cases that an output was made from, as far as its input root is still there.

    Those of a final cohort are the readings' that stand.
    """
    if run.get("event") == ADJUDICATION:
        try:
            decided = final_again(out, run)
        except VolstratError:  # `verify` says what is not there any more
            return {}
        return {one.subject: SubjectReading(subject=one.subject, case=one.case) for one in decided}
    if run.get("merged"):
        parts = ((Path(part), read_run_file(Path(part)) or {}) for part in run["merged"])
        return _met_once(one for part, of in parts for one in cohort_cases(part, of).values())
    root = run.get("input_root")
    if not root or not Path(root).exists():
        return {}
    return cases_below(Path(root), out, lesions=run.get("lesions"))


def cases_below(root: Path, out: Path, *, lesions: str | None) -> dict[str, SubjectReading]:
    """Return the cases of a folder or manifest by subject; a name that comes twice is left out."""
    return _met_once(_from_cases(root, out, lesions))


def _cohort_output(path: Path, name: str, run: Mapping[str, Any], protocol: LoadedProtocol) -> ReadingSet:
    in_run_file = run.get("protocol") or {}
    known = protocol_of_run(run)
    if run.get("finished_at") is None:
        msg = f"{path}: its run has not come to its end."
        raise UsageError(msg, hint="Run its batch again; what is done will be skipped.")
    cases = cohort_cases(path, run) if known is not None else {}
    subjects = {}
    gone = removed_subjects(path, run)
    for reading in _records(path):
        if reading.subject in gone:
            continue
        case = cases.get(reading.subject)
        subjects[reading.subject] = (
            reading if case is None else replace(case, record=reading.record, problem=reading.problem)
        )
    if not subjects:
        msg = f"{path}: its run has left no record."
        raise UsageError(msg, hint="Run its batch again.")
    shown = known or replace(protocol, sha256=str(in_run_file.get("sha256", "")))
    return ReadingSet(
        name=name,
        label=_label(path),
        kind="cohort_output",
        path=path,
        protocol=shown,
        subjects=subjects,
        protocol_known=known is not None,
    )


def protocol_of_run(run: Mapping[str, Any]) -> LoadedProtocol | None:
    """Return the protocol of a run by the text it kept, or the packaged one if that is it; else None."""
    in_run_file = run.get("protocol") or {}
    packaged = load_protocol(None)
    if in_run_file.get("sha256") == packaged.sha256:
        return packaged
    try:
        loaded = parse_protocol(str(in_run_file.get("text") or "").encode(), name="run.json")
    except ProtocolError:
        return None
    return loaded if loaded.sha256 == in_run_file.get("sha256") else None


def _of_one_subject(readings: Sequence[ReadingSet]) -> Sequence[ReadingSet]:
    """Give the readings one subject where each is a single case or mask."""
    if any(len(r.subjects) > 1 or r.kind not in ("case", "masks") for r in readings):
        return readings
    only = [next(iter(r.subjects.values())) for r in readings]
    stated = {_stated_subject(reading) for reading in only} - {None}
    if len({reading.subject for reading in only}) == 1 or len(stated) > 1:
        return readings
    common = next((subject for subject in stated if subject is not None), only[0].subject)
    renamed = []
    for r, reading in zip(readings, only, strict=True):
        called = None if reading.subject == common else reading.subject
        case = None if reading.case is None else replace(reading.case, subject=common)
        same = replace(reading, subject=common, case=case, called=called)
        renamed.append(replace(r, subjects={common: same}))
    return renamed


def _stated_subject(reading: SubjectReading) -> str | None:
    """Return the subject that a ``case.toml`` names outright."""
    if reading.case is None or reading.case.sources is not None:
        return None
    try:
        data = read_bytes(reading.case.folder / CASE_FILE)
        stated = read_toml(data, name=CASE_FILE, error=CaseError).get("subject")
    except VolstratError:
        return None
    return stated if isinstance(stated, str) else None


def final_again(out: Path, run: Mapping[str, Any]) -> list[FoundCase]:
    """Return the cases of a final cohort as they would be taken now, by what is kept in it.

    What it rests on and is not there any more, or no longer decides, is a `UsageError`.
    """
    held = read_held_agreement(out)
    table = next((out / name for name in BASIS[1:] if (out / name).is_file()), out / BASIS[1])
    decisions = read_decisions(table, held)
    readings = {reading.name: reading for reading in readings_of_run(run)}
    return list(decided_cases(held, decisions, readings, run["concordant"]))


def readings_of_run(run: Mapping[str, Any], protocol: LoadedProtocol | None = None) -> Sequence[ReadingSet]:
    """Open the readings again that a comparison, or what was adjudicated on it, names."""
    places = run["readings"]
    return open_readings(
        [Path(place["path"]) for place in places],
        protocol=protocol or protocol_of_run(run),
        lesions=[place["lesions"] for place in places],
    )
