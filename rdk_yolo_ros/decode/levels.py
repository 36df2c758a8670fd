"""The heads of the levels: logits to scores, distances to boxes."""

from __future__ import annotations

import numpy as np

from rdk_yolo_ros.decode.boxes import distances
from rdk_yolo_ros.decode.candidates import Part
from rdk_yolo_ros.decode.cells import HeadChannels
from rdk_yolo_ros.head_layout import HeadLayout

# Arrays of one number: numpy would make one of a plain number in each call.
_MOST_LOGIT, _ONE = np.array(87, np.float32), np.array(1, np.float32)


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


class LevelSource:
    """
    Candidates from raw heads (see `decode.candidates.Source`).

    Attributes:
        parts, firsts: the levels.
        points: their cells.

    """

    def __init__(self, layout: HeadLayout) -> None:
        """Lay out the levels' cells."""
        self.points = AnchorPoints(layout)
        self.firsts = self.points.firsts
        self.parts = [Part(HeadChannels(level.class_head), HeadChannels(level.box_head),
                           None if level.extra is None else HeadChannels(level.extra))
                      for level in layout.levels]
        self._reg_max = layout.reg_max
        strides = self.points.strides[:, None]
        # A box is its cell's centre twice, and its sides' distances in pixels from there.
        self._signs = np.concatenate([-strides, -strides, strides, strides], axis=1)
        self._places = np.tile(self.points.centres * strides, 2)

    def threshold(self, score: float) -> float:
        """Return the logit whose sigmoid is `score`."""
        if score <= 0:
            return -np.inf
        if score >= 1:
            return np.inf
        return float(np.log(score / (1 - score)))

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the scores of logits."""
        return sigmoid(values)

    def boxes(self, values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Return the boxes about anchor points, float32 (n, 4), x1 y1 x2 y2."""
        boxes = self._signs.take(anchors, 0)
        boxes *= distances(values, self._reg_max)
        boxes += self._places.take(anchors, 0)
        return boxes


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the logistic function, elementwise."""
    # Past 87 exp would overflow float32; the result is 1 there.
    powers = np.minimum(logits, _MOST_LOGIT)
    np.exp(powers, out=powers)
    sums = powers + _ONE
    powers /= sums
    return powers
