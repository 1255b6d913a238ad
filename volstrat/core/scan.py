"""From a stream of voxel bytes to label runs, without ever holding the volume.

Work is proportional to the tumour, not to the volume: all-zero pieces are passed over with one
memory comparison, and of the others only the eight-byte words that hold a non-zero byte are kept
until there are enough of them to be turned into runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.core.runs import LabelRuns, _label_segments, _merged
from volstrat.errors import MaskValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]

_WORD = 8
_FLUSH_BYTES = 1 << 20
_INTEGRAL_WITHIN = 1e-6
_LARGEST_LABEL = 2**31 - 1
_ZEROS = bytes(1 << 20)


class RunScanner:
    """Collects label runs from consecutive pieces of a mask's voxel bytes.

    Parameters
    ----------
    dtype : dtype
        Of the stored values, byte order included.
    slope, intercept : float
        Stored values are scaled by these before they are read as labels.
    threshold : float or None
        If given, voxels with a value >= threshold get label 1, all others none.
    where : str
        Named in errors: the file.

    Raises
    ------
    MaskValueError
        From `feed` and `finish`: a value is NaN, infinite, negative, not integral (beyond 1e-6
        after scaling) or no 31-bit label, and no threshold was given.
    """

    def __init__(
        self,
        dtype: np.dtype[np.generic],
        *,
        slope: float = 1.0,
        intercept: float = 0.0,
        threshold: float | None = None,
        where: str = "mask",
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._slope, self._intercept, self._threshold = slope, intercept, threshold
        self._where = where
        zero_counts = threshold is not None and intercept >= threshold
        self._every_word_counts = intercept != 0 or zero_counts
        self._carry = b""
        self._fed = 0  # bytes turned into words so far
        self._words: list[NDArray[np.uint64]] = []
        self._at: list[Int64s] = []
        self._kept = 0
        self._parts: list[tuple[Int64s, Int64s, Int64s]] = []

    @property
    def bytes_fed(self) -> int:
        """How many bytes have been fed, those not yet turned into words included."""
        return self._fed + len(self._carry)

    def feed(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; their number need not be a multiple of anything."""
        if self._carry:
            piece = self._carry + bytes(piece)
        whole = len(piece) - len(piece) % _WORD
        view = memoryview(piece)
        self._carry = bytes(view[whole:])
        self._take(view[:whole])

    def finish(self) -> LabelRuns:
        """Return the runs of all that was fed."""
        if self._carry:
            self._take(memoryview(self._carry + bytes(-len(self._carry) % _WORD)))
            self._carry = b""
        self._flush()
        if not self._parts:
            return LabelRuns.empty()
        starts, stops, labels = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        touching = stops[:-1] == starts[1:]
        if (touching & (labels[:-1] == labels[1:])).any():  # a run that two flushes cut in two
            return _merged(starts, stops, labels)
        return LabelRuns(starts, stops, labels)

    def _take(self, view: memoryview) -> None:
        size = len(view)
        first_word = self._fed // _WORD
        self._fed += size
        if not self._every_word_counts and size <= len(_ZEROS) and view == memoryview(_ZEROS)[:size]:
            return
        words = np.frombuffer(view, dtype=np.uint64)
        if self._every_word_counts:
            at = np.arange(words.size, dtype=np.int64)
        else:
            at = np.flatnonzero(words != 0)
            words = words[at]
        if not at.size:
            return
        self._words.append(words.copy() if self._every_word_counts else words)
        self._at.append(at + first_word)
        self._kept += words.size * _WORD
        if self._kept >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._words:
            return
        words, at = np.concatenate(self._words), np.concatenate(self._at)
        self._words, self._at, self._kept = [], [], 0
        stored = words.view(self._dtype)
        per_word = _WORD // self._dtype.itemsize
        if self._dtype.kind in "ui" and self._dtype.itemsize == 1 and self._plain:
            self._parts.append(self._byte_segments(stored, at))
            return
        labels = self._labels(stored)
        positions = (at[:, None] * per_word + np.arange(per_word)).reshape(-1)
        self._parts.append(_label_segments(labels, positions))

    @property
    def _plain(self) -> bool:
        return self._slope == 1 and self._intercept == 0 and self._threshold is None

    def _byte_segments(self, stored: NDArray[np.generic], at: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """Do the same for plain bytes, the common case, in an eighth of the memory traffic."""
        if self._dtype.kind == "i":
            self._refuse_negative(stored)
        values = stored.view(np.uint8)
        changes = values[1:] != values[:-1]
        gaps = np.flatnonzero(at[1:] != at[:-1] + 1)
        changes[gaps * _WORD + _WORD - 1] = True
        first = np.concatenate(([0], np.flatnonzero(changes) + 1))
        last = np.concatenate((first[1:], [values.size])) - 1
        kept = values[first] != 0
        first, last = first[kept], last[kept]
        starts = at[first // _WORD] * _WORD + first % _WORD
        stops = at[last // _WORD] * _WORD + last % _WORD + 1
        return starts, stops, values[first].astype(np.int64)

    def _labels(self, stored: NDArray[np.generic]) -> Int64s:
        if self._plain and self._dtype.kind in "ui":
            self._refuse_negative(stored)
            if stored.size and int(stored.max()) > _LARGEST_LABEL:  # type: ignore[arg-type]
                msg = f"{self._where}: holds the label {stored.max()}, beyond {_LARGEST_LABEL}."
                raise MaskValueError(msg, hint="Renumber the labels.")
            return stored.astype(np.int64)
        values = stored.astype(np.float64)
        if self._slope != 1 or self._intercept != 0:
            values = values * self._slope + self._intercept
        if not np.isfinite(values).all():
            msg = f"{self._where}: holds NaN or infinite values; a mask value is a label, 0 or above."
            raise MaskValueError(msg, hint="Write the mask with whole numbers.")
        if self._threshold is not None:
            return (values >= self._threshold).astype(np.int64)
        rounded = np.rint(values)
        off = np.abs(values - rounded) > _INTEGRAL_WITHIN
        if off.any():
            msg = f"{self._where}: holds {values[off][0]:g}, which is no label (labels are whole numbers)."
            raise MaskValueError(msg, hint="Say `threshold = x` in its case.toml entry to keep values >= x.")
        self._refuse_negative(rounded)
        if rounded.size and rounded.max() > _LARGEST_LABEL:
            msg = f"{self._where}: holds the label {rounded.max():.0f}, beyond {_LARGEST_LABEL}."
            raise MaskValueError(msg, hint="Renumber the labels.")
        return rounded.astype(np.int64)

    def _refuse_negative(self, values: NDArray[np.generic]) -> None:
        if values.size and values.min() < 0:  # type: ignore[operator]
            msg = f"{self._where}: holds the value {values.min()}; a mask value is a label, 0 or above."
            raise MaskValueError(msg, hint="Check that this file is a mask and not an image.")
