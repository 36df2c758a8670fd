"""launch_ros' own actions load components into the container, as they do into rclcpp's."""

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
pytest.importorskip('composition_interfaces')

from component_package import (  # noqa: E402
    install_container,
    install_foreign,
    install_own,
    python_path,
)
from composition_interfaces.srv import ListNodes  # noqa: E402
from launch import LaunchDescription  # noqa: E402
from launch.actions import SetEnvironmentVariable, TimerAction  # noqa: E402
from launch_ros.actions import ComposableNodeContainer, LoadComposableNodes  # noqa: E402
from launch_ros.descriptions import ComposableNode  # noqa: E402
import launch_testing  # noqa: E402
import launch_testing.actions  # noqa: E402
import launch_testing.markers  # noqa: E402
import rclpy  # noqa: E402
from std_msgs.msg import String  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import DDS_VARIABLES, lock_domain, loopback_environment  # noqa: E402

BEFORE = dict(os.environ)
LIMIT = 60.0  # seconds


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description():
    """Start a container with one component, load another, and two that cannot be loaded."""
    folder = Path(tempfile.mkdtemp(prefix='component_launch_'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in DDS_VARIABLES:
        os.environ.pop(name, None)
    domain, lock = lock_domain()
    installed = install_own(folder / 'own'), install_foreign(folder / 'foreign')
    environment = {
        **loopback_environment(ROOT, os.environ), 'ROS_DOMAIN_ID': str(domain),
        'PYTHONPATH': python_path(*installed),
        'AMENT_PREFIX_PATH': os.pathsep.join([
            str(install_container(folder / 'prefix')), os.environ['AMENT_PREFIX_PATH']])}
    os.environ.update(environment)
    container = ComposableNodeContainer(
        name='box', namespace='/robot', package='rdk_yolo_ros', executable='component_container',
        composable_node_descriptions=[ComposableNode(
            package='foreign_pkg', plugin='foreign_pkg::Talker', name='left', namespace='front',
            remappings=[('chatter', 'said_left')],
            parameters=[{'size': 0.5, 'names': ['a', 'b'], 'nested': {'flag': True}}],
            extra_arguments=[{'use_intra_process_comms': True}])])
    return LaunchDescription([
        *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
        container,
        LoadComposableNodes(target_container='/robot/box', composable_node_descriptions=[
            ComposableNode(package='foreign_pkg', plugin='foreign_pkg::Broken', name='broken'),
            ComposableNode(package='foreign_pkg', plugin='foreign_pkg::Nobody'),
            ComposableNode(package='foreign_pkg', plugin='foreign_pkg::Talker',
                           remappings=[('chatter', '/said_right')])]),
        TimerAction(period=0.5, actions=[launch_testing.actions.ReadyToTest()]),
    ]), {'lock': lock}


class TestComponents(unittest.TestCase):
    """What runs in the container."""

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

    def test_both_talk_with_their_own_names_remaps_and_parameters(self):
        """The components are in the list, and what they say is what they were given."""
        said = {'/front/said_left': set(), '/said_right': set()}
        for topic, texts in said.items():
            self.node.create_subscription(
                String, topic, lambda message, texts=texts: texts.add(message.data), 10)
        self.spin_until(lambda: all(said.values()))
        assert said['/front/said_left'] == {
            "{'names': ['a', 'b'], 'nested.flag': True, 'size': 0.5}"}
        assert said['/said_right'] == {'{}'}
        client = self.node.create_client(ListNodes, '/robot/box/_container/list_nodes')
        assert client.wait_for_service(LIMIT)
        future = client.call_async(ListNodes.Request())
        self.spin_until(future.done)
        assert sorted(future.result().full_node_names) == ['/front/left', '/talker']

    def test_what_could_not_be_loaded_is_in_the_log(self, proc_output):
        """Each of the two that cannot be loaded has its reason told."""
        for text in ("No module named 'a_module_that_nobody_has'",
                     "has no plugin 'foreign_pkg::Nobody'"):
            proc_output.assertWaitFor(text, timeout=LIMIT, stream='stderr')


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """What is left after the end."""

    @classmethod
    def tearDownClass(cls):
        """Leave the tests that follow in this process the environment that they had."""
        os.environ.clear()
        os.environ.update(BEFORE)

    def test_the_container_ended_cleanly(self, proc_info):
        """It did not die of anything but the end of the launch."""
        launch_testing.asserts.assertExitCodes(proc_info)
