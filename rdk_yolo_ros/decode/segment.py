"""Segment: instance masks from prototypes."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import Candidates
from rdk_yolo_ros.decode.cells import head_values
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.input_masks import InputMasks
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
        # An instance whose coefficients are no numbers has an empty mask.
        coefficients = kept.extra
        numbers = coefficients.reshape(-1)
        if not math.isfinite(numbers.dot(numbers)):
            broken = ~np.isfinite(coefficients).all(axis=1)
            coefficients = np.where(broken[:, None], np.float32(0), coefficients)
        combine = PrototypeMasks.combine if self.options.native_masks else InputMasks.combine
        return {'masks': combine(prototypes, head.info, coefficients, kept.boxes, letterbox)}
