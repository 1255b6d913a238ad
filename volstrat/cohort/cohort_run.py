"""A cohort from its source to its tables."""

from __future__ import annotations

import multiprocessing
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from volstrat.case.discovery import CasePlace
from volstrat.cohort.ledger import Ledger, reserved_names
from volstrat.cohort.pool import LocalRunner, default_workers
from volstrat.cohort.results import file_hashes, write_results
from volstrat.cohort.run_file import (
    RUN_FILE,
    TRAIL,
    RunFile,
    changed_strata,
    is_damaged,
    read_run_file,
    records_sha256,
)
from volstrat.cohort.source import CaseStream, FoundCase, check_places, find_cases, root_files, said_twice
from volstrat.cohort.tasks import Limits, Progress, Shard, Task, WorkerContext, assess
from volstrat.cohort.worker import RECORD, fail_task
from volstrat.errors import OutputError, UsageError
from volstrat.store.locking import output_lock
from volstrat.store.output import STATE_FOLDER
from volstrat.store.seal import refuse_sealed
from volstrat.study.study_file import is_study_file, read_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from volstrat.case.protocol_files import LoadedProtocol
    from volstrat.cohort.cluster import ClusterRunner
    from volstrat.cohort.tasks import Assess, Receipt


_OF_READINGS = {"compare": "an agreement of readings", "adjudicate": "an adjudicated cohort"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortResult:
    """How a run ended: subjects by status, and what a person should know.

    ``skipped`` are those whose record of an earlier run stands; ``removed`` those of earlier runs that are
    gone: no longer in the tables, their folders untouched; ``failures`` the first that failed, with the
    reason; ``passed_over`` lesion tables at the root of the cohort, which belong to no subject; ``changed``
    subjects whose stratum is another than at first, with what moved, one sentence each; ``alike`` the first
    groups of subjects whose files are the same, byte for byte: probably one patient, copied.
    """

    counts: dict[str, int]
    skipped: int
    removed: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    passed_over: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    alike: tuple[tuple[str, ...], ...] = ()

    @property
    def subjects(self) -> int:
        """How many subjects the tables have."""
        return sum(self.counts.values())


def run_cohort(
    source: Path,
    out: Path,
    protocol: LoadedProtocol,
    *,
    lesions: str | None = None,
    workers: int | None = None,
    fresh: bool = False,
    shard: Shard | None = None,
    scheduler: str | None = None,
    limits: Limits | None = None,
    assess: Assess = assess,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CohortResult:
    """Measure every case of a folder or manifest and write records, tables, summary and page.

    A subject is skipped where its record stands and its status is final, and the bytes of its inputs, the
    protocol and the versions are what they were. The tables hold this run's subjects, whoever did them.

    The arguments are those of `volstrat.run_cohort`, but that ``limits`` are what one subject may take,
    ``assess`` makes a record of `EntryReader` and `LoadedProtocol` (a module's function), and ``on_progress``
    is called several times a second with one `Progress`, kept up to date. Nothing to do, or an output that is
    not to be written by this run, is a `UsageError`; one that cannot be written an `OutputError`.
    """
    if getattr(multiprocessing.process.current_process(), "_inheriting", False):
        msg = "a worker process reads the calling script as it starts, and came to run_cohort in it."
        raise UsageError(msg, hint='Put what the script does under `if __name__ == "__main__":`.')
    refuse_sealed(out)
    check_places(source, out)
    passed_over = tuple(root_files(source))
    study = None
    if source.is_file() and is_study_file(source):
        described = read_study(source)
        described.check_version()
        study = described.study_id
    elif source.is_file() and lesions is not None:
        msg = f"{source.name}: a manifest names each subject's lesion table itself; --lesions is for folders."
        raise UsageError(msg, hint="Write the tables' paths in its column lesions.")
    if workers is not None and workers < 1:
        msg = f"{workers} workers can do nothing."
        raise UsageError(msg, hint="Give --workers 1 or more.")
    context = WorkerContext(protocol=protocol, lesions=lesions, fresh=fresh, assess=assess)
    limits = limits or Limits()
    runner: LocalRunner | ClusterRunner
    if scheduler is None:
        workers = workers or default_workers()
        runner = LocalRunner(context, workers=workers, limits=limits)
    else:
        from volstrat.cohort.cluster import ClusterRunner

        source, out = source.absolute(), out.absolute()  # the workers stand elsewhere
        runner = ClusterRunner(context, scheduler=scheduler, limits=limits)
    cases = _some(find_cases(source, out, shard=shard, lesions=lesions), source, shard)
    detail = {
        "input_root": str(source.resolve()),
        "lesions": lesions,
        "shard": None if shard is None else str(shard),
        "workers": workers if scheduler is None else None,
        "scheduler": scheduler,
        "fresh": fresh,
        "study": study,
    }
    with output_lock(out):
        refuse_other_kind(out)
        _refuse_other_results(out, protocol, study, shard, fresh=fresh)
        with open_run(
            out, source, protocol, event="batch", detail=detail, on_progress=on_progress, fresh=fresh
        ) as run:
            result = run.do(cases, runner)
    return replace(result, passed_over=passed_over, changed=tuple(changed_strata(out / TRAIL)))


def _some(cases: Iterator[FoundCase], source: Path, shard: Shard | None) -> Iterator[FoundCase]:
    """Return the cases again once there is one; a shard may be empty."""
    first = next(cases, None)
    if first is None and shard is None:
        if (source / STATE_FOLDER).is_dir():
            msg = f"{source}: holds results that volstrat wrote, and no case."
            raise UsageError(msg, hint="Name the folder that holds the cases, not that of their results.")
        msg = f"{source}: there is no case in it."
        raise UsageError(msg, hint="A case is a folder with a tumour mask or a case.toml.")

    return iter(()) if first is None else chain([first], cases)


def refuse_other_kind(out: Path) -> None:
    """Refuse to write a cohort over what readings were compared or adjudicated into."""
    kind = _OF_READINGS.get(str((read_run_file(out) or {}).get("event")))
    if kind is not None:
        msg = f"{out}: holds {kind}; a cohort's results would be written over it."
        raise UsageError(msg, hint="Name another folder with -o.")


def _refuse_other_results(
    out: Path, protocol: LoadedProtocol, study: str | None, shard: Shard | None, *, fresh: bool
) -> None:
    """Refuse to write over results of another part of the cohort, another protocol or another study."""
    before = read_run_file(out)
    if shard is not None and before is not None and before.get("shard") != str(shard):
        held = f"shard {before['shard']}" if before.get("shard") else "a whole cohort"
        msg = f"{out}: holds {held}; shard {shard} would drop its subjects from the tables."
        raise UsageError(msg, hint="Give each shard an output folder of its own, and merge them.")
    if fresh:
        return
    msg = ""
    if before is None:
        if (out / RUN_FILE).exists() or ((out / TRAIL).is_file() and any(out.glob(f"*/{RECORD}"))):
            state = "cannot be read" if is_damaged(out) else "is missing"
            msg = f"{out}: its run.json {state}, so by what protocol its results are is not known."
    elif (old := before.get("protocol") or {}).get("sha256") not in (None, protocol.sha256):
        now, then = (
            f"{protocol.protocol.id} {protocol.protocol.version}",
            f"{old.get('id')} {old.get('version')}",
        )
        msg = f"{out}: holds results by protocol {then}; this run's is {now}, another file."
    elif before.get("study") != study:
        studies = [f"study {name!r}" if name else "no study" for name in (before.get("study"), study)]
        msg = f"{out}: holds results of {studies[0]}; this run is of {studies[1]}."
    if msg:
        raise UsageError(msg, hint="Name another folder with -o, or start over in this one: --fresh.")


@contextmanager
def open_run(
    out: Path,
    source: Path,
    protocol: LoadedProtocol,
    *,
    event: str,
    detail: Mapping[str, Any],
    on_progress: Callable[[Progress], None],
    fresh: bool = False,
) -> Iterator[CohortRun]:
    """Begin a run in an output folder whose lock is held; what it notes is kept however the block ends.

    ``event`` and ``detail`` are those of `RunFile`.
    """
    ledger = Ledger(out, reserved=reserved_names(out, source), fresh=fresh)
    try:
        file = RunFile(out, event=event, detail=detail, protocol=protocol)
        yield CohortRun(out, ledger, file, protocol, on_progress)
    except BaseException:
        ledger.abandon()
        raise
    ledger.close()


class CohortRun:
    """One run in an output folder: its ledger, ``run.json`` and trail, and how far it has come.

    All methods raise an `OutputError` where the output cannot be written.
    """

    def __init__(
        self,
        out: Path,
        ledger: Ledger,
        file: RunFile,
        protocol: LoadedProtocol,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.out, self.ledger = out, ledger
        self.file, self._protocol, self._on_progress = file, protocol, on_progress
        self.progress = Progress()

    def show(self) -> None:
        """Tell whoever watches how far the run has come."""
        self._on_progress(self.progress)

    def do(self, cases: Iterator[FoundCase], runner: LocalRunner | ClusterRunner) -> CohortResult:
        """Have every case done, note each in the ledger as it is, and end the run."""
        stream, progress = CaseStream(cases), self.progress

        def take(wait_seconds: float) -> Task | None:
            case = stream.take(wait_seconds)
            while case is not None:
                folder = self.ledger.offer(case.location, case.subject)
                if folder is not None:
                    return Task(location=case.location, case=case.case, target=self.out / folder)
                progress.done += 1  # another case of a subject that was met before
                case = stream.take(0.0)
            return None

        try:
            for receipt in runner.receipts(take, lambda: stream.ended):
                if receipt is not None:
                    self.note(receipt)
                    progress.done += 1
                    progress.skipped += receipt.skipped
                    progress.counts[receipt.status] = progress.counts.get(receipt.status, 0) + 1
                else:
                    progress.found, progress.all_found = stream.found, stream.all_found
                    self.show()
                self.ledger.commit()
        finally:
            stream.stop()
        return self.finish()

    def note(self, receipt: Receipt) -> None:
        """Note that a case is done, and what its record took the place of."""
        if receipt.replaced is not None:
            self.file.replaced(receipt.replaced)
        self.ledger.note(receipt)

    def finish(self) -> CohortResult:
        """Settle names, then write tables, summary and page, and tell the run's end."""
        ledger, progress = self.ledger, self.progress
        progress.writing = True
        self.show()
        self._fail_twice()
        self._put_in_place()
        ledger.commit()
        summary = write_results(self.out, ledger, turn=self.show)
        counts, removed, alike = ledger.counts(), ledger.removed(), tuple(ledger.alike())
        self.file.finish(
            counts=counts,
            files=file_hashes(self.out),
            records_sha256=records_sha256((done.subject, done.record_sha256) for done in ledger.subjects()),
            inputs_sha256=records_sha256((done.subject, done.inputs_sha256) for done in ledger.subjects()),
            skipped=progress.skipped,
            removed=list(removed),
        )
        ledger.forget_removed()
        return CohortResult(
            counts=counts,
            skipped=progress.skipped,
            removed=removed,
            failures=summary.failures,
            alike=alike,
        )

    def _fail_twice(self) -> None:
        """Give each subject that several cases are called its one failed record."""
        for subject, folder, locations in self.ledger.twice():
            case = CasePlace(folder=self.out, subject=subject)
            task = Task(location=locations[0], case=case, target=self.out / folder)
            receipt = fail_task(task, said_twice(subject, locations), self._protocol)
            self.note(receipt)
            self.ledger.settle_twice(subject, folder, receipt.record_sha256)

    def _put_in_place(self) -> None:
        """Move results into the folders they should have, once it is known who shares a name with whom."""
        for subject, there, wanted in self.ledger.misplaced():
            source, target = self.out / there, self.out / wanted
            try:
                if (target / RECORD).exists():  # of an earlier run, when the name was free or taken
                    shutil.rmtree(target)
                source.rename(target)
            except OSError as error:
                msg = f"{source}: cannot be moved to {target.name} ({error.strerror})."
                raise OutputError(msg, hint="Run the same command again.") from error
            self.ledger.moved(subject, wanted)
            self.ledger.commit()
