"""The stand-ins of the BPU's Python libraries, for tests."""

from contextlib import contextmanager
import importlib.util
import os
from pathlib import Path
import sys
import time

import numpy as np

STAND_INS = Path(__file__).resolve().parents[1] / 'stand_ins'
MODELS = Path(__file__).resolve().parents[2] / 'models'
HW = (64, 96)
LIBRARIES = ('hobot_dnn', 'hobot_dnn_rdkx5', 'hbm_runtime')

_spec = importlib.util.spec_from_file_location('stand_in_model', STAND_INS / 'stand_in_model.py')
stand_in_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stand_in_model)


@contextmanager
def installed(*folders):
    """Have the libraries in these folders installed, and no others, here and in workers."""
    path = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    _forget()
    try:
        yield
    finally:
        sys.path[:] = path
        _forget()


def _forget():
    for name in list(sys.modules):
        if name.split('.')[0] in LIBRARIES:
            del sys.modules[name]


def some_tensors(seed=0, quantized=True, channels=51):
    """Return outputs of a small model, as `write_recorded_model` takes them."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-2**31, 2**31, (1, 8, 8, channels), dtype=np.int32)
    scales = rng.uniform(1e-4, 1e-2, channels).astype(np.float32)
    return [('box', numbers, scales) if quantized else ('box', numbers.astype(np.float32)),
            ('cls', rng.normal(size=(1, 8, 8, 3)).astype(np.float32))]


def recorded_model(path, **details):
    """Write a model of HW whose outputs are `some_tensors()`; return its path."""
    return stand_in_model.write_recorded_model(path, some_tensors(), HW, 0.0, **details)


def assert_recorded(outputs, tensors=None):
    """Assert that a run gave the recorded outputs."""
    for output, (_, array, *_) in zip(outputs, tensors or some_tensors(), strict=True):
        np.testing.assert_array_equal(output, array)


def grey(hw=HW):
    """Return a grey NV12 image."""
    return np.full((hw[0] * 3 // 2, hw[1]), 128, np.uint8)


def is_running(pid):
    """Return whether a process is there and not merely waiting to be buried."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def wait_until(condition, seconds):
    """Return whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def mapping_of(array):
    """Return (name, inode) of the file whose memory an array lies in, from the kernel's list."""
    address = array.__array_interface__['data'][0]
    for line in Path(f'/proc/{os.getpid()}/maps').read_text().splitlines():
        fields = line.split(maxsplit=5)
        start, end = (int(text, 16) for text in fields[0].split('-'))
        if start <= address and address + array.nbytes <= end:
            return (fields[5] if len(fields) > 5 else ''), fields[4]
    return '', '0'


def worker_command_lines():
    """Return the command lines of this process's workers."""
    children = Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text().split()
    lines = [Path(f'/proc/{pid}/cmdline').read_bytes().decode().replace('\0', ' ')
             for pid in children if is_running(pid)]
    return [line for line in lines if 'worker_main' in line]
