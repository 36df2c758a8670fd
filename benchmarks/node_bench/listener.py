"""A process that receives results: `python3 -m benchmarks.node_bench.listener`."""

from __future__ import annotations

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import Detection2DArray

from rdk_yolo_ros.nodes.qos import RESULT_QOS

TOPICS = {'detections': Detection2DArray, 'keypoints': PointCloud2, 'mask': Image}


def main() -> None:
    """Take every message as bytes, until interrupted; then print how many came."""
    rclpy.init()
    node = Node('listener')
    count = 0

    def on_message(message: bytes) -> None:
        nonlocal count
        count += 1

    for topic, kind in TOPICS.items():
        node.create_subscription(kind, topic, on_message, RESULT_QOS, raw=True)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
        print(f'received {count}', flush=True)


if __name__ == '__main__':
    main()
