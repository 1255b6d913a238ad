"""Cuts the connected pieces of tumour into small dense boxes, as many as the surface needs.

A piece of usual size has one box round it; pieces of about one size share an array, so that a
thousand specks cost little more than one lesion. A large piece, or one that reaches far, is cut
into tiles, each with the halo that smoothing needs, and only tiles that a surface runs through are
made. So time and memory go with the surface and not with the box round the piece. A piece of
middling size is cut into blocks of whole lines, which waste less on halos than cubes do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.components import connected_components
from volstrat.geometry.runs import divided, expand, order_by, ranked, sorted_unique, split_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volstrat.geometry.array_types import Bools, Int32s, Int64s
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import LabelRuns


_VOXELS_AT_ONCE = 60_000
_LARGEST_BOX = 500_000
"""Voxels; a larger box is cut into tiles."""
_TILE = 24
"""Edge of a cube in voxels, without its halo."""
_MOST_CUTS = 12
"""Of one axis into whole lines; a piece that needs more is cut into cubes."""


@frozen(eq=False, kw_only=False)
class PieceRows:
    """Tumour as runs of one row and one part each, piece by piece."""

    first: Int64s  # (3, n): index of each run's first voxel
    length: Int64s  # (n,)
    group: Int32s  # (n,): one number for each part of each piece
    edge: Int64s  # (pieces + 1,): the runs of a piece lie between two edges, by rising index
    # group_piece, group_part: (groups,): piece, and position of the label among the labels, that a group
    # stands for.
    group_piece: Int64s
    group_part: Int64s

    @classmethod
    def of(cls, grid: VoxelGrid, parts: LabelRuns, piece_of_part: Int64s | None = None) -> PieceRows:
        """Return the rows of parts that do not overlap; pieces are 26-connected, whatever the part.

        ``piece_of_part``: the piece that each of ``parts.values`` lies in, where that is known.
        """
        starts, stops, labels = split_rows(parts.starts, parts.stops, grid.shape[0], parts.labels)
        values, position = ranked(labels)
        if piece_of_part is None:
            pieces = connected_components(parts.union(), grid, connectivity=26)
            piece = pieces.component[np.searchsorted(pieces.starts, starts, side="right") - 1]
        else:
            piece = ranked(piece_of_part)[1][position]
        kind = piece * values.size + position
        order = order_by(piece)
        kinds, group = ranked(kind)
        edge = np.searchsorted(piece[order], np.arange(int(piece.max()) + 2))
        return cls(
            np.ascontiguousarray(grid.unravel(starts[order]).T),
            (stops - starts)[order],
            group[order].astype(np.int32),
            edge,
            *divided(kinds, values.size),
        )

    def bounds(self) -> tuple[Int64s, Int64s]:
        """First and last index of each piece, (3, pieces)."""
        last = self.first.copy()
        last[0] += self.length - 1
        opens = self.edge[:-1]
        return np.minimum.reduceat(self.first, opens, axis=1), np.maximum.reduceat(last, opens, axis=1)


@frozen(eq=False, kw_only=False)
class Boxes:
    """Dense boxes of one size.

    Each is a core, whose faces are asked for, a voxel of margin, and beyond that a halo, which only
    smoothing looks at.
    """

    owner: Int32s  # (n, nk, nj, ni): group of each voxel plus 1, 0 for background and for other pieces
    low: Int64s  # (3, n): index in the grid of the first voxel of each box without its halo
    # voxels of halo at either end, along i, j, k; without any, the margin is empty.
    halo: tuple[int, int, int]

    def without_halo(self) -> Int32s:
        """Cores with their margin."""
        _, nk, nj, ni = self.owner.shape
        hi, hj, hk = self.halo
        return self.owner[:, hk : nk - hk, hj : nj - hj, hi : ni - hi]

    def core_of(self, filled: Bools) -> Bools:
        """Return the same voxels without those in the margin."""
        if not any(self.halo):
            return filled
        core = np.zeros_like(filled)
        core[:, 1:-1, 1:-1, 1:-1] = filled[:, 1:-1, 1:-1, 1:-1]
        return core


def boxes_of(rows: PieceRows, reach: tuple[int, int, int]) -> Iterator[Boxes]:
    """Cut all pieces into boxes; smoothing looks ``reach`` voxels ahead along i, j, k."""
    low, high = rows.bounds()
    size = high - low + 3
    step = 2 ** np.maximum(np.ceil(np.log2(size)).astype(np.int64) - 4, 0)
    shared = -(-size // step) * step  # at most an eighth larger, so that many share a size
    size = np.where(size.prod(axis=0) < _VOXELS_AT_ONCE // 2, shared, size)
    large = size.prod(axis=0) > _LARGEST_BOX
    yield from _whole_pieces(rows, np.flatnonzero(~large), low - 1, size)
    for piece in np.flatnonzero(large).tolist():
        yield from _tiles(rows, piece, reach)


def _whole_pieces(rows: PieceRows, pieces: Int64s, low: Int64s, size: Int64s) -> Iterator[Boxes]:
    """One box a piece; boxes of one size together."""
    order = pieces[np.lexsort(size[:, pieces])]
    sizes = size[:, order]
    opens = np.flatnonzero(np.concatenate(([True], (sizes[:, 1:] != sizes[:, :-1]).any(axis=0))))
    for first, past in zip(opens.tolist(), [*opens[1:].tolist(), order.size], strict=True):
        ni, nj, nk = (int(n) for n in sizes[:, first]) if order.size else (1, 1, 1)
        at_once = max(1, _VOXELS_AT_ONCE // (ni * nj * nk))
        for begin in range(first, past, at_once):
            members = order[begin : min(begin + at_once, past)]
            ours = expand(rows.edge[members], rows.edge[members + 1])
            slot = np.repeat(np.arange(members.size), rows.edge[members + 1] - rows.edge[members])
            i, j, k = rows.first[:, ours] - low[:, members[slot]]
            owner = np.zeros((members.size, nk, nj, ni), dtype=np.int32)
            start = i + ni * (j + nj * (k + nk * slot))
            _fill(owner, start, rows.length[ours], rows.group[ours])
            yield Boxes(owner, low[:, members], (0, 0, 0))


def _fill(owner: Int32s, start: Int64s, length: Int64s, group: Int32s) -> None:
    owner.reshape(-1)[expand(start, start + length)] = np.repeat(group + 1, length)


def _tiles(rows: PieceRows, piece: int, reach: tuple[int, int, int]) -> Iterator[Boxes]:
    """Cut one piece into tiles, and keep those that a surface may run through.

    A column of tiles along i at a time is made dense.
    """
    ours = slice(int(rows.edge[piece]), int(rows.edge[piece + 1]))
    first, length, group = rows.first[:, ours], rows.length[ours], rows.group[ours]
    around = np.array(reach) + 1
    lowest = first.min(axis=1)
    size = np.array([(first[0] + length).max(), *(first[1:].max(axis=1) + 1)]) - lowest
    edge = _tile_edges(size, around, length.size)
    tile_j, tile_k = (first[1:] - lowest[1:, None]) // edge[1:, None]
    tiles_j = int(tile_j.max()) + 1
    for tile in sorted_unique(tile_j + tiles_j * tile_k).tolist():
        k, j = divmod(tile, tiles_j)
        begin = lowest[1:] + np.array([j, k]) * edge[1:]
        from_k = np.searchsorted(first[2], begin[1] - around[2])
        past_k = np.searchsorted(first[2], begin[1] + edge[2] + around[2])
        near = first[1, from_k:past_k] - begin[0]
        chosen = from_k + np.flatnonzero((near >= -around[1]) & (near < edge[1] + around[1]))
        column = first[:, chosen], length[chosen], group[chosen]
        yield from _column_tiles(*column, begin=begin, edge=edge, around=around)


def _tile_edges(size: Int64s, around: Int64s, rows: int) -> Int64s:
    """Choose the tiles of a piece: whole lines along i cut across j and k, or cubes.

    Whole lines waste little on halos; cubes, of which those without a surface are left out, do better
    where the inside is large. Both are reckoned in voxels to be smoothed.
    """
    cube = np.maximum(_TILE, 2 * (around - 1))
    each = int((cube + 2 * around).prod())
    faces = 2 * rows  # across i; a cube that the surface runs through holds some two fifths of a side's
    cubes = min(float((-(-size // cube)).prod()), 2.5 * faces / float(cube[1] * cube[2]))
    best = (cubes * each, cube)
    for parts_j, parts_k in np.ndindex(_MOST_CUTS, _MOST_CUTS):
        edge = np.array([size[0], -(-size[1] // (parts_j + 1)), -(-size[2] // (parts_k + 1))])
        each = int((edge + 2 * around).prod())
        if each <= _LARGEST_BOX:
            best = min(best, (float((parts_j + 1) * (parts_k + 1) * each), edge), key=lambda one: one[0])
    return best[1]


def _column_tiles(
    first: Int64s, length: Int64s, group: Int32s, *, begin: Int64s, edge: Int64s, around: Int64s
) -> Iterator[Boxes]:
    """Yield the tiles of one column along i that a surface may run through, from the rows in and round it.

    ``begin`` (2,): first j and k of the column, without halo; ``edge``, ``around`` (3,): size of a tile, and
    of its margin and halo.
    """
    core = ((first[1:] >= begin[:, None]) & (first[1:] < (begin + edge[1:])[:, None])).all(axis=0)
    begin_i, past_i = int(first[0, core].min()), int((first[0] + length)[core].max())
    count = -(-(past_i - begin_i) // int(edge[0]))
    low = np.array([begin_i, *begin]) - around
    ni, nj, nk = (np.array([count * edge[0], *edge[1:]]) + 2 * around).tolist()
    i, j, k = first - low[:, None]
    start, stop = np.maximum(i, 0), np.minimum(i + length, ni)
    some = start < stop
    base = ni * (j + nj * k)
    owner = np.zeros((nk, nj, ni), dtype=np.int32)
    _fill(owner, (base + start)[some], (stop - start)[some], group[some])
    windows = np.lib.stride_tricks.sliding_window_view(owner, int(edge[0] + 2 * around[0]), axis=2)
    windows = windows[:, :, :: int(edge[0])].transpose(2, 0, 1, 3)
    ai, aj, ak = around.tolist()
    cores = windows[:, ak:-ak, aj:-aj, ai:-ai]
    with_margin = windows[:, ak - 1 : 1 - ak or None, aj - 1 : 1 - aj or None, ai - 1 : 1 - ai or None]
    kept = np.flatnonzero(cores.any(axis=(1, 2, 3)) & ~with_margin.all(axis=(1, 2, 3)))
    at_once = max(1, _VOXELS_AT_ONCE // windows[0].size)
    for n in range(0, kept.size, at_once):
        chosen = kept[n : n + at_once]
        place = np.repeat((low + around - 1)[:, None], chosen.size, axis=1)
        place[0] += chosen * edge[0]
        yield Boxes(windows[chosen], place, (ai - 1, aj - 1, ak - 1))
