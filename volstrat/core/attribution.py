"""Which lesion each FDG-avid voxel belongs to.

Works on the avid mask's own voxels; nothing is resampled. Geometry comes first (`attribute`): for
each avid voxel the lesions it may belong to. Markings come second (`resolve`), cheaply, so that
a changed marking or avidity word needs no geometry again.

Distances run between voxel centres. Those within 0.001 mm of the smallest are ties, settled by the
worst marking and then the lower lesion id, and limits include that slack, so that neither rounding
nor storage order decides.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.core.components import connected_components
from volstrat.core.grid import TIE_MM
from volstrat.core.lesions import falling_volume_rank, measure_runs, refuse_specks
from volstrat.core.marks import Marking
from volstrat.core.projection import project
from volstrat.core.runs import LabelRuns, expand, sorted_unique, split_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray
    from scipy.spatial import cKDTree

    from volstrat.core.grid import VoxelGrid
    from volstrat.core.lesions import LesionMeasures, Lesions, MarkedLesions
    from volstrat.core.runs import VoxelRuns

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_NEIGHBOURS = 8
_QUERIES_AT_ONCE = 100_000
_INSIDE = 0.49
"""Share of the smallest spacing that surely lies within a voxel: axes may meet at a cosine of 1e-3."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribution:
    """The lesions that each avid voxel may belong to.

    Parameters
    ----------
    grid : VoxelGrid
        Of the avid mask.
    avid : VoxelRuns
        The avid voxels as given.
    voxels : array of int64, (n,)
        Linear indices of the avid voxels, rising.
    region : array of int64, (n,)
        The 26-connected region of each, 0 to ``regions - 1``.
    pet_only : array of int64, (regions,)
        Rank of the region among the PET-only ones (0 is P1), or -1 where it belongs to CT tumour.
    far : array of bool, (n,)
        True where the nearest tumour voxel lies beyond twice the attribution distance.
    row_voxel, row_lesion, row_marking : array of int64, (rows,)
        Candidates: position in ``voxels``, lesion, and the worst `Marking` of the lesion's nearest
        voxels (for lesions without one marking).
    row_held : array of bool, (rows,)
        True where the avid voxel holds a voxel centre of the lesion; an avid voxel belongs to every
        lesion it holds, and a voxel that holds none to one of its candidates.
    tumour_voxels, tumour_lesion, tumour_holder : array of int64, (m,)
        Tumour voxels whose centres lie in avid voxels: linear index on the tumour grid, lesion, and
        position in ``voxels``.
    """

    grid: VoxelGrid
    avid: VoxelRuns
    voxels: Int64s
    region: Int64s
    pet_only: Int64s
    far: Bools
    row_voxel: Int64s
    row_lesion: Int64s
    row_marking: Int64s
    row_held: Bools
    tumour_voxels: Int64s
    tumour_lesion: Int64s
    tumour_holder: Int64s
    pet_only_measures: LesionMeasures

    @property
    def pet_only_count(self) -> int:
        """How many PET-only regions there are."""
        return int((self.pet_only >= 0).sum())

    def pet_only_region_at(self, point_mm: Sequence[float]) -> int:
        """Rank of the PET-only region in whose voxel a point (LPS mm) lies; -1 for none."""
        at = self.grid.voxel_at(self.grid.to_index(np.array([point_mm])))[0]
        if at[0] < 0:
            return -1
        linear = int(self.grid.ravel(at))
        position = int(np.searchsorted(self.voxels, linear))
        if position >= self.voxels.size or self.voxels[position] != linear:
            return -1
        return int(self.pet_only[self.region[position]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvidCounts:
    """What the rule counts of avid voxels.

    Parameters
    ----------
    by_marking : array of int64, (4,)
        Avid voxels by `Marking`, those that were removed left out.
    lesion_voxels : array of int64, (lesions,)
        Avid voxels that belong to each lesion; one that holds two counts for both.
    """

    by_marking: Int64s
    lesion_voxels: Int64s

    def count(self, *markings: Marking) -> int:
        """Count the avid voxels that carry one of these markings."""
        return int(self.by_marking[list(markings)].sum())

    @property
    def whole(self) -> int:
        """Avid voxels that were not removed."""
        return int(self.by_marking.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resolved:
    """What each avid voxel is marked, given markings and avidity words.

    Parameters
    ----------
    marking : array of int64, (n,)
        `Marking` of each avid voxel, the worst where it holds several lesions; -1 where a word
        ``not_avid`` removed it.
    pair_voxel, pair_lesion, pair_marking : array of int64, (pairs,)
        Which avid voxel (position) belongs to which lesion, and the marking it takes from it; one that
        holds two lesions belongs to both.
    counts : AvidCounts
    """

    marking: Int64s
    pair_voxel: Int64s
    pair_lesion: Int64s
    pair_marking: Int64s
    counts: AvidCounts


def attribute(
    lesions: Lesions, marked: MarkedLesions, *, avid: VoxelRuns, avid_grid: VoxelGrid, distance_mm: float
) -> Attribution:
    """Find the lesions that each avid voxel may belong to.

    A 26-connected avid region with a voxel centre within ``distance_mm`` of a tumour voxel centre
    belongs to CT tumour. Its voxels that hold tumour voxel centres belong to the lesions they hold;
    the others go to the nearest of the lesions that the region holds, or, where it holds none, to
    the nearest tumour voxel. The other regions are PET-only.

    Parameters
    ----------
    lesions, marked : Lesions, MarkedLesions
        On the tumour grid.
    avid : VoxelRuns
        On ``avid_grid``, in the tumour's frame of reference.

    Raises
    ------
    NoisyMaskError
        If there are more than 10,000 avid regions.
    """
    found = connected_components(avid, avid_grid, connectivity=26)
    hint = "Clean the avid mask, or raise the threshold of the avidity rule."
    refuse_specks(found.count, "FDG-avid disease", hint=hint)
    voxels = expand(found.starts, found.stops)
    centres = avid_grid.to_mm(avid_grid.unravel(voxels))
    tumour = _Tumour(lesions.grid, marked)
    holder, run, tumour_voxel = _holders(tumour, voxels, centres, avid_grid)
    lesion = tumour.lesion[run]
    pet = _AvidVoxels(
        grid=avid_grid,
        centres=centres,
        region=np.repeat(found.component, found.stops - found.starts),
        regions=found.count,
        held=_distinct_pairs(holder, lesion),
    )
    distance = _distances(tumour, pet, distance_mm)
    near = np.zeros(found.count, dtype=bool)
    near[pet.region[distance <= distance_mm + TIE_MM]] = True
    partial = np.array([m is None for m in marked.marking], dtype=bool)
    lost = np.flatnonzero(near[pet.region] & ~pet.region_holds[pet.region])
    asked = partial[lesion]
    nearest = _nearest_held(tumour, pet, holder[asked], run[asked], tumour_voxel[asked])
    rows = [
        _held_rows(tumour, pet, near, partial, nearest),
        *_spill_rows(tumour, pet, near, partial),
        _nearest_rows(tumour, pet, lost, None, reach=float(np.max(distance[lost], initial=0.0))),
    ]
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    pet_only, measures = _pet_only(avid_grid, found.starts, found.stops, found.component, near)
    return Attribution(
        grid=avid_grid,
        avid=avid,
        voxels=voxels,
        region=pet.region,
        pet_only=pet_only,
        far=distance > 2 * distance_mm + TIE_MM,
        row_voxel=columns[0],
        row_lesion=columns[1],
        row_marking=columns[2],
        row_held=columns[3].astype(bool),
        tumour_voxels=tumour_voxel,
        tumour_lesion=lesion,
        tumour_holder=holder,
        pet_only_measures=measures,
    )


def resolve(
    attribution: Attribution,
    *,
    marking: Sequence[Marking | None],
    not_avid: Collection[int],
    region_marking: Sequence[Marking],
    dismissed: Collection[int],
) -> Resolved:
    """Give every avid voxel its marking.

    Parameters
    ----------
    marking : sequence of Marking or None, one a lesion
        None where the lesion has no one marking; then the nearest voxel's counts.
    not_avid : collection of int
        Lesions (positions) whose avid voxels are removed.
    region_marking : sequence of Marking, one a PET-only region
    dismissed : collection of int
        PET-only regions (ranks) that are physiological.
    """
    a = attribution
    words = np.array([-1 if m is None else m for m in marking], dtype=np.int64)
    removed = np.zeros(words.size, dtype=bool)
    removed[list(not_avid)] = True
    row_marking = np.where(words[a.row_lesion] >= 0, words[a.row_lesion], a.row_marking)
    # A voxel that holds no tumour belongs to one candidate: worst marking, then lower lesion.
    order = np.lexsort((a.row_lesion, row_marking, a.row_voxel))
    first = np.ones(order.size, dtype=bool)
    first[1:] = a.row_voxel[order][1:] != a.row_voxel[order][:-1]
    chosen = a.row_held.copy()
    chosen[order[first]] = True
    chosen &= ~removed[a.row_lesion]
    voxel, lesion, mark = a.row_voxel[chosen], a.row_lesion[chosen], row_marking[chosen]
    result = np.full(a.voxels.size, len(Marking), dtype=np.int64)
    np.minimum.at(result, voxel, mark)
    result[result == len(Marking)] = -1
    rank = a.pet_only[a.region] if a.voxels.size else np.empty(0, np.int64)
    alone = rank >= 0
    region_words = np.array(
        [-1 if n in dismissed else m for n, m in enumerate(region_marking)], dtype=np.int64
    )
    result[alone] = region_words[rank[alone]]
    return Resolved(
        marking=result,
        pair_voxel=voxel,
        pair_lesion=lesion,
        pair_marking=mark,
        counts=AvidCounts(
            by_marking=np.bincount(result[result >= 0], minlength=len(Marking)).astype(np.int64),
            lesion_voxels=np.bincount(lesion, minlength=words.size).astype(np.int64),
        ),
    )


def review_regions(
    attribution: Attribution, resolved: Resolved, *, marking: Sequence[Marking | None]
) -> tuple[tuple[int, str], ...]:
    """List the regions that a person must look at, by their lowest lesion position, with the reason.

    ``differently_marked``: on tumour of more than one marking; ``partly_marked``: on a lesion without
    one marking; ``reaches_far``: beyond twice the attribution distance. Removed voxels do not count.
    """
    a, voxel, lesion, mark = attribution, resolved.pair_voxel, resolved.pair_lesion, resolved.pair_marking
    words = np.array([-1 if m is None else m for m in marking], dtype=np.int64)
    reviews: list[tuple[int, str]] = []
    region = a.region[voxel] if voxel.size else voxel
    lowest = np.full(a.pet_only.size, np.iinfo(np.int64).max)
    np.minimum.at(lowest, region, lesion)
    low = np.full(a.pet_only.size, len(Marking))
    high = np.full(a.pet_only.size, -1)
    np.minimum.at(low, region, mark)
    np.maximum.at(high, region, mark)
    partly = np.unique(region[words[lesion] < 0])
    reach = np.unique(region[a.far[voxel]])
    for regions, reason in (
        (np.flatnonzero(low < high), "differently_marked"),
        (partly, "partly_marked"),
        (reach, "reaches_far"),
    ):
        reviews.extend((int(lowest[r]), reason) for r in regions)
    return tuple(sorted(set(reviews)))


class _Tumour:
    """Tumour voxels with their lesions and markings, fetched box by box."""

    def __init__(self, grid: VoxelGrid, marked: MarkedLesions) -> None:
        order = np.argsort(marked.starts, kind="stable")
        self.grid = grid
        self.lesion = marked.lesion[order]
        self.worst = marked.worst[order]
        self.runs = LabelRuns(marked.starts[order], marked.stops[order], np.arange(1, order.size + 1))
        ends = (grid.to_mm(grid.unravel(self.runs.starts)), grid.to_mm(grid.unravel(self.runs.stops - 1)))
        self.low, self.high = np.minimum(*ends), np.maximum(*ends)

    def in_box(
        self, low: Float64s, high: Float64s, lesions: Int64s | None
    ) -> tuple[Float64s, Int64s, Int64s]:
        """Centres (mm), lesions and markings of voxels whose runs meet a box (of some lesions only)."""
        chosen = ((self.low <= high) & (self.high >= low)).all(axis=1)
        if lesions is not None:
            chosen &= np.isin(self.lesion, lesions)
        run = np.flatnonzero(chosen)
        starts, stops = self.runs.starts[run], self.runs.stops[run]
        centres = self.grid.to_mm(self.grid.unravel(expand(starts, stops)))
        return (
            centres,
            np.repeat(self.lesion[run], stops - starts),
            np.repeat(self.worst[run], stops - starts),
        )


def _holders(
    tumour: _Tumour, voxels: Int64s, centres: Float64s, avid_grid: VoxelGrid
) -> tuple[Int64s, Int64s, Int64s]:
    """Avid voxels that hold tumour voxel centres: position in ``voxels``, run of tumour, tumour voxel."""
    none = np.empty(0, np.int64)
    if not voxels.size or not tumour.lesion.size:
        return none, none, none
    margin = sum(avid_grid.spacing_mm)
    near = ((tumour.low <= centres.max(axis=0) + margin) & (tumour.high >= centres.min(axis=0) - margin)).all(
        1
    )
    runs = LabelRuns(tumour.runs.starts[near], tumour.runs.stops[near], tumour.runs.labels[near])
    projected = project(runs, from_grid=tumour.grid, to_grid=avid_grid)
    position = np.minimum(np.searchsorted(voxels, projected.holders), voxels.size - 1)
    hit = voxels[position] == projected.holders
    return position[hit], projected.labels[hit] - 1, projected.voxels[hit]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _AvidVoxels:
    """Avid voxels: centres (mm), region, and the pairs (voxel, lesion) of those that hold tumour."""

    grid: VoxelGrid
    centres: Float64s
    region: Int64s
    regions: int
    held: Int64s

    @property
    def holds(self) -> Bools:
        flags = np.zeros(self.region.size, dtype=bool)
        flags[self.held[:, 0]] = True
        return flags

    @property
    def region_holds(self) -> Bools:
        flags = np.zeros(self.regions, dtype=bool)
        flags[self.region[self.held[:, 0]]] = True
        return flags


def _distances(tumour: _Tumour, pet: _AvidVoxels, distance_mm: float) -> Float64s:
    """Distance of each avid voxel to the nearest tumour voxel, mm, exact where a limit is near.

    A voxel that holds tumour is nearer than half its diagonal; one in reach of such a voxel is
    bounded by it. Only what these bounds leave open is measured.
    """
    half_diagonal = float(np.linalg.norm(pet.grid.spacing_mm)) / 2 * 1.001
    holds = pet.holds
    bound = np.where(holds, half_diagonal, np.inf)
    spill = ~holds & pet.region_holds[pet.region]
    if spill.any():
        from scipy.spatial import cKDTree

        bound[spill] = cKDTree(pet.centres[holds]).query(pet.centres[spill])[0] + half_diagonal
    region_bound = np.full(pet.regions, np.inf)
    np.minimum.at(region_bound, pet.region, bound)
    unsure = (bound > 2 * distance_mm) | (region_bound[pet.region] > distance_mm)
    reach = 2 * distance_mm + 2 * TIE_MM
    for group in _groups(pet.region, unsure):
        low, high = pet.centres[group].min(axis=0), pet.centres[group].max(axis=0)
        points = tumour.in_box(low - reach, high + reach, None)[0]
        bound[group] = _nearest_distance(points, pet.centres[group], reach)
    return bound


def _distinct_pairs(first: Int64s, second: Int64s) -> Int64s:
    """Each pair once, sorted, (n, 2)."""
    span = int(second.max(initial=0)) + 1
    return np.stack(np.divmod(sorted_unique(first * span + second), span), axis=-1)


def _groups(region: Int64s, chosen: Bools) -> list[Int64s]:
    """Positions of the chosen voxels, region by region."""
    where = np.flatnonzero(chosen)
    order = where[np.argsort(region[where], kind="stable")]
    cuts = np.flatnonzero(np.diff(region[order])) + 1
    return [group for group in np.split(order, cuts) if group.size]


def _nearest_distance(points: Float64s, queries: Float64s, reach: float) -> Float64s:
    if not points.size:
        return np.full(len(queries), np.inf)
    from scipy.spatial import cKDTree

    distance: Float64s = cKDTree(points).query(queries, distance_upper_bound=reach)[0]
    return distance


_Rows = tuple["Int64s", "Int64s", "Int64s", "Int64s"]


def _nearest_held(
    tumour: _Tumour, pet: _AvidVoxels, holder: Int64s, run: Int64s, tumour_voxel: Int64s
) -> Int64s:
    """Worst marking among the nearest tumour voxels of each pair in ``pet.held``; -1 where it is not sure.

    What lies outside an avid voxel is at least half its smallest spacing from its centre: a held tumour
    voxel closer than that is the lesion's nearest.
    """
    sure = np.full(len(pet.held), -1, dtype=np.int64)
    if not holder.size:
        return sure
    span = int(tumour.lesion.max()) + 1
    pair = np.searchsorted(pet.held[:, 0] * span + pet.held[:, 1], holder * span + tumour.lesion[run])
    apart = np.empty(holder.size)
    for part in (slice(n, n + _QUERIES_AT_ONCE) for n in range(0, holder.size, _QUERIES_AT_ONCE)):
        at = tumour.grid.to_mm(tumour.grid.unravel(tumour_voxel[part]))
        apart[part] = np.linalg.norm(at - pet.centres[holder[part]], axis=1)
    closest = np.full(len(pet.held), np.inf)
    np.minimum.at(closest, pair, apart)
    tie = apart <= closest[pair] + TIE_MM
    worst = np.full(len(pet.held), len(Marking), dtype=np.int64)
    np.minimum.at(worst, pair[tie], tumour.worst[run[tie]])
    inside = closest + 2 * TIE_MM < _INSIDE * min(pet.grid.spacing_mm)
    sure[inside] = worst[inside]
    return sure


def _held_rows(tumour: _Tumour, pet: _AvidVoxels, near: Bools, partial: Bools, nearest: Int64s) -> _Rows:
    """Rows of avid voxels that hold tumour; on partly marked lesions the nearest voxel's marking."""
    chosen = near[pet.region[pet.held[:, 0]]]
    voxel, lesion = pet.held[chosen].T
    marking = np.where(partial[lesion], nearest[chosen], int(Marking.UNKNOWN))
    for part in np.unique(lesion[marking < 0]):
        mine = np.flatnonzero((lesion == part) & (marking < 0))
        rows = _nearest_rows(tumour, pet, voxel[mine], np.array([part]), reach=None)
        marking[mine] = rows[2][np.argsort(rows[0], kind="stable")]
    return voxel, lesion, marking, np.ones(voxel.size, dtype=np.int64)


def _spill_rows(tumour: _Tumour, pet: _AvidVoxels, near: Bools, partial: Bools) -> list[_Rows]:
    """Rows of avid voxels that hold no tumour in regions that do: the nearest lesions held."""
    rows: list[_Rows] = []
    held_region = pet.region[pet.held[:, 0]]
    owned = _distinct_pairs(held_region, pet.held[:, 1])
    for group in _groups(pet.region, ~pet.holds & (near & pet.region_holds)[pet.region]):
        candidates = owned[owned[:, 0] == pet.region[group[0]], 1]
        if candidates.size == 1 and not partial[candidates[0]]:
            only = np.full(group.size, candidates[0])
            unknown = np.full(group.size, int(Marking.UNKNOWN))
            rows.append((group, only, unknown, np.zeros(group.size, dtype=np.int64)))
        else:
            rows.append(_nearest_rows(tumour, pet, group, candidates, reach=None))
    return rows


def _nearest_rows(
    tumour: _Tumour, pet: _AvidVoxels, voxel: Int64s, lesions: Int64s | None, *, reach: float | None
) -> _Rows:
    """Rows of the lesions nearest to each avid voxel, ties included.

    ``reach`` bounds the distance to the nearest voxel where that is known; it only saves work.
    """
    if not voxel.size:
        none = np.empty(0, np.int64)
        return none, none, none, none
    from scipy.spatial import cKDTree

    margin = np.inf if reach is None or not np.isfinite(reach) else reach + 2 * TIE_MM
    queries = pet.centres[voxel]
    points, owner, worst = tumour.in_box(queries.min(axis=0) - margin, queries.max(axis=0) + margin, lesions)
    tree = cKDTree(points)
    pairs = [
        (begin + query, found)
        for begin in range(0, len(queries), _QUERIES_AT_ONCE)
        for query, found in [_nearest_points(tree, queries[begin : begin + _QUERIES_AT_ONCE])]
    ]
    query, found = (np.concatenate(column) for column in zip(*pairs, strict=True))
    lesion_count = int(owner.max()) + 1
    key, row = np.unique(query * lesion_count + owner[found], return_inverse=True)
    marking = np.full(key.size, len(Marking), dtype=np.int64)
    np.minimum.at(marking, row, worst[found])
    position, lesion = np.divmod(key, lesion_count)
    return voxel[position], lesion, marking, np.zeros(key.size, dtype=np.int64)


def _nearest_points(tree: cKDTree, queries: Float64s) -> tuple[Int64s, Int64s]:
    """Pairs of query and point where no other point is nearer, ties included."""
    count = min(_NEIGHBOURS, tree.n)
    distance, index = tree.query(queries, k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    tie = distance <= distance[:, :1] + TIE_MM
    crowded = tie[:, -1] & (count < tree.n)
    tie[crowded] = False
    query, column = np.nonzero(tie)
    found = index[query, column]
    for n in np.flatnonzero(crowded).tolist():  # more ties than neighbours asked for
        ball = np.array(tree.query_ball_point(queries[n], distance[n, 0] + TIE_MM), dtype=np.int64)
        query, found = np.append(query, np.full(ball.size, n)), np.append(found, ball)
    return query, found


def _pet_only(
    grid: VoxelGrid, starts: Int64s, stops: Int64s, component: Int64s, near: Bools
) -> tuple[Int64s, LesionMeasures]:
    """Rank of each region among the PET-only ones (-1 for the others), and their measurements."""
    alone = np.flatnonzero(~near)
    position = np.full(near.size, -1, dtype=np.int64)
    position[alone] = np.arange(alone.size)
    mine = position[component] >= 0 if component.size else np.empty(0, bool)
    first, last, owner = split_rows(starts[mine], stops[mine], grid.shape[0], position[component[mine]])
    found = measure_runs(grid, first, last, owner, alone.size)
    rank = falling_volume_rank(found.voxels, found.centroid_mm)
    position[alone] = rank
    order = np.argsort(rank)
    return position, replace(
        found, **{field.name: getattr(found, field.name)[order] for field in fields(found)}
    )
