"""Where a cohort's cases come from: a folder, a manifest or a study file; found while others are done."""

from __future__ import annotations

import csv
import os
import pickle
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.case_file import CaseSources, RoleEntry, path_named
from volstrat.case.discovery import (
    CasePlace,
    cases_below,
    holds_case_files,
    is_case_folder,
    iter_case_folders,
    may_be_case,
    role_files_in,
    role_of,
    subjects_of,
)
from volstrat.case.table_file import check_header, table_form, without_empty_end
from volstrat.cohort.run_file import RUN_FILE
from volstrat.cohort.tasks import Shard, location_of, plain_text
from volstrat.errors import (
    CaseError,
    DuplicateSubjectError,
    InputFileError,
    MissingRoleError,
    OutputError,
    UsageError,
    WorkerLostError,
)
from volstrat.store.output import STATE_FOLDER
from volstrat.study.study_file import is_study_file, read_study
from volstrat.study.subjects import find_study_cases
from volstrat.terms.roles import MASK_ROLES, ROLES
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_IN_MEMORY_BYTES = 1 << 20

SUBJECT = "subject"

_SEGMENTS = ".segments"
_SEGMENT_COLUMNS = tuple(f"{role}{_SEGMENTS}" for role in MASK_ROLES if role in ROLES)
_HEAD_BYTES = 1 << 16


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

    ``lesions`` is the reader whose lesion tables a study names; of other sources the cases find it. A
    manifest or study file that cannot be used is a `VolstratError`.
    """
    if not source.is_file():
        found = _walked(source, out)
    else:
        if is_study_file(source):
            named = find_study_cases(read_study(source), reader=lesions, skip=out)
        else:
            named = Manifest(source).cases()
        found = (FoundCase(location=case.name, case=case) for case in named)
    return (case for case in found if shard is None or shard.holds(case.subject))


def _walked(root: Path, out: Path) -> Iterator[FoundCase]:
    folders = [str(folder) for folder in iter_case_folders(root, skip=out)]  # a Path holds five times as much
    if len(folders) > 1 and not any(may_be_case(Path(folder)) for folder in folders):
        msg = (
            f"{root.resolve().name}: {len(folders)} folders, none of which holds a mask, case.toml or DICOM."
        )
        raise UsageError(msg, hint="Name the folder that holds the cases; volstrat init knows other trees.")
    subjects = [plain_text(subject) for subject in subjects_of(folders, root)]
    times = Counter(subjects)
    several: dict[str, list[str]] = {}  # where the cases of one name lie
    for name, subject in zip(folders, subjects, strict=True):
        if times[subject] > 1:
            several.setdefault(subject, []).append(location_of(Path(name), root))
    for name, subject in zip(folders, subjects, strict=True):
        location = location_of(Path(name), root)
        there = several.get(subject, [location])
        if location == there[0]:  # the others are told of with the first
            problem = said_twice(subject, sorted(there)) if len(there) > 1 else None
            yield FoundCase(
                location=location, case=CasePlace(folder=Path(name), subject=subject, problem=problem)
            )


def said_twice(subject: str, locations: Sequence[str]) -> DuplicateSubjectError:
    """Return the error of a subject that several cases are called."""
    msg = f"{len(locations)} cases are called {subject!r}: {shown_names([*map(repr, locations)])}."
    return DuplicateSubjectError(msg, hint="Rename all but one, or set another subject in case.toml.")


def root_files(root: Path) -> list[str]:
    """Return the lesion tables at the root of a cohort, which play no role: nobody says whose they are.

    Another role file there while cases lie below (is it one case, or many?) is a `UsageError`.
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
    """Refuse an output that is the input or a file, or that holds cases of the input."""
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


