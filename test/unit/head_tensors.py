"""Random but plausible head tensors for tests: objects planted in noise, in any order and type."""

import numpy as np

from rdk_yolo_ros.head_layout import Head, HeadLayout, Level
from rdk_yolo_ros.tensors import TensorInfo

STRIDES = (8, 16, 32)

# The orders of the vendor documents that the project grew from, as (role, stride).
SEED_ORDERS = {
    'yolo11-pose': [(r, s) for s in STRIDES for r in ('box', 'class')]
                   + [('keypoints', s) for s in STRIDES],
    'yolo12-detect': [(r, s) for s in STRIDES for r in ('class', 'box')],
    'yolov8-seg-cn': [(r, s) for r in ('coefficients', 'box', 'class') for s in STRIDES]
                     + [('prototypes', 4)],
    'yolov8-seg-en': [(r, s) for r in ('box', 'class', 'coefficients') for s in STRIDES]
                     + [('prototypes', 4)],
}
SEED_TASKS = {'yolo11-pose': 'pose', 'yolo12-detect': 'detect', 'yolov8-seg-cn': 'segment',
              'yolov8-seg-en': 'segment'}


# The role of the extra head that a task has.
EXTRA_ROLES = {'detect': None, 'segment': 'coefficients', 'pose': 'keypoints', 'obb': 'angle'}


def planted_heads(rng, task, input_hw=(640, 640), class_num=80, objects=12, reg_max=16,
                  num_keypoints=17, keypoint_dims=3, strides=STRIDES):
    """
    Return {(role, stride): float32 (h, w, c)} with `objects` objects in noise.

    Each object has a few neighbouring cells that agree on its box, so that NMS has work to do.
    reg_max 1: plain distances.
    """
    height, width = input_hw
    heads = {}
    for s in strides:
        grid = (height // s, width // s)
        heads['class', s] = rng.normal(-9, 1, (*grid, class_num)).astype(np.float32)
        heads['box', s] = rng.normal(0, 1, (*grid, 4 * reg_max)).astype(np.float32)
        if task == 'pose':
            heads['keypoints', s] = rng.normal(
                0, 2, (*grid, keypoint_dims * num_keypoints)).astype(np.float32)
        if task == 'obb':
            heads['angle', s] = rng.normal(0, 1, (*grid, 1)).astype(np.float32)
        if task == 'segment':
            heads['coefficients', s] = rng.normal(0, 0.5, (*grid, 32)).astype(np.float32)
    if task == 'segment':
        coarse = rng.normal(0, 1, (height // 32 + 1, width // 32 + 1, 32)).astype(np.float32)
        fine = np.kron(coarse, np.ones((8, 8, 1), np.float32))[:height // 4, :width // 4]
        heads['prototypes', 4] = np.ascontiguousarray(
            fine + rng.normal(0, 0.05, fine.shape).astype(np.float32))
    for _ in range(objects):
        s = int(rng.choice(strides))
        grid_h, grid_w = height // s, width // s
        row, column = int(rng.integers(grid_h)), int(rng.integers(grid_w))
        class_id = int(rng.integers(class_num))
        size = rng.uniform(1.5, min(7, reg_max - 3) if reg_max > 1 else 7, 4)
        coefficients = rng.normal(0, 0.5, 32)
        angle = rng.normal(0, 1) if task == 'obb' else None
        for dy in (0, 1):
            for dx in (0, 1):
                y, x = min(row + dy, grid_h - 1), min(column + dx, grid_w - 1)
                heads['class', s][y, x, class_id] = rng.uniform(-0.5, 4)
                sides = size + [dx, dy, -dx, -dy]
                if reg_max == 1:
                    heads['box', s][y, x] = sides
                else:
                    sides = np.clip(sides, 0, reg_max - 1)
                    bins = np.arange(reg_max)
                    heads['box', s][y, x] = (
                        -4 * np.abs(bins - sides[:, None]) + rng.normal(0, 0.05, (4, reg_max))
                    ).ravel()
                if task == 'obb':
                    heads['angle', s][y, x] = angle + rng.normal(0, 0.02)
                if task == 'segment':
                    heads['coefficients', s][y, x] = coefficients
    return heads


def as_outputs(heads, order, quantize=(), channels_last=True, rng=None):
    """
    Return (TensorInfo list, array list) in `order`.

    quantize: roles stored as int32 with a scale per channel, as a board model whose dequantize
    nodes were removed.
    """
    infos, arrays = [], []
    for number, (role, stride) in enumerate(order):
        real = heads[role, stride]
        scale = axis = None
        stored = real
        if role in quantize:
            scale = rng.uniform(1e-4, 6e-4, real.shape[-1]).astype(np.float32)
            stored = np.round(real / scale).astype(np.int32)
            axis = 3 if channels_last else 1
        stored = stored[None] if channels_last else stored.transpose(2, 0, 1)[None]
        stored = np.ascontiguousarray(stored)
        infos.append(TensorInfo(f'out{number}', stored.shape, stored.dtype, scale=scale,
                                quantize_axis=axis))
        arrays.append(stored)
    return infos, arrays


def layout_of(infos, order, input_hw, task, channels_last=True, **figures):
    """
    Return the HeadLayout of outputs whose order is known, without recognising anything.

    figures: fields of HeadLayout besides those that the shapes tell.
    """
    by_place = {}
    for index, (place, info) in enumerate(zip(order, infos)):
        grid = info.shape[1:3] if channels_last else info.shape[2:4]
        channels = info.shape[3 if channels_last else 1]
        by_place[place] = Head(index, info, grid, channels, channels_last)
    role = EXTRA_ROLES[task]
    strides = sorted({s for r, s in order if r == 'class'})
    levels = tuple(Level(s, by_place['class', s], by_place['box', s],
                         by_place[role, s] if role else None) for s in strides)
    dims = figures.get('keypoint_dims', 3)
    if task == 'pose':
        figures.setdefault('num_keypoints', levels[0].extra.channels // dims)
    prototypes = next((head for (r, _), head in by_place.items() if r == 'prototypes'), None)
    return HeadLayout(task, input_hw, levels, levels[0].class_head.channels,
                      levels[0].box_head.channels // 4, prototypes=prototypes, **figures)


def real_values(info, array):
    """Return float64 (h, w, c) of a channels-last output, dequantized in the tests' own way."""
    values = array[0].astype(np.float64)
    return values if info.scale is None else values * info.scale.astype(np.float64)


def levels_by_role(infos, arrays, order, extra_role=None):
    """Return what reference_decode takes, from the arrays that the package gets."""
    real = {place: real_values(i, a) for place, i, a in zip(order, infos, arrays)}
    strides = sorted(s for role, s in order if role == 'class')
    levels = [(s, real['class', s], real['box', s],
               real[extra_role, s] if extra_role else None) for s in strides]
    return levels, real.get(('prototypes', 4))
