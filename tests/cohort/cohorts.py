"""Small cohorts for tests, and what is done with their cases in place of measuring."""

from __future__ import annotations

import csv
import ctypes
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from make_cohort import subject_files
from volstrat.cohort.run_file import OWN_FILES
from volstrat.cohort.tasks import assess
from volstrat.cohort.worker import do_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volstrat.case.entries import EntryReader
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord
    from volstrat.cohort.pool import TakeTask
    from volstrat.cohort.tasks import Limits, Receipt, WorkerContext

STABLE_FILES = tuple(name for name in OWN_FILES if name not in {"run.json", "audit.jsonl"})
"""What must be the same to the byte, whoever made it, and however often it was interrupted."""


def write_case(folder: Path, number: int = 0) -> Path:
    """Write one small case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in subject_files(number).items():
        (folder / name).write_bytes(data)
    return folder


def results(out: Path) -> dict[str, bytes]:
    """Return the bytes of everything that must not depend on how a run went.

    The page says whose stratum changed over the runs; that alone is left out.
    """
    found = {name: (out / name).read_bytes() for name in STABLE_FILES}
    found["index.html"] = re.sub(rb'<section id="changes">.*?</section>', b"", found["index.html"])
    return found | {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("*/case.json")}


class InlineRunner:
    """Does tasks in this process: for tests of all but the workers."""

    def __init__(self, context: WorkerContext, *, workers: int, limits: Limits) -> None:
        del workers, limits
        self.context = context
        self.done: list[str] = []

    def receipts(self, take: TakeTask, ended: Callable[[], bool]) -> Iterator[Receipt | None]:
        """Yield receipts as `LocalRunner` does."""
        while not ended():
            task = take(0.05)
            if task is not None:
                yield do_task(task, self.context)
            yield None


def segfault(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Die of subject S00003."""
    if case.sources.subject == "S00003":
        ctypes.string_at(0)
    return assess(case, protocol)


def misbehave(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Die of one subject, sleep over another, eat memory over a third, be killed over a fourth."""
    if case.sources.subject == "S00002":
        os.kill(os.getpid(), signal.SIGSEGV)
    if case.sources.subject == "S00004":
        time.sleep(3600)
    if case.sources.subject == "S00005":
        eaten = [bytearray(b"\1" * 2**24)]
        while True:
            eaten.append(bytearray(eaten[0]))
    if case.sources.subject == "S00007":
        os.kill(os.getpid(), signal.SIGKILL)
    return assess(case, protocol)


def die_once(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Die the first time a case is read: a file beside it remembers."""
    mark = case.sources.folder / "died-here"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return assess(case, protocol)


def slowly(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Take a tenth of a second more than needed."""
    time.sleep(0.1)
    return assess(case, protocol)


def touch_while_reading(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Write to an input while it is being measured, every time."""
    with case.sources.entries["tumour"][0].path.open("ab") as stream:
        stream.write(b"")
    os.utime(case.sources.entries["tumour"][0].path)
    return assess(case, protocol)


def touch_once_while_reading(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Write to an input while it is measured the first time, as a copy that just comes to its end."""
    mark = case.sources.folder.parent / f"touched {case.sources.folder.name}"
    if not mark.exists():
        mark.touch()
        return touch_while_reading(case, protocol)
    return assess(case, protocol)


def odd_name(case: EntryReader, protocol: LoadedProtocol) -> CaseRecord:
    """Put a name that is not UTF-8 into a record, as file names may be."""
    record = assess(case, protocol)
    record["inputs"][0]["path"] = "tumour\udcff.nii.gz"
    return record


def rows(out: Path, table: str = "cohort") -> list[dict[str, str]]:
    """Return the rows of a CSV table."""
    with (out / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def statuses(out: Path) -> dict[str, str]:
    """Return each subject's status by the table."""
    return {row["subject"]: row["status"] for row in rows(out)}
