"""LibdnnRuntime: models on the BPU of RDK X3 and X5, through the vendor's C library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Optional
import weakref

import numpy as np

from rdk_yolo_ros.errors import (
    InferenceTimeoutError,
    ModelError,
    RuntimeLostError,
)
from rdk_yolo_ros.runtimes import libdnn_abi as abi
from rdk_yolo_ros.runtimes.base import Runtime, RuntimeOptions, Slot
from rdk_yolo_ros.runtimes.free_items import FreeItems
from rdk_yolo_ros.runtimes.hb_errors import TIMEOUT, explain, hb_error
from rdk_yolo_ros.runtimes.libdnn_memory import Buffers, Place
from rdk_yolo_ros.runtimes.libdnn_model import LibdnnModel, let_go
from rdk_yolo_ros.runtimes.libdnn_tensors import memory_text

_log = logging.getLogger(__name__)

# Two are what the BPU works on: the vendor's table of the X5 has its highest rates with two tasks
# at once. The others are letterboxed and decoded meanwhile.
_SLOTS = 4
# How long `close` waits for slots that are held.
_CLOSE = 2.0
# Memory of tasks that were given up is kept: with more of it the runtime is to be opened again.
_MOST_GIVEN_UP = 8
# With so many failures in a row the fault is not in a task.
_MOST_FAILURES = 4


class LibdnnRuntime(Runtime):
    """
    A model in libdnn.

    A slot's image is BPU memory and its outputs are views on it; nothing is copied. Python's lock
    is free while the BPU works.

    A task that is not over in time is given up and released. The library says that a running
    task ends some time after that, not when: until the model is released the BPU may write to its
    memory, so that the slot gets other memory, and the old is given back when the runtime is
    closed. `_MOST_GIVEN_UP` such tasks, or `_MOST_FAILURES` failures in a row (or `slots`, if
    that is more), and the runtime is lost.

    Not yet run on a board: the interface is the vendor's documentation's.

    Args:
        path: the .bin file.
        nv12_range: 'full' or 'limited'; a .bin file does not say; default: 'full', which the
            compiler calls `regular` and takes unless told otherwise.
        options: all of them mean something here. `cores`: 0, 1, or both, which is the same as
            none: any.

    Attributes:
        timeouts: how many inferences have been given up.

    Raises:
        ModelError: no model of this board, or one with another input.
        RuntimeUnavailableError: libdnn.so is not here.

    """

    name = 'libdnn'

    def __init__(self, path: Path, nv12_range: Optional[str] = None,
                 options: Optional[RuntimeOptions] = None) -> None:
        """Load the model and get the memory of all slots."""
        options = options or RuntimeOptions()
        self.path = Path(path)
        self.slots = options.slots or _SLOTS
        self.nv12_range = nv12_range or 'full'
        self.timeouts = 0
        self._timeout = options.timeout
        # The wait for a slot, and that for the task.
        self.longest_call = 2 * options.timeout
        self._changed = Condition()  # of what follows
        self._held = 0
        self._given_up: list[Buffers] = []
        self._failures = 0
        self._lost: Optional[str] = None
        self._closed = False
        self._model = LibdnnModel(abi.load(), self.path, options)
        self._places: list[Place] = []
        self._free: FreeItems[Place] = FreeItems()
        # For a runtime that nobody closes: no thread is in it then. Not at the end of the process,
        # where threads may still run tasks, and the system takes everything back anyway.
        self._release = weakref.finalize(self, let_go, self._model, self._places, self._given_up)
        self._release.atexit = False
        try:
            for _ in range(self.slots):
                self._places.append(Place(self._model.buffers()))
                self._free.give(self._places[-1])
        except BaseException:
            self.close()
            raise
        self.input_hw = self._model.image.hw
        self.outputs = [output.info for output in self._model.outputs]

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """
        See Runtime.slot.

        Raises:
            InferenceTimeoutError: none became free in RuntimeOptions.timeout.
            RuntimeLostError: the runtime has to be opened again.
            ModelError: it is closed.

        """
        place = self._take()
        slot = _LibdnnSlot(self, place)
        try:
            yield slot
        finally:
            slot.leave()
            self._put_back(place)

    def run(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Runtime.run."""
        self.check_nv12(nv12)
        with self.slot() as slot:
            return [np.array(view, order='C') for view in slot.infer(nv12)]

    def describe(self) -> str:
        """See Runtime.describe."""
        model = self._model
        return (f'{super().describe()}\n'
                f'  model {model.name!r}: input {memory_text(model.image_properties)}, '
                f'{model.image.pitch} bytes a row\n'
                f'  {self.slots} slots; libdnn {model.version} ({abi.find()})')

    def _memory_text(self, index: int) -> str:
        return memory_text(self._model.output_properties[index])

    def close(self) -> None:
        """
        See Runtime.close; it waits at most 2 s for slots that are held.

        What an inference or a slot still holds then is given back when it ends.
        """
        deadline = monotonic() + _CLOSE
        with self._changed:
            self._closed = True
            self._free.end()
            while self._held and self._changed.wait(max(0.0, deadline - monotonic())):
                pass
            if self._held:
                _log.warning('%s: closed while %d slot(s) are held; their memory is given back '
                             'when they are left', self.path, self._held)
            self._release_if_over()

    def infer(self, place: Place, nv12: np.ndarray, filled: bool) -> list[np.ndarray]:
        """
        Run the model on an image in a place's memory: a slot's part of `Slot.infer`.

        Args:
            place: one that is held.
            nv12: the image.
            filled: whether it is there already.

        Returns:
            Views on the place's memory.

        Raises:
            FrameError, InferenceTimeoutError, RuntimeLostError, ModelError: see Runtime.run.

        """
        self.check_nv12(nv12)
        if self._closed:
            raise ModelError(f'{self.path}: the runtime is closed')
        buffers = place.buffers
        if buffers is None:
            raise ModelError(f"{self.path}: the slot's inference was given up; leave the slot and "
                             'take another')
        if not filled:
            buffers.fill(nv12)
        try:
            code = self._model.run_task(buffers, self._timeout, lambda: self._closed,
                                        lambda: self._give_up(place))
            if code == TIMEOUT and self._closed:
                raise ModelError(f'{self.path}: the runtime was closed during an inference')
            if code == TIMEOUT:
                raise InferenceTimeoutError(
                    f'{self.path}: the BPU did not end an inference in {self._timeout:g} s, it '
                    f'was given up; {explain("hbDNNWaitTaskDone", code)}')
            if code:
                raise hb_error(self.path, 'hbDNNWaitTaskDone', code)
        except ModelError as error:
            raise self._failed(error) from None
        with self._changed:
            self._failures = 0
        return list(buffers.views)

    def _give_up(self, place: Place) -> None:
        """Keep a place's memory from everybody, as the BPU may still write there."""
        with self._changed:
            if place.buffers is not None:
                self._given_up.append(place.buffers)
            place.buffers = None

    def _failed(self, error: ModelError) -> ModelError:
        """Count a failure; return it, or that it was one too many."""
        with self._changed:
            self._failures += 1
            self.timeouts += isinstance(error, InferenceTimeoutError)
            if isinstance(error, RuntimeLostError):
                self._lost = str(error)
            elif len(self._given_up) >= _MOST_GIVEN_UP:
                self._lost = f'{error}; {len(self._given_up)} tasks have been given up'
            elif self._failures >= max(_MOST_FAILURES, self.slots):
                self._lost = f'{error}; {self._failures} inferences have failed in a row'
            if self._lost is None or self._closed:
                return error
            self._free.end()
            return RuntimeLostError(self._lost)

    def _take(self) -> Place:
        """Return a place of one's own with memory in it, for `_put_back`."""
        place = self._free.take(self._timeout)
        with self._changed:
            if self._closed:
                raise ModelError(f'{self.path}: the runtime is closed')
            if self._lost is not None:
                raise RuntimeLostError(self._lost)
            if place is None:
                raise InferenceTimeoutError(f'{self.path}: none of the {self.slots} slots became '
                                            f'free in {self._timeout:g} s')
            self._held += 1
        try:
            if place.buffers is None:
                place.buffers = self._model.buffers()
        except ModelError as error:
            self._put_back(place)
            raise self._failed(error) from None
        except BaseException:
            self._put_back(place)
            raise
        return place

    def _put_back(self, place: Place) -> None:
        with self._changed:
            self._held -= 1
            self._changed.notify_all()
            self._release_if_over()
        self._free.give(place)

    def _release_if_over(self) -> None:
        """Give everything back if the runtime is closed and nobody holds anything."""
        if self._closed and not self._held:
            self._release()


class _LibdnnSlot:
    """A place while it is held; see Slot."""

    def __init__(self, runtime: LibdnnRuntime, place: Place) -> None:
        self._runtime = runtime
        self._place: Optional[Place] = place
        self.image = place.buffers.image if place.buffers is not None else None

    def infer(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Slot.infer."""
        if self._place is None:
            raise ModelError(f'{self._runtime.path}: the slot has been left')
        return self._runtime.infer(self._place, nv12, nv12 is self.image)

    def leave(self) -> None:
        """Forget the memory, which is another's now."""
        self._place = self.image = None


def require() -> None:
    """Raise RuntimeUnavailableError unless libdnn can be used here."""
    abi.load()
