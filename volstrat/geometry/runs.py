"""Voxel sets as sorted runs: the form in which every mask is held.

A run is a stretch ``[start, stop)`` of linear voxel indices (``i`` fastest). Tumour fills about one
voxel in a thousand of a whole-body CT, so counts and set algebra on runs cost next to nothing, and
no step needs a dense volume. Runs may pass from one row into the next; `split_rows` cuts them at
row ends where geometry matters.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.geometry.grid import Placement


_FEW_VALUES = 1 << 16


def _locked(values: ArrayLike) -> Int64s:
    array = np.array(values, dtype=np.int64).reshape(-1)
    array.flags.writeable = False
    return array


@frozen(eq=False, kw_only=False)
class VoxelRuns:
    """A set of voxels: sorted, disjoint runs that do not touch.

    Raises
    ------
    ValueError
        If the runs are empty, unsorted, overlap or touch.
    """

    # starts, stops: (n,): ``starts[r] < stops[r] < starts[r + 1]``.
    starts: Int64s
    stops: Int64s

    def __post_init__(self) -> None:
        starts, stops = _locked(self.starts), _locked(self.stops)
        if starts.size != stops.size or (starts >= stops).any() or (stops[:-1] >= starts[1:]).any():
            msg = "Runs must be non-empty, sorted and apart."
            raise ValueError(msg)
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "stops", stops)

    @classmethod
    def empty(cls) -> VoxelRuns:
        """Return the set without voxels."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def from_intervals(cls, starts: ArrayLike, stops: ArrayLike) -> VoxelRuns:
        """Return the union of any intervals: unsorted, overlapping, touching or empty ones."""
        first, last = _locked(starts), _locked(stops)
        keep = first < last
        order = np.argsort(first[keep], kind="stable")
        first, last = first[keep][order], last[keep][order]
        if first.size == 0:
            return cls.empty()
        reach = np.maximum.accumulate(last)
        opens = np.concatenate(([True], first[1:] > reach[:-1]))
        closes = np.concatenate((opens[1:], [True]))
        return cls(first[opens], reach[closes])

    @classmethod
    def from_indices(cls, linear: ArrayLike) -> VoxelRuns:
        """Return the set of these linear indices, in any order, with repeats or without."""
        index = sorted_unique(np.asarray(linear, dtype=np.int64))
        return cls.from_intervals(index, index + 1)

    @property
    def count(self) -> int:
        """How many voxels the set holds."""
        return int((self.stops - self.starts).sum())

    def __bool__(self) -> bool:
        return self.starts.size > 0

    def same_as(self, other: VoxelRuns) -> bool:
        """Tell whether both hold the same voxels (the form is canonical)."""
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.stops, other.stops)

    def indices(self) -> Int64s:
        """Every linear index of the set, rising."""
        return expand(self.starts, self.stops)

    def _combine(self, other: VoxelRuns, keep: Callable[[Bools, Bools], Bools]) -> VoxelRuns:
        points = sorted_unique(np.concatenate((self.starts, self.stops, other.starts, other.stops)))
        if points.size == 0:
            return VoxelRuns.empty()
        kept = keep(self._covers(points[:-1]), other._covers(points[:-1]))
        edge = np.diff(np.concatenate(([False], kept, [False])).view(np.int8))
        return VoxelRuns(points[edge == 1], points[edge == -1])

    def _covers(self, points: Int64s) -> Bools:
        run = np.searchsorted(self.stops, points, side="right")
        inside = run < self.starts.size
        inside[inside] = self.starts[run[inside]] <= points[inside]
        return inside

    def union(self, other: VoxelRuns) -> VoxelRuns:
        """Voxels of either set."""
        return VoxelRuns.from_intervals(
            np.concatenate((self.starts, other.starts)), np.concatenate((self.stops, other.stops))
        )

    def intersection(self, other: VoxelRuns) -> VoxelRuns:
        """Voxels of both sets."""
        return self._combine(other, np.logical_and)

    def difference(self, other: VoxelRuns) -> VoxelRuns:
        """Voxels of this set that the other does not hold."""
        return self._combine(other, np.greater)

    def contains(self, linear: ArrayLike) -> Bools:
        """Tell for each linear index whether the set holds it."""
        return self._covers(np.asarray(linear, dtype=np.int64))

    def counts_in(self, starts: Int64s, stops: Int64s) -> Int64s:
        """Count the voxels of the set inside each interval ``[start, stop)``."""
        return self._count_below(stops) - self._count_below(starts)

    def _count_below(self, points: Int64s) -> Int64s:
        before = np.concatenate(([0], np.cumsum(self.stops - self.starts)))
        run = np.searchsorted(self.starts, points, side="left")
        # Whole runs that start below the point, less what the last of them reaches past it.
        if not self:
            return np.zeros(points.size, dtype=np.int64)
        past = np.where(run > 0, np.maximum(self.stops[np.maximum(run, 1) - 1] - points, 0), 0)
        counted: Int64s = before[run] - past
        return counted

    def reindexed(
        self, placement: Placement, *, shape: tuple[int, int, int], onto: tuple[int, int, int]
    ) -> VoxelRuns:
        """Return the set as indices of another grid of the same lattice; voxels beyond it are dropped.

        ``placement`` is that of this set's grid, of ``shape``, on the other, of the shape ``onto``.
        """
        labels = LabelRuns(self.starts, self.stops, np.ones(self.starts.size, np.int64))
        return labels.reindexed(placement, shape=shape, onto=onto).union()


