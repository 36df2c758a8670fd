"""TensorInfo: what a runtime says of one model output, and how its numbers become real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

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
        for what, values in (('scale', self.scale), ('zero_point', self.zero_point)):
            if values is None or len(values) == 1:
                continue
            axis = self.quantize_axis
            if axis is None or not -len(self.shape) <= axis < len(self.shape) \
                    or self.shape[axis] != len(values):
                raise ValueError(
                    f'tensor {self.name!r}: {what} has {len(values)} elements, which does not fit '
                    f'axis {axis} of shape {self.shape}; expected one element, or as many as '
                    'that axis is long')
