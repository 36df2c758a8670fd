"""
The plain vectorised way to decode, as Python samples do it.

The best class of every cell first, then the cells that pass; OpenCV's NMS with boxes shifted by
class (turned boxes: upstream's matrix of overlaps); every mask enlarged to the whole input.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

Heads = Mapping[tuple[str, int], np.ndarray]
_CLASS_SHIFT = 7680


def plain_decode(heads: Heads, task: str, score_threshold: float, iou_threshold: float,
                 limit: int) -> list[np.ndarray]:
    """
    Return boxes, scores, class ids and what the task adds, best first, model-input pixels.

    Args:
        heads: {(role, stride): float32 (h, w, c)}.
        task: 'detect', 'pose' (adds key points (N, K, 3)), 'segment' (adds the label image) or
            'obb' (adds angles (N,); boxes are x y w h).
        score_threshold: 0 to 1.
        iou_threshold: 0 to 1.
        limit: at most so many.

    """
    boxes, scores, ids, extras = [], [], [], []
    for s in sorted(stride for role, stride in heads if role == 'class'):
        width, class_num = heads['class', s].shape[1:]
        classes = heads['class', s].reshape(-1, class_num)
        best = _sigmoid(classes.max(axis=1))
        class_ids = classes.argmax(axis=1)
        cells = np.flatnonzero(best > score_threshold)
        bins = heads['box', s].reshape(len(classes), 4, -1)[cells]
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        sides = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(
            bins.shape[2], dtype=np.float32)
        rows, columns = np.divmod(cells, width)
        centres = np.stack([columns, rows], 1) + 0.5
        if task == 'obb':
            angles = (_sigmoid(heads['angle', s].ravel()[cells]) - 0.25) * np.pi
            boxes.append(_turned_boxes(sides, angles, centres) * s)
            extras.append(angles)
        else:
            boxes.append(np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], 1) * s)
        if task == 'pose':
            points = heads['keypoints', s].reshape(len(classes), -1, 3)[cells]
            points = np.concatenate([
                (points[..., :2] * 2 + np.stack([columns, rows], 1)[:, None]) * s,
                _sigmoid(points[..., 2:])], 2)
            extras.append(points)
        elif task == 'segment':
            extras.append(heads['coefficients', s].reshape(len(classes), -1)[cells])
        scores.append(best[cells])
        ids.append(class_ids[cells])
    boxes, scores, ids = map(np.concatenate, (boxes, scores, ids))
    if task == 'obb':
        kept = _matrix_nms(boxes, np.concatenate(extras), scores, ids, iou_threshold)
    else:
        kept = _opencv_nms(boxes, scores, ids, score_threshold, iou_threshold)
    kept = kept[:limit]
    result = [boxes[kept], scores[kept], ids[kept]]
    if task == 'segment':
        result.append(_label_image(heads['prototypes', 4], np.concatenate(extras)[kept],
                                   boxes[kept]))
    elif extras:
        result.append(np.concatenate(extras)[kept])
    return result


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _turned_boxes(sides, angles, centres):
    """Return x y w h in cells: the distances run along the turned box's own sides."""
    right, down = ((sides[:, 2:] - sides[:, :2]) / 2).T
    cosine, sine = np.cos(angles), np.sin(angles)
    offsets = np.stack([right * cosine - down * sine, right * sine + down * cosine], 1)
    return np.concatenate([centres + offsets, sides[:, :2] + sides[:, 2:]], 1)


def _opencv_nms(boxes, scores, ids, score_threshold, iou_threshold):
    corners = boxes + ids[:, None] * _CLASS_SHIFT
    rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    return np.asarray(cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), score_threshold,
                                       iou_threshold), np.intp).ravel()


def _matrix_nms(boxes, angles, scores, ids, iou_threshold):
    """Drop every box that any better one of its class overlaps: no loop, N x N overlaps."""
    order = np.argsort(-scores, kind='stable')
    boxes, angles = boxes[order].astype(np.float64), angles[order].astype(np.float64)
    x, y = (boxes[:, :2] + ids[order, None] * float(_CLASS_SHIFT)).T
    along, across = boxes[:, 2:].T ** 2 / 12
    cosine, sine = np.cos(angles), np.sin(angles)
    a = along * cosine ** 2 + across * sine ** 2
    b = along * sine ** 2 + across * cosine ** 2
    c = (along - across) * cosine * sine
    # probiou (arXiv 2106.06072) of every pair, with upstream's epsilons.
    eps = 1e-7
    dx, dy = x[:, None] - x, y[:, None] - y
    sum_a, sum_b, sum_c = a[:, None] + a, b[:, None] + b, c[:, None] + c
    determinant = sum_a * sum_b - sum_c ** 2
    distance = (sum_a * dy ** 2 + sum_b * dx ** 2 - 2 * sum_c * dx * dy) / 4 / (determinant + eps)
    own = (a * b - c ** 2).clip(0)
    distance += np.log(determinant / (4 * np.sqrt(own[:, None] * own) + eps) + eps) / 2
    overlaps = 1 - np.sqrt(1 - np.exp(-distance.clip(eps, 100)) + eps)
    return order[~(np.triu(overlaps, 1) >= iou_threshold).any(axis=0)]


def _label_image(prototypes, coefficients, boxes):
    """
    Return the label image the way of upstream's process_mask: a stack of whole masks first.

    All instances' combinations at once, each enlarged to the input, thresholded and cropped into
    bool (N, H, W); then one over the other.
    """
    height, width, channels = prototypes.shape
    small = (coefficients @ prototypes.reshape(-1, channels).T).reshape(-1, height, width)
    masks = np.zeros((len(boxes), height * 4, width * 4), bool)
    for mask, logits, (x1, y1, x2, y2) in zip(masks, small, np.ceil(boxes.clip(0)).astype(int)):
        full = cv2.resize(logits, (width * 4, height * 4)) > 0
        mask[y1:y2, x1:x2] = full[y1:y2, x1:x2]
    labels = np.zeros(masks.shape[1:], np.uint8 if len(masks) <= 255 else np.uint16)
    for i in reversed(range(len(masks))):
        np.copyto(labels, labels.dtype.type(i + 1), where=masks[i])
    return labels
