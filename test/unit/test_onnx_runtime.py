"""The ONNX runtime feeds a model what a board would, and refuses what it cannot run."""

import builtins
import json
import sys
import threading
from types import SimpleNamespace

import numpy as np
import onnx_models
from onnx_models import TensorProto, helper
import pytest

from rdk_yolo_ros.errors import FrameError, ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes import (
    RUNTIMES,
    ModelMetadata,
    Runtime,
    RuntimeOptions,
    open_runtime,
    opening,
)
from rdk_yolo_ros.runtimes.onnx import OnnxRuntime, rgb_planes


def fails(path, kind=ModelError, **arguments):
    """Return the one line that opening `path` fails with."""
    with pytest.raises(kind) as caught:
        open_runtime(path, **arguments)
    message = str(caught.value)
    assert '\n' not in message
    assert len(message) < 1000
    return message


def flat_nv12(y, u, v, hw=(64, 64)):
    """Return an NV12 picture of one colour."""
    height, width = hw
    nv12 = np.empty((height * 3 // 2, width), np.uint8)
    nv12[:height] = y
    nv12[height:, 0::2] = u
    nv12[height:, 1::2] = v
    return nv12


def jfif_rgb(y, u, v):
    """Return RGB, 0 to 1, of a full-range colour, from the JFIF formula (ITU-T T.871)."""
    rgb = [y + 1.402 * (v - 128), y - 0.344136 * (u - 128) - 0.714136 * (v - 128),
           y + 1.772 * (u - 128)]
    return np.clip(rgb, 0, 255) / 255


def bt601_rgb(y, u, v):
    """Return RGB, 0 to 1, of a limited-range colour (ITU-R BT.601)."""
    return jfif_rgb(*((y - 16) * 255 / 219, 128 + (u - 128) * 255 / 224,
                      128 + (v - 128) * 255 / 224))


COLOURS = [(0, 128, 128), (255, 128, 128), (16, 128, 128), (235, 128, 128), (128, 128, 128),
           (76, 85, 255), (150, 44, 21), (29, 255, 107), (100, 90, 200), (180, 160, 60)]


# What the model sees

@pytest.mark.parametrize('colour', COLOURS)
@pytest.mark.parametrize(('nv12_range', 'truth'), [('full', jfif_rgb), ('limited', bt601_rgb)])
def test_the_model_sees_rgb_from_0_to_1_in_its_own_range(tmp_path, colour, nv12_range, truth):
    path = onnx_models.echo(tmp_path / 'm.onnx', metadata={'nv12_range': nv12_range})
    with open_runtime(path) as runtime:
        assert runtime.nv12_range == nv12_range
        seen, = runtime.run(flat_nv12(*colour))
    assert seen.shape == (1, 3, 64, 64)
    assert seen.dtype == np.float32
    assert np.ptp(seen, axis=(2, 3)).max() == 0
    np.testing.assert_allclose(seen[0, :, 0, 0], truth(*colour), atol=2.5 / 255)


def test_rows_and_columns_stay_where_they_are(tmp_path):
    path = onnx_models.echo(tmp_path / 'm.onnx', (1, 3, 32, 64))
    nv12 = flat_nv12(0, 128, 128, (32, 64))
    nv12[10, 50] = 255
    with open_runtime(path) as runtime:
        assert runtime.input_hw == (32, 64)
        seen, = runtime.run(nv12)
    assert np.argwhere(seen[0].min(axis=0) == 1).tolist() == [[10, 50]]
    assert seen.max(axis=(0, 1)).sum() == 1


def test_an_argument_goes_before_the_metadata_and_full_is_the_default(tmp_path):
    path = onnx_models.echo(tmp_path / 'm.onnx', metadata={'nv12_range': 'limited'})
    assert open_runtime(path, nv12_range='full').nv12_range == 'full'
    path = onnx_models.echo(tmp_path / 'n.onnx')
    assert open_runtime(path).nv12_range == 'full'
    with pytest.raises(ValueError, match="is 'bt709', expected 'full' or 'limited'"):
        open_runtime(path, nv12_range='bt709')


def test_a_half_precision_model_is_fed_half_precision(tmp_path):
    path = onnx_models.echo(tmp_path / 'm.onnx', dtype=TensorProto.FLOAT16)
    with open_runtime(path) as runtime:
        seen, = runtime.run(flat_nv12(200, 128, 128))
        assert runtime.outputs[0].dtype == np.float16
        assert seen.dtype == np.float16
    np.testing.assert_allclose(seen, 200 / 255, atol=5e-4)


def test_planes_are_exact():
    rgb = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    planes = rgb_planes(rgb)
    assert planes.flags.c_contiguous
    assert planes.dtype == np.float32
    np.testing.assert_allclose(planes[0], rgb.transpose(2, 0, 1) / 255.0, rtol=2e-7)
    np.testing.assert_allclose(rgb_planes(rgb[:, ::-1])[0], planes[0, :, :, ::-1])


# What it says of a model

def test_outputs_are_described_as_they_come(tmp_path):
    arrays = {'a': np.zeros((1, 8, 8, 64), np.float32), 'b': np.ones((1, 3, 8, 8), np.int32),
              'c': np.zeros((1, 4), np.int8), 'd': np.zeros((1, 8, 8, 1), np.float16)}
    path = onnx_models.constant(tmp_path / 'm.onnx', arrays)
    with open_runtime(path) as runtime:
        assert isinstance(runtime, Runtime)
        assert (runtime.name, runtime.slots, runtime.path) == ('onnx', 1, path)
        assert [o.name for o in runtime.outputs] == list(arrays)
        for info, array, result in zip(runtime.outputs, arrays.values(),
                                       runtime.run(flat_nv12(0, 128, 128))):
            assert (info.shape, info.dtype) == (array.shape, array.dtype)
            assert (info.layout, info.scale, info.zero_point) == (None, None, None)
            np.testing.assert_array_equal(result, array)


def test_results_belong_to_the_caller(tmp_path):
    with open_runtime(onnx_models.echo(tmp_path / 'm.onnx')) as runtime:
        first, = runtime.run(flat_nv12(10, 128, 128))
        before = first.copy()
        first_again, = runtime.run(flat_nv12(200, 128, 128))
        np.testing.assert_array_equal(first, before)
        first_again[:] = 0


def test_open_sizes_come_from_the_metadata_or_are_640(tmp_path):
    shape = (None, 3, None, None)
    with open_runtime(onnx_models.echo(tmp_path / 'a.onnx', shape)) as runtime:
        assert runtime.input_hw == (640, 640)
        assert runtime.outputs[0].shape == (1, 3, 640, 640)
    for text, hw in (('[96, 128]', (96, 128)), ('64', (64, 64)), ('(32, 64)', (32, 64)),
                     ('[0, -1]', (640, 640)), ('[1e9, 64]', (640, 640)), ('x', (640, 640))):
        path = onnx_models.echo(tmp_path / 'b.onnx', shape, metadata={'imgsz': text})
        with open_runtime(path) as runtime:
            assert runtime.input_hw == hw, text
    path = onnx_models.echo(tmp_path / 'c.onnx', (1, 3, 64, None), metadata={'imgsz': '[32, 96]'})
    with open_runtime(path) as runtime:
        assert runtime.input_hw == (64, 96)


def test_quantization_comes_from_the_metadata(tmp_path):
    arrays = {'box': np.zeros((1, 8, 8, 4), np.int32), 'class': np.zeros((1, 8, 8, 2), np.int8),
              'real': np.zeros((1, 8, 8, 3), np.float32)}
    table = {'box': {'scale': [0.1, 0.2, 0.3, 0.4], 'zero_point': 0, 'axis': 3},
             'class': {'scale': 0.5, 'zero_point': [-3, 4], 'axis': -1}}
    path = onnx_models.constant(tmp_path / 'm.onnx', arrays,
                                {'output_quantization': json.dumps(table)})
    with open_runtime(path) as runtime:
        box, classes, real = runtime.outputs
    np.testing.assert_allclose(box.scale, [0.1, 0.2, 0.3, 0.4])
    assert box.scale.dtype == np.float32
    assert box.zero_point is None
    assert box.quantize_axis == 3
    assert classes.scale.tolist() == [0.5]
    assert classes.zero_point.tolist() == [-3, 4]
    assert real.scale is None


@pytest.mark.parametrize(('entry', 'scale'), [
    ({'shift': 4}, [1 / 16]), ({'exponent': -4}, [1 / 16]), ({'exponent': 3}, [8]),
    ({'shift': 0}, [1]), ({'shift': [7, 0, -1, 2], 'axis': 3}, [1 / 128, 1, 2, 0.25]),
    ({'exponent': [-126, 126, 0, 1], 'axis': -1}, [2.0 ** -126, 2.0 ** 126, 1, 2])])
@pytest.mark.parametrize('dtype', [np.int8, np.int16, np.uint8, np.int32])
def test_a_scale_may_be_a_power_of_two(tmp_path, entry, scale, dtype):
    path = onnx_models.constant(tmp_path / 'm.onnx', {'box': np.zeros((1, 8, 8, 4), dtype)},
                                {'output_quantization': json.dumps({'box': entry})})
    with open_runtime(path) as runtime:
        info, = runtime.outputs
    assert info.scale.dtype == np.float32
    assert info.scale.tolist() == scale
    assert info.dtype == dtype


@pytest.mark.parametrize(('text', 'says'), [
    ('{', 'is not JSON'), ('[' * 100000, 'is not JSON'), ('[1]', 'is [1], expected {output:'),
    ('{"boxes": {"scale": 1}}', "names an output 'boxes', expected one of box, class"),
    ('{"box": 0.5}', "of 'box' is 0.5, expected scale"), ('{"box": {}}', "of 'box' is {}"),
    ('{"box": {"scale": 1, "sacle": 2}}', 'expected scale'),
    ('{"box": {"scale": []}}', 'scale is [], expected numbers'),
    ('{"box": {"scale": "1"}}', "scale is '1', expected numbers"),
    ('{"box": {"scale": [true]}}', 'expected numbers'),
    ('{"box": {"scale": NaN}}', 'scale is nan'), ('{"box": {"scale": Infinity}}', 'scale is inf'),
    ('{"box": {"scale": 0}}', 'expected finite numbers above 0'),
    ('{"box": {"scale": -1}}', 'expected finite numbers above 0'),
    ('{"box": {"scale": [1, 2, 3], "axis": 3}}', 'scale has 3 elements, which does not fit axis'),
    ('{"box": {"scale": [1, 2, 3, 4]}}', 'does not fit axis None of shape (1, 8, 8, 4)'),
    ('{"box": {"scale": 1e-50}}', 'expected finite numbers above 0'),
    ('{"box": {"scale": 1, "shift": 2}}', 'expected scale (or shift or exponent)'),
    ('{"box": {"zero_point": 2}}', 'expected scale (or shift or exponent)'),
    ('{"box": {"shift": 0.5}}', 'shift is 0.5, expected whole numbers'),
    ('{"box": {"exponent": 127}}', 'exponent is 127, expected whole numbers from -126 to 126'),
    ('{"box": {"shift": [1, 2, 3], "axis": 3}}', 'shift has 3 elements, which does not fit axis'),
    ('{"box": {"scale": 1, "axis": 4}}', 'axis is 4, expected an axis of shape (1, 8, 8, 4)'),
    ('{"box": {"scale": 1, "axis": "3"}}', "axis is '3'"),
    ('{"box": {"scale": 1, "zero_point": 0.5}}', 'zero_point is 0.5, expected whole numbers'),
    ('{"box": {"scale": 1, "zero_point": 4294967296}}', 'expected whole numbers'),
    ('{"box": {"scale": 1, "zero_point": [1, 2], "axis": 3}}', 'zero_point has 2 elements'),
])
def test_quantization_that_does_not_fit_is_refused(tmp_path, text, says):
    arrays = {'box': np.zeros((1, 8, 8, 4), np.int32), 'class': np.zeros((1, 8, 8, 2), np.int32)}
    path = onnx_models.constant(tmp_path / 'm.onnx', arrays, {'output_quantization': text})
    message = fails(path)
    assert message.startswith(f'{path}: metadata output_quantization')
    assert says in message


def metadata_of(tmp_path, **entries):
    path = onnx_models.echo(tmp_path / 'm.onnx', metadata=entries)
    with open_runtime(path) as runtime:
        return runtime.metadata


@pytest.mark.parametrize('text', [
    '["person", "traffic light"]', '{"0": "person", "1": "traffic light"}',
    "{0: 'person', 1: 'traffic light'}", "{1: 'traffic light', 0: 'person'}",
    "['person', 'traffic light']", "('person', 'traffic light')"])
def test_names_are_read_in_every_form(tmp_path, text):
    assert metadata_of(tmp_path, names=text).class_names == ('person', 'traffic light')


def test_what_ultralytics_and_we_write_is_understood(tmp_path):
    metadata = metadata_of(tmp_path, task='pose', names="{0: 'person'}", kpt_shape='[17, 3]',
                           keypoint_names='["nose", "tail"]', description='a model', stride='32')
    assert metadata == ModelMetadata('pose', ('person',), 17, ('nose', 'tail'), 3)
    metadata = metadata_of(tmp_path, kpt_shape='[12, 2]', end2end='True')
    assert metadata == ModelMetadata(num_keypoints=12, keypoint_dims=2, end_to_end=True)
    assert metadata_of(tmp_path, end2end='False').end_to_end is False
    assert metadata_of(tmp_path) == ModelMetadata()


@pytest.mark.parametrize(('key', 'text'), [
    ('names', "__import__('os').system('touch hacked')"), ('names', "{0: 'a', 2: 'b'}"),
    ('names', '{"x": "a"}'), ('names', '[]'), ('names', '3'), ('names', ''), ('names', '[1, 2]'),
    ('names', "{0: 'a'"), ('names', '(' * 5000), ('names', '[' * 100000), ('names', '-' * 100000),
    ('names', '{[]: 1}'), ('names', '"' + 'a' * (1 << 20) + '"'), ('names', "{0.5: 'a'}"),
    ('task', 'world'), ('task', ''), ('kpt_shape', '[17]'), ('kpt_shape', '[-1, 3]'),
    ('kpt_shape', '[17, 4]'), ('end2end', 'yes'), ('end2end', ''),
    ('kpt_shape', '[1e9, 3]'), ('kpt_shape', 'x'), ('kpt_shape', '[true, 3]'),
    ('keypoint_names', '{}'), ('keypoint_names', '5')])
def test_metadata_that_is_not_understood_is_left_out(tmp_path, caplog, key, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert metadata_of(tmp_path, **{key: text}) == ModelMetadata()
    assert not (tmp_path / 'hacked').exists()
    assert f'metadata {key} is ' in caplog.text


def test_a_colour_range_that_is_not_understood_is_refused(tmp_path):
    path = onnx_models.echo(tmp_path / 'm.onnx', metadata={'nv12_range': 'tv'})
    assert "metadata nv12_range is 'tv', expected full or limited" in fails(path)


# What it does not take

@pytest.mark.parametrize('nv12', [
    np.zeros((96, 64), np.int8), np.zeros((96, 64, 1), np.uint8), np.zeros((64, 64), np.uint8),
    np.zeros((96, 62), np.uint8), np.zeros(96 * 64, np.uint8), np.zeros((0, 64), np.uint8),
    np.zeros((64, 64, 3), np.uint8), np.zeros((96, 64), np.float32), None, [[1]], b'x'])
def test_an_image_of_another_shape_or_type(tmp_path, nv12):
    with open_runtime(onnx_models.echo(tmp_path / 'm.onnx')) as runtime, \
            pytest.raises(FrameError, match=r'^NV12 input is .*expected .*uint8.* \(96, 64\)'):
        runtime.run(nv12)


def test_an_image_that_is_a_view_is_fine(tmp_path):
    wide = np.full((96, 128), 128, np.uint8)
    wide[:64] = 77
    with open_runtime(onnx_models.echo(tmp_path / 'm.onnx')) as runtime:
        seen, = runtime.run(wide[:, 32:96])
    np.testing.assert_allclose(seen, 77 / 255, atol=1.5 / 255)


@pytest.mark.parametrize(('shape', 'dtype', 'says'), [
    ((1, 1, 64, 64), TensorProto.FLOAT, 'expected tensor(float) [1, 3, height, width]'),
    ((1, 64, 64, 3), TensorProto.FLOAT, '[1, 64, 64, 3]'),
    ((4, 3, 64, 64), TensorProto.FLOAT, '[4, 3, 64, 64]'),
    ((3, 64, 64), TensorProto.FLOAT, '[3, 64, 64]'),
    ((1, 3, 64, 64), TensorProto.UINT8, 'tensor(uint8)'),
    ((1, 3, 63, 64), TensorProto.FLOAT, '64x63 pixels'),
    ((1, 3, 1000000, 1000000), TensorProto.FLOAT, '1000000x1000000 pixels'),
])
def test_an_input_that_cannot_be_fed(tmp_path, shape, dtype, says):
    path = onnx_models.echo(tmp_path / 'm.onnx', shape, dtype)
    assert says in fails(path)


def test_two_inputs_are_one_too_many(tmp_path):
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 3, 64, 64)) for n in 'ab']
    path = onnx_models.save(tmp_path / 'm.onnx', [helper.make_node('Add', ['a', 'b'], ['c'])],
                            {'c': (TensorProto.FLOAT, (1, 3, 64, 64))}, inputs=inputs)
    message = fails(path)
    assert '2 inputs' in message
    assert 'a tensor(float)' in message
    assert 'expected one' in message


