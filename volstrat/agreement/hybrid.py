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
  lies on another lesion in the other reading (`volstrat.agreement.moved_rows`): nobody marked them otherwise;
- avidity from one reading: PET, avid mask, rule, and the table's avidity words;
- the protocol from one reading, but for its avidity rule.

A lesion that one reading alone has brings its own marking and avidity word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.agreement.matching import LesionMatching, match_lesions
from volstrat.agreement.moved_rows import moved_rows
from volstrat.agreement.region_matching import region_partners
from volstrat.geometry.grid import TIE_MM
from volstrat.geometry.runs import LabelRuns, VoxelRuns, expand, split_rows
from volstrat.rule.lesions import LesionMeasures, Lesions, gathered_measures
from volstrat.rule.markings import NO_WORD, cut_pieces
from volstrat.rule.measure import Measurements, assemble, attribute_avid, avid_disease
from volstrat.rule.row_placing import PlacedRows
from volstrat.rule.table_words import marked_regions
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from volstrat.rule.attribution import Attribution
    from volstrat.rule.markings import DrawnRuns, TumourPieces
    from volstrat.terms.protocol import Protocol

    Int64s = NDArray[np.int64]

_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Lesions of two readings that show the same disease, by position in each reading.

    Parameters
    ----------
    members : tuple of two tuples of int
        Of the first reading and of the second.
    same_contour : bool
        Both hold the same voxels.
    same_marking : bool
        Nothing but contour can make their markings differ.
    row_moved : bool
        A row lies on them that lies on another lesion in the other reading.
    """

    members: tuple[tuple[int, ...], tuple[int, ...]]
    same_contour: bool
    same_marking: bool
    row_moved: bool


def _lesion_labels(lesions: Lesions) -> LabelRuns:
    """Return lesions as labels: position in ``ids``, plus one."""
    return LabelRuns(lesions.starts, lesions.stops, lesions.lesion + 1)


def match_readings(a: Measurements, b: Measurements, *, distance_mm: float) -> LesionMatching:
    """Match the lesions of two measured readings on one grid; labels are positions in ``ids``, plus one."""
    return match_lesions(
        _lesion_labels(a.lesions), _lesion_labels(b.lesions), a.lesions.grid, distance_mm=distance_mm
    )


class HybridMaker:
    """Makes hybrids of two readings under one protocol.

    Parameters
    ----------
    readings : tuple of two Measurements
        On one grid, both measured under ``protocol`` but for the avidity rule.
    protocols : tuple of two Protocol
        Whose avidity rules are in force with each reading's PET.
    distance_mm : float
        Lesions, and PET-only regions on different grids, match within this distance of their centroids.
    plans_differ : bool
        The readings rest on different surgical plans, which mark the lesions; then no row is looked for that
        moved.
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
        self.moved_rows = () if plans_differ else moved_rows(*readings, self.matching)
        self.clusters = self._clusters()
        self._attributions: dict[tuple[int, ...], tuple[Attribution | None, NDArray[np.bool_]]] = {}

    def _clusters(self) -> tuple[Cluster, ...]:
        found = [self._cluster(members) for members in _joined(self.matching)]
        return tuple(sorted(found, key=lambda cluster: cluster.members))

    def _cluster(self, members: tuple[tuple[int, ...], tuple[int, ...]]) -> Cluster:
        voxels = [_voxels(r.lesions, side) for r, side in zip(self.readings, members, strict=True)]
        return Cluster(
            members=members,
            same_contour=voxels[0].same_as(voxels[1]) and len(members[0]) == len(members[1]),
            same_marking=self._same_marking(members, voxels),
            row_moved=any(m.in_a in members[0] or m.in_b in members[1] for m in self.moved_rows),
        )

    def _same_marking(
        self, members: tuple[tuple[int, ...], tuple[int, ...]], voxels: Sequence[VoxelRuns]
    ) -> bool:
        words = [
            set(r.marked.codes[list(side)].tolist()) for r, side in zip(self.readings, members, strict=True)
        ]
        if words[0] == words[1] and len(words[0]) == 1 and NO_WORD not in words[0]:
            return True
        tables = [
            {_table(r).get(r.lesions.ids[n]) for n in side}
            for r, side in zip(self.readings, members, strict=True)
        ]
        if tables[0] != tables[1] or len(tables[0]) > 1:
            return False
        masks = [r.masks.resectable for r in self.readings]
        if masks[0] is None or masks[1] is None:
            # Without a mask only a surgical plan marks a part of a lesion.
            return masks[0] is masks[1] and words[0] == words[1] and self._drawn_alike(members)
        both = voxels[0].union(voxels[1])
        return masks[0].intersection(both).same_as(masks[1].intersection(both))

    def _drawn_alike(self, members: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
        sides = []
        for (starts, stops, lesion, mark), side in zip(self._marked_runs, members, strict=True):
            those = np.isin(lesion, side)
            sides.append(
                [
                    VoxelRuns.from_intervals(starts[m], stops[m])
                    for m in (those & (mark == n) for n in Marking)
                ]
            )
        return all(one.same_as(other) for one, other in zip(*sides, strict=True))

    def make(
        self, *, detection: int, contour: int, row_moved: int, marking: int, avidity: int
    ) -> Measurements:
        """Return the hybrid; each argument says from which reading, 0 or 1."""
        if detection == contour == marking == avidity == (row_moved if self.moved_rows else avidity):
            return self.readings[detection]
        words = _Words(row_moved=row_moved, marking=marking, avidity=avidity)
        picks = self._picks(detection, contour)
        lesions, measures = self._assembled(detection, contour, picks)
        pieces = cut_pieces(lesions, self._drawn(picks, words), self._protocol)
        attribution, covered = self._attributed(lesions, pieces, words, detection=detection, contour=contour)
        placed = PlacedRows(
            lesions=self._lesion_rows(picks, lesions.ids, words),
            regions=self._region_rows(attribution, marking=marking, avidity=avidity),
            owners={},
            findings=(),
        )
        masks = self.readings[avidity].masks
        return assemble(masks, lesions, measures, pieces, base=attribution, covered=covered, placed=placed)

    def _attributed(
        self,
        lesions: Lesions,
        pieces: TumourPieces,
        words: _Words,
        *,
        detection: int,
        contour: int,
    ) -> tuple[Attribution | None, NDArray[np.bool_]]:
        """Attribute one reading's avid voxels to the hybrid's lesions, once for all markings if possible."""
        depends = pieces.overlapping or bool((pieces.drawn == NO_WORD).any())
        avidity, source = words.avidity, self.readings[words.avidity]
        if detection == contour == avidity and not depends:
            return source.attribution, source.covered
        key = (detection, contour, avidity, *((words.marking, words.row_moved) if depends else ()))
        if key not in self._attributions:
            rule = replace(self._protocol, avidity=self._protocols[avidity].avidity)
            avid, covered = avid_disease(source.masks, lesions, rule)
            self._attributions[key] = attribute_avid(lesions, pieces, avid, self._protocol), covered
        return self._attributions[key]

    def _picks(self, detection: int, contour: int) -> list[_Pick]:
        """Lesions of the hybrid: which reading's, which lesion, and its cluster."""
        picks = [_Pick(contour, n, c) for c in self.clusters for n in c.members[contour]]
        only = self.matching.only_in_b if detection else self.matching.only_in_a
        picks += [_Pick(detection, label - 1, None) for label in only]
        if detection == contour:  # all lesions of one reading: in its own order
            picks.sort(key=lambda pick: pick.lesion)
        return picks

    def _assembled(
        self, detection: int, contour: int, picks: Sequence[_Pick]
    ) -> tuple[Lesions, LesionMeasures]:
        if detection == contour:
            return self.readings[contour].lesions, self.readings[contour].measures
        parts = []
        for reading, r in enumerate(self.readings):
            number = self._numbers(picks, reading)
            position = number[r.lesions.lesion] if number.size else r.lesions.lesion
            kept = position >= 0
            parts.append((r.lesions.starts[kept], r.lesions.stops[kept], position[kept]))
        starts, stops, lesion = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((lesion, starts))
        lesions = Lesions(
            grid=self.readings[0].lesions.grid,
            ids=tuple(f"L{n + 1}" for n in range(len(picks))),
            starts=starts[order],
            stops=stops[order],
            lesion=lesion[order],
        )
        return lesions, gathered_measures([(self.readings[p.reading].measures, p.lesion) for p in picks])

    def _numbers(self, picks: Sequence[_Pick], reading: int) -> Int64s:
        """For each lesion of a reading its position in the hybrid, or -1."""
        number = np.full(self.readings[reading].lesions.count, -1, dtype=np.int64)
        for position, pick in enumerate(picks):
            if pick.reading == reading:
                number[pick.lesion] = position
        return number

    def _drawn(self, picks: Sequence[_Pick], words: _Words) -> DrawnRuns:
        """Return the hybrid's runs, each with the marking that it has for good."""
        parts: list[DrawnRuns] = []
        own = [
            _Pick(p.reading, p.lesion, None)
            if p.cluster is None or p.reading == words.marking_of(p.cluster) or p.cluster.same_marking
            else p
            for p in picks
        ]
        for reading, pieces in enumerate(self._marked_runs):
            number = self._numbers(picks, reading)
            for position, pick in enumerate(own):
                if pick.cluster is not None and pick.reading == reading:
                    number[pick.lesion] = -1  # takes its marking from the other reading
                    parts.append(self._transferred(pick, position, words.marking_of(pick.cluster)))
            position_of = number[pieces[2]] if number.size else pieces[2]
            kept = position_of >= 0
            parts.append((pieces[0][kept], pieces[1][kept], position_of[kept], pieces[3][kept]))
        starts, stops, lesion, mark = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((lesion, starts))
        return starts[order], stops[order], lesion[order], mark[order]

    def _transferred(self, pick: _Pick, position: int, marking: int) -> DrawnRuns:
        """Return a lesion's runs with the marking that its counterparts have."""
        assert pick.cluster is not None
        partners = pick.cluster.members[marking]
        words = set(self.readings[marking].marked.codes[list(partners)].tolist())
        grid = self.readings[0].lesions.grid
        voxels = self.readings[pick.reading].lesions.of(pick.lesion)
        if len(words) == 1 and (word := next(iter(words))) != NO_WORD:
            starts, stops, _ = split_rows(voxels.starts, voxels.stops, grid.shape[0])
            mark = np.full(starts.size, word, dtype=np.int64)
            return starts, stops, np.full(starts.size, position, dtype=np.int64), mark
        starts, stops, lesion, own = self._marked_runs[marking]
        chosen = np.isin(lesion, partners)
        lengths = stops[chosen] - starts[chosen]
        there = expand(starts[chosen], stops[chosen])
        here = voxels.indices()
        mark = _nearest_marking(
            grid.to_mm(grid.unravel(there)), np.repeat(own[chosen], lengths), grid.to_mm(grid.unravel(here))
        )
        return here, here + 1, np.full(here.size, position, dtype=np.int64), mark

    def _lesion_rows(self, picks: Sequence[_Pick], ids: Sequence[str], words: _Words) -> dict[int, LesionRow]:
        rows = {}
        for position, (lesion_id, pick) in enumerate(zip(ids, picks, strict=True)):
            if pick.cluster is None or pick.reading == (source := words.avidity_of(pick.cluster)):
                said = {self._avidity_word(pick.reading, pick.lesion)}
            else:
                said = {self._avidity_word(source, n) for n in pick.cluster.members[source]}
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
        if any(self._other_avidity_words(c) for c in self.clusters if not c.row_moved):
            return True
        regions = [
            {i: row.fdg_avidity for i, row in r.rows.items() if i.startswith("P")} for r in self.readings
        ]
        return regions[0] != regions[1]

    def _other_avidity_words(self, cluster: Cluster) -> bool:
        one, other = (
            {self._avidity_word(reading, n) for n in side} for reading, side in enumerate(cluster.members)
        )
        return one != other

    def _avidity_word(self, reading: int, lesion: int) -> str | None:
        row = self.readings[reading].rows.get(self.readings[reading].lesions.ids[lesion])
        return None if row is None else row.fdg_avidity

    def _region_rows(
        self, attribution: Attribution | None, *, marking: int, avidity: int
    ) -> dict[int, LesionRow]:
        """Rows of PET-only regions, marked by one reading and dismissed by the other."""
        if attribution is None:
            return {}
        counterparts = [self._counterparts(attribution, reading) for reading in range(2)]
        rows = {}
        for rank in range(attribution.pet_only.count):
            marked, judged = counterparts[marking][rank], counterparts[avidity][rank]
            words = [row.resectability for row in (marked, judged) if row is not None]
            if words:
                rows[rank] = LesionRow(
                    lesion_id=f"P{rank + 1}",
                    resectability=next((word for word in words if word is not None), None),
                    fdg_avidity=None if judged is None else judged.fdg_avidity,
                )
        return rows

    def _counterparts(self, attribution: Attribution, reading: int) -> list[LesionRow | None]:
        """For each PET-only region the row of the one that a reading shows in its place.

        One that belongs to a lesion has that lesion's marking.
        """
        measured = self.readings[reading]
        own, rows = measured.attribution, measured.rows
        if own is None or own.pet_only.count == 0:
            return [None] * attribution.pet_only.count
        partner = region_partners(attribution, own, distance_mm=self._distance_mm)
        codes = marked_regions(measured.region_words, measured.marked).tolist()
        found: list[LesionRow | None] = []
        for rank in range(attribution.pet_only.count):
            row = rows.get(f"P{partner[rank] + 1}") if rank in partner else None
            if row is not None and row.belongs_to:
                row = replace(row, resectability=Marking(codes[partner[rank]]), belongs_to="")
            found.append(row)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """From which reading a hybrid has the words of lesions with a moved row, other markings, and the rest."""

    row_moved: int
    marking: int
    avidity: int

    def marking_of(self, cluster: Cluster) -> int:
        """Return the reading whose marking a cluster takes."""
        return self.row_moved if cluster.row_moved else self.marking

    def avidity_of(self, cluster: Cluster) -> int:
        """Return the reading whose avidity word a cluster takes."""
        return self.row_moved if cluster.row_moved else self.avidity


@dataclass(frozen=True, slots=True)
class _Pick:
    """A lesion of a hybrid: from which reading, which one, and its cluster (None: seen by one alone)."""

    reading: int
    lesion: int
    cluster: Cluster | None


def _marked_runs(measured: Measurements) -> DrawnRuns:
    """Return a reading's runs with the marking that each voxel has from its own lesion."""
    pieces = measured.marked.pieces
    table = measured.words.marking[pieces.lesion]
    pair = np.lexsort((pieces.pair_lesion, pieces.pair_piece))
    key = pieces.pair_piece[pair] * measured.lesions.count + pieces.pair_lesion[pair]
    at = np.searchsorted(key, pieces.piece * measured.lesions.count + pieces.lesion)
    drawn = pieces.pair_drawn[pair][at]
    return pieces.starts, pieces.stops, pieces.lesion, np.where(table == NO_WORD, drawn, table)


def _table(measured: Measurements) -> dict[str, Marking]:
    return {i: row.resectability for i, row in measured.rows.items() if row.resectability is not None}


def _voxels(lesions: Lesions, members: Iterable[int]) -> VoxelRuns:
    of_members = np.isin(lesions.lesion, list(members))
    return VoxelRuns.from_intervals(lesions.starts[of_members], lesions.stops[of_members])


def _joined(matching: LesionMatching) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Join pairs and groups that share a lesion; members by position."""
    links = [(pair.a - 1, pair.b - 1) for pair in matching.pairs]
    for group in matching.groups:
        if group.kind == "split":
            links += [(group.whole - 1, part - 1) for part in group.parts]
        else:
            links += [(part - 1, group.whole - 1) for part in group.parts]
    clusters: list[tuple[set[int], set[int]]] = []
    for a, b in links:
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
