"""The YOLO node: images in; detections, key points and masks out. See docs/yolo_node.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import sys
import threading
import time
import traceback
from typing import Any, NamedTuple, Optional, Union

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from std_msgs.msg import Header

from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import (
    FrameError,
    InferenceTimeoutError,
    RdkYoloError,
    RuntimeLostError,
    WorkConfigError,
)
from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.images import ImageMessage, frame_from_message, header_of
from rdk_yolo_ros.nodes.library_log import LibraryLog
from rdk_yolo_ros.nodes.parameters import (
    START_PARAMETERS,
    class_list,
    declare,
    option_parameters,
    take_aliases,
)
from rdk_yolo_ros.nodes.perception import Work
from rdk_yolo_ros.nodes.perception_publisher import perception_publisher
from rdk_yolo_ros.nodes.report import Report
from rdk_yolo_ros.nodes.results import ResultPublishers
from rdk_yolo_ros.nodes.spin import run_node
from rdk_yolo_ros.pipeline import Pipeline
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes import RestartingRuntime, Runtime
from rdk_yolo_ros.share import find_file

# How long the model may take to close.
_CLOSING_S = 1.0
_OPTIONS = ('score_threshold', 'nms_threshold', 'nms_top_k', 'max_detections', 'classes')


class _Arrival(NamedTuple):
    message: ImageMessage
    at: float  # time.monotonic()


class _Outcome(NamedTuple):
    result: Union[Detections, Classifications]
    hw: tuple[int, int]
    work: Work
    at: float  # time.monotonic()


class YoloNode(Node):
    """
    Subscribes to images, predicts off the executor's thread, publishes the results.

    Args:
        node_name: the node's name.
        predictor: what to predict with, a Predictor or anything with its interface, in place of
            the one that the parameter `config_file` describes; the caller closes it.
        kwargs: rclpy Node's own keyword arguments.

    Raises:
        RdkYoloError: the work configuration or its model cannot be used.
        rclpy.exceptions.ParameterException: a parameter's value does not fit.

    """

    def __init__(self, node_name: str = 'yolo', *, predictor: Optional[Predictor] = None,
                 use_intra_process_comms: bool = False, **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._pipeline: Optional[Pipeline[_Arrival, _Outcome]] = None
        self._predictor: Optional[Predictor] = None
        self._owns_predictor = predictor is None
        self._library_log = LibraryLog(self)
        self._ipc = use_intra_process_comms
        try:
            self._start(predictor)
        except BaseException:
            self.destroy_node()
            raise

    def _start(self, predictor: Optional[Predictor]) -> None:
        given = {spec.name: declare(self, spec) for spec in START_PARAMETERS}
        given.update(take_aliases(self, given))
        self._color_range = given['image_color_range']
        self._predictor = predictor or _open_predictor(given)
        runtime = self._predictor.runtime
        slots = min(given['slots'] or runtime.slots, runtime.slots)
        if slots < given['slots']:
            self.get_logger().warning(f"slots is {given['slots']}, but the {runtime.name} runtime "
                                      f'takes {slots} at once')

        names = tuple(self._predictor.class_names or ())
        options = {spec.name: declare(self, spec)
                   for spec in option_parameters(self._predictor.options)}
        try:
            self._set_options(options)
        except ValueError as error:
            raise ParameterException(f'parameter {error}', '') from error
        self.add_on_set_parameters_callback(self._on_set_parameters)

        self._statistics = Statistics()
        self._complaints = Complaints(self.get_logger().error)
        self._results = ResultPublishers(
            self, self._predictor.task, names, given['class_id_format'], perception_publisher(
                self, given, self._predictor, lambda: self._statistics.rate('published')))
        self._publish_label_info(options['score_threshold'])
        timeout = self._predictor.give_up_after
        if predictor is not None:
            timeout = given['inference_timeout'] or timeout
        self._pipeline = Pipeline(self._predict, slots, self._on_result, self._on_error, timeout)
        self._images = ImageSubscription(
            self, given['image_topic'], given['image_transport'], self._on_image, self._ipc)
        self._images.open()
        self._report = Report(self, self._statistics, self._complaints, self._images,
                              self._pipeline, runtime, self._facts(given, slots))
        if isinstance(runtime, Runtime):
            self.get_logger().info(runtime.describe())
        self.get_logger().info(
            f'{self._predictor.task} model with {len(names)} class(es), input '
            f'{runtime.input_hw[1]}x{runtime.input_hw[0]}, on the {runtime.name} runtime with '
            f'{slots} slot(s); images from {self._images.topic_name}')

    def _facts(self, given: dict[str, Any], slots: int) -> dict[str, object]:
        assert self._predictor is not None
        runtime = self._predictor.runtime
        return {'config file': given['config_file'], 'task': self._predictor.task,
                'runtime': runtime.name, 'slots': slots,
                'model input': f'{runtime.input_hw[1]}x{runtime.input_hw[0]}'}

    def destroy_node(self) -> bool:
        """
        Stop predicting, then destroy the node.

        Returns whether every thread has ended; a call into the model that hangs is waited for
        less than a second, and the model is closed under it, so that its memory and its
        processes do not stay until this process ends.
        """
        stopped = self._pipeline is None or self._pipeline.close()
        if self._owns_predictor and self._predictor is not None:
            # A driver that hangs may hang here, too.
            closing = threading.Thread(target=self._predictor.close, name='predictor-closing',
                                       daemon=True)
            closing.start()
            closing.join(_CLOSING_S)
            # Closing cancels what hung, where the runtime can.
            if not stopped and self._pipeline is not None:
                stopped = self._pipeline.close(timeout=0.2)
            stopped = stopped and not closing.is_alive()
            if stopped:
                self._predictor = None
        self._library_log.close()
        super().destroy_node()
        return stopped

    # In the executor's thread:

    def _on_image(self, message: ImageMessage) -> None:
        self._statistics.count('received')
        if not self._results.is_watched():
            self._statistics.count('unwatched')
        elif self._pipeline is not None \
                and self._pipeline.submit(_Arrival(message, time.monotonic())) is not None:
            self._statistics.count('dropped')

    def _on_set_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        changes = {parameter.name: parameter.value for parameter in parameters
                   if parameter.name in _OPTIONS}
        try:
            self._set_options(changes)
        except (ValueError, TypeError, RdkYoloError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        if 'score_threshold' in changes:
            self._publish_label_info(changes['score_threshold'])
        return SetParametersResult(successful=True)

    def _set_options(self, changes: dict[str, Any]) -> None:
        assert self._predictor is not None
        if 'classes' in changes:
            names = tuple(self._predictor.class_names or ())
            changes = {**changes, 'classes': class_list(changes['classes'], names)}
        if changes:
            self._predictor.set_options(**changes)

    def _publish_label_info(self, threshold: float) -> None:
        self._results.publish_label_info(
            Header(stamp=self.get_clock().now().to_msg()), threshold)

    # In the pipeline's threads:

    def _predict(self, arrival: _Arrival) -> _Outcome:
        assert self._predictor is not None
        statistics = self._statistics
        begin = time.monotonic()
        statistics.begin_work()
        try:
            frame = frame_from_message(arrival.message, self._color_range)
            converted = time.monotonic()
            prediction = self._predictor.predict(frame, extras=self._results.needs_extras())
        finally:
            statistics.end_work()
        steps = {'convert': converted - begin, **prediction.timings}
        statistics.latencies({'wait': begin - arrival.at, **steps})
        return _Outcome(prediction.detections, frame.hw, Work(begin, steps), time.monotonic())

    def _on_result(self, arrival: _Arrival, outcome: _Outcome) -> None:
        begin = time.monotonic()
        header = header_of(arrival.message)
        self._results.publish(outcome.result, header, outcome.hw, outcome.work)
        self._statistics.latencies({'turn': begin - outcome.at,
                                    'publish': time.monotonic() - begin})
        self._statistics.count('published')
        stamp = Time.from_msg(header.stamp, clock_type=self.get_clock().clock_type)
        total = (self.get_clock().now() - stamp).nanoseconds * 1e-9
        # A stamp of 0, or of a clock that is not this node's, tells nothing.
        if stamp.nanoseconds and 0 <= total < 3600:
            self._statistics.latency('stamp to result', total)

    def _on_error(self, arrival: _Arrival, error: Exception) -> None:
        if not self.context.ok():
            return  # a signal ended the context while a result was on its way
        self._statistics.count('failed')
        text = ' '.join(str(error).split())
        if not isinstance(error, FrameError):
            text = f'{type(error).__name__}: {text}'
        if not isinstance(error, RdkYoloError):
            self.get_logger().debug(''.join(traceback.format_exception(
                type(error), error, error.__traceback__)))
        if isinstance(error, InferenceTimeoutError):
            self._statistics.count('inference timeout')
        assert self._predictor is not None
        assert self._pipeline is not None
        runtime = self._predictor.runtime
        quiet = False
        if isinstance(runtime, RestartingRuntime) and isinstance(error, RuntimeLostError):
            if self._pipeline.is_stuck:
                runtime.lose(error)
            quiet = runtime.state != 'running'  # the runtime itself logs its loss and its return
        self._complaints.report(f'{self._images.topic_name}: an image was left out: {text}', quiet)


def _open_predictor(given: dict[str, Any]) -> Predictor:
    config_file = given['config_file']
    if not config_file:
        raise WorkConfigError('parameter config_file is not set, expected the path of a work '
                              'configuration: --ros-args -p config_file:=PATH')
    try:
        path = find_file(config_file, base_dir=Path.cwd())
    except FileNotFoundError as error:
        raise WorkConfigError(f'parameter config_file is {config_file!r}, {error}') from None
    return Predictor.from_config(
        path, runtime=None if given['runtime'] == 'auto' else given['runtime'],
        slots=given['slots'] or None, inference_timeout=given['inference_timeout'] or None)


def main(args: Optional[Sequence[str]] = None) -> int:
    """Run the node; `ros2 run rdk_yolo_ros yolo --ros-args -p config_file:=PATH`."""
    return run_node(YoloNode, 'yolo', args)


if __name__ == '__main__':
    sys.exit(main())
