"""The ledger: one row a case, in SQLite, in the output folder.

It says what this run has seen and done, and so which subjects are gone, which names come twice, and in which
order the tables list them. What lets a subject be skipped lies beside its record (`volstrat.cohort.worker`),
written by the process that wrote the record: losing the ledger, or the parent, loses no finished subject.

It also settles which folder a subject's results go into, so that no two share one on any file system: its
own (`folder_name`), or one with a mark that no plain name can hold where two names of a cohort differ only in
letter case or in how an accent is written, or where a subject is called like one of the cohort's own files.
"""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from volstrat.cohort.run_file import BASIS, OWN_FILES
from volstrat.cohort.tasks import STATUSES, Receipt
from volstrat.errors import OutputError
from volstrat.store.output import STATE_FOLDER, folder_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_VERSION = 1
_GROUPS = 10
"""Of subjects that are alike: as many as a person reads."""
_SCHEMA = """
CREATE TABLE cohort_case (
    location      TEXT PRIMARY KEY,
    subject       TEXT NOT NULL,
    folded        TEXT NOT NULL,
    folder        TEXT NOT NULL,
    run           INTEGER NOT NULL,
    done          INTEGER NOT NULL CHECK (done IN (0, 1)),
    status        TEXT CHECK (status IN ('assigned', 'review', 'not_assessable', 'failed')),
    stratum       TEXT,
    inputs_sha256 TEXT,
    record_sha256 TEXT
) STRICT;
CREATE INDEX case_subject ON cohort_case (run, subject);
CREATE INDEX case_folded ON cohort_case (folded);
CREATE TABLE run (number INTEGER PRIMARY KEY) STRICT;
"""


_RESERVED = frozenset({*OWN_FILES, *BASIS, "sha256sums"})


def fold(name: str) -> str:
    """Return what two names share where some file system takes them for one.

    >>> fold("S1") == fold("s1")
    True
    """
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded)


def marked_name(subject: str) -> str:
    """Return the folder of a subject whose plain folder is taken or reserved.

    >>> marked_name("S1")
    'S1%~3696ad59777e'
    """
    return f"{folder_name(subject)}%~{hashlib.sha256(subject.encode()).hexdigest()[:12]}"


def reserved_names(out: Path, inputs: Path) -> frozenset[str]:
    """Return the folded names that no subject's folder may have.

    The cohort's own files; and, where the inputs lie inside the output folder, the way to them.
    """
    here, there = out.resolve(), inputs.resolve()
    if not there.is_relative_to(here) or there == here:
        return _RESERVED
    return _RESERVED | {fold(there.relative_to(here).parts[0])}


class Done(NamedTuple):
    """A subject as the tables take it up."""

    subject: str
    folder: str
    record_sha256: str
    inputs_sha256: str


