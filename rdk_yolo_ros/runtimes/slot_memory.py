"""SlotMemory: the images and outputs of a runtime's slots, in memory that processes share."""

from __future__ import annotations

from collections.abc import Sequence
import mmap
import os
import tempfile

import numpy as np

from rdk_yolo_ros.tensors import TensorInfo

_PAGE, _LINE = 4096, 64


class SlotMemory:
    """
    One piece of memory for all slots.

    It has no name: the system frees it when the last process that holds it is gone, whatever
    ended it, so that nothing has to be unlinked. A view keeps it alive.

    Attributes:
        fd: the memory, for another process.
        slots: how many.

    Args:
        input_hw: (height, width) of the NV12 images.
        outputs: what the model returns.
        slots: how many.
        fd: the memory that another process made with the same arguments; -1 makes it.

    Raises:
        OSError: it cannot be had; an `fd` that was given stays open.

    """

    def __init__(self, input_hw: tuple[int, int], outputs: Sequence[TensorInfo], slots: int,
                 fd: int = -1) -> None:
        self.slots = slots
        self._image_shape = (input_hw[0] * 3 // 2, input_hw[1])
        self._outputs = list(outputs)
        self._offsets = []
        offset = _up(int(np.prod(self._image_shape)), _LINE)
        for info in self._outputs:
            self._offsets.append(offset)
            offset += _up(int(np.prod(info.shape, dtype=np.int64)) * info.dtype.itemsize, _LINE)
        self._slot_size = _up(offset, _PAGE)
        size = self._slot_size * slots
        self.fd = _create(size) if fd < 0 else fd
        try:
            self._memory = mmap.mmap(self.fd, size)
        except (OSError, ValueError):
            if fd < 0:
                self.close()
            raise

    def image(self, slot: int) -> np.ndarray:
        """Return a slot's image, uint8 (H * 3 / 2, W)."""
        return self._view(slot, 0, self._image_shape, np.dtype(np.uint8))

    def outputs(self, slot: int) -> list[np.ndarray]:
        """Return a slot's outputs, each with its shape and dtype."""
        return [self._view(slot, offset, info.shape, info.dtype)
                for offset, info in zip(self._offsets, self._outputs)]

    def close(self) -> None:
        """Let the descriptor go; the views stay."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _view(self, slot: int, offset: int, shape: tuple[int, ...],
              dtype: np.dtype) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._memory, dtype, count,
                             slot * self._slot_size + offset).reshape(shape)


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _create(size: int) -> int:
    if hasattr(os, 'memfd_create'):
        fd = os.memfd_create('rdk_yolo_slots')
    else:  # a Python built for an older C library
        with tempfile.TemporaryFile(dir='/dev/shm') as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd
