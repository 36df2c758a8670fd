"""ImagePublisher: images as arrays, to nodes of the same process and to everybody else."""

from __future__ import annotations

from typing import Any, Optional

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from rdk_yolo_ros.cdr import ImageArray, write_compressed_image, write_image
from rdk_yolo_ros.components.intra_process import AnyImage, IntraProcessPublisher


class ImagePublisher:
    """
    Publishes sensor_msgs/Image or CompressedImage, and copies pixels for listeners only.

    Args:
        node: the node that publishes.
        topic: the topic, remapped and resolved as any.
        compressed: whether it carries CompressedImage.
        qos: its quality of service.
        intra_process: hand images over to nodes of the same process as they are; DDS gets them
            while anybody else subscribes.

    """

    def __init__(self, node: Node, topic: str, compressed: bool, qos: QoSProfile,
                 intra_process: bool) -> None:
        kind: Any = CompressedImage if compressed else Image
        self._publisher = node.create_publisher(kind, topic, qos)
        self._local: Optional[IntraProcessPublisher] = None
        if intra_process:
            self._local = IntraProcessPublisher(node, topic)

    @property
    def topic_name(self) -> str:
        """The topic's full name, after remapping."""
        return self._publisher.topic_name

    def subscription_count(self) -> int:
        """Return how many DDS subscriptions the topic has, those of this process included."""
        return self._publisher.get_subscription_count()

    def is_watched(self) -> bool:
        """Return whether anybody gets what is published."""
        return self.subscription_count() > 0 or (
            self._local is not None and self._local.has_local())

    def publish(self, image: AnyImage) -> None:
        """Publish an image, whose array must not change from here on; its bytes are adjacent."""
        listeners = self.subscription_count() > 0
        if self._local is not None:
            self._local.publish(image)
            listeners = listeners and self._local.dds_listeners(self._publisher)
        if listeners:
            self._publisher.publish(write_image(image) if isinstance(image, ImageArray)
                                    else write_compressed_image(image))

    def wait_for_all_acked(self, seconds: float) -> None:
        """Wait until every reliable subscription has what was published, or for so long."""
        self._publisher.wait_for_all_acked(Duration(seconds=seconds))

    def close(self) -> None:
        """Hand nothing over any more; the node destroys what it has of ROS."""
        if self._local is not None:
            self._local.close()
