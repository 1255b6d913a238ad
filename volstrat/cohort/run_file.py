"""``run.json`` and the audit trail: when, where, by whom, with what a cohort was made, and what was replaced.

The process that writes a record copies the one that stood there into ``.volstrat/history``, named by its
hash, and says so in the receipt; the parent adds the entry to the trail: from what to what, why, and by whom.
A receipt whose entry a lost parent never wrote is entered by the next run.
"""

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
from glob import escape
from typing import TYPE_CHECKING, Any, TypedDict

from volstrat.case.case_file import case_name
from volstrat.case.record import environment, protocol_record, record_name
from volstrat.errors import InputFileError
from volstrat.store.audit import TrailHead, append_entry, read_trail
from volstrat.store.disk_map import DiskMap
from volstrat.store.output import STATE_FOLDER, folder_name, read_object, write_atomically
from volstrat.store.tables import COLUMNS_FILE, TABLE_LIBRARIES, one_line, unguarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from volstrat.case.protocol_files import LoadedProtocol

RUN_FILE, TRAIL = "run.json", "audit.jsonl"
DERIVED_FILES = (
    "cohort.csv", "cohort.parquet", "lesions.csv", "lesions.parquet", COLUMNS_FILE, "summary.json",
    "index.html",
)  # fmt: skip
"""What follows from a cohort's records alone."""
OWN_FILES = (*DERIVED_FILES, RUN_FILE, TRAIL)
"""What a cohort run writes beside the subjects' folders."""
BASIS = ("agreement.json", "adjudication.csv", "adjudication.xlsx")
"""What an adjudicated cohort rests on, kept in it."""
COMPARISON, ADJUDICATION = "compare", "adjudicate"
"""Events of the runs that compare readings and that build a final cohort, beside "batch" and "merge"."""
_SCHEMA = "volstrat.run/1"
RECORD_CHANGED = "record_changed"
HISTORY = f"{STATE_FOLDER}/history"

_MARK_ROLES = ("lesions", "history")


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def read_run_file(out: Path) -> dict[str, Any] | None:
    """Return what the last run into a folder said of itself; None where there is nothing readable."""
    found = read_object(out / RUN_FILE)
    return found if found is not None and found.get("schema") == _SCHEMA else None


def kept_head(run: Mapping[str, Any] | None) -> TrailHead | None:
    """Return the trail's head as ``run.json`` keeps it; None where it does not."""
    found = (run or {}).get("audit")
    if not isinstance(found, dict) or not isinstance(found.get("length"), int):
        return None
    return TrailHead(length=found["length"], last_sha256=str(found.get("last_sha256")))


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
        self._entered: dict[str, tuple[str, str]] | None = None  # the last change of each subject
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
        """Enter that a record took another's place, unless that is the subject's last entry already."""
        if self._entered is None:
            known = entries_of_changes(self._out / TRAIL)
            self._entered = {entry["subject"]: change_of(entry) for entry in known}
        if self._entered.get(one["subject"]) != change_of(one):
            self._entered[one["subject"]] = change_of(one)
            who = {key: self._values[key] for key in ("user", "host")}
            append_entry(self._out / TRAIL, event=RECORD_CHANGED, detail={**who, **one}, recorded_at=now())

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


class Replaced(TypedDict):
    """A record that another one took the place of.

    ``moved`` names what differs: inputs, marks, reviews, plan, protocol, version.
    """

    subject: str
    moved: list[str]
    old_stratum: str | None
    old_status: str
    new_stratum: str | None
    new_status: str
    old_sha256: str
    new_sha256: str


