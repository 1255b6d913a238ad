"""Run an output's cases again and say what comes out differently, and at which step."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat import __version__
from volstrat.cohort import parse_shard, run_cohort
from volstrat.cohort.folders import OWN_FILES
from volstrat.cohort.run_file import read_run_file, record_event
from volstrat.cohort.source import find_cases
from volstrat.cohort.worker import RECORD
from volstrat.errors import CaseError, OutputError, ProtocolError, UsageError, VolstratError
from volstrat.io.discovery import find_sources
from volstrat.io.entries import file_sha256
from volstrat.io.fingerprint import take_fingerprint
from volstrat.io.lock import output_lock
from volstrat.io.protocol_files import PACKAGED, LoadedProtocol, load_protocol, parse_protocol
from volstrat.io.seal import MANIFEST, check_manifest, is_sealed, write_manifest
from volstrat.record import environment
from volstrat.verify.changelog import changelog_text, changes_since
from volstrat.verify.folder import (
    FileFault,
    Records,
    TrailState,
    check_files,
    check_output_trail,
    read_records,
)
from volstrat.verify.inputs import readable_inputs
from volstrat.verify.steps import (
    STEPS,
    Difference,
    environment_differences,
    protocol_differences,
    record_differences,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from volstrat.cohort import Progress
    from volstrat.cohort.source import FoundCase
    from volstrat.io.case_file import CaseSources

SCHEMA_ID = "volstrat.verification/1"
_TABLES = tuple(name for name in OWN_FILES if name not in {"run.json", "audit.jsonl"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDifferences:
    """A subject whose record does not come out again; the first step that differs comes first."""

    subject: str
    differences: tuple[Difference, ...]

    @property
    def first(self) -> Difference:
        """The first step that differs: what comes later may follow from it."""
        return self.differences[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying an output gave.

    Parameters
    ----------
    only_hashes : bool
        Nothing was measured again.
    subjects : int
        Subjects looked at.
    trail : TrailState or None
        None where the output never had one.
    files : tuple of FileFault
    protocol : tuple of Difference
        Fields in which the protocol differs from the one recorded.
    differing : tuple of SubjectDifferences
    versions : tuple of str
        Older versions that records were made by.
    changes : tuple of str
        What changed since the oldest of them that can alter a verdict.
    sealed : bool
    noted : bool
        Whether the trail has an entry of this verification.
    """

    only_hashes: bool
    subjects: int
    trail: TrailState | None
    files: tuple[FileFault, ...]
    protocol: tuple[Difference, ...]
    differing: tuple[SubjectDifferences, ...]
    versions: tuple[str, ...]
    changes: tuple[str, ...]
    sealed: bool
    noted: bool = False

    @property
    def clean(self) -> bool:
        """True where nothing differs."""
        return not (self.files or self.protocol or self.differing or (self.trail and self.trail.faults))

    def as_json(self) -> dict[str, Any]:
        """Return the verification as JSON values."""
        return {
            "schema": SCHEMA_ID,
            "clean": self.clean,
            "only_hashes": self.only_hashes,
            "subjects": self.subjects,
            "trail": None
            if self.trail is None
            else {"length": self.trail.head.length, "faults": list(self.trail.faults)},
            "files": [fault.as_json() for fault in self.files],
            "protocol": [difference.as_json() for difference in self.protocol],
            "differing": [
                {
                    "subject": found.subject,
                    "first": found.first.as_json(),
                    "differences": [difference.as_json() for difference in found.differences],
                }
                for found in self.differing
            ],
            "older_versions": list(self.versions),
            "changes_that_can_alter_a_verdict": list(self.changes),
            "sealed": self.sealed,
            "noted_in_trail": self.noted,
            "environment": environment(),
        }


