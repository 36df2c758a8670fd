"""Outputs of published models, written out by hand, are the heads that they are known to be."""

import itertools
import random

import numpy as np
import pytest

from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.tensors import TensorInfo

GRIDS = {4: 160, 8: 80, 16: 40, 32: 20, 64: 10}


def infos(shapes, dtype=np.float32):
    return [TensorInfo(f'out{i}', shape, dtype) for i, shape in enumerate(shapes)]


def nhwc(channels, strides=(8, 16, 32), hw=(640, 640)):
    """Return a shape for each stride and channel count, stride by stride."""
    return [(1, hw[0] // s, hw[1] // s, c) for s in strides for c in channels]


def nchw(shapes):
    return [(1, c, h, w) for _, h, w, c in shapes]


def summary(layout):
    """Return a layout's figures and the channels of each stride's box, class and extra head."""
    heads = [(level.stride, level.box_head.channels, level.class_head.channels,
              level.extra and level.extra.channels) for level in layout.levels]
    return (layout.task, layout.class_num, layout.reg_max, layout.num_keypoints,
            layout.prototypes and (layout.prototypes.grid_hw, layout.prototypes.channels), heads)


def levels(box, classes, extra=None, strides=(8, 16, 32)):
    return [(s, box, classes, extra) for s in strides]


# As `hrt_model_exec model_info` prints the model zoo's, and what each is by its name.
ZOO = {
    'yolo11n_detect': ([
        (1, 80, 80, 80), (1, 80, 80, 64), (1, 40, 40, 80), (1, 40, 40, 64), (1, 20, 20, 80),
        (1, 20, 20, 64)], ('detect', 80, 16, 0, None, levels(64, 80))),
    'yolov10n_detect': ([
        (1, 80, 80, 80), (1, 80, 80, 64), (1, 40, 40, 80), (1, 40, 40, 64), (1, 20, 20, 80),
        (1, 20, 20, 64)], ('detect', 80, 16, 0, None, levels(64, 80))),
    'yolo11n_pose': ([
        (1, 80, 80, 1), (1, 80, 80, 64), (1, 80, 80, 51), (1, 40, 40, 1), (1, 40, 40, 64),
        (1, 40, 40, 51), (1, 20, 20, 1), (1, 20, 20, 64), (1, 20, 20, 51)],
        ('pose', 1, 16, 17, None, levels(64, 1, 51))),
    'yolov8n_seg': ([
        (1, 80, 80, 80), (1, 80, 80, 64), (1, 80, 80, 32), (1, 40, 40, 80), (1, 40, 40, 64),
        (1, 40, 40, 32), (1, 20, 20, 80), (1, 20, 20, 64), (1, 20, 20, 32), (1, 160, 160, 32)],
        ('segment', 80, 16, 0, ((160, 160), 32), levels(64, 80, 32))),
    'yolo26n_detect': ([
        (1, 80, 80, 80), (1, 80, 80, 4), (1, 40, 40, 80), (1, 40, 40, 4), (1, 20, 20, 80),
        (1, 20, 20, 4)], ('detect', 80, 1, 0, None, levels(4, 80))),
    'yolo26n_pose': ([
        (1, 80, 80, 1), (1, 80, 80, 4), (1, 80, 80, 51), (1, 40, 40, 1), (1, 40, 40, 4),
        (1, 40, 40, 51), (1, 20, 20, 1), (1, 20, 20, 4), (1, 20, 20, 51)],
        ('pose', 1, 1, 17, None, levels(4, 1, 51))),
    'yolo26n_seg': ([
        (1, 80, 80, 80), (1, 80, 80, 4), (1, 80, 80, 32), (1, 40, 40, 80), (1, 40, 40, 4),
        (1, 40, 40, 32), (1, 20, 20, 80), (1, 20, 20, 4), (1, 20, 20, 32), (1, 160, 160, 32)],
        ('segment', 80, 1, 0, ((160, 160), 32), levels(4, 80, 32))),
}
# Its OBB models take 1024x1024: grids of 128, 64 and 32.
ZOO_OBB = {
    'yolo11n_obb': ([
        (1, 128, 128, 15), (1, 128, 128, 64), (1, 128, 128, 1), (1, 64, 64, 15), (1, 64, 64, 64),
        (1, 64, 64, 1), (1, 32, 32, 15), (1, 32, 32, 64), (1, 32, 32, 1)],
        ('obb', 15, 16, 0, None, levels(64, 15, 1))),
    'yolo26n_obb': ([
        (1, 128, 128, 15), (1, 128, 128, 4), (1, 128, 128, 1), (1, 64, 64, 15), (1, 64, 64, 4),
        (1, 64, 64, 1), (1, 32, 32, 15), (1, 32, 32, 4), (1, 32, 32, 1)],
        ('obb', 15, 1, 0, None, levels(4, 15, 1))),
}
# box0, score0, box1, score1, box2, score2, kpt0, kpt1, kpt2
ESP_DL = [(1, 64, 80, 80), (1, 1, 80, 80), (1, 64, 40, 40), (1, 1, 40, 40), (1, 64, 20, 20),
          (1, 1, 20, 20), (1, 51, 80, 80), (1, 51, 40, 40), (1, 51, 20, 20)]


@pytest.mark.parametrize('name', [*ZOO, *ZOO_OBB])
def test_the_model_zoos_models(name):
    shapes, truth = {**ZOO, **ZOO_OBB}[name]
    size = 1024 if name in ZOO_OBB else 640
    for given in (shapes, nchw(shapes)):
        layout = identify_heads(infos(given), (size, size))
        assert summary(layout) == truth
        without_distribution = truth[2] == 1
        assert layout.rules == ('yolo26' if without_distribution else 'v8')
        assert layout.nms is not without_distribution
        assert layout.table is None


def test_yolov10_is_what_is_said_of_it():
    shapes, _ = ZOO['yolov10n_detect']
    assert identify_heads(infos(shapes), (640, 640), nms=False).nms is False


def test_a_runtimes_layout_is_not_believed():
    """The zoo's tools report NCHW for a one-channel NHWC tensor."""
    shapes, truth = ZOO['yolo11n_pose']
    outputs = [TensorInfo(str(i), shape, np.float32, 'NCHW' if shape[3] == 1 else 'NHWC')
               for i, shape in enumerate(shapes)]
    assert summary(identify_heads(outputs, (640, 640))) == truth


def test_esp_dls_export():
    outputs = [TensorInfo(f'o{i}', shape, np.int8, scale=2.0 ** -4)
               for i, shape in enumerate(ESP_DL)]
    layout = identify_heads(outputs, (640, 640))
    assert summary(layout) == ('pose', 1, 16, 17, None, levels(64, 1, 51))
    assert not layout.levels[0].box_head.channels_last
    assert [level.extra.index for level in layout.levels] == [6, 7, 8]


# What the families' heads have in common, for each task at its published figures.
FAMILIES = {'YOLOv5u': 64, 'YOLOv8': 64, 'YOLOv9': 64, 'YOLOv10': 64, 'YOLO11': 64, 'YOLO12': 64,
            'YOLO13': 64, 'YOLO26': 4}
TASKS = {'detect': ((80,), 640), 'segment': ((80, 32), 640), 'pose': ((1, 51), 640),
         'obb': ((15, 1), 1024)}


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('family', FAMILIES)
def test_every_family_and_task_in_any_order(family, task):
    (classes, *extra), size = TASKS[task]
    box = FAMILIES[family]
    shapes = nhwc([classes, box, *extra], hw=(size, size))
    if task == 'segment':
        shapes.append((1, size // 4, size // 4, 32))
    rng = random.Random(family + task)
    for _ in range(10):
        order = rng.sample(range(len(shapes)), len(shapes))
        layout = identify_heads(infos([shapes[i] for i in order]), (size, size))
        assert (layout.task, layout.class_num) == (task, classes)
        assert summary(layout)[-1] == levels(box, classes, extra[0] if extra else None)
        for level in layout.levels:
            for head in (level.box_head, level.class_head, level.extra):
                assert head is None or order[head.index] == shapes.index(head.info.shape)


# Other sizes and strides

@pytest.mark.parametrize('hw', [(384, 640), (640, 384), (320, 640), (288, 512), (64, 64),
                                (32, 32), (1280, 1280), (736, 1312)])
@pytest.mark.parametrize('task', ['detect', 'segment', 'pose'])
@pytest.mark.parametrize('to_layout', [list, nchw], ids=['NHWC', 'NCHW'])
def test_inputs_of_any_shape(hw, task, to_layout):
    (classes, *extra), _ = TASKS[task]
    shapes = nhwc([classes, 64, *extra], hw=hw)
    if task == 'segment':
        shapes.append((1, hw[0] // 4, hw[1] // 4, 32))
    layout = identify_heads(infos(to_layout(shapes)), hw)
    assert summary(layout)[-1] == levels(64, classes, extra[0] if extra else None)
    assert [level.box_head.grid_hw for level in layout.levels] == [
        (hw[0] // s, hw[1] // s) for s in (8, 16, 32)]
    assert layout.input_hw == hw


@pytest.mark.parametrize('strides', [(4, 8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32, 64)],
                         ids=['P2', 'P6', 'P2-P6'])
@pytest.mark.parametrize('task', ['detect', 'segment', 'pose'])
@pytest.mark.parametrize('hw', [(640, 640), (384, 640)])
def test_p2_and_p6_models(strides, task, hw):
    (classes, *extra), _ = TASKS[task]
    shapes = nhwc([classes, 64, *extra], strides, hw)
    if task == 'segment':  # twice the resolution of the finest level
        fine = strides[0] // 2
        shapes.append((1, hw[0] // fine, hw[1] // fine, 32))
    random.Random(1).shuffle(shapes)
    for given in (shapes, nchw(shapes)):
        layout = identify_heads(infos(given), hw)
        assert layout.strides == strides
        assert summary(layout)[-1] == levels(64, classes, extra[0] if extra else None, strides)


@pytest.mark.parametrize('heads', [list, nchw])
@pytest.mark.parametrize('prototypes', [list, nchw])
def test_prototypes_may_lie_the_other_way_than_the_heads(heads, prototypes):
    shapes = heads(nhwc([80, 64, 32])) + prototypes([(1, 160, 160, 32)])
    layout = identify_heads(infos(shapes), (640, 640))
    assert layout.prototypes.channels_last == (prototypes is list)
    assert {level.box_head.channels_last for level in layout.levels} == {heads is list}
    assert summary(layout) == ('segment', 80, 16, 0, ((160, 160), 32), levels(64, 80, 32))


def test_heads_of_different_layouts_are_found_where_each_has_one():
    shapes = [s if s[3] == 64 else nchw([s])[0] for s in nhwc([3, 64])]
    layout = identify_heads(infos(shapes), (640, 640))
    assert summary(layout)[-1] == levels(64, 3)
    assert layout.levels[0].box_head.channels_last
    assert not layout.levels[0].class_head.channels_last


# Other figures

@pytest.mark.parametrize('class_num', [*range(1, 130), 365, 601, 1000])
def test_any_number_of_classes_but_those_that_look_like_a_box(class_num):
    layout = identify_heads(infos(nhwc([class_num, 64])), (640, 640)) \
        if class_num not in (4, 64) else \
        identify_heads(infos(nhwc([class_num, 64])), (640, 640),
                       order=['class', 'box'] * 3)
    assert summary(layout) == ('detect', class_num, 16, 0, None, levels(64, class_num))


@pytest.mark.parametrize('reg_max', [2, 4, 8, 16, 20, 32])
@pytest.mark.parametrize('class_num', [1, 3, 80])
def test_any_reg_max_that_is_named(reg_max, class_num):
    outputs = infos(nhwc([class_num, 4 * reg_max]))
    if class_num == 4 * reg_max:
        layout = identify_heads(outputs, (640, 640), reg_max=reg_max, order=['class', 'box'] * 3)
    else:
        layout = identify_heads(outputs, (640, 640), reg_max=reg_max)
    assert (layout.reg_max, layout.class_num) == (reg_max, class_num)


def test_an_unusual_reg_max_needs_no_name_where_nothing_else_fits():
    assert identify_heads(infos(nhwc([3, 32])), (640, 640)).reg_max == 8


@pytest.mark.parametrize(('count', 'dims'), list(itertools.product(
    (1, 2, 4, 5, 6, 12, 17, 21, 24, 68, 133), (2, 3))))
def test_any_number_of_key_points_of_2_or_3_values(count, dims):
    outputs = infos(nhwc([1, 64, count * dims]))
    layout = identify_heads(outputs, (640, 640), task='pose', class_num=1, num_keypoints=count)
    assert (layout.num_keypoints, layout.keypoint_dims) == (count, dims)
    layout = identify_heads(outputs, (640, 640), 'pose', 1, 16, keypoint_dims=dims)
    assert (layout.num_keypoints, layout.keypoint_dims) == (count, dims)
    if (count * dims) % 6:  # only one of 2 and 3 divides it
        layout = identify_heads(outputs, (640, 640), 'pose', 1, 16)
        assert (layout.num_keypoints, layout.keypoint_dims) == (count, dims)


def test_several_classes_with_key_points():
    layout = identify_heads(infos(nhwc([7, 64, 51])), (640, 640))
    assert (layout.task, layout.class_num, layout.num_keypoints) == ('pose', 7, 17)


@pytest.mark.parametrize('class_num', [2, 7, 15, 18, 63, 64])
def test_turned_boxes_with_any_number_of_classes(class_num):
    layout = identify_heads(infos(nhwc([class_num, 64, 1])), (640, 640), 'obb',
                            order=['class', 'box', 'angle'] * 3)
    assert summary(layout) == ('obb', class_num, 16, 0, None, levels(64, class_num, 1))


# What is missing

@pytest.mark.parametrize(('shapes', 'says'), [
    (nhwc([80, 64], (8, 16)), r'stride 32 \(20x20\): the box and class heads .* missing'),
    (nhwc([80, 64], (16, 32)), r'stride 8 \(80x80\)'),
    (nhwc([80, 64])[:-1], r'stride 32 has heads of \[80\] channels, stride 8 of \[64, 80\]'),
    (nhwc([80, 64, 32]), 'like segment with class_num 80, .* the prototypes are missing'),
    (nhwc([5, 64, 32]), 'segment with class_num 5, reg_max 16, without its prototypes'),
    (nhwc([1, 64, 32]), 'segment with class_num 1, reg_max 16, without its prototypes'),
    ([*nhwc([80, 64]), (1, 160, 160, 32)], 'as many mask coefficients, 32'),
    ([*nhwc([80, 64, 32]), (1, 160, 160, 32), (1, 160, 160, 32)], 'stride 4 has heads|stride 8'),
    ([*nhwc([80, 64, 32]), (1, 320, 320, 32)], 'expected 160x160 for mask prototypes'),
    (nhwc([255]), 'anchors'), (nhwc([144]), 'joined must be exported with separate ones'),
    (nhwc([80, 64, 51, 32]), 'each stride has 4 outputs, expected 2 or 3'),
    (nhwc([3, 7]), 'expected class_num, 4 . reg_max for the box'),
    ([*nhwc([80, 64]), (1, 7, 7, 512)], r"output 'out6' with shape \(1, 7, 7, 512\) is no YOLO"),
    ([(1, 7, 7, 512), (1, 14, 14, 256)], 'look like no YOLO'),
    ([(1, 3, 80, 80, 85), (1, 3, 40, 40, 85), (1, 3, 20, 20, 85)], 'look like no YOLO'),
    ([(2, 80, 80, 64)], 'look like no YOLO'), ([], 'no outputs')])
def test_what_is_missing_is_said(shapes, says):
    with pytest.raises(HeadError, match=says) as caught:
        identify_heads(infos(shapes), (640, 640))
    for shape in shapes:
        assert 'x'.join(map(str, shape)) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_an_output_that_holds_no_numbers_is_refused():
    outputs = infos(nhwc([80, 64]))
    outputs[2] = TensorInfo('flags', outputs[2].shape, np.bool_)
    with pytest.raises(HeadError, match="'flags' is bool, expected numbers"):
        identify_heads(outputs, (640, 640))
