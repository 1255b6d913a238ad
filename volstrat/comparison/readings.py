"""What is compared: cases, folders of cases, cohort outputs, manifests or bare masks, by subject."""

from __future__ import annotations

import os
import string
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.case.discovery import (
    CASE_FILE,
    holds_case,
    iter_case_folders,
    subject_of,
)
from volstrat.case.lesion_table import read_bytes
from volstrat.case.place import CasePlace
from volstrat.case.protocol_files import LoadedProtocol, load_protocol, parse_protocol
from volstrat.case.record import parse_record, record_name
from volstrat.case.toml_file import read_toml
from volstrat.cohort.run_file import read_run_file, removed_subjects
from volstrat.cohort.source import FoundCase, find_cases
from volstrat.cohort.subject_folders import BASIS
from volstrat.comparison.decisions import (
    TABLE,
    Decision,
    HeldAgreement,
    read_decisions,
    read_held_agreement,
)
from volstrat.comparison.reading_types import ADJUDICATION, COMPARISON, ReadingSet, SubjectReading
from volstrat.dicom.grouping import is_one_subject
from volstrat.errors import CaseError, ProtocolError, UsageError, VolstratError
from volstrat.formats.volumes import volume_format
from volstrat.formats.walk import relative_name
from volstrat.store.output import STATE_FOLDER
from volstrat.study.study_file import is_study_file, read_study

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.case.record_types import AdjudicationRecord
    from volstrat.comparison.agreement_types import ReadingKind

FEWEST_READINGS = 2
_RECORD = "case.json"


