"""Whether an output folder is still what its run left: its own files, the records."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from volstrat.case.record import record_name
from volstrat.cohort.changes import entries_of_changes
from volstrat.cohort.ledger import marked_name
from volstrat.cohort.run_file import (
    OWN_FILES,
    RUN_FILE,
    TRAIL,
    listed_subjects,
    records_sha256,
    removed_subjects,
)
from volstrat.cohort.tasks import one_line
from volstrat.cohort.worker import RECEIPT, RECORD, REPORTS, read_receipt
from volstrat.formats.hashing import sha256_of
from volstrat.store.disk_map import DiskMap
from volstrat.store.output import STATE_FOLDER, folder_name
from volstrat.store.seal import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from volstrat.case.record_types import CaseRecord

COMPANIONS = frozenset({RECORD, RECEIPT, *REPORTS})
"""What a subject's folder may hold."""

_KEEP_HISTORY = ("batch", "adjudicate")
"""Events of runs whose trail tells of every record that they replaced."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """The records of an output, which stay on disk: a cohort of any size costs little memory.

    Parameters
    ----------
    out : Path
    folders : DiskMap of str
        Name of the folder of each subject that the output should hold.
    unsettled : dict of status to list of str
        The subjects that failed, have no stratum or are to be reviewed.
    versions : frozenset of str
        Of volstrat, that made them.
    faults : tuple of FileFault
    """

    out: Path
    folders: DiskMap[str]
    unsettled: dict[str, list[str]]
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
        return read_receipt(self.out / self.folders[subject]) or {}


OPEN_STATUSES = ("failed", "not_assessable", "review")
"""Subjects of these are not settled."""


def _record_folders(out: Path) -> DiskMap[None]:
    """Return the names of the folders that hold a record."""
    found: DiskMap[None] = DiskMap()
    with os.scandir(out) as there:
        for entry in there:
            if (out / entry.name / RECORD).exists():
                found[entry.name] = None
    return found


class _Reading:
    """What reading the records of an output brings up, record by record."""

    def __init__(self, out: Path, run: Mapping[str, Any] | None) -> None:
        self._out, self._run = out, run
        self._listed = listed_subjects(out)
        self._gone = removed_subjects(out, run)
        self._hashes: DiskMap[tuple[str, str]] = DiskMap()
        self._versions: set[str] = set()
        self._unsettled: dict[str, list[str]] = {}
        self._folders: DiskMap[str] = DiskMap()
        self._faults: list[FileFault] = []
        self._changes: DiskMap[None] | None = None
        if (run or {}).get("event") in _KEEP_HISTORY and (run or {}).get("finished_at"):
            self._changes = DiskMap()
            for one in entries_of_changes(out / TRAIL):
                self._changes[f"{one.get('old_sha256')} {one.get('new_sha256')}"] = None

    def add(self, folder: str) -> None:
        path = self._out / folder / RECORD
        name = path.relative_to(self._out).as_posix()
        try:
            data = path.read_bytes()
            record = json.loads(data)
        except (OSError, ValueError, RecursionError):
            record = None
        if not _is_record(record):
            self._fault(name, "altered", f"{name} is no case record any more.")
            return
        subject = record_name(record)
        if subject in self._gone:
            return
        if subject in self._folders or (self._listed is not None and one_line(subject) not in self._listed):
            self._fault(name, "extra", f"{name} is of no subject of this run.")
            return
        if folder not in {folder_name(subject), marked_name(subject)}:
            self._fault(name, "extra", f"{name} is the record of {subject!r}, whose folder has another name.")
        self._folders[subject] = folder
        self._versions.add(record["environment"]["volstrat"])
        if record.get("status") in OPEN_STATUSES:
            self._unsettled.setdefault(record["status"], []).append(subject)
        sha256 = hashlib.sha256(data).hexdigest()
        receipt = read_receipt(path.parent)
        self._hashes[subject] = sha256, str((receipt or {}).get("inputs_sha256") or "")
        if receipt is not None:
            self._faults += _against_receipt(name, receipt, record, sha256)
            self._against_trail(name, receipt)
        elif self._run is not None:
            beside = path.with_name(RECEIPT).relative_to(self._out).as_posix()
            self._fault(beside, "missing", f"{beside} is missing.")

    def _against_trail(self, name: str, receipt: Mapping[str, Any]) -> None:
        """Miss the entry of a change that a receipt tells of."""
        replaced = receipt.get("replaced")
        if self._changes is None or not isinstance(replaced, dict):
            return
        if f"{replaced.get('old_sha256')} {replaced.get('new_sha256')}" not in self._changes:
            message = (
                f"{name} replaced another record, as its receipt says; no entry of the trail tells of it."
            )
            self._fault(name, "altered", message)

    def records(self) -> Records:
        """Return the records, once all have been met."""
        met: DiskMap[None] = DiskMap()
        for subject in self._folders:
            met[one_line(subject)] = None
        for subject in self._listed or ():
            if subject not in met:
                self._fault(subject, "missing", f"{subject!r} is in cohort.csv; its record is missing.")
        self._against_run()
        return Records(
            out=self._out,
            folders=self._folders,
            unsettled={s: sorted(self._unsettled[s]) for s in OPEN_STATUSES if s in self._unsettled},
            versions=frozenset(self._versions),
            faults=tuple(self._faults),
        )

    def _against_run(self) -> None:
        """Hold all records and receipts together against what the run hashed at its end."""
        run = self._run or {}
        message = "The records are not those that the run wrote, though their receipts fit them."
        whole = records_sha256((subject, hashes[0]) for subject, hashes in self._hashes.items())
        if not self._faults and run.get("records_sha256") not in (None, whole):
            self._fault(f"*/{RECORD}", "altered", message)
        message = "The receipts are not those that the run wrote: of some subject they say other inputs."
        whole = records_sha256((subject, hashes[1]) for subject, hashes in self._hashes.items())
        if not self._faults and run.get("inputs_sha256") not in (None, whole):
            self._fault(f"*/{RECEIPT}", "altered", message)

    def _fault(self, path: str, kind: Literal["missing", "extra", "altered"], message: str) -> None:
        self._faults.append(FileFault(path=path, kind=kind, message=message))


def read_records(out: Path, run: Mapping[str, Any] | None) -> Records:
    """Read all records and say which are missing, extra, or not what the run wrote."""
    reading = _Reading(out, run)
    for folder in _record_folders(out):
        reading.add(folder)
    return reading.records()


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
    folders: DiskMap[None] = DiskMap()
    for folder in subjects.folders.values():
        folders[folder] = None
    known_extra = {fault.path.split("/", 1)[0] for fault in subjects.faults if fault.kind == "extra"}
    gone = _gone(out, run)
    more: list[FileFault] = []
    with os.scandir(out) as there:
        for entry in there:
            if entry.is_symlink():
                message = f"{entry.name} is a link to another place; an output holds its files itself."
                more.append(FileFault(path=entry.name, kind="altered", message=message))
            elif entry.name in folders:
                more += _extra_in(out / entry.name, out)
            elif entry.name not in {*_OWN, *wanted, *known_extra, *gone}:
                message = f"{entry.name} is nothing that a run writes."
                more.append(FileFault(path=entry.name, kind="extra", message=message))
    return faults + sorted(more, key=lambda fault: fault.path)


def _gone(out: Path, run: Mapping[str, Any] | None) -> set[str]:
    """Return the folders of subjects that had left the cohort: a run leaves them where they are."""
    removed = removed_subjects(out, run)
    found = set()
    for path in out.glob(f"*/{RECORD}") if removed else ():
        try:
            if record_name(json.loads(path.read_bytes())) in removed:
                found.add(path.parent.name)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            continue
    return found


def _extra_in(folder: Path, out: Path) -> Iterator[FileFault]:
    for path in sorted(folder.iterdir()):
        name = path.relative_to(out).as_posix()
        if path.is_symlink():
            message = f"{name} is a link to another place; an output holds its files itself."
            yield FileFault(path=name, kind="altered", message=message)
        elif path.name not in COMPANIONS:
            yield FileFault(path=name, kind="extra", message=f"{name} is nothing that a run writes.")
