"""
A stand-in for TROS' camera nodes: publishes synthetic scenes in hbm_img_msgs, as a process.

    python3 tros_camera.py KIND ENCODING WIDTH HEIGHT FRAMES RATE [TOPIC]

It fills in what hobot_mipi_cam and hobot_usb_cam do: `index` counts up from 0, `time_stamp` is the
time of publishing, `step` the width whatever the encoding, `encoding` ends in a 0, and what of
`data` the image does not fill is left over. Image n shows frame n modulo FRAMES of the film.
"""

import contextlib
import itertools
import sys

import hbm_img_msgs.msg
import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.scenes import SceneVideo


def film(width, height, frames):
    """Return scenes, a second apart in the film."""
    video = SceneVideo(7, width, height)
    return [video.frame(30 * i) for i in range(frames)]


def image_message(kind, encoding, picture):
    """Return a message of one of hbm_img_msgs' kinds with a BGR picture, uint8 (h, w, 3)."""
    message = getattr(hbm_img_msgs.msg, kind)()
    message.height, message.width = picture.shape[:2]
    message.step = picture.shape[1]
    pixels = picture if encoding == 'bgr8' else Frame.from_bgr(picture).to_nv12()
    message.data[:pixels.size] = pixels.reshape(-1)
    message.data[pixels.size:] = 0xa5
    message.data_size = pixels.size
    message.encoding[:len(encoding) + 1] = np.frombuffer(f'{encoding}\0'.encode(), np.uint8)
    return message


def main():
    """Publish until a signal comes."""
    kind, encoding, width, height, frames, rate, *topic = sys.argv[1:]
    messages = [image_message(kind, encoding, scene.image)
                for scene in film(int(width), int(height), int(frames))]
    rclpy.init()
    node = rclpy.create_node('stand_in_tros_camera')
    publisher = node.create_publisher(
        type(messages[0]), topic[0] if topic else '/hbmem_img', qos_profile_sensor_data)
    numbers = itertools.count()

    def publish():
        number = next(numbers)
        message = messages[number % len(messages)]
        message.index = number
        message.time_stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(1 / float(rate), publish)
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
