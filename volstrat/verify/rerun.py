"""Run an output's cases again, or hash their inputs, and compare subject by subject."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.fingerprint import take_fingerprint
from volstrat.case.input_files import file_sha256
from volstrat.case.record import environment
from volstrat.cohort import parse_shard, run_cohort
from volstrat.cohort.run_file import (
    ADJUDICATION,
    BASIS,
    DERIVED_FILES,
    TRAIL,
    entries_of_changes,
    is_damaged,
    read_run_file,
)
from volstrat.cohort.source import find_cases
from volstrat.comparison.final_cohort import build_final
from volstrat.comparison.readings import final_again
from volstrat.errors import DuplicateSubjectError, UsageError, VolstratError
from volstrat.store.disk_map import DiskMap
from volstrat.verify.agreements import changed_readings, read_agreement
from volstrat.verify.input_hashes import changes_of, readable_inputs
from volstrat.verify.result_folder import FileFault, Records, read_records
from volstrat.verify.steps import (
    Difference,
    SubjectDifferences,
    changed,
    environment_differences,
    in_order,
    input_changed,
    record_differences,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from volstrat.case.entries import EntryReader
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord
    from volstrat.cohort import Progress
    from volstrat.cohort.source import FoundCase

_NOT_NAMED = "a file that the record does not name (case.toml, an image, a file beside)"


def _roots(
    out: Path, run: Mapping[str, Any] | None, inputs: Path | None
) -> list[tuple[Path, dict[str, Any]]]:
    """Return where the cases lie, each with the shard and lesion tables that the run took."""
    if inputs is None and run is None:
        why = "run.json cannot be read" if is_damaged(out) else "there is no run.json"
        msg = f"Nothing says where the cases of these records lie: {why}."
        raise UsageError(msg, hint="Name the folder of the cases with --inputs.")
    said = run or {}
    if inputs is None and said.get("merged"):
        parts = {Path(part): read_run_file(Path(part)) for part in said["merged"]}
        lost = [part.name for part, part_run in parts.items() if part_run is None]
        if lost:
            msg = f"The outputs that were merged are not there any more ({', '.join(lost)})."
            raise UsageError(msg, hint="Name the folder of all cases with --inputs.")
        return [root for part_run in parts.values() for root in _roots(out, part_run, None)]
    if inputs is None and said.get("event") == ADJUDICATION:
        msg = "A final cohort was merged; which readings stand in it is known there alone."
        raise UsageError(msg, hint="Verify each of the outputs that were merged by itself.")
    root = inputs or Path(said.get("input_root") or "")
    if inputs is not None and not inputs.exists():
        msg = f"{inputs}: there is no such folder or manifest."
        raise UsageError(msg)
    if inputs is None and not (said.get("input_root") and root.exists()):
        msg = f"The input folder of the run ({root.name or 'not named'}) is not there any more."
        raise UsageError(msg, hint="Name it with --inputs.")
    shard = parse_shard(said["shard"]) if said.get("shard") else None
    return [(root, {"shard": shard, "lesions": said.get("lesions")})]


def _final_cases(
    out: Path, run: Mapping[str, Any], protocol: LoadedProtocol
) -> tuple[list[SubjectDifferences], list[FoundCase] | None]:
    """Return what a final cohort rests on that has changed, and its cases as they would be taken now."""
    agreement = read_agreement(out)
    differing = [] if agreement is None else list(changed_readings(run, agreement, protocol))
    try:
        return differing, final_again(out, run)
    except VolstratError as error:
        return differing or [input_changed("all", "decisions", "readable", str(error))], None


def by_rerun(
    out: Path,
    run: Mapping[str, Any] | None,
    records: Records,
    inputs: Path | None,
    protocol: LoadedProtocol,
    *,
    workers: int | None,
    on_progress: Callable[[Progress], None],
) -> tuple[list[SubjectDifferences], list[FileFault]]:
    """Run all cases into a folder that is thrown away, and compare record by record, then the tables.

    A final cohort is built by the agreement and the decisions that it holds.
    """
    differing: list[SubjectDifferences] = []
    with tempfile.TemporaryDirectory(prefix="volstrat-verify-") as scratch:
        if run is not None and run.get("event") == ADJUDICATION:
            differing, found = _final_cases(out, run, protocol)
            if found is None:
                return differing, []
            cases, folders = _Cases(out, [], found), [Path(scratch) / "final"]
            kept = {name: (out / name).read_bytes() for name in BASIS if (out / name).is_file()}
            build_final(folders[0], found, protocol, kept, {}, workers=workers, on_progress=on_progress)
        else:
            roots = _roots(out, run, inputs)
            cases, folders = _Cases(out, roots), [Path(scratch) / str(n) for n in range(len(roots))]
            for again, (root, how) in zip(folders, roots, strict=True):
                run_cohort(root, again, protocol, workers=workers, on_progress=on_progress, **how)
        made = [read_records(again, None) for again in folders]
        differing += _compared(records, made, cases, protocol, whole=run is not None)
        tables = _compared_tables(out, folders[0], run) if run is not None and len(folders) == 1 else []
        return differing, tables


def _compared_tables(out: Path, again: Path, run: Mapping[str, Any]) -> list[FileFault]:
    faults = []
    changes = any(entries_of_changes(out / TRAIL))
    for name in DERIVED_FILES:
        if name == "index.html" and changes:  # it tells of changes that a rerun has not seen
            continue
        if name in (run.get("files") or {}) and (out / name).is_file() and (again / name).is_file():
            old, new = file_sha256(out / name), file_sha256(again / name)
            if old != new and old == run["files"][name]:
                message = f"{name} does not come out again, though every record does."
                faults.append(FileFault(path=name, kind="altered", message=message, old=old, new=new))
    return faults


class _Cases:
    """The cases below the inputs, looked for where one is needed; they are held on disk."""

    def __init__(
        self, out: Path, roots: Sequence[tuple[Path, dict[str, Any]]], given: Iterable[FoundCase] = ()
    ) -> None:
        self._out, self._roots, self._given = out, roots, given

    @cached_property
    def all(self) -> DiskMap[tuple[FoundCase, str | None]]:
        """Each subject's case, and the lesion table that its run used."""
        there: DiskMap[tuple[FoundCase, str | None]] = DiskMap()
        there.update({case.subject: (case, None) for case in self._given})
        for root, how in self._roots:
            for case in find_cases(root, self._out, **how):
                there[case.subject] = (case, how["lesions"])
        return there

    def open(self, subject: str, protocol: LoadedProtocol) -> EntryReader:
        """Return a reader of the files that play a subject's roles."""
        case, lesions = self.all[subject]
        return case.case.open(lesions=lesions, naming=protocol.protocol.naming)


