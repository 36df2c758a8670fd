"""Runtime: the contract that every inference runtime fulfils, and the way to open one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
import os
from pathlib import Path
from types import TracebackType
from typing import Optional, Union

import numpy as np

from rdk_yolo_ros.colour import check_range
from rdk_yolo_ros.errors import FrameError, ModelError, RuntimeUnavailableError
from rdk_yolo_ros.tensors import TensorInfo

# The runtime that `auto` picks by the model file's suffix.
_BY_SUFFIX = {'.onnx': 'onnx', '.bin': 'bpu', '.hbm': 'bpu'}
_BPU = ('pyeasy_dnn', 'hbm', 'libdnn')


@dataclass(frozen=True)
class ModelMetadata:
    """
    What a model file says of itself; None where it does not.

    Attributes:
        task: 'detect', 'segment', 'pose', 'obb' or 'classify'.
        class_names: a name for each class.
        num_keypoints: key points of an instance.
        keypoint_names: a name for each key point.
        keypoint_dims: numbers of a key point, 2 or 3.
        end_to_end: whether instances come without duplicates, so that nothing needs NMS.

    """

    task: Optional[str] = None
    class_names: Optional[tuple[str, ...]] = None
    num_keypoints: Optional[int] = None
    keypoint_names: Optional[tuple[str, ...]] = None
    keypoint_dims: Optional[int] = None
    end_to_end: Optional[bool] = None


class Runtime(ABC):
    """
    A model, loaded and ready to run.

    A subclass sets the attributes in its constructor and closes itself if that fails.

    Attributes:
        name: the runtime's name in a work configuration, for example 'onnx'.
        path: the model file.
        input_hw: (height, width) of the image that the model takes, pixels.
        outputs: a TensorInfo for each output, in the model's own order.
        slots: how many `run` calls may usefully be under way at once.
        nv12_range: 'full' or 'limited', how the model reads NV12.
        metadata: what the model file says of itself.

    """

    name: str
    path: Path
    input_hw: tuple[int, int]
    outputs: list[TensorInfo]
    slots: int = 1
    nv12_range: str = 'full'
    metadata: ModelMetadata = ModelMetadata()

    @abstractmethod
    def run(self, nv12: np.ndarray) -> list[np.ndarray]:
        """
        Run the model on one image; safe to call from `slots` threads at once.

        Args:
            nv12: uint8 (H * 3 / 2, W) with (H, W) = `input_hw`, in the range `nv12_range`.

        Returns:
            An array for each of `outputs`, with its shape and dtype, owned by the caller.

        Raises:
            FrameError: `nv12` has another shape or dtype.
            ModelError: the model failed, or the runtime is closed.

        """

    @abstractmethod
    def close(self) -> None:
        """Let the model go. Calling it again does nothing."""

    def __enter__(self) -> Runtime:
        """Return the runtime itself."""
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        """Close the runtime."""
        self.close()

    def check_nv12(self, nv12: np.ndarray) -> None:
        """Raise FrameError unless `nv12` is what `run` takes."""
        height, width = self.input_hw
        expected = (height * 3 // 2, width)
        if not isinstance(nv12, np.ndarray):
            raise FrameError(f'NV12 input is a {type(nv12).__name__}, expected a uint8 array '
                             f'{expected}')
        if nv12.dtype != np.uint8 or nv12.shape != expected:
            raise FrameError(f'NV12 input is {nv12.dtype} {nv12.shape}, expected uint8 {expected} '
                             f'for the {width}x{height} model {self.path.name}')


def open_runtime(path: Union[str, os.PathLike[str]], name: str = 'auto',
                 nv12_range: Optional[str] = None) -> Runtime:
    """
    Open a model file.

    Args:
        path: the model.
        name: the runtime, or 'auto' to go by the file's suffix.
        nv12_range: 'full' or 'limited' to override what the model file says.

    Raises:
        ModelError: the file is missing, is no model, or takes an input that cannot be fed.
        RuntimeUnavailableError: the runtime is not installed, or not known.
        ValueError: `nv12_range` is something else.

    """
    if nv12_range is not None:
        check_range(nv12_range)
    path = Path(path)
    if name == 'auto':
        # Looked at first: a missing .bin is a wrong path, not a missing runtime.
        check_model_file(path)
        if path.suffix.lower() not in _BY_SUFFIX:
            raise ModelError(f'{path}: the suffix {path.suffix!r} tells no runtime, expected '
                             f'{", ".join(_BY_SUFFIX)}; rename the file or set `runtime`')
        name = _BY_SUFFIX[path.suffix.lower()]
    if name == 'onnx':
        check_model_file(path)
        # Here, so that onnxruntime is loaded only where it is used.
        from rdk_yolo_ros.runtimes.onnx import OnnxRuntime
        return OnnxRuntime(path, nv12_range)
    if name in (*_BPU, 'bpu'):
        raise RuntimeUnavailableError(
            f'{path} is to run on the BPU, for which this version has no runtime yet; run the '
            "same network's .onnx file instead, with `runtime: onnx`")
    raise RuntimeUnavailableError(
        f'runtime {name!r} is not known, expected one of auto, onnx, {", ".join(_BPU)}')


def check_model_file(path: Path) -> None:
    """Raise ModelError unless `path` is a regular file with something in it."""
    try:
        if path.is_dir():
            raise ModelError(f'{path} is a folder, expected a model file')
        if not path.is_file():
            raise ModelError(f'{path}: there is no such model file')
        if path.stat().st_size == 0:
            raise ModelError(f'{path}: the model file is empty; copy it again')
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise ModelError(f'{path}: the model file cannot be read: {reason}') from None
