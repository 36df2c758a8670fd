"""
Results made and published as bytes, against messages built field by field.

Both are published to a subscriber in a process of its own, in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
import os
import sys
import time
from typing import Any, Optional

import numpy as np

from benchmarks.ros_domain import ROOT, own_domain
from rdk_yolo_ros.cdr import DetectionsWriter, label_image, write_image, write_keypoints
from rdk_yolo_ros.detections import Detections, Index

sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import Child, end, interrupt  # noqa: E402

# The most that bytes may take of the plain way's time, by the number of detections.
BARS = {50: 0.15, 300: 0.1}
ROUNDS = 60
# Between two messages, as between a camera's frames: nobody's queue is full.
PAUSE_S = 0.005
_LIMIT_S = 30.0
_STAMP, _FRAME_ID = (1_700_000_000, 123_456_789), 'camera_optical_frame'
_MASK_HW = (1080, 1920)


@dataclass(frozen=True)
class Row:
    """
    What one kind of message costs.

    Attributes:
        name: which.
        plain: to build and publish it as a message, seconds.
        written: to write and publish it as bytes, seconds.
        bar: the most that their ratio may be, or None.

    """

    name: str
    plain: float
    written: float
    bar: Optional[float] = None

    @property
    def ratio(self) -> float:
        """The bytes' part of the plain way's time."""
        return self.written / self.plain

    @property
    def is_missed(self) -> bool:
        """Whether the bar does not hold."""
        return self.bar is not None and self.ratio > self.bar

    def __str__(self) -> str:
        """Return the row in words."""
        bar = '' if self.bar is None else \
            f'  (bar {self.bar:g}: {"MISSED" if self.is_missed else "holds"})'
        return (f'{self.name:40} message {self.plain * 1e6:8.1f} us   bytes '
                f'{self.written * 1e6:7.1f} us   ratio {self.ratio:.3f}{bar}')


def measure_messages(rounds: int = ROUNDS) -> list[Row]:
    """
    Return a row for each kind of message, medians of `rounds`.

    Raises:
        SystemExit: the subscriber ended, or got nothing.

    """
    with own_domain():
        return _measure(rounds)


def _measure(rounds: int) -> list[Row]:
    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node

    from benchmarks.node_bench.listener import TOPICS
    from rdk_yolo_ros.nodes.qos import RESULT_QOS

    listener = Child('listener', [sys.executable, '-m', 'benchmarks.node_bench.listener'],
                     os.environ, ROOT)
    context = Context()
    rows = []
    try:
        rclpy.init(context=context)
        node = Node('talker', context=context, enable_rosout=False)
        publishers = {topic: node.create_publisher(kind, topic, RESULT_QOS)
                      for topic, kind in TOPICS.items()}
        _wait_for_listener(publishers.values(), listener)
        for case in _cases():
            rows.append(_row(case, publishers[case.topic].publish, rounds))
    finally:
        interrupt([listener])
        end([listener], 5.0)
        if context.ok():
            node.destroy_node()
            context.try_shutdown()
    last = listener.last_lines()
    if not last or not last[-1].startswith('received ') or last[-1] == 'received 0':
        raise SystemExit(f'message benchmark: the subscriber got nothing: {last}')
    return rows


@dataclass(frozen=True)
class _Case:
    name: str
    topic: str
    plain: Callable[[], Any]    # returns the message
    written: Callable[[], bytes]
    bar: Optional[float] = None


def _cases() -> Iterator[_Case]:
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    from rdk_yolo_ros.nodes.messages import (
        detections_message,
        keypoints_message,
        mask_message,
    )
    header = Header(stamp=Time(sec=_STAMP[0], nanosec=_STAMP[1]), frame_id=_FRAME_ID)
    rng = np.random.default_rng(0)
    names = [''.join(rng.choice(list('abcdefgh '), rng.integers(3, 15))) for _ in range(80)]
    writer = DetectionsWriter(names)

    def detections_case(what: str, detections: Detections) -> _Case:
        return _Case(f'{len(detections)} detections, {what}', 'detections',
                     lambda: detections_message(detections, header, names),
                     lambda: writer.write(detections, _STAMP, _FRAME_ID), BARS[len(detections)])

    for count in BARS:
        yield detections_case('one class', _detections(rng, count, 1))
        yield detections_case('80 classes', _detections(rng, count, 80))
        yield detections_case('80 classes, track ids', _detections(
            rng, count, 80, track_ids=rng.integers(0, 10_000, count)))
    points = _detections(rng, 50, 1, keypoints=rng.random((50, 17, 3), np.float32))
    yield _Case('50 detections, 17 key points each', 'keypoints',
                lambda: keypoints_message(points, header),
                lambda: write_keypoints(points, _STAMP, _FRAME_ID))
    masks = _detections(rng, 50, 1, masks=_Labels(50))
    yield _Case('mask of 1920x1080', 'mask', lambda: mask_message(masks, header, _MASK_HW),
                lambda: write_image(label_image(masks, _STAMP, _FRAME_ID, _MASK_HW)))


class _Labels:
    """N masks whose label image is there already: to make it is the decoder's work."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._labels = np.zeros(_MASK_HW, np.uint8)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Index) -> _Labels:
        raise NotImplementedError

    def full(self, i: int) -> np.ndarray:
        raise NotImplementedError

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        return self._labels


def _detections(rng: np.random.Generator, count: int, classes: int, **extra: Any) -> Detections:
    corner = rng.uniform(0, 1000, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(10, 300, (count, 2))])
    return Detections(boxes.astype(np.float32), rng.random(count, np.float32),
                      rng.integers(0, classes, count, dtype=np.int32), **extra)


def _row(case: _Case, publish: Callable[[Any], None], rounds: int) -> Row:
    """Measure both ways in turns."""
    seconds = np.empty((rounds, 2))
    for i in range(rounds):
        for way, make in enumerate((case.plain, case.written)):
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            publish(make())
            seconds[i, way] = time.perf_counter() - began
    plain, written = np.median(seconds, axis=0).tolist()
    return Row(case.name, plain, written, case.bar)


def _wait_for_listener(publishers: Collection[Any], listener: Child) -> None:
    until = time.monotonic() + _LIMIT_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if listener.exit_code() is not None or time.monotonic() > until:
            raise SystemExit('message benchmark: no subscriber: '
                             f'{listener.last_lines()}')
        time.sleep(0.01)


if __name__ == '__main__':
    for row in measure_messages():
        print(row)
