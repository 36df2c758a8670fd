"""Candidates: the few anchors whose class score passes the threshold, found before decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Union

import numpy as np

from rdk_yolo_ros.decode.boxes import boxes_from_distances, distances
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.head_layout import Head, HeadLayout
from rdk_yolo_ros.tensors import dequantize, stored_threshold

# Upstream lets so many candidates into non-maximum suppression (Ultralytics' max_nms).
MAX_CANDIDATES = 30000
_LEAST_LOGIT = np.float32(-87)


@dataclass(frozen=True)
class Candidates:
    """
    N instances before suppression.

    Attributes:
        anchors: intp (N,), index into the layout's anchor points.
        scores: float32 (N,).
        class_ids: int32 (N,).
        boxes: float32 (N, 4), x1 y1 x2 y2 in model-input pixels.
        extra: float32 (N, channels), the extra heads' real values; no channels where they are
            not wanted.

    """

    anchors: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    boxes: np.ndarray
    extra: np.ndarray

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.anchors)

    def take(self, index: np.ndarray) -> Candidates:
        """Return the candidates that an integer or boolean array selects."""
        return Candidates(self.anchors[index], self.scores[index], self.class_ids[index],
                          self.boxes[index], self.extra[index])


class AnchorPoints:
    """
    The cells of all levels in one row: finest level first, each level row by row.

    Attributes:
        centres: float32 (A, 2), x and y of each cell's centre, in cells of its level.
        strides: float32 (A,), pixels a cell.
        firsts: index of each level's first anchor point, and A at the end.

    """

    def __init__(self, layout: HeadLayout) -> None:
        """Lay out the levels' cells."""
        centres, strides, self.firsts = [], [], [0]
        for level in layout.levels:
            height, width = level.class_head.grid_hw
            y, x = np.mgrid[:height, :width].reshape(2, -1) + 0.5
            centres.append(np.stack([x, y], axis=1))
            strides.append(np.full(height * width, level.stride))
            self.firsts.append(self.firsts[-1] + height * width)
        self.centres = np.concatenate(centres).astype(np.float32)
        self.strides = np.concatenate(strides).astype(np.float32)


class CandidateFinder:
    """Finds candidates; holds what depends on the layout and the options alone."""

    def __init__(self, layout: HeadLayout, options: DecodeOptions) -> None:
        """Work out thresholds in the class heads' own numbers, and where the anchors lie."""
        self.layout = layout
        self.points = AnchorPoints(layout)
        self._classes = options.classes
        logit = _logit(options.score_threshold)
        self._limits = [stored_threshold(level.class_head.info, logit) for level in layout.levels]
        self._heads = [head for level in layout.levels
                       for head in (level.class_head, level.box_head, level.extra)
                       if head is not None]
        self._count = len(self._heads) + (layout.prototypes is not None)

    def rows(self, tensors: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """
        Return (cells, channels) views of the heads, stored numbers, by output index.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        if len(tensors) != self._count:
            raise ModelError(f'the runtime returned {len(tensors)} tensors, the '
                             f'{self.layout.task} layout has {self._count}')
        return {head.index: _cell_rows(head, tensors) for head in self._heads}

    def find(self, rows: dict[int, np.ndarray], extras: bool) -> Candidates:
        """
        Return the anchors whose best class passes the threshold, in the anchor points' order.

        Args:
            rows: what `rows` returned.
            extras: whether the extra heads' values are wanted, too.

        """
        layout = self.layout
        anchors, logits, class_ids, boxes, extra = [], [], [], [], []
        for level, limit, first in zip(layout.levels, self._limits, self.points.firsts):
            stored = rows[level.class_head.index]
            cells = _cells_above(stored, limit)
            if len(cells) == 0:
                continue
            values = dequantize(stored[cells], level.class_head.info)
            if layout.class_num == 1:
                logits.append(values[:, 0])
                class_ids.append(np.zeros(len(cells), np.int32))
            else:
                best = values.argmax(axis=1)
                logits.append(values[np.arange(len(cells)), best])
                class_ids.append(best.astype(np.int32))
            boxes.append(dequantize(rows[level.box_head.index][cells], level.box_head.info))
            if extras and level.extra is not None:
                extra.append(dequantize(rows[level.extra.index][cells], level.extra.info))
            anchors.append(cells + first)
        if not anchors:
            channels = layout.levels[0].extra.channels if layout.levels[0].extra else 0
            return Candidates(np.zeros(0, np.intp), np.zeros(0, np.float32),
                              np.zeros(0, np.int32), np.zeros((0, 4), np.float32),
                              np.zeros((0, channels), np.float32))
        anchor = np.concatenate(anchors)
        sides = distances(np.concatenate(boxes), layout.reg_max)
        found = Candidates(anchor, sigmoid(np.concatenate(logits)), np.concatenate(class_ids),
                           boxes_from_distances(sides, self.points.centres[anchor],
                                                self.points.strides[anchor]),
                           np.concatenate(extra) if extra
                           else np.empty((len(anchor), 0), np.float32))
        if self._classes is not None:
            found = found.take(np.isin(found.class_ids, self._classes))
        # One sum tells whether a broken model left a NaN or an infinity anywhere. The score of a
        # single class is a number: it passed the threshold.
        total = found.boxes.sum() + (found.scores.sum() if layout.class_num > 1 else 0)
        if not math.isfinite(total):
            found = found.take(np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores))
        if len(found) > MAX_CANDIDATES:
            found = found.take(np.argsort(-found.scores, kind='stable')[:MAX_CANDIDATES])
        return found


def head_values(head: Head, tensors: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return a head's stored numbers without batch and padding, (h, w, c) or (c, h, w), a view.

    Raises:
        ModelError: the tensor is not the one that the layout describes.

    """
    try:
        return head.info.valid(tensors[head.index])[0]
    except ValueError as error:
        raise ModelError(str(error)) from None


def _cell_rows(head: Head, tensors: Sequence[np.ndarray]) -> np.ndarray:
    values = head_values(head, tensors)
    if head.channels_last:
        return values.reshape(-1, head.channels)
    return values.reshape(head.channels, -1).T


def _cells_above(stored: np.ndarray, limit: Union[float, np.ndarray]) -> np.ndarray:
    """Return the ascending indices of the rows with an element above the limit."""
    above = stored > limit
    if not above.flags.c_contiguous:  # NCHW: reduce along the memory's own order
        return np.flatnonzero(above.any(axis=1))
    # Few elements pass: finding them all at once beats reducing row by row.
    cells = above.ravel().nonzero()[0]
    channels = stored.shape[1]
    if channels == 1 or len(cells) == 0:
        return cells
    cells //= channels
    first = np.empty(len(cells), bool)
    first[0] = True
    np.not_equal(cells[1:], cells[:-1], out=first[1:])
    return cells[first]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the logistic function, elementwise."""
    # Below -87 exp would overflow float32; the result differs from 0 by 1e-38 there.
    return 1 / (1 + np.exp(-np.maximum(logits, _LEAST_LOGIT)))


def _logit(score: float) -> float:
    """Return the logit whose sigmoid is `score`."""
    if score <= 0:
        return -np.inf
    if score >= 1:
        return np.inf
    return float(np.log(score / (1 - score)))
