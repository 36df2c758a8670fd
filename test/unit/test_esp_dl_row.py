"""An ESP-DL export's outputs on the PC runtime: NCHW, int8, one power-of-two scale a tensor."""

import json
from pathlib import Path

import numpy as np
import pytest

from rdk_yolo_ros.decode import make_decoder
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes import open_runtime
from rdk_yolo_ros.scenes import render_scene
from rdk_yolo_ros.tensors import TensorInfo
from rdk_yolo_ros.work_config import WorkConfig

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

FLOAT_MODEL = Path(__file__).resolve().parents[2] / 'models' / 'demo_pose.onnx'
STRIDES = (8, 16, 32)
# The order and the names of the ESP-DL document's YOLO11n-pose.
ORDER = [f'{kind}{i}' for i in range(3) for kind in ('box', 'score')] + ['kpt0', 'kpt1', 'kpt2']
OUTPUTS = {f'{theirs}{i}': f'{ours}_{stride}' for i, stride in enumerate(STRIDES)
           for theirs, ours in (('box', 'box'), ('score', 'cls'), ('kpt', 'kpt'))}
CALIBRATION, SCENES = range(2_000_000, 2_000_012), range(2_000_100, 2_000_130)


def nv12_of(seed):
    return Frame.from_bgr(render_scene(seed).image).to_nv12('full')


def fitting_exponent(values):
    """Return the e of the finest scale 2**e whose int8 hold all but one of two hundred values."""
    return int(np.ceil(np.log2(np.percentile(np.abs(values), 99.5) / 127)))


@pytest.fixture(scope='module')
def exponents():
    """Return the exponent of each output, from what cells with a person put out."""
    with open_runtime(FLOAT_MODEL) as runtime:
        names = [info.name for info in runtime.outputs]
        seen = {name: [] for name in names}
        for seed in CALIBRATION:
            tensors = dict(zip(names, runtime.run(nv12_of(seed))))
            for stride in STRIDES:
                sure = tensors[f'cls_{stride}'][0, ..., 0] > -2
                for kind in ('box', 'cls', 'kpt'):
                    values = tensors[f'{kind}_{stride}'][0][sure]
                    if kind == 'kpt':
                        # Of a point x and y alone: a visibility past 8 is 1 in any case.
                        values = values.reshape(-1, 17, 3)[..., :2]
                    seen[f'{kind}_{stride}'].append(values)
    found = {name: np.concatenate([v.ravel() for v in values]) for name, values in seen.items()}
    # A stride at which no calibration image has a person keeps the exponents of another.
    usual = {kind: max(fitting_exponent(v) for name, v in found.items()
                       if name.startswith(kind) and len(v)) for kind in ('box', 'cls', 'kpt')}
    return {name: fitting_exponent(v) if len(v) else usual[name.split('_')[0]]
            for name, v in found.items()}


@pytest.fixture(scope='module')
def twin(exponents, tmp_path_factory):
    """Return the path of the demo pose model with the outputs of an ESP-DL export."""
    model = onnx.load(str(FLOAT_MODEL))
    graph = model.graph
    shapes = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in graph.output}
    del graph.output[:]
    quantization = {}
    for name in ORDER:
        source = OUTPUTS[name]
        scale = np.float32(2.0 ** exponents[source])
        for suffix, value in (('scale', scale), ('low', np.float32(-128)),
                              ('high', np.float32(127))):
            graph.initializer.append(numpy_helper.from_array(np.array(value), f'{name}_{suffix}'))
        graph.node.extend([
            helper.make_node('Transpose', [source], [f'{name}_nchw'], perm=[0, 3, 1, 2]),
            helper.make_node('Div', [f'{name}_nchw', f'{name}_scale'], [f'{name}_levels']),
            helper.make_node('Round', [f'{name}_levels'], [f'{name}_rounded']),
            helper.make_node('Clip', [f'{name}_rounded', f'{name}_low', f'{name}_high'],
                             [f'{name}_clipped']),
            helper.make_node('Cast', [f'{name}_clipped'], [name], to=TensorProto.INT8)])
        n, h, w, c = shapes[source]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.INT8, [n, c, h, w]))
        quantization[name] = {'exponent': exponents[source]}
    helper.set_model_props(model, {'task': 'pose', 'names': '["person"]', 'nv12_range': 'full',
                                   'output_quantization': json.dumps(quantization)})
    onnx.checker.check_model(model)
    path = tmp_path_factory.mktemp('esp_dl') / 'yolo11n_pose_s8.onnx'
    onnx.save(model, str(path))
    return path


def predictor(path):
    return Predictor.from_config(WorkConfig.from_mapping({'model_file': str(path)}),
                                 score_threshold=0.4, nms_threshold=0.7)


def iou(box, others):
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = (high - low).clip(0).prod(1)
    return both / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - both)


def test_its_outputs_are_recognised(twin):
    with predictor(twin) as ours:
        assert [str(info.dtype) for info in ours.runtime.outputs] == ['int8'] * 9
        assert ours.task == 'pose'
        assert not any(level.box_head.channels_last for level in ours.layout.levels)
        assert (ours.layout.reg_max, ours.layout.num_keypoints) == (16, 17)


def test_it_decodes_as_the_same_numbers_in_float(twin, exponents):
    """The twin in float: a model whose outputs are what these integers stand for."""
    with predictor(twin) as ours:
        infos = [TensorInfo(info.name, info.shape, np.float32) for info in ours.runtime.outputs]
        decoder = make_decoder(identify_heads(infos, (640, 640)), ours.options)
        found = 0
        for seed in list(SCENES)[:8]:
            stored = ours.runtime.run(nv12_of(seed))
            real = [tensor.astype(np.float32) * np.float32(2.0 ** exponents[OUTPUTS[info.name]])
                    for info, tensor in zip(infos, stored)]
            expected = decoder(real, Letterbox.identity((640, 640)))
            result = ours(render_scene(seed).image)
            np.testing.assert_allclose(result.scores, expected.scores, atol=1e-6)
            np.testing.assert_allclose(result.keypoints, expected.keypoints, atol=0.01)
            found += len(result)
        assert found > 8


def test_its_key_points_lie_within_a_pixel_of_the_float_model_s(twin):
    distances = []
    with predictor(FLOAT_MODEL) as ours, predictor(twin) as theirs:
        for seed in SCENES:
            image = render_scene(seed).image
            one, other = ours(image), theirs(image)
            for i in range(len(one)):
                overlaps = iou(one.boxes[i], other.boxes)
                if len(overlaps) and overlaps.max() > 0.8:
                    distances.append(np.abs(one.keypoints[i, :, :2]
                                            - other.keypoints[overlaps.argmax(), :, :2]))
    distances = np.array(distances)
    assert len(distances) > 40
    # Rounding to 2**-4 moves a point of stride 16 by up to a pixel; now and then a neighbouring
    # cell, whose score rounds to the same number, answers for a person.
    assert np.median(distances) < 1
    assert distances.mean() < 1
    assert (distances <= 1).mean() > 0.9