def open_readings(
    paths: Sequence[Path], *, protocol: LoadedProtocol | None = None, lesions: Sequence[str | None] = ()
) -> tuple[ReadingSet, ...]:
    """Find the subjects of each reading.

    Readings that are one case each are readings of one subject, whatever their folders are called, unless
    two ``case.toml`` name different subjects.

    Parameters
    ----------
    paths : sequence of Path
        A case folder; a folder of cases at any depth; the output of ``volstrat batch`` or ``volstrat case``;
        a manifest; a mask file; or a folder of mask files, each called like its subject.
    protocol : LoadedProtocol or None
        For all but cohort outputs, which have their own; the packaged one by default.
    lesions : sequence of str
        Lesion table to use instead of the cases' own: none, one for all, or one a reading.

    Raises
    ------
    UsageError
        If there are fewer than two readings, or one is empty.
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
    return tuple(_named(_of_one_subject(found)))


def _named(readings: Sequence[ReadingSet]) -> list[ReadingSet]:
    """Say whose reading each is."""
    names = [_reader(reading) for reading in readings]
    if len(set(names)) < len(names) and len({r.path.resolve() for r in readings}) == len(readings):
        common = os.path.commonpath([r.path.resolve().parent for r in readings])
        names = [relative_name(r.path.resolve(), Path(common)) for r in readings]
    return [replace(reading, reader=name) for reading, name in zip(readings, names, strict=True)]


def _reader(reading: ReadingSet) -> str:
    run = read_run_file(reading.path) if reading.kind == "cohort_output" else None
    return reading.lesions or (run or {}).get("lesions") or reading.label


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
        kind, subjects = "manifest", _from_cases(path, lesions)
    elif is_study_file(path):
        protocol = read_study(path).load_protocol(None) if read_study(path).protocol else protocol
        kind, subjects = "study", _from_cases(path, lesions)
    else:
        kind, subjects = "masks", [_bare_mask(path)]
    by_subject: dict[str, SubjectReading] = {}
    twice = set()
    for reading in subjects:
        if reading.subject in by_subject:
            twice.add(reading.subject)
        by_subject[reading.subject] = reading
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
        lesions=lesions,
        protocol=protocol,
        subjects=by_subject,
    )


def _label(path: Path) -> str:
    return path.resolve().name or "reading"


def _folder(path: Path, lesions: str | None) -> tuple[ReadingKind, list[SubjectReading]]:
    if holds_case(path):
        return "case", [_one_case(path, lesions)]
    records = list(_records(path))
    if records:
        return "records", records
    masks = [p for p in sorted(path.iterdir()) if p.is_file() and volume_format(p) is not None]
    if masks:
        return "masks", [_bare_mask(mask) for mask in masks]
    if not _has_case_below(path) and is_one_subject(path):
        return "case", [_one_case(path, lesions)]
    return "cases", _from_cases(path, lesions)


def _one_case(path: Path, lesions: str | None) -> SubjectReading:
    case = CasePlace(folder=path, subject=subject_of(path))
    return SubjectReading(subject=case.name, case=case, lesions=lesions)


def _has_case_below(path: Path) -> bool:
    """Tell whether a folder below is a case by its file names, or several folders below are cases."""
    found = list(iter_case_folders(path))
    return any(holds_case(folder) for folder in found)


def _from_cases(source: Path, lesions: str | None) -> list[SubjectReading]:
    return [
        SubjectReading(subject=found.subject, case=found.case, lesions=lesions)
        for found in find_cases(source, source / STATE_FOLDER, shard=None, lesions=lesions)
    ]


def _bare_mask(path: Path) -> SubjectReading:
    """Return a mask file as a case that has nothing but a tumour mask."""
    subject = path.name
    for ending in (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"):
        if subject.lower().endswith(ending):
            subject = subject[: -len(ending)]
            break
    sources = CaseSources(
        folder=path.parent,
        subject=subject,
        entries={"tumour": (RoleEntry(path=path),)},
        told_by="manifest",
    )
    case = CasePlace(folder=path.parent, subject=subject, sources=sources)
    return SubjectReading(subject=subject, case=case)


def _records(out: Path) -> Iterator[SubjectReading]:
    """Yield what the subjects' folders of an output hold: records without a way to their files."""
    paths = [out / _RECORD] if (out / _RECORD).is_file() else sorted(out.glob(f"*/{_RECORD}"))
    for path in paths:
        try:
            record = parse_record(path.read_bytes(), name=f"{path.parent.name}/{path.name}")
        except OSError as error:
            msg = f"{path.parent.name}/{path.name}: cannot be read ({error.strerror})."
            yield SubjectReading(subject=path.parent.name, case=None, problem=UsageError(msg))
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
        found: dict[str, SubjectReading] = {}
        for part in run["merged"]:
            part_run = read_run_file(Path(part))
            found.update({} if part_run is None else cohort_cases(Path(part), part_run))
        return found
    root = run.get("input_root")
    if not root or not Path(root).exists():
        return {}
    return cases_below(Path(root), out, lesions=run.get("lesions"))


def cases_below(root: Path, out: Path, *, lesions: str | None) -> dict[str, SubjectReading]:
    """Return the cases of a folder or manifest by subject; a name that comes twice is left out."""
    found: dict[str, SubjectReading] = {}
    twice = set()
    for one in find_cases(root, out, shard=None, lesions=lesions):
        if one.subject in found:
            twice.add(one.subject)
        found[one.subject] = SubjectReading(subject=one.subject, case=one.case, lesions=lesions)
    return {subject: reading for subject, reading in found.items() if subject not in twice}


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


