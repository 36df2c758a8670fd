"""TopicStatistics: a topic's period, age and sizes of the last seconds, as `ros2 topic hz` has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import math
import threading
import time
from typing import NamedTuple, Optional

from rdk_yolo_ros.nodes.diagnostics import WINDOW_S

_MOST_SAMPLES = 2048
# A stamp of another clock tells no age.
_OLDEST_S = 3600.0


class Figures(NamedTuple):
    """
    What the last seconds were like; None where there is nothing to say.

    Attributes:
        rate: messages a second.
        period: mean, least, greatest and standard deviation, seconds.
        age: mean and greatest time from stamp to arrival, seconds.
        size: the largest message, bytes.

    """

    rate: float
    period: Optional[tuple[float, float, float, float]]
    age: Optional[tuple[float, float]]
    size: int


class TopicStatistics:
    """
    Keeps what is known of a topic's messages; safe to use from every thread.

    Args:
        clock: a steady clock in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._arrivals: deque[tuple[float, float, int]] = deque(maxlen=_MOST_SAMPLES)
        self._begin = clock()

    def add(self, size: int, age: float = math.nan) -> None:
        """Note a message that arrived, its bytes, and its stamp's age in seconds, if known."""
        with self._lock:
            self._arrivals.append((self._clock(), age, size))

    def figures(self) -> Figures:
        """Return the figures of the last seconds."""
        now = self._clock()
        with self._lock:
            while self._arrivals and self._arrivals[0][0] < now - WINDOW_S:
                self._arrivals.popleft()
            arrivals = list(self._arrivals)
        if not arrivals:
            return Figures(0.0, None, None, 0)
        window = min(WINDOW_S, now - self._begin)
        if len(arrivals) == _MOST_SAMPLES:  # which reach back less far
            window = now - arrivals[0][0]
        periods = [b[0] - a[0] for a, b in zip(arrivals, arrivals[1:])]
        ages = [age for _, age, _ in arrivals if 0 <= age < _OLDEST_S]
        return Figures(
            len(arrivals) / max(window, 1e-3),
            _four(periods) if periods else None,
            (sum(ages) / len(ages), max(ages)) if ages else None,
            max(size for _, _, size in arrivals))


def _four(values: list[float]) -> tuple[float, float, float, float]:
    mean = sum(values) / len(values)
    return (mean, min(values), max(values),
            math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)))
