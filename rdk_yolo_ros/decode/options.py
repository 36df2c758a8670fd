"""DecodeOptions: what decoding may keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import numbers
from typing import Any, Optional


@dataclass(frozen=True)
class DecodeOptions:
    """
    Thresholds and limits of decoding.

    Attributes:
        score_threshold: instances score more than this, 0 to 1.
        nms_threshold: instances of a class that overlap more than this are one, IoU 0 to 1.
        nms_top_k: at most so many instances leave non-maximum suppression. dnn_node_example's
            key and meaning; the smaller of it and `max_detections` holds. Models without
            suppression have `max_detections` alone.
        max_detections: at most so many instances, best first.
        class_agnostic: instances of different classes suppress each other, too; without
            suppression (YOLOv10, YOLO26), an anchor point stands for its best class alone.
        classes: keep these class ids only; None keeps all.
        score_thresholds: class id to the threshold that replaces `score_threshold` for it; None
            has none. An instance's class is its best one, before any threshold.
        top_k: classify: at most so many classes, best first.
        softmax: classify: whether the numbers are logits; None looks at them.
        native_masks: segment: False thresholds masks at the model input's resolution, as
            Ultralytics' predictions do, and takes the nearest pixels; True at the source image's.

    Raises:
        ValueError: a value is out of its range.

    """

    score_threshold: float = 0.25
    nms_threshold: float = 0.7
    nms_top_k: int = 5000
    max_detections: int = 300
    class_agnostic: bool = False
    classes: Optional[tuple[int, ...]] = None
    score_thresholds: Optional[Mapping[int, float]] = None
    top_k: int = 5
    softmax: Optional[bool] = None
    native_masks: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key in ('score_threshold', 'nms_threshold'):
            object.__setattr__(self, key, _fraction(key, getattr(self, key)))
        for key in ('nms_top_k', 'max_detections', 'top_k'):
            value: Any = getattr(self, key)
            # Written so that NaN and infinity fail, too.
            if not _is_number(value) or not 1 <= value < 2 ** 63 or int(value) != value:
                raise ValueError(f'{key} is {value!r}, expected a whole number of 1 or more')
            object.__setattr__(self, key, int(value))
        if self.classes is not None:
            classes = tuple(int(c) for c in self.classes)
            if any(c < 0 for c in classes):
                raise ValueError(f'classes is {self.classes!r}, expected class ids of 0 or more')
            object.__setattr__(self, 'classes', classes)
        if self.score_thresholds is not None:
            thresholds = {int(c): _fraction(f'score_thresholds[{c}]', t)
                          for c, t in self.score_thresholds.items()}
            if thresholds and min(thresholds) < 0:
                raise ValueError(f'score_thresholds has class {min(thresholds)}, expected class '
                                 'ids of 0 or more')
            object.__setattr__(self, 'score_thresholds', thresholds)


def _fraction(key: str, value: float) -> float:
    # Written so that NaN fails, too.
    if not _is_number(value) or not 0.0 <= value <= 1.0:
        raise ValueError(f'{key} is {value!r}, expected a number from 0 to 1')
    return float(value)


def _is_number(value: Any) -> bool:
    # numpy's numbers are Real ones, too.
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
