"""What came over the graph, back as a picture with detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.detections import Detections


class ReceivedMasks:
    """Instance masks out of one label image: 0 background, i + 1 instance i."""

    def __init__(self, labels: np.ndarray, count: int) -> None:
        """Take a label image, uint8 or uint16 (h, w)."""
        self._labels = labels
        self._count = count

    def __len__(self) -> int:
        """Return the number of instances."""
        return self._count

    def __getitem__(self, index: Any) -> ReceivedMasks:
        """Return the masks of the selected instances."""
        chosen = np.arange(self._count)[index]
        numbers = np.zeros(self._count + 1, self._labels.dtype)
        numbers[chosen + 1] = np.arange(1, len(chosen) + 1)
        return ReceivedMasks(numbers[self._labels], len(chosen))

    def full(self, i: int) -> np.ndarray:
        """Return instance i's mask, bool (h, w)."""
        return self._labels == i + 1

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        """Return the label image."""
        return self._labels


def detections_from(message: Any, names: Sequence[str], extra: Optional[Any] = None) -> Detections:
    """
    Return the Detections of a vision_msgs/Detection2DArray, with what belongs to it.

    `extra` is the key points' sensor_msgs/PointCloud2, or the masks' sensor_msgs/Image.
    """
    numbers: dict[str, int] = {name: i for i, name in enumerate(names)}
    boxes, scores, class_ids = [], [], []
    for detection in message.detections:
        centre, box = detection.bbox.center.position, detection.bbox
        boxes.append((centre.x - box.size_x / 2, centre.y - box.size_y / 2,
                      centre.x + box.size_x / 2, centre.y + box.size_y / 2))
        hypothesis = detection.results[0].hypothesis
        scores.append(hypothesis.score)
        name = hypothesis.class_id
        class_ids.append(numbers[name] if name in numbers else int(name))
    keypoints = masks = None
    if extra is not None and hasattr(extra, 'fields'):
        keypoints = keypoints_from(extra)
    elif extra is not None:
        dtype = np.uint8 if extra.encoding == 'mono8' else np.dtype('<u2')
        labels = np.frombuffer(extra.data, dtype).reshape(extra.height, extra.width)
        masks = ReceivedMasks(labels, len(boxes))
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32),
                      np.array(class_ids, np.int32), keypoints, masks)


def keypoints_from(cloud: Any) -> np.ndarray:
    """Return a cloud's key points, float32 (N, K, 3): x, y, score."""
    points = np.frombuffer(cloud.data, '<f4').reshape(cloud.height, cloud.width, 4)
    return np.ascontiguousarray(points[..., (0, 1, 3)], np.float32)
