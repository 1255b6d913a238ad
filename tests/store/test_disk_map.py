"""A map on disk behaves as a dict that iterates in the order of its keys, and holds next to nothing."""

from __future__ import annotations

import tracemalloc

import pytest

from volstrat.store.disk_map import DiskMap


def test_it_iterates_in_the_order_of_code_points_whatever_the_names() -> None:
    """As `sorted` would have them: empty, accents, names that are no Unicode, beyond one batch."""
    names = ["b", "", "å", "a", "Z", "\udcff", "\U0001f600", *(f"S{n:05}" for n in range(1200))]
    found: DiskMap[int] = DiskMap()
    for n, name in enumerate(names):
        found[name] = n
    assert list(found) == sorted(names)
    assert len(found) == len(names)
    assert found["\udcff"] == 5


def test_what_is_set_twice_counts_once_and_what_is_taken_out_is_gone() -> None:
    """And what was never there is a KeyError, as in a dict."""
    found: DiskMap[tuple[str, int]] = DiskMap()
    found["a"] = ("x", 1)
    found["a"] = ("y", 2)
    assert (found["a"], len(found)) == (("y", 2), 1)
    del found["a"]
    assert ("a" in found, len(found), found.get("a")) == (False, 0, None)
    with pytest.raises(KeyError):
        del found["a"]


def test_four_times_the_entries_take_no_more_of_the_programs_memory() -> None:
    """Allocated by Python, at the peak; SQLite's own cache has a limit of its own."""
    peaks = []
    for count in (1500, 6000):
        tracemalloc.start()
        found: DiskMap[str] = DiskMap()
        for n in range(count):
            found[f"subject {n}"] = "x" * 60
        assert sum(1 for _ in found.items()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
