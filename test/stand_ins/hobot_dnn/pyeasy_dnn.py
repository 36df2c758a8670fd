"""
A stand-in for the vendor's pyeasy_dnn: its documented names, and Python's lock held in forward().

The attributes are those of the vendor's documentation: `shape` is a tuple, `validShape` and
`alignedShape` are there in some versions only, as an address (`"shapes": "address"` in the model
file; "bad address" where no shape lies there) or as what other versions give ("struct", "tuple",
"absent"). forward() holds the lock, copies its input, and returns tensors on memory that the next
call overwrites; each access to `buffer` copies it, whole ("buffer": "aligned") or its first
elements, as many as the valid shape has ("valid", as some versions do).
"""

import ctypes
import importlib.util
from pathlib import Path
import types

import numpy as np

_HERE = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location('stand_in_model', _HERE / 'stand_in_model.py')
_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_model)


def load(model_file):
    """Return the models of a file, or of each of a list of them."""
    files = [model_file] if isinstance(model_file, str) else model_file
    if not isinstance(files, list):
        raise TypeError('model_file must be a string or a list')
    models = []
    for file in files:
        if not Path(file).is_file():
            raise RuntimeError('the model file cannot be read')
        stand_in = _model.StandInModel(file)
        models += [Model(stand_in, name) for name in stand_in.names]
    return models


class TensorProperties:
    """The properties of a tensor."""

    def __init__(self, tensor_type, dtype, layout, shape, aligned_shape, scale, style):
        self.tensor_type = tensor_type
        self.dtype = dtype
        self.layout = layout
        self.shape = tuple(shape)
        self.scale_data = np.array([] if scale is None else scale, np.float32)
        if style != 'absent':
            self.validShape = _SHAPES[style](shape)
            self.alignedShape = _SHAPES[style](aligned_shape)


class pyDNNTensor:
    """A tensor; `memory` holds the function that reads it, so that nothing else is public."""

    __slots__ = ('_read', 'name', 'properties')

    def __init__(self, name, properties, read):
        self.name = name
        self.properties = properties
        self._read = read

    @property
    def buffer(self):
        """The numbers, copied."""
        return self._read()


class Model:
    """A model."""

    def __init__(self, stand_in, name):
        self.name = name
        self.estimate_latency = 100
        self._stand_in = stand_in
        self._input = np.zeros(stand_in.input_hw[0] * stand_in.input_hw[1] * 3 // 2, np.uint8)
        facts = stand_in.facts
        self._style = facts.get('shapes', 'address')
        self._whole = facts.get('buffer', 'aligned') == 'aligned'
        height, width = stand_in.input_hw
        shape = {'NCHW': (1, 3, height, width), 'NHWC': (1, height, width, 3)}[stand_in.layout]
        self.inputs = tuple(
            pyDNNTensor(f'images{i or ""}', TensorProperties(
                stand_in.tensor_type, 'uint8', stand_in.layout, shape, shape, None, self._style),
                self._input.copy) for i in range(facts.get('inputs', 1)))
        self.outputs = tuple(map(self._output, range(len(stand_in.outputs))))

    def forward(self, arg, core_id=0, priority=0):
        """Run on one image and return the outputs; Python's lock is held all the while."""
        if not isinstance(arg, np.ndarray) or arg.size != self._input.size:
            raise RuntimeError('forward execution failed.')
        np.copyto(self._input, arg.reshape(-1), casting='no')
        call = {'core_id': core_id, 'priority': priority, 'shape': list(arg.shape)}
        if not self._stand_in.infer(self._input, call):
            return None  # as the library does where a call of libdnn fails
        return self.outputs

    def _output(self, index):
        stand_in = self._stand_in
        facts = stand_in.outputs[index]
        array = stand_in.arrays[index]
        aligned_shape = stand_in.aligned_shape(index)
        properties = TensorProperties(array.dtype.name, array.dtype.name, 'NHWC', array.shape,
                                      aligned_shape, facts['scale'], self._style)

        def read():
            padded = stand_in.aligned(index)
            if self._whole:
                return padded.copy()
            return padded.reshape(-1)[:array.size].reshape(array.shape).copy()

        return pyDNNTensor(facts['name'], properties, read)


class _Shape(ctypes.Structure):
    _fields_ = [('dimensionSize', ctypes.c_int32 * 8), ('numDimensions', ctypes.c_int32)]


_kept = []  # the library never frees these either


def _struct(shape):
    return _Shape((ctypes.c_int32 * 8)(*shape), len(shape))


def _address(shape):
    _kept.append(_struct(shape))
    return ctypes.addressof(_kept[-1])


def _bad_address(shape):
    _kept.append(_Shape((ctypes.c_int32 * 8)(*shape), -559038737))
    return ctypes.addressof(_kept[-1])


def _attributes(shape):
    return types.SimpleNamespace(dimensionSize=list(shape) + [0] * (8 - len(shape)),
                                 numDimensions=len(shape))


_SHAPES = {'address': _address, 'bad address': _bad_address, 'tuple': tuple,
           'struct': _attributes}
