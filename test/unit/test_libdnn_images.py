"""What the BPU sees of an image through libdnn; which models and inputs are taken."""

import libdnn_cases
from libdnn_cases import HW, model_of, noise, recorded, refusal
import numpy as np
import pytest
from stand_ins.libdnn import Model, Tensor, image_input, write_model

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import RuntimeOptions, open_runtime
from rdk_yolo_ros.runtimes.libdnn import LibdnnRuntime

FLOATS = Tensor('class', (1, 4, 8, 3))


@pytest.fixture
def stand_in(monkeypatch):
    with libdnn_cases.stand_in_in_use(monkeypatch) as control:
        yield control


IMAGES = {
    'NCHW': image_input(HW),
    'NHWC': image_input(HW, layout='NHWC'),
    'two planes': image_input(HW, 'nv12_separate'),
    'padded rows': image_input(HW, aligned_width=80),
    'padded rows, two planes': image_input(HW, 'nv12_separate', 'NHWC', aligned_width=80),
}


class TestImages:
    """What the BPU sees of the image."""

    @pytest.mark.parametrize('image', IMAGES.values(), ids=IMAGES)
    def test_the_bpu_sees_the_image_however_it_takes_it(self, tmp_path, stand_in, image):
        path = libdnn_cases.echo(tmp_path / 'm.bin', stand_in, image=image)
        with LibdnnRuntime(path) as runtime:
            assert runtime.input_hw == HW
            for seed in range(3):
                nv12 = noise(seed)
                seen, = runtime.run(nv12)
                np.testing.assert_array_equal(seen[0, :, :, 0], nv12)

    @pytest.mark.parametrize('name', IMAGES)
    def test_a_slots_image_is_what_the_bpu_reads_unless_its_rows_are_padded(
            self, tmp_path, stand_in, name):
        path = libdnn_cases.echo(tmp_path / 'm.bin', stand_in, image=IMAGES[name])
        with LibdnnRuntime(path) as runtime, runtime.slot() as slot:
            if 'padded' in name:
                assert slot.image is None
                return
            assert slot.image.shape == (HW[0] * 3 // 2, HW[1])
            assert slot.image.dtype == np.uint8
            assert slot.image.flags.c_contiguous
            assert slot.image.flags.writeable
            slot.image[:] = noise(5)
            seen, = slot.infer(slot.image)
            np.testing.assert_array_equal(seen[0, :, :, 0], noise(5))

    def test_an_image_that_is_no_part_of_a_larger_one_in_a_row(self, tmp_path, stand_in):
        wide = np.zeros((HW[0] * 3 // 2, HW[1] * 2), np.uint8)
        wide[:, ::2] = noise(6)
        path = libdnn_cases.echo(tmp_path / 'm.bin', stand_in)
        with LibdnnRuntime(path) as runtime:
            seen, = runtime.run(wide[:, ::2])
        np.testing.assert_array_equal(seen[0, :, :, 0], noise(6))

    def test_the_range_is_full_unless_it_is_said(self, tmp_path, stand_in):
        path = recorded(tmp_path / 'm.bin')
        with open_runtime(path, 'libdnn') as runtime:
            assert runtime.nv12_range == 'full'
        with open_runtime(path, 'libdnn', nv12_range='limited') as runtime:
            assert runtime.nv12_range == 'limited'

    def test_other_inputs_are_refused(self, tmp_path, stand_in):
        rgb = Tensor('images', (1, 3, *HW), 'nv12', 'NCHW', type_number=4)
        assert "input 'images' takes RGB (1, 3, 32, 64), expected an NV12 image" in refusal(
            tmp_path, FLOATS, image=rgb)
        batch = Tensor('images', (4, 3, *HW), 'nv12', 'NCHW')
        assert 'compile the model for a batch of 1' in refusal(tmp_path, FLOATS, image=batch)
        grey = Tensor('images', (1, 1, *HW), 'nv12', 'NCHW')
        assert 'expected (1, 3, H, W)' in refusal(tmp_path, FLOATS, image=grey)
        assert '63x32' in refusal(tmp_path, FLOATS, image=image_input((32, 63)))

    def test_two_inputs_are_refused(self, tmp_path, stand_in):
        path = write_model(tmp_path / 'm.bin', Model(
            'm', [image_input(HW), image_input(HW, name='more')],
            [Tensor('class', (1, 2), data=np.zeros((1, 2)))]))
        with pytest.raises(ModelError, match='takes 2 inputs, expected one'):
            LibdnnRuntime(path)


class TestFiles:
    """Which model of which file."""

    def test_a_model_of_several_is_named(self, tmp_path, stand_in):
        models = [Model(name, [image_input(HW)],
                        [Tensor('class', (1, 2), data=np.full((1, 2), value))])
                  for value, name in enumerate(('day', 'night'))]
        path = write_model(tmp_path / 'm.bin', *models)
        with LibdnnRuntime(path, options=RuntimeOptions(model_name='night')) as runtime:
            assert runtime.run(noise(0))[0].tolist() == [[1, 1]]
        with pytest.raises(ModelError, match='2 models: day, night'):
            LibdnnRuntime(path)
        with pytest.raises(ModelError, match="no model 'noon'.*day, night"):
            LibdnnRuntime(path, options=RuntimeOptions(model_name='noon'))

    def test_a_file_that_is_no_model(self, tmp_path, stand_in):
        path = tmp_path / 'm.bin'
        path.write_bytes(b'not a model')
        with pytest.raises(ModelError, match='HB_DNN_INVALID_MODEL.*compiled for this board'):
            open_runtime(path, 'libdnn')

    def test_a_file_that_is_not_there(self, tmp_path, stand_in):
        with pytest.raises(ModelError, match='HB_DNN_CAN_NOT_OPEN_FILE'):
            LibdnnRuntime(tmp_path / 'm.bin')

    def test_auto_takes_libdnn_for_a_bin_file(self, tmp_path, stand_in):
        with open_runtime(recorded(tmp_path / 'm.bin')) as runtime:
            assert runtime.name == 'libdnn'

    def test_a_description_says_what_model_info_would(self, tmp_path, stand_in):
        with LibdnnRuntime(recorded(tmp_path / 'm.bin')) as runtime:
            text = runtime.describe()
        for part in ("model 'recorded': input NV12 valid (1, 3, 32, 64) aligned (1, 3, 32, 64), "
                     'NCHW, 3072 bytes, strides (0, 0, 0, 0), quantization NONE, 64 bytes a row',
                     'keypoints: int32 (1, 4, 8, 51), in memory (1, 4, 8, 64), S32 valid '
                     '(1, 4, 8, 51) aligned (1, 4, 8, 64), NHWC, 8192 bytes, '
                     'strides (8192, 2048, 256, 4), quantization SCALE', '51 scales from ',
                     'class: float32 (1, 4, 8, 1)',
                     'quantization NONE, layout NHWC, not quantized',
                     'quantization SHIFT, layout NCHW, scale 0.125, zero point 0',
                     '4 slots', 'stand-in 1'):
            assert part in text

    def test_a_description_says_zero_points(self, tmp_path, stand_in):
        path = model_of(tmp_path, Tensor('box', (1, 4, 8, 2), 'int8', scale=(.5, .25), axis=3,
                                         zero_point=(-3, 7)))
        with LibdnnRuntime(path) as runtime:
            assert '2 scales from 0.25 to 0.5 along axis 3, 2 zero points from -3 to 7 along ' \
                'axis 3' in runtime.describe()

    @pytest.mark.parametrize(('cores', 'mask'), [((), 0), ((0,), 1), ((1,), 2), ((0, 1), 0)])
    def test_cores_and_priority_go_with_each_task(self, tmp_path, stand_in, cores, mask):
        options = RuntimeOptions(cores=cores, priority=200)
        with LibdnnRuntime(recorded(tmp_path / 'm.bin'), options=options) as runtime:
            runtime.run(noise(0))
        assert stand_in.last_control() == (mask, 200)

    def test_a_core_that_no_board_has(self, tmp_path, stand_in):
        assert 'expected 0, 1, or both' in refusal(tmp_path, FLOATS,
                                                   options=RuntimeOptions(cores=(2,)))
