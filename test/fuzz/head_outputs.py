"""identify_heads on arbitrary lists of outputs, many of them nearly a YOLO's."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from target import Target

from rdk_yolo_ros.detections import TASKS
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import ROLES, identify_heads
from rdk_yolo_ros.tensors import TensorInfo

_INPUTS = st.one_of(
    st.sampled_from([(640, 640), (384, 640), (128, 128), (64, 64), (32, 32), (1024, 1024)]),
    st.tuples(st.integers(-1, 700), st.integers(-1, 700)),
    st.sampled_from([(0, 0), (2**31, 2**31), (1, 10**9)]))
_SIZES = st.one_of(st.sampled_from([0, 1, 2, 3, 4, 6, 16, 20, 32, 40, 51, 64, 80, 84, 160, 300,
                                    8400, 2**31, 2**63 - 1]), st.integers(0, 200))
_DTYPES = st.sampled_from(['<f4', '<f4', '<f4', '<f2', '<f8', '|i1', '|u1', '<i2', '<i4', '<i8',
                           '|b1', '<U3', '|O', '<c8', '<M8[s]'])
_COUNTS = st.sampled_from([-1, 0, 1, 2, 4, 15, 16, 17, 64, 80, 10**9, 2**63])
_KNOWN = st.fixed_dictionaries({}, optional={
    'task': st.sampled_from(TASKS), 'class_num': _COUNTS, 'reg_max': _COUNTS,
    'num_keypoints': _COUNTS, 'keypoint_dims': st.sampled_from([2, 3]),
    'rules': st.sampled_from(['v8', 'yolo26']), 'nms': st.booleans(),
    'order': st.lists(st.sampled_from([*ROLES, 'other', '']), max_size=14)})


@st.composite
def _outputs(draw) -> dict[str, Any]:
    height, width = input_hw = draw(_INPUTS)
    if draw(st.booleans()) and min(input_hw) > 0 and height * width < 10**7:
        strides = draw(st.sampled_from([(8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64)]))
        extra = draw(st.sampled_from([[], [], [32], [51], [1], [34]]))
        channels = [draw(st.sampled_from([64, 64, 4, 32])), draw(st.integers(1, 100)), *extra]
        shapes = [[1, height // s, width // s, c] for s in strides for c in channels]
        if draw(st.booleans()) if extra != [32] else draw(st.integers(0, 4)):
            shapes.append([1, height // 4, width // 4, 32])
        if draw(st.booleans()):
            shapes = [[shape[0], shape[3], *shape[1:3]] for shape in shapes]
        if draw(st.booleans()):
            cells = sum((height // s) * (width // s) for s in strides)
            shapes = [[1, 4 + sum(channels[1:]), cells], *shapes[len(strides) * len(channels):]]
    else:
        shapes = draw(st.lists(st.lists(_SIZES, max_size=5), max_size=8))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        if shapes:
            at = draw(st.integers(0, len(shapes) - 1))
            shapes[at] = draw(st.one_of(st.just(shapes[0]), st.lists(_SIZES, max_size=5)))
    kinds = draw(st.one_of(st.just(['<f4'] * len(shapes)), st.just(['<f4'] * len(shapes)),
                           st.lists(_DTYPES, min_size=len(shapes), max_size=len(shapes))))
    names = draw(st.one_of(st.just([f'o{i}' for i in range(len(shapes))]), st.lists(
        st.text(max_size=4), min_size=len(shapes), max_size=len(shapes))))
    return {'outputs': list(zip(names, shapes, kinds)), 'input_hw': input_hw,
            'known': draw(st.one_of(st.just({}), st.just({}), _KNOWN))}


def _run(model: dict[str, Any]) -> None:
    outputs = [TensorInfo(name, shape, dtype) for name, shape, dtype in model['outputs']]
    layout = identify_heads(outputs, model['input_hw'], **model['known'])
    assert layout.task in TASKS
    assert layout.class_num > 0
    assert layout.output_count == len(outputs)


TARGET = Target(_outputs(), _run, (HeadError,), explicit=(
    {'outputs': [(f'o{i}', [1, 80 >> i % 3, 80 >> i % 3, 64], '<f4') for i in range(3000)],
     'input_hw': (640, 640), 'known': {}},
    {'outputs': [('x' * 100_000, [1] * 5000, '<f4')], 'input_hw': (640, 640), 'known': {}},
))
