"""Detect: boxes and classes; the steps that every task's decoder shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdk_yolo_ros.decode.candidates import CandidateFinder, Candidates
from rdk_yolo_ros.decode.nms import non_maximum_suppression
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.head_layout import HeadLayout
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
        self._finder = CandidateFinder(layout, options)

    def __call__(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                 extras: bool = True) -> Detections:
        """
        Decode one frame.

        Args:
            tensors: the model's outputs in its own order, as the runtime gave them, quantized
                ones included. Nothing of them is kept.
            letterbox: how the frame was put into the model's input.
            extras: False leaves out what needs more work than boxes: masks and key points.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        rows = self._finder.rows(tensors)
        found = self._finder.find(rows, extras)
        options = self.options
        one_group = options.class_agnostic or self.layout.class_num == 1
        kept = found.take(non_maximum_suppression(
            found.boxes, found.scores, None if one_group else found.class_ids,
            options.nms_threshold, min(options.nms_top_k, options.max_detections)))
        more = self._extras(tensors, letterbox, kept) if extras else {}
        return Detections(letterbox.boxes_to_source(kept.boxes), kept.scores, kept.class_ids,
                          **more)

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        """Return what a task adds to its instances."""
        return {}
