"""The executables that setup.py names; a node's own modules take a second to import, this none."""

from __future__ import annotations

from importlib import import_module
import signal


def yolo() -> int:
    """Run the YOLO node and return the exit code; `ros2 run rdk_yolo_ros yolo`."""
    return _run('yolo')


def source() -> int:
    """Run the source node and return the exit code; `ros2 run rdk_yolo_ros source`."""
    return _run('source')


def overlay() -> int:
    """Run the overlay node and return the exit code; `ros2 run rdk_yolo_ros overlay`."""
    return _run('overlay')


def component_container() -> int:
    """Run a container and return the exit code; `ros2 run rdk_yolo_ros component_container`."""
    return _run('container')


def component_container_mt() -> int:
    """Run a multi-threaded container and return the exit code; `... component_container_mt`."""
    return _run('container', 'main_mt')


def _run(module: str, function: str = 'main') -> int:
    handler = signal.getsignal(signal.SIGINT)
    try:
        # Python's own handler would end an import half-way, with a traceback. The default one
        # ends the process, as SIGTERM does. What else was set, as `nohup` does, stays.
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        main = getattr(import_module(f'rdk_yolo_ros.nodes.{module}'), function)
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, handler)
        return main()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # between here and where the node takes signals over
