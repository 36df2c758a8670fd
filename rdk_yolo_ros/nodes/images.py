"""From images as ROS brings them to `Frame`; cv_bridge is asked for what `Frame` does not know."""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import Any, Optional, Union

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from rdk_yolo_ros.cdr import CompressedImageArray, ImageArray
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame, UnsupportedEncoding
from rdk_yolo_ros.nodes.hbm_images import hbm_frame, hbm_header

# Or one of hbm_img_msgs' types, which need not be installed.
ImageMessage = Union[Image, CompressedImage, ImageArray, CompressedImageArray, Any]


def header_of(message: ImageMessage) -> Header:
    """Return an image's header; of hbm_img_msgs the stamp, and the number as frame_id."""
    if isinstance(message, (Image, CompressedImage)):
        return message.header
    if isinstance(message, (ImageArray, CompressedImageArray)):
        seconds, nanoseconds = message.stamp
        return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=message.frame_id)
    return hbm_header(message)


def stamp_of(header: Header) -> tuple[int, int]:
    """Return a header's stamp as ImageArray and the writers of `rdk_yolo_ros.cdr` have it."""
    return header.stamp.sec, header.stamp.nanosec


def image_message(image: ImageArray) -> Image:
    """Return a sensor_msgs/Image with a copy of the pixels."""
    # rclpy takes an array.array as it is, but looks at each byte of anything else in Python.
    data = array('B')
    data.frombytes(image.data.data)
    return Image(header=header_of(image), height=image.height, width=image.width,
                 encoding=image.encoding, is_bigendian=image.is_bigendian, step=image.step,
                 data=data)


def frame_from_message(message: ImageMessage, color_range: Optional[str] = None) -> Frame:
    """
    Return a message's image as a Frame; the pixels are a view where the encoding is known.

    Args:
        message: sensor_msgs/Image, sensor_msgs/CompressedImage, either as an array, or
            hbm_img_msgs/HbmMsg1080P, HbmMsg540P or HbmMsg480P.
        color_range: 'full' or 'limited', the range of a YUV image, or None for the default.

    Raises:
        FrameError: the image is malformed, or neither `Frame` nor cv_bridge know its encoding.

    """
    if isinstance(message, (CompressedImage, CompressedImageArray)):
        return Frame.from_compressed(message)
    if not isinstance(message, (Image, ImageArray)):
        return hbm_frame(message, color_range)
    try:
        return Frame.from_image(message, color_range)
    except UnsupportedEncoding as error:
        return _bridged(message, error)


def _bridged(message: Union[Image, ImageArray], error: FrameError) -> Frame:
    bridge, trouble = _cv_bridge()
    if bridge is None:
        if trouble:
            raise FrameError(f'{error}; {trouble}') from error
        raise error  # it says that cv_bridge would help
    if isinstance(message, ImageArray):
        message = image_message(message)
    try:
        image = bridge.imgmsg_to_cv2(message, 'bgr8')
    except Exception as failure:  # cv_bridge lets OpenCV's and numpy's own errors through
        raise FrameError(f'{error}; cv_bridge does not convert it either: '
                         f'{_first_line(failure)}') from failure
    return Frame.from_bgr(image)


@lru_cache(maxsize=1)
def _cv_bridge() -> tuple[Any, str]:
    """Return a CvBridge, or None and what is wrong with the one that is installed."""
    try:
        from cv_bridge import CvBridge
    except ModuleNotFoundError:
        return None, ''
    except Exception as error:  # built against another numpy, it raises what it likes
        return None, f'cv_bridge is installed but fails to load: {_first_line(error)}'
    return CvBridge(), ''


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
