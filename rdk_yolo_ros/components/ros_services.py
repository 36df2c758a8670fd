"""The services that rclpy gives every node, kept from ending it with a request that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from rdk_yolo_ros.components.start_errors import one_line


def answer_always(node: Node) -> None:
    """
    Have the services that a node has so far answer every request; call it before there are others.

    A transition that there is not from a lifecycle node's state, or a parameter of a type that
    there is not, makes rclpy's callback raise, which ends the executor and with it the process,
    and leaves whoever asked without an answer. Here the log says why, and the answer is the
    response as far as it was filled in, which is no success.

    Args:
        node: the node; what it raises once its context has ended still is raised.

    """
    for service in node.services:
        service.callback = _answering(node, node.resolve_service_name(service.srv_name),
                                      service.callback)


def _answering(node: Node, name: str, callback: Callable[[Any, Any], Any]
               ) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            if not node.context.ok():
                raise
            node.get_logger().warning(f'{name}: a request is refused: {one_line(error)}')
            return response

    return answer
