"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, NamedTuple, Optional

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
        """Work out where key points lie in the model's input."""
        super().__init__(layout, options)
        if layout.table is not None:
            return
        # Ultralytics' v8 rule puts a point at (2 k + column) * stride, the column at its integer;
        # YOLO26's at (k + column) * stride, the column at its cell's centre.
        points = AnchorPoints(layout)
        strides = points.strides[:, None].astype(np.float64)
        if layout.rules == 'yolo26':
            self._factors, self._shifts = strides, points.centres * strides
        else:
            self._factors, self._shifts = 2 * strides, (points.centres - 0.5) * strides
        self._mapping: Optional[_Mapping] = None

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        layout = self.layout
        dims = layout.keypoint_dims
        if layout.table is None:
            mapping = self._mapping_for(letterbox)
            points = kept.extra * mapping.factors.take(kept.anchors, 0)
            points += mapping.shifts.take(kept.anchors, 0)
            points = points.reshape(len(kept), layout.num_keypoints, dims)
        else:
            points = letterbox.points_to_source(
                kept.extra.reshape(len(kept), layout.num_keypoints, dims))
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

    def _mapping_for(self, letterbox: Letterbox) -> _Mapping:
        mapping = self._mapping  # another thread may replace it meanwhile
        if mapping is None or mapping.letterbox is not letterbox:
            mapping = self._mapping = self._make_mapping(letterbox)
        return mapping

    def _make_mapping(self, letterbox: Letterbox) -> _Mapping:
        scales = np.array([letterbox.scale_x, letterbox.scale_y])
        places = self._shifts - np.array([letterbox.left, letterbox.top])
        ones = np.ones_like(self._factors)
        dims, count = self.layout.keypoint_dims, self.layout.num_keypoints
        return _Mapping(letterbox, *(
            np.tile(np.concatenate([pair / scales, third], 1)[:, :dims].astype(np.float32), count)
            for pair, third in ((self._factors, ones), (places, 0 * ones))))


class _Mapping(NamedTuple):
    """
    What each anchor point makes of its key points' numbers for one size of image.

    A factor and a shift for each number of all key points, as numpy is slow on rows of three: x
    and y become source-image pixels, the third number, the visibility, keeps its value.

    Attributes:
        letterbox: the geometry.
        factors, shifts: float32 (anchors, key points * dims).

    """

    letterbox: Letterbox
    factors: np.ndarray
    shifts: np.ndarray