def keep_replaced(out: Path, old: bytes, new: bytes, name: str) -> Replaced | None:
    """Keep the record that is about to be replaced; None where it is the same, or no record at all.

    ``out`` is the output folder, ``name`` what the cohort calls the subject.
    """
    if old == new:
        return None
    try:
        before, after = json.loads(old), json.loads(new)
        then, now = _rests_on(before), _rests_on(after)
        (old_stratum, old_status), (new_stratum, new_status) = (
            (record["stratum"], record["status"]) for record in (before, after)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    old_sha256 = hashlib.sha256(old).hexdigest()
    write_atomically(out / HISTORY / f"{old_sha256}.json", old, at_once=False)
    return Replaced(
        subject=name,
        moved=[what for what in now if then[what] != now[what]],
        old_stratum=old_stratum,
        old_status=old_status,
        new_stratum=new_stratum,
        new_status=new_status,
        old_sha256=old_sha256,
        new_sha256=hashlib.sha256(new).hexdigest(),
    )


def _rests_on(record: Mapping[str, Any]) -> dict[str, object]:
    """Return what a record rests on; keys that an older form has not count as empty."""
    inputs = [(one.get("role"), one.get("sha256")) for one in record.get("inputs") or ()]
    return {
        "inputs": [one for one in inputs if one[0] not in (*_MARK_ROLES, "reviews")],
        "marks": [sha256 for wanted in _MARK_ROLES for role, sha256 in inputs if role == wanted],
        "reviews": [sha256 for role, sha256 in inputs if role == "reviews"],
        "plan": (record.get("chosen_plan"), record.get("plans") or []),
        "protocol": (record.get("protocol") or {}).get("sha256"),
        "version": (record.get("environment") or {}).get("volstrat"),
    }


def entries_of_changes(trail: Path) -> Iterator[dict[str, Any]]:
    """Yield the details of a trail's entries on replaced records, in their order."""
    with suppress(InputFileError):
        for entry in read_trail(trail):
            if entry is not None and entry["event"] == RECORD_CHANGED:
                yield entry["detail"]


def change_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return which record took the place of which, by their hashes."""
    return entry["old_sha256"], entry["new_sha256"]


def changed_strata(trail: Path) -> list[str]:
    """Return a sentence for each subject whose stratum is another than when it was first measured.

    A subject that failed until its files were mended had none to change.
    """
    first: dict[str, str | None] = {}
    last: dict[str, str | None] = {}
    moved: dict[str, dict[str, None]] = {}
    for one in entries_of_changes(trail):
        if one["subject"] not in first and one["old_status"] == "failed":
            continue
        first.setdefault(one["subject"], one["old_stratum"])
        last[one["subject"]] = one["new_stratum"]
        moved.setdefault(one["subject"], {}).update(dict.fromkeys(one["moved"]))
    return [
        f"{subject}: {_shown(first[subject])} became {_shown(stratum)}"
        f" ({', '.join(moved[subject]) or 'nothing that is known'})"
        for subject, stratum in sorted(last.items())
        if stratum != first[subject]
    ]


def _shown(stratum: str | None) -> str:
    return "no stratum" if stratum is None else stratum.replace("_", " ")


def history_faults(out: Path, trail: Path) -> Iterator[tuple[str, str]]:
    """Yield the kept records that are not as they should be.

    Gone ("missing"), not what they were ("altered"), or named by no entry of the trail ("extra"): then the
    entry was taken away.
    """
    known = set()
    for sha256 in dict.fromkeys(str(one.get("old_sha256")) for one in entries_of_changes(trail)):
        name = f"{HISTORY}/{sha256}.json"
        known.add(f"{sha256}.json")
        try:
            data = (out / name).read_bytes()
        except OSError:
            yield name, "missing"
            continue
        if hashlib.sha256(data).hexdigest() != sha256:
            yield name, "altered"
    with suppress(OSError):
        for path in sorted((out / HISTORY).glob("*.json")):
            if path.name not in known and not path.name.startswith(".") and not _stands(out, path):
                yield f"{HISTORY}/{path.name}", "extra"


def _stands(out: Path, kept: Path) -> bool:
    """Tell whether a kept record still stands: whoever was to replace it was stopped before it did."""
    try:
        data = kept.read_bytes()
        folder = folder_name(record_name(json.loads(data)))
        return any(path.read_bytes() == data for path in out.glob(f"{escape(folder)}*/case.json"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
