"""The benchmark of messages: both ways publish the same, to a subscriber that is there."""

from pathlib import Path
import sys

import pytest

pytest.importorskip('rclpy')

from rclpy.serialization import deserialize_message  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.node_bench import messages  # noqa: E402


def test_both_ways_are_the_same_message():
    names = []
    for case in messages._cases():
        message = case.plain()
        assert deserialize_message(case.written(), type(message)) == message, case.name
        names.append(case.name)
    assert len(names) == len(set(names)) == 8


def test_every_case_is_measured_on_a_real_graph():
    rows = messages.measure_messages(rounds=2)
    assert [row.bar for row in rows] == [.15] * 3 + [.1] * 3 + [None] * 2
    assert all(row.plain > 0 and row.written > 0 for row in rows)


def test_a_row_says_whether_its_bar_holds():
    row = messages.Row('50 detections', plain=1e-3, written=2e-4, bar=.15)
    assert row.is_missed
    assert 'ratio 0.200  (bar 0.15: MISSED)' in str(row)
    assert '(bar 0.2: holds)' in str(messages.Row('50 detections', 1e-3, 2e-4, bar=.2))
    assert 'bar' not in str(messages.Row('mask', 1e-3, 2e-4))
