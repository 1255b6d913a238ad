"""Where a cohort's cases come from: a folder that is walked, or a manifest; found while others are done."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.case.discovery import holds_case_files, is_case_folder, iter_case_folders, subject_of
from volstrat.cohort.manifest import Manifest
from volstrat.cohort.run_file import RUN_FILE
from volstrat.cohort.tasks import location_of, plain_text
from volstrat.errors import UsageError, VolstratError
from volstrat.store.output import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.cohort.tasks import Shard

_MOST_AHEAD = 200_000
"""Cases that may be found before they are worked on; a path each, so some tens of megabytes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCase:
    """A case that discovery met; fields as in `Task`."""

    location: str
    subject: str
    folder: Path
    sources: CaseSources | None = None
    problem: VolstratError | None = None


def find_cases(source: Path, out: Path, *, shard: Shard | None) -> Iterator[FoundCase]:
    """Return the cases of a folder or manifest as they are met, of one shard where one is asked for.

    Raises
    ------
    VolstratError
        If a manifest cannot be used.
    """
    found = _listed(Manifest(source)) if source.is_file() else _walked(source, out)
    return (case for case in found if shard is None or shard.holds(case.subject))


def _walked(root: Path, out: Path) -> Iterator[FoundCase]:
    for folder in iter_case_folders(root, skip=out):
        yield FoundCase(
            location=location_of(folder, root), subject=plain_text(subject_of(folder)), folder=folder
        )


def _listed(manifest: Manifest) -> Iterator[FoundCase]:
    for row in manifest.rows():
        yield FoundCase(
            location=row.subject,
            subject=row.subject,
            folder=manifest.path.parent,
            sources=row.sources,
            problem=row.problem,
        )


def check_places(source: Path, out: Path) -> None:
    """Refuse an output that is the input or a file, or that holds cases of the input.

    Raises
    ------
    UsageError
    """
    if not source.exists():
        msg = f"{source}: there is no such folder or manifest."
        raise UsageError(msg)
    inputs = source.parent if source.is_file() else source
    if out.resolve() == inputs.resolve():
        msg = f"{out}: the output folder is the input folder."
        raise UsageError(msg, hint="Name another folder with -o.")
    if out.exists() and not out.is_dir():
        msg = f"{out}: is a file; results go into a folder."
        raise UsageError(msg, hint="Name another folder with -o.")
    is_output = (out / STATE_FOLDER).exists() or (out / RUN_FILE).exists()
    if not out.is_dir() or is_output:
        return
    inside = out.resolve().is_relative_to(inputs.resolve())
    if holds_case_files(out) if inside else is_case_folder(out):
        msg = f"{out}: holds a case; an output is never walked, so what it holds would be passed over."
        raise UsageError(msg, hint="Name another folder with -o.")


class CaseStream:
    """The cases of a source, looked for by a thread of its own, so that a slow disk holds up nobody.

    Parameters
    ----------
    cases : iterator of FoundCase
    """

    def __init__(self, cases: Iterator[FoundCase]) -> None:
        self._queue: queue.Queue[FoundCase | None] = queue.Queue(_MOST_AHEAD)
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self.found = 0
        self.all_found = False
        self.ended = False
        self._thread = threading.Thread(target=self._look, args=(cases,), daemon=True)
        self._thread.start()

    def _look(self, cases: Iterator[FoundCase]) -> None:
        try:
            for case in cases:
                if not self._put(case):
                    return
                self.found += 1
        except Exception as error:
            self._error = error
        self.all_found = True
        self._put(None)

    def _put(self, case: FoundCase | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(case, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def take(self, wait_seconds: float = 0.0) -> FoundCase | None:
        """Return the next case; None where none is there yet, or ever (then `ended` is true).

        Raises
        ------
        Exception
            What discovery itself ran into.
        """
        if self.ended:
            return None
        try:
            case = self._queue.get(block=wait_seconds > 0, timeout=wait_seconds or None)
        except queue.Empty:
            return None
        if case is None:
            self.ended = True
            if self._error is not None:
                raise self._error
        return case

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()
        self._thread.join(timeout=5)
