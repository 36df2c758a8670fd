"""The demo models' files: tensors, metadata and sizes as the boards' models have them."""

import json
from pathlib import Path

import numpy as np
import pytest

from rdk_yolo_ros.scenes import CLASS_NAMES, KEYPOINT_NAMES, render_scene

onnxruntime = pytest.importorskip('onnxruntime')

MODELS = Path(__file__).resolve().parents[2] / 'models'
TASKS = ('detect', 'segment', 'pose')
GRIDS = {8: 80, 16: 40, 32: 20}


def expected_outputs(task):
    """Return (name, shape) in the order of the seeds: 001 detect, 002 segment, 000 pose."""
    def head(kind, stride):
        grid = GRIDS[stride]
        classes = 1 if task == 'pose' else len(CLASS_NAMES)
        channels = {'cls': classes, 'box': 64, 'kpt': 51, 'coef': 32}[kind]
        return f'{kind}_{stride}', [1, grid, grid, channels]
    if task == 'detect':
        return [head(kind, stride) for stride in GRIDS for kind in ('cls', 'box')]
    if task == 'segment':
        return [head(kind, stride) for kind in ('coef', 'box', 'cls') for stride in GRIDS] \
            + [('proto', [1, 160, 160, 32])]
    return [head(kind, stride) for stride in GRIDS for kind in ('box', 'cls')] \
        + [head('kpt', stride) for stride in GRIDS]


@pytest.fixture(scope='module')
def sessions():
    """Return a function that opens a model once."""
    opened = {}

    def get(name):
        if name not in opened:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 2
            opened[name] = onnxruntime.InferenceSession(
                str(MODELS / f'{name}.onnx'), options, providers=['CPUExecutionProvider'])
        return opened[name]
    return get


@pytest.fixture(scope='module')
def image():
    """Return a scene as the models' input."""
    picture = render_scene(11).image[..., ::-1]
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None]).astype(np.float32) / 255


def metadata(session):
    return session.get_modelmeta().custom_metadata_map


@pytest.mark.parametrize('twin', ['', '_int32'])
@pytest.mark.parametrize('task', TASKS)
def test_tensors_are_those_of_the_boards_models(sessions, task, twin):
    session = sessions(f'demo_{task}{twin}')
    given, = session.get_inputs()
    assert (given.name, given.shape, given.type) == ('images', [1, 3, 640, 640], 'tensor(float)')
    assert [(o.name, o.shape) for o in session.get_outputs()] == expected_outputs(task)
    integer = {'detect': ('box',), 'segment': ('box', 'coef'), 'pose': ('box',)}[task]
    for output in session.get_outputs():
        quantized = bool(twin) and output.name.split('_')[0] in integer
        assert output.type == ('tensor(int32)' if quantized else 'tensor(float)')


@pytest.mark.parametrize('twin', ['', '_int32'])
@pytest.mark.parametrize('task', TASKS)
def test_metadata_says_what_the_model_is(sessions, task, twin):
    said = metadata(sessions(f'demo_{task}{twin}'))
    names = ['person'] if task == 'pose' else list(CLASS_NAMES)
    assert said['task'] == task
    assert json.loads(said['names']) == names
    assert json.loads(said['stride']) == [8, 16, 32]
    assert json.loads(said['imgsz']) == [640, 640]
    assert said['nv12_range'] == 'full'
    assert said['license'] == 'Apache-2.0'
    assert said['author']
    assert 'synthetic' in said['description']
    if task == 'pose':
        assert json.loads(said['kpt_shape']) == [17, 3]
        assert tuple(json.loads(said['keypoint_names'])) == KEYPOINT_NAMES


@pytest.mark.parametrize('task', TASKS)
def test_twin_gives_the_float_models_values_in_steps_of_the_scale(sessions, task, image):
    plain, twin = sessions(f'demo_{task}'), sessions(f'demo_{task}_int32')
    scales = json.loads(metadata(twin)['output_quantization'])
    names = [o.name for o in plain.get_outputs()]
    for name, a, b in zip(names, plain.run(None, {'images': image}),
                          twin.run(None, {'images': image})):
        if name not in scales:
            np.testing.assert_allclose(a, b, atol=1e-3)
            continue
        entry = scales[name]
        assert (entry['zero_point'], entry['axis']) == (0, 3)
        scale = np.array(entry['scale'], np.float32)
        assert scale.shape == (a.shape[3],)
        # The boards' models have scales of about 1e-4.
        assert 1e-5 < np.median(scale) < 5e-3
        # Half a step, and what two runs of the same network may differ by.
        assert (np.abs(b * scale - a) <= scale * 0.51 + 1e-3).all()


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('twin', ['', '_int32'])
def test_files_are_small(task, twin):
    assert (MODELS / f'demo_{task}{twin}.onnx').stat().st_size <= 3_000_000


def test_a_model_is_surer_of_a_scene_than_of_plain_grey(sessions, image):
    session = sessions('demo_detect')
    grey = np.full_like(image, 114 / 255)

    def best(given):
        outputs = session.run(['cls_8', 'cls_16', 'cls_32'], {'images': given})
        return max(1 / (1 + np.exp(-float(o.max()))) for o in outputs)
    assert best(image) > 0.5
    assert best(grey) < 0.25
