"""Recognition of arbitrary outputs: an answer or HeadError, the same for every order."""

import contextlib
import dataclasses

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from rdk_yolo_ros.detections import TASKS
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import ROLES, identify_heads
from rdk_yolo_ros.tensors import TensorInfo

INPUTS = st.sampled_from([(640, 640), (384, 640), (320, 640), (128, 128), (64, 64), (1024, 1024)])
# Sizes of which a YOLO's outputs are made, so that examples come close to one.
SIZES = st.one_of(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 10, 15, 16, 20, 32, 40, 48, 51, 64, 80, 84,
                                   160, 300, 336, 640, 8400]), st.integers(0, 10**9))
DTYPES = st.sampled_from(['f4', 'f2', 'f8', 'i1', 'u1', 'i2', 'i4', 'u4', 'i8', '?', 'U3', 'O'])
KNOWN = st.fixed_dictionaries({}, optional={
    'task': st.sampled_from(TASKS), 'class_num': st.sampled_from([-1, 0, 1, 2, 15, 64, 80, 10**9]),
    'reg_max': st.sampled_from([-1, 0, 1, 8, 16, 10**9]),
    'num_keypoints': st.sampled_from([-1, 0, 1, 5, 17, 10**9]),
    'keypoint_dims': st.sampled_from([2, 3]), 'rules': st.sampled_from(['v8', 'yolo26']),
    'nms': st.booleans(), 'order': st.lists(st.sampled_from([*ROLES, 'other']), max_size=10)})


@st.composite
def arbitrary_outputs(draw):
    shapes = draw(st.lists(st.lists(SIZES, max_size=5), max_size=6))
    return [TensorInfo(draw(st.text(max_size=4)), shape, draw(DTYPES)) for shape in shapes]


