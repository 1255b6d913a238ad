"""Whether an output folder is still what its run left: its own files, the records."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from volstrat.case.record import record_name
from volstrat.cohort.ledger import marked_name
from volstrat.cohort.run_file import (
    OWN_FILES,
    RUN_FILE,
    TRAIL,
    entries_of_changes,
    listed_subjects,
    records_sha256,
    removed_subjects,
)
from volstrat.cohort.worker import RECEIPT, RECORD, REPORTS, read_receipt
from volstrat.formats.hashing import sha256_of
from volstrat.formats.walk import open_regular
from volstrat.store.disk_map import DiskMap
from volstrat.store.output import STATE_FOLDER, folder_name
from volstrat.store.seal import MANIFEST, SIGNATURE
from volstrat.store.tables import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from volstrat.case.record_types import CaseRecord

COMPANIONS = frozenset({RECORD, RECEIPT, *REPORTS})
"""What a subject's folder may hold."""

_KEEP_HISTORY = ("batch", "adjudicate")
"""Events of runs whose trail tells of every record that they replaced."""
_OPEN_STATUSES = ("failed", "not_assessable", "review")
"""Subjects of these are not settled."""
_KINDS = {
    "subject": str,
    "error": dict | None,
    "inputs": list,
    "findings": list,
    "protocol": dict,
    "environment": dict,
}
_OWN = {*OWN_FILES, STATE_FOLDER, MANIFEST, SIGNATURE}
_HASHED_OUTSIDE = {RUN_FILE, TRAIL}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """A file of an output that is not as it should be."""

    path: str  # relative to the output
    kind: Literal["missing", "extra", "altered"]
    message: str
    # old, new: hashes, where the file was altered.
    old: str | None = None
    new: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """The records of an output, which stay on disk: a cohort of any size costs little memory."""

    out: Path
    folders: DiskMap[str]  # name of the folder of each subject that the output should hold
    left: frozenset[str]  # folders of subjects that had left the cohort: a run leaves them where they are
    unsettled: dict[str, list[str]]  # the subjects that failed, have no stratum or are to be reviewed
    versions: frozenset[str]  # of volstrat, that made them
    faults: tuple[FileFault, ...]

    def data(self, subject: str) -> bytes:
        """Return a record's bytes."""
        return (self.out / self.folders[subject] / RECORD).read_bytes()

    def record(self, subject: str) -> CaseRecord:
        """Return a record."""
        found: CaseRecord = json.loads(self.data(subject))
        return found

    def inputs_sha256(self, subject: str) -> str | None:
        """Return the hash over a subject's inputs, as what stands beside the record says."""
        found: str | None = (read_receipt(self.out / self.folders[subject]) or {}).get("inputs_sha256")
        return found


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
        self._left: set[str] = set()
        self._hashes: DiskMap[tuple[str, str]] = DiskMap()
        self._versions: set[str] = set()
        self._unsettled: dict[str, list[str]] = {}
        self._folders: DiskMap[str] = DiskMap()
        self._faults: list[FileFault] = []
        self._changes: DiskMap[None] | None = None
        if run is not None and run.get("event") in _KEEP_HISTORY and run.get("finished_at"):
            self._changes = DiskMap()
            for one in entries_of_changes(out / TRAIL):
                self._changes[f"{one.get('old_sha256')} {one.get('new_sha256')}"] = None

    def add(self, folder: str) -> None:
        name = f"{folder}/{RECORD}"
        try:
            with open_regular(self._out / name) as stream:
                data = stream.read()
            record = json.loads(data)
        except (OSError, ValueError, RecursionError):
            record = None
        if not _is_record(record):
            self._fault(name, "altered", f"{name} is no case record any more.")
            return
        subject = record_name(record)
        if subject in self._gone:
            self._left.add(folder)
            return
        if subject in self._folders or (self._listed is not None and one_line(subject) not in self._listed):
            self._fault(name, "extra", f"{name} is of no subject of this run.")
            return
        if folder not in {folder_name(subject), marked_name(subject)}:
            self._fault(name, "extra", f"{name} is the record of {subject!r}, whose folder has another name.")
        self._folders[subject] = folder
        self._versions.add(record["environment"]["volstrat"])
        if record.get("status") in _OPEN_STATUSES:
            self._unsettled.setdefault(record["status"], []).append(subject)
        sha256 = hashlib.sha256(data).hexdigest()
        receipt = read_receipt(self._out / folder)
        self._hashes[subject] = sha256, str((receipt or {}).get("inputs_sha256") or "")
        beside = f"{folder}/{RECEIPT}"
        if receipt is not None:
            self._against_receipt(name, beside, receipt, record, sha256)
        elif self._run is not None:
            self._fault(beside, "missing", f"{beside} is missing.")

    def _against_receipt(
        self, name: str, beside: str, receipt: Mapping[str, Any], record: CaseRecord, sha256: str
    ) -> None:
        """Hold a record to its receipt, and the change that it tells of to the trail."""
        said = {"status": record.get("status"), "stratum": record.get("stratum")}
        contradicted = ", ".join(key for key, value in said.items() if receipt.get(key, value) != value)
        if contradicted:
            message = f"{beside} contradicts the record of {record_name(record)!r}: {contradicted}."
            self._fault(beside, "altered", message)
        if receipt.get("record_sha256") != sha256:
            message = f"{name} is not the record that the run wrote."
            self._fault(name, "altered", message, old=receipt.get("record_sha256"), new=sha256)
        replaced = receipt.get("replaced")
        if self._changes is None or not isinstance(replaced, dict):
            return
        if f"{replaced.get('old_sha256')} {replaced.get('new_sha256')}" not in self._changes:
            message = "replaced another record, as its receipt says; no entry of the trail tells of it."
            self._fault(name, "altered", f"{name} {message}")

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
            left=frozenset(self._left),
            unsettled={s: sorted(self._unsettled[s]) for s in _OPEN_STATUSES if s in self._unsettled},
            versions=frozenset(self._versions),
            faults=tuple(self._faults),
        )

    def _against_run(self) -> None:
        """Hold all records and receipts together against what the run hashed at its end."""
        records = "The records are not those that the run wrote, though their receipts fit them."
        receipts = "The receipts are not those that the run wrote: of some subject they say other inputs."
        for n, (file, key, message) in enumerate(
            ((RECORD, "records_sha256", records), (RECEIPT, "inputs_sha256", receipts))
        ):
            whole = records_sha256((subject, hashes[n]) for subject, hashes in self._hashes.items())
            if not self._faults and (self._run or {}).get(key) not in (None, whole):
                self._fault(f"*/{file}", "altered", message)

    def _fault(
        self,
        path: str,
        kind: Literal["missing", "extra", "altered"],
        message: str,
        *,
        old: str | None = None,
        new: str | None = None,
    ) -> None:
        self._faults.append(FileFault(path=path, kind=kind, message=message, old=old, new=new))


