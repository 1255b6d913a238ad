"""``volstrat batch`` and ``volstrat merge``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from volstrat.cli.options import (
    ANY,
    EXISTING,
    EXISTING_FOLDER,
    EXIT_FAILED,
    USAGE,
    errors_said,
    exit_code,
    lesions_option,
    protocol_option,
    workers_option,
)
from volstrat.cli.say import say
from volstrat.terms.wording import more_than, shown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volstrat.cohort import CohortResult, Progress


_MOST_CHANGES = 20
_USAGE = USAGE | {"file_unreadable"}
"""Codes of errors that come before any case is touched."""


@click.command()
@click.argument("source", metavar="ROOT|MANIFEST.csv|STUDY.toml", type=EXISTING)
@click.option("-o", "--out", type=ANY, required=True, help="Folder for tables, page and records.")
@workers_option
@click.option("--fresh", is_flag=True, help="Do every subject anew; without it, what stands is skipped.")
@click.option("--shard", metavar="K/N", help="Do only the K-th of N parts; merge them afterwards.")
@protocol_option
@lesions_option
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
@click.argument("shards", nargs=-1, required=True, type=EXISTING_FOLDER)
@click.option("-o", "--out", type=ANY, required=True, help="Folder for the merged cohort.")
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
        with errors_said(usage=_USAGE):
            yield
    except KeyboardInterrupt:
        say("volstrat: stopped. What is done is kept; run the same command again to go on.", err=True)
        sys.exit(EXIT_FAILED)


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """Show how far a run has come."""
    from volstrat.cli.progress import bar, lines

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
    sys.exit(exit_code(status for status, count in result.counts.items() if count))


def _subjects(count: int) -> str:
    return f"{count} subject{'' if count == 1 else 's'}"
