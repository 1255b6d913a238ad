"""From tumour masks to lesions and their measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.errors import NoisyMaskError
from volstrat.frozen import frozen
from volstrat.geometry.components import Components, connected_components
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import VoxelRuns, begins_of, covered_twice, order_by, split_rows
from volstrat.rule.lesion_measures import falling_volume_rank, sizes_and_centroids
from volstrat.terms.findings import finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.mask import Mask
    from volstrat.terms.findings import Finding, Severity
    from volstrat.terms.protocol import Protocol


Instances = Literal["labels", "components"]
_MOST_LESIONS = 10_000
"""More than any patient has, or any reader could mark; also of PET regions."""
_MOST_RUNS = 2_000_000
"""Of tumour: ten times what a body full of metastases has at CT resolution."""
_PLAIN_LABELS = {1, 255}
"""Values that say "inside" in masks of one value, and no lesion's number."""


@frozen
class TumourEntry:
    """A tumour mask and how its lesions are told apart (None: by the convention of `find_lesions`)."""

    mask: Mask
    instances: Instances | None = None


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: the box is worked out once
class Lesions:
    """Lesions as runs cut at row ends."""

    grid: VoxelGrid
    ids: tuple[str, ...]  # ``L`` + number, by rising number
    # starts, stops, lesion, (n,): runs, sorted by start, and the position in ``ids`` of the lesion each
    # belongs to. A voxel that several lesions hold appears once for each.
    starts: Int64s
    stops: Int64s
    lesion: Int64s
    # the name of the segment, ROI or label that each lesion is, or is a part of; "" without one
    names: tuple[str, ...] = ()
    by_size: tuple[bool, ...] = ()  # lesions that are connected pieces, numbered by size
    # True where another mask could give such a number to another piece: there are several, or their number is
    # not that of their label
    numbers_are_loose: bool = False

    @property
    def count(self) -> int:
        """How many lesions there are."""
        return len(self.ids)

    @property
    def names_by_id(self) -> dict[str, str]:
        """The segment, ROI or label name behind each lesion, "" without one."""
        return dict(zip(self.ids, self.names, strict=True))

    @cached_property
    def box(self) -> tuple[Int64s, Int64s]:
        """Lowest and highest index of each lesion's voxels, (lesions, 3)."""
        if not self.count:
            return np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3), dtype=np.int64)
        order = order_by(self.lesion)
        opens = np.flatnonzero(begins_of(self.lesion[order]))
        first, last = (self.grid.unravel(ends[order]) for ends in (self.starts, self.stops - 1))
        return np.minimum.reduceat(first, opens), np.maximum.reduceat(last, opens)

    @property
    def overlapping(self) -> bool:
        """True where a voxel lies in several lesions."""
        return bool((self.starts[1:] < np.maximum.accumulate(self.stops)[:-1]).any())

    @property
    def sizes(self) -> Int64s:
        """How many voxels each lesion has."""
        return np.bincount(self.lesion, self.stops - self.starts, minlength=self.count).astype(np.int64)

    def count_in(self, voxels: VoxelRuns) -> Int64s:
        """Count each lesion's voxels that lie in a set."""
        inside = voxels.counts_in(self.starts, self.stops)
        return np.bincount(self.lesion, inside, minlength=self.count).astype(np.int64)

    def voxels(self) -> VoxelRuns:
        """Return the voxels of all lesions, each once."""
        return VoxelRuns.from_intervals(self.starts, self.stops)

    def of(self, lesion: int) -> VoxelRuns:
        """Return the voxels of one lesion, by its position in ``ids``."""
        of_lesion = self.lesion == lesion
        return VoxelRuns.from_intervals(self.starts[of_lesion], self.stops[of_lesion])

    def holders(self, voxel: int) -> list[int]:
        """Return the lesions that hold a voxel (linear index), rising."""
        return sorted(set(self.lesion[(self.starts <= voxel) & (voxel < self.stops)].tolist()))

    def each(self) -> Iterator[VoxelRuns]:
        """Yield the voxels of all lesions in turn: `of` each, sorted once."""
        order = np.argsort(self.lesion, kind="stable")
        edges = np.searchsorted(self.lesion[order], np.arange(self.count + 1)).tolist()
        for first, past in pairwise(edges):
            mine = order[first:past]
            yield VoxelRuns.from_intervals(self.starts[mine], self.stops[mine])


