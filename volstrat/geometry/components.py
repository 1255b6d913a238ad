"""Connected components of a voxel set, worked on its runs.

Runs of neighbouring rows are joined where they meet; the joining is a union-find in numpy
(hook to the smaller root, then halve the paths), so a whole-body mask costs a few milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import divided, expand, ranked, split_rows

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns


@frozen(eq=False, kw_only=False)
class Components:
    """Row-wise runs with the component each belongs to.

    ``component`` runs from 0 to ``count - 1`` in the order in which storage meets them: an
    arbitrary order that nothing may depend on.
    """

    starts: Int64s
    stops: Int64s
    component: Int64s
    count: int


def connected_components(runs: VoxelRuns, grid: VoxelGrid, *, connectivity: int = 26) -> Components:
    """Find the connected components of a voxel set; rows of the grid lie along ``i``.

    By ``connectivity``, voxels are neighbours if they share a corner (26), an edge (18) or a face (6);
    another number is a ValueError.
    """
    if connectivity not in (6, 18, 26):
        msg = f"connectivity must be 6, 18 or 26, not {connectivity}."
        raise ValueError(msg)
    ni, nj, _ = grid.shape
    starts, stops, _ = split_rows(runs.starts, runs.stops, ni)
    row = starts // ni
    j = divided(row, nj)[1]
    across = int(connectivity > 6)
    neighbours = [(1, j > 0, across), (nj, row >= nj, across)]
    if connectivity > 6:
        corner = int(connectivity == 26)
        neighbours += [(nj + 1, (row >= nj) & (j > 0), corner), (nj - 1, (row >= nj) & (j < nj - 1), corner)]
    parent = np.arange(starts.size, dtype=np.int64)
    for back, valid, reach in neighbours:  # one after another: the pairs of all would be most of the memory
        pairs = _meetings(starts, stops, row, rows_back=back, valid=valid, reach=reach, row_length=ni)
        parent = _joined(parent, *pairs)
    kept, component = ranked(parent)
    return Components(starts, stops, component, kept.size)


def _meetings(
    starts: Int64s, stops: Int64s, row: Int64s, *, rows_back: int, valid: Bools, reach: int, row_length: int
) -> tuple[Int64s, Int64s]:
    """Pairs of runs (later, earlier) that meet, the earlier one ``rows_back`` rows before."""
    later = np.flatnonzero(valid)
    shift = rows_back * row_length
    row_start = row[later] * row_length
    low = np.maximum(starts[later] - reach, row_start) - shift
    high = np.minimum(stops[later] + reach, row_start + row_length) - shift
    first = np.searchsorted(stops, low, side="right")
    past = np.maximum(np.searchsorted(starts, high, side="left"), first)
    return np.repeat(later, past - first), expand(first, past)


def _joined(parent: Int64s, left: Int64s, right: Int64s) -> Int64s:
    """Smallest member of each element's component, given that of each so far and edges between elements."""
    while left.size:
        low = np.minimum(parent[left], parent[right])
        high = np.maximum(parent[left], parent[right])
        apart = low != high
        left, right, low, high = left[apart], right[apart], low[apart], high[apart]
        np.minimum.at(parent, high, low)
        while True:
            grandparent = parent[parent]
            if np.array_equal(grandparent, parent):
                break
            parent = grandparent
    return parent
