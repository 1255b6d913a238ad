"""Whether an output's trail is whole, and what it says of the seal and of the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from volstrat.cohort.run_file import RUN_FILE, TRAIL, is_damaged, kept_head, read_run_file
from volstrat.errors import InputFileError
from volstrat.store.audit import TrailHead, check_trail, read_trail
from volstrat.store.output import STATE_FOLDER
from volstrat.store.seal import LOCKED, MANIFEST, SEALED_BY, STATE_FILE, UNLOCKED, sealed_by
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CLOCK_SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailState:
    """What checking a trail gave, a sentence for each thing."""

    head: TrailHead
    faults: tuple[str, ...]  # empty where the trail is whole
    openings: tuple[str, ...] = ()  # who opened the sealed output, when and why; said ever after, no fault
    clock: tuple[str, ...] = ()  # entries dated before the one before them; no fault, for clocks are set


def check_output_trail(out: Path) -> TrailState:
    """Check an output's trail: every link, its length and last hash, and what ``run.json`` took from it.

    No trail at all, where nothing says that there should be one, is an `InputFileError`.
    """
    run = read_run_file(out)
    expected = kept_head(run)
    if not (out / TRAIL).is_file():
        if run is None:
            msg = f"{out}: holds no audit trail ({TRAIL})."
            raise InputFileError(msg, hint="Name the output folder of volstrat batch.")
        return TrailState(head=TrailHead(), faults=(f"The trail ({TRAIL}) was removed.",))
    head, faults = check_trail(out / TRAIL, expected=expected)
    sentences = list(faults)
    if run is None:
        state = "cannot be read" if is_damaged(out) else "is missing"
        sentences.append(f"{RUN_FILE} {state}: whether the trail's end was cut cannot be known.")
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
    if run is not None and not faults:
        sentences += _run_file_faults(run, _entries(out))
    sentences += _seal_faults(out)
    return TrailState(
        head=head, faults=tuple(sentences), openings=tuple(_openings(out)), clock=tuple(_clock(out))
    )


def _clock(out: Path) -> Iterator[str]:
    """Say where an entry is dated more than a minute before the one before it."""
    before: datetime | None = None
    for entry in _entries(out):
        try:
            at = datetime.fromisoformat(entry["recorded_at"])
        except ValueError:
            continue
        if at.tzinfo is None:  # no program wrote that; its hash says so
            continue
        if before is not None and before - at > _CLOCK_SLACK:
            yield (
                f"Entry {entry['entry']} ({entry['event']}) is dated {entry['recorded_at']}, before the "
                "entry before it: the computer's clock was set back."
            )
        before = at


def _entries(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the trail's entries one by one: a trail grows with every subject that ever changed."""
    return (entry for entry in read_trail(out / TRAIL) if entry is not None)


def _openings(out: Path) -> Iterator[str]:
    for entry in _entries(out):
        if entry["event"] == UNLOCKED:
            detail = entry["detail"]
            yield f"Opened on {entry['recorded_at']} by {detail.get('by')}: {detail.get('reason')}"


def _seal_faults(out: Path) -> Iterator[str]:
    """Say what was written into a sealed output, and which of the things that say "sealed" are gone."""
    locked, sealings = False, 0
    opened = set()
    for entry in _entries(out):
        if locked and entry["event"] != UNLOCKED:
            yield f"Entry {entry['entry']} ({entry['event']}) was written while the output was sealed."
        if entry["event"] in (LOCKED, UNLOCKED):
            locked = entry["event"] == LOCKED
            sealings += locked
            opened.add(str(entry["detail"].get("manifest_sha256") or "")[:12])
        if entry["event"] == UNLOCKED and entry["detail"].get("seal_faults"):
            names = shown_names([str(one) for one in entry["detail"]["seal_faults"]])
            yield f"When it was opened (entry {entry['entry']}), it was not as it was sealed: {names}."
    if not sealings and (out / STATE_FOLDER / STATE_FILE).is_file():
        yield f"{STATE_FOLDER}/{STATE_FILE} says that the output was sealed once; no entry of the trail does."
    for path in sorted((out / STATE_FOLDER / "history").glob(f"{MANIFEST}.*")):
        if path.name.rsplit(".", 1)[-1] not in opened:
            yield f"{path.name}, the manifest of a seal that was opened, is named by no entry of the trail."
    said = sealed_by(out)
    for name in SEALED_BY:
        if said and name not in said:
            yield f"{name} no longer says that the output is sealed, though {', '.join(said)} does."


def _run_file_faults(run: Mapping[str, Any], entries: Iterator[dict[str, Any]]) -> list[str]:
    """Compare ``run.json`` with the trail's entries on the same run."""
    wanted: dict[str, Any] = {}
    for entry in entries:
        if entry["event"].endswith("_started"):
            wanted = dict(entry["detail"])
        elif entry["event"].endswith("_finished"):
            wanted |= entry["detail"]
    written = {key for key, value in run.items() if value is not None and key not in ("audit", "locked")}
    return [
        f"{RUN_FILE} says other than the trail: {key}."
        for key in [*wanted, *sorted(written - set(wanted))]
        if key not in wanted or key not in run or run[key] != wanted[key]
    ]
