"""What goes to a worker and what comes back, how far a run has come, which subjects belong to a shard."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from volstrat.case.assess import assess_case
from volstrat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.case.discovery import CasePlace
    from volstrat.case.entries import EntryReader
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord
    from volstrat.cohort.run_file import Replaced

    Assess = Callable[[EntryReader, LoadedProtocol], CaseRecord]

FINAL_STATUSES = ("assigned", "review", "not_assessable")
"""A subject with one of these is not done again while its inputs, protocol and version stay the same."""

STATUSES = (*FINAL_STATUSES, "failed")


def assess(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Measure and stratify one case: what a cohort does with each of its subjects."""
    return assess_case(case, protocol).record


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One subject to do: its case, and its folder in the output.

    ``location`` is where the case lies below the root, or what the manifest calls it: its key in the ledger.
    """

    location: str
    case: CasePlace
    target: Path

    @property
    def subject(self) -> str:
        """What the cohort calls the case."""
        return self.case.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the parent learns of a subject that is done; the record itself stays on disk.

    ``inputs_sha256`` is empty where the inputs could not be read whole; ``skipped`` says that the record
    of an earlier run stands; ``replaced`` is the record that this one took the place of.
    """

    location: str
    subject: str
    status: str
    stratum: str | None
    inputs_sha256: str
    record_sha256: str
    version: str
    skipped: bool = False
    replaced: Replaced | None = None


@dataclass(slots=True)
class Progress:
    """Counts that a run keeps up to date; handed to the caller now and then.

    ``found`` cases were met so far, all there are once ``all_found``; ``done`` were done or skipped,
    ``skipped`` of these because the record of an earlier run stands; ``counts`` is by status. While
    ``writing``, all are done and the tables are being written.
    """

    found: int = 0
    all_found: bool = False
    done: int = 0
    skipped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    writing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """What is the same for every subject of a run.

    ``lesions`` is a lesion table to use instead of the cases' own; ``fresh``: do every subject, whatever an
    earlier run left; ``assess`` makes a record of sources and protocol.
    """

    protocol: LoadedProtocol
    lesions: str | None = None
    fresh: bool = False
    assess: Assess = assess


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one subject may take.

    The memory is that of data (heap and private mappings); None: the machine's, shared among the workers.
    """

    seconds: float = 1800.0
    memory_bytes: int | None = None

    @classmethod
    def of(cls, *, minutes: float, gib: float | None) -> Limits:
        """Return limits as people write them: minutes, and GiB or None."""
        return cls(seconds=minutes * 60, memory_bytes=None if gib is None else int(gib * 2**30))

    def __post_init__(self) -> None:
        if self.seconds <= 0 or (self.memory_bytes is not None and self.memory_bytes <= 0):
            msg = "The limits of time and memory must be above 0."
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of ``of`` equal parts of a cohort, counted from 1.

    The subject's name decides, so that every case of one subject is in one shard, whoever lists them.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            msg = f"There is no shard {self.number} of {self.of}."
            raise UsageError(msg, hint="Shards are counted from 1: --shard 1/8 to --shard 8/8.")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, subject: str) -> bool:
        """Tell whether a subject is of this shard."""
        digest = hashlib.sha256(subject.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """Parse ``k/n``.

    >>> parse_shard("2/8")
    Shard(number=2, of=8)
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if match is None:
        msg = f"A shard is k/n, two whole numbers; {text!r} is not."
        raise UsageError(msg, hint="For the second of eight write --shard 2/8.")
    return Shard(number=int(match[1]), of=int(match[2]))


def plain_text(text: str) -> str:
    r"""Return text that every file can hold: bytes of a name that are not UTF-8 become ``\xXX``.

    >>> plain_text("S\udcff1")
    'S\\xff1'
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def location_of(folder: Path, root: Path) -> str:
    """Return a case's key in the ledger: its path below the root, unlike that of any other case."""
    path = folder.relative_to(root).as_posix()
    plain = plain_text(path)
    if plain == path:
        return path
    return f"{plain} #{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
