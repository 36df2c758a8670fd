"""Inference: images through a model to the result topics, off the executor's thread."""

from __future__ import annotations

from collections.abc import Callable
import time
import traceback
from typing import NamedTuple, Optional, Union

from rclpy.node import Node

from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import (
    FrameError,
    InferenceTimeoutError,
    RdkYoloError,
    RuntimeLostError,
)
from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics
from rdk_yolo_ros.nodes.images import ImageMessage, frame_from_message, header_of
from rdk_yolo_ros.nodes.perception import Work
from rdk_yolo_ros.nodes.served_model import ServedModel
from rdk_yolo_ros.pipeline import Pipeline, PipelineStats
from rdk_yolo_ros.runtimes import RestartingRuntime

# A model that was replaced is closed when its last frame is done, and after so long in any case.
_RETIRING_S = 10.0
# From the end of a prediction to the publishing of its result it is at most so long.
_DELIVERY_S = 1.0


class _Arrival(NamedTuple):
    message: ImageMessage
    at: float  # time.monotonic()


class _Outcome(NamedTuple):
    result: Union[Detections, Classifications]
    hw: tuple[int, int]
    work: Work
    at: float  # time.monotonic()
    model: ServedModel


class Inference:
    """
    Predicts on the newest image and publishes the result, while it is started.

    `model` may be replaced at any time: a frame ends with the model that it began with.

    Attributes:
        model: what images are processed with.
        pipeline: the pipeline, or None while stopped.
        refused: how many messages were no image.

    Args:
        node: the node, for its clock and log.
        model: the first model.
        statistics, complaints: what happens is counted and said there.
        color_range: of YUV images, 'full' or 'limited'.
        topic: the image topic's full name, for what is said.
        on_malformed: called with what is wrong with an image that was taken; in any thread.

    """

    def __init__(self, node: Node, model: ServedModel, statistics: Statistics,
                 complaints: Complaints, color_range: str, topic: str,
                 on_malformed: Callable[[FrameError], object]) -> None:
        self._node = node
        self.model = model
        self._statistics = statistics
        self._complaints = complaints
        self._color_range = color_range
        self._topic = topic
        self._on_malformed = on_malformed
        self.refused = 0
        self.pipeline: Optional[Pipeline[_Arrival, _Outcome]] = None
        # Pipelines whose calls had not returned when they were stopped.
        self._left: list[Pipeline[_Arrival, _Outcome]] = []
        self._before = PipelineStats()
        self._retired: list[tuple[ServedModel, float]] = []

    # In the executor's thread, `take` also in that of images of this process:

    def start(self) -> None:
        """Begin to take images; twice does no harm."""
        if self.pipeline is None:
            self.pipeline = Pipeline(self._predict, self.model.slots, self._on_result,
                                     self._on_error, self.model.timeout)

    def stop(self, patience: float) -> bool:
        """
        Take no more images, and publish nothing more of those under way.

        Args:
            patience: seconds to wait for the threads.

        Returns:
            Whether every thread has ended; a call into the model that hangs keeps its own.

        """
        pipeline, self.pipeline = self.pipeline, None
        if pipeline is not None:
            ended = pipeline.close(patience)
            self._before = _sum(self._before, pipeline.stats)
            if not ended:
                self._left.append(pipeline)
                self._statistics.forget_work()
        self._left = [one for one in self._left if not one.close(timeout=0)]
        return not self._left

    def take(self, message: ImageMessage) -> None:
        """Predict on an image if anybody listens to the result, and if no newer one comes."""
        self._statistics.count('received')
        pipeline = self.pipeline  # another thread may bring an image while the executor stops
        if not self.model.results.is_watched():
            self._statistics.count('unwatched')
        elif pipeline is not None \
                and pipeline.submit(_Arrival(message, time.monotonic())) is not None:
            self._statistics.count('dropped')

    def refuse(self, error: FrameError) -> None:
        """Count and name bytes that are no image."""
        self.refused += 1
        self._statistics.count('received')
        self._statistics.count('failed')
        self._complaints.report(f'{self._topic}: an image was left out: {error}')

    def replace(self, model: ServedModel) -> None:
        """Go on with another model; frames under way end with the one that they began with."""
        self._retired.append((self.model, time.monotonic()))
        self.model = model
        if self.pipeline is not None:
            self.pipeline.resize(model.slots, model.timeout)

    def tidy(self) -> None:
        """Close models that were replaced and are done; call it about once a second."""
        now = time.monotonic()
        for entry in list(self._retired):
            model, since = entry
            age = now - since
            if age > _RETIRING_S or (age > _DELIVERY_S and model.is_idle()):
                self._retired.remove(entry)
                model.close(patience=0)
                model.results.release(self.model.results)

    def close(self) -> bool:
        """
        Close the models, and end the topics that only those before had.

        Returns:
            Whether the models are closed and no thread is left in one.

        """
        retired, self._retired = [model for model, _ in self._retired], []
        closed = [model.close() for model in (*retired, self.model)]
        for model in retired:
            model.results.release(self.model.results)
        # Closing cancels what hung, where the runtime can.
        self._left = [one for one in self._left if not one.close(timeout=0.2)]
        return all(closed) and not self._left

    @property
    def stats(self) -> PipelineStats:
        """What became of the images, all pipelines together."""
        return _sum(self._before, self.pipeline.stats) if self.pipeline else self._before

    @property
    def hung(self) -> int:
        """How many predictions were given up, or left at a stop, and have not returned."""
        pipeline = self.pipeline
        return sum(one.hung for one in (*self._left, *([pipeline] if pipeline else ())))

    @property
    def is_stuck(self) -> bool:
        """Whether no slot is left, as predictions do not return."""
        pipeline = self.pipeline  # asked for by a pipeline's thread, too
        return pipeline is not None and pipeline.is_stuck

    # In the pipeline's threads:

    def _predict(self, arrival: _Arrival) -> _Outcome:
        model = self.model
        statistics = self._statistics
        begin = time.monotonic()
        statistics.begin_work()
        try:
            frame = frame_from_message(arrival.message, self._color_range)
            converted = time.monotonic()
            prediction = model.predict(frame)
        finally:
            statistics.end_work()
        steps = {'convert': converted - begin, **prediction.timings}
        statistics.latencies({'wait': begin - arrival.at, **steps})
        return _Outcome(prediction.detections, frame.hw, Work(begin, steps), time.monotonic(),
                        model)

    def _on_result(self, arrival: _Arrival, outcome: _Outcome) -> None:
        begin = time.monotonic()
        header = header_of(arrival.message)
        outcome.model.results.publish(outcome.result, header, outcome.hw, outcome.work)
        self._statistics.latencies({'turn': begin - outcome.at,
                                    'publish': time.monotonic() - begin})
        self._statistics.count('published')
        stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
        total = (self._node.get_clock().now().nanoseconds - stamp) * 1e-9
        # A stamp of 0, or of a clock that is not this node's, tells nothing.
        if stamp and 0 <= total < 3600:
            self._statistics.latency('stamp to result', total)

    def _on_error(self, arrival: _Arrival, error: Exception) -> None:
        if not self._node.context.ok():
            return  # a signal ended the context while a result was on its way
        self._statistics.count('failed')
        text = ' '.join(str(error).split())
        if isinstance(error, FrameError):
            self._on_malformed(error)
        else:
            text = f'{type(error).__name__}: {text}'
        if not isinstance(error, RdkYoloError):
            self._node.get_logger().debug(''.join(traceback.format_exception(
                type(error), error, error.__traceback__)))
        if isinstance(error, InferenceTimeoutError):
            self._statistics.count('inference timeout')
        runtime = self.model.predictor.runtime
        quiet = False
        if isinstance(runtime, RestartingRuntime) and isinstance(error, RuntimeLostError):
            if self.is_stuck:
                runtime.lose(error)
            quiet = runtime.state != 'running'  # the runtime itself logs its loss and its return
        self._complaints.report(f'{self._topic}: an image was left out: {text}', quiet)


def _sum(one: PipelineStats, other: PipelineStats) -> PipelineStats:
    return PipelineStats(**{name: count + getattr(other, name)
                            for name, count in vars(one).items()})
