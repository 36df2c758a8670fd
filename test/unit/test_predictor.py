"""A predictor finds what is in the picture; a configuration that misdescribes it is told so."""

from dataclasses import replace
import json
from pathlib import Path
import threading
import time

from head_tensors import SEED_ORDERS, SEED_TASKS, as_outputs, levels_by_role, planted_heads
import numpy as np
import onnx_models
import pytest
from reference_decoder import reference_decode

from rdk_yolo_ros import coco
from rdk_yolo_ros.decode import DecodeOptions
from rdk_yolo_ros.errors import (
    FrameError,
    HeadError,
    ModelError,
    RdkYoloError,
    RuntimeLostError,
    WorkConfigError,
)
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.predictor import Prediction, Predictor
from rdk_yolo_ros.runtimes import ModelMetadata, Runtime, RuntimeOptions, open_runtime
from rdk_yolo_ros.work_config import WorkConfig

ROOT = Path(__file__).resolve().parents[2]
NO_METADATA = ModelMetadata()
RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # BGR


class StandInRuntime(Runtime):
    """A stand-in for a runtime: fixed outputs, whatever the image."""

    name = 'stand-in'

    def __init__(self, infos, arrays, input_hw=(640, 640), metadata=NO_METADATA):
        self.path = 'stand-in'
        self.input_hw, self.outputs, self.metadata = input_hw, infos, metadata
        self.arrays = arrays
        self.closed = 0
        self.lost = False

    def run(self, nv12):
        self.check_nv12(nv12)
        if self.closed:
            raise ModelError('closed')
        if self.lost:
            raise RuntimeLostError('lost')
        return [array.copy() for array in self.arrays]

    def close(self):
        self.closed += 1


