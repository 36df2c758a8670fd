"""ServedModel: a predictor and the topics of its results, for as long as a frame needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
import threading
from typing import Any, Optional

from rclpy.node import Node

from rdk_yolo_ros.errors import WorkConfigError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.nodes.perception_publisher import perception_publisher
from rdk_yolo_ros.nodes.results import ResultPublishers
from rdk_yolo_ros.predictor import Prediction, Predictor
from rdk_yolo_ros.share import find_file

# How long the model may take to close.
_CLOSING_S = 1.0


class ServedModel:
    """
    What an image is processed with: a predictor, and the publishers of its results.

    Attributes:
        predictor: what predicts.
        results: publishes what it found.
        slots: how many frames are predicted at once.
        timeout: seconds after which a prediction is given up, or None.

    Args:
        predictor, results, slots, timeout: the attributes.
        owned: whether `close` closes the predictor.

    """

    def __init__(self, predictor: Predictor, results: ResultPublishers, slots: int,
                 timeout: Optional[float], owned: bool) -> None:
        self.predictor = predictor
        self.results = results
        self.slots = slots
        self.timeout = timeout
        self._owned = owned
        self._lock = threading.Lock()
        self._users = 0
        self._closing: Optional[threading.Thread] = None

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, by number."""
        return tuple(self.predictor.class_names or ())

    def predict(self, frame: Frame) -> Prediction:
        """Predict on one frame, with key points and masks if anybody listens to them."""
        with self._lock:
            self._users += 1
        try:
            return self.predictor.predict(frame, extras=self.results.needs_extras())
        finally:
            with self._lock:
                self._users -= 1

    def is_idle(self) -> bool:
        """Return whether no prediction is under way."""
        with self._lock:
            return not self._users

    def close(self, patience: float = _CLOSING_S) -> bool:
        """
        Close the predictor, also under predictions that hang; twice does no harm.

        Args:
            patience: seconds to wait for it; a driver that hangs may hang here, too.

        Returns:
            Whether it is closed.

        """
        if not self._owned:
            return True
        if self._closing is None:
            self._closing = threading.Thread(target=self.predictor.close,
                                             name='predictor-closing', daemon=True)
            self._closing.start()
        self._closing.join(patience)
        return not self._closing.is_alive()


def open_predictor(given: Mapping[str, Any]) -> Predictor:
    """
    Open the model of the work configuration that the node's parameters name.

    Args:
        given: the START_PARAMETERS' values.

    Raises:
        RdkYoloError: configuration or model cannot be used.

    """
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


@contextmanager
def _all_or_nothing(node: Node) -> Iterator[None]:
    """End the topics and timers that were made before something failed."""
    publishers, timers = list(node.publishers), list(node.timers)
    try:
        yield
    except BaseException:
        for publisher in [one for one in node.publishers if one not in publishers]:
            node.destroy_publisher(publisher)
        for timer in [one for one in node.timers if one not in timers]:
            node.destroy_timer(timer)
        raise


def serve(node: Node, predictor: Predictor, given: Mapping[str, Any], owned: bool,
          rate: Callable[[], float], before: Optional[ServedModel] = None, *,
          intra_process: bool = False) -> ServedModel:
    """
    Return a predictor with its topics.

    Args:
        node: the node that publishes.
        predictor: what predicts.
        given: the START_PARAMETERS' values.
        owned: whether the predictor goes when the model does.
        rate: returns how many results a second there are.
        before: whose topics are taken over.
        intra_process: whether nodes of the same process get results as they are.

    """
    runtime = predictor.runtime
    results = None if before is None else before.results
    with _all_or_nothing(node):
        perception = perception_publisher(node, given, predictor, rate,
                                          None if results is None else results.perception)
        results = ResultPublishers(node, predictor.task, tuple(predictor.class_names or ()),
                                   given['class_id_format'], perception, results,
                                   intra_process=intra_process)
    if before is not None and before.results.perception is not None:
        before.results.perception.end_info()
    slots = min(given['slots'] or runtime.slots, runtime.slots)
    if slots < given['slots']:
        node.get_logger().warning(f"slots is {given['slots']}, but the {runtime.name} runtime "
                                  f'takes {slots} at once')
    timeout = predictor.give_up_after
    if not owned:
        timeout = given['inference_timeout'] or timeout
    return ServedModel(predictor, results, slots, timeout, owned)
