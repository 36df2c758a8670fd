"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.levels import AnchorPoints
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox

# Up to so many instances each has its own copy of the letterbox's numbers: numpy takes three times
# as long to repeat a row.
_ROWS = 64


class PoseDecoder(Decoder):
    """Boxes, classes and key points; a key point without visibility has the confidence 1."""

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Work out what each anchor point makes of its key points' numbers."""
        super().__init__(layout, options)
        self._rows: Optional[tuple[Letterbox, np.ndarray, np.ndarray]] = None
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

    def _rows_for(self, letterbox: Letterbox, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the letterbox's offsets and scales for so many instances' numbers."""
        rows = self._rows  # replaced whole: another thread may do so meanwhile
        if rows is None or rows[0] is not letterbox:
            # tanh(k / 2) is 2 * sigmoid(k) - 1: the scale and the offset of a confidence.
            offset, scale = (-1, 2) if self.layout.table is None else (0, 1)
            numbers = self._for_all_points(np.array(
                [[letterbox.left, letterbox.top, offset],
                 [letterbox.scale_x, letterbox.scale_y, scale]], np.float32))
            offsets, scales = np.repeat(numbers[:, None], _ROWS, axis=1)
            rows = self._rows = (letterbox, offsets, scales)
        if count > _ROWS:
            count = 1
        return rows[1][:count], rows[2][:count]

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        layout = self.layout
        dims = layout.keypoint_dims
        points = kept.extra
        if layout.table is None:
            points = points * self._factors.take(kept.anchors, 0)
            points += self._shifts.take(kept.anchors, 0)
            if dims == 3:  # every third number of one row of them all: numpy is fast on that
                halves = points.reshape(-1)[2::3]
                np.tanh(halves, out=halves)
        offsets, scales = self._rows_for(letterbox, len(kept))
        points = points - offsets
        points /= scales
        points = points.reshape(len(kept), layout.num_keypoints, dims)
        if dims == 2:
            points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
        elif layout.table is not None:
            points[..., 2] = points[..., 2].clip(0, 1)
        # A point that a broken model put nowhere is a point without confidence.
        numbers = points.reshape(-1)
        if not math.isfinite(numbers.dot(numbers)):
            points[~np.isfinite(points).all(axis=2)] = 0
        return {'keypoints': points}
