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
    """A case that a folder, a manifest or a study named.

    Parameters
    ----------
    folder : Path
        The case folder; the manifest's or the study file's where these name every file.
    subject : str
    visit : str or None
    sources : CaseSources or None
        Which file plays which role, where a manifest or a study says so; None: the folder is looked into.
    given : mapping of role to entries
        What a study names of a case whose folder says the rest.
    problem : VolstratError or None
        Why there is nothing to read.
    adjudication : AdjudicationRecord or None
        Why this reading of the subject stands, where an adjudicator was asked.
    """

    folder: Path
    subject: str
    visit: str | None = None
    sources: CaseSources | None = None
    given: Mapping[str, tuple[RoleEntry, ...]] = field(default_factory=dict)
    problem: VolstratError | None = None
    adjudication: AdjudicationRecord | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", FrozenDict(self.given) if self.given else _NOTHING)

    def with_table(self, path: Path) -> CasePlace:
        """Return the case with another lesion table, whatever names its own."""
        table = (RoleEntry(path=path),)
        if self.sources is not None:
            entries = {**self.sources.entries, "lesions": table}
            return replace(self, sources=replace(self.sources, entries=entries))
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

        Raises
        ------
        VolstratError
            If the roles cannot be settled.
        """
        if self.problem is not None:
            raise self.problem
        if self.sources is not None:
            return EntryReader(self.sources).of_subject(self.subject, self.visit)
        found = open_case(self.folder, lesions=lesions, naming=naming, given=self.given)
        return found.of_subject(self.subject, self.visit)
