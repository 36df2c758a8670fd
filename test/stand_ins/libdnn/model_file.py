"""
Model files for the stand-in: recorded outputs, or a network that the process brings.

The format is the stand-in's own (see stand_in.h) and has nothing to do with the vendor's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
import struct
from typing import Optional

import numpy as np

_HEADER = struct.Struct('<8sii')
_MODEL = struct.Struct('<64s6i')
_TENSOR = struct.Struct('<64si8i8i4ii8i4i4q')

LAYOUTS = {'NHWC': 0, 'NCHW': 2, None: 255}
IMAGES = {'nv12': 1, 'nv12_separate': 2}
# hbDNNDataType: the tensor types after the image types, as documented.
TYPES = {'int8': 8, 'uint8': 9, 'float16': 10, 'int16': 11, 'uint16': 12, 'float32': 13,
         'int32': 14, 'uint32': 15, 'float64': 16, 'int64': 17, 'uint64': 18}
NONE, SHIFT, SCALE = range(3)


@dataclass
class Tensor:
    """
    One input or output.

    Attributes:
        name: its name.
        shape: the valid shape.
        kind: a dtype's name, or 'nv12' or 'nv12_separate'.
        layout: 'NHWC', 'NCHW' or None.
        aligned: the shape in memory, which may have more 1s at its end; default: `shape`.
        scale, zero_point, shift: the quantization, a number for each channel or one.
        axis: the axis of more than one scale.
        data: what a recorded model puts out, of the valid shape.
        strides: bytes; default: those of `aligned`; () leaves them 0, as for images.
        type_number: hbDNNDataType; default: that of `kind`.
        quanti_type: hbDNNQuantiType; default: by what is given of `scale` and `shift`.

    """

    name: str
    shape: tuple[int, ...]
    kind: str = 'float32'
    layout: Optional[str] = 'NHWC'
    aligned: Optional[tuple[int, ...]] = None
    scale: Sequence[float] = ()
    zero_point: Sequence[int] = ()
    shift: Sequence[int] = ()
    axis: int = 0
    data: Optional[np.ndarray] = None
    strides: Optional[tuple[int, ...]] = None
    type_number: Optional[int] = None
    quanti_type: Optional[int] = None

    @property
    def in_memory(self) -> tuple[int, ...]:
        """The aligned shape."""
        return tuple(self.aligned or self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in memory; an image's are its two planes."""
        if self.kind in IMAGES:
            return int(np.prod(self.in_memory)) // 2
        return int(np.prod(self.in_memory)) * np.dtype(self.kind).itemsize

    def put(self, memory: np.ndarray, data: np.ndarray) -> None:
        """Write numbers of the valid shape to memory of the aligned one."""
        ones = (1,) * (memory.ndim - data.ndim)
        memory[tuple(slice(n) for n in self.shape)] = data.reshape(data.shape + ones)

    def memory_strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next along each axis."""
        if self.strides is not None:
            return self.strides
        if self.kind in IMAGES:
            return ()
        sizes = np.array((*self.in_memory[1:], 1), np.int64)[::-1]
        return tuple(int(n) for n in np.cumprod(sizes)[::-1] * np.dtype(self.kind).itemsize)


@dataclass
class Model:
    """
    A network of a file.

    Attributes:
        name: its name.
        inputs, outputs: its tensors; outputs with `data` are recorded, else the network that is
            set in the process computes them.
        latency: seconds that a task takes.
        concurrency: how many tasks run at once; further ones queue.

    """

    name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor] = field(default_factory=list)
    latency: float = 0.0
    concurrency: int = 1

    @property
    def recorded(self) -> bool:
        """Whether the outputs are in the file."""
        return all(output.data is not None for output in self.outputs)


def image_input(hw: tuple[int, int], kind: str = 'nv12', layout: str = 'NCHW',
                aligned_width: Optional[int] = None, name: str = 'images') -> Tensor:
    """Return an image input as the boards' models have it."""
    def shape(width: int) -> tuple[int, ...]:
        return (1, 3, hw[0], width) if layout == 'NCHW' else (1, hw[0], width, 3)
    return Tensor(name, shape(hw[1]), kind, layout,
                  aligned=shape(aligned_width) if aligned_width else None)


