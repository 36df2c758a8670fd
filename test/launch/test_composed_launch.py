"""yolo.launch.py with composed:=true: source, YOLO node and overlay in one process."""

import atexit
import os
from pathlib import Path
import shutil
import sys
import tempfile
import time
import unittest

import pytest

pytest.importorskip('launch_testing')
pytest.importorskip('launch_ros')
pytest.importorskip('onnxruntime')
pytest.importorskip('composition_interfaces')

from component_package import install_container, install_own, python_path  # noqa: E402
from composition_interfaces.srv import ListNodes  # noqa: E402
from launch import LaunchDescription  # noqa: E402
from launch.actions import (  # noqa: E402
    IncludeLaunchDescription,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
import launch_testing  # noqa: E402
import launch_testing.actions  # noqa: E402
import launch_testing.asserts  # noqa: E402
import launch_testing.markers  # noqa: E402
import rclpy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import DDS_VARIABLES, lock_domain, loopback_environment  # noqa: E402

BEFORE = dict(os.environ)
LIMIT = 60.0  # seconds


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description():
    """Start the three nodes, in one process and in a namespace."""
    folder = Path(tempfile.mkdtemp(prefix='composed_launch_'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in DDS_VARIABLES:
        os.environ.pop(name, None)
    domain, lock = lock_domain()
    environment = {
        **loopback_environment(ROOT, os.environ), 'ROS_DOMAIN_ID': str(domain),
        'PYTHONPATH': python_path(install_own(folder / 'own')),
        'AMENT_PREFIX_PATH': os.pathsep.join([
            str(install_container(folder / 'prefix')), os.environ['AMENT_PREFIX_PATH']])}
    os.environ.update(environment)
    return LaunchDescription([
        *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'yolo.launch.py')),
            launch_arguments={
                'composed': 'true', 'overlay': 'true', 'overlay_encoding': 'nv12',
                'namespace': 'eye', 'width': '640', 'height': '480', 'rate': '10.0',
                'config_file': str(ROOT / 'config' / 'demo_pose.json')}.items()),
        TimerAction(period=0.5, actions=[launch_testing.actions.ReadyToTest()]),
    ]), {'lock': lock}


class TestNodes(unittest.TestCase):
    """What the nodes publish to another process."""

    @classmethod
    def setUpClass(cls):
        """Join the graph."""
        rclpy.init()
        cls.node = rclpy.create_node('test')

    @classmethod
    def tearDownClass(cls):
        """Leave the graph."""
        cls.node.destroy_node()
        rclpy.shutdown()

    def spin_until(self, condition):
        """Spin until a condition holds, and fail where it does not in time."""
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end
            rclpy.spin_once(self.node, timeout_sec=0.2)

    def test_pictures_with_people_and_their_images_arrive(self):
        """Pictures differ from the images of the same stamp where the detections are."""
        received = {'image_raw': {}, 'overlay/image': {}, 'yolo/detections': {}}
        for topic, kept in received.items():
            self.node.create_subscription(
                Detection2DArray if topic == 'yolo/detections' else Image, f'/eye/{topic}',
                lambda message, kept=kept: kept.update({
                    (message.header.stamp.sec, message.header.stamp.nanosec): message}), 10)
        images, pictures, detections = received.values()

        def complete():
            return [stamp for stamp in images.keys() & pictures.keys() & detections.keys()
                    if detections[stamp].detections]

        self.spin_until(complete)
        stamp = complete()[0]
        image, picture = images[stamp], pictures[stamp]
        assert (picture.encoding, picture.width, picture.height) == ('nv12', 640, 480)
        assert picture.header == image.header
        assert bytes(picture.data) != bytes(image.data)
        client = self.node.create_client(ListNodes, '/eye/yolo_container/_container/list_nodes')
        assert client.wait_for_service(LIMIT)
        future = client.call_async(ListNodes.Request())
        self.spin_until(future.done)
        assert sorted(future.result().full_node_names) == [
            '/eye/overlay', '/eye/source', '/eye/yolo']


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """What is left after the end."""

    @classmethod
    def tearDownClass(cls):
        """Leave the tests that follow in this process the environment that they had."""
        os.environ.clear()
        os.environ.update(BEFORE)

    def test_the_container_ended_cleanly(self, proc_info):
        """Its nodes, too."""
        launch_testing.asserts.assertExitCodes(proc_info)
