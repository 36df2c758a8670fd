"""Classify: the classes of a whole image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdk_yolo_ros.decode.candidates import check_outputs
from rdk_yolo_ros.decode.cells import table_values
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.detections import Classifications
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import dequantize

# How far the sum of probabilities may be from 1: half precision rounds each of thousands.
_SUM_TOLERANCE = 0.01


class ClassifyDecoder:
    """
    A model's output tensor to `Classifications`; immutable, safe to call from several threads.

    Attributes:
        layout: the table of classes.
        options: `top_k`, `softmax` and `classes` matter.

    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Take what was recognised and what to keep of it."""
        assert layout.table is not None  # a classify layout has one
        self.layout = layout
        self.options = options
        self._table = layout.table

    def __call__(self, tensors: Sequence[np.ndarray], letterbox: Letterbox,
                 extras: bool = True) -> Classifications:
        """
        Decode one frame.

        Args:
            tensors: the model's output, as the runtime gave it, in a sequence.
            letterbox: not looked at: the result is of the whole image.
            extras: not looked at: there are none.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        check_outputs(tensors, self.layout)
        with np.errstate(all='ignore'):
            values = dequantize(table_values(self._table, tensors)[0], self._table.info)
            scores = self._scores(values.astype(np.float64))
        order = np.argsort(-scores, kind='stable')
        if self.options.classes is not None:
            order = order[np.isin(order, self.options.classes)]
        # What a broken model left without a number has no place in a ranking.
        order = order[np.isfinite(scores[order])][:self.options.top_k]
        return Classifications(order.astype(np.int32), scores[order].astype(np.float32))

    def _scores(self, values: np.ndarray) -> np.ndarray:
        """Return the classes' scores, float64, NaN where there is none."""
        finite = np.isfinite(values)
        softmax = self.options.softmax
        if softmax is None:
            softmax = not self._are_probabilities(values)
        if not softmax:
            return np.where(finite, values.clip(0, 1), np.nan)
        if not finite.any():
            return np.full(len(values), np.nan)
        weights = np.exp(values - values[finite].max())
        return np.where(finite, weights / weights[finite].sum(), np.nan)

    def _are_probabilities(self, values: np.ndarray) -> bool:
        """Return whether the numbers can be what a softmax gave: not negative, their sum 1."""
        tolerance = _SUM_TOLERANCE
        scale = self._table.info.scale
        if scale is not None:  # each may be half a step off
            tolerance += float(scale.max()) / 2 * len(values)
        # Written so that NaN fails.
        return bool((values >= 0).all() and abs(values.sum() - 1) <= tolerance)
