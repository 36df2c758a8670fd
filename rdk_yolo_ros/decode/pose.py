"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.levels import AnchorPoints, sigmoid
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox


class PoseDecoder(Decoder):
    """Boxes, classes and key points; a key point without visibility has the confidence 1."""

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Work out what each anchor point makes of its key points' numbers."""
        super().__init__(layout, options)
        if layout.table is not None:
            return
        # One factor and one shift an anchor point. Ultralytics' v8 rule puts a point at
        # (2 k + column) * stride, the column at its integer; YOLO26's at (k + column) * stride,
        # the column at its cell's centre. The third number, the visibility, keeps its value here.
        points = AnchorPoints(layout)
        strides = points.strides[:, None]
        if layout.rules == 'yolo26':
            factors, shifts = strides, points.centres * strides
        else:
            factors, shifts = 2 * strides, (points.centres - np.float32(0.5)) * strides
        ones = np.ones_like(strides)
        dims = layout.keypoint_dims
        # A row for all key points of an anchor: numpy is slow on rows of three numbers.
        self._factors = np.tile(np.concatenate([factors, factors, ones], 1)[:, :dims],
                                layout.num_keypoints)
        self._shifts = np.tile(np.concatenate([shifts, 0 * ones], 1)[:, :dims],
                               layout.num_keypoints)

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        layout = self.layout
        dims = layout.keypoint_dims
        points = kept.extra
        if layout.table is None:
            points = points * self._factors.take(kept.anchors, axis=0)
            points += self._shifts.take(kept.anchors, axis=0)
        points = points.reshape(len(kept), layout.num_keypoints, dims)
        points = letterbox.points_to_source(points)
        if dims == 2:
            points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
        elif layout.table is None:
            points[..., 2] = sigmoid(points[..., 2])
        else:
            points[..., 2] = points[..., 2].clip(0, 1)
        # A point that a broken model put nowhere is a point without confidence.
        numbers = points.reshape(-1)
        if not math.isfinite(numbers.dot(numbers)):
            points[~np.isfinite(points).all(axis=2)] = 0
        return {'keypoints': points}
