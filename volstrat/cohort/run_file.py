"""``run.json`` and the audit trail: when, where, by whom and with what a cohort was made."""

from __future__ import annotations

import csv
import getpass
import hashlib
import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.case.record import environment, protocol_record
from volstrat.cohort.changes import EVENT, entries_of_changes
from volstrat.errors import InputFileError
from volstrat.store.audit import append_entry, read_trail
from volstrat.store.disk_map import DiskMap
from volstrat.store.output import read_object, write_atomically
from volstrat.store.tables import COLUMNS_FILE, TABLE_LIBRARIES, one_line, unguarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.cohort.changes import Replaced
    from volstrat.store.audit import TrailHead

RUN_FILE, TRAIL = "run.json", "audit.jsonl"
TABLES = ("cohort.csv", "cohort.parquet", "lesions.csv", "lesions.parquet")
DERIVED_FILES = (*TABLES, COLUMNS_FILE, "summary.json", "index.html")
"""What follows from a cohort's records alone."""
OWN_FILES = (*DERIVED_FILES, RUN_FILE, TRAIL)
"""What a cohort run writes beside the subjects' folders."""
BASIS = ("agreement.json", "adjudication.csv", "adjudication.xlsx")
"""What an adjudicated cohort rests on, kept in it."""
COMPARISON, ADJUDICATION = "compare", "adjudicate"
"""Events of the runs that compare readings and that build a final cohort, beside "batch" and "merge"."""
_SCHEMA = "volstrat.run/1"


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def read_run_file(out: Path) -> dict[str, Any] | None:
    """Return what the last run into a folder said of itself; None where there is nothing readable."""
    found = read_object(out / RUN_FILE)
    return found if found is not None and found.get("schema") == _SCHEMA else None


def is_damaged(out: Path) -> bool:
    """Tell whether a folder's ``run.json`` is there, and nobody can read what it says."""
    return (out / RUN_FILE).exists() and read_run_file(out) is None


def listed_subjects(out: Path) -> DiskMap[None] | None:
    """Return the subjects as ``cohort.csv`` writes them, in one line; None where there is no such table."""
    found: DiskMap[None] = DiskMap()
    try:
        for subject in _listed(out):
            found[subject] = None
    except (OSError, ValueError, UnicodeDecodeError, csv.Error):
        return None
    return found


def _listed(out: Path) -> Iterator[str]:
    with (out / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        header = next(rows, [])
        at = [header.index(name) for name in ("subject", "visit")]
        for row in rows:
            subject, visit = (unguarded(row[n]) for n in at)
            yield case_name(subject, visit or None)


def removed_subjects(out: Path, run: Mapping[str, Any] | None) -> set[str]:
    """Return the subjects that left a cohort in any run and have not come back.

    Their folders are still there. A run reports them once; the trail has what all runs reported.
    """
    left = {one_line(str(subject)): str(subject) for subject in (run or {}).get("removed") or ()}
    with suppress(InputFileError):
        for entry in read_trail(out / TRAIL):
            if entry is not None and entry["event"].endswith("_finished"):
                left |= {one_line(str(one)): str(one) for one in entry["detail"].get("removed") or ()}
    if left:
        with suppress(OSError, ValueError, UnicodeDecodeError, csv.Error):
            for subject in _listed(out):
                left.pop(subject, None)
    return set(left.values())


def records_sha256(records: Iterable[tuple[str, str]]) -> str:
    """Return one hash over all records, so that the trail vouches for each of them.

    ``records`` are subjects with their records' hashes (or any other hash of each), in the order of names.
    """
    digest = hashlib.sha256()
    for subject, sha256 in records:
        digest.update(json.dumps([subject, sha256]).encode() + b"\n")
    return digest.hexdigest()


class RunFile:
    """Tells the start and the end of one run, in ``run.json`` and as entries of the trail.

    ``event`` is "batch", "merge", `COMPARISON` or `ADJUDICATION`; ``detail`` what this kind of run says
    beside what all do. All methods raise an `OutputError` where nothing can be written.
    """

    def __init__(self, out: Path, *, event: str, detail: Mapping[str, Any], protocol: LoadedProtocol) -> None:
        self._out, self._event = out, event
        self._started = now()
        self._entered: set[tuple[str, str]] | None = None
        self._values: dict[str, Any] = {
            "schema": _SCHEMA,
            "event": event,
            "command": sys.argv,
            "user": _user(),
            "host": socket.gethostname(),
            "process": os.getpid(),
            "started_at": _text(self._started),
            **detail,
            # With its whole text: a rerun years later needs it, and the trail guards it.
            "protocol": {**protocol_record(protocol), "source": protocol.source, "text": protocol.text},
            "environment": environment(also=TABLE_LIBRARIES),
        }
        end = dict.fromkeys(("finished_at", "duration_seconds", "subjects", "status", "files"))
        self._enter(f"{event}_started", self._values, self._started, end)

    def replaced(self, one: Replaced) -> None:
        """Enter that a record took another's place, unless that is entered already."""
        if self._entered is None:
            known = entries_of_changes(self._out / TRAIL)
            self._entered = {(entry["old_sha256"], entry["new_sha256"]) for entry in known}
        change = (one["old_sha256"], one["new_sha256"])
        if change not in self._entered:
            self._entered.add(change)
            who = {key: self._values[key] for key in ("user", "host")}
            append_entry(self._out / TRAIL, event=EVENT, detail={**one, **who}, recorded_at=now())

    def finish(self, *, counts: Mapping[str, int], files: Mapping[str, str], **detail: object) -> None:
        """Tell the end of a run that came to its end."""
        ended = now()
        result = {
            "finished_at": _text(ended),
            "duration_seconds": round((ended - self._started).total_seconds(), 3),
            "subjects": sum(counts.values()),
            "status": dict(counts),
            **detail,
            "files": dict(files),
        }
        self._enter(f"{self._event}_finished", result, ended, result)

    def _enter(
        self, event: str, detail: Mapping[str, Any], at: datetime, result: Mapping[str, object]
    ) -> None:
        head = append_entry(self._out / TRAIL, event=event, detail=detail, recorded_at=at)
        _write_run_file(self._out, {**self._values, **result, "audit": asdict(head)})


def record_event(
    out: Path, event: str, detail: Mapping[str, Any], *, locked: bool | None = None
) -> TrailHead:
    """Add an entry to an output's trail and keep the trail's new head in ``run.json``, where there is one.

    The output's lock must be held: two programs at once would keep each other's head. ``locked`` says that
    the output is sealed or open from now on; None: as it was. A trail whose last entry has been altered is a
    `CorruptDataError`, what cannot be written an `OutputError`.
    """
    circumstances = {
        "user": _user(),
        "host": socket.gethostname(),
        "command": sys.argv,
        "environment": environment(),
    }
    head = append_entry(out / TRAIL, event=event, detail={**circumstances, **detail}, recorded_at=now())
    run = read_run_file(out)
    if run is not None:
        state = {} if locked is None else {"locked": locked}
        _write_run_file(out, {**run, "audit": asdict(head), **state})
    return head


def _write_run_file(out: Path, values: Mapping[str, Any]) -> None:
    write_atomically(out / RUN_FILE, (json.dumps(values, indent=2) + "\n").encode())


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _user() -> str | None:
    with suppress(ImportError, OSError, KeyError):
        return getpass.getuser()
    return None
