"""Answer: what a thread tells a coroutine that an executor runs."""

from __future__ import annotations

import threading

from rclpy.node import Node
from rclpy.task import Future


class Answer:
    """
    Something that one of a node's coroutines waits for, and any thread may say.

    Args:
        node: the node, which an executor has.

    """

    def __init__(self, node: Node) -> None:
        assert node.executor is not None
        self._executor = node.executor
        self._future = Future(executor=self._executor)
        self._lock = threading.Lock()

    def give(self, answer: bool = True) -> None:
        """Say it; who says it first is heard."""
        with self._lock:
            if self._future.done():
                return
            self._future.set_result(answer)
        # A future that is done wakes nobody by itself.
        self._executor.wake()

    async def wait(self, timeout: float) -> bool:
        """Return the answer, or False after `timeout` seconds without one."""
        timer = threading.Timer(timeout, self.give, (False,))
        timer.daemon = True
        timer.start()
        try:
            return await self._future
        finally:
            timer.cancel()
