"""A model in the vendor's hbm_runtime, as a worker process runs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.errors import ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.base import check_image_size
from rdk_yolo_ros.runtimes.bpu_tensors import (
    choose_model,
    image_size,
    one_line,
    output_info,
    without_padding,
)
from rdk_yolo_ros.tensors import TensorInfo

# The numbers among hbDNNDataType's names, as numpy calls them.
_DTYPES = {'S8': 'int8', 'U8': 'uint8', 'S16': 'int16', 'U16': 'uint16', 'S32': 'int32',
           'U32': 'uint32', 'S64': 'int64', 'U64': 'uint64', 'F16': 'float16', 'F32': 'float32',
           'F64': 'float64'}


def import_library() -> Any:
    """
    Return the module of the library.

    Raises:
        RuntimeUnavailableError: it cannot be imported; says why.

    """
    try:
        return import_module('hbm_runtime')
    except Exception as error:  # it raises RuntimeError itself where the driver is missing
        raise RuntimeUnavailableError(
            f'hbm_runtime cannot be imported ({one_line(error)}); it comes with the operating '
            'system of RDK X5 from 3.5.0 and of RDK S100 and S600') from None


class LoadedModel:
    """
    A model, loaded by the library, and what it says of itself.

    An X5 takes one packed NV12 image; an S board takes two inputs, Y and UV, told apart by their
    shapes. Both are fed with views of one image, uint8 (H * 3 / 2, W).

    Attributes:
        library: the module that it was loaded by, and its version.
        name: the model's.
        input_hw: (height, width) of the image, pixels.
        input_text: the input in words.
        outputs: a TensorInfo for each output.
        memory_texts: for each, how it lies in memory, in words.

    Args:
        path: the .hbm or .bin file.
        model_name: which of the file's models.
        priority: of its tasks, 0 to 255.
        cores: that it may run on; none leaves the choice to the scheduler.
        worker: the number of this worker; it makes no difference here.

    Raises:
        RuntimeUnavailableError: the library cannot be imported.
        ModelError: the file cannot be loaded, or takes an input that is no NV12 image.

    """

    def __init__(self, path: Path, model_name: Optional[str] = None, priority: int = 0,
                 cores: Sequence[int] = (), worker: int = 0) -> None:
        """Load the model."""
        library = import_library().HB_HBMRuntime
        version = getattr(library, 'version', '')
        # A static method in the published type hints, an attribute in some versions.
        self.library = f'hbm_runtime {version() if callable(version) else version}'.strip()
        self._path = path
        try:
            self._runtime = library(str(path))
        except Exception as error:
            raise ModelError(f'{path}: HB_HBMRuntime() failed: {one_line(error)}; check that the '
                             "file is whole and was compiled for this board's BPU (.bin for X5, "
                             '.hbm for S100 and S600)') from None
        names = [str(name) for name in self._runtime.model_names]
        self.name = names[choose_model(names, model_name, path)]
        self._inputs = self._learn_inputs()
        self.outputs = self._learn_outputs()
        self.memory_texts = self._learn_memory()
        # Without cores the scheduler chooses.
        self._call('set_scheduling_params', priority={self.name: priority},
                   **({'bpu_cores': {self.name: list(cores)}} if cores else {}))

    def run(self, image: np.ndarray, outputs: list[np.ndarray]) -> None:
        """
        Run on an NV12 image, uint8 (H * 3 / 2, W), and write the outputs.

        Raises:
            ModelError: it failed.

        """
        results = self._call('run', {self.name: self.feed(image)})
        try:
            results = results[self.name]
            for info, output in zip(self.outputs, outputs):
                np.copyto(output, without_padding(results[info.name], info), casting='no')
        except (KeyError, TypeError) as error:
            raise ModelError(f'{self._path}: run() returned no output {one_line(error)} of model '
                             f'{self.name}; check the version of {self.library}') from None
        except ValueError as error:
            raise ModelError(f'{self._path}: run() failed: {error}') from None

    def feed(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return the inputs: views of an NV12 image, uint8 (H * 3 / 2, W), contiguous."""
        if len(self._inputs) == 1:
            return {self._inputs[0]: image.reshape(-1)}
        height, width = self.input_hw
        luma, chroma = self._inputs
        return {luma: image[:height].reshape(1, height, width, 1),
                chroma: image[height:].reshape(1, height // 2, width // 2, 2)}

    def _learn_inputs(self) -> list[str]:
        """Return the name of the packed input, or those of Y and UV, and set input_hw."""
        shapes = {str(name): tuple(int(n) for n in self._runtime.input_shapes[self.name][name])
                  for name in self._runtime.input_names[self.name]}
        types = {name: self._runtime.input_dtypes[self.name][name].name for name in shapes}
        strides = getattr(self._runtime, 'input_strides', {}).get(self.name, {})
        self.input_text = ', '.join(
            f'{name} {types[name]} {shape}'
            + (f' strides {tuple(strides[name])}' if strides.get(name) else '')
            for name, shape in shapes.items())
        if len(shapes) == 1:
            (name, shape), = shapes.items()
            if 'NV12' in types[name]:
                self.input_hw = image_size(shape, None, f'{self._path}: input {name!r}')
                return [name]
        luma = [name for name, shape in shapes.items() if shape[0::3] == (1, 1)]
        chroma = [name for name, shape in shapes.items() if shape[0::3] == (1, 2)]
        if len(shapes) == 2 and len(luma) == len(chroma) == 1 \
                and all(types[name] == 'U8' and len(shapes[name]) == 4 for name in shapes):
            height, width = check_image_size(shapes[luma[0]][1], shapes[luma[0]][2],
                                             f'{self._path}: input {luma[0]!r}')
            if shapes[chroma[0]][1:3] == (height // 2, width // 2):
                self.input_hw = (height, width)
                return [luma[0], chroma[0]]
        raise ModelError(f'{self._path}: {len(shapes)} input(s) ({self.input_text}), expected one '
                         'NV12 image, or U8 Y (1, H, W, 1) and UV (1, H/2, W/2, 2); compile the '
                         "model with input_type_rt 'nv12'")

    def _learn_outputs(self) -> list[TensorInfo]:
        runtime, model, infos = self._runtime, self.name, []
        strides = getattr(runtime, 'output_strides', {}).get(model, {})
        for name in runtime.output_names[model]:
            shape = tuple(int(n) for n in runtime.output_shapes[model][name])
            kind = runtime.output_dtypes[model][name].name
            dtype = _DTYPES.get(kind)
            if dtype is None:
                raise ModelError(f'{self._path}: output {name!r} is of type {kind}, expected one '
                                 f'of {", ".join(_DTYPES)}')
            quants = runtime.output_quants[model][name]
            scaled = quants.quant_type.name == 'SCALE'
            infos.append(output_info(
                str(name), shape, dtype, f'{self._path}',
                scale=quants.scale if scaled else (), zero_point=quants.zero_point
                if scaled else (), axis=quants.axis if scaled else None,
                aligned_shape=_aligned(shape, strides.get(name, ()), np.dtype(dtype).itemsize)))
        return infos

    def _learn_memory(self) -> list[str]:
        strides = getattr(self._runtime, 'output_strides', {}).get(self.name, {})
        texts = []
        for info in self.outputs:
            steps = tuple(int(n) for n in strides.get(info.name, ()))
            texts.append(f'{steps[0] * info.shape[0]} bytes, strides {steps}'
                         if steps and info.shape else '')
        return texts

    def _call(self, function: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._runtime, function)(*arguments, **options)
        except Exception as error:
            raise ModelError(
                f'{self._path}: {function}() failed: {one_line(error)}; what the library says '
                'more is on the standard error output; check what else uses the BPU and its '
                'memory (hrut_somstatus)') from None


def _aligned(shape: tuple[int, ...], strides: Sequence[int],
             itemsize: int) -> Optional[tuple[int, ...]]:
    """Return the shape in memory that strides, in bytes, amount to; None where they do not."""
    strides = [int(n) for n in strides]
    if len(strides) != len(shape) or not shape or strides[-1] != itemsize:
        return None
    sizes = [shape[0]]
    for outer, inner, valid in zip(strides, strides[1:], shape[1:]):
        if inner <= 0 or outer % inner or outer // inner < valid:
            return None
        sizes.append(outer // inner)
    return tuple(sizes)
