"""A reading as it is compared: its subjects, whose it is, by which protocol."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from volstrat.case.fingerprint import take_fingerprint
from volstrat.case.json_types import record_bytes
from volstrat.errors import UsageError, VolstratError
from volstrat.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.case.entries import EntryReader
    from volstrat.case.place import CasePlace
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.case.record_types import CaseRecord
    from volstrat.comparison.agreement_types import ReadingKind

COMPARISON = "compare"
"""The event of a comparison's run, in ``run.json`` and the trail."""
ADJUDICATION = "adjudicate"
"""The event of the run that builds a final cohort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectReading:
    """One subject as one reading has it.

    Parameters
    ----------
    subject : str
        And the visit, where a study has visits.
    case : CasePlace or None
        None where only a record is known.
    lesions : str or None
        Lesion table to use instead of the case's own.
    record : dict or None
        What a cohort output has on the subject.
    problem : VolstratError or None
        Why there is nothing to read.
    called : str or None
        What this reading calls the subject, where that is something else.
    """

    subject: str
    case: CasePlace | None
    lesions: str | None = None
    record: CaseRecord | None = None
    problem: VolstratError | None = None
    called: str | None = None

    @property
    def names(self) -> tuple[str, str | None]:
        """What the subject and its visit are called."""
        if self.case is not None:
            return self.case.subject, self.case.visit
        return (self.subject, None) if self.record is None else (self.record["subject"], self.record["visit"])

    def open(self, protocol: LoadedProtocol) -> EntryReader:
        """Return a reader of the files that play its roles.

        Raises
        ------
        VolstratError
        """
        if self.problem is not None:
            raise self.problem
        if self.case is None:
            msg = f"{self.subject}: the files that its record was made from are not there."
            raise UsageError(msg, hint="Compare the case folders instead, or put the input folder back.")
        return self.case.open(lesions=self.lesions, naming=protocol.protocol.naming)

    def sha256(self, protocol: LoadedProtocol, opened: EntryReader | None = None) -> str:
        """Return the hash of all that the reading holds of the subject: its inputs, and its record.

        Inputs that cannot be read count by what is wrong with them. ``opened`` is what `open` returned.
        """
        inputs: str | None = None
        if self.case is not None or self.problem is not None:
            try:
                inputs = take_fingerprint((opened or self.open(protocol)).sources).sha256
            except VolstratError as error:
                inputs = error.code
        record = None if self.record is None else hashlib.sha256(record_bytes(self.record)).hexdigest()
        return hashlib.sha256(json.dumps([inputs, record]).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSet:
    """One reading of any number of subjects.

    Parameters
    ----------
    name : str
        A, B, C, ...
    label : str
        The last part of its path.
    reader : str
        Whose reading it is: the lesion table that was named, else as much of its path as tells it apart.
    kind : str
    path : Path
    lesions : str or None
        The lesion table that was named for it.
    protocol : LoadedProtocol
    subjects : mapping of str to SubjectReading
    protocol_known : bool
        False where an output does not say by which protocol it was made, so that records alone are compared.
    """

    name: str
    label: str
    reader: str = ""
    kind: ReadingKind
    path: Path
    lesions: str | None = None
    protocol: LoadedProtocol
    subjects: Mapping[str, SubjectReading]
    protocol_known: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", FrozenDict(self.subjects))