def test_a_model_that_fails_when_run_fails_when_opened(tmp_path):
    node = helper.make_node('Reshape', ['images', 'shape'], ['out'])
    path = onnx_models.save(tmp_path / 'm.onnx', [node], {'out': (TensorProto.FLOAT, (1, None))},
                            (1, 3, None, None), {'shape': np.array([7, 11], np.int64)})
    assert 'inference failed' in fails(path)


def test_an_output_that_is_text_is_refused(tmp_path):
    node = helper.make_node('Cast', ['images'], ['out'], to=TensorProto.STRING)
    path = onnx_models.save(tmp_path / 'm.onnx', [node],
                            {'out': (TensorProto.STRING, (1, 3, 64, 64))})
    assert "output 'out' is a object, expected a tensor of numbers" in fails(path)


@pytest.mark.parametrize('content', [b'rubbish', b'\0' * 100, bytes(range(256)) * 40,
                                     b'\x08\x07\x12\x00', b'version https://git-lfs.github.com'])
def test_rubbish_is_no_model(tmp_path, content):
    (tmp_path / 'm.onnx').write_bytes(content)
    assert fails(tmp_path / 'm.onnx').startswith(f'{tmp_path / "m.onnx"}: not a model that ONNX')


def test_a_truncated_model_is_no_model(tmp_path):
    path = onnx_models.colour_detector(tmp_path / 'm.onnx')
    path.write_bytes(path.read_bytes()[:-200])
    assert 'not a model' in fails(path)


