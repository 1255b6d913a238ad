"""Which unions of segments would do: arithmetic on a map, not advice.

Every union is judged. What a union does to lesions follows from counts by *cell*: tumour voxels that lie in
the same segments and lesions. Only unions that cut through no lesion and take enough are worked out voxel by
voxel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.bit_box import BitBox, box_of
from volstrat.geometry.runs import VoxelRuns, cut_at
from volstrat.plans.anatomy import united
from volstrat.rule.measure import Measurements, redraw_case, with_words
from volstrat.rule.stratify import assess
from volstrat.terms.marks import LesionRow, Marking
from volstrat.terms.protocol import reaches_percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.plans.anatomy import Anatomy
    from volstrat.plans.carry_out import PlanBook
    from volstrat.rule.stratify import Assessment
    from volstrat.terms.outcomes import Stratum
    from volstrat.terms.protocol import Protocol

    Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A union of segments, with the lesions that are ablated beside it, and what it comes to."""

    segments: tuple[str, ...]
    ablate: tuple[str, ...]
    resectable_fraction: float
    flr_percent: float
    stratum: Stratum | None


def search_plans(book: PlanBook, *, ablations: int = 0, flr_percent: float = 0.0) -> tuple[Candidate, ...]:
    """Return every union of segments that reaches stratum 1's threshold and takes all avid disease.

    By falling remnant, which is at least ``flr_percent`` of the liver without tumour. None of them cuts
    through tumour. Beside each union ``ablations`` of the largest lesions that remain in the liver (fewer
    where fewer remain) are ablated with the protocol's margin. Lesions outside the liver keep their own
    marking; what nobody marked counts as staying.
    """
    judge = _Judge(book, ablations=ablations)
    found = [c for union in _unions(len(book.anatomy.map)) if (c := judge.candidate(union, flr_percent))]
    return tuple(sorted(found, key=lambda c: (-c.flr_percent, len(c.segments), c.segments)))


def _unions(count: int) -> Iterator[int]:
    """Every set of segments as a bit mask, by size and then in the map's order."""
    for size in range(count + 1):
        for chosen in combinations(range(count), size):
            yield sum(1 << n for n in chosen)


class _Judge:
    """Judges unions of segments, the cheapest question first."""

    def __init__(self, book: PlanBook, *, ablations: int) -> None:
        self._book, self._ablations = book, ablations
        self._anatomy, self._protocol = book.anatomy, book.protocol
        self._margin_mm = book.protocol.plans.ablation_margin_mm
        self._tumour, self._liver = _TumourCells(book.anatomy), _LiverCells(book.anatomy)
        self._base = _as_staying(book)
        self._reached: dict[int, Int64s] = {}

    def candidate(self, union: int, flr_percent: float) -> Candidate | None:
        """Return what a union comes to, or None where it does not do."""
        taken = self._tumour.taken(union)
        if taken is None or not self._liver.whole:
            return None
        ablated = self._tumour.largest_left(taken, self._ablations)
        if 100 * self._liver.spared(union) / self._liver.whole < flr_percent:
            return None
        alone = not any(self._touches(n, taken, ablated) for n in ablated)
        measured = self._by_words(taken, ablated) if alone else self._by_voxels(union, ablated)
        first = measured.marked.total_voxels
        if alone and not reaches_percent(
            int(first[list(self._protocol.counted)].sum()),
            int(first.sum()),
            self._protocol.thresholds.stratum_1_percent,
        ):
            return None
        assessment = assess(measured, self._protocol)
        if not assessment.stratum_1.holds or not _takes_all_avid(assessment, self._protocol):
            return None
        zones = [self._book.zones.of(n, self._margin_mm) for n in ablated]
        share = 100 * self._liver.spared(union, zones) / self._liver.whole
        if share < flr_percent:
            return None
        mm3 = assessment.tally_1.volume_mm3
        return Candidate(
            segments=tuple(s for n, s in enumerate(self._anatomy.map) if union >> n & 1),
            ablate=tuple(self._anatomy.lesions.ids[n] for n in ablated),
            resectable_fraction=float(sum(mm3[m] for m in self._protocol.counted) / sum(mm3)),
            flr_percent=share,
            stratum=assessment.stratum,
        )

    def _touches(self, lesion: int, taken: Bools, ablated: Sequence[int]) -> bool:
        """Tell whether an ablation zone reaches another lesion that remains in the liver."""
        if lesion not in self._reached:
            zone = self._book.zones.of(lesion, self._margin_mm)
            self._reached[lesion] = self._anatomy.lesions.count_in(zone)
        others = ~taken & np.array(self._anatomy.in_liver, dtype=bool)
        others[list(ablated)] = False
        return bool((self._reached[lesion][others] > 0).any())

    def _by_words(self, taken: Bools, ablated: Sequence[int]) -> Measurements:
        """Mark lesions as a whole: no zone reaches into another one, and no cut runs through any."""
        marking = self._base.words.marking.copy()
        marking[taken] = Marking.RESECTABLE
        marking[list(ablated)] = Marking.ABLATABLE
        return with_words(self._base, replace(self._base.words, marking=marking))

    def _by_voxels(self, union: int, ablated: Sequence[int]) -> Measurements:
        cut = united(voxels for n, voxels in enumerate(self._anatomy.map.values()) if union >> n & 1)
        zones = united(self._book.zones.of(n, self._margin_mm) for n in ablated)
        return redraw_case(self._base, self._book.draw(cut, zones), self._base.rows, self._protocol)


