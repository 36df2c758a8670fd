"""Box heads to boxes, in model-input pixels."""

from functools import cache
import math

import cv2
import numpy as np


def distances(logits: np.ndarray, reg_max: int) -> np.ndarray:
    """
    Return the expected distance to each side of a box, in cells.

    The distribution focal loss' integral (arXiv 2006.04388, section 3): a softmax over the bins
    0 .. reg_max-1 of each side and its expectation.

    Args:
        logits: float32 (N, 4 * reg_max), the sides left, top, right, bottom.
        reg_max: bins for each side; 1 where the numbers are the distances themselves (YOLO26).

    Returns:
        float32 (N, 4), left, top, right, bottom.

    """
    if reg_max == 1 or len(logits) == 0:
        return logits[:, :4]
    # OpenCV's exp is the faster one and no less exact, and divides without a warning.
    values = _expected_bins(cv2.exp(logits), reg_max)
    if not math.isfinite(values.dot(values)):
        # A logit past 88 leaves float32's range, and so do sixteen below -87.
        bins = logits.reshape(-1, reg_max)
        shifted = bins - bins.max(axis=1, keepdims=True)
        values = _expected_bins(cv2.exp(shifted), reg_max)
    return values.reshape(-1, 4)


def _expected_bins(powers: np.ndarray, reg_max: int) -> np.ndarray:
    """Return the mean bin of each distribution, flat; NaN where it has no weight, or too much."""
    # One matrix product gives both the distribution's sum and its first moment.
    moments = _moments(reg_max).dot(powers.reshape(-1, reg_max).T)
    return cv2.divide(moments[1:], moments[:1])[0]


@cache
def _moments(reg_max: int) -> np.ndarray:
    """Return float32 (2, reg_max): the weights of a distribution's sum and of its mean."""
    return np.stack([np.ones(reg_max), np.arange(reg_max)]).astype(np.float32)


def boxes_about_centres(boxes: np.ndarray) -> np.ndarray:
    """
    Return the boxes of centres and sizes.

    Args:
        boxes: float32 (N, 4), x y w h.

    Returns:
        float32 (N, 4), x1 y1 x2 y2.

    """
    corners = np.empty_like(boxes)
    halves = boxes[:, 2:] / 2
    np.subtract(boxes[:, :2], halves, out=corners[:, :2])
    np.add(boxes[:, :2], halves, out=corners[:, 2:])
    return corners


def turn_about(boxes: np.ndarray, angles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """
    Return boxes whose centres are turned about points; their sides keep their directions.

    An OBB head's distances are measured along the rectangle's own axes (Ultralytics' rule), so
    its centre lies at the anchor point plus the turned offset.

    Args:
        boxes: float32 (N, 4), x1 y1 x2 y2.
        angles: float32 (N,), radians, from x towards y.
        points: float32 (N, 2), x and y in the boxes' pixels.

    Returns:
        float32 (N, 4), x1 y1 x2 y2.

    """
    offsets = (boxes[:, :2] + boxes[:, 2:]) / 2 - points
    cosines, sines = np.cos(angles), np.sin(angles)
    moves = np.stack([offsets[:, 0] * (cosines - 1) - offsets[:, 1] * sines,
                      offsets[:, 0] * sines + offsets[:, 1] * (cosines - 1)], axis=1)
    return boxes + np.tile(moves, 2)
