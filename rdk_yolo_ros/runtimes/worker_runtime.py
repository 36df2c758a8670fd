"""WorkerRuntime: what the runtimes have in common whose models run in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional
import weakref

import numpy as np

from rdk_yolo_ros.errors import InferenceTimeoutError, ModelError
from rdk_yolo_ros.runtimes.base import Runtime, RuntimeOptions, Slot
from rdk_yolo_ros.runtimes.free_items import FreeItems
from rdk_yolo_ros.runtimes.slot_memory import SlotMemory
from rdk_yolo_ros.runtimes.worker_messages import info_from_json
from rdk_yolo_ros.runtimes.worker_pool import WorkerPool

# The vendor's table of the X5 has its highest rates with two tasks at once. A third worker has its
# task wait there already while one of them copies its outputs; a fourth slot is for letterbox and
# decode.
_WORKERS = 3
_SLOTS = 4


class WorkerRuntime(Runtime):
    """
    A model that runs in worker processes, on memory that they share with this one.

    The image is written into that memory, and a worker writes the outputs there, once. What a
    library does with Python's lock, and where it hangs or crashes, concerns its worker alone.

    Args:
        path: the model file.
        nv12_range: 'full' or 'limited', as the model was compiled; default 'full', which is the
            compiler's `regular`. The libraries do not tell.
        options: `slots` is 4 unless it is given, with a worker for each, but 3 at the most.

    Attributes:
        module: of this package, where there is a LoadedModel.

    Raises:
        RuntimeUnavailableError: the library cannot be imported.
        ModelError: the file cannot be loaded, or takes an input that is no NV12 image; or the
            system has no memory or process left.

    """

    module: str

    def __init__(self, path: Path, nv12_range: Optional[str] = None,
                 options: Optional[RuntimeOptions] = None) -> None:
        """Start the workers and have each load the model."""
        self.path = Path(path)
        self.nv12_range = nv12_range or 'full'
        options = options or RuntimeOptions()
        self.slots = options.slots or _SLOTS
        self._wait = 2 * options.timeout
        self._free = FreeItems(range(self.slots))
        self._pool = WorkerPool(f'{self.path}', [
            {'module': self.module, 'path': str(self.path.absolute()),
             'model_name': options.model_name, 'priority': options.priority,
             'cores': options.cores, 'worker': worker, 'timeout': options.timeout,
             'slots': self.slots}
            for worker in range(min(self.slots, _WORKERS))])
        # A slot's wait, which is as long as an inference and its wait for a worker, and then both.
        self.longest_call = self._wait + self._pool.longest_call
        # For a runtime that nobody closes; the pool does not hold the runtime.
        self._closer = weakref.finalize(self, self._pool.close)
        try:
            facts = self._pool.description
            self._facts = facts
            self.input_hw = (facts['input_hw'][0], facts['input_hw'][1])
            self.outputs = [info_from_json(fields) for fields in facts['outputs']]
            self._memory = self._shared_memory()
            self._pool.share(self._memory)
        except BaseException:
            self.close()
            raise

    def run(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Runtime.run."""
        self.check_nv12(nv12)
        with self.slot() as slot:
            return [output.copy() for output in slot.infer(nv12)]

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """See Runtime.slot. A call that finds none free waits twice the time limit."""
        index = self._free.take(self._wait)
        if index is None:
            if not self._closer.alive:
                raise ModelError(f'{self.path}: the runtime is closed')
            raise InferenceTimeoutError(f'{self.path}: none of {self.slots} slots became free '
                                        f'within {self._wait:g} s')
        slot = _SharedSlot(self, index)
        try:
            yield slot
        finally:
            slot.left = True
            self._free.give(index)

    def describe(self) -> str:
        """See Runtime.describe."""
        facts = self._facts
        return '\n'.join((super().describe(),
                          f'  model {facts["model"]}, input {facts["input"]}',
                          f'  {facts["library"]} in {len(self._pool.pids)} worker '
                          f'process(es) for {self.slots} slot(s)'))

    def _memory_text(self, index: int) -> str:
        return str(self._facts['memory'][index])

    def _shared_memory(self) -> SlotMemory:
        try:
            return SlotMemory(self.input_hw, self.outputs, self.slots)
        except OSError as error:
            raise ModelError(f'{self.path}: the memory of {self.slots} slots cannot be had '
                             f'({error}); check the free memory (free -m) and the limit of files '
                             '(ulimit -n), or use fewer `slots`') from None

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers, for whoever measures them."""
        return self._pool.pids

    def close(self) -> None:
        """See Runtime.close. Calls under way raise ModelError."""
        self._closer()
        self._free.end()


class _SharedSlot:
    """A slot on the memory that the workers share."""

    def __init__(self, runtime: WorkerRuntime, index: int) -> None:
        self._runtime = runtime
        self._index = index
        self.image: Optional[np.ndarray] = runtime._memory.image(index)
        self.left = False

    def infer(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Slot.infer."""
        runtime = self._runtime
        if self.left:
            raise ModelError(f'{runtime.path}: infer() was called on a slot that was left')
        if nv12 is not self.image:
            runtime.check_nv12(nv12)
            np.copyto(runtime._memory.image(self._index), nv12)
        runtime._pool.infer(self._index)
        outputs = runtime._memory.outputs(self._index)
        for output in outputs:
            output.flags.writeable = False
        return outputs
