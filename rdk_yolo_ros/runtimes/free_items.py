"""FreeItems: things that threads take and give back, first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
import threading
from typing import Generic, Optional, TypeVar

Item = TypeVar('Item')


class _Waiter(Generic[Item]):
    """A thread that waits; `ready` is held until there is an item for it, or no more to come."""

    def __init__(self) -> None:
        self.item: Optional[Item] = None
        self.ready = threading.Lock()
        self.ready.acquire()


class FreeItems(Generic[Item]):
    """
    What is free; each item goes to the thread that has waited longest.

    A lock or a condition of Python's does not promise that: a thread that gives something back
    and takes the next at once may keep another from its turn for seconds.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = deque(items)
        self._waiting: deque[_Waiter[Item]] = deque()
        self._lock = threading.Lock()
        self._ended = False

    def take(self, timeout: float) -> Optional[Item]:
        """Return an item, or None where none became free in `timeout` seconds, or at the end."""
        with self._lock:
            if self._ended:
                return None
            if self._items:
                return self._items.popleft()
            waiter: _Waiter[Item] = _Waiter()
            self._waiting.append(waiter)
        try:
            waiter.ready.acquire(timeout=timeout)
        except BaseException:  # Ctrl-C: an item that came just then goes to the next
            if (item := self._leave(waiter)) is not None:
                self.give(item)
            raise
        return self._leave(waiter)

    def give(self, item: Item) -> None:
        """Give an item back, or add one."""
        with self._lock:
            if self._ended:
                return
            if not self._waiting:
                self._items.append(item)
                return
            waiter = self._waiting.popleft()
            waiter.item = item
            waiter.ready.release()

    def end(self) -> None:
        """Let every thread that waits, or comes later, go without an item."""
        with self._lock:
            self._ended = True
            self._items.clear()
            while self._waiting:
                self._waiting.popleft().ready.release()

    def _leave(self, waiter: _Waiter[Item]) -> Optional[Item]:
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            return waiter.item
