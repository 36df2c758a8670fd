"""The selection of models whose instances do not repeat themselves: YOLOv10 and YOLO26."""

from __future__ import annotations

from typing import Optional

import numpy as np

from rdk_yolo_ros.decode.candidates import CandidateFinder, Candidates, Source
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.head_layout import HeadLayout

# Ultralytics never selects fewer, so that a filter of classes has some to choose from.
_LEAST_SELECTION = 300


class OneToOneFinder(CandidateFinder):
    """
    Finds the best pairs of an anchor and a class, best first.

    Upstream's rule: of the `max_detections` anchors with the best best class, the best
    `max_detections` pairs; then the threshold and the filter of classes. An anchor can come with
    several classes. Taking the best pairs at once comes to the same, as no anchor of those can
    have fewer than all the others before it; so does the threshold first, as the order is that
    of the scores. With `class_agnostic` an anchor has its best class alone.
    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions, source: Source) -> None:
        """Work out the thresholds in the class channels' own numbers."""
        super().__init__(layout, options, source)
        self._agnostic = options.class_agnostic
        self._max_detections = options.max_detections
        self._selection = max(options.max_detections, _LEAST_SELECTION)

    def _choose(self, values: np.ndarray,
                ) -> tuple[Optional[np.ndarray], np.ndarray, np.ndarray]:
        if self._agnostic or values.shape[1] == 1:
            return self._best_classes(values)
        rows, ids = np.nonzero(values > self._threshold)
        chosen = values[rows, ids]
        if len(chosen) > self._selection:
            best = np.sort(np.argsort(-chosen, kind='stable')[:self._selection])
            rows, ids, chosen = rows[best], ids[best], chosen[best]
        return rows, ids.astype(np.int32), chosen

    def _limited(self, found: Candidates) -> Candidates:
        found = found.best(self._selection).of_classes(self._classes)
        return found.take(np.arange(min(len(found), self._max_detections)))
