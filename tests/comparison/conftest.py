"""Cohorts that are compared are done in the tests' own process."""

from __future__ import annotations

import pytest

from tests.cohort.cohorts import InlineRunner


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no workers: what they do is `tests/cohort`'s affair."""
    monkeypatch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
