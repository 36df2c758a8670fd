"""
A slow, plain decoder, written from the published formulas alone: the tests' second opinion.

It shares no code with the package. It takes the heads by role, cell by cell, in float64.
"""

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def cell_sides(logits):
    """Distribution focal loss: softmax, expectation. Four numbers are the distances themselves."""
    sides = []
    for side in np.asarray(logits, np.float64).reshape(4, -1):
        if len(side) == 1:
            sides.append(side[0])
            continue
        weights = [math.exp(v - max(side)) for v in side]
        sides.append(sum(i * w for i, w in enumerate(weights)) / sum(weights))
    return sides


def decode_cell_box(logits, column, row, stride):
    """Distances from the cell's centre, cells to pixels."""
    left, top, right, bottom = cell_sides(logits)
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


def decode_cell_rotated_box(logits, angle, column, row, stride):
    """Distances along the rectangle's own axes: x y w h and the angle."""
    left, top, right, bottom = cell_sides(logits)
    along, across = (right - left) / 2, (bottom - top) / 2
    x = column + 0.5 + along * math.cos(angle) - across * math.sin(angle)
    y = row + 0.5 + along * math.sin(angle) + across * math.cos(angle)
    return [x * stride, y * stride, (left + right) * stride, (top + bottom) * stride, angle]


def decode_cell_keypoints(values, dims, column, row, stride, rules):
    """v8: (2 k + column) * stride; YOLO26: (k + column + 0.5) * stride."""
    points = []
    for x, y, *visibility in np.asarray(values, np.float64).reshape(-1, dims):
        if rules == 'yolo26':
            x, y = (x + column + 0.5) * stride, (y + row + 0.5) * stride
        else:
            x, y = (2 * x + column) * stride, (2 * y + row) * stride
        points.append((x, y, sigmoid(visibility[0]) if visibility else 1.0))
    return points


def gaussian(box):
    """Mean and covariance of a rotated box (arXiv 2106.06072), as matrices."""
    x, y, w, h, angle = box
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.array([x, y]), turn @ np.diag([w * w / 12, h * h / 12]) @ turn.T


def rotated_iou(a, b):
    """1 - Hellinger distance, by matrices: Bhattacharyya distance of the two Gaussians."""
    (mean1, one), (mean2, two) = gaussian(a), gaussian(b)
    both = (one + two) / 2
    between = mean1 - mean2
    distance = between @ np.linalg.inv(both) @ between / 8 + math.log(
        np.linalg.det(both) / math.sqrt(np.linalg.det(one) * np.linalg.det(two))) / 2
    return 1 - math.sqrt(max(1 - math.exp(-distance), 0))


def suppress_rotated(instances, threshold):
    """Fast NMS: any better one of the class counts, suppressed or not."""
    instances = sorted(instances, key=lambda i: -i['score'])
    return [one for n, one in enumerate(instances)
            if all(one['class_id'] != better['class_id']
                   or rotated_iou(one['rotated'], better['rotated']) <= threshold
                   for better in instances[:n])]


def select_one_to_one(instances, limit):
    """Upstream's two steps: the best anchors by their best class, then the best pairs of those."""
    best = {}
    for one in instances:
        best[one['place']] = max(best.get(one['place'], 0), one['score'])
    anchors = sorted(best, key=lambda place: -best[place])[:limit]
    pairs = [one for one in instances if one['place'] in set(anchors)]
    return sorted(pairs, key=lambda i: -i['score'])[:limit]


def reference_decode(levels, score_threshold, nms_threshold, prototypes=None, *, task=None,
                     rules='v8', dims=3, nms=True, max_detections=300):
    """
    Decode one frame.

    levels: one (stride, class logits (h,w,C), box logits (h,w,4R), extra (h,w,E) or None) each,
        real numbers. prototypes: (h, w, P) or None, at stride 4.
    task: None takes it from what is there: prototypes for segment, else an extra for pose.
    nms: False for one-to-one heads, whose instances are pairs of a cell and a class.
    Returns a list of dicts in model-input pixels: box, score, class_id, keypoints [(x, y, conf)],
    mask (bool, 4h x 4w), rotated (x, y, w, h, angle).
    """
    extra_of = levels[0][3]
    task = task or ('segment' if prototypes is not None
                    else 'pose' if extra_of is not None else 'detect')
    instances = []
    for stride, classes, boxes, extra in levels:
        for row in range(classes.shape[0]):
            for column in range(classes.shape[1]):
                logits = classes[row, column]
                ids = [int(np.argmax(logits))] if nms else range(len(logits))
                for class_id in ids:
                    score = sigmoid(float(logits[class_id]))
                    if score <= score_threshold:
                        continue
                    one = {'box': decode_cell_box(boxes[row, column], column, row, stride),
                           'score': score, 'class_id': class_id,
                           'place': (stride, row, column)}
                    values = None if extra is None else extra[row, column].astype(np.float64)
                    if task == 'segment':
                        one['extra'] = values
                    elif task == 'pose':
                        one['keypoints'] = decode_cell_keypoints(values, dims, column, row,
                                                                 stride, rules)
                    elif task == 'obb':
                        angle = float(values[0]) if rules == 'yolo26' else (
                            sigmoid(float(values[0])) - 0.25) * math.pi
                        one['rotated'] = decode_cell_rotated_box(boxes[row, column], angle,
                                                                 column, row, stride)
                    instances.append(one)
    if not nms:
        kept = select_one_to_one(instances, max_detections)
    elif task == 'obb':
        kept = suppress_rotated(instances, nms_threshold)[:max_detections]
    else:
        kept = suppress(instances, nms_threshold)[:max_detections]
    if task == 'segment':
        for one in kept:
            one['mask'] = instance_mask(prototypes, one['extra'], one['box'])
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