@frozen(eq=False, kw_only=False)
class LabelRuns:
    """Runs that carry a label; runs of different labels may overlap, those of one label do not."""

    # starts, stops, labels: (n,): sorted by start, then label; labels are positive.
    starts: Int64s
    stops: Int64s
    labels: Int64s

    def __post_init__(self) -> None:
        starts, stops, labels = _locked(self.starts), _locked(self.stops), _locked(self.labels)
        if not starts.size == stops.size == labels.size or (starts >= stops).any() or (labels < 1).any():
            msg = "Label runs need as many starts as stops and labels, none empty, labels from 1."
            raise ValueError(msg)
        if (np.diff(starts) < 0).any():
            msg = "Label runs must be sorted by start."
            raise ValueError(msg)
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "stops", stops)
        object.__setattr__(self, "labels", labels)

    @classmethod
    def empty(cls) -> LabelRuns:
        """Return no runs."""
        none = np.empty(0, np.int64)
        return cls(none, none, none)

    @classmethod
    def from_sets(cls, sets: Iterable[tuple[int, VoxelRuns]]) -> LabelRuns:
        """Return one labelled form of several voxel sets, each label once."""
        parts = [(runs.starts, runs.stops, np.full(runs.starts.size, label)) for label, runs in sets]
        if not parts:
            return cls.empty()
        starts, stops, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((labels, starts))
        return cls(starts[order], stops[order], labels[order])

    @property
    def values(self) -> tuple[int, ...]:
        """The labels that occur, rising."""
        return tuple(sorted_unique(self.labels).tolist())

    @property
    def overlapping(self) -> bool:
        """True where a voxel carries more than one label."""
        return bool((self.starts[1:] < np.maximum.accumulate(self.stops)[:-1]).any())

    def union(self) -> VoxelRuns:
        """Voxels of any label."""
        return VoxelRuns.from_intervals(self.starts, self.stops)

    def of(self, label: int) -> VoxelRuns:
        """Voxels of one label."""
        labelled = self.labels == label
        return VoxelRuns.from_intervals(self.starts[labelled], self.stops[labelled])

    def counts(self) -> dict[int, int]:
        """How many voxels each label that occurs holds, by rising label."""
        values, inverse = ranked(self.labels)
        held = np.zeros(values.size, dtype=np.int64)
        np.add.at(held, inverse, self.stops - self.starts)
        return dict(zip(values.tolist(), held.tolist(), strict=True))

    def by_label(self) -> dict[int, VoxelRuns]:
        """Voxels of every label, by rising label: as `of` for each, in one go."""
        order = np.argsort(self.labels, kind="stable")
        labels, starts, stops = self.labels[order], self.starts[order], self.stops[order]
        edges = pairwise([*np.flatnonzero(begins_of(labels)).tolist(), labels.size])
        return {int(labels[a]): VoxelRuns.from_intervals(starts[a:b], stops[a:b]) for a, b in edges}

    def reindexed(
        self, placement: Placement, *, shape: tuple[int, int, int], onto: tuple[int, int, int]
    ) -> LabelRuns:
        """Return the runs as indices of another grid of the same lattice (see `VoxelRuns.reindexed`)."""
        if placement.is_identity and shape == onto:
            return self
        starts, stops, labels = split_rows(self.starts, self.stops, shape[0], self.labels)
        if placement.axes[0] != 0:  # the fastest axis turns: every voxel is a run of its own
            labels = np.repeat(labels, stops - starts)
            starts = expand(starts, stops)
            stops = starts + 1
        first, j, k = split_index(starts, shape[0], shape[1])
        low, high = [first, j, k], [first + stops - starts - 1, j, k]
        placed_low, placed_high = list(low), list(high)
        for axis, (to, sign) in enumerate(zip(placement.axes, placement.signs, strict=True)):
            near, far = (low[axis], high[axis]) if sign > 0 else (high[axis], low[axis])
            placed_low[to] = sign * near + placement.offset[to]
            placed_high[to] = sign * far + placement.offset[to]
        i0 = np.maximum(placed_low[0], 0)
        i1 = np.minimum(placed_high[0] + 1, onto[0])
        keep = (i0 < i1) & (placed_low[1] >= 0) & (placed_low[1] < onto[1])
        keep &= (placed_low[2] >= 0) & (placed_low[2] < onto[2])
        base = onto[0] * (placed_low[1] + onto[1] * placed_low[2])
        return _merged((base + i0)[keep], (base + i1)[keep], labels[keep])


