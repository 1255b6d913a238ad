"""From a stream of bits to runs of set bits, in time proportional to the bytes that hold any.

DICOM packs one-bit pixels least significant bit first, without padding between rows or frames
(PS3.5 8.1.1, D.1): the whole pixel data is one line of bits. Read as little-endian 64-bit words,
bit ``n`` of the stream is bit ``n % 64`` of word ``n // 64``, whatever the rows and columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Int64s

    Words = NDArray[np.uint64]

_WORD_BYTES = 8
_WORD_BITS = 64
_FLUSH_WORDS = 1 << 20
_ZEROS = bytes(1 << 20)
_ONE = np.uint64(1)
_TOP = np.uint64(63)


class BitScanner:
    """Collects runs of set bits from consecutive pieces of a bit stream."""

    def __init__(self) -> None:
        self._carry = b""
        self._taken = 0  # words so far
        self._words: list[Words] = []
        self._at: list[Int64s] = []
        self._kept = 0
        self._parts: list[tuple[Int64s, Int64s]] = []

    def feed(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; their number need not be a multiple of anything."""
        if self._carry:
            piece = self._carry + bytes(piece)
        whole = len(piece) - len(piece) % _WORD_BYTES
        view = memoryview(piece)
        self._carry = bytes(view[whole:])
        self._take(view[:whole])

    def finish(self) -> tuple[Int64s, Int64s]:
        """Return the first bit of each run and the bit behind its last, rising."""
        if self._carry:
            self._take(memoryview(self._carry + bytes(-len(self._carry) % _WORD_BYTES)))
            self._carry = b""
        self._flush()
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        starts, stops = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        apart = stops[:-1] != starts[1:]  # a run that two flushes cut in two is one again
        return starts[np.append(True, apart)], stops[np.append(apart, True)]

    def _take(self, view: memoryview) -> None:
        size = len(view)
        first_word = self._taken
        self._taken += size // _WORD_BYTES
        if size <= len(_ZEROS) and view == memoryview(_ZEROS)[:size]:
            return
        words = np.frombuffer(view, dtype="<u8")
        at = np.flatnonzero(words != 0)
        self._words.append(words[at])
        self._at.append(at + first_word)
        self._kept += at.size
        if self._kept >= _FLUSH_WORDS:
            self._flush()

    def _flush(self) -> None:
        if self._kept == 0:
            return
        words, at = np.concatenate(self._words), np.concatenate(self._at)
        self._words, self._at, self._kept = [], [], 0
        adjacent = at[1:] == at[:-1] + 1
        before = words << _ONE  # each bit's lower neighbour; the word before lends its top bit
        before[1:] |= np.where(adjacent, words[:-1] >> _TOP, 0)
        after = words >> _ONE
        after[:-1] |= np.where(adjacent, words[1:] << _TOP, 0)
        self._parts.append((_set_bits(words & ~before, at), _set_bits(words & ~after, at) + 1))


def _set_bits(words: Words, at: Int64s) -> Int64s:
    """Positions of the set bits of words that lie at the given places in the stream, rising."""
    some = np.flatnonzero(words != 0)
    words, at = words[some], at[some]
    counts = np.bitwise_count(words).astype(np.int64)
    slot = np.cumsum(counts) - counts
    positions = np.empty(int(counts.sum()), np.int64)
    while words.size:
        rest = words & (words - _ONE)
        lowest = words ^ rest
        bit = np.frexp(lowest.astype(np.float64))[1] - 1  # exact: a power of two
        positions[slot] = at * _WORD_BITS + bit
        more = np.flatnonzero(rest != 0)
        words, at, slot = rest[more], at[more], slot[more] + 1
    return positions
