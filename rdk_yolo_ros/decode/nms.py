"""Greedy non-maximum suppression."""

from __future__ import annotations

from typing import Optional

import numpy as np

# Candidates compared with one another at a time. Most of them fall to the boxes kept before,
# so a block's pairwise matrix stays small while the number of numpy calls does, too.
_BLOCK = 256


def non_maximum_suppression(boxes: np.ndarray, groups: Optional[np.ndarray], iou_threshold: float,
                            limit: int) -> np.ndarray:
    """
    Return the indices of the boxes that no better box of their group overlaps too much.

    Upstream's rule: in the order of the scores, a box is dropped if its intersection over union
    with a box already kept is more than the threshold.

    Args:
        boxes: float32 (N, 4), x1 y1 x2 y2, best score first.
        groups: (N,), boxes suppress each other within a group only; None for one group.
        iou_threshold: 0 to 1.
        limit: stop after so many.

    Returns:
        intp (M,), ascending, M <= limit.

    """
    count = len(boxes)
    if count == 0 or limit <= 0:
        return np.zeros(0, np.intp)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = np.zeros(0, np.intp)
    for start in range(0, count, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, count))
        if len(kept):
            fallen = _overlaps(boxes, areas, groups, kept, block, iou_threshold).any(axis=0)
            block = block[~fallen]
        overlaps = _overlaps(boxes, areas, groups, block, block, iou_threshold)
        kept = np.concatenate([kept, block[_greedy(overlaps)]])
        if len(kept) >= limit:
            return kept[:limit]
    return kept


def _greedy(overlaps: np.ndarray) -> list[int]:
    """Return which of a block survive, given the symmetric matrix of their overlaps."""
    alive = np.ones(len(overlaps), bool)
    kept = []
    for i in range(len(overlaps)):
        if alive[i]:
            kept.append(i)
            alive &= ~overlaps[i]
    return kept


def _overlaps(boxes: np.ndarray, areas: np.ndarray, groups: Optional[np.ndarray],
              first: np.ndarray, second: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Return bool (len(first), len(second)): pairs of a group with IoU above the threshold."""
    a, b = boxes[first], boxes[second]
    width = np.minimum(a[:, 2, None], b[:, 2]) - np.maximum(a[:, 0, None], b[:, 0])
    height = np.minimum(a[:, 3, None], b[:, 3]) - np.maximum(a[:, 1, None], b[:, 1])
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    intersection = np.multiply(width, height, out=width)
    union = np.add(areas[first, None], areas[second], out=height)
    union -= intersection
    union *= np.float32(iou_threshold)
    overlaps = intersection > union
    if groups is not None:
        overlaps &= groups[first, None] == groups[second]
    return overlaps
