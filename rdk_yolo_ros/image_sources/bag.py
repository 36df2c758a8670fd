"""Images of a rosbag2, sqlite3 or MCAP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources.calibration import Calibration
from rdk_yolo_ros.image_sources.source import ImageSource, SourceError, SourceImage

_IMAGE = 'sensor_msgs/msg/Image'
_COMPRESSED = 'sensor_msgs/msg/CompressedImage'
_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


class BagSource(ImageSource):
    """
    The images of one topic of a bag: a bag's directory, or a single .db3 or .mcap file.

    A sensor_msgs/CameraInfo beside the image topic (image_transport's naming) is used for all
    images of its size.
    """

    def __init__(self, path: Path, topic: str = '', color_range: str = 'full') -> None:
        """
        Open a bag and choose `topic`, or the only image topic.

        `color_range` is taken for its YUV images.

        Raises:
            SourceError: rosbags is not installed; the bag cannot be read, or has no such topic.

        """
        try:
            from rosbags.rosbag2 import Reader
            from rosbags.typesys import Stores, get_typestore
        except ImportError:
            raise SourceError(
                f'{path} is a bag, and the Python package rosbags is not installed: '
                '`pip install rosbags`, or play it with `ros2 bag play`') from None
        self._path = path
        self._color_range = color_range
        # The image messages are the same in every ROS 2 so far.
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._reader = self._guard(lambda: _opened(Reader(path)), 'opened')
        try:
            self._connection = self._choose(topic)
            self._calibration = self._guard(self._read_calibration, 'read')
            self.rate = self._guard(self._measure_rate, 'read')
        except SourceError:
            self.close()
            raise
        self.description = (f'bag {path}, {self._connection.msgcount} images of '
                            f'{self._connection.topic}')
        self.rewind()

    def read(self) -> Optional[SourceImage]:
        """Return the next image; see ImageSource."""
        item = self._guard(lambda: next(self._messages, None), 'read further')
        if item is None:
            return None
        connection, _, raw = item
        try:
            message: Any = self._types.deserialize_cdr(raw, connection.msgtype)
        except Exception as error:
            # rosbags raises whatever its parser stumbles over.
            raise FrameError(f'{self._path}: a message of {connection.topic} cannot be '
                             f'deserialized ({error!r})') from None
        if connection.msgtype == _COMPRESSED:
            frame = Frame.from_compressed(message)
        else:
            frame = Frame.from_image(message, self._color_range)
        header = message.header
        calibration = self._calibration
        if calibration and (calibration.height, calibration.width) != frame.hw:
            calibration = None
        return SourceImage(frame, header.stamp.sec * 1_000_000_000 + header.stamp.nanosec,
                           header.frame_id, calibration)

    def rewind(self) -> None:
        """Go back to the first image."""
        self._messages: Iterator[tuple[Any, int, bytes]] = iter(
            self._reader.messages(connections=[self._connection]))

    def close(self) -> None:
        """Close the bag."""
        self._reader.close()

    def _choose(self, topic: str) -> Any:
        connections: list[Any] = self._reader.connections
        images = [connection for connection in connections
                  if connection.msgtype in (_IMAGE, _COMPRESSED)]
        names = sorted({connection.topic for connection in images})
        if not images:
            found = ', '.join(sorted({connection.topic for connection in connections}))
            raise SourceError(f'{self._path} holds no image topic; it has {found or "no topic"}')
        if topic:
            images = [connection for connection in images if connection.topic == topic]
            if not images:
                raise SourceError(f'{self._path} has no image topic {topic}; '
                                  f'it has {", ".join(names)}')
        elif len(names) > 1:
            raise SourceError(f'{self._path} has several image topics: {", ".join(names)}; '
                              'name one with the parameter bag_topic')
        if not images[0].msgcount:
            raise SourceError(f'{self._path} has no message on {images[0].topic}')
        return images[0]

    def _read_calibration(self) -> Optional[Calibration]:
        camera = self._connection.topic.rsplit('/', 1)[0]
        if self._connection.msgtype == _COMPRESSED:
            camera = camera.rsplit('/', 1)[0]
        for connection in self._reader.connections:
            if connection.msgtype == _CAMERA_INFO and connection.topic == f'{camera}/camera_info':
                for _, _, raw in self._reader.messages(connections=[connection]):
                    info: Any = self._types.deserialize_cdr(raw, _CAMERA_INFO)
                    # An uncalibrated camera sends zeros.
                    return Calibration.from_info(info) if info.k[0] else None
        return None

    def _measure_rate(self) -> Optional[float]:
        """Return the mean rate in Hz from the topic's own first image to its last."""
        count = self._connection.msgcount
        first = next(self._times(), None)
        if count < 2 or first is None:
            return None
        seconds = (self._last_time(first) - first) / 1e9
        return (count - 1) / seconds if seconds > 0 else None

    def _last_time(self, first: int) -> int:
        # Backwards from the bag's end, each step twice the one before: without the images being
        # read that come long before the last.
        stop, step = self._reader.end_time, 10**9
        while stop > first:
            time = max(self._times(stop - step, stop), default=None)
            if time is not None:
                return time
            stop, step = stop - step, 2 * step
        return first

    def _times(self, start: Optional[int] = None, stop: Optional[int] = None) -> Iterator[int]:
        """Yield when the images were recorded, nanoseconds, from `start` to before `stop`."""
        return (time for _, time, _ in self._reader.messages(
            connections=[self._connection], start=start, stop=stop))

    def _guard(self, call: Any, verb: str) -> Any:
        try:
            return call()
        except SourceError:
            raise
        except Exception as error:
            # Two storage formats and a parser below, each with exceptions of its own.
            raise SourceError(f'{self._path} cannot be {verb}, it may be cut off: '
                              f'{type(error).__name__}: {error}') from None


def _opened(reader: Any) -> Any:
    reader.open()
    return reader
