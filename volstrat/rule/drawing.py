"""What drawings give away: a lesion drawn twice, slices not drawn, a resectable mask that lies elsewhere."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.components import connected_components
from volstrat.geometry.runs import VoxelRuns, covered_twice, expand, order_by, ranked, split_rows
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from volstrat.geometry.array_types import Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.rule.lesions import Lesions, TumourEntry
    from volstrat.terms.findings import Finding


_SAME_DICE = 0.5
_MOST_EMPTY = 3
"""More empty slices than these are a gap between two pieces, not slices that were passed over."""
_MOSTLY = 0.5
"""Where so much of a resectable mask lies in tumour, nobody needs to ask whether it was turned."""
_FITS = 0.95
_FLAT, _FLAT_MM = 4.0, 15.0
"""A lesion on one slice that measures so many slices, and mm, across was drawn where it is widest alone."""
_HOLLOW = 1.0
"""Times that a lesion holds: one with a core that is left out encloses less."""
_LARGEST_BOX = 1 << 24
_BY_CHANCE = 10
_SWAPPED = 0.7
"""Where less of a resectable mask is tumour, and the two were swapped, stratum 1 would not hold."""
_TURNED = {
    (0,): "with its first axis turned round",
    (1,): "with its second axis turned round",
    (2,): "with its third axis turned round",
    (0, 1): "with its first two axes turned round (as LPS taken for RAS)",
}
_FACING_DICE = 0.5
_FACING_SHARE = 0.25
"""Of a lesion's largest slice: two caps that face each other are two lesions, two full slices are one."""


def drawing_findings(
    entries: Sequence[TumourEntry], lesions: Lesions, resectable: VoxelRuns | None
) -> tuple[Finding, ...]:
    """Say which lesions look drawn twice, skip slices or are outlines, and if ``resectable`` lies elsewhere.

    All lie on the lesions' grid.
    """
    own = (*_drawn_twice(entries, lesions), *_skipped_slices(lesions), *_on_one_slice(lesions))
    return (*own, *_hollow(lesions), *_misplaced(resectable, lesions))


def _misplaced(resectable: VoxelRuns | None, lesions: Lesions) -> list[Finding]:
    """Say whether a resectable mask misses all tumour, or would fit it if its axes were turned."""
    tumour = lesions.voxels()
    if resectable is None or not tumour:
        return []
    if not resectable:
        return [finding("resectable_misplaced", "empty", severity="warning", where="resectable")]
    inside = resectable.intersection(tumour).count / resectable.count
    if inside < _SWAPPED and _is_part_of_pieces(tumour, resectable, lesions.grid):
        percent = 100 * inside
        return [finding("resectable_misplaced", "swapped", where="resectable", percent=percent)]
    if inside >= _MOSTLY:
        return []
    for axes, turned in _TURNED.items():
        share = _mirrored(resectable, lesions.grid, axes).intersection(tumour).count / resectable.count
        if share >= _FITS:
            of, now, then = "resectable", 100 * inside, 100 * share
            found = finding(
                "resectable_misplaced", "turned", where=of, percent=now, turned=turned, turned_percent=then
            )
            return [found]
    return [] if inside else [finding("resectable_misplaced", "off", where="resectable")]


def _is_part_of_pieces(tumour: VoxelRuns, resectable: VoxelRuns, grid: VoxelGrid) -> bool:
    """Tell whether tumour is, voxel by voxel, pieces of what can be resected, of which not all is tumour.

    Of a few voxels that may be chance.
    """
    if tumour.count < _BY_CHANCE or tumour.difference(resectable):
        return False
    pieces = connected_components(resectable, grid)
    held = np.unique(pieces.component[tumour.contains(pieces.starts)])
    sizes = np.bincount(pieces.component, pieces.stops - pieces.starts)
    return int(sizes[held].sum()) == tumour.count


def _mirrored(voxels: VoxelRuns, grid: VoxelGrid, axes: tuple[int, ...]) -> VoxelRuns:
    """Return voxels with the grid's axes turned round."""
    starts, stops, _ = split_rows(voxels.starts, voxels.stops, grid.shape[0])
    low, high = grid.unravel(starts), grid.unravel(stops - 1)
    last, is_turned = np.array(grid.shape) - 1, np.isin(np.arange(3), axes)
    low, high = np.where(is_turned, last - high, low), np.where(is_turned, last - low, high)
    return VoxelRuns.from_intervals(grid.ravel(low), grid.ravel(high) + 1)


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
            ids = [lesions.ids[n] for n in lesions.holders(int(both.starts[0]))]
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
        VoxelRuns.from_intervals(found.starts[of_piece], found.stops[of_piece])
        for of_piece in (found.component == piece for piece in range(found.count))
    ]


def _skipped_slices(lesions: Lesions) -> list[Finding]:
    """Find empty slices within a lesion, and lesions stacked with one empty slice between them."""
    slices = _Slices(lesions)
    empty: dict[int, int] = {}
    for low, high in slices.gaps():
        if slices.faces(low, high):
            lesion = int(slices.lesion[low])
            empty[lesion] = empty.get(lesion, 0) + int(slices.at[high] - slices.at[low]) - 1
    findings = []
    for lesion, count in empty.items():
        where = lesions.ids[lesion]
        findings.append(finding("lesion_skips_slices", "within", where=where, lesion=where, count=count))
    for low, high in slices.stacked():
        if slices.faces(low, high):
            one, other = (lesions.ids[n] for n in sorted(slices.lesion[[low, high]].tolist()))
            findings.append(finding("lesion_skips_slices", "stacked", where=one, lesion=one, other=other))
    return findings