def test_unknown_operators_are_no_model(tmp_path):
    node = helper.make_node('Launch', ['images'], ['out'], domain='rockets')
    path = onnx_models.save(tmp_path / 'm.onnx', [node], {'out': (TensorProto.FLOAT, (1, 3))})
    assert 'not a model that ONNX' in fails(path)


@pytest.mark.parametrize(('name', 'says'), [
    ('none.onnx', 'there is no such model file'), ('none.bin', 'there is no such model file'),
    ('empty.onnx', 'the model file is empty'), ('folder.onnx', 'is a folder'),
    ('m.pt', "the suffix '.pt' tells no runtime, expected .onnx, .bin, .hbm"),
    ('m', "the suffix '' tells no runtime"),
    ('x' * 300, 'File name too long'), ('a\0b', 'there is no such')])
def test_a_path_that_is_no_model(tmp_path, name, says):
    (tmp_path / 'empty.onnx').touch()
    (tmp_path / 'folder.onnx').mkdir()
    (tmp_path / 'm.pt').write_bytes(b'x')
    (tmp_path / 'm').write_bytes(b'x')
    assert says in fails(tmp_path / name)


@pytest.mark.parametrize(('name', 'runtime', 'names'), [
    ('m.bin', 'auto', ('libdnn', 'hbm_runtime', 'hobot_dnn')), ('m.hbm', 'auto', ('hbm_runtime',)),
    ('m.bin', 'pyeasy_dnn', ('hobot_dnn',)), ('m.hbm', 'hbm', ('hbm_runtime',)),
    ('m.bin', 'libdnn', ('libdnn.so',))])
