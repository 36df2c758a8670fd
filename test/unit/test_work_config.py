"""A work configuration loads as its users expect, or says in one line what is wrong with it."""

import json
import logging
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import jsonschema
import pytest
import yaml

from rdk_yolo_ros import coco, share
from rdk_yolo_ros.errors import WorkConfigError
from rdk_yolo_ros.runtimes import RUNTIMES
from rdk_yolo_ros.work_config import SCHEMA_NAME, WorkConfig, known_keys, schema

ROOT = Path(__file__).resolve().parents[2]

# What the YOLO12 guide tells dnn_node_example's users to write.
SEED = '''{
        "model_file": "yourself.bin",
        "dnn_Parser": "yolov8",
        "model_output_count": 6,
        "reg_max": 16,
        "class_num": 80,
        "cls_names_list": "config/coco.list",
        "strides": [8, 16, 32],
        "score_threshold": 0.25,
        "nms_threshold": 0.7,
        "nms_top_k": 300
}
'''


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder, without a sourced workspace; the checkout counts as the share."""
    (tmp_path / 'cwd').mkdir()
    monkeypatch.chdir(tmp_path / 'cwd')
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr('rdk_yolo_ros.share.share_folders', lambda: [ROOT])


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a configuration beside a model and returns its path."""
    (tmp_path / 'model.onnx').write_bytes(b'model')

    def write(content, name='work.json'):
        path = tmp_path / name
        if isinstance(content, dict):
            content = json.dumps({'model_file': 'model.onnx', **content})
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def complaint(path):
    """Return the one line that loading `path` fails with."""
    with pytest.raises(WorkConfigError) as caught:
        WorkConfig.load(path)
    message = str(caught.value)
    assert '\n' not in message
    assert message.startswith(str(path))
    assert len(message) < 1500
    return message[len(str(path)):]


# What loads

def test_the_seed_file_works_but_for_its_model_path(tmp_path):
    (tmp_path / 'my.json').write_text(SEED)
    assert 'yourself.bin' in complaint(tmp_path / 'my.json')
    (tmp_path / 'yourself.bin').write_bytes(b'model')
    config = WorkConfig.load(tmp_path / 'my.json')
    assert config.model_file == tmp_path / 'yourself.bin'
    assert config.model_file.is_absolute()
    assert config.task is None
    assert config.task_hint == 'detect'
    assert (config.class_num, config.reg_max, config.strides) == (80, 16, (8, 16, 32))
    assert (config.score_threshold, config.nms_threshold, config.nms_top_k) == (0.25, 0.7, 300)
    assert config.model_output_count == 6
    assert len(config.class_names) == 80
    assert config.class_names[0] == 'person'
    assert config.class_names[79] == 'toothbrush'
    assert config.source == str(tmp_path / 'my.json')


def test_the_shipped_template_is_the_seed_file():
    assert (ROOT / 'config' / 'yolo12n_detect.json').read_text() == SEED


def test_left_out_keys_are_the_vendors_defaults_or_for_the_model_to_tell(write):
    config = WorkConfig.load(write({}))
    assert (config.score_threshold, config.nms_threshold, config.nms_top_k) == (0.4, 0.5, 5000)
    assert config.max_detections == 300
    assert config.runtime == 'auto'
    for key in ('task', 'task_hint', 'class_num', 'class_names', 'reg_max', 'num_keypoints',
                'keypoint_dims', 'keypoint_names', 'strides', 'nv12_range', 'outputs',
                'model_output_count', 'num_mask', 'model_name', 'rules', 'nms', 'top_k', 'softmax',
                'score_thresholds'):
        assert getattr(config, key) is None, key


def test_the_schemas_defaults_are_the_loaders(write):
    config = WorkConfig.load(write({}))
    defaults = {k: p['default'] for k, p in schema()['properties'].items() if 'default' in p}
    assert defaults == {key: getattr(config, key) for key in defaults}
    assert set(defaults) == {'score_threshold', 'nms_threshold', 'nms_top_k', 'max_detections',
                             'runtime', 'class_agnostic', 'native_masks', 'bpu_priority'}