def _takes_all_avid(assessment: Assessment, protocol: Protocol) -> bool:
    """Tell whether nothing that is known to be avid stays."""
    avid = assessment.tally_2
    staying = sum(n for m, n in zip(Marking, avid.voxels, strict=True) if m not in protocol.counted)
    return not staying and all(m in protocol.counted for m in avid.avid_without_voxels)


def _as_staying(book: PlanBook) -> Measurements:
    """Return the case with all tumour in the liver staying, and what nobody marked outside it as well."""
    nothing = VoxelRuns.empty()
    rows = book.rows_under(None)
    bare = redraw_case(book.measured, book.draw(nothing, nothing), rows, book.protocol)
    open_ones = [
        i for i, m in zip(bare.lesions.ids, bare.marked.marking, strict=True) if m is Marking.UNKNOWN
    ]
    regions = zip(book.regions, bare.region_words.marking.tolist(), strict=True)
    for lesion_id in (*open_ones, *(p for p, m in regions if m == Marking.UNKNOWN)):
        row = rows.get(lesion_id, LesionRow(lesion_id=lesion_id))
        rows[lesion_id] = replace(row, resectability=Marking.UNRESECTABLE)
    return redraw_case(book.measured, book.draw(nothing, nothing), rows, book.protocol)


class _TumourCells:
    """Voxels of each lesion by the segments that they lie in, as a bit mask."""

    def __init__(self, anatomy: Anatomy) -> None:
        lesions = anatomy.lesions
        segments = list(anatomy.map.values())
        edges = [e for s in segments for e in (s.starts, s.stops)]
        cuts = np.concatenate(edges or [lesions.starts])
        starts, _, origin = cut_at(lesions.starts, lesions.stops, cuts)
        held = np.zeros(starts.size, dtype=np.int64)
        for n, segment in enumerate(segments):
            held |= segment.contains(starts).astype(np.int64) << n
        pairs = np.unique(np.stack((lesions.lesion[origin], held), axis=1), axis=0)
        self._lesion, self._held = pairs.T
        self._cells = np.bincount(self._lesion, minlength=lesions.count)
        size = lesions.sizes.tolist()
        self._by_size = sorted(
            (n for n in range(lesions.count) if anatomy.in_liver[n]), key=lambda n: (-size[n], n)
        )

    def taken(self, union: int) -> Bools | None:
        """Say which lesions a union takes whole, or None where it cuts through one."""
        hit = (self._held & union) != 0
        cells = np.bincount(self._lesion, hit, minlength=self._cells.size)
        whole: Bools = cells > 0
        return None if (cells[whole] < self._cells[whole]).any() else whole

    def largest_left(self, taken: Bools, count: int) -> tuple[int, ...]:
        """Return the largest lesions that remain in the liver."""
        return tuple([n for n in self._by_size if not taken[n]][:count])


class _LiverCells:
    """Liver without tumour, by the segments that it lies in."""

    def __init__(self, anatomy: Anatomy) -> None:
        grid = anatomy.lesions.grid
        self._grid, (self._low, self._high) = grid, box_of(anatomy.liver, grid)
        functional = self._box(anatomy.liver).words & ~self._box(anatomy.lesions.voxels()).words
        cells = [(0, functional)]
        for n, segment in enumerate(anatomy.map.values()):
            inside = self._box(segment).words
            parts = [(mask | 1 << n, words & inside) for mask, words in cells]
            cells = [(mask, words & ~inside) for mask, words in cells]
            cells += [(mask, words) for mask, words in parts if words.any()]
        self._cells = cells
        self._sizes = [_count(words) for _, words in cells]
        self._zones: dict[tuple[int, ...], list[int]] = {}
        self.whole = sum(self._sizes)

    def spared(self, union: int, zones: Sequence[VoxelRuns] = ()) -> int:
        """Count what neither a union of segments nor an ablation takes."""
        ablated = self._ablated(zones) if zones else [0] * len(self._cells)
        cells = zip(self._cells, self._sizes, ablated, strict=True)
        return sum(size - gone for (mask, _), size, gone in cells if not mask & union)

    def _ablated(self, zones: Sequence[VoxelRuns]) -> list[int]:
        key = tuple(id(zone) for zone in zones)  # each zone is worked out once, and kept
        if key not in self._zones:
            words = self._box(united(zones)).words
            self._zones[key] = [_count(cell & words) for _, cell in self._cells]
        return self._zones[key]

    def _box(self, voxels: VoxelRuns) -> BitBox:
        return BitBox.of(voxels, self._grid, self._low, self._high)


def _count(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))
