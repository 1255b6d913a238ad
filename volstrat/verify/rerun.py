"""Run an output's cases again, or hash their inputs, and compare subject by subject."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.fingerprint import take_fingerprint
from volstrat.case.input_files import file_sha256
from volstrat.case.lesion_table import HISTORY, history_beside
from volstrat.case.record import environment
from volstrat.cohort import parse_shard, run_cohort
from volstrat.cohort.changes import entries_of_changes
from volstrat.cohort.run_file import ADJUDICATION, BASIS, DERIVED_FILES, is_damaged, read_run_file
from volstrat.cohort.source import find_cases
from volstrat.comparison.final_cohort import build_final
from volstrat.comparison.readings import final_again
from volstrat.errors import UsageError, VolstratError
from volstrat.formats.hashing import sha256_of
from volstrat.store.disk_map import DiskMap
from volstrat.verify.agreements import changed_readings, read_agreement
from volstrat.verify.input_hashes import described_input, hash_now, readable_inputs
from volstrat.verify.result_folder import FileFault, Records, read_records
from volstrat.verify.steps import (
    STEPS,
    Difference,
    SubjectDifferences,
    environment_differences,
    input_differences,
    record_differences,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from volstrat.case.entries import EntryReader
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.cohort import Progress
    from volstrat.cohort.source import FoundCase


def _roots(
    out: Path, run: Mapping[str, Any] | None, inputs: Path | None
) -> list[tuple[Path, Mapping[str, Any]]]:
    """Return where the cases lie, with what the run that read them said.

    Raises
    ------
    UsageError
    """
    if inputs is not None:
        if not inputs.exists():
            msg = f"{inputs}: there is no such folder or manifest."
            raise UsageError(msg)
        return [(inputs, run or {})]
    if run is None:
        why = "run.json cannot be read" if is_damaged(out) else "there is no run.json"
        msg = f"Nothing says where the cases of these records lie: {why}."
        raise UsageError(msg, hint="Name the folder of the cases with --inputs.")
    if run.get("merged"):
        parts = [(Path(part), read_run_file(Path(part))) for part in run["merged"]]
        lost = [part.name for part, part_run in parts if part_run is None]
        if lost:
            msg = f"The outputs that were merged are not there any more ({', '.join(lost)})."
            raise UsageError(msg, hint="Name the folder of all cases with --inputs.")
        return [root for _, part_run in parts if part_run is not None for root in _roots(out, part_run, None)]
    root = Path(run.get("input_root") or "")
    if not run.get("input_root") or not root.exists():
        msg = f"The input folder of the run ({root.name or 'not named'}) is not there any more."
        raise UsageError(msg, hint="Name it with --inputs.")
    return [(root, run)]


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
    """Run all cases into a folder that is thrown away, and compare record by record, then the tables."""
    if run is not None and run.get("event") == ADJUDICATION:
        return _final_rerun(out, run, records, protocol, workers=workers, on_progress=on_progress)
    roots = _roots(out, run, inputs)
    made: list[Records] = []
    tables: list[FileFault] = []
    with tempfile.TemporaryDirectory(prefix="volstrat-verify-") as scratch:
        for n, (root, root_run) in enumerate(roots):
            again = Path(scratch) / str(n)
            shard = root_run.get("shard")
            run_cohort(
                root,
                again,
                protocol,
                lesions=root_run.get("lesions"),
                shard=parse_shard(shard) if shard else None,
                workers=workers,
                on_progress=on_progress,
            )
            made.append(read_records(again, None))
        if len(roots) == 1 and run is not None:
            tables = _compared_tables(out, Path(scratch) / "0", run)
        cases = _Cases(roots, out)
        differing = list(_compared(records, made, cases, protocol, whole=run is not None))
        return differing, tables


def _final_rerun(
    out: Path,
    run: Mapping[str, Any],
    records: Records,
    protocol: LoadedProtocol,
    *,
    workers: int | None,
    on_progress: Callable[[Progress], None],
) -> tuple[list[SubjectDifferences], list[FileFault]]:
    """Build a final cohort again by the agreement and the decisions that it holds, and compare."""
    agreement = read_agreement(out)
    if agreement is None:
        return [], []
    differing = list(changed_readings(run, agreement, protocol))
    try:
        found = final_again(out, run)
    except VolstratError as error:
        return differing or [_not_again(str(error))], []
    with tempfile.TemporaryDirectory(prefix="volstrat-verify-") as scratch:
        again = Path(scratch) / "final"
        kept = {name: (out / name).read_bytes() for name in BASIS if (out / name).is_file()}
        build_final(again, found, protocol, kept, {}, workers=workers, on_progress=on_progress)
        cases = _Cases([], out, found)
        differing += _compared(records, [read_records(again, None)], cases, protocol, whole=True)
        return differing, _compared_tables(out, again, run)


def _not_again(problem: str) -> SubjectDifferences:
    what = Difference(step="input_bytes", what="decisions", old="readable", new=problem)
    return SubjectDifferences(subject="all", differences=(what,))


def _compared_tables(out: Path, again: Path, run: Mapping[str, Any]) -> list[FileFault]:
    faults = []
    changed = any(entries_of_changes(out / "audit.jsonl"))
    for name in DERIVED_FILES:
        if name == "index.html" and changed:  # it tells of changes that a rerun has not seen
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
        self,
        roots: Sequence[tuple[Path, Mapping[str, Any]]],
        out: Path,
        found: Iterable[FoundCase] | None = None,
    ) -> None:
        self._roots, self._out = roots, out
        self._found: DiskMap[tuple[FoundCase, str | None]] | None = None
        if found is not None:
            self._found = DiskMap()
            self._found.update({case.subject: (case, None) for case in found})

    def all(self) -> DiskMap[tuple[FoundCase, str | None]]:
        """Return each subject's case, and the lesion table that its run used."""
        if self._found is None:
            self._found = DiskMap()
            for root, root_run in self._roots:
                shard = root_run.get("shard")
                lesions = root_run.get("lesions")
                part = parse_shard(shard) if shard else None
                for case in find_cases(root, self._out, shard=part, lesions=lesions):
                    self._found[case.subject] = (case, lesions)
        return self._found

    def open(self, subject: str, protocol: LoadedProtocol) -> EntryReader:
        """Return a reader of the files that play a subject's roles.

        Raises
        ------
        VolstratError
        """
        case, lesions = self.all()[subject]
        return case.case.open(lesions=lesions, naming=protocol.protocol.naming)


