"""Key points, masks and classes as serialised messages."""

from __future__ import annotations

from collections.abc import Sequence
import struct
from typing import Optional

import numpy as np

from rdk_yolo_ros.cdr.class_text import class_text
from rdk_yolo_ros.cdr.images import ImageArray
from rdk_yolo_ros.cdr.writer import ENCAPSULATION, CdrWriter, header_bytes
from rdk_yolo_ros.detections import Classifications, Detections

KEYPOINT_FIELDS = ('x', 'y', 'z', 'score')
KEYPOINT_STEP = 16  # bytes
_FLOAT32 = 7        # sensor_msgs/PointField's number for it


def write_keypoints(detections: Detections, stamp: tuple[int, int], frame_id: str) -> bytes:
    """
    Return the key points of N instances as a serialised PointCloud2, a row for each detection.

    Args:
        detections: N instances with key points, float32 (N, K, 3).
        stamp: the image's, seconds and nanoseconds.
        frame_id: the image's.

    Raises:
        ValueError: `detections` has no key points.

    """
    cloud = keypoint_cloud(detections)
    height, width = cloud.shape[:2]
    return b''.join((
        ENCAPSULATION, header_bytes(stamp, frame_id), _TWO_UINT32.pack(height, width), _LAYOUT,
        _TWO_UINT32.pack(KEYPOINT_STEP * width, cloud.nbytes),
        cloud.reshape(-1).view(np.uint8).data, _IS_DENSE))


def keypoint_cloud(detections: Detections) -> np.ndarray:
    """
    Return the points of the organised cloud, little-endian float32 (N, K, 4): x, y, 0, score.

    Raises:
        ValueError: `detections` has no key points.

    """
    if detections.keypoints is None:
        raise ValueError('these detections have no key points')
    cloud = np.zeros((*detections.keypoints.shape[:2], len(KEYPOINT_FIELDS)), '<f4')
    cloud[..., :2] = detections.keypoints[..., :2]
    cloud[..., 3] = detections.keypoints[..., 2]
    return cloud


def label_image(detections: Detections, stamp: tuple[int, int], frame_id: str,
                hw: tuple[int, int]) -> ImageArray:
    """
    Return one picture of all instances: 0 is background, i + 1 detection i.

    Args:
        detections: N instances with masks.
        stamp: the image's, seconds and nanoseconds.
        frame_id: the image's.
        hw: height and width of the source image, and of the picture.

    Returns:
        mono8, or mono16 for more than 255 instances.

    Raises:
        ValueError: `detections` has no masks.

    """
    if detections.masks is None:
        raise ValueError('these detections have no masks')
    height, width = hw
    labels = detections.masks.to_label_image(height, width)
    wide = labels.dtype.itemsize == 2
    if wide:
        labels = labels.astype('<u2', copy=False)
    data = labels.reshape(-1).view(np.uint8)
    data.flags.writeable = False
    return ImageArray(stamp, frame_id, height, width, 'mono16' if wide else 'mono8', 0,
                      width * labels.dtype.itemsize, data)


def write_classification(classes: Classifications, stamp: tuple[int, int], frame_id: str,
                         names: Optional[Sequence[str]] = None) -> bytes:
    """
    Return the best classes of a whole image as a serialised vision_msgs/Classification.

    Args:
        classes: their numbers and scores, best first.
        stamp: the image's, seconds and nanoseconds.
        frame_id: the image's.
        names: as for `DetectionsWriter`.

    """
    writer = CdrWriter()
    writer.header(stamp, frame_id)
    writer.uint32(len(classes))
    for class_id, score in zip(classes.class_ids.tolist(), classes.scores.tolist()):
        writer.string(class_text(class_id, names))
        writer.float64(score)
    return writer.message()


def write_label_info(names: Sequence[str], threshold: float, stamp: tuple[int, int],
                     frame_id: str) -> bytes:
    """Return the class names and the lowest score as a serialised vision_msgs/LabelInfo."""
    writer = CdrWriter()
    writer.header(stamp, frame_id)
    writer.uint32(len(names))
    for i, name in enumerate(names):
        writer.uint16(i)
        writer.string(name)
    writer.float32(threshold)
    return writer.message()


def _layout() -> bytes:
    """Return a cloud's fields, is_bigendian and point_step, of which none ever differs."""
    writer = CdrWriter()
    writer.uint32(len(KEYPOINT_FIELDS))
    for i, name in enumerate(KEYPOINT_FIELDS):
        writer.string(name)
        writer.uint32(4 * i)
        writer.uint8(_FLOAT32)
        writer.uint32(1)
    writer.uint8(0)
    writer.uint32(KEYPOINT_STEP)
    return writer.body()


_LAYOUT = _layout()
_TWO_UINT32 = struct.Struct('<II')
_IS_DENSE = b'\1'
