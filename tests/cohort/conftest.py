"""Cohorts and a fast way to run them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from make_cohort import make_cohort
from tests.cohort.cohorts import InlineRunner
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import CohortResult, run_cohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Make a cohort of eight subjects."""
    make_cohort(tmp_path / "in", 8)
    return tmp_path / "in"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CohortResult]:
    """Return ``run_cohort`` with the packaged protocol, working in this process."""

    def inline(source: Path, out: Path, **options: Any) -> CohortResult:  # noqa: ANN401
        with monkeypatch.context() as patch:
            patch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
            return run_cohort(source, out, **{"protocol": load_protocol(), "workers": 1, **options})

    return inline


@pytest.fixture
def run_apart() -> Callable[..., CohortResult]:
    """Return ``run_cohort`` with the packaged protocol, with worker processes."""
    return partial(run_cohort, protocol=load_protocol())
