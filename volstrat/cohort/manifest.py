"""A manifest: one row a subject, one column a role."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.case_file import CaseSources, RoleEntry, path_named
from volstrat.case.table_file import check_header, table_form, without_empty_end
from volstrat.cohort.tasks import plain_text
from volstrat.errors import CaseError, DuplicateSubjectError, InputFileError, MissingRoleError, UsageError
from volstrat.terms.roles import MASK_ROLES, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.errors import VolstratError

SUBJECT = "subject"

_SEGMENTS = ".segments"
_SEGMENT_COLUMNS = tuple(f"{role}{_SEGMENTS}" for role in MASK_ROLES if role in ROLES)
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """A subject of a manifest: its sources, or why it has none."""

    subject: str
    sources: CaseSources | None
    problem: VolstratError | None


class Manifest:
    """A manifest that was looked through once; its rows are read again as they are wanted.

    Parameters
    ----------
    path : Path
        CSV, as spreadsheets save it, with the column ``subject``, one column a role, and ``<role>.segments``
        for the segments, ROIs or labels that are meant (separated by ``|``); paths relative to its folder.

    Raises
    ------
    InputFileError, UsageError
        If it cannot be read, lacks ``subject`` or ``tumour``, has a column that is no role, or a row
        without a subject. What is wrong with one subject's row fails that subject only.
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

    def rows(self) -> Iterator[ManifestRow]:
        """Yield each subject once, in the order of the file.

        Raises
        ------
        InputFileError, UsageError
            If the file is no longer what it was.
        """
        reported: set[str] = set()
        for line, cells in self._lines():
            subject = self._subject(line, cells)
            if subject in self._twice:
                if subject not in reported:
                    reported.add(subject)
                    yield ManifestRow(subject=subject, sources=None, problem=self._duplicate(subject))
                continue
            try:
                yield ManifestRow(subject=subject, sources=self._sources(subject, line, cells), problem=None)
            except CaseError as error:
                yield ManifestRow(subject=subject, sources=None, problem=error)

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
        entries = {role: (self._entry(role, row),) for role in ROLES if self._names(role, row, line)}
        return CaseSources(folder=self.path.parent, subject=subject, entries=entries, told_by="manifest")

    def _names(self, role: str, cells: dict[str, str], line: int) -> bool:
        """Tell whether a row names a file for a role."""
        if cells.get(role):
            return True
        if cells.get(f"{role}{_SEGMENTS}"):
            msg = f"{self.path.name}, line {line}: names segments for {role}, but no file."
            raise CaseError(msg, hint=f"Write its path in the column {role}.")
        return False

    def _entry(self, role: str, cells: dict[str, str]) -> RoleEntry:
        """Return a role's entry; segments are separated by ``|``, whole numbers are numbers."""
        names = [name.strip() for name in cells.get(f"{role}{_SEGMENTS}", "").split("|")]
        select = tuple(int(name) if name.isdecimal() else name for name in names if name)
        return RoleEntry(path=path_named(cells[role], self.path.parent), select=select)
