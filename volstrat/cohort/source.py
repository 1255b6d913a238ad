"""Where a cohort's cases come from: a folder, a manifest or a study file; found while others are done."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
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
from volstrat.errors import OutputError, UsageError, WorkerLostError
from volstrat.store.output import STATE_FOLDER
from volstrat.study.study_file import is_study_file, read_study
from volstrat.study.subjects import find_study_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.cohort.tasks import Shard
    from volstrat.study.study_file import Study


_IN_MEMORY_BYTES = 1 << 20


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
    folders = [str(folder) for folder in iter_case_folders(root, skip=out)]  # a Path holds five times as much
    if len(folders) > 1 and not any(may_be_case(Path(folder)) for folder in folders):
        msg = (
            f"{root.resolve().name}: {len(folders)} folders, none of which holds a mask, case.toml or DICOM."
        )
        raise UsageError(msg, hint="Name the folder that holds the cases; volstrat init knows other trees.")
    for name, subject in zip(folders, subjects_of(folders, root), strict=True):
        folder = Path(name)
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
    """The cases of a source, looked for by a thread of its own, so that a slow disk holds up nobody.

    Those that are found and not yet taken wait on disk where they are many.
    """

    def __init__(self, cases: Iterator[FoundCase]) -> None:
        self._turn = threading.Condition()
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._waiting = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)
        self._taken = self._at = 0
        self.found = 0
        self.all_found = False
        self._thread = threading.Thread(target=self._look, args=(cases,), daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            msg = f"The system gives no thread to look for cases with ({error})."
            hint = "May this user have more processes (ulimit -u)? Is there enough memory (ulimit -v)?"
            raise WorkerLostError(msg, hint=hint) from error

    @property
    def ended(self) -> bool:
        """True once every case has been taken."""
        return self.all_found and self._taken == self.found and self._error is None

    def _look(self, cases: Iterator[FoundCase]) -> None:
        try:
            for case in cases:
                if self._stopped.is_set():
                    return
                self._keep(case)
        except Exception as error:
            self._error = error
        with self._turn:
            self.all_found = True
            self._turn.notify()

    def _keep(self, case: FoundCase) -> None:
        data = pickle.dumps(case)
        with self._turn:
            try:
                self._waiting.seek(0, os.SEEK_END)
                self._waiting.write(data)
            except OSError as error:
                msg = f"The temporary folder cannot be written ({error.strerror})."
                hint = "Check the space on its disk, or let TMPDIR name another folder."
                raise OutputError(msg, hint=hint) from error
            self.found += 1
            self._turn.notify()

    def take(self, wait_seconds: float = 0.0) -> FoundCase | None:
        """Return the next case; None where none is there yet, or ever (then `ended` is true).

        Raises
        ------
        Exception
            What discovery itself ran into.
        """
        with self._turn:
            if self._taken == self.found and not self.all_found and wait_seconds:
                self._turn.wait(wait_seconds)
            if self._taken < self.found:
                self._waiting.seek(self._at)
                case: FoundCase = pickle.load(self._waiting)
                self._at, self._taken = self._waiting.tell(), self._taken + 1
                return case
            if self.all_found and self._error is not None:
                error, self._error = self._error, None
                raise error
        return None

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()
        self._thread.join(timeout=5)
        with self._turn:
            self._waiting.close()
