"""LocalResult: what a YOLO node hands to nodes of its process in place of result messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdk_yolo_ros.detections import Detections


@dataclass(frozen=True)
class LocalResult:
    """
    One frame's result; the same for `~/detections`, `~/keypoints` and `~/mask`.

    Attributes:
        stamp: the image's, seconds and nanoseconds.
        frame_id: the image's.
        detections: what was found, shared with others and read-only; key points and masks are
            None where nobody subscribes to them.
        names: the model's class names, by number.

    """

    stamp: tuple[int, int]
    frame_id: str
    detections: Detections
    names: Sequence[str]

    def __post_init__(self) -> None:
        """Keep receivers from writing to what others see."""
        found = self.detections
        for array in (found.boxes, found.scores, found.class_ids, found.keypoints, found.angles,
                      found.track_ids):
            if array is not None:
                array.flags.writeable = False
