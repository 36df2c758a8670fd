"""
Write the synthetic scenes into a rosbag2, to be played without a camera.

    python3 dev/demo/scene_bag.py OUT [--frames 100] [--size 640x480] [--storage mcap] ...
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
import sys

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.image_sources import Calibration  # noqa: E402

START = 1_700_000_000 * 10**9  # the first image's stamp, nanoseconds
TOPIC = '/camera/image_raw'


def stamps(frames: int, rate: float) -> Iterable[int]:
    """Return the images' stamps in nanoseconds."""
    return (START + round(i * 1e9 / rate) for i in range(frames))


def write_bag(path: Path, images: Iterable[tuple[int, Frame]], storage: str = 'sqlite3',
              topic: str = TOPIC, frame_id: str = 'bag_camera', info: bool = True) -> None:
    """
    Write images and their CameraInfo into a new bag.

    Args:
        path: the bag's folder, which must not exist.
        images: stamp in nanoseconds and frame; a frame in 'jpeg' becomes a CompressedImage.
        storage: 'sqlite3' or 'mcap'.
        topic: of the images; compressed images go to `compressed` below it.
        frame_id: the camera's.
        info: whether to write a CameraInfo for the first image.

    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore
    types = get_typestore(Stores.ROS2_HUMBLE)
    make = types.types
    header_type, time_type = make['std_msgs/msg/Header'], make['builtin_interfaces/msg/Time']

    with Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connections = {}

        def write(name, kind, stamp, message):
            if name not in connections:
                connections[name] = writer.add_connection(name, kind, typestore=types)
            writer.write(connections[name], stamp, types.serialize_cdr(message, kind))

        for stamp, frame in images:
            header = header_type(time_type(stamp // 10**9, stamp % 10**9), frame_id)
            if info:
                info = False
                kind = 'sensor_msgs/msg/CameraInfo'
                camera = Calibration.pinhole(frame.width, frame.height)
                no_region = make['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
                arrays = (np.array(row) for row in (camera.d, camera.k, camera.r, camera.p))
                write(f'{topic.rsplit("/", 1)[0]}/camera_info', kind, stamp,
                      make[kind](header, frame.height, frame.width, camera.model, *arrays,
                                 0, 0, no_region))
            if frame.encoding == 'jpeg':
                kind = 'sensor_msgs/msg/CompressedImage'
                write(f'{topic}/compressed', kind, stamp, make[kind](header, 'jpeg', frame.data))
            else:
                kind = 'sensor_msgs/msg/Image'
                write(topic, kind, stamp, make[kind](header, frame.height, frame.width,
                                                     frame.encoding, 0, frame.step, frame.data))


def main() -> None:
    """Write a bag as the command line says."""
    from rdk_yolo_ros.scenes import SceneVideo
    parser = argparse.ArgumentParser(description='Write the synthetic scenes into a rosbag2.')
    parser.add_argument('out', type=Path, help='folder to create')
    parser.add_argument('--frames', type=int, default=100)
    parser.add_argument('--size', default='640x480', metavar='WxH')
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--storage', choices=('sqlite3', 'mcap'), default='mcap')
    given = parser.parse_args()
    width, height = (int(part) for part in given.size.split('x'))
    video = SceneVideo(given.seed, width, height)
    write_bag(given.out, ((stamp, Frame.from_nv12(
        Frame.from_bgr(video.frame(i).image).to_nv12()))
        for i, stamp in enumerate(stamps(given.frames, given.rate))), given.storage)


if __name__ == '__main__':
    main()
