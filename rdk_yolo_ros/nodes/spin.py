"""What an executable does with a node: start it or say why not, spin, end cleanly on a signal."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import os
import signal
import sys
import threading
import time
from typing import Optional

import rclpy
from rclpy.node import Node

from rdk_yolo_ros.components.start_errors import USER_ERRORS, one_line
from rdk_yolo_ros.nodes.left_shared_memory import remove_left_segments

# A Ctrl-C that lands in rclpy's C++ becomes some other error there, a moment before rclpy's own
# thread has ended the context.
_SIGNAL_S = 0.3
# A thread that is about to end has so long for it.
_THREADS_S = 0.1


def run_node(make_node: Callable[[], Node], name: str, args: Optional[Sequence[str]] = None,
             exit_code: Callable[[], int] = lambda: 0) -> int:
    """
    Run one node until SIGINT or SIGTERM, or until it shuts rclpy down; return the exit code.

    0 after a signal, at whatever moment it comes; 1, and one line on stderr, when the node
    cannot start.

    Args:
        make_node: returns the node; what it raises of this package's and rclpy's own errors
            becomes the one line.
        name: the executable's name, for that line.
        args: the command line, or None for the process's own.
        exit_code: returns the exit code of a node that was started, once it has ended.

    """
    node: Optional[Node] = None
    stopped = True
    initialised = False
    try:
        try:
            # A node that is killed and started again, again and again, must not fill the memory.
            remove_left_segments()
            rclpy.init(args=None if args is None else list(args))
            initialised = True
            # spin's executor, which in a context that a signal has ended writes a traceback.
            if rclpy.ok():
                rclpy.get_global_executor()
            node = make_node()
            rclpy.spin(node)
        except Exception as error:
            # A signal ends the context in a thread of rclpy's own; what this one was making or
            # using then fails in one of many ways.
            if initialised and _has_ended(_SIGNAL_S if node is not None else 0.0):
                pass
            elif node is None and isinstance(error, USER_ERRORS):
                print(f'{name}: {one_line(error)}', file=sys.stderr)
                return 1
            else:
                raise
    except KeyboardInterrupt:
        pass
    finally:
        with _interrupts_ignored():
            if node is not None:
                stopped = node.destroy_node() is not False
            rclpy.try_shutdown()
    if not stopped or _threads_run(_THREADS_S):
        # A thread still runs, in a call that does not return: taking libraries down under it
        # would crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code())
    return exit_code()


def _threads_run(patience: float) -> bool:
    """Return whether a daemon thread still runs in `patience` seconds."""
    deadline = time.monotonic() + patience
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return True
    return False


def _has_ended(patience: float) -> bool:
    """Return whether the context has ended, or does within `patience` seconds."""
    deadline = time.monotonic() + patience
    while rclpy.ok():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Keep a second Ctrl-C, or launch's, from cutting the cleaning up short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # The interpreter's own end is no time for one, either.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        # None: not installed from Python, which cannot install it again.
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