def test_yaml_and_json_say_the_same(write):
    content = {'class_names': ['人', 'ball'], 'task': 'pose', 'num_keypoints': 2,
               'keypoint_names': ['a', 'b'], 'strides': [8, 16, 32], 'nv12_range': 'limited',
               'outputs': ['class', 'box'], 'score_threshold': 0.001}
    a = WorkConfig.load(write(content))
    b = WorkConfig.load(write(yaml.safe_dump({'model_file': 'model.onnx', **content}), 'w.yaml'))
    c = WorkConfig.load(write('# a comment\n' + yaml.safe_dump(
        {'model_file': 'model.onnx', **content}, allow_unicode=True), 'w.conf'))
    for key in vars(a):
        if key != 'source':
            assert getattr(a, key) == getattr(b, key) == getattr(c, key)
    assert a.class_names == ('人', 'ball')


def test_a_byte_order_mark_and_crlf_do_no_harm(write, tmp_path):
    (tmp_path / 'names.list').write_bytes('\ufeffperson\r\n人 行 道\r\n\r\n \r\n'.encode())
    path = write(b'\xef\xbb\xbf' + b'{"model_file": "model.onnx",\r\n'
                 b'"cls_names_list": "names.list"}\r\n')
    assert WorkConfig.load(path).class_names == ('person', '人 行 道')


def test_whole_floats_are_integers(write):
    config = WorkConfig.load(write({'class_num': 3.0, 'strides': [8.0], 'score_threshold': 1}))
    assert config.class_num == 3
    assert isinstance(config.class_num, int)
    assert isinstance(config.strides[0], int)
    assert isinstance(config.score_threshold, float)


@pytest.mark.parametrize(('word', 'meaning'), [
    ('full', 'full'), ('limited', 'limited'), ('regular', 'full'), ('bt601_video', 'limited')])
def test_nv12_range_takes_the_compilers_words(write, word, meaning):
    assert WorkConfig.load(write({'nv12_range': word})).nv12_range == meaning


@pytest.mark.parametrize(('parser', 'task'), [
    ('yolov8', 'detect'), ('yolov8_seg', 'segment'), ('yolov10', 'detect'),
    ('ultralytics_yolo', 'detect'), ('yolo26_seg', 'segment'), ('yolo26e_seg', 'segment'),
    ('classification', 'classify')])
def test_the_parser_is_a_hint_and_task_says_it(write, parser, task):
    config = WorkConfig.load(write({'dnn_Parser': parser, 'task': 'pose'}))
    assert (config.task, config.task_hint) == ('pose', task)


def test_yolov10_needs_no_nms_unless_the_file_asks(write):
    config = WorkConfig.load(write({'dnn_Parser': 'yolov10', 'top_k': 50}))
    assert config.nms is False
    assert (config.max_detections, config.top_k) == (50, 50)
    config = WorkConfig.load(write({'dnn_Parser': 'yolov10', 'nms': True, 'nms_threshold': 0.6,
                                    'max_detections': 7, 'top_k': 100000}))
    assert config.nms is True
    assert config.nms_threshold == 0.6
    assert (config.max_detections, config.top_k) == (7, 100000)


def test_how_outputs_are_read_and_decoded_may_be_said(write):
    keys = {'task': 'obb', 'reg_max': 1, 'keypoint_dims': 2, 'rules': 'yolo26', 'nms': False,
            'top_k': 3, 'softmax': True, 'class_agnostic': True, 'native_masks': True,
            'score_thresholds': {'person': 0.5, '7': 1}, 'outputs': ['box', 'class', 'angle']}
    config = WorkConfig.load(write(keys))
    for key, value in keys.items():
        assert getattr(config, key) == (tuple(value) if isinstance(value, list) else value)
    assert all(isinstance(t, float) for t in config.score_thresholds.values())
    text = yaml.safe_dump({'model_file': 'model.onnx', **keys})
    assert vars(WorkConfig.load(write(text, 'w.yaml'))) == {
        **vars(config), 'source': str(config.model_file.parent / 'w.yaml')}


def test_ids_of_a_mapping_may_be_numbers(tmp_path):
    (tmp_path / 'm.onnx').write_bytes(b'model')
    config = WorkConfig.from_mapping({'model_file': 'm.onnx', 'score_thresholds': {3: 0.5}},
                                     base_dir=tmp_path)
    assert config.score_thresholds == {'3': 0.5}


def test_vendor_keys_without_meaning_here_cost_one_warning(write, caplog):
    path = write({'anchors_table': [[[10, 13]]], 'dequanti_file': 'x', 'task_num': 4,
                  'output_order': [0, 1], 'is_performance': True, '$schema': 'x.json'})
    with caplog.at_level(logging.WARNING):
        WorkConfig.load(path)
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    for key in ('anchors_table', 'dequanti_file', 'task_num', 'output_order', 'is_performance'):
        assert key in message
    assert '$schema' not in message
    assert str(path) in message