def _on_one_slice(lesions: Lesions) -> list[Finding]:
    """Find lesions that were drawn where they are widest alone, as for a diameter."""
    axis, (low, high) = lesions.grid.axial_axis, lesions.box
    mm = (high + 1 - low) * np.array(lesions.grid.spacing_mm)
    wide = np.delete(mm, axis, axis=1).min(axis=1)
    alone = (wide >= np.maximum(_FLAT_MM, _FLAT * mm[:, axis])) & (low == high)[:, axis]
    those = np.flatnonzero(alone).tolist() if lesions.grid.shape[axis] > 1 else []
    return [
        finding("lesion_skips_slices", "single", where=where, lesion=where, across_mm=wide[n])
        for n, where in ((n, lesions.ids[n]) for n in those)
    ]


def _hollow(lesions: Lesions) -> list[Finding]:
    """Find lesions that are outlines: in their axial slices they enclose more than they hold."""
    order = order_by(lesions.lesion)
    starts, stops, lesion = (a[order] for a in (lesions.starts, lesions.stops, lesions.lesion))
    beside = (np.diff(lesion) == 0) & (np.diff(starts // lesions.grid.shape[0]) == 0)
    gaps = np.bincount(lesion[1:][beside], (starts[1:] - stops[:-1])[beside], minlength=lesions.count)
    findings = []
    for n in np.flatnonzero(gaps >= _HOLLOW * lesions.sizes).tolist():
        voxels = lesions.of(n)
        low, high = (edge[n] for edge in lesions.box)
        if np.prod(high + 1 - low) > _LARGEST_BOX or connected_components(voxels, lesions.grid).count > 1:
            continue
        drawn = np.zeros(high + 1 - low, dtype=bool)
        drawn[tuple((lesions.grid.unravel(voxels.indices()) - low).T)] = True
        inside = ~drawn
        for axis in {0, 1, 2} - {lesions.grid.axial_axis}:
            before, behind = (np.logical_or.accumulate(a, axis) for a in (drawn, np.flip(drawn, axis)))
            inside &= before & np.flip(behind, axis)
        times = inside.sum() / voxels.count
        if times >= _HOLLOW:
            where = lesions.ids[n]
            findings.append(finding("lesion_hollow", where=where, lesion=where, times=times))
    return findings


class _Slices:
    """The lesions' axial slices, lesion by lesion from the lowest index, and what lies in each.

    ``lesion`` and ``at`` say whose each is, and its index along the axial axis.
    """

    def __init__(self, lesions: Lesions) -> None:
        self._grid: VoxelGrid = lesions.grid
        self._axis = lesions.grid.axial_axis
        starts, stops, owner = lesions.starts, lesions.stops, lesions.lesion
        if self._axis == 0:  # runs lie across the slices
            owner = np.repeat(owner, stops - starts)
            starts = expand(starts, stops)
            stops = starts + 1
        many = lesions.grid.shape[self._axis]
        keys, of_run = ranked(owner * many + lesions.grid.unravel(starts)[:, self._axis])
        self.lesion, self.at = np.divmod(keys, many)
        order = np.argsort(of_run, kind="stable")
        self._starts, self._stops = starts[order], stops[order]
        self._edge = np.searchsorted(of_run[order], np.arange(keys.size + 1))
        self._area = np.bincount(of_run, weights=stops - starts, minlength=keys.size)
        self._largest = np.zeros(lesions.count)
        np.maximum.at(self._largest, self.lesion, self._area)

    def gaps(self) -> list[tuple[int, int]]:
        """Return the slices on either side of a few empty ones within a lesion."""
        step = np.diff(self.at)
        inner = (np.diff(self.lesion) == 0) & (step > 1) & (step <= _MOST_EMPTY + 1)
        return [(n, n + 1) for n in np.flatnonzero(inner).tolist()]

    def stacked(self) -> list[tuple[int, int]]:
        """Return the last slices of lesions and the first of others, with an empty one between two voxels."""
        lasts = np.flatnonzero(np.diff(self.lesion, append=-1))
        firsts = np.flatnonzero(np.diff(self.lesion, prepend=-1))
        ends, end_voxels = self._footprints(lasts[np.isin(self.at[lasts] + 2, self.at[firsts])])
        begins, begin_voxels = self._footprints(firsts[np.isin(self.at[firsts] - 2, self.at[lasts])])
        plane = int(np.prod(self._grid.shape)) // self._grid.shape[self._axis]
        above = self.at[begins] * plane + begin_voxels
        order = np.argsort(above, kind="stable")
        wanted = (self.at[ends] + 2) * plane + end_voxels
        first = np.searchsorted(above[order], wanted)
        past = np.searchsorted(above[order], wanted, side="right")
        low, high = np.repeat(ends, past - first), begins[order[expand(first, past)]]
        return sorted(set(zip(low.tolist(), high.tolist(), strict=True)))

    def faces(self, one: int, other: int) -> bool:
        """Tell whether two slices are alike, and large for their lesions."""
        if any(self._area[n] < _FACING_SHARE * self._largest[self.lesion[n]] for n in (one, other)):
            return False
        own, others = (self._footprints(np.array([n]))[1] for n in (one, other))
        both = np.intersect1d(own, others, assume_unique=True).size
        return bool(2 * both >= _FACING_DICE * (self._area[one] + self._area[other]))

    def _footprints(self, slices: Int64s) -> tuple[Int64s, Int64s]:
        """Return each voxel of some slices: which slice it is of, and its number within the plane."""
        first, past = self._edge[slices], self._edge[slices + 1]
        runs, of = expand(first, past), np.repeat(slices, past - first)
        starts, stops = self._starts[runs], self._stops[runs]
        index = self._grid.unravel(expand(starts, stops))
        one, other = (axis for axis in range(3) if axis != self._axis)
        return np.repeat(of, stops - starts), index[:, one] + self._grid.shape[one] * index[:, other]
