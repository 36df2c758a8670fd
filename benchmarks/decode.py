"""
Decoding at 640x640 with 20 objects, against the plain vectorised way.

The plain way is what Python samples do: the best class of every cell first, then the cells that
pass; OpenCV's NMS with boxes shifted by class; every mask enlarged to the whole input.
"""

from __future__ import annotations

from pathlib import Path
import sys

import cv2
import numpy as np

from benchmarks.timing import interleaved, machine
from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.letterbox import Letterbox

sys.path.insert(0, str(Path(__file__).parents[1] / 'test' / 'unit'))
from head_tensors import SEED_ORDERS, as_outputs, planted_heads  # noqa: E402

STRIDES = (8, 16, 32)
SCORE, IOU = 0.25, 0.7
# Case: (task, seed's order, classes, the bar: at most this part of the plain way's time).
CASES = {
    'detect-80': ('detect', 'yolo12-detect', 80, 0.35),
    'pose-1': ('pose', 'yolo11-pose', 1, 0.5),
    'segment-80 with masks': ('segment', 'yolov8-seg-cn', 80, 0.3),
}


def sigmoid(x):
    """Return the logistic function, elementwise."""
    return 1 / (1 + np.exp(-x))


def plain_decode(heads, task):
    """Decode {(role, stride): (h, w, c)} the plain vectorised way, in model-input pixels."""
    boxes, scores, ids, extras = [], [], [], []
    for s in STRIDES:
        classes = heads['class', s].reshape(-1, heads['class', s].shape[-1])
        best = sigmoid(classes.max(axis=1))
        class_ids = classes.argmax(axis=1)
        cells = np.flatnonzero(best > SCORE)
        bins = heads['box', s].reshape(len(classes), 4, -1)[cells]
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        sides = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(
            bins.shape[2], dtype=np.float32)
        rows, columns = np.divmod(cells, heads['class', s].shape[1])
        centres = np.stack([columns, rows], 1) + 0.5
        boxes.append(np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], 1) * s)
        scores.append(best[cells])
        ids.append(class_ids[cells])
        if task == 'pose':
            points = heads['keypoints', s].reshape(len(classes), -1, 3)[cells]
            points = np.concatenate([
                (points[..., :2] * 2 + np.stack([columns, rows], 1)[:, None]) * s,
                sigmoid(points[..., 2:])], 2)
            extras.append(points)
        elif task == 'segment':
            extras.append(heads['coefficients', s].reshape(len(classes), -1)[cells])
    boxes, scores, ids = map(np.concatenate, (boxes, scores, ids))
    corners = boxes + ids[:, None] * 7680
    rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    kept = np.asarray(cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), SCORE, IOU)).ravel()
    result = [boxes[kept], scores[kept], ids[kept]]
    if task == 'pose':
        result.append(np.concatenate(extras)[kept])
    elif task == 'segment':
        result.append(plain_masks(heads['prototypes', 4], np.concatenate(extras)[kept],
                                  boxes[kept]))
    return result


def plain_masks(prototypes, coefficients, boxes):
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
    labels = np.zeros(masks.shape[1:], np.uint8)
    for i in reversed(range(len(masks))):
        np.copyto(labels, np.uint8(i + 1), where=masks[i])
    return labels


def main() -> None:
    """Print one line a case."""
    print(f'decode, 640x640, 20 objects ({machine()})')
    print(f'  {"case":24}{"ours ms":>9}{"plain ms":>10}{"ratio":>8}{"bar":>7}')
    letterbox = Letterbox.identity((640, 640))
    for name, (task, order_name, class_num, bar) in CASES.items():
        rng = np.random.default_rng(20)
        heads = planted_heads(rng, task, class_num=class_num, objects=20)
        infos, arrays = as_outputs(heads, SEED_ORDERS[order_name])
        decoder = make_decoder(identify_heads(infos, (640, 640)),
                               DecodeOptions(score_threshold=SCORE, nms_threshold=IOU))

        def ours(decoder=decoder, arrays=arrays, task=task):
            found = decoder(arrays, letterbox)
            return found, found.masks.to_label_image(640, 640) if task == 'segment' else None

        def plain(heads=heads, task=task):
            return plain_decode(heads, task)

        _check_agreement(ours(), plain(), task)
        seconds = interleaved({'ours': ours, 'plain': plain})
        # The ratio of each turn, so that a slow spell cancels out.
        ratio = np.median(seconds['ours'] / seconds['plain'])
        print(f'  {name:24}{np.median(seconds["ours"]) * 1e3:9.2f}'
              f'{np.median(seconds["plain"]) * 1e3:10.2f}{ratio:8.2f}{bar:7.2f}'
              f'  {"holds" if ratio <= bar else "MISSED"}')


def _check_agreement(ours, plain, task):
    """Refuse to compare the speed of two ways that do not do the same."""
    found, labels = ours
    same = len(found) == len(plain[0]) and np.allclose(found.boxes, plain[0].clip(0, 640),
                                                       atol=0.05)
    if task == 'segment':
        same = same and (labels != plain[3]).mean() < 1e-3
    if not same:
        raise SystemExit('decode benchmark: the two ways disagree')


if __name__ == '__main__':
    main()
