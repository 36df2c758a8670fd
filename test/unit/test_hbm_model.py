"""What hbm_runtime says of a model, and what a worker makes of it; in the test's own process."""

from bpu_stand_ins import installed, some_tensors, stand_in_model
import numpy as np
import pytest

from rdk_yolo_ros.errors import ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.hbm_model import LoadedModel, import_library

HW = (64, 96)
pytestmark = pytest.mark.usefixtures('bpu_libraries')


def write(tmp_path, tensors=None, name='model.hbm', hw=HW, **details):
    return stand_in_model.write_recorded_model(
        tmp_path / name, some_tensors() if tensors is None else tensors, hw, latency_s=0.0,
        **details)


def fails(path, model_name=None):
    with pytest.raises(ModelError) as caught:
        LoadedModel(path, model_name)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def picture():
    return np.random.default_rng(0).integers(0, 256, (HW[0] * 3 // 2, HW[1]), np.uint8)


def run(model):
    outputs = [np.zeros(info.shape, info.dtype) for info in model.outputs]
    model.run(picture(), outputs)
    return outputs


def test_an_x5_takes_one_packed_image(tmp_path):
    model = LoadedModel(write(tmp_path, name='model.bin'))
    image = picture()
    (name, array), = model.feed(image).items()
    assert name == 'images'
    assert model.input_hw == HW
    assert np.shares_memory(array, image)
    assert array.flags.c_contiguous
    assert array.tobytes() == image.tobytes()


@pytest.mark.parametrize('order', ['y first', 'uv first'])
def test_an_s_board_takes_two_views_of_one_image(tmp_path, order):
    path = write(tmp_path, tensor_type='SPLIT', input_order=order)
    stand_in_model.record_calls(path)
    model = LoadedModel(path)
    image = picture()
    inputs = model.feed(image)
    assert model.input_hw == HW
    assert inputs['data_y'].shape == (1, 64, 96, 1)
    assert inputs['data_uv'].shape == (1, 32, 48, 2)
    for array in inputs.values():
        assert np.shares_memory(array, image)
        assert array.flags.c_contiguous
    np.testing.assert_array_equal(inputs['data_y'][0, :, :, 0], image[:64])
    # NV12: U at even places of the lower half, V at odd ones.
    np.testing.assert_array_equal(inputs['data_uv'][0, :, :, 0], image[64:, 0::2])
    np.testing.assert_array_equal(inputs['data_uv'][0, :, :, 1], image[64:, 1::2])
    run(model)
    call, = stand_in_model.recorded_calls(path)
    assert call['shapes'] == {'data_y': [1, 64, 96, 1], 'data_uv': [1, 32, 48, 2]}


def test_the_whole_image_arrives(tmp_path, monkeypatch):
    seen = []
    for tensor_type in ('SPLIT', 'NV12'):
        model = LoadedModel(write(tmp_path, tensor_type=tensor_type))
        stand_in = model._runtime._stand_in
        monkeypatch.setattr(stand_in, 'infer', lambda nv12, *_: seen.append(nv12.copy()) or True)
        run(model)
    for nv12 in seen:
        np.testing.assert_array_equal(nv12, picture().ravel())


def test_scales_zero_points_and_their_axis(tmp_path):
    rng = np.random.default_rng(0)
    scales = rng.uniform(1e-3, 1, 6).astype(np.float32)
    zeros = [0, 1, -2, 3, 4, 5]
    tensors = [('nchw', rng.integers(-9, 9, (1, 6, 4, 4), np.int16),
                {'scale': scales.tolist(), 'zero_point': zeros, 'axis': 1}),
               ('one', rng.integers(-9, 9, (1, 4, 4, 8), np.int8),
                {'scale': [0.25], 'zero_point': [7], 'axis': 0}),
               ('real', np.ones((1, 4, 4, 8), np.float16))]
    nchw, one, real = LoadedModel(write(tmp_path, tensors)).outputs
    assert nchw.quantize_axis == 1
    np.testing.assert_array_equal(nchw.scale, scales)
    assert nchw.zero_point.tolist() == zeros
    assert (one.scale.tolist(), one.zero_point.tolist(), one.quantize_axis) == ([0.25], [7], None)
    assert (nchw.dtype, one.dtype, real.dtype) == (np.int16, np.int8, np.float16)
    assert real.scale is None


def test_an_axis_that_does_not_fit_is_refused(tmp_path):
    tensors = [('box', np.zeros((1, 4, 4, 8), np.int32),
                {'scale': [0.5] * 8, 'zero_point': None, 'axis': 1})]
    message = fails(write(tmp_path, tensors))
    assert 'box' in message
    assert 'axis 1' in message


@pytest.mark.parametrize('results', ['strided', 'aligned'])
def test_padding_is_known_and_cropped(tmp_path, results):
    tensors = some_tensors()
    model = LoadedModel(write(tmp_path, tensors, align=16, results=results))
    assert model.outputs[0].shape == (1, 8, 8, 51)
    assert model.outputs[0].aligned_shape == (1, 8, 8, 64)
    assert model.outputs[1].aligned_shape is None
    for output, (_, array, *_) in zip(run(model), tensors):
        np.testing.assert_array_equal(output, array)


def test_inputs_that_are_no_nv12_are_refused(tmp_path):
    message = fails(write(tmp_path, tensor_type='RGB'))
    assert 'images RGB (1, 3, 64, 96)' in message
    assert 'nv12' in message


def test_chroma_of_another_size_is_refused(tmp_path, monkeypatch):
    library = import_library()
    original = library.HB_HBMRuntime.__init__

    def changed(self, path):
        original(self, path)
        self.input_shapes['stand_in']['data_uv'] = [1, 32, 32, 2]

    monkeypatch.setattr(library.HB_HBMRuntime, '__init__', changed)
    assert 'data_uv U8 (1, 32, 32, 2)' in fails(write(tmp_path, tensor_type='SPLIT'))


def test_a_size_that_nv12_cannot_fill_is_refused(tmp_path):
    assert '66x63' in fails(write(tmp_path, hw=(63, 66), tensor_type='SPLIT'))


def test_priority_and_cores_are_set(tmp_path):
    path = write(tmp_path)
    stand_in_model.record_calls(path)
    run(LoadedModel(path))
    run(LoadedModel(path, priority=200, cores=(0, 1)))
    calls = stand_in_model.recorded_calls(path)
    assert [(call['priority'], call['bpu_cores']) for call in calls] == [
        (0, [-1]), (200, [0, 1])]


def test_scheduling_that_is_refused_is_an_error_of_its_call(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError('Invalid BPU core')
    monkeypatch.setattr(import_library().HB_HBMRuntime, 'set_scheduling_params', refuse)
    path = write(tmp_path)
    with pytest.raises(ModelError, match=r'set_scheduling_params\(\) failed.*Invalid BPU core'):
        LoadedModel(path, cores=(7,))


def test_one_of_several_models_must_be_named(tmp_path):
    path = write(tmp_path, names=['pose', 'detect'])
    stand_in_model.record_calls(path)
    message = fails(path)
    assert 'pose, detect' in message
    assert 'model_name' in message
    assert 'pose, detect' in fails(path, 'segment')
    run(LoadedModel(path, 'detect', priority=3))
    call, = stand_in_model.recorded_calls(path)
    assert (call['model'], call['priority']) == ('detect', 3)


@pytest.mark.parametrize(('word', 'said'), [('fail', 'told to fail'), ('none', "no output 'box'")])
def test_a_failed_call_says_what_failed(tmp_path, word, said):
    path = write(tmp_path)
    model = LoadedModel(path)
    stand_in_model.steer(path, 'forward', word)
    with pytest.raises(ModelError) as caught:
        run(model)
    assert 'run()' in str(caught.value)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    run(model)


def test_a_file_that_cannot_be_loaded_is_named(tmp_path):
    path = tmp_path / 'model.hbm'
    path.write_text('no model')
    message = fails(path)
    assert str(path) in message
    assert 'HB_HBMRuntime()' in message


def test_the_version_is_told_however_it_is_given(tmp_path, monkeypatch):
    assert LoadedModel(write(tmp_path)).library == 'hbm_runtime 1.0.0'
    library = import_library().HB_HBMRuntime
    monkeypatch.setattr(library, 'version', '2.1')
    assert LoadedModel(write(tmp_path)).library == 'hbm_runtime 2.1'


def test_a_library_that_cannot_be_imported_says_why(tmp_path):
    (tmp_path / 'hbm_runtime.py').write_text('raise RuntimeError("Missing libdnn.so")')
    with installed(tmp_path), pytest.raises(RuntimeUnavailableError) as caught:
        import_library()
    assert 'Missing libdnn.so' in str(caught.value)
    assert 'S100' in str(caught.value)
