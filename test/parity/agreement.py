"""Ours against upstream's: outputs as a runtime hands them over, and the comparison's bars."""

import numpy as np

from rdk_yolo_ros.tensors import TensorInfo

ROLES = ('class', 'box', 'extra', 'prototypes')
PROTOTYPES = ('prototypes', 4)
BOX_PIXELS = 0.01
SCORE = 1e-5
KEYPOINT_PIXELS = 0.01
ANGLE = 1e-4
MASK_IOU = 0.999


def as_outputs(raw, channels_last=True, seed=None, quantization=None):
    """
    Return (TensorInfo list, array list) of raw heads, {(role, stride): (channels, h, w)}.

    In the model zoo's order, class, box and extra of each stride, or shuffled by a seed.
    `quantization` gives scale and zero point of each head.
    """
    places = sorted(raw, key=lambda place: (place == PROTOTYPES, place[1],
                                            ROLES.index(place[0])))
    if seed is not None:
        places = [places[i] for i in np.random.default_rng(seed).permutation(len(places))]
    infos, arrays = [], []
    for number, place in enumerate(places):
        array = raw[place].transpose(1, 2, 0) if channels_last else raw[place]
        arrays.append(np.ascontiguousarray(array)[None])
        scale, zero_point = quantization[place] if quantization else (None, None)
        infos.append(TensorInfo(f'output{number}', arrays[-1].shape, arrays[-1].dtype,
                                scale=scale, zero_point=zero_point,
                                quantize_axis=3 if channels_last else 1))
    return infos, arrays


def table_info(array):
    """Return the description of a float tensor."""
    return TensorInfo('output0', array.shape, array.dtype)


def assert_same_instances(ours, rows, pair, source_hw, box_pixels=BOX_PIXELS,
                          keypoint_pixels=KEYPOINT_PIXELS):
    """
    Fail unless `ours` has upstream's instances, each once, the best first.

    Args:
        ours: Detections.
        rows: upstream's, x1 y1 x2 y2 (OBB: x y w h) in source pixels, score, class, extra.
        pair: the model.
        source_hw: boxes are compared as they are clipped to it.
        box_pixels, keypoint_pixels: how far a number may be off.

    Returns:
        intp (n,): which of ours is upstream's row i.

    """
    rows = np.asarray(rows, np.float32)
    boxes, mine = rows[:, :4], ours.boxes
    if pair.task == 'obb':
        mine = np.concatenate([(mine[:, :2] + mine[:, 2:]) / 2, mine[:, 2:] - mine[:, :2]], 1)
    else:
        boxes = boxes.clip(0, np.array([source_hw[1], source_hw[0]] * 2))
    assert len(ours) == len(rows)
    assert (np.diff(ours.scores) <= 0).all()
    # Equal scores have no order of their own: every row looks for its partner.
    fits = ((ours.class_ids[None] == rows[:, 5:6])
            & (np.abs(ours.scores[None] - rows[:, 4:5]) <= SCORE)
            & (np.abs(mine[None] - boxes[:, None]).max(axis=2) <= box_pixels))
    partner = np.full(len(rows), -1)
    for i, candidates in enumerate(fits):
        free = np.setdiff1d(np.flatnonzero(candidates), partner)
        assert len(free), (f'row {i} of {len(rows)}, {rows[i, :6]}, is missing; nearest of ours: '
                           + _nearest(mine, ours, boxes[i], rows[i]))
        partner[i] = free[0]
    if pair.task == 'pose':
        count, dims = pair.kpt_shape
        theirs = rows[:, 6:].reshape(len(rows), count, dims)
        points = ours.keypoints[partner]
        np.testing.assert_allclose(points[..., :2], theirs[..., :2], rtol=0,
                                   atol=keypoint_pixels)
        confidence = theirs[..., 2] if dims == 3 else np.ones(theirs.shape[:2])
        np.testing.assert_allclose(points[..., 2], confidence, rtol=0, atol=SCORE)
    if pair.task == 'obb':
        np.testing.assert_allclose(ours.angles[partner], rows[:, 6], rtol=0, atol=ANGLE)
    return partner


def assert_same_masks(masks, partner, theirs):
    """
    Fail unless every mask overlaps with upstream's as it should.

    Args:
        masks: our InstanceMasks.
        partner: which of ours is upstream's i.
        theirs: bool (n, h, w), upstream's.

    """
    worst = 1.0
    for i, (mine, their) in enumerate(zip(map(masks.full, partner), theirs)):
        union = (mine | their).sum()
        if union:
            overlap = (mine & their).sum() / union
            assert overlap > MASK_IOU, f'mask {i}: IoU {overlap:.4f}, {union} pixels'
            worst = min(worst, overlap)
    assert theirs.any(axis=(1, 2)).sum() >= 5  # empty masks agree with everything
    return worst


def _nearest(mine, ours, box, row):
    distance = np.abs(mine - box).max(axis=1) + 100 * np.abs(ours.scores - row[4])
    i = int(distance.argmin())
    return f'{mine[i]} score {ours.scores[i]} class {ours.class_ids[i]}'
