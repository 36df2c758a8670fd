"""Decoding of any numbers, NaN and infinity too: a model may put out what it likes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
import numpy as np
from target import Target

from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

_HW = (64, 96)
_STRIDES = (8, 16, 32)
_TASKS = ('detect', 'segment', 'pose', 'obb', 'classify')
_DTYPES = ('<f4', '<f4', '<f2', '|i1', '<i2', '<i4')
_NUMBERS = st.floats(width=32) | st.floats(-12, 12, width=32) \
    | st.sampled_from([float('nan'), float('inf'), -float('inf'), 3.4e38, -3.4e38, 1e-40, 0.0])
_EXAMPLES = st.fixed_dictionaries({
    'task': st.sampled_from(_TASKS), 'reg_max': st.sampled_from([16, 16, 1]),
    'classes': st.integers(1, 6), 'dtype': st.sampled_from(_DTYPES),
    'channels_last': st.booleans(), 'dense': st.booleans(), 'nms': st.booleans(),
    # As text, as NaN has no literal: repeated over all tensors, so that no two cells are alike.
    'numbers': st.lists(_NUMBERS.map(repr), min_size=1, max_size=23),
    'source_hw': st.tuples(st.integers(1, 200), st.integers(1, 200)),
    'options': st.fixed_dictionaries({}, optional={
        'score_threshold': st.floats(0, 1), 'nms_threshold': st.floats(0, 1),
        'nms_top_k': st.integers(1, 400), 'max_detections': st.integers(1, 400),
        'class_agnostic': st.booleans(), 'native_masks': st.booleans(),
        'classes': st.lists(st.integers(0, 7), max_size=3), 'top_k': st.integers(1, 9),
        'softmax': st.none() | st.booleans()})})


def _shapes(example: dict[str, Any]) -> list[tuple[int, ...]]:
    extra = {'segment': 32, 'pose': 9, 'obb': 1}.get(example['task'], 0)
    grids = [(_HW[0] // stride, _HW[1] // stride) for stride in _STRIDES]
    if example['task'] == 'classify':
        return [(1, example['classes'] + 1)]
    if example['dense']:
        shapes = [(1, 4 + example['classes'] + extra, sum(h * w for h, w in grids))]
    else:
        widths = [4 * example['reg_max'], example['classes'], *([extra] if extra else [])]
        shapes = [(1, *grid, width) for grid in grids for width in widths]
    if extra == 32:
        shapes.append((1, _HW[0] // 4, _HW[1] // 4, 32))
    return [shape if example['channels_last'] or len(shape) == 3
            else (1, shape[3], *shape[1:3]) for shape in shapes]


def _run(example: dict[str, Any]) -> None:
    dtype = np.dtype(example['dtype'])
    numbers = np.array([float(text) for text in example['numbers']], np.float32)
    with np.errstate(all='ignore'):
        if dtype.kind == 'i':
            limits = np.iinfo(dtype)
            numbers = np.clip(np.nan_to_num(numbers * 100.0), limits.min, limits.max - 1024)
        numbers = numbers.astype(dtype)
    shapes = _shapes(example)
    arrays, at = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        arrays.append(np.resize(np.roll(numbers, -at), size).reshape(shape))
        at += size
    infos = [TensorInfo(f'o{i}', shape, dtype, scale=0.01 if dtype.kind == 'i' else None)
             for i, shape in enumerate(shapes)]
    known: dict[str, Any] = {'task': example['task']}
    if example['task'] != 'classify':
        known.update(class_num=example['classes'], nms=example['nms'])
        if not example['dense']:
            known['reg_max'] = example['reg_max']
        if example['task'] == 'pose':
            known.update(num_keypoints=3, keypoint_dims=3)
    layout = identify_heads(infos, _HW, **known)
    options = dict(example['options'])
    if 'classes' in options:
        options['classes'] = tuple(options['classes'])
    options = DecodeOptions(**options)
    letterbox = Letterbox.fit(example['source_hw'], _HW)
    with np.errstate(all='ignore'):  # infinity minus itself, and the like
        result = make_decoder(layout, options)(arrays, letterbox)
        _check(result, layout, options, letterbox)


def _check(result: Any, layout: Any, options: DecodeOptions, letterbox: Letterbox) -> None:
    assert np.isfinite(result.scores).all()
    assert (np.diff(result.scores) <= 0).all()
    if isinstance(result, Classifications):
        assert len(result) <= options.top_k
        return
    assert isinstance(result, Detections)
    assert len(result) <= options.max_detections
    if not len(result):
        return
    assert result.scores.max() <= 1
    assert result.scores.min() > options.score_threshold - 1e-6
    assert result.class_ids.min() >= 0
    assert result.class_ids.max() < layout.class_num
    assert options.classes is None or set(result.class_ids.tolist()) <= set(options.classes)
    assert np.isfinite(result.boxes).all()
    height, width = letterbox.source_hw
    if layout.task != 'obb':
        assert result.boxes.min() >= 0
        assert (result.boxes.max(axis=0) <= (width, height, width, height)).all()
    if result.keypoints is not None:
        assert np.isfinite(result.keypoints).all()
    if result.angles is not None:
        assert np.isfinite(result.angles).all()
    if result.masks is not None:
        assert result.masks.to_label_image(height, width).max() <= len(result)


TARGET = Target(_EXAMPLES, _run, (HeadError,))
