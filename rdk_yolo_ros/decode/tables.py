"""Tables: outputs that hold boxes and probabilities already (Ultralytics' plain ONNX exports)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdk_yolo_ros.decode.boxes import boxes_about_centres
from rdk_yolo_ros.decode.candidates import (
    Candidates,
    Part,
    check_outputs,
    no_candidates,
)
from rdk_yolo_ros.decode.cells import TableColumns, cells_above, stored_limit
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.head_layout import HeadLayout


class DenseSource:
    """
    Candidates from a table with a row for each anchor point (see `decode.candidates.Source`).

    Its columns: x y w h in model-input pixels, a probability for each class, then the task's.

    Attributes:
        parts, firsts: the table.

    """

    def __init__(self, layout: HeadLayout) -> None:
        """Find the columns."""
        table = layout.table
        assert table is not None  # a layout without levels has one
        self.firsts = (0, table.rows)
        first_extra = 4 + layout.class_num
        extra = TableColumns(table, first_extra, table.columns)
        self.parts = [Part(TableColumns(table, 4, first_extra), TableColumns(table, 0, 4),
                           extra if extra.channels else None)]

    def threshold(self, score: float) -> float:
        """Return the score itself."""
        return float(score)

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return probabilities; a quantized one may lie a step past 1."""
        return values.clip(0, 1)

    def boxes(self, values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Return float32 (n, 4), x1 y1 x2 y2."""
        return boxes_about_centres(values)


class EndToEndFinder:
    """
    Candidates from a table with a row for each instance, best first.

    Its columns: x1 y1 x2 y2 in model-input pixels (OBB: x y w h), score, class, the task's.
    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Find the columns, and the threshold in the scores' own numbers."""
        table = layout.table
        assert table is not None  # a layout without levels has one
        self._layout = layout
        self._options = options
        self._boxes = TableColumns(table, 0, 4)
        self._scores = TableColumns(table, 4, 5)
        self._class_ids = TableColumns(table, 5, 6)
        self._extra = TableColumns(table, 6, table.columns)
        thresholds = options.score_thresholds or {}
        least = float(min([options.score_threshold, *thresholds.values()]))
        self._limit = stored_limit(self._scores, least)
        self._thresholds = None
        if thresholds:
            self._thresholds = np.full(layout.class_num, options.score_threshold)
            for class_id, threshold in thresholds.items():
                self._thresholds[class_id] = threshold

    def find(self, tensors: Sequence[np.ndarray], extras: bool) -> Candidates:
        """
        Return the instances of one frame, best first, limited as the options say.

        Args:
            tensors: the model's outputs, stored numbers.
            extras: whether the values of the task's own columns are wanted, too.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        layout, options = self._layout, self._options
        check_outputs(tensors, layout)
        scores = self._scores.cells(tensors)
        rows = cells_above([scores], [self._limit], [0])
        if len(rows) == 0:
            return no_candidates(self._extra.channels)

        def real(columns: TableColumns) -> np.ndarray:
            return columns.real(columns.cells(tensors).take(rows, 0))

        boxes = real(self._boxes)
        if layout.task == 'obb':
            boxes = boxes_about_centres(boxes)
        # What is no class of this model (rows of padding, a broken model) is no instance.
        numbers = real(self._class_ids)[:, 0]
        known = (numbers > -0.5) & (numbers < layout.class_num - 0.5)
        found = Candidates(
            rows, self._scores.real(scores.take(rows, 0))[:, 0].clip(0, 1),
            np.rint(np.where(known, numbers, 0)).astype(np.int32), boxes,
            real(self._extra) if extras else np.empty((len(rows), 0), np.float32))
        found = found.take(known)
        if self._thresholds is not None:
            found = found.take(found.scores > self._thresholds[found.class_ids])
        return found.finite().of_classes(options.classes).best(options.max_detections)
