"""How a model's image and outputs lie in BPU memory, read from libdnn's tensor properties."""

from __future__ import annotations

from dataclasses import dataclass
import logging
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import libdnn_abi as abi
from rdk_yolo_ros.runtimes.base import check_image_size
from rdk_yolo_ros.runtimes.bpu_tensors import (
    holds,
    output_info,
    without_trailing_ones,
)
from rdk_yolo_ros.tensors import TensorInfo

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageLayout:
    """
    An NV12 image in memory: `rows` rows of luma, then half as many of chroma.

    Attributes:
        hw: (height, width), pixels.
        rows: rows of the luma plane, padding included.
        pitch: bytes from one row to the next.
        separate: whether the interface takes the two planes as two pieces of memory.
        nbytes: of both planes.

    """

    hw: tuple[int, int]
    rows: int
    pitch: int
    separate: bool
    nbytes: int

    @property
    def packed(self) -> bool:
        """Whether the memory is the image alone, uint8 (H * 3 / 2, W)."""
        return (self.rows, self.pitch) == self.hw


@dataclass(frozen=True)
class OutputLayout:
    """
    An output in memory.

    Attributes:
        info: what the runtime says of it.
        strides: bytes from one element to the next along each axis of `info.shape`.
        nbytes: padding included.

    """

    info: TensorInfo
    strides: tuple[int, ...]
    nbytes: int