def find_lesions(
    entries: Sequence[TumourEntry], grid: VoxelGrid, protocol: Protocol
) -> tuple[Lesions, tuple[Finding, ...]]:
    """Tell lesions apart.

    Several distinct labels (values, segments, ROIs) are a lesion each, ``L`` + number; a single one
    falls into its connected components, ``L1``, ``L2``, ... by falling volume, ties by centroid
    (LPS x, then y, then z). ``instances`` of an entry overrides this. Labels of one number in
    several entries are one lesion; component lesions are numbered after the labelled ones.

    Parameters
    ----------
    entries : sequence of TumourEntry
        Masks on ``grid``.

    Raises NoisyMaskError if there are more than 10,000 lesions, or millions of voxels without neighbours.
    """
    if sum(entry.mask.runs.starts.size for entry in entries) > _MOST_RUNS:
        msg = f"The tumour falls into more than {_MOST_RUNS:,} separate pieces; it looks like noise."
        raise NoisyMaskError(msg, hint="Give the tumour mask; a map of probabilities needs a threshold.")
    undecided = {label for e in entries if e.instances is None for label in e.mask.labels}
    labelled: dict[int, VoxelRuns] = {}
    pooled = VoxelRuns.empty()
    names: dict[int, str] = {}
    piece_names, piece_labels = set(), set()
    shared: set[int] = set()
    for entry in entries:
        if entry.instances == "labels" or (entry.instances is None and len(undecided) > 1):
            for label in entry.mask.labels:
                voxels = entry.mask.runs.of(label)
                shared |= {label} & set(labelled)
                labelled[label] = labelled[label].union(voxels) if label in labelled else voxels
                names[label] = names.get(label) or entry.mask.names.get(label) or ""
        else:
            pooled = pooled.union(entry.mask.voxels())
            piece_names |= {entry.mask.names.get(label) or "" for label in entry.mask.labels}
            piece_labels |= set(entry.mask.labels)
    findings: list[Finding] = []
    numbers, parts = _labelled_parts(labelled, shared, grid, findings)
    after = max(numbers, default=0)
    components = connected_components(pooled, grid, connectivity=protocol.connectivity)
    rank = _component_rank(components, grid)
    parts.append((components.starts, components.stops, rank[components.component] + len(numbers)))
    piece_name = piece_names.pop() if len(piece_names) == 1 else ""
    named = [names[number] for number in numbers] + [piece_name] * components.count
    numbers.extend(range(after + 1, after + 1 + components.count))
    by_size = [False] * (len(named) - components.count) + [True] * components.count
    lesions = _assemble(grid, list(zip(numbers, named, by_size, strict=True)), parts, protocol, findings)
    loose = sum(lesions.by_size) > 1 or not piece_labels <= _PLAIN_LABELS
    lesions = replace(lesions, numbers_are_loose=loose)
    hint = "Clean the mask, or leave specks out with minimum_voxels in the protocol."
    refuse_specks(lesions.count, "tumour", hint=hint)
    twice = covered_twice(lesions.starts, lesions.stops).count
    if twice:
        ml = twice * grid.voxel_ml
        findings.append(finding("overlapping_lesions", where="tumour", volume_ml=ml))
    return lesions, tuple(findings)


def refuse_specks(count: int, what: str, *, hint: str) -> None:
    """Refuse (NoisyMaskError) a mask that falls into more pieces than lesions or PET regions there can be."""
    if count > _MOST_LESIONS:
        msg = f"The {what} falls into {count:,} pieces, more than {_MOST_LESIONS:,}; it looks like noise."
        raise NoisyMaskError(msg, hint=hint)


def _labelled_parts(
    labelled: Mapping[int, VoxelRuns], shared: Collection[int], grid: VoxelGrid, findings: list[Finding]
) -> tuple[list[int], list[tuple[Int64s, Int64s, Int64s]]]:
    numbers = sorted(number for number, voxels in labelled.items() if voxels)
    for number in sorted(set(labelled) - set(numbers)):
        findings.append(finding("empty_segment", where=f"L{number}", number=number))
    parts = []
    for position, number in enumerate(numbers):
        voxels = labelled[number]
        starts, stops, _ = split_rows(voxels.starts, voxels.stops, grid.shape[0])
        parts.append((starts, stops, np.full(starts.size, position, dtype=np.int64)))
    for number, pieces in zip(numbers, _pieces_of(parts, grid), strict=True):
        if pieces > 1:
            severity: Severity | None = "review" if number in shared else None  # two files, both from 1 on
            on = f"L{number}"
            found = finding("label_in_pieces", severity=severity, where=on, lesion=on, pieces=pieces)
            findings.append(found)
    return numbers, parts


