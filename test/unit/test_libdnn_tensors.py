"""Outputs as libdnn tells of them become TensorInfo and views without padding, or are refused."""

import libdnn_cases
from libdnn_cases import model_of, noise, recorded, refusal
import numpy as np
import pytest
from stand_ins.libdnn import Tensor

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import RuntimeOptions, open_runtime
from rdk_yolo_ros.runtimes.libdnn import LibdnnRuntime
from rdk_yolo_ros.tensors import dequantize

FLOATS = Tensor('class', (1, 4, 8, 3))


@pytest.fixture
def stand_in(monkeypatch):
    with libdnn_cases.stand_in_in_use(monkeypatch) as control:
        yield control


@pytest.mark.usefixtures('stand_in')
class TestOutputs:
    """What the outputs are."""

    def only(self, path, *outputs, image=None):
        """Open a model, run it, and return its first output's TensorInfo and array."""
        file = model_of(path, *outputs, image=image)
        with LibdnnRuntime(file, options=RuntimeOptions(slots=1)) as runtime:
            return runtime.outputs[0], runtime.run(noise(0))[0]

    def test_all_kinds_come_out_as_they_were_recorded(self, tmp_path):
        with open_runtime(recorded(tmp_path / 'm.bin'), 'libdnn') as runtime:
            arrays = runtime.run(noise(0))
            for tensor, info, array in zip(
                    libdnn_cases.recorded_outputs(np.random.default_rng(7)), runtime.outputs,
                    arrays):
                assert (info.name, info.shape, info.dtype) \
                    == (tensor.name, tensor.shape, np.dtype(tensor.kind))
                assert info.aligned_shape == tensor.aligned
                assert array.dtype == info.dtype
                np.testing.assert_array_equal(array, np.asarray(tensor.data, tensor.kind))

    def test_a_float_tensor(self, tmp_path):
        info, array = self.only(tmp_path, FLOATS)
        assert (info.shape, info.dtype, info.layout) == ((1, 4, 8, 3), np.float32, 'NHWC')
        assert info.scale is info.zero_point is info.aligned_shape is None
        assert array.flags.c_contiguous
        assert array.flags.owndata
        assert array.flags.writeable

    @pytest.mark.parametrize('count', [51, 64], ids=['51 scales', 'scales of the padding, too'])
    def test_int32_with_a_scale_per_channel_padded_from_51_to_64(self, tmp_path, count):
        scale = np.linspace(.001, .01, count, dtype=np.float32)
        data = np.random.default_rng(1).integers(-2**20, 2**20, (1, 4, 8, 51))
        info, array = self.only(tmp_path, Tensor('keypoints', (1, 4, 8, 51), 'int32',
                                                 aligned=(1, 4, 8, 64), scale=scale, axis=3,
                                                 data=data))
        assert info.shape == (1, 4, 8, 51)
        assert info.aligned_shape == (1, 4, 8, 64)
        assert info.quantize_axis == 3
        np.testing.assert_array_equal(info.scale, scale[:51])
        np.testing.assert_allclose(dequantize(array, info), data * scale[:51].astype(np.float64),
                                   rtol=1e-6)

    def test_one_scale_for_the_whole_tensor(self, tmp_path):
        info, _ = self.only(tmp_path, Tensor('box', (1, 4, 8, 64), 'int16', scale=(.5,)))
        np.testing.assert_array_equal(info.scale, [.5])

    def test_zero_points(self, tmp_path):
        info, array = self.only(tmp_path, Tensor('box', (1, 4, 8, 2), 'int8', scale=(.5, .25),
                                                 zero_point=(-3, 7), axis=3))
        np.testing.assert_array_equal(info.zero_point, [-3, 7])
        np.testing.assert_allclose(dequantize(array, info),
                                   (array.astype(float) - [-3, 7]) * [.5, .25])

    @pytest.mark.parametrize('shift', [(3,), (0, 3, 7)])
    def test_shifts_are_powers_of_two(self, tmp_path, shift):
        info, array = self.only(tmp_path, Tensor('box', (1, 4, 8, 3), 'int8', shift=shift,
                                                 axis=3))
        # The vendor's formula: x / (1 << shift).
        np.testing.assert_array_equal(dequantize(array, info),
                                      (array / np.left_shift(1, shift)).astype(np.float32))

    def test_nchw_with_padded_rows(self, tmp_path):
        info, array = self.only(tmp_path, Tensor('box', (1, 5, 4, 6), 'int8', 'NCHW',
                                                 aligned=(1, 5, 4, 16), scale=(.1,) * 5, axis=1))
        assert info.layout == 'NCHW'
        assert info.quantize_axis == 1
        np.testing.assert_array_equal(array.ravel(), np.arange(120) % 100)

    def test_without_strides_the_aligned_shape_says_where_elements_are(self, tmp_path):
        _, array = self.only(tmp_path, Tensor('box', (1, 4, 8, 51), 'int32', strides=(),
                                              aligned=(1, 4, 8, 64)))
        np.testing.assert_array_equal(array.ravel(), np.arange(4 * 8 * 51) % 100)

    def test_strides_say_it_where_the_aligned_shape_does_not(self, tmp_path):
        """Rows that are padded by half a pixel: no aligned shape can say that."""
        memory = np.full(4 * 14, 0x7B, np.uint8)
        expected = np.arange(24).reshape(1, 4, 2, 3)
        tensor = Tensor('box', (1, 4, 14, 1), 'uint8', data=memory.reshape(1, 4, 14, 1))
        tensor.data.reshape(4, 14)[:, :12] = np.pad(
            expected.reshape(4, 2, 3), ((0, 0), (0, 0), (0, 3)), constant_values=0x7B
        ).reshape(4, 12)
        path = model_of(tmp_path, tensor)
        patch_tensor(path, valid=(1, 4, 2, 3), stride=(56, 14, 6, 1))
        with LibdnnRuntime(path) as runtime:
            array, = runtime.run(noise(0))
        np.testing.assert_array_equal(array, expected)

    @pytest.mark.parametrize('shape', [(1, 1000), (1, 300, 6)])
    def test_an_aligned_shape_with_more_dimensions(self, tmp_path, shape):
        """The documentation calls it four-dimensional, whatever the valid one is."""
        aligned = (*shape, *[1] * (4 - len(shape)))
        info, array = self.only(tmp_path, Tensor('class', shape, aligned=aligned, strides=()))
        assert info.shape == shape
        assert info.aligned_shape is None
        np.testing.assert_array_equal(array.ravel(), np.arange(np.prod(shape)) % 100)

    def test_an_aligned_shape_with_more_dimensions_and_padding(self, tmp_path):
        info, array = self.only(tmp_path, Tensor('class', (1, 30, 6), aligned=(1, 30, 8, 1),
                                                 strides=()))
        assert info.aligned_shape == (1, 30, 8)
        np.testing.assert_array_equal(array.ravel(), np.arange(180) % 100)

    def test_strides_that_contradict_the_aligned_shape_are_taken_and_told(self, tmp_path, caplog):
        self.only(tmp_path, Tensor('box', (1, 4, 8, 3), 'int8', aligned=(1, 4, 8, 4)))
        assert 'contradict' not in caplog.text
        _, array = self.only(tmp_path, Tensor('box', (1, 4, 8, 3), 'int8', aligned=(1, 4, 8, 4),
                                              strides=(96, 24, 3, 1)))
        assert "output 'box': the strides (96, 24, 3, 1) and the aligned shape (1, 4, 8, 4), " \
            'which amounts to (128, 32, 4, 1), contradict each other' in caplog.text
        assert array.ravel()[:6].tolist() == [0, 1, 2, 0x7B, 3, 4]

    def test_strides_of_axes_with_one_element_contradict_nothing(self, tmp_path, caplog):
        self.only(tmp_path, Tensor('box', (1, 4, 8, 3), 'int8', strides=(0, 24, 3, 1)))
        assert 'contradict' not in caplog.text

    def test_two_dimensions(self, tmp_path):
        info, array = self.only(tmp_path, Tensor('class', (1, 10), layout=None))
        assert info.shape == array.shape == (1, 10)
        assert info.layout is None

    def test_views_are_the_accelerators_memory_and_not_to_be_written_to(self, tmp_path):
        with LibdnnRuntime(recorded(tmp_path / 'm.bin'), options=RuntimeOptions(slots=1)) \
                as runtime:
            with runtime.slot() as slot:
                first = slot.infer(noise(0))
                assert [view.shape for view in first] == [i.shape for i in runtime.outputs]
                places = [view.ctypes.data for view in first]
                with pytest.raises(ValueError, match='read-only'):
                    first[0][:] = 0
            with runtime.slot() as slot:
                assert [view.ctypes.data for view in slot.infer(noise(1))] == places

    # What no model may say

    def test_numbers_of_four_bits(self, tmp_path):
        assert 'is of type S4, expected one of S8' in refusal(
            tmp_path, Tensor('box', (1, 4, 8, 64), 'int8', type_number=6))

    def test_a_type_that_nobody_knows(self, tmp_path):
        assert 'number 99' in refusal(tmp_path, Tensor('box', (1, 4, 8, 64), type_number=99))

    def test_memory_that_is_smaller_than_the_shape(self, tmp_path):
        path = model_of(tmp_path, Tensor('box', (1, 4, 8, 8)))
        patch_tensor(path, valid=(1, 4, 8, 9), stride=(0,) * 4)
        with pytest.raises(ModelError, match=r"output 'box': shape \(1, 4, 8, 9\) in 1024 bytes"):
            LibdnnRuntime(path)

    def test_a_scale_that_is_none(self, tmp_path):
        assert "output 'box'" in refusal(tmp_path, Tensor('box', (1, 4, 8, 64), 'int32',
                                                          scale=(0.,)))

    def test_scales_that_fit_no_channel(self, tmp_path):
        assert "output 'box'" in refusal(tmp_path, Tensor('box', (1, 4, 8, 64), 'int32',
                                                          scale=(.1,) * 3, axis=3))

    def test_a_quantization_that_nobody_knows(self, tmp_path):
        assert 'quantization of type 9' in refusal(
            tmp_path, Tensor('box', (1, 4, 8, 64), 'int32', quanti_type=9))


def patch_tensor(path, valid, stride):
    """Change the first output's valid shape and strides in a file with one input."""
    from stand_ins.libdnn import model_file
    at = model_file._HEADER.size + model_file._MODEL.size + model_file._TENSOR.size
    data = bytearray(path.read_bytes())
    fields = list(model_file._TENSOR.unpack_from(data, at))
    fields[2:2 + len(valid)] = valid
    fields[23:23 + len(stride)] = stride
    model_file._TENSOR.pack_into(data, at, *fields)
    path.write_bytes(data)