def verify_output(
    out: Path,
    *,
    inputs: Path | None = None,
    protocol: LoadedProtocol | None = None,
    only_hashes: bool = False,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Verification:
    """Check an output folder and run its cases again.

    Parameters
    ----------
    out : Path
        Of ``volstrat batch``, ``merge`` or ``case``.
    inputs : Path or None
        Folder or manifest of the cases, where it is no longer the one that ``run.json`` names.
    protocol : LoadedProtocol or None
        To run again by; by default the file that the run was made by, as it is now, else the text it kept.
    only_hashes : bool
        Compare hashes of inputs, protocol and records, and versions; measure nothing.
    workers : int or None
        Processes.
    on_progress : callable
        As for `run_cohort`.

    Raises
    ------
    UsageError
        If there is nothing to verify, or the inputs are not there.
    """
    run = read_run_file(out)
    records = read_records(out, run)
    if run is None and not records.by_subject:
        msg = f"{out}: holds no record of volstrat batch or case."
        raise UsageError(msg, hint="Name the output folder, not the folder of the cases.")
    trail = None if run is None and not (out / "audit.jsonl").is_file() else check_output_trail(out)
    faults = [*records.faults, *(check_files(out, run, records) if run is not None else ())]
    faults += _sealed_faults(out, faults)
    now, changed = _protocol_now(run, protocol)
    if only_hashes:
        differing = list(_by_hashes(out, run, records, inputs, now))
    else:
        differing, tables = _by_rerun(
            out, run, records, inputs, now, workers=workers, on_progress=on_progress
        )
        if not differing and not changed:
            faults += tables
    older = sorted({r["environment"]["volstrat"] for _, r in records.by_subject.values()} - {__version__})
    result = Verification(
        only_hashes=only_hashes,
        subjects=len(records.by_subject),
        trail=trail,
        files=tuple(faults),
        protocol=tuple(changed),
        differing=tuple(differing),
        versions=tuple(older),
        changes=tuple(changes_since(older[0], changelog_text())) if older else (),
        sealed=is_sealed(out),
    )
    return _noted(out, result)


def _noted(out: Path, result: Verification) -> Verification:
    """Add an entry to the trail, unless it is sealed or broken, or the folder cannot be written."""
    if result.sealed or result.trail is None or result.trail.faults:
        return result
    detail = {
        "clean": result.clean,
        "only_hashes": result.only_hashes,
        "subjects": result.subjects,
        "differing": [found.subject for found in result.differing],
        "files": [fault.path for fault in result.files],
    }
    with suppress(OutputError, UsageError), output_lock(out):
        record_event(out, "verified", detail)
        return replace(result, noted=True)
    return result


def _sealed_faults(out: Path, known: Sequence[FileFault]) -> Iterator[FileFault]:
    if not is_sealed(out):
        return
    told = {fault.path for fault in known}
    for path, kind, old, new in check_manifest(out):
        if path not in told:
            message = f"{path} is not as it was sealed ({kind})."
            yield FileFault(path=path, kind=kind, message=message, old=old, new=new)  # type: ignore[arg-type]


def _protocol_now(
    run: Mapping[str, Any] | None, given: LoadedProtocol | None
) -> tuple[LoadedProtocol, list[Difference]]:
    """Return the protocol to run again by, and in what it differs from the one recorded."""
    if run is None or not run.get("protocol"):
        return given or load_protocol(None), []
    told = run["protocol"]
    recorded = _recorded(told)
    now = given or _of_source(told) or recorded
    if now is None:
        msg = "The run did not keep the text of its protocol, and the file is not there any more."
        raise UsageError(msg, hint="Name the protocol file with --protocol.")
    if now.sha256 == told["sha256"]:
        return now, []
    found = [] if recorded is None else protocol_differences(recorded.protocol, now.protocol)
    return now, found or [
        Difference(
            step="protocol",
            what="sha256" if recorded is None else "sha256 (no field differs: comments or order)",
            old=told["sha256"],
            new=now.sha256,
        )
    ]


def _recorded(told: Mapping[str, Any]) -> LoadedProtocol | None:
    """Return the protocol by the text that the run kept, where that is what was hashed."""
    text = str(told.get("text") or "")
    if hashlib.sha256(text.encode()).hexdigest() != told["sha256"]:
        return None
    with suppress(ProtocolError):
        return parse_protocol(text.encode(), name="the protocol in run.json")
    return None


def _of_source(told: Mapping[str, Any]) -> LoadedProtocol | None:
    """Return the protocol file that the run was made by, as it is now."""
    source = told.get("source")
    if source == PACKAGED:
        return load_protocol(None)
    if source and Path(source).is_file():
        return load_protocol(Path(source))
    return None


def _roots(run: Mapping[str, Any] | None, inputs: Path | None) -> list[tuple[Path, Mapping[str, Any]]]:
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
        msg = "These records do not say where their cases lie."
        raise UsageError(msg, hint="Name the folder of the cases with --inputs.")
    if run.get("merged"):
        parts = [(Path(part), read_run_file(Path(part))) for part in run["merged"]]
        lost = [part.name for part, told in parts if told is None]
        if lost:
            msg = f"The outputs that were merged are not there any more ({', '.join(lost)})."
            raise UsageError(msg, hint="Name the folder of all cases with --inputs.")
        return [root for _, told in parts if told is not None for root in _roots(told, None)]
    root = Path(run.get("input_root") or "")
    if not run.get("input_root") or not root.exists():
        msg = f"The input folder of the run ({root.name or 'not named'}) is not there any more."
        raise UsageError(msg, hint="Name it with --inputs.")
    return [(root, run)]


def _by_rerun(
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
    roots = _roots(run, inputs)
    new: dict[str, tuple[bytes, dict[str, Any], dict[str, Any]]] = {}
    tables: list[FileFault] = []
    with tempfile.TemporaryDirectory(prefix="volstrat-verify-") as scratch:
        for n, (root, told) in enumerate(roots):
            again = Path(scratch) / str(n)
            shard = told.get("shard")
            run_cohort(
                root,
                again,
                protocol,
                lesions=told.get("lesions"),
                shard=parse_shard(shard) if shard else None,
                workers=workers,
                on_progress=on_progress,
            )
            found = read_records(again, None)
            for subject, (folder, record) in found.by_subject.items():
                data = (folder / RECORD).read_bytes()
                new[subject] = (data, record, found.receipts.get(subject, {}))
        if len(roots) == 1 and run is not None:
            tables = _compared_tables(out, Path(scratch) / "0", run)
        return list(_compared(records, new, _Cases(roots, out), protocol)), tables


def _compared_tables(out: Path, again: Path, run: Mapping[str, Any]) -> list[FileFault]:
    faults = []
    for name in _TABLES:
        if name in (run.get("files") or {}) and (out / name).is_file() and (again / name).is_file():
            old, new = file_sha256(out / name), file_sha256(again / name)
            if old != new and old == run["files"][name]:
                message = f"{name} does not come out again, though every record does."
                faults.append(FileFault(path=name, kind="altered", message=message, old=old, new=new))
    return faults


class _Cases:
    """The cases below the inputs, looked for where one is needed."""

    def __init__(self, roots: Sequence[tuple[Path, Mapping[str, Any]]], out: Path) -> None:
        self._roots, self._out = roots, out
        self._found: dict[str, tuple[FoundCase, str | None]] | None = None

    def all(self) -> dict[str, tuple[FoundCase, str | None]]:
        """Return each subject's case, and the lesion table that its run used."""
        if self._found is None:
            self._found = {}
            for root, told in self._roots:
                shard = told.get("shard")
                for case in find_cases(root, self._out, shard=parse_shard(shard) if shard else None):
                    self._found[case.subject] = (case, told.get("lesions"))
        return self._found

    def sources(self, subject: str, protocol: LoadedProtocol) -> CaseSources:
        """Return which file plays which role.

        Raises
        ------
        VolstratError
        """
        case, lesions = self.all()[subject]
        if case.problem is not None:
            raise case.problem
        naming = protocol.protocol.naming
        sources = case.sources or find_sources(case.folder, lesions=lesions, naming=naming)
        return replace(sources, subject=subject)


def _with_inputs(
    old: Mapping[str, Any], new: dict[str, Any], subject: str, cases: _Cases, protocol: LoadedProtocol
) -> dict[str, Any]:
    """Return a record that failed where it once did not, with the inputs that can still be read."""
    if new["error"] is None or old["error"] is not None:
        return new
    with suppress(VolstratError):
        return {**new, "inputs": readable_inputs(cases.sources(subject, protocol))}
    return new


def _compared(
    records: Records,
    new: Mapping[str, tuple[bytes, dict[str, Any], dict[str, Any]]],
    cases: _Cases,
    protocol: LoadedProtocol,
) -> Iterator[SubjectDifferences]:
    for subject in sorted({*records.by_subject, *new}):
        if subject not in new or subject not in records.by_subject:
            there = subject in records.by_subject
            gone = Difference(
                step="input_bytes",
                what="case",
                old="recorded" if there else None,
                new=None if there else "found among the inputs, without a record",
            )
            yield SubjectDifferences(subject=subject, differences=(gone,))
            continue
        folder, old = records.by_subject[subject]
        data, record, receipt = new[subject]
        if data != (folder / RECORD).read_bytes():
            found = record_differences(old, _with_inputs(old, record, subject, cases, protocol)) or [
                Difference(step="count", what="bytes of the record", old=None, new=None)
            ]
            yield SubjectDifferences(subject=subject, differences=tuple(found))
            continue
        hashes = [r.get("inputs_sha256") for r in (records.receipts.get(subject, {}), receipt)]
        if hashes[0] != hashes[1] and None not in hashes:
            what = "a file that the record does not name (case.toml, an image, a file beside)"
            changed = Difference(step="input_bytes", what=what, old=hashes[0], new=hashes[1])
            yield SubjectDifferences(subject=subject, differences=(changed,))


def _by_hashes(
    out: Path,
    run: Mapping[str, Any] | None,
    records: Records,
    inputs: Path | None,
    protocol: LoadedProtocol,
) -> Iterator[SubjectDifferences]:
    """Compare hashes and versions; nothing is measured."""
    cases = _Cases(_roots(run, inputs), out)
    now = environment()
    for subject in sorted({*records.by_subject, *cases.all()}):
        if subject not in records.by_subject or subject not in cases.all():
            there = subject in records.by_subject
            what = Difference(
                step="input_bytes",
                what="case",
                old="recorded" if there else None,
                new=None if there else "found among the inputs, without a record",
            )
            yield SubjectDifferences(subject=subject, differences=(what,))
            continue
        _, record = records.by_subject[subject]
        found = list(_hash_differences(subject, cases, record, records.receipts.get(subject), protocol))
        if record["protocol"]["sha256"] != protocol.sha256:
            found.append(
                Difference(
                    step="protocol",
                    what="protocol.sha256",
                    old=record["protocol"]["sha256"],
                    new=protocol.sha256,
                )
            )
        found += environment_differences(record["environment"], now)
        if found:
            found.sort(key=lambda difference: STEPS.index(difference.step))
            yield SubjectDifferences(subject=subject, differences=tuple(found))


def _hash_differences(
    subject: str,
    cases: _Cases,
    record: Mapping[str, Any],
    receipt: Mapping[str, Any] | None,
    protocol: LoadedProtocol,
) -> Iterator[Difference]:
    """Yield the inputs of a case that do not hash as they did."""
    try:
        sources = cases.sources(subject, protocol)
        fingerprint = take_fingerprint(sources)
    except VolstratError as error:
        if record["error"] is None:
            yield Difference(step="input_bytes", what="inputs", old="readable", new=str(error))
        return
    named = False
    for entry in record["inputs"]:
        path = sources.folder / entry["path"]
        if path.is_dir():
            continue
        try:
            sha256 = file_sha256(path)
        except VolstratError:
            sha256 = None
        if sha256 != entry["sha256"]:
            named = True
            yield Difference(
                step="input_bytes",
                role=entry["role"],
                path=entry["path"],
                what="sha256",
                old=entry["sha256"],
                new=sha256,
            )
    before = (receipt or {}).get("inputs_sha256")
    if before and before != fingerprint.sha256 and not named:
        what = "a file that the record does not name (case.toml, an image, a file beside)"
        yield Difference(step="input_bytes", what=what, old=before, new=fingerprint.sha256)


def lock_output(out: Path) -> int:
    """Seal a finished output with a manifest of hashes; nothing may be written into it any more.

    Returns
    -------
    int
        How many files the manifest names.

    Raises
    ------
    UsageError
        If the folder holds no finished run, or has been sealed.
    CaseError
        If its trail or its files are not what the run left: a fault is not sealed in.
    OutputError
        If the manifest cannot be written.
    """
    run = read_run_file(out)
    if run is None or run.get("finished_at") is None:
        what = "holds no run of volstrat batch" if run is None else "its run has not come to its end"
        msg = f"{out}: {what}; there is nothing to seal."
        raise UsageError(msg, hint="Run the batch to its end first.")
    if is_sealed(out):
        faults = check_manifest(out)
        if not faults:
            msg = f"{out}: has been sealed already, and is unchanged since."
            raise UsageError(msg)
        msg = f"{out}: has been sealed already, and {faults[0][0]} is {faults[0][1]} since."
        raise CaseError(msg, hint=f"`volstrat verify` names all of it; {MANIFEST} is never written twice.")
    with output_lock(out):
        records = read_records(out, run)
        problems = [fault.message for fault in (*records.faults, *check_files(out, run, records))]
        problems += check_output_trail(out).faults
        if problems:
            more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
            msg = f"{out}: cannot be sealed. {problems[0]}{more}"
            raise CaseError(msg, hint="`volstrat verify` names all of it. Run the batch again, then seal.")
        record_event(out, "locked", {"subjects": len(records.by_subject)})
        return write_manifest(out)
