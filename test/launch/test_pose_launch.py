"""pose.launch.py plays a bag, and its detections arrive; it has to be installed."""

import os
from pathlib import Path
import sys
import tempfile
import time
import unittest

import pytest

pytest.importorskip('launch_testing')
pytest.importorskip('launch_ros')
pytest.importorskip('rosbags')
pytest.importorskip('onnxruntime')

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory  # noqa: E402
from launch import LaunchDescription  # noqa: E402
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable, TimerAction  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
import launch_testing  # noqa: E402
import launch_testing.actions  # noqa: E402
import launch_testing.markers  # noqa: E402
import rclpy  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'dev' / 'demo'))
from processes import DDS_VARIABLES, lock_domain, loopback_environment  # noqa: E402

try:
    SHARE = Path(get_package_share_directory('rdk_yolo_ros'))
except PackageNotFoundError:
    pytest.skip('rdk_yolo_ros is not installed: colcon build, then source install/setup.bash',
                allow_module_level=True)

BEFORE = dict(os.environ)
FRAMES = 10
WIDTH, HEIGHT = 640, 480
LIMIT = 60.0  # seconds


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description():
    """Play a bag of synthetic scenes, a loop of FRAMES images, through pose.launch.py."""
    from scene_bag import stamps, write_bag

    from rdk_yolo_ros.frame import Frame
    from rdk_yolo_ros.scenes import SceneVideo
    bag = Path(tempfile.mkdtemp(prefix='pose_launch_')) / 'bag'
    video = SceneVideo(7, WIDTH, HEIGHT)
    write_bag(bag, ((stamp, Frame.from_nv12(Frame.from_bgr(video.frame(30 * i).image).to_nv12()))
                    for i, stamp in enumerate(stamps(FRAMES, 5.0))))
    # Of the test's own process, too: it subscribes.
    for name in DDS_VARIABLES:
        os.environ.pop(name, None)
    domain, lock = lock_domain()
    environment = {**loopback_environment(SHARE, os.environ), 'ROS_DOMAIN_ID': str(domain)}
    os.environ.update(environment)
    return LaunchDescription([
        *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'pose.launch.py')),
            launch_arguments={'source': str(bag), 'stamp': 'source', 'rate': '5'}.items()),
        TimerAction(period=0.5, actions=[launch_testing.actions.ReadyToTest()]),
    ]), {'lock': lock, 'bag': bag}


class TestDetections(unittest.TestCase):
    """What comes out while the bag is played."""

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

    def test_every_image_has_persons_with_key_points_inside_it(self):
        """Detections and key points arrive, belong together, and lie in the image."""
        detections, clouds = {}, {}

        def keep(messages):
            return lambda message: messages.setdefault(
                (message.header.stamp.sec, message.header.stamp.nanosec), message)

        self.node.create_subscription(Detection2DArray, 'yolo/detections', keep(detections), 10)
        self.node.create_subscription(PointCloud2, 'yolo/keypoints', keep(clouds), 10)
        end = time.monotonic() + LIMIT
        while len(set(detections) & set(clouds)) < FRAMES // 2 and time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.2)
        both = set(detections) & set(clouds)
        assert len(both) >= FRAMES // 2
        assert len(detections) <= FRAMES
        for stamp in both:
            found = detections[stamp]
            assert found.header.frame_id == 'bag_camera'
            assert clouds[stamp].height == len(found.detections)
            assert clouds[stamp].width == 17
            for detection in found.detections:
                assert detection.results[0].hypothesis.class_id == 'person'
                assert 0 <= detection.bbox.center.position.x <= WIDTH
                assert 0 <= detection.bbox.center.position.y <= HEIGHT
        assert any(detections[stamp].detections for stamp in both)


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """What is left after the end."""

    @classmethod
    def tearDownClass(cls):
        """Leave the tests that follow in this process the environment that they had."""
        os.environ.clear()
        os.environ.update(BEFORE)

    def test_both_nodes_ended_cleanly(self, proc_info):
        """No node died of anything but the end of the launch."""
        launch_testing.asserts.assertExitCodes(proc_info)
