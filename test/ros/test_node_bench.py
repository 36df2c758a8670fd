"""The node benchmark counts both ways alike, and says which bars do not hold."""

from pathlib import Path
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('composition_interfaces')

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.node_bench import __main__ as bench  # noqa: E402
from benchmarks.node_bench.containers import WAYS, Measured, measure_containers  # noqa: E402


def test_pictures_of_both_ways_are_counted():
    measured = measure_containers(rounds=1, pictures=20)
    assert set(measured) == set(WAYS)
    for figures in measured.values():
        assert len(figures.latencies) == 20
        # After the stand-in's inference, and before pictures without results would come.
        assert 0.0125 < np.median(figures.latencies) < 0.4
        assert 0.0005 < figures.cpu_s < 0.2
        assert 3 < figures.rate < 33


@pytest.mark.parametrize(('container', 'missed'), [(0.0049, 0), (0.0051, 1)])
def test_a_bar_that_does_not_hold_is_counted_and_said(monkeypatch, capsys, container, missed):
    monkeypatch.setattr(bench, 'measure_containers', lambda *_: {
        WAYS[0]: Measured(0.010, 30.0, np.full(10, 0.02)),
        WAYS[1]: Measured(container, 30.0, np.full(10, 0.02))})
    assert bench._containers(1, 10) == missed
    said = capsys.readouterr().out
    assert '10.00 ms CPU a picture,  30.0% of a core at 30 Hz' in said
    assert f'bar 0.5: {"MISSED" if missed else "holds"}' in said