def _pieces_of(parts: Sequence[tuple[Int64s, Int64s, Int64s]], grid: VoxelGrid) -> list[int]:
    """Count each label's 26-connected pieces: all at once, each label a slab of one tall grid."""
    if not parts:
        return []
    ni, nj, nk = grid.shape
    slab = ni * nj * (nk + 1)
    starts = np.concatenate([part[0] + n * slab for n, part in enumerate(parts)])
    stops = np.concatenate([part[1] + n * slab for n, part in enumerate(parts)])
    tall = VoxelGrid(shape=(ni, nj, (nk + 1) * len(parts)), affine=grid.affine)
    found = connected_components(VoxelRuns.from_intervals(starts, stops), tall)
    owner = np.zeros(found.count, dtype=np.int64)
    owner[found.component] = found.starts // slab
    return [int(n) for n in np.bincount(owner, minlength=len(parts))]


def _component_rank(components: Components, grid: VoxelGrid) -> Int64s:
    """Rank of each component: falling volume, then position."""
    voxels, centroid = sizes_and_centroids(
        grid, components.starts, components.stops, components.component, components.count
    )
    return falling_volume_rank(voxels, centroid)


def _assemble(
    grid: VoxelGrid,
    called: Sequence[tuple[int, str, bool]],
    parts: Sequence[tuple[Int64s, Int64s, Int64s]],
    protocol: Protocol,
    findings: list[Finding],
) -> Lesions:
    """Join the parts into one sorted table, leaving out lesions below the protocol's minimum.

    ``called`` is the number and name of each lesion, and whether the number goes by size.
    """
    starts, stops, lesion = (np.concatenate(column) for column in zip(*parts, strict=True))
    voxels = np.bincount(lesion, weights=stops - starts, minlength=len(called)).astype(np.int64)
    least = protocol.minimum_voxels
    kept = voxels >= least
    if not kept.all():
        count, ml = int((~kept).sum()), int(voxels[~kept].sum()) * grid.voxel_ml
        found = finding(
            "lesions_below_minimum", where="tumour", count=count, minimum_voxels=least, volume_ml=ml
        )
        findings.append(found)
    position = np.cumsum(kept) - 1
    stay = kept[lesion]
    starts, stops, lesion = starts[stay], stops[stay], position[lesion[stay]]
    order = np.lexsort((lesion, starts))
    staying = [one for one, k in zip(called, kept.tolist(), strict=True) if k]
    return Lesions(
        grid=grid,
        ids=tuple(f"L{number}" for number, _, _ in staying),
        starts=starts[order],
        stops=stops[order],
        lesion=lesion[order],
        names=tuple(name for _, name, _ in staying),
        by_size=tuple(by_size for _, _, by_size in staying),
    )


def corners_mm(grid: VoxelGrid, low: Int64s, high: Int64s) -> Float64s:
    """Centres (LPS mm) of the corner voxels of boxes (n, 3), (8, n, 3)."""
    return np.stack([grid.to_mm(np.where(up, high, low)) for up in product((False, True), repeat=3)])


def covered_by(lesions: Lesions, field: VoxelGrid | None) -> Bools:
    """Tell which lesions lie wholly inside the field.

    The field is convex: a lesion does where the corners of its box do; else the ends of its runs decide.
    """
    covered = np.full(lesions.count, field is not None)
    if field is None or not lesions.count:
        return covered
    corners = corners_mm(lesions.grid, *lesions.box)
    unsure = np.zeros(lesions.count, dtype=bool)
    for corner in corners:
        unsure |= field.voxel_at(field.to_index(corner))[:, 0] < 0
    of_unsure = unsure[lesions.lesion]
    for ends in (lesions.starts[of_unsure], lesions.stops[of_unsure] - 1):
        index = field.to_index(lesions.grid.to_mm(lesions.grid.unravel(ends)))
        covered[lesions.lesion[of_unsure][field.voxel_at(index)[:, 0] < 0]] = False
    return covered
