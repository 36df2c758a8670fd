"""What the BPU's Python libraries say of a model's tensors, as TensorInfo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes.base import check_image_size
from rdk_yolo_ros.tensors import TensorInfo


def image_size(shape: Sequence[int], layout: Optional[str], where: str) -> tuple[int, int]:
    """
    Return (height, width) of an NV12 input that is reported as an image of three channels.

    Args:
        shape: (1, 3, H, W) as the X5 reports it, or (1, H, W, 3).
        layout: 'NCHW' or 'NHWC' where both fit.
        where: the model and the input, for messages.

    Raises:
        ModelError: it is no such shape, or one that NV12 cannot fill.

    """
    shape = tuple(int(n) for n in shape)
    sizes = {}
    if len(shape) == 4 and shape[0] == 1:
        if shape[1] == 3:
            sizes['NCHW'] = shape[2:]
        if shape[3] == 3:
            sizes['NHWC'] = shape[1:3]
    if not sizes:
        raise ModelError(f'{where} has shape {shape}, expected (1, 3, height, width) or '
                         '(1, height, width, 3)')
    height, width = sizes.get(layout or '', next(iter(sizes.values())))
    return check_image_size(height, width, where)


def choose_model(names: Sequence[str], wanted: Optional[str], path: Path) -> int:
    """
    Return which of a file's models to run.

    Raises:
        ModelError: there is none, none of that name, or several and no name is given.

    """
    listed = ', '.join(names)
    if wanted is not None:
        if wanted not in names:
            raise ModelError(f'{path} has no model {wanted!r}, expected one of: '
                             f'{listed or "none at all"}; set `model_name` to one of them')
        return list(names).index(wanted)
    if not names:
        raise ModelError(f'{path} has no model in it; compile it again')
    if len(names) > 1:
        raise ModelError(f'{path} has {len(names)} models: {listed}; set `model_name` to one of '
                         'them')
    return 0


def output_info(name: str, shape: Sequence[int], dtype: Any, where: str,
                layout: Optional[str] = None, scale: Any = (), zero_point: Any = (),
                axis: Optional[int] = None,
                aligned_shape: Optional[Sequence[int]] = None) -> TensorInfo:
    """
    Return an output as a TensorInfo.

    Args:
        name: the output's.
        shape: its valid shape.
        dtype: numpy's name of its type, or the type.
        where: the model, for messages.
        layout: 'NHWC' or 'NCHW'; anything else is no layout.
        scale: the scales, none for a tensor that is not quantized.
        zero_point: as many or one; none, or zeros, where there is no offset.
        axis: what several scales run along; None: the channels, which are last unless the layout
            is NCHW or the number of scales says otherwise.
        aligned_shape: the shape in memory.

    Raises:
        ModelError: something does not fit.

    """
    where = f'{where}: output {name!r}'
    shape = tuple(int(n) for n in shape)
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in 'fiu':
        raise ModelError(f'{where} is of a type that is not known, expected a tensor of numbers')
    layout = layout if layout in ('NHWC', 'NCHW') else None
    scales = np.array(scale, np.float32).reshape(-1)
    zeros = np.array(zero_point, np.int64).reshape(-1)
    # A float is a real number already, whatever else is said of it.
    quantized = dtype.kind in 'iu' and scales.size > 0
    if quantized and scales.size > 1 and axis is None:
        axis = _channel_axis(shape, layout, scales.size)
    try:
        return TensorInfo(
            name, shape, dtype, layout,
            scale=scales if quantized else None,
            zero_point=zeros if quantized and zeros.any() else None,
            quantize_axis=axis if quantized and max(scales.size, zeros.size) > 1 else None,
            aligned_shape=None if aligned_shape is None or tuple(aligned_shape) == shape
            else tuple(aligned_shape))
    except (ValueError, OverflowError) as error:
        raise ModelError(f'{where}: {error}') from None


def without_trailing_ones(aligned: Sequence[int], dimensions: int) -> tuple[int, ...]:
    """
    Return the shape in memory with as many dimensions as the valid shape, where it has more.

    The documentation calls every aligned shape four-dimensional: a valid (1, 1000) may come with
    (1, 1000, 1, 1).
    """
    aligned = tuple(int(n) for n in aligned)
    while len(aligned) > dimensions and aligned[-1] == 1:
        aligned = aligned[:-1]
    return aligned


def holds(aligned: Sequence[int], shape: Sequence[int]) -> bool:
    """Return whether memory of the one shape has a place for all elements of the other."""
    return len(aligned) == len(shape) and all(a >= n for a, n in zip(aligned, shape))


def without_padding(array: np.ndarray, info: TensorInfo) -> np.ndarray:
    """
    Return a view of an output without its padding, also where the library does not tell of any.

    Raises:
        ValueError: it has another type, or another number of elements.

    """
    if array.dtype == info.dtype and array.ndim == len(info.shape) \
            and all(n >= valid for n, valid in zip(array.shape, info.shape)):
        return array[tuple(slice(n) for n in info.shape)]
    return info.valid(array)


def one_line(error: BaseException) -> str:
    """Return an error as a line, with what it hides: a C library may leave its own behind."""
    inner = error.__cause__ or error.__context__
    texts = [' '.join(str(e).split()) or type(e).__name__ for e in (inner, error) if e is not None]
    return ': '.join(dict.fromkeys(texts))[:300]


def _channel_axis(shape: tuple[int, ...], layout: Optional[str], count: int) -> Optional[int]:
    """Return the axis that `count` scales run along, or None."""
    last, second = len(shape) - 1, 1
    for axis in (second, last) if layout == 'NCHW' else (last, second):
        if -1 < axis < len(shape) and shape[axis] == count:
            return axis
    return None
