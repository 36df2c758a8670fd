"""Pipeline: many frames in flight, the newest first, results in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import logging
import threading
import time
from typing import Any, Generic, Optional, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PipelineStats:
    """
    What became of the items so far; `submitted` is the sum of the others and what is in flight.

    Attributes:
        submitted: items given to `submit` while the pipeline was open.
        dropped: items displaced by a newer one before a slot was free.
        completed: results that reached `on_result`.
        failed: items that reached `on_error`.
        late: results thrown away because so many newer ones were ready that they were not
            waited for any longer.

    """

    submitted: int = 0
    dropped: int = 0
    completed: int = 0
    failed: int = 0
    late: int = 0


@dataclass(frozen=True)
class _Outcome(Generic[Item, Result]):
    item: Item
    result: Optional[Result] = None
    error: Optional[Exception] = None


class Pipeline(Generic[Item, Result]):
    """
    Runs `predict` on `slots` threads and hands the results on in the order of submission.

    At most one item waits: a newer one takes its place, so a slow `predict` costs frames, never
    latency or memory. The results are handed on by one more thread, so that a slot is free for
    the next item while its last result is being used, and the callbacks need no lock of their
    own. No slot takes a new item while a finished result waits for that thread. An item that
    takes longer than `4 * slots` newer ones is given up on, so that one hung call cannot stop
    the other slots.

    The threads are daemons: a call that never returns cannot keep the process from ending.

    Args:
        predict: called as predict(item) on up to `slots` threads at once.
        slots: how many calls of `predict` may run at once, at least 1.
        on_result: called as on_result(item, result), one call at a time, in order.
        on_error: called as on_error(item, exception), like `on_result`, when `predict` or
            `on_result` raised; without it the exception goes to this module's logger.

    Raises:
        ValueError: `slots` is less than 1.

    """

    def __init__(self, predict: Callable[[Item], Result], slots: int = 1,
                 on_result: Optional[Callable[[Item, Result], Any]] = None,
                 on_error: Optional[Callable[[Item, Exception], Any]] = None) -> None:
        if slots < 1:
            raise ValueError(f'slots is {slots}, expected 1 or more')
        self._predict = predict
        self._on_result = on_result
        self._on_error = on_error
        self._patience = 4 * slots
        self._state = threading.Condition()
        self._closed = False
        self._pending: Optional[tuple[Item]] = None  # in a tuple, so that None may be an item
        self._finished: dict[int, _Outcome[Item, Result]] = {}
        self._taken = 0  # the ticket that the next item to be taken gets
        self._next = 0  # the ticket whose outcome is handed on next
        self._stats = PipelineStats()
        self._threads = [threading.Thread(target=self._work, name=f'pipeline-slot-{i}',
                                          daemon=True) for i in range(slots)]
        self._threads.append(threading.Thread(target=self._deliver, name='pipeline-results',
                                              daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def stats(self) -> PipelineStats:
        """What became of the items so far."""
        with self._state:
            return self._stats

    def submit(self, item: Item) -> Optional[Item]:
        """
        Leave an item for the next free slot and return the one that it displaced, or None.

        Never blocks. A closed pipeline takes nothing and returns the item itself.
        """
        with self._state:
            if self._closed:
                return item
            displaced, self._pending = self._pending, (item,)
            self._count(submitted=1, dropped=0 if displaced is None else 1)
            self._state.notify_all()
            return None if displaced is None else displaced[0]

    def close(self, timeout: float = 1.0) -> bool:
        """
        Stop: drop what waits, let running calls end, hand on nothing more.

        Args:
            timeout: how long to wait for the threads, in seconds, all of them together.

        Returns:
            Whether every thread has ended. False means that a call of `predict` or of a callback
            still runs; whatever it returns is thrown away.

        """
        with self._state:
            self._closed = True
            self._pending = None
            self._finished.clear()
            self._state.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            # A callback may close its own pipeline; its thread ends when the callback returns.
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads
                       if thread is not threading.current_thread())

    def _count(self, **changes: int) -> None:
        self._stats = replace(self._stats, **{
            name: getattr(self._stats, name) + change for name, change in changes.items()})

    def _work(self) -> None:
        """Take the newest item, predict, leave the outcome; one thread a slot."""
        while True:
            with self._state:
                while not self._closed and (self._pending is None or self._is_ready()):
                    self._state.wait()
                if self._closed:
                    return
                assert self._pending is not None
                (item,), self._pending = self._pending, None
                ticket = self._taken
                self._taken += 1
            try:
                outcome = _Outcome(item, self._predict(item))
            except Exception as error:
                outcome = _Outcome(item, error=error)
            with self._state:
                if self._closed:
                    return
                if ticket < self._next:
                    self._count(late=1)
                    continue
                self._finished[ticket] = outcome
                self._state.notify_all()
            # Waiting for the next item must not keep this one's memory.
            del item, outcome

    def _is_ready(self) -> bool:
        """Return whether an outcome can be handed on; call it with the lock held."""
        return self._next in self._finished or len(self._finished) > self._patience

    def _deliver(self) -> None:
        """Hand outcomes on in the order of their tickets; one thread."""
        while True:
            with self._state:
                while not self._closed and not self._is_ready():
                    self._state.wait()
                if self._closed:
                    return
                ticket = min(self._finished)
                outcome = self._finished.pop(ticket)
                self._next = ticket + 1
                self._state.notify_all()
            error = outcome.error
            if error is None and self._on_result is not None:
                try:
                    self._on_result(outcome.item, outcome.result)  # type: ignore[arg-type]
                except Exception as raised:
                    error = raised
            if error is not None:
                self._report(outcome.item, error)
            with self._state:
                if error is None:
                    self._count(completed=1)
                else:
                    self._count(failed=1)
            del outcome, error

    def _report(self, item: Item, error: Exception) -> None:
        if self._on_error is not None:
            try:
                self._on_error(item, error)
                return
            except Exception:
                _LOG.exception('on_error raised while it was told of %r', error)
        _LOG.error('an item failed: %r', error, exc_info=error)
