"""Voxel sets as bits in a box of a grid: for growing a set by millimetres, exactly and fast.

A row along ``i`` is a line of 64-bit words, lowest bit first. Growing by a distance is then a few hundred
shifted unions of words, for a whole liver as for a lesion, where lists of voxels or distance transforms
take seconds. Whether a voxel is reached is worked out once for each offset, not for each voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.bits import BitScanner
from volstrat.geometry.grid import TIE_MM, triple
from volstrat.geometry.runs import VoxelRuns, expand, split_index, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Triple
    from volstrat.geometry.grid import VoxelGrid

    Words = NDArray[np.uint64]
    Pair = tuple[int, int]

_WORD = 64
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BitBox:
    """The voxels of a set that lie in a box of a grid."""

    grid: VoxelGrid
    # low, shape: first voxel of the box, and its voxels along i, j, k.
    low: Triple
    shape: Triple
    # (shape[2], shape[1], words a row): bit ``n`` of a row is voxel ``low[0] + n``; bits beyond the box are
    # 0.
    words: Words

    @classmethod
    def of(cls, voxels: VoxelRuns, grid: VoxelGrid, low: Triple, high: Triple) -> BitBox:
        """Return a set's voxels in the box ``[low, high)``, which lies within the grid."""
        ni, nj, nk = (h - n for n, h in zip(low, high, strict=True))
        line = -(-ni // _WORD)
        words = np.zeros(line * nj * nk, dtype=np.uint64)
        first_row, last_row = low[1] + grid.shape[1] * low[2], high[1] + grid.shape[1] * (high[2] - 1)
        near = slice(
            int(np.searchsorted(voxels.stops, first_row * grid.shape[0], side="right")),
            int(np.searchsorted(voxels.starts, last_row * grid.shape[0], side="left")),
        )
        starts, stops, _ = split_rows(voxels.starts[near], voxels.stops[near], grid.shape[0])
        first, j, k = split_index(starts, *grid.shape[:2])
        last = first + stops - starts
        first, last = np.maximum(first, low[0]) - low[0], np.minimum(last, high[0]) - low[0]
        j, k = j - low[1], k - low[2]
        keep = (first < last) & (j >= 0) & (j < nj) & (k >= 0) & (k < nk)
        base = (line * (j + nj * k))[keep]
        first, last = first[keep], last[keep] - 1
        begin, end = first // _WORD, last // _WORD
        word = expand(base + begin, base + end + 1)
        mask = np.full(word.size, _ALL)
        opens = np.cumsum(end - begin + 1) - (end - begin + 1)
        mask[opens] &= _ALL << (first % _WORD).astype(np.uint64)
        mask[opens + end - begin] &= _ALL >> (_WORD - 1 - last % _WORD).astype(np.uint64)
        np.bitwise_or.at(words, word, mask)
        return cls(grid=grid, low=low, shape=(ni, nj, nk), words=words.reshape(nk, nj, line))

    @property
    def count(self) -> int:
        """How many voxels the set has in the box."""
        return int(np.bitwise_count(self.words).sum(dtype=np.int64))

    def runs(self) -> VoxelRuns:
        """Return the voxels as runs of the grid."""
        nj, line = self.words.shape[1:]
        scanner = BitScanner()
        scanner.feed(self.words.tobytes())
        starts, stops, _ = split_rows(*scanner.finish(), line * _WORD)
        first, j, k = split_index(starts, line * _WORD, nj)
        base = self.low[0] + self.grid.shape[0] * (j + self.low[1] + self.grid.shape[1] * (k + self.low[2]))
        return VoxelRuns.from_intervals(base + first, base + first + stops - starts)

    def grown(self, distance_mm: float) -> BitBox:
        """Return the box's voxels whose centre lies within a distance of a centre of the set.

        Distances run between voxel centres; 0.001 mm more than the limit still counts. Voxels beyond the
        box are not looked at.
        """
        nk, nj, line = self.words.shape
        offsets = _offsets(self.grid, distance_mm)
        reach = max(high - low for low, high in offsets)
        room = -(
            -max(reach - (line * _WORD - self.shape[0]), 0) // _WORD
        )  # so that no bit is lost on the way
        words = np.pad(self.words, ((0, 0), (0, 0), (0, room))) if room else self.words
        found = np.zeros_like(words)
        for (low, high), rows in offsets.items():
            spread = _spread(words, low, high)
            for dj, dk in rows:
                if abs(dj) < nj and abs(dk) < nk:
                    found[_to(dk, nk), _to(dj, nj)] |= spread[_from(dk, nk), _from(dj, nj)]
        found = np.ascontiguousarray(found[..., :line])
        rest = self.shape[0] % _WORD
        if rest:
            found[..., -1] &= _ALL >> np.uint64(_WORD - rest)
        return BitBox(grid=self.grid, low=self.low, shape=self.shape, words=found)


def voxels_within(voxels: VoxelRuns, grid: VoxelGrid, distance_mm: float) -> VoxelRuns:
    """Return the grid's voxels whose centre lies within a distance of a voxel centre of the set.

    Distances run between voxel centres; 0.001 mm more than the limit still counts. At 0 the set itself comes
    back.
    """
    if not voxels:
        return voxels
    low, high = box_of(voxels, grid, margin_mm=distance_mm)
    return BitBox.of(voxels, grid, low, high).grown(distance_mm).runs()


def box_of(voxels: VoxelRuns, grid: VoxelGrid, *, margin_mm: float = 0.0) -> tuple[Triple, Triple]:
    """Return the smallest box of a grid's voxels, ``[low, high)``, that holds a set and a margin round it."""
    starts, stops, _ = split_rows(voxels.starts, voxels.stops, grid.shape[0])
    first, last = grid.unravel(starts), grid.unravel(stops - 1)
    reach = [(margin_mm + TIE_MM) * float(np.linalg.norm(row)) for row in grid.inverse[:3, :3]]
    low = triple(max(int(n) - int(r), 0) for n, r in zip(first.min(axis=0), reach, strict=True))
    ends = zip(last.max(axis=0), reach, grid.shape, strict=True)
    return low, triple(min(int(n) + int(r) + 1, size) for n, r, size in ends)


def _offsets(grid: VoxelGrid, distance_mm: float) -> dict[Pair, list[Pair]]:
    """Offsets of rows within reach, by the stretch along ``i`` that is within reach there."""
    limit = distance_mm + TIE_MM
    reach = [int(limit * float(np.linalg.norm(row))) for row in grid.inverse[:3, :3]]
    i, j, k = (np.arange(-r, r + 1) for r in reach)
    at = np.stack(np.meshgrid(i, j, k, indexing="ij"), axis=-1) @ grid.affine[:3, :3].T
    inside = np.sqrt((at**2).sum(axis=-1)) <= limit
    found: dict[Pair, list[Pair]] = {}
    first = inside.argmax(axis=0)
    last = inside.shape[0] - 1 - inside[::-1].argmax(axis=0)
    for dj, dk in np.argwhere(inside.any(axis=0)).tolist():
        stretch = (int(i[first[dj, dk]]), int(i[last[dj, dk]]))
        found.setdefault(stretch, []).append((int(j[dj]), int(k[dk])))
    return found


def _spread(words: Words, low: int, high: int) -> Words:
    """Union of the rows moved along ``i`` by every number of voxels from ``low`` to ``high``."""
    result, width = words, 1
    while width < high - low + 1:  # doubling: a stretch of n from two of at least n / 2
        step = min(width, high - low + 1 - width)
        result = result | _moved(result, step)
        width += step
    return _moved(result, low)


def _moved(words: Words, by: int) -> Words:
    """Rows moved along ``i``; what leaves the row is lost."""
    if by == 0:
        return words
    line = words.shape[-1]
    whole, bits = divmod(abs(by), _WORD)
    moved = np.zeros_like(words)
    if whole >= line:
        return moved
    shift, back = np.uint64(bits), np.uint64(_WORD - bits)
    if by > 0:
        moved[..., whole:] = words[..., : line - whole] << shift
        if bits:
            moved[..., whole + 1 :] |= words[..., : line - whole - 1] >> back
    else:
        moved[..., : line - whole] = words[..., whole:] >> shift
        if bits:
            moved[..., : line - whole - 1] |= words[..., whole + 1 :] << back
    return moved


def _to(offset: int, size: int) -> slice:
    return slice(max(offset, 0), size + min(offset, 0))


def _from(offset: int, size: int) -> slice:
    return slice(max(-offset, 0), size - max(offset, 0))
