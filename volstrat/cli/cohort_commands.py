"""Commands on a cohort: ``volstrat init``, ``batch`` and ``merge``."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import volstrat.cli.options as opt
from volstrat.cli.options import say
from volstrat.terms.wording import more_than, shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volstrat.cohort import CohortResult, Progress


_MOST_CHANGES = 20
_LINE_SECONDS = 15.0
_STATUSES = ("assigned", "review", "not_assessable", "failed")
_USAGE = opt.USAGE | {"file_unreadable"}
"""Codes of errors that come before any case is touched."""


@click.command()
@click.argument("tree", type=opt.EXISTING_FOLDER)
@click.option(
    "-o",
    "--out",
    type=opt.ANY,
    metavar="FILE",
    help="Study file [default: TREE/study.toml].",
)
def init(tree: Path, out: Path | None) -> None:
    """Look at a tree of scans and masks, and write its study file for batch, review, compare and inspect.

    Known trees: case folders, folders of DICOM, nnU-Net, the Medical Segmentation Decathlon,
    TotalSegmentator, autoPET, MONAI Label, 3D Slicer scenes, BIDS, XNAT, LIFEx, images beside labels, and
    files called after their subject. Nothing is guessed: what has two candidates is left open and listed.

    Exit codes: 0 all is clear; 3 something must be settled or marked first; 2 nothing was found; 1 the study
    file is there already.
    """
    from volstrat.study.init import init_study

    with opt.errors_said():
        done = init_study(tree, out)
    for line in done.text.splitlines():
        say(line)
    sys.exit(0 if done.is_clear else opt.EXIT_PERSON)


@click.command()
@click.argument("source", metavar="ROOT|MANIFEST.csv|STUDY.toml", type=opt.EXISTING)
@click.option("-o", "--out", type=opt.ANY, required=True, help="Folder for tables, page and records.")
@opt.workers
@click.option("--fresh", is_flag=True, help="Do every subject anew; without it, what stands is skipped.")
@click.option("--shard", metavar="K/N", help="Do only the K-th of N parts; merge them afterwards.")
@opt.protocol
@opt.lesions
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786, to work on.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="MINUTES",
    help="What one subject may take.",
)
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="What one subject may take [default: an equal share of the machine's memory].",
)
@click.option("--report", is_flag=True, help="Also write SUBJECT/report.html of every subject.")
def batch(
    *,
    source: Path,
    out: Path,
    workers: int | None,
    fresh: bool,
    shard: str | None,
    protocol_file: Path | None,
    lesions: str | None,
    scheduler: str | None,
    time_limit: float,
    memory_limit: float | None,
    report: bool,
) -> None:
    """Measure every case below ROOT, of a manifest or of a study file; one that fails never stops the rest.

    Run the same command again after an interruption: what is done is skipped, and the tables come out
    the same. A manifest is a CSV with the column `subject` and one column a role, paths relative to it.
    """
    from volstrat.cohort import Limits, parse_shard, run_cohort
    from volstrat.store.system import limits_memory
    from volstrat.study.study_file import protocol_for

    if not limits_memory():
        say("This system holds no process to an amount of memory: no limit of memory is kept.", err=True)
    with ends_said():
        loaded = protocol_for(source, protocol_file)
        limits = Limits.of(minutes=time_limit, gib=memory_limit)
        with shown() as show:
            result = run_cohort(
                source,
                out,
                loaded,
                lesions=lesions,
                workers=workers,
                fresh=fresh,
                shard=None if shard is None else parse_shard(shard),
                scheduler=scheduler,
                limits=limits,
                on_progress=show,
            )
        if report:
            from volstrat.report.write import report_cohort

            report_cohort(out, out, loaded, inputs=source, lesions=lesions)
    end(result, out)


@click.command()
@click.argument("shards", nargs=-1, required=True, type=opt.EXISTING_FOLDER)
@click.option("-o", "--out", type=opt.ANY, required=True, help="Folder for the merged cohort.")
def merge(shards: tuple[Path, ...], out: Path) -> None:
    """Merge the outputs of shards (or of whole cohorts) into one, as one run would have left it."""
    from volstrat.cohort import merge_cohorts

    with ends_said(), shown() as show:
        result = merge_cohorts(shards, out, on_progress=show)
    end(result, out)


@contextmanager
def ends_said() -> Iterator[None]:
    """Say what ends a run in one sentence: an error, or a person."""
    try:
        with opt.errors_said(usage=_USAGE):
            yield
    except KeyboardInterrupt:
        say("volstrat: stopped. What is done is kept; run the same command again to go on.", err=True)
        sys.exit(opt.EXIT_FAILED)


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """Show how far a run has come on stderr: a bar on a terminal, else a plain line every so often."""
    with bar() if sys.stderr.isatty() else lines() as show:
        yield show


def end(result: CohortResult, out: Path) -> None:
    """Name what failed and what is gone, print the counts, and leave with the exit code they amount to."""
    if result.passed_over:
        say(
            f"{', '.join(result.passed_over)} at the root of the cohort: read for no subject, as cases lie "
            "below. Put each subject's table into its folder, or name them in a study file.",
            err=True,
        )
    if result.changed:
        say(f"{_subjects(len(result.changed))} with another stratum than at first:")
        for text in result.changed[:_MOST_CHANGES]:
            say(f"  {text}")
        if len(result.changed) > _MOST_CHANGES:
            say(f"  ... {more_than(len(result.changed), _MOST_CHANGES)} (volstrat audit show {out})")
    for names in result.alike:
        say(
            f"{shown_names([*map(repr, names)], last=' and ')} hold the same files, byte for byte: one "
            "patient, copied? Take out what is there twice.",
            err=True,
        )
    for subject, message in result.failures:
        say(f"{subject!r} failed: {message}", err=True)
    more = result.counts["failed"] - len(result.failures)
    if more > 0:
        say(f"... and {more} more failed; cohort.csv has them all.", err=True)
    if result.removed:
        named = ", ".join(map(repr, result.removed[:10])) + (", ..." if len(result.removed) > 10 else "")
        say(
            f"{_subjects(len(result.removed))} of earlier runs left the tables, being gone: {named}",
            err=True,
        )
    counts_text = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in result.counts.items() if n)
    skipped = f" ({result.skipped} unchanged since an earlier run)" if result.skipped else ""
    say(f"{_subjects(result.subjects)}{skipped}: {counts_text or 'none'}")
    say(f"{out / 'cohort.csv'}, {out / 'index.html'}")
    sys.exit(opt.exit_code(status for status, count in result.counts.items() if count))


def _subjects(count: int) -> str:
    return f"{count} subject{'' if count == 1 else 's'}"


def counts(progress: Progress) -> str:
    """Return the counts by status in words."""
    parts = [f"{n} {status.replace('_', ' ')}" for status in _STATUSES if (n := progress.counts.get(status))]
    if progress.skipped:
        parts.append(f"{progress.skipped} skipped")
    return ", ".join(parts)


def time_left(seconds: float) -> str:
    """Return a duration for people.

    >>> time_left(59.6), time_left(3700), time_left(200_000)
    ('1 min', '1 h 2 min', '2 d 7 h')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def line(progress: Progress, seconds: float) -> str:
    """Return one line: how many are done of how many, at which rate, the time left, counts by status."""
    of = f"{progress.found}" if progress.all_found else f"{progress.found} found so far"
    rate = progress.done / seconds if seconds > 0 else 0.0
    parts = [f"{progress.done} of {of}", f"{rate:.3g} a second"]
    if progress.writing:
        parts.append("writing tables")
    elif progress.all_found and rate > 0 and progress.done < progress.found:
        parts.append(f"{time_left((progress.found - progress.done) / rate)} left")
    return "; ".join([*parts, counts(progress)]).rstrip("; ")


@contextmanager
def lines() -> Iterator[Callable[[Progress], None]]:
    """Give what prints a plain line at most every 15 seconds."""
    begun = last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_SECONDS:
            last = now
            click.echo(line(progress, now - begun), err=True)

    yield show


@contextmanager
def bar() -> Iterator[Callable[[Progress], None]]:
    """Give what draws a bar with rate, time left and counts."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Drawn

    begun = time.monotonic()
    drawn = Drawn(
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"), console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with drawn:
        task = drawn.add_task("", total=None, rate="", counts="")

        def show(progress: Progress) -> None:
            seconds = max(time.monotonic() - begun, 1e-3)
            drawn.update(
                task,
                completed=progress.done,
                total=progress.found if progress.all_found else None,
                rate=f"{progress.done / seconds:.3g}/s",
                counts="writing tables" if progress.writing else counts(progress),
            )

        yield show
