"""
A slow, plain decoder, written from the published formulas alone: the tests' second opinion.

It shares no code with the package. It takes the heads by role, cell by cell, in float64.
"""

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def decode_cell_box(logits, column, row, stride):
    """Distribution focal loss: softmax, expectation, distances from the cell's centre."""
    sides = []
    for side in np.asarray(logits, np.float64).reshape(4, -1):
        weights = [math.exp(v - max(side)) for v in side]
        sides.append(sum(i * w for i, w in enumerate(weights)) / sum(weights))
    left, top, right, bottom = sides
    return [(column + 0.5 - left) * stride, (row + 0.5 - top) * stride,
            (column + 0.5 + right) * stride, (row + 0.5 + bottom) * stride]


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def suppress(instances, threshold):
    """Greedy, best first, within a class."""
    kept = []
    for one in sorted(instances, key=lambda i: -i['score']):
        if all(one['class_id'] != k['class_id'] or iou(one['box'], k['box']) <= threshold
               for k in kept):
            kept.append(one)
    return kept


def reference_decode(levels, score_threshold, nms_threshold, prototypes=None):
    """
    Decode one frame.

    levels: one (stride, class logits (h,w,C), box logits (h,w,4R), extra (h,w,E) or None) each,
        real numbers. prototypes: (h, w, P) or None, at stride 4.
    Returns a list of dicts in model-input pixels: box, score, class_id, keypoints [(x, y, conf)],
    mask (bool, 4h x 4w).
    """
    instances = []
    for stride, classes, boxes, extra in levels:
        for row in range(classes.shape[0]):
            for column in range(classes.shape[1]):
                logits = classes[row, column]
                class_id = int(np.argmax(logits))
                score = sigmoid(float(logits[class_id]))
                if score <= score_threshold:
                    continue
                instances.append({
                    'box': decode_cell_box(boxes[row, column], column, row, stride),
                    'score': score, 'class_id': class_id,
                    'extra': None if extra is None else extra[row, column].astype(np.float64),
                    'place': (stride, row, column)})
    kept = suppress(instances, nms_threshold)
    for one in kept:
        if prototypes is not None:
            one['mask'] = instance_mask(prototypes, one['extra'], one['box'])
        elif one['extra'] is not None:
            stride, row, column = one['place']
            one['keypoints'] = [((2 * x + column) * stride, (2 * y + row) * stride, sigmoid(v))
                                for x, y, v in one['extra'].reshape(-1, 3)]
    return kept


def instance_mask(prototypes, coefficients, box):
    """Combine, interpolate bilinearly to four times the size, threshold, crop."""
    combined = np.einsum('hwp,p->hw', prototypes.astype(np.float64), coefficients)
    height, width = (4 * n for n in combined.shape)
    rows = interpolation_matrix(combined.shape[0], height)
    columns = interpolation_matrix(combined.shape[1], width)
    mask = rows @ combined @ columns.T > 0
    y, x = np.mgrid[:height, :width]
    x1, y1, x2, y2 = box
    return mask & (x >= x1) & (x < x2) & (y >= y1) & (y < y2)


def interpolation_matrix(cells, pixels):
    """Bilinear weights between cell centres, ends held: (pixels, cells)."""
    matrix = np.zeros((pixels, cells))
    for pixel in range(pixels):
        at = min(max((pixel + 0.5) * cells / pixels - 0.5, 0), cells - 1)
        low = int(at)
        matrix[pixel, low] += 1 - (at - low)
        matrix[pixel, min(low + 1, cells - 1)] += at - low
    return matrix
