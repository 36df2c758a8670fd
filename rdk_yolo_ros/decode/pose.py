"""Pose: key points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import (
    Candidates, candidate_strides, cell_columns_rows, gather)
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.letterbox import Letterbox


class PoseDecoder(Decoder):
    """Boxes, classes and key points."""

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                candidates: Candidates, boxes: np.ndarray) -> dict[str, Any]:
        heads = [level.extra for level in self.layout.levels if level.extra is not None]
        points = gather(heads, tensors, candidates).reshape(
            len(candidates), self.layout.num_keypoints, 3)
        # Ultralytics' v8 and 11 rule: (2 k + column) * stride, the column at its integer.
        points[..., :2] *= 2
        points[..., :2] += cell_columns_rows(self.layout, candidates)[:, None]
        points[..., :2] *= candidate_strides(self.layout, candidates)[:, None, None]
        with np.errstate(over='ignore'):
            points[..., 2] = 1 / (1 + np.exp(-points[..., 2]))
        points = letterbox.points_to_source(points)
        # A point that a broken model put nowhere is a point without confidence.
        points[~np.isfinite(points).all(axis=2)] = 0
        return {'keypoints': points}
