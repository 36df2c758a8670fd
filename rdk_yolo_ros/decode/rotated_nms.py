"""Suppression of rotated boxes by the probabilistic IoU of arXiv 2106.06072."""

from __future__ import annotations

from typing import Optional

import numpy as np

# Ultralytics' guard against divisions by zero; identical boxes come to 1 - sqrt(2 * it).
_EPSILON = 1e-7
# Pairs looked at in one go: few enough for megabytes of memory, enough to be worth the call.
_PAIRS = 1 << 16


def probabilistic_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """
    Return how much pairs of rotated boxes overlap: 1 less the Hellinger distance of Gaussians.

    A box is the Gaussian with its mean and covariance, sides squared over 12 turned by its angle
    (arXiv 2106.06072, equations 2 to 7 and section 3.2).

    Args:
        one, other: float64 (N, 5), x y w h in pixels and the angle in radians.

    Returns:
        float64 (N,), 0 to 1.

    """
    xx1, yy1, xy1 = _covariances(one)
    xx2, yy2, xy2 = _covariances(other)
    xx, yy, xy = xx1 + xx2, yy1 + yy2, xy1 + xy2
    dx, dy = (one[:, :2] - other[:, :2]).T
    determinant = xx * yy - xy * xy
    apart = (xx * dy * dy + yy * dx * dx - 2 * xy * dx * dy) / (determinant + _EPSILON) / 4
    each = np.maximum(xx1 * yy1 - xy1 * xy1, 0) * np.maximum(xx2 * yy2 - xy2 * xy2, 0)
    unlike = np.log(determinant / (4 * np.sqrt(each) + _EPSILON) + _EPSILON) / 2
    bhattacharyya = (apart + unlike).clip(_EPSILON, 100)
    return 1 - np.sqrt(1 - np.exp(-bhattacharyya) + _EPSILON)


def rotated_suppression(boxes: np.ndarray, scores: np.ndarray, groups: Optional[np.ndarray],
                        iou_threshold: float, limit: int) -> np.ndarray:
    """
    Return the indices of the boxes that no better box of their group overlaps too much.

    Upstream's rule for rotated boxes (Fast NMS, arXiv 1904.02689, section 3.4): in the order of
    the scores, a box is dropped if it overlaps with any better one by more than the threshold,
    with one that is dropped itself, too.

    Args:
        boxes: float32 (N, 5), x y w h and the angle in radians, finite.
        scores: float32 (N,), 0 to 1.
        groups: int (N,), boxes suppress each other within a group only; None for one group.
        iou_threshold: 0 to 1.
        limit: at most so many.

    Returns:
        intp (M,), M <= limit, best score first, the earlier box first where scores are equal.

    """
    order = np.argsort(-scores, kind='stable')
    sorted_boxes = boxes[order].astype(np.float64)
    sorted_groups = None if groups is None else groups[order]
    reach = _reach(sorted_boxes, iou_threshold)
    kept = np.ones(len(order), bool)
    start = count = 0
    while start < len(order) and count < limit:  # nobody below can change what is kept above
        # Not again what has gone already; what has gone still suppresses others.
        rest = start + np.flatnonzero(kept[start:])
        stop = min(start + max(_PAIRS // max(len(rest), 1), 1), len(order))
        better, worse = _near(sorted_boxes, sorted_groups, reach, np.arange(start, stop), rest)
        overlap = probabilistic_iou(sorted_boxes[better], sorted_boxes[worse])
        kept[worse[overlap > iou_threshold]] = False
        count += np.count_nonzero(kept[start:stop])
        start = stop
    return order[np.flatnonzero(kept)[:limit]]


def _reach(boxes: np.ndarray, iou_threshold: float) -> np.ndarray:
    """
    Return float64 (N,): boxes whose centres lie further apart than theirs together do not overlap.

    Squared distances: an overlap above the threshold is a Bhattacharyya distance below a limit,
    which a quarter of the centres' Mahalanobis distance alone must not reach; the covariances'
    greatest eigenvalues, the longer sides squared over 12, bound that from below.
    """
    limit = -np.log(max(1 + _EPSILON - (1 - iou_threshold) ** 2, _EPSILON))
    longer = np.abs(boxes[:, 2:4]).max(axis=1)
    # A little more, as epsilon and rounding must not decide.
    return np.maximum(limit, 0) * 4 * longer ** 2 / 12 * 1.01 + 0.01


def _near(boxes: np.ndarray, groups: Optional[np.ndarray], reach: np.ndarray, block: np.ndarray,
          rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of a box of `block` and a later one of `rest` that are worth a look."""
    dx = boxes[block, 0][:, None] - boxes[rest, 0]
    dy = boxes[block, 1][:, None] - boxes[rest, 1]
    dx *= dx
    dy *= dy
    dx += dy
    dx -= reach[rest]
    pairs = (dx <= reach[block][:, None]).ravel().nonzero()[0]
    better, worse = block[pairs // len(rest)], rest[pairs % len(rest)]
    wanted = better < worse
    if groups is not None:
        wanted &= groups[better] == groups[worse]
    return better[wanted], worse[wanted]


def _covariances(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the covariances of boxes (N, 5): along x, along y, and between them, float64 (N,)."""
    along, across = (boxes[:, 2:4] ** 2 / 12).T
    cosines, sines = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    return (along * cosines ** 2 + across * sines ** 2, along * sines ** 2 + across * cosines ** 2,
            (along - across) * cosines * sines)
