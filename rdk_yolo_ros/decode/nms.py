"""Greedy non-maximum suppression of upright boxes."""

from __future__ import annotations

from typing import Optional

import cv2
import numpy as np

# No picture is so large. A broken model's box may be: shifted by its size, all the others would,
# as floating-point numbers go, lie in one place.
_FARTHEST = 1e6
# x1 y1 x2 y2 to x y width height.
_TO_RECTANGLES = np.array([[1, 0, -1, 0], [0, 1, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
# A side, in pixels, too short to overlap anything. One row a box, up to so many boxes: numpy takes
# three times as long to repeat a row of four.
_LEAST = np.array([[-np.inf, -np.inf, 1e-6, 1e-6]] * 256, np.float32)


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, groups: Optional[np.ndarray],
                            iou_threshold: float, limit: int) -> np.ndarray:
    """
    Return the indices of the boxes that no better box of their group overlaps too much.

    Upstream's rule: in the order of the scores, a box is dropped if its intersection over union
    with a box already kept is more than the threshold.

    Args:
        boxes: float32 (N, 4), x1 y1 x2 y2, finite.
        scores: float32 (N,), 0 to 1.
        groups: int (N,), boxes suppress each other within a group only; None for one group.
        iou_threshold: 0 to 1.
        limit: at most so many.

    Returns:
        intp (M,), M <= limit, best score first, the earlier box first where scores are equal.

    """
    if len(boxes) == 0:
        return np.zeros(0, np.intp)
    # What survives among the best candidates survives among all of them, so where enough do, the
    # others need not be looked at: a threshold of 0 would compare thousands with one another.
    enough = 4 * limit + 1000
    if len(boxes) > enough:
        order = np.argsort(-scores, kind='stable')
        while enough < len(boxes):
            best = order[:enough]
            kept = _suppress(boxes[best], scores[best], None if groups is None else groups[best],
                             iou_threshold)
            if len(kept) >= limit:
                return best[kept[:limit]]
            enough *= 2
    return _suppress(boxes, scores, groups, iou_threshold)[:limit]


def _suppress(boxes: np.ndarray, scores: np.ndarray, groups: Optional[np.ndarray],
              iou_threshold: float) -> np.ndarray:
    # All four columns at once: numpy is slow on rows of two numbers.
    rectangles = boxes.dot(_TO_RECTANGLES)
    # OpenCV takes rectangles without an area for one and the same, in whichever place.
    least = _LEAST[:len(boxes) if len(boxes) <= len(_LEAST) else 1]
    np.maximum(rectangles, least, out=rectangles)
    if groups is not None:
        # OpenCV's loop runs on doubles: shifting each group to a place of its own loses nothing.
        rectangles = rectangles.astype(np.float64)
        span = 2 * min(cv2.norm(boxes, cv2.NORM_INF), _FARTHEST) + 1
        rectangles[:, 0] += groups * span
    # A list, as OpenCV's binding reads arrays of rectangles more slowly. Its own top_k would cut
    # the candidates, not the survivors; its own score threshold of 0 drops scores of 0.
    # The scores are read as fast as they are; OpenCV's type stub does not know that.
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores,  # type: ignore[arg-type]
                            0.0, float(iou_threshold))
    return np.array(kept, np.intp).reshape(-1)
