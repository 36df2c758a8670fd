"""
One inference's memory on the BPU's side: the image that it reads, the outputs that it writes.

The memory is cached: what the processor writes has to be carried to where the BPU reads (clean),
and what the BPU wrote has to be fetched before the processor reads it (invalidate).
"""

from __future__ import annotations

from collections.abc import Sequence
import ctypes as c
import logging
from typing import Optional

import numpy as np

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import libdnn_abi as abi
from rdk_yolo_ros.runtimes.hb_errors import explain, hb_error
from rdk_yolo_ros.runtimes.libdnn_tensors import ImageLayout, OutputLayout

_log = logging.getLogger(__name__)


class Buffers:
    """
    The memory of one inference, for `free` to give back.

    Where the library takes the image as two planes, both lie in one block, the second at an offset
    to the first one's physical address, so that the image stays one array. The documentation says
    that each plane has a hbSysMem of its own; that a part of a block may stand in its place is not
    said there, and has not yet been seen on a board.

    Attributes:
        image: uint8 (H * 3 / 2, W), a view on what the BPU reads; None where its rows are padded.
        views: the outputs, read-only views on what the BPU writes, without padding.
        input: the image as the library takes it.
        outputs: pointer to the first output as the library takes it.

    Raises:
        ModelError: the memory cannot be had.

    """

    def __init__(self, library: c.CDLL, where: object, layout: ImageLayout,
                 input_properties: abi.hbDNNTensorProperties, outputs: Sequence[OutputLayout],
                 output_properties: Sequence[abi.hbDNNTensorProperties]) -> None:
        """Get the memory."""
        self._library = library
        self._where = where
        self._layout = layout
        self._blocks: list[abi.hbSysMem] = []
        try:
            self._prepare_input(input_properties)
            self._prepare_outputs(outputs, output_properties)
        except BaseException:
            self.free()
            raise

    def fill(self, nv12: np.ndarray) -> None:
        """
        Copy an image to where the BPU reads it.

        Args:
            nv12: uint8 (H * 3 / 2, W).

        """
        height = self._layout.hw[0]
        np.copyto(self._luma, nv12[:height])
        np.copyto(self._chroma, nv12[height:])

    def clean(self) -> None:
        """Let the BPU see the image."""
        self._flush(self._blocks[0], abi.CLEAN)

    def invalidate(self) -> None:
        """Let the processor see the outputs."""
        for block in self._blocks[1:]:
            self._flush(block, abi.INVALIDATE)

    def free(self) -> None:
        """Give the memory back; the views must not be used any more, for they would crash."""
        while self._blocks:
            code = self._library.hbSysFreeMem(c.byref(self._blocks.pop()))
            if code:
                _log.warning('%s: %s', self._where, explain('hbSysFreeMem', code))

    def _prepare_input(self, properties: abi.hbDNNTensorProperties) -> None:
        layout = self._layout
        (height, width), pitch = layout.hw, layout.pitch
        block = self._allocate(layout.nbytes)
        memory = _bytes(block)
        memory[:] = 0  # padding is read, too
        luma_bytes = layout.rows * pitch
        self._luma = memory[:luma_bytes].reshape(-1, pitch)[:height, :width]
        self._chroma = memory[luma_bytes:luma_bytes * 3 // 2].reshape(-1, pitch)[:height // 2,
                                                                               :width]
        self.image: Optional[np.ndarray] = None
        if layout.packed:
            self.image = memory[:luma_bytes * 3 // 2].reshape(-1, width)
        self.input = abi.hbDNNTensor(properties=properties)
        self.input.sysMem[0] = block
        if layout.separate:
            # That they touch makes a packed image of them, which can be written in one go.
            self.input.sysMem[0].memSize = luma_bytes
            self.input.sysMem[1] = abi.hbSysMem(block.phyAddr + luma_bytes,
                                                block.virAddr + luma_bytes, luma_bytes // 2)

    def _prepare_outputs(self, outputs: Sequence[OutputLayout],
                         properties: Sequence[abi.hbDNNTensorProperties]) -> None:
        self._tensors = (abi.hbDNNTensor * len(outputs))()
        self.outputs = c.cast(self._tensors, c.POINTER(abi.hbDNNTensor))
        self.views: list[np.ndarray] = []
        for tensor, output, described in zip(self._tensors, outputs, properties):
            tensor.properties = described
            tensor.sysMem[0] = self._allocate(output.nbytes)
            view = np.ndarray(output.info.shape, output.info.dtype, _bytes(tensor.sysMem[0]),
                              strides=output.strides)
            view.flags.writeable = False
            self.views.append(view)

    def _allocate(self, nbytes: int) -> abi.hbSysMem:
        block = abi.hbSysMem()
        code = self._library.hbSysAllocCachedMem(c.byref(block), nbytes)
        if code:
            raise hb_error(self._where, f'hbSysAllocCachedMem of {nbytes} bytes', code)
        if not block.virAddr:
            raise ModelError(f'{self._where}: hbSysAllocCachedMem gave no address for {nbytes} '
                             'bytes')
        self._blocks.append(block)
        return block

    def _flush(self, block: abi.hbSysMem, flag: int) -> None:
        code = self._library.hbSysFlushMem(c.byref(block), flag)
        if code:
            raise hb_error(self._where, 'hbSysFlushMem', code)


class Place:
    """One slot's memory; None after it was given up, until somebody needs the place again."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers: Optional[Buffers] = buffers


def _bytes(block: abi.hbSysMem) -> np.ndarray:
    """Return a block as uint8 (bytes,)."""
    return np.frombuffer((c.c_uint8 * block.memSize).from_address(block.virAddr), np.uint8)
