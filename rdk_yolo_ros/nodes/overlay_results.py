"""From result messages back to `Detections`, so that they can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional
import zlib

import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from vision_msgs.msg import Detection2DArray

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.errors import FrameError

# Classes whose numbers are not known get one of these, by name; behind every model's own.
_UNKNOWN_FROM, _UNKNOWN_COUNT = 100_000, 997


class LabelMasks:
    """
    Masks as ~/mask has them: one picture, 0 background, i + 1 instance i.

    Args:
        labels: uint8 or uint16 (h, w).
        count: how many instances there are.

    """

    def __init__(self, labels: np.ndarray, count: int) -> None:
        self._labels = labels
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> LabelMasks:
        chosen = np.arange(self._count)[index]
        numbers = np.zeros(self._count + 1, self._labels.dtype)
        numbers[chosen + 1] = np.arange(1, len(chosen) + 1)
        return LabelMasks(numbers[self._labels], len(chosen))

    def full(self, i: int) -> np.ndarray:
        """Return instance i over the image, bool (h, w)."""
        return self._labels == i + 1

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        """
        Return all instances in one picture of height x width: uint8 or uint16 (h, w).

        It may lack the masks' last row or column, as NV12 does where the image's size is odd.

        Raises:
            FrameError: the masks have another size.

        """
        rows, columns = self._labels.shape
        if height not in (rows, rows // 2 * 2) or width not in (columns, columns // 2 * 2):
            raise FrameError(f'masks are {columns}x{rows}, expected the size of their image, '
                             f'{width}x{height}')
        return self._labels[:height, :width]


class ClassNumbers:
    """Class names and numbers, as ~/label_info tells them; used from several threads."""

    def __init__(self) -> None:
        self._numbers: Mapping[str, int] = {}
        self._names: Mapping[int, str] = {}

    def learn(self, classes: Sequence[tuple[int, str]]) -> None:
        """Take over what a model's classes are called."""
        self._numbers = {name: number for number, name in classes}
        self._names = dict(classes)

    def number(self, class_id: str) -> int:
        """Return the number of a detection's class_id, a name or a number; made up if unknown."""
        number = self._numbers.get(class_id)
        if number is not None:
            return number
        # Nine digits fit int32.
        if class_id.isascii() and class_id.isdigit() and len(class_id) <= 9:
            return int(class_id)
        return _UNKNOWN_FROM + zlib.crc32(class_id.encode()) % _UNKNOWN_COUNT

    def name(self, class_id: str) -> str:
        """Return what to call a detection's class_id."""
        if class_id not in self._numbers and class_id.isascii() and class_id.isdigit():
            return self._names.get(int(class_id), class_id)
        return class_id


def detections_from_messages(message: Detection2DArray, keypoints: Optional[PointCloud2],
                             mask: Optional[Image], classes: ClassNumbers
                             ) -> tuple[Detections, dict[int, str]]:
    """
    Return the detections of a frame, and what their classes are called, by number.

    Args:
        message: boxes, classes and scores.
        keypoints: row i belongs to detection i, as ~/keypoints has it; or None.
        mask: i + 1 is detection i, as ~/mask has it; or None.
        classes: knows the classes' numbers.

    Raises:
        FrameError: key points or mask do not fit the detections, or cannot be read.

    """
    count = len(message.detections)
    boxes = np.zeros((count, 4))
    scores, angles, ids = np.zeros(count), np.zeros(count), np.zeros(count, np.int32)
    names: dict[int, str] = {}
    for i, detection in enumerate(message.detections):
        centre = detection.bbox.center
        x, y = centre.position.x, centre.position.y
        width, height = detection.bbox.size_x / 2, detection.bbox.size_y / 2
        boxes[i] = x - width, y - height, x + width, y + height
        angles[i] = centre.theta
        class_id = ''
        if detection.results:
            best = detection.results[0].hypothesis
            class_id, scores[i] = best.class_id, best.score
        ids[i] = classes.number(class_id)
        names[int(ids[i])] = classes.name(class_id)
    detections = Detections(
        boxes.astype(np.float32), scores.astype(np.float32), ids,
        keypoints=None if keypoints is None else _points(keypoints, count),
        masks=None if mask is None else LabelMasks(_labels(mask, count), count),
        angles=angles.astype(np.float32) if angles.any() else None)
    return detections, names


def _points(cloud: PointCloud2, count: int) -> np.ndarray:
    """Return the key points of `count` instances, float32 (count, K, 3): x, y, score."""
    offsets = {field.name: field.offset for field in cloud.fields
               if field.datatype == PointField.FLOAT32 and field.offset + 4 <= cloud.point_step}
    if cloud.height != count or not {'x', 'y', 'score'} <= offsets.keys() \
            or cloud.row_step < cloud.point_step * cloud.width \
            or len(cloud.data) < cloud.row_step * cloud.height or cloud.is_bigendian:
        raise FrameError(
            f'key points of {cloud.height} instances with {cloud.width} points of '
            f'{cloud.point_step} bytes, a row step of {cloud.row_step} and the float32 fields '
            f'{shown(list(offsets))} in {len(cloud.data)} bytes, expected {count} '
            'instances with x, y and score, little-endian: check the publisher')
    points = np.zeros((count, cloud.width, 3), np.float32)
    data = np.frombuffer(cloud.data, np.uint8)
    if points.size:
        for i, name in enumerate(('x', 'y', 'score')):
            points[..., i] = np.ndarray(points.shape[:2], '<f4', data, offsets[name],
                                        (cloud.row_step, cloud.point_step))
    return points


def _labels(mask: Image, count: int) -> np.ndarray:
    """Return which instance each pixel belongs to, of `count`: uint8 or uint16 (h, w)."""
    kind = np.dtype({'mono8': 'u1', 'mono16': '<u2'}.get(mask.encoding, 'V0'))
    if not kind.itemsize or mask.step < mask.width * kind.itemsize \
            or len(mask.data) < mask.step * mask.height:
        raise FrameError(f'mask is {shown(mask.encoding)} {mask.width}x{mask.height} with step '
                         f'{mask.step} in {len(mask.data)} bytes, expected mono8 or mono16 with '
                         'all of its rows: check the publisher')
    labels = np.ndarray((mask.height, mask.width), kind, np.frombuffer(mask.data, np.uint8), 0,
                        (mask.step, kind.itemsize))
    most = int(labels.max(initial=0))
    if most > count:
        raise FrameError(f'mask has an instance {most}, expected no more than the {count} '
                         'detection(s) with its stamp: check the publisher')
    return labels
