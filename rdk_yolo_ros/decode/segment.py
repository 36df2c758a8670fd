"""Segment: instance masks from prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.masks import PrototypeMasks
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.letterbox import Letterbox


class SegmentDecoder(Decoder):
    """Boxes, classes and masks."""

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        head = self.layout.prototypes
        assert head is not None  # a segment layout has them
        try:
            prototypes = head.info.valid(tensors[head.index])[0]
        except ValueError as error:
            raise ModelError(str(error)) from None
        if not head.channels_last:
            prototypes = prototypes.transpose(1, 2, 0)
        return {'masks': PrototypeMasks.combine(prototypes, head.info, kept.extra, kept.boxes,
                                                letterbox)}
