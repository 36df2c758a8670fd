"""Image messages to frames; cv_bridge, where there is one, takes over what Frame does not know."""

from array import array
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
import stand_in_cv_bridge  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from rdk_yolo_ros.cdr import read_compressed_image, read_image  # noqa: E402
from rdk_yolo_ros.errors import FrameError  # noqa: E402
from rdk_yolo_ros.nodes import images  # noqa: E402
from rdk_yolo_ros.nodes.images import (  # noqa: E402
    frame_from_message,
    header_of,
    image_message,
)

HEADER = Header(stamp=Time(sec=5, nanosec=6), frame_id='camera')


@pytest.fixture
def cv_bridge(monkeypatch):
    """Install something, or nothing, as cv_bridge."""
    def install(module):
        monkeypatch.setitem(sys.modules, 'cv_bridge', module)
        images._cv_bridge.cache_clear()

    yield install
    images._cv_bridge.cache_clear()


def depth_image():
    pixels = np.arange(12, dtype='<u2').reshape(3, 4) * 5000
    return pixels, Image(encoding='16UC1', height=3, width=4, step=8,
                         data=array('B', pixels.tobytes()))


def test_a_raw_image_is_a_view_on_the_message():
    message = Image(encoding='bgr8', height=2, width=2, step=6, data=array('B', range(12)))
    frame = frame_from_message(message)
    message.data[0] = 99
    assert frame.encoding == 'bgr8'
    assert frame.data[0] == 99


def test_the_colour_range_is_the_camera_s():
    message = Image(encoding='nv12', height=2, width=2, step=2, data=array('B', bytes(6)))
    assert frame_from_message(message, 'limited').color_range == 'limited'
    assert frame_from_message(message).color_range == 'full'


def test_a_compressed_image():
    _, jpeg = cv2.imencode('.jpg', np.full((16, 32, 3), 128, np.uint8))
    frame = frame_from_message(CompressedImage(format='jpeg', data=array('B', jpeg.tobytes())))
    assert frame.hw == (16, 32)


def test_an_image_array_is_taken_as_its_message_is():
    message = Image(header=HEADER, encoding='nv12', height=2, width=2, step=2,
                    data=array('B', range(6)))
    buffer = serialize_message(message)
    image = read_image(buffer)
    assert header_of(image) == header_of(message) == HEADER
    frame = frame_from_message(image, 'limited')
    assert np.shares_memory(frame.data, np.frombuffer(buffer, np.uint8))
    assert (frame.encoding, frame.hw, frame.color_range) == ('nv12', (2, 2), 'limited')
    assert image_message(image) == message


def test_a_compressed_image_array_is_taken_as_its_message_is():
    _, jpeg = cv2.imencode('.jpg', np.full((16, 32, 3), 128, np.uint8))
    image = read_compressed_image(serialize_message(CompressedImage(
        header=HEADER, format='jpeg', data=array('B', jpeg.tobytes()))))
    assert header_of(image) == HEADER
    assert frame_from_message(image).hw == (16, 32)


@pytest.mark.parametrize('as_array', [False, True], ids=['message', 'array'])
def test_cv_bridge_converts_what_frame_does_not_know(cv_bridge, as_array):
    cv_bridge(stand_in_cv_bridge)
    pixels, message = depth_image()
    if as_array:
        message = read_image(serialize_message(message))
    bgr = frame_from_message(message).to_bgr()
    np.testing.assert_array_equal(bgr[..., 0], pixels >> 8)


def test_what_cv_bridge_does_not_know_either_is_an_error_that_says_so(cv_bridge):
    cv_bridge(stand_in_cv_bridge)
    _, message = depth_image()
    message.encoding = 'weird'
    with pytest.raises(FrameError, match=r"'weird'.*cv_bridge does not convert it either: "
                                         r'\[weird\] is not a color format\.$'):
        frame_from_message(message)


def test_without_cv_bridge_the_error_says_what_to_install(cv_bridge):
    cv_bridge(None)
    _, message = depth_image()
    with pytest.raises(FrameError, match="'16UC1'.*install cv_bridge"):
        frame_from_message(message)


def test_a_cv_bridge_that_does_not_load_is_named(cv_bridge):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise AttributeError('_ARRAY_API not found')

    cv_bridge(Broken('cv_bridge'))
    _, message = depth_image()
    with pytest.raises(FrameError, match='cv_bridge is installed but fails to load'):
        frame_from_message(message)
