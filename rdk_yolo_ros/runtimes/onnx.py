"""OnnxRuntime: ONNX models on the CPU, fed like the BPU feeds a board's models."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np

from rdk_yolo_ros.colour import nv12_to_rgb
from rdk_yolo_ros.errors import ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.base import Runtime, RuntimeOptions, check_image_size
from rdk_yolo_ros.runtimes.onnx_metadata import (
    image_size,
    nv12_range_of,
    quantization,
    read_metadata,
)
from rdk_yolo_ros.tensors import TensorInfo

_log = logging.getLogger(__name__)

THREADS_VARIABLE = 'RDK_YOLO_ONNX_THREADS'
_DEFAULT_HW = (640, 640)
_INPUT_TYPES = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}


class OnnxRuntime(Runtime):
    """
    A model in ONNX Runtime, on the CPU.

    The model takes RGB, 0 to 1, (1, 3, H, W), as Ultralytics' exports do. The runtime converts
    NV12 to it in the model's colour range, which is what a board's compiled model does itself.
    A height or width that the model leaves open comes from its `imgsz` metadata, else it is 640.

    Args:
        path: the .onnx file.
        nv12_range: 'full' or 'limited'; default: the model's `nv12_range` metadata, else 'full',
            the board compiler's default.
        threads: threads for one inference; default: the environment variable
            RDK_YOLO_ONNX_THREADS, else all processors, but 4 at the most.
        options: `slots` alone means something here, 1 unless it is given: one inference uses
            every thread. An inference that has begun cannot be given up.

    Raises:
        ModelError: no ONNX model, or one with another input, or that fails on a grey image.
        RuntimeUnavailableError: onnxruntime is not installed.

    """

    name = 'onnx'
    # A large network takes seconds on a small processor.
    usual_timeout = 30.0

    def __init__(self, path: Path, nv12_range: Optional[str] = None,
                 threads: Optional[int] = None,
                 options: Optional[RuntimeOptions] = None) -> None:
        """Open the model, check it, and run it once."""
        self.path = Path(path)
        if options is not None and options.slots is not None:
            self.slots = options.slots
        if options is not None and options.model_name is not None:
            _log.warning('%s: model_name is %r, but an ONNX file has one model; ignored',
                         self.path, options.model_name)
        self._session: Any = _open_session(self.path, threads)
        try:
            self._input_name, self._dtype, shape = _image_input(self._session, self.path)
            properties = _properties(self._session)
            self.input_hw = self._resolve_hw(shape, properties)
            self.metadata = read_metadata(properties, self.path)
            self.nv12_range = nv12_range or nv12_range_of(properties, self.path) or 'full'
            self.outputs = self._learn_outputs(properties)
        except UnicodeDecodeError as error:
            self.close()
            raise ModelError(f'{self.path}: a text in the model is not UTF-8 ({error.reason} at '
                             f'byte {error.start} of it): the file is damaged') from None
        except BaseException:
            self.close()
            raise

    def run(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Runtime.run. Calls may overlap, but share the same processors."""
        session = self._session  # close() may come between two lines
        if session is None:
            raise ModelError(f'{self.path}: the runtime is closed')
        self.check_nv12(nv12)
        image = rgb_planes(nv12_to_rgb(nv12, self.nv12_range), self._dtype)
        try:
            return list(session.run(None, {self._input_name: image}))
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelError(f'{self.path}: inference failed: {_one_line(error)}') from None

    def close(self) -> None:
        """See Runtime.close."""
        self._session = None

    def _resolve_hw(self, shape: list[Any], properties: dict[str, str]) -> tuple[int, int]:
        fallback = image_size(properties) or _DEFAULT_HW
        height, width = (size if isinstance(size, int) else default
                         for size, default in zip(shape[2:], fallback))
        if (height, width) != tuple(shape[2:]):
            _log.info('%s: input %s leaves its size open, using %dx%d (width x height)',
                      self.path, shape, width, height)
        return check_image_size(height, width, f'{self.path}: the input')

    def _learn_outputs(self, properties: dict[str, str]) -> list[TensorInfo]:
        """Return the outputs as a run on grey shows them: what a file declares may be open."""
        height, width = self.input_hw
        names = [output.name for output in self._session.get_outputs()]
        arrays = self.run(np.full((height * 3 // 2, width), 128, np.uint8))
        for name, array in zip(names, arrays):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise ModelError(f'{self.path}: output {name!r} is a {kind}, expected a tensor of '
                                 'numbers')
        scales = quantization(properties, {n: a.shape for n, a in zip(names, arrays)}, self.path)
        return [TensorInfo(name, array.shape, array.dtype, **scales.get(name, {}))
                for name, array in zip(names, arrays)]


def require() -> None:
    """Raise RuntimeUnavailableError unless ONNX Runtime can be used here."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise RuntimeUnavailableError(f'onnxruntime cannot be imported ({_one_line(error)}); pip '
                                      'install onnxruntime') from None


def rgb_planes(rgb: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """
    Return an image as a network takes it.

    Args:
        rgb: uint8 (h, w, 3).
        dtype: float32 or float16.

    Returns:
        (1, 3, h, w), 0 to 1.

    """
    planes = np.empty((1, 3, *rgb.shape[:2]), dtype)
    for plane, out in zip(cv2.split(rgb), planes[0]):
        # The loop's dtype is given: numpy 1.x would choose float16 for a scalar this small.
        np.multiply(plane, np.float32(1 / 255), out=out, dtype=np.float32, casting='unsafe')
    return planes


def _open_session(path: Path, threads: Optional[int]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeUnavailableError(
            f'{path} needs onnxruntime, which cannot be imported ({_one_line(error)}); '
            'pip install onnxruntime') from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong comes as an exception, in one line
    # Threads that spin between two frames take the processors from the rest of the robot.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        return onnxruntime.InferenceSession(str(path), options,
                                            providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        raise ModelError(f'{path}: not a model that ONNX Runtime {onnxruntime.__version__} can '
                         f'open: {_one_line(error)}') from None


def _default_threads() -> int:
    text = os.environ.get(THREADS_VARIABLE, '')
    if text.isdecimal() and 0 < int(text) <= 256:
        return int(text)
    if text:
        _log.warning('%s is %r, expected a number from 1 to 256; ignored', THREADS_VARIABLE, text)
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
               else os.cpu_count() or 1)


def _image_input(session: Any, path: Path) -> tuple[str, Any, list[Any]]:
    """Return the name, dtype and shape of the one image input, sizes left open as text."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        found = ', '.join(f'{i.name} {i.type} {i.shape}' for i in inputs) or 'none'
        raise ModelError(f'{path}: {len(inputs)} inputs ({found}), expected one image')
    name, kind, shape = inputs[0].name, inputs[0].type, list(inputs[0].shape)
    fits = len(shape) == 4 and shape[0] in (1, None) + _open(shape[0]) \
        and shape[1] in (3, None) + _open(shape[1])
    if kind not in _INPUT_TYPES or not fits:
        raise ModelError(f'{path}: input {name!r} is {kind} {shape}, expected tensor(float) '
                         '[1, 3, height, width], RGB from 0 to 1, as Ultralytics exports it')
    return name, _INPUT_TYPES[kind], shape


def _open(size: Any) -> tuple[Any, ...]:
    return () if isinstance(size, int) else (size,)


def _properties(session: Any) -> dict[str, str]:
    return dict(session.get_modelmeta().custom_metadata_map)


def _one_line(error: Exception) -> str:
    # A damaged file's names may be any characters.
    return ''.join(c if c.isprintable() else '?' for c in ' '.join(str(error).split()))[:300]