def image_layout(properties: abi.hbDNNTensorProperties, where: str) -> ImageLayout:
    """
    Return where an image input has its pixels.

    Args:
        properties: the input's.
        where: what a message begins with.

    Raises:
        ModelError: the input is no single NV12 image.

    """
    kind, valid = _type_name(properties), _shape(properties.validShape)
    if properties.tensorType not in (abi.NV12, abi.NV12_SEPARATE):
        raise ModelError(f'{where} takes {kind} {valid}, expected an NV12 image; compile the '
                         'model with input_type_rt nv12')
    first = _first_image_axis(properties)
    if len(valid) != 4 or valid[0] != 1 or first is None:
        raise ModelError(f'{where} takes {kind} {valid}, expected (1, 3, H, W) or (1, H, W, 3); '
                         'compile the model for a batch of 1')
    height, width = check_image_size(valid[first], valid[first + 1], where)
    aligned = _shape(properties.alignedShape)
    rows, pitch = height, width
    if len(aligned) == 4:
        rows, pitch = max(height, aligned[first]), max(width, aligned[first + 1])
    nbytes = max(rows * pitch * 3 // 2, properties.alignedByteSize)
    return ImageLayout((height, width), rows, pitch,
                       properties.tensorType == abi.NV12_SEPARATE, nbytes)


def output_layout(name: str, properties: abi.hbDNNTensorProperties, where: str) -> OutputLayout:
    """
    Return what an output is and where its elements are.

    Args:
        name: the output's.
        properties: the output's.
        where: the model, for messages.

    Raises:
        ModelError: a type that numpy lacks, or a shape, strides or scales that contradict each
            other.

    """
    kind, place = _type_name(properties), f'{where}: output {name!r}'
    if kind not in abi.DTYPES:
        raise ModelError(f'{place} is of type {kind}, expected one of {", ".join(abi.DTYPES)}')
    dtype = np.dtype(abi.DTYPES[kind])
    shape = _shape(properties.validShape)
    aligned = without_trailing_ones(_shape(properties.alignedShape), len(shape))
    strides = _strides(properties, shape, aligned, dtype.itemsize, place)
    info = output_info(name, shape, dtype, where, abi.LAYOUTS.get(properties.tensorLayout),
                       aligned_shape=aligned if holds(aligned, shape) else None,
                       **_quantization(properties, shape, place))
    return OutputLayout(info, strides, properties.alignedByteSize)


def memory_text(properties: abi.hbDNNTensorProperties) -> str:
    """Return in words what the library says of a tensor, as it says it."""
    valid = _shape(properties.validShape)
    kind = properties.quantiType
    return (f'{_type_name(properties)} valid {valid} aligned {_shape(properties.alignedShape)}, '
            f'{abi.LAYOUTS.get(properties.tensorLayout, "no layout")}, '
            f'{properties.alignedByteSize} bytes, '
            f'strides {tuple(properties.stride[:len(valid)])}, quantization '
            + (abi.QUANTIZATIONS[kind] if 0 <= kind < len(abi.QUANTIZATIONS) else str(kind)))


def _strides(properties: abi.hbDNNTensorProperties, shape: tuple[int, ...],
             aligned: tuple[int, ...], itemsize: int, where: str) -> tuple[int, ...]:
    """Return the stated strides where they are possible, else those of the aligned shape."""
    if not shape or any(n < 1 for n in shape):
        raise ModelError(f'{where} has shape {shape}, expected numbers of 1 or more')
    nbytes = properties.alignedByteSize
    stated = tuple(properties.stride[:len(shape)])
    of_aligned = tuple(itemsize * int(np.prod(aligned[axis + 1:], dtype=np.int64))
                       for axis in range(len(shape)))
    fits = holds(aligned, shape) and _possible(of_aligned, shape, itemsize, nbytes)
    if _possible(stated, shape, itemsize, nbytes):
        # An axis of one element has no next one that a stride could lead to.
        if fits and any(n > 1 and one != other
                        for n, one, other in zip(shape, stated, of_aligned)):
            _log.warning('%s: the strides %s and the aligned shape %s, which amounts to %s, '
                         'contradict each other; the strides are taken: compare a picture with '
                         'runtime hbm or pyeasy_dnn', where, stated, aligned, of_aligned)
        return stated
    if fits:
        if any(stated):
            _log.warning('%s: the strides %s are not possible, those of the aligned shape %s are '
                         'taken', where, stated, aligned)
        return of_aligned
    raise ModelError(f'{where}: shape {shape} in {nbytes} bytes fits neither the strides {stated} '
                     f'nor the aligned shape {aligned}; check that libdnn.so is that of RDK X3 or '
                     'X5')


def _possible(strides: tuple[int, ...], shape: tuple[int, ...], itemsize: int,
              nbytes: int) -> bool:
    """Return whether all elements are inside the memory, and none lies on another."""
    reach = itemsize
    for stride, length in zip(reversed(strides), reversed(shape)):
        if length > 1 and (stride < reach or stride % itemsize):
            return False
        reach += stride * (length - 1)
    return min(strides) >= 0 and reach <= nbytes


def _quantization(properties: abi.hbDNNTensorProperties, shape: tuple[int, ...],
                  where: str) -> dict[str, Any]:
    """Return what makes the numbers real ones, as `output_info` takes it."""
    kind, axis = properties.quantiType, properties.quantizeAxis
    if kind == abi.QUANTI_NONE:
        return {}
    if kind == abi.QUANTI_SHIFT:
        shift = _numbers(properties.shift.shiftData, properties.shift.shiftLen, shape, axis)
        return {'scale': np.exp2(-shift.astype(np.float64)), 'axis': axis}
    if kind == abi.QUANTI_SCALE:
        scale = properties.scale
        return {'scale': _numbers(scale.scaleData, scale.scaleLen, shape, axis),
                'zero_point': _numbers(scale.zeroPointData, scale.zeroPointLen, shape, axis),
                'axis': axis}
    raise ModelError(f'{where} has a quantization of type {kind}, expected 0 (none), 1 (shift) or '
                     '2 (scale)')


def _numbers(pointer: Any, length: int, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Return a copy of an array of the library, without what belongs to padded channels."""
    if not pointer or length < 1:
        return np.zeros(0, np.float32)
    numbers = np.array(np.ctypeslib.as_array(pointer, (length,)))
    if length > 1 and 0 <= axis < len(shape):
        numbers = numbers[:shape[axis]]
    return numbers


def _first_image_axis(properties: abi.hbDNNTensorProperties) -> Optional[int]:
    """Return the axis of the height; the layout that is reported is a hint only."""
    valid = _shape(properties.validShape)
    if len(valid) != 4:
        return None
    first = [axis for axis, channels in ((2, 1), (1, 3)) if valid[channels] == 3]
    if abi.LAYOUTS.get(properties.tensorLayout) == 'NHWC':
        first.reverse()
    return first[0] if first else None


def _shape(shape: abi.hbDNNTensorShape) -> tuple[int, ...]:
    return tuple(shape.dimensionSize[:max(0, min(shape.numDimensions, abi.MAX_DIMENSIONS))])


def _type_name(properties: abi.hbDNNTensorProperties) -> str:
    number = properties.tensorType
    return abi.DATA_TYPES[number] if 0 <= number < len(abi.DATA_TYPES) else f'number {number}'
