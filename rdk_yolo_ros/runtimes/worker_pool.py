"""WorkerPool: processes that each run a model of their own, kept alive and fed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import logging
import os
import threading
import time
from typing import Any, NoReturn, Optional

from rdk_yolo_ros.errors import (
    InferenceTimeoutError,
    ModelError,
    RuntimeLostError,
    RuntimeUnavailableError,
)
from rdk_yolo_ros.runtimes.free_items import FreeItems
from rdk_yolo_ros.runtimes.slot_memory import SlotMemory
from rdk_yolo_ros.runtimes.worker_process import DIE_S, Worker

_log = logging.getLogger(__name__)

# A large model takes seconds to load from an SD card.
_START_S = 60.0
# A worker that cannot be started so many times in a row will not be tried again.
_STARTS = 3
_PAUSE_S = 0.2
# With so many inferences in a row that fail, the fault is not in one of them.
_MOST_FAILURES = 4
# A worker that waits for work ends in a few milliseconds; one that works is killed.
_LEAVE_S = 0.3


class WorkerPool:
    """
    Workers, all with the same model; safe to use from several threads.

    A worker that crashes, or takes too long and is killed, is started again in the background.
    `_MOST_FAILURES` inferences in a row that fail in any way, or as many as there are workers if
    that is more, and the pool is lost.

    Attributes:
        description: what the workers say of their model.
        longest_call: seconds after which `infer` has returned or raised.

    Args:
        where: the model, for messages.
        hellos: what each worker is to load and how; `timeout` is the limit of an inference.

    Raises:
        RuntimeUnavailableError: a worker cannot import its library.
        ModelError: a worker cannot load the model, or cannot be started.

    """

    def __init__(self, where: str, hellos: Sequence[dict[str, Any]]) -> None:
        """Start the workers, all at once, and wait until each has loaded its model."""
        self._where = where
        self._timeout: float = hellos[0]['timeout']
        self.longest_call = 2 * self._timeout + _LEAVE_S + DIE_S
        self._most_failures = max(_MOST_FAILURES, len(hellos))
        self._failures = 0
        self._owner = os.getpid()
        self._memory: Optional[SlotMemory] = None
        self._state = threading.Condition()
        self._idle: FreeItems[Worker] = FreeItems()
        self._workers: set[Worker] = set()
        self._closed = False
        self._lost: Optional[str] = None
        deadline = time.monotonic() + _START_S
        try:
            workers = [self._start(hello) for hello in hellos]
            descriptions = [self._described(worker, deadline) for worker in workers]
            if any(other != descriptions[0] for other in descriptions):
                raise ModelError(f'{where}: the file changed while it was loaded; open it again')
        except BaseException:
            self.close()
            raise
        self.description = descriptions[0]

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        with self._state:
            return sorted(worker.pid for worker in self._workers)

    def share(self, memory: SlotMemory) -> None:
        """
        Give the workers the slots' memory, before the first inference.

        Raises:
            ModelError: a worker ended since it loaded the model.

        """
        self._memory = memory
        for worker in list(self._workers):
            try:
                worker.share(memory)
            except OSError:
                raise ModelError(
                    f'{self._where}: a worker ended after it had loaded the model '
                    f'({worker.end(_LEAVE_S)}); what the library said of it is on the standard '
                    'error output; check the free memory (free -m) and dmesg') from None
            self._idle.give(worker)

    def infer(self, slot: int) -> None:
        """
        Run on a slot's image, into its outputs.

        The limit holds for the inference, and once more for waiting until a worker is free.

        Raises:
            InferenceTimeoutError: it took too long; nothing writes to the slot any more.
            RuntimeLostError: a worker ended and cannot be started again, or one failure followed
                the other.
            ModelError: it failed, or the pool is closed.

        """
        worker = self._take()
        try:
            failure = worker.infer(slot, self._timeout)
        except TimeoutError:
            self._replace(worker)
            raise self._failed(InferenceTimeoutError(
                f'{self._where}: no result after {self._timeout:g} s; the worker was ended and '
                'starts again; if this happens often, check the temperature and clock of the BPU '
                '(hrut_somstatus) or raise the time limit')) from None
        except (OSError, EOFError):
            # What it says as it ends is worth a moment.
            how = self._replace(worker, _LEAVE_S)
            self._raise_if_over()
            raise self._failed(ModelError(
                f'{self._where}: the worker ended during an inference ({how}) and starts again; '
                'what the library said of it is on the standard error output')) from None
        except BaseException:  # Ctrl-C: the answer would be taken for that of the next call
            self._replace(worker)
            raise
        self._idle.give(worker)
        if failure:
            raise self._failed(ModelError(failure))
        with self._state:
            self._failures = 0

    def close(self) -> None:
        """End the workers, in less than a second unless a driver hangs. Again: does nothing."""
        if os.getpid() != self._owner:
            return  # in a process that was forked from the pool's own
        with self._state:
            self._closed = True
            workers, self._workers = self._workers, set()
            self._state.notify_all()
        self._idle.end()
        for worker in workers:
            worker.leave()
        deadline = time.monotonic() + _LEAVE_S
        for worker in workers:
            try:
                worker.end(deadline - time.monotonic())
            except RuntimeLostError as error:
                _log.error('%s: %s', self._where, error)
        if self._memory is not None:
            self._memory.close()

    def _take(self) -> Worker:
        """Return a worker that is free, and the caller's until it is given back."""
        worker = self._idle.take(self._timeout)
        if worker is None:
            self._raise_if_over()
            raise InferenceTimeoutError(
                f'{self._where}: no worker became free within {self._timeout:g} s; one that ended '
                'may still be loading the model')
        return worker

    def _raise_if_over(self) -> None:
        if self._closed:
            raise ModelError(f'{self._where}: the runtime is closed')
        if self._lost:
            raise RuntimeLostError(f'{self._where}: {self._lost}')

    def _failed(self, error: ModelError) -> ModelError:
        """Count a failed inference; return its error, or that it was one too many."""
        with self._state:
            self._failures += 1
            if self._closed or self._failures < self._most_failures:
                return error
            self._lost = self._lost or (f'{self._failures} inferences have failed in a row, the '
                                        f'last one so: {error}')
        self._idle.end()
        return RuntimeLostError(f'{self._where}: {self._lost}')

    def _start(self, hello: dict[str, Any]) -> Worker:
        try:
            worker = Worker(hello)
        except OSError as error:
            raise ModelError(f'{self._where}: a worker process cannot be started ({error}); check '
                             'the free memory (free -m) and the limits of processes and files '
                             '(ulimit -u, ulimit -n), or use fewer `slots`') from None
        with self._state:
            if not self._closed:
                self._workers.add(worker)
                return worker
        worker.end()
        self._raise_if_over()
        raise AssertionError

    def _described(self, worker: Worker, deadline: float) -> dict[str, Any]:
        """Return what a worker says of its model, or say how it failed to load it."""
        try:
            return worker.described(deadline)
        except TimeoutError:
            raise ModelError(f'{self._where}: a worker did not load the model within '
                             f'{_START_S:g} s; check what else uses the BPU (hrut_somstatus)'
                             ) from None
        except (OSError, EOFError):
            how = worker.end(_LEAVE_S)
            self._raise_if_over()
            raise ModelError(f'{self._where}: a worker ended while it loaded the model ({how}); '
                             'what the library said of it is on the standard error output; check '
                             "that the model was compiled for this board's BPU") from None

    def _replace(self, worker: Worker, patience: float = 0.0) -> str:
        """End a worker, start another in the background, and return how the first one ended."""
        with self._state:
            self._workers.discard(worker)
        try:
            how = worker.end(patience)
        except RuntimeLostError as error:
            self._lose(str(error))
        threading.Thread(target=self._restart, args=(worker.hello,), name='worker-restart',
                         daemon=True).start()
        return how

    def _lose(self, reason: str) -> NoReturn:
        self._lost = reason
        self._idle.end()
        raise RuntimeLostError(f'{self._where}: {reason}')

    def _restart(self, hello: dict[str, Any]) -> None:
        reason = ''
        for attempt in range(_STARTS):
            with self._state:
                self._state.wait_for(lambda: self._closed, attempt * _PAUSE_S)
                if self._closed or self._lost:
                    return
            worker = None
            try:
                worker = self._start(hello)
                if self._described(worker, time.monotonic() + _START_S) != self.description:
                    raise ModelError('the model file is another one now')
                assert self._memory is not None
                worker.share(self._memory)
            except (OSError, ModelError, RuntimeUnavailableError) as error:  # OSError: share
                reason = str(error)
                if worker is not None:
                    with self._state:
                        self._workers.discard(worker)
                    with suppress(RuntimeLostError):  # the reason for that is this one
                        worker.end()
                continue
            self._idle.give(worker)
            _log.warning('%s: a worker was started again', self._where)
            return
        self._lost = f'a worker ended and could not be started {_STARTS} times: {reason}'
        self._idle.end()
