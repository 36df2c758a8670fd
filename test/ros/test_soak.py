"""The soak on real processes, for a few seconds."""

import os
import signal
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')


def test_ctrl_c_ends_the_processes_and_judges_what_there_is(
        processes, python, no_profile, tmp_path):
    def soak(*arguments):
        return processes(python, '-m', 'benchmarks.soak', '--out', tmp_path, *arguments,
                         env=no_profile)

    process = soak('--minutes', 30, '--width', 320, '--height', 240, '--rate', 10)
    samples = tmp_path / 'samples.csv'
    end = time.monotonic() + 60
    while not samples.exists() or samples.read_text().count('\n') < 14:
        assert process.is_running(), process.output
        assert time.monotonic() < end, process.output
        time.sleep(0.1)
    with open(f'/proc/{process.pid}/task/{process.pid}/children', encoding='ascii') as file:
        nodes = file.read().split()
    assert len(nodes) == 2
    process.signal(signal.SIGINT)
    assert process.wait() == 1, process.output
    assert 'the run ended early: interrupted' in process.output
    assert not any(os.path.exists(f'/proc/{pid}') for pid in nodes)
    page = (tmp_path / 'soak.md').read_text()
    assert 'broken off: interrupted' in page
    assert '| slope of that, MB an hour |' in page
    assert (tmp_path / 'images' / 'soak.png').stat().st_size > 1000

    again = soak('--record')
    again.wait()
    figures = [line for line in process.lines if 'MB an hour' in line]
    assert len(figures) >= 2
    assert [line for line in again.lines if 'MB an hour' in line] == figures
