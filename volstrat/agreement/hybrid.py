"""A reading put together from two: one reader's lesions, the other's contours, either's markings.

Both readings are of one image, on one grid. Their lesions are matched (`volstrat.agreement.matching`);
lesions that correspond, split and merged ones included, form a *cluster*. A hybrid takes

- detection from one reading: which lesions without a counterpart are there at all;
- contour from one reading: the voxels of every lesion that both saw;
- marking from one reading: what can be resected. Where its contours are the other's, a lesion takes the
  marking of its counterpart as a whole; where that has none (a partly resectable one), each voxel takes the
  marking of the counterpart's nearest voxel. Lesions whose marking is the same word in both readings, or
  that both readings took from the same mask or row, differ by nothing but contour and keep their own;
- moved rows from one reading: all words of the lesions on which a row lies that both tables have, but that
  lies on another lesion in the other reading (`volstrat.agreement.matching`): nobody marked them otherwise;
- avidity from one reading: PET, avid mask, rule, and the table's avidity words;
- the protocol from one reading, but for its avidity rule.

A lesion that one reading alone has brings its own marking and avidity word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from volstrat.agreement.matching import LesionMatching, match_readings, moved_rows, region_partners
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import VoxelRuns, expand, split_rows
from volstrat.rule.lesion_measures import LesionMeasures, gathered_measures
from volstrat.rule.lesions import Lesions
from volstrat.rule.markings import NO_WORD, DrawnRuns, TumourPieces, cut_pieces
from volstrat.rule.measure import Measurements, assemble, attribute_avid, avid_disease
from volstrat.rule.row_placing import PlacedRows
from volstrat.rule.table_words import marked_regions
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from volstrat.rule.attribution import Attribution
    from volstrat.terms.protocol import Protocol

    Int64s = NDArray[np.int64]
    Members = tuple[tuple[int, ...], tuple[int, ...]]

_NEIGHBOURS = 8


class Choice(NamedTuple):
    """From which reading, 0 or 1, each ingredient comes; a surgical plan is in the place of markings."""

    detection: int
    contour: int
    row_moved: int
    marking: int
    avidity: int
    protocol: int

    @classmethod
    def of(cls, base: int, *, but: Iterable[str] = ()) -> Choice:
        """Return the reading ``base`` with some ingredients of the other one."""
        named = {"marking" if ingredient == "plan" else ingredient for ingredient in but}
        return cls(*(1 - base if name in named else base for name in cls._fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Lesions of two readings that show the same disease, ``members`` by position in each reading.

    ``same_marking``: nothing but contour can make their markings differ. ``row_moved``: a row lies on them
    that lies on another lesion in the other reading.
    """

    members: Members
    same_contour: bool
    same_marking: bool
    row_moved: bool


@dataclass(frozen=True, slots=True)
class _Pick:
    """A lesion of a hybrid: from which reading, which one, and its cluster (None: seen by one alone)."""

    reading: int
    lesion: int
    cluster: Cluster | None


