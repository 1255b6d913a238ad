"""Timing for the benchmarks: rows of one table run in turn, medians, peak memory of a process of its own.

Rows are interleaved: each round runs every row once, so that what else the machine does falls on all of
them alike. Wall time is what a person waits; processor time is said beside it, since it shows who keeps
several cores busy. Peak memory is that of a new process that does the row's work once, imports included.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
_SLOW_SECONDS = 3.0
_VERY_SLOW_SECONDS = 12.0
# A process takes over its parent's peak when it starts, so a small one stands between.
_LAUNCHER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
begin = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(child, 0)
seconds = time.perf_counter() - begin
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, peak, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to do the work of a table.

    Parameters
    ----------
    name : str
        Also how a process of its own is asked for the row.
    work : callable
        Returns what it found, which must equal what the other rows of its ``answer`` found.
    needs : tuple of str
        Modules without which the row is left out, and said to be.
    answer : str
        Rows of one word must find the same; "" compares with nothing.
    program : tuple of str
        Where given, the row is a whole program: its arguments; ``work`` is not used.
    accepts : tuple of int
        Exit codes of the program that mean it did its work.
    """

    name: str
    work: Callable[[], object] = lambda: None
    needs: tuple[str, ...] = ()
    answer: str = ""
    program: tuple[str, ...] = ()
    accepts: tuple[int, ...] = (0,)


@dataclass(slots=True)
class Timed:
    """What was seen of one row: seconds of each run, and bytes at most."""

    row: Row
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    found: object = None
    missing: str = ""

    @property
    def median(self) -> float:
        """Median wall time, seconds."""
        return statistics.median(self.seconds)


Timings = dict[str, Timed]


class BenchmarkError(RuntimeError):
    """A row failed, or found something other than the rows it is compared with."""


def run_rows(rows: Sequence[Row], *, runs: int, peak: Callable[[Row], Sequence[str]] | None) -> Timings:
    """Run all rows, round by round; rows that take long run less often.

    The first run of a row in this process warms it up and is not counted, unless the row takes so long
    that it does not matter.

    Parameters
    ----------
    rows : sequence of Row
    runs : int
        Rounds that count; a row that takes 3 s runs in three of them at most, one that takes 12 s in one.
    peak : callable or None
        Arguments of a process that does one row's work once.
    """
    timed = {row.name: Timed(row) for row in rows}
    for seen in timed.values():
        seen.missing = _missing(seen.row.needs)
    present = [seen for seen in timed.values() if not seen.missing]
    for number in range(runs + 1):
        for seen in present:
            _said(f"round {number} of {runs}: {seen.row.name}")
            if number <= _rounds(seen, runs):
                _run_once(seen)
    for seen in present:
        if len(seen.seconds) > 1:
            del seen.seconds[0], seen.processor[0]
    for seen in present:
        if not seen.row.program and peak is not None:
            _said(f"peak memory: {seen.row.name}")
            alone = run_program(peak(seen.row))
            if alone.code:
                msg = f"{seen.row.name} failed in a process of its own: {alone.complaint[-2000:]}"
                raise BenchmarkError(msg)
            seen.peak_bytes = alone.peak_bytes
    _said("")
    _check_answers(present)
    return timed


def _missing(modules: Sequence[str]) -> str:
    """Say which module stands in the way, and why; "" if none does."""
    for name in modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            return f"{error.name} is not installed"
        except Exception as error:  # a package may be broken here in any way
            return f"importing {name} fails ({type(error).__name__}: {error})"
    return ""


def _rounds(seen: Timed, runs: int) -> int:
    """How many runs of a row count, going by those there were; 0: the first one stands."""
    if not seen.seconds:
        return runs
    fastest = min(seen.seconds)
    return min(runs, 0 if fastest > _VERY_SLOW_SECONDS else 3 if fastest > _SLOW_SECONDS else runs)


def _run_once(seen: Timed) -> None:
    if seen.row.program:
        ran = run_program(seen.row.program)
        if ran.code not in seen.row.accepts:
            msg = f"{seen.row.name} ended with exit code {ran.code}: {ran.complaint[-2000:]}"
            raise BenchmarkError(msg)
        seconds, processor = ran.seconds, ran.processor
        seen.peak_bytes = max(seen.peak_bytes or 0, ran.peak_bytes)
    else:
        gc.collect()
        begin, used = time.perf_counter(), time.process_time()
        seen.found = seen.row.work()
        seconds, processor = time.perf_counter() - begin, time.process_time() - used
        if not seen.row.answer:
            seen.found = None
    seen.seconds.append(seconds)
    seen.processor.append(processor)


class Ran(NamedTuple):
    """What a program took: seconds of wall and processor time, peak memory, exit code, standard error."""

    seconds: float
    processor: float
    peak_bytes: int
    code: int
    complaint: str


def run_program(arguments: Sequence[str]) -> Ran:
    """Run a program; what it prints is thrown away."""
    launched = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *arguments], capture_output=True, check=True, text=True
    )
    seconds, processor, peak, code = json.loads(launched.stdout)
    return Ran(seconds, processor, peak, code, launched.stderr.strip())


def _check_answers(present: Sequence[Timed]) -> None:
    found: dict[str, Timed] = {}
    for seen in present:
        if seen.row.answer:
            first = found.setdefault(seen.row.answer, seen)
            if seen.found != first.found:
                msg = f"{seen.row.name} found {seen.found}, {first.row.name} found {first.found}"
                raise BenchmarkError(msg)


def _said(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def table(title: str, timings: Timings, *, base: str) -> None:
    """Print a table; ratios are to the row ``base``."""
    print(f"\n{title}")
    width = max(len(name) for name in timings)
    print(f"{'':{width}}  {'ms':>10}  {'cpu ms':>10}  {'ratio':>8}  {'peak MB':>8}  runs")
    unit = timings[base].median if timings[base].seconds else float("nan")
    for name, seen in timings.items():
        if seen.missing:
            print(f"{name:{width}}  not run: {seen.missing}")
            continue
        ms, cpu = 1000 * seen.median, 1000 * statistics.median(seen.processor)
        peak = "" if seen.peak_bytes is None else f"{seen.peak_bytes / 1e6:.0f}"
        print(
            f"{name:{width}}  {ms:>10,.1f}  {cpu:>10,.1f}  {seen.median / unit:>8.2f}  {peak:>8}  "
            f"{len(seen.seconds)}"
        )


def goal(text: str, value: float, limit: float) -> None:
    """Print whether a goal is met: a value that must not lie above its limit."""
    print(f"  {'met    ' if value <= limit else 'NOT MET'}  {text}: {value:.2f} (at most {limit:.3g})")


def machine() -> str:
    """Say what the numbers were taken on; no name of a host."""
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        else:
            model = platform.processor()
    except OSError:
        model = platform.processor()
    load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
    return f"{model or platform.machine()}, {os.cpu_count()} cores; {platform.system()}; load {load}"
