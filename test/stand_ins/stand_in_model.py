"""
What the stand-ins of hobot_dnn and hbm_runtime share: their model files, and a timed accelerator.

A stand-in's model file is JSON behind the name that a board's model would have. It names a real
network, run by ONNX Runtime, or recorded outputs; and it says how long the accelerator takes and
how many tasks it runs at once, across all processes. Files beside it steer single calls:

    MODEL.forward   a word a line, one taken by each inference: ok, fail, none, hang, crash, exit
    MODEL.load      the same for each time that the model is loaded: ok, fail, crash
    MODEL.calls     where it exists, every inference adds a line of JSON
"""

import ctypes
import fcntl
import json
import os
from pathlib import Path
import struct
import time

import numpy as np

# The C library called without giving up Python's lock, as a call that holds it does.
_HOLDING_THE_LOCK = ctypes.PyDLL(None)


def write_recorded_model(path, tensors, input_hw, latency_s=0.0125, concurrency=2, **details):
    """
    Write a model file whose outputs are always the same.

    Args:
        path: of the model file; the outputs go to a file of the same name with .npz added.
        tensors: for each output (name, array) or (name, array, scale), the scale a number or as
            many as the last axis is long; or, instead of the scale, a dict with scale,
            zero_point and axis.
        input_hw: (height, width) of the image, pixels.
        latency_s: seconds that one inference takes.
        concurrency: how many run at once, in all processes together.
        details: see `StandInModel`.

    """
    path = Path(path)
    rows = [(name, np.ascontiguousarray(array), *rest) for name, array, *rest in tensors]
    np.savez(f'{path}.npz', **{f'output{i}': array for i, (_, array, *_) in enumerate(rows)})
    outputs = [{'name': name, **_quantization(rest[0] if rest else None, array.ndim)}
               for name, array, *rest in rows]
    return _write(path, {'recorded': f'{path}.npz', 'input_hw': list(input_hw),
                         'latency_s': latency_s, 'concurrency': concurrency, 'outputs': outputs,
                         **details})


def write_network_model(path, network, latency_s=0.0, concurrency=2, **details):
    """Write a model file that runs an ONNX network; see `write_recorded_model`."""
    from rdk_yolo_ros.runtimes.onnx import OnnxRuntime

    with OnnxRuntime(Path(network)) as runtime:
        outputs = [{'name': info.name,
                    'scale': None if info.scale is None else info.scale.tolist(),
                    'zero_point': None if info.zero_point is None else info.zero_point.tolist(),
                    'axis': info.quantize_axis} for info in runtime.outputs]
        input_hw = list(runtime.input_hw)
    return _write(Path(path), {'network': str(network), 'input_hw': input_hw,
                               'latency_s': latency_s, 'concurrency': concurrency,
                               'outputs': outputs, **details})


def steer(path, kind, *words):
    """Say what the next calls of a kind, 'forward' or 'load', are to do."""
    Path(f'{path}.{kind}').write_text(''.join(f'{word}\n' for word in words))


def record_calls(path):
    """Have every inference leave a line; `recorded_calls` reads them."""
    Path(f'{path}.calls').touch()


def recorded_calls(path):
    """Return what each inference was given, as dicts."""
    return [json.loads(line) for line in Path(f'{path}.calls').read_text().splitlines()]