def _of_one_subject(readings: Sequence[ReadingSet]) -> list[ReadingSet]:
    """Give the readings one subject where each is a single case or mask."""
    single = all(
        len(r.subjects) == 1 and (r.kind == "case" or (r.kind == "masks" and len(r.subjects) == 1))
        for r in readings
    )
    names = [next(iter(r.subjects)) for r in readings]
    if not single or len(set(names)) == 1:
        return list(readings)
    stated = {_stated_subject(next(iter(r.subjects.values()))) for r in readings} - {None}
    if len(stated) > 1:
        return list(readings)
    common = stated.pop() if stated else names[0]
    assert common is not None
    renamed = []
    for r in readings:
        (reading,) = r.subjects.values()
        called = None if reading.subject == common else reading.subject
        case = None if reading.case is None else replace(reading.case, subject=common)
        reading = replace(reading, subject=common, case=case, called=called)
        renamed.append(replace(r, subjects={common: reading}))
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

    Raises
    ------
    UsageError
        If what it rests on is not there any more, or no longer decides.
    """
    held = read_held_agreement(out)
    table = next((out / name for name in BASIS[1:] if (out / name).is_file()), out / BASIS[1])
    decisions = read_decisions(table, held)
    readings = {reading.name: reading for reading in readings_of_run(run)}
    return list(decided_cases(held, decisions, readings, run["concordant"]))


def readings_of_run(run: Mapping[str, Any]) -> Sequence[ReadingSet]:
    """Open the readings again that a comparison, or what was adjudicated on it, names.

    Raises
    ------
    VolstratError
    """
    places = run["readings"]
    return open_readings(
        [Path(place["path"]) for place in places],
        protocol=protocol_of_run(run),
        lesions=[place["lesions"] for place in places],
    )


def decided_cases(
    held: HeldAgreement,
    decisions: Mapping[str, Decision],
    readings: Mapping[str, ReadingSet],
    concordant: str,
) -> Iterator[FoundCase]:
    """Yield each subject as the reading that stands has it, with why it stands.

    Raises
    ------
    UsageError
        If the files of a reading, or the adjudicator's table, are not there.
    """
    for name, _ in held.subjects():
        decision = decisions.get(name)
        adjudication: AdjudicationRecord = {
            "stands": concordant,
            "adjudicator": None,
            "reason": f"The readings are not in dispute; reading {concordant} stands where they are not.",
            "decided_at": None,
            "agreement_sha256": held.sha256,
        }
        if decision is not None:
            adjudication = {
                "stands": decision.stands,
                "adjudicator": decision.adjudicator,
                "reason": decision.reason,
                "decided_at": decision.decided_at,
                "agreement_sha256": held.sha256,
            }
        if decision is not None and decision.stands == TABLE:
            place = _with_own_table(name, readings[next(iter(readings))], decision.adjudicator)
        else:
            reading = readings[adjudication["stands"]]
            place = _place(name, reading)
        yield FoundCase(location=name, case=replace(place, adjudication=adjudication))


def _place(name: str, reading: ReadingSet) -> CasePlace:
    """Return the case of a reading, with the lesion table that the reading used."""
    found = _found(name, reading)
    place = found.case
    assert place is not None
    lesions = found.lesions
    if lesions is None or place.sources is not None or place.names_table:
        return place
    return place.with_table(place.folder / (lesions if "." in lesions else f"lesions.{lesions}.csv"))


def _found(name: str, reading: ReadingSet) -> SubjectReading:
    found = reading.subjects.get(name)
    if found is None or found.case is None:
        msg = f"{name}: the files behind reading {reading.name} ({reading.reader}) are not there."
        raise UsageError(msg, hint="Put the input folder back, or let another reading stand.")
    return found


def _with_own_table(name: str, reading: ReadingSet, adjudicator: str) -> CasePlace:
    """Return the first reading's case with the adjudicator's marks.

    They stand in ``lesions.<adjudicator>.csv`` of its folder; where that is not there and the adjudicator is
    a reader of the study, where the study says.
    """
    place = _found(name, reading).case
    assert place is not None
    folder = place.folder
    if place.sources is not None and "tumour" in place.sources.entries:
        folder = place.sources.entries["tumour"][0].path.parent
    table = folder / f"lesions.{adjudicator}.csv"
    source = Path((read_run_file(reading.path) or {}).get("input_root") or reading.path)
    if not table.is_file() and is_study_file(source) and adjudicator in read_study(source).readers:
        cases = find_cases(source, reading.path, shard=None, lesions=adjudicator)
        return next(case.case for case in cases if case.subject == name)
    if not table.is_file():
        msg = f"{name}: stands is {TABLE!r}, but {table.name} is not in reading {reading.name}'s case folder."
        raise UsageError(msg, hint=f"Mark the case with volstrat review CASE --reader {adjudicator}.")
    return place.with_table(table)
