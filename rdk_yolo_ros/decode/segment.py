"""Segment: instance masks from prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates, head_values
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.masks import PrototypeMasks
from rdk_yolo_ros.letterbox import Letterbox


class SegmentDecoder(Decoder):
    """Boxes, classes and masks."""

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        head = self.layout.prototypes
        assert head is not None  # a segment layout has them
        prototypes = head_values(head, tensors)
        if not head.channels_last:
            prototypes = prototypes.transpose(1, 2, 0)
        return {'masks': PrototypeMasks.combine(prototypes, head.info, kept.extra, kept.boxes,
                                                letterbox)}