def test_a_mapping_loads_without_a_file(tmp_path):
    (tmp_path / 'm.onnx').write_bytes(b'model')
    config = WorkConfig.from_mapping({'model_file': 'm.onnx'}, base_dir=tmp_path)
    assert config.model_file == tmp_path / 'm.onnx'
    assert config.source == '<mapping>'
    with pytest.raises(WorkConfigError, match='^<mapping>: model_file is missing'):
        WorkConfig.from_mapping({})


# Where files are found

def test_paths_are_found_in_order(tmp_path, monkeypatch):
    config_dir, installed = tmp_path / 'robot' / 'config', tmp_path / 'share'
    config_dir.mkdir(parents=True)
    installed.mkdir()
    monkeypatch.setattr('rdk_yolo_ros.share.share_folders', lambda: [installed])
    (config_dir / 'c.json').write_text('{"model_file": "models/m.onnx"}')
    places = [installed, Path.cwd(), config_dir.parent, config_dir]
    message = complaint(config_dir / 'c.json')
    for place in places:
        assert str(place) in message
        (place / 'models').mkdir()
        (place / 'models' / 'm.onnx').write_bytes(b'model')
        found = WorkConfig.load(config_dir / 'c.json').model_file
        assert found == place / 'models' / 'm.onnx'
    absolute = str(places[0] / 'models/m.onnx')
    (config_dir / 'c.json').write_text(json.dumps({'model_file': absolute}))
    assert WorkConfig.load(config_dir / 'c.json').model_file == places[0] / 'models/m.onnx'


def test_the_share_folder_of_a_sourced_workspace_comes_first(tmp_path, monkeypatch):
    monkeypatch.undo()
    folder = tmp_path / 'ws' / 'share' / 'rdk_yolo_ros'
    folder.mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}/nothing:{tmp_path}/ws')
    assert share.share_folders()[0] == folder


@pytest.mark.parametrize('layout', ['lib/python3.10/site-packages', 'local/lib/python3.10/'
                                    'dist-packages'])
def test_an_installation_finds_its_share_folder_and_schema(tmp_path, layout):
    """As pip and colcon lay it out, nothing sourced; the source tree is out of reach."""
    target = tmp_path / layout / 'rdk_yolo_ros'
    shutil.copytree(ROOT / 'rdk_yolo_ros', target,
                    ignore=shutil.ignore_patterns('__pycache__', 'scenes', 'nodes'))
    folder = tmp_path / 'share' / 'rdk_yolo_ros'
    shutil.copytree(ROOT / 'config', folder / 'config')
    (folder / 'yourself.bin').write_bytes(b'model')
    code = ('import sys; from rdk_yolo_ros.work_config import WorkConfig;'
            'c = WorkConfig.load(sys.argv[1]);'
            'print(c.model_file, len(c.class_names))')
    (tmp_path / 'work.json').write_text(SEED)
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'work.json')],
                          capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': str(tmp_path / layout)})
    assert done.stdout.split() == [str(folder / 'yourself.bin'), '80'], done.stderr


@pytest.mark.parametrize(('value', 'says'), [
    ('none.onnx', 'expected an existing file: there is none in '),
    ('/none/at/all.onnx', 'expected an existing file: there is none'),
    ('models', 'the folder'),
    ('.', 'the folder'),
    ('a\0b', 'there is none in '),
    ('x' * 5000, 'no usable path'),
    ('', 'expected text that is not empty'),
    (7, 'expected text that is not empty; put it in quotes'),
    (None, 'expected text that is not empty'),
])
def test_a_model_file_that_is_not_there(write, tmp_path, value, says):
    (tmp_path / 'models').mkdir()
    message = complaint(write({'model_file': value}))
    assert message.startswith(': model_file is ')
    assert says in message


