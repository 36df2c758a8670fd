"""TROS' shared-memory images, hbm_img_msgs: their types, where installed, and Frames of them."""

from __future__ import annotations

import importlib
from typing import Any, Optional

import numpy as np
from std_msgs.msg import Header

from rdk_yolo_ros.errors import FrameError, RuntimeUnavailableError
from rdk_yolo_ros.frame import ENCODINGS, Frame, UnsupportedEncoding

# The kind that TROS' camera nodes publish comes first.
HBM_KINDS = ('HbmMsg1080P', 'HbmMsg540P', 'HbmMsg480P')

_MORE_THAN_A_BYTE = ('bgr8', 'rgb8', 'uyvy', 'yuyv')


def hbm_type(kind: str) -> Any:
    """
    Return one of the HBM_KINDS as a message class.

    Raises:
        RuntimeUnavailableError: hbm_img_msgs is not installed, or not sourced.

    """
    try:
        return getattr(importlib.import_module('hbm_img_msgs.msg'), kind)
    except ImportError as error:
        raise RuntimeUnavailableError(
            f'images of type hbm_img_msgs/msg/{kind} need the ROS package hbm_img_msgs, which '
            f'cannot be imported here ({error}): source /opt/tros/humble/setup.bash, or install '
            'tros-humble-hbm-img-msgs; without it, have the camera publish sensor_msgs/Image and '
            'leave is_shared_mem_sub at 0') from error


def hbm_header(message: Any) -> Header:
    """Return an HbmMsg's stamp and number as dnn_node_example's header: the number is frame_id."""
    return Header(stamp=message.time_stamp, frame_id=str(message.index))


def hbm_frame(message: Any, color_range: Optional[str] = None) -> Frame:
    """
    Return a view on the pixels of an HbmMsg1080P, HbmMsg540P or HbmMsg480P.

    Args:
        message: its `data`, uint8 (MAX_SIZE,), holds `data_size` bytes of the image; `encoding`
            is uint8 (12,), text up to the first 0.
        color_range: 'full' or 'limited', the range of a YUV image, or None for the default.

    Raises:
        FrameError: the sizes contradict each other, or Frame does not read the encoding.

    """
    kind = type(message).__name__
    data = np.asarray(message.data, np.uint8)
    height, width, step, size = (int(value) for value in (
        message.height, message.width, message.step, message.data_size))
    if not 0 < size <= data.size:
        raise FrameError(f'{kind} has data_size {size}, expected 1 to {data.size}, the size of '
                         'its data: check the publisher')
    encoding = bytes(message.encoding).partition(b'\0')[0].decode('ascii', 'backslashreplace')
    # mipi_cam gives the width as the step of bgr8, too; rows without padding are what it means.
    if ENCODINGS.get(encoding) in _MORE_THAN_A_BYTE and step == width:
        step = 0
    try:
        return Frame(encoding, height, width, data[:size], step, color_range or 'full')
    except UnsupportedEncoding as error:
        raise FrameError(f'{kind} has encoding {error.encoding!r}, expected one of '
                         f'{", ".join(ENCODINGS)}: set the publisher to one of these') from error
