"""Voxel bytes to label runs, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dense import label_runs
from volstrat.errors import MaskValueError, NoisyMaskError
from volstrat.geometry.run_scanner import RunScanner
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = ["u1", "i1", "<u2", ">u2", "<i4", ">i4", "<u8", ">i8", "<f4", ">f4", "<f8", ">f8"]


def scanned(
    raw: bytes,
    dtype: str,
    sizes: list[int],
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    threshold: float | None = None,
) -> LabelRuns:
    """Feed the bytes in pieces of these sizes, over and over."""
    scanner = RunScanner(
        np.dtype(dtype), slope=slope, intercept=intercept, threshold=threshold, where="m.nii"
    )
    at = turn = 0
    while at < len(raw):
        size = sizes[turn % len(sizes)]
        scanner.feed(raw[at : at + size])
        at, turn = at + size, turn + 1
    return scanner.finish()


def assert_same(runs: LabelRuns, labels: NDArray[np.int64]) -> None:
    """Compare with the runs of the dense labels, which are canonical."""
    expected = label_runs(labels)
    assert runs.starts.tolist() == expected.starts.tolist()
    assert runs.stops.tolist() == expected.stops.tolist()
    assert runs.labels.tolist() == expected.labels.tolist()


@st.composite
def stretches(draw: st.DrawFn) -> NDArray[np.int64]:
    """Labels in stretches: long empty ones, single voxels, labels side by side."""
    parts = draw(st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 3, 100]), st.integers(1, 60)), max_size=40))
    return np.array([value for value, length in parts for _ in range(length)], dtype=np.int64)


@given(
    labels=stretches(),
    dtype=st.sampled_from(DTYPES),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_runs_are_those_of_the_dense_labels(labels: NDArray[np.int64], dtype: str, sizes: list[int]) -> None:
    """Whatever the type, the byte order and the cut of the pieces."""
    assert_same(scanned(labels.astype(dtype).tobytes(), dtype, sizes), labels)


@given(
    labels=stretches(),
    dtype=st.sampled_from(["<i2", ">i4", "<f4"]),
    intercept=st.sampled_from([0.0, -3.0, 3.0]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_scaled_values_give_the_same_runs(
    labels: NDArray[np.int64], dtype: str, intercept: float, sizes: list[int]
) -> None:
    """Stored (v - intercept) / 0.5; with an intercept a stored 0 is a label or an error, never skipped."""
    stored = ((labels - intercept) / 0.5).astype(dtype)
    assert_same(scanned(stored.tobytes(), dtype, sizes, slope=0.5, intercept=intercept), labels)


@pytest.mark.parametrize(
    ("highest", "threshold", "is_refused"),
    [
        (0.9, 50, True),
        (1.0, 41, True),
        (0.9, 1.5, True),
        (1.0, 2, False),
        (0.3, 0.5, False),
        (0.0, 50, False),
        (40.0, 50, False),  # a map in percent that nowhere reaches half
    ],
)
def test_a_percentage_as_threshold_of_shares_is_refused(
    highest: float, threshold: float, is_refused: bool
) -> None:
    """It would read as nothing drawn. A map of 0 and 1 may lack label 2, a map of shares stay below 0.5."""
    dense = np.array([0.0, highest, highest, 0.0], "<f4")
    if is_refused:
        with pytest.raises(MaskValueError, match="its highest value is"):
            scanned(dense.tobytes(), "<f4", [16], threshold=threshold)
    else:
        assert scanned(dense.tobytes(), "<f4", [16], threshold=threshold).starts.size == 0


@given(
    values=st.lists(st.integers(-9, 9), max_size=300),
    threshold=st.sampled_from([-3.0, 0.0, 0.5, 4.0]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_a_threshold_joins_values_into_one_label(
    values: list[int], threshold: float, sizes: list[int]
) -> None:
    """Different values side by side become one run; a threshold of 0 or less takes the zeros too."""
    dense = np.array(values, dtype=np.float32)
    runs = scanned(dense.tobytes(), "<f4", sizes, threshold=threshold)
    assert_same(runs, (dense >= threshold).astype(np.int64))


@pytest.mark.parametrize("filled", [0.0, 0.0005, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f8"])
def test_sparse_and_dense_pieces_mix(filled: float, dtype: str) -> None:
    """Past the size of a piece and of the words kept: 1.5 million voxels, empty, sparse, dense and full."""
    rng = np.random.default_rng(7)
    labels = rng.integers(1, 4, 1_500_000) * (rng.random(1_500_000) < filled)
    labels[400_000:700_000] = 0
    labels[900_000:1_000_000] = 2
    for sizes in ([1 << 22], [1 << 18], [99_991, 8, 3]):
        assert_same(scanned(labels.astype(dtype).tobytes(), dtype, sizes), labels)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (np.array([0, 0, -1], np.int8), "value -1"),
        (np.array([0, 2.5], np.float32), "2.5, which is no label"),
        (np.array([np.nan, 0], np.float64), "NaN"),
        (np.array([0, np.inf], np.float32), "NaN or infinite"),
        (np.array([-3.0, 0], np.float32), "value -3"),
        (np.array([2**31], np.uint32), "beyond 2147483647"),
        (np.array([1e12], np.float64), "beyond 2147483647"),
    ],
)
def test_values_that_are_no_labels_are_refused(stored: NDArray[np.generic], said: str) -> None:
    """Amid zeros, amid labels, and as the odd bytes at the end."""
    for before in (0, 40, 1_000_000):
        for fill in (0, 1):
            raw = np.concatenate((np.full(before, fill, stored.dtype), stored)).tobytes()
            with pytest.raises(MaskValueError, match=rf"m\.nii: .*{said}"):
                scanned(raw, stored.dtype.str, [len(raw)])


def test_what_rounding_left_is_integral() -> None:
    """Within 1e-6 of a whole number is that label; a negative zero is background."""
    assert_same(
        scanned(np.array([-0.0, 1 + 9e-7, 2 - 9e-7, 1e-9]).tobytes(), "<f8", [7]), np.array([0, 1, 2, 0])
    )
    with pytest.raises(MaskValueError, match="no label"):
        scanned(np.array([1 + 2e-6]).tobytes(), "<f8", [7])


def test_a_mask_of_countless_runs_is_refused_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 6 runs: 6 are read, the seventh is refused, before the rest is looked at."""
    monkeypatch.setattr("volstrat.geometry.run_scanner._MOST_RUNS", 6)
    one_in_two = np.tile(np.array([1, 0], np.uint8), 6)
    assert scanned(one_in_two.tobytes(), "u1", [12]).starts.size == 6
    with pytest.raises(NoisyMaskError, match=r"m\.nii: holds more than 6 separate pieces"):
        scanned(np.append(one_in_two, np.uint8(1)).tobytes(), "u1", [13])
    scanner = RunScanner(np.dtype("u1"), where="m.nii")
    with pytest.raises(NoisyMaskError):
        scanner.feed(one_in_two.tobytes() * 2)
