"""From a stream of voxel bytes to label runs, without ever holding the volume.

Work is proportional to the tumour, not to the volume: all-zero pieces are passed over with one
memory comparison, and where little of a piece is non-zero only its eight-byte words that hold a
non-zero byte are kept, until there are enough of them to be turned into runs. Values are compared
as stored and only one value a run is ever decoded, so dtype and byte order cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.errors import MaskValueError, NoisyMaskError
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.array_types import Float64s, Int64s

    Segments = tuple[Int64s, Int64s, Int64s]

_WORD = 8
_FLUSH_WORDS = 1 << 17
_INTEGRAL_WITHIN = 1e-6
_MOST_ROUNDING = 0.05  # of a label: steps beyond a tenth are no label map's
_THRESHOLD_WITHIN = 1e-6  # of the threshold: 0.7 stored in 32 bits reaches 0.7
_LARGEST_LABEL = 2**31 - 1
_ZEROS = bytes(1 << 18)
_MOST_ASKED_LABEL = 10
_MOST_RUNS = 10_000_000
"""Room for a map of every organ of a whole body, and yet memory stays below a gigabyte."""
_WORDS_PER_KEPT = 8  # a piece is sparse where at most one word in so many holds anything


class RunScanner:
    """Collects label runs from consecutive pieces of a mask's voxel bytes.

    Stored values, of ``dtype`` with its byte order, are scaled by ``slope`` and ``intercept`` before they are
    read as labels. With a ``threshold``, voxels with a value >= it get label 1, all others none; within one
    part in a million a value reaches it, so that the stored type does not decide. ``where`` is named in
    errors: the file.

    Raises
    ------
    MaskValueError
        From `feed` and `finish`: a value is NaN, infinite, negative, not integral (beyond 1e-6, or
        half a step of a scaled whole-number type) or no 31-bit label, and no threshold was given;
        with a threshold: a value is infinite, or the threshold is a percentage and all values are shares.
    NoisyMaskError
        From `feed` and `finish`: there are more than ten million runs.
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
        self._unit = np.dtype(f"u{self._dtype.itemsize}")
        self._slope, self._intercept = slope, intercept
        self._where = where
        self._lowest = None if threshold is None else threshold - abs(threshold) * _THRESHOLD_WITHIN
        self._threshold, self._highest, self._has_fractions = threshold, 0.0, False
        # Writers that scale labels into a type round to its steps: half a step is the file's own rounding.
        own = abs(slope) / 2 if self._dtype.kind in "iu" and (slope != 1 or intercept != 0) else 0.0
        self._integral_within = min(_INTEGRAL_WITHIN + own * (1 + _INTEGRAL_WITHIN), _MOST_ROUNDING)
        self._zero_is_background = intercept == 0 if self._lowest is None else intercept < self._lowest
        self._carry = b""
        self._fed = 0  # bytes taken so far, always whole words until the end
        self._words: list[NDArray[np.uint64]] = []
        self._at: list[Int64s] = []
        self._kept = 0
        self._parts: list[Segments] = []
        self._runs = 0

    def feed(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; their number need not be a multiple of anything."""
        view = memoryview(piece)
        if self._carry:
            missing = _WORD - len(self._carry)
            self._carry += bytes(view[:missing])
            if len(self._carry) < _WORD:
                return
            self._take(memoryview(self._carry))
            view = view[missing:]
        whole = len(view) - len(view) % _WORD
        self._carry = bytes(view[whole:])
        for begin in range(0, whole, len(_ZEROS)):
            self._take(view[begin : min(begin + len(_ZEROS), whole)])

    def finish(self) -> LabelRuns:
        """Return the runs of all that was fed."""
        if self._carry:
            self._flush()
            whole = len(self._carry) - len(self._carry) % self._unit.itemsize
            if whole:
                self._keep(*self._piece_segments(np.frombuffer(self._carry[:whole], self._unit)))
            self._fed += len(self._carry)
            self._carry = b""
        self._flush()
        if not self._parts:
            self._refuse_other_scale()
            return LabelRuns.empty()
        starts, stops, labels = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        self._parts = []
        return LabelRuns(*_joined(starts, stops, labels))

    def _refuse_other_scale(self) -> None:
        """Refuse a percentage as threshold of a map of shares, which would read as nothing drawn.

        A label map may lack the labels from 2 on; nobody has ten and asks for those alone.
        """
        most = 1 if self._has_fractions else _MOST_ASKED_LABEL
        if self._threshold is not None and 0 < self._highest <= 1 and self._threshold > most:
            msg = (
                f"{self._where}: its highest value is {self._highest:.4g}, and threshold = "
                f"{self._threshold:g} lies above all of them."
            )
            raise MaskValueError(msg, hint="Where it is a map of shares from 0 to 1, write threshold = 0.5.")

    def _take(self, view: memoryview) -> None:
        if self._zero_is_background and _ZEROS.startswith(view):
            self._fed += len(view)
            return
        if self._zero_is_background:
            words = np.frombuffer(view, dtype=np.uint64)
            at = (words != 0).nonzero()[0]
            if at.size * _WORDS_PER_KEPT <= words.size:
                self._words.append(words[at])
                self._at.append(at + self._fed // _WORD)
                self._kept += at.size
                self._fed += len(view)
                if self._kept >= _FLUSH_WORDS:
                    self._flush()
                return
        self._flush()
        self._keep(*self._piece_segments(np.frombuffer(view, dtype=self._unit)))
        self._fed += len(view)

    def _piece_segments(self, units: NDArray[np.generic]) -> tuple[Int64s, Int64s, NDArray[np.generic]]:
        """Stretches of equal stored values in the piece that comes next: starts, stops, values."""
        edges = np.flatnonzero(units[1:] != units[:-1])
        edges += 1
        first = np.concatenate(([0], edges))
        last = np.concatenate((edges, [units.size]))
        values = units[first]
        if self._zero_is_background:
            kept = np.flatnonzero(values)
            first, last, values = first[kept], last[kept], values[kept]
        base = self._fed // self._unit.itemsize
        first += base
        last += base
        return first, last, values

    def _flush(self) -> None:
        """Turn the words kept so far into runs."""
        if not self._words:
            return
        words, at = np.concatenate(self._words), np.concatenate(self._at)
        self._words, self._at, self._kept = [], [], 0
        units = words.view(self._unit)
        per_word = _WORD // self._unit.itemsize
        changes = units[1:] != units[:-1]
        gaps = np.flatnonzero(at[1:] != at[:-1] + 1)
        changes[gaps * per_word + per_word - 1] = True
        edges = np.flatnonzero(changes) + 1
        first = np.concatenate(([0], edges))
        last = np.concatenate((edges, [units.size])) - 1
        kept = units[first] != 0
        first, last = first[kept], last[kept]
        starts = at[first // per_word] * per_word + first % per_word
        stops = at[last // per_word] * per_word + last % per_word + 1
        self._keep(starts, stops, units[first])

    def _keep(self, starts: Int64s, stops: Int64s, units: NDArray[np.generic]) -> None:
        labels = self._labels(units.view(self._dtype))
        tumour = labels != 0
        if not tumour.all():
            starts, stops, labels = starts[tumour], stops[tumour], labels[tumour]
        if starts.size:
            self._parts.append(_joined(starts, stops, labels))
            self._runs += self._parts[-1][0].size
            if self._runs > _MOST_RUNS:
                msg = (
                    f"{self._where}: holds more than {_MOST_RUNS:,} separate pieces of voxels, where a "
                    "segmentation has thousands; it looks like an image or noise."
                )
                raise NoisyMaskError(msg, hint="Give a mask; a map of probabilities needs a threshold.")

    def _labels(self, stored: NDArray[np.generic]) -> Int64s:
        if self._lowest is not None:
            scaled = self._values(stored)
            self._highest = float(np.fmax.reduce(scaled, initial=self._highest))
            self._has_fractions = self._has_fractions or bool((scaled % 1 > 0).any())
            return (scaled >= self._lowest).astype(np.int64)
        is_plain = self._slope == 1 and self._intercept == 0 and self._dtype.kind in "ui"
        values = stored if is_plain else self._whole(stored)
        if values.size and values.min() < 0:
            msg = f"{self._where}: holds the value {values.min()}; a mask value is a label, 0 or above."
            raise MaskValueError(msg, hint="Check that this file is a mask and not an image.")
        if values.size and values.max() > _LARGEST_LABEL:
            msg = f"{self._where}: holds the label {int(values.max())}, beyond {_LARGEST_LABEL}."
            raise MaskValueError(msg, hint="Renumber the labels.")
        return values.astype(np.int64)

    def _values(self, stored: NDArray[np.generic]) -> Float64s:
        """Return the values that stored ones stand for."""
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
            values: Float64s = stored.astype(np.float64)
            if self._slope != 1 or self._intercept != 0:
                values = values * self._slope + self._intercept
        # NaN reaches no threshold.
        readable = np.isfinite(values) if self._lowest is None else ~np.isinf(values)
        if not readable.all():
            msg = f"{self._where}: holds NaN or infinite values; a mask value is a label, 0 or above."
            raise MaskValueError(msg, hint="Write the mask with whole numbers.")
        return values

    def _whole(self, stored: NDArray[np.generic]) -> Float64s:
        """Return the whole numbers that stored values stand for."""
        values = self._values(stored)
        rounded = np.rint(values)
        off = np.abs(values - rounded) > self._integral_within
        if off.any():
            msg = f"{self._where}: holds {values[off][0]:.10g}, which is no label (labels are whole numbers)."
            hint = "Say threshold = x in its case.toml entry to keep values >= x: all of them as one label."
            raise MaskValueError(msg, hint=hint)
        return rounded


def _joined(starts: Int64s, stops: Int64s, labels: Int64s) -> Segments:
    """Join sorted stretches of one label that touch: a run that two pieces cut in two."""
    opens = (stops[:-1] != starts[1:]) | (labels[:-1] != labels[1:])
    if opens.all():
        return starts, stops, labels
    first = np.concatenate(([True], opens))
    return starts[first], stops[np.concatenate((opens, [True]))], labels[first]
