"""Tiny ONNX models for tests, each with a behaviour that is known in closed form."""

import json

import numpy as np
import pytest

# A robot has neither: there, the tests that need such models are skipped.
pytest.importorskip('onnxruntime')
onnx = pytest.importorskip('onnx')
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

STRIDES = (8, 16, 32)
FLOAT = TensorProto.FLOAT


def save(path, nodes, outputs, shape=(1, 3, 64, 64), constants=(), metadata=None, inputs=None,
         dtype=FLOAT):
    """
    Write a model and return its path.

    outputs: {name: (element type, shape)}; constants: {name: array}.
    """
    if inputs is None:
        inputs = [helper.make_tensor_value_info('images', dtype, shape)]
    graph = helper.make_graph(
        nodes, 'test', inputs,
        [helper.make_tensor_value_info(name, *info) for name, info in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in dict(constants).items()])
    # Old versions, so that old runtimes take them.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


def echo(path, shape=(1, 3, 64, 64), dtype=FLOAT, metadata=None):
    """Write a model whose output is its input."""
    return save(path, [helper.make_node('Identity', ['images'], ['echo'])],
                {'echo': (dtype, shape)}, shape, metadata=metadata, dtype=dtype)


def constant(path, arrays, metadata=None, input_hw=(64, 64)):
    """Write a model whose outputs are `arrays`, {name: array}, whatever the image."""
    nodes = [helper.make_node('Identity', [f'{name}_value'], [name]) for name in arrays]
    outputs = {name: (helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
               for name, array in arrays.items()}
    return save(path, nodes, outputs, (1, 3, *input_hw), metadata=metadata,
                constants={f'{name}_value': array for name, array in arrays.items()})


def colour_detector(path, input_hw=(64, 64), metadata=None, quantized=False, extra=0):
    """
    Write a detector of coloured squares: class 0 is red, 1 green, 2 blue.

    A cell's logit for a colour is 40 * (2 * colour - sum of the three - 0.7), averaged over the
    cell: 12 for the pure colour, at most -28 for any grey, 0 where 70 % of the cell is the colour
    and the rest is black. Its box reaches one cell's length from the cell's centre to every side.
    `quantized`: int32 outputs with scales in the metadata. `extra`: channels of a third head per
    stride, all zero.
    """
    weight = 40 * (2 * np.eye(3, dtype=np.float32) - 1)[:, :, None, None]
    bias = np.full(3, -28, np.float32)
    box = np.full((4, 16), -50, np.float32)
    box[:, 1] = 50
    constants = {'weight': weight, 'bias': bias}
    nodes, outputs, scales = [], {}, {}
    heads = [('class', 3, 1 / 1024), ('box', 64, 1 / 64)] + [('extra', extra, 1.0)] * bool(extra)
    for stride in STRIDES:
        grid = (input_hw[0] // stride, input_hw[1] // stride)
        nodes += [
            helper.make_node('AveragePool', ['images'], [f'mean{stride}'],
                             kernel_shape=[stride, stride], strides=[stride, stride]),
            helper.make_node('Conv', [f'mean{stride}', 'weight', 'bias'], [f'class{stride}_real'])]
        constants[f'box{stride}_real'] = np.tile(box.reshape(1, 64, 1, 1), (1, 1, *grid))
        constants[f'extra{stride}_real'] = np.zeros((1, max(extra, 1), *grid), np.float32)
        for role, channels, scale in heads:
            name, real = f'{role}{stride}', f'{role}{stride}_real'
            outputs[name] = (TensorProto.INT32 if quantized else FLOAT, (1, channels, *grid))
            if not quantized:
                nodes.append(helper.make_node('Identity', [real], [name]))
                continue
            constants[f'{name}_scale'] = np.float32(scale)
            nodes += [helper.make_node('Div', [real, f'{name}_scale'], [f'{name}_divided']),
                      helper.make_node('Round', [f'{name}_divided'], [f'{name}_rounded']),
                      helper.make_node('Cast', [f'{name}_rounded'], [name],
                                       to=TensorProto.INT32)]
            scales[name] = {'scale': [scale] * channels, 'zero_point': 0, 'axis': 1}
    metadata = dict(metadata or {})
    if quantized:
        metadata['output_quantization'] = json.dumps(scales)
    used = {name for node in nodes for name in node.input}
    return save(path, nodes, outputs, (1, 3, *input_hw),
                {k: v for k, v in constants.items() if k in used}, metadata)