def _with_inputs(
    old: Mapping[str, Any], new: dict[str, Any], subject: str, cases: _Cases, protocol: LoadedProtocol
) -> dict[str, Any]:
    """Return a record that failed where it once did not, with the inputs that can still be read."""
    if new["error"] is None or old["error"] is not None:
        return new
    with suppress(VolstratError):
        return {**new, "inputs": list(readable_inputs(cases.open(subject, protocol)))}
    return new


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
        return None if new is None else new.receipt(subject).get("inputs_sha256")

    gone = [subject for subject in records.folders if new_of(subject) is None]
    come = [subject for one in made for subject in one.folders if subject not in records.folders]
    yield from _moved(gone, sorted(set(come)) if whole else [], records, inputs_sha256)
    for subject in records.folders:
        new = new_of(subject)
        if new is None:
            continue
        before, now = records.data(subject), new.data(subject)
        if now != before:
            old, record = records.record(subject), new.record(subject)
            found = record_differences(old, _with_inputs(old, record, subject, cases, protocol)) or [
                Difference(step="count", what="bytes of the record", old=None, new=None)
            ]
            yield SubjectDifferences(subject=subject, differences=tuple(found))
            continue
        hashes = [one.receipt(subject).get("inputs_sha256") for one in (records, new)]
        if hashes[0] != hashes[1] and None not in hashes:
            what = "a file that the record does not name (case.toml, an image, a file beside)"
            changed = Difference(step="input_bytes", what=what, old=hashes[0], new=hashes[1])
            yield SubjectDifferences(subject=subject, differences=(changed,))


def _moved(
    gone: Sequence[str], come: Sequence[str], records: Records, inputs_sha256: Callable[[str], str | None]
) -> Iterator[SubjectDifferences]:
    """Name subjects without a case, cases without a record, and subjects that were renamed, once each."""
    by_inputs: dict[str, list[str]] = {}
    for subject in come if gone else ():
        by_inputs.setdefault(inputs_sha256(subject) or "", []).append(subject)
    renamed = set()
    for subject in gone:
        same = by_inputs.get(records.receipt(subject).get("inputs_sha256") or "-", [])
        if len(same) == 1 and same[0] not in renamed:
            renamed.add(same[0])
            what = Difference(step="input_bytes", what="subject (same files)", old=subject, new=same[0])
        else:
            what = Difference(step="input_bytes", what="case", old="recorded", new=None)
        yield SubjectDifferences(subject=subject, differences=(what,))
    for subject in come:
        if subject not in renamed:
            found = "found among the inputs, without a record"
            what = Difference(step="input_bytes", what="case", old=None, new=found)
            yield SubjectDifferences(subject=subject, differences=(what,))


