"""A LoadNode request, turned into the keyword arguments that a component is called with."""

from __future__ import annotations

from collections.abc import Iterable
import inspect
from typing import Any, NamedTuple

from composition_interfaces.srv import LoadNode
from rcl_interfaces.msg import Parameter as ParameterMessage
from rclpy.exceptions import NameValidationException
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

from rdk_yolo_ros.errors import ComponentError

_INTRA_PROCESS = 'use_intra_process_comms'
# rclcpp_components' names, and what rclpy's Node calls the same.
_NODE_ARGUMENTS = {
    'forward_global_arguments': 'use_global_arguments',
    'enable_rosout': 'enable_rosout',
    'start_parameter_services': 'start_parameter_services',
    'enable_logger_service': 'enable_logger_service',
}


class LoadOptions(NamedTuple):
    """
    What a request asks for.

    Attributes:
        arguments: rclpy Node's own keyword arguments, without the context.
        intra_process: whether `use_intra_process_comms` is asked for.
        log_level: the node's log level, UNSET where the request says nothing.

    """

    arguments: dict[str, Any]
    intra_process: bool
    log_level: LoggingSeverity


def load_options(request: LoadNode.Request) -> LoadOptions:
    """
    Return what a request asks for.

    Raises:
        ComponentError: something in it is not understood.

    """
    arguments: dict[str, Any] = {
        'cli_args': _ros_arguments(request),
        # What the container's own command line says is for the container.
        'use_global_arguments': False,
        'parameter_overrides': _parameters(request.parameters, 'parameter'),
    }
    intra_process = False
    for extra in _parameters(request.extra_arguments, 'extra argument'):
        if extra.name != _INTRA_PROCESS and extra.name not in _NODE_ARGUMENTS:
            raise ComponentError(f'extra argument {extra.name!r} is not supported; supported '
                                 f'are {_INTRA_PROCESS}, {", ".join(_NODE_ARGUMENTS)}')
        if extra.type_ != Parameter.Type.BOOL:
            raise ComponentError(f'extra argument {extra.name!r} must be true or false, not '
                                 f'{extra.value!r}')
        if extra.name == _INTRA_PROCESS:
            intra_process = extra.value
        elif not _takes(Node, _NODE_ARGUMENTS[extra.name]):
            raise ComponentError(f"extra argument {extra.name!r} is not supported by this ROS "
                                 "distribution's rclpy")
        else:
            arguments[_NODE_ARGUMENTS[extra.name]] = extra.value
    return LoadOptions(arguments, intra_process, _log_level(request.log_level))


def takes_intra_process(component: Any) -> bool:
    """Return whether a component's class has the keyword argument `use_intra_process_comms`."""
    return _takes(component, _INTRA_PROCESS)


def accepts(component: Any, arguments: dict[str, Any]) -> bool:
    """Return whether a class or function can be called with these keyword arguments."""
    try:
        inspect.signature(component).bind(**arguments)
    except TypeError:
        return False
    except ValueError:
        pass  # a signature that cannot be read, as of a class written in C
    return True


def _takes(component: Any, name: str) -> bool:
    if not isinstance(component, type):
        return name in inspect.signature(component).parameters
    for base in component.__mro__:
        if '__init__' in vars(base):
            parameters = inspect.signature(base.__init__).parameters  # type: ignore[misc]
            if name in parameters:
                return True
            if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
                return False
    return False


def _ros_arguments(request: LoadNode.Request) -> list[str]:
    rules = list(request.remap_rules)
    if request.node_name:
        _check(validate_node_name, request.node_name, 'node_name')
        rules.append(f'__node:={request.node_name}')
    if request.node_namespace:
        namespace = f'/{request.node_namespace.lstrip("/")}'
        _check(validate_namespace, namespace, 'node_namespace')
        rules.append(f'__ns:={namespace}')
    for rule in rules:
        if ':=' not in rule:
            raise ComponentError(f"remap rule {rule!r} is none: expected 'from:=to'")
    return ['--ros-args', *(word for rule in rules for word in ('-r', rule))]


def _check(validate: Any, name: str, field: str) -> None:
    try:
        validate(name)
    except NameValidationException as error:
        raise ComponentError(f'{field}: {" ".join(str(error).split())}') from error


def _parameters(messages: Iterable[ParameterMessage], what: str) -> list[Parameter]:
    parameters = []
    for message in messages:
        try:
            parameters.append(Parameter.from_parameter_msg(message))
        except Exception as error:
            raise ComponentError(f'{what} {message.name!r} has a value of type '
                                 f'{message.value.type}, which is none of '
                                 f"rcl_interfaces/ParameterType's: {error}") from error
    return parameters


def _log_level(level: int) -> LoggingSeverity:
    try:
        return LoggingSeverity(level)
    except ValueError:
        levels = ', '.join(f'{level.value} {level.name}' for level in LoggingSeverity)
        raise ComponentError(f'log_level {level} is none of {levels}') from None
