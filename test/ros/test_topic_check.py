"""What the doctor sees of a real graph: rates, qualities of service, losses; publish costs."""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('vision_msgs')

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from rdk_yolo_ros.cli.checks import topics  # noqa: E402
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# A camera that costs the machine little: one message, made once.
CAMERA = '''
import array, sys, time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
width, height, rate = (int(text) for text in sys.argv[1:4])
rclpy.init()
node = rclpy.create_node('camera')
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
images = node.create_publisher(Image, 'image_raw', qos)
image = Image(encoding='nv12', width=width, height=height, step=width,
              data=array.array('B', bytes(width * height * 3 // 2)))
print('ready', flush=True)
while rclpy.ok():
    image.header.stamp = node.get_clock().now().to_msg()
    images.publish(image)
    time.sleep(1 / rate)
'''


@pytest.fixture
def seen(processes, python):
    """Return a function that runs the check as a process and returns its JSON."""
    def see(seconds, env=None):
        process = processes(python, '-m', 'rdk_yolo_ros.nodes.topic_check', '--seconds',
                            str(seconds), env=env)
        assert process.wait() == 0, process.output
        return json.loads(process.lines[-1])
    return see


def start_camera(processes, python, *size, env=None):
    camera = processes(python, '-c', CAMERA, *map(str, size), env=env)
    camera.wait_for_line('ready')


def test_a_cameras_topic_is_described_and_its_rate_is_right(processes, python, seen, graph):
    start_camera(processes, python, 320, 240, 10)
    # A viewer that asks for what the camera does not offer.
    graph.node.create_subscription(
        Image, 'image_raw', lambda message: None,
        QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
    report = seen(4.0)
    topic, = [topic for topic in report['topics'] if topic['name'] == '/image_raw']
    assert (topic['encoding'], topic['width'], topic['height']) == ('nv12', 320, 240)
    assert [(end['node'], end['reliability']) for end in topic['publishers']] == [
        ('camera', 'best_effort')]
    assert topic['received'] >= 10
    # time.sleep makes it a little slower; a busy machine more so.
    assert 2.0 < topic['received_hz'] <= 10.5
    assert topic['published_hz'] >= topic['received_hz']
    assert topic['largest_bytes'] > 320 * 240 * 1.5
    finding, = [finding for finding in topics.judge(report) if 'image_raw' in finding.summary]
    assert finding.status == PROBLEM
    assert 'test receives nothing: it asks for reliable, and camera publishes best effort' \
        in finding.advice


def test_large_images_lost_for_want_of_a_profile_are_recognised(
        processes, python, seen, no_profile):
    start_camera(processes, python, 1920, 1080, 30, env=no_profile)
    report = seen(8.0, env=no_profile)
    topic, = report['topics']
    finding, = topics.judge(report)
    assert finding.status == PROBLEM
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE=' in finding.advice
    if topic['received'] > 1:
        assert topic['lost'] > 0
        assert topic['published_hz'] > topic['received_hz']
        assert 'were lost' in finding.advice


def test_a_graph_without_a_camera(seen):
    report = seen(1.0)
    assert report['topics'] == []
    finding, = topics.judge(report)
    assert finding.status == NOT_APPLICABLE


def test_the_doctor_looks_at_the_graph(processes, python):
    start_camera(processes, python, 320, 240, 10)
    findings = list(topics.check_topics(os.environ, 3.0, 60.0))
    assert [finding.check for finding in findings] == ['shared memory', 'topics']
    assert findings[1].status == OK
    assert 'nv12 320x240' in findings[1].summary


def test_what_publishing_costs(processes, python):
    done = subprocess.run(
        [sys.executable, '-m', 'rdk_yolo_ros.nodes.publish_cost', '--instances', '5',
         '--keypoints', '17', '--mask', '--size', '64x48'], cwd=ROOT, text=True, timeout=60,
        capture_output=True, env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}'
                                  + os.environ.get('PYTHONPATH', '')})
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout.splitlines()[-1])['milliseconds'] < 1000