class Manifest:
    """A manifest that was looked through once; its rows are read again as they are wanted.

    A CSV, as spreadsheets save it, with the column ``subject``, one column a role, and ``<role>.segments``
    for the segments, ROIs or labels that are meant (separated by ``|``); paths relative to its folder.

    One that cannot be read, lacks ``subject`` or ``tumour``, has a column that is no role or a row without a
    subject is an `InputFileError` or `UsageError`. What is wrong with one subject's row fails that one only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._twice: dict[str, list[int]] = {}
        first: dict[str, int] = {}
        self._header: list[str] = []
        for line, cells in self._lines():
            subject = self._subject(line, cells)
            if subject in first:
                self._twice.setdefault(subject, [first[subject]]).append(line)
            first.setdefault(subject, line)
        self.subjects = len(first)

    def cases(self) -> Iterator[CasePlace]:
        """Yield each subject's case once, in the order of the file; what is wrong with one is its problem.

        Raises as the manifest does, where the file is no longer what it was.
        """
        reported: set[str] = set()
        for line, cells in self._lines():
            subject = self._subject(line, cells)
            if subject in reported:
                continue
            sources: CaseSources | None = None
            problem: CaseError | None = None
            if subject in self._twice:
                reported.add(subject)
                problem = self._duplicate(subject)
            else:
                try:
                    sources = self._sources(subject, line, cells)
                except CaseError as error:
                    problem = error
            yield CasePlace(folder=self.path.parent, subject=subject, sources=sources, problem=problem)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line numbers and cells of the rows below the header that are not blank."""
        try:
            with self.path.open("rb") as head:
                form = table_form(head.read(_HEAD_BYTES), name=self.path.name, error=UsageError)
            with self.path.open(encoding=form.encoding, newline="") as stream:
                for _ in range(form.skipped):
                    stream.readline()
                reader = csv.reader(stream, delimiter=form.separator, strict=True)
                self._header = without_empty_end([cell.strip() for cell in next(reader, [])])
                check_header(
                    self._header,
                    name=self.path.name,
                    required=(SUBJECT, "tumour"),
                    known=(SUBJECT, *ROLES, *_SEGMENT_COLUMNS),
                    hint=f"Columns are {', '.join((SUBJECT, *ROLES, *_SEGMENT_COLUMNS))}."
                    " Surgical plans stand in each subject's own case.toml.",
                    error=UsageError,
                )
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        stripped = [cell.strip() for cell in cells]
                        line = reader.line_num + form.skipped
                        yield line, without_empty_end(stripped, at_least=len(self._header))
        except UnicodeDecodeError as error:
            msg = f"{self.path.name}: is not UTF-8 text."
            raise UsageError(msg, hint="Save the manifest as CSV UTF-8.") from error
        except csv.Error as error:
            msg = f"{self.path.name}: is not a readable CSV ({error})."
            raise UsageError(msg) from error
        except OSError as error:
            msg = f"{self.path.name}: cannot be read ({error.strerror})."
            raise InputFileError(msg) from error

    def _subject(self, line: int, cells: list[str]) -> str:
        place = self._header.index(SUBJECT)
        subject = plain_text(cells[place]) if place < len(cells) else ""
        if not subject:
            msg = f"{self.path.name}, line {line}: the subject is empty."
            raise UsageError(msg, hint="Give every row a subject, or remove the row.")
        return subject

    def _duplicate(self, subject: str) -> DuplicateSubjectError:
        lines = self._twice[subject]
        lines_text = f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"
        msg = f"{self.path.name}: {lines_text} are called {subject!r}; a subject has one row."
        return DuplicateSubjectError(msg, hint="Rename one of them, or remove it.")

    def _sources(self, subject: str, line: int, cells: list[str]) -> CaseSources:
        if len(cells) != len(self._header):
            msg = f"{self.path.name}, line {line}: has {len(cells)} cells, the header {len(self._header)}."
            raise CaseError(msg, hint="Put cells that contain a comma in double quotes.")
        row = dict(zip(self._header, cells, strict=True))
        if not row["tumour"]:
            msg = f"{self.path.name}, line {line}: names no tumour mask."
            raise MissingRoleError(msg, hint="Write its path in the column tumour.")
        entries = {}
        for role in ROLES:
            segments = row.get(f"{role}{_SEGMENTS}", "")
            if row.get(role):
                names = [name.strip() for name in segments.split("|")]
                select = tuple(int(name) if name.isdecimal() else name for name in names if name)
                entries[role] = (RoleEntry(path=path_named(row[role], self.path.parent), select=select),)
            elif segments:
                msg = f"{self.path.name}, line {line}: names segments for {role}, but no file."
                raise CaseError(msg, hint=f"Write its path in the column {role}.")
        return CaseSources(folder=self.path.parent, subject=subject, entries=entries, told_by="manifest")


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

        What discovery itself ran into is raised here.
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
