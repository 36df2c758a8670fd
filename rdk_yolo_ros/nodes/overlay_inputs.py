"""OverlayInputs: what the overlay node subscribes to while somebody listens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import Detection2DArray, LabelInfo

from rdk_yolo_ros.cdr import read_stamp
from rdk_yolo_ros.components.intra_process import IntraProcessSubscription
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.local_results import LocalResult
from rdk_yolo_ros.nodes.overlay_matching import DETECTIONS
from rdk_yolo_ros.nodes.qos import LATCHED_QOS, RESULT_QOS

KEYPOINTS, MASK = 'keypoints', 'mask'
_TYPES: dict[str, Any] = {DETECTIONS: Detection2DArray, KEYPOINTS: PointCloud2, MASK: Image}


class OverlayInputs:
    """
    Subscribes to images and results together, and to neither while nobody listens.

    Args:
        node: the node that subscribes.
        images: its subscription to images, not yet open.
        results: the YOLO node's name; its topics are below it.
        kinds: which results are wanted: 'detections', 'keypoints', 'mask'.
        on_result: called as on_result(stamp, {kind: result}), in the executor's thread with
            messages, in another with LocalResults.
        on_classes: called with the classes as (number, name).
        intra_process: whether results of nodes in this process are taken as they are.

    """

    def __init__(self, node: Node, images: ImageSubscription, results: str,
                 kinds: frozenset[str],
                 on_result: Callable[[tuple[int, int], Mapping[str, Any]], None],
                 on_classes: Callable[[list[tuple[int, str]]], None],
                 intra_process: bool) -> None:
        self.images = images
        self._node = node
        self._topics = {kind: f'{results}/{kind}' for kind in _TYPES if kind in kinds}
        self._label_info = f'{results}/label_info'
        self._on_result = on_result
        self._on_classes = on_classes
        self._intra_process = intra_process
        self._subscriptions: list[Subscription] = []
        self._local: dict[str, IntraProcessSubscription] = {}

    @property
    def is_open(self) -> bool:
        """Whether it subscribes now."""
        return bool(self._subscriptions)

    def open(self) -> None:
        """Subscribe to everything."""
        self.images.open()
        for kind, topic in self._topics.items():
            self._subscriptions.append(self._node.create_subscription(
                _TYPES[kind], topic, partial(self._on_message, kind), RESULT_QOS, raw=True))
            if self._intra_process:
                # What comes with the detections has the key points and masks in it.
                self._local[kind] = IntraProcessSubscription(
                    self._node, topic, self._on_local if kind == DETECTIONS else None)
        self._subscriptions.append(self._node.create_subscription(
            LabelInfo, self._label_info, self._on_label_info, LATCHED_QOS))

    def close(self) -> None:
        """Unsubscribe from everything."""
        self.images.close()
        for local in self._local.values():
            local.close()
        self._local.clear()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def published_kinds(self) -> frozenset[str]:
        """Return which of the wanted results somebody publishes; detections always."""
        return frozenset(
            kind for kind, topic in self._topics.items() if kind == DETECTIONS
            or self._node.count_publishers(self._node.resolve_topic_name(topic)))

    def _on_message(self, kind: str, buffer: bytes) -> None:
        seconds, nanoseconds, frame_id = read_stamp(buffer)
        stamp, local = (seconds, nanoseconds), self._local.get(kind)
        if local is None or not local.is_duplicate(stamp, frame_id):
            self._on_result(stamp, {kind: deserialize_message(buffer, _TYPES[kind])})

    def _on_local(self, result: LocalResult) -> None:
        self._on_result(result.stamp, dict.fromkeys(self._topics, result))

    def _on_label_info(self, message: LabelInfo) -> None:
        self._on_classes([(entry.class_id, entry.class_name) for entry in message.class_map])
