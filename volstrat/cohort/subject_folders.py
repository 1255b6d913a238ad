"""Which folder a subject's results go into, so that no two share one, on any file system.

A subject's folder is `io.output.folder_name`. Where two names of a cohort differ only in letter case, or in
how an accent is written, a file system that does not tell them apart would put both into one folder; where a
subject is called like one of the cohort's own files, the two would be in each other's way. All such subjects,
on every file system, get a folder with a mark that no plain name can hold.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

from volstrat.store.column_names import COLUMNS_FILE
from volstrat.store.output import folder_name

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("cohort.csv", "cohort.parquet", "lesions.csv", "lesions.parquet")
OWN_FILES = (*TABLES, COLUMNS_FILE, "summary.json", "run.json", "audit.jsonl", "index.html")
"""What a cohort run writes beside the subjects' folders."""

BASIS = ("agreement.json", "adjudication.csv", "adjudication.xlsx")
"""What an adjudicated cohort rests on, kept in it."""

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
