"""ImageSubscription: images of any type that a topic has, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from rdk_yolo_ros.cdr import read_compressed_image, read_image, read_stamp
from rdk_yolo_ros.components.intra_process import IntraProcessSubscription
from rdk_yolo_ros.errors import RuntimeUnavailableError
from rdk_yolo_ros.nodes.hbm_images import HBM_KINDS, hbm_type
from rdk_yolo_ros.nodes.image_loss import ImageLossWatch
from rdk_yolo_ros.nodes.images import ImageMessage
from rdk_yolo_ros.nodes.qos import IMAGE_QOS
from rdk_yolo_ros.share import find_file

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

_COMPRESSED = '/compressed'
_TRANSPORTS = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed',
               **{f'hbm_img_msgs/msg/{kind}': kind for kind in HBM_KINDS}}
# What each setting may become once a publisher is there.
_FOLLOWS: dict[str, tuple[str, ...]] = {
    'auto': tuple(_TRANSPORTS.values()), 'shared_mem': HBM_KINDS}


class ImageSubscription:
    """
    Subscribes to images, best effort and the newest only.

    Args:
        node: the node that subscribes.
        topic: the topic, remapped and resolved as any.
        transport: 'raw', 'compressed', 'auto' as the parameter `image_transport` says, or
            'shared_mem' for hbm_img_msgs: HbmMsg1080P until a publisher has another type.
        callback: called with every message, in the executor's thread.

    Raises:
        RuntimeUnavailableError: 'shared_mem', and hbm_img_msgs is not installed.

    """

    def __init__(self, node: Node, topic: str, transport: str,
                 callback: Callable[[ImageMessage], None], intra_process: bool = False) -> None:
        self._node = node
        self._callback = callback
        self._said = ''
        compressed = topic.endswith(_COMPRESSED)
        self._follows = () if transport == 'auto' and compressed else _FOLLOWS.get(transport, ())
        if transport == 'auto':
            transport = 'compressed' if compressed else 'raw'
        elif transport == 'compressed' and not compressed:
            topic += _COMPRESSED
        elif transport == 'shared_mem':
            transport = HBM_KINDS[0]
        self._topic = topic
        self._transport = transport
        self._loss = ImageLossWatch(node.resolve_topic_name(topic),
                                    get_rmw_implementation_identifier(), _dds_profile())
        self._type = _message_type(transport)
        self._intra_process = intra_process
        self._local: Optional[IntraProcessSubscription] = None
        self._subscription: Optional[Subscription] = None

    def open(self) -> None:
        self._choose_type()
        self._subscription = self._subscribe()
        if self._intra_process:
            self._local = IntraProcessSubscription(self._node, self._topic, self._on_image)

    def close(self) -> None:
        if self._local is not None:
            self._local.close()
            self._local = None
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    @property
    def topic_name(self) -> str:
        """The topic's full name, after remapping."""
        return self._node.resolve_topic_name(self._topic)

    @property
    def transport(self) -> str:
        """'raw', 'compressed', or one of hbm_img_msgs' kinds, 'HbmMsg1080P' for example."""
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
        if not self.received and self._choose_type() and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        if self._subscription is None:
            self._subscribe_again()
        warning = self._loss.warning(now, self.publisher_count())
        if warning is not None:
            self._node.get_logger().warning(warning)

    def _subscribe(self) -> Subscription:
        callbacks = SubscriptionEventCallbacks(message_lost=self._on_lost)
        try:
            return self._node.create_subscription(
                self._type, self._topic, self._on_raw, IMAGE_QOS, raw=True, event_callbacks=callbacks)
        except UnsupportedEventTypeError:
            self._loss.counts_losses = False
            return self._node.create_subscription(
                self._type, self._topic, self._on_raw, IMAGE_QOS, raw=True)

    def _subscribe_again(self) -> None:
        try:
            self._subscription = self._subscribe()
        except rclpy_implementation.RCLError as error:
            # An executor's thread may still hold on to the last one, whose type is another.
            self._node.get_logger().debug(f'{self.topic_name}: {error}; trying again')
        else:
            self._node.get_logger().info(f'{self.topic_name} carries {self._transport} images')

    def _choose_type(self) -> bool:
        """Take the type that the topic's publishers have; returns whether it is another one."""
        offered = {info.topic_type
                   for info in self._node.get_publishers_info_by_topic(self.topic_name)}
        if not offered or self._transport in {_TRANSPORTS.get(name) for name in offered}:
            return False
        for transport in self._follows:
            if not any(_TRANSPORTS.get(name) == transport for name in offered):
                continue
            try:
                self._type = _message_type(transport)
            except RuntimeUnavailableError as error:
                self._say(str(error))
                return False
            self._transport = transport
            return True
        types = ', '.join(sorted(offered))
        hint = ''
        if any(_TRANSPORTS.get(name) in HBM_KINDS for name in offered):
            hint = ': set image_transport to auto, or is_shared_mem_sub to 1'
        elif self._transport in HBM_KINDS:
            hint = ': for these leave is_shared_mem_sub at 0 and set image_topic'
        self._say(f'{self.topic_name} carries {types}, not the {self._transport} images that '
                  f'are waited for{hint}')
        return False

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._node.get_logger().warning(text)

    def _on_raw(self, buffer: bytes) -> None:
        if self._local is not None:
            seconds, nanoseconds, frame_id = read_stamp(buffer)
            if self._local.is_duplicate((seconds, nanoseconds), frame_id):
                return
        self._on_image(read_image(buffer) if self._transport == 'raw' else
                       read_compressed_image(buffer))

    def _on_image(self, message: ImageMessage) -> None:
        self._loss.on_image(len(message.data))
        self._callback(message)

    def _on_lost(self, event: Any) -> None:
        self._loss.on_lost(event.total_count_change)


def _message_type(transport: str) -> Any:
    own: dict[str, Any] = {'raw': Image, 'compressed': CompressedImage}
    return own.get(transport) or hbm_type(transport)


def _dds_profile() -> Optional[Path]:
    try:
        return find_file('config/dds/shared_memory.xml')
    except FileNotFoundError:
        return None
