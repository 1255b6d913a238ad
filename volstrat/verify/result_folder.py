"""Whether an output folder is still what its run left: its trail, its own files, the records."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from volstrat.case.record import record_name
from volstrat.cohort.run_file import (
    RUN_FILE,
    TRAIL,
    listed_subjects,
    read_run_file,
    records_sha256,
    removed_subjects,
)
from volstrat.cohort.subject_folders import OWN_FILES, marked_name
from volstrat.cohort.tasks import one_line
from volstrat.cohort.worker import RECEIPT, RECORD, REPORTS
from volstrat.errors import InputFileError
from volstrat.formats.hashing import sha256_of
from volstrat.store.audit import TrailHead, check_trail, read_trail
from volstrat.store.output import STATE_FOLDER, folder_name
from volstrat.store.seal import LOCKED, MANIFEST, SEALED_BY, SIGNATURE, UNLOCKED, sealed_by
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from volstrat.case.record_types import CaseRecord

COMPANIONS = frozenset({RECORD, RECEIPT, *REPORTS})
"""What a subject's folder may hold."""

_OWN = {*OWN_FILES, STATE_FOLDER, MANIFEST, SIGNATURE}
_HASHED_OUTSIDE = {RUN_FILE, TRAIL}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """A file of an output that is not as it should be.

    Parameters
    ----------
    path : str
        Relative to the output.
    kind : {"missing", "extra", "altered"}
    message : str
    old, new : str or None
        Hashes, where the file was altered.
    """

    path: str
    kind: Literal["missing", "extra", "altered"]
    message: str
    old: str | None = None
    new: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fault as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailState:
    """What checking a trail gave.

    Parameters
    ----------
    head : TrailHead
    faults : tuple of str
        One sentence each; empty where the trail is whole.
    openings : tuple of str
        Who opened the sealed output, when and why; said ever after, and no fault.
    """

    head: TrailHead
    faults: tuple[str, ...]
    openings: tuple[str, ...] = ()


def check_output_trail(out: Path) -> TrailState:
    """Check an output's trail: every link, its length and last hash, and what ``run.json`` took from it.

    Raises
    ------
    InputFileError
        If there is no trail at all, and nothing says that there should be one.
    """
    run = read_run_file(out)
    expected = _expected(run)
    if not (out / TRAIL).is_file():
        if run is None:
            msg = f"{out}: holds no audit trail ({TRAIL})."
            raise InputFileError(msg, hint="Name the output folder of volstrat batch.")
        return TrailState(head=TrailHead(), faults=(f"The trail ({TRAIL}) was removed.",))
    head, faults = check_trail(out / TRAIL, expected=expected)
    sentences = list(faults)
    if run is None:
        sentences.append(
            f"{RUN_FILE} is missing or unreadable: whether the trail's end was cut cannot be known."
        )
    elif expected is None:
        sentences.append(
            f"{RUN_FILE} does not keep the trail's length and last hash: its end may have been cut."
        )
    elif head.length > expected.length:
        first = expected.length + 1
        more = f"Entry {first}" if head.length == first else f"Entries {first} to {head.length}"
        sentences.append(
            f"{more} came after the last one that {RUN_FILE} keeps: added by hand, or by a program that was "
            "cut off before it could say so."
        )
    entries = list(read_trail(out / TRAIL))
    if run is not None and not faults:
        sentences += _run_file_faults(run, entries)
    sentences += _seal_faults(out, entries)
    return TrailState(head=head, faults=tuple(sentences), openings=tuple(_openings(entries)))


def _openings(entries: Sequence[Mapping[str, Any] | None]) -> Iterator[str]:
    for entry in entries:
        if entry is not None and entry["event"] == UNLOCKED:
            detail = entry["detail"]
            yield f"Opened on {entry['recorded_at']} by {detail.get('by')}: {detail.get('reason')}"


