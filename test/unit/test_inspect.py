"""rdk-yolo inspect says what a model is, and its work configuration runs that model."""

import contextlib
import io
import json
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import onnx_models
import pytest

from rdk_yolo_ros.cli.main import main
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.work_config import WorkConfig

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
DEMO_MODELS = sorted((ROOT / 'models').glob('*.onnx'))


def inspect(*arguments, cwd=None):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, '-m', 'rdk_yolo_ros.cli', 'inspect', *map(str, arguments)], cwd=cwd,
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        env={**os.environ, 'RDK_YOLO_ONNX_THREADS': '1', 'PYTHONPATH': PYTHONPATH})


def inspect_here(*arguments):
    """Run the command in this process, which is quicker, with the same result."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(['inspect', *map(str, arguments)])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def inspected(*arguments, run=inspect_here, **keywords):
    """Return what it prints, having succeeded without a word on stderr."""
    done = run(*arguments, **keywords)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def configuration(text):
    """Return the configuration at the end of what it prints."""
    return json.loads(text.partition('\nwork configuration:\n')[2])


def opened(mapping, tmp_path):
    """Return a predictor from a configuration that was saved to a file."""
    (tmp_path / 'work.json').write_text(json.dumps(mapping))
    assert WorkConfig.load(tmp_path / 'work.json').task == mapping['task']
    return Predictor.from_config(tmp_path / 'work.json')


def model(tmp_path, shapes, metadata=None, input_hw=(64, 64), dtype=np.float32):
    return onnx_models.constant(tmp_path / 'm.onnx', {
        f'o{i}': np.zeros(shape, dtype) for i, shape in enumerate(shapes)}, metadata, input_hw)


def heads(*channels, size=64):
    return [(1, size // s, size // s, c) for s in (8, 16, 32) for c in channels]


def test_the_demo_models_are_there():
    assert len(DEMO_MODELS) >= 6


@pytest.mark.parametrize('path', DEMO_MODELS, ids=lambda path: path.stem)
def test_a_demo_model_and_its_configuration(path, tmp_path):
    text = inspected(path, run=inspect)
    mapping = configuration(text)
    shipped = json.loads((ROOT / 'config' / f'{path.stem}.json').read_text())
    for key in ('task', 'model_output_count', 'class_num', 'num_keypoints'):
        assert mapping.get(key) == shipped.get(key)
    with opened(mapping, tmp_path) as predictor, \
            Predictor.from_config(ROOT / 'config' / f'{path.stem}.json') as known:
        assert predictor.runtime.path == path
        assert predictor.class_names == known.class_names
        assert predictor.keypoint_names == known.keypoint_names
        assert predictor.options == known.options
        mine, theirs = predictor.layout, known.layout
        assert (mine.task, mine.strides, mine.reg_max, mine.rules, mine.nms) \
            == (theirs.task, theirs.strides, theirs.reg_max, theirs.rules, theirs.nms)
        for info in predictor.runtime.outputs:
            line, = [line for line in text.splitlines() if f' {info.name} ' in line
                     and 'float32' in line or f' {info.name} ' in line and 'int' in line]
            assert 'x'.join(map(str, info.shape)) in line
            assert info.dtype.name in line
            assert ('scale' in line) == info.quantized


def test_what_it_says_of_a_small_model(tmp_path):
    path = onnx_models.colour_detector(tmp_path / 'colours.onnx', (64, 128), quantized=True,
                                       metadata={'names': "['red', 'green', 'blue']"})
    lines = [' '.join(line.split()) for line in inspected(path).splitlines()]
    assert lines[0] == f'{path}: runs on onnx, takes 128x64 NV12 (full range)'
    assert '0 class8 1x3x8x16 int32 scale 2^-10, 3 along axis 1' in lines
    assert '3 box16 1x64x4x8 int32 scale 2^-6, 64 along axis 1' in lines
    for line in ('task: detect', 'classes: 3 (red, green, blue)', 'strides: 8, 16, 32',
                 'boxes: distributions, reg_max 16', 'rules: v8', 'nms: yes',
                 "stride 32: class 'class32', box 'box32'"):
        assert line in lines
    mapping = configuration('\n'.join(['', *inspected(path).splitlines()]))
    with opened(mapping, tmp_path) as predictor:
        image = np.full((64, 128, 3), 114, np.uint8)
        image[8:16, 16:24] = (0, 0, 255)
        assert [predictor.class_names[c] for c in predictor(image).class_ids] == ['red']


@pytest.mark.parametrize(('shapes', 'arguments', 'keys', 'words'), [
    (heads(1, 4, 51), [], {'task': 'pose', 'reg_max': 1, 'rules': 'yolo26', 'nms': False,
                           'num_keypoints': 17, 'keypoint_dims': 3},
     ['plain distances, reg_max 1', '17 of x, y, visibility', 'no, each object is found once']),
    (heads(1, 64, 24), ['--task', 'pose', '--class-num', 1, '--keypoint-dims', 2],
     {'num_keypoints': 12, 'keypoint_dims': 2}, ['12 of x, y']),
    (heads(15, 64, 1), ['--task', 'obb'], {'task': 'obb', 'class_num': 15}, ["angle 'o2'"]),
    (heads(64, 64), ['--outputs', ','.join(['class', 'box'] * 3)],
     {'outputs': ['class', 'box'] * 3, 'class_num': 64}, ["class 'o0', box 'o1'"]),
    (heads(80, 64), ['--no-nms'], {'nms': False}, ['no, each object is found once']),
    (heads(80, 64), ['--rules', 'yolo26', '--nv12-range', 'limited'],
     {'rules': 'yolo26', 'nv12_range': 'limited'}, ['(limited range)']),
    ([(1, 300, 6)], ['--class-num', 3], {'task': 'detect', 'class_num': 3, 'nms': False},
     ["'o0': a row for each instance, 300 x 6"]),
    ([(1, 100, 6)], ['--no-nms', '--class-num', 3], {'task': 'detect', 'nms': False}, ['100 x 6']),
    ([(1, 10, 84)], ['--task', 'obb'], {'task': 'obb', 'class_num': 5, 'nms': True},
     ['a row for each anchor point, 84 x 10']),
    ([(1, 37, 84), (1, 32, 16, 16)], [], {'task': 'segment', 'class_num': 1, 'num_mask': 32},
     ["'o1': 32 of 16x16"]),
    ([(1, 1000, 1, 1)], [], {'task': 'classify', 'class_num': 1000, 'top_k': 5},
     ['1000 (0, 1,', 'and 990 more)'])])
def test_every_kind_of_model_gets_a_configuration_that_opens_it(tmp_path, shapes, arguments, keys,
                                                               words):
    path = model(tmp_path, shapes)
    text = inspected(path, *arguments)
    for word in words:
        assert word in text
    mapping = configuration(text)
    assert {key: mapping.get(key) for key in keys} == keys
    with opened(mapping, tmp_path) as predictor:
        layout = predictor.layout
        for key in ('task', 'class_num', 'rules', 'nms', 'num_keypoints', 'keypoint_dims'):
            assert getattr(layout, key) == keys.get(key, getattr(layout, key))


def test_json_is_the_configuration_alone(tmp_path):
    path = model(tmp_path, heads(80, 64))
    alone = json.loads(inspected(path, '--json', run=inspect))
    assert alone == configuration(inspected(path))
    assert alone['model_file'] == str(path)


def test_a_relative_path_is_the_shells(tmp_path):
    (tmp_path / 'models').mkdir()
    path = model(tmp_path / 'models', heads(80, 64))
    text = inspected('models/m.onnx', '--json', run=inspect, cwd=tmp_path)
    assert json.loads(text)['model_file'] == str(path)


def test_what_had_to_be_assumed_is_noted(tmp_path):
    path = model(tmp_path, [(1, 300, 6)])
    assert f"note: {path}: the output 'o0' does not say how many classes" in inspected(path)
    done = inspect_here(path, '--json')
    assert json.loads(done.stdout)['class_num'] == 80
    assert done.stderr.startswith(f"rdk-yolo: {path}: the output 'o0' does not say")


@pytest.mark.parametrize(('make', 'arguments', 'says'), [
    (lambda folder: folder / 'none.onnx', [], 'there is no such model file'),
    (lambda folder: folder, [], 'expected a file'),
    (lambda folder: ROOT / 'README.md', [], "the suffix '.md' tells no runtime"),
    (lambda folder: model(folder, [(1, 7, 7, 512)]), [], 'look like no YOLO'),
    (lambda folder: model(folder, heads(4, 64)), [], 'can be read in 2 ways'),
    (lambda folder: model(folder, heads(80, 64)), ['--class-num', 3], 'class_num is 3, but'),
    (lambda folder: model(folder, heads(80, 64)), ['--class-num', 0], 'class_num is 0, expected'),
    (lambda folder: model(folder, heads(80, 64)), ['--runtime', 'cuda'], 'runtime is'),
    (lambda folder: model(folder, heads(80, 64)), ['--outputs', 'box,klass'], 'outputs[1]'),
    (lambda folder: model(folder, heads(80, 64), dtype=np.int8), [], 'is int8 and has no scale'),
    (lambda folder: model(folder, heads(80, 64), {'names': '!', 'output_quantization': '{'}), [],
     'output_quantization is not JSON')])
def test_a_faulty_model_costs_one_line(tmp_path, make, arguments, says):
    for extra in ([], ['--json']):
        done = inspect_here(make(tmp_path), *arguments, *extra)
        assert done.returncode == 1
        line, = done.stderr.splitlines()
        assert line.startswith('rdk-yolo: ')
        assert says in line
        assert not extra or done.stdout == ''


@pytest.mark.parametrize(('make', 'says'), [
    (lambda path: path.write_bytes(b'rubbish'), 'not a model that ONNX'),
    (lambda path: model(path.parent, heads(4, 64)), 'can be read in 2 ways')])
def test_a_process_leaves_one_line_and_no_traceback(tmp_path, make, says):
    make(tmp_path / 'm.onnx')
    done = inspect(tmp_path / 'm.onnx')
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def test_a_reader_that_goes_away_does_no_harm(tmp_path):
    path = model(tmp_path, heads(80, 64))
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, 'w') as out:
        done = subprocess.run([sys.executable, '-m', 'rdk_yolo_ros.cli', 'inspect', str(path)],
                              stdout=out, stderr=subprocess.PIPE, text=True, timeout=120,
                              env={**os.environ, 'PYTHONPATH': PYTHONPATH})
    assert (done.returncode, done.stderr) == (1, '')


@pytest.mark.parametrize('arguments', [[], ['m.onnx', '--task', 'poses'], ['m.onnx', '--what']])
def test_a_faulty_command_line_is_exit_code_2(arguments):
    done = inspect(*arguments)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