def _merged(starts: Int64s, stops: Int64s, labels: Int64s) -> LabelRuns:
    """Sort runs and join those of one label that touch or overlap."""
    if starts.size == 0:
        return LabelRuns.empty()
    order = np.lexsort((starts, labels))
    starts, stops, labels = starts[order], stops[order], labels[order]
    span = int(stops.max()) + 1  # far enough apart that labels never meet
    lane = labels * span
    joined = VoxelRuns.from_intervals(starts + lane, stops + lane)
    label = joined.starts // span
    first, last = joined.starts - label * span, joined.stops - label * span
    order = np.lexsort((label, first))
    return LabelRuns(first[order], last[order], label[order])


def divided(values: Int64s, by: int) -> tuple[Int64s, Int64s]:
    """Return quotient and rest, as `numpy.divmod` does, which takes several times as long for it."""
    quotient = values // by
    return quotient, values - quotient * by


def split_index(linear: Int64s, *sizes: int) -> tuple[Int64s, ...]:
    """Return linear indices along each of some axes, the fastest first, and behind these what lies above."""
    found = []
    for size in sizes:
        linear, along = divided(linear, size)
        found.append(along)
    return (*found, linear)


def begins_of(*columns: NDArray[np.signedinteger]) -> Bools:
    """Tell where a stretch of equal values begins: where any column has not the value of the place before."""
    begins = np.zeros(columns[0].size, dtype=bool)
    begins[:1] = True
    for column in columns:
        begins[1:] |= column[1:] != column[:-1]
    return begins