def test_a_pipe_is_not_waited_for(write, tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    assert 'model_file' in complaint(write({'model_file': 'pipe'}))
    assert 'not a regular file' in complaint(tmp_path / 'pipe')


# Class lists

def test_class_list_and_class_num_disagree(write):
    message = complaint(write({'class_num': 3, 'cls_names_list': 'config/coco.list'}))
    assert message == (": class_num is 3 but cls_names_list 'config/coco.list' has 80 names, "
                       'expected as many; correct one of the two')
    message = complaint(write({'class_num': 3, 'class_names': ['a']}))
    assert 'class_num is 3 but class_names has 1 names' in message


def test_keypoint_names_and_num_keypoints_disagree(write):
    message = complaint(write({'num_keypoints': 3, 'keypoint_names': ['a', 'b']}))
    assert 'num_keypoints is 3 but keypoint_names has 2 names' in message


def test_two_class_lists_are_one_too_many(write):
    message = complaint(write({'class_names': ['a'], 'cls_names_list': 'config/coco.list'}))
    assert 'cls_names_list and class_names are both given' in message


@pytest.mark.parametrize(('content', 'says'), [
    (b'', "line 1 of"), (b'\n\n', 'line 1 of'), (b'a\n\nb\n', "line 2 of"),
    (b'a\n0\tperson\n', r"line 2 of"), (b'a\n' + b'b' * 201, 'line 2 of'),
    (b'caf\xe9\n', 'is not UTF-8 text (byte 0xe9 at offset 3)'),
    ('人\n'.encode('utf-16'), 'is not UTF-8'), (b'a\n' * (1 << 20), 'larger than'),
])
def test_a_faulty_class_list_is_named(write, tmp_path, content, says):
    (tmp_path / 'bad.list').write_bytes(content)
    with pytest.raises(WorkConfigError) as caught:
        WorkConfig.load(write({'cls_names_list': 'bad.list'}))
    assert says in str(caught.value)
    assert str(tmp_path / 'bad.list') in str(caught.value)
    assert '\n' not in str(caught.value)


def test_the_shipped_lists():
    assert (ROOT / 'config/coco.list').read_text().splitlines() == list(coco.CLASS_NAMES)
    from rdk_yolo_ros.scenes import CLASS_NAMES, KEYPOINT_NAMES
    assert (ROOT / 'config/demo.list').read_text().splitlines() == list(CLASS_NAMES)
    assert tuple(KEYPOINT_NAMES) == coco.KEYPOINT_NAMES


# What does not load

@pytest.mark.parametrize(('wrong', 'right'), [
    ('score_treshold', 'score_threshold'), ('dnn_parser', 'dnn_Parser'),
    ('dnnParser', 'dnn_Parser'), ('MODEL_FILE', 'model_file'), ('nms_thresh', 'nms_threshold'),
    ('num_keypoint', 'num_keypoints'), ('classnum', 'class_num')])
def test_an_unknown_key_gets_the_nearest_known_one(write, wrong, right):
    message = complaint(write({wrong: 0.25}))
    assert message == f': unknown key {wrong!r} (value 0.25), did you mean {right}?'


def test_an_unknown_key_like_none_gets_them_all(write):
    message = complaint(write({'zzz': 'x' * 1000}))
    assert "unknown key 'zzz'" in message
    assert all(key in message for key in known_keys())


@pytest.mark.parametrize(('key', 'value', 'says'), [
    ('class_num', '80', "is '80', expected a whole number from 1 to 65535; take the quotes off"),
    ('class_num', True, 'is True, expected a whole number from 1 to 65535'),
    ('class_num', 0, 'is 0, expected a whole number from 1 to 65535'),
    ('class_num', -1, 'is -1'), ('class_num', 2.5, 'is 2.5'), ('class_num', [80], 'is [80]'),
    ('class_num', 10**30, 'expected a whole number from 1 to 65535'),
    ('class_num', None, 'is None, expected a whole number from 1 to 65535; leave the key out'),
    ('score_threshold', '0.25', "is '0.25', expected a number from 0 to 1; take the quotes off"),
    ('score_threshold', 25, 'is 25, expected a number from 0 to 1'),
    ('score_threshold', -0.1, 'is -0.1'), ('score_threshold', False, 'is False'),
    ('nms_threshold', 1.5, 'is 1.5'), ('nms_threshold', {}, 'is {}'),
    ('nms_top_k', 0, 'is 0'), ('max_detections', 70000, 'is 70000'),
    ('strides', [], 'is [], expected a list of 1 to 16, each a whole number from 1'),
    ('strides', 8, 'is 8, expected a list'), ('strides', [8, 8], 'expected no value twice'),
    ('task', 'poses', 'one of detect, segment, pose, obb, classify; did you mean pose?'),
    ('nms', 'false', "is 'false', expected true or false; write true or false, without quotes"),
    ('nms', 0, 'is 0, expected true or false; write'), ('softmax', [], 'is [], expected true'),
    ('rules', 'v11', 'one of v8, yolo26'), ('keypoint_dims', 4, 'a whole number from 2 to 3'),
    ('score_thresholds', 0.5, 'is 0.5, expected a mapping of class names to a number from 0 to 1'),
    ('score_thresholds', {}, 'expected a mapping of class names'),
    ('score_thresholds', {'a': 2}, '.a is 2, expected a number from 0 to 1'),
    ('score_thresholds', {'a': '1'}, ".a is '1', expected a number from 0 to 1; take the quotes"),
    ('bpu_priority', 256, 'a whole number from 0 to 255'), ('bpu_priority', -1, 'is -1'),
    ('bpu_cores', 0, 'is 0, expected a list of at least 1, each a whole number from 0 to 7'),
    ('bpu_cores', [], 'a list of at least 1'), ('bpu_cores', [1, 1], 'no value twice'),
    ('bpu_cores', [0, 1, 2, 3, 4, 5, -1], '[6] is -1, expected a whole number from 0 to 7'),
    ('inference_timeout', 0, 'a number from 0.01 to 3600'),
    ('inference_timeout', '2', "is '2', expected a number from 0.01 to 3600; take the quotes"),
    ('runtime', 'tensorrt', 'one of auto, onnx'), ('nv12_range', 'bt709', 'one of full, limited'),
    ('keypoint_names', ['a', 1], ''), ('class_names', [''], ''), ('model_name', '', ''),
    ('dnn_Parser', 8, 'is 8'), ('dnn_Parser', 'yolov88', 'did you mean yolov8?'),
    ('dnn_Parser', 'yolov5x', 'an anchor-based YOLO, which this package does not decode'),
    ('dnn_Parser', 'fcos', 'which is no YOLO; expected one of yolov8, yolov10'),
])
def test_a_wrong_value_names_key_value_and_expectation(write, key, value, says):
    message = complaint(write({key: value}))
    assert message.startswith(f': {key}')
    assert says in message
    if isinstance(value, (dict, list, int, float, str)) and len(repr(value)) < 20:
        assert repr(value) in message or key in ('keypoint_names', 'class_names',
                                                 'score_thresholds')


def test_everything_in_the_schema_is_in_this_version():
    assert not [key for key, part in schema()['properties'].items()
                if 'not in this version' in part['description'].lower()]


def test_the_schema_s_runtimes_are_those_that_can_be_opened():
    assert set(schema()['properties']['runtime']['enum']) == {'auto', *RUNTIMES}


def test_what_the_bpu_is_to_do(write):
    config = WorkConfig.load(write({'bpu_priority': 255, 'bpu_cores': [1, 0],
                                    'inference_timeout': 0.5, 'model_name': 'pose'}))
    assert (config.bpu_priority, config.bpu_cores) == (255, (1, 0))
    assert (config.inference_timeout, config.model_name) == (0.5, 'pose')
    config = WorkConfig.load(write({}))
    assert (config.bpu_priority, config.bpu_cores, config.inference_timeout) == (0, (), None)


def test_an_item_of_a_list_is_named_by_its_index(write):
    assert ': strides[1] is 0, expected' in complaint(write({'strides': [8, 0]}))
    assert ": class_names[0] is ''" in complaint(write({'class_names': ['']}))
    message = complaint(write({'outputs': ['box', 'klass']}))
    assert "outputs[1] is 'klass'" in message
    assert 'did you mean class?' in message


def test_several_faults_share_the_line(write):
    message = complaint(write({'class_num': 0, 'reg_max': 0, 'strides': 0, 'tsk': 0, 'task': 0}))
    assert message.count(', expected') + message.count('did you mean') == 3
    assert message.endswith('; and 2 more')


def test_a_long_value_is_shortened(write):
    assert len(complaint(write({'class_num': 'x' * 10000}))) < 200
    assert len(complaint(write({'class_num': [[list(range(1000))] * 1000] * 9}))) < 300


def test_the_known_keys_are_listed_once_however_many_are_unknown(write):
    message = complaint(write({'model_file': 'model.onnx', 'zzz': 1, 'qqq': 2, 'task_nam': 3}))
    assert message.count('unknown key') == 3
    assert message.count('known keys: ') == 1
    assert 'did you mean task_num?' in message


@pytest.mark.parametrize(('text', 'says'), [
    ('', 'is empty'), (' \n\t', 'is empty'), ('\ufeff', 'is empty'),
    ('[]', 'a list at the top level'), ('"x"', 'a text at the top level'),
    ('null', 'a null at the top level'), ('3', 'a number at the top level'),
    ('{"model_file": "model.onnx",}', 'line 1, column'),
    ('{"model_file": "model.onnx",}', 'a comma too many'),
    ('{"strides": [8, 16,]}', 'a comma too many'),
    ('{"a": 1,\n "b": }', 'line 2, column 7: not JSON'),
    ('{"a": 1}\n// comment', 'line 2, column 1: not JSON'),
    ('{"a": 1 // x\n}', 'JSON has no comments'),
    ('{"model_file": "model.onnx"', 'not JSON'), ("{'model_file': 'm'}", 'line 1, column 2'),
    ('{"reg_max": 16, "reg_max": 8}', "key 'reg_max' is given twice, as 16 and as 8"),
    ('{"score_threshold": NaN}', 'NaN is not a number'),
    ('{"score_threshold": -Infinity}', '-Infinity is not a number'),
    ('{"model_file": "model.onnx", "score_threshold": 1e999}', 'inf, expected a finite number'),
    ('{"class_num": ' + '9' * 5000 + '}', 'has 5000 digits, expected a number of at most 400'),
    ('[' * 100000, 'nested too deeply'),
    ('{"a":' * 100000, 'nested too deeply'), ('\0', 'not JSON'),
    ('<<<<<<< Updated upstream\n{}', 'line 1, column 1: not JSON'),
])
def test_faulty_json(write, text, says):
    assert says in complaint(write(text))


@pytest.mark.parametrize(('text', 'says'), [
    ('', 'is empty'), ('- a', 'a list at the top level'), ('just text', 'a text at the top'),
    ('# only a comment', 'a null at the top level'),
    ('a: 1\na: 2', "line 2, column 1: key 'a' is given twice"),
    ('model_file: model.onnx\nclass_num: [1', 'line 2'), ('a: b: c', 'line 1, column 5: not YAML'),
    ('a:\n\tb: 1', 'indent with spaces'), ('a: 1\n b: 2', 'not YAML'),
    ('a: &x [1]\nb: *x', 'line 2, column 4: *x refers to another place'),
    ('a: !!python/object/apply:os.system ["true"]', 'not YAML: could not determine a constr'),
    ('a: !!python/name:os.system', 'not YAML'), ('a: \x01', 'not YAML'),
    ('a: 2024-99-99', 'not YAML'), ('a: 2024-01-01', 'a is a YAML date'),
    ('a: !!binary aGk=', 'a is a YAML bytes'), ('a: !!set {b}', 'a is a YAML set'),
    ('1: 2', 'key 1 is a number, expected text'), ('no: 2', 'key False is a boolean'),
    ('? [a, b]\n: 1', ''), ('score_threshold: .nan', 'score_threshold is nan, expected a finite'),
    ('score_threshold: .inf', 'finite'), ('class_names: [a, {b: [.nan]}]', 'class_names[1].b[0]'),
    ('--- {}\n--- {}', 'not YAML'), ('[' * 3000, ''), ('a: @b', 'not YAML'),
    ('model_file: model.onnx\nscore_threshold: 1e-3',
     "is '1e-3', expected a number from 0 to 1; write 0.001 without quotes"),
    ('model_file: model.onnx\nclass_names: [person, no]',
     'class_names[1] is False, expected text that is not empty; put it in quotes (YAML reads no'),
    ('model_file: model.onnx\nclass_names: [person, 7]', 'class_names[1] is 7'),
    ('model_file: model.onnx\ntask: no', 'task is False'),
    ('model_file: model.onnx\nclass_num:', 'leave the key out'),
    ('class_num: !!int', 'a tag (!!) does not fit its value'),
    ('class_num: !!timestamp x', 'a tag (!!) does not fit its value'),
    ('class_num: !!bool maybe', 'a tag (!!) does not fit its value'),
    ('model_file: model.onnx\nscore_thresholds: {"\\x1F": 2}', "score_thresholds.'\\x1f' is 2"),
    ('class_names: {"two\\nlines": .nan}', "class_names.'two\\nlines' is nan"),
    # What takes time with the square of its length.
    ('class_num: 0x' + 'f' * 5000, 'has 5002 digits'),
    ('class_num: 1' + ':59' * 300_000, 'has 900001 digits'),
    ('nms_threshold: 1' + ':59' * 300_000 + '.5', 'has 900003 digits'),
    ('class_num: 0x' + 'f' * 300, 'is a whole number of 1200 bits, expected one of 1024 at most'),
    ('model_file: model.onnx\nclass_num: 1_0e', 'is \'1_0e\''),
])
def test_faulty_yaml(write, text, says):
    assert says in complaint(write(text, 'work.yaml'))


def test_a_billion_laughs_are_not_laughed(write):
    lines = ['a0: &a0 [lol]'] + [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]'
                                 for i in range(1, 30)]
    assert 'refers to another place' in complaint(write('\n'.join(lines), 'bomb.yaml'))


