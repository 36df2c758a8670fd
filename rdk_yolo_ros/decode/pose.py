"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates, sigmoid
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox


class PoseDecoder(Decoder):
    """Boxes, classes and key points."""

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Work out what each anchor point makes of its key points' numbers."""
        super().__init__(layout, options)
        # Ultralytics' v8 and 11 rule puts a point at (2 k + column) * stride, the column at its
        # integer: one factor and one shift an anchor point. The third number, the visibility,
        # keeps its value here.
        points = self._finder.points
        strides = points.strides[:, None]
        ones = np.ones_like(strides)
        self._factors = np.concatenate([2 * strides, 2 * strides, ones], 1)[:, None]
        corners = (points.centres - np.float32(0.5)) * strides
        self._shifts = np.concatenate([corners, 0 * ones], 1)[:, None]

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        points = kept.extra.reshape(len(kept), self.layout.num_keypoints, 3)
        points = points * self._factors[kept.anchors]
        points += self._shifts[kept.anchors]
        points = letterbox.points_to_source(points)
        points[..., 2] = sigmoid(points[..., 2])
        # A point that a broken model put nowhere is a point without confidence.
        if not math.isfinite(points.sum()):
            points[~np.isfinite(points).all(axis=2)] = 0
        return {'keypoints': points}
