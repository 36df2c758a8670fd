"""PerceptionPublisher: results in TROS' ai_msgs, for its viewer and the nodes that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
import time
from typing import Any, Optional, Union

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import RuntimeUnavailableError
from rdk_yolo_ros.nodes.parameters import AI_MSGS_TOPIC
from rdk_yolo_ros.nodes.perception import Work, ai_msgs, perception_targets, performance
from rdk_yolo_ros.nodes.qos import PERCEPTION_QOS
from rdk_yolo_ros.nodes.qos_overrides import create_publisher
from rdk_yolo_ros.predictor import Predictor

_INFO_PERIOD_S = 1.0
_MOST_FPS = 32767  # an int16


class PerceptionPublisher:
    """
    Publishes ai_msgs/PerceptionTargets, and once a second the PerceptionInfo that goes with it.

    Args:
        node: the node that the topics belong to.
        topic: the targets' topic; the info's has `_info` at the end.
        names: the model's class names, by number.
        model: the model's name, for the steps' names.
        model_hw: the model input's height and width.
        fps: returns how many results a second there are.
        before: whose topics are taken over, so that their subscribers miss nothing; end its
            PerceptionInfo then.

    Raises:
        RuntimeUnavailableError: ai_msgs is not installed.

    """

    def __init__(self, node: Node, topic: str, names: Sequence[str], model: str,
                 model_hw: tuple[int, int], fps: Callable[[], float],
                 before: Optional[PerceptionPublisher] = None) -> None:
        self._messages = ai_msgs()
        self._node = node
        self._names = tuple(names)
        self._model = model
        self._model_hw = model_hw
        self._fps = fps
        self._hw: Optional[tuple[int, int]] = None
        if before is not None:
            self._targets: Publisher = before._targets
            self._info: Publisher = before._info
        else:
            self._targets = create_publisher(
                node, self._messages.PerceptionTargets, topic, PERCEPTION_QOS)
            self._info = create_publisher(
                node, self._messages.PerceptionInfo, f'{topic}_info', PERCEPTION_QOS)
        self._timer = node.create_timer(_INFO_PERIOD_S, self._publish_info,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def end_info(self) -> None:
        """Publish no more PerceptionInfo."""
        self._node.destroy_timer(self._timer)

    def release(self, heir: Optional[PerceptionPublisher] = None) -> None:
        """End the topics, unless `heir` has taken them over."""
        self.end_info()
        if heir is None:
            self._node.destroy_publisher(self._targets)
            self._node.destroy_publisher(self._info)

    def is_watched(self) -> bool:
        """Return whether anybody listens to the targets."""
        return self._targets.get_subscription_count() > 0

    def publish(self, result: Union[Detections, Classifications], header: Header,
                hw: tuple[int, int], work: Work) -> None:
        """
        Publish one image's result, if anybody listens.

        Args:
            result: detections, with key points and masks where the task has them; or classes.
            header: the image's header.
            hw: the image's height and width.
            work: what the image took.

        """
        self._hw = hw
        if not self.is_watched():
            return
        message = self._messages.PerceptionTargets(
            header=header, fps=min(round(self._fps()), _MOST_FPS),
            targets=perception_targets(result, hw, self._names, self._model_hw))
        message.perfs = performance(work, header, self._model,
                                    self._node.get_clock().now().to_msg(), time.monotonic())
        self._targets.publish(message)

    def _publish_info(self) -> None:
        # As upstream: the size is known once there is a result.
        if self._hw is None or self._info.get_subscription_count() == 0:
            return
        height, width = self._hw
        self._info.publish(self._messages.PerceptionInfo(
            header=Header(stamp=self._node.get_clock().now().to_msg()),
            height=height, width=width, class_names=self._names))


def perception_publisher(node: Node, given: Mapping[str, Any], predictor: Predictor,
                         fps: Callable[[], float],
                         before: Optional[PerceptionPublisher] = None
                         ) -> Optional[PerceptionPublisher]:
    """
    Return the publisher that the parameters ask for, or None.

    Args:
        node: the node.
        given: the values of `publish_ai_msgs` and `msg_pub_topic_name`.
        predictor: whose results are published.
        fps, before: as for PerceptionPublisher.

    Raises:
        RuntimeUnavailableError: `publish_ai_msgs` is true and ai_msgs is not installed.

    """
    if given['publish_ai_msgs'] == 'false':
        return None
    topic = given['msg_pub_topic_name']
    runtime = predictor.runtime
    model = Path(getattr(runtime, 'path', predictor.task)).stem
    try:
        return PerceptionPublisher(node, topic, tuple(predictor.class_names or ()), model,
                                   runtime.input_hw, fps, before)
    except RuntimeUnavailableError as error:
        if given['publish_ai_msgs'] == 'true':
            raise RuntimeUnavailableError(f'parameter publish_ai_msgs is true, but {error}') \
                from error
        if topic != AI_MSGS_TOPIC:
            node.get_logger().warning(f'parameter msg_pub_topic_name has no effect here: {error}')
        return None
