"""DecodeOptions: what decoding may keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class DecodeOptions:
    """
    Thresholds and limits of decoding.

    Attributes:
        score_threshold: instances score more than this, 0 to 1.
        nms_threshold: instances of a class that overlap more than this are one, IoU 0 to 1.
        nms_top_k: at most so many instances leave non-maximum suppression. dnn_node_example's
            key and meaning; the smaller of it and `max_detections` holds.
        max_detections: at most so many instances, best first.
        class_agnostic: instances of different classes suppress each other, too.
        classes: keep these class ids only; None keeps all.

    Raises:
        ValueError: a value is out of its range.

    """

    score_threshold: float = 0.25
    nms_threshold: float = 0.7
    nms_top_k: int = 5000
    max_detections: int = 300
    class_agnostic: bool = False
    classes: Optional[tuple[int, ...]] = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key in ('score_threshold', 'nms_threshold'):
            value = getattr(self, key)
            # Written so that NaN fails, too.
            if isinstance(value, bool) or not 0.0 <= value <= 1.0:
                raise ValueError(f'{key} is {value!r}, expected a number from 0 to 1')
        for key in ('nms_top_k', 'max_detections'):
            value = getattr(self, key)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f'{key} is {value!r}, expected a whole number of 1 or more')
        if self.classes is not None:
            classes = tuple(int(c) for c in self.classes)
            if any(c < 0 for c in classes):
                raise ValueError(f'classes is {self.classes!r}, expected class ids of 0 or more')
            object.__setattr__(self, 'classes', classes)
