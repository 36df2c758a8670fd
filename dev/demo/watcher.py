"""The demo's own node: subscribes as any node of a robot would, counts and measures."""

from __future__ import annotations

import collections
import time
from typing import Any, Optional

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from received import detections_from, keypoints_from
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import Detection2DArray, LabelInfo

CONFIDENT = 0.5  # score of an instance or a key point
_REMEMBERED = 30  # images, of which the results may still come


class Watcher(Node):
    """
    Receives images and results.

    Attributes:
        frames_in: images received.
        frames_out: results received.
        detections: instances in all results.
        keypoints: key points of a confidence of CONFIDENT or more in all results.
        latencies: milliseconds from each image's stamp to the receipt of its detections.
        names: class names by number, as soon as the YOLO node has said them.

    """

    def __init__(self, task: str) -> None:
        """Subscribe to everything."""
        super().__init__('demo')
        self.frames_in = self.frames_out = self.detections = self.keypoints = 0
        self.latencies: list[float] = []
        self.names: list[str] = []
        self.best: Optional[dict[str, Any]] = None
        self._best_merit = -float('inf')
        self._parts: collections.OrderedDict[int, dict[str, Any]] = collections.OrderedDict()
        self._needed = {'image', 'detections'}
        self._received_at: collections.deque[float] = collections.deque(maxlen=2)
        self._first_at: Optional[float] = None
        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                             durability=DurabilityPolicy.TRANSIENT_LOCAL)
        # Results first: the executor then looks at them first, and their latency is not the time
        # that this process needs to take an image.
        self.create_subscription(Detection2DArray, 'yolo/detections', self._on_detections,
                                 reliable)
        if task == 'pose':
            self._needed.add('extra')
            self.create_subscription(PointCloud2, 'yolo/keypoints', self._on_keypoints, reliable)
        elif task == 'segment':
            self._needed.add('extra')
            self.create_subscription(Image, 'yolo/mask', self._on_mask, reliable)
        self.create_subscription(LabelInfo, 'yolo/label_info', self._on_label_info, latched)
        self.create_subscription(Image, 'image_raw', self._on_image, best_effort)

    @property
    def result_fps(self) -> float:
        """Results a second, from the first to the last."""
        if self.frames_out < 2 or self._first_at is None:
            return 0.0
        return (self.frames_out - 1) / (self._received_at[-1] - self._first_at)

    def best_detections(self) -> Any:
        """Return the Detections of the image in `best`."""
        assert self.best is not None
        return detections_from(self.best['detections'], self.names, self.best.get('extra'))

    def _on_image(self, message: Image) -> None:
        self.frames_in += 1
        self._remember('image', message)

    def _on_detections(self, message: Detection2DArray) -> None:
        now = self.get_clock().now()
        taken = Time.from_msg(message.header.stamp, clock_type=now.clock_type)
        self.latencies.append((now - taken).nanoseconds / 1e6)
        self._received_at.append(time.monotonic())
        if self._first_at is None:
            self._first_at = self._received_at[-1]
        self.frames_out += 1
        self.detections += len(message.detections)
        self._remember('detections', message)

    def _on_keypoints(self, message: PointCloud2) -> None:
        self.keypoints += int(np.count_nonzero(keypoints_from(message)[..., 2] >= CONFIDENT))
        self._remember('extra', message)

    def _on_mask(self, message: Image) -> None:
        self._remember('extra', message)

    def _on_label_info(self, message: LabelInfo) -> None:
        self.names = [entry.class_name
                      for entry in sorted(message.class_map, key=lambda entry: entry.class_id)]

    def _remember(self, part: str, message: Any) -> None:
        """Bring together what has one stamp, and keep the whole that shows the most."""
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        parts = self._parts.setdefault(stamp, {})
        parts[part] = message
        if self._needed <= set(parts):
            del self._parts[stamp]
            merit = self._merit(parts)
            if merit > self._best_merit:
                self.best, self._best_merit = parts, merit
        while len(self._parts) > _REMEMBERED:
            self._parts.popitem(last=False)

    @staticmethod
    def _merit(parts: dict[str, Any]) -> float:
        scores = np.array([detection.results[0].hypothesis.score
                           for detection in parts['detections'].detections])
        # Doubtful ones crowd a picture; they are not what it is to show.
        sure = scores >= CONFIDENT
        merit = float(scores[sure].sum() - scores[~sure].sum())
        extra = parts.get('extra')
        if extra is not None and hasattr(extra, 'fields') and sure.any():
            # A person who is seen from head to foot shows more than two cut off at the edge.
            seen = keypoints_from(extra)[sure, :, 2] >= CONFIDENT
            merit += float(seen.mean(axis=1).sum())
        return merit
