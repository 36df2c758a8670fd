"""
Listen to the image topics of a ROS graph for a while: types, qualities of service, rates, losses.

`python -m rdk_yolo_ros.nodes.topic_check` prints JSON; `rdk-yolo doctor` reads it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
import json
import os
import statistics
import struct
import sys
import time
from typing import Any, Optional

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.utilities import get_rmw_implementation_identifier

from rdk_yolo_ros.nodes.image_loss import ImageLossWatch
from rdk_yolo_ros.share import find_file

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

# The types that carry images, and where the stamp is in their serialized form (CDR): after 4 bytes
# of encapsulation, and in the vendor's messages after an int32 that counts the images.
_STAMP_AT = {'sensor_msgs/msg/Image': 4, 'sensor_msgs/msg/CompressedImage': 4,
             'hbm_img_msgs/msg/HbmMsg480P': 8, 'hbm_img_msgs/msg/HbmMsg540P': 8,
             'hbm_img_msgs/msg/HbmMsg1080P': 8}
_INDEX_AT = 4
# Until the first image publisher is known, and from then on, for those that follow.
_DISCOVERY_S = 6.0
_MORE_DISCOVERY_S = 1.5
# More topics than a robot has cameras; each costs the machine what its images cost.
_MOST_TOPICS = 12
# Best effort and volatile matches every publisher.
_QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10,
                  reliability=ReliabilityPolicy.BEST_EFFORT,
                  durability=DurabilityPolicy.VOLATILE)


class TopicWatch:
    """
    Counts the images of one topic.

    Args:
        node: the node that subscribes.
        name, type_name: the topic's.
        profile: where this package's DDS profile is, or None.

    """

    def __init__(self, node: Node, name: str, type_name: str, profile: Optional[Any]) -> None:
        self.name = name
        self._node = node
        self._type_name = type_name
        self._type: Any = None
        self._watch = ImageLossWatch(name, get_rmw_implementation_identifier(), profile)
        self._warnings: list[str] = []
        self._arrivals: list[float] = []
        self._stamps: list[int] = []
        self._indices: list[int] = []
        self._first: Optional[bytes] = None
        self._began = time.monotonic()
        self._error = ''
        try:
            package, _, kind = type_name.split('/')
            self._type = getattr(import_module(f'{package}.msg'), kind)
        except (ImportError, AttributeError) as error:
            self._error = f'its type cannot be imported: {error}'
            return
        self._subscribe()

    def _subscribe(self) -> None:
        # As bytes: a message object would be made for each image, which takes longer than to
        # receive it.
        try:
            self._node.create_subscription(
                self._type, self.name, self._on_image, _QOS, raw=True,
                event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_lost))
        except UnsupportedEventTypeError:
            self._watch.counts_losses = False
            self._node.create_subscription(self._type, self.name, self._on_image, _QOS, raw=True)

    def _on_lost(self, event: Any) -> None:
        self._watch.on_lost(event.total_count_change)

    def _on_image(self, data: Any) -> None:
        self._watch.on_image(len(data))
        self._arrivals.append(time.monotonic())
        order = '<' if data[1] & 1 else '>'
        at = _STAMP_AT[self._type_name]
        seconds, nanoseconds = struct.unpack_from(f'{order}iI', data, at)
        self._stamps.append(seconds * 10**9 + nanoseconds)
        if at > _INDEX_AT:
            self._indices += struct.unpack_from(f'{order}i', data, _INDEX_AT)
        if self._first is None:
            self._first = bytes(data)

    def tick(self) -> None:
        """Look for losses; to be called about once a second."""
        warning = self._watch.warning(time.monotonic(),
                                      self._node.count_publishers(self.name))
        if warning is not None:
            self._warnings.append(warning)

    def report(self) -> dict[str, Any]:
        """Return what was seen, as JSON can hold it."""
        self.tick()
        received, lost = self._watch.received, self._watch.lost
        # Its publisher numbers the vendor's images, lost ones too.
        if len(self._indices) > 1:
            lost = max(lost, self._indices[-1] - self._indices[0] + 1 - len(self._indices))
        rate = _rate(self._arrivals)
        counted = self._watch.counts_losses or bool(self._indices)
        return {
            'name': self.name, 'type': self._type_name, 'error': self._error,
            'publishers': self._ends(self._node.get_publishers_info_by_topic(self.name)),
            'subscriptions': [end for end in self._ends(
                self._node.get_subscriptions_info_by_topic(self.name))
                if end['node'] != self._node.get_name()],
            'seconds': time.monotonic() - self._began, 'received': received,
            'lost': lost if counted else None, 'received_hz': rate,
            'published_hz': self._published(rate, received, lost if counted else None),
            'largest_bytes': self._watch.largest, **self._image(), 'warnings': self._warnings}

    def _published(self, rate: Optional[float], received: int,
                   lost: Optional[int]) -> Optional[float]:
        if rate is None:
            return None
        if lost is not None:
            return rate * (received + lost) / received
        # Where losses are not counted, images that follow each other tell.
        steps = [b - a for a, b in zip(self._stamps, self._stamps[1:]) if b > a]
        return 1e9 / statistics.median(steps) if steps else None

    @staticmethod
    def _ends(infos: Sequence[Any]) -> list[dict[str, Any]]:
        return [{'node': info.node_name, 'type': info.topic_type,
                 'reliability': info.qos_profile.reliability.name.lower(),
                 'durability': info.qos_profile.durability.name.lower()} for info in infos]

    def _image(self) -> dict[str, Any]:
        """Return the first image's encoding and size."""
        if self._first is None:
            return {}
        message = deserialize_message(self._first, self._type)
        encoding = getattr(message, 'encoding', None)
        if encoding is None:
            return {'encoding': getattr(message, 'format', '')}
        if not isinstance(encoding, str):
            encoding = bytes(encoding).split(b'\0')[0].decode('ascii', 'replace')
        return {'encoding': encoding, 'width': int(message.width), 'height': int(message.height)}


