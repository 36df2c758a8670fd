"""Clocks that jump or stand still, and stamps that go back."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from fault_graph import (  # noqa: E402
    BEST_EFFORT,
    HW,
    RED,
    Camera,
    Health,
    image,
    resident_mb,
    stamp,
    write_colour_model,
)
from rosgraph_msgs.msg import Clock  # noqa: E402
from scene_truth import stamp_of  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402

SECOND = 10**9


class SimulatedClock:
    """
    A clock that can be set, and stopped.

    Attributes:
        told: what was published last, nanoseconds.

    """

    def __init__(self):
        self.told = 0
        self._lock = threading.Lock()
        self.set(1000 * SECOND)

    def now(self):
        """Return the time in nanoseconds."""
        with self._lock:
            return self._at + (time.monotonic_ns() - self._since if self._runs else 0)

    def set(self, nanoseconds, runs=True):
        """Set the time, and whether it goes on from there."""
        with self._lock:
            self._at, self._since, self._runs = nanoseconds, time.monotonic_ns(), runs

    def message(self):
        """Return what to publish now."""
        self.told = self.now()
        return Clock(clock=stamp(self.told))


def test_a_clock_that_jumps_or_stands_still_stops_neither_results_nor_reports(
        graph, start, tmp_path):
    yolo = start('yolo', config_file=write_colour_model(tmp_path), use_sim_time='true')
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    clock = SimulatedClock()
    clocks = graph.publisher(Clock, '/clock')
    images = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    with Camera(clocks, clock.message, 50.0), \
            Camera(images, lambda: image(RED, clock.told), 30.0):
        health.wait(lambda now: now['result rate (Hz)'] > 10)
        for jump in (-900, 5000, -4000):
            clock.set(clock.now() + jump * SECOND)
            since = clock.now()
            results.wait(20, where=lambda r, since=since: since <= stamp_of(r) < since + 60e9)
            # Frames of both sides of a jump are in the window; not many.
            report = health.wait(limit=5.0)
            assert report['result rate (Hz)'] > 5
            assert 0 <= report['stamp to result p50 (ms)'] < 1000
        # Whoever pauses the simulation, or a bag, still wants to know how the node is.
        clock.set(clock.now(), runs=False)
        seen = len(results)
        results.wait(seen + 30)
        assert health.wait(limit=5.0)['result rate (Hz)'] > 5
        health.wait(limit=5.0)
    assert 'Traceback' not in yolo.output


def test_without_a_clock_a_node_on_simulated_time_works_and_reports(graph, start, tmp_path):
    yolo = start('yolo', config_file=write_colour_model(tmp_path), use_sim_time='true')
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    images = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    with Camera(images, lambda: image(RED, time.time_ns()), 30.0):
        results.wait(10)
        # Nobody publishes /clock: what lies between its 0 and a stamp of today is no latency.
        report = health.wait(lambda now: now['published'] > 10, limit=10.0)
    assert not any(key.startswith('stamp to result') for key in report.values)


def test_a_bag_played_again_and_again_gives_the_same_results(graph, start, tmp_path):
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    frame = Frame.from_nv12(np.frombuffer(RED, np.uint8).reshape(HW[0] * 3 // 2, HW[1]))
    write_bag(tmp_path / 'bag', zip(stamps(10, 20.0), [frame] * 10))
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections', 50)
    health = Health(graph)
    start('source', source=tmp_path / 'bag', stamp='source', rate=20.0)
    report = health.wait(lambda now: now['published'] >= 45)
    memory = resident_mb(yolo)
    later = health.wait(lambda now: now['published'] >= 90)
    played = [stamp_of(result) for result in results.messages]
    assert len(set(played)) == 10
    steps = np.diff(played)
    assert (steps < 0).sum() >= 3  # from the bag's last image to its first
    assert {len(result.detections) for result in results.messages} == {
        len(results.messages[0].detections)}
    for now in (report, later):
        # The stamps are years old: no latency can be told from them.
        assert not any(key.startswith('stamp to result') for key in now.values)
        assert now.failures() == {}
    assert resident_mb(yolo) < memory + 5
