"""Writes one ONNX file for each task, and for each its twin with int32 box heads.

The twins give on a PC what a board gives whose dequantize nodes were removed: integers, and one
scale for each channel beside them, here in the metadata key `output_quantization`.
"""

import argparse
import json
from pathlib import Path
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from network import STRIDES, DemoNet, TaskNet  # noqa: E402
from scenes import FIRST_TRAINING_SEED, training_sample  # noqa: E402

from rdk_yolo_ros.scenes import CLASS_NAMES, KEYPOINT_NAMES  # noqa: E402

TASKS = ('detect', 'segment', 'pose')
SIZE = 640
OPSET = 11
MOST_BYTES = 3_000_000
CALIBRATION_SCENES = 48
# The largest magnitude seen maps to 2^15, as in a 16-bit quantization: with logits around ten
# that makes scales of some 1e-4, like those of the boards' models.
LEVELS = 2 ** 15
QUANTIZED_HEADS = {'detect': ('box',), 'segment': ('box', 'coef'), 'pose': ('box',)}


def metadata(task: str) -> dict[str, str]:
    """Return what the file says about itself."""
    names = CLASS_NAMES[:1] if task == 'pose' else CLASS_NAMES
    entries = {
        'task': task, 'names': json.dumps(list(names)), 'stride': json.dumps(list(STRIDES)),
        'imgsz': json.dumps([SIZE, SIZE]), 'nv12_range': 'full',
        'author': 'rdk_yolo_ros contributors', 'license': 'Apache-2.0',
        'description': f'{task} demo model of rdk_yolo_ros, trained on synthetic scenes only'}
    if task == 'pose':
        entries['kpt_shape'] = json.dumps([len(KEYPOINT_NAMES), 3])
        entries['keypoint_names'] = json.dumps(list(KEYPOINT_NAMES))
    return entries


def halve_weights(model: onnx.ModelProto) -> None:
    """Store the convolutions' weights as float16, in place; they are used as float32 as before.

    A Cast follows each, which runtimes carry out once, at loading. Half the file for an error of
    at most 2^-11 of a weight.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 4:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f'{name}_half'))
            casts.append(helper.make_node('Cast', [f'{name}_half'], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)


def export_float(net: DemoNet, task: str, path: Path) -> None:
    """Write a task's float32 model."""
    module = TaskNet(net, task).eval()
    torch.onnx.export(module, (torch.zeros(1, 3, SIZE, SIZE),), str(path), opset_version=OPSET,
                      dynamo=False, input_names=['images'], output_names=module.names)
    model = onnx.load(str(path))
    halve_weights(model)
    helper.set_model_props(model, metadata(task))
    model.doc_string = ''
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def calibration_images(count: int) -> list[np.ndarray]:
    """Float32 (1, 3, 640, 640) inputs out of training scenes, never held-out ones."""
    images = []
    for i in range(count):
        image = training_sample(FIRST_TRAINING_SEED + 90_000_000 + i, SIZE).image
        images.append(image.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    return images


def channel_scales(path: Path, names: list[str], images: list[np.ndarray]
                   ) -> dict[str, np.ndarray]:
    """For each output float32 (C,): the largest magnitude of each channel over `LEVELS`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options,
                                           providers=['CPUExecutionProvider'])
    most = {}
    for image in images:
        for name, value in zip(names, session.run(names, {'images': image})):
            peak = np.abs(value).max((0, 1, 2))
            most[name] = np.maximum(most.get(name, 0), peak)
    return {name: (np.maximum(peak, 1e-3) / LEVELS).astype(np.float32)
            for name, peak in most.items()}


def export_int32(float_path: Path, path: Path, task: str, images: list[np.ndarray]) -> None:
    """Write the twin: the quantized heads are round(value / scale[c]) as int32."""
    model = onnx.load(str(float_path))
    graph = model.graph
    names = [o.name for o in graph.output if o.name.split('_')[0] in QUANTIZED_HEADS[task]]
    scales = channel_scales(float_path, names, images)
    for output in graph.output:
        name = output.name
        if name not in scales:
            continue
        for node in graph.node:
            for i, made in enumerate(node.output):
                if made == name:
                    node.output[i] = f'{name}_float'
        graph.initializer.append(numpy_helper.from_array(scales[name], f'{name}_scale'))
        graph.node.extend([
            helper.make_node('Div', [f'{name}_float', f'{name}_scale'], [f'{name}_levels']),
            helper.make_node('Round', [f'{name}_levels'], [f'{name}_rounded']),
            helper.make_node('Cast', [f'{name}_rounded'], [name], to=TensorProto.INT32)])
        output.type.tensor_type.elem_type = TensorProto.INT32
    entries = metadata(task)
    entries['description'] += '; integer heads, see output_quantization'
    entries['output_quantization'] = json.dumps({
        name: {'scale': [float(v) for v in scale], 'zero_point': 0, 'axis': 3}
        for name, scale in scales.items()})
    helper.set_model_props(model, entries)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def main() -> None:
    """Export what the checkpoint holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--checkpoint', default='.train/demo.pt')
    parser.add_argument('--output', default='models')
    args = parser.parse_args()
    net = DemoNet()
    net.load_state_dict(torch.load(args.checkpoint, map_location='cpu')['average'])
    net.eval()
    images = calibration_images(CALIBRATION_SCENES)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        path = folder / f'demo_{task}.onnx'
        twin = folder / f'demo_{task}_int32.onnx'
        export_float(net, task, path)
        export_int32(path, twin, task, images)
        for file in (path, twin):
            size = file.stat().st_size
            if size > MOST_BYTES:
                raise SystemExit(f'{file}: {size} bytes, at most {MOST_BYTES} are allowed')
            print(f'{file}: {size} bytes')


if __name__ == '__main__':
    main()