@pytest.mark.parametrize('content', [b'\xff\xfe{\0}\0', b'{"model_file": "caf\xe9"}',
                                     b'\x7fELF' + bytes(range(256))])
def test_what_is_not_utf8(write, content):
    assert 'is not UTF-8 text' in complaint(write(content))


def test_what_is_far_too_large(write):
    assert 'larger than 1048576 bytes' in complaint(write(b' ' * ((1 << 20) + 1)))


def test_a_configuration_that_is_not_there(tmp_path):
    assert complaint(tmp_path / 'none.json') == ': the work configuration does not exist'
    assert 'not a regular file' in complaint(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads every file')
def test_a_configuration_that_may_not_be_read(write):
    path = write({})
    path.chmod(0)
    assert 'cannot be read: Permission denied' in complaint(path)


# The schema, the shipped files and the documentation

def test_the_schema_is_a_valid_draft_7_schema():
    jsonschema.Draft7Validator.check_schema(schema())


def test_there_is_one_schema_file():
    link = ROOT / 'config' / SCHEMA_NAME
    assert link.resolve() == (ROOT / 'rdk_yolo_ros' / SCHEMA_NAME).resolve()


SHIPPED = sorted(p for p in (ROOT / 'config').glob('*')
                 if p.suffix in ('.json', '.yaml') and p.name != SCHEMA_NAME
                 and 'model_file' in p.read_text())


@pytest.mark.parametrize('path', SHIPPED, ids=lambda p: p.name)
def test_every_shipped_configuration_loads_once_its_model_is_there(path, tmp_path):
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    model = tmp_path / yaml.safe_load(path.read_text())['model_file']
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b'model')
    config = WorkConfig.load(copy)
    assert config.model_file == model
    assert (config.task or config.task_hint) in ('detect', 'segment', 'pose')