def sorted_unique(values: Int64s) -> Int64s:
    """Return the values once each, rising.

    As `numpy.unique`, without the hash table that slows it 20-fold and the masked arrays that its first
    call imports.
    """
    rising = np.sort(values, axis=None)
    first = np.ones(rising.size, dtype=bool)
    np.not_equal(rising[1:], rising[:-1], out=first[1:])
    once: Int64s = rising[first]
    return once


def ranked(values: Int64s) -> tuple[Int64s, Int64s]:
    """Return the distinct values, rising, and the rank among them of each value."""
    highest, lowest = int(values.max(initial=-1)), int(values.min(initial=0))
    if lowest >= 0 and highest < _FEW_VALUES + values.size:  # counting them is much quicker than sorting
        held = np.zeros(highest + 1, dtype=bool)
        held[values] = True
        return np.flatnonzero(held).astype(np.int64, copy=False), (np.cumsum(held) - 1)[values]
    distinct = sorted_unique(values)
    return distinct, np.searchsorted(distinct, values).astype(np.int64, copy=False)


def order_by(values: NDArray[np.signedinteger]) -> Int64s:
    """Return the order that sorts numbers from 0 up, ties as they stand; quick where none reaches 65,536."""
    small = values.astype(np.uint16) if int(values.max(initial=0)) < 1 << 16 else values
    return np.argsort(small, kind="stable").astype(np.int64, copy=False)


def first_of_each(values: Int64s) -> Int64s:
    """Return where each distinct value comes first, by rising value."""
    order = np.argsort(values, kind="stable").astype(np.int64, copy=False)
    return order[begins_of(values[order])]


def expand(starts: Int64s, stops: Int64s) -> Int64s:
    """Every index of the intervals ``[start, stop)``, in their order."""
    lengths = stops - starts
    total = int(lengths.sum())
    ends = np.cumsum(lengths)
    indices: Int64s = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
    return indices


def split_rows(
    starts: Int64s, stops: Int64s, row_length: int, labels: Int64s | None = None
) -> tuple[Int64s, Int64s, Int64s]:
    """Cut runs at row ends; returns starts, stops and, for each piece, its label (or its run)."""
    first_row = starts // row_length
    pieces = (stops - 1) // row_length - first_row + 1
    carried = np.arange(starts.size, dtype=np.int64) if labels is None else labels
    if int(pieces.max(initial=1)) == 1:
        return starts, stops, carried
    row = expand(first_row, first_row + pieces)
    new_starts = np.maximum(np.repeat(starts, pieces), row * row_length)
    new_stops = np.minimum(np.repeat(stops, pieces), (row + 1) * row_length)
    return new_starts, new_stops, np.repeat(carried, pieces)


def cut_at(starts: Int64s, stops: Int64s, points: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Cut intervals at every point inside them: starts and stops of the pieces, and which each comes from."""
    points = sorted_unique(points)
    first = np.searchsorted(points, starts, side="right")
    past = np.maximum(np.searchsorted(points, stops, side="left"), first)
    pieces = past - first + 1
    origin = np.repeat(np.arange(starts.size, dtype=np.int64), pieces)
    opens = np.cumsum(pieces) - pieces
    new_starts = np.repeat(starts, pieces)
    new_stops = np.repeat(stops, pieces)
    inner = points[expand(first, past)]
    at = np.ones(origin.size, dtype=bool)
    at[opens] = False
    new_starts[at] = inner
    at[:] = True
    at[opens + pieces - 1] = False
    new_stops[at] = inner
    return new_starts, new_stops, origin


def covered_twice(starts: Int64s, stops: Int64s) -> VoxelRuns:
    """Return the voxels that lie in two or more of the intervals."""
    edges = np.concatenate((starts, stops))
    step = np.concatenate((np.ones(starts.size, np.int64), np.full(stops.size, -1)))
    order = np.argsort(edges, kind="stable")
    edges, depth = edges[order], np.cumsum(step[order])
    deep = np.flatnonzero(depth[:-1] >= 2)
    return VoxelRuns.from_intervals(edges[deep], edges[deep + 1])
