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
