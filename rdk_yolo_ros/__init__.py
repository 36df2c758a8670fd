"""
YOLO perception for ROS 2 robots, usable without ROS, too.

The public names are those in `__all__`; each is imported from its module when it is first asked
for, so that `import rdk_yolo_ros` costs nothing. The ROS nodes are in `rdk_yolo_ros.nodes`.
"""

from importlib import import_module
from typing import Any

_HOME = {
    'DecodeOptions': 'decode',
    'Detections': 'detections',
    'Frame': 'frame',
    'FrameError': 'errors',
    'HeadError': 'errors',
    'Letterbox': 'letterbox',
    'ModelError': 'errors',
    'Predictor': 'predictor',
    'RdkYoloError': 'errors',
    'RuntimeUnavailableError': 'errors',
    'TensorInfo': 'tensors',
    'WorkConfig': 'work_config',
    'WorkConfigError': 'errors',
    'identify_heads': 'heads',
    'make_decoder': 'decode',
    'open_runtime': 'runtimes',
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOME[name]}'), name)
