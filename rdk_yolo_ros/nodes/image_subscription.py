"""ImageSubscription: images of any type and quality of service, and what is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
import threading
from typing import Any, Optional, Union

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier

from rdk_yolo_ros.cdr import read_compressed_image, read_image
from rdk_yolo_ros.components.intra_process import IntraProcessSubscription
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.nodes.image_loss import ImageLossWatch
from rdk_yolo_ros.nodes.image_silence import ImageSilence
from rdk_yolo_ros.nodes.image_transport import TRANSPORTS, ImageTransport
from rdk_yolo_ros.nodes.images import ImageMessage, header_of
from rdk_yolo_ros.nodes.latched_images import LatchedImages
from rdk_yolo_ros.nodes.qos import IMAGE_QOS
from rdk_yolo_ros.nodes.qos_matching import Offer, matching_profile, mismatches, offers, shown
from rdk_yolo_ros.nodes.qos_overrides import overridden
from rdk_yolo_ros.nodes.topic_statistics import TopicStatistics
from rdk_yolo_ros.share import find_file

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

# Closing is part of deactivating, which is promised to take less than 100 ms.
_CLOSING_S = 0.03


class ImageSubscription:
    """
    Subscribes to images, the newest only, with the quality of service that matches publishers.

    Args:
        node: the node that subscribes.
        topic: the topic, remapped and resolved as any.
        transport: as ImageTransport has it.
        callback: called with every image, in the executor's thread; with images of this process
            in a thread of theirs.
        intra_process: whether images of publishers in this process are taken without the
            middleware.
        on_malformed: called with what is wrong with bytes that are no image; without it that is
            logged.

    Attributes:
        topic_name: the topic's full name, after remapping.
        profile: the quality of service that it is subscribed with.
        publishers: who publishes the topic, as of the last check.
        mismatches: by publisher, why none of its images can arrive.
        wrong_type: why no publisher's type can be taken, or nothing.
        is_open: whether it is subscribed.
        statistics: of the images that arrived, malformed ones, too.
        duplicates: how many images came a second time.
        malformed: how many messages were no image, or one that contradicts itself.
        malformed_statistics: of those.
        malformation: what was wrong with the last of them.

    Raises:
        RuntimeUnavailableError: hbm_img_msgs is wanted, and not installed.
        rclpy.exceptions.ParameterException: `qos_overrides` has a value that no policy has.

    """

    def __init__(self, node: Node, topic: str, transport: str,
                 callback: Callable[[ImageMessage], None], intra_process: bool = False, *,
                 on_malformed: Optional[Callable[[FrameError], object]] = None) -> None:
        self._node = node
        self._callback = callback
        self._on_malformed = on_malformed or (
            lambda error: self._say(f'{self.topic_name}: {error}'))
        self._intra_process = intra_process
        self._said: set[str] = set()
        self._transport = ImageTransport(topic, transport)
        self._topic = self._transport.topic
        self.topic_name = node.resolve_topic_name(self._topic)
        self._overrides = overridden(node, self.topic_name, 'subscription')
        self._loss = ImageLossWatch(self.topic_name, get_rmw_implementation_identifier(),
                                    _dds_profile())
        self._silence = ImageSilence(self.topic_name, self._image_topics)
        self._lock = threading.Lock()
        self.statistics = TopicStatistics()
        self.duplicates = 0
        self.malformed = 0
        self.malformed_statistics = TopicStatistics()
        self.malformation = ''
        self.profile = matching_profile(IMAGE_QOS, (), self._overrides)
        self.publishers: list[Offer] = []
        self.mismatches: dict[str, str] = {}
        self.wrong_type = ''
        self.is_open = False
        self._subscription: Optional[Subscription] = None
        self._subscribed = self.profile
        self._is_outdated = False
        # While the subscription changes, the one before goes on until the new one has an image.
        self._before: Optional[Subscription] = None
        self._looks_with_both = 0
        self._number = 0
        self._last: Any = None
        self._latched = LatchedImages()
        # Of a camera's images, which do not, none need be remembered.
        self._may_come_again = True
        self._local: Optional[IntraProcessSubscription] = None
        self._dropped = 0

    @property
    def transport(self) -> str:
        """'raw', 'compressed', or one of hbm_img_msgs' kinds, 'HbmMsg1080P' for example."""
        return self._transport.name

    @property
    def received(self) -> int:
        """How many images arrived."""
        return self._loss.received

    @property
    def lost(self) -> int:
        """How many images the middleware says it lost."""
        return self._loss.lost

    @property
    def dropped(self) -> int:
        """How many images of this process a newer one displaced before they were taken."""
        return self._dropped + (self._local.dropped if self._local else 0)

    def publisher_count(self) -> int:
        """Return how many publishers the topic has."""
        return self._node.count_publishers(self.topic_name)

    @property
    def obstacle(self) -> str:
        """Why no image of any publisher can arrive, or nothing."""
        if any(TRANSPORTS.get(offer.type_name) == self.transport
               and offer.node not in self.mismatches for offer in self.publishers):
            return ''
        return self.wrong_type or '; '.join(self.mismatches.values())

    # In the executor's thread:

    def open(self) -> None:
        """
        Subscribe; twice does no harm.

        Raises:
            rclpy.exceptions.InvalidTopicNameException and the like: the topic has no valid name.

        """
        if self.is_open:
            return
        self._look_at_publishers()
        self._silence.start()
        self._subscription = self._subscribe()
        self._subscribed = self.profile
        self.is_open = True
        if self._intra_process:
            self._local = IntraProcessSubscription(self._node, self._topic, self._on_local)

    def close(self) -> None:
        """Unsubscribe; what was counted stays."""
        self.is_open = False
        local, self._local = self._local, None
        if local is not None:
            local.close(_CLOSING_S)
            self._dropped += local.dropped
        self._end()
        self._last = None
        self._latched.forget()  # who subscribes again wants a latched image again

    def check(self, now: float) -> None:
        """
        Follow the publishers, and say what keeps images from coming; call it once a second.

        Args:
            now: a steady clock's time in seconds.

        """
        if not self.is_open:
            return
        self._looks_with_both += 1
        if self._looks_with_both > 2:
            self._end_before()
        self._look_at_publishers()
        if self._is_outdated:
            self._subscribe_again()
        if not self.publishers:
            self._latched.forget()
        # What is known to keep images away has been said, and needs no guesses.
        obstacle, names = self.obstacle, [offer.node for offer in self.publishers]
        warnings = [self._loss.warning(now, 0 if obstacle else len(names))]
        if obstacle:
            self._silence.start()
        else:
            warnings.append(self._silence.look(now, self.received, names))
        for warning in warnings:
            if warning is not None:
                self._node.get_logger().warning(warning)

    def _look_at_publishers(self) -> None:
        """Take the type and the quality of service that the publishers have."""
        self.publishers = offers(self._node.get_publishers_info_by_topic(self.topic_name))
        # A camera may come back with another type, too.
        is_other, why_not = self._transport.follow(
            offer.type_name for offer in self.publishers)
        self.wrong_type = why_not and f'{self.topic_name} {why_not}'
        if why_not:
            self._say(self.wrong_type)
        if is_other:
            self._end()  # one participant cannot have two types on a topic
        self._may_come_again = not self.publishers or any(map(_is_latched, self.publishers))
        # Of nobody it asks for what matches whoever comes next.
        profile = matching_profile(IMAGE_QOS, self.publishers, self._overrides)
        is_other |= profile != self.profile
        self.profile = profile
        self._is_outdated |= is_other
        before, self.mismatches = self.mismatches, mismatches(
            self.topic_name, self.profile, self.publishers)
        for node, text in self.mismatches.items():
            if node in before:  # a publisher's name is known a moment later than the publisher
                self._say(text)

    def _subscribe(self) -> Subscription:
        self._number += 1
        self._is_outdated = False
        options: dict[str, Any] = {
            'raw': self._transport.is_read_as_bytes,
            'qos_overriding_options': QoSOverridingOptions(list(self._overrides))}
        arguments = (self._transport.type, self._topic,
                     partial(self._on_message, self._number), self.profile)
        # What does not match is said here, with what to do.
        callbacks = SubscriptionEventCallbacks(message_lost=self._on_lost,
                                               use_default_callbacks=False)
        try:
            return self._node.create_subscription(*arguments, **options,
                                                  event_callbacks=callbacks)
        except UnsupportedEventTypeError:
            self._loss.counts_losses = False
            return self._node.create_subscription(*arguments, **options)

    def _subscribe_again(self) -> None:
        old = self._subscription
        self._latched.change(_is_latched(self._subscribed), _is_latched(self.profile))
        try:
            self._subscription = self._subscribe()
        except rclpy_implementation.RCLError as error:
            # An executor's thread may still hold on to the last one, whose type is another.
            self._node.get_logger().debug(f'{self.topic_name}: {error}; trying again')
            self._is_outdated = True
            return
        self._end_before()
        self._before, self._looks_with_both = old, 0
        self._subscribed = self.profile
        what = (f'carries {self.transport} images' if self.publishers else
                'has no publisher any more')
        self._node.get_logger().info(
            f'{self.topic_name} {what}; subscribed {shown(self.profile)}')

    def _end(self) -> None:
        self._end_before()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def _end_before(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            self._node.destroy_subscription(before)

    def _on_message(self, number: int, message: Any) -> None:
        if self._before is not None and number == self._number:
            self._end_before()
            if _is_same(message, self._last):
                self.duplicates += 1
                return
        self._last = message
        try:
            image = message
            if self.transport == 'raw':
                image = read_image(message)
            elif self.transport == 'compressed':
                image = read_compressed_image(message)
        except FrameError as error:
            with self._lock:
                self._loss.on_image(len(message))
            self.statistics.add(len(message))
            self.note_malformed(error)
            self._on_malformed(error)
            return
        local = self._local
        if local is not None and self._transport.is_read_as_bytes \
                and local.is_duplicate(image.stamp, image.frame_id):
            self.duplicates += 1
            return
        if self._may_come_again and self._latched.remember(image):
            self.duplicates += 1
            return
        self._arrived(image)

    # In any thread:

    def note_malformed(self, error: FrameError) -> None:
        """Count an image that arrived and turns out to be malformed."""
        with self._lock:
            self.malformed += 1
            self.malformation = ' '.join(str(error).split())
        self.malformed_statistics.add(0)

    # In the executor's thread, or that of images of this process:

    def _on_local(self, image: ImageMessage) -> None:
        if self._may_come_again:
            self._latched.remember(image)
        self._arrived(image)

    def _arrived(self, image: ImageMessage) -> None:
        size = len(image.data)
        with self._lock:
            self._loss.on_image(size)
        self.statistics.add(size, self._age(image))
        self._callback(image)

    def _age(self, image: ImageMessage) -> float:
        """Return the seconds from an image's stamp until now, by the node's clock."""
        stamp = getattr(image, 'stamp', None)
        if stamp is None:
            header = header_of(image)
            stamp = (header.stamp.sec, header.stamp.nanosec)
        now = self._node.get_clock().now().nanoseconds
        return (now - stamp[0] * 10**9 - stamp[1]) * 1e-9

    def _on_lost(self, event: Any) -> None:
        self._loss.on_lost(event.total_count_change)

    def _image_topics(self) -> list[str]:
        """Return the image topics that somebody else publishes."""
        own = Counter(publisher.topic_name for publisher in self._node.publishers)
        return sorted(f'{name} ({kind})' for name, kinds in self._node.get_topic_names_and_types()
                      for kind in kinds if kind in TRANSPORTS
                      and self._node.count_publishers(name) > own[name])

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._node.get_logger().warning(text)


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two subscriptions gave the same image."""
    if isinstance(one, bytes) or isinstance(other, bytes) or other is None:
        return one == other
    return header_of(one) == header_of(other)


def _is_latched(quality: Union[Offer, QoSProfile]) -> bool:
    return quality.durability == DurabilityPolicy.TRANSIENT_LOCAL


def _dds_profile() -> Optional[Path]:
    try:
        return find_file('config/dds/shared_memory.xml')
    except FileNotFoundError:
        return None
