"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, Optional

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
        self._row: Optional[tuple[Letterbox, np.ndarray, np.ndarray]] = None
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
        # A row for all key points of an anchor: numpy is slow on rows of three numbers.
        self._factors = self._for_all_points(np.concatenate([factors, factors, ones], 1))
        self._shifts = self._for_all_points(np.concatenate([shifts, 0 * ones], 1))

    def _for_all_points(self, numbers: np.ndarray) -> np.ndarray:
        """Repeat float32 (n, 3), what goes for a point's three numbers, for an instance's."""
        return np.tile(numbers[:, :self.layout.keypoint_dims], self.layout.num_keypoints)

    def _row_for(self, letterbox: Letterbox) -> tuple[Letterbox, np.ndarray, np.ndarray]:
        """Return the letterbox's offsets and scales for an instance's numbers."""
        row = self._row  # replaced whole: another thread may do so meanwhile
        if row is None or row[0] is not letterbox:
            offsets, scales = self._for_all_points(np.array(
                [[letterbox.left, letterbox.top, 0],
                 [letterbox.scale_x, letterbox.scale_y, 1]], np.float32))
            row = self._row = (letterbox, offsets, scales)
        return row

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        layout = self.layout
        dims = layout.keypoint_dims
        points = kept.extra
        if layout.table is None:
            points = points * self._factors.take(kept.anchors, 0)
            points += self._shifts.take(kept.anchors, 0)
        _, offsets, scales = self._row_for(letterbox)
        points = points - offsets
        points /= scales
        points = points.reshape(len(kept), layout.num_keypoints, dims)
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
