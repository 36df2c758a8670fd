"""Component: one node in a thread of its own, from its constructor to its end."""

from __future__ import annotations

from collections.abc import Callable
import gc
import threading
import time
import traceback
from typing import Any, Optional

from rclpy.logging import LoggingSeverity, set_logger_level
from rclpy.node import Node

from rdk_yolo_ros.components.executor import ComponentExecutor
from rdk_yolo_ros.components.loading import LoadOptions, accepts, takes_intra_process
from rdk_yolo_ros.components.plugins import describe, find_component
from rdk_yolo_ros.components.start_errors import USER_ERRORS, one_line
from rdk_yolo_ros.errors import ComponentError

_SAY_EVERY_S = 1.0


class Component:
    """
    Loads a node, runs its callbacks and destroys it, all in a thread of its own.

    So a constructor that takes seconds, or a callback that never returns, delays nobody else.

    Args:
        unique_id: the component's number.
        package: the package's name.
        plugin: the plugin's name.
        options: what the node is constructed with.
        threads: how many of its callbacks may run at once.
        container: the container's node; the component logs with its logger and has its context.
        on_loaded: called once the node exists; may raise ComponentError to refuse it.
        on_end: called at the thread's end, when the node is gone or never was.

    Attributes:
        name: the node's fully qualified name, once it is loaded.
        error: why it could not be loaded, or what ended it badly; None while all is well.
        clean: whether nothing of the node is left running, once the thread has ended.

    """

    def __init__(self, unique_id: int, package: str, plugin: str, options: LoadOptions,
                 threads: int, container: Node, on_loaded: Callable[[Component], None],
                 on_end: Callable[[Component], None]) -> None:
        self.unique_id = unique_id
        self.name = ''
        self.error: Optional[str] = None
        self.clean = True
        self._package, self._plugin, self._options = package, plugin, options
        self._container = container
        self._on_loaded, self._on_end = on_loaded, on_end
        self._stopping = threading.Event()
        self._executor = ComponentExecutor(self._on_failure, threads, context=container.context)
        self._failures = _Failures(container, self)
        self._thread = threading.Thread(target=self._live, name=f'component-{unique_id}',
                                        daemon=True)

    def __str__(self) -> str:
        return f'component {self.unique_id} ({self.name or self._plugin})'

    def start(self) -> None:
        """
        Begin to load.

        Raises:
            ComponentError: the process cannot have another thread.

        """
        try:
            self._thread.start()
        except RuntimeError as error:
            self._executor.shutdown()
            raise ComponentError(f"{self} is not loaded: {error}; the process or its user has as "
                                 'many threads as it may (ulimit -u)') from error

    def stop(self) -> None:
        """Ask the component to end."""
        self._stopping.set()
        self._executor.stop()

    def join(self, timeout: float) -> bool:
        """Return whether the component has ended within `timeout` seconds."""
        self._thread.join(max(timeout, 0.0))
        return not self._thread.is_alive()

    def _live(self) -> None:
        node: Optional[Node] = None
        try:
            node = self._construct()
            self.name = node.get_fully_qualified_name()
            if self._options.log_level != LoggingSeverity.UNSET:
                set_logger_level(node.get_logger().name, self._options.log_level)
            self._executor.add_node(node)
            self._on_loaded(self)
            self._executor.spin()
            # When a signal has ended the context, rclpy's own thread may be about to wake the
            # executors still, and reads a list that the end of this one would change.
            if not self._container.context.ok():
                self._stopping.wait()
        except ComponentError as error:
            self.error = one_line(error)
        except BaseException as error:
            self._log_traceback(error)
            self.error = f'{self} ended: {describe(error)}'
        try:
            if node is not None:
                self._destroy(node)
            else:
                # What a constructor that raised had made of its node is in the graph until then.
                gc.collect()
            self._executor.shutdown()
        finally:
            self._on_end(self)

    def _construct(self) -> Node:
        component = find_component(self._package, self._plugin)
        arguments = {'context': self._container.context, **self._options.arguments}
        if self._options.intra_process:
            if takes_intra_process(component):
                arguments['use_intra_process_comms'] = True
            else:
                self._container.get_logger().warning(
                    f'{self} takes no use_intra_process_comms: its images go over DDS')
        if not accepts(component, arguments):
            raise ComponentError(
                f"{self._plugin} is no component: it must take rclpy Node's keyword arguments "
                f'({", ".join(arguments)}) and hand them on to Node')
        try:
            node = component(**arguments)
        except USER_ERRORS as error:
            raise ComponentError(f'{self._plugin}: {one_line(error)}') from error
        except BaseException as error:
            self._log_traceback(error)
            raise ComponentError(f'the constructor of {self._plugin} failed: '
                                 f'{describe(error)}') from error
        if not isinstance(node, Node):
            raise ComponentError(f'{self._plugin} is no component: it makes a '
                                 f'{type(node).__name__}, and not an rclpy Node')
        return node

    def _log_traceback(self, error: BaseException) -> None:
        self._container.get_logger().error(''.join(traceback.format_exception(error)).rstrip())

    def _on_failure(self, error: BaseException) -> None:
        if self._stopping.is_set() or not self._container.context.ok():
            return
        if isinstance(error, SystemExit):
            # In a process of its own, that would end the node.
            self.error = f'{self} ended itself: {describe(error)}'
            self.stop()
        else:
            self._failures.say(error)

    def _destroy(self, node: Node) -> None:
        """Destroy the node, once no callback of it runs any more."""
        self._executor.wait_for_callbacks()
        self._executor.remove_node(node)
        if self._options.log_level != LoggingSeverity.UNSET:
            set_logger_level(node.get_logger().name, LoggingSeverity.UNSET)
        try:
            self.clean = node.destroy_node() is not False
        except BaseException as error:
            self.error = f'{self} failed to destroy itself: {describe(error)}'
            self.clean = False
            # What its own destroy_node left: its subscriptions would be seen for ever.
            Node.destroy_node(node)


class _Failures:
    """Says what a component's callbacks raise: a place's traceback once, then a line a second."""

    def __init__(self, container: Node, component: Any) -> None:
        self._container, self._component = container, component
        self._lock = threading.Lock()
        self._said_at = float('-inf')
        self._unsaid = 0
        self._places: set[str] = set()

    def say(self, error: BaseException) -> None:
        """Log an exception, unless one was logged within the last second."""
        with self._lock:
            now = time.monotonic()
            if now - self._said_at < _SAY_EVERY_S:
                self._unsaid += 1
                return
            self._said_at = now
            unsaid, self._unsaid = self._unsaid, 0
            text = describe(error)
            place = text.rpartition(' (')[2]
            new = place not in self._places
            self._places.add(place)
        message = f'{self._component}: a callback failed: {text}'
        if unsaid:
            message += f'; {unsaid} more failures since the last line'
        if new:
            message += '\n' + ''.join(traceback.format_exception(error)).rstrip()
        self._container.get_logger().error(message)
