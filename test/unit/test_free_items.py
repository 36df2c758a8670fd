"""FreeItems: first come, first served, and nobody waits for ever."""

import threading
import time

from bpu_stand_ins import wait_until

from rdk_yolo_ros.runtimes.free_items import FreeItems


def test_items_go_to_those_who_wait_in_their_order():
    items = FreeItems(['only'])
    assert items.take(0) == 'only'
    got = []
    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=lambda n=number: got.append((n, items.take(10)))))
        threads[-1].start()
        assert wait_until(lambda n=number: len(items._waiting) == n + 1, 5)
    for number in range(4):
        items.give(f'item {number}')
        # One who comes now is too late, however quick.
        assert items.take(0) is None
    for thread in threads:
        thread.join(5)
    assert sorted(got) == [(number, f'item {number}') for number in range(4)]


def test_a_wait_has_a_limit():
    items = FreeItems()
    start = time.monotonic()
    assert items.take(0.05) is None
    assert 0.05 <= time.monotonic() - start < 5
    items.give('later')
    assert items.take(0) == 'later'


def test_the_end_lets_all_go():
    items = FreeItems()
    got = []
    threads = [threading.Thread(target=lambda: got.append(items.take(60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(items._waiting) == 3, 5)
    items.end()
    for thread in threads:
        thread.join(5)
    assert got == [None] * 3
    items.give('too late')
    assert items.take(0) is None
