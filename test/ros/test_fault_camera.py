"""A camera that goes and comes back, as it was or as another one."""

from array import array
import signal

import pytest

pytest.importorskip('rclpy')

from fault_graph import (  # noqa: E402
    OK,
    WARN,
    Camera,
    Health,
    image,
    nv12,
    resident_mb,
    write_colour_model,
)
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

# Publishes raw or JPEG images on one topic, named after the kind, at 20 Hz.
CAMERA = """
import array, sys, time
import cv2, numpy as np, rclpy
from sensor_msgs.msg import CompressedImage, Image

rclpy.init()
node = rclpy.create_node('camera')
grey = np.full((48, 64), 90, np.uint8)
if sys.argv[1] == 'raw':
    message = Image(encoding='mono8', height=48, width=64, step=64,
                    data=array.array('B', grey.tobytes()))
else:
    data = array.array('B', cv2.imencode('.jpg', grey)[1].tobytes())
    message = CompressedImage(format='jpeg', data=data)
message.header.frame_id = sys.argv[1]
images = node.create_publisher(type(message), 'image_raw', 1)
end = time.monotonic() + 60
while rclpy.ok() and time.monotonic() < end:
    images.publish(message)
    time.sleep(0.05)
"""


def camera_of(hw, frame_id, reliability='BEST_EFFORT', durability='VOLATILE', encoding='nv12'):
    """Return a camera's QoS and its image."""
    message = image(nv12((0, 0, 255), hw, square=hw[0] // 2), hw=hw, frame_id=frame_id)
    if encoding == 'bgr8':
        message.encoding, message.step = 'bgr8', 3 * hw[1]
        message.data = array('B', bytes(hw[0] * hw[1] * 3))
    qos = QoSProfile(depth=2, reliability=ReliabilityPolicy[reliability],
                     durability=DurabilityPolicy[durability])
    return qos, message


CAMERAS = [
    camera_of((240, 320), 'first'),
    camera_of((240, 320), 'the same'),
    camera_of((480, 640), 'larger', 'RELIABLE'),
    camera_of((120, 160), 'bgr', 'RELIABLE', encoding='bgr8'),
    camera_of((64, 64), 'latched', 'RELIABLE', 'TRANSIENT_LOCAL'),
    camera_of((1080, 1920), 'large'),
    camera_of((240, 320), 'last'),
]


def test_a_camera_that_comes_back_with_another_type_is_followed(
        graph, start, processes, python, tmp_path):
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    # A process each: one participant cannot have two types on a topic.
    for kind in ('raw', 'jpeg', 'raw'):
        camera = processes(python, '-c', CAMERA, kind)
        results.wait(10, where=lambda r, kind=kind: r.header.frame_id == kind)
        results.messages.clear()
        # One that is killed stays in the graph for DDS' 20 s, and its type with it.
        camera.signal(signal.SIGINT)
        camera.wait()
    assert yolo.is_running()


def test_a_camera_that_comes_back_as_another_one_is_followed(graph, start, tmp_path):
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    memory = []
    for number, (qos, message) in enumerate(CAMERAS):
        publisher = graph.publisher(Image, 'image_raw', qos)
        with Camera(publisher, lambda message=message: message, 30.0):
            results.wait(10, where=lambda r, name=message.header.frame_id:
                         r.header.frame_id == name)
        graph.node.destroy_publisher(publisher)
        if number == 0:
            # That it is gone is said, and no longer once it is back.
            gone = health.wait_for(WARN, 'no images on /image_raw: no publisher')
            assert gone['input rate (Hz)'] == 0
        elif number == 1:
            health.wait_for(OK)
        memory.append(resident_mb(yolo))
    # Two images of 1080p more than at first, at the most.
    assert memory[-1] < memory[0] + 15, memory
    assert yolo.is_running()
    assert 'Traceback' not in yolo.output
