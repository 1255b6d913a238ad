"""Majority of three or more readings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import voxel_runs
from volstrat.comparison.consensus import majority
from volstrat.errors import UsageError
from volstrat.geometry.runs import VoxelRuns


def _runs(drawing: str) -> VoxelRuns:
    return voxel_runs(np.array([cell == "x" for cell in drawing]))


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param(["xxx....", ".xxx.xx", "..xxx.."], ".xxx...", id="two-of-three"),
        pytest.param(["xx..", "xxx.", "xx.x", "x..."], "xx..", id="half-of-four-is-not-enough"),
        pytest.param(["x.", "xx", "..", ".."], "..", id="tie-of-four"),
        pytest.param(["xx.", "...", "..."], "...", id="one-of-three"),
        pytest.param(["xx.", "xx.", "xx."], "xx.", id="identical"),
        pytest.param(["xx..", "..xx", "xxxx"], "xxxx", id="touching-runs"),
        pytest.param(["..", "..", ".."], "..", id="all-empty"),
    ],
)
def test_majority_holds_what_more_than_half_hold(readings: list[str], expected: str) -> None:
    """Drawn as one row, x is tumour."""
    assert majority([_runs(reading) for reading in readings]).same_as(_runs(expected))


def test_majority_equals_counting_voxels() -> None:
    """Five random readings, against a dense count."""
    dense = np.random.default_rng(3).random((5, 7, 6, 5)) < 0.5
    expected = voxel_runs(dense.sum(axis=0) > 2.5)
    assert expected
    assert majority([voxel_runs(reading) for reading in dense]).same_as(expected)


def test_two_readings_have_no_majority() -> None:
    """It says why not, and what to do."""
    with pytest.raises(UsageError, match=r"at least 3 readings; there are 2\..*adjudicator"):
        majority([_runs("x."), _runs(".x")])
