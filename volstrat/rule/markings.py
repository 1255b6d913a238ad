"""What each lesion and each of its voxels is marked.

Tumour is cut once into *pieces*, sets of voxels that lie in the same lesions and are drawn alike in each; a
table's words then change counts only, so that a case is marked again at next to no cost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns, cut_at, first_of_each, ranked, sorted_unique
from volstrat.terms.marks import NOT_TUMOUR, PARTIAL, Marking
from volstrat.terms.protocol import reaches_percent

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.rule.lesions import Lesions
    from volstrat.terms.marks import Resectability
    from volstrat.terms.protocol import Protocol


DrawnRuns = tuple["Int64s", "Int64s", "Int64s", "Int64s"]
"""Runs of lesions, each of one marking: starts, stops, lesion, `Marking`."""

NO_WORD = -1
"""In place of a `Marking`: a lesion without one marking, or one that the table does not mark."""


@frozen(eq=False)
class TumourPieces:
    """Tumour cut so that all voxels of a piece lie in the same lesions and are drawn alike in each."""

    # starts, stops, lesion, piece, (n,): the lesions' runs, each in one piece; a voxel of several lesions
    # appears once for each
    starts: Int64s
    stops: Int64s
    lesion: Int64s
    piece: Int64s
    voxels: Int64s  # (pieces,): size of each piece
    # pair_piece, pair_lesion, pair_drawn, (pairs,): which lesions hold a piece, and the `Marking` drawn there
    pair_piece: Int64s
    pair_lesion: Int64s
    pair_drawn: Int64s
    drawn_voxels: Int64s  # (lesions, 4): voxels of each lesion by the marking drawn
    drawn: Int64s  # (lesions,): the `Marking` drawn on nearly all voxels of the lesion, or `NO_WORD`

    @property
    def overlapping(self) -> bool:
        """True where a voxel lies in several lesions."""
        return bool((self.pair_piece[1:] == self.pair_piece[:-1]).any())

    @property
    def first_lesion(self) -> Int64s:
        """The first of the lesions that hold each piece; of one that none holds, one past the last lesion."""
        first = np.full(self.voxels.size, self.drawn.size)
        np.minimum.at(first, self.pair_piece, self.pair_lesion)
        return first

    def pair_own(self, table: Int64s) -> Int64s:
        """Return the `Marking` of each pair: the table's for the whole lesion, else the one drawn."""
        word = table[self.pair_lesion]
        return np.where(word == NO_WORD, self.pair_drawn, word)


@frozen(eq=False)
class MarkedLesions:
    """What each lesion and each of its voxels is marked."""

    pieces: TumourPieces  # those of lesions that are tumour
    table: Int64s  # (lesions,): the `Marking` that the table gives to a whole lesion, or `NO_WORD`
    not_tumour: Bools  # (lesions,): lesions that the table takes out of the total
    # (lesions,): the `Marking` on nearly all of a lesion's voxels, or `NO_WORD` (partial, or no tumour)
    codes: Int64s
    piece_worst: Int64s  # (pieces,): `Marking` of a piece's voxels: the worst of all lesions that hold them
    # own_voxels, worst_voxels, (lesions, 4): voxels of each lesion by its own marking, and by the worst one
    # where lesions overlap
    own_voxels: Int64s
    worst_voxels: Int64s
    total_voxels: Int64s  # (4,): tumour voxels by worst marking, each voxel once

    @property
    def worst(self) -> Int64s:
        """`Marking` of each run's voxels, the worst of all lesions that hold them."""
        worst: Int64s = self.piece_worst[self.pieces.piece]
        return worst

    @property
    def marking(self) -> tuple[Marking | None, ...]:
        """Of each lesion: the `Marking` on nearly all its voxels, or None (partial, or no tumour)."""
        return tuple(None if m == NO_WORD else Marking(m) for m in self.codes.tolist())

    def voxels(self) -> VoxelRuns:
        """Return the voxels of all lesions that are tumour, each once."""
        return VoxelRuns.from_intervals(self.pieces.starts, self.pieces.stops)

    def voxels_marked(self, *markings: Marking) -> VoxelRuns:
        """Return the voxels of which the worst marking is one of these."""
        marked = np.isin(self.worst, markings)
        return VoxelRuns.from_intervals(self.pieces.starts[marked], self.pieces.stops[marked])

    def word(self, lesion: int) -> Resectability:
        """Return the marking's word, "partial" or "not_tumour"."""
        if self.not_tumour[lesion]:
            return NOT_TUMOUR
        code = int(self.codes[lesion])
        return PARTIAL if code == NO_WORD else Marking(code).word


def draw_markings(lesions: Lesions, resectable: VoxelRuns | None) -> DrawnRuns:
    """Cut the lesions' runs so that each has one marking, without regard to any table.

    Inside ``resectable`` (on the lesions' grid) a voxel is resectable, outside unresectable; else unknown.
    """
    starts, stops, lesion = lesions.starts, lesions.stops, lesions.lesion
    if resectable is None:
        return starts, stops, lesion, np.full(starts.size, Marking.UNKNOWN, dtype=np.int64)
    edges = np.concatenate((resectable.starts, resectable.stops))
    starts, stops, origin = cut_at(starts, stops, edges)
    drawn = np.where(resectable.contains(starts), Marking.RESECTABLE, Marking.UNRESECTABLE)
    return starts, stops, lesion[origin], drawn.astype(np.int64)


