"""What a mask's shape and company give away: an organ in it, what is not meant, a model that drew it.

What a model drew is said by the file, or by how the model's program lays out what it writes.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from volstrat.formats.volumes import stem_of, volume_format
from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns, order_by, ranked, split_rows
from volstrat.terms.findings import finding
from volstrat.terms.wording import shown_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from volstrat.case.entries import EntryReader, RoleMask
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.mask import Mask
    from volstrat.geometry.runs import LabelRuns
    from volstrat.terms.findings import Finding

_LARGER_THAN_A_LIVER_ML = 2500.0
_IN_TUMOUR = ("tumour", "resectable", "fdg_avid")
_REGIONS = ("liver", "remnant", "reference")
_ENCLOSED_SHARE = 0.5
"""Of the voxels round a label: where at least so many are of one other label, that one encloses it."""

_NNUNET_WRITES = ("predict_from_raw_data_args.json", "plans.json")
_TOTAL_SEGMENTATOR_CLASSES = frozenset(
    "adrenal_gland_left adrenal_gland_right aorta autochthon_left autochthon_right brain colon duodenum "
    "esophagus gallbladder gluteus_maximus_left gluteus_maximus_right heart iliopsoas_left iliopsoas_right "
    "inferior_vena_cava kidney_left kidney_right liver liver_lesions liver_segment_1 liver_segment_2 "
    "liver_segment_3 liver_segment_4 liver_segment_5 liver_segment_6 liver_segment_7 liver_segment_8 "
    "liver_tumor liver_vessels pancreas portal_vein_and_splenic_vein prostate sacrum small_bowel spinal_cord "
    "spleen stomach trachea urinary_bladder vertebrae_L1 vertebrae_L5 vertebrae_T12".split()
)
_ENOUGH_CLASSES = 4


def organ_findings(mask: RoleMask) -> list[Finding]:
    """Say which labels without a name may be an organ: one encloses another, or is larger than a liver.

    Only what is, or lies in, tumour is asked. More than a liver cannot be resected, whatever its name.
    """
    code, role, name = "part_may_be_organ", mask.role, mask.name
    if role not in _IN_TUMOUR:
        return []
    unnamed = {p.number for p in mask.taken if p.said.silent or p.is_stem or role == "resectable"}
    called = {
        part.number for part in mask.taken if part.is_stem and (part.said.other or part.said.role in _REGIONS)
    }
    labels = _Labels.of(mask.mask.runs, mask.mask.grid)
    ml = mask.mask.grid.voxel_volume_mm3 / 1000
    findings = []
    for number in sorted(unnamed & set(labels.numbers)):
        volume_ml, inner = labels.count(number) * ml, labels.enclosed_by(number)
        form = "encloses" if inner is not None else "called" if number in called else "large"
        if form != "large" or volume_ml > _LARGER_THAN_A_LIVER_ML:
            one = finding(
                code, form, where=role, name=name, role=role, number=number, volume_ml=volume_ml, inner=inner
            )
            findings.append(one)
    return findings


def inverted_findings(mask: RoleMask) -> list[Finding]:
    """Say which parts a mask may hold the wrong way round: they fill most of the image, its corners too."""
    role, grid = mask.role, mask.mask.grid
    if role not in (*_REGIONS, *_IN_TUMOUR):
        return []
    corners = grid.ravel(np.array([*product(*((0, n - 1) for n in grid.shape))]))
    return [
        finding(
            "mask_may_be_inverted",
            where=role,
            name=mask.name,
            role=role,
            number=number,
            percent=100 * voxels.count / grid.size,
        )
        for number, voxels in sorted(mask.mask.runs.by_label().items())
        # one that fills the image wholly was cropped to its box, or is meant
        if grid.size / 2 < voxels.count < grid.size and voxels.contains(corners).all()
    ]


def shared_findings(masks: Iterable[RoleMask]) -> list[Finding]:
    """Say which file plays two roles with the same parts, though no name and no entry chose them."""
    held: dict[tuple[Path, frozenset[int]], list[str]] = {}
    for mask in masks:
        silent = all(part.said.silent or part.is_stem for part in mask.taken)
        if mask.taken and silent and not mask.choice.is_explicit:
            held.setdefault((mask.entry.path, mask.choice.taken), []).append(mask.role)
    return [
        finding(
            "file_in_two_roles", "one", where=roles[0], name=path.name, roles=shown_names(roles, last=" and ")
        )
        for (path, _), roles in held.items()
        if len(roles) > 1
    ]


def model_findings(masks: Iterable[RoleMask], reader: EntryReader) -> list[Finding]:
    """Say once a role which of its masks a model drew: nobody may have looked at them."""
    drawn: dict[str, list[str]] = {}
    for mask in masks:
        model = "" if mask.read.format == "array" else _model_of(mask, reader)
        if model:
            drawn.setdefault(mask.role, []).append(f"{mask.name} ({model})")
    return [
        finding("drawn_by_model", where=role, files=shown_names([*dict.fromkeys(names)]))
        for role, names in drawn.items()
    ]


def _model_of(mask: RoleMask, reader: EntryReader) -> str:
    """Return what drew a mask without a person: its program, or "AUTOMATIC"; "" where nothing says so."""
    path = mask.entry.path
    if volume_format(path) is None:
        structures = reader.library.structure_file(path).structures
        return "AUTOMATIC" if any(one.algorithm == "AUTOMATIC" for one in structures) else ""
    if any((path.parent / name).is_file() for name in _NNUNET_WRITES):
        return "nnU-Net"
    if len(_TOTAL_SEGMENTATOR_CLASSES & set(mask.mask.names.values())) >= _ENOUGH_CLASSES:
        return "TotalSegmentator"
    if stem_of(path) not in _TOTAL_SEGMENTATOR_CLASSES:
        return ""
    try:
        beside = {stem_of(one) for one in path.parent.iterdir()}
    except OSError:
        return ""
    return "TotalSegmentator" if len(beside & _TOTAL_SEGMENTATOR_CLASSES) >= _ENOUGH_CLASSES else ""


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
    """All labels of a mask, by rising number."""

    grid: VoxelGrid
    runs: LabelRuns
    numbers: list[int]
    counts: NDArray[np.int64]
    # low, high: first and last index along i, j, k, and linear index: where voxels of a label may lie
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