def test_there_are_shipped_configurations():
    assert {p.stem for p in SHIPPED} >= {'yolo12n_detect', 'yolo11n_pose', 'yolov8n_seg',
                                         'demo_detect', 'demo_segment', 'demo_pose'}


def documented_type(part):
    """Return a key's type as the documentation's table writes it."""
    if 'type' not in part:
        return 'any'
    if part['type'] == 'array':
        return 'list of ' + documented_type(part['items'])
    if 'enum' in part:
        return ' or '.join(f'`{word}`' for word in part['enum'])
    if part['type'] == 'boolean':
        return 'true or false'
    if part['type'] == 'object':
        return 'text to ' + documented_type(part['additionalProperties'])
    if part['type'] == 'string':
        return 'text'
    return f'{part["type"]} {part["minimum"]} to {part["maximum"]}'


def documentation_row(key, part):
    default = f'`{part["default"]}`'.lower() if 'default' in part else ''
    if key in schema()['required']:
        default = 'required'
    return (f'| `{key}` | {documented_type(part)} | {default} | {part["$comment"]} | '
            f'{part["description"]} |')


def test_the_documentation_and_the_schema_agree():
    text = (ROOT / 'docs' / 'work_config.md').read_text()
    rows = [line for line in text.splitlines() if re.match(r'\| `', line)]
    assert rows == [documentation_row(k, p) for k, p in schema()['properties'].items()]


def test_a_file_of_other_things_is_not_quoted(tmp_path):
    path = tmp_path / 'accounts'
    path.write_text('root:*:20228:0:99999:7::: \ndaemon:*:1:\n')
    with pytest.raises(WorkConfigError, match='none of its 2 keys is known') as caught:
        WorkConfig.load(path)
    assert '20228' not in str(caught.value)
    assert 'daemon' not in str(caught.value)