def _rate(times: list[float]) -> Optional[float]:
    if len(times) < 2 or times[-1] <= times[0]:
        return None
    return (len(times) - 1) / (times[-1] - times[0])


def listen(node: Node, seconds: float, discovery: float = _DISCOVERY_S) -> list[dict[str, Any]]:
    """
    Return what is seen on each image topic of the graph.

    Args:
        node: a node that nobody else spins.
        seconds: how long to listen, where there is a topic with a publisher.
        discovery: seconds to wait for a publisher of images to be known.

    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        known = time.monotonic() + discovery
        while time.monotonic() < known and not any(
                node.count_publishers(name) for name, _ in _image_topics(node)):
            _spin(executor, 0.1)
        _spin(executor, _MORE_DISCOVERY_S)
        try:
            profile = find_file('config/dds/shared_memory.xml')
        except FileNotFoundError:
            profile = None
        watches = [TopicWatch(node, name, kind, profile)
                   for name, kind in _image_topics(node)[:_MOST_TOPICS]]
        if any(node.count_publishers(watch.name) for watch in watches):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                _spin(executor, min(1.0, end - time.monotonic()))
                for watch in watches:
                    watch.tick()
        return [watch.report() for watch in watches]
    finally:
        executor.remove_node(node)
        executor.shutdown(timeout_sec=1.0)


def _image_topics(node: Node) -> list[tuple[str, str]]:
    """Return the names and types of the topics that carry images."""
    return sorted((name, kind) for name, kinds in node.get_topic_names_and_types()
                  for kind in kinds if kind in _STAMP_AT)


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def main(args: Optional[Sequence[str]] = None) -> int:
    """Listen, print JSON and return the exit code."""
    parser = argparse.ArgumentParser(description='Listen to the image topics of a ROS graph.')
    parser.add_argument('--seconds', type=float, default=6.0)
    parser.add_argument('--mark', default='', help='what the line of JSON begins with')
    arguments = parser.parse_args(args)
    rclpy.init(args=[])
    node = Node('rdk_yolo_doctor', enable_rosout=False, start_parameter_services=False)
    try:
        topics = listen(node, arguments.seconds)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print(f'\n{arguments.mark}' + json.dumps({
        'event': 'end', 'rmw': get_rmw_implementation_identifier(),
        'domain': os.environ.get('ROS_DOMAIN_ID', '0'), 'topics': topics}), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
