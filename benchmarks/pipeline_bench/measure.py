"""One case: camera, node and listener as processes of their own on a ROS domain of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import struct
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.pipeline_bench.models import LIMIT_HZ, PEOPLE, ROOT, write_model
from benchmarks.ros_domain import own_domain
from benchmarks.timing import cpu_seconds

sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import Child, end, interrupt  # noqa: E402

_WARM_UP_S, _START_LIMIT_S = 3.0, 60.0


@dataclass(frozen=True)
class Case:
    """
    What is measured, and the bars for it.

    Attributes:
        runtime: 'libdnn' or 'pyeasy_dnn', on its stand-in.
        width, height: of the camera's NV12 images.
        naive: measure the plain loop instead of the node; no bars.
        rate_bar: the least part of what the accelerator can do, 0 to 1.
        latency_bar: the most that 95 % of the frames may take from stamp to receipt, seconds.

    """

    runtime: str
    width: int
    height: int
    naive: bool = False
    rate_bar: float | None = None
    latency_bar: float | None = None

    @property
    def name(self) -> str:
        """The case in words."""
        return (f'{self.runtime} {self.width}x{self.height}'
                + (', naive loop' if self.naive else ', node'))


@dataclass
class Measured:
    """
    One case's figures.

    Attributes:
        case: the case.
        camera_hz: images a second that the camera published.
        results_hz: detections a second that were received.
        latencies: from stamp to receipt, float64 (N,), seconds.
        cpu_s: the processor time of a frame in the node and its workers, seconds.
        objects: how many detections the last message has.
        stages: the node's own medians and 95th percentiles, ms, as /diagnostics has them.

    """

    case: Case
    camera_hz: float
    results_hz: float
    latencies: np.ndarray
    cpu_s: float
    objects: int
    stages: dict[str, str] = field(default_factory=dict)

    @property
    def part(self) -> float:
        """Results as a part of what the accelerator can do."""
        return self.results_hz / LIMIT_HZ

    @property
    def p95(self) -> float:
        """The 95th percentile of the latencies, seconds."""
        return float(np.percentile(self.latencies, 95))

    @property
    def missed(self) -> list[str]:
        """The bars that do not hold."""
        case = self.case
        return [name for name, fails in (
            ('rate', case.rate_bar is not None and self.part < case.rate_bar),
            ('latency', case.latency_bar is not None and self.p95 >= case.latency_bar),
            ('people', self.objects != PEOPLE)) if fails]


class Listener:
    """Receives detections without unpacking them: their stamps, and when each came."""

    def __init__(self, node: Any, keypoints: bool) -> None:
        """Subscribe."""
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import PointCloud2
        from vision_msgs.msg import Detection2DArray
        self.delays: list[float] = []
        self.last = b''
        self.stages: dict[str, str] = {}
        node.create_subscription(Detection2DArray, 'yolo/detections', self._on_detections, 10,
                                 raw=True)
        if keypoints:
            node.create_subscription(PointCloud2, 'yolo/keypoints', lambda _: None, 10, raw=True)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 1)

    def _on_detections(self, message: bytes) -> None:
        seconds, nanoseconds = struct.unpack_from('<iI', message, 4)
        self.delays.append(time.time() - seconds - nanoseconds * 1e-9)
        self.last = message

    def objects(self) -> int:
        """Return how many detections the last message has."""
        from rclpy.serialization import deserialize_message
        from vision_msgs.msg import Detection2DArray
        return len(deserialize_message(self.last, Detection2DArray).detections)

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name.endswith(': inference'):
                self.stages = {pair.key: pair.value for pair in status.values}


def measure(case: Case, seconds: float, rate: float, keypoints: bool = True) -> Measured:
    """
    Run one case.

    Args:
        case: what to run.
        seconds: how long to count.
        rate: images a second that the camera is to publish.
        keypoints: whether somebody listens to the key points, too.

    Raises:
        SystemExit: a process ended, or no result came; with its last lines.

    """
    with own_domain():
        return _measure(case, seconds, rate, keypoints)


def _measure(case: Case, seconds: float, rate: float, keypoints: bool) -> Measured:
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node

    children: list[Child] = []
    context = Context()
    with tempfile.TemporaryDirectory(prefix='rdk_yolo_ros-') as folder:
        config, variables = write_model(case.runtime, Path(folder))
        environment = {**os.environ, **variables}
        try:
            argv = ['-m', 'benchmarks.pipeline_bench.naive', str(config), case.runtime] \
                if case.naive else ['-m', 'rdk_yolo_ros.nodes.yolo', '--ros-args',
                                    '-p', f'config_file:={config}']
            children.append(Child('node', [sys.executable, *argv], environment, ROOT))
            children.append(Child('camera', [
                sys.executable, '-m', 'benchmarks.pipeline_bench.camera', str(case.width),
                str(case.height), str(rate)], environment, ROOT))
            rclpy.init(context=context)
            node = Node('pipeline_benchmark', context=context)
            listener = Listener(node, keypoints)
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            _spin(executor, time.monotonic() + _START_LIMIT_S, lambda: bool(listener.delays))
            _check(children, bool(listener.delays))
            _spin(executor, time.monotonic() + _WARM_UP_S)
            first, begin = len(listener.delays), time.monotonic()
            busy = cpu_seconds(children[0].pid)
            _spin(executor, begin + seconds)
            delays = np.array(listener.delays[first:])
            elapsed = time.monotonic() - begin
            busy = cpu_seconds(children[0].pid) - busy
            _check(children, len(delays) > 0)
            stages = listener.stages
            interrupt(children[1:])
            children[1].wait(time.monotonic() + 5.0)
            camera = _last_json(children[1])
        finally:
            interrupt(children)
            end(children, 5.0)
            if context.ok():
                node.destroy_node()
                context.try_shutdown()
    return Measured(case, camera['images'] / camera['seconds'], len(delays) / elapsed, delays,
                    busy / len(delays), listener.objects(), stages)


def _spin(executor: Any, until: float, done: Any = lambda: False) -> None:
    while time.monotonic() < until and not done():
        executor.spin_once(timeout_sec=max(0.0, min(0.1, until - time.monotonic())))


def _check(children: list[Child], heard: bool) -> None:
    ended = [child for child in children if child.exit_code() is not None]
    if ended or not heard:
        about = ended or children
        raise SystemExit('pipeline benchmark: ' + ('a process ended' if ended else 'no result')
                         + ''.join(f'; {child.name}: {child.last_lines()}' for child in about))


def _last_json(child: Child) -> dict[str, float]:
    for line in reversed(child.last_lines()):
        if line.startswith('{'):
            return json.loads(line)
    raise SystemExit(f'pipeline benchmark: {child.name}: {child.last_lines()}')
