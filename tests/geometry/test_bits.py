"""Runs from a stream of bits, against the bits themselves."""

from __future__ import annotations

import numpy as np
import pytest

from volstrat.geometry.bits import BitScanner


def _runs_of(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and stops of the runs of ones, from the dense line."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], bits, [0])).astype(np.int8)))
    return edges[::2], edges[1::2]


@pytest.mark.parametrize("piece", [1, 7, 8, 4096])
@pytest.mark.parametrize("size", [1, 7, 64, 65, 12_345])
@pytest.mark.parametrize("density", [0.02, 0.5, 0.98])
def test_runs_are_those_of_the_bits(size: int, density: float, piece: int) -> None:
    """Whatever the number of bits and the pieces they come in, least significant bit first."""
    bits = (np.random.default_rng(size).random(size) < density).astype(np.uint8)
    stream = np.packbits(bits, bitorder="little").tobytes()
    scanner = BitScanner()
    for at in range(0, len(stream), piece):
        scanner.feed(stream[at : at + piece])
    starts, stops = scanner.finish()
    expected = _runs_of(bits)
    assert starts.tolist() == expected[0].tolist()
    assert stops.tolist() == expected[1].tolist()


def test_the_least_significant_bit_comes_first() -> None:
    """0b00000110, 0b10000000: bits 1 and 2, then bit 15 (PS3.5 8.1.1)."""
    scanner = BitScanner()
    scanner.feed(bytes([0b0000_0110, 0b1000_0000]))
    starts, stops = scanner.finish()
    assert starts.tolist() == [1, 15]
    assert stops.tolist() == [3, 16]


def test_a_run_over_many_pieces_is_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ones from bit 60 to 300, taken in word by word and flushed after each, are one run."""
    monkeypatch.setattr("volstrat.geometry.bits._FLUSH_WORDS", 1)
    bits = np.zeros(640, np.uint8)
    bits[60:300] = 1
    scanner = BitScanner()
    for word in np.packbits(bits, bitorder="little").reshape(-1, 8):
        scanner.feed(word.tobytes())
    starts, stops = scanner.finish()
    assert (starts.tolist(), stops.tolist()) == ([60], [300])


def test_runs_in_words_with_zeros_between_them_stay_apart() -> None:
    """The top bit of word 0 and the lowest of word 3, or of word 1: only the latter is one run."""
    for other, runs in ((3, [[63, 64], [192, 193]]), (1, [[63, 65]])):
        words = np.zeros(5, "<u8")
        words[0], words[other] = 1 << 63, 1
        scanner = BitScanner()
        scanner.feed(words.tobytes())
        assert np.stack(scanner.finish(), axis=-1).tolist() == runs


def test_a_stream_without_ones_has_no_runs() -> None:
    """Nothing fed, and only zeros fed, give nothing."""
    assert BitScanner().finish()[0].size == 0
    scanner = BitScanner()
    scanner.feed(bytes(3_000_001))
    assert scanner.finish()[0].size == 0
