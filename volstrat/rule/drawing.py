"""What the way tumour is drawn gives away: one lesion drawn twice, slices that were not drawn."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.components import connected_components
from volstrat.geometry.runs import VoxelRuns, covered_twice, expand, ranked
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.lesions import Lesions, TumourEntry
    from volstrat.terms.findings import Finding

    Int64s = NDArray[np.int64]

_SAME_DICE = 0.5
_MOST_EMPTY = 3
"""More empty slices than these are a gap between two pieces, not slices that were passed over."""
_FACING_DICE = 0.5
_FACING_SHARE = 0.25
"""Of a lesion's largest slice: two caps that face each other are two lesions, two full slices are one."""


def drawing_findings(entries: Sequence[TumourEntry], lesions: Lesions) -> tuple[Finding, ...]:
    """Say which lesions look drawn twice, and which skip slices.

    Parameters
    ----------
    entries : sequence of TumourEntry
        On the lesions' grid.
    lesions : Lesions
    """
    return (*_drawn_twice(entries, lesions), *_skipped_slices(lesions))


def _drawn_twice(entries: Sequence[TumourEntry], lesions: Lesions) -> list[Finding]:
    """Compare every two drawings that share voxels: of two entries, or two labels of one entry."""
    if len(entries) < 2 and not lesions.overlapping:
        return []
    drawn = [one for entry in entries for one in _drawings(entry, lesions)]
    starts = np.concatenate([one.starts for one in drawn])
    order = np.argsort(starts, kind="stable")
    shared = covered_twice(starts[order], np.concatenate([one.stops for one in drawn])[order])
    holders: dict[int, list[int]] = {}
    for n, one in enumerate(drawn):
        for at in np.flatnonzero(one.contains(shared.starts)).tolist():
            holders.setdefault(at, []).append(n)
    pairs = sorted({pair for held in holders.values() for pair in combinations(held, 2)})
    findings = []
    for one, other in ((drawn[a], drawn[b]) for a, b in pairs):
        both = one.intersection(other)
        dice = 2 * both.count / (one.count + other.count)
        if dice > _SAME_DICE:
            ids = [
                name for n, name in enumerate(lesions.ids) if lesions.of(n).contains(both.starts[:1]).any()
            ]
            names = " and ".join(ids)
            findings.append(finding("lesions_drawn_twice", where=ids[0], lesions=names, dice=dice))
    return findings


def _drawings(entry: TumourEntry, lesions: Lesions) -> list[VoxelRuns]:
    """Return what an entry draws: each of its labels, or the pieces of a single one."""
    labels = entry.mask.runs.values
    if len(labels) > 1 and entry.instances != "components":
        return [entry.mask.runs.of(label) for label in labels]
    found = connected_components(entry.mask.voxels(), lesions.grid)
    return [
        VoxelRuns.from_intervals(found.starts[mine], found.stops[mine])
        for mine in (found.component == piece for piece in range(found.count))
    ]


def _skipped_slices(lesions: Lesions) -> list[Finding]:
    """Find empty slices within a lesion, and lesions stacked with one empty slice between them."""
    slices = _Slices(lesions)
    findings = []
    for lesion, gaps in slices.gaps().items():
        empty = [last - first - 1 for first, last in gaps if slices.faces((lesion, first), (lesion, last))]
        if empty:
            where = lesions.ids[lesion]
            found = finding("lesion_skips_slices", "within", where=where, lesion=where, count=sum(empty))
            findings.append(found)
    for below, above in slices.stacked():
        one, other = sorted((below, above))
        found = finding(
            "lesion_skips_slices",
            "stacked",
            where=lesions.ids[one],
            lesion=lesions.ids[one],
            other=lesions.ids[other],
        )
        findings.append(found)
    return findings


class _Slices:
    """The lesions' axial slices: which are there, and what lies in each."""

    def __init__(self, lesions: Lesions) -> None:
        self._grid: VoxelGrid = lesions.grid
        self._axis = lesions.grid.axial_axis
        starts, stops, owner = lesions.starts, lesions.stops, lesions.lesion
        if self._axis == 0:  # runs lie across the slices
            owner = np.repeat(owner, stops - starts)
            starts = expand(starts, stops)
            stops = starts + 1
        self._starts, self._stops, self._owner = starts, stops, owner
        self._at = lesions.grid.unravel(starts)[:, self._axis]
        many = lesions.grid.shape[self._axis]
        keys, where = ranked(owner * many + self._at)
        self._area = np.bincount(where, weights=stops - starts, minlength=keys.size)
        self._lesion, self._slice = np.divmod(keys, many)
        self._largest = np.zeros(lesions.count)
        np.maximum.at(self._largest, self._lesion, self._area)

    def gaps(self) -> dict[int, list[tuple[int, int]]]:
        """Return, by lesion, the slices on either side of a few empty ones."""
        step = np.diff(self._slice)
        inner = (np.diff(self._lesion) == 0) & (step > 1) & (step <= _MOST_EMPTY + 1)
        found: dict[int, list[tuple[int, int]]] = {}
        for at in np.flatnonzero(inner).tolist():
            ends = (int(self._slice[at]), int(self._slice[at + 1]))
            found.setdefault(int(self._lesion[at]), []).append(ends)
        return found

    def stacked(self) -> list[tuple[int, int]]:
        """Return lesions that face each other across one empty slice: the lower, the higher."""
        if not self._lesion.size:
            return []
        opens = np.concatenate(([True], np.diff(self._lesion) != 0))
        first = self._slice[opens]
        last = self._slice[np.concatenate((opens[1:], [True]))]
        begins: dict[int, list[int]] = {}
        for lesion, at in enumerate(first.tolist()):
            begins.setdefault(at, []).append(lesion)
        pairs = [(below, above) for below, at in enumerate(last.tolist()) for above in begins.get(at + 2, ())]
        return [
            (below, above)
            for below, above in pairs
            if self.faces((below, int(last[below])), (above, int(first[above])))
        ]

    def faces(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Tell whether two slices (lesion, slice) are alike, and large for their lesions."""
        a, b = self._footprint(*one), self._footprint(*other)
        sizes = ((one[0], a.size), (other[0], b.size))
        if any(size < _FACING_SHARE * self._largest[lesion] for lesion, size in sizes):
            return False
        both = np.intersect1d(a, b, assume_unique=True).size
        return 2 * both >= _FACING_DICE * (a.size + b.size)

    def _footprint(self, lesion: int, at: int) -> Int64s:
        """Return the voxels of a lesion in a slice, as numbers within the plane."""
        mine = (self._owner == lesion) & (self._at == at)
        index = self._grid.unravel(expand(self._starts[mine], self._stops[mine]))
        first, second = (axis for axis in range(3) if axis != self._axis)
        plane: Int64s = index[:, first] + self._grid.shape[first] * index[:, second]
        return plane