def stand_in(channels=(3, 64), metadata=NO_METADATA, input_hw=(64, 64), prototypes=0):
    """Return a stand-in with empty heads of so many channels on every stride, NHWC."""
    heads = {(i, s): np.full((input_hw[0] // s, input_hw[1] // s, c), -9, np.float32)
             for s in (8, 16, 32) for i, c in enumerate(channels)}
    if prototypes:
        heads['prototypes', 4] = np.zeros((input_hw[0] // 4, input_hw[1] // 4, prototypes),
                                          np.float32)
    return StandInRuntime(*as_outputs(heads, list(heads)), input_hw, metadata)


@pytest.fixture
def config(tmp_path):
    """Return a function that makes a configuration from keys."""
    (tmp_path / 'model.bin').write_bytes(b'model')

    def config(**keys):
        return WorkConfig.from_mapping({'model_file': 'model.bin', **keys}, 'my.json', tmp_path)

    return config


@pytest.fixture
def detector(tmp_path):
    """Return a predictor of coloured squares, 64x64 pixels."""
    onnx_models.colour_detector(tmp_path / 'colours.onnx')
    (tmp_path / 'colours.json').write_text(json.dumps({
        'model_file': 'colours.onnx', 'class_names': ['red', 'green', 'blue']}))
    with Predictor.from_config(tmp_path / 'colours.json') as predictor:
        yield predictor


def picture(hw, *squares):
    """Return a grey picture with squares, (x, y, size, colour)."""
    image = np.full((*hw, 3), 114, np.uint8)
    for x, y, size, colour in squares:
        image[y:y + size, x:x + size] = colour
    return image


# What it finds

def test_squares_are_found_where_they_are(detector):
    """64x128 into 64x64: scale 1/2, 16 rows of padding above; a square fills one 8x8 cell."""
    image = picture((64, 128), (16, 0, 16, RED), (48, 32, 16, BLUE), (96, 16, 16, GREEN))
    found = detector(image)
    by_class = {detector.class_names[c]: box for c, box in zip(found.class_ids, found.boxes)}
    assert len(found) == 3
    assert set(by_class) == {'red', 'green', 'blue'}
    # The box reaches 8 model pixels, 16 of the picture, from the square's centre, cut at the edge.
    np.testing.assert_allclose(by_class['red'], [8, 0, 40, 24], atol=1e-3)
    np.testing.assert_allclose(by_class['blue'], [40, 24, 72, 56], atol=1e-3)
    np.testing.assert_allclose(by_class['green'], [88, 8, 120, 40], atol=1e-3)
    assert (found.scores > 0.99).all()


def test_nothing_is_found_in_grey(detector):
    found = detector(picture((48, 64)))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_every_kind_of_frame_shows_the_same(detector):
    image = picture((64, 64), (8, 16, 8, RED))
    frame = Frame.from_bgr(image)
    truth = detector(image).boxes
    assert len(truth) == 1
    for color_range in ('full', 'limited'):
        nv12 = Frame.from_nv12(frame.to_nv12(color_range), color_range)
        np.testing.assert_allclose(detector(nv12).boxes, truth)
    np.testing.assert_allclose(detector(frame).boxes, truth)


@pytest.mark.parametrize('nv12_range', ['full', 'limited'])
def test_a_models_range_changes_nothing_in_what_it_sees(tmp_path, nv12_range):
    """Red is pure in one range only: read in the other, it is too pale or too dark to be found."""
    onnx_models.colour_detector(tmp_path / 'm.onnx', metadata={'nv12_range': nv12_range})
    (tmp_path / 'm.json').write_text('{"model_file": "m.onnx"}')
    with Predictor.from_config(tmp_path / 'm.json', score_threshold=0.99) as predictor:
        assert predictor.runtime.nv12_range == nv12_range
        assert predictor(picture((64, 64), (8, 16, 8, RED))).class_ids.tolist() == [0]


def test_the_configurations_range_goes_before_the_models(tmp_path):
    onnx_models.colour_detector(tmp_path / 'm.onnx', metadata={'nv12_range': 'full'})
    (tmp_path / 'm.json').write_text('{"model_file": "m.onnx", "nv12_range": "bt601_video"}')
    with Predictor.from_config(tmp_path / 'm.json') as predictor:
        assert predictor.runtime.nv12_range == 'limited'


def test_an_int32_model_and_its_float_twin_agree(tmp_path):
    results = []
    for quantized in (False, True):
        onnx_models.colour_detector(tmp_path / 'm.onnx', quantized=quantized)
        (tmp_path / 'm.json').write_text('{"model_file": "m.onnx"}')
        with Predictor.from_config(tmp_path / 'm.json') as predictor:
            kind = np.int32 if quantized else np.float32
            assert {o.dtype for o in predictor.runtime.outputs} == {np.dtype(kind)}
            results.append(predictor(picture((64, 128), (16, 0, 16, RED), (48, 32, 16, BLUE))))
    real, stored = results
    assert len(real) == 2
    np.testing.assert_allclose(stored.boxes, real.boxes, atol=0.01)
    np.testing.assert_allclose(stored.scores, real.scores, atol=1e-3)
    assert stored.class_ids.tolist() == real.class_ids.tolist()


@pytest.mark.parametrize('name', SEED_ORDERS)
def test_it_agrees_with_the_reference_decoder_for_every_seeds_outputs(config, name):
    rng = np.random.default_rng(5)
    task, order = SEED_TASKS[name], SEED_ORDERS[name]
    extra = {'pose': 'keypoints', 'segment': 'coefficients', 'detect': None}[task]
    class_num = 1 if task == 'pose' else 80
    infos, arrays = as_outputs(planted_heads(rng, task, class_num=class_num), order, ('box',),
                               rng=rng)
    levels, prototypes = levels_by_role(infos, arrays, order, extra)
    expected = reference_decode(levels, 0.25, 0.7, prototypes)
    predictor = Predictor.from_config(config(score_threshold=0.25, nms_threshold=0.7),
                                      StandInRuntime(infos, arrays))
    assert predictor.task == task
    # A picture of half the model's size: every coordinate halves.
    found = predictor(np.zeros((320, 320, 3), np.uint8))
    assert len(found) == len(expected) > 3
    boxes = np.array([e['box'] for e in expected]).clip(0, 640) / 2
    np.testing.assert_allclose(found.boxes, boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, [e['score'] for e in expected], atol=1e-5)
    if task == 'pose':
        points = np.array([e['keypoints'] for e in expected])[..., :2] / 2
        np.testing.assert_allclose(found.keypoints[..., :2], points, atol=0.01)
    if task == 'segment':
        assert len(found.masks) == len(found)
    bare = predictor(np.zeros((320, 320, 3), np.uint8), extras=False)
    np.testing.assert_allclose(bare.boxes, found.boxes)
    assert bare.masks is None
    assert bare.keypoints is None


def test_a_prediction_has_its_timings(detector):
    prediction = detector.predict(picture((64, 64), (8, 8, 8, RED)))
    assert isinstance(prediction, Prediction)
    assert set(prediction.timings) == {'slot wait', 'letterbox', 'infer', 'decode'}
    assert all(0 < seconds < 5 for seconds in prediction.timings.values())
    assert len(prediction.detections) == 1


def test_pictures_of_changing_size_are_each_mapped_back_right(detector):
    for hw in ((64, 64), (128, 128), (64, 64), (256, 256)):
        scale = hw[0] // 64
        found = detector(picture(hw, (8 * scale, 16 * scale, 8 * scale, RED)))
        np.testing.assert_allclose(found.boxes[0], np.array([4, 12, 20, 28]) * scale, atol=1e-3)


@pytest.mark.parametrize('frame', [
    np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((0, 64, 3), np.uint8),
    np.zeros((64, 64, 3), np.float32), None, 'picture.jpg', [[1]]])
def test_what_is_no_picture_is_a_frame_error(detector, frame):
    with pytest.raises(FrameError):
        detector(frame)
    assert len(detector(picture((64, 64), (8, 8, 8, RED)))) == 1


# Options

def test_the_configurations_options_hold_and_arguments_go_before_them(config):
    keys = {'score_threshold': 0.3, 'nms_threshold': 0.6, 'nms_top_k': 9, 'max_detections': 8}
    predictor = Predictor.from_config(config(**keys), stand_in())
    assert predictor.options == DecodeOptions(**keys)
    predictor = Predictor.from_config(config(**keys), stand_in(), score_threshold=0.5,
                                      max_detections=None, class_agnostic=True)
    assert predictor.options == DecodeOptions(**{**keys, 'score_threshold': 0.5},
                                              class_agnostic=True)


def test_options_change_between_two_frames(detector):
    image = picture((64, 64), (8, 8, 8, RED), (32, 32, 8, BLUE))
    assert len(detector(image)) == 2
    detector.set_options(classes=['blue'])
    assert detector(image).class_ids.tolist() == [2]
    assert detector.options.classes == (2,)
    detector.set_options(classes=[0, 'blue', 2])
    assert detector.options.classes == (0, 2)
    detector.set_options(max_detections=1)
    assert len(detector(image)) == 1
    assert detector.options.classes == (0, 2)
    detector.set_options(classes=[])
    assert detector.options.classes is None
    detector.set_options(max_detections=300.0, score_threshold=np.float32(1))
    assert len(detector(image)) == 0


@pytest.mark.parametrize(('changes', 'says'), [
    ({'score_treshold': 0.5}, "unknown option 'score_treshold', did you mean score_threshold"),
    ({'x': 0.5}, "unknown option 'x', expected score_threshold, nms_threshold"),
    ({'score_threshold': 1.5}, 'score_threshold is 1.5, expected a number from 0 to 1'),
    ({'score_threshold': float('nan')}, 'score_threshold is nan'),
    ({'score_threshold': True}, 'score_threshold is True'),
    ({'score_threshold': '0.5'}, "score_threshold is '0.5', expected"),
    ({'nms_threshold': -1}, 'nms_threshold is -1'),
    ({'max_detections': 0}, 'max_detections is 0, expected a whole number of 1 or more'),
    ({'max_detections': 1.5}, 'max_detections is 1.5'),
    ({'max_detections': float('nan')}, 'max_detections is nan, expected a finite number'),
    ({'class_agnostic': 'no'}, "class_agnostic is 'no', expected true or false"),
    ({'max_detections': [1]}, 'max_detections is [1]'),
    ({'nms_top_k': float('inf')}, 'nms_top_k is inf'), ({'nms_top_k': 'x'}, "nms_top_k is 'x'"),
    ({'classes': 'red'}, "classes is 'red', expected a list of class names or ids"),
    ({'classes': 3}, 'classes is 3, expected a list'),
    ({'classes': ['rad']}, "classes has 'rad', expected a class name or a number from 0 to 2; "
                           'did you mean red?'),
    ({'classes': [3]}, 'classes has 3'), ({'classes': [-1]}, 'classes has -1'),
    ({'classes': [True]}, 'classes has True'), ({'classes': [0.5]}, 'classes has 0.5'),
])
def test_a_faulty_option_is_named_and_changes_nothing(detector, changes, says):
    before = detector.options
    with pytest.raises(ValueError, match='option|is|has') as caught:
        detector.set_options(nms_top_k=77, **changes) if 'nms_top_k' not in changes \
            else detector.set_options(**changes)
    assert says in str(caught.value)
    assert '\n' not in str(caught.value)
    assert detector.options == before


def test_options_and_frames_do_not_disturb_each_other(detector):
    image = picture((64, 64), (8, 8, 8, RED), (32, 32, 8, BLUE))
    counts, errors = set(), []

    def look():
        try:
            for _ in range(60):
                counts.add(tuple(sorted(detector(image).class_ids.tolist())))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        detector.set_options(classes=['red'])
        detector.set_options(classes=['blue'])
    assert not errors
    assert counts <= {(0, 2), (0,), (2,)}


# The configuration against the model

@pytest.mark.parametrize(('keys', 'says'), [
    ({'model_output_count': 9}, 'model_output_count is 9, but the model stand-in has 6'),
    ({'class_num': 80}, 'class_num is 80, but the model stand-in has 3'),
    ({'class_names': ['a']}, 'the number of class names is 1, but the model stand-in has 3'),
    ({'strides': [8, 16]}, 'strides is (8, 16), but the model stand-in has (8, 16, 32)'),
    ({'reg_max': 8}, 'reg_max is 8, but the model stand-in has 16'),
    ({'task': 'pose'}, 'task is pose, but the model stand-in has detect'),
    ({'task': 'segment'}, 'task is segment, but the model stand-in has detect'),
])
def test_a_figure_that_is_not_the_models_is_named_with_both(config, keys, says):
    with pytest.raises(WorkConfigError) as caught:
        Predictor.from_config(config(**keys), stand_in())
    assert str(caught.value).startswith('my.json: ')
    assert says in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('keys', 'says'), [
    ({'num_keypoints': 5}, 'num_keypoints is 5, but the model stand-in has 17'),
    ({'keypoint_names': ['a']}, 'the number of keypoint_names is 1, but'),
    ({'task': 'detect'}, 'task is detect, but the model stand-in has pose'),
])
def test_pose_figures_are_checked(config, keys, says):
    with pytest.raises(WorkConfigError) as caught:
        Predictor.from_config(config(**keys), stand_in((1, 64, 51)))
    assert says in str(caught.value)


@pytest.mark.parametrize('quantized', [True, False])
def test_integer_heads_need_a_scale(tmp_path, quantized):
    """The same file, with its scales in the metadata and without them."""
    path = onnx_models.colour_detector(tmp_path / 'colours.onnx', quantized=True)
    if not quantized:
        model = onnx_models.onnx.load(str(path))
        del model.metadata_props[:]
        onnx_models.onnx.save(model, str(path))
    config = WorkConfig.from_mapping({'model_file': str(path)})
    if quantized:
        Predictor.from_config(config).close()
        return
    with pytest.raises(ModelError) as caught:
        Predictor.from_config(config)
    message = str(caught.value)
    assert message.startswith(f"{path}: output 'class8' is int32 and has no scale")
    assert '`output_quantization`' in message
    assert '\n' not in message


def test_integer_prototypes_need_a_scale(config):
    runtime = stand_in((80, 64, 32), prototypes=32)
    runtime.outputs[-1] = replace(runtime.outputs[-1], dtype=np.dtype(np.uint8))
    with pytest.raises(ModelError, match='is uint8 and has no scale'):
        Predictor.from_config(config(), runtime)


def test_mask_coefficients_are_checked(config):
    runtime = stand_in((80, 64, 32), prototypes=32)
    assert Predictor.from_config(config(num_mask=32), runtime).task == 'segment'
    with pytest.raises(WorkConfigError, match='num_mask is 16, but the model stand-in has 32'):
        Predictor.from_config(config(num_mask=16), runtime)


def test_strides_may_come_in_any_order(config):
    assert Predictor.from_config(config(strides=[32, 8, 16]), stand_in()).layout.strides \
        == (8, 16, 32)


def test_the_parser_is_only_a_hint(config):
    """Users write yolov8 for detection; a model with key points has them all the same."""
    predictor = Predictor.from_config(config(dnn_Parser='yolov8'), stand_in((1, 64, 51)))
    assert predictor.task == 'pose'
    runtime = stand_in((80, 64, 32), prototypes=32)
    assert Predictor.from_config(config(dnn_Parser='yolov8'), runtime).task == 'segment'


def test_what_can_be_read_in_two_ways_says_what_settles_it(config):
    """64 classes and 64 box channels: nothing tells them apart but the order."""
    with pytest.raises(HeadError, match='^stand-in: .*`outputs`'):
        Predictor.from_config(config(), stand_in((64, 64)))
    predictor = Predictor.from_config(config(outputs=['class', 'box'] * 3), stand_in((64, 64)))
    assert predictor.layout.class_num == 64
    assert predictor.layout.levels[0].box_head.index == 1


def test_the_models_metadata_settles_what_its_shapes_leave_open(config):
    """6 and 9 channels beside the box: 3 key points, or 2 of three numbers, or 3 of two."""
    ambiguous = (6, 64, 9)
    with pytest.raises(HeadError, match='can be read in 3 ways'):
        Predictor.from_config(config(), stand_in(ambiguous))
    metadata = ModelMetadata(class_names=tuple('abcdef'))
    assert Predictor.from_config(config(), stand_in(ambiguous, metadata)).layout.class_num == 6
    metadata = ModelMetadata(task='pose', num_keypoints=2)
    assert Predictor.from_config(config(), stand_in(ambiguous, metadata)).layout.class_num == 9
    layout = Predictor.from_config(config(class_num=9, num_keypoints=2),
                                   stand_in(ambiguous)).layout
    assert (layout.class_num, layout.num_keypoints) == (9, 2)


def test_metadata_that_contradicts_the_outputs_is_not_believed(config, caplog):
    metadata = ModelMetadata('segment', ('a', 'b'), 5, ('x',))
    predictor = Predictor.from_config(config(), stand_in((3, 64), metadata))
    assert predictor.task == 'detect'
    assert predictor.class_names == ('0', '1', '2')
    assert 'names 2 classes, its outputs have 3' in caplog.text


def test_outputs_that_are_no_heads_name_the_model(config):
    with pytest.raises(HeadError, match='^stand-in: .*grid'):
        Predictor.from_config(config(), stand_in(input_hw=(64, 64), prototypes=0, channels=()))


def test_a_classifier_looks_at_the_middle_without_padding(tmp_path):
    """The model's classes are the mean red, green and blue of what it is fed."""
    onnx_models.save(
        tmp_path / 'm.onnx',
        [onnx_models.helper.make_node('GlobalAveragePool', ['images'], ['classes'])],
        {'classes': (onnx_models.FLOAT, (1, 3, 1, 1))})
    bgr = np.zeros((60, 100, 3), np.uint8)
    bgr[..., 1] = 255
    bgr[:, 20:80] = (0, 0, 255)
    config = WorkConfig.from_mapping({'model_file': str(tmp_path / 'm.onnx'), 'top_k': 2},
                                     source='test')
    with Predictor.from_config(config) as predictor:
        found = predictor(bgr)
    assert predictor.task == 'classify'
    assert found.class_ids.tolist()[0] == 0
    assert found.scores[0] == pytest.approx(1, abs=0.02)
    assert found.scores[1] == pytest.approx(0, abs=0.02)


# Names

def test_class_names_come_from_the_best_source(config):
    metadata = ModelMetadata(class_names=('a', 'b', 'c'))

    def names(runtime, **keys):
        return Predictor.from_config(config(**keys), runtime).class_names

    assert names(stand_in((3, 64), metadata), class_names=['x', 'y', 'z']) == ('x', 'y', 'z')
    assert names(stand_in((3, 64), metadata)) == ('a', 'b', 'c')
    assert names(stand_in((80, 64))) == coco.CLASS_NAMES
    assert names(stand_in((3, 64))) == ('0', '1', '2')


def test_keypoint_names_come_from_the_best_source(config):
    def names(points, metadata=NO_METADATA, **keys):
        runtime = stand_in((1, 64, 3 * points), metadata)
        return Predictor.from_config(config(class_num=1, **keys), runtime).keypoint_names

    metadata = ModelMetadata(keypoint_names=('a', 'b'))
    assert names(2, metadata, keypoint_names=['x', 'y']) == ('x', 'y')
    assert names(2, metadata) == ('a', 'b')
    assert names(17) == names(17, metadata) == coco.KEYPOINT_NAMES
    assert names(4, keypoint_dims=3) == ('0', '1', '2', '3')
    assert Predictor.from_config(config(), stand_in()).keypoint_names == ()


# Opening and closing

def test_what_from_config_opens_it_closes(tmp_path, monkeypatch):
    closed = []
    onnx_models.colour_detector(tmp_path / 'm.onnx')

    def watched(*arguments, **keywords):
        runtime = open_runtime(*arguments, **keywords)
        real_close = runtime.close
        monkeypatch.setattr(runtime, 'close', lambda: (closed.append(1), real_close()))
        return runtime

    monkeypatch.setattr('rdk_yolo_ros.predictor.open_runtime', watched)
    (tmp_path / 'm.json').write_text('{"model_file": "m.onnx"}')
    for keys, error in (({'class_num': 5}, WorkConfigError), ({'task': 'pose'}, WorkConfigError)):
        (tmp_path / 'bad.json').write_text(json.dumps({'model_file': 'm.onnx', **keys}))
        with pytest.raises(error):
            Predictor.from_config(tmp_path / 'bad.json')
        assert closed.pop() == 1
    with pytest.raises(ValueError, match='max_detections is 0'):
        Predictor.from_config(tmp_path / 'm.json', max_detections=0)
    assert closed.pop() == 1
    predictor = Predictor.from_config(tmp_path / 'm.json', 'onnx')
    assert not closed
    predictor.close()
    predictor.close()
    assert closed
    with pytest.raises(ModelError, match='closed'):
        predictor(picture((64, 64)))


def test_a_runtime_that_was_passed_in_stays_open(config):
    runtime = stand_in()
    with Predictor.from_config(config(), runtime) as predictor:
        assert predictor.runtime is runtime
    with pytest.raises(RdkYoloError):
        Predictor.from_config(config(class_num=1), runtime)
    assert runtime.closed == 0


@pytest.fixture
def opened_with(monkeypatch):
    """Put stand-ins in the place of what is opened; returns what they were opened with."""
    calls = []

    def opener(path, name, nv12_range, options):
        runtime = stand_in()
        runtime.path = Path(path)
        runtime.usual_timeout = 4.0
        runtime.longest_call = 3 * options.timeout if name == 'libdnn' else None
        calls.append((name, options, runtime))
        return runtime

    monkeypatch.setattr('rdk_yolo_ros.predictor.open_runtime', opener)
    return calls


def test_the_configuration_s_options_reach_the_runtime(config, opened_with):
    Predictor.from_config(config())
    Predictor.from_config(config(bpu_priority=7, bpu_cores=[1], inference_timeout=0.5,
                                 model_name='pose'), slots=3)
    Predictor.from_config(config(inference_timeout=0.5), inference_timeout=0.25)
    assert [options for _, options, _ in opened_with] == [
        RuntimeOptions(),
        RuntimeOptions(3, 0.5, 7, (1,), 'pose'),
        RuntimeOptions(timeout=0.25)]


@pytest.mark.parametrize(('values', 'named'), [({'slots': 33}, 'slots is 33'),
                                               ({'inference_timeout': -1}, 'timeout is -1')])
def test_options_of_the_runtime_out_of_their_range_are_named(config, values, named):
    with pytest.raises(ValueError, match=named):
        Predictor.from_config(config(), **values)


def test_a_predictor_says_when_to_give_it_up(config, opened_with):
    assert Predictor.from_config(config(), 'onnx').give_up_after == 4.0
    assert Predictor.from_config(config(inference_timeout=0.5), 'onnx').give_up_after == 0.5
    # A runtime that gives up itself is left a second to say so.
    assert Predictor.from_config(config(inference_timeout=0.5), 'libdnn').give_up_after == 2.5
    assert Predictor.from_config(config(), 'libdnn').give_up_after == 7.0


def test_a_runtime_that_is_lost_is_opened_again_with_the_same_options(config, opened_with):
    with Predictor.from_config(config(bpu_priority=7), slots=2) as predictor:
        opened_with[0][2].lost = True
        with pytest.raises(RuntimeLostError):
            predictor(picture((64, 64)))
        end = time.monotonic() + 10
        while predictor.runtime.state != 'running':
            assert time.monotonic() < end
            time.sleep(0.01)
        assert len(predictor(picture((64, 64)))) == 0
    (_, first, lost), (_, second, _) = opened_with
    assert first == second == RuntimeOptions(slots=2, priority=7)
    assert lost.closed == 1


def test_a_configuration_object_is_as_good_as_its_file(tmp_path):
    onnx_models.colour_detector(tmp_path / 'm.onnx')
    (tmp_path / 'm.yaml').write_text('model_file: m.onnx\nscore_threshold: 0.5\n')
    config = replace(WorkConfig.load(tmp_path / 'm.yaml'), score_threshold=0.6)
    with Predictor.from_config(config) as predictor:
        assert predictor.options.score_threshold == 0.6
    with Predictor.from_config(str(tmp_path / 'm.yaml')) as predictor:
        assert predictor.options.score_threshold == 0.5


@pytest.mark.parametrize('path', sorted((ROOT / 'config').glob('demo_*.json')),
                         ids=lambda path: path.stem)
def test_every_demo_configuration_fits_its_model(path):
    if not (ROOT / 'models' / f'{path.stem}.onnx').is_file():
        pytest.skip('the demo models are not there')
    with Predictor.from_config(path) as predictor:
        assert predictor.task in path.stem
        assert predictor.runtime.nv12_range == 'full'
        assert any(o.scale is not None for o in predictor.runtime.outputs) \
            == path.stem.endswith('int32')
        assert predictor.class_names == predictor.runtime.metadata.class_names
