"""Images read and converted ahead of their time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import itertools
import queue
import threading
from typing import Generic, Optional, TypeVar

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
            keep: so many items at most are kept. A source that `loop`s and has no more is read
                only once; one that is `drawn` is not read any further, and its items are given
                out again, backwards, forwards and so on.
            depth: items to have ready.
            on_bad: called in the thread for every image that has to be left out.

        """
        self._source = source
        self._convert = convert
        self._loop = loop
        self._limit = limit
        self._keep = keep
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
        for item in itertools.islice(self._all_items(), self._limit or None):
            self._put(item)
            if self._stop.is_set():
                return

    def _all_items(self) -> Iterator[T]:
        kept: list[T] = []
        while not self._stop.is_set():
            number = 0
            for item in self._one_round():
                number += 1
                if number <= self._keep:
                    kept.append(item)
                yield item
                if number == self._keep and self._source.drawn:
                    # The next are n - 2 ... 1 0 1 ... n - 1: there and back, so nothing jumps.
                    yield from itertools.cycle(kept[-2:0:-1] + kept)
            if not number:
                raise SourceError(f'{self._source.description}: not one image can be read')
            if not self._loop:
                return
            if number <= self._keep:
                yield from itertools.cycle(kept)
            kept.clear()
            self._source.rewind()

    def _one_round(self) -> Iterator[T]:
        while not self._stop.is_set():
            try:
                image = self._source.read()
                if image is None:
                    return
                item = self._convert(image)
            except FrameError as error:
                if self._source.drawn:  # the next one would be the same
                    raise SourceError(f'{self._source.description}: {error}') from error
                self._on_bad(error)
            else:
                yield item

    def _put(self, item: T) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._items.put(item, timeout=_POLL)
                return
