"""Runtime: the contract that every inference runtime fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Optional, Protocol

import numpy as np

from rdk_yolo_ros.errors import FrameError, ModelError
from rdk_yolo_ros.tensors import TensorInfo

# Past it, a faulty file would take the machine's memory before anything else is checked.
_LARGEST = 8192


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


@dataclass(frozen=True)
class RuntimeOptions:
    """
    How a runtime is to run its model; each runtime takes what means something to it.

    Attributes:
        slots: how many inferences may be under way at once, 1 to 32; None: the runtime's choice.
        timeout: seconds after which an inference is given up, more than 0.
        priority: of the model's tasks on the BPU, 0 to 255, the higher first.
        cores: the BPU cores that it may run on, from 0; none leaves the choice to the scheduler.
        model_name: which model of a file with several; None: the only one.

    Raises:
        ValueError: a value is out of its range.

    """

    slots: Optional[int] = None
    timeout: float = 2.0
    priority: int = 0
    cores: tuple[int, ...] = ()
    model_name: Optional[str] = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.slots is not None and not 1 <= self.slots <= 32:
            raise ValueError(f'slots is {self.slots!r}, expected a whole number from 1 to 32')
        if not 0 < self.timeout <= 3600:
            raise ValueError(f'timeout is {self.timeout!r}, expected seconds, more than 0 and at '
                             'most 3600')
        if not 0 <= self.priority <= 255:
            raise ValueError(f'priority is {self.priority!r}, expected a whole number from 0 to '
                             '255')
        if any(not 0 <= core < 8 for core in self.cores):
            raise ValueError(f'cores is {self.cores!r}, expected BPU cores from 0 to 7')


class Slot(Protocol):
    """
    One inference's own memory: its input and its outputs.

    Attributes:
        image: uint8 (H * 3 / 2, W), C-contiguous and writeable, memory that the accelerator reads:
            an image written there is not copied again. None where the runtime has no such memory.

    """

    image: Optional[np.ndarray]

    def infer(self, nv12: np.ndarray) -> list[np.ndarray]:
        """
        Run the model; see `Runtime.run`.

        Args:
            nv12: `image` itself, or another array like it.

        Returns:
            An array for each of the runtime's `outputs`, with its shape and dtype, to be read
            until the slot is left, and not to be written to.

        """


class Runtime(ABC):
    """
    A model, loaded and ready to run.

    A subclass sets the attributes in its constructor and closes itself if that fails.

    Attributes:
        name: the runtime's name in a work configuration, for example 'onnx'.
        path: the model file.
        input_hw: (height, width) of the image that the model takes, pixels.
        outputs: a TensorInfo for each output, in the model's own order.
        slots: how many `slot`s may usefully be held, or `run` calls under way, at once; one more
            waits for the first to end.
        nv12_range: 'full' or 'limited', how the model reads NV12.
        metadata: what the model file says of itself.
        usual_timeout: seconds that an inference may take where nobody says how many.
        longest_call: seconds after which `run`, or a slot from its request to the end of `infer`,
            has returned or raised, whatever the accelerator does; None where nothing bounds it,
            so that the caller has to stop waiting.

    """

    name: str
    path: Path
    input_hw: tuple[int, int]
    outputs: list[TensorInfo]
    slots: int = 1
    nv12_range: str = 'full'
    metadata: ModelMetadata = ModelMetadata()
    usual_timeout: float = RuntimeOptions.timeout
    longest_call: Optional[float] = None

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
            InferenceTimeoutError: it took longer than RuntimeOptions.timeout.
            RuntimeLostError: nothing will run any more until the runtime is opened again.

        """

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """
        Hold the memory of one inference: what `run` does, without copies where that is possible.

        Safe to call from `slots` threads at once.
        """
        yield _CopiedSlot(self)

    def describe(self) -> str:
        """Return what is known of the model, its input and its outputs; several lines."""
        height, width = self.input_hw
        lines = [f'{self.path.name} on {self.name}: input NV12 {width}x{height}, '
                 f'{self.nv12_range} range; {len(self.outputs)} output(s)']
        for index, info in enumerate(self.outputs):
            memory = self._memory_text(index)
            lines.append(f'  [{index}] {info.name}: {info.dtype.name} {tuple(info.shape)}'
                         + (f', in memory {tuple(info.aligned_shape)}' if info.aligned_shape
                            else '')
                         + (f', {memory}' if memory else '')
                         + (f', layout {info.layout}' if info.layout else '')
                         + f', {_quantization(info)}')
        return '\n'.join(lines)

    def _memory_text(self, index: int) -> str:
        """Return how an output lies in the accelerator's memory, in words; '' if not known."""
        return ''

    @abstractmethod
    def close(self) -> None:
        """
        Let the model go. Calling it again does nothing.

        Safe to call while slots are held: their memory stays until they are left.
        """

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


def check_image_size(height: int, width: int, where: str) -> tuple[int, int]:
    """Return (height, width), or raise ModelError where NV12 cannot have that size."""
    if any(n % 2 or not 0 < n <= _LARGEST for n in (height, width)):
        raise ModelError(f'{where} is {width}x{height} pixels, which NV12 cannot fill; expected '
                         f'an even width and height up to {_LARGEST}')
    return int(height), int(width)


class _CopiedSlot:
    """A slot of a runtime that has no memory of its own to offer."""

    image: Optional[np.ndarray] = None

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def infer(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Slot.infer."""
        return self._runtime.run(nv12)


def _quantization(info: TensorInfo) -> str:
    if info.scale is None:
        return 'not quantized'
    scales = _range('scale', info.scale, info.quantize_axis)
    if info.zero_point is None:
        return f'{scales}, zero point 0'
    return f'{scales}, {_range("zero point", info.zero_point, info.quantize_axis)}'


def _range(what: str, numbers: np.ndarray, axis: Optional[int]) -> str:
    if numbers.size == 1:
        return f'{what} {float(numbers[0]):g}'
    return (f'{numbers.size} {what}s from {float(numbers.min()):g} to {float(numbers.max()):g} '
            f'along axis {axis}')
