"""Boxes and masks; yolo.launch.py has the arguments."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    """Start yolo.launch.py with the segment demo model."""
    return LaunchDescription([
        DeclareLaunchArgument(
            'config_file', default_value='config/demo_segment.json',
            description='work configuration, JSON or YAML: a path, or one in the share folder'),
        # A path, not a substitution: only then `ros2 launch --show-args` lists what is in there.
        IncludeLaunchDescription(PythonLaunchDescriptionSource(
            str(Path(__file__).absolute().with_name('yolo.launch.py')))),
    ])
