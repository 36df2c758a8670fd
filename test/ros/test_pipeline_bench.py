"""The pipeline benchmark counts what arrives, and says which bars do not hold."""

from pathlib import Path
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.serialization import deserialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.pipeline_bench import __main__ as bench, camera  # noqa: E402
from benchmarks.pipeline_bench.measure import Case, Measured, measure  # noqa: E402
from benchmarks.pipeline_bench.models import PEOPLE, RUNTIMES  # noqa: E402


def made_up(rate=159.0, latency=0.02, objects=PEOPLE, case=bench.CASES[0]):
    return Measured(case, 200.0, rate, np.full(100, latency), 0.002, objects)


def test_the_camera_s_bytes_are_an_image_with_the_stamp_where_it_is_written():
    message = camera.stamped(camera.image(64, 48), 1234567890_123456789)
    image = deserialize_message(message, Image)
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (1234567890, 123456789)
    assert (image.width, image.height, image.step, image.encoding) == (64, 48, 64, 'nv12')
    assert len(image.data) == 64 * 48 * 3 // 2


@pytest.mark.parametrize('runtime', RUNTIMES)
@pytest.mark.parametrize('naive', [False, True])
def test_a_slow_camera_s_frames_all_come_through(runtime, naive):
    measured = measure(Case(runtime, 640, 480, naive), seconds=3.0, rate=10.0)
    # On a machine that does other things, too.
    assert 2 < measured.camera_hz < 10.5
    assert 2 < measured.results_hz < 12
    assert measured.latencies.min() > 0.0125
    assert 0 < measured.cpu_s < 1.0
    assert measured.objects == PEOPLE
    if not naive:
        assert float(measured.stages['infer p50 (ms)']) > 12.5


def test_each_figure_is_beside_its_bar():
    line = bench._line(made_up())
    assert '159.0 results a second,  99.4% of 160 (bar 95%: holds)' in line
    assert 'from stamp to receipt (bar 45 ms: holds)' in line
    assert '2.0 ms CPU a frame; camera 200.0 Hz' in line


@pytest.mark.parametrize(('figures', 'missed'), [
    ({}, []), ({'rate': 151.9}, ['rate']), ({'rate': 152.0}, []),
    ({'objects': 0}, ['people']), ({'latency': 0.044}, []), ({'latency': 0.045}, ['latency']),
    ({'rate': 1.0, 'latency': 1.0}, ['rate', 'latency']),
    ({'rate': 1.0, 'latency': 1.0, 'case': bench.CASES[1]}, [])])
def test_a_figure_beyond_its_bar_is_a_miss(figures, missed):
    measured = made_up(**figures)
    assert measured.missed == missed
    assert bench._line(measured).count('MISSED') == len(missed)


def test_the_bars():
    bars = {(case.runtime, case.width): (case.rate_bar, case.latency_bar)
            for case in bench.CASES if not case.naive}
    assert bars == {('libdnn', 640): (0.95, 0.045), ('libdnn', 1920): (0.90, 0.045),
                    ('pyeasy_dnn', 640): (0.85, 0.045), ('pyeasy_dnn', 1920): (0.85, 0.045)}
    assert {(case.runtime, case.width) for case in bench.CASES if case.naive} == set(bars)
