"""Work in threads: order, errors, and how many at once."""

from __future__ import annotations

from threading import Barrier, Lock, get_ident

import pytest

from volstrat.io.side_by_side import map_side_by_side


def test_results_come_in_the_items_order() -> None:
    """Whoever is done first, result n belongs to item n."""
    assert map_side_by_side(lambda n: n * n, list(range(50)), at_once=3) == [n * n for n in range(50)]


def test_nothing_to_do_gives_nothing() -> None:
    """No item, no result, no thread."""
    assert map_side_by_side(lambda n: n, [], at_once=3) == []


def test_items_run_at_the_same_time() -> None:
    """Three items that wait for each other only end if all three are under way together."""
    meet = Barrier(3, timeout=10)
    threads = map_side_by_side(lambda _: (meet.wait(), get_ident())[1], [0, 1, 2], at_once=3)
    assert len(set(threads)) == 3


def test_no_more_than_asked_for_run_at_once() -> None:
    """Of eight items never more than two are under way."""
    lock, under_way, most = Lock(), [0], [0]

    def work(_: int) -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        sum(range(20000))
        with lock:
            under_way[0] -= 1

    map_side_by_side(work, list(range(8)), at_once=2)
    assert 1 <= most[0] <= 2


def test_the_earliest_items_error_is_raised() -> None:
    """Items 2 and 5 fail: the error of 2 is raised, whichever came first, and the others were done."""
    done = []

    def work(n: int) -> None:
        if n in {2, 5}:
            msg = f"item {n}"
            raise ValueError(msg)
        done.append(n)

    with pytest.raises(ValueError, match="item 2"):
        map_side_by_side(work, list(range(8)), at_once=3)
    assert sorted(done) == [0, 1, 3, 4, 6, 7]
