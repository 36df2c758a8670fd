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


def _run(name: str) -> int:
    handler = signal.getsignal(signal.SIGINT)
    try:
        # Python's own handler would end an import half-way, with a traceback. The default one
        # ends the process, as SIGTERM does. What else was set, as `nohup` does, stays.
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        main = import_module(f'rdk_yolo_ros.nodes.{name}').main
        signal.signal(signal.SIGINT, handler)
        return main()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # between here and where the node takes signals over