@st.composite
def yolo_like(draw, input_hw):
    """Draw a YOLO's outputs, raw or dense, one in five with a fault."""
    strides = draw(st.sampled_from([(8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64)]))
    extra = draw(st.sampled_from([[], [32], [51], [1], [15], [24]]))
    classes = draw(st.one_of(st.sampled_from([1, 4, 15, 32, 51, 64, 80]), st.integers(1, 1000)))
    grids = [(input_hw[0] // s, input_hw[1] // s) for s in strides]
    if draw(st.integers(0, 3)):
        channels = [draw(st.sampled_from([64, 64, 4, 32])), classes, *extra]
        shapes = [(1, h, w, c) for h, w in grids for c in channels]
        if draw(st.booleans()):
            shapes = [(1, c, h, w) for _, h, w, c in shapes]
    else:
        shapes = [(1, 4 + classes + sum(extra), sum(h * w for h, w in grids))]
    if extra == [32]:
        shapes.append((1, 32, 2 * grids[0][0], 2 * grids[0][1]))
    if not draw(st.integers(0, 4)):
        shapes[draw(st.integers(0, len(shapes) - 1))] = tuple(draw(st.lists(SIZES, max_size=4)))
    return [TensorInfo(f'o{i}', shape, np.float32) for i, shape in enumerate(shapes)]


def outcome(outputs, input_hw, known):
    """Return the layout without its indices, or None for HeadError."""
    try:
        layout = identify_heads(outputs, input_hw, **known)
    except HeadError:
        return None

    def name(part):
        return part and dataclasses.replace(part, index=0, info=part.info.name)

    parts = [(level.stride, name(level.class_head), name(level.box_head), name(level.extra))
             for level in layout.levels]
    return dataclasses.replace(layout, levels=tuple(parts), prototypes=name(layout.prototypes),
                               table=name(layout.table))


def check_layout(layout, outputs):
    """Every output has one role, and the figures are those of the heads."""
    heads = [head for level in layout.levels
             for head in (level.class_head, level.box_head, level.extra) if head is not None]
    parts = [p for p in (*heads, layout.prototypes, layout.table) if p is not None]
    assert sorted(part.index for part in parts) == list(range(len(outputs)))
    assert all(part.info is outputs[part.index] for part in parts)
    for level in layout.levels:
        assert level.box_head.channels == 4 * layout.reg_max
        assert level.class_head.channels == layout.class_num
        extra = {'detect': None, 'pose': layout.num_keypoints * layout.keypoint_dims, 'obb': 1,
                 'segment': layout.prototypes and layout.prototypes.channels}[layout.task]
        assert (level.extra.channels if level.extra else None) == extra
        for head in (level.box_head, level.class_head, level.extra):
            if head is not None:
                h, w, c = (*head.grid_hw, head.channels)
                assert head.info.shape == ((1, h, w, c) if head.channels_last else (1, c, h, w))
                assert head.grid_hw == tuple(n // level.stride for n in layout.input_hw)
    assert bool(layout.levels) != bool(layout.table)
    assert (layout.prototypes is not None) == (layout.task == 'segment')
    assert (layout.num_keypoints > 0) == (layout.task == 'pose')
    if layout.table and layout.table.form == 'dense':
        extra = {'pose': layout.num_keypoints * layout.keypoint_dims, 'obb': 1, 'detect': 0,
                 'segment': layout.prototypes and layout.prototypes.channels}[layout.task]
        assert layout.table.columns == 4 + layout.class_num + extra


@settings(max_examples=200)
@given(arbitrary_outputs(), INPUTS, KNOWN)
def test_arbitrary_outputs_are_read_or_refused(outputs, input_hw, known):
    try:
        layout = identify_heads(outputs, input_hw, **known)
    except HeadError:
        return
    check_layout(layout, outputs)


@settings(max_examples=200)
@given(st.data(), INPUTS, st.one_of(st.just({}), KNOWN))
def test_what_looks_like_a_yolo_is_read_consistently_in_any_order(data, input_hw, known):
    outputs = data.draw(yolo_like(input_hw))
    known = {key: value for key, value in known.items() if key != 'order'}
    with contextlib.suppress(HeadError):
        check_layout(identify_heads(outputs, input_hw, **known), outputs)
    shuffled = data.draw(st.permutations(outputs))
    assert outcome(outputs, input_hw, known) == outcome(shuffled, input_hw, known)


@settings(max_examples=100)
@given(st.data())
def test_what_one_key_settles_is_the_truth_that_the_key_is_of(data):
    """Outputs made for known figures are read as these, or refused, with all of them stated."""
    task = data.draw(st.sampled_from(['detect', 'segment', 'pose', 'obb']))
    classes = data.draw(st.integers(1, 1000))
    reg_max = data.draw(st.sampled_from([1, 4, 8, 16, 20]))
    points, dims = data.draw(st.integers(1, 133)), data.draw(st.sampled_from([2, 3]))
    extra = {'detect': [], 'segment': [32], 'pose': [points * dims], 'obb': [1]}[task]
    channels = [4 * reg_max, classes, *extra]
    outputs = [TensorInfo(f'{s}-{c}', (1, 640 // s, 640 // s, n), np.float32)
               for s in (8, 16, 32) for c, n in enumerate(channels)]
    if task == 'segment':
        outputs.append(TensorInfo('4-2', (1, 160, 160, 32), np.float32))
    outputs = data.draw(st.permutations(outputs))
    known = {'task': task, 'class_num': classes, 'reg_max': reg_max}
    if task == 'pose':
        known.update(num_keypoints=points, keypoint_dims=dims)
    if len(set(channels)) < len(channels):
        with pytest.raises(HeadError, match='`outputs`'):
            identify_heads(outputs, (640, 640), **known)
        roles = ['box', 'class', {'segment': 'coefficients', 'pose': 'keypoints',
                                  'obb': 'angle'}.get(task)]
        known['order'] = ['prototypes' if o.name == '4-2' else roles[int(o.name.split('-')[1])]
                          for o in outputs]
    layout = identify_heads(outputs, (640, 640), **known)
    check_layout(layout, outputs)
    assert (layout.task, layout.class_num, layout.reg_max) == (task, classes, reg_max)
    for level in layout.levels:
        assert level.box_head.info.name == f'{level.stride}-0'
        assert level.class_head.info.name == f'{level.stride}-1'
        if extra:
            assert level.extra.info.name == f'{level.stride}-2'
