"""Segment: instance masks from prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates, gather
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.masks import PrototypeMasks
from rdk_yolo_ros.letterbox import Letterbox


class SegmentDecoder(Decoder):
    """Boxes, classes and masks."""

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                candidates: Candidates, boxes: np.ndarray) -> dict[str, Any]:
        heads = [level.extra for level in self.layout.levels if level.extra is not None]
        coefficients = gather(heads, tensors, candidates)
        head = self.layout.prototypes
        assert head is not None  # a segment layout has them
        prototypes = head.info.valid(tensors[head.index])[0]
        if not head.channels_last:
            prototypes = prototypes.transpose(1, 2, 0)
        return {'masks': PrototypeMasks.combine(prototypes, head.info, coefficients, boxes,
                                                letterbox)}