def write_model(path: Path, *models: Model) -> Path:
    """Write a file with one model or more, and return its path."""
    head = bytearray(_HEADER.pack(b'STANDIN1', len(models), 0))
    length = len(head) + sum(_MODEL.size + _TENSOR.size * (len(m.inputs) + len(m.outputs))
                             for m in models)
    blob = bytearray()

    def stored(values: np.ndarray) -> int:
        blob.extend(bytes(-len(blob) % 8))
        blob.extend(values.tobytes())
        return length + len(blob) - values.nbytes

    length += -length % 8
    for model in models:
        head += _MODEL.pack(model.name.encode(), len(model.inputs), len(model.outputs),
                            round(model.latency * 1e6), model.concurrency,
                            not model.recorded, 0)
        for tensor in (*model.inputs, *model.outputs):
            head += _packed_tensor(tensor, stored)
    head += bytes(-len(head) % 8)
    path = Path(path)
    path.write_bytes(bytes(head) + bytes(blob))
    return path


def write_recorded_model(path: Path, tensors: Sequence[tuple], input_hw: tuple[int, int],
                         latency: float, concurrency: int, kind: str = 'nv12') -> Path:
    """
    Write a model that puts out the same whatever it sees, and return its path.

    Args:
        path: the file.
        tensors: (name, array of the valid shape, scale or None, aligned channels or None) for
            each output; channels are the last axis, and so are the scales'.
        input_hw: (height, width) of the NV12 image.
        latency: seconds for a task.
        concurrency: tasks that run at once.
        kind: 'nv12' or 'nv12_separate'.

    """
    outputs = []
    for name, array, scale, channels in tensors:
        aligned = (*array.shape[:-1], channels) if channels else None
        scales = () if scale is None else np.atleast_1d(scale)
        outputs.append(Tensor(name, array.shape, array.dtype.name, aligned=aligned, data=array,
                              scale=scales, axis=array.ndim - 1))
    return write_model(path, Model('recorded', [image_input(input_hw, kind)], outputs, latency,
                                   concurrency))


def _packed_tensor(tensor: Tensor, stored) -> bytes:
    quanti_type, type_number = tensor.quanti_type, tensor.type_number
    if quanti_type is None:
        quanti_type = SCALE if len(tensor.scale) else SHIFT if len(tensor.shift) else NONE
    if type_number is None:
        type_number = {**IMAGES, **TYPES}[tensor.kind]
    places = [stored(np.asarray(values, dtype)) if len(values) else 0
              for values, dtype in ((tensor.scale, '<f4'), (tensor.zero_point, 'i1'),
                                    (tensor.shift, 'u1'))]
    places.append(stored(_as_in_memory(tensor)) if tensor.data is not None else 0)
    return _TENSOR.pack(
        tensor.name.encode(), len(tensor.shape), *_eight(tensor.shape),
        *_eight(tensor.in_memory), LAYOUTS[tensor.layout], type_number, quanti_type,
        tensor.axis, tensor.nbytes, *_eight(tensor.memory_strides()),
        len(tensor.scale), len(tensor.zero_point), len(tensor.shift), len(tensor.in_memory),
        *places)


def _as_in_memory(tensor: Tensor) -> np.ndarray:
    """Return the data with its padding, filled with what no reader may take for a result."""
    data = np.asarray(tensor.data, tensor.kind)
    if data.shape != tuple(tensor.shape):
        raise ValueError(f'{tensor.name}: data has shape {data.shape}, expected {tensor.shape}')
    memory = np.full(tensor.in_memory, 0, tensor.kind)
    memory.view(np.uint8)[:] = 0x7B
    tensor.put(memory, data)
    return memory


def _eight(values: Sequence[int]) -> list[int]:
    return [*values, *[0] * (8 - len(values))]