class HybridMaker:
    """Makes hybrids of two readings on one grid under one protocol.

    Both were measured under ``protocol`` but for the avidity rule: ``protocols`` give each reading's.
    Lesions, and PET-only regions on different grids, match within ``distance_mm`` of their centroids. Where
    the readings rest on different surgical plans, which mark the lesions, no row is looked for that moved.
    """

    def __init__(
        self,
        readings: tuple[Measurements, Measurements],
        protocols: tuple[Protocol, Protocol],
        *,
        protocol: Protocol,
        distance_mm: float,
        plans_differ: bool = False,
    ) -> None:
        self.readings = readings
        self._protocols = protocols
        self._protocol = protocol
        self._distance_mm = distance_mm
        self.matching = match_readings(*readings, distance_mm=distance_mm)
        self._marked_runs = tuple(_marked_runs(r) for r in readings)
        self._moved_rows = () if plans_differ else moved_rows(*readings, self.matching)
        found = [self._cluster(members) for members in _joined(self.matching)]
        self.clusters = tuple(sorted(found, key=lambda cluster: cluster.members))
        self._attributions: dict[tuple[int, ...], tuple[Attribution | None, NDArray[np.bool_]]] = {}

    def _cluster(self, members: Members) -> Cluster:
        one, other = (_voxels(r.lesions, side) for r, side in zip(self.readings, members, strict=True))
        return Cluster(
            members=members,
            same_contour=one.same_as(other) and len(members[0]) == len(members[1]),
            same_marking=self._same_marking(members, one.union(other)),
            row_moved=any(m.in_a in members[0] or m.in_b in members[1] for m in self._moved_rows),
        )

    def _same_marking(self, members: Members, voxels: VoxelRuns) -> bool:
        codes = [self._codes(reading, side) for reading, side in enumerate(members)]
        if codes[0] == codes[1] and len(codes[0]) == 1 and NO_WORD not in codes[0]:
            return True
        tables = [self._said(reading, side, "resectability") for reading, side in enumerate(members)]
        if tables[0] != tables[1] or len(tables[0]) > 1:
            return False
        masks = [r.masks.resectable for r in self.readings]
        if masks[0] is None or masks[1] is None:
            # Without a mask only a surgical plan marks a part of a lesion.
            return masks[0] is masks[1] and codes[0] == codes[1] and self._drawn_alike(members)
        return masks[0].intersection(voxels).same_as(masks[1].intersection(voxels))

    def _codes(self, reading: int, lesions: Sequence[int]) -> set[int]:
        """Return the markings that lesions have as a whole, `NO_WORD` where one has none."""
        return set(self.readings[reading].marked.codes[list(lesions)].tolist())

    def _said(self, reading: int, lesions: Iterable[int], column: str) -> set[str | None]:
        """Return what a reading's table says of lesions in a column; None where it says nothing."""
        measured = self.readings[reading]
        rows = (measured.rows.get(measured.lesions.ids[n]) for n in lesions)
        return {None if row is None else getattr(row, column) for row in rows}

    def _drawn_alike(self, members: Members) -> bool:
        def drawn(reading: int, mark: Marking) -> VoxelRuns:
            starts, stops, lesion, marks = self._marked_runs[reading]
            those = np.isin(lesion, members[reading]) & (marks == mark)
            return VoxelRuns.from_intervals(starts[those], stops[those])

        return all(drawn(0, mark).same_as(drawn(1, mark)) for mark in Marking)

    def make(self, choice: Choice) -> Measurements:
        """Return the hybrid that takes each ingredient from the reading that ``choice`` names."""
        which = {choice.detection, choice.contour, choice.marking, choice.avidity}
        if self._moved_rows:
            which.add(choice.row_moved)
        if len(which) == 1:
            return self.readings[choice.detection]
        picks = self._picks(choice)
        lesions, measures = self._assembled(choice, picks)
        pieces = cut_pieces(lesions, self._drawn(picks, choice), self._protocol)
        attribution, covered = self._attributed(lesions, pieces, choice)
        placed = PlacedRows(
            lesions=self._lesion_rows(picks, lesions.ids, choice),
            regions=self._region_rows(attribution, choice),
        )
        masks = self.readings[choice.avidity].masks
        return assemble(masks, lesions, measures, pieces, base=attribution, covered=covered, placed=placed)

    def _attributed(
        self, lesions: Lesions, pieces: TumourPieces, choice: Choice
    ) -> tuple[Attribution | None, NDArray[np.bool_]]:
        """Attribute one reading's avid voxels to the hybrid's lesions, once for all markings if possible."""
        depends = pieces.overlapping or bool((pieces.drawn == NO_WORD).any())
        source = self.readings[choice.avidity]
        if choice.detection == choice.contour == choice.avidity and not depends:
            return source.attribution, source.covered
        words = (choice.marking, choice.row_moved) if depends else ()
        key = (choice.detection, choice.contour, choice.avidity, *words)
        if key not in self._attributions:
            rule = replace(self._protocol, avidity=self._protocols[choice.avidity].avidity)
            avid, covered = avid_disease(source.masks, lesions, rule)
            self._attributions[key] = attribute_avid(lesions, pieces, avid, self._protocol), covered
        return self._attributions[key]

    def _picks(self, choice: Choice) -> list[_Pick]:
        """Lesions of the hybrid: which reading's, which lesion, and its cluster."""
        picks = [_Pick(choice.contour, n, c) for c in self.clusters for n in c.members[choice.contour]]
        only = self.matching.only_in_b if choice.detection else self.matching.only_in_a
        picks += [_Pick(choice.detection, label - 1, None) for label in only]
        if choice.detection == choice.contour:  # all lesions of one reading: in its own order
            picks.sort(key=lambda pick: pick.lesion)
        return picks

    def _assembled(self, choice: Choice, picks: Sequence[_Pick]) -> tuple[Lesions, LesionMeasures]:
        if choice.detection == choice.contour:
            return self.readings[choice.contour].lesions, self.readings[choice.contour].measures
        own = [r.lesions for r in self.readings]
        starts, stops, lesion = self._gathered(picks, [(one.starts, one.stops, one.lesion) for one in own])
        ids = tuple(f"L{n + 1}" for n in range(len(picks)))
        lesions = Lesions(grid=own[0].grid, ids=ids, starts=starts, stops=stops, lesion=lesion)
        return lesions, gathered_measures([(self.readings[p.reading].measures, p.lesion) for p in picks])

    def _gathered(
        self,
        picks: Sequence[_Pick | None],
        runs: Sequence[tuple[Int64s, ...]],
        also: Sequence[tuple[Int64s, ...]] = (),
    ) -> list[Int64s]:
        """Return the runs of the picked lesions by start, numbered as in the hybrid.

        ``runs`` are each reading's starts, stops, lesions and whatever else goes with them; ``also`` are such
        runs that are numbered already.
        """
        parts = list(also)
        for reading, (starts, stops, lesion, *others) in enumerate(runs):
            number = np.full(self.readings[reading].lesions.count, -1, dtype=np.int64)
            for position, pick in enumerate(picks):
                if pick is not None and pick.reading == reading:
                    number[pick.lesion] = position
            position_of = number[lesion]
            columns = (starts, stops, position_of, *others)
            parts.append(tuple(column[position_of >= 0] for column in columns))
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.lexsort((joined[2], joined[0]))
        return [column[order] for column in joined]

    def _drawn(self, picks: Sequence[_Pick], choice: Choice) -> DrawnRuns:
        """Return the hybrid's runs, each with the marking that it has for good."""
        own: list[_Pick | None] = []
        transferred = []
        for position, pick in enumerate(picks):
            cluster, source = pick.cluster, pick.reading
            if cluster is not None and not cluster.same_marking:
                source = choice.row_moved if cluster.row_moved else choice.marking
            own.append(pick if source == pick.reading else None)
            if cluster is not None and source != pick.reading:
                transferred.append(self._transferred(pick, position, source, cluster.members[source]))
        starts, stops, lesion, mark = self._gathered(own, self._marked_runs, transferred)
        return starts, stops, lesion, mark

    def _transferred(self, pick: _Pick, position: int, source: int, partners: Sequence[int]) -> DrawnRuns:
        """Return a lesion's runs with the marking that its partners have in the other reading."""
        grid = self.readings[0].lesions.grid
        voxels = self.readings[pick.reading].lesions.of(pick.lesion)
        codes = self._codes(source, partners)
        if len(codes) == 1 and NO_WORD not in codes:
            begins, ends, _ = split_rows(voxels.starts, voxels.stops, grid.shape[0])
            mark = np.full(begins.size, codes.pop(), dtype=np.int64)
        else:
            starts, stops, lesion, own = self._marked_runs[source]
            those = np.isin(lesion, partners)
            there, begins = expand(starts[those], stops[those]), voxels.indices()
            ends = begins + 1
            mark = _nearest_marking(
                grid.to_mm(grid.unravel(there)),
                np.repeat(own[those], stops[those] - starts[those]),
                grid.to_mm(grid.unravel(begins)),
            )
        return begins, ends, np.full(begins.size, position, dtype=np.int64), mark

    def _lesion_rows(
        self, picks: Sequence[_Pick], ids: Sequence[str], choice: Choice
    ) -> dict[int, LesionRow]:
        rows = {}
        for position, (lesion_id, pick) in enumerate(zip(ids, picks, strict=True)):
            said = self._said(pick.reading, [pick.lesion], "fdg_avidity")
            if pick.cluster is not None:
                source = choice.row_moved if pick.cluster.row_moved else choice.avidity
                if source != pick.reading:
                    said = self._said(source, pick.cluster.members[source], "fdg_avidity")
            word = "avid" if "avid" in said else None if None in said else "not_avid"
            if word is not None:
                rows[position] = LesionRow(lesion_id=lesion_id, fdg_avidity=word)  # type: ignore[arg-type]
        return rows

    def moved_words_differ(self) -> bool:
        """Tell whether lesions on which a moved row lies have other words in the other reading."""
        moved = [cluster for cluster in self.clusters if cluster.row_moved]
        return any(not c.same_marking or self._other_avidity_words(c) for c in moved)

    def avidity_words_differ(self) -> bool:
        """Tell whether the tables' avidity words differ on a lesion of both, or on PET-only regions.

        Where a moved row lies on the lesion, that is why.
        """
        on_lesions = any(self._other_avidity_words(c) for c in self.clusters if not c.row_moved)
        return on_lesions or region_words_differ(self.readings, "fdg_avidity")

    def _other_avidity_words(self, cluster: Cluster) -> bool:
        one, other = (self._said(n, side, "fdg_avidity") for n, side in enumerate(cluster.members))
        return one != other

    def _region_rows(self, attribution: Attribution | None, choice: Choice) -> dict[int, LesionRow]:
        """Rows of PET-only regions, marked by one reading and dismissed by the other."""
        if attribution is None:
            return {}
        counterparts = [self._counterparts(attribution, reading) for reading in range(2)]
        rows = {}
        for rank in range(attribution.pet_only.count):
            marked, judged = counterparts[choice.marking].get(rank), counterparts[choice.avidity].get(rank)
            words = [row.resectability for row in (marked, judged) if row is not None]
            if words:
                rows[rank] = LesionRow(
                    lesion_id=f"P{rank + 1}",
                    resectability=next((word for word in words if word is not None), None),
                    fdg_avidity=None if judged is None else judged.fdg_avidity,
                )
        return rows

    def _counterparts(self, attribution: Attribution, reading: int) -> dict[int, LesionRow]:
        """Return for PET-only regions the rows of those that a reading shows in their place.

        One that belongs to a lesion has that lesion's marking.
        """
        measured = self.readings[reading]
        own = measured.attribution
        if own is None or own.pet_only.count == 0:
            return {}
        codes = marked_regions(measured.region_words, measured.marked).tolist()
        found = {}
        for rank, partner in region_partners(attribution, own, distance_mm=self._distance_mm).items():
            row = measured.rows.get(f"P{partner + 1}")
            if row is not None and row.belongs_to:
                row = replace(row, resectability=Marking(codes[partner]), belongs_to="")
            if row is not None:
                found[rank] = row
        return found


