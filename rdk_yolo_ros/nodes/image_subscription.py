"""ImageSubscription: raw or compressed images from one topic, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional, Union

from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from rdk_yolo_ros.nodes.image_loss import ImageLossWatch
from rdk_yolo_ros.nodes.qos import IMAGE_QOS
from rdk_yolo_ros.share import find_file

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

_COMPRESSED = '/compressed'
_TYPES: dict[str, Any] = {'raw': Image, 'compressed': CompressedImage}
_TRANSPORTS = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed'}


class ImageSubscription:
    """
    Subscribes to images, best effort and the newest only.

    Args:
        node: the node that subscribes.
        topic: the topic, remapped and resolved as any.
        transport: 'raw', 'compressed', or 'auto' as the parameter `image_transport` says.
        callback: called with every message, in the executor's thread.

    """

    def __init__(self, node: Node, topic: str, transport: str,
                 callback: Callable[[Union[Image, CompressedImage]], None]) -> None:
        self._node = node
        self._callback = callback
        self._follows_publisher = transport == 'auto' and not topic.endswith(_COMPRESSED)
        if transport == 'auto':
            transport = 'compressed' if topic.endswith(_COMPRESSED) else 'raw'
        elif transport == 'compressed' and not topic.endswith(_COMPRESSED):
            topic += _COMPRESSED
        self._topic = topic
        self._transport = self._offered() or transport if self._follows_publisher else transport
        self._loss = ImageLossWatch(node.resolve_topic_name(topic),
                                    get_rmw_implementation_identifier(), _dds_profile())
        self._subscription = self._subscribe()

    @property
    def topic_name(self) -> str:
        """The topic's full name, after remapping."""
        return self._node.resolve_topic_name(self._topic)

    @property
    def transport(self) -> str:
        """'raw' or 'compressed'."""
        return self._transport

    @property
    def received(self) -> int:
        """How many images arrived."""
        return self._loss.received

    @property
    def lost(self) -> int:
        """How many images the middleware says it lost."""
        return self._loss.lost

    def publisher_count(self) -> int:
        """Return how many publishers the topic has."""
        return self._node.count_publishers(self.topic_name)

    def check(self, now: float) -> None:
        """
        Follow the publisher's type, and warn of images that get lost; call it once a second.

        Args:
            now: a steady clock's time in seconds.

        """
        if self._follows_publisher and not self.received:
            self._follow_publisher()
        warning = self._loss.warning(now, self.publisher_count())
        if warning is not None:
            self._node.get_logger().warning(warning)

    def _subscribe(self) -> Subscription:
        message_type = _TYPES[self._transport]
        callbacks = SubscriptionEventCallbacks(message_lost=self._on_lost)
        try:
            return self._node.create_subscription(
                message_type, self._topic, self._on_image, IMAGE_QOS, event_callbacks=callbacks)
        except UnsupportedEventTypeError:
            self._loss.counts_losses = False
            return self._node.create_subscription(
                message_type, self._topic, self._on_image, IMAGE_QOS)

    def _offered(self) -> Optional[str]:
        """Return the transport whose type the topic's publishers have, if they have one."""
        for info in self._node.get_publishers_info_by_topic(self.topic_name):
            transport = _TRANSPORTS.get(info.topic_type)
            if transport is not None:
                return transport
        return None

    def _follow_publisher(self) -> None:
        transport = self._offered()
        if transport is None or transport == self._transport:
            return
        self._node.destroy_subscription(self._subscription)
        self._transport = transport
        self._subscription = self._subscribe()
        self._node.get_logger().info(f'{self.topic_name} carries {transport} images')

    def _on_image(self, message: Union[Image, CompressedImage]) -> None:
        self._loss.on_image(len(message.data))
        self._callback(message)

    def _on_lost(self, event: Any) -> None:
        self._loss.on_lost(event.total_count_change)


def _dds_profile() -> Optional[Path]:
    try:
        return find_file('config/dds/shared_memory.xml')
    except FileNotFoundError:
        return None
