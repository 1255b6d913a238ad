"""Progress of a cohort on stderr: a bar on a terminal, else a plain line every so often."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volstrat.cohort import Progress

_LINE_SECONDS = 15.0
_SHORT = {"assigned": "assigned", "review": "review", "not_assessable": "not assessable", "failed": "failed"}


def counts(progress: Progress) -> str:
    """Return the counts by status in words."""
    parts = [
        f"{progress.counts[status]} {name}" for status, name in _SHORT.items() if progress.counts.get(status)
    ]
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