def test_a_board_model_says_what_is_missing_and_what_to_do(tmp_path, name, runtime, names):
    (tmp_path / name).write_bytes(b'x')
    message = fails(tmp_path / name, RuntimeUnavailableError, name=runtime)
    assert 'BPU' in message
    assert '.onnx' in message
    assert all(library in message for library in names)


class StandInRuntime(Runtime):
    """A stand-in for a board's runtime; tells what it was opened with."""

    def __init__(self, path, nv12_range=None, options=None):
        self.path, self.given = path, (nv12_range, options)

    def run(self, nv12):
        raise NotImplementedError

    def close(self):
        pass


def stand_in_module(monkeypatch, name, missing=None):
    """Put a stand-in in the place of a runtime's module."""
    home = opening._HOMES[name]

    def require():
        if missing is not None:
            raise RuntimeUnavailableError(missing)

    module = SimpleNamespace(require=require,
                             **{home.name: type(home.name, (StandInRuntime,), {'name': name})})
    monkeypatch.setitem(sys.modules, f'rdk_yolo_ros.runtimes.{home.module}', module)


@pytest.mark.parametrize(('suffix', 'missing', 'chosen'), [
    ('.bin', [], 'libdnn'), ('.bin', ['libdnn'], 'hbm'), ('.bin', ['libdnn', 'hbm'], 'pyeasy_dnn'),
    ('.BIN', ['hbm'], 'libdnn'), ('.hbm', [], 'hbm')])
