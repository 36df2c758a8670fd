"""Detect: boxes and classes; the steps that every task's decoder shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import (
    Candidates, candidate_boxes, check_tensors, find_candidates)
from rdk_yolo_ros.decode.nms import non_maximum_suppression
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.heads import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox


class Decoder:
    """
    A model's output tensors to `Detections`; immutable, safe to call from several threads.

    Attributes:
        layout: the heads.
        options: thresholds and limits.

    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Take what was recognised and what to keep of it."""
        self.layout = layout
        self.options = options

    def __call__(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                 extras: bool = True) -> Detections:
        """
        Decode one frame.

        Args:
            tensors: the model's outputs in its own order, as the runtime gave them, quantized
                ones included.
            letterbox: how the frame was put into the model's input.
            extras: False leaves out what needs more work than boxes: masks and key points.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        check_tensors(self.layout, tensors)
        candidates = find_candidates(self.layout, tensors, self.options)
        boxes = candidate_boxes(self.layout, tensors, candidates)
        # A broken model's NaN and infinities end here.
        finite = np.isfinite(boxes).all(axis=1) & np.isfinite(candidates.scores)
        if not finite.all():
            candidates, boxes = candidates.take(finite), boxes[finite]
        options = self.options
        kept = non_maximum_suppression(
            boxes, None if options.class_agnostic else candidates.class_ids,
            options.nms_threshold, min(options.nms_top_k, options.max_detections))
        candidates, boxes = candidates.take(kept), boxes[kept]
        more = self._extras(tensors, letterbox, candidates, boxes) if extras else {}
        return Detections(letterbox.boxes_to_source(boxes), candidates.scores,
                          candidates.class_ids, **more)

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                candidates: Candidates, boxes: np.ndarray) -> dict[str, Any]:
        """Return what a task adds to its instances; `boxes` are in model-input pixels."""
        return {}
