"""Throughput and latency of a predictor on a number of slots, saturated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import itertools
from statistics import fmean
import threading
import time
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.cli.process_use import ProcessUse
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.pipeline import Pipeline
from rdk_yolo_ros.predictor import Predictor

STAGES = ('convert', 'letterbox', 'wait', 'infer', 'decode')
# The first inferences of a model may load caches and raise clocks.
_WARM_UP_FRAMES = 2
_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Measured:
    """
    One measurement.

    Attributes:
        slots: how many frames were under way at once.
        seconds, frames: what was measured, from one result on.
        fps: frames a second.
        latency_ms: 'mean', 'p50', 'p95' from a frame's start to its result's delivery.
        stages_ms: the mean time of each of STAGES; their sum is the mean latency. 'wait' is for
            a place in the runtime, where that is told, and for the results of earlier frames.
        cpus: how many CPUs were busy with it, None: not told.
        memory: bytes in use, None: not told.
        bpu_use: percent of the BPU's time, None: not told.
        failed: frames that failed.
        error: the first failure.

    """

    slots: int
    seconds: float
    frames: int
    fps: float
    latency_ms: dict[str, float]
    stages_ms: dict[str, float]
    cpus: Optional[float] = None
    memory: Optional[int] = None
    bpu_use: Optional[float] = None
    failed: int = 0
    error: str = ''


@dataclass
class _Work:
    image: Any
    began: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)


@dataclass
class _Log:
    """What came out of the pipeline, each (time of delivery, work)."""

    done: list[tuple[float, _Work]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


def measure(predictor: Predictor, images: Sequence[Any], slots: int, seconds: float,
            bpu_use: Optional[Callable[[], Optional[float]]] = None) -> Measured:
    """
    Keep `slots` frames under way for a while.

    Args:
        predictor: a model, opened for that many slots.
        images: what Frame.from_image takes; each in turn.
        slots: how many at once.
        seconds: how long, after a few frames that do not count.
        bpu_use: called now and then to read the BPU's use.

    Raises:
        ModelError: no frame came out: what the first one raised, or none in time.

    """
    log = _Log()
    endless = itertools.cycle(images)
    stop = threading.Event()

    def predict(work: _Work) -> None:
        # One item always waits, none is displaced: the pipeline is full, not flooded.
        if not stop.is_set():
            pipeline.submit(_Work(next(endless)))
        work.began = time.perf_counter()
        frame = Frame.from_image(work.image)
        converted = time.perf_counter()
        work.timings = {'convert': converted - work.began,
                        **predictor.predict(frame).timings}

    def on_result(work: _Work, result: None) -> None:
        with log.changed:
            log.done.append((time.perf_counter(), work))
            log.changed.notify_all()

    def on_error(work: _Work, error: Exception) -> None:
        with log.changed:
            log.errors.append(error)
            # What fails every time would fail thousands of times.
            if len(log.errors) > 10 * slots:
                stop.set()
            log.changed.notify_all()

    pipeline: Pipeline[_Work, None] = Pipeline(predict, slots, on_result, on_error)
    try:
        pipeline.submit(_Work(next(endless)))
        first = _WARM_UP_FRAMES * slots
        _wait(log, lambda: len(log.done) > first or stop.is_set(), _PATIENCE_S)
        first = min(first, max(0, len(log.done) - 2))
        use, samples = ProcessUse(), []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not stop.is_set():
            stop.wait(min(left, 0.2))
            samples.append(bpu_use() if bpu_use is not None else None)
        # Results come in bursts of as many as there are slots, where frames begin together: two
        # of them take two whole inferences, however short the measurement was to be.
        _wait(log, lambda: len(log.done) > first + 2 * slots or stop.is_set(), _PATIENCE_S)
        ended = time.perf_counter()
        cpus, memory = use.cpus(), use.memory()
    finally:
        stop.set()
        pipeline.close(2.0)
    with log.changed:
        done, errors = list(log.done), list(log.errors)
    known = [sample for sample in samples if sample is not None]
    return _summary(slots, [one for one in done[first:] if one[0] <= ended], ended, errors, cpus,
                    memory, fmean(known) if known else None)


def _wait(log: _Log, condition: Callable[[], bool], limit: float) -> None:
    with log.changed:
        log.changed.wait_for(condition, limit)


def _summary(slots: int, done: list[tuple[float, _Work]], ended: float,
             errors: list[Exception], cpus: Optional[float], memory: Optional[int],
             bpu_use: Optional[float]) -> Measured:
    if len(done) < 2:
        if errors:
            raise ModelError(f'no frame came out: {errors[0]}')
        raise ModelError(f'{len(done)} frame(s) came out in {_PATIENCE_S:.0f} s with {slots} '
                         'slot(s), expected 2 or more; is something else using the machine?')
    elapsed = ended - done[0][0]
    counted = done[1:]  # the first one is where the time begins
    latencies = [(delivered - work.began) * 1e3 for delivered, work in counted]
    stages = dict.fromkeys(STAGES, 0.0)
    for _, work in counted:
        for stage, duration in work.timings.items():
            stage = 'wait' if stage.endswith('wait') else stage
            stages[stage] = stages.get(stage, 0.0) + duration * 1e3 / len(counted)
    stages['wait'] += fmean(latencies) - sum(stages.values())
    return Measured(
        slots, elapsed, len(counted), len(counted) / elapsed,
        {'mean': fmean(latencies), 'p50': float(np.percentile(latencies, 50)),
         'p95': float(np.percentile(latencies, 95))}, stages, cpus, memory, bpu_use, len(errors),
        str(errors[0]) if errors else '')
