"""
Images and results from node to node within a process, as they are: nothing is serialised.

A publisher and the subscriptions of its topic find each other by the topic's resolved name within
one rclpy context. Over DDS the publisher sends only while somebody else listens; what then reaches
a local subscription a second time, it can tell by stamp and frame_id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import dataclasses
import threading
import time
import traceback
from typing import Any, Optional, Protocol, Union
from weakref import WeakKeyDictionary

from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher

from rdk_yolo_ros.cdr.images import CompressedImageArray, ImageArray

AnyImage = Union[ImageArray, CompressedImageArray]


class Stamped(Protocol):
    """What can be handed over: an image, or anything else with a stamp and a frame."""

    @property
    def stamp(self) -> tuple[int, int]:
        """Seconds and nanoseconds."""

    @property
    def frame_id(self) -> str:
        """The coordinate frame."""


# As many images as a fast camera sends while DDS is slow; a key of each is kept.
_REMEMBERED = 256
# Counts tell when listeners change, but for one that leaves as another comes.
_LOOK_AGAIN_S = 1.0
_CLOSING_S = 1.0


class _Topics:
    """Who subscribes to what, in one context."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Replaced, never changed: publishers read it without the lock.
        self._subscriptions: dict[str, tuple[IntraProcessSubscription, ...]] = {}

    def subscriptions(self, topic: str) -> tuple[IntraProcessSubscription, ...]:
        return self._subscriptions.get(topic, ())

    def add(self, topic: str, subscription: IntraProcessSubscription) -> None:
        with self._lock:
            self._subscriptions[topic] = (*self.subscriptions(topic), subscription)

    def remove(self, topic: str, subscription: IntraProcessSubscription) -> None:
        with self._lock:
            left = tuple(other for other in self.subscriptions(topic)
                         if other is not subscription)
            if left:
                self._subscriptions[topic] = left
            else:
                self._subscriptions.pop(topic, None)


_CONTEXTS: WeakKeyDictionary[Context, _Topics] = WeakKeyDictionary()
_CONTEXTS_LOCK = threading.Lock()


def _topics_of(context: Context) -> _Topics:
    with _CONTEXTS_LOCK:
        return _CONTEXTS.setdefault(context, _Topics())


class IntraProcessPublisher:
    """
    Hands images, or results, to every subscription of a topic in this process and ROS context.

    It stands beside an ordinary publisher of the topic, for whose sake `dds_listeners` tells
    whether there is anybody to publish to. Hand an image over before it is published: a
    subscription then knows what it gets twice.

    Args:
        node: the node that publishes.
        topic_name: the topic as for `node.create_publisher`: resolved and remapped as there.

    """

    def __init__(self, node: Node, topic_name: str) -> None:
        self._node = node
        self.topic_name = node.resolve_topic_name(topic_name)
        self._topics: Optional[_Topics] = _topics_of(node.context)
        self._asked: tuple[int, tuple[IntraProcessSubscription, ...]] = (0, ())
        self._asked_at = float('-inf')
        self._others = False

    def publish(self, item: Stamped) -> None:
        """
        Hand an image or a result over; never blocks, and does nothing once closed.

        Receivers get an image's very array, read-only: its owner must not write to it either from
        here on.
        """
        subscriptions = self._local()
        if not subscriptions:
            return
        if isinstance(item, (ImageArray, CompressedImageArray)) and item.data.flags.writeable:
            data = item.data.view()
            data.flags.writeable = False
            item = dataclasses.replace(item, data=data)
        for subscription in subscriptions:
            subscription._offer(item)

    def has_local(self) -> bool:
        """Return whether anybody in this process and context subscribes."""
        return bool(self._local())

    def dds_listeners(self, publisher: Publisher) -> bool:
        """
        Return whether anybody but the local subscriptions' own nodes subscribes over DDS.

        Args:
            publisher: the ordinary publisher of this topic.

        """
        local = self._local()
        matched = publisher.get_subscription_count()
        if not local or not matched or matched > len(local):
            return matched > 0
        # As many as are local, or fewer. It may still be that one of them has not been matched,
        # or does not fit, and that another process' has: the graph knows.
        now = time.monotonic()
        if self._asked != (matched, local) or now - self._asked_at > _LOOK_AGAIN_S:
            self._asked, self._asked_at = (matched, local), now
            self._others = self._has_others(local)
        return self._others

    def close(self) -> None:
        """Hand over nothing more."""
        self._topics = None

    def _local(self) -> tuple[IntraProcessSubscription, ...]:
        topics = self._topics  # another thread may close this
        return () if topics is None else topics.subscriptions(self.topic_name)

    def _has_others(self, local: tuple[IntraProcessSubscription, ...]) -> bool:
        found = Counter((info.node_namespace, info.node_name) for info in
                        self._node.get_subscriptions_info_by_topic(self.topic_name))
        return bool(found - Counter(subscription.node_key for subscription in local))