def _compared(
    records: Records,
    made: Sequence[Records],
    cases: _Cases,
    protocol: LoadedProtocol,
    *,
    whole: bool,
) -> Iterator[SubjectDifferences]:
    """Compare record by record; single cases (not ``whole``) were run on purpose, and others not.

    ``made`` are the outputs in which the new records stand.
    """

    def new_of(subject: str) -> Records | None:
        return next((one for one in reversed(made) if subject in one.folders), None)

    def inputs_sha256(subject: str) -> str | None:
        new = new_of(subject)
        return None if new is None else new.inputs_sha256(subject)

    gone = [subject for subject in records.folders if new_of(subject) is None]
    come = {subject for one in made for subject in one.folders if subject not in records.folders}
    yield from _moved(gone, sorted(come) if whole else [], records, inputs_sha256)
    for subject in records.folders:
        new = new_of(subject)
        if new is None:
            continue
        if new.data(subject) != records.data(subject):
            old, record = records.record(subject), new.record(subject)
            in_both = sum(subject in one.folders for one in made) > 1
            if in_both and old["error"] is not None and old["error"]["code"] == DuplicateSubjectError.code:
                continue  # a subject of two outputs that were merged: no case of it stands
            if record["error"] is not None and old["error"] is None:  # it names no inputs: those still read
                with suppress(VolstratError):
                    record["inputs"] = list(readable_inputs(cases.open(subject, protocol)))
            unnamed = Difference(step="count", what="bytes of the record", old=None, new=None)
            yield in_order(subject, record_differences(old, record) or [unnamed])
            continue
        hashes = [one.inputs_sha256(subject) for one in (records, new)]
        if hashes[0] != hashes[1] and None not in hashes:
            yield input_changed(subject, _NOT_NAMED, *hashes)


