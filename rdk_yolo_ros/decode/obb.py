"""OBB: rotated boxes."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np

from rdk_yolo_ros.decode.boxes import turn_about
from rdk_yolo_ros.decode.candidates import Candidates
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.levels import AnchorPoints, sigmoid
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.decode.rotated_nms import rotated_suppression
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox


class ObbDecoder(Decoder):
    """
    Rotated boxes and classes.

    As upstream predicts them: not clipped to the image, the angle as the model says it, which may
    be from either side of the rectangle.
    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Lay out the anchor points."""
        super().__init__(layout, options)
        self._points = None
        if layout.table is None:
            points = AnchorPoints(layout)
            self._points = points.centres * points.strides[:, None]

    def __call__(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                 extras: bool = True) -> Detections:
        """
        Decode one frame; `extras` changes nothing.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        # The angle is part of the box.
        found = self._finder.find(tensors, extras=True)
        angles = found.extra[:, -1]
        boxes = found.boxes
        if self._points is not None:
            if self.layout.rules != 'yolo26':
                # -45 to 135 degrees, Ultralytics' rule from v8 to 13.
                angles = (sigmoid(angles) - np.float32(0.25)) * np.float32(math.pi)
            boxes = turn_about(boxes, angles, self._points[found.anchors])
        found = Candidates(found.anchors, found.scores, found.class_ids, boxes, angles[:, None])
        # A broken model's angle may be no number.
        if not math.isfinite(found.extra.sum()):
            found = found.take(np.isfinite(found.extra[:, 0]))
        if self._suppresses:
            centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
            sizes = found.boxes[:, 2:] - found.boxes[:, :2]
            found = found.take(rotated_suppression(
                np.concatenate([centres, sizes, found.extra], axis=1), found.scores,
                self._groups(found), self.options.nms_threshold, self._limit))
        boxes, angles = letterbox.rotated_boxes_to_source(found.boxes, found.extra[:, 0])
        if not math.isfinite(boxes.sum()):  # sizes at float32's end
            sane = np.isfinite(boxes).all(axis=1)
            found, boxes, angles = found.take(sane), boxes[sane], angles[sane]
        return Detections(boxes, found.scores, found.class_ids, angles=angles)
