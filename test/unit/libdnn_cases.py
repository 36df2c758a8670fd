"""What the tests of runtime libdnn share: the stand-in library, and models for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
import shutil
import tempfile
import time

import numpy as np
import pytest
from stand_ins.libdnn import Model, StandIn, Tensor, compile_stand_in, image_input, write_model

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import RuntimeOptions
from rdk_yolo_ros.runtimes.libdnn import LibdnnRuntime
from rdk_yolo_ros.runtimes.libdnn_abi import LIBRARY_VARIABLE

HW = (32, 64)
OUTPUTS = 4  # of a recorded model
# What a loaded machine may add to a wait, seconds.
MARGIN = 5.0
NOTHING = (0, 0, 0, 0)


@lru_cache
def _library():
    # Kept for as long as the process, which holds the library loaded.
    folder = tempfile.TemporaryDirectory(prefix='libdnn_stand_in_')
    return folder, compile_stand_in(folder.name)


def library():
    """Return the compiled stand-in."""
    if shutil.which('gcc') is None:
        pytest.skip('the stand-in for libdnn is compiled with gcc, which is not here')
    return _library()[1]


@contextmanager
def stand_in_in_use(monkeypatch) -> Iterator[StandIn]:
    """Let `runtime: libdnn` use the stand-in; nothing may be left in it afterwards."""
    control = StandIn(library())
    monkeypatch.setenv(LIBRARY_VARIABLE, str(library()))
    control.reset()
    yield control
    try:
        eventually(lambda: control.counts().live == NOTHING)
        counts = control.counts()
        assert counts.live == NOTHING, 'models, tasks, running tasks, memory blocks'
        assert counts.writes_to_freed == 0
        assert counts.misuse == 0
    finally:
        control.reset()


def eventually(condition, limit=5.0):
    """Wait until something is true, for `limit` seconds at most; return whether it is."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def recorded_outputs(rng):
    """Return outputs of all kinds, with their data."""
    return [
        Tensor('box', (1, 4, 8, 64), 'int32', scale=rng.uniform(.001, .01, 64), axis=3,
               data=rng.integers(-2**20, 2**20, (1, 4, 8, 64))),
        Tensor('keypoints', (1, 4, 8, 51), 'int32', aligned=(1, 4, 8, 64),
               scale=rng.uniform(.001, .01, 51), axis=3,
               data=rng.integers(-2**20, 2**20, (1, 4, 8, 51))),
        Tensor('class', (1, 4, 8, 1), 'float32', aligned=(1, 4, 8, 4),
               data=rng.normal(0, 1, (1, 4, 8, 1))),
        Tensor('flipped', (1, 5, 4, 6), 'int8', 'NCHW', aligned=(1, 5, 4, 16), shift=(3,),
               data=rng.integers(-128, 127, (1, 5, 4, 6))),
    ]


def recorded(path, latency=0.0, concurrency=2, image=None):
    """Write a model with `recorded_outputs` and return its path."""
    outputs = recorded_outputs(np.random.default_rng(7))
    return write_model(path, Model('recorded', [image or image_input(HW)], outputs, latency,
                                   concurrency))


ECHO = [Tensor('echo', (1, HW[0] * 3 // 2, HW[1], 1), 'uint8',
               aligned=(1, HW[0] * 3 // 2, HW[1], 4))]


def echo(path, control, latency=0.0, concurrency=2, image=None):
    """Write a model that returns the NV12 that it sees, and return its path."""
    control.set_network(lambda nv12: [nv12[None, :, :, None]], ECHO)
    return write_model(path, Model('echo', [image or image_input(HW)], ECHO, latency,
                                   concurrency))


def noise(seed, hw=HW):
    """Return an NV12 image."""
    return np.random.default_rng(seed).integers(0, 256, (hw[0] * 3 // 2, hw[1]), np.uint8)


def opened(path, **options):
    """Open a model."""
    return LibdnnRuntime(path, options=RuntimeOptions(**options))


def ends_with(errors, runtime):
    """Run an inference, for a thread; a ModelError is added to `errors`."""
    try:
        runtime.run(noise(0))
    except ModelError as error:
        errors.append(error)


def sees(runtime, seed):
    """Return whether an echo model returns the image that it is given."""
    return np.array_equal(runtime.run(noise(seed))[0][0, :, :, 0], noise(seed))


def model_of(path, *outputs, image=None):
    """Write a model with `outputs`, each made to put out counting numbers."""
    for output in outputs:
        if output.data is None:
            output.data = np.arange(np.prod(output.shape)).reshape(output.shape) % 100
    return write_model(path / 'm.bin', Model('m', [image or image_input(HW)], list(outputs)))


def refusal(path, *outputs, image=None, options=None):
    """Return the one line that opening a model fails with."""
    with pytest.raises(ModelError) as caught:
        LibdnnRuntime(model_of(path, *outputs, image=image), options=options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert '\n' not in message
    return message
