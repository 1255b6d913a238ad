"""Where avid voxels lie among tumour voxels: which ones they hold, how far the nearest is and whose it is.

The geometry of `volstrat.rule.attribution`. Points are voxel centres in LPS mm; distances within 0.001 mm of
the smallest are ties.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.nearest import nearest_distances, nearest_points
from volstrat.geometry.projection import holders_of_runs, project_into
from volstrat.geometry.runs import VoxelRuns, expand, sorted_unique
from volstrat.rule.tumour_voxels import NO_PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.array_types import Bools, Float64s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.projection import HeldStretches
    from volstrat.rule.tumour_voxels import TumourVoxels


Rows = tuple["Int64s", "Int64s", "Int64s"]
"""Candidates: avid voxel (position), lesion, and a piece of the lesion's nearest voxels, or `NO_PIECE` where
the lesion has one marking and its nearest voxel does not matter."""

_QUERIES_AT_ONCE = 100_000
_INSIDE = 0.49
"""Share of the smallest spacing that surely lies within a voxel: axes may meet at a cosine of 1e-3."""


@frozen(eq=False)
class AvidVoxels:
    """Avid voxels where they lie."""

    grid: VoxelGrid
    voxels: Int64s  # (n,): linear indices, rising
    centres: Float64s  # (n, 3): LPS mm
    region: Int64s  # (n,)
    regions: int
    held: Int64s  # (pairs, 2): avid voxel (position) and lesion, of those that hold tumour; sorted

    @classmethod
    def among(
        cls, tumour: TumourVoxels, voxels: Int64s, region: Int64s, regions: int, grid: VoxelGrid
    ) -> AvidVoxels:
        """Return avid voxels with the tumour whose voxel centres lie in them."""
        return cls(
            grid=grid,
            voxels=voxels,
            centres=grid.to_mm(grid.unravel(voxels)),
            region=region,
            regions=regions,
            held=_held(tumour, voxels, grid),
        )

    def stretches(self, tumour: TumourVoxels, runs: Int64s) -> HeldStretches:
        """Return the stretches of tumour runs (by number) that lie in avid voxels."""
        found = project_into(
            self.voxels, tumour.starts[runs], tumour.stops[runs], from_grid=tumour.grid, to_grid=self.grid
        )
        return replace(found, run=runs[found.run])

    @property
    def holds(self) -> Bools:
        """Flag the voxels that hold tumour."""
        flags = np.zeros(self.region.size, dtype=bool)
        flags[self.held[:, 0]] = True
        return flags

    @property
    def region_holds(self) -> Bools:
        """Flag the regions with a voxel that holds tumour."""
        flags = np.zeros(self.regions, dtype=bool)
        flags[self.region[self.held[:, 0]]] = True
        return flags

    def groups(self, chosen: Bools) -> Iterator[tuple[int, Int64s]]:
        """Yield each region of the chosen voxels with their positions."""
        where = np.flatnonzero(chosen)
        order = where[np.argsort(self.region[where], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.region[order])) + 1
        for group in np.split(order, cuts):
            if group.size:
                yield int(self.region[group[0]]), group


def _held(tumour: TumourVoxels, voxels: Int64s, grid: VoxelGrid) -> Int64s:
    """Pairs of avid voxel (position) and lesion whose voxel centres lie in it, sorted."""
    first, past, known = holders_of_runs(tumour.starts, tumour.stops, from_grid=tumour.grid, to_grid=grid)
    first, past = np.searchsorted(voxels, first), np.searchsorted(voxels, past)
    lesion, rest = tumour.lesion, np.flatnonzero(~known)
    if rest.size:
        within = project_into(
            voxels, tumour.starts[rest], tumour.stops[rest], from_grid=tumour.grid, to_grid=grid
        )
        first, past = np.append(first[known], within.holder), np.append(past[known], within.holder + 1)
        lesion = np.append(lesion[known], lesion[rest[within.run]])
    lane = voxels.size + 1  # a position past the last one keeps the lesions' stretches apart
    merged = VoxelRuns.from_intervals(first + lane * lesion, past + lane * lesion)
    lesion, voxel = np.divmod(merged.indices(), lane)
    return distinct_pairs(voxel, lesion)


def touch_mm(tumour_grid: VoxelGrid, avid_grid: VoxelGrid) -> float:
    """Return how far apart the centres of two voxels that touch can be: half of both diagonals, mm."""
    return float(np.linalg.norm(tumour_grid.spacing_mm) + np.linalg.norm(avid_grid.spacing_mm)) / 2


def far_voxels(tumour: TumourVoxels, pet: AvidVoxels, touching: Bools, distance_mm: float) -> Bools:
    """Flag the avid voxels of touching regions whose nearest tumour voxel is beyond twice a distance.

    A voxel that holds tumour is nearer than half its diagonal; one in reach of such a voxel is bounded by it.
    Only what these bounds leave open is measured.
    """
    half_diagonal = float(np.linalg.norm(pet.grid.spacing_mm)) / 2 * 1.001
    limit = 2 * distance_mm
    holds, region_holds = pet.holds, pet.region_holds
    bound = np.where(holds, half_diagonal, np.inf)
    some = np.zeros(pet.regions, dtype=np.int64)
    some[pet.region[holds]] = np.flatnonzero(holds)  # of each region any voxel that holds tumour
    spill = np.flatnonzero(~holds & region_holds[pet.region])
    bound[spill] = half_diagonal + np.linalg.norm(
        pet.centres[spill] - pet.centres[some[pet.region[spill]]], axis=1
    )
    spill = spill[bound[spill] > limit]
    if spill.size:
        bound[spill] = nearest_distances(pet.centres[holds], pet.centres[spill]) + half_diagonal
    for _, group in pet.groups((bound > limit) & touching[pet.region]):
        reach = limit + 2 * TIE_MM
        points = tumour.near(pet.centres[group], reach)[0]
        bound[group] = nearest_distances(points, pet.centres[group], reach=reach)
    far: Bools = (bound > limit + TIE_MM) & touching[pet.region]
    return far


def distinct_pairs(first: Int64s, second: Int64s) -> Int64s:
    """Each pair once, sorted, (n, 2)."""
    span = int(second.max(initial=0)) + 1
    return np.stack(np.divmod(sorted_unique(first * span + second), span), axis=-1)


def held_rows(tumour: TumourVoxels, pet: AvidVoxels, chosen: Bools) -> list[Rows]:
    """Rows of avid voxels that hold tumour; on partly marked lesions with the nearest voxel's piece.

    ``chosen`` flags the regions that are asked for.
    """
    mine = chosen[pet.region[pet.held[:, 0]]]
    voxel, lesion = pet.held[mine].T
    whole = ~tumour.partial[lesion]
    rows: list[Rows] = [(voxel[whole], lesion[whole], np.full(int(whole.sum()), NO_PIECE))]
    if whole.all():
        return rows
    pair, piece, sure = _nearest_held(tumour, pet)
    kept = mine[pair] & sure[pair]
    rows.append((pet.held[pair[kept], 0], pet.held[pair[kept], 1], piece[kept]))
    left = mine & tumour.partial[pet.held[:, 1]] & ~sure
    for part in sorted_unique(pet.held[left, 1]).tolist():
        voxel = pet.held[left & (pet.held[:, 1] == part), 0]
        rows.append(nearest_rows(tumour, pet, voxel, np.array([part]), reach=None))
    return rows


def _nearest_held(tumour: TumourVoxels, pet: AvidVoxels) -> tuple[Int64s, Int64s, Bools]:
    """Pieces of the nearest tumour voxels that are held, of partly marked lesions.

    What lies outside an avid voxel is at least half its smallest spacing from its centre: a held tumour
    voxel closer than that is the lesion's nearest.

    Returns
    -------
    pair, piece : array of int64, (n,)
        Position in ``pet.held``, and the piece.
    sure : array of bool, (pairs,)
        Of which pairs the nearest voxel is known so.
    """
    held = pet.stretches(tumour, np.flatnonzero(tumour.partial[tumour.lesion]))
    lengths = held.stops - held.starts
    holder, run = np.repeat(held.holder, lengths), np.repeat(held.run, lengths)
    voxel = expand(held.starts, held.stops)
    span = int(tumour.lesion.max()) + 1
    pair = np.searchsorted(pet.held[:, 0] * span + pet.held[:, 1], holder * span + tumour.lesion[run])
    apart = np.empty(holder.size)
    for part in (slice(n, n + _QUERIES_AT_ONCE) for n in range(0, holder.size, _QUERIES_AT_ONCE)):
        at = tumour.grid.to_mm(tumour.grid.unravel(voxel[part]))
        apart[part] = np.linalg.norm(at - pet.centres[holder[part]], axis=1)
    closest = np.full(len(pet.held), np.inf)
    np.minimum.at(closest, pair, apart)
    tie = apart <= closest[pair] + TIE_MM
    sure = closest + 2 * TIE_MM < _INSIDE * min(pet.grid.spacing_mm)
    rows = distinct_pairs(pair[tie], tumour.piece[run[tie]])
    return rows[:, 0], rows[:, 1], sure


def nearest_rows(
    tumour: TumourVoxels, pet: AvidVoxels, voxel: Int64s, lesions: Int64s | None, *, reach: float | None
) -> Rows:
    """Rows of the lesions nearest to each avid voxel, ties included.

    ``reach`` is how far the nearest voxels are thought to be; it only saves work.
    """
    if not voxel.size:
        none = np.empty(0, np.int64)
        return none, none, none
    queries = pet.centres[voxel]
    for margin in (np.inf if reach is None else reach + 2 * TIE_MM, np.inf):
        points, owner, piece = tumour.near(queries, margin, lesions)
        if not points.size:
            continue
        query, found, farthest = nearest_points(points, queries, tie=TIE_MM)
        if farthest + TIE_MM <= margin:  # nothing outside the box is nearer
            break
    lesion_count, piece_count = int(owner.max()) + 1, int(piece.max()) + 2
    key = sorted_unique((query * lesion_count + owner[found]) * piece_count + piece[found] - NO_PIECE)
    key, piece_key = np.divmod(key, piece_count)
    position, lesion = np.divmod(key, lesion_count)
    return voxel[position], lesion, piece_key + NO_PIECE
