"""Report: once a second the node's state to /diagnostics, every few seconds a line to the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics, component_status, history
from rdk_yolo_ros.nodes.image_status import ImageStatus
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.inference import Inference
from rdk_yolo_ros.nodes.qos import DIAGNOSTICS_QOS
from rdk_yolo_ros.nodes.reloading import Reloading
from rdk_yolo_ros.runtimes import RestartingRuntime

_PERIOD_S = 1.0
_LOG_EVERY = 5  # periods
_TROUBLE_S = 2.0  # a complaint is news for so long
_HUNG_S = 5.0  # a frame that is worked on for longer than this will not come back soon


@dataclass
class Condition:
    """
    What a YOLO node is and has at the moment.

    Attributes:
        state: 'unconfigured', 'inactive', 'active' or 'finalized'.
        enabled: whether images are wanted while it is active.
        fault: why the last transition failed, or nothing.
        reloading: its reloads.
        images: its subscription, while it is configured.
        inference: what images go through, while it is configured.
        facts: what is known of model and configuration, to be shown.

    """

    state: str = 'unconfigured'
    enabled: bool = True
    fault: str = ''
    reloading: Optional[Reloading] = None
    images: Optional[ImageSubscription] = None
    inference: Optional[Inference] = None
    facts: Mapping[str, object] = field(default_factory=dict)


class Report:
    """
    Tells `/diagnostics` and the log how a YOLO node is doing.

    Args:
        node: the node.
        condition: what it is and has; the node keeps it true.
        statistics: its counts and latencies.
        complaints: what went wrong.
        every_second: called before each report.

    """

    def __init__(self, node: Node, condition: Condition, statistics: Statistics,
                 complaints: Complaints, every_second: Callable[[], object]) -> None:
        self._node = node
        self._condition = condition
        self._statistics = statistics
        self._complaints = complaints
        self._every_second = every_second
        self._ticks = 0
        self._logged = 0
        self._image_status: Optional[ImageStatus] = None
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', DIAGNOSTICS_QOS)
        # Reports come while a simulation's clock stands still, too, or before there is one.
        self._timer = node.create_timer(
            _PERIOD_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tick(self) -> None:
        self._ticks += 1
        self._every_second()
        if self._publisher.get_subscription_count() > 0:
            self._publisher.publish(self.message())
        if self._ticks % _LOG_EVERY == 0:
            self._log_rates()

    def message(self) -> DiagnosticArray:
        """Return the state now."""
        level, summary = self._verdict()
        condition = self._condition
        name = self._node.get_fully_qualified_name().lstrip('/')
        statuses = [component_status(
            f'{name}: inference', str(condition.facts.get('runtime', '')), level, summary,
            self._values())]
        why_not = (condition.state if condition.state != 'active' else
                   '' if condition.enabled else 'disabled')
        if condition.images is None:
            # Always there, so that an aggregator may expect it.
            statuses.append(component_status(
                f'{name}: images', '', DiagnosticStatus.OK, f'not subscribed: {why_not}', {}))
        else:
            if self._image_status is None or self._image_status.images is not condition.images:
                self._image_status = ImageStatus(f'{name}: images', condition.images)
            statuses.append(self._image_status.status(why_not))
        return DiagnosticArray(header=Header(stamp=self._node.get_clock().now().to_msg()),
                               status=statuses)

    def _runtime(self) -> Optional[RestartingRuntime]:
        inference = self._condition.inference
        runtime = None if inference is None else inference.model.predictor.runtime
        return runtime if isinstance(runtime, RestartingRuntime) else None

    def _verdict(self) -> tuple[bytes, str]:
        condition, inference, images = (self._condition, self._condition.inference,
                                        self._condition.images)
        if condition.fault:
            return DiagnosticStatus.ERROR, f'{condition.state}: {condition.fault}'
        if inference is None or images is None or condition.state != 'active':
            return DiagnosticStatus.OK, condition.state
        runtime = self._runtime()
        if runtime is not None and runtime.state != 'running':
            return DiagnosticStatus.ERROR, f'the runtime is {runtime.state}: {runtime.last_error}'
        if not condition.enabled:
            return DiagnosticStatus.OK, 'disabled: call ~/enable with true to go on'
        hung = inference.hung
        if inference.is_stuck:
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
            return DiagnosticStatus.WARN, f'no images on {images.topic_name}: {_why(images)}'
        if condition.reloading is not None and condition.reloading.failure:
            return DiagnosticStatus.WARN, ('the last reload failed, the model before it goes on: '
                                           f'{condition.reloading.failure}')
        if self._statistics.rate('unwatched') > 0 and not self._statistics.rate('published'):
            return DiagnosticStatus.OK, 'idle: nobody subscribes to a result'
        return DiagnosticStatus.OK, 'running'

    def _values(self) -> dict[str, object]:
        statistics, condition = self._statistics, self._condition
        reloading = condition.reloading
        values: dict[str, object] = {
            'lifecycle state': condition.state, 'enabled': condition.enabled,
            'reloading': bool(reloading and reloading.is_running),
            'reload failure': (reloading and reloading.failure) or 'none', **condition.facts}
        if condition.images is not None:
            values['image topic'] = condition.images.topic_name
            values['image transport'] = condition.images.transport
            values['received'] = condition.images.received
            values['lost by the middleware'] = condition.images.lost
        values['input rate (Hz)'] = statistics.rate('received')
        values['result rate (Hz)'] = statistics.rate('published')
        values['published'] = statistics.total('published')
        if condition.inference is not None:
            stats = condition.inference.stats
            values['dropped: a newer image came first'] = stats.dropped
            values['dropped: nobody subscribes'] = statistics.total('unwatched')
            values['dropped: overtaken'] = stats.late
            values['dropped: failed'] = stats.failed + condition.inference.refused
            values['dropped: given up'] = stats.timed_out
            values['inference timeouts'] = statistics.total('inference timeout')
        runtime = self._runtime()
        if runtime is not None:
            values['runtime state'] = runtime.state
            values['runtime restarts'] = runtime.restarts
            values['runtime last error'] = runtime.last_error or 'none'
        return {**values, **history(statistics, self._complaints)}

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


def _why(images: ImageSubscription) -> str:
    """Return in a few words why no images come; the status of the images has more."""
    if images.obstacle:
        return ('it carries another type of message' if images.wrong_type else
                "no publisher's quality of service matches")
    publishers = images.publisher_count()
    return f'although it has {publishers} publisher(s)' if publishers else 'no publisher'