def region_words_differ(readings: Iterable[Measurements], column: str) -> bool:
    """Tell whether a column of two readings' tables differs on PET-only regions."""
    one, other = (
        {i: getattr(row, column) for i, row in r.rows.items() if i.startswith("P")} for r in readings
    )
    return one != other


def _marked_runs(measured: Measurements) -> DrawnRuns:
    """Return a reading's runs with the marking that each voxel has from its own lesion."""
    pieces = measured.marked.pieces
    table = measured.words.marking[pieces.lesion]
    pair = np.lexsort((pieces.pair_lesion, pieces.pair_piece))
    key = pieces.pair_piece[pair] * measured.lesions.count + pieces.pair_lesion[pair]
    at = np.searchsorted(key, pieces.piece * measured.lesions.count + pieces.lesion)
    drawn = pieces.pair_drawn[pair][at]
    return pieces.starts, pieces.stops, pieces.lesion, np.where(table == NO_WORD, drawn, table)


def _voxels(lesions: Lesions, members: Sequence[int]) -> VoxelRuns:
    of_members = np.isin(lesions.lesion, members)
    return VoxelRuns.from_intervals(lesions.starts[of_members], lesions.stops[of_members])


def _joined(matching: LesionMatching) -> list[Members]:
    """Join pairs and groups that share a lesion; members by position."""
    clusters: list[tuple[set[int], set[int]]] = []
    for a, b in matching.links():
        touching = [c for c in clusters if a in c[0] or b in c[1]]
        joined = ({a}.union(*(c[0] for c in touching)), {b}.union(*(c[1] for c in touching)))
        clusters = [c for c in clusters if c not in touching]
        clusters.append(joined)
    return [(tuple(sorted(a)), tuple(sorted(b))) for a, b in clusters]


def _nearest_marking(points: NDArray[np.float64], marking: Int64s, queries: NDArray[np.float64]) -> Int64s:
    """Return the marking of the nearest point, the worst among ties (0.001 mm)."""
    from scipy.spatial import cKDTree

    count = min(_NEIGHBOURS, len(points))
    distance, index = cKDTree(points).query(queries, k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    tied = distance <= distance[:, :1] + TIE_MM
    worst: Int64s = np.where(tied, marking[index], len(Marking)).min(axis=1)
    return worst
