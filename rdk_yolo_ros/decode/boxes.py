"""From a box head's numbers to boxes."""

from functools import cache

import cv2
import numpy as np

# Below this, float32's exp cannot overflow, and the softmax needs no shift.
_SAFE_LOGIT = 80


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
    if not cv2.norm(logits, cv2.NORM_INF) < _SAFE_LOGIT:
        bins = logits.reshape(-1, reg_max)
        logits = bins - bins.max(axis=1, keepdims=True)
    # One matrix product gives both the distribution's sum and its first moment. OpenCV's exp and
    # norm are faster than numpy's and no less exact.
    sums, moments = _moments(reg_max).dot(cv2.exp(logits).reshape(-1, reg_max).T)
    return (moments / sums).reshape(-1, 4)


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
