"""Run an output's cases again and say what comes out differently, and at which step."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat import __version__
from volstrat.case.protocol_files import PACKAGED, LoadedProtocol, load_protocol
from volstrat.case.record import environment
from volstrat.cohort.run_file import COMPARISON, TRAIL, history_faults, read_run_file, record_event
from volstrat.comparison.readings import protocol_of_run
from volstrat.errors import OutputError, UsageError
from volstrat.store.locking import output_lock
from volstrat.store.seal import check_manifest, is_sealed
from volstrat.store.tables import TABLE_LIBRARIES
from volstrat.verify.agreements import changed_readings, compared_again, read_agreement
from volstrat.verify.changelog import changelog_text, changes_since, version_key
from volstrat.verify.rerun import by_hashes, by_rerun
from volstrat.verify.result_folder import FileFault, check_files, read_records
from volstrat.verify.sealing import Signature, check_signature
from volstrat.verify.steps import Difference, SubjectDifferences, changed, protocol_differences
from volstrat.verify.trail_check import TrailState, check_output_trail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from volstrat.cohort import Progress

SCHEMA_ID = "volstrat.verification/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying an output gave."""

    only_hashes: bool  # nothing was measured again
    subjects: int  # looked at
    trail: TrailState | None  # None where the output never had one
    files: tuple[FileFault, ...]
    protocol: tuple[Difference, ...]  # fields in which the protocol differs from the one recorded
    tables: tuple[Difference, ...]  # libraries that make the tables, where they are not what they were
    differing: tuple[SubjectDifferences, ...]
    versions: tuple[str, ...]  # older ones that records were made by
    changes: tuple[str, ...]  # what changed since the oldest of them that can alter a verdict
    sealed: bool
    noted: bool = False  # whether the trail has an entry of this verification
    signature: Signature | None = None  # None where the output is not sealed

    @property
    def clean(self) -> bool:
        """True where nothing differs."""
        unfit = self.signature is not None and self.signature.fits is False
        differs = self.files or self.protocol or self.tables or self.differing or unfit
        return not (differs or (self.trail and self.trail.faults))

    def as_json(self) -> dict[str, Any]:
        """Return the verification as JSON values."""
        trail, signature = self.trail, self.signature
        return {
            "schema": SCHEMA_ID,
            "clean": self.clean,
            "only_hashes": self.only_hashes,
            "subjects": self.subjects,
            "trail": None if trail is None else {"length": trail.head.length, "faults": list(trail.faults)},
            "files": [asdict(fault) for fault in self.files],
            "protocol": [asdict(difference) for difference in self.protocol],
            "tables": [asdict(difference) for difference in self.tables],
            "differing": [
                {
                    "subject": found.subject,
                    "first": asdict(found.first),
                    "differences": [asdict(difference) for difference in found.differences],
                }
                for found in self.differing
            ],
            "older_versions": list(self.versions),
            "changes_that_can_alter_a_verdict": list(self.changes),
            "sealed": self.sealed,
            "signature": None if signature is None else asdict(signature),
            "openings": [] if trail is None else list(trail.openings),
            "clock": [] if trail is None else list(trail.clock),
            "noted_in_trail": self.noted,
            "environment": environment(),
        }


