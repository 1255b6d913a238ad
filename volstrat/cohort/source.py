"""Where a cohort's cases come from: a folder, a manifest or a study file; found while others are done."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.case.discovery import (
    cases_below,
    holds_case_files,
    is_case_folder,
    iter_case_folders,
    may_be_case,
    role_files_in,
    role_of,
    subjects_of,
)
from volstrat.case.place import CasePlace
from volstrat.cohort.manifest import Manifest
from volstrat.cohort.run_file import RUN_FILE
from volstrat.cohort.tasks import location_of, plain_text
from volstrat.errors import UsageError
from volstrat.store.output import STATE_FOLDER
from volstrat.study.study_file import is_study_file, read_study
from volstrat.study.subjects import find_study_cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from volstrat.cohort.tasks import Shard
    from volstrat.study.study_file import Study

_MOST_AHEAD = 200_000
"""Cases that may be found before they are worked on; a path each, so some tens of megabytes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCase:
    """A case that discovery met; fields as in `Task`."""

    location: str
    case: CasePlace

    @property
    def subject(self) -> str:
        """What the cohort calls the case."""
        return self.case.name


def find_cases(
    source: Path, out: Path, *, shard: Shard | None, lesions: str | None = None
) -> Iterator[FoundCase]:
    """Return the cases of a folder, manifest or study file, of one shard where one is asked for.

    Parameters
    ----------
    source, out : Path
    shard : Shard or None
    lesions : str or None
        The reader whose lesion tables a study names; of other sources the cases find it themselves.

    Raises
    ------
    VolstratError
        If a manifest or study file cannot be used.
    """
    if not source.is_file():
        found = _walked(source, out)
    elif is_study_file(source):
        found = _studied(read_study(source), out, lesions)
    else:
        found = _listed(Manifest(source))
    return (case for case in found if shard is None or shard.holds(case.subject))


def _walked(root: Path, out: Path) -> Iterator[FoundCase]:
    folders = list(iter_case_folders(root, skip=out))
    if len(folders) > 1 and not any(may_be_case(folder) for folder in folders):
        msg = (
            f"{root.resolve().name}: {len(folders)} folders, none of which holds a mask, case.toml or DICOM."
        )
        raise UsageError(msg, hint="Name the folder that holds the cases; volstrat init knows other trees.")
    for folder, subject in zip(folders, subjects_of(folders, root), strict=True):
        case = CasePlace(folder=folder, subject=plain_text(subject))
        yield FoundCase(location=location_of(folder, root), case=case)


def _listed(manifest: Manifest) -> Iterator[FoundCase]:
    for row in manifest.rows():
        yield FoundCase(
            location=row.subject,
            case=CasePlace(
                folder=manifest.path.parent, subject=row.subject, sources=row.sources, problem=row.problem
            ),
        )


def _studied(study: Study, out: Path, reader: str | None) -> Iterator[FoundCase]:
    for case in find_study_cases(study, reader=reader, skip=out):
        yield FoundCase(location=case.name, case=case)


def root_files(root: Path) -> list[str]:
    """Return the lesion tables at the root of a cohort, which play no role: nobody says whose they are.

    Raises
    ------
    UsageError
        If another role file lies there while cases lie below: is it one case, or many?
    """
    if not root.is_dir():
        return []
    files = role_files_in(root)
    below = cases_below(root) if files else []
    if not below:
        return []
    names = [path.name for path in files]
    if any(role_of(path) != "lesions" for path in files):
        msg = f"{root.resolve().name}: holds {', '.join(names)} itself, and {len(below)} case(s) lie below."
        raise UsageError(msg, hint="Name one case's folder, or move what belongs to no subject elsewhere.")
    return names


def check_places(source: Path, out: Path) -> None:
    """Refuse an output that is the input or a file, or that holds cases of the input.

    Raises
    ------
    UsageError
    """
    if not source.exists():
        msg = f"{source}: there is no such folder, manifest or study file."
        raise UsageError(msg)
    if not (source.is_dir() or source.is_file()):
        msg = f"{source}: is neither a folder nor a file."
        raise UsageError(msg, hint="Name a folder of cases, a manifest or a study file.")
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
    """The cases of a source, looked for by a thread of its own, so that a slow disk holds up nobody."""

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