class IntraProcessSubscription:
    """
    Receives the images of a topic's publishers in this process and ROS context.

    At most one image waits, and a newer one takes its place: a slow callback costs its own
    images, and delays neither the publisher nor another subscription. It stands beside an
    ordinary subscription of the node, which gets the images of everybody else. What is said of
    images here holds for results as well.

    Args:
        node: the node that subscribes.
        topic_name: the topic as for `node.create_subscription`: resolved and remapped as there.
        callback: called with every image, in a thread of this subscription's own; what it raises
            is logged. The image's array is read-only and shared with others. None: the node gets
            what it needs elsewhere, and DDS need not bring it.

    Attributes:
        topic_name: the topic's full name.
        node_key: the node's namespace and name.

    """

    def __init__(self, node: Node, topic_name: str,
                 callback: Optional[Callable[[Any], object]]) -> None:
        self.topic_name = node.resolve_topic_name(topic_name)
        self.node_key = (node.get_namespace(), node.get_name())
        self._logger = node.get_logger()
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._waiting: Optional[Stamped] = None
        self._received = self._dropped = 0
        self._seen: dict[tuple[tuple[int, int], str], None] = {}  # the oldest first
        self._topics = _topics_of(node.context)
        self._thread: Optional[threading.Thread] = None
        if callback is not None:
            self._thread = threading.Thread(target=self._deliver, args=(callback,), daemon=True,
                                            name=f'intra-process {self.topic_name}')
            self._thread.start()
        self._topics.add(self.topic_name, self)

    @property
    def received(self) -> int:
        """How many images were handed over, with those that were dropped."""
        return self._received

    @property
    def dropped(self) -> int:
        """How many images a newer one displaced before the callback was free."""
        return self._dropped

    def is_duplicate(self, stamp: tuple[int, int], frame_id: str) -> bool:
        """
        Return whether an image that comes over DDS was handed over in this process before.

        Args:
            stamp: the image's stamp, seconds and nanoseconds.
            frame_id: the image's coordinate frame.

        """
        with self._changed:
            return (stamp, frame_id) in self._seen

    def close(self, timeout: float = _CLOSING_S) -> bool:
        """
        Receive nothing more, and wait for the callback.

        Args:
            timeout: how long to wait, in seconds.

        Returns:
            Whether the thread has ended; the callback itself need not wait for that.

        """
        self._topics.remove(self.topic_name, self)
        with self._changed:
            self._closed = True
            self._waiting = None
            self._changed.notify()
        if self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _offer(self, item: Stamped) -> None:
        """Leave an image for the thread; never blocks."""
        with self._changed:
            if self._closed:
                return
            key = (item.stamp, item.frame_id)
            self._seen.pop(key, None)
            self._seen[key] = None
            if len(self._seen) > _REMEMBERED:
                del self._seen[next(iter(self._seen))]
            self._received += 1
            if self._thread is None:
                return
            self._dropped += self._waiting is not None
            self._waiting = item
            self._changed.notify()

    def _deliver(self, callback: Callable[[Any], object]) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                item, self._waiting = self._waiting, None
            try:
                callback(item)
            except BaseException as error:  # SystemExit would end this thread without a word
                self._logger.error(
                    f'{self.topic_name}: an image was left out: {type(error).__name__}: {error}',
                    throttle_duration_sec=1.0)
                self._logger.debug(traceback.format_exc())
            # Waiting for the next image must not keep this one's memory.
            del item
