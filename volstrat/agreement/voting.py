"""One mask from three or more readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import UsageError
from volstrat.geometry.runs import VoxelRuns

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_READINGS = 3
"""Of two readings that differ neither is the majority."""


def majority(readings: Sequence[VoxelRuns]) -> VoxelRuns:
    """Return the voxels that more than half of the readings hold.

    With an even number of readings a voxel that exactly half of them hold is left out.

    Parameters
    ----------
    readings : sequence of VoxelRuns
        All on one grid.

    Raises
    ------
    UsageError
        If there are fewer than three.
    """
    if len(readings) < FEWEST_READINGS:
        msg = f"A consensus needs at least {FEWEST_READINGS} readings; there are {len(readings)}."
        hint = "Where two readings differ neither outvotes the other: have an adjudicator decide."
        raise UsageError(msg, hint=hint)
    position = np.concatenate([end for runs in readings for end in (runs.starts, runs.stops)])
    change = np.concatenate(
        [np.full(runs.starts.size, sign, np.int64) for runs in readings for sign in (1, -1)]
    )
    order = np.argsort(position, kind="stable")
    position, votes = position[order], np.cumsum(change[order])
    held = np.flatnonzero(2 * votes > len(readings))  # the last stop leaves no votes, so `held + 1` exists
    return VoxelRuns.from_intervals(position[held], position[held + 1])
