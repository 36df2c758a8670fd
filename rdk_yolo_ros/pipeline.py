"""Pipeline: many frames in flight, the newest first, results in order, hung calls given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import logging
import threading
import time
from typing import Any, Generic, Optional, TypeVar

from rdk_yolo_ros.errors import InferenceTimeoutError, RuntimeLostError

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
        failed: items that reached `on_error`, but for those of `timed_out`.
        late: results thrown away because so many newer ones were ready that they were not
            waited for any longer.
        timed_out: items whose `predict` took longer than the timeout; they reached `on_error`.

    """

    submitted: int = 0
    dropped: int = 0
    completed: int = 0
    failed: int = 0
    late: int = 0
    timed_out: int = 0


@dataclass(frozen=True)
class _Outcome(Generic[Item, Result]):
    item: Item
    result: Optional[Result] = None
    error: Optional[Exception] = None
    gave_up: bool = False


@dataclass(frozen=True)
class _Call(Generic[Item]):
    """A call of `predict` under way."""

    item: Item
    began: float  # time.monotonic()
    thread: threading.Thread


class Pipeline(Generic[Item, Result]):
    """
    Runs `predict` on `slots` threads and hands the results on in the order of submission.

    At most one item waits: a newer one takes its place, so a slow `predict` costs frames, never
    latency or memory. The results are handed on by one more thread, so that a slot is free for
    the next item while its last result is being used, and the callbacks need no lock of their
    own. No slot takes a new item while a finished result waits for that thread. An item that
    takes longer than `4 * slots` newer ones is overtaken, so that one hung call cannot stop the
    other slots; an error is told all the same.

    A call that exceeds `timeout` is given up: `on_error` gets its item with
    InferenceTimeoutError, at its place in the order unless it was overtaken, and a new thread
    takes over its slot. What the call returns one day is thrown away. While more than
    `2 * slots` calls that were given up have not returned, slots stay empty, and the error is
    RuntimeLostError: a model that never returns does not fill the process with threads.

    The threads are daemons: a call that never returns cannot keep the process from ending.

    Args:
        predict: called as predict(item) on up to `slots` threads at once.
        slots: how many calls of `predict` may run at once, at least 1.
        on_result: called as on_result(item, result), one call at a time, in order.
        on_error: called as on_error(item, exception), like `on_result`, when `predict` or
            `on_result` raised; without it the exception goes to this module's logger.
        timeout: seconds that a call of `predict` may take, more than 0; None: any time.

    Raises:
        ValueError: `slots` is less than 1, or `timeout` not more than 0.

    """

    def __init__(self, predict: Callable[[Item], Result], slots: int = 1,
                 on_result: Optional[Callable[[Item, Result], Any]] = None,
                 on_error: Optional[Callable[[Item, Exception], Any]] = None,
                 timeout: Optional[float] = None) -> None:
        _check(slots, timeout)
        self._predict = predict
        self._on_result = on_result
        self._on_error = on_error
        self._slots = slots
        self._timeout = timeout
        self._patience = 4 * slots
        # One lock, and two conditions on it, so that an event wakes only who waits for it.
        self._state = threading.Lock()
        self._work_is_there = threading.Condition(self._state)
        self._outcome_is_there = threading.Condition(self._state)
        self._closed = False
        self._pending: Optional[tuple[Item]] = None  # in a tuple, so that None may be an item
        self._running: dict[int, _Call[Item]] = {}  # by ticket, the oldest first
        self._finished: dict[int, _Outcome[Item, Result]] = {}
        self._taken = 0  # the ticket that the next item to be taken gets
        self._next = 0  # the ticket whose outcome is handed on next
        self._workers = 0  # threads that a slot has, without those whose call was given up
        self._hung: set[threading.Thread] = set()
        self._stats = PipelineStats()
        self._threads: list[threading.Thread] = []
        with self._state:
            for _ in range(slots):
                self._start(self._work, f'pipeline-slot-{len(self._threads)}')
            self._workers = slots
            self._start(self._deliver, 'pipeline-results')

    @property
    def stats(self) -> PipelineStats:
        """What became of the items so far."""
        with self._state:
            return self._stats

    @property
    def hung(self) -> int:
        """How many calls were given up, or left by `close`, and have not returned yet."""
        with self._state:
            return (sum(thread.is_alive() for thread in self._threads) if self._closed
                    else len(self._hung))

    @property
    def is_stuck(self) -> bool:
        """Whether no slot is left to take an item, as too many calls do not return."""
        with self._state:
            return not self._workers

    def resize(self, slots: int, timeout: Optional[float] = None) -> None:
        """
        Change how many calls may run at once and how long each may take; calls under way go on.

        Slots that were lost to calls that do not return are filled again, as what `predict`
        does now may be something else.

        Args:
            slots, timeout: as when the pipeline is made.

        Raises:
            ValueError: as when the pipeline is made.

        """
        _check(slots, timeout)
        with self._state:
            if self._closed:
                return
            self._slots, self._timeout, self._patience = slots, timeout, 4 * slots
            while self._workers < slots:
                self._start(self._work, f'pipeline-slot-{self._workers}')
                self._workers += 1
            # Those past the number end, and what is overdue is looked for anew.
            self._work_is_there.notify_all()
            self._outcome_is_there.notify_all()

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
            self._work_is_there.notify()
            return None if displaced is None else displaced[0]

    def close(self, timeout: float = 0.8) -> bool:
        """
        Stop: drop what waits, let running calls end, hand on nothing more.

        Args:
            timeout: how long to wait for the threads, in seconds, all of them together. Calls
                that were given up before are not waited for.

        Returns:
            Whether every thread has ended. False means that a call of `predict` or of a callback
            still runs; whatever it returns is thrown away.

        """
        with self._state:
            self._closed = True
            self._pending = None
            self._finished.clear()
            self._work_is_there.notify_all()
            self._outcome_is_there.notify_all()
            threads, hung = list(self._threads), set(self._hung)
        deadline = time.monotonic() + timeout
        # A callback may close its own pipeline; its thread ends when the callback returns.
        threads = [thread for thread in threads if thread is not threading.current_thread()]
        for thread in threads:
            if thread not in hung:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start(self, function: Callable[[], None], name: str) -> None:
        """Start a thread; call it with the lock held."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=function, name=name, daemon=True))
        self._threads[-1].start()

    def _count(self, **changes: int) -> None:
        self._stats = replace(self._stats, **{
            name: getattr(self._stats, name) + change for name, change in changes.items()})

    def _work(self) -> None:
        """Take the newest item, predict, leave the outcome; one thread a slot."""
        while True:
            with self._state:
                while not self._closed and self._workers <= self._slots \
                        and (self._pending is None or self._is_ready()):
                    self._work_is_there.wait()
                if self._closed:
                    return
                if self._workers > self._slots:
                    self._workers -= 1
                    self._work_is_there.notify()  # for whoever stays
                    return
                assert self._pending is not None
                (item,), self._pending = self._pending, None
                ticket = self._taken
                self._taken += 1
                self._running[ticket] = _Call(item, time.monotonic(), threading.current_thread())
            try:
                outcome = _Outcome(item, self._predict(item))
            except Exception as error:
                outcome = _Outcome(item, error=error)
            with self._state:
                if self._closed:
                    return
                if self._running.pop(ticket, None) is None:
                    self._hung.discard(threading.current_thread())
                    if self._workers >= self._slots:
                        return  # the slot has another thread
                    self._workers += 1
                elif ticket < self._next and outcome.error is None:
                    self._count(late=1)
                else:
                    self._finished[ticket] = outcome
                    self._outcome_is_there.notify()
            # Waiting for the next item must not keep this one's memory.
            del item, outcome

    def _is_ready(self) -> bool:
        """Return whether an outcome can be handed on; call it with the lock held."""
        return bool(self._finished) and (len(self._finished) > self._patience
                                         or min(self._finished) <= self._next)

    def _give_up(self) -> None:
        """Take the slots of calls that exceed the timeout away; call it with the lock held."""
        while self._timeout is not None and self._running and not self._closed:
            ticket, call = next(iter(self._running.items()))
            if time.monotonic() - call.began < self._timeout:
                return
            del self._running[ticket]
            self._hung.add(call.thread)
            error: Exception = InferenceTimeoutError(
                f'an inference has not returned for {self._timeout:g} s and was given up')
            if len(self._hung) <= 2 * self._slots:
                self._start(self._work, call.thread.name)
            else:
                self._workers -= 1
                error = RuntimeLostError(
                    f'{len(self._hung)} inferences that were given up after {self._timeout:g} s '
                    f'have not returned, more than two for each of the {self._slots} slot(s)')
            self._finished[ticket] = _Outcome(call.item, error=error, gave_up=True)

    def _until_overdue(self) -> Optional[float]:
        """Return how long no call can exceed the timeout, in seconds; with the lock held."""
        if self._timeout is None or not self._running:
            # A call that begins now is looked at again before its time is over.
            return self._timeout
        oldest = next(iter(self._running.values()))
        return max(0.0, oldest.began + self._timeout - time.monotonic())

    def _deliver(self) -> None:
        """Hand outcomes on in the order of their tickets, give up what hangs; one thread."""
        while True:
            with self._state:
                self._give_up()
                while not self._closed and not self._is_ready():
                    self._outcome_is_there.wait(self._until_overdue())
                    self._give_up()
                if self._closed:
                    return
                ticket = min(self._finished)
                outcome = self._finished.pop(ticket)
                self._next = max(self._next, ticket + 1)
                self._work_is_there.notify()
            error = outcome.error
            if error is None and self._on_result is not None:
                try:
                    self._on_result(outcome.item, outcome.result)  # type: ignore[arg-type]
                except Exception as raised:
                    error = raised
            if error is not None:
                self._report(outcome.item, error)
            with self._state:
                if outcome.gave_up:
                    self._count(timed_out=1)
                elif error is None:
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


def _check(slots: int, timeout: Optional[float]) -> None:
    if slots < 1:
        raise ValueError(f'slots is {slots}, expected 1 or more')
    if timeout is not None and not timeout > 0:
        raise ValueError(f'timeout is {timeout}, expected seconds, more than 0')
