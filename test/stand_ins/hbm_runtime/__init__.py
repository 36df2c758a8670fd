"""
A stand-in for the vendor's hbm_runtime: its documented names and nothing else.

A model file with tensor type NV12 takes one packed image, as on the X5; with SPLIT it takes Y and
UV, as on the S boards ("input_order": "uv first" gives them the other way round). Outputs are
views with the strides of padded memory ("results": "aligned" returns them with their padding).

What is not published is the hardest case, or each case: run() holds Python's lock; where it fails,
it raises (the word "fail") or returns no outputs ("none"). Nothing is said of what comes of a core
that is not there, so that the stand-in takes every number.
"""

import enum
import importlib.util
import math
from pathlib import Path

import numpy as np

_HERE = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location('stand_in_model', _HERE / 'stand_in_model.py')
_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_model)

__all__ = ['HB_HBMRuntime', 'QuantParams', 'SchedParam', 'hbDNNDataType', 'hbDNNQuantiType']

hbDNNDataType = enum.Enum('hbDNNDataType', 'Y NV12 NV12_SEPARATE YUV444 RGB BGR S4 U4 S8 U8 F16 '
                          'S16 U16 F32 S32 U32 F64 S64 U64 MAX', start=0)
hbDNNQuantiType = enum.Enum('hbDNNQuantiType', {'NONE': 0, 'SCALE': 2})


_NOT_QUANTIZED = {'scale': None, 'zero_point': None, 'axis': None}


class QuantParams:
    """How a tensor is quantized."""

    def __init__(self, facts):
        quantized = facts['scale'] is not None
        self.scale = np.array(facts['scale'] if quantized else [], np.float32)
        self.zero_point = np.array(facts['zero_point'] or [], np.int32)
        self.quant_type = hbDNNQuantiType.SCALE if quantized else hbDNNQuantiType.NONE
        self.axis = facts['axis'] if quantized and facts['axis'] is not None else 0


class SchedParam:
    """How a model is scheduled."""

    def __init__(self):
        self.priority, self.customId, self.bpu_cores, self.deviceId = 0, 0, [-1], 0


class HB_HBMRuntime:
    """The models of one file."""

    @staticmethod
    def version():
        """Return the library's version."""
        return '1.0.0'

    def __init__(self, model_file):
        if not Path(model_file).exists():
            raise RuntimeError(f'The model {model_file} does not exist.')
        if Path(model_file).suffix not in ('.bin', '.hbm'):
            raise RuntimeError('Invalid model file extension.')
        self._stand_in = stand_in = _model.StandInModel(model_file)
        self._scheduling = {name: SchedParam() for name in stand_in.names}
        height, width = stand_in.input_hw
        if stand_in.tensor_type == 'SPLIT':
            inputs = {'data_y': ('U8', [1, height, width, 1]),
                      'data_uv': ('U8', [1, height // 2, width // 2, 2])}
            if stand_in.facts.get('input_order') == 'uv first':
                inputs = dict(reversed(inputs.items()))
        else:
            shape = {'NCHW': [1, 3, height, width], 'NHWC': [1, height, width, 3]}
            inputs = {'images': (stand_in.tensor_type, shape[stand_in.layout])}
        outputs = [facts['name'] for facts in stand_in.outputs]
        arrays = dict(zip(outputs, stand_in.arrays))
        memory = {name: stand_in.aligned(i) for i, name in enumerate(outputs)}
        kinds = {'i': 'S', 'u': 'U', 'f': 'F'}

        def each(value):
            return dict.fromkeys(stand_in.names, value)

        self.model_names = list(stand_in.names)
        self.model_count = len(stand_in.names)
        self.model_descs, self.hbm_descs = each(''), {str(model_file): ''}
        self.input_counts, self.input_names = each(len(inputs)), each(list(inputs))
        self.input_descs = each(dict.fromkeys(inputs, ''))
        self.input_quants = each({name: QuantParams(_NOT_QUANTIZED) for name in inputs})
        self.input_strides = each({
            name: [math.prod(shape[axis + 1:]) for axis in range(len(shape))]
            for name, (_, shape) in inputs.items()})
        self.input_shapes = each({name: shape for name, (_, shape) in inputs.items()})
        self.input_dtypes = each({name: hbDNNDataType[kind] for name, (kind, _) in inputs.items()})
        self.output_counts, self.output_names = each(len(outputs)), each(outputs)
        self.output_descs = each(dict.fromkeys(outputs, ''))
        self.output_shapes = each({name: list(array.shape) for name, array in arrays.items()})
        self.output_dtypes = each({
            name: hbDNNDataType[f'{kinds[array.dtype.kind]}{array.dtype.itemsize * 8}']
            for name, array in arrays.items()})
        self.output_quants = each({facts['name']: QuantParams(facts)
                                   for facts in stand_in.outputs})
        self.output_strides = each({name: list(array.strides) for name, array in memory.items()})

    @property
    def sched_params(self):
        """How each model is scheduled."""
        return dict(self._scheduling)

    def set_scheduling_params(self, priority=None, bpu_cores=None, custom_id=None,
                              device_id=None):
        """Set what is given, for the models that are named."""
        for field, values in (('priority', priority), ('bpu_cores', bpu_cores),
                              ('customId', custom_id), ('deviceId', device_id)):
            for name, value in (values or {}).items():
                setattr(self._scheduling[name], field, value)

    def run(self, input_tensors):
        """Run the models that inputs are given for, {model: {input: array}}."""
        results = {}
        for model, inputs in input_tensors.items():
            results[model] = self._run_one(model, inputs)
        return results

    def _run_one(self, model, inputs):
        for name in self.input_names[model]:
            array, kind = inputs[name], self.input_dtypes[model][name].name
            if array.dtype != np.uint8:
                raise ValueError(f'Data type mismatch for input tensor {name}')
            if kind != 'NV12' and list(array.shape) != self.input_shapes[model][name]:
                raise ValueError(f'Mismatch in tensor dimensions for input {name}')
        if len(inputs) == 2:
            nv12 = np.concatenate([inputs['data_y'].ravel(), inputs['data_uv'].ravel()])
        else:
            nv12 = np.ascontiguousarray(*inputs.values()).ravel()
        height, width = self._stand_in.input_hw
        if nv12.size != height * width * 3 // 2:
            raise ValueError(f'{nv12.size} bytes came, expected {height * width * 3 // 2}')
        parameters = self._scheduling[model]
        call = {'model': model, 'priority': parameters.priority,
                'bpu_cores': parameters.bpu_cores,
                'shapes': {name: list(array.shape) for name, array in inputs.items()}}
        if not self._stand_in.infer(nv12, call):
            return {}
        outputs = {}
        for index, name in enumerate(self.output_names[model]):
            memory = self._stand_in.aligned(index).copy()
            if self._stand_in.facts.get('results') != 'aligned':
                memory = memory[tuple(map(slice, self.output_shapes[model][name]))]
            outputs[name] = memory
        return outputs