class StandInModel:
    """
    A stand-in's model file, opened.

    Details that the file may give beside what `write_recorded_model` takes:
        names: the models in the file; default ['stand_in'].
        tensor_type: of the input, 'NV12' (default), 'NV12_SEPARATE', 'SPLIT' (two inputs, Y and
            UV) or another, which no NV12 can be fed to.
        layout: of the input as it is reported, 'NCHW' (default) or 'NHWC'.
        align: the last axis of a quantized output is padded in memory to a multiple of it.
        trailing_ones: so many 1s at the end of each aligned shape; default none.
        anything else: for the library's own stand-in.

    """

    def __init__(self, path):
        self.path = Path(path)
        self._act_on(self._next_word('load'))
        try:
            self.facts = json.loads(self.path.read_text())
        except ValueError:
            raise RuntimeError(f'{path} is no model') from None
        self.names = self.facts.get('names', ['stand_in'])
        self.input_hw = tuple(self.facts['input_hw'])
        self.tensor_type = self.facts.get('tensor_type', 'NV12')
        self.layout = self.facts.get('layout', 'NCHW')
        self.outputs = self.facts['outputs']
        self._runtime = self._recorded = None
        if 'network' in self.facts:
            from rdk_yolo_ros.runtimes.onnx import OnnxRuntime
            self._runtime = OnnxRuntime(Path(self.facts['network']), threads=1)
            self.arrays = [np.zeros(info.shape, info.dtype) for info in self._runtime.outputs]
        else:
            with np.load(self.facts['recorded']) as file:
                self.arrays = self._recorded = [file[f'output{i}']
                                                for i in range(len(self.outputs))]
        self._queue = _Accelerator(Path(f'{path}.accelerator'), self.facts['concurrency'],
                                   self.facts['latency_s'])

    def aligned_shape(self, index):
        """Return the shape of an output in memory."""
        shape = self.arrays[index].shape
        align = self.facts.get('align', 1)
        if self.outputs[index]['scale'] is not None:
            shape = (*shape[:-1], -(-shape[-1] // align) * align)
        return (*shape, *[1] * self.facts.get('trailing_ones', 0))

    def aligned(self, index):
        """Return an output as it lies in memory; what pads it is no number that means anything."""
        shape = self.aligned_shape(index)
        array = self.arrays[index]
        if shape == array.shape:
            return array
        padded = np.full(shape, 99, array.dtype)
        padded[tuple(map(slice, array.shape))] = array.reshape(
            *array.shape, *[1] * (len(shape) - array.ndim))
        return padded

    def infer(self, nv12, call):
        """
        Run on one image, uint8 of H * 3 / 2 * W elements; returns False where it is to fail.

        Python's lock is held meanwhile. call: what goes to MODEL.calls.
        """
        done_at = self._queue.take()
        if Path(f'{self.path}.calls').exists():
            line = json.dumps({'pid': os.getpid(), **call}) + '\n'
            with open(f'{self.path}.calls', 'a') as file:
                file.write(line)
        word = self._next_word('forward')
        if word == 'hang':
            _sleep_until(time.monotonic() + 3600)
        self._act_on(word)
        if word == 'none':
            return False
        if self._runtime is not None:
            height, width = self.input_hw
            self.arrays = self._runtime.run(np.reshape(nv12, (height * 3 // 2, width)))
        _sleep_until(done_at)
        return True

    def _act_on(self, word):
        if word == 'crash':
            os._exit(139)
        if word == 'exit':
            raise SystemExit(3)
        if word == 'fail':
            raise RuntimeError('the stand-in was told to fail')

    def _next_word(self, kind):
        """Take the first word of MODEL.kind; one process at a time."""
        path = Path(f'{self.path}.{kind}')
        if not path.exists():
            return 'ok'
        with path.open('r+') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            words = file.read().split()
            file.seek(0)
            file.truncate()
            file.write(''.join(f'{word}\n' for word in words[1:]))
        return words[0] if words else 'ok'


class _Accelerator:
    """
    An accelerator that runs `concurrency` tasks at once, first come, first served.

    A file holds when each of its places is free again, seconds of the monotonic clock, which is
    the same in every process.
    """

    def __init__(self, path, concurrency, latency_s):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._format = f'{concurrency}d'
        self._latency_s = latency_s

    def take(self):
        """Return when a task that is handed in now is done."""
        size = struct.calcsize(self._format)
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            free_at = list(struct.unpack(self._format,
                                         os.pread(self._file, size, 0).ljust(size, b'\0')))
            place = free_at.index(min(free_at))
            free_at[place] = max(free_at[place], time.monotonic()) + self._latency_s
            os.pwrite(self._file, struct.pack(self._format, *free_at), 0)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        return free_at[place]


def _sleep_until(when):
    while (left := when - time.monotonic()) > 0:
        _HOLDING_THE_LOCK.usleep(min(int(left * 1e6) + 1, 900_000))


def _quantization(scale, dimensions):
    if scale is None:
        return {'scale': None, 'zero_point': None, 'axis': None}
    if isinstance(scale, dict):
        return {'zero_point': None, **scale}
    scale = np.atleast_1d(np.asarray(scale, np.float32))
    return {'scale': scale.tolist(), 'zero_point': None, 'axis': dimensions - 1}


def _write(path, facts):
    path.write_text(json.dumps(facts))
    return path
