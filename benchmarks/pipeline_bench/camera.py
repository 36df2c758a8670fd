"""
A camera: publishes NV12 images at exact times. Run as a process: WIDTH HEIGHT RATE.

The message is serialized once; a frame costs a new stamp and a copy. What it reached is its last
line: JSON with `images` and `seconds`.
"""

from __future__ import annotations

from array import array
import json
import signal
import struct
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

_STAMP = slice(4, 12)  # behind the encapsulation: seconds, nanoseconds


def image(width: int, height: int) -> bytes:
    """Return a serialized NV12 image of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, width * height * 3 // 2, np.uint8)
    data = array('B')
    data.frombytes(pixels.tobytes())
    return serialize_message(Image(header=Header(frame_id='camera'), encoding='nv12',
                                   height=height, width=width, step=width, data=data))


def stamped(message: bytes, nanoseconds: int) -> bytes:
    """Return a serialized image with another stamp."""
    stamp = struct.pack('<iI', *divmod(nanoseconds, 1_000_000_000))
    return b''.join((message[:_STAMP.start], stamp, memoryview(message)[_STAMP.stop:]))


def publish(width: int, height: int, rate: float) -> None:
    """Publish until SIGINT."""
    stop = threading.Event()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(
        Image, 'image_raw', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    message = image(width, height)
    begin = time.monotonic()
    count = published = 0
    while not stop.is_set():
        # A late frame does not make the next one late; one that has no time left is left out.
        count = max(count + 1, int((time.monotonic() - begin) * rate))
        time.sleep(max(0.0, begin + count / rate - time.monotonic()))
        publisher.publish(stamped(message, time.time_ns()))
        published += 1
    print(json.dumps({'images': published, 'seconds': time.monotonic() - begin}), flush=True)


if __name__ == '__main__':
    publish(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
