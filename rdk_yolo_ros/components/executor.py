"""ComponentExecutor: runs one component's callbacks, whatever they raise."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import threading
import time
from typing import Any, Optional

from rclpy.context import Context
from rclpy.executors import (
    ConditionReachedException,
    Executor,
    ExternalShutdownException,
    ShutdownException,
    TimeoutException,
)
from rclpy.task import Task
from rclpy.utilities import get_default_context

# What keeps failing without waiting for anything must not take the whole processor.
_PAUSE_S = 0.1


class ComponentExecutor(Executor):
    """
    Runs a component's callbacks until it is stopped or the context ends.

    rclpy's own executors end with the first exception of a callback; this one reports it and
    goes on. An executor each for the components, and not one for all: rclpy builds its wait set
    anew from every entity of every node that it has whenever one of them has something to do.

    Args:
        report: called with what a callback raised, in the thread that ran the callback.
        threads: how many callbacks may run at once, where their callback groups let them.
        context: the nodes' context, or None for the default one.

    """

    def __init__(self, report: Callable[[BaseException], None], threads: int = 1, *,
                 context: Optional[Context] = None) -> None:
        super().__init__(context=context or get_default_context())
        self._report = report
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads, 'callback') if threads > 1 else None
        self._running: set[Task] = set()
        self._missed: set[Task] = set()
        self._running_changed = threading.Condition()

    def spin(self) -> None:
        """Run callbacks until stopped."""
        while self.context.ok() and not self._stopping.is_set():
            self.spin_once()

    def spin_once(self, timeout_sec: Optional[float] = None) -> None:
        """Wait for a callback that is ready and run it, or hand it to the threads."""
        try:
            task, *_ = self.wait_for_ready_callbacks(timeout_sec, None, self._stopping.is_set)
        except (ConditionReachedException, ExternalShutdownException, ShutdownException,
                TimeoutException):
            return
        except Exception as error:
            if self.context.ok():
                self._report(error)
                time.sleep(_PAUSE_S)
            return
        with self._running_changed:
            # A task that has not ended comes up whenever something happens, while a thread is
            # at it, too; what happened then may be what it waits for.
            if task in self._running:
                self._missed.add(task)
                return
            self._running.add(task)
        if self._pool is None:
            self._run(task)
        else:
            self._pool.submit(self._run, task)

    def spin_once_until_future_complete(self, future: Any, timeout_sec: Any = None) -> None:
        """Run a callback that is ready; wakes up when the future is done."""
        future.add_done_callback(lambda _: self.wake())
        self.spin_once(timeout_sec)

    def stop(self) -> None:
        """End spin(), from any thread, as soon as the callback that it runs returns."""
        self._stopping.set()
        self.wake()

    def wait_for_callbacks(self) -> None:
        """Wait until every callback that runs in another thread has returned."""
        with self._running_changed:
            self._running_changed.wait_for(lambda: not self._running)

    def shutdown(self, timeout_sec: float = 0.0) -> bool:  # type: ignore[override]
        """Stop, and let go of the nodes and threads; return whether no callback runs any more."""
        self.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        return super().shutdown(timeout_sec)

    def _run(self, task: Task) -> None:
        try:
            task()
        except BaseException as error:
            # rclpy's tasks let through what is no Exception, SystemExit above all, and count as
            # running for ever.
            task.set_exception(error)
        finally:
            with self._running_changed:
                self._running.discard(task)
                missed = task in self._missed
                self._missed.discard(task)
                self._running_changed.notify_all()
        if missed and not task.done():
            self.wake()
        failure = task.exception()
        if failure is not None:
            self._report(failure)