def verify_output(
    out: Path,
    *,
    inputs: Path | None = None,
    protocol: LoadedProtocol | None = None,
    only_hashes: bool = False,
    signers: Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Verification:
    """Check what ``volstrat batch``, ``merge`` or ``case`` wrote, and run its cases again.

    ``inputs`` is the folder or manifest of the cases, where it is no longer the one that ``run.json`` names;
    ``protocol`` what they are run by (None: the file that the run was made by, as it is now, else the text it
    kept); ``signers`` whose signatures of a sealed output fit (see `check_signature`). With ``only_hashes``
    hashes of inputs, protocol and records, and versions are compared, and nothing is measured. Nothing to
    verify, or inputs that are not there, is a `UsageError`.
    """
    run = read_run_file(out)
    records = read_records(out, run)
    if run is None and not records.folders:
        msg = f"{out}: holds no record of volstrat batch or case."
        raise UsageError(msg, hint="Name the output folder, not the folder of the cases.")
    signature = check_signature(out, signers=signers)  # what it needs is asked before cases run for hours
    trail = None if run is None and not (out / TRAIL).is_file() else check_output_trail(out)
    faults = [*records.faults, *(check_files(out, run, records) if run is not None else ())]
    faults += [*_sealed_faults(out, {fault.path for fault in faults}), *_history_faults(out)]
    now, otherwise = _protocol_now(run, protocol)
    subjects = len(records.folders)
    made_by = set(records.versions)
    if run is not None and run.get("event") == COMPARISON:
        agreement = read_agreement(out)
        subjects = int(run.get("subjects") or 0)
        made_by = {str(run["environment"]["volstrat"])}
        differing = [] if agreement is None else list(changed_readings(run, agreement, now))
        if agreement is not None and not differing and not only_hashes:
            differing = list(compared_again(run, agreement, now))
    elif only_hashes:
        differing = list(by_hashes(out, run, records, inputs, now))
    else:
        differing, tables = by_rerun(out, run, records, inputs, now, workers=workers, on_progress=on_progress)
        if not differing and not otherwise:
            faults += tables
    older = sorted(made_by - {__version__}, key=version_key)
    result = Verification(
        only_hashes=only_hashes,
        subjects=subjects,
        trail=trail,
        files=tuple(faults),
        protocol=tuple(otherwise),
        tables=tuple(_table_libraries(run)),
        differing=tuple(differing),
        versions=tuple(older),
        changes=tuple(changes_since(older[0], changelog_text())) if older else (),
        sealed=is_sealed(out),
        signature=signature,
    )
    return _noted(out, result)


def _table_libraries(run: Mapping[str, Any] | None) -> Iterator[Difference]:
    """Yield the libraries that made the tables and are another version now; records do not name them."""
    before = ((run or {}).get("environment") or {}).get("libraries") or {}
    now = environment(also=TABLE_LIBRARIES)["libraries"]
    return changed("library", ((x, before[x], now.get(x)) for x in TABLE_LIBRARIES if x in before))


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


def _sealed_faults(out: Path, known: set[str]) -> Iterator[FileFault]:
    for path, kind, old, new in check_manifest(out) if is_sealed(out) else ():
        if path not in known:
            message = f"{path} is not as it was sealed ({kind})."
            yield FileFault(path=path, kind=kind, message=message, old=old, new=new)  # type: ignore[arg-type]


def _history_faults(out: Path) -> Iterator[FileFault]:
    told = {"missing": "gone", "altered": "not what it was", "extra": "named by no entry of the trail"}
    for name, kind in history_faults(out, out / TRAIL):
        message = f"{name}, a record that was replaced, is {told[kind]}."
        yield FileFault(path=name, kind=kind, message=message)  # type: ignore[arg-type]


def _protocol_now(
    run: Mapping[str, Any] | None, given: LoadedProtocol | None
) -> tuple[LoadedProtocol, list[Difference]]:
    """Return the protocol to run again by, and in what it differs from the one recorded."""
    if run is None or not run.get("protocol"):
        return given or load_protocol(None), []
    in_run_file = run["protocol"]
    recorded = protocol_of_run(run)
    now = given or _of_source(in_run_file) or recorded
    if now is None:
        msg = "The run did not keep the text of its protocol, and the file is not there any more."
        raise UsageError(msg, hint="Name the protocol file with --protocol.")
    if now.sha256 == in_run_file["sha256"]:
        return now, []
    found = [] if recorded is None else protocol_differences(recorded.protocol, now.protocol)
    what = "sha256" if recorded is None else "sha256 (no field differs: comments or order)"
    return now, found or list(changed("protocol", [(what, in_run_file["sha256"], now.sha256)]))


def _of_source(in_run_file: Mapping[str, Any]) -> LoadedProtocol | None:
    """Return the protocol file that the run was made by, as it is now."""
    source = in_run_file.get("source")
    if source == PACKAGED:
        return load_protocol(None)
    if source and Path(source).is_file():
        return load_protocol(Path(source))
    return None
