"""A model that libdnn has loaded: what it takes and gives, and its tasks."""

from __future__ import annotations

from collections.abc import Callable
import ctypes as c
import logging
import math
import os
from pathlib import Path
from time import monotonic
from typing import Any, Optional

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import libdnn_abi as abi
from rdk_yolo_ros.runtimes.base import RuntimeOptions
from rdk_yolo_ros.runtimes.bpu_tensors import choose_model
from rdk_yolo_ros.runtimes.hb_errors import RUN_TASK_FAILED, TIMEOUT, explain, hb_error
from rdk_yolo_ros.runtimes.libdnn_memory import Buffers, Place
from rdk_yolo_ros.runtimes.libdnn_tensors import image_layout, output_layout

_log = logging.getLogger(__name__)

# A wait is cut into pieces of so many seconds, so that a hung task can be cancelled.
_WAIT = 0.25


class LibdnnModel:
    """
    One model of a file, loaded.

    Args:
        library: libdnn.
        path: the .bin file.
        options: `model_name`, `priority` and `cores`.

    Attributes:
        path: the file.
        name: the model's name in it.
        image: how its image lies in memory.
        outputs: its outputs, and how they lie in memory.
        image_properties: the image as the library describes it.
        output_properties: the outputs as the library describes them.

    Raises:
        ModelError: the file holds no model that takes one NV12 image and can run here.

    """

    def __init__(self, library: c.CDLL, path: Path, options: RuntimeOptions) -> None:
        """Load the file."""
        self._library = library
        self.path = path
        self._packed = c.c_void_p()
        self._model = c.c_void_p()
        self._control = _control(options, path)
        try:
            self._load(options.model_name)
        except BaseException:
            self.release()
            raise

    def buffers(self) -> Buffers:
        """
        Return memory for one inference.

        Raises:
            ModelError: there is none left.

        """
        return Buffers(self._library, self.path, self.image, self.image_properties,
                       self.outputs, self.output_properties)

    def run_task(self, buffers: Buffers, timeout: float, cancelled: Callable[[], bool],
                 given_up: Callable[[], None]) -> int:
        """
        Run one task on the image in `buffers`, and release it whatever happens.

        Args:
            buffers: the outputs are there when 0 is returned.
            timeout: seconds.
            cancelled: asked from time to time whether to give up earlier.
            given_up: called when the BPU may still write to `buffers`.

        Returns:
            0, or the code of waiting for it: TIMEOUT also when it was cancelled.

        Raises:
            ModelError: it could not be started, or its memory not be flushed.

        """
        buffers.clean()
        task = c.c_void_p()  # NULL before the call, as documented, else it were added to
        over = False
        try:
            code = self._library.hbDNNInfer(c.byref(task), c.byref(buffers.outputs),
                                            c.byref(buffers.input), self._model,
                                            c.byref(self._control))
            if code:
                over = not task
                raise hb_error(self.path, 'hbDNNInfer', code)
            code = self._wait(task, timeout, cancelled)
            over = code in (0, RUN_TASK_FAILED)
        finally:
            # On every path, KeyboardInterrupt included.
            if task:
                self._release_task(task)
            if not over:
                given_up()
        if not code:
            buffers.invalidate()
        return code

    def release(self) -> bool:
        """Let the model go; return whether nothing can be running any more."""
        code = self._library.hbDNNRelease(self._packed) if self._packed else 0
        self._packed = c.c_void_p()
        if code:
            _log.warning('%s: %s', self.path, explain('hbDNNRelease', code))
        return not code

    @property
    def version(self) -> str:
        """The library's version."""
        function = getattr(self._library, 'hbDNNGetVersion', None)
        if function is None:
            return 'of unknown version'
        function.restype = c.c_char_p
        return _text(function())

    def _wait(self, task: c.c_void_p, timeout: float, cancelled: Callable[[], bool]) -> int:
        deadline = monotonic() + timeout
        while True:
            left = min(deadline - monotonic(), _WAIT)
            # Never 0, which would wait for ever.
            code = int(self._library.hbDNNWaitTaskDone(task, max(1, math.ceil(left * 1000))))
            if code != TIMEOUT or cancelled() or monotonic() >= deadline:
                return code

    def _release_task(self, task: c.c_void_p) -> None:
        code = self._library.hbDNNReleaseTask(task)
        if code:
            _log.warning('%s: %s', self.path, explain('hbDNNReleaseTask', code))

    def _load(self, model_name: Optional[str]) -> None:
        path = c.c_char_p(os.fsencode(self.path))
        self._call('hbDNNInitializeFromFiles', c.byref(self._packed), c.byref(path), 1)
        self.name = self._choose(model_name)
        self._call('hbDNNGetModelHandle', c.byref(self._model), self._packed, self.name.encode())
        inputs = self._count('Input')
        if inputs != 1:
            raise ModelError(f'{self.path}: model {self.name!r} takes {inputs} inputs, expected '
                             'one NV12 image')
        name, self.image_properties = self._tensor('Input', 0)
        self.image = image_layout(self.image_properties, f'{self.path}: input {name!r}')
        tensors = [self._tensor('Output', index) for index in range(self._count('Output'))]
        self.output_properties = [properties for _, properties in tensors]
        self.outputs = [output_layout(name, properties, str(self.path))
                        for name, properties in tensors]

    def _choose(self, wanted: Optional[str]) -> str:
        names, count = c.POINTER(c.c_char_p)(), c.c_int32()
        self._call('hbDNNGetModelNameList', c.byref(names), c.byref(count), self._packed)
        found = [_text(names[i]) for i in range(count.value)]
        return found[choose_model(found, wanted, self.path)]

    def _count(self, side: str) -> int:
        count = c.c_int32()
        self._call(f'hbDNNGet{side}Count', c.byref(count), self._model)
        return count.value

    def _tensor(self, side: str, index: int) -> tuple[str, abi.hbDNNTensorProperties]:
        name, properties = c.c_char_p(), abi.hbDNNTensorProperties()
        self._call(f'hbDNNGet{side}Name', c.byref(name), self._model, index)
        self._call(f'hbDNNGet{side}TensorProperties', c.byref(properties), self._model, index)
        return _text(name.value), properties

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code:
            raise hb_error(self.path, function, code)


def let_go(model: LibdnnModel, places: list[Place], given_up: list[Buffers]) -> None:
    """
    Give a model and all memory back; no task may run but those that were given up.

    Args:
        model: released.
        places, given_up: freed, and empty afterwards.

    """
    if not model.release():
        # Tasks that were given up may be running: better their memory is lost.
        given_up.clear()
    # After the model: now nothing is left that could write there.
    while given_up:
        given_up.pop().free()
    while places:
        buffers = places.pop().buffers
        if buffers is not None:
            buffers.free()


def _control(options: RuntimeOptions, path: Path) -> abi.hbDNNInferCtrlParam:
    cores = set(options.cores)
    if cores - {0, 1}:
        raise ModelError(f'{path}: cores is {tuple(options.cores)}, expected 0, 1, or both (RDK '
                         'X3 has two, X5 has one)')
    core = abi.CORES[cores.pop()] if len(cores) == 1 else abi.CORE_ANY
    return abi.hbDNNInferCtrlParam(bpuCoreId=core, priority=options.priority)


def _text(value: Optional[bytes]) -> str:
    return (value or b'').decode(errors='replace')
