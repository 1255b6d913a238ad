"""What a run replaces: the old record is kept, and the trail says from what to what, why, and by whom.

The process that writes a record copies the one that stood there into ``.volstrat/history``, named by its
hash, and says so in the receipt; the parent adds the entry. A receipt whose entry a lost parent never wrote
is entered by the next run.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from glob import escape
from typing import TYPE_CHECKING, Any, TypedDict

from volstrat.case.record import record_name
from volstrat.errors import InputFileError
from volstrat.store.audit import read_trail
from volstrat.store.output import STATE_FOLDER, folder_name, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EVENT = "record_changed"
HISTORY = f"{STATE_FOLDER}/history"

_MARK_ROLES = ("lesions", "history")


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

    Parameters
    ----------
    out : Path
        The output folder.
    old, new : bytes
        Records.
    name : str
        What the cohort calls the subject.

    Raises
    ------
    OutputError
    """
    if old == new:
        return None
    try:
        before, after = json.loads(old), json.loads(new)
        outcomes = [(record["stratum"], record["status"]) for record in (before, after)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    old_sha256 = hashlib.sha256(old).hexdigest()
    write_atomically(out / HISTORY / f"{old_sha256}.json", old, at_once=False)
    return Replaced(
        subject=name,
        moved=_what_moved(before, after),
        old_stratum=outcomes[0][0],
        old_status=outcomes[0][1],
        new_stratum=outcomes[1][0],
        new_status=outcomes[1][1],
        old_sha256=old_sha256,
        new_sha256=hashlib.sha256(new).hexdigest(),
    )


def _what_moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name what a record rests on that is not what it was.

    Parameters
    ----------
    before, after : mapping
        Records of one subject; keys that an older form has not count as empty.
    """
    moved = {
        "inputs": _inputs(before) != _inputs(after),
        "marks": _marks(before) != _marks(after),
        "reviews": _of_role(before, "reviews") != _of_role(after, "reviews"),
        "plan": (before.get("chosen_plan"), before.get("plans") or [])
        != (after.get("chosen_plan"), after.get("plans") or []),
        "protocol": _value(before, "protocol", "sha256") != _value(after, "protocol", "sha256"),
        "version": _value(before, "environment", "volstrat") != _value(after, "environment", "volstrat"),
    }
    return [name for name, has_moved in moved.items() if has_moved]


def _value(record: Mapping[str, Any], *keys: str) -> object:
    found: Any = record
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _inputs(record: Mapping[str, Any]) -> list[tuple[object, object]]:
    skipped = (*_MARK_ROLES, "reviews")
    return [
        (one.get("role"), one.get("sha256"))
        for one in record.get("inputs") or ()
        if one.get("role") not in skipped
    ]


def _of_role(record: Mapping[str, Any], role: str) -> list[object]:
    return [one.get("sha256") for one in record.get("inputs") or () if one.get("role") == role]


def _marks(record: Mapping[str, Any]) -> list[object]:
    return [sha256 for role in _MARK_ROLES for sha256 in _of_role(record, role)]


def entries_of_changes(trail: Path) -> Iterator[dict[str, Any]]:
    """Yield the details of a trail's entries on replaced records, in their order."""
    with suppress(InputFileError):
        for entry in read_trail(trail):
            if entry is not None and entry["event"] == EVENT:
                yield entry["detail"]


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
