"""What a node that cannot start raises, and the one line that says it."""

from __future__ import annotations

import re

from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.impl.implementation_singleton import rclpy_implementation

from rdk_yolo_ros.errors import RdkYoloError

# What a wrong argument, parameter or file raises; anything else is a defect and keeps its
# traceback.
USER_ERRORS = (RdkYoloError, ParameterException, NameValidationException,
               rclpy_implementation.RCLError, rclpy_implementation.RCLInvalidROSArgsError,
               rclpy_implementation.UnknownROSArgsError)


def one_line(error: BaseException) -> str:
    """Return what one of USER_ERRORS says, as one line."""
    if isinstance(error, rclpy_implementation.UnknownROSArgsError):
        return f'unknown ROS arguments: {error}'
    text = ' '.join(str(error.args[0] if error.args else error).split())
    # rcl tells the lines of its own sources, too.
    text = re.sub(r', at /\S+:\d+', '', text)
    # rclpy's parameter errors append the parameter's name, which the text has already.
    return re.sub(r':\s*[\w./]*$', '', text) if isinstance(error, ParameterException) else text