def test_auto_takes_the_first_runtime_that_can_be_used_and_says_why(
        tmp_path, monkeypatch, caplog, suffix, missing, chosen):
    for name in ('libdnn', 'hbm', 'pyeasy_dnn'):
        stand_in_module(monkeypatch, name, f'{name} is not here' if name in missing else None)
    (tmp_path / f'm{suffix}').write_bytes(b'x')
    options = RuntimeOptions(slots=3)
    with caplog.at_level('INFO'):
        runtime = open_runtime(tmp_path / f'm{suffix}', nv12_range='limited', options=options)
    assert runtime.name == chosen
    assert runtime.given == ('limited', options)
    assert [name for name in RUNTIMES if f'{name} is not here' in caplog.text] == [
        name for name in missing if RUNTIMES.index(name) < RUNTIMES.index(chosen)]
    if suffix != '.hbm':
        assert f'runtime {chosen}, as ' in caplog.text


def test_a_model_name_costs_one_warning_with_onnx(tmp_path, caplog):
    path = onnx_models.echo(tmp_path / 'm.onnx')
    open_runtime(path, options=RuntimeOptions(model_name='yolo')).close()
    message, = caplog.messages
    assert "model_name is 'yolo'" in message
    assert 'ignored' in message


def test_an_unknown_runtime_gets_the_known_ones(tmp_path):
    path = onnx_models.echo(tmp_path / 'm.onnx')
    message = fails(path, RuntimeUnavailableError, name='tensorrt')
    assert "'tensorrt' is not known, expected one of auto, onnx, libdnn, hbm, " in message


