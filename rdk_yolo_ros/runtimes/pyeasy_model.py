"""A model in the vendor's pyeasy_dnn, as a worker process runs it."""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
from importlib import import_module
from pathlib import Path
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.errors import ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.bpu_tensors import (
    choose_model,
    image_size,
    one_line,
    output_info,
    without_padding,
    without_trailing_ones,
)
from rdk_yolo_ros.tensors import TensorInfo

LIBRARIES = ('hobot_dnn', 'hobot_dnn_rdkx5')
"""The packages that pyeasy_dnn comes in: a board's own, and the one for the X5 from PyPI."""


def import_library() -> tuple[str, Any]:
    """
    Return the name and the module of the library.

    Raises:
        RuntimeUnavailableError: it cannot be imported; says why.

    """
    reasons = []
    for package in LIBRARIES:
        try:
            return package, import_module(f'{package}.pyeasy_dnn')
        except Exception as error:  # a library that finds no driver may raise anything
            reasons.append(f'{package}.pyeasy_dnn: {one_line(error)}')
    raise RuntimeUnavailableError(
        f'pyeasy_dnn cannot be imported ({"; ".join(reasons)}); it comes with the operating '
        'system of RDK X3 and X5, and as hobot_dnn_rdkx5 from PyPI for the X5')


class LoadedModel:
    """
    A model, loaded by the library, and what it says of itself.

    Attributes:
        library: the module that it was loaded by, in words.
        name: the model's.
        input_hw: (height, width) of the image, pixels.
        input_text: the input in words.
        outputs: a TensorInfo for each output.
        memory_texts: for each, how it lies in memory, in words.

    Args:
        path: the .bin file.
        model_name: which of the file's models.
        priority: of its tasks, 0 to 255.
        cores: the cores that the workers take turns on; none leaves the choice to the scheduler.
        worker: the number of this worker.

    Raises:
        RuntimeUnavailableError: the library cannot be imported.
        ModelError: the file cannot be loaded, or takes an input that is no NV12 image.

    """

    def __init__(self, path: Path, model_name: Optional[str] = None, priority: int = 0,
                 cores: Sequence[int] = (), worker: int = 0) -> None:
        """Load the model."""
        package, dnn = import_library()
        self.library = f'{package}.pyeasy_dnn'
        self._priority = priority
        # 0 lets the scheduler choose, 1 is core 0.
        self._core_id = cores[worker % len(cores)] + 1 if cores else 0
        try:
            models = dnn.load(str(path))
        except Exception as error:
            raise ModelError(f'{path}: load() failed: {one_line(error)}; check that the file is '
                             "whole and was compiled for this board's BPU") from None
        # Some versions load only the first model of a file, whatever else is in it.
        index = choose_model([str(model.name) for model in models or ()], model_name, path)
        self._path, self._model = path, models[index]
        self.name = str(self._model.name)
        self.input_hw, self.input_text = self._learn_input()
        # Each access to the properties may leak memory in the library: they are read once.
        self.outputs = [_output(tensor, f'{path}') for tensor in self._model.outputs]
        # The library tells neither strides nor bytes.
        self.memory_texts = [''] * len(self.outputs)

    def _learn_input(self) -> tuple[tuple[int, int], str]:
        inputs = [(str(tensor.name), tensor.properties) for tensor in self._model.inputs]
        found = ', '.join(f'{name} {properties.tensor_type} {tuple(properties.shape)}'
                          for name, properties in inputs)
        if len(inputs) != 1 or 'NV12' not in str(inputs[0][1].tensor_type).upper():
            raise ModelError(f'{self._path}: {len(inputs)} input(s) ({found}), expected one NV12 '
                             "image; compile the model with input_type_rt 'nv12'")
        name, properties = inputs[0]
        layout = str(properties.layout)
        return (image_size(properties.shape, layout, f'{self._path}: input {name!r}'),
                f'{found} {layout}')

    def run(self, image: np.ndarray, outputs: list[np.ndarray]) -> None:
        """
        Run on an NV12 image, uint8 (H * 3 / 2, W), and write the outputs.

        Raises:
            ModelError: it failed, or a padded output came back in disorder.

        """
        try:
            tensors = self._model.forward(image, core_id=self._core_id,
                                          priority=self._priority)
        except Exception as error:
            raise ModelError(self._failed(one_line(error))) from None
        if tensors is None or len(tensors) != len(outputs):
            raise ModelError(self._failed('it returned no outputs'))
        for tensor, info, output in zip(tensors, self.outputs, outputs):
            # It may be a copy already, made by the library: it is read once.
            array = tensor.buffer
            if not _is_in_order(array, info):
                raise ModelError(
                    f'{self._path}: output {info.name!r} is {info.aligned_shape} in memory, but '
                    f'{self.library} returned {array.size} of its numbers, as many as '
                    f'{info.shape} has, in an order that cannot be known; use `runtime: libdnn` '
                    'or `runtime: hbm`')
            try:
                np.copyto(output, without_padding(array, info), casting='no')
            except ValueError as error:
                raise ModelError(self._failed(str(error))) from None

    def _failed(self, reason: str) -> str:
        return (f'{self._path}: forward() failed: {reason}; the library says more on the '
                'standard error output; check what else uses the BPU and its memory '
                '(hrut_somstatus)')


def _is_in_order(array: np.ndarray, info: TensorInfo) -> bool:
    """
    Return whether an output's numbers are where `without_padding` looks for them.

    Without its padding it is not, where the library copied from the start of the padded memory;
    unless all of the padding lies behind the last number.
    """
    aligned, valid = info.aligned_shape, info.shape
    if aligned is None or array.size != int(np.prod(valid, dtype=np.int64)):
        return True
    first = next((axis for axis, n in enumerate(aligned) if n > 1), len(aligned))
    return aligned[first + 1:] == valid[first + 1:]


def _output(tensor: Any, where: str) -> TensorInfo:
    properties = tensor.properties
    shape = tuple(properties.shape)
    aligned = _shape(getattr(properties, 'alignedShape', None))
    if aligned is not None:
        aligned = without_trailing_ones(aligned, len(shape))
    # Zero points are not published, so that none are assumed. The scales belong to the library.
    return output_info(str(tensor.name), shape, str(properties.dtype), where,
                       layout=str(properties.layout), scale=np.array(properties.scale_data),
                       aligned_shape=aligned)


_MAX_DIMENSIONS = 8


class _TensorShape(ctypes.Structure):
    """The hbDNNTensorShape of libdnn, as documented."""

    _fields_ = [('dimensionSize', ctypes.c_int32 * _MAX_DIMENSIONS),
                ('numDimensions', ctypes.c_int32)]


def _shape(value: Any) -> Optional[tuple[int, ...]]:
    """
    Return a shape as one of the library's versions gives it, or None.

    That is nothing at all, a tuple, a structure, or, in some versions, the address of that
    structure as a number.
    """
    if value is None:
        return None
    if isinstance(value, int):
        value = _TensorShape.from_address(value) if value else None
    if hasattr(value, 'dimensionSize'):
        # What lies at an address is believed only where it can be a shape.
        if not 1 <= value.numDimensions <= _MAX_DIMENSIONS:
            return None
        value = value.dimensionSize[:value.numDimensions]
    try:
        return tuple(int(n) for n in value)
    except TypeError:
        return None
