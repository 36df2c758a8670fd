"""The demo models find the same through the workers' runtimes as through ONNX Runtime."""

from bpu_stand_ins import STAND_INS, installed, stand_in_model
from held_out_scenes import MODELS, assert_detections_are_those_of_a_pc
import pytest

pytest.importorskip('onnxruntime')

# Float outputs as they are; int32 ones padded as the board's compiler does.
ALIGN = {'demo_pose': 1, 'demo_pose_int32': 64}


@pytest.mark.parametrize('name', ALIGN)
@pytest.mark.parametrize(('runtime', 'tensor_type', 'file'), [
    ('pyeasy_dnn', 'NV12', 'm.bin'), ('hbm', 'NV12', 'm.bin'), ('hbm', 'SPLIT', 'm.hbm')],
    ids=['pyeasy_dnn', 'hbm, packed', 'hbm, two planes'])
def test_detections_on_held_out_scenes_are_those_of_onnx_runtime(tmp_path, runtime, tensor_type,
                                                                 file, name):
    path = stand_in_model.write_network_model(tmp_path / file, MODELS / f'{name}.onnx',
                                              align=ALIGN[name], tensor_type=tensor_type)
    with installed(STAND_INS):
        assert_detections_are_those_of_a_pc(name, path, runtime)