class Ledger:
    """The ledger of one output folder, open for one run; the folder's lock is held meanwhile.

    ``reserved`` are folded names that no subject's folder may have. A ``fresh`` one knows of the old one only
    who was in it.
    """

    def __init__(self, out: Path, *, reserved: frozenset[str], fresh: bool = False) -> None:
        self._path = out / STATE_FOLDER / "ledger.sqlite"
        self._reserved = reserved
        with self._errors_told():
            met = self._met_before() if fresh else []
            if fresh:
                for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-journal"):
                    self._path.with_name(name).unlink(missing_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._open()
            self._db.executemany(
                "INSERT INTO cohort_case (location, subject, folded, folder, run, done)"
                " VALUES (?, ?, ?, ?, 0, 0)",
                met,
            )
            self.run: int = self._do("INSERT INTO run DEFAULT VALUES RETURNING number")[0][0]
            self._do("BEGIN")

    def _met_before(self) -> list[tuple[str, str, str, str]]:
        """Return the cases of the ledger that is given up, so that those that are gone are still reported."""
        if not self._path.exists():
            return []
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(self._path)) as db:
            return db.execute("SELECT location, subject, folded, folder FROM cohort_case").fetchall()
        return []

    def _open(self) -> None:
        # The lock already keeps others out; without shared memory, a WAL works on network disks too.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            msg = f"{self._path}: was written by another version of volstrat (form {version})."
            raise OutputError(msg, hint="Name another folder with -o, or start over with --fresh.")

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Turn what SQLite and the disk say into one sentence."""
        try:
            yield
        except OutputError:
            raise
        except sqlite3.DatabaseError as error:
            msg = f"{self._path}: the run's ledger cannot be used ({error})."
            hint = "Check the disk's space and permissions; --fresh starts over with a new one."
            raise OutputError(msg, hint=hint) from error
        except OSError as error:
            msg = f"{self._path}: cannot be written ({error.strerror})."
            raise OutputError(msg, hint="Check the disk's space and the folder's permissions.") from error

    def _do(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._errors_told():
            return self._db.execute(query, values).fetchall()

    def commit(self) -> None:
        """Make what was noted outlast this process."""
        self._do("COMMIT")
        self._do("BEGIN")

    def close(self) -> None:
        """Commit and close."""
        if self._db.in_transaction:
            self._do("COMMIT")
        self._db.close()

    def abandon(self) -> None:
        """Close without a word where something else has already gone wrong."""
        self._db.close()

    def offer(self, location: str, subject: str) -> str | None:
        """Note that this run has met a case, and return the name of its folder in the output.

        None where this run has met another case of the subject: there will be no result for it.
        """
        plain = folder_name(subject)
        folded = fold(plain)
        known = self._do("SELECT subject, location, folder, run FROM cohort_case WHERE folded = ?", folded)
        own = [row for row in known if row[0] == subject]
        twice = any(row[1] != location and row[3] == self.run for row in own)
        if folded in self._reserved or (known and not own):
            folder = marked_name(subject)  # the plain one is taken, for now or for good
        else:
            folder = own[0][2] if own else plain
        self._do(
            "INSERT INTO cohort_case (location, subject, folded, folder, run, done, status)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, iif(?6, 'failed', NULL))"
            " ON CONFLICT (location) DO UPDATE SET subject = ?2, folded = ?3, folder = ?4, run = ?5,"
            " done = ?6, status = iif(?6, 'failed', NULL), stratum = NULL, inputs_sha256 = NULL,"
            " record_sha256 = NULL",
            *(location, subject, folded, folder, self.run, int(twice)),
        )
        return None if twice else folder

    def note(self, receipt: Receipt) -> None:
        """Note that a case is done."""
        self._do(
            "UPDATE cohort_case SET done = 1, status = ?, stratum = ?, inputs_sha256 = ?, record_sha256 = ?"
            " WHERE location = ?",
            *(receipt.status, receipt.stratum, receipt.inputs_sha256, receipt.record_sha256),
            receipt.location,
        )

    def twice(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return the subjects that several cases of this run are called, their folder and these cases."""
        subjects = self._do(
            "SELECT subject, min(folder) FROM cohort_case WHERE run = ? GROUP BY subject HAVING count(*) > 1",
            self.run,
        )
        query = "SELECT location FROM cohort_case WHERE run = ? AND subject = ? ORDER BY location"
        return [
            (subject, folder, tuple(location for (location,) in self._do(query, self.run, subject)))
            for subject, folder in subjects
        ]

    def settle_twice(self, subject: str, folder: str, record_sha256: str) -> None:
        """Note the one failed record of a subject that several cases are called."""
        self._do(
            "UPDATE cohort_case SET folder = ?, done = 1, status = 'failed', stratum = NULL,"
            " inputs_sha256 = NULL, record_sha256 = ? WHERE run = ? AND subject = ?",
            *(folder, record_sha256, self.run, subject),
        )

    def misplaced(self) -> list[tuple[str, str, str]]:
        """Return subjects whose folder is not the one they should have: (subject, is, should be).

        Marked folders are for names that others are taken for, and for reserved ones; for no other.
        """
        wrong = []
        rows = self._rows(
            "SELECT subject, min(folder), folded, (SELECT count(DISTINCT o.subject) FROM cohort_case o"
            " WHERE o.run = c.run AND o.folded = c.folded) FROM cohort_case c WHERE run = ? GROUP BY subject"
            " ORDER BY subject",
            self.run,
        )
        for subject, folder, folded, sharing in rows:
            marked = sharing > 1 or folded in self._reserved
            wanted = marked_name(subject) if marked else folder_name(subject)
            if folder != wanted:
                wrong.append((subject, folder, wanted))
        return wrong

    def moved(self, subject: str, folder: str) -> None:
        """Note that a subject's results lie in another folder now."""
        query = "UPDATE cohort_case SET folder = ? WHERE run = ? AND subject = ?"
        self._do(query, folder, self.run, subject)

    def subjects(self) -> Iterator[Done]:
        """Yield this run's subjects, once each, by name (code point order)."""
        rows = self._rows(
            "SELECT subject, min(folder), min(record_sha256), ifnull(min(inputs_sha256), '')"
            " FROM cohort_case WHERE run = ? AND done = 1 GROUP BY subject ORDER BY subject",
            self.run,
        )
        for row in rows:
            yield Done(*row)

    def counts(self) -> dict[str, int]:
        """Return how many subjects of this run have each status."""
        found = self._do(
            "SELECT status, count(DISTINCT subject) FROM cohort_case WHERE run = ? AND done = 1"
            " GROUP BY status",
            self.run,
        )
        return dict.fromkeys(STATUSES, 0) | dict(found)

    def alike(self) -> Iterator[tuple[str, ...]]:
        """Yield the first groups of subjects of this run whose inputs are the same, byte for byte."""
        same = self._do(
            "SELECT inputs_sha256 FROM cohort_case WHERE run = ? AND inputs_sha256 > ''"
            " GROUP BY inputs_sha256 HAVING count(DISTINCT subject) > 1 ORDER BY min(subject) LIMIT ?",
            *(self.run, _GROUPS),
        )
        query = (
            "SELECT DISTINCT subject FROM cohort_case WHERE run = ? AND inputs_sha256 = ? ORDER BY subject"
        )
        for (inputs,) in same:
            yield tuple(subject for (subject,) in self._do(query, self.run, inputs))

    def removed(self) -> tuple[str, ...]:
        """Return the subjects that earlier runs had met and that this one has not."""
        rows = self._rows(
            "SELECT DISTINCT subject FROM cohort_case WHERE run < ?1 AND subject NOT IN"
            " (SELECT subject FROM cohort_case WHERE run = ?1) ORDER BY subject",
            self.run,
        )
        return tuple(subject for (subject,) in rows)

    def forget_removed(self) -> None:
        """Drop the rows of cases that this run has not met, once they have been reported."""
        self._do("DELETE FROM cohort_case WHERE run < ?", self.run)

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield rows one by one: there may be as many as subjects."""
        with self._errors_told():
            yield from self._db.execute(query, values)