def _seal_faults(out: Path, entries: Sequence[Mapping[str, Any] | None]) -> Iterator[str]:
    """Say what was written into a sealed output, and which of the things that say "sealed" are gone."""
    locked = False
    for entry in entries:
        if entry is None:
            continue
        if locked and entry["event"] != UNLOCKED:
            yield f"Entry {entry['entry']} ({entry['event']}) was written while the output was sealed."
        if entry["event"] in (LOCKED, UNLOCKED):
            locked = entry["event"] == LOCKED
        if entry["event"] == UNLOCKED and entry["detail"].get("seal_faults"):
            names = shown_names([str(one) for one in entry["detail"]["seal_faults"]])
            yield f"When it was opened (entry {entry['entry']}), it was not as it was sealed: {names}."
    said = sealed_by(out)
    for name in SEALED_BY:
        if said and name not in said:
            yield f"{name} no longer says that the output is sealed, though {', '.join(said)} does."


def _expected(run: Mapping[str, Any] | None) -> TrailHead | None:
    recorded = (run or {}).get("audit")
    if not isinstance(recorded, dict) or not isinstance(recorded.get("length"), int):
        return None
    return TrailHead(length=recorded["length"], last_sha256=str(recorded.get("last_sha256")))


def _run_file_faults(run: Mapping[str, Any], entries: list[dict[str, Any] | None]) -> list[str]:
    """Compare ``run.json`` with the trail's entries on the same run."""
    wanted: dict[str, Any] = {}
    for entry in entries:
        if entry is not None and entry["event"].endswith("_started"):
            wanted = dict(entry["detail"])
        elif entry is not None and entry["event"].endswith("_finished"):
            wanted |= entry["detail"]
    written = {key for key, value in run.items() if value is not None and key not in ("audit", "locked")}
    return [
        f"{RUN_FILE} says other than the trail: {key}."
        for key in [*wanted, *sorted(written - set(wanted))]
        if key not in wanted or key not in run or run[key] != wanted[key]
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """The records of an output, which stay on disk: a cohort of any size costs little memory.

    Parameters
    ----------
    out : Path
    folders : dict
        Name of the folder of each subject that the output should hold.
    status : dict
        Of each.
    versions : frozenset of str
        Of volstrat, that made them.
    faults : tuple of FileFault
    """

    out: Path
    folders: dict[str, str]
    status: dict[str, str]
    versions: frozenset[str]
    faults: tuple[FileFault, ...]

    def data(self, subject: str) -> bytes:
        """Return a record's bytes."""
        return (self.out / self.folders[subject] / RECORD).read_bytes()

    def record(self, subject: str) -> dict[str, Any]:
        """Return a record."""
        found: dict[str, Any] = json.loads(self.data(subject))
        return found

    def receipt(self, subject: str) -> dict[str, Any]:
        """Return what stands beside a record; empty where nothing does."""
        return _receipt(self.out / self.folders[subject]) or {}


def read_records(out: Path, run: Mapping[str, Any] | None) -> Records:
    """Read all records and say which are missing, extra, or not what the run wrote."""
    found: dict[str, str] = {}
    status: dict[str, str] = {}
    versions: set[str] = set()
    hashes: dict[str, str] = {}
    faults: list[FileFault] = []
    listed = listed_subjects(out)
    gone = removed_subjects(out, run)
    for folder in sorted(path.parent.name for path in out.glob(f"*/{RECORD}")):
        path = out / folder / RECORD
        name = path.relative_to(out).as_posix()
        try:
            data = path.read_bytes()
            record = json.loads(data)
        except (OSError, ValueError, RecursionError):
            record = None
        if not _is_record(record):
            faults.append(FileFault(path=name, kind="altered", message=f"{name} is no case record any more."))
            continue
        subject = record_name(record)
        if subject in gone:
            continue
        if subject in found or (listed is not None and one_line(subject) not in listed):
            faults.append(FileFault(path=name, kind="extra", message=f"{name} is of no subject of this run."))
            continue
        if path.parent.name not in {folder_name(subject), marked_name(subject)}:
            message = f"{name} is the record of {subject!r}, whose folder has another name."
            faults.append(FileFault(path=name, kind="extra", message=message))
        found[subject] = path.parent.name
        status[subject] = sys.intern(str(record.get("status")))
        versions.add(record["environment"]["volstrat"])
        hashes[subject] = hashlib.sha256(data).hexdigest()
        receipt = _receipt(path.parent)
        if receipt is not None:
            faults += _against_receipt(name, receipt, record, hashes[subject])
        elif run is not None:
            beside = path.with_name(RECEIPT).relative_to(out).as_posix()
            faults.append(FileFault(path=beside, kind="missing", message=f"{beside} is missing."))
    for subject in sorted((listed or set()) - {one_line(subject) for subject in found}):
        message = f"{subject!r} is in cohort.csv; its record is missing."
        faults.append(FileFault(path=subject, kind="missing", message=message))
    whole = (run or {}).get("records_sha256")
    if whole and not faults and records_sha256(hashes.items()) != whole:
        message = "The records are not those that the run wrote, though their receipts fit them."
        faults.append(FileFault(path=f"*/{RECORD}", kind="altered", message=message))
    return Records(out=out, folders=found, status=status, versions=frozenset(versions), faults=tuple(faults))


def _is_record(value: object) -> bool:
    """Tell whether a JSON value has what is asked of a case record here."""
    if not isinstance(value, dict) or not isinstance(value.get("subject"), str):
        return False
    kinds = {"inputs": list, "findings": list, "protocol": dict, "environment": dict}
    return (
        all(isinstance(value.get(key), kind) for key, kind in kinds.items())
        and isinstance(value.get("error", ""), dict | None)
        and {"sha256"} <= value["protocol"].keys()
        and {"volstrat", "python", "platform", "libraries"} <= value["environment"].keys()
    )


def _receipt(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / RECEIPT).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _against_receipt(
    name: str, receipt: Mapping[str, Any], record: CaseRecord, sha256: str
) -> Iterator[FileFault]:
    contradicted = [key for key in ("status", "stratum") if key in receipt and receipt[key] != record[key]]
    if contradicted:
        beside = name.replace(RECORD, RECEIPT)
        message = f"{beside} contradicts the record of {record_name(record)!r}: {', '.join(contradicted)}."
        yield FileFault(path=beside, kind="altered", message=message)
    if receipt.get("record_sha256") != sha256:
        yield FileFault(
            path=name,
            kind="altered",
            message=f"{name} is not the record that the run wrote.",
            old=receipt.get("record_sha256"),
            new=sha256,
        )


def check_files(out: Path, run: Mapping[str, Any] | None, subjects: Records) -> list[FileFault]:
    """Name the output's own files that are missing or altered, and whatever else lies in it."""
    faults: list[FileFault] = []
    wanted: dict[str, str] = dict((run or {}).get("files") or {})
    if run is not None:
        for name in OWN_FILES:
            if not (out / name).is_file() and (name in wanted or name in _HASHED_OUTSIDE):
                faults.append(FileFault(path=name, kind="missing", message=f"{name} is missing."))
    for name, sha256 in wanted.items():
        path = out / name
        if path.is_file() and (now := sha256_of(path)) != sha256:
            message = f"{name} is not what the run wrote."
            faults.append(FileFault(path=name, kind="altered", message=message, old=sha256, new=now))
    folders = set(subjects.folders.values())
    known_extra = {fault.path.split("/", 1)[0] for fault in subjects.faults if fault.kind == "extra"}
    gone = _gone(out, run)
    for path in sorted(out.iterdir()):
        if path.name in folders:
            faults += _extra_in(path, out)
        elif path.name not in {*_OWN, *wanted, *known_extra, *gone}:
            message = f"{path.name} is nothing that a run writes."
            faults.append(FileFault(path=path.name, kind="extra", message=message))
    return faults


def _gone(out: Path, run: Mapping[str, Any] | None) -> set[str]:
    """Return the folders of subjects that had left the cohort: a run leaves them where they are."""
    removed = removed_subjects(out, run)
    found = set()
    for path in out.glob(f"*/{RECORD}"):
        try:
            if json.loads(path.read_bytes()).get("subject") in removed:
                found.add(path.parent.name)
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
    return found


def _extra_in(folder: Path, out: Path) -> Iterator[FileFault]:
    for path in sorted(folder.iterdir()):
        if path.name not in COMPANIONS:
            name = path.relative_to(out).as_posix()
            yield FileFault(path=name, kind="extra", message=f"{name} is nothing that a run writes.")
