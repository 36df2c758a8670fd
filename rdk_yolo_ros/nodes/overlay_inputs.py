"""OverlayInputs: what the overlay node subscribes to while somebody listens to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import Detection2DArray, LabelInfo

from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
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
        on_result: called as on_result(kind, message), in the executor's thread.
        on_classes: called with the classes as (number, name).

    """

    def __init__(self, node: Node, images: ImageSubscription, results: str,
                 kinds: frozenset[str], on_result: Callable[[str, Any], None],
                 on_classes: Callable[[list[tuple[int, str]]], None]) -> None:
        self.images = images
        self._node = node
        self._topics = {kind: f'{results}/{kind}' for kind in _TYPES if kind in kinds}
        self._label_info = f'{results}/label_info'
        self._on_result = on_result
        self._on_classes = on_classes
        self._subscriptions: list[Subscription] = []

    @property
    def is_open(self) -> bool:
        """Whether it subscribes now."""
        return bool(self._subscriptions)

    def open(self) -> None:
        """Subscribe to everything."""
        self.images.open()
        for kind, topic in self._topics.items():
            self._subscriptions.append(self._node.create_subscription(
                _TYPES[kind], topic, partial(self._on_result, kind), RESULT_QOS))
        self._subscriptions.append(self._node.create_subscription(
            LabelInfo, self._label_info, self._on_label_info, LATCHED_QOS))

    def close(self) -> None:
        """Unsubscribe from everything."""
        self.images.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def published_kinds(self) -> frozenset[str]:
        """Return which of the wanted results somebody publishes; detections always."""
        return frozenset(
            kind for kind, topic in self._topics.items() if kind == DETECTIONS
            or self._node.count_publishers(self._node.resolve_topic_name(topic)))

    def _on_label_info(self, message: LabelInfo) -> None:
        self._on_classes([(entry.class_id, entry.class_name) for entry in message.class_map])
