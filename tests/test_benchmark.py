"""What the benchmarks stand on: rows that agree, rows that are missing, peak memory. No test is timed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import bench_timing
from bench_phantoms import CT_SHAPE, CT_SPACING_MM, LESIONS, lesions, second_reading
from bench_timing import BenchmarkError, Row, run_program, run_rows, table


def test_rows_that_find_something_else_stop_the_benchmark() -> None:
    """A row that is fast because it is wrong must not be compared."""
    rows = [Row(name="a", work=lambda: 1, answer="x"), Row(name="b", work=lambda: 2, answer="x")]
    with pytest.raises(BenchmarkError, match="b found 2, a found 1"):
        run_rows(rows, runs=1, peak=None)


def test_a_missing_package_is_said_in_plain_sight(capsys: pytest.CaptureFixture[str]) -> None:
    """The row stays in the table, without a time."""
    ran: list[int] = []
    rows = [
        Row(name="here", work=lambda: ran.append(1)),
        Row(name="absent", work=lambda: ran.append(2), needs=("no_such_module",)),
    ]
    table("title", run_rows(rows, runs=2, peak=None), base="here")
    assert "absent  not run: no_such_module is not installed" in capsys.readouterr().out
    assert ran == [1, 1, 1]  # one to warm up, two that count


def test_rows_run_in_turn() -> None:
    """Each round runs every row once, so that what else the machine does falls on all of them."""
    order: list[str] = []
    rows = [Row(name=name, work=lambda name=name: order.append(name)) for name in "ab"]  # type: ignore[misc]
    run_rows(rows, runs=2, peak=None)
    assert "".join(order) == "ababab"


def test_slow_rows_run_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limits at zero every row is very slow: its first run stands."""
    monkeypatch.setattr(bench_timing, "_VERY_SLOW_SECONDS", 0.0)
    seen = run_rows([Row(name="slow")], runs=5, peak=None)["slow"]
    assert len(seen.seconds) == 1


def test_a_program_that_fails_stops_the_benchmark() -> None:
    """A failed run is no fast run; an exit code that is named as good is one."""
    program = (sys.executable, "-c", "raise SystemExit('the reason')")
    with pytest.raises(BenchmarkError, match="exit code 1: the reason"):
        run_rows([Row(name="p", program=program)], runs=1, peak=None)
    seen = run_rows([Row(name="p", program=program, accepts=(0, 1))], runs=1, peak=None)
    assert seen["p"].seconds


def test_peak_memory_is_the_programs_own() -> None:
    """Bytes touched in the program count, those of this process do not (both 200 MB)."""
    held = np.ones(200_000_000, dtype=np.uint8)
    small = run_program((sys.executable, "-S", "-c", "pass")).peak_bytes
    large = run_program((sys.executable, "-S", "-c", "b'1' * 200_000_000")).peak_bytes
    assert small < 100_000_000 < large
    assert held.size


def test_the_phantoms_lesions_lie_inside_and_apart() -> None:
    """60 bodies in the CT field: their largest half axes and 8 mm lie between any two centres."""
    bodies = lesions(seed=1)
    assert len(bodies) == LESIONS
    centre = np.array([b.centre_mm for b in bodies])
    reach = np.array([max(b.half_mm) for b in bodies])
    assert (np.abs(centre) + reach[:, None] < np.array(CT_SHAPE) * CT_SPACING_MM / 2).all()
    apart = np.linalg.norm(centre[:, None] - centre, axis=2) - reach[:, None] - reach
    assert apart[np.triu_indices(LESIONS, 1)].min() >= 8.0
    assert lesions(seed=1) == bodies
    assert len(second_reading(bodies, seed=2)) == LESIONS - 1  # two missed, one more
