"""Where a case lies and what it is called, before its files are looked at."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from volstrat.case.case_file import RoleEntry, case_name
from volstrat.case.discovery import open_case
from volstrat.case.entries import EntryReader
from volstrat.frozen import FrozenDict, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from volstrat.case.case_file import CaseSources
    from volstrat.case.record_types import AdjudicationRecord
    from volstrat.errors import VolstratError

_NOTHING: Mapping[str, tuple[RoleEntry, ...]] = FrozenDict()
"""Shared: a cohort has a place for each of its cases."""


@frozen
class CasePlace:
    """A case that a folder, a manifest or a study named."""

    folder: Path  # the case folder; the manifest's or the study file's where these name every file
    subject: str
    visit: str | None = None
    # which file plays which role, where a manifest or a study says so; None: the folder is looked into
    sources: CaseSources | None = None
    # what a study names of a case whose folder says the rest
    given: Mapping[str, tuple[RoleEntry, ...]] = field(default_factory=dict)
    problem: VolstratError | None = None  # why there is nothing to read
    # why this reading of the subject stands, where an adjudicator was asked
    adjudication: AdjudicationRecord | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", FrozenDict(self.given) if self.given else _NOTHING)

    def with_table(self, path: Path) -> CasePlace:
        """Return the case with another lesion table, whatever names its own."""
        table = (RoleEntry(path=path),)
        if self.sources is not None:
            return replace(self, sources=self.sources.with_entries({"lesions": table}))
        return replace(self, given={**self.given, "lesions": table})

    @property
    def name(self) -> str:
        """What no other case of a cohort is called."""
        return case_name(self.subject, self.visit)

    @property
    def names_table(self) -> bool:
        """Whether a study says where the case's lesion table lies."""
        if self.sources is not None and self.sources.told_by == "study":
            return "lesions" in self.sources.entries
        return "lesions" in self.given

    def open(
        self, *, lesions: str | None = None, naming: Mapping[str, Sequence[str]] | None = None
    ) -> EntryReader:
        """Settle which file plays which role, and return what reads them; arguments as of `open_case`.

        Raises VolstratError if the roles cannot be settled.
        """
        if self.problem is not None:
            raise self.problem
        if self.sources is not None:
            return EntryReader(self.sources).of_subject(self.subject, self.visit)
        found = open_case(self.folder, lesions=lesions, naming=naming, given=self.given)
        return found.of_subject(self.subject, self.visit)
