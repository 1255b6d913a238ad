"""What the shape of a part without a name gives away: an organ has been drawn beside the tumour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.runs import VoxelRuns
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from volstrat.case.entries import RoleMask
    from volstrat.geometry.grid import VoxelGrid
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
    labels = {number: read.mask.runs.of(number) for number in read.mask.runs.values}
    ml = read.mask.grid.voxel_volume_mm3 / 1000
    findings = []
    for number in sorted(unnamed & set(labels)):
        volume_ml = labels[number].count * ml
        inner = _enclosed_by(number, labels, read.mask.grid)
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


def _enclosed_by(number: int, labels: dict[int, VoxelRuns], grid: VoxelGrid) -> int | None:
    """Return a smaller label that a label encloses, or None."""
    own = labels[number]
    for inner, voxels in labels.items():
        if inner == number or voxels.count >= own.count:
            continue
        if voxels.starts[0] <= own.starts[0] or voxels.stops[-1] >= own.stops[-1]:
            continue
        around = _around(voxels, grid)
        if around.intersection(own).count >= _ENCLOSED_SHARE * max(around.count, 1):
            return inner
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