def read_records(out: Path, run: Mapping[str, Any] | None) -> Records:
    """Read all records and say which are missing, extra, or not what the run wrote."""
    reading = _Reading(out, run)
    for folder in _record_folders(out):
        reading.add(folder)
    return reading.records()


def _is_record(value: object) -> bool:
    """Tell whether a JSON value has what is asked of a case record here."""
    return (
        isinstance(value, dict)
        and all(key in value and isinstance(value[key], kind) for key, kind in _KINDS.items())
        and {"sha256"} <= value["protocol"].keys()
        and {"volstrat", "python", "platform", "libraries"} <= value["environment"].keys()
    )


def check_files(out: Path, run: Mapping[str, Any], records: Records) -> list[FileFault]:
    """Name the output's own files that are missing or altered, and whatever else lies in it."""
    faults: list[FileFault] = []
    wanted: dict[str, str] = dict(run.get("files") or {})
    for name in OWN_FILES:
        if not (out / name).is_file() and (name in wanted or name in _HASHED_OUTSIDE):
            faults.append(FileFault(path=name, kind="missing", message=f"{name} is missing."))
    for name, sha256 in wanted.items():
        if (out / name).is_file() and (now := sha256_of(out / name)) != sha256:
            message = f"{name} is not what the run wrote."
            faults.append(FileFault(path=name, kind="altered", message=message, old=sha256, new=now))
    folders: DiskMap[None] = DiskMap()
    for folder in records.folders.values():
        folders[folder] = None
    known_extra = {fault.path.split("/", 1)[0] for fault in records.faults if fault.kind == "extra"}
    known = {*_OWN, *wanted, *known_extra, *records.left}
    more: list[FileFault] = []
    with os.scandir(out) as there:
        for entry in there:
            if entry.name in folders and not entry.is_symlink():
                more += (
                    _foreign(f"{entry.name}/{path.name}", is_link=path.is_symlink())
                    for path in sorted((out / entry.name).iterdir())
                    if path.is_symlink() or path.name not in COMPANIONS
                )
            elif entry.is_symlink() or entry.name not in known:
                more.append(_foreign(entry.name, is_link=entry.is_symlink()))
    return faults + sorted(more, key=lambda fault: fault.path)


def _foreign(name: str, *, is_link: bool) -> FileFault:
    """Name what no run writes."""
    if is_link:
        message = f"{name} is a link to another place; an output holds its files itself."
        return FileFault(path=name, kind="altered", message=message)
    return FileFault(path=name, kind="extra", message=f"{name} is nothing that a run writes.")
