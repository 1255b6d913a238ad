"""A manifest: one row a subject, one column a role."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.case_file import CaseSources, RoleEntry
from volstrat.cohort.tasks import plain_text
from volstrat.errors import CaseError, DuplicateSubjectError, InputFileError, MissingRoleError, UsageError
from volstrat.terms.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.errors import VolstratError

SUBJECT = "subject"


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
        CSV in UTF-8 with the column ``subject`` and one column a role; paths relative to its own folder.

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
        told: set[str] = set()
        for line, cells in self._lines():
            subject = self._subject(line, cells)
            if subject in self._twice:
                if subject not in told:
                    told.add(subject)
                    yield ManifestRow(subject=subject, sources=None, problem=self._duplicate(subject))
                continue
            try:
                yield ManifestRow(subject=subject, sources=self._sources(subject, line, cells), problem=None)
            except CaseError as error:
                yield ManifestRow(subject=subject, sources=None, problem=error)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line numbers and cells of the rows below the header that are not blank."""
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, strict=True)
                self._header = [cell.strip() for cell in next(reader, [])]
                self._check_header()
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        yield reader.line_num, [cell.strip() for cell in cells]
        except UnicodeDecodeError as error:
            msg = f"{self.path.name}: is not UTF-8 text."
            raise UsageError(msg, hint="Save the manifest as CSV UTF-8.") from error
        except csv.Error as error:
            msg = f"{self.path.name}: is not a readable CSV ({error})."
            raise UsageError(msg) from error
        except OSError as error:
            msg = f"{self.path.name}: cannot be read ({error.strerror})."
            raise InputFileError(msg) from error

    def _check_header(self) -> None:
        name, header = self.path.name, self._header
        missing = [column for column in (SUBJECT, "tumour") if column not in header]
        if missing:
            shown = ", ".join(header) or "nothing"
            msg = f"{name}: the header has no column {' and no '.join(missing)} (it has: {shown})."
            hint = f"A manifest has the columns {SUBJECT}, tumour and any of {', '.join(ROLES[1:])}."
            if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
                hint = "It is separated by semicolons or tabs; save it separated by commas."
            raise UsageError(msg, hint=hint)
        unknown = [column for column in header if column not in (SUBJECT, *ROLES)]
        if unknown:
            msg = f"{name}: unknown column {', '.join(map(repr, unknown))}."
            raise UsageError(msg, hint=f"Columns are {SUBJECT} and the roles {', '.join(ROLES)}.")
        twice = sorted({column for column in header if header.count(column) > 1})
        if twice:
            msg = f"{name}: the column {', '.join(twice)} comes twice."
            raise UsageError(msg)

    def _subject(self, line: int, cells: list[str]) -> str:
        place = self._header.index(SUBJECT)
        subject = plain_text(cells[place]) if place < len(cells) else ""
        if not subject:
            msg = f"{self.path.name}, line {line}: the subject is empty."
            raise UsageError(msg, hint="Give every row a subject, or remove the row.")
        return subject

    def _duplicate(self, subject: str) -> DuplicateSubjectError:
        lines = self._twice[subject]
        told = f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"
        msg = f"{self.path.name}: {told} are called {subject!r}; a subject has one row."
        return DuplicateSubjectError(msg, hint="Rename one of them, or remove it.")

    def _sources(self, subject: str, line: int, cells: list[str]) -> CaseSources:
        if len(cells) != len(self._header):
            msg = f"{self.path.name}, line {line}: has {len(cells)} cells, the header {len(self._header)}."
            raise CaseError(msg, hint="Put cells that contain a comma in double quotes.")
        told = dict(zip(self._header, cells, strict=True))
        if not told["tumour"]:
            msg = f"{self.path.name}, line {line}: names no tumour mask."
            raise MissingRoleError(msg, hint="Write its path in the column tumour.")
        folder = self.path.parent
        entries = {role: (RoleEntry(path=folder / Path(told[role])),) for role in ROLES if told.get(role)}
        return CaseSources(folder=folder, subject=subject, entries=entries, told_by="manifest")
