"""Heads are recognised by shape, in any order; what cannot be told apart is said to be so."""

import itertools
import random

from head_tensors import SEED_ORDERS, SEED_TASKS, STRIDES
import numpy as np
import pytest

from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.tensors import TensorInfo

CHANNELS = {'box': 64, 'class': 80, 'keypoints': 51, 'coefficients': 32, 'prototypes': 32}


def outputs_of(order, input_hw=(640, 640), channels_last=True, **channels):
    counts = {**CHANNELS, **channels}
    infos = []
    for number, (role, stride) in enumerate(order):
        grid = (input_hw[0] // stride, input_hw[1] // stride)
        c = counts[role.replace('class', 'class_num')] if role == 'class' and \
            'class_num' in counts else counts[role]
        shape = (1, *grid, c) if channels_last else (1, c, *grid)
        infos.append(TensorInfo(f'out{number}', shape, np.float32))
    return infos


def roles_of(layout):
    """Return (role, stride) by output index, as the layout understood them."""
    extra = {'pose': 'keypoints', 'segment': 'coefficients'}.get(layout.task)
    roles = {}
    for level in layout.levels:
        roles[level.class_head.index] = ('class', level.stride)
        roles[level.box_head.index] = ('box', level.stride)
        if level.extra is not None:
            roles[level.extra.index] = (extra, level.stride)
    if layout.prototypes is not None:
        roles[layout.prototypes.index] = ('prototypes', 4)
    return [roles[i] for i in range(len(roles))]


@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
@pytest.mark.parametrize('name', SEED_ORDERS)
def test_every_seed_order_is_recognised_without_a_hint(name, channels_last):
    order = SEED_ORDERS[name]
    class_num = 1 if SEED_TASKS[name] == 'pose' else 80
    layout = identify_heads(outputs_of(order, channels_last=channels_last, class_num=class_num),
                            (640, 640))
    assert layout.task == SEED_TASKS[name]
    assert layout.class_num == class_num
    assert layout.reg_max == 16
    assert layout.num_keypoints == (17 if layout.task == 'pose' else 0)
    assert layout.strides == (8, 16, 32)
    assert roles_of(layout) == order


@pytest.mark.parametrize('name', SEED_ORDERS)
def test_any_permutation_gives_the_same_roles(name):
    rng = random.Random(name)
    for _ in range(20):
        order = rng.sample(SEED_ORDERS[name], len(SEED_ORDERS[name]))
        layout = identify_heads(outputs_of(order, (384, 640)), (384, 640))
        assert roles_of(layout) == order


def test_all_permutations_of_a_small_set():
    order = SEED_ORDERS['yolo12-detect']
    for permuted in itertools.islice(itertools.permutations(order), 720):
        assert roles_of(identify_heads(outputs_of(permuted), (640, 640))) == list(permuted)


def test_a_grid_as_wide_as_its_channels_is_no_obstacle():
    # (1, 80, 80, 80) reads as NHWC and NCHW alike; the other outputs decide.
    infos = outputs_of(SEED_ORDERS['yolo12-detect'])
    assert infos[0].shape == (1, 80, 80, 80)
    assert identify_heads(infos, (640, 640)).levels[0].class_head.channels_last


def test_class_num_equal_to_the_box_channels_is_ambiguous_and_names_the_key():
    infos = outputs_of(SEED_ORDERS['yolo12-detect'], class_num=64)
    with pytest.raises(HeadError, match='64 channels.*`outputs`'):
        identify_heads(infos, (640, 640))


def test_the_key_that_the_error_names_settles_it():
    order = SEED_ORDERS['yolo12-detect']
    infos = outputs_of(order, class_num=64)
    layout = identify_heads(infos, (640, 640), order=[role for role, _ in order])
    assert roles_of(layout) == order


def test_class_num_equal_to_the_coefficients_is_ambiguous_until_the_order_is_given():
    order = SEED_ORDERS['yolov8-seg-cn']
    infos = outputs_of(order, class_num=32)
    with pytest.raises(HeadError, match='32 channels'):
        identify_heads(infos, (640, 640))
    assert roles_of(identify_heads(infos, (640, 640), order=[r for r, _ in order])) == order


def test_an_unusual_reg_max_is_ambiguous_until_it_is_named():
    infos = outputs_of(SEED_ORDERS['yolo12-detect'], class_num=80, box=32)
    with pytest.raises(HeadError, match=r'2 ways.*reg_max 20.*reg_max 8'):
        identify_heads(infos, (640, 640))
    assert identify_heads(infos, (640, 640), reg_max=8).class_num == 80
    assert identify_heads(infos, (640, 640), class_num=32).reg_max == 20


@pytest.mark.parametrize('class_num', [80, 16, 1])
@pytest.mark.parametrize('name', SEED_ORDERS)
def test_boxes_without_a_distribution_are_yolo26s(name, class_num):
    order = SEED_ORDERS[name]
    layout = identify_heads(outputs_of(order, box=4, class_num=class_num), (640, 640))
    assert roles_of(layout) == order
    assert (layout.task, layout.class_num, layout.reg_max) == (SEED_TASKS[name], class_num, 1)
    assert (layout.rules, layout.nms) == ('yolo26', False)


def test_boxes_with_a_distribution_are_v8s():
    layout = identify_heads(outputs_of(SEED_ORDERS['yolo12-detect']), (640, 640))
    assert (layout.rules, layout.nms) == ('v8', True)


def test_rules_and_nms_are_the_callers_where_he_says_so():
    """YOLOv10 has YOLOv8's shapes; YOLO26 may be exported with its one-to-many heads."""
    order = SEED_ORDERS['yolo11-pose']
    layout = identify_heads(outputs_of(order, class_num=1), (640, 640), rules='yolo26', nms=False)
    assert (layout.reg_max, layout.rules, layout.nms) == (16, 'yolo26', False)
    layout = identify_heads(outputs_of(order, class_num=1, box=4), (640, 640), rules='v8',
                            nms=True)
    assert (layout.reg_max, layout.rules, layout.nms) == (1, 'v8', True)


@pytest.mark.parametrize(('wanted', 'named'), [
    ({'class_num': 79}, 'class_num 79'), ({'task': 'pose'}, 'task pose'),
    ({'reg_max': 10}, 'reg_max 10')])
def test_a_model_that_contradicts_what_is_known_is_refused(wanted, named):
    with pytest.raises(HeadError, match=named):
        identify_heads(outputs_of(SEED_ORDERS['yolo12-detect']), (640, 640), **wanted)


def test_wrong_number_of_key_points_is_refused():
    infos = outputs_of(SEED_ORDERS['yolo11-pose'], class_num=1)
    with pytest.raises(HeadError, match='num_keypoints 13'):
        identify_heads(infos, (640, 640), num_keypoints=13)


def test_a_missing_stride_is_named():
    infos = [o for o in outputs_of(SEED_ORDERS['yolo12-detect']) if o.shape[1] != 20]
    with pytest.raises(HeadError, match='stride 32.*20x20'):
        identify_heads(infos, (640, 640))


def test_a_missing_head_is_named():
    infos = outputs_of(SEED_ORDERS['yolo12-detect'])[:-1]
    with pytest.raises(HeadError, match='stride 32 has heads of'):
        identify_heads(infos, (640, 640))


def test_more_outputs_or_dimensions_than_a_yolo_has_are_refused_in_few_words():
    many = [TensorInfo(f'o{i}', (1, 80, 80, 64), np.float32) for i in range(3000)]
    with pytest.raises(HeadError, match='has 3000 outputs, expected 16 at most') as caught:
        identify_heads(many, (640, 640))
    assert len(str(caught.value)) < 300
    with pytest.raises(HeadError, match="output 'deep' has 5000 dimensions") as caught:
        identify_heads([TensorInfo('deep', [1] * 5000, np.float32)], (640, 640))
    assert len(str(caught.value)) < 300


def test_an_output_s_name_is_one_line_of_any_message():
    strange = TensorInfo('two\nlines' + 'x' * 1000, (1, 80, 80, 64), np.float32)
    with pytest.raises(HeadError, match=r"'two\\nlinesx+\.\.\.x+' 1x80x80x64") as caught:
        identify_heads([strange], (640, 640))
    assert str(caught.value).isprintable()


def test_a_model_without_outputs_is_refused():
    with pytest.raises(HeadError, match='no outputs'):
        identify_heads([], (640, 640))


@pytest.mark.parametrize('wrong', [{'task': 'segmnet'}, {'rules': 'v9'}, {'nms': 'no'},
                                   {'keypoint_dims': 4}])
def test_a_word_that_means_nothing_is_refused(wrong):
    (key, value), = wrong.items()
    with pytest.raises(HeadError, match=f'{key} is {value!r}, expected one of'):
        identify_heads(outputs_of(SEED_ORDERS['yolo12-detect']), (640, 640), **wrong)


@pytest.mark.parametrize(('order', 'message'), [
    (['box', 'clas'] * 3, "'clas'"), (['box', 'class'] * 2, 'names 4 roles'),
    (['box', 'box', 'class', 'class', 'box', 'class'], 'stride 8 the roles'),
    (['class', 'angle', 'class', 'box', 'class', 'box'], 'stride 8 the roles'),
    (['box', 'class', 'box', 'class', 'class', 'prototypes'], 'prototypes')])
def test_an_order_that_does_not_fit_is_refused(order, message):
    with pytest.raises(HeadError, match=message):
        identify_heads(outputs_of(SEED_ORDERS['yolo12-detect']), (640, 640), order=order)


def test_an_order_whose_shapes_disagree_is_refused():
    infos = outputs_of(SEED_ORDERS['yolo12-detect'], class_num=2)
    with pytest.raises(HeadError, match='box head of stride 8 has 2 channels'):
        identify_heads(infos, (640, 640), order=['box', 'class'] * 3)


def test_strides_are_the_ones_of_the_input():
    layout = identify_heads(outputs_of(SEED_ORDERS['yolo12-detect'], (256, 416)), (256, 416))
    assert [level.box_head.grid_hw for level in layout.levels] == [(32, 52), (16, 26), (8, 13)]
    assert [level.stride for level in layout.levels] == list(STRIDES)