def _moved(
    gone: Sequence[str], come: Sequence[str], records: Records, inputs_sha256: Callable[[str], str | None]
) -> Iterator[SubjectDifferences]:
    """Name subjects without a case, cases without a record, and subjects that were renamed, once each."""
    by_inputs: dict[str, list[str]] = {}
    for subject in come if gone else ():
        by_inputs.setdefault(inputs_sha256(subject) or "", []).append(subject)
    renamed = set()
    for subject in gone:
        same = by_inputs.get(records.inputs_sha256(subject) or "-", [])
        if len(same) == 1 and same[0] not in renamed:
            renamed.add(same[0])
            yield input_changed(subject, "subject (same files)", subject, same[0])
        else:
            yield input_changed(subject, "case", "recorded", None)
    for subject in come:
        if subject not in renamed:
            yield input_changed(subject, "case", None, "found among the inputs, without a record")


def by_hashes(
    out: Path,
    run: Mapping[str, Any] | None,
    records: Records,
    inputs: Path | None,
    protocol: LoadedProtocol,
) -> Iterator[SubjectDifferences]:
    """Compare hashes and versions; nothing is measured."""
    if run is not None and run.get("event") == ADJUDICATION:
        differing, final = _final_cases(out, run, protocol)
        yield from differing
        if final is None:
            return
        cases = _Cases(out, [], final)
    else:
        cases = _Cases(out, _roots(out, run, inputs))

    def inputs_sha256(subject: str) -> str | None:
        with suppress(VolstratError):
            return take_fingerprint(cases.open(subject, protocol).sources).sha256
        return None

    gone = [subject for subject in records.folders if subject not in cases.all]
    come = [] if run is None else [subject for subject in cases.all if subject not in records.folders]
    yield from _moved(gone, come, records, inputs_sha256)
    for subject in records.folders:
        if subject not in cases.all:
            continue
        record = records.record(subject)
        named = record["environment"]["libraries"]  # what took part in the record
        here = environment(also=list(named))
        here["libraries"] = {name: here["libraries"][name] for name in here["libraries"] if name in named}
        of_protocol = [("protocol.sha256", record["protocol"]["sha256"], protocol.sha256)]
        found = [
            *_hash_differences(subject, cases, record, records.inputs_sha256(subject), protocol),
            *changed("protocol", of_protocol),
            *environment_differences(record["environment"], here),
        ]
        if found:
            yield in_order(subject, found)


def _hash_differences(
    subject: str,
    cases: _Cases,
    record: CaseRecord,
    before: str | None,
    protocol: LoadedProtocol,
) -> Iterator[Difference]:
    """Yield the inputs of a case that do not hash as they did; ``before`` is the hash over all of them."""
    try:
        case = cases.open(subject, protocol)
        fingerprint = take_fingerprint(case.sources)
    except VolstratError as error:
        if record["error"] is None:
            yield Difference(step="input_bytes", what="inputs", old="readable", new=str(error))
        return
    found = [one for recorded in record["inputs"] for one in changes_of(recorded, case, fingerprint)]
    yield from found
    if before and not found:
        yield from changed("input_bytes", [(_NOT_NAMED, before, fingerprint.sha256)])
