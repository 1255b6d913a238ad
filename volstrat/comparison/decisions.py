"""The adjudicator's table: what was decided on each subject in dispute, and which cases stand by it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volstrat.case.case_file import case_name
from volstrat.case.lesion_table import read_bytes
from volstrat.case.table_file import read_table
from volstrat.cohort.run_file import read_run_file
from volstrat.cohort.source import FoundCase, find_cases
from volstrat.comparison.agreement_tables import ANSWERS
from volstrat.errors import UsageError
from volstrat.store.tables import one_line
from volstrat.study.study_file import is_study_file, read_study
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from volstrat.case.discovery import CasePlace
    from volstrat.case.record_types import AdjudicationRecord
    from volstrat.comparison.readings import ReadingSet

AGREEMENT = "agreement.json"
TABLE = "table"
"""The answer that the adjudicator's own marks stand."""

_CONCORDANT = "The readings are not in dispute; reading {letter} stands where they are not."
_NEEDED = ("subject", "a", "b", "a.reader", "b.reader", *ANSWERS, "agreement_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What stands for a subject in dispute."""

    stands: str
    adjudicator: str
    reason: str
    decided_at: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldAgreement:
    """An agreement that somebody decides on: its ``agreement.json``, the same byte for byte, and its hash."""

    content: dict[str, Any]
    data: bytes
    sha256: str

    @property
    def readers(self) -> dict[str, str]:
        """Who made each reading, by its letter, as tables write it."""
        return {reading["reading"]: one_line(reading["reader"]) for reading in self.content["readings"]}

    @property
    def in_dispute(self) -> list[str]:
        """The subjects on which somebody must decide."""
        return [case_name(item["subject"], item["visit"]) for item in self.content["adjudication"]]

    def subjects(self) -> Iterator[tuple[str, dict[str, str | None]]]:
        """Yield each subject with the hash of what every reading held of it."""
        for subject in self.content["subjects"]:
            hashes = {reading["reading"]: reading["sha256"] for reading in subject["readings"]}
            yield case_name(subject["subject"], subject["visit"]), hashes


def read_held_agreement(folder: Path) -> HeldAgreement:
    """Read the ``agreement.json`` of a folder; a `UsageError` where that cannot be."""
    try:
        data = (folder / AGREEMENT).read_bytes()
        content = json.loads(data)
        whole = {"readings", "subjects", "adjudication", "readings_sha256"} <= content.keys()
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        msg = f"{folder}: holds no readable {AGREEMENT}."
        raise UsageError(msg, hint="Name the output folder of volstrat compare.") from error
    if not whole:
        msg = f"{folder / AGREEMENT}: is no agreement of this version of volstrat."
        raise UsageError(msg, hint="Compare the readings again.")
    return HeldAgreement(content=content, data=data, sha256=hashlib.sha256(data).hexdigest())


def read_decisions(path: Path, agreement: HeldAgreement) -> dict[str, Decision]:
    """Read a filled-in ``adjudication.csv`` (or .xlsx): a decision for every subject in dispute.

    A table of another agreement or of swapped readings, rows of one subject that disagree, a subject that is
    undecided or not in dispute, and an answer that is no reading's letter or "table" are a `UsageError`.
    """
    table = read_table(read_bytes(path), name=path.name, error=UsageError)
    missing = [name for name in _NEEDED if name not in table.header]
    if missing:
        msg = f"{path.name}: has no column {', '.join(missing)}."
        raise UsageError(msg, hint="Fill in the adjudication.csv that volstrat compare wrote.")
    rows = [(line, dict(zip(table.header, cells, strict=True))) for line, cells in table.rows]
    _check_agreement(path.name, rows, agreement)
    disputed = agreement.in_dispute
    written = {one_line(name): name for name in disputed}
    by_subject: dict[str, list[dict[str, str]]] = {}
    for _, row in rows:
        name = case_name(row["subject"], row.get("visit") or None)
        by_subject.setdefault(written.get(name, name), []).append(row)
    foreign = [subject for subject in by_subject if subject not in disputed]
    if foreign:
        msg = f"{path.name}: not in dispute: {', '.join(foreign)}."
        raise UsageError(msg, hint="Take these rows out; --concordant says what stands for the rest.")
    apart = {
        subject: [key for key in ANSWERS if len({row[key] for row in said}) > 1]
        for subject, said in by_subject.items()
    }
    disagreeing = [f"{subject} ({', '.join(keys)})" for subject, keys in apart.items() if keys]
    if disagreeing:
        msg = f"{path.name}: the rows of one subject disagree: {'; '.join(disagreeing)}."
        raise UsageError(msg, hint="Write the same decision in every row of a subject.")
    undecided = [
        subject
        for subject in disputed
        if subject not in by_subject or not all(by_subject[subject][0][key] for key in ANSWERS)
    ]
    if undecided:
        msg = f"{path.name}: undecided: {', '.join(undecided)}."
        hint = f"Fill in {', '.join(ANSWERS)} in every row of each."
        raise UsageError(msg, hint=hint)
    decisions = {
        subject: Decision(**{key: by_subject[subject][0][key] for key in ANSWERS}) for subject in disputed
    }
    _check_answers(path.name, decisions, agreement)
    return decisions


def _check_agreement(
    name: str, rows: Sequence[tuple[int, Mapping[str, str]]], agreement: HeldAgreement
) -> None:
    """Refuse a table of another agreement, or one whose readings are the other way round."""
    readers = agreement.readers
    for line, row in rows:
        named = (row["a.reader"], row["b.reader"])
        here = (readers.get(row["a"]), readers.get(row["b"]))
        if named != here and named == here[::-1]:
            msg = (
                f"{name}, line {line}: its readings are swapped: reading {row['a']} is {named[0]} in the "
                f"table, {here[0]} in the agreement."
            )
            raise UsageError(msg, hint="Use the adjudication.csv of this agreement.")
        if row["agreement_sha256"] != agreement.sha256 or named != here:
            msg = (
                f"{name}, line {line}: is of another agreement "
                f"({row['agreement_sha256'][:12] or 'no hash'}, readings {' and '.join(named)}) than this "
                f"({agreement.sha256[:12]}, readings {' and '.join(readers.values())})."
            )
            raise UsageError(msg, hint="Use the adjudication.csv that this comparison wrote.")


def _check_answers(name: str, decisions: Mapping[str, Decision], agreement: HeldAgreement) -> None:
    answers = (*agreement.readers, TABLE)
    for subject, decision in decisions.items():
        if decision.stands not in answers:
            msg = f"{name}: {subject}: stands is {decision.stands!r}; it must be {', '.join(answers)}."
            raise UsageError(msg, hint="Write whose reading stands, or table for marks of your own.")
        name_of_table = decision.adjudicator if decision.stands == TABLE else ""
        if name_of_table in {".", ".."} or set(name_of_table) & set("/\\\0"):
            msg = f"{name}: {subject}: {decision.adjudicator!r} cannot be part of a file name."
            raise UsageError(msg, hint="The table that stands is lesions.<adjudicator>.csv.")
        try:
            datetime.fromisoformat(decision.decided_at)
        except ValueError as error:
            msg = f"{name}: {subject}: decided_at is {decision.decided_at!r}, no date."
            raise UsageError(msg, hint="Write it as 2026-11-30, or 2026-11-30T09:30.") from error


def undisputed(agreement: HeldAgreement, decisions: Mapping[str, Decision], letter: str) -> None:
    """Refuse a reading for the subjects not in dispute that is none, or that does not have them all."""
    if letter not in agreement.readers:
        msg = f"--concordant {letter}: the agreement's readings are {', '.join(agreement.readers)}."
        raise UsageError(msg, hint="Name the reading that stands where nothing is in dispute.")
    absent = [
        name
        for name, hashes in agreement.subjects()
        if hashes.get(decisions[name].stands if name in decisions else letter) is None
        and (name not in decisions or decisions[name].stands != TABLE)
    ]
    if absent:
        msg = f"The reading that is to stand does not have {shown_names(absent)}."
        raise UsageError(msg, hint="Let another reading stand, or add the subject and compare again.")


def decided_cases(
    held: HeldAgreement,
    decisions: Mapping[str, Decision],
    readings: Mapping[str, ReadingSet],
    concordant: str,
) -> Iterator[FoundCase]:
    """Yield each subject as the reading that stands has it, with why it stands.

    Files of a reading, or a table of the adjudicator's, that are not there are a `UsageError`.
    """
    for name, _ in held.subjects():
        decision = decisions.get(name)
        stands = concordant if decision is None else decision.stands
        reading = next(iter(readings.values())) if stands == TABLE else readings[stands]
        found = reading.subjects.get(name)
        if found is None or found.case is None:
            msg = f"{name}: the files behind reading {reading.name} ({reading.reader}) are not there."
            raise UsageError(msg, hint="Put the input folder back, or let another reading stand.")
        adjudication: AdjudicationRecord = {
            "stands": stands,
            "adjudicator": None if decision is None else decision.adjudicator,
            "reason": _CONCORDANT.format(letter=concordant) if decision is None else decision.reason,
            "decided_at": None if decision is None else decision.decided_at,
            "agreement_sha256": held.sha256,
        }
        if decision is not None and stands == TABLE:
            place = _with_own_table(found.case, name, reading, decision.adjudicator)
        else:
            place = _with_used_table(found.case, found.lesions)
        yield FoundCase(location=name, case=replace(place, adjudication=adjudication))


def _with_used_table(place: CasePlace, lesions: str | None) -> CasePlace:
    """Return the case of a reading with the lesion table that the reading used."""
    if lesions is None or place.sources is not None or place.names_table:
        return place
    return place.with_table(place.folder / (lesions if "." in lesions else f"lesions.{lesions}.csv"))


def _with_own_table(place: CasePlace, name: str, reading: ReadingSet, adjudicator: str) -> CasePlace:
    """Return the first reading's case with the adjudicator's marks.

    They stand in ``lesions.<adjudicator>.csv`` of its folder; where that is not there and the adjudicator is
    a reader of the study, where the study says.
    """
    folder = place.folder
    if place.sources is not None and "tumour" in place.sources.entries:
        folder = place.sources.entries["tumour"][0].path.parent
    table = folder / f"lesions.{adjudicator}.csv"
    source = Path((read_run_file(reading.path) or {}).get("input_root") or reading.path)
    if not table.is_file() and is_study_file(source) and adjudicator in read_study(source).readers:
        cases = find_cases(source, reading.path, shard=None, lesions=adjudicator)
        return next(case.case for case in cases if case.subject == name)
    if not table.is_file():
        msg = f"{name}: stands is {TABLE!r}, but {table.name} is not in reading {reading.name}'s case folder."
        raise UsageError(msg, hint=f"Mark the case with volstrat review CASE --reader {adjudicator}.")
    return place.with_table(table)
