"""LatchedImages: tells what transient-local publishers send again to a subscription made anew."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

import numpy as np

from rdk_yolo_ros.nodes.images import ImageMessage, header_of, stamp_of

# More than publishers keep for those who come late; a number of 64 bits each.
_REMEMBERED = 256
# What is sent again comes at once, but a busy machine may take its time.
_REPLAY_S = 2.0
# Images without a stamp differ in their pixels; a few tell.
_SAMPLES = 1024


class LatchedImages:
    """
    Remembers images that arrived, and knows them when a changed subscription gets them again.

    Only for a moment after a change to transient local, and each once: stamps may well come
    again, of a bag that is played in a loop for example. Safe to use from every thread.

    Args:
        clock: a steady clock in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: dict[int, None] = {}  # the oldest first
        self._before: frozenset[int] = frozenset()
        self._expected: set[int] = set()
        self._until = float('-inf')

    def forget(self) -> None:
        """Forget everything: whoever sent it is gone, or it is wanted again."""
        with self._lock:
            self._recent = {}
            self._before = frozenset()
            self._expected = set()

    def change(self, was_latched: bool, is_latched: bool) -> None:
        """
        Note that the subscription is made anew.

        Args:
            was_latched, is_latched: whether it was, and is, transient local.

        """
        with self._lock:
            # A camera that takes over may send more than is remembered; the latched image of
            # those before it is still there when it leaves.
            if was_latched:
                self._before = frozenset(self._recent)
            self._expected = {*self._before, *self._recent} if is_latched else set()
            self._until = self._clock() + _REPLAY_S

    def remember(self, image: ImageMessage) -> bool:
        """Remember an image; return whether it came before the change and is sent again."""
        key = _key(image)
        with self._lock:
            repeated = key in self._expected and self._clock() < self._until
            self._expected.discard(key)
            self._recent.pop(key, None)
            self._recent[key] = None
            if len(self._recent) > _REMEMBERED:
                del self._recent[next(iter(self._recent))]
        return repeated


def _key(image: Any) -> int:
    header = image if hasattr(image, 'frame_id') else header_of(image)
    stamp = header.stamp if header is image else stamp_of(header)
    data = np.asarray(image.data, np.uint8)
    sample = data[::max(1, data.size // _SAMPLES)].tobytes()
    return hash((stamp, header.frame_id, data.size, sample))
