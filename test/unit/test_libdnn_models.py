"""The demo models give the same through libdnn as through ONNX Runtime, to the last bit."""

from held_out_scenes import MODELS, assert_detections_are_those_of_a_pc, nv12_of
import libdnn_cases
import numpy as np
import pytest
from stand_ins.libdnn import Model, Tensor, image_input, write_model

from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.runtimes import RuntimeOptions

pytest.importorskip('onnxruntime')

from rdk_yolo_ros.runtimes.libdnn import LibdnnRuntime  # noqa: E402
from rdk_yolo_ros.runtimes.onnx import OnnxRuntime  # noqa: E402

NAMES = [f'demo_{task}{twin}' for task in ('pose', 'detect', 'segment')
         for twin in ('', '_int32')]


@pytest.fixture
def stand_in(monkeypatch):
    with libdnn_cases.stand_in_in_use(monkeypatch) as control:
        yield control


def padded(info):
    """Return an output as the board's compiler lays it out: int32 padded in its last axis."""
    aligned = (*info.shape[:-1], -(-info.shape[-1] // 64) * 64) if info.quantized else None
    return Tensor(info.name, info.shape, info.dtype.name, aligned=aligned,
                  scale=() if info.scale is None else info.scale,
                  axis=info.quantize_axis or 0)


def behind_the_stand_in(path, control, network):
    """Write a model whose tasks run in ONNX Runtime, and return its path."""
    outputs = [padded(info) for info in network.outputs]
    control.set_network(network.run, outputs)
    return write_model(path, Model(path.stem, [image_input(network.input_hw)], outputs,
                                   concurrency=2))


def remember_last(network):
    """Let the network compute what it is asked twice in a row once."""
    compute, last = network.run, []

    def run(nv12):
        if not last or not np.array_equal(last[0], nv12):
            last[:] = [nv12.copy(), compute(nv12)]
        return last[1]

    network.run = run


@pytest.mark.parametrize('name', NAMES)
def test_tensors_are_those_of_onnx_runtime(tmp_path, stand_in, name):
    network = OnnxRuntime(MODELS / f'{name}.onnx')
    remember_last(network)
    path = behind_the_stand_in(tmp_path / f'{name}.bin', stand_in, network)
    frame = nv12_of(3)
    nv12 = Letterbox.fit(frame.hw, network.input_hw).apply(frame)
    options = RuntimeOptions(timeout=60)
    with LibdnnRuntime(path, options=options) as runtime, runtime.slot() as slot:
        for expected, info, view in zip(network.run(nv12), runtime.outputs, slot.infer(nv12)):
            assert view.dtype == expected.dtype
            np.testing.assert_array_equal(view, expected)
            assert (info.scale is None) == (expected.dtype.kind == 'f')
            assert (info.aligned_shape is not None) \
                == (info.quantized and info.shape[-1] % 64 != 0)


@pytest.mark.parametrize('name', ['demo_pose', 'demo_pose_int32', 'demo_segment_int32'])
def test_detections_on_held_out_scenes_are_those_of_onnx_runtime(tmp_path, stand_in, name):
    network = OnnxRuntime(MODELS / f'{name}.onnx', threads=1)
    path = behind_the_stand_in(tmp_path / f'{name}.bin', stand_in, network)
    assert_detections_are_those_of_a_pc(name, path, 'libdnn')
