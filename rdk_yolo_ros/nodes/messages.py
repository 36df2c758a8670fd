"""From results to messages: pure functions; docs/yolo_node.md describes what they fill in."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Optional

import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Classification,
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
    VisionClass,
)

from rdk_yolo_ros.cdr.class_text import class_text
from rdk_yolo_ros.cdr.results import KEYPOINT_FIELDS, KEYPOINT_STEP, keypoint_cloud, label_image
from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.nodes.images import image_message, stamp_of

_KEYPOINT_FIELDS = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
                    for i, name in enumerate(KEYPOINT_FIELDS)]


def detections_message(detections: Detections, header: Header,
                       names: Optional[Sequence[str]] = None) -> Detection2DArray:
    """
    Return the boxes, classes and scores of N instances, best first.

    Args:
        detections: N instances, in source-image pixels.
        header: the image's header; the array and every detection carry it.
        names: the class names, by number; with None, and for a class without a name,
            `class_id` is the number.

    """
    boxes = detections.boxes.astype(np.float64)
    sizes = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + sizes / 2).tolist()
    angles = [0.0] * len(boxes) if detections.angles is None else detections.angles.tolist()
    ids = [''] * len(boxes)
    if detections.track_ids is not None:
        ids = [str(track_id) for track_id in detections.track_ids.tolist()]
    message = Detection2DArray(header=header)
    message.detections = [
        Detection2D(
            header=header,
            results=[ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(
                class_id=class_text(class_id, names), score=score))],
            bbox=BoundingBox2D(
                center=Pose2D(position=Point2D(x=x, y=y), theta=angle),
                size_x=width, size_y=height),
            id=track_id)
        for (x, y), (width, height), score, class_id, angle, track_id
        in zip(centres, sizes.tolist(), detections.scores.tolist(),
               detections.class_ids.tolist(), angles, ids)]
    return message


def classification_message(classes: Classifications, header: Header,
                           names: Optional[Sequence[str]] = None) -> Classification:
    """
    Return the best classes of a whole image, best first.

    Args:
        classes: their numbers and scores.
        header: the image's header.
        names: as for `detections_message`.

    """
    return Classification(header=header, results=[
        ObjectHypothesis(class_id=class_text(class_id, names), score=score)
        for class_id, score in zip(classes.class_ids.tolist(), classes.scores.tolist())])


def keypoints_message(detections: Detections, header: Header) -> PointCloud2:
    """
    Return the key points of N instances as an organised cloud: row i belongs to detection i.

    Args:
        detections: N instances with key points, float32 (N, K, 3).
        header: the image's header.

    Returns:
        A cloud of height N and width K with float32 fields x, y (pixels), z (0) and
        score (0 to 1).

    Raises:
        ValueError: `detections` has no key points.

    """
    cloud = keypoint_cloud(detections)
    instances, points = cloud.shape[:2]
    return PointCloud2(
        header=header, height=instances, width=points, fields=_KEYPOINT_FIELDS,
        is_bigendian=False, point_step=KEYPOINT_STEP, row_step=KEYPOINT_STEP * points,
        data=_uint8s(cloud), is_dense=True)


def mask_message(detections: Detections, header: Header, hw: tuple[int, int]) -> Image:
    """
    Return one picture of all instances: 0 is background, i + 1 detection i.

    Args:
        detections: N instances with masks.
        header: the image's header.
        hw: height and width of the source image, and of the picture.

    Returns:
        A mono8 image, or mono16 for more than 255 instances.

    Raises:
        ValueError: `detections` has no masks.

    """
    return image_message(label_image(detections, stamp_of(header), header.frame_id, hw))


def label_info_message(header: Header, names: Sequence[str], threshold: float) -> LabelInfo:
    """Return the class names by number, and the score below which nothing is published."""
    return LabelInfo(
        header=header, threshold=threshold,
        class_map=[VisionClass(class_id=i, class_name=name) for i, name in enumerate(names)])


def _uint8s(values: np.ndarray) -> array[int]:
    # rclpy takes an array.array as it is, but looks at each byte of anything else in Python.
    data = array('B')
    data.frombytes(values.reshape(-1).view(np.uint8).data)
    return data
