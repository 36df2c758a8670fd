"""OptionParameters: the parameters that change while the node runs, and whose values they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from rdk_yolo_ros.decode import DecodeOptions
from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.nodes.parameters import class_list, declare, given_value, option_parameters
from rdk_yolo_ros.predictor import Predictor

_NAMES = tuple(spec.name for spec in option_parameters(DecodeOptions()))


class OptionParameters:
    """
    Declares the thresholds and `classes`, and holds a predictor to them.

    What the user gave, at the start or since, stays when another model is taken; what nobody
    gave is the work configuration's.

    Args:
        node: the node that declares them.
        on_threshold: called with a new score_threshold.

    Raises:
        rclpy.exceptions.ParameterException: a value does not fit.

    """

    def __init__(self, node: Node, on_threshold: Callable[[float], object]) -> None:
        self._node = node
        self._on_threshold = on_threshold
        specs = option_parameters(DecodeOptions())
        self._given = {name for name in _NAMES if given_value(node, name) is not None}
        for spec in specs:
            declare(node, spec)
        self._predictor: Optional[Predictor] = None
        self._follows = False
        node.add_on_set_parameters_callback(self._on_set)

    @property
    def score_threshold(self) -> float:
        """The threshold in force."""
        return float(self._node.get_parameter('score_threshold').value)

    def hold(self, predictor: Optional[Predictor]) -> None:
        """
        Hold this predictor to the parameters from now on, and them to its configuration.

        Args:
            predictor: the predictor; None: there is none now.

        Raises:
            rclpy.exceptions.ParameterException: a value that the user gave does not fit this
                model; the one before stays.

        """
        if predictor is not None:
            given = {name: self._node.get_parameter(name).value for name in self._given}
            try:
                _set(predictor, given)
            except ValueError as error:
                raise ParameterException(f'parameter {error}', '') from error
        self._predictor = predictor
        if predictor is None:
            return
        self._follows = True
        try:
            self._node.set_parameters([
                Parameter(spec.name, value=spec.default)
                for spec in option_parameters(predictor.options)
                if spec.name not in self._given])
        finally:
            self._follows = False

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        if self._follows:
            return SetParametersResult(successful=True)
        changes = {parameter.name: parameter.value for parameter in parameters
                   if parameter.name in _NAMES}
        deleted = [name for name, value in changes.items() if value is None]
        if deleted:
            return SetParametersResult(successful=False, reason=(
                f'parameter {deleted[0]} cannot be deleted; set it to '
                + ("[''] for all classes" if deleted[0] == 'classes' else 'a value')))
        try:
            _set(self._predictor, changes)
        except (ValueError, TypeError, RdkYoloError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._given |= set(changes)
        if 'score_threshold' in changes:
            self._on_threshold(changes['score_threshold'])
        return SetParametersResult(successful=True)


def _set(predictor: Optional[Predictor], changes: dict[str, Any]) -> None:
    """Set options; without a predictor only what needs no model is checked."""
    names = () if predictor is None else tuple(predictor.class_names or ())
    if 'classes' in changes:
        changes = {**changes, 'classes': class_list(changes['classes'], names)}
    if changes and predictor is not None:
        predictor.set_options(**changes)
