"""Images read and converted ahead of their time."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Generic, List, Optional, TypeVar

from rdk_yolo_ros.errors import FrameError, RdkYoloError
from rdk_yolo_ros.image_sources.source import ImageSource, SourceError, SourceImage

T = TypeVar('T')
_POLL = 0.1  # seconds; how soon a thread that waits sees close()


class Prefetch(Generic[T]):
    """
    Reads a source in a thread and keeps a few finished items ready.

    The thread owns the source from here on and closes it.
    """

    def __init__(self, source: ImageSource, convert: Callable[[SourceImage], T],
                 loop: bool = False, limit: int = 0, keep: int = 0, depth: int = 4,
                 on_bad: Callable[[FrameError], None] = lambda error: None) -> None:
        """
        Start reading.

        Args:
            source: where images come from.
            convert: called in the thread; makes an item of an image. May raise FrameError.
            loop: start over after the last image.
            limit: items after which to end; 0 has no limit.
            keep: items after which the source is left alone, and those that were made are given
                out again, backwards, forwards and so on; 0 keeps none.
            depth: items to have ready; less than `keep`.
            on_bad: called in the thread for every image that has to be left out.

        """
        self._source = source
        self._convert = convert
        self._loop = loop
        self._limit = limit
        self._keep = keep
        self._kept: List[T] = []
        self._on_bad = on_bad
        self._items: queue.Queue[T] = queue.Queue(depth)
        self._stop = threading.Event()
        self._error: Optional[RdkYoloError] = None
        self._thread = threading.Thread(target=self._run, name='prefetch', daemon=True)
        self._thread.start()

    def take(self) -> Optional[T]:
        """
        Return the next item, or None if none is ready yet. Never waits.

        Raises:
            SourceError: the source broke off.
            StopIteration: there are no more items.

        """
        # Asked before the queue is: what the thread put there before it ended is not missed.
        ended = not self._thread.is_alive()
        try:
            return self._items.get_nowait()
        except queue.Empty:
            if not ended:
                return None
        if self._error:
            raise self._error
        raise StopIteration

    def close(self, timeout: float = 1.0) -> bool:
        """End the thread, waiting `timeout` seconds for it; return whether it has ended."""
        self._stop.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._read_all()
        except RdkYoloError as error:
            self._error = error
        except Exception as error:
            self._error = SourceError(f'{self._source.description}: '
                                      f'{type(error).__name__}: {error}')
        finally:
            self._source.close()

    def _read_all(self) -> None:
        made = made_this_round = 0
        while not self._stop.is_set() and not (self._limit and made >= self._limit):
            try:
                item = self._next(made)
            except FrameError as error:
                self._on_bad(error)
                continue
            if item is None:
                if not made_this_round:
                    raise SourceError(f'{self._source.description}: not one image can be read')
                if not self._loop:
                    return
                self._source.rewind()
                made_this_round = 0
                continue
            made += 1
            made_this_round += 1
            self._put(item)

    def _next(self, made: int) -> Optional[T]:
        if self._keep and len(self._kept) == self._keep:
            # 0 1 2 3 2 1 0 1 ...: there and back, so that nothing jumps.
            period = max(1, 2 * (self._keep - 1))
            place = made % period
            return self._kept[min(place, period - place)]
        image = self._source.read()
        item = None if image is None else self._convert(image)
        if self._keep and item is not None:
            self._kept.append(item)
        return item

    def _put(self, item: T) -> None:
        while not self._stop.is_set():
            try:
                return self._items.put(item, timeout=_POLL)
            except queue.Full:
                pass
