"""SlotMemory: two holders of one memory see the same, and nothing has a name."""

import errno
import mmap
import os

import numpy as np
import pytest

from rdk_yolo_ros.runtimes.slot_memory import SlotMemory
from rdk_yolo_ros.tensors import TensorInfo

HW = (6, 10)
OUTPUTS = [TensorInfo('a', (1, 3, 3, 7), 'int8'), TensorInfo('b', (1, 2, 2, 5), 'float64'),
           TensorInfo('none', (1, 0, 2), 'int32'), TensorInfo('c', (4,), 'float16')]


@pytest.fixture(params=['memfd', 'file'])
def memory(request, monkeypatch):
    if request.param == 'file':
        monkeypatch.delattr(os, 'memfd_create', raising=False)
    memory = SlotMemory(HW, OUTPUTS, 3)
    yield memory
    memory.close()


def test_another_holder_sees_what_is_written(memory):
    other = SlotMemory(HW, OUTPUTS, 3, os.dup(memory.fd))
    rng = np.random.default_rng(0)
    written = []
    for slot in range(3):
        for array in (memory.image(slot), *memory.outputs(slot)):
            values = rng.integers(0, 100, array.shape).astype(array.dtype)
            array[...] = values
            written.append(values)
    # Written all before any is read: none lies where another does.
    for slot in range(3):
        assert other.image(slot).shape == (9, 10)
        assert other.image(slot).dtype == np.uint8
        for info, array in zip(OUTPUTS, other.outputs(slot)):
            assert (array.shape, array.dtype) == (info.shape, info.dtype)
            # What reads whole cache lines, as copies do, finds a beginning of one.
            assert array.size == 0 or array.__array_interface__['data'][0] % 64 == 0
        for array in (other.image(slot), *other.outputs(slot)):
            np.testing.assert_array_equal(array, written.pop(0))
    other.close()


def test_it_has_no_name(memory):
    assert os.readlink(f'/proc/self/fd/{memory.fd}').endswith('(deleted)')


def test_views_outlive_it(memory):
    image = memory.image(2)
    image[...] = 7
    memory.close()
    memory.close()
    assert (image == 7).all()


def test_what_cannot_be_mapped_leaves_no_descriptor(monkeypatch):
    def refused(*arguments):
        raise OSError(errno.ENOMEM, 'Cannot allocate memory')
    kept = SlotMemory(HW, OUTPUTS, 1)
    before = set(os.listdir('/proc/self/fd'))
    monkeypatch.setattr(mmap, 'mmap', refused)
    with pytest.raises(OSError, match='Cannot allocate'):
        SlotMemory(HW, OUTPUTS, 1)
    # One that was given stays its giver's.
    with pytest.raises(OSError, match='Cannot allocate'):
        SlotMemory(HW, OUTPUTS, 1, kept.fd)
    assert set(os.listdir('/proc/self/fd')) == before
    os.fstat(kept.fd)
    kept.close()
