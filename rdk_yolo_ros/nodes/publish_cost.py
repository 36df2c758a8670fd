"""
Measure what publishing one result takes, to a subscriber on this machine.

`python -m rdk_yolo_ros.nodes.publish_cost` prints JSON; `rdk-yolo bench` reads it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import os
import statistics
import sys
import time
from typing import Any, Optional

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import Detection2DArray

from rdk_yolo_ros import cdr
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.nodes.qos import RESULT_QOS

_ROUNDS = 200
_DISCOVERY_S = 2.0
_STAMP, _FRAME_ID = (0, 0), 'camera'


def publish_cost(node: Node, detections: Detections, mask_hw: Optional[tuple[int, int]],
                 rounds: int = _ROUNDS) -> float:
    """
    Return the median time to make and publish one result, milliseconds.

    Args:
        node: publishes, and subscribes, so that what it publishes is sent.
        detections: the result.
        mask_hw: (height, width) of a label image to publish, too.
        rounds: how often.

    """
    kinds: list[tuple[Any, str]] = [(Detection2DArray, '~/detections')]
    if detections.keypoints is not None:
        kinds.append((PointCloud2, '~/keypoints'))
    if mask_hw is not None:
        kinds.append((Image, '~/mask'))
    publishers = [node.create_publisher(kind, topic, RESULT_QOS) for kind, topic in kinds]
    for kind, topic in kinds:
        node.create_subscription(kind, topic, lambda message: None, RESULT_QOS)
    end = time.monotonic() + _DISCOVERY_S
    while time.monotonic() < end and not all(p.get_subscription_count() for p in publishers):
        time.sleep(0.01)
    writer = cdr.DetectionsWriter()
    durations = []
    for _ in range(rounds):
        began = time.perf_counter()
        messages = [writer.write(detections, _STAMP, _FRAME_ID)]
        if detections.keypoints is not None:
            messages.append(cdr.write_keypoints(detections, _STAMP, _FRAME_ID))
        if mask_hw is not None:
            # The label image itself is the model's; it counts as decoded.
            messages.append(cdr.write_image(_label_image(mask_hw)))
        for publisher, message in zip(publishers, messages):
            publisher.publish(message)
        durations.append(time.perf_counter() - began)
    return statistics.median(durations) * 1e3


def _label_image(hw: tuple[int, int]) -> cdr.ImageArray:
    return cdr.ImageArray(_STAMP, _FRAME_ID, hw[0], hw[1], 'mono8', 0, hw[1],
                          np.zeros(hw[0] * hw[1], np.uint8))


def _detections(count: int, keypoints: int) -> Detections:
    corner = np.linspace(0, 300, count, dtype=np.float32)[:, None]
    return Detections(
        np.hstack([corner, corner, corner + 50, corner + 80]),
        np.linspace(0.9, 0.5, count, dtype=np.float32), np.zeros(count, np.int32),
        np.zeros((count, keypoints, 3), np.float32) if keypoints else None)


def main(args: Optional[Sequence[str]] = None) -> int:
    """Measure, print JSON and return the exit code."""
    parser = argparse.ArgumentParser(description='Measure what publishing a result takes.')
    parser.add_argument('--instances', type=int, default=10)
    parser.add_argument('--keypoints', type=int, default=0)
    parser.add_argument('--mask', action='store_true')
    parser.add_argument('--size', default='1280x720')
    parser.add_argument('--mark', default='', help='what the line of JSON begins with')
    arguments = parser.parse_args(args)
    width, height = (int(part) for part in arguments.size.split('x'))
    # Nobody else on the network is to see it. Newer versions complain of Humble's variable.
    if os.environ.get('ROS_DISTRO') == 'humble':
        os.environ.setdefault('ROS_LOCALHOST_ONLY', '1')
    else:
        os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    rclpy.init(args=[])
    node = Node('rdk_yolo_bench', enable_rosout=False, start_parameter_services=False)
    try:
        cost = publish_cost(node, _detections(arguments.instances, arguments.keypoints),
                            (height, width) if arguments.mask else None)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print(f'\n{arguments.mark}' + json.dumps({'event': 'end', 'milliseconds': cost}), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
