"""The audit trail: what was appended stays as it was, or it shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from volstrat.errors import CorruptDataError, InputFileError, OutputError
from volstrat.store.audit import NO_ENTRY, TrailHead, append_entry, check_trail, entry_sha256, read_trail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Lines = list[bytes]

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Write a trail of four entries."""
    path = tmp_path / "audit.jsonl"
    for n in range(4):
        append_entry(path, event=f"event_{n}", detail={"n": n, "name": "Å"}, recorded_at=NOON)
    return path


def test_entries_are_numbered_and_chained(trail: Path) -> None:
    """Each gives the hash of the one before; the first gives zeros."""
    entries = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [e["entry"] for e in entries] == [1, 2, 3, 4]
    assert entries[0]["previous_sha256"] == NO_ENTRY
    assert [e["previous_sha256"] for e in entries[1:]] == [e["sha256"] for e in entries[:-1]]
    assert all(e["sha256"] == entry_sha256(e) for e in entries)
    assert check_trail(trail) == (TrailHead(length=4, last_sha256=entries[3]["sha256"]), ())


def test_the_hash_of_an_entry_is_that_of_its_canonical_json() -> None:
    """Keys sorted, no spaces, ASCII escapes: another program can check it; the value is from sha256sum."""
    entry = {"b": "Å", "a": 1, "sha256": "left out"}
    # printf '{"a":1,"b":"\\u00c5"}' | sha256sum
    assert entry_sha256(entry) == "737034dcae4824c82afac1893b5380a76a20825cbd48101b60cf5924850cab14"


def test_times_are_utc(tmp_path: Path) -> None:
    """13:00 two hours east of Greenwich is 11:00 UTC."""
    at = datetime(2026, 3, 1, 13, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    append_entry(tmp_path / "t", event="x", detail={}, recorded_at=at)
    (entry,) = read_trail(tmp_path / "t")
    assert entry is not None
    assert entry["recorded_at"] == "2026-03-01T11:00:00.000Z"


def edited(line: bytes, **values: Any) -> bytes:  # noqa: ANN401
    """Return a line with other values, and its own hash made to fit."""
    entry = {**json.loads(line), **values}
    return json.dumps({**entry, "sha256": entry_sha256(entry)}).encode()


TAMPERED: dict[str, Callable[[Lines], Lines]] = {
    "a detail changed": lambda a: [a[0], a[1].replace(b'"n": 1', b'"n": 7'), *a[2:]],
    "a time changed": lambda a: [a[0].replace(b"12:00", b"11:00"), *a[1:]],
    "an event renamed": lambda a: [*a[:3], a[3].replace(b"event_3", b"event_9")],
    "a detail and its hash changed": lambda a: [a[0], edited(a[1], detail={}), *a[2:]],
    "the first entry removed": lambda a: a[1:],
    "a middle entry removed": lambda a: [a[0], *a[2:]],
    "two entries swapped": lambda a: [a[0], a[2], a[1], a[3]],
    "an entry doubled": lambda a: [a[0], a[1], a[1], *a[2:]],
    "an entry slipped in": lambda a: [a[0], edited(a[0], entry=2), *a[1:]],
    "a line blanked": lambda a: [a[0], b"", *a[2:]],
    "a key added": lambda a: [a[0].replace(b'{"entry"', b'{"more": 1, "entry"'), *a[1:]],
    "the end cut": lambda a: a[:3],
    "the last entry rewritten whole": lambda a: [*a[:3], edited(a[3], event="other")],
    "everything removed": lambda _: [],
}


@pytest.mark.parametrize("tampering", TAMPERED)
def test_tampering_shows(trail: Path, tampering: str) -> None:
    """With the head kept elsewhere, no change of the file goes unseen."""
    head, faults = check_trail(trail)
    assert not faults
    lines = trail.read_bytes().splitlines()
    trail.write_bytes(b"".join(line + b"\n" for line in TAMPERED[tampering](lines)))
    assert check_trail(trail, expected=head)[1]


def test_a_trail_may_have_grown_since_its_head_was_kept(trail: Path) -> None:
    """Growth is what trails do."""
    head, _ = check_trail(trail)
    append_entry(trail, event="later", detail={}, recorded_at=NOON)
    assert check_trail(trail, expected=head)[1] == ()


def test_the_faulty_entry_is_named(trail: Path) -> None:
    """An altered entry is named by number and event; its neighbours are not accused."""
    trail.write_bytes(trail.read_bytes().replace(b'"n": 2', b'"n": 5'))
    assert check_trail(trail)[1] == ("Entry 3 (event_2) has been altered.",)


def test_half_an_entry_is_taken_off_and_said(trail: Path) -> None:
    """What a full disk or a lost machine left of a line was never part of the trail."""
    whole = trail.read_bytes()
    trail.write_bytes(whole + b'{"entry": 5, "recor')
    assert check_trail(trail)[1]
    append_entry(trail, event="next", detail={}, recorded_at=NOON)
    entries = [entry for entry in read_trail(trail) if entry is not None]
    assert [e["event"] for e in entries[4:]] == ["unfinished_entry_removed", "next"]
    assert entries[4]["detail"]["bytes"] == 19
    assert trail.read_bytes().startswith(whole)
    assert check_trail(trail)[1] == ()


def test_nothing_is_chained_to_an_altered_entry(trail: Path) -> None:
    """Appending to a broken end would hide the break."""
    before = trail.read_bytes().replace(b'"n": 3', b'"n": 4')
    trail.write_bytes(before)
    with pytest.raises(CorruptDataError, match="altered"):
        append_entry(trail, event="x", detail={}, recorded_at=NOON)
    assert trail.read_bytes() == before


def test_long_entries_are_chained_too(tmp_path: Path) -> None:
    """An entry far longer than what is read from the end at first."""
    path = tmp_path / "t"
    append_entry(path, event="long", detail={"removed": ["subject"] * 40_000}, recorded_at=NOON)
    append_entry(path, event="next", detail={}, recorded_at=NOON)
    assert check_trail(path)[0].length == 2
    assert check_trail(path)[1] == ()


def test_what_cannot_be_written_or_read_is_said(tmp_path: Path) -> None:
    """A folder in the file's place; no file at all."""
    (tmp_path / "t").mkdir()
    with pytest.raises(OutputError, match="audit trail cannot be written"):
        append_entry(tmp_path / "t", event="x", detail={}, recorded_at=NOON)
    with pytest.raises(InputFileError):
        list(read_trail(tmp_path / "none"))
