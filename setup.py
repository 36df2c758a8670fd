"""Build and install rdk_yolo_ros, with colcon or pip."""

from pathlib import Path
import sys

from setuptools import find_packages, setup

PACKAGE = 'rdk_yolo_ros'
# For these commands, which are colcon's and bloom's, setup.cfg says where scripts go:
# lib/rdk_yolo_ros, where `ros2 run` looks. A wheel, which is pip's way, has no place for the
# nodes but the environment's bin, and there `yolo` is Ultralytics' and `source` anybody's.
INTO_LIB = bool({'install', 'develop'} & set(sys.argv[1:]))


def share(folder):
    """Return data_files entries that install a folder, its subfolders included, to share."""
    entries = []
    for directory in [Path(folder), *sorted(p for p in Path(folder).rglob('*') if p.is_dir())]:
        files = sorted(str(f) for f in directory.iterdir() if f.is_file())
        if files and '__pycache__' not in directory.parts:
            entries.append((f'share/{PACKAGE}/{directory.as_posix()}', files))
    return entries


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['*.json']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        *share('launch'), *share('config'), *share('models'),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools', 'numpy>=1.21', 'PyYAML', 'jsonschema>=3.2'],
    # OpenCV comes from the system on a robot, where a wheel would shadow it.
    extras_require={
        'pc': ['opencv-python-headless>=4.5.4,<5', 'onnxruntime'],
        'bags': ['rosbags'],
    },
    zip_safe=False,
    author='rdk_yolo_ros maintainers',
    maintainer='rdk_yolo_ros maintainers',
    maintainer_email='maintainers@rdk-yolo-ros.example',
    description='YOLO perception for ROS 2 robots: NV12 images in, detections out.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [f'rdk-yolo = {PACKAGE}.cli.main:main'] + ([
            f'yolo = {PACKAGE}.nodes.executables:yolo',
            f'source = {PACKAGE}.nodes.executables:source',
            f'overlay = {PACKAGE}.nodes.executables:overlay',
            f'component_container = {PACKAGE}.nodes.executables:component_container',
            f'component_container_mt = {PACKAGE}.nodes.executables:component_container_mt',
        ] if INTO_LIB else []),
        'rclpy_components': [
            f'{PACKAGE}::YoloNode = {PACKAGE}.nodes.yolo:YoloNode',
            f'{PACKAGE}::SourceNode = {PACKAGE}.nodes.source:SourceNode',
            f'{PACKAGE}::OverlayNode = {PACKAGE}.nodes.overlay:OverlayNode',
        ],
    },
)
