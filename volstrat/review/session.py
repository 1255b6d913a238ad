"""A case under review: what the page shows, and what a mark does to it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from volstrat.case.assess import assess_case, reassess_case
from volstrat.case.discovery import is_case_folder
from volstrat.case.json_types import taken
from volstrat.case.lesion_list import lesion_list
from volstrat.case.lesion_table import Event
from volstrat.case.record_types import FlipRecord
from volstrat.case.reviews import clean_cell, close_reviews, open_reviews, reviews_path
from volstrat.certainty.flips import each_flip
from volstrat.certainty.verdict import CaseMemo
from volstrat.errors import (
    InputChangedError,
    LesionTableError,
    UsageError,
    VolstratError,
    as_volstrat_error,
)
from volstrat.review.mark_table import (
    MarkTable,
    RowChange,
    TableState,
    clean_text,
    row_of,
    table_notice,
    table_path,
    utc_now,
)
from volstrat.review.places import segments_of
from volstrat.review.reviewed import (
    InputWatch,
    Reviewed,
    ReviewOptions,
    closings_in,
    marks_of_others,
    misfits,
    placing,
    reviews_beside,
)
from volstrat.review.showing import Showing
from volstrat.rule.measure import remark_case
from volstrat.show.verdict_words import still_to_mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from volstrat.case.assess import CaseResult
    from volstrat.case.discovery import CasePlace
    from volstrat.case.entries import EntryReader
    from volstrat.case.plan_tables import PlanChoice, StatedPlan
    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.review.mark_table import Mark
    from volstrat.rule.measure import Measurements

_PAUSE_S, _LOOKS_SHARE = 0.8, 30
READING_MASKS, READING_IMAGES = "Reading the masks", "Reading the images"


class ReviewSession:
    """Loads a case, keeps it, and applies marks to it.

    `load` takes seconds and is meant for a thread of its own; until it is done, `reviewed` is None.
    """

    def __init__(self, place: CasePlace, protocol: LoadedProtocol, options: ReviewOptions) -> None:
        self.place = place
        self.protocol = protocol
        self.options = options
        self.reviewed: Reviewed | None = None
        self.showing = Showing()
        self.error: VolstratError | None = None
        self.sites: Mapping[str, str] = {}
        self.segments: Mapping[str, str] = {}
        self.points: Mapping[str, tuple[float, float, float]] = {}
        self.notice = ""
        self.stage = READING_MASKS
        # Rises over restarts too: a tab of an earlier run must not take its lesions for this run's.
        self.reading = time.time_ns() // 1_000_000
        self._version = 0
        self._lock = threading.RLock()
        self._watch: InputWatch | None = None
        self._table: MarkTable | None = None
        self._reviews: tuple[Path, ...] = ()
        self._memo = CaseMemo()
        self.events: tuple[Event, ...] = ()
        self._stamp: object = None
        self._changed_input, self._look_again = "", 0.0
        self._wake = threading.Event()
        threading.Thread(target=self._look_for_flips, daemon=True).start()

    @property
    def signed(self) -> Event | None:
        """The event by which the reading was called complete; None where it is open."""
        last = [event for event in self.events if event.kind in ("complete", "reopened")][-1:]
        return last[0] if last and last[0].kind == "complete" else None

    def _look_for_flips(self) -> None:
        """Say after each pause which single decision would give another stratum; decides nothing."""
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._wake.wait(_PAUSE_S):  # marks still come
                self._wake.clear()
            reviewed = self.reviewed
            if reviewed is None or reviewed.flips is not None or reviewed.problem:
                continue
            found: list[FlipRecord] = []
            result = reviewed.result or reviewed.bare
            changes = each_flip(result.measured, result.verdict.assessment, self.protocol.protocol)
            for flip in changes:
                if self._wake.is_set():
                    break
                if flip is not None:
                    found.append(taken(FlipRecord, flip))
            else:
                with self._lock:
                    if self.reviewed is reviewed:
                        self.reviewed = replace(reviewed, flips=found, version=self._next())

    def _next(self) -> int:
        """Return the number of the state that is being made."""
        self._version += 1
        return self._version

    @property
    def table_name(self) -> str:
        """Name of the file that is marked in."""
        return "" if self._table is None else self._table.path.name

    def check_is_case(self) -> None:
        """Refuse a folder that is no case; of a case that cannot be read the page tells, and reads again."""
        if self.place.sources is None and not is_case_folder(self.place.folder):
            try:
                self.place.open(naming=self.protocol.protocol.naming)
            except VolstratError as error:
                raise UsageError(error.message, hint=error.hint) from error

    def load(self) -> None:
        """Read the case from its folder; what goes wrong becomes ``error``.

        Lesions can be marked as soon as the masks are read; images follow.
        """
        with self._lock:
            self.reading += 1
            number = self.reading
            self.error = self.reviewed = None
            self.showing.forget(number)
            self.stage = READING_MASKS
            try:
                case = self.place.open(naming=self.protocol.protocol.naming)
                ct = self.showing.begin(case.sources, number)
                bare = self._read_masks(case)
            except Exception as error:  # whatever it is: a page that reads for ever says nothing
                self.error, self.stage = as_volstrat_error(error), ""
                return
            self.stage = READING_IMAGES
        self._wake.set()
        self.showing.complete(bare, ct, number)
        with self._lock:
            if number == self.reading:
                self.stage = ""

    def _read_masks(self, case: EntryReader) -> CaseResult:
        sources = case.sources
        self._memo = CaseMemo()
        self._table = MarkTable(table_path(sources, self.place, self.options))
        self._watch = InputWatch(sources)
        bare = assess_case(case.without("lesions"), self.protocol, memo=self._memo, with_flips=False)
        self.sites = bare.measured.lesions.names_by_id
        self.segments = segments_of(bare.measured.lesions, bare.inputs.plans.segments)
        # Read without its table, the case finds that table lying about.
        findings = [f for f in bare.inputs.findings if (f.code, f.where) != ("files_unread", self.table_name)]
        bare = replace(bare, inputs=replace(bare.inputs, findings=tuple(findings)))
        self.points = bare.measured.points()
        self.notice = table_notice(sources, self.place, self.options, self.table_name)
        self._reviews = reviews_beside(sources)
        self._stamp = self._table.stamp(*self._reviews)
        self.events = self._table.events()
        self._changed_input = ""
        self.reviewed = self._reviewed(bare)
        return bare

    def _reviewed(self, bare: CaseResult) -> Reviewed:
        """Read the table, and which reviews are closed, and apply both."""
        assert self._table is not None
        try:
            table, closings = self._table.read(), closings_in(self._reviews)
            self._check_blind(table)
        except VolstratError as error:
            unread = TableState(rows={}, sha256="?")
            return Reviewed(version=self._next(), bare=bare, result=None, table=unread, problem=str(error))
        bare = replace(bare, inputs=replace(bare.inputs, closings=closings))
        return self._with_table(bare, table)

    def _check_blind(self, table: TableState) -> None:
        others = sorted({r.reader for r in table.rows.values()} - {"", self.options.reader})
        if self.options.blind and others:
            who = ", ".join(others)
            msg = f"{self.table_name}: holds rows of another reader ({who}); a blind review shows none."
            raise LesionTableError(msg, hint="Use another name with --blind, or review without it.")

    def _with_table(
        self,
        bare: CaseResult,
        table: TableState,
        *,
        others: Mapping[str, tuple[tuple[str, str], ...]] | None = None,
        marked: Measurements | None = None,
    ) -> Reviewed:
        result, problem, unfit = None, "", {}
        try:
            result = reassess_case(
                bare, table.rows, self.protocol, memo=self._memo, with_flips=False, marked=marked
            )
        except LesionTableError as error:
            problem = str(error)
            unfit = misfits(bare, table)
        if result is not None and result.as_read.words.not_tumour.any():  # its uptake has a region now
            self.points = {**self.points, **result.as_read.points()}
        return Reviewed(
            version=self._next(),
            bare=bare,
            result=result,
            table=table,
            problem=problem,
            misfits=unfit,
            others=self._others() if others is None else others,
        )

    def _others(self) -> dict[str, tuple[tuple[str, str], ...]]:
        return {} if self.options.blind or self._table is None else marks_of_others(self._table.path)

    def refresh(self) -> Reviewed | None:
        """Take over what changed since in the table, or of closed reviews, if anything did."""
        if self.stage == READING_MASKS:
            return None
        with self._lock:
            reviewed = self.reviewed
            if reviewed is None or self._table is None:
                return reviewed
            stamp = self._table.stamp(*self._reviews)
            if stamp == self._stamp:
                return reviewed
            self._stamp = stamp
            self.events = self._table.events()
            try:
                now = self._table.read().sha256, self._others(), closings_in(self._reviews)
            except VolstratError as error:
                if reviewed.problem != str(error):
                    self._again(reviewed)
                return self.reviewed
            if now != (reviewed.table.sha256, reviewed.others, reviewed.bare.inputs.closings):
                self._again(reviewed)
            return self.reviewed

    def _again(self, reviewed: Reviewed) -> Reviewed:
        self.reviewed = self._reviewed(reviewed.bare)
        self._wake.set()
        return self.reviewed

    def changed_input(self) -> str:
        """Return the name of an input file that changed since it was read; "" where none did."""
        begun = time.monotonic()
        if self._watch is not None and not self._changed_input and begun >= self._look_again:
            self._changed_input = self._watch.changed()
            ended = time.monotonic()
            self._look_again = ended + _LOOKS_SHARE * (ended - begun)  # thousands of files are looked at less
        return self._changed_input

    def mark(self, *marks: Mark) -> Reviewed:
        """Save marks, all or none, and apply them.

        Where they cannot be saved, nothing is changed: read only, a conflict, an input that changed, a word
        that is none, a disk that is full.
        """
        with self._lock:
            reviewed = self.reviewed
            if reviewed is None or self._table is None:
                msg = "The case is not loaded."
                raise UsageError(msg)
            self._check_may_mark(marks)
            reader, now = self._reader(marks[0].reader), utc_now()
            changes = self._changes(reviewed, marks, reader=reader, at=now)
            rows = {change.lesion_id: change.new for change in changes}
            remarked = {**reviewed.rows, **rows} if not reviewed.problem else rows
            whole = {i: row for i, row in remarked.items() if row is not None}
            # A row that the case refuses is never written.
            marked = remark_case(reviewed.bare.as_read, whole)
            table = self._table.replace(changes, by=reader, at=now, place=placing(reviewed))
            if self.options.blind:  # somebody else's row may have come into it
                self.reviewed = self._reviewed(reviewed.bare)
            else:
                known = marked if table.rows == whole else None
                self.reviewed = self._with_table(reviewed.bare, table, others=reviewed.others, marked=known)
            self._stamp = self._table.stamp(*self._reviews)
            self._wake.set()
            return self.reviewed

    def _changes(self, reviewed: Reviewed, marks: Sequence[Mark], *, reader: str, at: str) -> list[RowChange]:
        """Return the rows that marks make, with what was seen of each before."""
        measured = (reviewed.result or reviewed.bare).as_read
        asked = {mark.lesion_id for mark in marks} | {mark.belongs_to or "" for mark in marks}
        listed = {row.lesion_id: row for row in lesion_list(measured, only=asked)}
        changes = []
        for mark in marks:
            row = row_of(mark, listed=listed, reader=reader, at=at, table=self.table_name)
            changes.append(RowChange(lesion_id=mark.lesion_id, new=row, seen=mark.seen, force=mark.force))
            owner = listed.get(mark.belongs_to or "")
            if owner is not None and owner.lesion_id not in reviewed.rows:  # by its point it stays that one
                changes.append(RowChange(lesion_id=owner.lesion_id, new=owner, seen=""))
        return changes

    def check_may_plan(self) -> None:
        """Refuse to write plans where nothing may be written, or the case is no longer as it was read."""
        self._check_may_write()
        reviewed = self.reviewed
        if reviewed is None or reviewed.bare.sources.told_by != "case.toml":
            msg = "Plans are stated in case.toml, which this case does not have."
            raise UsageError(msg, hint="Write a case.toml that names its files.")
        self._check_stands()

    def take_plans(self, plans: tuple[StatedPlan, ...], choice: PlanChoice | None) -> None:
        """Take over plans that were written into ``case.toml``, and carry them out."""
        with self._lock:
            reviewed = self.reviewed
            assert reviewed is not None
            sources = replace(reviewed.bare.sources, plans=plans, choice=choice)
            self._watch = InputWatch(sources)
            self._changed_input = ""
            bare = replace(reviewed.bare, sources=sources)
            bare = reassess_case(bare, bare.as_read.rows, self.protocol, memo=self._memo, with_flips=False)
            self.reviewed = self._reviewed(bare)
            self._wake.set()

    def accept(self, code: str, where: str, *, by: str, reason: str) -> Reviewed:
        """Close an open review: who looked, and why the stratum stands; refuse where there is none such."""
        with self._lock:
            reviewed = self.reviewed
            if reviewed is None or reviewed.result is None:
                msg = "The case has no verdict whose reviews could be closed."
                raise UsageError(msg, hint="Put the lesion table right first.")
            self._check_may_write()
            path = reviews_path(reviewed.bare.sources)
            reviews = open_reviews(reviewed.record["findings"], code, where)
            by = clean_cell(self._reader(by), what="reader's name")
            close_reviews(
                path, reviews, by=by, reason=clean_cell(reason, what="reason"), recorded_at=utc_now()
            )
            return self._again(reviewed)

    def note(self, kind: str, text: str, by: str) -> None:
        """Note what is done to the reading as a whole: complete, reopened, a note, a key image."""
        with self._lock:
            if self._table is None or self.reviewed is None:
                msg = "The case is not loaded."
                raise UsageError(msg)
            self._check_may_write()
            reader = self._reader(by)
            if kind == "complete":
                self._check_stands()
                sha256 = self._table.read().sha256
                if sha256 != self.reviewed.table.sha256:
                    msg = f"{self.table_name}: was written to since this page showed it."
                    raise UsageError(msg, hint="Look at what changed, then sign.")
                still = still_to_mark(self.reviewed.record)
                if still or self.reviewed.problem:
                    msg = f"The reading is not complete: {still or self.reviewed.problem}."
                    raise UsageError(msg, hint="Mark them first.")
                text = f"sha256 {sha256}"
            if kind in ("complete", "reopened") and not (reader and text.strip()):
                msg = "A reading is signed, or opened again, with a name and a reason."
                raise UsageError(msg)
            self._table.note(Event(kind=kind, text=clean_text(text, what=kind), by=reader, at=utc_now()))
            self.events = self._table.events()
            self.reviewed = replace(self.reviewed, version=self._next())

    def _reader(self, named: str) -> str:
        return self.options.reader or clean_text(named, what="reader's name")

    def _check_may_write(self) -> None:
        if self.options.read_only:
            msg = "This review is read only."
            raise UsageError(msg, hint="Start volstrat review without --read-only to mark.")

    def _check_stands(self, so: str = ".", *, hint: str = "Read the case again first.") -> None:
        """Refuse what rests on files that changed meanwhile, or on a reading that was signed."""
        self._look_again = 0.0  # look now
        changed = self.changed_input()
        if changed:
            msg = f"{changed}: changed on disk since it was read{so}"
            raise InputChangedError(msg, hint=hint)
        if self.signed is not None:
            msg = f"The reading was signed by {self.signed.by} at {self.signed.at}."
            raise UsageError(msg, hint="Open it again, and say why.")

    def _check_may_mark(self, marks: Sequence[Mark]) -> None:
        self._check_may_write()
        so = ", so lesions may no longer be the same."
        self._check_stands(so, hint="Read the case again, then mark.")
        for mark in marks:
            if mark.reading != self.reading:
                msg = f"The case was read again since {mark.lesion_id} was marked: it may be another lesion."
                raise InputChangedError(msg, hint="Drop this mark, look at the lesion, and mark it again.")