def by_hashes(
    out: Path,
    run: Mapping[str, Any] | None,
    records: Records,
    inputs: Path | None,
    protocol: LoadedProtocol,
) -> Iterator[SubjectDifferences]:
    """Compare hashes and versions; nothing is measured."""
    if run is not None and run.get("event") == ADJUDICATION:
        agreement = read_agreement(out)
        if agreement is not None:
            yield from changed_readings(run, agreement, protocol)
        try:
            cases = _Cases([], out, final_again(out, run))
        except VolstratError as error:
            yield _not_again(str(error))
            return
    else:
        cases = _Cases(_roots(out, run, inputs), out)

    def inputs_sha256(subject: str) -> str | None:
        with suppress(VolstratError):
            return take_fingerprint(cases.open(subject, protocol).sources).sha256
        return None

    there = cases.all()
    gone = [subject for subject in records.folders if subject not in there]
    come = [] if run is None else [subject for subject in there if subject not in records.folders]
    yield from _moved(gone, come, records, inputs_sha256)
    for subject in records.folders:
        if subject not in there:
            continue
        record = records.record(subject)
        found = list(_hash_differences(subject, cases, record, records.receipt(subject), protocol))
        if record["protocol"]["sha256"] != protocol.sha256:
            found.append(
                Difference(
                    step="protocol",
                    what="protocol.sha256",
                    old=record["protocol"]["sha256"],
                    new=protocol.sha256,
                )
            )
        found += environment_differences(record["environment"], _environment_now(record))
        if found:
            found.sort(key=lambda difference: STEPS.index(difference.step))
            yield SubjectDifferences(subject=subject, differences=tuple(found))


def _environment_now(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the versions that are here now of what took part in a record."""
    named = record["environment"]["libraries"]
    here = environment(also=list(named))
    return {**here, "libraries": {k: v for k, v in here["libraries"].items() if k in named}}


def _told_apart(entry: Mapping[str, Any], sha256: str | None, case: EntryReader) -> Iterator[Difference]:
    """Say of a file whose bytes changed whether its voxels or its header did, where reading it tells."""
    place = (entry["role"], entry["path"])
    now = described_input(case, *place)
    if now is not None and now["sha256"] == sha256 and (now["grid"] is None) == (entry["grid"] is None):
        yield from input_differences(entry, now)
        return
    what = (
        "sha256" if entry["grid"] is None else "sha256 (it cannot be read: voxels or header cannot be told)"
    )
    yield Difference(
        step="input_bytes", role=place[0], path=place[1], what=what, old=entry["sha256"], new=sha256
    )


def _hash_differences(
    subject: str,
    cases: _Cases,
    record: Mapping[str, Any],
    receipt: Mapping[str, Any] | None,
    protocol: LoadedProtocol,
) -> Iterator[Difference]:
    """Yield the inputs of a case that do not hash as they did."""
    try:
        case = cases.open(subject, protocol)
        fingerprint = take_fingerprint(case.sources)
    except VolstratError as error:
        if record["error"] is None:
            yield Difference(step="input_bytes", what="inputs", old="readable", new=str(error))
        return
    named = False
    for entry in record["inputs"]:
        path = case.sources.folder / entry["path"]
        history = history_beside(path) if entry["role"] == "lesions" else None
        now = None if history is None else sha256_of(history)
        if entry.get("history_sha256") != now:
            named = True
            yield Difference(
                step="input_bytes",
                role=entry["role"],
                path=entry["path"],
                what=f"sha256 of {HISTORY}",
                old=entry.get("history_sha256"),
                new=now,
            )
        sha256 = hash_now(case, fingerprint, entry)
        if sha256 != entry["sha256"]:
            named = True
            yield from _told_apart(entry, sha256, case)
    before = (receipt or {}).get("inputs_sha256")
    if before and before != fingerprint.sha256 and not named:
        what = "a file that the record does not name (case.toml, an image, a file beside)"
        yield Difference(step="input_bytes", what=what, old=before, new=fingerprint.sha256)
