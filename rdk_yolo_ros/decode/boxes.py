"""Box distributions to boxes, in model-input pixels."""

from functools import cache

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
        reg_max: bins for each side.

    Returns:
        float32 (N, 4), left, top, right, bottom.

    """
    bins = logits.reshape(-1, reg_max)
    if not (bins.size and np.abs(bins).max() < _SAFE_LOGIT):  # written so that NaN shifts, too
        bins = bins - bins.max(axis=1, keepdims=True)
    # One matrix product gives both the distribution's sum and its first moment.
    moments = np.exp(bins) @ _moments(reg_max)
    return (moments[:, 1] / moments[:, 0]).reshape(-1, 4)


@cache
def _moments(reg_max: int) -> np.ndarray:
    """Return float32 (reg_max, 2): the weights of a distribution's sum and of its mean."""
    return np.stack([np.ones(reg_max), np.arange(reg_max)], axis=1).astype(np.float32)


def boxes_from_distances(sides: np.ndarray, centres: np.ndarray,
                         strides: np.ndarray) -> np.ndarray:
    """
    Return the boxes whose sides lie at the given distances from cell centres.

    Args:
        sides: float32 (N, 4), distances left, top, right, bottom in cells.
        centres: float32 (N, 2), x and y of the cells' centres, in cells.
        strides: float32 (N,), pixels a cell.

    Returns:
        float32 (N, 4), x1 y1 x2 y2 in model-input pixels.

    """
    boxes = np.empty_like(sides)
    np.subtract(centres, sides[:, :2], out=boxes[:, :2])
    np.add(centres, sides[:, 2:], out=boxes[:, 2:])
    boxes *= strides[:, None]
    return boxes
