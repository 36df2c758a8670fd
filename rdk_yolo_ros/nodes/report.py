"""Report: once a second the node's state to /diagnostics, every few seconds a line to the log."""

from __future__ import annotations

from collections.abc import Mapping
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Header

from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics, status_message
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.qos import DIAGNOSTICS_QOS
from rdk_yolo_ros.pipeline import Pipeline
from rdk_yolo_ros.runtimes import RestartingRuntime

_PERIOD_S = 1.0
_LOG_EVERY = 5  # periods
_TROUBLE_S = 2.0  # a complaint is news for so long
_HUNG_S = 5.0  # a frame that is worked on for longer than this will not come back soon


class Report:
    """
    Tells `/diagnostics` and the log how a YOLO node is doing.

    Args:
        node: the node.
        statistics: its counts and latencies.
        complaints: what went wrong.
        images: its subscription; also told to check itself once a second.
        pipeline: its pipeline.
        runtime: what runs the model; a RestartingRuntime's state is told, too.
        facts: what does not change, to be shown too: model, runtime, configuration.

    """

    def __init__(self, node: Node, statistics: Statistics, complaints: Complaints,
                 images: ImageSubscription, pipeline: Pipeline[Any, Any], runtime: object,
                 facts: Mapping[str, object]) -> None:
        self._node = node
        self._statistics = statistics
        self._complaints = complaints
        self._images = images
        self._pipeline = pipeline
        self._runtime = runtime if isinstance(runtime, RestartingRuntime) else None
        self._facts = facts
        self._ticks = 0
        self._logged = 0
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', DIAGNOSTICS_QOS)
        self._timer = node.create_timer(_PERIOD_S, self._tick)

    def _tick(self) -> None:
        self._ticks += 1
        self._images.check(time.monotonic())
        if self._publisher.get_subscription_count() > 0:
            self._publisher.publish(self.message())
        if self._ticks % _LOG_EVERY == 0:
            self._log_rates()

    def message(self) -> DiagnosticArray:
        """Return the state now."""
        level, summary = self._verdict()
        header = Header(stamp=self._node.get_clock().now().to_msg())
        name = f'{self._node.get_fully_qualified_name().lstrip("/")}: inference'
        return status_message(header, name, str(self._facts.get('runtime', '')), level, summary,
                              self._values())

    def _verdict(self) -> tuple[bytes, str]:
        if self._runtime is not None and self._runtime.state != 'running':
            return DiagnosticStatus.ERROR, (f'the runtime is {self._runtime.state}: '
                                            f'{self._runtime.last_error}')
        hung = self._pipeline.hung
        if self._pipeline.is_stuck:
            return DiagnosticStatus.ERROR, (f'{hung} inferences have not returned, no slot is '
                                            'left: start the node again')
        if hung:
            return DiagnosticStatus.WARN, (f'{hung} inference(s) were given up and have not '
                                           'returned; others have their slots')
        working = self._statistics.longest_running()
        if working > _HUNG_S:
            return DiagnosticStatus.ERROR, f'an inference has not returned for {working:.0f} s'
        if self._complaints.is_recent(_TROUBLE_S):
            return DiagnosticStatus.WARN, 'images were left out; the log says why'
        # Over the statistics' window: a camera may well be slower than this report.
        if not self._statistics.rate('received'):
            publishers = self._images.publisher_count()
            what = f'although it has {publishers} publisher(s)' if publishers else 'no publisher'
            return DiagnosticStatus.WARN, f'no images on {self._images.topic_name}: {what}'
        if self._statistics.rate('unwatched') > 0 and not self._statistics.rate('published'):
            return DiagnosticStatus.OK, 'idle: nobody subscribes to a result'
        return DiagnosticStatus.OK, 'running'

    def _values(self) -> dict[str, object]:
        statistics, stats = self._statistics, self._pipeline.stats
        values: dict[str, object] = {
            **self._facts,
            'image topic': self._images.topic_name,
            'image transport': self._images.transport,
            'input rate (Hz)': statistics.rate('received'),
            'result rate (Hz)': statistics.rate('published'),
            'received': self._images.received,
            'published': statistics.total('published'),
            'dropped: a newer image came first': stats.dropped,
            'dropped: nobody subscribes': statistics.total('unwatched'),
            'dropped: overtaken': stats.late,
            'dropped: failed': stats.failed,
            'dropped: given up': stats.timed_out,
            'inference timeouts': statistics.total('inference timeout'),
            'lost by the middleware': self._images.lost,
        }
        if self._runtime is not None:
            values['runtime state'] = self._runtime.state
            values['runtime restarts'] = self._runtime.restarts
            values['runtime last error'] = self._runtime.last_error or 'none'
        for reason, count in self._complaints.counts().items():
            values[f'failed: {reason}'] = count
        for stage, (middle, high) in statistics.percentiles().items():
            values[f'{stage} p50 (ms)'] = middle * 1e3
            values[f'{stage} p95 (ms)'] = high * 1e3
        return values

    def _log_rates(self) -> None:
        published = self._statistics.total('published')
        if published == self._logged:
            return
        self._logged = published
        latency = self._statistics.percentiles().get('stamp to result')
        self._node.get_logger().info(
            f"images {self._statistics.rate('received'):.1f} Hz, "
            f"results {self._statistics.rate('published'):.1f} Hz"
            + (f', {latency[0] * 1e3:.0f} ms from stamp to result' if latency else ''))
