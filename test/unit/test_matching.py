"""A model is read with what its file and its configuration say, neither believed blindly."""

import numpy as np
import pytest

from rdk_yolo_ros.errors import HeadError, ModelError, WorkConfigError
from rdk_yolo_ros.matching import choose_class_names, choose_score_thresholds, match_model
from rdk_yolo_ros.runtimes import ModelMetadata, Runtime
from rdk_yolo_ros.tensors import TensorInfo
from rdk_yolo_ros.work_config import WorkConfig


class StandInRuntime(Runtime):
    """A stand-in for a runtime: outputs that are described and never computed."""

    name = 'stand-in'
    path = 'stand-in'

    def __init__(self, shapes, input_hw=(640, 640), **metadata):
        self.input_hw, self.metadata = input_hw, ModelMetadata(**metadata)
        self.outputs = [shape if isinstance(shape, TensorInfo)
                        else TensorInfo(f'o{i}', shape, np.float32)
                        for i, shape in enumerate(shapes)]

    def run(self, nv12):
        raise NotImplementedError

    def close(self):
        pass


def heads(*channels):
    return [(1, 640 // s, 640 // s, c) for s in (8, 16, 32) for c in channels]


@pytest.fixture
def config(tmp_path):
    """Return a function that makes a configuration from keys."""
    (tmp_path / 'm.bin').write_bytes(b'model')
    return lambda **keys: WorkConfig.from_mapping({'model_file': 'm.bin', **keys}, 'my.json',
                                                  tmp_path)


def figures(layout):
    return layout.task, layout.class_num, layout.num_keypoints, layout.keypoint_dims


# What the model file says

@pytest.mark.parametrize(('shapes', 'metadata', 'truth'), [
    (heads(15, 64, 1), {'task': 'obb'}, ('obb', 15, 0, 3)),
    (heads(15, 64, 1), {'class_names': ('face',)}, ('pose', 1, 5, 3)),
    (heads(1, 64, 51), {'task': 'obb', 'class_names': tuple(map(str, range(51)))},
     ('obb', 51, 0, 3)),
    (heads(1, 64, 24), {'task': 'pose', 'num_keypoints': 12, 'keypoint_dims': 2},
     ('pose', 1, 12, 2)),
    (heads(1, 64, 24), {'keypoint_names': tuple('abcdefgh')}, ('pose', 1, 8, 3)),
    (heads(4, 64), {'class_names': tuple('abcd')}, ('detect', 4, 0, 3)),
    ([(1, 9, 8400)], {'class_names': tuple('abcde')}, ('detect', 5, 0, 3)),
    ([(1, 9, 8400)], {'task': 'obb'}, ('obb', 4, 0, 3)),
    ([(1, 300, 6)], {'class_names': ('a', 'b')}, ('detect', 2, 0, 3)),
    # Names of another model: the rest still counts.
    (heads(1, 64, 24), {'task': 'pose', 'class_names': tuple(map(str, range(80))),
                        'num_keypoints': 12, 'keypoint_dims': 2}, ('pose', 1, 12, 2)),
    # Nothing of it fits.
    (heads(80, 64), {'task': 'pose', 'class_names': ('a',), 'num_keypoints': 5},
     ('detect', 80, 0, 3))])
def test_the_models_metadata_chooses_between_readings(config, shapes, metadata, truth):
    assert figures(match_model(config(), StandInRuntime(shapes, **metadata))) == truth


@pytest.mark.parametrize(('end_to_end', 'keys', 'nms'), [
    (None, {}, True), (True, {}, False), (False, {}, True), (True, {'nms': True}, True),
    (False, {'dnn_Parser': 'yolov10'}, False), (None, {'dnn_Parser': 'yolov10'}, False),
    (None, {'dnn_Parser': 'yolov8'}, True), (None, {'dnn_Parser': 'yolov10', 'nms': True}, True)])
def test_who_says_whether_nms_is_needed(config, end_to_end, keys, nms):
    runtime = StandInRuntime(heads(80, 64), end_to_end=end_to_end)
    assert match_model(config(**keys), runtime).nms is nms


def test_yolo26s_one_to_many_heads_need_nms(config):
    assert match_model(config(), StandInRuntime(heads(80, 4))).nms is False
    assert match_model(config(), StandInRuntime(heads(80, 4), end_to_end=False)).nms is True


# What the configuration says

@pytest.mark.parametrize(('keys', 'truth'), [
    ({'class_num': 15}, ('obb', 15, 0, 3)), ({'task': 'obb'}, ('obb', 15, 0, 3)),
    ({'class_names': ['face']}, ('pose', 1, 5, 3)), ({'num_keypoints': 5}, ('pose', 1, 5, 3)),
    ({'keypoint_names': list('abcde')}, ('pose', 1, 5, 3)),
    ({'outputs': ['class', 'box', 'angle'] * 3}, ('obb', 15, 0, 3))])
def test_the_configuration_settles_what_is_open(config, keys, truth):
    runtime = StandInRuntime(heads(15, 64, 1))
    with pytest.raises(HeadError, match='^stand-in: the outputs can be read in 2 ways'):
        match_model(config(), runtime)
    assert figures(match_model(config(**keys), runtime)) == truth
    # It goes before what the model file says.
    assert figures(match_model(config(**keys), StandInRuntime(
        heads(15, 64, 1), task='pose', class_names=('a',) * 7))) == truth


def test_the_vendors_parser_chooses_last(config):
    runtime = StandInRuntime([(1, 9, 8400)])
    assert figures(match_model(config(dnn_Parser='yolov8'), runtime)) == ('detect', 5, 0, 3)
    runtime = StandInRuntime([(1, 56, 8400)])
    assert match_model(config(dnn_Parser='yolov8'), runtime).task == 'pose'


def test_rules_reach_the_layout(config):
    layout = match_model(config(rules='yolo26'), StandInRuntime(heads(1, 64, 51)))
    assert layout.rules == 'yolo26'


@pytest.mark.parametrize(('shapes', 'keys', 'says'), [
    (heads(80, 64), {'num_keypoints': 5}, 'num_keypoints is 5, but .* has no key points'),
    (heads(80, 64), {'keypoint_dims': 2}, 'keypoint_dims is 2, but .* has no key points'),
    (heads(1, 64, 51), {'keypoint_dims': 2}, 'keypoint_dims is 2, but .* has 3'),
    (heads(80, 64), {'task': 'obb'}, 'task is obb, but .* has detect'),
    (heads(80, 4), {'reg_max': 16}, 'reg_max is 16, but .* has 1;'),
    ([(1, 84, 8400)], {'class_num': 3, 'task': 'detect'}, 'class_num is 3, but .* has 80'),
    ([(1, 84, 8400)], {'strides': [8, 16]}, r'strides is \(8, 16\), but .* has 8400 cells'),
    ([(1, 1000)], {'task': 'detect'}, 'task is detect, but .* has classify')])
def test_a_figure_that_is_not_the_models_is_named_with_both(config, shapes, keys, says):
    with pytest.raises(WorkConfigError, match=says):
        match_model(config(**keys), StandInRuntime(shapes))


@pytest.mark.parametrize(('shapes', 'keys'), [
    # The vendor's files state them for every model; a table has neither.
    ([(1, 84, 8400)], {'reg_max': 16, 'strides': [8, 16, 32]}),
    ([(1, 300, 6)], {'reg_max': 16, 'strides': [8, 16, 32], 'class_num': 80}),
    ([(1, 1000)], {'class_num': 1000})])
def test_what_a_table_does_not_have_is_not_asked_of_it(config, shapes, keys):
    assert match_model(config(**keys), StandInRuntime(shapes)).table is not None


def test_a_contradiction_is_found_where_only_metadata_tells_the_model(config):
    runtime = StandInRuntime(heads(4, 64), class_names=tuple('abcd'))
    with pytest.raises(WorkConfigError, match='class_num is 3, but .* has 4'):
        match_model(config(class_num=3), runtime)


def test_assumed_classes_cost_a_warning(config, caplog):
    match_model(config(class_num=3), StandInRuntime([(1, 300, 6)]))
    match_model(config(), StandInRuntime([(1, 300, 6)], class_names=('a',)))
    assert not caplog.messages
    match_model(config(), StandInRuntime([(1, 300, 6)]))
    message, = caplog.messages
    assert "'o0' does not say how many classes there are, 80 assumed; set class_num" in message


# Scales

def integers(shape, **scale):
    return TensorInfo('box', shape, np.int8, **scale)


@pytest.mark.parametrize('shapes', [
    [integers((1, 84, 8400))], [integers((1, 10))],
    [(1, 116, 8400), integers((1, 32, 160, 160))], [integers((1, 80, 80, 64)), *heads(3, 64)[1:]]])
def test_integers_need_a_scale(config, shapes):
    if len(shapes) > 2:
        shapes[1] = (1, 80, 80, 3)
    with pytest.raises(ModelError, match="'box' is int8 and has no scale"):
        match_model(config(), StandInRuntime(shapes))


@pytest.mark.parametrize(('shape', 'axis'), [
    ((1, 80, 80, 64), 3), ((1, 80, 80, 64), -1), ((1, 64, 80, 80), 1), ((1, 64, 80, 80), -3)])
def test_scales_run_along_the_channels(config, shape, axis):
    box = integers(shape, scale=np.full(64, 0.1), quantize_axis=axis)
    others = [(1, n, n, 64) if shape[3] == 64 else (1, 64, n, n) for n in (40, 20)]
    classes = [(1, n, n, 3) if shape[3] == 64 else (1, 3, n, n) for n in (80, 40, 20)]
    layout = match_model(config(), StandInRuntime([box, *others, *classes]))
    assert layout.levels[0].box_head.info is box


def test_scales_along_anything_else_are_refused(config):
    box = integers((1, 80, 80, 64), scale=np.full(80, 0.1), quantize_axis=1)
    runtime = StandInRuntime([box, (1, 80, 80, 3), *heads(3, 64)[2:]])
    with pytest.raises(ModelError, match="'box' run along axis 1 .* its channels, axis 3"):
        match_model(config(), runtime)


@pytest.mark.parametrize(('shape', 'count', 'axis', 'fits'), [
    ((1, 84, 8400), 84, 1, True), ((1, 84, 8400), 8400, 2, False),
    ((1, 8400, 84), 84, 2, True), ((1, 10), 10, 1, True)])
def test_a_tables_scales_run_along_its_columns(config, shape, count, axis, fits):
    runtime = StandInRuntime([integers(shape, scale=np.ones(count), quantize_axis=axis)])
    if fits:
        assert match_model(config(), runtime).table.info.scale.size == count
    else:
        with pytest.raises(ModelError, match='expected its channels, axis 1'):
            match_model(config(), runtime)


# Names and thresholds

def test_only_what_cocos_models_do_has_cocos_names(config):
    for shapes, first in ((heads(80, 64), 'person'), ([(1, 80)], '0')):
        runtime = StandInRuntime(shapes)
        layout = match_model(config(), runtime)
        assert choose_class_names(config(), runtime, layout)[0] == first


def test_thresholds_of_classes_go_by_name_then_by_number(config):
    names = ('person', 'ball', '0', 'ball')
    thresholds = {'person': 0.5, 'ball': 0.25, '0': 0.75}
    assert choose_score_thresholds(config(score_thresholds=thresholds), names) \
        == {0: 0.5, 1: 0.25, 3: 0.25, 2: 0.75}
    assert choose_score_thresholds(config(score_thresholds={'1': 1}), names) == {1: 1.0}
    assert choose_score_thresholds(config(), names) is None


@pytest.mark.parametrize(('key', 'advice'), [
    ('persn', '; did you mean person?'), ('4', ''), ('-1', ''), ('9' * 5000, ''), ('', '')])
def test_a_threshold_of_no_class_is_refused(config, key, advice):
    with pytest.raises(WorkConfigError) as caught:
        choose_score_thresholds(config(score_thresholds={key: 0.5}), ('person', 'a', 'b', 'c'))
    message = str(caught.value)
    assert message.startswith('my.json: score_thresholds has ')
    assert message.endswith('expected a class name or a number from 0 to 3' + advice)
    assert len(message) < 200
