"""The `yolo` executable as a process: how it starts, what it says when it cannot, how it ends."""

from array import array
import os
import signal
import time

import pytest

pytest.importorskip('rclpy')

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

CONFIG = 'config/demo_detect.json'
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE',
                     'FASTDDS_BUILTIN_TRANSPORTS')


@pytest.fixture
def yolo(processes, python):
    """Start the executable with ROS arguments."""
    def start(*arguments, env=None):
        return processes(python, '-m', 'rdk_yolo_ros.nodes.yolo', '--ros-args', *arguments,
                         env=env)

    return start


def nv12(width=160, height=120):
    return Image(header=Header(frame_id='camera'), encoding='nv12', height=height, width=width,
                 step=width, data=array('B', bytes(width * height * 3 // 2)))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('busy', [False, True])
def test_a_signal_ends_it_with_0_within_two_seconds(graph, yolo, wait_until, number, busy):
    process = yolo('-p', f'config_file:={CONFIG}')
    process.wait_for_line('detect model')
    if busy:
        images = graph.publisher(Image, 'image_raw', BEST_EFFORT)
        results = graph.record(Detection2DArray, '/yolo/detections')
        image = nv12()

        def have_result():
            images.publish(image)
            return len(results) > 0

        wait_until(have_result, what='a result')
        for _ in range(5):
            images.publish(image)
    begin = time.monotonic()
    process.signal(number)
    assert process.wait() == 0, process.output
    # Two seconds on a machine that has a core to spare for it.
    crowding = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - begin < 2.0 * crowding
    assert 'Traceback' not in process.output


def test_two_interrupts_end_it_as_one_does(yolo):
    process = yolo('-p', f'config_file:={CONFIG}')
    process.wait_for_line('detect model')
    process.signal(signal.SIGINT)
    time.sleep(0.05)
    process.signal(signal.SIGINT)
    assert process.wait() == 0, process.output
    assert 'Traceback' not in process.output


@pytest.mark.parametrize(('arguments', 'named'), [
    (['-p', 'config_file:=no/such.json'], 'no/such.json'),
    ([], 'config_file'),
    (['-p', 'config_file:=config/coco.list'], 'coco.list'),
    (['-p', f'config_file:={CONFIG}', '-p', 'score_threshold:=1.5'], 'score_threshold'),
    (['-p', f'config_file:={CONFIG}', '-p', 'score_threshold:=high'], 'score_threshold'),
    (['-p', f'config_file:={CONFIG}', '-p', 'classes:=[unicorn]'], 'unicorn'),
    (['-p', f'config_file:={CONFIG}', '-p', 'runtime:=abacus'], 'abacus'),
    (['-p', f'config_file:={CONFIG}', '-p', 'image_topic:=two words'], 'name'),
    (['--no-such-flag'], '--no-such-flag')])
def test_what_is_wrong_at_the_start_is_one_line_and_exit_code_1(yolo, arguments, named):
    process = yolo(*arguments)
    assert process.wait() == 1, process.output
    assert len(process.lines) == 1, process.output
    assert process.lines[0].startswith('yolo: ')
    assert named in process.lines[0]


def test_a_broken_model_file_is_one_line_and_exit_code_1(yolo, tmp_path):
    (tmp_path / 'broken.onnx').write_bytes(b'not a model')
    (tmp_path / 'broken.json').write_text('{"model_file": "broken.onnx"}')
    process = yolo('-p', f'config_file:={tmp_path}/broken.json')
    assert process.wait() == 1, process.output
    assert len(process.lines) == 1, process.output
    assert 'broken.onnx' in process.lines[0]


def camera(processes, python, env=None):
    """Start a camera of 1080p NV12 images at 30 Hz."""
    return processes(python, '-c', """
import array, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera')
images = node.create_publisher(
    Image, 'image_raw', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
image = Image(encoding='nv12', height=1080, width=1920, step=1920,
              data=array.array('B', bytes(1920 * 1620)))
end = time.monotonic() + 60
while time.monotonic() < end:
    images.publish(image)
    time.sleep(1 / 30)
""", env=env)


def test_large_images_that_get_lost_without_a_profile_are_told_of_once(
        yolo, processes, python):
    without = dict.fromkeys(PROFILE_VARIABLES, '')
    process = yolo('-p', f'config_file:={CONFIG}', env=without)
    process.wait_for_line('detect model')
    camera(processes, python, env=without)
    line = process.wait_for_line('FASTRTPS_DEFAULT_PROFILES_FILE=')
    assert '3.1 MB' in line
    assert '/image_raw' in line
    assert 'for the publisher and for this node' in line
    profile = line.split('FASTRTPS_DEFAULT_PROFILES_FILE=')[1].split()[0]
    assert os.path.isfile(profile)
    time.sleep(3.0)
    assert process.output.count('FASTRTPS_DEFAULT_PROFILES_FILE=') == 1


def test_large_images_arrive_with_the_profile_and_nothing_is_said(
        graph, yolo, processes, python, wait_until):
    from rdk_yolo_ros.share import find_file
    profile = {'FASTRTPS_DEFAULT_PROFILES_FILE': str(find_file('config/dds/shared_memory.xml'))}
    process = yolo('-p', f'config_file:={CONFIG}', env=profile)
    process.wait_for_line('detect model')
    results = graph.record(Detection2DArray, '/yolo/detections')
    camera(processes, python, env=profile)
    results.wait(5)
    time.sleep(2.0)
    assert 'lost' not in process.output
