"""What pyeasy_dnn says of a model, and what a worker makes of it; in the test's own process."""

import json
import sys

from bpu_stand_ins import STAND_INS, installed, some_tensors, stand_in_model
import numpy as np
import pytest

from rdk_yolo_ros.errors import ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.pyeasy_model import LoadedModel, import_library
from rdk_yolo_ros.runtimes.worker_messages import info_from_json, info_to_json

HW = (64, 96)
pytestmark = pytest.mark.usefixtures('bpu_libraries')


def write(tmp_path, tensors=None, **details):
    return stand_in_model.write_recorded_model(
        tmp_path / 'model.bin', some_tensors() if tensors is None else tensors, HW,
        latency_s=0.0, **details)


def load(path, model_name=None, **options):
    return LoadedModel(path, model_name, **options)


def fails(path, model_name=None):
    with pytest.raises(ModelError) as caught:
        load(path, model_name)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def run(model):
    outputs = [np.zeros(info.shape, info.dtype) for info in model.outputs]
    model.run(np.zeros((HW[0] * 3 // 2, HW[1]), np.uint8), outputs)
    return outputs


def test_scales_run_along_the_channels(tmp_path):
    (_, numbers, scales), _ = some_tensors()
    box, classes = load(write(tmp_path)).outputs
    assert (box.name, box.shape, box.dtype, box.layout) == ('box', (1, 8, 8, 51), np.int32, 'NHWC')
    np.testing.assert_array_equal(box.scale, scales)
    assert box.quantize_axis == 3
    assert box.zero_point is None
    assert (classes.name, classes.shape, classes.dtype) == ('cls', (1, 8, 8, 3), np.float32)
    assert not classes.quantized


def test_one_scale_needs_no_axis(tmp_path):
    box, = load(write(tmp_path, [('box', np.zeros((1, 4, 4, 8), np.int8), 0.5)])).outputs
    assert box.scale.tolist() == [0.5]
    assert box.quantize_axis is None


def test_integers_without_scales_stay_unquantized(tmp_path):
    box, = load(write(tmp_path, [('box', np.zeros((1, 4, 4, 8), np.int16))])).outputs
    assert box.scale is None


def test_scales_that_fit_no_axis_are_refused(tmp_path):
    message = fails(write(tmp_path, [('box', np.zeros((1, 4, 4, 8), np.int32), [0.5] * 5)]))
    assert 'box' in message
    assert '5 elements' in message


@pytest.mark.parametrize('shapes', ['address', 'struct', 'tuple'])
def test_padding_is_known_and_cropped(tmp_path, shapes):
    tensors = some_tensors()
    model = load(write(tmp_path, tensors, align=16, shapes=shapes))
    assert model.outputs[0].shape == (1, 8, 8, 51)
    assert model.outputs[0].aligned_shape == (1, 8, 8, 64)
    assert model.outputs[1].aligned_shape is None
    for output, (_, array, *_) in zip(run(model), tensors):
        np.testing.assert_array_equal(output, array)


def test_padding_that_is_not_told_is_cropped(tmp_path):
    tensors = some_tensors()
    model = load(write(tmp_path, tensors, align=16, shapes='absent'))
    assert model.outputs[0].aligned_shape is None
    np.testing.assert_array_equal(run(model)[0], tensors[0][1])


def test_an_address_that_holds_no_shape_is_not_believed(tmp_path):
    tensors = some_tensors()
    model = load(write(tmp_path, tensors, align=16, shapes='bad address'))
    assert model.outputs[0].aligned_shape is None
    np.testing.assert_array_equal(run(model)[0], tensors[0][1])


@pytest.mark.parametrize('buffer', ['aligned', 'valid'])
@pytest.mark.parametrize('shape', [(1, 100), (1, 30, 6)])
def test_an_aligned_shape_with_more_dimensions(tmp_path, shape, buffer):
    """The documentation calls it four-dimensional, whatever the valid one is."""
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    model = load(write(tmp_path, [('class', numbers)], trailing_ones=4 - len(shape),
                       buffer=buffer))
    assert model.outputs[0].aligned_shape is None
    np.testing.assert_array_equal(run(model)[0], numbers)


def test_padding_that_the_library_left_out_in_disorder_is_refused(tmp_path):
    model = load(write(tmp_path, align=16, buffer='valid'))
    with pytest.raises(ModelError, match='in an order that cannot be known'):
        run(model)


@pytest.mark.parametrize('buffer', ['aligned', 'valid'])
def test_padding_behind_the_last_number_disorders_nothing(tmp_path, buffer):
    numbers = np.arange(100, dtype=np.int32).reshape(1, 100)
    model = load(write(tmp_path, [('class', numbers, 0.5)], align=16, buffer=buffer))
    assert model.outputs[0].aligned_shape == (1, 112)
    np.testing.assert_array_equal(run(model)[0], numbers)


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('tensor_type', ['NV12', 'NV12_SEPARATE'])
def test_the_input_is_understood(tmp_path, layout, tensor_type):
    model = load(write(tmp_path, layout=layout, tensor_type=tensor_type))
    assert model.input_hw == HW
    assert tensor_type in model.input_text


@pytest.mark.parametrize(('hw', 'layout', 'expected'), [
    ((4, 3), 'NHWC', (4, 3)), ((4, 6), 'NCHW', (4, 6))])
def test_a_size_of_three_does_not_confuse_the_layout(tmp_path, hw, layout, expected):
    path = stand_in_model.write_recorded_model(tmp_path / 'm.bin', some_tensors(), hw, 0.0,
                                               layout=layout)
    if any(n % 2 for n in expected):
        assert 'even width and height' in fails(path)
    else:
        assert load(path).input_hw == expected


def test_an_input_that_is_no_nv12_is_refused(tmp_path):
    message = fails(write(tmp_path, tensor_type='RGB'))
    assert 'RGB' in message
    assert 'nv12' in message


def test_several_inputs_are_refused(tmp_path):
    assert '2 input(s)' in fails(write(tmp_path, inputs=2))


def test_one_of_several_models_must_be_named(tmp_path):
    path = write(tmp_path, names=['pose', 'detect'])
    message = fails(path)
    assert 'pose, detect' in message
    assert 'model_name' in message
    assert load(path, 'detect').name == 'detect'
    assert 'pose, detect' in fails(path, 'segment')


def test_core_and_priority_reach_the_library(tmp_path):
    path = write(tmp_path)
    stand_in_model.record_calls(path)
    run(load(path))
    run(load(path, priority=200, cores=(1,)))
    run(load(path, cores=(1, 0), worker=1))
    calls = stand_in_model.recorded_calls(path)
    # 0 lets the scheduler choose, 1 is core 0.
    assert [(call['core_id'], call['priority']) for call in calls] == [(0, 0), (2, 200), (1, 0)]
    # Two dimensions: some versions take the size from the first two.
    assert calls[0]['shape'] == [96, 96]


@pytest.mark.parametrize(('word', 'said'), [('fail', 'told to fail'), ('none', 'no outputs')])
def test_a_failed_call_says_what_failed(tmp_path, word, said):
    path = write(tmp_path)
    model = load(path)
    stand_in_model.steer(path, 'forward', word)
    with pytest.raises(ModelError) as caught:
        run(model)
    assert 'forward()' in str(caught.value)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    run(model)


def test_an_output_of_another_type_is_a_failed_call(tmp_path):
    model = load(write(tmp_path))
    model._model._stand_in.arrays[1] = model._model._stand_in.arrays[1].astype(np.float64)
    with pytest.raises(ModelError, match=r'forward\(\) failed.*cls.*float64'):
        run(model)


def test_a_file_that_cannot_be_loaded_is_named(tmp_path):
    path = tmp_path / 'model.bin'
    path.write_text('no model')
    message = fails(path)
    assert str(path) in message
    assert 'load()' in message


def test_both_names_of_the_library(tmp_path):
    assert import_library()[0] == 'hobot_dnn'
    (tmp_path / 'hobot_dnn_rdkx5').symlink_to(STAND_INS / 'hobot_dnn')
    with installed():
        sys.path[:] = [str(tmp_path), *(p for p in sys.path if p != str(STAND_INS))]
        name, library = import_library()
        assert name == 'hobot_dnn_rdkx5'
        assert library.__name__ == 'hobot_dnn_rdkx5.pyeasy_dnn'


def test_a_library_that_cannot_be_imported_says_why(tmp_path):
    package = tmp_path / 'hobot_dnn'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / 'pyeasy_dnn.py').write_text('raise OSError("libdnn.so: cannot open")')
    with installed(tmp_path), pytest.raises(RuntimeUnavailableError) as caught:
        import_library()
    assert 'libdnn.so: cannot open' in str(caught.value)
    assert 'hobot_dnn_rdkx5' in str(caught.value)


def test_a_tensor_info_survives_the_socket(tmp_path):
    for info in load(write(tmp_path, align=16)).outputs:
        other = info_from_json(json.loads(json.dumps(info_to_json(info))))
        assert repr(other) == repr(info)
        if info.scale is not None:
            assert other.scale.tobytes() == info.scale.tobytes()
