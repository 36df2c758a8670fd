"""What the node knows of its own work: counts, rates, latencies, and complaints in the log."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
import re
import threading
import time
from typing import Optional

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

# Latencies and rates are of this long a while, at most.
WINDOW_S = 5.0
_MOST_SAMPLES = 2048

# More kinds of complaint than this are counted as one, so that random input cannot fill memory.
_MOST_REASONS = 32
_OTHER = 'other'
# Characters; a model's path alone, which comes first, may well have a hundred.
_LONGEST_REASON = 300


class Statistics:
    """
    Counts events and keeps the latencies of the last seconds; safe to use from every thread.

    Args:
        clock: a steady clock in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._events: dict[str, deque[float]] = {}
        self._latencies: dict[str, deque[tuple[float, float]]] = {}
        self._running: dict[int, float] = {}
        self._begin = clock()

    def count(self, event: str) -> None:
        """Count one event, for `total` and `rate`."""
        with self._lock:
            self._counts[event] += 1
            events = self._events.get(event)
            if events is None:
                events = self._events[event] = deque(maxlen=_MOST_SAMPLES)
            events.append(self._clock())

    def total(self, event: str) -> int:
        """Return how often `event` was counted."""
        with self._lock:
            return self._counts[event]

    def rate(self, event: str) -> float:
        """Return how often a second `event` was counted lately."""
        now = self._clock()
        with self._lock:
            events = self._events.get(event, deque())
            _forget(events, now - WINDOW_S, lambda moment: moment)
            count = len(events)
            # A full deque reaches back less far than the window.
            window = now - events[0] if count == _MOST_SAMPLES else WINDOW_S
        return count / max(min(window, now - self._begin), 1e-3)

    def latency(self, stage: str, seconds: float) -> None:
        """Note how long a stage took once."""
        self.latencies({stage: seconds})

    def latencies(self, stages: Mapping[str, float]) -> None:
        """Note how long each of some stages took once, in seconds."""
        now = self._clock()
        with self._lock:
            for stage, seconds in stages.items():
                samples = self._latencies.get(stage)
                if samples is None:
                    samples = self._latencies[stage] = deque(maxlen=_MOST_SAMPLES)
                samples.append((now, seconds))

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Return each stage's median and 95th percentile of the last seconds, in seconds."""
        oldest = self._clock() - WINDOW_S
        with self._lock:
            for samples in self._latencies.values():
                _forget(samples, oldest, lambda sample: sample[0])
            values = {stage: [seconds for _, seconds in samples]
                      for stage, samples in self._latencies.items() if samples}
        return {stage: _percentiles(sorted(seconds), (0.5, 0.95))
                for stage, seconds in values.items()}

    def begin_work(self) -> None:
        """Note that this thread begins to work on a frame."""
        with self._lock:
            self._running[threading.get_ident()] = self._clock()

    def end_work(self) -> None:
        """Note that this thread is done with its frame."""
        with self._lock:
            self._running.pop(threading.get_ident(), None)

    def forget_work(self) -> None:
        """Take the frames that are worked on as left behind: `longest_running` is of others."""
        with self._lock:
            self._running.clear()

    def longest_running(self) -> float:
        """Return for how many seconds the oldest unfinished frame has been worked on, or 0."""
        with self._lock:
            return self._clock() - min(self._running.values()) if self._running else 0.0


class Complaints:
    """
    Counts what goes wrong by reason and logs each reason at most once in a while.

    Texts that differ in their numbers only are one reason.

    Args:
        log: called with the text to log.
        interval: the least time between two lines of one reason, in seconds.
        clock: a steady clock in seconds.

    """

    def __init__(self, log: Callable[[str], object], interval: float = 1.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._logged: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()
        self.latest: Optional[float] = None

    def report(self, text: str, quiet: bool = False) -> None:
        """
        Count a complaint and log it, unless its reason was logged just now.

        quiet: count it only, as somebody else logs it.
        """
        reason = re.sub(r'0x[0-9a-f]+|\d+', '#', text)[:_LONGEST_REASON]
        now = self._clock()
        with self._lock:
            if reason not in self._counts and len(self._counts) >= _MOST_REASONS:
                reason = _OTHER
            self._counts[reason] += 1
            self.latest = now
            if quiet:
                return
            last = self._logged.get(reason)
            if last is not None and now - last < self._interval:
                self._unlogged[reason] += 1
                return
            self._logged[reason] = now
            more = self._unlogged.pop(reason, 0)
        self._log(f'{text} ({more} more like this since the last line)' if more else text)

    def counts(self) -> dict[str, int]:
        """Return how often each reason occurred, the most frequent first."""
        with self._lock:
            return dict(self._counts.most_common())

    def is_recent(self, seconds: float) -> bool:
        """Return whether there was a complaint in the last `seconds`."""
        with self._lock:
            return self.latest is not None and self._clock() - self.latest < seconds


def history(statistics: Statistics, complaints: Complaints) -> dict[str, object]:
    """Return how often each complaint was made, and each stage's latencies, for `values`."""
    values: dict[str, object] = {
        f'failed: {reason}': count for reason, count in complaints.counts().items()}
    for stage, (middle, high) in statistics.percentiles().items():
        values[f'{stage} p50 (ms)'] = middle * 1e3
        values[f'{stage} p95 (ms)'] = high * 1e3
    return values


def status_message(header: Header, name: str, hardware_id: str, level: bytes, summary: str,
                   values: Mapping[str, object]) -> DiagnosticArray:
    """Return one component's state as the message that diagnostic tools read."""
    return DiagnosticArray(header=header, status=[
        component_status(name, hardware_id, level, summary, values)])


def component_status(name: str, hardware_id: str, level: bytes, summary: str,
                     values: Mapping[str, object]) -> DiagnosticStatus:
    """Return one component's state, for a message that has several."""
    return DiagnosticStatus(
        level=level, name=name, message=summary, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value if isinstance(value, str) else _shown(value))
                for key, value in values.items()])


def _percentiles(ordered: Sequence[float], parts: tuple[float, float]) -> tuple[float, float]:
    """Return two quantiles, interpolated; np.percentile takes ten times as long for them."""
    found = []
    for part in parts:
        place = part * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found.append(ordered[low] + (ordered[high] - ordered[low]) * (place - low))
    return found[0], found[1]


def _shown(value: object) -> str:
    return f'{value:.2f}' if isinstance(value, float) else str(value)


def _forget(samples: deque, oldest: float, moment: Callable[..., float]) -> None:
    while samples and moment(samples[0]) < oldest:
        samples.popleft()
