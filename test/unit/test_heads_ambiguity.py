"""What shapes leave open is said, with the readings that fit; each key it names settles it."""

import random

import numpy as np
import pytest

from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.tensors import TensorInfo

STRIDES = (8, 16, 32)


def outputs_of(channels, prototypes=0, hw=(640, 640)):
    shapes = [(1, hw[0] // s, hw[1] // s, c) for s in STRIDES for c in channels]
    if prototypes:
        shapes.append((1, hw[0] // 4, hw[1] // 4, prototypes))
    return [TensorInfo(f'o{i}', shape, np.float32) for i, shape in enumerate(shapes)]


def figures(layout):
    return (layout.task, layout.class_num, layout.reg_max, layout.num_keypoints,
            layout.keypoint_dims if layout.task == 'pose' else 0)


# channels on each stride, prototypes, and {what a key must lead to: keys that lead there}
CASES = {
    'box of 64 and 4 classes, or of 4 and 64': ((4, 64), 0, {
        ('detect', 4, 16, 0, 0): [{'class_num': 4}, {'reg_max': 16}, {'rules': 'v8'},
                                  {'order': ['class', 'box'] * 3}],
        ('detect', 64, 1, 0, 0): [{'class_num': 64}, {'reg_max': 1}, {'rules': 'yolo26'},
                                  {'order': ['box', 'class'] * 3}]}),
    'the same with masks': ((4, 64, 32), 32, {
        ('segment', 4, 16, 0, 0): [{'class_num': 4}, {'reg_max': 16}],
        ('segment', 64, 1, 0, 0): [{'class_num': 64}, {'reg_max': 1}]}),
    'turned boxes of 15 classes, or 5 points of one': ((15, 64, 1), 0, {
        ('obb', 15, 16, 0, 0): [{'task': 'obb'}, {'class_num': 15},
                                {'order': ['class', 'box', 'angle'] * 3}],
        ('pose', 1, 16, 5, 3): [{'task': 'pose'}, {'class_num': 1}, {'num_keypoints': 5},
                                {'order': ['keypoints', 'box', 'class'] * 3}]}),
    'hands of 21 points': ((1, 64, 63), 0, {
        ('pose', 1, 16, 21, 3): [{'task': 'pose'}, {'class_num': 1}, {'num_keypoints': 21}],
        ('obb', 63, 16, 0, 0): [{'task': 'obb'}, {'class_num': 63}]}),
    '8 points of 3 or 12 of 2': ((2, 64, 24), 0, {
        ('pose', 2, 16, 8, 3): [{'num_keypoints': 8},
                                {'class_num': 2, 'keypoint_dims': 3}],
        ('pose', 2, 16, 12, 2): [{'num_keypoints': 12},
                                 {'class_num': 2, 'keypoint_dims': 2}],
        ('pose', 24, 16, 1, 2): [{'class_num': 24}, {'num_keypoints': 1}]}),
    'either of two heads may be the points': ((6, 64, 9), 0, {
        ('pose', 6, 16, 3, 3): [{'class_num': 6},
                                {'order': ['class', 'box', 'keypoints'] * 3}],
        ('pose', 9, 16, 2, 3): [{'class_num': 9, 'num_keypoints': 2}, {'num_keypoints': 2}],
        ('pose', 9, 16, 3, 2): [{'keypoint_dims': 2}]}),
    'a reg_max of 8 or of 20': ((32, 80), 0, {
        ('detect', 80, 8, 0, 0): [{'class_num': 80}, {'reg_max': 8}],
        ('detect', 32, 20, 0, 0): [{'class_num': 32}, {'reg_max': 20}]}),
}


@pytest.mark.parametrize('name', CASES)
def test_every_reading_is_listed_and_every_key_settles_it(name):
    channels, prototypes, truths = CASES[name]
    outputs = outputs_of(channels, prototypes)
    with pytest.raises(HeadError) as caught:
        identify_heads(outputs, (640, 640))
    message = str(caught.value)
    assert 'can be read in' in message
    assert '\n' not in message
    for task, class_num, reg_max, points, dims in truths:
        reading = f'{task} with class_num {class_num}, reg_max {reg_max}'
        assert reading + (f', num_keypoints {points}, keypoint_dims {dims}' if points else '') \
            in message
    for truth, keys in truths.items():
        for known in keys:
            assert figures(identify_heads(outputs, (640, 640), **known)) == truth, known
            named = [key.replace('order', 'outputs') for key in known if key != 'rules']
            assert all(f'`{key}`' in message for key in named), known


@pytest.mark.parametrize(('channels', 'prototypes', 'roles', 'truth'), [
    ((64, 64), 0, 'class box', ('detect', 64, 16, 0, 0)),
    ((4, 4), 0, 'box class', ('detect', 4, 1, 0, 0)),
    ((32, 32, 64), 32, 'class coefficients box', ('segment', 32, 16, 0, 0)),
    ((64, 64, 32), 32, 'class box coefficients', ('segment', 64, 16, 0, 0)),
    ((51, 64, 51), 0, 'keypoints box class', ('pose', 51, 16, 17, 3)),
    ((1, 64, 1), 0, 'angle box class', ('obb', 1, 16, 0, 0)),
    ((64, 64, 64), 64, 'coefficients class box', ('segment', 64, 16, 0, 0))])
def test_heads_of_one_shape_take_their_roles(channels, prototypes, roles, truth):
    outputs = outputs_of(channels, prototypes)
    repeated = next(c for c in channels if channels.count(c) > 1)
    with pytest.raises(HeadError, match=rf'have {repeated} channels each .*`outputs`'):
        identify_heads(outputs, (640, 640), truth[0])
    roles = roles.split()
    order = roles * 3 + ['prototypes'] * bool(prototypes)
    layout = identify_heads(outputs, (640, 640), order=order)
    assert figures(layout) == truth
    for number, level in enumerate(layout.levels):
        assert level.box_head.index == number * len(roles) + roles.index('box')
        assert level.class_head.index == number * len(roles) + roles.index('class')
        if level.extra is not None:
            extra, = set(roles) - {'box', 'class'}
            assert level.extra.index == number * len(roles) + roles.index(extra)


def test_roles_do_not_tell_2_values_from_3():
    outputs = outputs_of((1, 64, 24))
    order = ['class', 'box', 'keypoints'] * 3
    with pytest.raises(HeadError, match='2 ways.*num_keypoints 8.*num_keypoints 12') as caught:
        identify_heads(outputs, (640, 640), order=order)
    assert '`num_keypoints` or `keypoint_dims`. Found' in str(caught.value)
    assert identify_heads(outputs, (640, 640), order=order, keypoint_dims=2).num_keypoints == 12


@pytest.mark.parametrize(('channels', 'order', 'says'), [
    ((3, 64, 2), 'class box angle', 'angle head of stride 8 has 2 channels, expected 1'),
    ((3, 64, 7), 'class box keypoints', 'key point head of stride 8 has 7 channels'),
    ((3, 64, 32), 'class box coefficients', '32 channels and the model no prototypes'),
    ((3, 64, 32), 'class box box', 'stride 8 the roles'),
    ((3, 64), 'class angle', 'stride 8 the roles')])
def test_roles_that_the_shapes_contradict_are_refused(channels, order, says):
    with pytest.raises(HeadError, match=says):
        identify_heads(outputs_of(channels), (640, 640), order=order.split() * 3)


def test_roles_that_leave_prototypes_without_coefficients_are_refused():
    order = ['class', 'box', 'keypoints'] * 3 + ['prototypes']
    with pytest.raises(HeadError, match="prototypes .'o9'., and `outputs` gives stride 8 no"):
        identify_heads(outputs_of((80, 64, 51), 32), (640, 640), order=order)


# Preferences: figures of published checkpoints, where a mistake is implausible

@pytest.mark.parametrize(('channels', 'hw', 'truth'), [
    ((64, 80), (640, 640), ('detect', 80, 16, 0, 0)),     # not 64 classes and reg_max 20
    ((4, 80), (640, 640), ('detect', 80, 1, 0, 0)),       # not 4 classes and reg_max 20
    ((4, 16), (640, 640), ('detect', 16, 1, 0, 0)),       # not 4 classes and reg_max 4
    ((1, 64, 51), (640, 640), ('pose', 1, 16, 17, 3)),    # not turned boxes of 51 classes
    ((80, 64, 51), (640, 640), ('pose', 80, 16, 17, 3)),  # not 51 classes and 40 points of 2
    ((15, 64, 1), (1024, 1024), ('obb', 15, 16, 0, 0)),   # not one class and 5 points
    ((15, 4, 1), (1024, 1024), ('obb', 15, 1, 0, 0))])
def test_published_figures_are_preferred(channels, hw, truth):
    assert figures(identify_heads(outputs_of(channels, hw=hw), hw)) == truth


def test_what_the_caller_knows_goes_before_what_is_published():
    outputs = outputs_of((1, 64, 51))
    assert figures(identify_heads(outputs, (640, 640), 'obb')) == ('obb', 51, 16, 0, 0)
    assert figures(identify_heads(outputs_of((64, 80)), (640, 640), reg_max=20)) \
        == ('detect', 64, 20, 0, 0)
    assert figures(identify_heads(outputs_of((1, 64, 32)), (640, 640), 'pose')) \
        == ('pose', 1, 16, 16, 2)


@pytest.mark.parametrize(('known', 'says'), [
    ({'num_keypoints': 17}, 'num_keypoints 17'), ({'keypoint_dims': 2}, 'keypoint_dims 2')])
def test_a_detector_has_no_key_points(known, says):
    with pytest.raises(HeadError, match=says):
        identify_heads(outputs_of((80, 64)), (640, 640), **known)


def test_messages_do_not_depend_on_the_order_of_the_outputs():
    outputs = outputs_of((15, 64, 1))
    messages = set()
    for seed in range(20):
        shuffled = random.Random(seed).sample(outputs, len(outputs))
        with pytest.raises(HeadError) as caught:
            identify_heads(shuffled, (640, 640))
        messages.add(str(caught.value).split('Found')[0])
    assert len(messages) == 1
