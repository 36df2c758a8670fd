"""Matching: which image gets which results, and which is shown without any."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import threading
import time
from typing import Any, Generic, NamedTuple, TypeVar

Image = TypeVar('Image')

Stamp = tuple[int, int]  # seconds, nanoseconds
DETECTIONS = 'detections'


class Match(NamedTuple, Generic[Image]):
    """
    An image that is to be shown.

    Attributes:
        image: the image.
        parts: its results by kind; empty where none came in time.

    """

    image: Image
    parts: Mapping[str, Any]


@dataclass
class _Waiting(Generic[Image]):
    image: Image
    since: float


@dataclass
class MatchCounts:
    """What became of the images: with results, without, and left out as none came for them."""

    matched: int = 0
    plain: int = 0
    left_out: int = 0


@dataclass
class Matcher(Generic[Image]):
    """
    Keeps images until their results come, found by the exact stamp; safe from every thread.

    Results come in the order of the images, and not every image gets one: a model that is slower
    than the camera leaves images out. Those are left out here as well, so that what is shown does
    not flicker. Only when no result has come for `patience` are images shown as they are, that
    much later than they came, or earlier where more than `limit` wait.

    Attributes:
        limit: how many images wait at most.
        patience: how long one waits, in seconds.
        wanted: the kinds of results that make an image complete.
        counts: what became of the images.
        clock: a steady clock in seconds.

    """

    limit: int
    patience: float
    wanted: frozenset[str] = frozenset((DETECTIONS,))
    clock: Callable[[], float] = time.monotonic
    counts: MatchCounts = field(default_factory=MatchCounts)
    _images: OrderedDict[Stamp, _Waiting[Image]] = field(default_factory=OrderedDict)
    _parts: OrderedDict[Stamp, dict[str, Any]] = field(default_factory=OrderedDict)
    _matched_at: float = float('-inf')
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_image(self, stamp: Stamp, image: Image) -> list[Match[Image]]:
        """Keep an image; returns what is to be shown now, in order."""
        with self._lock:
            self._images.pop(stamp, None)
            self._images[stamp] = _Waiting(image, self.clock())
            return self._complete(stamp) or self._expired()

    def add_parts(self, stamp: Stamp, parts: Mapping[str, Any]) -> list[Match[Image]]:
        """Keep results, by kind, of the image with this stamp; returns what is to be shown."""
        with self._lock:
            self._parts.setdefault(stamp, {}).update(parts)
            while len(self._parts) > self.limit:
                self._parts.popitem(last=False)
            return self._complete(stamp)

    def expire(self) -> list[Match[Image]]:
        """Return what has waited too long and is to be shown now, in order."""
        with self._lock:
            return self._expired()

    def clear(self) -> None:
        """Forget everything that waits."""
        with self._lock:
            self._images.clear()
            self._parts.clear()

    def __len__(self) -> int:
        """Return how many images wait."""
        return len(self._images)

    def _complete(self, stamp: Stamp) -> list[Match[Image]]:
        if stamp not in self._images or not self.wanted <= self._parts.get(stamp, {}).keys():
            return []
        # What is older gets none any more.
        while next(iter(self._images)) != stamp:
            older, _ = self._images.popitem(last=False)
            self._parts.pop(older, None)
            self.counts.left_out += 1
        return [self._with_parts(stamp, self._images.pop(stamp))]

    def _expired(self) -> list[Match[Image]]:
        now, shown = self.clock(), []
        while self._images:
            stamp, oldest = next(iter(self._images.items()))
            if len(self._images) <= self.limit and now - oldest.since <= self.patience:
                break
            del self._images[stamp]
            if DETECTIONS in self._parts.get(stamp, {}):
                shown.append(self._with_parts(stamp, oldest))
            elif now - self._matched_at > self.patience:
                self.counts.plain += 1
                shown.append(Match(oldest.image, {}))
            else:
                self.counts.left_out += 1
        return shown

    def _with_parts(self, stamp: Stamp, waiting: _Waiting[Image]) -> Match[Image]:
        self.counts.matched += 1
        self._matched_at = self.clock()
        return Match(waiting.image, self._parts.pop(stamp))
