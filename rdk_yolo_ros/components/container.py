"""ComponentContainer: loads and unloads components on request. See docs/component_container.md."""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import Any

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from rdk_yolo_ros.components.answer import Answer
from rdk_yolo_ros.components.component import Component
from rdk_yolo_ros.components.loading import load_options
from rdk_yolo_ros.components.plugins import describe
from rdk_yolo_ros.components.ros_services import answer_always
from rdk_yolo_ros.components.start_errors import one_line
from rdk_yolo_ros.errors import ComponentError

# A launch file asks for as many at once as it likes; upstream's containers keep as many.
_REQUESTS = QoSProfile(depth=200)
_UNLOAD_S = 5.0
_LOOK_S = 0.25
# All components together, at the container's end.
_CLOSING_S = 1.5
_MOST_THREADS = 64
_LONGEST_MESSAGE = 1000


class ComponentContainer(Node):
    """
    A node that loads other nodes into its process, as rclcpp_components' containers do.

    Args:
        node_name: the container's name.
        multi_threaded: whether a component's callbacks may run in several threads.
        kwargs: rclpy Node's own keyword arguments.

    """

    def __init__(self, node_name: str = 'ComponentManager', *, multi_threaded: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        answer_always(self)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._components: dict[int, Component] = {}
        self._loading: dict[Component, Answer] = {}
        # Of every component whose thread runs: who waits for its end.
        self._ends: dict[Component, list[Answer]] = {}
        self._closing = False
        self._clean = True
        self._load_timeout = self.declare_parameter(
            'load_timeout', 60.0, ParameterDescriptor(
                description='seconds after which a component that is not loaded is given up',
                read_only=True, floating_point_range=[
                    FloatingPointRange(from_value=0.1, to_value=86400.0)])).value
        self._threads = 1
        if multi_threaded:
            self._threads = self.declare_parameter(
                'thread_num', max(2, min(os.cpu_count() or 2, _MOST_THREADS)), ParameterDescriptor(
                    description='threads for the callbacks of each component', read_only=True,
                    integer_range=[IntegerRange(from_value=1, to_value=_MOST_THREADS, step=1)])
            ).value
        # On a signal rclpy wakes its executors first and ends the context then: one that looks
        # in between would wait for the next event, which this is.
        self.create_timer(_LOOK_S, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
        # A request that waits for its component keeps no other waiting.
        group = ReentrantCallbackGroup()
        for service_type, name, callback, qos in (
                (LoadNode, 'load_node', self._on_load, _REQUESTS),
                (UnloadNode, 'unload_node', self._on_unload, _REQUESTS),
                (ListNodes, 'list_nodes', self._on_list, QoSProfile(depth=10))):
            self.create_service(service_type, f'~/_container/{name}', callback,
                                qos_profile=qos, callback_group=group)

    def destroy_node(self) -> bool:
        """End every component, then the container; return whether nothing of them still runs."""
        with self._lock:
            self._closing = True
            components = list(self._ends)
        for component in components:
            component.stop()
        deadline = time.monotonic() + _CLOSING_S
        running = [component for component in components
                   if not component.join(deadline - time.monotonic())]
        for component in running:
            self.get_logger().error(f'{component} still runs after {_CLOSING_S:g} s')
        super().destroy_node()
        return self._clean and not running

    async def _on_load(self, request: LoadNode.Request,
                       response: LoadNode.Response) -> LoadNode.Response:
        try:
            component = await self._load(request)
        except Exception as error:
            response.error_message = _message(error)
            self.get_logger().error(f'not loaded: {response.error_message}')
        else:
            response.success = True
            response.unique_id, response.full_node_name = component.unique_id, component.name
            self.get_logger().info(f'loaded {component}')
        return response

    async def _load(self, request: LoadNode.Request) -> Component:
        component = Component(
            next(self._ids), request.package_name, request.plugin_name, load_options(request),
            self._threads, self, self._on_loaded, self._on_end)
        answer = Answer(self)
        self.get_logger().info(
            f'loading {request.plugin_name!r} as component {component.unique_id}')
        with self._lock:
            component.start()  # not noted where no thread can be had: there is nothing to end
            self._loading[component] = answer
            self._ends[component] = []
        await answer.wait(self._load_timeout)
        with self._lock:
            given_up = self._loading.pop(component, None) is not None
        if given_up:
            component.stop()
            raise ComponentError(
                f'{component} is given up: its constructor has not returned for '
                f'{self._load_timeout:g} s (parameter load_timeout of the container)')
        if component.error:
            raise ComponentError(component.error)
        return component

    def _on_loaded(self, component: Component) -> None:
        with self._lock:
            if self._closing or component not in self._loading:
                raise ComponentError(f'{component} was given up while it loaded')
            for other in (*self._components.values(), None):
                if component.name == (other.name if other else self.get_fully_qualified_name()):
                    raise ComponentError(
                        f'{component.name} is the name of {other or "the container"} already: '
                        'give another node_name or node_namespace, or unload that first')
            self._components[component.unique_id] = component
            answer = self._loading.pop(component)
        answer.give()

    def _on_end(self, component: Component) -> None:
        with self._lock:
            loaded = self._components.pop(component.unique_id, None) is not None
            answer = self._loading.pop(component, None)
            waiting = self._ends.pop(component)
            self._clean = self._clean and component.clean
        if component.error and answer is None:
            self.get_logger().error(component.error)
        elif loaded and self.context.ok():
            self.get_logger().info(f'unloaded {component}')
        for each in (answer, *waiting):
            if each is not None:
                each.give()

    async def _on_unload(self, request: UnloadNode.Request,
                         response: UnloadNode.Response) -> UnloadNode.Response:
        try:
            component = await self._unload(request.unique_id)
        except Exception as error:
            response.error_message = _message(error)
            self.get_logger().warning(f'not unloaded: {response.error_message}')
        else:
            response.success = True
            response.error_message = component.error or ''
        return response

    async def _unload(self, unique_id: int) -> Component:
        answer = Answer(self)
        with self._lock:
            component = self._components.get(unique_id)
            if component is None:
                loaded = ', '.join(map(str, self._components.values())) or 'none'
                raise ComponentError(
                    f'no component has the unique id {unique_id}; loaded: {loaded}')
            self._ends[component].append(answer)
        component.stop()
        if not await answer.wait(_UNLOAD_S):
            raise ComponentError(f'{component} has not ended for {_UNLOAD_S:g} s: a callback of '
                                 'it does not return. It ends when that does')
        return component

    def _on_list(self, request: ListNodes.Request,
                 response: ListNodes.Response) -> ListNodes.Response:
        with self._lock:
            components = sorted(self._components.items())
        response.unique_ids = [unique_id for unique_id, _ in components]
        response.full_node_names = [component.name for _, component in components]
        return response


def _message(error: Exception) -> str:
    text = one_line(error) if isinstance(error, ComponentError) else describe(error)
    # A request may hold anything, and a terminal obeys what it is shown.
    text = ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
    return text if len(text) <= _LONGEST_MESSAGE else f'{text[:_LONGEST_MESSAGE - 3]}...'
