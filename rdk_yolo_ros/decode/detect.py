"""Detect: boxes and classes; the steps that every task's decoder shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from rdk_yolo_ros.decode.candidates import CandidateFinder, Candidates, Source
from rdk_yolo_ros.decode.levels import LevelSource
from rdk_yolo_ros.decode.nms import non_maximum_suppression
from rdk_yolo_ros.decode.one_to_one import OneToOneFinder
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.decode.tables import DenseSource, EndToEndFinder
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
        """
        Take what was recognised and what to keep of it.

        Raises:
            HeadError: a table is quantized in a way that it cannot be read.
            ValueError: a score threshold is for a class that the model does not have.

        """
        unknown = [c for c in options.score_thresholds or () if c >= layout.class_num]
        if unknown:
            raise ValueError(f'score_thresholds has class {unknown[0]}, expected class ids below '
                             f'{layout.class_num}, the number of classes of the model')
        self.layout = layout
        self.options = options
        self._finder = _finder(layout, options)
        self._suppresses = layout.nms and isinstance(self._finder, CandidateFinder)
        self._one_group = options.class_agnostic or layout.class_num == 1
        self._limit = min(options.nms_top_k, options.max_detections)

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
        found = self._finder.find(tensors, extras)
        if len(found) == 0:
            return self._nothing(extras)
        # Who does not suppress has the best of them already, in their order.
        kept = found.take(non_maximum_suppression(
            found.boxes, found.scores, self._groups(found), self.options.nms_threshold,
            self._limit)) if self._suppresses else found
        if len(kept) == 0:  # suppression drops what scores 0
            return self._nothing(extras)
        more = self._extras(tensors, letterbox, kept) if extras else {}
        return Detections.unchecked(letterbox.boxes_to_source(kept.boxes), kept.scores,
                                    kept.class_ids, **more)

    def _nothing(self, extras: bool) -> Detections:
        task = self.layout.task if extras or self.layout.task == 'obb' else 'detect'
        return Detections.empty(task, self.layout.num_keypoints)

    def _groups(self, found: Candidates) -> Any:
        """Return the ids of the groups within which candidates suppress each other, or None."""
        return None if self._one_group else found.class_ids

    def _extras(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                kept: Candidates) -> dict[str, Any]:
        """Return what a task adds to its instances."""
        return {}


def _finder(layout: HeadLayout, options: DecodeOptions) -> Union[CandidateFinder, EndToEndFinder]:
    if layout.table is not None and layout.table.form == 'end_to_end':
        return EndToEndFinder(layout, options)
    source: Source = LevelSource(layout) if layout.table is None else DenseSource(layout)
    return (CandidateFinder if layout.nms else OneToOneFinder)(layout, options, source)