def cut_pieces(lesions: Lesions, drawn: DrawnRuns, protocol: Protocol) -> TumourPieces:
    """Cut tumour into pieces.

    ``drawn`` is all runs of all lesions; the protocol's ``whole_lesion_percent`` says when a lesion has one
    marking.
    """
    starts, stops, lesion, marking = drawn
    key = 4 * lesion + marking
    if lesions.overlapping:
        starts, stops, origin = cut_at(starts, stops, np.concatenate((starts, stops)))
        order = np.lexsort((key[origin], starts))
        starts, stops, key = starts[order], stops[order], key[origin[order]]
        cells, cell = ranked(starts)
        piece = group_alike(cell, key, cells.size)[cell]
    else:
        piece = ranked(key)[1]
    count = int(piece.max(initial=-1)) + 1
    pairs = sorted_unique(piece * (4 * lesions.count + 1) + key)
    pair_piece, pair_key = np.divmod(pairs, 4 * lesions.count + 1)
    first = first_of_each(starts)  # a voxel of several lesions counts once
    voxels = np.bincount(piece[first], stops[first] - starts[first], minlength=count).astype(np.int64)
    by_marking = np.bincount(key, stops - starts, minlength=4 * lesions.count)
    drawn_voxels = by_marking.astype(np.int64).reshape(-1, 4)
    return TumourPieces(
        starts=starts,
        stops=stops,
        lesion=key // 4,
        piece=piece,
        voxels=voxels,
        pair_piece=pair_piece,
        pair_lesion=pair_key // 4,
        pair_drawn=pair_key % 4,
        drawn_voxels=drawn_voxels,
        drawn=np.array([_marking_of(row, protocol) for row in drawn_voxels.tolist()], dtype=np.int64),
    )


def mark_pieces(pieces: TumourPieces, table: Int64s, not_tumour: Bools) -> MarkedLesions:
    """Mark lesions: the table's word stands for the whole lesion, else what is drawn.

    ``pieces`` are of all lesions; ``table``, (lesions,), is a `Marking`, or `NO_WORD` where it says nothing.
    Of lesions that are no tumour nothing is counted.
    """
    if not_tumour.any():
        pieces = pieces_without(pieces, not_tumour)
    by_table = table != NO_WORD
    own_voxels = pieces.drawn_voxels.copy()
    own_voxels[by_table] = 0
    own_voxels[by_table, table[by_table]] = pieces.drawn_voxels[by_table].sum(axis=1)
    own = pieces.pair_own(table)
    if pieces.overlapping or pieces.pair_piece.size < pieces.voxels.size:  # several lesions, or none left
        worst = np.full(pieces.voxels.size, len(Marking), dtype=np.int64)
        np.minimum.at(worst, pieces.pair_piece, own)
        cell = 4 * pieces.pair_lesion + worst[pieces.pair_piece]
        tally = np.bincount(cell, pieces.voxels[pieces.pair_piece], minlength=own_voxels.size)
        worst_voxels = tally.astype(np.int64).reshape(-1, 4)
    else:
        worst, worst_voxels = own, own_voxels
    return MarkedLesions(
        pieces=pieces,
        table=table,
        codes=np.where(not_tumour, NO_WORD, np.where(by_table, table, pieces.drawn)),
        not_tumour=not_tumour,
        piece_worst=worst,
        own_voxels=own_voxels,
        worst_voxels=worst_voxels,
        total_voxels=np.bincount(worst, pieces.voxels, minlength=len(Marking))[: len(Marking)].astype(
            np.int64
        ),
    )


def pieces_without(pieces: TumourPieces, left_out: Bools) -> TumourPieces:
    """Return the pieces as they are without some lesions; they keep their numbers."""
    runs, pairs = ~left_out[pieces.lesion], ~left_out[pieces.pair_lesion]
    held = np.zeros(pieces.voxels.size, dtype=bool)
    held[pieces.pair_piece[pairs]] = True
    return replace(
        pieces,
        starts=pieces.starts[runs],
        stops=pieces.stops[runs],
        lesion=pieces.lesion[runs],
        piece=pieces.piece[runs],
        voxels=np.where(held, pieces.voxels, 0),
        pair_piece=pieces.pair_piece[pairs],
        pair_lesion=pieces.pair_lesion[pairs],
        pair_drawn=pieces.pair_drawn[pairs],
        drawn_voxels=np.where(left_out[:, None], 0, pieces.drawn_voxels),
    )


def _marking_of(voxels: list[int], protocol: Protocol) -> int:
    whole = sum(voxels)
    for marking in Marking:
        if reaches_percent(voxels[marking], whole, protocol.whole_lesion_percent):
            return int(marking)
    return NO_WORD


def group_alike(item: Int64s, key: Int64s, count: int, *, start: Int64s | None = None) -> Int64s:
    """Give items one number exactly where they have the same set of keys.

    Parameters
    ----------
    item, key : array of int64, (n,)
        Which of the ``count`` items has which key; each pair once. Items may have none.
    start : array of int64, (count,), optional
        What items must have in common besides.

    Returns
    -------
    array of int64, (count,)
        From 0 without gaps.

    Examples
    --------
    >>> import numpy as np
    >>> group_alike(np.array([0, 0, 1, 2, 2]), np.array([5, 7, 5, 7, 5]), 4).tolist()
    [2, 1, 2, 0]
    """
    group = np.zeros(count, dtype=np.int64) if start is None else ranked(start)[1]
    order = np.lexsort((key, item))
    item, key = item[order], ranked(key[order])[1]
    span = int(key.max(initial=0)) + 1
    nth = np.arange(item.size) - np.searchsorted(item, item)
    fresh = int(group.max(initial=-1)) + 1
    for n in range(int(nth.max(initial=-1)) + 1):  # items that share their first n keys share a number
        here = nth == n
        numbers = ranked(group[item[here]] * span + key[here])[1]
        group[item[here]] = fresh + numbers
        fresh += int(numbers.max()) + 1
    return ranked(group)[1]
