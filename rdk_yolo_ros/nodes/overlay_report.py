"""OverlayReport: once a second the overlay's state to /diagnostics."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics, history, status_message
from rdk_yolo_ros.nodes.overlay_inputs import OverlayInputs
from rdk_yolo_ros.nodes.overlay_matching import DETECTIONS, Matcher
from rdk_yolo_ros.nodes.qos import DIAGNOSTICS_QOS

_PERIOD_S = 1.0
_TROUBLE_S = 2.0  # a complaint is news for so long


class OverlayReport:
    """
    Tells `/diagnostics` how an overlay node is doing.

    Args:
        node: the node.
        statistics: its counts and latencies.
        complaints: what went wrong.
        inputs: its subscriptions; its images are also told to check themselves once a second.
        matcher: its images that wait.

    """

    def __init__(self, node: Node, statistics: Statistics, complaints: Complaints,
                 inputs: OverlayInputs, matcher: Matcher[Any]) -> None:
        self._node = node
        self._statistics = statistics
        self._complaints = complaints
        self._inputs = inputs
        self._matcher = matcher
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', DIAGNOSTICS_QOS)
        # Reports come while a simulation's clock stands still, too, or before there is one.
        self._timer = node.create_timer(
            _PERIOD_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tick(self) -> None:
        if self._inputs.is_open:
            self._inputs.images.check(time.monotonic())
        if self._publisher.get_subscription_count() > 0:
            self._publisher.publish(self.message())

    def message(self) -> DiagnosticArray:
        """Return the state now."""
        level, summary = self._verdict()
        name = f'{self._node.get_fully_qualified_name().lstrip("/")}: overlay'
        header = Header(stamp=self._node.get_clock().now().to_msg())
        return status_message(header, name, '', level, summary, self._values())

    def _verdict(self) -> tuple[bytes, str]:
        if not self._inputs.is_open:
            return DiagnosticStatus.OK, 'idle: nobody subscribes to a picture'
        if self._complaints.is_recent(_TROUBLE_S):
            return DiagnosticStatus.WARN, 'images were left out; the log says why'
        if not self._statistics.rate('received'):
            return DiagnosticStatus.WARN, f'no images on {self._inputs.images.topic_name}'
        if not self._statistics.rate(DETECTIONS):
            return DiagnosticStatus.WARN, 'no results: images are shown as they are'
        return DiagnosticStatus.OK, 'running'

    def _values(self) -> dict[str, object]:
        statistics, counts = self._statistics, self._matcher.counts
        values: dict[str, object] = {
            'image topic': self._inputs.images.topic_name,
            'image transport': self._inputs.images.transport,
            'input rate (Hz)': statistics.rate('received'),
            'result rate (Hz)': statistics.rate(DETECTIONS),
            'picture rate (Hz)': statistics.rate('shown'),
            'received': statistics.total('received'),
            'shown': statistics.total('shown'),
            'shown without results': counts.plain,
            'left out: no result came for them': counts.left_out,
            'dropped: a newer image came first': statistics.total('dropped'),
            'failed': statistics.total('failed'),
            'waiting for results': len(self._matcher),
        }
        return {**values, **history(statistics, self._complaints)}
