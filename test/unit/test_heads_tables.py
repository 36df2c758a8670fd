"""Whole results in one output: Ultralytics' plain and end-to-end exports, and classifications."""

import numpy as np
import pytest

from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.tensors import TensorInfo

PROTOTYPES = (1, 32, 160, 160)
OBB_HW = (1024, 1024)


def infos(*shapes):
    return [TensorInfo(f'output{i}', shape, np.float32) for i, shape in enumerate(shapes)]


def figures(layout):
    return layout.task, layout.class_num, layout.num_keypoints, layout.keypoint_dims


def cells(hw, strides=(8, 16, 32)):
    return sum((hw[0] // s) * (hw[1] // s) for s in strides)


# Dense: 4 of the box, classes, then the task's own

@pytest.mark.parametrize(('shapes', 'hw', 'truth'), [
    ([(1, 84, 8400)], (640, 640), ('detect', 80, 0, 3)),
    ([(1, 116, 8400), PROTOTYPES], (640, 640), ('segment', 80, 0, 3)),
    ([(1, 56, 8400)], (640, 640), ('pose', 1, 17, 3)),
    ([(1, 20, 21504)], OBB_HW, ('obb', 15, 0, 3)),
    ([(1, 84, 5040)], (384, 640), ('detect', 80, 0, 3)),
    ([(1, 84, 1344)], (256, 256), ('detect', 80, 0, 3)),
    # P2 and P6: 160 * 160 and 10 * 10 cells more
    ([(1, 84, 34000)], (640, 640), ('detect', 80, 0, 3)),
    ([(1, 84, 8500)], (640, 640), ('detect', 80, 0, 3)),
    ([(1, 84, 34100)], (640, 640), ('detect', 80, 0, 3)),
    # one class has one reading
    ([(1, 5, 8400)], (640, 640), ('detect', 1, 0, 3)),
    ([(1, 37, 8400), PROTOTYPES], (640, 640), ('segment', 1, 0, 3))])
@pytest.mark.parametrize('transposed', [False, True])
def test_published_and_unique_dense_tables(shapes, hw, truth, transposed):
    (_, columns, rows), *rest = shapes
    table = (1, rows, columns) if transposed else (1, columns, rows)
    for outputs in (infos(table, *rest), infos(table, *rest)[::-1]):
        layout = identify_heads(outputs, hw)
        assert figures(layout) == truth
        found = layout.table
        assert (found.form, found.rows, found.columns) == ('dense', rows, columns)
        assert found.rows_first == transposed
        assert outputs[found.index] is found.info
        assert found.info.shape == table
        assert (layout.levels, layout.nms, layout.rules) == ((), True, 'v8')
        assert (layout.prototypes is not None) == (truth[0] == 'segment')


@pytest.mark.parametrize('shape', [(1, 32, 160, 160), (1, 160, 160, 32)])
def test_prototypes_beside_a_table_lie_either_way(shape):
    layout = identify_heads(infos((1, 116, 8400), shape), (640, 640))
    assert layout.prototypes.channels == 32
    assert layout.prototypes.channels_last == (shape[3] == 32)


def test_prototypes_of_a_p2_model_have_twice_its_finest_resolution():
    outputs = infos((1, 116, 34000), (1, 32, 320, 320))
    assert identify_heads(outputs, (640, 640)).prototypes.grid_hw == (320, 320)
    with pytest.raises(HeadError, match='no way to read'):
        identify_heads(infos((1, 116, 34000), PROTOTYPES), (640, 640))


@pytest.mark.parametrize('class_num', [1, 2, 3, 16, 52, 80, 365, 1000])
@pytest.mark.parametrize(('task', 'extra', 'known'), [
    ('detect', 0, {}), ('obb', 1, {}), ('pose', 51, {'num_keypoints': 17, 'keypoint_dims': 3}),
    ('pose', 24, {'num_keypoints': 12, 'keypoint_dims': 2})])
def test_a_dense_table_of_any_number_of_classes(class_num, task, extra, known):
    outputs = infos((1, 4 + class_num + extra, 8400))
    layout = identify_heads(outputs, (640, 640), task, **known)
    assert (layout.task, layout.class_num) == (task, class_num)
    assert layout.num_keypoints == known.get('num_keypoints', 0)


def test_the_number_of_classes_tells_detection_from_turned_boxes():
    outputs = infos((1, 20, 8400))
    assert identify_heads(outputs, (640, 640), class_num=16).task == 'detect'
    assert identify_heads(outputs, (640, 640), class_num=15).task == 'obb'
    layout = identify_heads(outputs, (640, 640), class_num=1)
    assert figures(layout) == ('pose', 1, 5, 3)


def test_columns_that_can_be_split_in_several_ways_are_listed():
    with pytest.raises(HeadError) as caught:
        identify_heads(infos((1, 8, 8400)), (640, 640))
    message = str(caught.value)
    # 4 = 4 classes; 3 and an angle; 1 and 1x3, 2 and 1x2.
    for reading in ('detect with class_num 4;', 'obb with class_num 3.',
                    'pose with class_num 1, num_keypoints 1, keypoint_dims 3;',
                    'pose with class_num 2, num_keypoints 1, keypoint_dims 2;'):
        assert reading in message
    assert 'in 4 ways' in message
    for key in ('`task`', '`class_num`', '`num_keypoints`', '`keypoint_dims`'):
        assert key in message
    assert '`outputs`' not in message


def test_a_long_list_of_readings_is_cut():
    with pytest.raises(HeadError, match=r'or \d+ more\. Settle it with `task`') as caught:
        identify_heads(infos((1, 200, 8400)), (640, 640))
    assert len(str(caught.value)) < 1000


def test_what_is_not_known_of_a_table_may_be_told():
    layout = identify_heads(infos((1, 84, 8400)), (640, 640), nms=False)
    assert layout.nms is False
    assert layout.table.form == 'dense'


# End to end: box, score, class, then the task's own

@pytest.mark.parametrize(('shapes', 'truth'), [
    ([(1, 300, 6)], ('detect', 80, 0, 3)), ([(1, 300, 57)], ('pose', 1, 17, 3)),
    ([(1, 300, 7)], ('obb', 15, 0, 3)), ([(1, 300, 38), PROTOTYPES], ('segment', 80, 0, 3)),
    ([(1, 300, 10)], ('pose', 1, 2, 2)), ([(1, 300, 69)], ('pose', 1, 21, 3))])
def test_end_to_end_tables(shapes, truth):
    for outputs in (infos(*shapes), infos(*shapes)[::-1]):
        layout = identify_heads(outputs, (640, 640))
        assert figures(layout) == truth
        table = layout.table
        assert (table.form, table.rows, table.columns) == ('end_to_end', *shapes[0][1:])
        assert table.rows_first
        assert layout.nms is False
        assert (layout.prototypes is not None) == (truth[0] == 'segment')


def test_an_end_to_end_tables_class_num_is_the_callers():
    assert identify_heads(infos((1, 300, 6)), (640, 640), class_num=3).class_num == 3


@pytest.mark.parametrize('known', [{'task': 'detect'}, {'nms': False}])
def test_another_number_of_rows_takes_a_word(known):
    outputs = infos((1, 100, 6))
    with pytest.raises(HeadError, match='it takes `task` or `nms: false`'):
        identify_heads(outputs, (640, 640))
    layout = identify_heads(outputs, (640, 640), **known)
    assert (layout.table.form, layout.table.rows) == ('end_to_end', 100)


def test_as_many_rows_as_cells_are_dense_unless_told_otherwise():
    outputs = infos((1, 336, 6))  # 128x128 has 336 cells: two classes, or end to end
    layout = identify_heads(outputs, (128, 128), class_num=2)
    assert (layout.table.form, layout.class_num) == ('dense', 2)
    layout = identify_heads(outputs, (128, 128), nms=False)
    assert layout.table.form == 'end_to_end'


def test_12_columns_of_key_points_are_4x3_or_6x2():
    outputs = infos((1, 300, 18))
    with pytest.raises(HeadError, match='2 ways.*`num_keypoints` or `keypoint_dims`'):
        identify_heads(outputs, (640, 640))
    assert identify_heads(outputs, (640, 640), num_keypoints=4).keypoint_dims == 3
    assert identify_heads(outputs, (640, 640), keypoint_dims=2).num_keypoints == 6


# Classification

@pytest.mark.parametrize('shape', [(1, 1000), (1, 1000, 1, 1), (1, 1, 1, 1000), (1, 2), (1, 1),
                                   (1, 10, 1, 1)])
def test_classifications(shape):
    layout = identify_heads(infos(shape), (224, 224))
    assert (layout.task, layout.class_num) == ('classify', int(np.prod(shape)))
    assert (layout.table.form, layout.table.rows) == ('classes', 1)
    assert layout.table.columns == layout.class_num
    assert layout.levels == ()


@pytest.mark.parametrize('known', [{'task': 'detect'}, {'class_num': 80}, {'num_keypoints': 17}])
def test_a_classification_is_nothing_else(known):
    with pytest.raises(HeadError, match='no way to read output .output0.*as '):
        identify_heads(infos((1, 1000)), (224, 224), **known)


# What is none of them

@pytest.mark.parametrize(('shapes', 'says'), [
    ([(1, 25200, 85)], 'three anchors in each cell are a YOLO with anchors'),
    ([(1, 84, 8401)], r'expected \(1, 4 . class_num . extra, 8400\) for the 640x640 input'),
    ([(1, 4, 8400)], 'no way to read'), ([(1, 197, 768)], 'no way to read'),
    ([(1, 300, 38)], 'segment with class_num 80, end to end, without its prototypes'),
    ([(1, 116, 8400)], 'like segment with class_num 80, .* the prototypes are missing'),
    ([(1, 300, 6), (1, 300, 4)], 'expected mask prototypes with a grid of 160x160'),
    ([(1, 84, 8400), (1, 80, 80, 64)], 'expected mask prototypes'),
    ([(1, 116, 8400), PROTOTYPES, (1, 16)], '3 outputs'),
    ([(1, 300, 6), PROTOTYPES], 'and prototypes'),
    ([(2, 1000)], 'no way to read'), ([(1, 84, 0)], 'no way to read'),
    ([(1000,)], 'look like no YOLO'), ([()], 'look like no YOLO')])
def test_a_table_that_is_no_yolos_is_refused(shapes, says):
    with pytest.raises(HeadError, match=says) as caught:
        identify_heads(infos(*shapes), (640, 640))
    assert '\n' not in str(caught.value)


def test_a_table_has_no_roles():
    with pytest.raises(HeadError, match='leave `outputs` out'):
        identify_heads(infos((1, 84, 8400)), (640, 640), order=['box'])
