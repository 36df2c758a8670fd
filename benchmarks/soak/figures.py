"""What a run's record says, and whether the bars hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.soak.record import NODES, Minute, Sample

MEMORY_BAR = 1.0  # MB of 10^6 bytes an hour
LATENCY_BAR = 1.2  # the last third's median as a multiple of the first third's
LOSS_BAR = 0.01  # of the images
BURST = 4  # times the rate, at first
_WARM_UP_PART, _WARM_UP_MOST_S = 0.2, 600.0
_BIN_S = 10.0


@dataclass(frozen=True)
class NodeFigures:
    """
    One process after its warm-up.

    Attributes:
        node: its name.
        resident_mb: the resident set's median in the first third and in the last, MB.
        own_mb: the same without shared memory.
        slope: of the resident set without shared memory, MB an hour.
        heap_slope: of its anonymous part, MB an hour.
        threads, descriptors: their median number in the first third and in the last.
        cpus: how many processors it keeps busy.

    """

    node: str
    resident_mb: tuple[float, float]
    own_mb: tuple[float, float]
    slope: float
    heap_slope: float
    threads: tuple[int, int]
    descriptors: tuple[int, int]
    cpus: float

    @property
    def missed(self) -> list[str]:
        """The bars that do not hold, in words."""
        found = []
        if not self.slope < MEMORY_BAR:
            found.append(f'{self.node}: {self.slope:+.2f} MB an hour')
        for what, (first, last) in (('threads', self.threads),
                                    ('descriptors', self.descriptors)):
            if last > first:
                found.append(f'{self.node}: {what} from {first} to {last}')
        return found


@dataclass(frozen=True)
class Figures:
    """
    A run after its warm-up.

    Attributes:
        seconds, warm_up_s: how long it was in all, and what of that is left out.
        nodes: figures of each process.
        rate: results a second.
        latency_ms: the minutes' median of p50, p95, p99, and the largest.
        latency_thirds_ms: the median of the minutes' p50 in the first third and in the last.
        gap_ms: the longest time between two results.
        images, dropped, failed, lost: as the node counts them.

    """

    seconds: float
    warm_up_s: float
    nodes: tuple[NodeFigures, ...]
    rate: float
    latency_ms: tuple[float, float, float, float]
    latency_thirds_ms: tuple[float, float]
    gap_ms: float
    images: int
    dropped: int
    failed: int
    lost: int

    @property
    def latency_growth(self) -> float:
        """The last third's median latency as a multiple of the first third's."""
        first, last = self.latency_thirds_ms
        return last / first

    @property
    def missed(self) -> list[str]:
        """The bars that do not hold, in words."""
        found = [text for node in self.nodes for text in node.missed]
        if not self.latency_growth <= LATENCY_BAR:
            found.append('latency from {:.1f} to {:.1f} ms'.format(*self.latency_thirds_ms))
        if self.failed:
            found.append(f'{self.failed} images failed')
        if self.lost > LOSS_BAR * (self.images + self.lost):
            found.append(f'{self.lost} of {self.images + self.lost} images lost')
        return found


def warm_up_s(seconds: float) -> float:
    """Return how much of a run is left out."""
    return min(_WARM_UP_PART * seconds, _WARM_UP_MOST_S)


def figures(samples: Sequence[Sample], minutes: Sequence[Minute]) -> Figures:
    """
    Return what the record says.

    Raises:
        ValueError: the run was too short to say anything.

    """
    seconds = samples[-1].at_s if samples else 0.0
    warm_up = warm_up_s(seconds)
    samples = [sample for sample in samples if sample.at_s >= warm_up]
    # A minute counts from where it begins.
    minutes = [minute for minute in minutes
               if minute.at_s - minute.seconds >= warm_up and minute.results] \
        or [minute for minute in minutes if minute.results][-1:]
    if len(samples) < 10 or not minutes:
        raise ValueError(f'{seconds:.0f} s with {len(samples)} samples after the warm-up are too '
                         'few, expected 10 and a result')
    medians = [minute.p50_ms for minute in minutes]
    third = max(1, len(minutes) // 3)
    return Figures(
        seconds, warm_up, tuple(_node(node, samples) for node in NODES),
        sum(minute.results for minute in minutes) / sum(minute.seconds for minute in minutes),
        (float(np.median(medians)), float(np.median([minute.p95_ms for minute in minutes])),
         float(np.median([minute.p99_ms for minute in minutes])),
         max(minute.most_ms for minute in minutes)),
        (float(np.median(medians[:third])), float(np.median(medians[-third:]))),
        max(minute.gap_ms for minute in minutes),
        *(sum(getattr(minute, name) for minute in minutes)
          for name in ('images', 'dropped', 'failed', 'lost')))


def theil_sen(x: np.ndarray, y: np.ndarray) -> float:
    """
    Return the median of the slopes of the lines through every two points.

    Up to 29 % of the points may lie anywhere (Sen 1968, Estimates of the regression coefficient
    based on Kendall's tau).

    Args:
        x, y: float64 (N,), x ascending, N at least 2.

    """
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def floor(at_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the lowest value of every 10 s, and the mean times of these.

    Images on their way are 3 MB each, and how many there are when somebody looks depends on what
    else the machine does. What is not given back stays in the lowest value, too.
    """
    bins = (at_s // _BIN_S).astype(int)
    numbers = np.unique(bins)
    return (np.array([at_s[bins == number].mean() for number in numbers]),
            np.array([values[bins == number].min() for number in numbers]))


def _node(node: str, samples: Sequence[Sample]) -> NodeFigures:
    at = np.array([sample.at_s for sample in samples])
    readings = [sample.readings[node] for sample in samples]
    third = max(1, len(samples) // 3)

    def column(name: str) -> np.ndarray:
        return np.array([getattr(reading, name) for reading in readings], np.float64)

    def thirds(name: str) -> tuple[float, float]:
        values = column(name)
        return float(np.median(values[:third])), float(np.median(values[-third:]))

    def megabytes(name: str) -> tuple[float, float]:
        first, last = thirds(name)
        return first / 1e6, last / 1e6

    def number(name: str) -> tuple[int, int]:
        first, last = thirds(name)
        return int(first), int(last)

    return NodeFigures(
        node, megabytes('resident'), megabytes('own'), _slope(at, column('own') / 1e6),
        _slope(at, column('heap') / 1e6), number('threads'), number('descriptors'),
        (readings[-1].cpu_s - readings[0].cpu_s) / (at[-1] - at[0]))


def _slope(at_s: np.ndarray, megabytes: np.ndarray) -> float:
    x, y = floor(at_s, megabytes)
    return theil_sen(x / 3600, y) if len(x) > 1 else float('nan')