def test_without_onnxruntime_it_says_how_to_get_it(tmp_path, monkeypatch):
    path = onnx_models.echo(tmp_path / 'm.onnx')
    real_import = builtins.__import__

    def no_onnxruntime(name, *arguments, **keywords):
        if name == 'onnxruntime':
            raise ImportError("No module named 'onnxruntime'")
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, '__import__', no_onnxruntime)
    assert 'pip install onnxruntime' in fails(path, RuntimeUnavailableError)


# Threads and the end

def test_calls_may_overlap(tmp_path):
    path = onnx_models.echo(tmp_path / 'm.onnx')
    wrong = []

    def work(level):
        for _ in range(30):
            seen, = runtime.run(flat_nv12(level, 128, 128))
            if abs(seen - level / 255).max() > 0.01:
                wrong.append(level)

    with open_runtime(path) as runtime:
        threads = [threading.Thread(target=work, args=(level,)) for level in (20, 90, 160, 230)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_closing_twice_is_fine_and_running_after_it_is_not(tmp_path):
    runtime = open_runtime(onnx_models.echo(tmp_path / 'm.onnx'))
    runtime.close()
    runtime.close()
    with pytest.raises(ModelError, match='m.onnx: the runtime is closed'):
        runtime.run(flat_nv12(0, 128, 128))


@pytest.mark.parametrize(('text', 'warns'), [('1', False), ('2', False), ('', False), ('0', True),
                                             ('many', True), ('-1', True), ('9999999999', True)])
def test_the_environment_sets_the_threads(tmp_path, monkeypatch, caplog, text, warns):
    monkeypatch.setenv('RDK_YOLO_ONNX_THREADS', text)
    open_runtime(onnx_models.echo(tmp_path / 'm.onnx')).close()
    assert ('RDK_YOLO_ONNX_THREADS' in caplog.text) == warns


def test_threads_can_be_given(tmp_path):
    with OnnxRuntime(onnx_models.echo(tmp_path / 'm.onnx'), threads=1) as runtime:
        assert len(runtime.run(flat_nv12(0, 128, 128))) == 1
