"""TensorInfo: what a runtime says of one model output, and how its numbers become real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

import numpy as np


@dataclass(frozen=True, eq=False)
class TensorInfo:
    """
    One output tensor of a model.

    Attributes:
        name: the tensor's name in the model.
        shape: its valid shape, batch included, for example (1, 80, 80, 64).
        dtype: the numpy dtype of the array that the runtime returns.
        layout: 'NHWC', 'NCHW' or None where the runtime does not know. A hint only: some tools
            report NCHW for a one-channel NHWC tensor.
        scale: float32 (C,) or (1,), or None for a tensor that needs no dequantizing; the real
            value is (stored - zero_point) * scale.
        zero_point: int32 (C,) or (1,), or None for 0.
        quantize_axis: the axis that a scale of more than one element runs along.
        aligned_shape: the shape in memory where rows are padded, or None where it is `shape`.

    A power-of-two shift s is the scale 2**-s; ESP-DL's exponent e is 2**e.

    Raises:
        ValueError: a shape is no shape, a scale is not above 0 and finite, or the number of
            scales or zero points does not fit `quantize_axis`; names the tensor.

    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    layout: Optional[str] = None
    scale: Optional[np.ndarray] = None
    zero_point: Optional[np.ndarray] = None
    quantize_axis: Optional[int] = None
    aligned_shape: Optional[tuple[int, ...]] = None

    def __post_init__(self) -> None:
        """Normalise what callers give loosely: lists, scalars, dtype names."""
        object.__setattr__(self, 'shape', tuple(int(n) for n in self.shape))
        object.__setattr__(self, 'dtype', np.dtype(self.dtype))
        if self.scale is not None:
            object.__setattr__(self, 'scale', np.atleast_1d(
                np.asarray(self.scale, np.float32)))
        if self.zero_point is not None:
            object.__setattr__(self, 'zero_point', np.atleast_1d(
                np.asarray(self.zero_point, np.int32)))
        if self.aligned_shape is not None:
            object.__setattr__(self, 'aligned_shape', tuple(int(n) for n in self.aligned_shape))
        self._check()

    def _check(self) -> None:
        if any(n < 0 for n in self.shape):
            raise ValueError(f'tensor {self.name!r} has shape {self.shape}, expected numbers of 0 '
                             'or more')
        aligned = self.aligned_shape
        if aligned is not None and (len(aligned) != len(self.shape) or any(
                n < valid for n, valid in zip(aligned, self.shape))):
            raise ValueError(f'tensor {self.name!r}: the aligned shape {aligned} does not hold '
                             f'the shape {self.shape}')
        if self.scale is not None and not np.all(np.isfinite(self.scale) & (self.scale > 0)):
            raise ValueError(f'tensor {self.name!r}: scale is {self.scale.tolist()[:8]}, expected '
                             'finite numbers above 0')
        for what, values in (('scale', self.scale), ('zero_point', self.zero_point)):
            if values is None or values.shape == (1,):
                continue
            axis = self.quantize_axis
            if values.ndim > 1 or axis is None or not -len(self.shape) <= axis < len(self.shape) \
                    or self.shape[axis] != len(values):
                raise ValueError(
                    f'tensor {self.name!r}: {what} has {values.size} elements, which does not fit '
                    f'axis {axis} of shape {self.shape}; expected one element, or as many as '
                    'that axis is long')

    @property
    def quantized(self) -> bool:
        """True where stored numbers must be scaled to become real ones."""
        return self.scale is not None

    def valid(self, array: np.ndarray) -> np.ndarray:
        """
        Return `array` as a view of `shape`, without the padding of `aligned_shape`.

        Args:
            array: what the runtime returned, of `shape` or `aligned_shape`, or flat.

        Raises:
            ValueError: it has another number of elements, or another dtype.

        """
        if array.dtype != self.dtype:
            raise ValueError(f'tensor {self.name!r} is {array.dtype}, expected {self.dtype}')
        if array.shape == self.shape:
            return array
        for shape in (self.shape, self.aligned_shape):
            if shape is not None and array.size == int(np.prod(shape)):
                return array.reshape(shape)[tuple(slice(n) for n in self.shape)]
        raise ValueError(f'tensor {self.name!r} has shape {array.shape}, expected {self.shape}'
                         + (f' or {self.aligned_shape}' if self.aligned_shape else ''))


def dequantize(stored: np.ndarray, info: TensorInfo) -> np.ndarray:
    """
    Return the real values of stored ones: (stored - zero_point) * scale.

    Args:
        stored: (..., C) numbers selected from the tensor, its channels last.
        info: the tensor they come from.

    Returns:
        float32 (..., C); float32 input without a scale is returned as it is.

    """
    if info.scale is None:
        return stored.astype(np.float32, copy=False)
    if info.zero_point is not None and info.zero_point.any():
        # int64: an int32 minus a zero point may leave the int32 range.
        stored = stored.astype(np.int64) - info.zero_point
    return stored.astype(np.float32) * info.scale


def stored_threshold(info: TensorInfo, real: float) -> Union[np.ndarray, float]:
    """
    Return the limit t such that stored > t exactly where the real value > `real`.

    So that a threshold is applied before anything is dequantized. A scalar, or (C,) where the
    scale is per channel. Scales are positive in every quantizer that this package reads.
    """
    if info.scale is None:
        return _rounded_down(real, info.dtype)
    zero_point = 0 if info.zero_point is None else info.zero_point
    limit = np.float64(real) / info.scale.astype(np.float64) + zero_point
    if info.dtype.kind in 'iu':
        limits = np.iinfo(info.dtype)
        # Integers above a real limit are those above its floor. A comparison in the tensor's own
        # dtype is several times faster than one in float64.
        limit = np.minimum(np.floor(limit), limits.max)
        # A limit below every stored number has no place in that dtype.
        if (limit >= limits.min).all():
            limit = limit.astype(info.dtype)
    return limit[0] if limit.size == 1 else limit


def _rounded_down(real: float, dtype: np.dtype) -> Union[np.ndarray, float]:
    """Return the greatest number of a float dtype that is not above `real`."""
    if dtype.kind != 'f':
        return real
    with np.errstate(over='ignore'):
        limit = dtype.type(real)
    # Compared with float16 numbers, a float that was rounded up would hide the one it became.
    return np.nextafter(limit, dtype.type(-np.inf)) if float(limit) > real else limit
