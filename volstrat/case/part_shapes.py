"""What the shape of a part gives away: an organ beside the tumour, a mask of what is not meant."""

from __future__ import annotations

from bisect import bisect_left
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns, order_by, ranked, split_rows
from volstrat.terms.findings import finding
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.case.case_file import RoleEntry
    from volstrat.case.entries import RoleMask
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.mask import Mask
    from volstrat.geometry.runs import LabelRuns
    from volstrat.terms.findings import Finding

_LARGER_THAN_A_LIVER_ML = 2500.0
_REGIONS = ("liver", "remnant", "reference")
_ENCLOSED_SHARE = 0.5
"""Of the voxels round a label: where at least so many are of one other label, that one encloses it."""


def organ_findings(role: str, read: RoleMask, name: str) -> list[Finding]:
    """Say which labels without a name may be an organ: one encloses another, or is larger than a liver.

    Parameters
    ----------
    role : str
        Only what is, or lies in, tumour is asked: tumour, resectable, fdg_avid.
    read : RoleMask
    name : str
        The file.
    """
    if role not in ("tumour", "resectable", "fdg_avid"):
        return []
    taken = [part for part in read.choice.parts if part.number in read.choice.taken]
    unnamed = {part.number for part in taken if part.said.silent or part.is_stem}
    called = {
        part.number for part in taken if part.is_stem and (part.said.other or part.said.role in _REGIONS)
    }
    labels = _Labels.of(read.mask.runs, read.mask.grid)
    ml = read.mask.grid.voxel_volume_mm3 / 1000
    findings = []
    for number in sorted(unnamed & set(labels.numbers)):
        volume_ml = labels.count(number) * ml
        inner = labels.enclosed_by(number)
        if inner is not None:
            findings.append(
                finding(
                    "part_may_be_organ",
                    "encloses",
                    where=role,
                    name=name,
                    role=role,
                    number=number,
                    volume_ml=volume_ml,
                    inner=inner,
                )
            )
        elif number in called:
            findings.append(finding("part_may_be_organ", "called", where=role, name=name, role=role))
        elif volume_ml > _LARGER_THAN_A_LIVER_ML:
            found = finding(
                "part_may_be_organ",
                "large",
                where=role,
                name=name,
                role=role,
                number=number,
                volume_ml=volume_ml,
            )
            findings.append(found)
    return findings


def inverted_findings(role: str, read: RoleMask, name: str) -> list[Finding]:
    """Say which parts a mask may hold the wrong way round: they fill most of the image, its corners too.

    Parameters
    ----------
    role : str
    read : RoleMask
    name : str
        The file.
    """
    if role not in (*_REGIONS, "tumour", "resectable", "fdg_avid"):
        return []
    grid = read.mask.grid
    corners = grid.ravel(np.array([*product(*((0, n - 1) for n in grid.shape))]))
    findings = []
    for number, voxels in sorted(read.mask.runs.by_label().items()):
        # one that fills the image wholly was cropped to its box, or is meant
        if grid.size / 2 < voxels.count < grid.size and voxels.contains(corners).all():
            percent = 100 * voxels.count / grid.size
            findings.append(
                finding(
                    "mask_may_be_inverted", where=role, name=name, role=role, number=number, percent=percent
                )
            )
    return findings


def shared_findings(masks: Iterable[tuple[str, RoleMask, RoleEntry]]) -> list[Finding]:
    """Say which file plays two roles with the same parts, though no name and no entry chose them.

    Parameters
    ----------
    masks : iterable of (role, mask, entry)
    """
    held: dict[tuple[Path, frozenset[int]], list[str]] = {}
    for role, read, entry in masks:
        taken = [part for part in read.choice.parts if part.number in read.choice.taken]
        if taken and not read.choice.is_explicit and all(p.said.silent or p.is_stem for p in taken):
            held.setdefault((entry.path, read.choice.taken), []).append(role)
    return [
        finding("file_in_two_roles", where=roles[0], name=path.name, roles=shown_names(roles, last=" and "))
        for (path, _), roles in held.items()
        if len(roles) > 1
    ]


def lie_apart(mask: Mask, labels: Sequence[int], taken: Collection[int]) -> bool:
    """Tell whether none of some labels holds or touches any that was taken; False where one was not read."""
    by_label = mask.runs.by_label()
    if not set(labels) <= set(by_label):
        return False
    kept = VoxelRuns.empty()
    for number in taken:
        kept = kept.union(by_label.get(number, VoxelRuns.empty()))
    drawn = [by_label[number] for number in labels]
    return not any(
        one.intersection(kept).count or _around(one, mask.grid).intersection(kept).count for one in drawn
    )


@frozen(eq=False, kw_only=False)
class _Labels:
    """All labels of a mask, by rising number.

    Parameters
    ----------
    grid : VoxelGrid
    runs : LabelRuns
    numbers : list of int
    counts : array of int64, (n,)
    low, high : array of int64, (4, n)
        First and last index along i, j, k, and linear index: where voxels of a label may lie.
    """

    grid: VoxelGrid
    runs: LabelRuns
    numbers: list[int]
    counts: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of(cls, labels: LabelRuns, grid: VoxelGrid) -> _Labels:
        """Sort a mask's runs by label."""
        starts, stops, label = split_rows(labels.starts, labels.stops, grid.shape[0], labels.labels)
        numbers, rank = ranked(label)
        order = order_by(rank)
        starts, stops = starts[order], stops[order]
        first = np.vstack((grid.unravel(starts).T, starts))
        last = np.vstack((grid.unravel(stops - 1).T, stops))
        if not numbers.size:
            return cls(grid, labels, [], numbers, first, last)
        opens = np.searchsorted(rank[order], np.arange(numbers.size))
        counts = np.add.reduceat(stops - starts, opens)
        low = np.minimum.reduceat(np.minimum(first, last), opens, axis=1)
        high = np.maximum.reduceat(np.maximum(first, last), opens, axis=1)
        return cls(grid, labels, numbers.tolist(), counts, low, high)

    def count(self, number: int) -> int:
        """Return how many voxels a label has."""
        return int(self.counts[bisect_left(self.numbers, number)])

    def enclosed_by(self, number: int) -> int | None:
        """Return a smaller label that a label encloses, or None."""
        at = bisect_left(self.numbers, number)
        near = np.flatnonzero(self.counts < self.counts[at])
        if not near.size:
            return None
        low, high = self.low[:, near], self.high[:, near]
        inside = (low[3] > self.low[3, at]) & (high[3] < self.high[3, at])
        inside &= (low[:3] - 1 <= self.high[:3, at, None]).all(axis=0)
        inside &= (high[:3] + 1 >= self.low[:3, at, None]).all(axis=0)
        for n in near[inside].tolist():
            around = _around(self.runs.of(self.numbers[n]), self.grid)
            if around.intersection(self.runs.of(number)).count >= _ENCLOSED_SHARE * max(around.count, 1):
                return int(self.numbers[n])
        return None


def _around(voxels: VoxelRuns, grid: VoxelGrid) -> VoxelRuns:
    """Return the voxels that share a face with a set and are not of it."""
    ni, nj, _ = grid.shape
    starts, stops = [], []
    for step in (1, ni, ni * nj):
        for sign in (-1, 1):
            starts.append(np.clip(voxels.starts + sign * step, 0, grid.size))
            stops.append(np.clip(voxels.stops + sign * step, 0, grid.size))
    first, past = np.concatenate(starts), np.concatenate(stops)
    kept = past > first
    return VoxelRuns.from_intervals(first[kept], past[kept]).difference(voxels)
