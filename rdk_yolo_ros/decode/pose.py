"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, Optional

import cv2
import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.levels import AnchorPoints
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox


class PoseDecoder(Decoder):
    """Boxes, classes and key points; a key point without visibility has the confidence 1."""

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Work out what each anchor point makes of its key points' numbers."""
        super().__init__(layout, options)
        self._matrix: Optional[tuple[Letterbox, np.ndarray]] = None
        if layout.table is not None:
            return
        # One factor and one shift an anchor point. Ultralytics' v8 rule puts a point at
        # (2 k + column) * stride, the column at its integer; YOLO26's at (k + column) * stride,
        # the column at its cell's centre. The third number, the visibility, is halved for tanh.
        points = AnchorPoints(layout)
        strides = points.strides[:, None]
        if layout.rules == 'yolo26':
            factors, shifts = strides, points.centres * strides
        else:
            factors, shifts = 2 * strides, (points.centres - np.float32(0.5)) * strides
        halves = np.full_like(strides, 0.5)
        # A row for all key points of an anchor: numpy is slow on rows of three numbers.
        self._factors = self._for_all_points(np.concatenate([factors, factors, halves], 1))
        self._shifts = self._for_all_points(np.concatenate([shifts, 0 * halves], 1))

    def _for_all_points(self, numbers: np.ndarray) -> np.ndarray:
        """Repeat float32 (n, 3), what goes for a point's three numbers, for an instance's."""
        return np.tile(numbers[:, :self.layout.keypoint_dims], self.layout.num_keypoints)

    def _matrix_for(self, letterbox: Letterbox) -> np.ndarray:
        """Return float32 (dims, dims + 1): a point's numbers to those in source pixels."""
        cached = self._matrix  # replaced whole: another thread may do so meanwhile
        if cached is None or cached[0] is not letterbox:
            # sigmoid(k) is tanh(k / 2) / 2 + 1 / 2; a table's confidences stay as they are.
            scale, offset = (0.5, 0.5) if self.layout.table is None else (1, 0)
            dims = self.layout.keypoint_dims
            scales = [1 / letterbox.scale_x, 1 / letterbox.scale_y, scale][:dims]
            offsets = [-letterbox.left * scales[0], -letterbox.top * scales[1], offset][:dims]
            cached = self._matrix = (letterbox, np.column_stack(
                [np.diag(scales), offsets]).astype(np.float32, order='C'))
        return cached[1]

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        layout = self.layout
        dims = layout.keypoint_dims
        points = kept.extra
        if layout.table is None:
            points = points * self._factors.take(kept.anchors, 0)
            points += self._shifts.take(kept.anchors, 0)
        # All points in a row: numpy is slow on rows of a few numbers.
        points = points.reshape(1, -1, dims)
        if dims == 3 and layout.table is None:
            halves = points.reshape(-1)[2::3]
            np.tanh(halves, out=halves)
        elif dims == 3:
            points = np.concatenate([points[..., :2], points[..., 2:].clip(0, 1)], axis=2)
        points = cv2.transform(points, self._matrix_for(letterbox))
        numbers = points.reshape(-1)
        points = points.reshape(-1, layout.num_keypoints, dims)
        if dims == 2:
            points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
        # A point that a broken model put nowhere is a point without confidence.
        if not math.isfinite(numbers.dot(numbers)):
            points[~np.isfinite(points).all(axis=2)] = 0
        return {'keypoints': points}
